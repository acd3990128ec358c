"""Generated fields as NetCDF or Zarr, replaced whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import xarray as xr

from subgrid.errors import RunError
from subgrid.io.atomic import write_netcdf

ENDINGS = (".nc", ".zarr")


def check_target(path: Path, overwrite: bool) -> Path:
    """Check that a file or store can be written, before anything is computed.

    Args:
        path: what will be written; `.nc` or `.zarr`.
        overwrite: whether it may exist already.

    Returns:
        `path`.

    Raises:
        RunError: for an unknown ending, a path that is taken, or a folder that does not exist.
    """
    if path.suffix not in ENDINGS:
        raise RunError(f"{path}: cannot write {path.suffix or 'a name without ending'!r}; use {' or '.join(ENDINGS)}.")
    if path.exists() and not overwrite:
        raise RunError(f"{path} already exists; choose another name, or pass overwrite=True (--overwrite).")
    if path.exists() and not (_is_zarr(path) if path.suffix == ".zarr" else path.is_file()):
        raise RunError(f"{path} already exists and is not a {path.suffix} data set; choose another name.")
    if not path.absolute().parent.is_dir():
        raise RunError(f"{path}: the folder {path.parent} does not exist; create it first.")
    return path


def _is_zarr(path: Path) -> bool:
    """Whether a folder is empty or a Zarr store; no other folder may be replaced."""
    return path.is_dir() and (not any(path.iterdir()) or any((path / n).exists() for n in ("zarr.json", ".zgroup")))


def write_fields(fields: xr.Dataset, target: Path) -> None:
    """Write fields to `target`, a path that `check_target` has accepted; lazy fields are computed block by block."""
    if target.suffix == ".nc":
        options = {"zlib": True, "complevel": 1, "shuffle": True, "_FillValue": np.float32("nan")}
        write_netcdf(target, fields, encoding={str(name): options for name in fields})
        return
    partial = target.with_name(f".{target.stem}.partial.zarr")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        fields.to_zarr(partial, mode="w", consolidated=False)
        if target.exists():
            shutil.rmtree(target)
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def open_fields(path: Path) -> xr.Dataset:
    """Open what `write_fields` wrote, lazily."""
    return xr.open_zarr(path, consolidated=False) if path.suffix == ".zarr" else xr.open_dataset(path, chunks={})
