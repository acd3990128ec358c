"""Scores of any predictions and a reference on one grid, from files or open Datasets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import xarray as xr

from subgrid.data.blocks import compute, read_blocks, time_blocks
from subgrid.data.findings import ValueCheck
from subgrid.data.grid import spatial_dims
from subgrid.data.sources.inputs import input_paths
from subgrid.data.sources.open_source import open_source
from subgrid.data.sources.vectors import vector_components
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
from subgrid.evaluation.results import SCORE_FILES, file_results, table_result
from subgrid.io.console import Notify, Progress, silent
from subgrid.io.output import refuse_inputs
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
    overwrite: bool = False,
    progress: Progress = silent,
    notify: Notify = silent,
) -> pd.DataFrame:
    """Score a prediction and baselines against a reference on the same grid, at the times that all of them have.

    Args:
        prediction: files or an open Dataset; members along `realization`. Values in other units than the reference are
            converted to its units.
        reference: the truth; cells in which it has no value are left out.
        baselines: other predictions by name; all are ranked at the same times.
        out: folder for the results, `scores` by default, or the name of a `.csv` or `.nc` file for the table alone.
        variables: to be scored; by default all that prediction and reference have in common.
        by: any of `season`, `hour`, `region`: also report scores for each of them.
        names: scores to compute; all by default.
        factor: fine cells per coarse cell along an axis; without it the scores that need it are left out.
        coarse: the coarse input that was super-resolved, for the scores of consistency; needs `factor`.
        ranges: minimum and maximum by variable, for PSNR, SSIM and histograms; by default those of the whole reference.
        thresholds: of the fractions skill score by variable; by default mean + 1 and + 2 standard deviations.
        level: confidence level of the intervals.
        block: length of the blocks of the bootstrap, in times; estimated for each score by default.
        overwrite: replace earlier scores at `out`.
        progress: called with (times done, times in all).
        notify: called with each message for the user.

    Returns:
        One row per score: system, variable, score, value, lower, upper, units, group, rank, convention.

    Raises:
        SubgridError: for files that cannot be compared. RunError for an `out` that is one of them, is being written, holds
            something else, or holds scores where `overwrite` is false.
    """
    sources = [prediction, reference, coarse, *(baselines or {}).values()]
    with _results(out, overwrite, [path for source in sources for path in input_paths(source)]) as folder:
        truth, opened = _open(prediction, reference, baselines or {}, variables, notify)
        small = _open_coarse(coarse, truth, factor, notify)
        request = _request(truth, opened, factor, small is not None, names, (ranges or {}, thresholds or {}))
        return _compare(folder, opened, truth, small, request, (by, level, block), (progress, notify))


def _compare(
    folder: Path,
    opened: Mapping[str, xr.Dataset],
    truth: xr.Dataset,
    small: xr.Dataset | None,
    request: ScoringRequest,
    options: tuple[Iterable[str], float, int | None],
    messages: tuple[Progress, Notify],
) -> pd.DataFrame:
    """Add all times block by block; `options` are `by`, `level`, `block`, `messages` are `progress`, `notify`."""
    num_times, (by, level, block), (progress, notify) = truth.sizes[TIME], options, messages
    comparison = Comparison(folder, list(opened), request, truth, num_times=num_times, by=by, level=level, block=block)
    try:
        for done, fields in _blocks(opened, truth, small, request.num_members):
            comparison.add(*fields)
            progress(done, num_times)
        table = comparison.finish()
    finally:
        comparison.close()
    for note in comparison.notes:
        notify(note)
    return table


def _request(
    truth: xr.Dataset,
    opened: Mapping[str, xr.Dataset],
    factor: int | None,
    has_input: bool,
    names: Sequence[str] | None,
    by_variable: tuple[Mapping[str, tuple[float, float]], Mapping[str, Sequence[float]]],
) -> ScoringRequest:
    """Describe what is compared; `by_variable` holds ranges and thresholds."""
    units = {str(name): str(field.attrs.get("units", "")) for name, field in truth.items()}
    return ScoringRequest(
        variables=_variables(truth, *by_variable),
        factor=factor,
        num_members=check_ensembles(opened),
        has_input=has_input,
        winds=wind_pair(vector_components(truth), units),
        names=None if names is None else tuple(names),
    )


@contextmanager
def _results(out: str | Path | None, overwrite: bool, inputs: Sequence[Path]) -> Iterator[Path]:
    """Hold the results, and yield a folder to write them to; see `subgrid.evaluation.results`."""
    path = Path(out) if out is not None else Path("scores")
    alone = path.suffix in TABLES
    if not alone and path.exists() and not path.is_dir():
        raise RunError(
            f"{path} is a file; give a folder for the scores, or a new name ending in {' or '.join(TABLES)}."
        )
    if alone and path.is_dir():
        raise RunError(f"{path} is a folder; give another name for the table.")
    if alone and not path.absolute().parent.is_dir():
        raise RunError(f"{path}: its folder {path.parent} does not exist; create it first.")
    for target in [path] if alone else [path / name for name in SCORE_FILES]:
        refuse_inputs(target, inputs)
    with table_result(path, overwrite) if alone else file_results(path, overwrite) as folder:
        yield folder


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
    sources = {name: prediction, **baselines}
    opened = {key: open_source(source, variables=variables) for key, source in sources.items()}
    return align(truth, opened, shared_variables(truth, opened, variables, notify), notify)


def _open_coarse(coarse: Source | None, truth: xr.Dataset, factor: int | None, notify: Notify) -> xr.Dataset | None:
    """The coarse input on its own grid, if any, at the times that are compared."""
    if factor is not None and factor < 2:
        raise ConfigError(f"factor is {factor}; expected fine cells per coarse cell along an axis, 2 or more.")
    if coarse is None:
        return None
    if factor is None:
        raise ConfigError(
            "coarse needs factor (--factor), the number of fine cells per coarse cell, to compute the scores of consistency."
        )
    return align_coarse(open_source(coarse, variables=list(map(str, truth.data_vars))), truth, factor, notify)


def _variables(
    truth: xr.Dataset, ranges: Mapping[str, tuple[float, float]], thresholds: Mapping[str, Sequence[float]]
) -> tuple[Variable, ...]:
    """Describe the variables that are scored."""
    names = [str(name) for name in truth.data_vars]
    for option, by_variable in (("range", ranges), ("threshold", thresholds)):
        for name in by_variable:
            if name not in names:
                raise ConfigError(f"{option}: no variable {name!r} is scored.{nearest(name, names)}")
    moments = _moments(truth)
    return tuple(
        _describe(name, str(truth[name].attrs.get("units", "")), moments[name], ranges, thresholds) for name in names
    )


def _moments(truth: xr.Dataset) -> dict[str, tuple[float, ...]]:
    """Minimum, maximum, mean and standard deviation of each variable of the whole reference, in one pass over its chunks.

    Ranges and thresholds have to be known before the first time is scored, so that the reference is read twice.
    """
    keys = ("min", "max", "mean", "std")
    every = truth.astype(np.float64)
    lazy = {str(name): {key: getattr(field, key)().data for key in keys} for name, field in every.items()}
    with dask.config.set(scheduler="synchronous"), np.errstate(invalid="ignore"):  # no value at all is refused later
        found = compute(lazy)[0]
    return {name: tuple(float(of_name[key]) for key in keys) for name, of_name in found.items()}


def _describe(
    name: str,
    units: str,
    moments: tuple[float, ...],
    ranges: Mapping[str, tuple[float, float]],
    thresholds: Mapping[str, Sequence[float]],
) -> Variable:
    """Describe one variable of the reference, given its smallest and largest value, mean and standard deviation."""
    low, high, mean, std = moments
    if not np.isfinite([low, high]).all():
        raise SourceError(f"reference: {name} holds no value at all, or an infinite one.")
    low, high = ranges.get(name, (low, high))
    if not (np.isfinite([low, high]).all() and low < high):
        raise SourceError(
            f"{name}: its range is {low:g} to {high:g}; expected a lower and a higher number. "
            "A constant reference has no range: give one, or leave the variable out."
        )
    return Variable(name, units or "1", low, high, mean, std, tuple(thresholds.get(name, ())))


def _blocks(
    opened: Mapping[str, xr.Dataset], truth: xr.Dataset, small: xr.Dataset | None, members: int
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Read block after block: the number of times done, and the arguments of `Comparison.add`."""
    dims = spatial_dims(truth)
    cells = truth.sizes[dims[0]] * truth.sizes[dims[1]] * members
    sources = {**opened, "reference": truth} | ({} if small is None else {"coarse": small})
    attrs = {name: {v: field.attrs for v, field in fields.items()} for name, fields in sources.items()}
    checks = {name: ValueCheck(gaps=True, kind=f"{name}: ") for name in sources}
    blocks = list(time_blocks(truth.sizes[TIME], cells, BLOCK_CELLS))
    of_systems = {name: read_blocks(fields.transpose(TIME, ...), blocks) for name, fields in opened.items()}
    of_input = repeat(None) if small is None else read_blocks(small, blocks)
    for block, true, coarse in zip(blocks, read_blocks(truth, blocks), of_input, strict=False):
        predictions = {
            name: _values(_with_members(next(fields)), (TIME, MEMBER, *dims)) for name, fields in of_systems.items()
        }
        true_values = _values(true, (TIME, *dims))
        coarse_values = None if coarse is None else _values(coarse, (TIME, *dims))
        read = {**predictions, "reference": true_values} | ({} if coarse_values is None else {"coarse": coarse_values})
        for name, values in read.items():
            checks[name].add(values, attrs[name])
        yield block.stop, (truth[TIME].isel({TIME: block}), predictions, true_values, coarse_values)


def _with_members(fields: xr.Dataset) -> xr.Dataset:
    return fields if MEMBER in fields.dims else fields.expand_dims(MEMBER)


def _values(fields: xr.Dataset, dims: Sequence[str]) -> dict[str, np.ndarray]:
    return {str(name): field.values for name, field in fields.transpose(*dims).items()}
