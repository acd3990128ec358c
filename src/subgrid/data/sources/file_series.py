"""Join files that differ in nothing but their times, so that a series of thousands of files opens as one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import dask.array
import numpy as np
import xarray as xr

from subgrid.data.sources import stored_values, times
from subgrid.data.sources.fields import Part
from subgrid.data.sources.forecasts import is_time

_ENCODING = (
    "scale_factor",
    "add_offset",
    "_FillValue",
    "missing_value",
    "dtype",
    "_Unsigned",
    stored_values.DEFAULT_FILL,
)
_OTHER_ATTRS = {"actual_range", "history", "comment"}  # they may differ from file to file


def join_files(parts: Sequence[Part]) -> list[Part]:
    """Join the parts that hold the same variables on the same grid along their times, lazily; others stay as they are.

    A part is joined where its variables, their dimensions, attributes and packing, and all coordinates but those along
    the time are equal to those of another part.

    Args:
        parts: as opened.

    Returns:
        As many parts as there are kinds of file, in the order of the first of each kind.
    """
    if len(parts) < 2:
        return list(parts)
    kinds: dict[object, list[Part]] = {}
    dims: dict[object, str] = {}
    for position, part in enumerate(parts):
        dim = _time_dim(part.ds)
        key: object = position if dim is None else (dim, _signature(part.ds, dim))
        kinds.setdefault(key, []).append(part)
        if dim is not None:
            dims[key] = dim
    return [_join(alike, dims[key]) if len(alike) > 1 else alike[0] for key, alike in kinds.items()]


def _time_dim(ds: xr.Dataset) -> str | None:
    """Name the one dimension with dates that comes first in every variable that has it; None where there is none."""
    dims = {str(v.dims[0]) for v in ds.coords.values() if v.ndim == 1 and v.dtype.kind in "MO" and is_time(v)}
    if len(dims) != 1:
        return None
    dim = dims.pop()
    return dim if all(dim not in v.dims[1:] for v in ds.variables.values()) else None


def _signature(ds: xr.Dataset, dim: str) -> tuple[object, ...]:
    """What has to be equal in two data sets that are joined along a dimension."""
    found: list[object] = [sorted(map(str, ds.data_vars))]
    for name, variable in sorted(ds.variables.items(), key=lambda item: str(item[0])):
        along = dim in variable.dims
        kind = variable.dtype.kind if along and variable.ndim == 1 else variable.dtype.str
        found.append(
            (name, variable.dims, kind, variable.shape[1:] if along else variable.shape, _text(variable.attrs))
        )
        if variable.ndim > 1:
            found.append([str(variable.encoding.get(key)) for key in _ENCODING])
        if not along and (name in ds.coords or variable.ndim < 2):
            found.append(variable.values.tobytes() if variable.dtype.kind != "O" else str(variable.values))
        elif variable.dtype.kind == "O" and variable.ndim == 1 and variable.size:
            found.append(getattr(variable.values[0], "calendar", ""))
    return tuple(map(str, found))


def _text(attrs: Mapping[Any, Any]) -> str:
    return str(sorted((str(key), str(value)) for key, value in attrs.items() if key not in _OTHER_ATTRS))


def _join(parts: Sequence[Part], dim: str) -> Part:
    """Join parts of one kind along a dimension."""
    time = next(str(name) for name, v in parts[0].ds.coords.items() if v.dims == (dim,) and is_time(v))
    # Each file on its own first, so that an error of reading names it.
    every = [{**part.ds.variables, **stored_values.meant_variables(part.ds, part.name, time)} for part in parts]
    first = parts[0].ds
    along = [name for name, variable in first.variables.items() if dim in variable.dims]
    joined = {name: _joined([variables[name] for variables in every], dim) for name in along}
    rest = first.drop_dims(dim)
    ds = rest.assign_coords({name: v for name, v in joined.items() if name in first.coords})
    ds = ds.assign({name: v for name, v in joined.items() if name not in first.coords})[list(first.data_vars)]
    name = f"{len(parts)} files ({parts[0].name} .. {parts[-1].name})"
    return Part(name, parts[0].path, ds.assign_attrs(first.attrs))


def _joined(variables: Sequence[xr.Variable], dim: str) -> xr.Variable:
    """Join one variable along its first dimension: at once where it has no other, else lazily in blocks of each file."""
    first = variables[0]
    if first.ndim == 1:
        values = np.concatenate([variable.values for variable in variables])
        return xr.Variable(first.dims, values, first.attrs, first.encoding)
    from_array: Any = dask.array.from_array  # not typed
    chunks = [size for variable in variables for size in _chunks(variable, dim)]
    # With a name, because dask would otherwise read the files to make one.
    lazy = from_array(_Files(variables), chunks=(tuple(chunks), *first.shape[1:]), name=f"files-{uuid.uuid4().hex}")
    return xr.Variable(first.dims, lazy, first.attrs, first.encoding)


def _chunks(variable: xr.Variable, dim: str) -> list[int]:
    """Divide the times of one file into blocks."""
    length, num_times = times.block_sizes({"": variable}, [dim], variable.sizes)[dim], variable.shape[0]
    return [min(length, num_times - start) for start in range(0, num_times, length)]


class _Files:
    """One variable of several files, read by slices that lie in one file."""

    def __init__(self, variables: Sequence[xr.Variable]) -> None:
        self.variables = variables
        self.starts = np.cumsum([0, *(variable.shape[0] for variable in variables)])
        first = variables[0]
        self.shape, self.dtype, self.ndim = (int(self.starts[-1]), *first.shape[1:]), first.dtype, first.ndim

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        positions = range(*key[0].indices(self.shape[0]))
        first = min(positions, default=0)
        file = int(np.searchsorted(self.starts, first, side="right")) - 1
        begin = int(self.starts[file])
        inside = slice(first - begin, max(positions, default=-1) + 1 - begin, abs(positions.step))
        values = np.asarray(self.variables[file][inside, *key[1:]].values)
        return values if positions.step > 0 else values[::-1]
