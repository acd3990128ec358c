"""Open gridded fields from files of several kinds, in one form: CF names, north first, lazy, float32."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.grid import spatial_dims
from subgrid.data.sources import fields, readers, times
from subgrid.data.sources.fields import Part
from subgrid.data.sources.file_series import join_files
from subgrid.data.sources.forecasts import with_forecast_times
from subgrid.data.sources.grib_kinds import require_one_kind
from subgrid.data.sources.groups import GROUP
from subgrid.errors import SourceError, nearest


def open_source(
    source: str | Path | Sequence[str | Path] | xr.Dataset,
    *,
    variables: Sequence[str] | None = None,
    select: Mapping[str, Any] | None = None,
    start: str | None = None,
    step: str | None = None,
) -> xr.Dataset:
    """Open fields lazily and bring them into the form that the rest of the package relies on.

    Every data variable is float32 with dims (valid_time, extra dims, y, x): valid_time sorted and without repeats
    (absent for static fields), y descending, x ascending. (y, x) are latitude and longitude, grid_latitude and
    grid_longitude, or projection_y_coordinate and projection_x_coordinate. Longitudes (degrees) of a global grid
    start at 0, those of a region are centred within -180 to 180. Packed values are unpacked, fill values NaN.

    Args:
        source: a path, a glob, a list of both, or an open data set. Several files may hold consecutive times,
            different variables on one grid, or both.
        variables: names to keep (all fields with both horizontal dims if None); the channels of an .npy file.
        select: labels to pick along other dimensions, such as {"level": 850} or {"step": 6} (hours); `group` names the
            group of a NetCDF4 file or Zarr store.
        start: time of the first field (ISO), for files whose time axis holds no dates, such as .npy.
        step: time between their fields, such as "1h" or "1 month".

    Returns:
        The fields, with attributes ``source``, ``subgrid_names`` (see `restore_names`), ``subgrid_notes`` where there is
        something to say (see `source_notes`) and, where the source has one, ``grid_mapping`` (JSON of the mapping
        variable's name and attributes).

    Raises:
        SourceError: what is asked for is not there, or cannot be read or combined.
        GridError: a grid that does not amount to two 1-D axes, in degrees or in a projection that the file names, or
            grids that differ between files.
    """
    if isinstance(variables, str):
        raise SourceError(f"variables = {variables!r} is one text; give a list of names: [{variables!r}].")
    with ExitStack() as files:  # closes them if anything below fails
        parts = _open_parts(source, variables, select or {}, start, step, files)
        where = _describe(parts)
        chosen = _select(parts, {key: label for key, label in (select or {}).items() if key != GROUP}, where)
        ds = _combine_parts(join_files(chosen), variables, where)
        if variables is not None:
            ds = ds[list(variables)]
        ds = ds.assign_attrs(source=where)
        ds.set_close(files.pop_all().close)
    return ds


def _combine_parts(parts: list[Part], variables: Sequence[str] | None, where: str) -> xr.Dataset:
    """Bring the variables of all parts into normal form and combine them."""
    wanted = _wanted(parts, variables, where)
    pieces = []
    for part in parts:
        names = _candidates(part, wanted)
        for group in times.group_by_time(part.ds, names) if names else []:
            ds = fields.normalise(part, group, strict=wanted is not None)
            if ds.data_vars:
                pieces.append((part, ds))
    if not pieces:
        _require_not_empty(parts)
        dims = ", ".join(sorted({str(dim) for part in parts for dim in part.ds.dims}))
        raise SourceError(
            f"{where}: there is no numeric field with horizontal axes (dimensions: {dims}). Check what the file holds, e.g. "
            "with `ncdump -h`."
        )
    require_one_kind(pieces, where)
    return fields.combine(pieces, where)


def source_notes(fields: xr.Dataset) -> list[str]:
    """Give the sentences for the user that `open_source` left with fields, such as on units that it converted."""
    return str(fields.attrs.get("subgrid_notes", "")).splitlines()


def restore_names(ds: xr.Dataset) -> xr.Dataset:
    """Give an output the names, orientation and longitudes of the source that it was made from.

    Args:
        ds: fields in the form of `open_source`, with its attribute ``subgrid_names``; the grid may be finer.

    Returns:
        The fields with the source's dimension names, y order and longitude range, and no subgrid_* attributes.
    """
    text = ds.attrs.get("subgrid_names")
    if text is not None:
        names = json.loads(text)
        y, x = spatial_dims(ds)
        if names["y_ascending"]:
            ds = _flip(ds, y)
        if names["west_edge"] is not None:
            ds = _start_at(ds, x, names["west_edge"])
        if names["x_descending"]:
            ds = _flip(ds, x)
        ds = _rename(ds, {new: old for new, old in names["dims"].items() if new in ds.dims and new != old})
    ds = ds.copy()
    mapping = json.loads(ds.attrs.pop("grid_mapping", "null"))
    for name in ds.variables:
        ds[name].attrs = {k: v for k, v in ds[name].attrs.items() if not str(k).startswith("subgrid_")}
    if mapping is not None:
        for variable in ds.data_vars.values():
            variable.attrs["grid_mapping"] = mapping["name"]
        ds[mapping["name"]] = ((), np.int32(0), mapping["attrs"])
    ds.attrs = {k: v for k, v in ds.attrs.items() if not str(k).startswith("subgrid_")}
    return ds


def _start_at(ds: xr.Dataset, x: str, west_edge: float) -> xr.Dataset:
    """Let longitudes and their bounds begin at an edge, by whole turns alone: they are exactly the source's again."""
    turns = 360.0 * np.floor((ds[x].values - west_edge) / 360.0)
    if f"{x}_bnds" in ds.coords:
        ds = ds.assign_coords({f"{x}_bnds": ((x, "bnds"), ds[f"{x}_bnds"].values - turns[:, None])})
    return ds.assign_coords({x: (x, ds[x].values - turns, ds[x].attrs)}).sortby(x)


def _flip(ds: xr.Dataset, dim: str) -> xr.Dataset:
    """Reverse an axis, and with it the edges of each cell."""
    ds = ds.isel({dim: slice(None, None, -1)})
    bounds = f"{dim}_bnds"
    return ds.assign_coords({bounds: ds[bounds].isel(bnds=slice(None, None, -1))}) if bounds in ds.coords else ds


def _rename(ds: xr.Dataset, names: dict[str, str]) -> xr.Dataset:
    """Rename dimensions with their coordinates, and their bounds accordingly."""
    bounds = {f"{new}_bnds": f"{old}_bnds" for new, old in names.items() if f"{new}_bnds" in ds.variables}
    ds = ds.rename(names | bounds)
    for name in ds.coords:
        if ds[name].attrs.get("bounds") in bounds:
            ds[name].attrs["bounds"] = bounds[ds[name].attrs["bounds"]]
    return ds


def _open_parts(
    source: Any,
    variables: Sequence[str] | None,
    select: Mapping[str, Any],
    start: str | None,
    step: str | None,
    files: ExitStack,
) -> list[Part]:
    if isinstance(source, xr.Dataset):
        path = source.encoding.get("source")
        name = Path(path).name if isinstance(path, str) else "the data set"
        return [Part(name, None, _with_times(source, start, step, name))]
    if not isinstance(source, str | Path | Sequence):
        raise SourceError(
            f"the source is of type {type(source).__name__}; expected a path, a glob, a list of them or an xarray "
            "Dataset. Turn a DataArray into one with `.to_dataset(name=...)`."
        )
    parts = []
    for path in readers.find_paths(source):
        opened = readers.open_path(path, variables=variables, select=select, start=start, step=step)
        for ds in opened:
            files.callback(ds.close)
            parts.append(Part(path.name, path, _with_times(ds, start, step, path.name)))
    return parts


def _with_times(ds: xr.Dataset, start: str | None, step: str | None, where: str) -> xr.Dataset:
    """Add the times that a file holds in parts or not at all: those of forecasts, and those that the user gives."""
    return with_forecast_times(times.with_given_times(ds, start, step, where), where)


def _describe(parts: list[Part]) -> str:
    names = list(dict.fromkeys(part.name for part in parts))
    return names[0] if len(names) == 1 else f"{len(names)} files ({names[0]} .. {names[-1]})"


def _select(parts: list[Part], select: Mapping[str, Any], where: str) -> list[Part]:
    """Pick labels. Of several parts that hold a variable, those that have most of the selected dimensions are kept."""
    selected: list[tuple[Part, set[str]]] = []
    errors: list[SourceError] = []
    for part in parts:
        try:
            # GRIB messages are selected before they are arranged.
            applied = set(part.ds.attrs.get("subgrid_selected", ()))
            rest = {key: wanted for key, wanted in select.items() if key not in applied}
            ds, used = times.select_labels(part.ds, rest, part.name)
        except SourceError as error:
            errors.append(error)
            continue
        selected.append((part._replace(ds=ds), used | applied))
    used_anywhere = set().union(*(used for _, used in selected))
    # A label may be absent from some levels of a GRIB file, but not from all.
    if errors and (not selected or not set(select) <= used_anywhere):
        for key, wanted in select.items():
            times.require_label([part.ds for part in parts], key, wanted, where)
        raise errors[0]
    dims = {str(d) for part in parts for d in (*part.ds.dims, *part.ds.coords)}
    times.require_used(select, used_anywhere, dims, where)
    return _keep_best(selected)


def _keep_best(selected: list[tuple[Part, set[str]]]) -> list[Part]:
    """Drop each variable from the parts that have fewer of the selected dimensions than another part that holds it."""
    most: Counter[str] = Counter()
    for part, used in selected:
        for name in part.ds.data_vars:
            most[str(name)] = max(most[str(name)], len(used))
    kept = []
    for part, used in selected:
        drop = [name for name in part.ds.data_vars if part.ds[name].ndim and len(used) < most[str(name)]]
        kept.append(part._replace(ds=part.ds.drop_vars(drop)))
    return kept


def _wanted(parts: list[Part], variables: Sequence[str] | None, where: str) -> list[str] | None:
    if variables is None:
        return None
    present = {str(name) for part in parts for name in part.ds.data_vars}
    missing = [name for name in variables if name not in present]
    if missing:
        raise SourceError(f"{where}: no variable {', '.join(map(repr, missing))}.{nearest(missing[0], present)}")
    repeated = [name for name, count in Counter(variables).items() if count > 1]
    if repeated:
        raise SourceError(f"variables names {repeated[0]!r} more than once. Name each variable once.")
    for part in parts:
        for name in variables:
            if name in part.ds and part.ds[name].dtype.kind not in "fiub":
                raise SourceError(
                    f"{part.name}: the variable {name!r} holds {part.ds[name].dtype}, not numbers. Name numeric "
                    "variables only."
                )
    return list(variables)


def _candidates(part: Part, wanted: list[str] | None) -> list[str]:
    """Name the variables of a part to normalise: those asked for, else the numeric ones that may be fields."""
    ds = part.ds
    if wanted is not None:
        _require_not_empty([part._replace(ds=ds[[name for name in wanted if name in ds.data_vars]])])
        return [name for name in wanted if name in ds.data_vars]
    bounds = {str(ds[name].attrs.get("bounds")) for name in ds.variables}
    return [
        str(name)
        for name in ds.data_vars
        if ds[name].ndim >= 2 and ds[name].size and ds[name].dtype.kind in "fiub" and str(name) not in bounds
    ]


def _require_not_empty(parts: Sequence[Part]) -> None:
    """Raise SourceError, naming variable and dimension, where a field has a dimension of length 0."""
    for part in parts:
        for name, variable in part.ds.data_vars.items():
            if variable.ndim >= 2 and not variable.size:
                dim = next(str(dim) for dim, size in variable.sizes.items() if size == 0)
                raise SourceError(
                    f"{part.name}: the dimension {dim!r} of {str(name)!r} has length 0: the file holds no values of it. "
                    "Choose another file or variable, or write the file again."
                )
