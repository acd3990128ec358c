"""The difference of two systems that were each trained several times, with an interval over times and seeds.

Two things make such a difference uncertain: another seed would have made other networks, and other weather would have given
other scores. The seeds are few, so what they do is told by Student's interval of the differences of runs of equal seed; the
times are many and alike, so what they do is told by the moving-block bootstrap of `subgrid.scores.bootstrap`, applied to the
mean over seeds of these differences. The two errors are independent, so the distances from the estimate to the ends of both
intervals are combined by the root of their sum of squares (Howe 1974; Zou and Donner 2008), each side on its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from subgrid.errors import GridError
from subgrid.scores.bootstrap import Finish, intervals
from subgrid.scores.checks import FloatArray

FEWEST_SEEDS = 2


@dataclass(frozen=True)
class SeedInterval:
    """A mean difference over seeds.

    Attributes:
        value: mean over seeds of the differences, in the score's units.
        lower: lower end; NaN where no interval can be given.
        upper: upper end, likewise.
        of_seeds: half width that the seeds alone would give.
        of_times: half width that the times alone would give, the mean of both sides.
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
        """Whether the interval leaves 0 out; None where there is none."""
        return None if math.isnan(self.lower) else not self.lower <= 0 <= self.upper


def paired_over_seeds(
    statistics_a: Sequence[FloatArray],
    statistics_b: Sequence[FloatArray],
    finish: Finish,
    *,
    best: float | None = None,
    level: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
    breaks: ArrayLike | None = None,
) -> SeedInterval:
    """Give the difference of two systems' scores, a minus b, over runs of equal seed at equal times.

    Args:
        statistics_a: of each run of the one system, (time, num_statistics), in order of time.
        statistics_b: of the other's runs of the same seeds. Where one of the two has a single run (a baseline, which has no
            seed), it stands beside each of the other's.
        finish: mean parts (..., num_statistics) to scores (...).
        best: the score of a perfect prediction; then the difference is that of the distances from it. None takes the
            scores as they are.
        level: the share of such intervals that should hold the truth.
        num_resamples: of the bootstrap over times.
        seed: of the bootstrap.
        breaks: as for `subgrid.scores.bootstrap.intervals`.

    Returns:
        The interval; without one, and a reason, where there are fewer than two seeds or the times allow none.

    Raises:
        GridError: runs that differ in shape or number.

    References:
        Howe (1974), Journal of the American Statistical Association 69, 789-794, doi:10.1080/01621459.1974.10480206.
        Zou and Donner (2008), Statistics in Medicine 27, 1693-1702, doi:10.1002/sim.3095.
    """
    first, second = list(statistics_a), list(statistics_b)
    num_runs = max(len(first), len(second))
    first, second = (runs * num_runs if len(runs) == 1 else runs for runs in (first, second))
    if not first or len({np.shape(one) for one in (*first, *second)}) != 1 or len(first) != len(second):
        shapes = [[np.shape(one) for one in runs] for runs in (first, second)]
        raise GridError(
            f"parts of paired runs have shapes {shapes[0]} and {shapes[1]}; expected as many, all the same."
        )

    def gaps(mean: FloatArray) -> FloatArray:
        """(..., 2 * seeds * parts) to (..., seeds)."""
        scores = finish(mean.reshape(*mean.shape[:-1], 2, len(first), -1))
        off = scores if best is None else np.abs(scores - best)
        return np.asarray(off[..., 0, :] - off[..., 1, :])

    both = np.concatenate([np.asarray(one, np.float64) for one in (*first, *second)], axis=-1)
    of_each = gaps(both.mean(axis=0))
    value = float(of_each.mean())
    none = SeedInterval(value, math.nan, math.nan, math.nan, math.nan)
    if len(first) < FEWEST_SEEDS:
        return replace(none, reason="one seed; an interval takes two or more, three to be of use")
    options = {"level": level, "num_resamples": num_resamples, "seed": seed, "breaks": breaks}
    times = intervals(both, lambda mean: gaps(mean).mean(axis=-1), **options)  # type: ignore[arg-type]
    if times.reason:
        return replace(none, reason=times.reason)
    half = student_half_width(of_each, level)
    lower, upper = (math.hypot(half, value - end) for end in (times.lower, times.upper))
    return SeedInterval(value, value - lower, value + upper, half, (times.upper - times.lower) / 2)


def student_half_width(values: FloatArray, level: float) -> float:
    """Half the width of Student's interval of the mean of a few independent values."""
    scale = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(stats.t.ppf(0.5 + level / 2, len(values) - 1)) * scale
