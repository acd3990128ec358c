"""Find the time axis of a data set and make it the dimension `valid_time`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from subgrid.errors import SourceError, nearest

TIME_NAMES = ("valid_time", "time", "times", "xtime", "date", "datetime", "t")
_REALIZATION_NAMES = {"number", "member", "ens", "ensemble", "realization", "realisation", "ensemble_member"}
BLOCK_VALUES = 2**23  # values of one variable in one block of times: 32 MiB in float32


def is_time(variable: xr.DataArray) -> bool:
    """Whether an array holds decoded times (numpy or cftime)."""
    if variable.dtype.kind == "M":
        return True
    if variable.dtype.kind != "O" or not variable.size or variable.ndim > 1:
        return False
    return hasattr(variable.values.ravel()[0], "calendar")


def find_time(ds: xr.Dataset, where: str) -> str | None:
    """Name the coordinate (0-D or 1-D) that says when the fields are valid, or None for static fields."""
    if {"time", "step", "valid_time"} <= set(ds.coords):
        if ds["valid_time"].ndim == 2:
            raise SourceError(
                f"{where}: the forecasts have {ds.sizes['time']} start times and {ds.sizes['step']} lead times. "
                f"Select one lead time in hours, e.g. select = {{step = {_first_label(ds['step'])}}}."
            )
        return "valid_time"
    names = [
        str(name)
        for name in ds.variables
        if ds[name].ndim <= 1
        and (str(name).lower() in TIME_NAMES or ds[name].attrs.get("standard_name") == "time" or _axis_t(ds, name))
        and is_time(ds[name])
    ]
    # A dimension before a scalar; a well-known name before an unusual one.
    rank = {name: place for place, name in enumerate(TIME_NAMES)}
    names.sort(key=lambda name: (ds[name].ndim == 0, rank.get(name.lower(), len(rank)), name))
    if names:
        return names[0]
    plain = [str(dim) for dim in ds.dims if str(dim).lower() in TIME_NAMES[:5]]
    if plain:
        units = ds[plain[0]].attrs.get("units") if plain[0] in ds.variables else None
        raise SourceError(
            f"{where}: the time axis {plain[0]!r} could not be read as dates (units {units!r}). Expected CF units "
            "such as 'hours since 2000-01-01'. Set them with `cdo setreftime` or `ncatted`, or in xarray, and pass the "
            "Dataset."
        )
    return None


def in_blocks(ds: xr.Dataset, time: str | None) -> xr.Dataset:
    """Make every variable lazy in blocks along time, whole in space; what is dask already stays.

    Args:
        ds: as opened.
        time: the time coordinate, or None.
    """
    dim = str(ds[time].dims[0]) if time is not None and ds[time].ndim == 1 else None
    lazy = {str(name): ds[name] for name in ds.data_vars if ds[name].chunks is None}
    if not lazy:
        return ds
    token = uuid.uuid4().hex  # else dask would read the data to name them
    sizes = {}
    if dim is not None:
        biggest = max((var.size for var in lazy.values() if dim in var.dims), default=1)
        stored = max((v.encoding.get("preferred_chunks", {}).get(dim, 1) for v in lazy.values()), default=1)
        count = max(1, BLOCK_VALUES * ds.sizes[dim] // biggest)
        sizes[dim] = max(stored, count // stored * stored)
    chunked = {}
    for name, var in lazy.items():
        own = {key: size for key, size in sizes.items() if key in var.dims}
        chunked[name] = var.chunk(own, token=f"{token}-{name}")
    return ds.assign(chunked)


def with_valid_time(ds: xr.Dataset, time: str | None, where: str) -> tuple[xr.Dataset, str | None]:
    """Make the time coordinate the sorted dimension `valid_time`; give also its name in the source.

    Raises:
        SourceError: times that are missing or occur twice.
    """
    if time is None:
        return ds, None
    original = time
    if time == "valid_time" and "step" in ds.coords:
        # With a lead time of zero, start and validity agree and the source's dimension name stays true.
        same = ds["valid_time"].dims == ds["time"].dims and bool((ds["valid_time"] == ds["time"]).all())
        original = "time" if same else "valid_time"
    ds, values = _split_off_times(ds, time)
    missing = int(pd.isnull(values).sum())
    if missing:
        raise SourceError(
            f"{where}: {missing} of {values.size} times are missing. Remove those fields, or correct the time axis."
        )
    if values.dtype.kind == "M":
        values = values.astype("datetime64[ns]")
    order = np.argsort(values, kind="stable")
    if (order != np.arange(order.size)).any():
        values = values[order]
        ds = ds.isel(valid_time=order)
    require_unique(values, where)
    return ds.assign_coords(valid_time=("valid_time", values, {"standard_name": "time"})), original


def _split_off_times(ds: xr.Dataset, time: str) -> tuple[xr.Dataset, np.ndarray]:
    """Name the dimension of the time coordinate `valid_time`, without coordinates along it; give its values apart."""
    coord = ds[time]
    values = coord.values
    if coord.ndim == 0:
        values = np.array([values[()]]) if values.dtype.kind == "M" else np.array([values.item()], dtype=object)
        return ds.drop_vars(time).expand_dims("valid_time"), values
    dim = str(coord.dims[0])
    others = [str(name) for name in ds.coords if name != dim and dim in ds[name].dims]
    ds = ds.drop_vars({*others, time, *([dim] if dim in ds.coords else [])})
    return ds if dim == "valid_time" else ds.rename({dim: "valid_time"}), values


def require_unique(values: np.ndarray, where: str) -> None:
    """Raise SourceError, counting repeated times and naming the first, unless sorted times are all different."""
    repeated = values[1:][values[1:] == values[:-1]]
    if repeated.size:
        raise SourceError(
            f"{where}: {repeated.size} of {values.size} times occur more than once, the first is "
            f"{describe_time(repeated[0])}. Remove the repeats (e.g. `ds.drop_duplicates('time')`), or the files that "
            "overlap."
        )


def describe_time(value: Any) -> str:
    """Write a time (numpy or cftime) as ISO text down to minutes."""
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[m]"))
    return str(value.strftime("%Y-%m-%dT%H:%M"))


def with_realization(ds: xr.Dataset) -> tuple[xr.Dataset, str | None]:
    """Name an ensemble dimension `realization`; give also its name in the source."""
    for dim in ds.dims:
        if str(dim).lower() in _REALIZATION_NAMES and ds.sizes[dim] > 1:
            return ds if dim == "realization" else ds.rename({dim: "realization"}), str(dim)
    return ds, None


def select_labels(ds: xr.Dataset, select: Mapping[str, Any], where: str) -> tuple[xr.Dataset, set[str]]:
    """Pick labels along dimensions; give also which entries of select were found in this data set."""
    used = set()
    for key, wanted in select.items():
        name = key
        if key == "realization" and key not in ds.coords:
            name = next((str(d) for d in ds.coords if str(d).lower() in _REALIZATION_NAMES), key)
        if name not in ds.coords and name not in ds.dims:
            continue
        used.add(key)
        if name not in ds.coords:
            ds = ds.assign_coords({name: np.arange(ds.sizes[name])})
        labels = np.atleast_1d(ds[name].values)
        many = isinstance(wanted, list | tuple)
        index = [_position(labels, label, key, where) for label in (wanted if many else [wanted])]
        if ds[name].ndim:
            ds = ds.isel({ds[name].dims[0]: index if many else index[0]})
    return ds, used


def require_used(select: Mapping[str, Any], used: set[str], dims: set[str], where: str) -> None:
    """Raise SourceError for entries of select that no file knows."""
    unknown = [key for key in select if key not in used]
    if unknown:
        raise SourceError(
            f"{where}: select names {unknown[0]!r}, which is not a dimension of the source."
            f"{nearest(unknown[0], dims) or ' The source has no dimensions to select from.'}"
        )


def require_label(parts: Sequence[xr.Dataset], key: str, wanted: Any, where: str) -> None:
    """Raise SourceError, naming the nearest of all labels, where no part holds what is wanted."""
    labels = [np.atleast_1d(ds[key].values) for ds in parts if key in ds.coords]
    if labels:
        for label in wanted if isinstance(wanted, list | tuple) else [wanted]:
            _position(np.unique(np.concatenate(labels)), label, key, where)


def _position(labels: np.ndarray, wanted: Any, key: str, where: str) -> int:
    """Find the position of a label; raise SourceError where there is none."""
    text = f"{where}: select {key} = {wanted!r} is not in the file."
    try:
        if labels.dtype.kind == "M":
            match = labels == np.datetime64(wanted)
        elif labels.dtype.kind == "m":
            hours = isinstance(wanted, int | float)
            match = labels == (pd.Timedelta(wanted, "h") if hours else pd.Timedelta(wanted)).to_timedelta64()
        elif labels.dtype.kind in "fiu":
            match = np.isclose(labels.astype(float), float(wanted), rtol=1e-6, atol=1e-9)
        else:
            match = np.array([str(label) == str(wanted) for label in labels])
    except (TypeError, ValueError):
        match = np.zeros(labels.size, bool)
    if match.any():
        return int(np.argmax(match))
    if labels.dtype.kind in "fiu" and isinstance(wanted, int | float):
        close = sorted(labels.tolist(), key=lambda label: abs(label - wanted))[:5]
        raise SourceError(f"{text} Nearest: {', '.join(f'{label:g}' for label in close)}.")
    raise SourceError(f"{text}{nearest(str(wanted), [str(label) for label in labels[:50]])}")


def _axis_t(ds: xr.Dataset, name: Any) -> bool:
    return bool(ds[name].attrs.get("axis") == "T")


def _first_label(coord: xr.DataArray) -> str:
    value = coord.values.ravel()[0]
    return f"{value / np.timedelta64(1, 'h'):g}" if coord.dtype.kind == "m" else f"{value:g}"
