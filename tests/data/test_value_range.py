"""Moments of a sample of times, and distances in standard deviations."""

from __future__ import annotations

import math

import dask.array
import numpy as np
import pytest
import xarray as xr

from subgrid.data.value_range import SAMPLE_TIMES, deviations, sample_moments


def test_moments_are_those_of_evenly_spaced_times_and_no_other_is_read() -> None:
    values = 1e6 + np.random.default_rng(0).normal(size=(100, 4, 5)).astype(np.float32)
    values[99, 0, 0], values[0, 0, 0] = np.nan, np.inf
    read: list[int] = []

    def note(block: np.ndarray, block_info: object = None) -> np.ndarray:
        if block_info:
            read.append(block_info[0]["array-location"][0][0])  # type: ignore[index]
        return block

    lazy = dask.array.from_array(values, (1, 4, 5)).map_blocks(note, dtype=values.dtype)
    moments = sample_moments(xr.DataArray(lazy, dims=("valid_time", "y", "x")))
    positions = np.linspace(0, 99, SAMPLE_TIMES).round().astype(int)
    assert read == list(positions)
    chosen = values[positions].astype(np.float64)
    chosen = chosen[np.isfinite(chosen)]
    assert moments == pytest.approx((chosen.mean(), chosen.std(), SAMPLE_TIMES), rel=1e-9)
    assert sample_moments(xr.DataArray(values[1], dims=("y", "x"))).num_times == 1


def test_distances() -> None:
    assert deviations(10.0, 4.0, 2.0) == deviations(-2.0, 4.0, 2.0) == 3.0
    assert deviations(10.0, 4.0, 0.0) == 0.0
    nothing = sample_moments(xr.DataArray(np.full((2, 2), np.nan), dims=("y", "x")))
    assert math.isnan(nothing.mean)
    assert deviations(nothing.mean, 4.0, 2.0) == 0.0
