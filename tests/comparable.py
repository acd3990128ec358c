"""Fields to be compared, for the tests of scoring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from subgrid.evaluation import comparison

RNG_ROWS, RNG_COLUMNS = 20, 24


@pytest.fixture(scope="module", autouse=True)
def few_resamples() -> Iterator[None]:
    """Intervals rough and quick; tests of the bootstrap itself are elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "NUM_RESAMPLES", 100)
        yield


def winds(
    num_times: int = 24,
    *,
    seed: int = 0,
    rows: int = RNG_ROWS,
    columns: int = RNG_COLUMNS,
    step: float = 1.0,
    freq: str = "6h",
) -> xr.Dataset:
    """Smooth winds u10, v10 (m s-1) that change slowly, (time, latitude, longitude), north first."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, num_times + 3, rows + 4, columns + 4))
    for axis, width in ((1, 4), (2, 5), (3, 5)):
        noise = np.stack(
            [np.take(noise, np.arange(i, noise.shape[axis] - width + 1 + i), axis) for i in range(width)]
        ).sum(0)
    values = (3.0 + noise * 0.5).astype(np.float32)
    dims = ("time", "latitude", "longitude")
    return xr.Dataset(
        {name: (dims, values[i], {"units": "m s-1"}) for i, name in enumerate(("u10", "v10"))},
        coords={
            "time": pd.date_range("2020-02-20", periods=num_times, freq=freq),
            "latitude": ("latitude", 50.0 - step * np.arange(rows), {"units": "degrees_north"}),
            "longitude": ("longitude", 5.0 + step * np.arange(columns), {"units": "degrees_east"}),
        },
    )


def disturbed(truth: xr.Dataset, size: float, seed: int = 1) -> xr.Dataset:
    """The truth with noise of some standard deviation."""
    rng = np.random.default_rng(seed)
    return truth.map(lambda field: (field + size * rng.normal(size=field.shape)).astype(np.float32), keep_attrs=True)


def ensemble(truth: xr.Dataset, num_members: int = 4, size: float = 0.8) -> xr.Dataset:
    """Members around the truth, along `realization`."""
    return xr.concat([disturbed(truth, size, seed) for seed in range(10, 10 + num_members)], "realization")


def area(truth: xr.Dataset) -> np.ndarray:
    """Cell areas (y, x) of sum 1, from the sines of the cells' edges."""
    latitude = truth.latitude.values
    half = abs(latitude[1] - latitude[0]) / 2
    rows = [np.sin(np.deg2rad(min(90.0, y + half))) - np.sin(np.deg2rad(max(-90.0, y - half))) for y in latitude]
    full = np.repeat(np.array(rows)[:, None], truth.sizes["longitude"], axis=1)
    return full / full.sum()


def look_up(
    table: pd.DataFrame, system: str, variable: str, score: str, group: str = "all", column: str = "value"
) -> Any:
    """One number of a table."""
    rows = table[
        (table.system == system) & (table.variable == variable) & (table.score == score) & (table.group == group)
    ]
    assert len(rows) == 1, (system, variable, score, group)
    return rows[column].iloc[0]


def same_values(one: pd.DataFrame, other: pd.DataFrame, rtol: float = 1e-9) -> None:
    """The same rows with the same values, and text."""
    text = ["system", "variable", "score", "group", "units", "convention", "rank"]
    pd.testing.assert_frame_equal(one[text], other[text])
    np.testing.assert_allclose(one.value, other.value, rtol=rtol, atol=1e-9)
    np.testing.assert_allclose(one[["lower", "upper"]], other[["lower", "upper"]], rtol=1e-6, atol=1e-9)
