"""Scores of ensembles: prediction (time, member, y, x) against reference (time, y, x).

Every member needs a value wherever the reference has one. See `subgrid.scores` for the other arguments, shapes and errors. A
prediction with fewer members than a score needs is a SourceError.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from subgrid.errors import GridError, SourceError
from subgrid.scores.checks import (
    FieldArray,
    Fields,
    Means,
    Members,
    Statistics,
    Valid,
    Values,
    Weights,
    cell_weights,
    check_overlap,
    mean_over_cells,
)
from subgrid.scores.score import ratio

Errors = Float64[np.ndarray, "time member y x"]


def crps_statistics(prediction: Members, reference: Fields, *, weights: Weights = None) -> Statistics:
    """Continuous ranked probability score (CRPS) of the step function of the members.

    For m members x_i and the truth y, averaged over cells::

        mean |x_i - y| - sum_ij |x_i - x_j| / (2 m^2)

    It generalises the MAE, which it equals for one member; best 0. It is proper for the m members taken as the whole
    distribution. Taken as a sample of a distribution, a small ensemble has a worse score: m members drawn from the
    distribution of the truth have (m + 1) / m times the best possible one. So it compares only ensembles of equal size.

    References:
        Gneiting and Raftery (2007), Journal of the American Statistical Association 102, 359-378, eq. 21,
        doi:10.1198/016214506000001437.
    """
    errors, valid = _errors(prediction, reference)
    num_members = errors.shape[1]
    return mean_over_cells(_crps(errors, num_members**2), weights, valid)[:, None]


def crps_fair_statistics(prediction: Members, reference: Fields, *, weights: Weights = None) -> Statistics:
    """Fair CRPS: from 2 or more exchangeable members, the expected CRPS of an ensemble of infinite size.

    As `crps_statistics` with ``2 m (m - 1)`` in place of ``2 m^2``. Ensembles of different size can be compared. It can be
    below 0 at a cell; in the mean it is best for members and truth from one distribution.

    References:
        Ferro (2014), Quarterly Journal of the Royal Meteorological Society 140, 1917-1923, doi:10.1002/qj.2270.
    """
    errors, valid = _errors(prediction, reference, least=2)
    num_members = errors.shape[1]
    return mean_over_cells(_crps(errors, num_members * (num_members - 1)), weights, valid)[:, None]


def spread_statistics(prediction: Members, reference: Fields, *, weights: Weights = None) -> Statistics:
    """Variance of 2 or more members about their mean (divisor m - 1), averaged over cells; with `root`, the spread.

    The reference decides only which cells are left out. Spread has no best value of its own: it should equal the skill.

    References:
        Fortin, Abaza, Anctil and Turcotte (2014), Journal of Hydrometeorology 15, 1708-1713,
        doi:10.1175/JHM-D-14-0008.1 (average variances, not their roots).
    """
    errors, valid = _errors(prediction, reference, least=2)
    return mean_over_cells(errors.var(axis=1, ddof=1), weights, valid)[:, None]


def skill_statistics(prediction: Members, reference: Fields, *, weights: Weights = None) -> Statistics:
    """Squared error of the ensemble mean, averaged over cells; with `root`, its RMSE (best 0).

    References:
        Fortin et al. (2014), doi:10.1175/JHM-D-14-0008.1.
    """
    errors, valid = _errors(prediction, reference)
    return mean_over_cells(errors.mean(axis=1) ** 2, weights, valid)[:, None]


def spread_skill_statistics(prediction: Members, reference: Fields, *, weights: Weights = None) -> Statistics:
    """``(m + 1) / m`` times the variance of `spread_statistics`, and the squared error of `skill_statistics`.

    With `root_ratio` the score is ``sqrt((m + 1) / m) spread / skill`` of 2 or more members: best 1; below 1 the spread is
    smaller than the error. The factor accounts for the error that a mean of m members adds; without it, the spread of
    perfect small ensembles seems too small. A bias of the mean counts as error, so correct it before judging the spread. A
    correct mean spread does not show whether the spread is large where the error is.

    References:
        Fortin et al. (2014), doi:10.1175/JHM-D-14-0008.1.
    """
    errors, valid = _errors(prediction, reference, least=2)
    num_members = errors.shape[1]
    variance = errors.var(axis=1, ddof=1) * (num_members + 1) / num_members
    squares = errors.mean(axis=1) ** 2
    return np.stack([mean_over_cells(part, weights, valid) for part in (variance, squares)], axis=1)


def root_ratio(mean: Means) -> Values:
    """Return the root of the `ratio` of two statistics: (..., 2) -> (...), no units."""
    return np.asarray(np.sqrt(ratio(mean)), np.float64)


def rank_histogram_statistics(prediction: Members, reference: Fields, *, weights: Weights = None) -> Statistics:
    """Shares of cells in which the truth lies above none, one, ..., all of the m members: m + 1 statistics of sum 1.

    A truth equal to k members can have any of k + 1 ranks and counts 1 / (k + 1) in each, without random numbers. The mean
    over times is the rank histogram: flat, 1 / (m + 1) each, where the truth could be one of the members; U-shaped where
    the spread is too small, with a maximum in the middle where it is too large, sloped where the members are biased. A flat
    one can still be wrong: opposite errors of different places or seasons cancel, and noise without skill is flat too.

    References:
        Hamill (2001), Monthly Weather Review 129, 550-560, doi:10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2.
    """
    errors, valid = _errors(prediction, reference)
    num_times, num_members = errors.shape[:2]
    below = (errors < 0).sum(axis=1).reshape(num_times, -1)
    equal = (errors == 0).sum(axis=1).reshape(num_times, -1)
    cells = cell_weights(weights, reference.shape, valid)
    shares = np.broadcast_to(1.0 / below.shape[1] if cells is None else cells, below.shape) / (equal + 1)
    # A share belongs to the ranks below .. below + equal: it is added at the first and subtracted after the last.
    num_ranks = num_members + 1
    row = (num_ranks + 1) * np.arange(num_times)[:, None]
    size = num_times * (num_ranks + 1)
    steps = np.bincount((row + below).ravel(), shares.ravel(), size)
    steps -= np.bincount((row + below + equal + 1).ravel(), shares.ravel(), size)
    histogram = np.cumsum(steps.reshape(num_times, -1), axis=1)[:, :-1]
    return np.maximum(histogram, 0.0)


def flatness(mean: Means) -> Values:
    """Reliability index of a rank histogram: ``sum |share - 1 / (m + 1)|``, (..., m + 1) -> (...).

    Best 0; at most ``2 m / (m + 1)``, where the truth always has the same rank. A finite sample of times never reaches 0, and
    neighbouring cells are similar, so compare it with that of another system, or read its interval.

    References:
        Delle Monache, Hacker, Zhou, Deng and Stull (2006), Journal of Geophysical Research 111, D24307,
        doi:10.1029/2005JD006917.
    """
    return np.asarray(np.abs(mean - 1.0 / mean.shape[-1]).sum(axis=-1), np.float64)


def _errors(prediction: Members, reference: Fields, *, least: int = 1) -> tuple[Errors, Valid | None]:
    """Members minus truth, 0 at missing cells, and where the truth has a value."""
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
    valid = None
    for member in range(shape[1]):
        pair = check_overlap(prediction[:, member], reference)
        valid = pair.valid
        np.subtract(pair.prediction, pair.reference, out=errors[:, member])
    return errors, valid


def _crps(errors: Errors, num_pairs: int) -> FieldArray:
    """CRPS of each cell, with the sum over pairs divided by 2 num_pairs."""
    num_members = errors.shape[1]
    # Sorted, member i is the larger of i pairs and the smaller of the others: m log m and not m^2.
    place = 2.0 * np.arange(num_members) - (num_members - 1)
    pairs = np.einsum("tmyx,m->tyx", np.sort(errors, axis=1), place)
    return np.asarray(np.abs(errors).mean(axis=1) - pairs / num_pairs, np.float64)
