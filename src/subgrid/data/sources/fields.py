"""Bring opened fields into normal form, and combine those of several files."""

from __future__ import annotations

import json
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from subgrid.data.grid import spatial_dims
from subgrid.data.sources import axes, forecasts, stored_values, times
from subgrid.data.sources.convert_units import convert_units
from subgrid.data.sources.curvilinear import find_places
from subgrid.data.sources.decode_times import NOTE, in_one_calendar
from subgrid.data.sources.grib_cubes import CHOICES
from subgrid.data.sources.units import stated_units
from subgrid.errors import SourceError

_KEPT_ATTRS = ("units", "standard_name", "long_name", "cell_methods", "GRIB_shortName")


class Part(NamedTuple):
    """Fields of one file (or of one set of levels in a GRIB file), as opened.

    Attributes:
        name: what to call it in messages.
        path: the file; None for a data set in memory.
        ds: its content, in the file's own names.
    """

    name: str
    path: Path | None
    ds: xr.Dataset


def normalise(part: Part, names: Sequence[str], *, strict: bool) -> xr.Dataset:
    """Bring variables of one part into normal form, lazily; see `subgrid.data.sources.open_source.open_source`.

    Args:
        part: as opened.
        names: numeric variables to keep.
        strict: raise for a variable without both horizontal axes, instead of leaving it out.

    Raises:
        SourceError: for such a variable, and for times that cannot be used.
        GridError: for axes that cannot be used.
    """
    ds = part.ds
    names = _without_places(ds, names, strict)
    grid = axes.find_grid(ds, names, part.name)
    mapping = grid.mapping or _grid_mapping(ds, names)
    names = _on_grid(part, names, grid, strict)
    time = times.find_time(ds, names, part.name)
    notes = _notes(ds, time, grid)
    ds = ds[[*names, *([time] if time in ds.data_vars else [])]]
    ds = ds.drop_vars([name for name in ds.coords if ds[name].ndim > 1 and name != time])
    time = time if time in ds.variables else None  # static fields of a file that has times too
    ds = times.in_blocks(stored_values.as_meant(ds, part.name, time), time)
    ds, notes = _in_one_series(ds, time, part.name, notes)
    ds, time_original = times.with_valid_time(ds, time, part.name)
    ds = ds.isel({grid.y_dim: grid.y_order, grid.x_dim: grid.x_order})
    ds = ds.squeeze([d for d in ds.dims if ds.sizes[d] == 1 and d not in ("valid_time", grid.y_dim, grid.x_dim)])
    ds, member_original = times.with_realization(ds)
    result = xr.Dataset({name: _field(ds[name], grid) for name in names}, coords=_coords(ds, grid))
    result.attrs["subgrid_names"] = _original_names(grid, time_original, member_original)
    if mapping is not None:
        result.attrs["grid_mapping"] = mapping
    if notes:
        result.attrs["subgrid_notes"] = "\n".join(notes)
    return result


def _in_one_series(ds: xr.Dataset, time: str | None, where: str, notes: list[str]) -> tuple[xr.Dataset, list[str]]:
    """Merge preliminary with final data and start with lead times; give also the notes with what was said."""
    ds, note = forecasts.merge_versions(ds)
    notes = [*notes, *([note] if note else [])]
    if time is not None and ds[time].ndim == 2:
        ds, note = forecasts.in_one_line(ds, time, where)
        notes = notes or [note]
    return ds, notes


def _original_names(grid: axes.Grid, time: str | None, member: str | None) -> str:
    """Describe names and orientation in the source, for `subgrid.data.sources.open_source.restore_names`."""
    originals = {"valid_time": time, "realization": member, grid.y_name: grid.y_original, grid.x_name: grid.x_original}
    return json.dumps(
        {
            "dims": {normal: original for normal, original in originals.items() if original is not None},
            "y_ascending": grid.y_ascending,
            "x_descending": grid.x_descending,
            "west_edge": grid.west_edge,
        }
    )


def _without_places(ds: xr.Dataset, names: Sequence[str], strict: bool) -> Sequence[str]:
    """Leave out two-dimensional latitudes and longitudes that nobody asked for: they are no fields, whatever the file says."""
    places = () if strict else find_places(ds, names) or ()
    return [name for name in names if name not in places] or names


def _notes(ds: xr.Dataset, time: str | None, grid: axes.Grid) -> list[str]:
    """Sentences for the user on how the grid and the times were read."""
    said = [grid.note, *((ds[time].attrs.get(NOTE), times.interval_note(ds, time)) if time is not None else ())]
    return [str(note) for note in said if note]


def _on_grid(part: Part, names: Sequence[str], grid: axes.Grid, strict: bool) -> list[str]:
    """Keep the variables that have both horizontal axes; raise SourceError for another one if strict."""
    others = [name for name in names if not {grid.y_dim, grid.x_dim} <= set(part.ds[name].dims)]
    if others and strict:
        raise SourceError(
            f"{part.name}: the variable {others[0]!r} has dimensions {tuple(map(str, part.ds[others[0]].dims))}; a field needs "
            f"the horizontal axes {grid.y_dim!r} and {grid.x_dim!r}. Remove it from variables."
        )
    return [name for name in names if name not in others]


def combine(pieces: Sequence[tuple[Part, xr.Dataset]], where: str) -> xr.Dataset:
    """Combine normalised parts: the same variable along time, different variables in one data set.

    Raises:
        GridError: parts on different grids.
        SourceError: the same variable in several parts without times or with equal times, variables with different times.
    """
    first_part, first = pieces[0]
    if len(pieces) == 1:
        return first
    for part, ds in pieces[1:]:
        axes.require_same_grid(first, first_part.name, ds, part.name)
    dated = zip([part for part, _ in pieces], in_one_calendar([ds for _, ds in pieces]), strict=True)
    aligned, notes = _with_units_of_first(_with_coords_of_first(list(dated)), where)
    names = list(dict.fromkeys(str(name) for _, ds in aligned for name in ds.data_vars))
    fields = {name: _join([(part, ds) for part, ds in aligned if name in ds], name, where) for name in names}
    _require_same_coords(fields, where)
    return xr.Dataset(fields, attrs=_combined_attrs([ds.attrs for _, ds in pieces], notes))


def _combined_attrs(attrs: Sequence[dict[str, Any]], notes: Sequence[str]) -> dict[str, Any]:
    """Give the attributes of the first part, with the original names and the notes of all."""
    described = [json.loads(own["subgrid_names"]) for own in attrs]
    dims = {normal: original for entry in reversed(described) for normal, original in entry["dims"].items()}
    said = dict.fromkeys([note for own in attrs for note in own.get("subgrid_notes", "").splitlines()] + [*notes])
    combined = {**attrs[0], "subgrid_names": json.dumps({**described[0], "dims": dims})}
    return {**combined, "subgrid_notes": "\n".join(said)} if said else combined


def _with_coords_of_first(pieces: Sequence[tuple[Part, xr.Dataset]]) -> list[tuple[Part, xr.Dataset]]:
    """Give all parts the horizontal coordinates of the first, and drop scalar coordinates in which they differ.

    The coordinates of files on one grid may differ by the rounding of float32.
    """
    _, first = pieces[0]
    aligned = [(part, ds.assign_coords({d: first[d].variable for d in spatial_dims(first)})) for part, ds in pieces]

    def is_shared(name: object) -> bool:
        if name not in first.coords:
            return False
        return bool(first[name].ndim) or all(
            name in ds.coords and bool((ds[name] == first[name]).all()) for _, ds in aligned
        )

    return [(part, ds.drop_vars([n for n in ds.coords if not ds[n].ndim and not is_shared(n)])) for part, ds in aligned]


def _with_units_of_first(
    pieces: Sequence[tuple[Part, xr.Dataset]], where: str
) -> tuple[list[tuple[Part, xr.Dataset]], list[str]]:
    """Bring each variable to the units of the first part that holds it; give sentences on what was converted too.

    Raises:
        SourceError: units that cannot be converted, or that only one of two parts states.
    """
    first: dict[str, tuple[str, str]] = {}
    converted: list[tuple[Part, xr.Dataset]] = []
    notes: dict[tuple[str, str], list[str]] = {}
    for part, ds in pieces:
        for name in map(str, ds.data_vars):
            units = stated_units(ds[name].attrs.get("units"))
            wanted, owner = first.setdefault(name, (units, part.name))
            if units == wanted:
                continue
            if not (units and wanted):
                stated, silent = (owner, part.name) if wanted else (part.name, owner)
                raise SourceError(
                    f"{where}: {name!r} is in {wanted or units!r} in {stated}, and {silent} states no units. Set them in the "
                    f"file, e.g. `ncatted -a units,{name},o,c,{wanted or units} {silent}`."
                )
            fields, said = convert_units(ds[[name]], {name: wanted}, part.name, owner)
            ds = ds.assign({name: fields[name]})
            notes.setdefault((name, units), []).extend(said)
        converted.append((part, ds))
    more = {key: f" (the first of {len(said)} such files)" if len(said) > 1 else "" for key, said in notes.items()}
    return converted, [f"{said[0]}{more[key]}" for key, said in notes.items() if said]


def _field(da: xr.DataArray, grid: axes.Grid) -> xr.Variable:
    """Give one variable in normal dimension names and order, float32, with the attributes worth keeping."""
    names = {grid.y_dim: grid.y_name, grid.x_dim: grid.x_name}
    dims = [names.get(str(dim), str(dim)) for dim in da.dims]
    var = xr.Variable(dims, da.variable.data, encoding=da.encoding)
    extra = [dim for dim in dims if dim not in ("valid_time", grid.y_name, grid.x_name)]
    order = [*(["valid_time"] if "valid_time" in dims else []), *extra, grid.y_name, grid.x_name]
    attrs = {key: da.attrs[key] for key in _KEPT_ATTRS if da.attrs.get(key, "unknown") != "unknown"}
    if "scale_factor" in da.encoding:
        attrs["subgrid_scale_factor"] = float(np.ravel(da.encoding["scale_factor"])[0])
    if stored_values.states_validity(da.attrs):
        attrs[stored_values.VALID] = 1
    return xr.Variable(order, var.transpose(*order).astype(np.float32).data, attrs)


def _coords(ds: xr.Dataset, grid: axes.Grid) -> dict[str, xr.Variable]:
    """Give the horizontal coordinates, times, labels of extra dimensions and the numbers of scalar levels."""
    degrees = grid.y_name != "projection_y_coordinate"
    units = ("degrees_north", "degrees_east") if grid.y_name == "latitude" else (grid.units, grid.units)
    if grid.y_name == "grid_latitude":
        units = ("degrees", "degrees")
    coords = {}
    for name, values, unit, axis in (
        (grid.y_name, grid.y, units[0], "Y"),
        (grid.x_name, grid.x, units[1], "X"),
    ):
        # A cell number is no projection coordinate, and does not claim to be one.
        described = {"standard_name": name} if degrees or unit != "1" else {}
        coords[name] = xr.Variable((name,), values, {**described, "units": unit, "axis": axis})
    for key, coord in ds.drop_vars(set(CHOICES) - {"typeOfLevel"}, errors="ignore").coords.items():
        name = str(key)
        label = coord.ndim == 1 and coord.dims == (name,) and name not in (grid.y_dim, grid.x_dim)
        if label or (coord.ndim == 0 and coord.dtype.kind in "fiuU"):
            kept = {k: coord.attrs[k] for k in (*_KEPT_ATTRS, "positive", "axis") if k in coord.attrs}
            coords.setdefault(name, xr.Variable(coord.dims, coord.values, kept))
    return coords


def _grid_mapping(ds: xr.Dataset, names: Sequence[str]) -> str | None:
    """Give name and attributes of the first grid mapping variable that the fields point to, as JSON."""
    for name in names:
        target = ds[name].attrs.get("grid_mapping") or ds[name].encoding.get("grid_mapping")
        if target in ds.variables:
            attrs = {
                str(key): value.tolist() if isinstance(value, np.generic | np.ndarray) else value
                for key, value in ds[target].attrs.items()
            }
            return json.dumps({"name": target, "attrs": attrs})
    return None


def _join(pieces: Sequence[tuple[Part, xr.Dataset]], name: str, where: str) -> xr.DataArray:
    """Concatenate one variable of several parts along time."""
    first_part, first = pieces[0]
    if len(pieces) == 1:
        return first[name]
    timed = ["valid_time" in ds[name].dims for _, ds in pieces]
    if not any(timed) and all("valid_time" in ds.dims for _, ds in pieces):
        return first[name]  # a static field that every file of a series repeats
    if not all(timed):
        other = pieces[timed.index(False)][0].name
        raise SourceError(
            f"{where}: {name!r} occurs in {len(pieces)} files, but in {other} it has no time, so that the files cannot "
            "be put in order. Add a time coordinate (`cdo settaxis`, `ds.expand_dims(time=[...])`) or name one file."
        )
    for part, ds in pieces[1:]:
        for what, a, b, same in (
            ("dimensions", first[name].dims, ds[name].dims, operator.eq),
            ("calendar", _calendar(first), _calendar(ds), operator.eq),
        ):
            if not same(a, b):
                raise SourceError(
                    f"{where}: {what} of {name!r} differ: {a} in {first_part.name}, {b} in {part.name}. Convert one "
                    "of the files, or open them separately."
                )
    _require_same_coords({p.name: ds[name] for p, ds in pieces}, where, times_too=False)
    joined = xr.concat(
        [ds[name] for _, ds in pieces],
        dim="valid_time",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    values = joined["valid_time"].values
    order = np.argsort(values, kind="stable")
    times.require_unique(values[order], f"{where}, {name!r}")
    return joined if (np.diff(order) == 1).all() else joined.isel(valid_time=order)


def _require_same_coords(fields: dict[str, xr.DataArray], where: str, *, times_too: bool = True) -> None:
    """Raise SourceError, naming two fields, where their times or the labels of a shared dimension differ."""
    seen: dict[str, tuple[str, np.ndarray]] = {}
    for name, field in fields.items():
        for dim in map(str, field.dims[:-2]):
            if dim not in field.coords or (dim == "valid_time" and not times_too):
                continue
            values = field[dim].values
            other, known = seen.setdefault(dim, (name, values))
            if known.shape == values.shape and (pd.isnull(known) & pd.isnull(values) | (known == values)).all():
                continue
            what = "times" if dim == "valid_time" else f"labels of {dim!r}"
            a, b = (f"{v.size} ({_text(v[0])} .. {_text(v[-1])})" for v in (known, values))
            fix = (
                "Give files that cover the same times for every variable, or open the variables separately."
                if dim == "valid_time"
                else f"Select one, e.g. select = {{{dim} = {_text(values[0])}}}, or ask for fewer variables."
            )
            raise SourceError(f"{where}: the {what} of {other} and {name} differ: {a} against {b}. {fix}")


def _calendar(ds: xr.Dataset) -> str:
    return str(getattr(ds["valid_time"].values[0], "calendar", "standard"))


def _text(value: Any) -> str:
    if isinstance(value, np.datetime64) or hasattr(value, "calendar"):
        return times.describe_time(value)
    return f"{value:g}" if isinstance(value, int | float | np.number) else repr(str(value))
