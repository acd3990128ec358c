"""Scores that compare the values of two fields and not where they are: histogram, quantiles, Wasserstein distance.

They forgive a displaced feature altogether, and so complete the pointwise scores, which punish it twice. Cells
where the reference is missing are left out of both fields.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subgrid.errors import ConfigError, SourceError
from subgrid.scores.checks import FloatArray, cell_weights, check_overlap
from subgrid.scores.score import Score, only_statistic

NUM_BINS = 100


def histogram_statistics(
    prediction: NDArray[Any],
    reference: NDArray[Any],
    *,
    low: float,
    high: float,
    weights: NDArray[Any] | None = None,
) -> FloatArray:
    """Share of the cells in each of 102 bins, of prediction and of reference, for `histogram_overlap`.

    The inner 100 bins have equal width from `low` to `high`, each with its lower edge and the last with both; the
    outer two take what lies beyond.

    Args:
        prediction: fields (time, y, x).
        reference: the truth, same shape and units; NaN where missing.
        low: minimum, in the fields' units, of the training truth or of the whole reference.
        high: maximum of the same, above `low`.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 204), without units: the prediction's shares, then the reference's, each of sum 1 at each time.

    Raises:
        GridError: shapes that differ or are not (time, y, x); unusable weights.
        SourceError: values that are not finite; bounds that are not finite and ascending.
    """
    pair = check_overlap(prediction, reference)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise SourceError(
            f"low and high of the histogram are {low} and {high}; expected finite numbers, low below high: minimum "
            "and maximum of the training truth, in the fields' units. A constant truth has no histogram: leave it out."
        )
    share = cell_weights(weights, pair.reference.shape, pair.there)
    num_time, num_all = len(pair.reference), NUM_BINS + 2
    first = np.arange(num_time)[:, None] * num_all
    columns = []
    for fields in (pair.prediction, pair.reference):
        rows = fields.reshape(num_time, -1)
        where = (_bins(rows, low, high) + first).ravel()
        counted = None if share is None else np.broadcast_to(share, rows.shape).ravel()
        shares = np.bincount(where, counted, num_time * num_all).reshape(num_time, num_all)
        columns.append(shares if counted is not None else shares / rows.shape[1])
    return np.concatenate(columns, axis=1)


def histogram_overlap(mean: FloatArray) -> FloatArray:
    """Common area of two histograms, ``sum over bins of min(P_b, R_b)``: (..., 2 b) -> (...), without units.

    P and R are the shares of the prediction and of the reference in bin b, each averaged over times. Best 1, least 0. It is
    the Perkins skill score. The bulk of the values decides it: the tail that matters most hardly shows, so see
    `quantile_error` beside it. It depends on the bins.

    References:
        Perkins, Pitman, Holbrook and McAneney (2007), Journal of Climate 20, 4356-4376, doi:10.1175/JCLI4253.1.
    """
    half = mean.shape[-1] // 2
    return np.asarray(np.minimum(mean[..., :half], mean[..., half:]).sum(axis=-1), np.float64)


def quantile_error(probability: float) -> Score:
    """Make the score: mean over times of the prediction's quantile minus the reference's.

    Each is the quantile of one field's own cells at one time, between cells linearly (numpy's default, type 7 of Hyndman
    and Fan). In the field's units, best 0, above 0 too high. So at .99 it says by how much the extremes within a field
    are missed; it does not say how extreme the most extreme time is, as a quantile over all times would. Every cell
    counts the same. Errors of opposite sign at different times cancel, as in the bias.

    Args:
        probability: between 0 and 1, e.g. 0.99.

    Returns:
        The score, called e.g. ``quantile_error_0.99``.

    Raises:
        ConfigError: a probability outside 0 to 1.

    References:
        Hyndman and Fan (1996), The American Statistician 50, 361-365, doi:10.1080/00031305.1996.10473566.
    """
    if not 0 <= probability <= 1:
        raise ConfigError(f"a quantile of probability {probability} does not exist; expected 0 to 1, such as 0.99.")
    return Score(
        f"quantile_error_{probability:.15g}",
        partial(quantile_error_statistics, probability=probability),
        only_statistic,
        "field",
        0.0,
        None,
        f"Mean over times of prediction's minus truth's {probability:.15g} quantile over the cells of a field",
    )


def quantile_error_statistics(prediction: NDArray[Any], reference: NDArray[Any], *, probability: float) -> FloatArray:
    """Prediction's minus reference's quantile over the cells of each time; see `quantile_error`.

    Args:
        prediction: fields (time, y, x).
        reference: the truth, same shape and units; NaN where missing.
        probability: between 0 and 1.

    Returns:
        (time, 1), units of the field.

    Raises:
        GridError: shapes that differ or are not (time, y, x).
        SourceError: values that are not finite.
    """
    p, r, there = check_overlap(prediction, reference)
    p, r = p.reshape(len(p), -1), r.reshape(len(r), -1)
    if there is None:
        return _column(_quantile(p, probability) - _quantile(r, probability))
    masks = there.reshape(len(r), -1)
    pairs = [(p[time, mask][None], r[time, mask][None]) for time, mask in enumerate(masks)]
    return np.stack([_quantile(one, probability) - _quantile(two, probability) for one, two in pairs])


def wasserstein_statistics(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """First Wasserstein distance between the values of the two fields, at each time.

    ``integral over v of |F_p(v) - F_r(v)|`` with F the share of cells not above v: by how much, in the mean, the values of
    one field must be moved to become those of the other, wherever they are. The score is its mean over times,
    best 0. It is at least the absolute bias and at most the MAE. Like these it is ruled by the bulk of values, and a field
    with its cells shuffled has distance 0.

    Args:
        prediction: fields (time, y, x).
        reference: the truth, same shape and units; NaN where missing.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 1), units of the field.

    Raises:
        GridError: shapes that differ or are not (time, y, x); unusable weights.
        SourceError: values that are not finite.

    References:
        Ramdas, Garcia Trillos and Cuturi (2017), Entropy 19, 47, doi:10.3390/e19020047.
    """
    p, r, there = check_overlap(prediction, reference)
    share = cell_weights(weights, r.shape, there)
    p, r = p.reshape(len(p), -1), r.reshape(len(r), -1)
    if share is None:
        return _column(np.abs(np.sort(p, axis=1) - np.sort(r, axis=1)).mean(axis=1))
    # A missing cell has weight 0, so it does not matter where its value falls among the others.
    values, shares = np.concatenate([p, r], axis=1), np.concatenate([share, -share], axis=1)
    order = np.argsort(values, axis=1)  # in whatever order ties come, the steps between them are 0
    gap = np.cumsum(np.take_along_axis(np.broadcast_to(shares, values.shape), order, axis=1), axis=1)
    steps = np.diff(np.take_along_axis(values, order, axis=1), axis=1)
    return _column((np.abs(gap[:, :-1]) * steps).sum(axis=1))


def _bins(values: FloatArray, low: float, high: float) -> NDArray[np.intp]:
    """Bin of each value: 0 below `low`, 1 to 100 inside, 101 above `high`."""
    edges = np.linspace(low, high, NUM_BINS + 1)
    inside = np.clip(values, low, high)
    found = np.minimum(((inside - low) * (NUM_BINS / (high - low))).astype(np.intp), NUM_BINS - 1)
    # Rounding may miss by one bin; the edges decide.
    found -= (inside < edges[found]) & (found > 0)
    found += (inside >= edges[found + 1]) & (found < NUM_BINS - 1)
    found += 1
    found[values < low] = 0
    found[values > high] = NUM_BINS + 1
    return found


def _quantile(rows: FloatArray, probability: float) -> FloatArray:
    return np.asarray(np.quantile(rows, probability, axis=1), np.float64)


def _column(values: NDArray[Any]) -> FloatArray:
    return np.asarray(values, np.float64)[:, None]
