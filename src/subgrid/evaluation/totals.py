"""Quantities that are added up over blocks of times: errors and values of each cell, spectra, published scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from subgrid.data.grid import spatial_dims
from subgrid.data.scaling import Field
from subgrid.data.store import Store
from subgrid.run import Run
from subgrid.scores.plan import Members, Truth, Variable
from subgrid.scores.published import BATCH_TIMES, mean_of_batches, published_batches
from subgrid.scores.registry import ALL, PUBLISHED_SCORES, TRUTH, UNRANKED
from subgrid.scores.score_table import COLUMNS
from subgrid.scores.spectra import power_spectrum

NUM_VALUE_BINS = 8192
_TAIL = np.array([0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05])
PROBABILITIES = np.concatenate([_TAIL, np.arange(1, 10) / 10, 1 - _TAIL[::-1]])


class FieldTotals:
    """Errors of each cell, and histograms of all values, of several systems."""

    def __init__(self, systems: Sequence[str], variables: Sequence[Variable], grid: xr.Dataset) -> None:
        """Begin with zeros, for the fine coordinates of `grid`."""
        self._systems, self._variables, self._grid = list(systems), list(variables), grid
        shape = tuple(grid.sizes[d] for d in spatial_dims(grid))
        keys = [(system, variable.name) for system in systems for variable in variables]
        self._sums = {key: np.zeros((3, *shape)) for key in keys}  # error, its square, times
        self._counts = {
            (name, variable.name): np.zeros(NUM_VALUE_BINS) for name in (TRUTH, *systems) for variable in variables
        }

    def add(self, predictions: Mapping[str, Members], truth: Truth) -> None:
        """Add a block of times: system to variable to fields (time, member, y, x), and the truth (time, y, x)."""
        for variable in self._variables:
            true = truth[variable.name]
            valid = np.isfinite(true)
            edges = _edges(variable)
            self._counts[TRUTH, variable.name] += _histogram(true[valid], edges)
            for system, fields in predictions.items():
                members = fields[variable.name]
                error = np.where(valid, members.mean(axis=1) - true, 0.0)
                sums = self._sums[system, variable.name]
                sums[0] += error.sum(0)
                sums[1] += (error**2).sum(0)
                sums[2] += valid.sum(0)
                values = members[np.broadcast_to(valid[:, None], members.shape)]
                self._counts[system, variable.name] += _histogram(values, edges)

    def cells(self) -> xr.Dataset:
        """Mean error and RMSE of each cell, (system, y, x)."""
        y, x = spatial_dims(self._grid)
        out = xr.Dataset(coords={"system": self._systems, y: self._grid[y], x: self._grid[x]})
        for variable in self._variables:
            sums = np.stack([self._sums[system, variable.name] for system in self._systems])
            with np.errstate(invalid="ignore", divide="ignore"):
                means = sums[:, :2] / sums[:, 2:]
            attrs = {"units": variable.units}
            out[f"{variable.name}_bias"] = (("system", y, x), means[:, 0].astype(np.float32), attrs)
            out[f"{variable.name}_rmse"] = (("system", y, x), np.sqrt(means[:, 1]).astype(np.float32), attrs)
        return out

    def quantiles(self) -> xr.Dataset:
        """Quantiles of all values, (system, probability), with the precision of a bin's width."""
        names = [TRUTH, *self._systems]
        out = xr.Dataset(coords={"system": names, "probability": PROBABILITIES})
        for variable in self._variables:
            edges = _edges(variable)
            rows = [_quantiles(self._counts[name, variable.name], edges) for name in names]
            attrs = {"units": variable.units, "bin_width": float(edges[1] - edges[0])}
            out[variable.name] = (("system", "probability"), np.stack(rows), attrs)
        return out


class RunTotals:
    """Spectra, and the scores of the published study over its batches, of an evaluated run."""

    def __init__(self, run: Run, data: Store) -> None:
        """Begin with zeros."""
        self._run, self._data = run, data
        self._power: dict[tuple[str, str], Any] = {}
        self._published: dict[tuple[str, str], float] = {}
        self._scored_batches: dict[tuple[str, str], int] = {}
        self._times = self._batches = 0
        self._wavenumber = np.zeros(0)

    def add(self, fields: Mapping[str, Field]) -> None:
        """Add a block of times: the truth, and the fields (time, variable, y, x) of each system."""
        run, count = self._run, len(fields[TRUTH])
        batches = -(-count // BATCH_TIMES)
        self._times, self._batches = self._times + count, self._batches + batches
        low, high = (np.array([run.statistics[v][key] for v in run.variables]) for key in ("min", "max"))
        truth = run.scaling.scale(fields[TRUTH])
        for system, values in fields.items():
            for i, variable in enumerate(run.variables):
                self._wavenumber, power = power_spectrum(values[:, i], periodic_x=self._data.periodic)
                self._power[system, variable] = self._power.get((system, variable), 0.0) + power.sum(0)
            if system != TRUTH:
                rows = published_batches(run.scaling.scale(values), truth, minimum=low, maximum=high)
                for name, (value, scored) in mean_of_batches(rows).items():
                    key = system, name
                    self._published[key] = self._published.get(key, 0.0) + (scored * value if scored else 0.0)
                    self._scored_batches[key] = self._scored_batches.get(key, 0) + scored

    def published(self, systems: Sequence[str]) -> pd.DataFrame:
        """Rows of the published scores, of all variables at once and without intervals."""
        rows = []
        for name, score in PUBLISHED_SCORES.items():
            for system in systems:
                scored, convention = self._scored_batches[system, name], score.convention
                value = self._published[system, name] / scored if scored else np.nan
                if scored < self._batches:
                    constant = f"{self._batches - scored} of {self._batches}"
                    convention += f"; without the {constant} batches in which the truth is one value everywhere"
                rows.append((system, ALL, name, value, np.nan, np.nan, score.units, ALL, UNRANKED, convention))
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def spectra(self) -> xr.Dataset:
        """Mean spectra over all times, (system, wavelength)."""
        names = list(dict.fromkeys(system for system, _ in self._power))
        out = spectra_dataset(names, self._wavenumber, self._data.factor)
        for variable in self._run.variables:
            mean = np.stack([self._power[system, variable] / self._times for system in names])
            out[variable] = (("system", "wavelength"), mean, spectrum_attrs(self._run, variable))
        return out


def spectra_dataset(systems: Sequence[str], wavenumber: NDArray[Any], factor: int) -> xr.Dataset:
    """An empty Dataset with the coordinates of spectra; `wavenumber` in cycles per fine cell."""
    attrs = {"units": "cells", "long_name": "wavelength in fine cells"}
    coords = {"system": list(systems), "wavelength": ("wavelength", 1.0 / wavenumber, attrs)}
    return xr.Dataset(coords=coords, attrs={"factor": factor})


def spectrum_attrs(run: Run, variable: str) -> dict[str, str]:
    """Units and name of the spectrum of a variable."""
    return {"units": f"({run.statistics[variable]['units'] or '1'})^2", "long_name": "power spectral density"}


def _edges(variable: Variable) -> NDArray[np.float64]:
    """Edges of the bins for values, from a quarter of the range below it to a quarter above."""
    margin = 0.25 * variable.data_range
    return np.linspace(variable.low - margin, variable.high + margin, NUM_VALUE_BINS + 1)


def _histogram(values: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts; values beyond the bins are counted in the outermost ones."""
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].astype(np.float64)


def _quantiles(counts: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at `PROBABILITIES`, linear within the bin that holds each."""
    share = np.cumsum(counts) / counts.sum()
    holds = np.minimum(np.searchsorted(share, PROBABILITIES), np.flatnonzero(counts)[-1])
    below = share[holds] - counts[holds] / counts.sum()
    inside = (PROBABILITIES - below) * counts.sum() / counts[holds]
    return np.asarray(edges[holds] + np.clip(inside, 0.0, 1.0) * (edges[1] - edges[0]), np.float64)
