"""One writer at a time of each folder and file, by a lock of the operating system that ends with its process."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from subgrid.errors import RunError
from subgrid.io.console import Notify

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder for writing, and create it if necessary; the lock file in it names the process that holds it.

    The lock file of a process that was killed does not block the next one. Folders that were created here and are empty
    at the end are removed.

    Args:
        folder: a run directory or the folder of a study.

    Raises:
        RunError: at once, if another process, or another call in this process, holds the lock.
    """
    with _held(folder / LOCK, folder):
        yield


@contextmanager
def locked_output(target: Path, waiting: Notify | None = None) -> Iterator[None]:
    """Lock an output for writing, whether it exists or not; the lock file is next to it, `.NAME.lock`.

    Args:
        target: the file or folder that will be created or replaced as a whole.
        waiting: called with a message if the lock is held, before waiting for it; without it, nothing waits.

    Raises:
        RunError: if another process, or another call in this process, holds the lock and `waiting` is not given.
    """
    with _held(target.with_name(f".{target.name}.lock"), target, waiting):
        yield


@contextmanager
def _held(file: Path, target: Path, waiting: Notify | None = None) -> Iterator[None]:
    """Hold the lock `file` on `target`."""
    created = [path for path in file.parents if not path.exists()]
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    _acquire(lock, file, target, waiting)
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


def _acquire(lock: FileLock, file: Path, target: Path, waiting: Notify | None) -> None:
    """Take the lock: at once or not at all, or with a message while it waits."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        held = f"{target} is being written by another process{_holder(file)}"
        if waiting is None:
            raise RunError(f"{held}; wait for it to finish, or stop it and rerun the command to resume.") from None
        waiting(f"{held}; waiting for it to finish")
        while not lock.is_locked:
            try:
                lock.acquire(poll_interval=0.2)
            except FileNotFoundError:  # the other process failed, and removed the folder that it had created
                file.parent.mkdir(parents=True, exist_ok=True)


def _holder(file: Path) -> str:
    """Return the process that holds the lock, in brackets; empty if it cannot be read."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return f" ({text})" if text else ""
