"""Predictions against a truth, streamed: parts to disk, errors cell by cell, values as histograms; then the finished scores.

Evaluation of runs and scoring of files both feed blocks of times to a `Comparison`; memory holds one block, however long the
archive is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from subgrid.data.grid import ANGULAR, axis_weights, is_periodic, spatial_dims
from subgrid.errors import GridError, SourceError
from subgrid.files import replacing
from subgrid.verify.archive import Key, PartsReader, PartsWriter
from subgrid.verify.checks import FloatArray
from subgrid.verify.results import ALL, as_dataset, cycles, ranks, score_table
from subgrid.verify.tasks import Area, Members, Question, Task, Truth, list_tasks, with_winds

NUM_VALUE_BINS = 8192
_TAIL = np.array([0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05])
PROBABILITIES = np.concatenate([_TAIL, np.arange(1, 10) / 10, 1 - _TAIL[::-1]])
BANDS = {"northern extratropics": (30.0, 90.0), "tropics": (-30.0, 30.0), "southern extratropics": (-90.0, -30.0)}
LEAST_CELLS = 12  # rows and columns of an area of its own: room for a window


class Comparison:
    """What streams past, added up.

    Attributes:
        notes: scores that were left out, scores without interval, and why.
    """

    def __init__(
        self,
        folder: Path,
        systems: Sequence[str],
        question: Question,
        grid: xr.Dataset,
        areas: Mapping[str, Area] | None = None,
    ) -> None:
        """Begin.

        Args:
            folder: where `parts.nc` and the results go.
            systems: names, the first that of the system in question.
            question: what is compared.
            grid: a Dataset with the fine coordinates, y and x as its first spatial dimensions.
            areas: parts of the grid to score on their own, from `regions`.
        """
        self._folder, self._systems, self._question, self._grid = folder, list(systems), question, grid
        whole = whole_area(grid)
        self._areas = {ALL: whole, **(areas or {})}
        self._tasks: dict[Key, Task] = {}
        for name, area in self._areas.items():
            for task in list_tasks(question, area):
                if name == ALL or not task.needs_input:
                    self._tasks[name, task.variable, task.score.name] = task
        self._dropped: dict[Key, str] = {}
        self._refused: list[str] = []
        shape = (whole.rows.size, whole.columns.size)
        keys = [(system, v.name) for system in systems for v in question.variables]
        self._sums = {key: np.zeros((3, *shape)) for key in keys}  # error, its square, times
        self._counts = {
            (name, v.name): np.zeros(NUM_VALUE_BINS) for name in ("truth", *systems) for v in question.variables
        }
        self._path = folder / "parts.nc"
        self._partial = folder / ".parts.nc.partial"
        self._writer = PartsWriter(self._partial, systems)

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
        """
        parts: dict[Key, dict[str, FloatArray]] = {}
        for name, area in self._areas.items():
            there = with_winds({v: area.cut(f) for v, f in truth.items()}, self._question.winds, area)
            for system, fields in made.items():
                cut = with_winds({v: area.cut(f) for v, f in fields.items()}, self._question.winds, area)
                for key, task in self._tasks.items():
                    if key[0] == name and key not in self._dropped:
                        self._run(key, task, system, (cut, there, coarse or {}), parts)
        kept = {key: found for key, found in parts.items() if key not in self._dropped}
        self._writer.append(_clock(times), kept)
        self._add_up(made, truth)

    def _run(
        self, key: Key, task: Task, system: str, fields: tuple[Any, Any, Any], parts: dict[Key, dict[str, FloatArray]]
    ) -> None:
        """One task; a score that the truth does not allow is dropped, a bad prediction is an error."""
        if task.score.needs is not None:
            truth = fields[1][task.variable]
            try:
                task.score.needs(np.isfinite(truth))
            except (GridError, SourceError) as error:
                self._dropped[key] = str(error)
                return
        parts.setdefault(key, {})[system] = task.compute(*fields)

    def _add_up(self, made: Mapping[str, Members], truth: Truth) -> None:
        """Errors cell by cell, and how often each value occurs."""
        for variable in self._question.variables:
            true = np.asarray(truth[variable.name], dtype=np.float64)
            there = np.isfinite(true)
            margin = 0.25 * variable.data_range
            edges = np.linspace(variable.low - margin, variable.high + margin, NUM_VALUE_BINS + 1)
            self._counts["truth", variable.name] += _histogram(true[there], edges)
            for system, fields in made.items():
                members = np.asarray(fields[variable.name], dtype=np.float64)
                error = np.where(there, members.mean(axis=1) - true, 0.0)
                sums = self._sums[system, variable.name]
                sums[0] += error.sum(0)
                sums[1] += (error**2).sum(0)
                sums[2] += there.sum(0)
                shown = members[np.broadcast_to(there[:, None], members.shape)]
                self._counts[system, variable.name] += _histogram(shown, edges) / members.shape[1]

    def finish(self, *, by: Iterable[str] = (), more: pd.DataFrame | None = None, **options: Any) -> pd.DataFrame:
        """Write `parts.nc`, `scores.csv`, `scores.nc`, `cells.nc`, `quantiles.nc`, `cycles.nc`, `ranks.nc`; return the table.

        The last two only where there is more than one hour or season, and an ensemble.

        Args:
            by: see `score_table`.
            more: rows to add that are no parts.
            **options: level, block, num_resamples, seed; see `score_table`.
        """
        self._writer.close(self._dropped)
        self._partial.replace(self._path)
        with PartsReader(self._path) as reader:
            table = score_table(reader, self._tasks, by=by, **options)
            tables = {"cycles": cycles(reader, self._tasks), "ranks": ranks(reader)}
        self._refused = table.attrs["notes"]
        if more is not None:
            table = pd.concat([table, more], ignore_index=True)
        with replacing(self._folder / "scores.csv") as temporary:
            table.to_csv(temporary, index=False)
        tables |= {"scores": as_dataset(table), "cells": self._cells(), "quantiles": self._quantiles()}
        for name, fields in tables.items():
            if not fields.data_vars:
                (self._folder / f"{name}.nc").unlink(missing_ok=True)
                continue
            with replacing(self._folder / f"{name}.nc") as temporary:
                fields.to_netcdf(temporary, engine="h5netcdf")
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
        names = ["truth", *self._systems]
        out = xr.Dataset(coords={"system": names, "probability": PROBABILITIES})
        for variable in self._question.variables:
            margin = 0.25 * variable.data_range
            edges = np.linspace(variable.low - margin, variable.high + margin, NUM_VALUE_BINS + 1)
            rows = [_quantiles(self._counts[name, variable.name], edges) for name in names]
            attrs = {"units": variable.units, "bin_width": float(edges[1] - edges[0])}
            out[variable.name] = (("system", "probability"), np.stack(rows), attrs)
        return out

    def abandon(self) -> None:
        """Leave nothing half-written behind."""
        self._partial.unlink(missing_ok=True)


def whole_area(grid: xr.Dataset) -> Area:
    """The whole grid, its cells weighted by area where it is a sphere."""
    y, x = spatial_dims(grid)
    rows, columns = (np.arange(grid.sizes[d]) for d in (y, x))
    known = {d: grid[d] for d in (y, x) if d in grid.coords}
    if y == "latitude" and len(known) == 2:
        weights = axis_weights(grid[y])
        return Area(
            ALL,
            rows,
            columns,
            weights / weights.mean(),
            grid[y].values,
            grid[x].values,
            _sphere(grid[y]),
            is_periodic(grid),
        )
    metres = len(known) == 2 and all(str(known[d].attrs.get("units", "")) in ("m", "metre", "meter") for d in (y, x))
    if metres and x not in ANGULAR:
        return Area(ALL, rows, columns, None, grid[y].values, grid[x].values, "plane", False)
    return Area(ALL, rows, columns)


def _sphere(latitude: xr.DataArray) -> Any:
    """Derivatives along longitude have no meaning on a pole itself."""
    return "sphere" if float(np.abs(latitude.values).max()) < 90.0 - 1e-6 else None


def regions(grid: xr.Dataset) -> dict[str, Area]:
    """Parts of a grid: tropics and both extratropics where it has some of each, otherwise quarters.

    Raises:
        GridError: if the parts would be too small to score.
    """
    whole = whole_area(grid)
    y, _ = spatial_dims(grid)
    parts: dict[str, tuple[NDArray[np.intp], NDArray[np.intp]]] = {}
    if y == "latitude" and whole.y is not None:
        for name, (south, north) in BANDS.items():
            inside = np.nonzero((whole.y >= south) & (whole.y < north + (north == 90.0)))[0]
            if inside.size >= LEAST_CELLS:
                parts[name] = (inside, whole.columns)
    if len(parts) < 2:
        middle = [whole.rows.size // 2, whole.columns.size // 2]
        rows = {"northern": whole.rows[: middle[0]], "southern": whole.rows[middle[0] :]}
        columns = {"western": whole.columns[: middle[1]], "eastern": whole.columns[middle[1] :]}
        parts = {f"{r[:5]}{c} quarter": (rows[r], columns[c]) for r in rows for c in columns}
    if any(min(r.size, c.size) < LEAST_CELLS for r, c in parts.values()):
        raise GridError(
            f"by region: the grid of {whole.rows.size} x {whole.columns.size} cells falls into parts of fewer than "
            f"{LEAST_CELLS} cells along a side; leave it away."
        )
    return {name: _part(whole, name, *cells) for name, cells in parts.items()}


def _part(whole: Area, name: str, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Area:
    y, x, weights = (
        None if a is None else a[i] for a, i in ((whole.y, rows), (whole.x, columns), (whole.weights, rows))
    )
    return Area(
        name, rows, columns, weights, y, x, whole.geometry, whole.periodic_x and columns.size == whole.columns.size
    )


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
    """Values at `PROBABILITIES`, linear within a bin."""
    share = np.concatenate([[0.0], np.cumsum(counts) / counts.sum()])
    rises = np.concatenate([[True], np.diff(share) > 0])
    return np.asarray(np.interp(PROBABILITIES, share[rises], edges[rises]))
