"""How far the values of one source lie from those of another: a mean against a mean and a standard deviation."""

from __future__ import annotations

import math
from typing import NamedTuple

import dask
import numpy as np
import xarray as xr

MAX_DEVIATIONS = 6.0  # standard deviations that the mean of a source may lie from the mean that it is compared with
SAMPLE_TIMES = 16  # evenly spaced, the first and the last among them; moments are taken over them and all cells


class Moments(NamedTuple):
    """Mean and standard deviation, in the units of a field, over some of its times; NaN where no value is finite."""

    mean: float
    std: float
    num_times: int


def sample_moments(field: xr.DataArray) -> Moments:
    """Read at most `SAMPLE_TIMES` evenly spaced times of a field, one by one, and compute the moments of the finite values."""
    num_times = field.sizes.get("valid_time", 1)
    positions = np.unique(np.linspace(0, num_times - 1, min(num_times, SAMPLE_TIMES)).round().astype(int))
    count, total, squares, origin = 0, 0.0, 0.0, math.nan
    for start in map(int, positions):
        with dask.config.set(scheduler="synchronous"):
            # A slice, because positions in a lazy array read whole blocks of times.
            part = field.isel(valid_time=slice(start, start + 1)) if "valid_time" in field.dims else field
            values = part.values.astype(np.float64)
        values = values[np.isfinite(values)]
        if values.size:
            origin = float(values[0]) if math.isnan(origin) else origin  # keeps the precision where the mean is large
            count += values.size
            total += float((values - origin).sum())
            squares += float(((values - origin) ** 2).sum())
    if not count:
        return Moments(math.nan, math.nan, positions.size)
    shift = total / count
    return Moments(origin + shift, math.sqrt(max(squares / count - shift**2, 0.0)), positions.size)


def deviations(mean: float, reference_mean: float, reference_std: float) -> float:
    """Distance of a mean from a reference in its standard deviations; 0 where a mean is missing or the reference constant."""
    if math.isnan(mean) or not reference_std > 0.0:
        return 0.0
    return abs(mean - reference_mean) / reference_std
