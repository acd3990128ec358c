"""What the registry states about each score, and the functions of mean statistics that several scores share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from subgrid.scores.checks import FloatArray, Means, Statistics, Valid, Values, Weights

Option = Literal["data_range", "factor", "weights", "low", "high", "periodic_x"]
Need = Literal["factor", "coarse input", "members", "wind"]

Bounds = tuple[float, float]
NOT_NEGATIVE: Bounds = (0.0, math.inf)
SHARE: Bounds = (0.0, 1.0)
CORRELATION: Bounds = (-1.0, 1.0)

NEEDS: dict[Need, str] = {
    "factor": "the factor (fine cells per coarse cell)",
    "coarse input": "the coarse input and the factor",
    "members": "members along realization",
    "wind": "both components of a wind in m s-1",
}


@dataclass(frozen=True, kw_only=True)
class Description:
    """How the number of a score is to be read.

    Attributes:
        name: as in `scores.csv`.
        units: `field` stands for the units of the variable, `field per cell` for these per fine cell, `1` for no units.
        best: value of a perfect prediction, NaN where there is none. Systems are ranked by their distance from it.
        higher_is_better: None where a value can be wrong on both sides of the best one.
        convention: one sentence to print with the number; ``{factor}`` stands for the factor.
        main: whether the terminal and the page show it among the main scores.
        bounds: the smallest and the largest value that the score can have, in its units; intervals end there.
        needs: what has to be given beyond a prediction and a reference, a key of `NEEDS`; None for nothing.
    """

    name: str
    units: Literal["field", "field per cell", "degrees", "dB", "1"]
    best: float
    higher_is_better: bool | None
    convention: str
    main: bool = False
    bounds: Bounds = (-math.inf, math.inf)
    needs: Need | None = None

    def units_for(self, field: str) -> str:
        """Write the units of the score of a variable in `field` units, e.g. ``K`` or ``K per cell``."""
        return self.units.replace("field", field)


@dataclass(frozen=True, kw_only=True)
class Score(Description):
    """A score that is a function of mean statistics.

    Attributes:
        statistics: computes the statistics of each time, float64 (time, statistic). Their mean over any set of times is
            meaningful, and each time has the same weight in it.
        from_means: turns mean statistics (..., statistic) into scores (...), so that a stack of means gives a stack of
            scores.
        options: the options of `compute_statistics` that `statistics` takes.
        check: raises GridError or SourceError where the score cannot be computed, given where the reference has values.
        each_member: whether, of an ensemble, it is computed for each member and averaged, and not for the mean of the
            members. The mean is smooth whatever the members are, so this holds for scores of texture and of values.
    """

    statistics: Callable[..., Statistics]
    from_means: Callable[[Means], Values]
    options: tuple[Option, ...] = ()
    check: Callable[[Valid], None] | None = None
    each_member: bool = False

    def describe(
        self,
        *,
        data_range: float = 1.0,
        factor: int | None = None,
        weights: Weights = None,
        low: float | None = None,
        high: float | None = None,
        periodic_x: bool = False,
    ) -> str:
        """State the convention, and in brackets the options of this score; arguments as for `compute_statistics`."""
        texts = {
            "data_range": f"data range {data_range:g}",
            "factor": f"factor {factor}",
            "weights": "every cell counts the same" if weights is None else "cells weighted",
            "low": f"from {low if low is None else format(low, 'g')}",
            "high": f"to {high if high is None else format(high, 'g')}",
            "periodic_x": "x periodic" if periodic_x else "x not periodic",
        }
        brackets = "; ".join(texts[option] for option in self.options)
        convention = self.convention.replace("{factor}", str(factor))
        return f"{convention} ({brackets})" if brackets else convention


@dataclass(frozen=True, kw_only=True)
class FieldSetScore(Description):
    """A score that compares a set of fields with another set, in which no field corresponds to another.

    Attributes:
        compute: ``compute(prediction, reference, factor)`` of fields (n, y, x) and (m, y, x).
    """

    compute: Callable[[FloatArray, FloatArray, int], float]


def only_statistic(mean: Means) -> Values:
    """Return the one statistic itself: (..., 1) -> (...), same units."""
    return np.asarray(mean[..., 0], np.float64)


def root(mean: Means) -> Values:
    """Return the root of the one statistic: (..., 1) -> (...), the root of its units."""
    return np.asarray(np.sqrt(mean[..., 0]), np.float64)


def ratio(mean: Means) -> Values:
    """Return the first statistic divided by the second: (..., 2) -> (...), no units.

    Where both are 0 the ratio is 1; where only the second is 0 it is infinite.
    """
    top, bottom = mean[..., 0], mean[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((top == 0) & (bottom == 0), 1.0, top / bottom)
