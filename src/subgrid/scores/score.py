"""What a score is: additive parts per time, a finish, and how its number is to be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from subgrid.scores.checks import BoolArray, FloatArray

Option = Literal["data_range", "factor", "weights", "low", "high", "periodic_x"]


@dataclass(frozen=True)
class Score:
    """One score: how it is computed and how its number is to be read.

    Attributes:
        name: its key in `SCORES`, or the name that `find_score` reads.
        statistics: ``statistics(prediction, reference, **options)`` on arrays (time, y, x) gives float64 (time,
            num_statistics); their mean over any set of times is meaningful. Each time counts the same in it.
        from_means: mean parts (..., num_statistics) to scores (...), so a stack of means gives a stack of scores.
        units: "field" stands for the units of the variable, "field per cell" for these over a fine cell, "1" for none.
        best: the value of a perfect prediction. The distance from it ranks systems for every score.
        higher_is_better: None where a value may be wrong on both sides of the best one.
        convention: one sentence to print beside the number.
        options: which options of `compute_statistics` the parts take.
        needs: raises GridError or SourceError where the score cannot be taken, given where the reference has values:
            bool (time, y, x).
    """

    name: str
    statistics: Callable[..., FloatArray]
    from_means: Callable[[FloatArray], FloatArray]
    units: Literal["field", "field per cell", "dB", "1"]
    best: float
    higher_is_better: bool | None
    convention: str
    options: tuple[Option, ...] = ()
    needs: Callable[[BoolArray], None] | None = None

    def units_for(self, field: str) -> str:
        """Write the units of the score of a variable in `field` units, e.g. ``K`` or ``K per cell``."""
        return self.units.replace("field", field)

    def describe(
        self,
        *,
        data_range: float,
        factor: int | None,
        weights: NDArray[Any] | None = None,
        low: float | None = None,
        high: float | None = None,
        periodic_x: bool = False,
    ) -> str:
        """State the convention with the options that a number was computed with.

        Args:
            data_range: as given to `compute_statistics`.
            factor: as given to `compute_statistics`.
            weights: as given to `compute_statistics`.
            low: as given to `compute_statistics`.
            high: as given to `compute_statistics`.
            periodic_x: as given to `compute_statistics`.

        Returns:
            The convention, and in brackets the options that this score takes.
        """
        said = {
            "data_range": f"data range {data_range:g}",
            "factor": f"factor {factor}",
            "weights": "every cell counts the same" if weights is None else "cells weighted",
            "low": f"from {low if low is None else format(low, 'g')}",
            "high": f"to {high if high is None else format(high, 'g')}",
            "periodic_x": "x periodic" if periodic_x else "x not periodic",
        }
        brackets = "; ".join(said[option] for option in self.options)
        return f"{self.convention} ({brackets})" if brackets else self.convention


def only_statistic(mean: FloatArray) -> FloatArray:
    """Finish of a score that is its one part: (..., 1) -> (...), same units."""
    return mean[..., 0]


def root(mean: FloatArray) -> FloatArray:
    """Finish of a score that is the root of its one part: (..., 1) -> (...), the root of the part's units."""
    return np.sqrt(mean[..., 0])


def ratio(mean: FloatArray) -> FloatArray:
    """Finish of a score that is its first part over its second: (..., 2) -> (...), without units.

    Where both are 0 they agree, and the ratio is 1; where the second alone is 0 it is infinite.
    """
    top, bottom = mean[..., 0], mean[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((top == 0) & (bottom == 0), 1.0, top / bottom)
