"""Find the time axis of a data set and make it the dimension `valid_time`."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from subgrid.data.sources.decode_times import given_times, rounded
from subgrid.data.sources.forecasts import LEAD, is_time
from subgrid.errors import SourceError, nearest

TIME_NAMES = ("valid_time", "time", "times", "xtime", "date", "datetime", "t")
_REALIZATION_NAMES = {"number", "member", "ens", "ensemble", "realization", "realisation", "ensemble_member"}
_REALIZATION_NAMES |= {"member_id", "ens_member", "ensemble_id", "realization_id", "realization_index"}
BLOCK_VALUES = 2**23  # values of one variable in one block of times: 32 MiB in float32


def find_time(ds: xr.Dataset, names: Sequence[str], where: str) -> str | None:
    """Name the coordinate that says when fields are valid: 0-D, 1-D, or 2-D for forecasts; None for static fields.

    It is a coordinate of decoded dates on a dimension of the fields, whatever its name; a scalar where there is none.

    Args:
        ds: as opened, forecasts with their valid times.
        names: the fields.
        where: the source, for messages.

    Raises:
        SourceError: a time axis that holds no dates.
    """
    found = _dated(ds, names)
    if found is not None and ds[found].ndim:
        return found
    undated = undated_times(ds, names)
    if undated:
        units = ds[undated[0]].attrs.get("units") if undated[0] in ds.variables else None
        raise SourceError(
            f"{where}: the time axis {undated[0]!r} could not be read as dates (units {units!r}). Expected CF units such as "
            "'hours since 2000-01-01'. For evenly spaced fields, give the first time and the step, e.g. start = "
            '"2000-01-01T00:00" and step = "1h" (or "1 month"); else set the units with `cdo setreftime` or `ncatted`.'
        )
    return found


def _dated(ds: xr.Dataset, names: Sequence[str]) -> str | None:
    """Name the best coordinate of decoded dates for fields, or None."""
    dims = {dim for name in names for dim in ds[name].dims}
    if "valid_time" in ds.coords and ds["valid_time"].ndim == 2 and set(ds["valid_time"].dims) <= dims:
        return "valid_time"
    found = [
        str(name)
        for name in ds.variables
        if ds[name].ndim <= 1 and name not in names and is_time(ds[name]) and _may_be_time(ds[name], dims)
    ]
    found.sort(key=lambda name: _time_rank(ds[name]))
    return found[0] if found else None


def _may_be_time(coord: xr.DataArray, dims: set[Any]) -> bool:
    """Whether decoded times may be those of fields: on one of their dimensions, or a scalar that is known as time."""
    if coord.ndim:
        return coord.dims[0] in dims
    return str(coord.name).lower() in TIME_NAMES or _says_time(coord)


def _time_rank(coord: xr.DataArray) -> tuple[bool, bool, int, bool, str]:
    """Order candidates: a dimension before a scalar, times before start times, a well-known name before an unusual one."""
    name = str(coord.name)
    place = TIME_NAMES.index(name.lower()) if name.lower() in TIME_NAMES else len(TIME_NAMES)
    start = coord.attrs.get("standard_name") == "forecast_reference_time"
    return coord.ndim == 0, start, place, not _says_time(coord) and name not in coord.dims, name


def undated_times(ds: xr.Dataset, names: Sequence[str]) -> list[str]:
    """Name the dimensions of fields that are meant as time by their name or attributes, but hold no dates."""
    dims = dict.fromkeys(str(dim) for name in names for dim in ds[name].dims)
    known = [dim for dim in dims if _is_time_name(dim)]
    known += [dim for dim in dims if dim not in known and dim in ds.variables and _says_time(ds[dim])]
    other = {ds[name].dims[0] for name in ds.variables if ds[name].ndim == 1 and is_time(ds[name])}  # with dates
    other |= {str(name) for name in ds.variables if ds[name].attrs.get("standard_name") == "forecast_period"}
    return [dim for dim in known if dim not in other and not LEAD.fullmatch(dim)]


def _is_time_name(dim: str) -> bool:
    return dim.lower() in TIME_NAMES[:6] or bool(re.search(r"(^|_)time\d*$", dim, re.IGNORECASE))


def _says_time(coord: xr.DataArray) -> bool:
    return coord.attrs.get("standard_name") == "time" or coord.attrs.get("axis") == "T"


def with_given_times(ds: xr.Dataset, start: str | None, step: str | None, where: str) -> xr.Dataset:
    """Set the times of fields whose time axis holds no dates to those that the user gives."""
    fields = [str(name) for name in ds.data_vars if ds[name].ndim > 2]
    undated = undated_times(ds, fields) if start and step else []
    if not undated:
        return ds
    dim = undated[0]
    return ds.assign_coords({dim: (dim, given_times(where, ds.sizes[dim], str(start), str(step)), {"axis": "T"})})


def group_by_time(ds: xr.Dataset, names: Sequence[str]) -> list[list[str]]:
    """Group fields by their times, for files with several time axes; fields without any go with the first."""
    groups: dict[str, list[str]] = {}
    static = []
    for name in names:
        time = _dated(ds, [name])
        if time is None or not ds[time].ndim or not set(ds[time].dims) <= set(ds[name].dims):
            static.append(name)
        else:
            groups.setdefault(time, []).append(name)
    if not groups:
        return [static]
    first, *others = groups.values()
    return [[name for name in names if name in first or name in static], *others]


def interval_note(ds: xr.Dataset, time: str) -> str | None:
    """Say that times are the ends of the intervals that the fields describe, where the file's bounds show it."""
    bounds = ds[time].attrs.get("bounds", ds[time].encoding.get("bounds"))
    if bounds not in ds.variables or ds[time].ndim != 1:
        return None
    edges = ds[bounds]
    if edges.dims[:1] != ds[time].dims or edges.shape[1:] != (2,) or not is_time(edges):
        return None
    low, high = edges.values.T
    stamps = ds[time].values
    if not stamps.size or not ((stamps == high) & (low < high)).all():
        return None
    first = " to ".join(describe_time(value) for value in (low[0], high[0]))
    return f"times are the ends of the intervals that the fields describe ({bounds}; the first is {first})"


def in_blocks(ds: xr.Dataset, time: str | None) -> xr.Dataset:
    """Make every variable lazy in blocks along time, whole in space; what is dask already stays.

    Args:
        ds: as opened.
        time: the time coordinate, or None.
    """
    dims = [] if time is None else [str(dim) for dim in ds[time].dims]
    lazy = {str(name): ds[name] for name in ds.data_vars if ds[name].chunks is None}
    if not lazy:
        return ds
    token = uuid.uuid4().hex  # else dask would read the data to name them
    sizes = block_sizes(lazy, dims, ds.sizes)
    chunked = {}
    for name, var in lazy.items():
        own = {key: size for key, size in sizes.items() if key in var.dims}
        chunked[name] = var.chunk(own, token=f"{token}-{name}")
    return ds.assign(chunked)


def block_sizes(variables: Mapping[Any, Any], dims: Sequence[str], sizes: Mapping[Any, int]) -> dict[str, int]:
    """Sizes of blocks along times: `BLOCK_VALUES` of the largest variable, in whole chunks of the file.

    Args:
        variables: by name.
        dims: the dimensions of the times.
        sizes: of all dimensions.
    """
    remaining, blocks = BLOCK_VALUES, {}
    if dims:
        along = [var for var in variables.values() if set(dims) <= set(var.dims)]
        remaining //= max((var.size // max(1, math.prod(sizes[d] for d in dims)) for var in along), default=1) or 1
    for dim in reversed(dims):
        stored = max((v.encoding.get("preferred_chunks", {}).get(dim, 1) for v in variables.values()), default=1)
        blocks[dim] = max(stored, max(1, remaining) // stored * stored)
        remaining //= sizes[dim] or 1
    return blocks


def with_valid_time(ds: xr.Dataset, time: str | None, where: str) -> tuple[xr.Dataset, str | None]:
    """Make the time coordinate the sorted dimension `valid_time`; give also its name in the source.

    Raises:
        SourceError: times that are missing or occur twice.
    """
    if time is None:
        return ds, None
    original = time
    if time == "valid_time" and "time" in ds.coords and ds["time"].dims == ds["valid_time"].dims:
        # With a lead time of zero, start and validity agree and the source's dimension name stays true.
        original = "time" if bool((ds["valid_time"] == ds["time"]).all()) else "valid_time"
    ds, values = _split_off_times(ds, time)
    missing = int(pd.isnull(values).sum())
    if missing:
        raise SourceError(
            f"{where}: {missing} of {values.size} times are missing. Remove those fields, or correct the time axis."
        )
    if values.dtype.kind == "M":
        values = values.astype("datetime64[ns]")
    values = rounded(values)
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
        named = dim in ds.coords and ds[dim].attrs.get("standard_name") == "realization"
        if (named or str(dim).lower() in _REALIZATION_NAMES) and ds.sizes[dim] > 1:
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
