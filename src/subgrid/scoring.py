"""Scores of any two fields on one grid: ours or anyone's, from files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import xarray as xr

from subgrid.comparison import Comparison, regions
from subgrid.data.grid import same_axis, spatial_dims
from subgrid.data.source import open_source, wind_components
from subgrid.data.units import plain_units
from subgrid.errors import ConfigError, GridError, RunError, SourceError
from subgrid.verify.tasks import Question, Variable

Source = str | Path | Sequence[str | Path] | xr.Dataset
Progress = Callable[[int, int], None]

MEMBER = "realization"
BLOCK_CELLS = 2**21  # fine cells of one variable, of all members, held at once


def score(
    prediction: Source,
    reference: Source,
    *,
    baselines: Mapping[str, Source] | None = None,
    out: str | Path | None = None,
    variables: Sequence[str] | None = None,
    by: Iterable[str] = (),
    names: Sequence[str] | None = None,
    factor: int | None = None,
    coarse: Source | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    thresholds: Mapping[str, Sequence[float]] | None = None,
    level: float = 0.95,
    block: int | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    """Score a prediction, and baselines beside it, against a reference on the same grid.

    Times that all have are compared. Members are taken along `realization`. Cells where the reference is missing are left out.
    Where the grid is in degrees, cells count by their area.

    Args:
        prediction: files or an open Dataset.
        reference: the truth.
        baselines: other predictions by name; all are ranked on the same times.
        out: folder for `scores.csv`, `scores.nc`, `parts.nc`, `cells.nc`, `quantiles.nc`; `scores` by default.
        variables: to be scored; all that prediction and reference have in common by default.
        by: any of `season`, `hour`, `region`.
        names: scores to take; all by default.
        factor: fine cells per coarse cell of the super-resolution; without it the scores that need it are left out.
        coarse: the coarse fields that were super-resolved, to be agreed with; needs `factor`.
        ranges: minimum and maximum by variable, for PSNR, SSIM and histograms; the whole reference's by default.
        thresholds: of the fractions skill score by variable, in its units; mean + 1 and + 2 std of the reference by default.
        level: of the intervals.
        block: times in a block of the bootstrap; estimated for each score by default.
        progress: called with (times done, times in all).
        say: called with remarks the user should see.

    Returns:
        One row a score: system, variable, score, value, lower, upper, units, group, standing, convention.

    Raises:
        SubgridError: for files that cannot be compared, and why.
    """
    if coarse is not None and factor is None:
        raise ConfigError("coarse: to be agreed with, it needs factor (--factor): fine cells per coarse cell.")
    truth = open_source(reference, variables=variables)
    given = {"prediction": prediction, **(baselines or {})}
    opened = {_name(name, source): open_source(source, variables=variables) for name, source in given.items()}
    if len(opened) < len(given):
        raise ConfigError("two predictions have the same name; rename a file.")
    shared = _shared(truth, opened)
    opened, truth = _aligned(opened, truth, shared, say or _silent)
    small = None if coarse is None else _coarse(coarse, truth, shared, factor)
    members = max(fields.sizes.get(MEMBER, 1) for fields in opened.values())
    winds = wind_components(truth[shared])
    pair = {kind: name for name, kind in winds.items()}
    question = Question(
        variables=tuple(_describe(truth, name, ranges or {}, thresholds or {}) for name in shared),
        factor=factor,
        num_members=members,
        has_input=small is not None,
        winds=(pair["x"], pair["y"]) if set(pair) == {"x", "y"} else None,
        names=None if names is None else tuple(names),
    )
    single = [name for name, fields in opened.items() if fields.sizes.get(MEMBER, 1) == 1]
    if members > 1 and single:
        raise SourceError(f"{', '.join(single)}: a single field beside an ensemble; score single fields on their own.")
    by = list(by)
    folder = Path(out) if out is not None else Path("scores")
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; give a folder for the scores.")
    folder.mkdir(parents=True, exist_ok=True)
    comparison = Comparison(folder, list(opened), question, truth, regions(truth) if "region" in by else None)
    try:
        for done, fields in _blocks(opened, truth, small, shared, members):
            comparison.add(*fields)
            if progress:
                progress(done, truth.sizes["valid_time"])
        table = comparison.finish(by=by, level=level, block=block)
    finally:
        comparison.abandon()
    for note in comparison.notes:
        (say or _silent)(note)
    return table


def _name(name: str, source: Source) -> str:
    """A file's stem where the caller gave no name."""
    if name == "prediction" and isinstance(source, str | Path):
        return Path(source).name.split(".")[0].rstrip("*") or name
    return name


def _shared(truth: xr.Dataset, opened: Mapping[str, xr.Dataset]) -> list[str]:
    """Variables that all have, on fields of y and x."""
    shared = [str(name) for name in truth.data_vars if all(name in fields for fields in opened.values())]
    if not shared:
        held = "; ".join(f"{name}: {', '.join(map(str, fields.data_vars))}" for name, fields in opened.items())
        raise SourceError(
            f"no variable in common: reference: {', '.join(map(str, truth.data_vars))}; {held}. Rename one."
        )
    return shared


def _aligned(
    opened: Mapping[str, xr.Dataset], truth: xr.Dataset, shared: list[str], say: Callable[[str], None]
) -> tuple[dict[str, xr.Dataset], xr.Dataset]:
    """All on the reference's grid, units and the times in common, in order of time."""
    dims = spatial_dims(truth)
    times = truth.indexes["valid_time"]
    for name, fields in opened.items():
        for d in dims:
            if d not in fields.dims or not _same(fields, truth, d):
                raise GridError(
                    f"{name}: its grid differs from the reference's along {d} ({_axis(fields, d)}, expected "
                    f"{_axis(truth, d)}); regrid one of them first."
                )
        for variable in shared:
            _check_field(name, fields[variable], truth[variable], dims)
        times = times.intersection(fields.indexes["valid_time"])
    if len(times) == 0:
        spans = "; ".join(f"{n}: {_span(f)}" for n, f in {"reference": truth, **opened}.items())
        raise SourceError(f"no time in common: {spans}.")
    if times.has_duplicates:
        raise SourceError(
            f"the reference has the time {times[times.duplicated()][0]} more than once; drop one of them."
        )
    times = times.sort_values()
    for name, fields in {"reference": truth, **opened}.items():
        missing = fields.sizes["valid_time"] - len(times)
        if missing:
            say(f"{name}: {missing} of its {fields.sizes['valid_time']} times are not in all files and are left out")
    exact = {d: truth[d] for d in dims if d in truth.coords}
    chosen = {name: fields[shared].sel(valid_time=times).assign_coords(exact) for name, fields in opened.items()}
    return chosen, truth[shared].sel(valid_time=times)


def _same(fields: xr.Dataset, truth: xr.Dataset, d: str) -> bool:
    if d not in fields.coords or d not in truth.coords:
        return bool(fields.sizes[d] == truth.sizes[d])
    return same_axis(fields[d], truth[d])


def _axis(fields: xr.Dataset, d: str) -> str:
    """An axis in words."""
    if d not in fields.dims:
        return f"it has {', '.join(map(str, fields.dims))}"
    ends = f" from {float(fields[d][0]):g} to {float(fields[d][-1]):g}" if d in fields.coords else ""
    return f"{fields.sizes[d]} cells{ends}"


def _span(fields: xr.Dataset) -> str:
    index = fields.indexes["valid_time"]
    return f"{index.min()} to {index.max()}"


def _check_field(name: str, field: xr.DataArray, truth: xr.DataArray, dims: tuple[str, str]) -> None:
    """Dimensions and units."""
    extra = [str(d) for d in field.dims if d not in ("valid_time", MEMBER, *dims)]
    if extra:
        raise SourceError(f"{name}: {field.name} has the dimension {extra[0]}; pick one label of it first.")
    others = [str(d) for d in truth.dims if d not in ("valid_time", *dims)]
    if others:
        raise SourceError(f"reference: {field.name} has the dimension {others[0]}; the truth is one field a time.")
    units = [str(one.attrs.get("units", "")) for one in (field, truth)]
    if all(units) and plain_units(units[0]) != plain_units(units[1]):
        raise SourceError(
            f"{name}: {field.name} is in {units[0]!r}, the reference in {units[1]!r}; convert one of them first."
        )


def _describe(
    truth: xr.Dataset,
    name: str,
    ranges: Mapping[str, tuple[float, float]],
    thresholds: Mapping[str, Sequence[float]],
) -> Variable:
    """Range and moments of the whole reference, streamed."""
    field = truth[name].astype(np.float64)
    with dask.config.set(scheduler="synchronous"):
        found = xr.Dataset({key: getattr(field, key)() for key in ("min", "max", "mean", "std")}).compute()
    low, high, mean, std = (float(found[key]) for key in ("min", "max", "mean", "std"))
    if not np.isfinite([low, high]).all():
        raise SourceError(f"reference: {name} holds no value at all, or an infinite one.")
    low, high = ranges.get(name, (low, high))
    if high <= low:
        raise SourceError(f"{name}: its range is {low:g} to {high:g}; a constant reference cannot be scored against.")
    return Variable(
        name, str(truth[name].attrs.get("units", "")) or "1", low, high, mean, std, tuple(thresholds.get(name, ()))
    )


def _coarse(source: Source, truth: xr.Dataset, shared: list[str], factor: int | None) -> xr.Dataset:
    """The input on its own grid, at the times that are compared."""
    small = open_source(source, variables=shared)
    for d in spatial_dims(truth):
        if d not in small.dims or small.sizes[d] * (factor or 1) != truth.sizes[d]:
            raise GridError(f"coarse: {_axis(small, d)} along {d}, expected {truth.sizes[d]} / {factor}.")
    missing = truth.indexes["valid_time"].difference(small.indexes["valid_time"])
    if len(missing):
        raise SourceError(f"coarse: it has not the time {missing[0]}, nor {len(missing) - 1} others.")
    return small.sel(valid_time=truth.indexes["valid_time"])


def _blocks(
    opened: Mapping[str, xr.Dataset], truth: xr.Dataset, small: xr.Dataset | None, shared: list[str], members: int
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Times a few at a time."""
    y, x = spatial_dims(truth)
    count = max(1, BLOCK_CELLS // (truth.sizes[y] * truth.sizes[x] * members))
    for start in range(0, truth.sizes["valid_time"], count):
        at = {"valid_time": slice(start, start + count)}
        with dask.config.set(scheduler="synchronous"):
            made = {name: _members(fields.isel(at), shared, (y, x)) for name, fields in opened.items()}
            true = {name: truth[name].isel(at).transpose("valid_time", y, x).values for name in shared}
            given = None
            if small is not None:
                given = {name: small[name].isel(at).transpose("valid_time", y, x).values for name in shared}
        block = truth["valid_time"].isel(at)
        yield start + block.size, (block, made, true, given)


def _members(fields: xr.Dataset, shared: list[str], dims: tuple[str, str]) -> dict[str, np.ndarray]:
    """Variable to (time, member, y, x)."""
    wide = fields if MEMBER in fields.dims else fields.expand_dims(MEMBER)
    return {name: wide[name].transpose("valid_time", MEMBER, *dims).values for name in shared}


def _silent(_: str) -> None:
    """Say nothing."""
