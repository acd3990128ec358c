"""One writer at a time: a folder held by a lock of the operating system, which a killed process does not leave behind."""

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
    """Hold a folder for writing, made if need be; in the lock file stands who holds it.

    A lock file that a killed process left is no obstacle. What is interrupted or fails before anything was written leaves no
    empty folders.

    Args:
        folder: a run directory or a study's folder.

    Raises:
        RunError: at once, if another process (or another call in this one) holds it.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / LOCK
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{folder} is being written by another process{_holder(file)}; wait until it has ended, or stop it and give the "
            "command again, which goes on where that stood."
        ) from None
    mine = not isinstance(lock, SoftFileLock)  # that one, for systems without locks, keeps its own file
    try:
        if mine:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            file.write_text(f"{os.getpid()} on {platform.node()}, since {now}", encoding="utf-8")
        yield
    finally:
        if mine:
            with suppress(OSError):
                file.unlink()  # while it is held: who has it open already sees that it is gone, and does not take it
        lock.release()
        with suppress(OSError):  # the first that is not empty, and so all above it, stay
            for path in made:
                path.rmdir()


def _holder(file: Path) -> str:
    """Who holds it, in brackets, where that can be read."""
    try:
        said = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return f" ({said})" if said else ""
