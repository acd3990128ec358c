"""Fields to NetCDF or Zarr, written whole beside their place and then moved there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import xarray as xr

from subgrid.errors import RunError

ENDINGS = (".nc", ".zarr")


def check_target(path: Path, overwrite: bool) -> Path:
    """Refuse what cannot be written before anything is computed.

    Raises:
        RunError: an unknown ending, a place that is taken, a folder that is not there.
    """
    if path.suffix not in ENDINGS:
        raise RunError(f"{path}: cannot write {path.suffix or 'a name without ending'!r}; use {' or '.join(ENDINGS)}.")
    if path.exists() and not overwrite:
        raise RunError(f"{path} exists already; choose another name, or pass --overwrite.")
    if path.exists() and not (_is_zarr(path) if path.suffix == ".zarr" else path.is_file()):
        raise RunError(f"{path} is there already and is no {path.suffix} data set; choose another name.")
    if not path.absolute().parent.is_dir():
        raise RunError(f"{path}: its folder {path.parent} does not exist; make it first.")
    return path


def _is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr store or empty; any other is not ours to replace."""
    return path.is_dir() and (not any(path.iterdir()) or any((path / n).exists() for n in ("zarr.json", ".zgroup")))


def write_fields(fields: xr.Dataset, target: Path) -> None:
    """Write beside the target, then move it there."""
    partial = target.with_name(f".{target.stem}.partial{target.suffix}")
    _remove(partial)
    try:
        if target.suffix == ".zarr":
            fields.to_zarr(partial, mode="w", consolidated=False)
        else:
            encoding = {
                str(v): {"zlib": True, "complevel": 1, "shuffle": True, "_FillValue": np.float32("nan")} for v in fields
            }
            fields.to_netcdf(partial, engine="netcdf4", encoding=encoding)
        _remove(target)
        os.replace(partial, target)
    finally:
        _remove(partial)


def open_fields(path: Path) -> xr.Dataset:
    """Open what `write_fields` wrote, lazily."""
    return xr.open_zarr(path, consolidated=False) if path.suffix == ".zarr" else xr.open_dataset(path, chunks={})


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
