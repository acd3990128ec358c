"""Selects the variables and times that predictions and truth have in common, checks their cells and converts units."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pandas as pd
import xarray as xr

from subgrid.data.blocks import as_indexer
from subgrid.data.grid import check_nesting, refine_axis, same_axis, spatial_dims
from subgrid.data.sources.convert_units import convert_units
from subgrid.data.sources.decode_times import in_one_calendar
from subgrid.data.sources.open_source import source_notes
from subgrid.data.sources.units import same_units
from subgrid.errors import ConfigError, GridError, SourceError
from subgrid.io.console import Notify

MEMBER = "realization"
TIME = "valid_time"


def shared_variables(
    truth: xr.Dataset, predictions: Mapping[str, xr.Dataset], wanted: Sequence[str] | None, notify: Notify
) -> list[str]:
    """List the variables with a time axis that truth and all predictions have.

    Args:
        truth: normalised fields.
        predictions: normalised fields by name.
        wanted: variables that must be among them; with None the others are left out.
        notify: called with what is left out.

    Raises:
        SourceError: none in common, or a wanted one without a time axis.
    """
    with_times = {name: _with_times(fields) for name, fields in {"reference": truth, **predictions}.items()}
    shared = [variable for variable in with_times["reference"] if all(variable in own for own in with_times.values())]
    missing = [variable for variable in wanted or () if variable not in shared]
    if missing:
        where = next(name for name, own in with_times.items() if missing[0] not in own)
        raise SourceError(f"{where}: {missing[0]} has no time; add one, e.g. by xarray's expand_dims(time=[...]).")
    if not shared:
        lists = "; ".join(f"{name}: {', '.join(own) or 'none with times'}" for name, own in with_times.items())
        raise SourceError(f"no variable in common: {lists}. Rename one, or add a time to single fields.")
    others = sorted(set().union(*with_times.values()) - set(shared))
    if others:
        notify(f"not in all files and left out: {', '.join(others)}")
    return shared


def _with_times(fields: xr.Dataset) -> list[str]:
    """Names of the variables with a time axis."""
    return [str(variable) for variable in fields.data_vars if TIME in fields[variable].dims]


def align(
    truth: xr.Dataset, predictions: Mapping[str, xr.Dataset], shared: Sequence[str], notify: Notify
) -> tuple[xr.Dataset, dict[str, xr.Dataset]]:
    """Select the common times, in order, of fields on the grid of the reference.

    Args:
        truth: normalised fields (valid_time, y, x).
        predictions: normalised fields by name; members along `realization`.
        shared: variables to keep.
        notify: called with the number of times that are left out of each.

    Returns:
        The truth, and the predictions by name; lazy.

    Raises:
        GridError: another grid.
        SourceError: another dimension, units that cannot be converted, another calendar, no time in common.
    """
    dims = spatial_dims(truth)
    for name, fields in predictions.items():
        _check_grid(name, fields, truth, dims)
        for variable in shared:
            _check_dims(name, fields[variable], (TIME, MEMBER, *dims))
        _check_members(name, fields, shared)
    for variable in shared:
        _check_dims("reference", truth[variable], (TIME, *dims))
    for note in source_notes(truth):
        notify(note)
    predictions = {
        name: _in_units_of(truth[list(shared)], fields, name, notify) for name, fields in predictions.items()
    }
    every = {"reference": truth, **predictions}
    every = dict(zip(every, in_one_calendar(list(every.values())), strict=True))
    truth, predictions = every["reference"], {name: every[name] for name in predictions}
    times = _common_times(every)
    for name, fields in every.items():
        missing = fields.sizes[TIME] - len(times)
        if missing:
            notify(f"{name}: {missing} of its {fields.sizes[TIME]} times are not in all files and are left out")
    names = list(shared)
    exact = {d: truth[d] for d in dims if d in truth.coords}
    chosen = {name: _at(fields[names], times).assign_coords(exact) for name, fields in predictions.items()}
    return _at(truth[names], times), chosen


def _at(fields: xr.Dataset, times: pd.Index) -> xr.Dataset:
    """The fields at some of their times, as a slice where that is possible."""
    return fields.isel({TIME: as_indexer(fields.indexes[TIME].get_indexer(times))})


def align_coarse(coarse: xr.Dataset, truth: xr.Dataset, factor: int, notify: Notify) -> xr.Dataset:
    """Check that the coarse cells nest in the grid of the truth, and select the times of the truth.

    Args:
        coarse: normalised fields (valid_time, y, x) of the variables of the truth.
        truth: as `align` returns it.
        factor: fine cells per coarse cell along an axis.
        notify: called with what is converted.

    Raises:
        GridError: cells that do not nest.
        SourceError: another dimension, units that cannot be converted, a missing time.
    """
    dims = spatial_dims(truth)
    for d in dims:
        if d not in coarse.dims or coarse.sizes[d] * factor != truth.sizes[d]:
            raise GridError(
                f"coarse: {_axis(coarse, d)} along {d}, expected {truth.sizes[d]} / {factor}; give the factor and the "
                "input of this super-resolution."
            )
    if not all(same_axis(refine_axis(coarse[d], factor), truth[d].values) for d in dims):  # half cells on a pole
        check_nesting(coarse, truth, factor)
    for variable in map(str, truth.data_vars):
        if TIME not in coarse[variable].dims:
            raise SourceError(f"coarse: {variable} has no time; give the input at the times of the prediction.")
        _check_dims("coarse", coarse[variable], (TIME, *dims))
    truth, coarse = in_one_calendar([truth, coarse])
    _check_calendars({"reference": truth, "coarse": coarse})
    missing = truth.indexes[TIME].difference(coarse.indexes[TIME])
    if len(missing):
        raise SourceError(
            f"coarse: {len(missing)} of the {truth.sizes[TIME]} times that are compared are missing, the first {missing[0]}; "
            "give the input of all times."
        )
    return _at(_in_units_of(truth, coarse, "coarse", notify), truth.indexes[TIME])


def _common_times(every: Mapping[str, xr.Dataset]) -> pd.Index:
    """The times that all have, ascending."""
    _check_calendars(every)
    indexes = [fields.indexes[TIME] for fields in every.values()]
    times = indexes[0]
    for index in indexes[1:]:
        times = times.intersection(index)
    if len(times) == 0:
        spans = "; ".join(f"{name}: {_span(fields)}" for name, fields in every.items())
        raise SourceError(f"no time in common: {spans}. Check the files' periods and time units.")
    return times.sort_values()


def _check_calendars(every: Mapping[str, xr.Dataset]) -> None:
    calendars = {name: str(fields[TIME].dt.calendar) for name, fields in every.items()}
    if len(set(calendars.values())) > 1:
        differences = "; ".join(f"{name}: {calendar}" for name, calendar in calendars.items())
        raise SourceError(
            f"the calendars differ ({differences}); convert the times of one, e.g. xarray's convert_calendar."
        )


def _check_grid(name: str, fields: xr.Dataset, truth: xr.Dataset, dims: tuple[str, str]) -> None:
    for d in dims:
        if d not in fields.dims or not same_axis(fields[d].values, truth[d].values):
            raise GridError(
                f"{name}: its grid differs from the reference's along {d} ({_axis(fields, d)}, expected "
                f"{_axis(truth, d)}); regrid one of them first."
            )


def _check_dims(name: str, field: xr.DataArray, allowed: Sequence[str]) -> None:
    extra = [str(d) for d in field.dims if d not in allowed]
    if extra:
        raise SourceError(
            f"{name}: {field.name} has the dimension {extra[0]} ({field.sizes[extra[0]]} labels), expected "
            f"{', '.join(allowed)}; select one label of it first, e.g. by xarray's isel({extra[0]}=0)."
        )


def _in_units_of(truth: xr.Dataset, fields: xr.Dataset, name: str, notify: Notify) -> xr.Dataset:
    """Bring the variables of the truth to its units."""
    units = {str(variable): field.attrs.get("units") for variable, field in truth.data_vars.items()}
    converted, notes = convert_units(fields[list(units)], units, name, "the reference")
    for note in (*source_notes(fields), *notes):
        notify(note)
    return converted


def _check_members(name: str, fields: xr.Dataset, shared: Sequence[str]) -> None:
    single = [v for v in shared if MEMBER in fields.dims and MEMBER not in fields[v].dims]
    if single and len(single) < len(shared):
        raise SourceError(f"{name}: {single[0]} has no members though other variables have; score them separately.")


def check_ensembles(predictions: Mapping[str, xr.Dataset]) -> int:
    """Count the members; 1 for single fields.

    Raises:
        ConfigError: systems of which some have more members than others.
    """
    sizes = {name: fields.sizes.get(MEMBER, 1) for name, fields in predictions.items()}
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ConfigError(
            f"members differ ({counts}): scores of ensembles favour the larger one. Score ensembles of one size together, "
            "and single fields on their own."
        )
    return next(iter(sizes.values()))


def wind_pair(kinds: Mapping[str, str], units: Mapping[str, str]) -> tuple[str, str] | None:
    """Choose the eastward and the northward component of one wind.

    Args:
        kinds: `x` or `y` by variable, as `vector_components` returns them.
        units: by variable; a pair is a wind only in m s-1, or without units.

    Returns:
        Of several winds the first whose components differ by `u` and `v`, `x` and `y`, or `eastward` and `northward` in
        their names alone; None where there is none.
    """
    speeds = {name for name in kinds if any(same_units(units.get(name), unit) for unit in ("m s-1", "1", ""))}
    east, north = ([name for name, kind in kinds.items() if kind == side and name in speeds] for side in "xy")
    if len(east) == len(north) == 1:
        return east[0], north[0]
    for name in east:
        for eastward, northward in (
            ("u", "v"),
            ("U", "V"),
            ("x", "y"),
            ("eastward", "northward"),
            ("zonal", "meridional"),
        ):
            # At the beginning of a word, for the u of `surface_u_850`.
            if (partner := re.sub(rf"(?<![A-Za-z]){eastward}", northward, name, count=1)) in north:
                return name, partner
    return None


def _axis(fields: xr.Dataset, d: str) -> str:
    """An axis in words."""
    if d not in fields.dims:
        return f"it has {', '.join(map(str, fields.dims))}"
    return f"{fields.sizes[d]} cells from {float(fields[d][0]):g} to {float(fields[d][-1]):g}"


def _span(fields: xr.Dataset) -> str:
    index = fields.indexes[TIME]
    return f"{index.min()} to {index.max()}"
