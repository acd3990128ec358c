"""The intervals that the times of a source stand for, such as the days of daily means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from xarray.coding.times import encode_cf_datetime

from subgrid.data.sources import readers

_WITHOUT_BOUNDS = {".npy", ".grib", ".grib1", ".grib2", ".grb", ".grb1", ".grb2"}


def with_time_bounds(
    fields: xr.Dataset, source: str | Path | Sequence[str | Path] | xr.Dataset, select: Mapping[str, Any]
) -> xr.Dataset:
    """Add the coordinate `valid_time_bnds` where the source gives the bounds of all times of the fields.

    Args:
        fields: fields as `open_source` returns them.
        source: what they were opened from.
        select: the labels that were picked.
    """
    if "valid_time" not in fields.dims:
        return fields
    known: list[np.ndarray] = []
    for given in _parts(source, select):
        found = _bounds(given)
        if not found:  # every file of a series has bounds, or none
            break
        known += found
    if not known:
        return fields
    table = pd.DataFrame(np.concatenate(known)).drop_duplicates(0)
    rows = pd.Index(table[0]).get_indexer(pd.Index(fields["valid_time"].values))
    if (rows < 0).any():
        return fields
    bounds = table[[1, 2]].to_numpy()[rows]
    out = fields.assign_coords(valid_time_bnds=(("valid_time", "bnds"), bounds))
    out["valid_time"] = out["valid_time"].assign_attrs(bounds="valid_time_bnds")
    return out


def time_encoding(times: xr.DataArray, bounds: xr.DataArray) -> dict[str, Any]:
    """Return units and calendar that hold both times and their bounds, which CF wants to share them."""
    _, units, calendar = encode_cf_datetime(np.append(times.values, bounds.values.ravel()))
    # Without the zeros that cftime adds: xarray compares the texts of both.
    return {"units": units.removesuffix(".000000"), "calendar": calendar}


def _parts(source: str | Path | Sequence[str | Path] | xr.Dataset, select: Mapping[str, Any]) -> Iterator[xr.Dataset]:
    """Open what a source is made of, one after the other."""
    if isinstance(source, xr.Dataset):
        yield source
        return
    for path in readers.find_paths(source):
        if path.suffix in _WITHOUT_BOUNDS:
            return
        for part in readers.open_path(path, variables=None, select=select, start=None, step=None):
            yield part
            part.close()


def _bounds(part: xr.Dataset) -> list[np.ndarray]:
    """Give time, start and end of each time of a part, as (n, 3) arrays."""
    found = []
    for name in part.coords:
        time = part[name]
        bounds = part.variables.get(time.attrs.get("bounds", time.encoding.get("bounds")))
        if time.ndim != 1 or bounds is None or bounds.shape != (time.size, 2):
            continue
        if time.dtype.kind == bounds.dtype.kind == "M" or time.dtype.kind == bounds.dtype.kind == "O":
            found.append(np.column_stack([time.values, bounds.values]))
    return found
