"""Writing whole files: a reader sees the old file or the new one, never a part of one, even after a power failure.

What is incomplete is written next to its final name, as `.NAME.PID@MACHINE-TOKEN.tmp`. The name tells whose it is: a writer
removes its own, and those of processes that have ended.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from subgrid.errors import RunError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

FILES_AT_ONCE = 16  # a disk writes several files together in the time of one (measured: a tenth of the time)
_OWNER = re.compile(r"\.(?P<pid>\d+)@(?P<machine>[0-9a-f]{8})-[0-9a-f]{8}\.tmp$")


def partial_path(path: Path) -> Path:
    """Return a new name for the incomplete version of a file or folder, in the same folder, which names its writer.

    Incomplete versions that processes on this machine left when they were killed are removed.
    """
    remove_stale(path)
    return path.with_name(f".{path.name}.{os.getpid()}@{_machine()}-{secrets.token_hex(4)}.tmp")


def remove_stale(path: Path) -> None:
    """Remove incomplete versions of a file or folder whose writers have ended; those of other machines stay."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        owner = _OWNER.search(left.name)
        if owner and owner["machine"] == _machine() and not _is_alive(int(owner["pid"])):
            with suppress(OSError):
                remove(left)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it; one that does not exist is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def final_names(text: str) -> str:
    """Replace the names of incomplete files in a message by their final names."""
    return re.sub(r"\.([^/\\]+?)" + _OWNER.pattern.rstrip("$"), r"\1", text)


@cache
def _machine() -> str:
    """Return what tells machines apart on which the same process number means different processes."""
    names = [platform.node()]
    with suppress(OSError):  # containers on one machine, each of which counts its processes from 1
        names.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("|".join(names).encode()).hexdigest()[:8]


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # where os.kill would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a temporary file in the same folder and rename it to its final name when it is complete.

    Args:
        path: the file to create or replace.

    Yields:
        The temporary path to write to. It is removed if writing fails.
    """
    temporary = partial_path(path)
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until the disk holds the content of a file.

    Raises:
        OSError: if the disk is full or broken, which a file system may say only now.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the disk holds the names of the files in a folder, where the system allows that."""
    with suppress(OSError):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def sync_tree(*paths: Path) -> None:
    """Wait until the disk holds folders with all that is in them.

    Raises:
        OSError: as `sync`.
    """
    folders = [(Path(folder), names) for path in paths for folder, _, names in os.walk(path)]
    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:  # a disk writes many files together almost as fast as one
        list(threads.map(sync, [folder / name for folder, names in folders for name in names]))
        list(threads.map(sync_folder, [folder for folder, _ in folders]))


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, replacing it whole."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON document, replacing the file whole."""
    write_text(path, json.dumps(content, indent=2))


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON document.

    Args:
        path: the file.
        remedy: what to do if it is damaged; ends the message.

    Raises:
        RunError: if it is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # also of text that is not UTF-8
        raise RunError(f"{path} is damaged: it is not a JSON document ({error}). {remedy}") from None
    if not isinstance(content, dict):
        raise RunError(f"{path} is damaged: it holds no JSON object. {remedy}")
    return content


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index, floats in full precision, replacing the file whole."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def write_netcdf(path: Path, fields: xr.Dataset, encoding: Mapping[str, Any] | None = None) -> None:
    """Write a Dataset as NetCDF 4, replacing the file whole; `encoding` as for xarray's `to_netcdf`."""
    with replacing(path) as temporary, netcdf_errors(path):
        fields.to_netcdf(temporary, engine="netcdf4", encoding=encoding)


@contextmanager
def netcdf_errors(path: Path) -> Iterator[None]:
    """Say which file could not be written where the NetCDF library only says that something failed, as on a full disk."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("NetCDF:"):
            raise
        free = shutil.disk_usage(path.absolute().parent).free / 2**20
        raise RunError(
            f"{final_names(str(path))} could not be written ({error}); the disk has {free:,.0f} MiB left, and a quota or a "
            "limit on the size of files may be lower. What was there before is kept; make room, or choose another place, and "
            "rerun the command."
        ) from None
