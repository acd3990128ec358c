"""The difference of two systems that were each trained with several seeds, with an interval over times and seeds.

Two things make such a difference uncertain: another seed gives other networks, and other weather gives other scores. The
seeds are few, so their part is Student's interval of the differences of runs of equal seed. The times are many and similar,
so their part is the moving-block bootstrap of `subgrid.scores.bootstrap`, applied to the mean of these differences over
seeds. The two errors are independent, so the distances from the estimate to the ends of both intervals are combined by the
root of their sum of squares, separately for each side.

References:
    Howe (1974), Journal of the American Statistical Association 69, 789-794, doi:10.1080/01621459.1974.10480206.
    Zou and Donner (2008), Statistics in Medicine 27, 1693-1702, doi:10.1002/sim.3095.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike
from scipy import stats

from subgrid.errors import GridError
from subgrid.scores.bootstrap import FromMeans, intervals
from subgrid.scores.checks import AnyStatistics

FEWEST_SEEDS = 2


@dataclass(frozen=True)
class SeedInterval:
    """A mean difference over seeds.

    Attributes:
        value: mean over seeds of the differences, in the units of the score.
        lower: lower end; NaN where no interval can be computed.
        upper: upper end, likewise.
        of_seeds: half width from the seeds alone.
        of_times: half width from the times alone, the mean of both sides.
        reason: why there is no interval, or None.
    """

    value: float
    lower: float
    upper: float
    of_seeds: float
    of_times: float
    reason: str | None = None

    @property
    def significant(self) -> bool | None:
        """Whether the interval excludes 0; None where there is no interval."""
        return None if math.isnan(self.lower) else not self.lower <= 0 <= self.upper


def paired_over_seeds(
    statistics_a: Sequence[AnyStatistics],
    statistics_b: Sequence[AnyStatistics],
    from_means: FromMeans,
    *,
    best: float | None = None,
    level: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
    breaks: ArrayLike | None = None,
) -> SeedInterval:
    """Compute the difference of the scores of two systems, a minus b, over runs of equal seed at equal times.

    Args:
        statistics_a: of each run of one system, in order of time.
        statistics_b: of the runs of the other system with the same seeds. Where one of the two has a single run (a baseline,
            which has no seed), it is compared with each run of the other.
        from_means: the function of mean statistics of the score.
        best: as for `subgrid.scores.bootstrap.paired`.
        level: this and the following as for `subgrid.scores.bootstrap.intervals`.
        num_resamples: number of resamples of the times.
        seed: of the resamples.
        breaks: indices of the times after a gap.

    Returns:
        The interval. Without ends and with a reason where there are fewer than two seeds or the times allow no interval.

    Raises:
        GridError: runs that differ in shape or number.
    """
    runs_a, runs_b = _pair_runs(statistics_a, statistics_b)

    def differences(mean: Float64[np.ndarray, "*batch all"]) -> Float64[np.ndarray, "*batch seed"]:
        scores = from_means(mean.reshape(*mean.shape[:-1], 2, len(runs_a), -1))
        distances = scores if best is None else np.abs(scores - best)
        return np.asarray(distances[..., 0, :] - distances[..., 1, :])

    both = np.concatenate([*runs_a, *runs_b], axis=-1)
    of_each = differences(both.mean(axis=0))
    value = float(of_each.mean())
    none = SeedInterval(value, math.nan, math.nan, math.nan, math.nan)
    if len(runs_a) < FEWEST_SEEDS:
        return replace(none, reason="one seed; an interval needs two or more, and three to be useful")
    options = {"level": level, "num_resamples": num_resamples, "seed": seed, "breaks": breaks}
    times = intervals(both, lambda mean: differences(mean).mean(axis=-1), **options)  # type: ignore[arg-type]
    if times.reason:
        return replace(none, reason=times.reason)
    half = student_half_width(of_each, level)
    lower, upper = (math.hypot(half, value - end) for end in (times.lower, times.upper))
    return SeedInterval(value, value - lower, value + upper, half, (times.upper - times.lower) / 2)


def _pair_runs(
    statistics_a: Sequence[AnyStatistics], statistics_b: Sequence[AnyStatistics]
) -> tuple[list[AnyStatistics], list[AnyStatistics]]:
    """As many runs on both sides, a single one repeated."""
    sides = [[np.asarray(run, np.float64) for run in runs] for runs in (statistics_a, statistics_b)]
    most = max(map(len, sides))
    runs_a, runs_b = (runs * most if len(runs) == 1 else runs for runs in sides)
    if not runs_a or len({run.shape for run in (*runs_a, *runs_b)}) != 1 or len(runs_a) != len(runs_b):
        shapes_a, shapes_b = ([run.shape for run in runs] for runs in (runs_a, runs_b))
        raise GridError(
            f"statistics of paired runs have shapes {shapes_a} and {shapes_b}; expected equal numbers of runs of one shape."
        )
    return runs_a, runs_b


def student_half_width(values: Float64[np.ndarray, " seed"], level: float) -> float:
    """Half width of Student's interval of the mean of a few independent values."""
    scale = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(stats.t.ppf(0.5 + level / 2, len(values) - 1)) * scale
