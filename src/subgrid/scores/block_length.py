"""Runs and blocks of times: how many neighbouring times to draw together, and where a series has gaps."""

from __future__ import annotations

import itertools
import math

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from subgrid.errors import GridError, SourceError
from subgrid.scores.checks import IntArray, Series, Statistics


def block_length(series: ArrayLike, *, breaks: ArrayLike | None = None) -> int:
    """Choose how many neighbouring times to draw together.

    With autocovariances R(k), lag 0 to M, and the flat-top window ``w(s) = min(1, 2 (1 - |s|))``::

        b = (2 G^2 / D n)^(1/3),  G = sum w(k / M) |k| R(k),  D = 4/3 (sum w(k / M) R(k))^2

    both sums over positive and negative lags. M is twice the lag after which ``max(5, ceil(sqrt(log10 n)))``
    correlations in a row stay below ``2 sqrt(log10(n) / n)``. Rounded up, and held between 1 and
    ``min(3 sqrt(n), n / 3)``; where the sum in D is not positive the upper bound is used. The rule does not apply to a series
    with a cycle that does not fade (hours of the day): give a block of several cycles.

    Args:
        series: (time,), in order of time.
        breaks: as for `subgrid.scores.bootstrap.intervals`; products across a break are left out of R(k).

    Returns:
        Length in times; 1 for a constant series.

    Raises:
        GridError: not a series of at least one time; breaks outside it.
        SourceError: values that are not finite.

    References:
        Politis and White (2004), Econometric Reviews 23, 53-70, doi:10.1081/ETC-120028836, with the
        correction of Patton, Politis and White (2009), Econometric Reviews 28, 372-375,
        doi:10.1080/07474930802459016.
    """
    values = np.asarray(series, np.float64)
    checked, starts = check_statistics(values[:, None] if values.ndim == 1 else values, breaks)
    return automatic_length(checked[:, 0] - checked[:, 0].mean(), starts)


def find_breaks(times: ArrayLike) -> IntArray:
    """Find the times that begin a new run: those more than one and a half median steps after the time before.

    Args:
        times: (time,), ascending: datetime64, or numbers in any unit.

    Returns:
        Indices, ascending, without 0.

    Raises:
        SourceError: times that do not ascend.
    """
    values = np.asarray(times)
    if np.issubdtype(values.dtype, np.datetime64):
        values = values.astype("datetime64[ns]").astype(np.int64)
    steps = np.diff(values)
    if not (steps > 0).all():
        where = int(np.argmin(steps > 0)) + 1
        raise SourceError(
            f"time {where} is not after the time before it; intervals need times in ascending order. "
            "Sort the times, and the statistics with them."
        )
    return np.nonzero(steps > 1.5 * np.median(steps))[0] + 1 if len(steps) else np.empty(0, np.intp)


def merge_times(times: ArrayLike, most: int) -> tuple[IntArray, IntArray, int]:
    """Join neighbouring times to units where a series is so long that an interval does not need each of them.

    Args:
        times: (time,), as for `find_breaks`.
        most: the number of units wanted, about; a series of no more times is left as it is.

    Returns:
        Positions at which a unit of neighbouring times begins, none of them across a break; the units that begin a new run
        after a break; the usual number of times in a unit.
    """
    values = np.asarray(times)
    breaks, size = find_breaks(values), -(-values.size // most)
    edges = [0, *breaks.tolist(), values.size]
    runs = [np.arange(a, b, size, dtype=np.intp) for a, b in itertools.pairwise(edges)]
    return np.concatenate(runs), np.cumsum([run.size for run in runs[:-1]], dtype=np.intp), size


def check_statistics(statistics: ArrayLike, breaks: ArrayLike | None) -> tuple[Statistics, IntArray]:
    """Convert statistics to float64, and find the index at which each run begins."""
    values = np.asarray(statistics, np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise GridError(f"statistics have shape {values.shape}; expected (time, statistic) with at least one of each.")
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise SourceError(f"{bad} of {values.size} statistics are not finite; an interval of the rest would hide them.")
    given = np.unique(np.asarray([] if breaks is None else breaks, np.intp))
    if given.size and not 0 <= given[0] <= given[-1] < len(values):
        raise GridError(
            f"breaks run from {given[0]} to {given[-1]}; expected indices of the {len(values)} times, each the "
            "first after a gap."
        )
    return values, np.unique(np.append(given, 0))


def automatic_length(series: Series, starts: IntArray) -> int:
    """The rule of `block_length`, for a checked series (time,) with mean zero and the index at which each run begins."""
    num_times = len(series)
    longest = max(1, min(math.ceil(3 * math.sqrt(num_times)), num_times // 3))
    in_a_row = max(5, math.ceil(math.sqrt(math.log10(num_times))))
    largest = math.ceil(math.sqrt(num_times)) + in_a_row
    covariance = autocovariance(series, starts, min(largest + in_a_row, num_times - 1))
    if covariance[0] <= 0:
        return 1
    small = np.abs(covariance[1:] / covariance[0]) < 2 * math.sqrt(math.log10(num_times) / num_times)
    quiet = [lag for lag in range(largest) if small[lag : lag + in_a_row].all()]
    cut = min(2 * max(quiet[0] if quiet else largest, 1), largest, len(covariance) - 1)
    lags = np.arange(1, cut + 1)
    tapered = np.minimum(1.0, 2 * (1 - lags / cut)) * covariance[1 : cut + 1]
    spectrum = covariance[0] + 2 * tapered.sum()
    if spectrum <= 0:
        return longest
    length = (1.5 * (2 * (lags * tapered).sum() / spectrum) ** 2 * num_times) ** (1 / 3)
    return int(np.clip(math.ceil(length), 1, longest))


def autocovariance(series: Series, starts: IntArray, num_lags: int) -> Float64[np.ndarray, " {num_lags}+1"]:
    """Autocovariances at lags 0 to num_lags of a series with mean zero, pairs within a run only."""
    run = np.searchsorted(starts, np.arange(len(series)), side="right")
    later = (float((series[lag:] * series[:-lag])[run[lag:] == run[:-lag]].sum()) for lag in range(1, num_lags + 1))
    return np.asarray([float(series @ series), *later]) / len(series)
