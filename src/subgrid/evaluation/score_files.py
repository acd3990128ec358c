"""Scores of any two fields on one grid: ours or anyone's, from files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask
import numpy as np
import pandas as pd
import xarray as xr

from subgrid.data.blocks import time_blocks
from subgrid.data.grid import spatial_dims
from subgrid.data.sources.open_source import open_source, wind_components
from subgrid.errors import ConfigError, RunError, SourceError, nearest
from subgrid.evaluation.alignment import (
    MEMBER,
    TIME,
    align,
    align_coarse,
    check_ensembles,
    shared_variables,
    wind_pair,
)
from subgrid.evaluation.comparison import Comparison
from subgrid.io.console import Notify, Progress, silent
from subgrid.scores.plan import ScoringRequest, Variable
from subgrid.scores.registry import TRUTH

Source = str | Path | Sequence[str | Path] | xr.Dataset

TABLES = (".csv", ".nc")
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
    progress: Progress = silent,
    notify: Notify = silent,
) -> pd.DataFrame:
    """Score a prediction, and baselines beside it, against a reference on the same grid.

    Times that all have are compared, members along `realization`, cells where the reference has a value, by area on a sphere.

    Args:
        prediction: files or an open Dataset.
        reference: the truth.
        baselines: other predictions by name; all are ranked on the same times.
        out: folder for `scores.csv`, `scores.nc`, `parts.nc`, `cells.nc`, `quantiles.nc`, `scores` by default; or the name of a
            `.csv` or `.nc` file for the table alone.
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
        notify: called with each message for the user.

    Returns:
        One row a score: system, variable, score, value, lower, upper, units, group, rank, convention.

    Raises:
        SubgridError: for files that cannot be compared, and why.
    """
    truth, opened = _open(prediction, reference, baselines or {}, variables, notify)
    small = _open_coarse(coarse, truth, factor)
    question = _question(truth, opened, factor, small is not None, names, (ranges or {}, thresholds or {}))
    num_times = truth.sizes[TIME]
    with _folder(out) as folder:
        comparison = Comparison(
            folder, list(opened), question, truth, num_times=num_times, by=by, level=level, block=block
        )
        try:
            for done, fields in _blocks(opened, truth, small, question.num_members):
                comparison.add(*fields)
                progress(done, num_times)
            table = comparison.finish()
        finally:
            comparison.abandon()
    for note in comparison.notes:
        notify(note)
    return table


def _question(
    truth: xr.Dataset,
    opened: Mapping[str, xr.Dataset],
    factor: int | None,
    has_input: bool,
    names: Sequence[str] | None,
    given: tuple[Mapping[str, tuple[float, float]], Mapping[str, Sequence[float]]],
) -> ScoringRequest:
    """What is compared; `given` are ranges and thresholds by variable."""
    units = {str(name): str(field.attrs.get("units", "")) for name, field in truth.items()}
    return ScoringRequest(
        variables=_variables(truth, *given),
        factor=factor,
        num_members=check_ensembles(opened),
        has_input=has_input,
        winds=wind_pair(wind_components(truth), units),
        names=None if names is None else tuple(names),
    )


@contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    """The folder of the results; for a table alone one beside it, of which the table is taken when all is done."""
    path = Path(out) if out is not None else Path("scores")
    if path.suffix not in TABLES:
        if path.exists() and not path.is_dir():
            raise RunError(
                f"{path} is a file; give a folder for the scores, or a new name ending in {' or '.join(TABLES)}."
            )
        yield path
        return
    if path.is_dir():
        raise RunError(f"{path} is a folder; give another name for the table.")
    if not path.absolute().parent.is_dir():
        raise RunError(f"{path}: its folder {path.parent} does not exist; make it first.")
    with TemporaryDirectory(prefix=f".{path.stem}.", dir=path.absolute().parent) as folder:
        yield Path(folder)
        (Path(folder) / f"scores{path.suffix}").replace(path)


def _open(
    prediction: Source,
    reference: Source,
    baselines: Mapping[str, Source],
    variables: Sequence[str] | None,
    notify: Notify,
) -> tuple[xr.Dataset, dict[str, xr.Dataset]]:
    """Truth and predictions, on one grid and at the same times."""
    name = Path(prediction).name.split(".")[0] if isinstance(prediction, str | Path) else ""
    name = name if name.strip("*?[]") and name != TRUTH else "prediction"
    if name in baselines or TRUTH in baselines:
        raise ConfigError(
            f"two of the fields are called {name if name in baselines else TRUTH!r}; rename a file, or give the baselines "
            "other names."
        )
    truth = open_source(reference, variables=variables)
    given = {name: prediction, **baselines}
    opened = {key: open_source(source, variables=variables) for key, source in given.items()}
    return align(truth, opened, shared_variables(truth, opened, variables, notify), notify)


def _open_coarse(coarse: Source | None, truth: xr.Dataset, factor: int | None) -> xr.Dataset | None:
    """The input on its own grid, if any, at the times that are compared."""
    if factor is not None and factor < 2:
        raise ConfigError(f"factor is {factor}; expected fine cells per coarse cell along an axis, 2 or more.")
    if coarse is None:
        return None
    if factor is None:
        raise ConfigError("coarse: to be agreed with, it needs factor (--factor): fine cells per coarse cell.")
    return align_coarse(open_source(coarse, variables=list(map(str, truth.data_vars))), truth, factor)


def _variables(
    truth: xr.Dataset, ranges: Mapping[str, tuple[float, float]], thresholds: Mapping[str, Sequence[float]]
) -> tuple[Variable, ...]:
    """What is scored, with what its scores are told."""
    names = [str(name) for name in truth.data_vars]
    for option, given in (("range", ranges), ("threshold", thresholds)):
        for name in given:
            if name not in names:
                raise ConfigError(f"{option}: no variable {name!r} is scored.{nearest(name, names)}")
    return tuple(_describe(truth, name, ranges, thresholds) for name in names)


def _describe(
    truth: xr.Dataset,
    name: str,
    ranges: Mapping[str, tuple[float, float]],
    thresholds: Mapping[str, Sequence[float]],
) -> Variable:
    """Range and moments of the whole reference, streamed."""
    field = truth[name].astype(np.float64)
    with dask.config.set(scheduler="synchronous"), np.errstate(invalid="ignore"):  # no value at all is refused below
        found = xr.Dataset({key: getattr(field, key)() for key in ("min", "max", "mean", "std")}).compute()
    low, high, mean, std = (float(found[key]) for key in ("min", "max", "mean", "std"))
    if not np.isfinite([low, high]).all():
        raise SourceError(f"reference: {name} holds no value at all, or an infinite one.")
    low, high = ranges.get(name, (low, high))
    if not (np.isfinite([low, high]).all() and low < high):
        raise SourceError(
            f"{name}: its range is {low:g} to {high:g}; expected a lower and a higher number. "
            "Of a constant reference there is none: give a range, or leave the variable out."
        )
    return Variable(
        name, str(truth[name].attrs.get("units", "")) or "1", low, high, mean, std, tuple(thresholds.get(name, ()))
    )


def _blocks(
    opened: Mapping[str, xr.Dataset], truth: xr.Dataset, small: xr.Dataset | None, members: int
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Times a few at a time: how many are done, and what `Comparison.add` takes."""
    dims = spatial_dims(truth)
    cells = truth.sizes[dims[0]] * truth.sizes[dims[1]] * members
    for block in time_blocks(truth.sizes[TIME], cells, BLOCK_CELLS):
        at = {TIME: block}
        with dask.config.set(scheduler="synchronous"):
            made = {
                name: _values(_with_members(fields.isel(at)), (TIME, MEMBER, *dims)) for name, fields in opened.items()
            }
            true = _values(truth.isel(at), (TIME, *dims))
            given = None if small is None else _values(small.isel(at), (TIME, *dims))
        yield block.stop, (truth[TIME].isel(at), made, true, given)


def _with_members(fields: xr.Dataset) -> xr.Dataset:
    return fields if MEMBER in fields.dims else fields.expand_dims(MEMBER)


def _values(fields: xr.Dataset, dims: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays by variable; chunks that several variables are made from are read once."""
    return {str(name): field.values for name, field in fields.transpose(*dims).load().items()}
