"""Generated fields as NetCDF or Zarr: one writer at a time, replaced whole, and never over a file of somebody else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr

from subgrid.errors import RunError
from subgrid.io.atomic import partial_path, remove, sync_tree, write_netcdf
from subgrid.io.exchange import replace_folder
from subgrid.io.interrupts import interrupts_held
from subgrid.io.lock import locked_output

ENDINGS = (".nc", ".zarr")
_OURS = re.compile(r"\S+ subgrid \S+: ")  # the first line of the history of what `write_fields` wrote


@contextmanager
def claim_target(path: Path, overwrite: bool, inputs: Sequence[Path] = ()) -> Iterator[Path]:
    """Check that a file or store can be written, before anything is computed, and lock it until it is written.

    Args:
        path: what will be written; `.nc` or `.zarr`.
        overwrite: whether it may exist already, if it is an earlier output.
        inputs: files and folders that are read.

    Yields:
        `path`.

    Raises:
        RunError: for an unknown ending, a path that is taken or being written, one of the inputs, or a folder that does not
            exist.
    """
    _check_target(path, overwrite)
    refuse_inputs(path, inputs)
    with locked_output(path):
        _check_target(path, overwrite)  # again: another process may have finished it in between
        yield path


def _check_target(path: Path, overwrite: bool) -> None:
    """Raise RunError if the path cannot be written."""
    if path.suffix not in ENDINGS:
        raise RunError(f"{path}: cannot write {path.suffix or 'a name without ending'!r}; use {' or '.join(ENDINGS)}.")
    if not path.absolute().parent.is_dir():
        raise RunError(f"{path}: the folder {path.parent} does not exist; create it first.")
    if not path.exists():
        return
    if not overwrite:
        raise RunError(f"{path} already exists; choose another name, or pass overwrite=True (--overwrite).")
    if not (_is_zarr(path) if path.suffix == ".zarr" else path.is_file()):
        raise RunError(f"{path} already exists and is not a {path.suffix} data set; choose another name.")
    if not _is_output(path):
        raise RunError(
            f"{path} already exists and was not written by this program, as its history attribute shows; choose another "
            "name, or remove it first."
        )


def refuse_inputs(target: Path, inputs: Sequence[Path]) -> None:
    """Refuse to write over what is read, under whatever name, or into it.

    Raises:
        RunError: if the target is one of the inputs, lies in one, or is a folder that holds one.
    """
    place = target.resolve()
    for path in inputs:
        read = path.resolve()
        if read == place or read in place.parents or place in read.parents:
            raise RunError(f"{target} is what is read ({path}), and would be lost; choose another name for the output.")


def _is_zarr(path: Path) -> bool:
    """Whether a folder is empty or a Zarr store; no other folder may be replaced."""
    return path.is_dir() and (not any(path.iterdir()) or any((path / n).exists() for n in ("zarr.json", ".zgroup")))


def _is_output(path: Path) -> bool:
    """Whether `write_fields` wrote it; also true of what is empty, as nothing is lost with it."""
    if path.is_dir() and not any(path.iterdir()):
        return True
    if path.is_file() and path.stat().st_size == 0:
        return True
    try:
        with open_fields(path) as fields:
            return _OURS.match(str(fields.attrs.get("history", ""))) is not None
    except (OSError, ValueError, KeyError, RuntimeError):  # which no library can read
        return False


def write_fields(fields: xr.Dataset, target: Path) -> None:
    """Write fields to `target`, a path from `claim_target`; lazy fields are computed block by block."""
    with interrupts_held():
        if target.suffix == ".nc":
            options = {"zlib": True, "complevel": 1, "shuffle": True, "_FillValue": np.float32("nan")}
            encoding = {str(name): options for name in fields if fields[name].ndim}
            write_netcdf(target, fields.reset_coords(bounds_of(fields)), encoding=encoding)
            return
        partial = partial_path(target)
        try:
            fields.reset_coords(bounds_of(fields)).to_zarr(partial, mode="w", consolidated=False)
            sync_tree(partial)
            replace_folder(partial, target)
        finally:
            remove(partial)


def open_fields(path: Path) -> xr.Dataset:
    """Open what `write_fields` wrote, lazily; cell bounds are coordinates again."""
    is_zarr = path.suffix == ".zarr"
    fields = xr.open_zarr(path, consolidated=False) if is_zarr else xr.open_dataset(path, chunks={})
    return fields.set_coords(bounds_of(fields))


def bounds_of(fields: xr.Dataset) -> list[str]:
    """Name the variables that hold the edges of cells; they are data variables in a file, and coordinates in memory."""
    named = [str(variable.attrs.get("bounds")) for variable in fields.variables.values()]
    return [name for name in named if name in fields.variables]
