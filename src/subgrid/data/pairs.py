"""Open what a training store is made from: fine fields, coarse fields of their own source, and static fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from subgrid.data.blocks import as_indexer
from subgrid.data.grid import crop_to_multiple, spatial_dims
from subgrid.data.sources.convert_units import convert_units
from subgrid.data.sources.decode_times import in_one_calendar
from subgrid.data.sources.open_source import open_source, source_notes
from subgrid.data.sources.readers import expand, find_paths
from subgrid.data.sources.times import describe_time
from subgrid.data.sources.units import same_units, stated_units
from subgrid.data.sources.vectors import Component, vector_components
from subgrid.data.static import static_fields, static_scales
from subgrid.data.value_range import MAX_DEVIATIONS, deviations, sample_moments
from subgrid.errors import ConfigError, SourceError

Source = str | list[str] | xr.Dataset
"""A path or glob, a list of them, or an open Dataset."""


@dataclass(frozen=True)
class Pair:
    """Fine fields and what belongs to them, opened lazily and ready to be split and written.

    Attributes:
        fine: fields (valid_time, y, x); y and x are multiples of the factor.
        coarse: fields (valid_time, y, x) on the same times, where they have a source of their own; else None.
        static: fields (y, x) on the fine grid that do not change in time, or None.
        static_scale: mean and standard deviation of each static field, in its units.
        vectors: the variables whose sign changes in a mirror: `x`, `y` or `rotation` (see `vector_components`).
        files: the files that were named, in the order fine, coarse, static; without those of an open Dataset.
        notes: sentences on what was left out or converted.
        converted: the variables whose coarse fields are converted to the units of the fine ones.
    """

    fine: xr.Dataset
    coarse: xr.Dataset | None
    static: xr.Dataset | None
    static_scale: dict[str, dict[str, float]]
    vectors: dict[str, Component]
    files: list[Path]
    notes: list[str]
    converted: list[str]


def open_pair(
    source: Source,
    *,
    variables: Sequence[str],
    factor: int,
    select: Mapping[str, Any] | None = None,
    start: str | None = None,
    step: str | None = None,
    coarse_source: Source | None = None,
    coarse_select: Mapping[str, Any] | None = None,
    static: Sequence[str] = (),
    static_source: Source | None = None,
    vectors: Mapping[str, str] | None = None,
) -> Pair:
    """Open fine fields, crop them to whole coarse cells, and add coarse and static fields.

    Args:
        source: the fine fields.
        variables: names of the variables, the same in both sources.
        factor: fine cells per coarse cell along an axis.
        select: labels to pick along other dimensions.
        start: time of the first field, for files that hold no dates, such as .npy.
        step: time between their fields, such as "1h" or "1 month".
        coarse_source: coarse fields of their own; None where the fine fields will be coarsened.
        coarse_select: labels for `coarse_source`; those of `select` if None.
        static: names of static fields, computed from the grid or read from `static_source`.
        static_source: where static fields are read.
        vectors: kinds of variables that names and units do not settle (see `vector_components`).

    Returns:
        All of them; fine and coarse fields on the times that both sources hold.

    Raises:
        SubgridError: for sources that cannot be opened or do not fit together.
    """
    opened = partial(_open_series, variables=variables, start=start, step=step)
    fine, note = crop_to_multiple(opened(source, select=select), factor)
    notes = [*source_notes(fine), *([note] if note else [])]
    coarse, converted = None, []
    if coarse_source is not None:
        fine, coarse, note = _common_times(fine, _open_coarse(opened, coarse_source, select, coarse_select))
        notes += [*source_notes(coarse), *([note] if note else [])]
        units = {str(name): field.attrs.get("units") for name, field in fine.data_vars.items()}
        before = {str(name): field.attrs.get("units") for name, field in coarse.data_vars.items()}
        converted = [
            name for name in before if before[name] and units[name] and not same_units(before[name], units[name])
        ]
        coarse, said = convert_units(_without_other_coords(coarse), units, "data.coarse_source", "data.source")
        notes += said
        _check_unstated(fine, coarse)
    fixed = static_fields(static, static_source, fine) if static else None
    return Pair(
        fine=_without_other_coords(fine),
        coarse=coarse,
        static=fixed,
        static_scale=static_scales(fixed) if fixed is not None else {},
        vectors=vector_components(fine, vectors),
        files=source_files(source, coarse_source, static_source),
        notes=notes,
        converted=converted,
    )


def _open_series(source: Source, *, variables: Sequence[str], setting: str = "select", **options: Any) -> xr.Dataset:
    """Open fields (valid_time, y, x); messages name the setting that selects labels.

    Raises:
        ConfigError: for a variable with a further dimension, or without times.
    """
    fields = open_source(source if isinstance(source, xr.Dataset) else expand(source), variables=variables, **options)
    for name, field in fields.data_vars.items():
        extra = [str(d) for d in field.dims if d not in {"valid_time", *spatial_dims(fields)}]
        if extra:
            raise ConfigError(
                f"data.variables: {name} has the dimension {extra[0]} with {field.sizes[extra[0]]} values; training takes one. "
                f"Choose it: {setting} = {{ {extra[0]} = {field[extra[0]].values[0]} }} under [data]."
            )
        if "valid_time" not in field.dims:
            raise ConfigError(
                f"data.variables: {name} has no time dimension. Move it to data.static if it does not change in time."
            )
    return fields


def _check_unstated(fine: xr.Dataset, coarse: xr.Dataset) -> None:
    """Check the values of variables for which a source states no units: degrees Celsius must not be paired with kelvin.

    Raises:
        ConfigError: where their means lie further apart than `MAX_DEVIATIONS` standard deviations of the fine field.
    """
    for name in map(str, fine.data_vars):
        if all(stated_units(fields[name].attrs.get("units")) for fields in (fine, coarse)):
            continue
        ours, theirs = sample_moments(fine[name]), sample_moments(coarse[name])
        distance = deviations(theirs.mean, ours.mean, ours.std)
        if distance > MAX_DEVIATIONS:
            raise ConfigError(
                f"data.coarse_source: the mean of {name} over {ours.num_times} evenly spaced times is {theirs.mean:.4g}, "
                f"{distance:.1f} standard deviations from that of data.source ({ours.mean:.4g}, standard deviation "
                f"{ours.std:.4g}); at most {MAX_DEVIATIONS:g} are accepted where a source states no units. Set the units "
                "attribute of both, and the values are converted."
            )


def _open_coarse(
    opened: Callable[..., xr.Dataset],
    source: Source,
    select: Mapping[str, Any] | None,
    coarse_select: Mapping[str, Any] | None,
) -> xr.Dataset:
    """Open the coarse fields with labels of their own, or with those of both sources."""
    try:
        return opened(source, select=select if coarse_select is None else coarse_select, setting="coarse_select")
    except SourceError as error:
        if coarse_select is None and ": select " in str(error):
            raise SourceError(
                f"data.coarse_source: {error} `select` applies to both sources; give this one labels of its own by "
                "data.coarse_select ({} for none)."
            ) from error
        raise


def _common_times(fine: xr.Dataset, coarse: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset, str | None]:
    """Keep the times that both hold; the third value is a sentence on what was left out, None where nothing was."""
    fine, coarse = in_one_calendar([fine, coarse])
    times = fine["valid_time"], coarse["valid_time"]
    fine_calendar, coarse_calendar = (axis.dt.calendar for axis in times)
    if fine_calendar != coarse_calendar:
        raise ConfigError(
            f"data.coarse_source has the calendar {coarse_calendar!r}, data.source {fine_calendar!r}. Convert one of them, "
            "e.g. with `cdo setcalendar` or xarray's convert_calendar."
        )
    shared = np.intersect1d(times[0].values, times[1].values)
    fine_span, coarse_span = (f"{describe_time(a.values[0])} to {describe_time(a.values[-1])}" for a in times)
    if shared.size == 0:
        raise ConfigError(
            f"data.coarse_source and data.source have no time in common: the coarse fields run from {coarse_span}, the fine "
            f"fields from {fine_span}. Choose sources of the same period."
        )
    note = None
    if shared.size < max(axis.size for axis in times):
        note = (
            f"{shared.size} times are in both sources, of {times[0].size} fine ({fine_span}) and {times[1].size} coarse "
            f"({coarse_span}); the others are left out"
        )
    fine, coarse = (
        part.isel(valid_time=as_indexer(part.indexes["valid_time"].get_indexer(pd.Index(shared))))
        for part in (fine, coarse)
    )
    return fine, coarse, note


def _without_other_coords(fields: xr.Dataset) -> xr.Dataset:
    """Drop all coordinates but time and the two horizontal ones."""
    kept = {"valid_time", *spatial_dims(fields)}
    return fields.drop_vars([name for name in fields.coords if name not in kept])


def source_files(*sources: Source | None) -> list[Path]:
    """List the files that sources name, in their order; an open Dataset names none.

    Raises:
        SourceError: for a path that does not exist.
    """
    named = [source for source in sources if source is not None and not isinstance(source, xr.Dataset)]
    return [path for source in named for path in find_paths(expand(source))]
