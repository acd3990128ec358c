"""Locked folders: one writer at a time, by a lock of the operating system that ends with its process."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from subgrid.errors import RunError

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for writing, and create it if necessary; the lock file names the process that holds it.

    The lock file of a process that was killed does not block the next one. Folders that were created here and are empty
    at the end are removed.

    Args:
        folder: a run directory or the folder of a study.

    Raises:
        RunError: at once, if another process, or another call in this process, holds the lock.
    """
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / LOCK
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{folder} is being written by another process{_holder(file)}; wait for it to finish, or stop it and rerun "
            "the command to resume."
        ) from None
    writable = not isinstance(lock, SoftFileLock)  # which, on systems without locks, uses the file's content itself
    try:
        if writable:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            file.write_text(f"{os.getpid()} on {platform.node()}, since {now}", encoding="utf-8")
        yield
    finally:
        if writable:
            # Removed before the lock is released: a process that has opened the file sees that it is gone.
            with suppress(OSError):
                file.unlink()
        lock.release()
        with suppress(OSError):  # stops at the first folder that is not empty
            for path in created:
                path.rmdir()


def _holder(file: Path) -> str:
    """Return the process that holds the lock, in brackets; empty if it cannot be read."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return f" ({text})" if text else ""
