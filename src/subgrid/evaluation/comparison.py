"""Predictions compared with a truth, block by block: statistics to disk, totals in memory, then the scores.

The evaluation of runs and the scoring of files both give blocks of times to a `Comparison`. Memory holds one block, however
long the series is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from subgrid.data.sources.times import describe_time
from subgrid.errors import GridError, SourceError
from subgrid.evaluation.regions import regions, whole_grid
from subgrid.evaluation.results import TABLE
from subgrid.evaluation.totals import FieldTotals
from subgrid.io.atomic import netcdf_errors, write_csv, write_netcdf
from subgrid.io.interrupts import interrupts_held
from subgrid.scores.bootstrap import check_options
from subgrid.scores.checks import FloatArray
from subgrid.scores.plan import Members, ScoreJob, ScoringRequest, Truth, list_jobs, with_winds
from subgrid.scores.registry import ALL
from subgrid.scores.score_table import NUM_RESAMPLES, as_dataset, check_binnings, cycles, ranks, score_table
from subgrid.scores.statistics_file import FILE, Key, StatisticsReader, StatisticsWriter

CACHED_CELLS = 2**18  # cells that are scored at once: they stay in the cache of the processor


class Comparison:
    """A comparison of several systems with the truth, to which blocks of times are added.

    Attributes:
        notes: scores that were left out, scores without interval, and why.
    """

    def __init__(
        self,
        folder: Path,
        systems: Sequence[str],
        request: ScoringRequest,
        grid: xr.Dataset,
        *,
        num_times: int,
        by: Iterable[str] = (),
        level: float = 0.95,
        block: int | None = None,
    ) -> None:
        """Begin; nothing is written yet.

        Args:
            folder: where the results go, empty or not there yet (see `subgrid.evaluation.results`).
            systems: their names, the evaluated system first; none may be called `truth`.
            request: what is compared.
            grid: a Dataset with the fine coordinates, y and x as its first spatial dimensions.
            num_times: number of times that will be added.
            by: see `score_table`.
            level: see `score_table`.
            block: see `score_table`.

        Raises:
            ConfigError: an unknown score or binning.
            GridError: regions are asked for and too small.
        """
        self._folder, self._systems, self._request = folder, list(systems), request
        self._options: dict[str, Any] = {"by": check_binnings(by), "level": level, "block": block}
        self._options["num_resamples"] = NUM_RESAMPLES
        check_options(level, block, NUM_RESAMPLES, num_times)
        self._regions = {ALL: whole_grid(grid)} | (regions(grid) if "region" in self._options["by"] else {})
        self._jobs: dict[Key, ScoreJob] = {}
        for name, region in self._regions.items():
            for job in list_jobs(request, region):
                if name == ALL or job.score.needs != "coarse input":  # whose cells need not fit into the region
                    self._jobs[name, job.variable, job.score.name] = job
        self._totals = FieldTotals(systems, request.variables, grid)
        self._dropped: dict[Key, str] = {}
        self._without_interval: list[str] = []
        self._writer: StatisticsWriter | None = None

    @property
    def notes(self) -> list[str]:
        """What was left out, one line per reason."""
        by_reason: dict[str, list[str]] = {}
        for (region, variable, score), reason in self._dropped.items():
            where = "" if region == ALL else f" ({region})"
            by_reason.setdefault(reason, []).append(f"{variable} {score}{where}")
        left_out = [f"left out: {', '.join(names)}: {reason}" for reason, names in by_reason.items()]
        return left_out + self._without_interval

    def add(
        self, times: xr.DataArray, predictions: Mapping[str, Members], truth: Truth, coarse: Truth | None = None
    ) -> None:
        """Add a block of times.

        Args:
            times: of the block.
            predictions: system to variable to fields (time, member, y, x).
            truth: variable to fields (time, y, x), NaN where missing.
            coarse: the input that was super-resolved, variable to (time, y / factor, x / factor).

        Raises:
            SourceError: as `check_values`; a score that was asked for by name and cannot be computed.
        """
        check_values(times, predictions, truth)
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._writer = StatisticsWriter(self._folder / FILE, self._systems)
        members = next(iter(next(iter(predictions.values())).values()))
        step = max(1, CACHED_CELLS // members[0].size)
        pieces = []
        for start in range(0, len(members), step):
            part = slice(start, start + step)
            fields = {system: _select(of_system, part) for system, of_system in predictions.items()}
            pieces.append(self._compute(fields, _select(truth, part), _select(coarse or {}, part)))
        joined = {
            key: {system: np.concatenate([piece[key][system] for piece in pieces]) for system in predictions}
            for key in pieces[0]
            if key not in self._dropped
        }
        with netcdf_errors(self._folder / FILE):
            self._writer.append(_clock(times), joined)

    def _compute(
        self, predictions: Mapping[str, Members], truth: Truth, coarse: Truth
    ) -> dict[Key, dict[str, FloatArray]]:
        """Compute the statistics of a few times, and add them to the totals."""
        statistics: dict[Key, dict[str, FloatArray]] = {}
        winds = self._request.winds
        for name, region in self._regions.items():
            jobs = [(key, job) for key, job in self._jobs.items() if key[0] == name]
            true = with_winds({v: region.select(f) for v, f in truth.items()}, winds, region)
            for key, job in jobs:
                self._drop_unusable(key, job, true)
            for system, of_system in predictions.items():
                fields = with_winds({v: region.select(f) for v, f in of_system.items()}, winds, region)
                for key, job in jobs:
                    if key not in self._dropped:
                        statistics.setdefault(key, {})[system] = job.compute(fields, true, coarse)
        self._totals.add(predictions, truth)
        return statistics

    def _drop_unusable(self, key: Key, job: ScoreJob, truth: Truth) -> None:
        """Drop a score that the truth does not allow, or refuse it if it was asked for."""
        if job.score.check is None or key in self._dropped:
            return
        try:
            job.score.check(np.isfinite(truth[job.variable]))
        except (GridError, SourceError) as error:
            if self._request.names is not None and key[0] == ALL:
                raise SourceError(f"{job.variable}: {error}") from None
            self._dropped[key] = str(error)

    def finish(
        self, *, more_rows: pd.DataFrame | None = None, more_files: Mapping[str, xr.Dataset] | None = None
    ) -> pd.DataFrame:
        """Compute the scores, write all files and return the table.

        The files are `statistics.nc`, `scores.csv`, `scores.nc`, `cells.nc`, `quantiles.nc`, `cycles.nc` (where there is more
        than one hour or season) and `ranks.nc` (of an ensemble).

        Args:
            more_rows: rows of scores that have no statistics.
            more_files: Datasets to write in addition, by name.
        """
        if self._writer is None:
            raise SourceError("there are no times to compare.")
        self.close()
        with StatisticsReader(self._folder / FILE) as reader:
            table = score_table(reader, self._jobs, **self._options)
            files = {"cycles": cycles(reader, self._jobs), "ranks": ranks(reader)}
        self._without_interval = table.attrs["notes"]
        if more_rows is not None:
            table = pd.concat([table, more_rows], ignore_index=True)
        files |= {"scores": as_dataset(table), "cells": self._totals.cells(), "quantiles": self._totals.quantiles()}
        self._write_files(table, {**files, **(more_files or {})})
        return table

    def _write_files(self, table: pd.DataFrame, files: Mapping[str, xr.Dataset]) -> None:
        """Write the table and the Datasets that have variables."""
        with interrupts_held():
            write_csv(self._folder / TABLE, table)
            for name, fields in files.items():
                if fields.data_vars:
                    write_netcdf(self._folder / f"{name}.nc", fields)

    def close(self) -> None:
        """Close the file of statistics; also after an error, and a second time without effect."""
        if self._writer is not None:
            with netcdf_errors(self._folder / FILE):
                self._writer.close(self._dropped)


def check_values(times: xr.DataArray, predictions: Mapping[str, Members], truth: Truth) -> None:
    """Check fields by the rule of `subgrid.scores.checks`, with system, variable and time in the message.

    Args:
        times: (time,).
        predictions: system to variable to fields (time, member, y, x).
        truth: variable to fields (time, y, x), NaN where missing.

    Raises:
        SourceError: a prediction that is not finite where the truth has a value, an infinite truth, a time without any value.
    """
    for variable, true in truth.items():
        valid = np.isfinite(true)
        _refuse(np.isinf(true), times, f"reference: {variable}", "infinite values", "correct the file")
        empty = np.asarray(~valid.any(axis=(1, 2)), dtype=np.bool_)
        _refuse(
            empty[:, None],
            times,
            f"reference: {variable}",
            "times without any value",
            "remove those times from the reference, since each time counts the same",
        )
        for system, fields in predictions.items():
            bad = ~np.isfinite(fields[variable]) & valid[:, None]
            what = "missing or infinite values where the reference has one"
            advice = "only the reference may have gaps; look for a model that diverged or a mask that differs"
            _refuse(bad, times, f"{system}: {variable}", what, advice)


def _refuse(bad: NDArray[np.bool_], times: xr.DataArray, where: str, what: str, advice: str) -> None:
    if bad.any():
        first = int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))
        raise SourceError(
            f"{where} has {int(bad.sum())} {what}, first at {describe_time(times.values[first])}; {advice}."
        )


def _select(fields: Mapping[str, NDArray[Any]], part: slice) -> dict[str, FloatArray]:
    """A few times, in the precision of the scores."""
    return {name: np.asarray(values[part], dtype=np.float64) for name, values in fields.items()}


def _clock(times: xr.DataArray) -> NDArray[np.int64]:
    """Seconds since 1970 of the times' own calendar, months, hours: (3, time)."""
    if np.issubdtype(times.dtype, np.datetime64):
        seconds = times.values.astype("datetime64[s]").astype(np.int64)
    else:
        import cftime

        seconds = cftime.date2num(times.values, "seconds since 1970-01-01", calendar=times.dt.calendar)
    return np.stack([np.asarray(row, dtype=np.int64) for row in (seconds, times.dt.month, times.dt.hour)])
