"""Scores of ensembles: prediction (time, member, y, x) against reference (time, y, x).

As for single fields, a score is additive parts per time and a finish of their mean; each time counts the same,
and a cell where the reference is missing is left out. Members must be there wherever the reference is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subgrid.errors import GridError, SourceError
from subgrid.scores.checks import BoolArray, FloatArray, cell_weights, check_overlap
from subgrid.scores.score import Score, only_statistic, ratio, root


def crps_statistics(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Continuous ranked probability score (CRPS) of the ensemble's own step function.

    For m members x_i and the truth y, averaged over cells::

        mean |x_i - y| - sum_ij |x_i - x_j| / (2 m^2)

    It generalises the MAE, which it equals for one member. It is proper for the m members taken as a whole
    distribution; as a sample of one, a small ensemble is charged for its size: m members drawn from the truth's
    own distribution score (m + 1) / m times the best possible. So it compares only ensembles of equal size.

    Args:
        prediction: fields (time, member, y, x).
        reference: the truth (time, y, x), same units.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 1), units of the field; best 0.

    Raises:
        GridError: shapes that do not fit; unusable weights.
        SourceError: a member not finite where the reference has a value; a time without any reference.

    References:
        Gneiting and Raftery (2007), Journal of the American Statistical Association 102, 359-378, eq. 21,
        doi:10.1198/016214506000001437.
    """
    errors, there = _errors(prediction, reference)
    num_members = errors.shape[1]
    return _average(_crps(errors, num_members**2), weights, there)


def crps_fair_statistics(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Fair CRPS: what an ensemble of infinite size would be expected to score, from m members.

    As `crps_statistics` with ``2 m (m - 1)`` for ``2 m^2``. Ensembles of different size can be compared. It may be
    below 0 at a cell; in the mean it is best for members and truth drawn from one distribution.

    Args:
        prediction: fields (time, member, y, x), 2 members or more, exchangeable.
        reference: the truth (time, y, x), same units.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 1), units of the field.

    Raises:
        GridError: shapes that do not fit; unusable weights.
        SourceError: a single member; as `crps_statistics`.

    References:
        Ferro (2014), Quarterly Journal of the Royal Meteorological Society 140, 1917-1923, doi:10.1002/qj.2270.
    """
    errors, there = _errors(prediction, reference, least=2)
    num_members = errors.shape[1]
    return _average(_crps(errors, num_members * (num_members - 1)), weights, there)


def spread_statistics(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Variance of the members about their mean (divisor m - 1), averaged over cells; with `root`, the spread.

    Args:
        prediction: fields (time, member, y, x), 2 members or more.
        reference: the truth (time, y, x), which says only where cells are left out.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 1), units of the field squared. Spread has no best value of its own: it should equal the skill.

    Raises:
        GridError: shapes that do not fit; unusable weights.
        SourceError: a single member; as `crps_statistics`.

    References:
        Fortin, Abaza, Anctil and Turcotte (2014), Journal of Hydrometeorology 15, 1708-1713,
        doi:10.1175/JHM-D-14-0008.1 (average variances, not their roots).
    """
    errors, there = _errors(prediction, reference, least=2)
    return _average(errors.var(axis=1, ddof=1), weights, there)


def skill_statistics(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Squared error of the ensemble's mean, averaged over cells; with `root`, its RMSE (best 0).

    Args:
        prediction: fields (time, member, y, x).
        reference: the truth (time, y, x), same units.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 1), units of the field squared.

    Raises:
        GridError: shapes that do not fit; unusable weights.
        SourceError: as `crps_statistics`.

    References:
        Fortin et al. (2014), doi:10.1175/JHM-D-14-0008.1.
    """
    errors, there = _errors(prediction, reference)
    return _average(errors.mean(axis=1) ** 2, weights, there)


def spread_skill_statistics(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """``(m + 1) / m`` times the variance of `spread_statistics`, and the squared error of `skill_statistics`.

    With `root_ratio` as its finish the score is ``sqrt((m + 1) / m) spread / skill``: best 1; below 1 the
    members agree more than they are right. The factor is what a mean of m members adds to the error; without
    it, perfect small ensembles look too sure of themselves. A bias of the mean counts as error, so debias before
    blaming the spread; and a right mean spread says nothing of whether it is large where the error is.

    Args:
        prediction: fields (time, member, y, x), 2 members or more.
        reference: the truth (time, y, x), same units.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 2), units of the field squared.

    Raises:
        GridError: shapes that do not fit; unusable weights.
        SourceError: a single member; as `crps_statistics`.

    References:
        Fortin et al. (2014), doi:10.1175/JHM-D-14-0008.1.
    """
    errors, there = _errors(prediction, reference, least=2)
    num_members = errors.shape[1]
    variance = errors.var(axis=1, ddof=1) * (num_members + 1) / num_members
    squares = errors.mean(axis=1) ** 2
    return np.concatenate([_average(variance, weights, there), _average(squares, weights, there)], axis=1)


def root_ratio(mean: FloatArray) -> FloatArray:
    """Finish of a score that is the root of its first part over its second: (..., 2) -> (...), without units.

    Where both are 0 it is 1; where the second alone is 0 it is infinite.
    """
    return np.sqrt(ratio(mean))


def rank_histogram_statistics(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Share of cells in which the truth lies above none, one, ..., all of the members.

    A truth equal to k members may have any of k + 1 ranks, and counts 1 / (k + 1) in each: nothing is drawn at
    random. The mean over times is the rank histogram: flat, 1 / (m + 1) each, where the truth could be one of
    the members; a U where they agree too much, a hump where too little, a slope where they are biased. A flat
    one may still be wrong: opposite errors of different places or seasons cancel, and noise without skill is
    flat too.

    Args:
        prediction: fields (time, member, y, x).
        reference: the truth (time, y, x), same units.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, member + 1), without units, each row of sum 1.

    Raises:
        GridError: shapes that do not fit; unusable weights.
        SourceError: as `crps_statistics`.

    References:
        Hamill (2001), Monthly Weather Review 129, 550-560, doi:10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2.
    """
    errors, there = _errors(prediction, reference)
    num_times, num_members = errors.shape[:2]
    below = (errors < 0).sum(axis=1).reshape(num_times, -1)
    equal = (errors == 0).sum(axis=1).reshape(num_times, -1)
    cells = cell_weights(weights, reference.shape, there)
    shares = np.broadcast_to(1.0 / below.shape[1] if cells is None else cells, below.shape) / (equal + 1)
    # A share goes to the ranks below .. below + equal: it comes in at the first and goes out after the last.
    num_ranks = num_members + 1
    row = (num_ranks + 1) * np.arange(num_times)[:, None]
    size = num_times * (num_ranks + 1)
    steps = np.bincount((row + below).ravel(), shares.ravel(), size)
    steps -= np.bincount((row + below + equal + 1).ravel(), shares.ravel(), size)
    histogram = np.cumsum(steps.reshape(num_times, -1), axis=1)[:, :-1]
    return np.maximum(histogram, 0.0)


def flatness(mean: FloatArray) -> FloatArray:
    """Reliability index of a rank histogram: ``sum |share - 1 / (m + 1)|``, (..., m + 1) -> (...).

    Best 0; at most ``2 m / (m + 1)``, all truths in one rank. A finite sample of times never reaches 0, and
    neighbouring cells are alike, so compare it with that of another system, or see its interval.

    References:
        Delle Monache, Hacker, Zhou, Deng and Stull (2006), Journal of Geophysical Research 111, D24307,
        doi:10.1029/2005JD006917.
    """
    return np.asarray(np.abs(mean - 1.0 / mean.shape[-1]).sum(axis=-1), np.float64)


def _errors(
    prediction: NDArray[Any], reference: NDArray[Any], *, least: int = 1
) -> tuple[FloatArray, BoolArray | None]:
    """Members minus truth, float64 (time, member, y, x), 0 at missing cells; and where the truth has a value."""
    shape = np.shape(prediction)
    if len(shape) != 4 or 0 in shape or (shape[0], *shape[2:]) != np.shape(reference):
        raise GridError(
            f"prediction has shape {shape} and reference {np.shape(reference)}; expected (time, member, y, x) and "
            "(time, y, x) of the same times and grid. Give a single field as prediction[:, None]."
        )
    if shape[1] < least:
        raise SourceError(
            f"prediction has {shape[1]} member; expected {least} or more: spread and the fair CRPS compare members "
            "with each other. Leave these scores out, or downscale with more members."
        )
    errors = np.empty(shape)
    there = None
    for member in range(shape[1]):
        pair = check_overlap(prediction[:, member], reference)
        there = pair.there
        np.subtract(pair.prediction, pair.reference, out=errors[:, member])
    return errors, there


def _crps(errors: FloatArray, num_pairs: int) -> FloatArray:
    """CRPS of each cell, (time, y, x), the sum over pairs divided by 2 num_pairs."""
    num_members = errors.shape[1]
    # Sorted, member i is the larger of i pairs and the smaller of the others: m log m and not m^2.
    place = 2.0 * np.arange(num_members) - (num_members - 1)
    pairs = np.einsum("tmyx,m->tyx", np.sort(errors, axis=1), place)
    return np.asarray(np.abs(errors).mean(axis=1) - pairs / num_pairs, np.float64)


def _average(values: FloatArray, weights: NDArray[Any] | None, there: BoolArray | None) -> FloatArray:
    """Weighted mean over cells, (time, 1)."""
    rows = values.reshape(len(values), -1)
    cells = cell_weights(weights, values.shape, there)
    means = rows.mean(axis=1) if cells is None else (rows * cells).sum(axis=1)
    return np.asarray(means[:, None], np.float64)


_TABLE = (
    Score(
        "crps",
        crps_statistics,
        only_statistic,
        "field",
        0.0,
        False,
        "Mean CRPS of the members' step function; compares ensembles of one size",
        ("weights",),
    ),
    Score(
        "crps_fair",
        crps_fair_statistics,
        only_statistic,
        "field",
        0.0,
        False,
        "Mean fair CRPS; compares ensembles of any size",
        ("weights",),
    ),
    Score(
        "spread",
        spread_statistics,
        root,
        "field",
        float("nan"),
        None,
        "Root of the mean variance of the members (divisor m - 1); to be read beside skill, with no best value",
        ("weights",),
    ),
    Score(
        "skill",
        skill_statistics,
        root,
        "field",
        0.0,
        False,
        "Root of the mean square error of the ensemble's mean",
        ("weights",),
    ),
    Score(
        "spread_skill_ratio",
        spread_skill_statistics,
        root_ratio,
        "1",
        1.0,
        None,
        "sqrt((m + 1) / m) times spread over skill, variances averaged before the root",
        ("weights",),
    ),
    Score(
        "rank_histogram_flatness",
        rank_histogram_statistics,
        flatness,
        "1",
        0.0,
        False,
        "Sum over ranks of |share - 1 / (m + 1)|; ties counted in equal shares",
        ("weights",),
    ),
)

ENSEMBLE_SCORES: dict[str, Score] = {score.name: score for score in _TABLE}
