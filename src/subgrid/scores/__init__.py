"""Scores of a prediction compared with a reference, by numpy alone.

A score is statistics of each time, and a function of their means (the `Statistic` and `values_from_mean_statistics` of
WeatherBench-X). A caller streams: `compute_statistics` for one block of times after another, `join_statistics`, then
`scores_from_statistics`. Because that function sees only means over times, RMSE is the root of the mean square over all
times and never a mean of roots; seasons, hours, regions, intervals and paired comparisons are means of the same statistics.
Each time has the same weight in every score, however many of its cells are missing.

What holds for every function ``NAME_statistics(prediction, reference, ...)`` of this package, unless it says otherwise:

- `prediction` and `reference` are fields (time, y, x) of one variable in the same units. They are converted to float64. Cells
  in which the reference is missing (NaN or masked) are left out of both; see `subgrid.scores.checks`.
- `weights` are relative weights of cells, (y,) or (y, x), such as their areas; None gives all cells the same weight.
- `data_range` is the maximum minus the minimum of the *training* truth in the units of the fields, never that of the image
  at hand, so that images, systems and periods have one scale.
- It returns float64 (time, statistic), quantities that may be averaged over times.
- It raises GridError for shapes that differ or are not (time, y, x), for fields too small for the score and for unusable
  weights, and SourceError for values that are not finite where the reference has one, for a time without any value of the
  reference, for gaps that the score cannot leave out, and for a data range that is not positive.

A function of mean statistics maps (..., statistic) to (...), so that a stack of means gives a stack of scores.
`subgrid.scores.registry` lists all scores.
"""

from subgrid.scores.compute import (
    compare_field_sets,
    compute_statistics,
    join_statistics,
    scores_from_statistics,
    unusable_scores,
)
from subgrid.scores.distribution import quantile_error
from subgrid.scores.neighbourhood import fss
from subgrid.scores.registry import REGISTRY, SCORES, describe_score, find_score
from subgrid.scores.score import Score
from subgrid.scores.spectra import power_spectrum

__all__ = [
    "REGISTRY",
    "SCORES",
    "Score",
    "compare_field_sets",
    "compute_statistics",
    "describe_score",
    "find_score",
    "fss",
    "join_statistics",
    "power_spectrum",
    "quantile_error",
    "scores_from_statistics",
    "unusable_scores",
]
