"""Intervals of scores over time, by a moving-block bootstrap of their statistics.

Neighbouring times are similar, so a week of hourly fields holds far less information than 168 independent ones. Whole blocks
of neighbouring times are therefore drawn with replacement, and the score is computed from the mean statistics of each draw.

The blocks are windows of `block` times that slide over each unbroken run of times, beginning before its first time and
ending after its last, and are cut to the run: every time lies in the same number of windows, none reaches across a break,
and a run shorter than a block is one window. Blocks alone make intervals too narrow: with autocorrelation 0.8 and 100 times,
95 % intervals hold the true value in 79 % of cases. Three rules correct this:

1. Fewer blocks are drawn than fill the series, so that resamples vary as the score itself does. How many is
   what an autoregressive series with the lag-one correlation of this one needs, exactly; the correlation is corrected for
   its bias (Kendall 1954) and increased by one standard error, because a value that is too small is the worse error.
2. Still fewer, so that the quantiles are those of Student's distribution and not of the normal one: the variance was
   estimated from few blocks. The degrees of freedom are those of a mean of squares of overlapping windows, from their
   kurtosis.
3. The percentiles are accelerated for skewness (Efron 1987), and the resamples are shifted by their own bias.

In a long series the statistics are means over units of neighbouring times, of which some hold fewer times than others
(before a gap). A unit then counts by its number of times: in the score, in its influence, and in each resample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64, Num
from numpy.typing import ArrayLike
from scipy import sparse, stats

from subgrid.errors import ConfigError, GridError
from subgrid.scores.block_length import autocovariance, automatic_length, check_statistics
from subgrid.scores.checks import IntArray, Means, Series, Statistics, Values
from subgrid.scores.score import Bounds

FromMeans = Callable[[Means], Values]

MINIMUM_TIMES = 15
_MINIMUM_DRAWS = 1.0
_FEWEST_DRAWS = 4.0
_MAXIMUM_CORRELATION = 0.97
_MAXIMUM_ACCELERATION = 0.25
_ROUNDING = 1e-13
# Draws held at once; the result does not depend on it.
_CHUNK_DRAWS = 1 << 20


@dataclass(frozen=True)
class Interval:
    """A score with its interval.

    Attributes:
        value: the score of all times.
        lower: lower end, in the units of the score; NaN where no interval can be computed.
        upper: upper end, likewise.
        block: length of the blocks, in times; 0 where none were drawn.
        reason: why there is no interval, or None.
    """

    value: float
    lower: float
    upper: float
    block: int
    reason: str | None = None

    @property
    def significant(self) -> bool | None:
        """Of a difference: whether the interval excludes 0; None where there is no interval."""
        return None if math.isnan(self.lower) else not self.lower <= 0 <= self.upper


@dataclass(frozen=True)
class _Windows:
    """The blocks to draw from: the sums of each, and its number of times."""

    sums: Float64[np.ndarray, "window statistic"]  # weighted deviations from the mean
    influence: Float64[np.ndarray, " window"]
    times: Float64[np.ndarray, " window"]
    weight: Float64[np.ndarray, " window"]  # sum of the weights of its times; without weights their number
    rounding: Float64[np.ndarray, " statistic"]  # below it a mean is 0


def intervals(
    statistics: ArrayLike,
    from_means: FromMeans,
    *,
    level: float = 0.95,
    block: int | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
    breaks: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    bounds: Bounds = (-math.inf, math.inf),
) -> Interval:
    """Compute a score with a confidence interval.

    The same arguments give the same interval. In simulations with autocorrelation 0, 0.5 and 0.8 and 100 to 400 times, a 95 %
    interval covers 90 to 98 %; docs/verification.md has the table.

    Args:
        statistics: (time, statistic), in order of time.
        from_means: the function of mean statistics of the score.
        level: the share of such intervals that should hold the true value, between 0 and 1.
        block: length of the blocks, in times; None estimates it by `block_length` of the influence values of the score.
        num_resamples: number of resamples, 100 or more.
        seed: of the resamples.
        breaks: indices of the times that begin a new run after a gap, as `subgrid.scores.block_length.find_breaks` finds
            them.
        weights: (time,), the number of times that each row of the statistics is the mean of; by default every row counts the
            same.
        bounds: the smallest and the largest value that the score can have; the interval ends there at the latest.

    Returns:
        The interval. Without ends and with a reason where there are fewer than 15 times, where the times are too similar, or
        where the score is not finite.

    Raises:
        ConfigError: a level, block or number of resamples that cannot be used.
        GridError: statistics that are not (time, statistic) with at least one of each; breaks outside them; weights that
            are not one positive number for each time.
        SourceError: statistics that are not finite.

    References:
        Kuensch (1989), Annals of Statistics 17, 1217-1241, doi:10.1214/aos/1176347265 (blocks). Efron (1987), Journal of the
        American Statistical Association 82, 171-185, doi:10.1080/01621459.1987.10478410 (acceleration). Kendall (1954),
        Biometrika 41, 403-404, doi:10.1093/biomet/41.3-4.403 (bias of the lag-one correlation).
    """
    values, starts = check_statistics(statistics, breaks)
    check_options(level, block, num_resamples, len(values))
    relative = _relative_weights(weights, len(values))
    with np.errstate(all="ignore"):
        found = _interval(values, relative, starts, from_means, level, block, (num_resamples, seed))
    lower, upper = (float(np.clip(end, *bounds)) for end in (found.lower, found.upper))
    return replace(found, lower=min(lower, found.value), upper=max(upper, found.value)) if found.block else found


def _relative_weights(weights: ArrayLike | None, num_times: int) -> Series | None:
    """Weights with mean 1; None where every time counts the same."""
    if weights is None:
        return None
    given = np.asarray(weights, np.float64)
    if given.shape != (num_times,) or not (np.isfinite(given) & (given > 0)).all():
        raise GridError(
            f"weights have shape {given.shape}; expected one positive number for each of {num_times} times."
        )
    return None if (given == given[0]).all() else given / given.mean()


def _interval(
    values: Statistics,
    weights: Series | None,
    starts: IntArray,
    from_means: FromMeans,
    level: float,
    block: int | None,
    resampling: tuple[int, int],
) -> Interval:
    """Compute the interval of checked statistics; `resampling` is the number of resamples and the seed."""
    mean = values.mean(axis=0) if weights is None else (weights @ values) / len(values)
    value = float(from_means(mean))
    none = Interval(value, math.nan, math.nan, 0)
    if len(values) < MINIMUM_TIMES:
        return replace(none, reason=f"{len(values)} times; an interval needs {MINIMUM_TIMES} or more")
    # A constant statistic leaves zero here and not rounding.
    deviations = np.where(np.ptp(values, axis=0) == 0, 0.0, values - mean)
    if weights is not None:
        deviations = deviations * weights[:, None]
    influence = _influence(deviations, weights, mean, from_means)
    if not (math.isfinite(value) and np.isfinite(influence).all()):
        return replace(none, reason="the score is not finite for all times or without one of them")
    length = automatic_length(influence, starts) if block is None else block
    windows = _windows(values, deviations, influence, weights, starts, length)
    tail = _student(windows, len(values), level)
    num_draws = _num_draws(windows, influence, starts) / tail**2
    while num_draws < _FEWEST_DRAWS and length > 1 and block is None:
        # Shorter blocks, of which more are drawn: the spread stays, and the resamples differ.
        length = (length + 1) // 2
        windows = _windows(values, deviations, influence, weights, starts, length)
        num_draws = _num_draws(windows, influence, starts) / tail**2
    if num_draws < _MINIMUM_DRAWS:
        return replace(none, reason="autocorrelation leaves too few independent times: less than one block")
    scores = _resample(windows, mean, from_means, num_draws, *resampling)
    if not np.isfinite(scores).all():
        return replace(none, reason="the score is not finite for some of the resampled times")
    lower, upper = np.quantile(scores, _percentiles(windows.influence, num_draws, level)) - np.mean(scores - value)
    return Interval(value, float(lower), float(upper), length)


def paired(
    statistics_a: ArrayLike,
    statistics_b: ArrayLike,
    from_means: FromMeans,
    *,
    best: float | None = None,
    level: float = 0.95,
    block: int | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
    breaks: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> Interval:
    """Compute the difference of the scores of two systems, a minus b, with a confidence interval.

    Both are drawn with the same blocks, so that hard and easy times cancel: the difference can be significant although the
    intervals of the two scores overlap. Where its interval includes 0 it is not significant.

    Args:
        statistics_a: of one system, (time, statistic), in order of time.
        statistics_b: of the other, at the same times.
        from_means: the function of mean statistics of the score.
        best: the score of a perfect prediction; then the difference is that of the distances from it, ``|a - best| - |b -
            best|``, below 0 where a is better. None compares the scores as they are.
        level: this and the following as for `intervals`, which also raises the errors for them.
        block: see `intervals`.
        num_resamples: see `intervals`.
        seed: see `intervals`.
        breaks: see `intervals`.
        weights: see `intervals`.

    Raises:
        GridError: statistics of different shapes.
    """
    if np.shape(statistics_a) != np.shape(statistics_b):
        raise GridError(
            f"statistics of the two systems have shapes {np.shape(statistics_a)} and {np.shape(statistics_b)}; expected the "
            "same (time, statistic). Score both at the same times."
        )

    def difference(mean: Means) -> Values:
        half = mean.shape[-1] // 2
        a, b = from_means(mean[..., :half]), from_means(mean[..., half:])
        return np.asarray(a - b if best is None else np.abs(a - best) - np.abs(b - best), np.float64)

    both = np.concatenate([np.asarray(statistics_a, np.float64), np.asarray(statistics_b, np.float64)], axis=-1)
    options: dict[str, Any] = {"level": level, "block": block, "num_resamples": num_resamples, "seed": seed}
    return intervals(both, difference, breaks=breaks, weights=weights, **options)


def check_options(level: float, block: int | None, num_resamples: int, num_times: int) -> None:
    """Refuse options of `intervals` that cannot be used for a number of times.

    Raises:
        ConfigError: a level, block or number of resamples that cannot be used.
    """
    if not 0 < level < 1:
        raise ConfigError(f"level is {level}; expected a share between 0 and 1, such as 0.95.")
    if num_resamples < 100:
        raise ConfigError(f"num_resamples is {num_resamples}; expected 100 or more, 1000 for a 95 % interval.")
    longest = max(1, num_times // 3)
    if block is not None and not 1 <= block <= longest and num_times >= MINIMUM_TIMES:
        raise ConfigError(
            f"block is {block} times; expected 1 to {longest}, a third of the {num_times} times. Leave it out to "
            "have it estimated."
        )


def _influence(deviations: Statistics, weights: Series | None, mean: Means, from_means: FromMeans) -> Series:
    """Influence of each time on the score: the score with that time counted twice, minus the score, times n + 1.

    The deviations are weighted already; with weights, n + 1 is n plus the weight of the time.

    This way the mean of the statistics stays a possible one, whereas a step along a gradient could leave their range (a
    negative square).
    """
    if weights is None:
        weight = len(deviations) + 1
        moved = from_means(mean + deviations / weight) - from_means(mean)
        return np.asarray((moved - moved.mean()) * weight, np.float64)
    sums = len(deviations) + weights
    influence = (from_means(mean + deviations / sums[:, None]) - from_means(mean)) * sums
    return np.asarray(influence - influence.mean(), np.float64)


def _windows(
    values: Statistics,
    deviations: Statistics,
    influence: Series,
    weights: Series | None,
    starts: IntArray,
    length: int,
) -> _Windows:
    """All windows of a length over the runs that begin at `starts`."""
    num_times, num_statistics = deviations.shape
    running = np.zeros((num_times + 1, num_statistics + 1))  # in place: a copy of ten years of hours is large
    np.cumsum(deviations, axis=0, out=running[1:, :-1])
    np.cumsum(influence, out=running[1:, -1])
    begins, ends = [], []
    for first, after in zip(starts, np.append(starts[1:], len(deviations)), strict=True):
        end = np.arange(first + 1, after + length)
        begins.append(np.maximum(end - length, first))
        ends.append(np.minimum(end, after))
    begin, end = np.concatenate(begins), np.concatenate(ends)
    sums, times = running[end] - running[begin], (end - begin).astype(np.float64)
    total = None if weights is None else np.append(0.0, np.cumsum(weights))
    weight = times if total is None else total[end] - total[begin]
    return _Windows(sums[:, :-1], sums[:, -1], times, weight, _ROUNDING * np.abs(values).max(axis=0))


def _num_draws(windows: _Windows, influence: Series, starts: IntArray) -> float:
    """Number of windows whose mean varies as the score does: rule 1 of the module."""
    num_times, times = len(influence), windows.times
    correlation = _persistence(influence, starts)
    runs = np.diff(np.append(starts, num_times))
    of_mean = float(runs @ _inflation(correlation, runs)) / num_times**2
    of_window = float(np.mean(times * _inflation(correlation, times)) - np.mean(times**2) * of_mean)
    return of_window / float(np.mean(times)) ** 2 / of_mean


def _student(windows: _Windows, num_times: int, level: float) -> float:
    """Student's quantile over the normal's: rule 2 of the module."""
    squares = windows.influence**2
    kurtosis = max(3.0, float(np.mean(squares**2) / np.mean(squares) ** 2)) if squares.any() else 3.0
    overlap = 1.5 if windows.times.max() > 1 else 1.0
    freedom = max(2.0, overlap * num_times / float(np.mean(windows.times)) * 2 / (kurtosis - 1) - 1)
    tail = 0.5 + level / 2
    return float(stats.t.ppf(tail, freedom) / stats.norm.ppf(tail))


def _persistence(influence: Series, starts: IntArray) -> float:
    """Lag-one correlation, corrected for bias and increased by one standard error, between 0 and 0.97."""
    zero, one = autocovariance(influence, starts, 1)
    correlation = one / zero if zero > 0 else 0.0
    num_times = len(influence)
    unbiased = min(correlation + (1 + 3 * correlation) / num_times, 1.0)
    return float(np.clip(unbiased + math.sqrt((1 - unbiased**2) / num_times), 0.0, _MAXIMUM_CORRELATION))


def _inflation(correlation: float, num_times: Num[np.ndarray, " runs"]) -> Float64[np.ndarray, " runs"]:
    """Variance of the mean of num_times values of an AR(1) series, divided by that of as many independent ones."""
    rest = 1 - correlation
    edge = 2 * correlation * (1 - correlation**num_times) / (num_times * rest**2)
    return np.asarray((1 + correlation) / rest - edge, np.float64)


def _resample(
    windows: _Windows, mean: Means, from_means: FromMeans, num_draws: float, num_resamples: int, seed: int
) -> Float64[np.ndarray, " resample"]:
    """Scores of resampled windows."""
    weights = _draw_weights(num_draws)
    rng = np.random.default_rng(seed)
    scores = []
    step = max(1, _CHUNK_DRAWS // len(weights))
    for done in range(0, num_resamples, step):
        num_rows = min(step, num_resamples - done)
        drawn = rng.integers(0, len(windows.times), (num_rows, len(weights))).ravel()
        ends = np.arange(num_rows + 1) * len(weights)
        counts = sparse.csr_array((np.tile(weights, num_rows), drawn, ends), shape=(num_rows, len(windows.times)))
        means = mean + (counts @ windows.sums) / (counts @ windows.weight)[:, None]
        # The rest of a statistic that is 0 at all the drawn times; a quotient would make it huge.
        means[np.abs(means) < windows.rounding] = 0.0
        scores.append(from_means(means))
    return np.concatenate(scores)


def _draw_weights(num_draws: float) -> Float64[np.ndarray, " draw"]:
    """Whole draws and one of less weight, so that the variance of their mean is 1 / num_draws of that of one draw."""
    whole = math.floor(num_draws)
    # The root of (num_draws - 1) w^2 - 2 whole w + whole (num_draws - whole) = 0 that is below 1.
    rest = whole * (num_draws - whole)
    last = rest / (whole + math.sqrt(max(whole**2 - (num_draws - 1) * rest, 0.0)))
    return np.append(np.ones(whole), last)


def _percentiles(
    influence: Float64[np.ndarray, " window"], num_draws: float, level: float
) -> Float64[np.ndarray, " 2"]:
    """Accelerated percentiles: rule 3 of the module."""
    spread = float(np.mean(influence**2))
    skewness = float(np.mean(influence**3)) / spread**1.5 if spread > 0 else 0.0
    acceleration = np.clip(skewness / (6 * math.sqrt(num_draws)), -_MAXIMUM_ACCELERATION, _MAXIMUM_ACCELERATION)
    shifted = acceleration + stats.norm.ppf([0.5 - level / 2, 0.5 + level / 2])
    return np.asarray(stats.norm.cdf(acceleration + shifted / (1 - acceleration * shifted)), np.float64)
