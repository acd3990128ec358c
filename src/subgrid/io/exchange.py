"""Replacing a folder by another one in one step."""

from __future__ import annotations

import ctypes
import os
import secrets
from pathlib import Path

from subgrid.io.atomic import remove, sync_folder

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def replace_folder(new: Path, target: Path) -> None:
    """Rename a complete folder to its final name; one that is there is removed afterwards, never before.

    On Linux the two exchange their names in one step. Elsewhere, and on file systems that cannot, the old folder is called
    `TARGET.old-...` for an instant; it gets its name back if the new one cannot take its place.

    Args:
        new: the complete folder, on the same file system.
        target: its final name.
    """
    if not target.exists():
        os.replace(new, target)
    elif _exchange(new, target):
        remove(new)  # which is now the old one
    else:
        old = target.with_name(f"{target.name}.old-{secrets.token_hex(4)}")
        os.replace(target, old)
        try:
            os.replace(new, target)
        except BaseException:
            os.replace(old, target)
            raise
        remove(old)
    sync_folder(target.parent)


def _exchange(a: Path, b: Path) -> bool:
    """Exchange the names of two folders; False where the system or the file system cannot."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return bool(rename(_HERE, os.fsencode(a), _HERE, os.fsencode(b), _EXCHANGE) == 0)
