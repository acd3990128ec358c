"""Predictions against a truth, streamed: parts to disk, errors cell by cell, values as histograms; then the finished scores.

Evaluation of runs and scoring of files both feed blocks of times to a `Comparison`; memory holds one block, however long the
archive is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from subgrid.data.grid import spatial_dims
from subgrid.data.sources.times import describe_time
from subgrid.errors import GridError, SourceError
from subgrid.evaluation.regions import regions, whole_area
from subgrid.io.atomic import replacing
from subgrid.scores.bootstrap import check_options
from subgrid.scores.checks import FloatArray
from subgrid.scores.plan import Members, ScoreJob, ScoringRequest, Truth, Variable, list_jobs, with_winds
from subgrid.scores.registry import ALL, TRUTH
from subgrid.scores.score_table import NUM_RESAMPLES, as_dataset, check_groupings, cycles, ranks, score_table
from subgrid.scores.statistics_file import Key, StatisticsReader, StatisticsWriter

NUM_VALUE_BINS = 8192
CACHED_CELLS = 2**18  # cells that go through the scores at once: they stay in the processor's cache
_TAIL = np.array([0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05])
PROBABILITIES = np.concatenate([_TAIL, np.arange(1, 10) / 10, 1 - _TAIL[::-1]])


class Comparison:
    """What streams past, added up.

    Attributes:
        notes: scores that were left out, scores without interval, and why.
    """

    def __init__(
        self,
        folder: Path,
        systems: Sequence[str],
        question: ScoringRequest,
        grid: xr.Dataset,
        *,
        num_times: int,
        by: Iterable[str] = (),
        level: float = 0.95,
        block: int | None = None,
    ) -> None:
        """Begin; nothing is written yet.

        Args:
            folder: where the results go; made if it is not there.
            systems: names, the first that of the system in question; none called `truth`.
            question: what is compared.
            grid: a Dataset with the fine coordinates, y and x as its first spatial dimensions.
            num_times: how many will be added.
            by: see `score_table`.
            level: see `score_table`.
            block: see `score_table`.

        Raises:
            ConfigError: what is asked for does not exist.
            GridError: regions are asked for and too small.
        """
        self._folder, self._systems, self._question, self._grid = folder, list(systems), question, grid
        self._options: dict[str, Any] = {"by": check_groupings(by), "level": level, "block": block}
        self._options["num_resamples"] = NUM_RESAMPLES
        check_options(level, block, NUM_RESAMPLES, num_times)
        whole = whole_area(grid)
        self._areas = {ALL: whole} | (regions(grid) if "region" in self._options["by"] else {})
        self._tasks: dict[Key, ScoreJob] = {}
        for name, area in self._areas.items():
            for task in list_jobs(question, area):
                if name == ALL or not task.needs_input:
                    self._tasks[name, task.variable, task.score.name] = task
        self._dropped: dict[Key, str] = {}
        self._refused: list[str] = []
        shape = (whole.rows.size, whole.columns.size)
        keys = [(system, v.name) for system in systems for v in question.variables]
        self._sums = {key: np.zeros((3, *shape)) for key in keys}  # error, its square, times
        self._counts = {
            (name, v.name): np.zeros(NUM_VALUE_BINS) for name in (TRUTH, *systems) for v in question.variables
        }
        self._partial = folder / ".parts.nc.partial"
        self._made_folder = False
        self._writer: StatisticsWriter | None = None

    @property
    def notes(self) -> list[str]:
        """What was left out, a line each."""
        said: dict[str, list[str]] = {}
        for (area, variable, score), reason in self._dropped.items():
            said.setdefault(reason, []).append(f"{variable} {score}" + ("" if area == ALL else f" ({area})"))
        return [f"left out: {', '.join(names)}: {reason}" for reason, names in said.items()] + self._refused

    def add(self, times: xr.DataArray, made: Mapping[str, Members], truth: Truth, coarse: Truth | None = None) -> None:
        """Add a block of times.

        Args:
            times: of the block.
            made: system to variable to fields (time, member, y, x).
            truth: variable to fields (time, y, x), NaN where missing.
            coarse: the input that was super-resolved, variable to (time, y / factor, x / factor).

        Raises:
            SourceError: a prediction that is missing where the truth is there, an infinite truth, a time without any; a
                score that was asked for by name and cannot be taken.
        """
        check_values(times, made, truth)
        if self._writer is None:
            self._made_folder = not self._folder.exists()
            self._folder.mkdir(parents=True, exist_ok=True)
            self._writer = StatisticsWriter(self._partial, self._systems)
        members = next(iter(next(iter(made.values())).values()))
        step = max(1, CACHED_CELLS // members[0].size)
        pieces = []
        for start in range(0, len(members), step):
            now = slice(start, start + step)
            fields = {system: _cut(fields, now) for system, fields in made.items()}
            pieces.append(self._parts(fields, _cut(truth, now), _cut(coarse or {}, now)))
        joined = {
            key: {system: np.concatenate([piece[key][system] for piece in pieces]) for system in made}
            for key in pieces[0]
            if key not in self._dropped
        }
        self._writer.append(_clock(times), joined)

    def _parts(self, made: Mapping[str, Members], truth: Truth, coarse: Truth) -> dict[Key, dict[str, FloatArray]]:
        """Parts of a few times; errors and values are added up on the way."""
        parts: dict[Key, dict[str, FloatArray]] = {}
        for name, area in self._areas.items():
            tasks = [(key, task) for key, task in self._tasks.items() if key[0] == name]
            there = with_winds({v: area.cut(f) for v, f in truth.items()}, self._question.winds, area)
            for key, task in tasks:
                self._drop_unusable(key, task, there)
            for system, fields in made.items():
                cut = with_winds({v: area.cut(f) for v, f in fields.items()}, self._question.winds, area)
                for key, task in tasks:
                    if key not in self._dropped:
                        parts.setdefault(key, {})[system] = task.compute(cut, there, coarse)
        self._add_up(made, truth)
        return parts

    def _drop_unusable(self, key: Key, task: ScoreJob, truth: Truth) -> None:
        """A score that the truth does not allow is dropped, or refused if it was asked for."""
        if task.score.needs is None or key in self._dropped:
            return
        try:
            task.score.needs(np.isfinite(truth[task.variable]))
        except (GridError, SourceError) as error:
            if self._question.names is not None and key[0] == ALL:
                raise SourceError(f"{task.variable}: {error}") from None
            self._dropped[key] = str(error)

    def _add_up(self, made: Mapping[str, Members], truth: Truth) -> None:
        """Errors cell by cell, and how often each value occurs."""
        for variable in self._question.variables:
            true = truth[variable.name]
            there = np.isfinite(true)
            edges = _edges(variable)
            self._counts[TRUTH, variable.name] += _histogram(true[there], edges)
            for system, fields in made.items():
                members = fields[variable.name]
                error = np.where(there, members.mean(axis=1) - true, 0.0)
                sums = self._sums[system, variable.name]
                sums[0] += error.sum(0)
                sums[1] += (error**2).sum(0)
                sums[2] += there.sum(0)
                shown = members[np.broadcast_to(there[:, None], members.shape)]
                self._counts[system, variable.name] += _histogram(shown, edges)

    def finish(
        self, *, more: pd.DataFrame | None = None, beside: Mapping[str, xr.Dataset] | None = None
    ) -> pd.DataFrame:
        """Write `parts.nc`, `scores.csv`, `scores.nc`, `cells.nc`, `quantiles.nc`, `cycles.nc`, `ranks.nc`; return the table.

        The last two only where there is more than one hour or season, and an ensemble. The files of an earlier comparison
        are replaced when all are written, not before.

        Args:
            more: rows to add that are no parts.
            beside: more Datasets to write, by name.
        """
        if self._writer is None:
            raise SourceError("there are no times to compare.")
        self._writer.close(self._dropped)
        with StatisticsReader(self._partial) as reader:
            table = score_table(reader, self._tasks, **self._options)
            tables = {"cycles": cycles(reader, self._tasks), "ranks": ranks(reader)}
        self._refused = table.attrs["notes"]
        if more is not None:
            table = pd.concat([table, more], ignore_index=True)
        tables |= {
            "scores": as_dataset(table),
            "cells": self._cells(),
            "quantiles": self._quantiles(),
            **(beside or {}),
        }
        with ExitStack() as files:
            table.to_csv(files.enter_context(replacing(self._folder / "scores.csv")), index=False)
            for name, fields in tables.items():
                if fields.data_vars:
                    temporary = files.enter_context(replacing(self._folder / f"{name}.nc"))
                    fields.to_netcdf(temporary, engine="netcdf4")
        self._partial.replace(self._folder / "parts.nc")
        for name, fields in tables.items():
            if not fields.data_vars:
                (self._folder / f"{name}.nc").unlink(missing_ok=True)
        return table

    def _cells(self) -> xr.Dataset:
        """Mean error and RMSE of each cell, (system, y, x)."""
        y, x = spatial_dims(self._grid)
        out = xr.Dataset(coords={"system": self._systems, y: self._grid[y], x: self._grid[x]})
        for variable in self._question.variables:
            sums = np.stack([self._sums[system, variable.name] for system in self._systems])
            with np.errstate(invalid="ignore", divide="ignore"):
                means = sums[:, :2] / sums[:, 2:]
            attrs = {"units": variable.units}
            out[f"{variable.name}_bias"] = (("system", y, x), means[:, 0].astype(np.float32), attrs)
            out[f"{variable.name}_rmse"] = (("system", y, x), np.sqrt(means[:, 1]).astype(np.float32), attrs)
        return out

    def _quantiles(self) -> xr.Dataset:
        """Quantiles of all values, (system, probability), to a bin's width."""
        names = [TRUTH, *self._systems]
        out = xr.Dataset(coords={"system": names, "probability": PROBABILITIES})
        for variable in self._question.variables:
            edges = _edges(variable)
            rows = [_quantiles(self._counts[name, variable.name], edges) for name in names]
            attrs = {"units": variable.units, "bin_width": float(edges[1] - edges[0])}
            out[variable.name] = (("system", "probability"), np.stack(rows), attrs)
        return out

    def abandon(self) -> None:
        """Leave nothing half-written behind; what was finished stays."""
        if self._writer is not None:
            self._writer.close(self._dropped)
            self._partial.unlink(missing_ok=True)
            if self._made_folder and not any(self._folder.iterdir()):
                self._folder.rmdir()


def check_values(times: xr.DataArray, made: Mapping[str, Members], truth: Truth) -> None:
    """Refuse values that no score can stand: the rule of `subgrid.scores.checks`, with system, variable and time.

    Args:
        times: (time,).
        made: system to variable to fields (time, member, y, x).
        truth: variable to fields (time, y, x), NaN where missing.

    Raises:
        SourceError: a prediction that is not finite where the truth has a value, an infinite truth, a time without any.
    """
    for variable, true in truth.items():
        there = np.isfinite(true)
        _refuse(np.isinf(true), times, f"reference: {variable}", "infinite values", "mend the file")
        empty = np.asarray(~there.any(axis=(1, 2)), dtype=np.bool_)
        _refuse(
            empty[:, None],
            times,
            f"reference: {variable}",
            "times without any value",
            "leave those times out of the reference, since each time counts the same",
        )
        for system, fields in made.items():
            bad = ~np.isfinite(fields[variable]) & there[:, None]
            what = "missing or infinite values where the reference has one"
            advice = "only the reference may have gaps; look for a model that diverged or a mask that differs"
            _refuse(bad, times, f"{system}: {variable}", what, advice)


def _refuse(bad: NDArray[np.bool_], times: xr.DataArray, where: str, what: str, advice: str) -> None:
    if bad.any():
        first = int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))
        raise SourceError(
            f"{where} has {int(bad.sum())} {what}, first at {describe_time(times.values[first])}; {advice}."
        )


def _cut(fields: Mapping[str, NDArray[Any]], now: slice) -> dict[str, FloatArray]:
    """A few times, in the precision that scores are computed in."""
    return {name: np.asarray(values[now], dtype=np.float64) for name, values in fields.items()}


def _edges(variable: Variable) -> FloatArray:
    """Bins for values, a quarter of the range beyond it on both sides."""
    margin = 0.25 * variable.data_range
    return np.linspace(variable.low - margin, variable.high + margin, NUM_VALUE_BINS + 1)


def _clock(times: xr.DataArray) -> NDArray[np.int64]:
    """Seconds since 1970 of the times' own calendar, months, hours: (3, time)."""
    if np.issubdtype(times.dtype, np.datetime64):
        seconds = times.values.astype("datetime64[s]").astype(np.int64)
    else:
        import cftime

        seconds = cftime.date2num(times.values, "seconds since 1970-01-01", calendar=times.dt.calendar)
    return np.stack([np.asarray(part, dtype=np.int64) for part in (seconds, times.dt.month, times.dt.hour)])


def _histogram(values: NDArray[Any], edges: FloatArray) -> FloatArray:
    """Counts; what lies beyond goes to the outermost bins."""
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].astype(np.float64)


def _quantiles(counts: FloatArray, edges: FloatArray) -> FloatArray:
    """Values at `PROBABILITIES`, linear within the bin that holds each."""
    share = np.cumsum(counts) / counts.sum()
    holds = np.minimum(np.searchsorted(share, PROBABILITIES), np.flatnonzero(counts)[-1])
    below = share[holds] - counts[holds] / counts.sum()
    inside = (PROBABILITIES - below) * counts.sum() / counts[holds]
    return np.asarray(edges[holds] + np.clip(inside, 0.0, 1.0) * (edges[1] - edges[0]), np.float64)
