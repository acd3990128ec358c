"""Scores that compare the values of two fields but not their places: histogram, quantiles, Wasserstein distance.

A displaced feature does not change them, so they complement the pointwise scores, which count its error twice. See
`subgrid.scores` for arguments, shapes and errors.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float64, Int

from subgrid.errors import ConfigError, SourceError
from subgrid.scores.checks import Fields, Means, Series, Statistics, Values, Weights, cell_weights, check_overlap
from subgrid.scores.score import Score, only_statistic

NUM_BINS = 100


def histogram_statistics(
    prediction: Fields,
    reference: Fields,
    *,
    low: float,
    high: float,
    weights: Weights = None,
) -> Statistics:
    """Share of the cells in each of 102 bins, of the prediction and then of the reference, for `histogram_overlap`.

    The inner 100 bins have equal width from `low` to `high`, minimum and maximum of the training truth or of the whole
    reference; each includes its lower edge and the last both. The outer two hold what lies beyond. `low` has to be below
    `high`.
    """
    pair = check_overlap(prediction, reference)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise SourceError(
            f"low and high of the histogram are {low} and {high}; expected finite numbers, low below high: minimum "
            "and maximum of the training truth, in the fields' units. A constant truth has no histogram: leave it out."
        )
    share = cell_weights(weights, pair.reference.shape, pair.valid)
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


def histogram_overlap(mean: Means) -> Values:
    """Common area of two histograms, ``sum over bins of min(P_b, R_b)``: (..., 2 b) -> (...), without units.

    P and R are the shares of the prediction and of the reference in bin b, each averaged over times. Best 1, least 0. It is
    the Perkins skill score. The bulk of the values decides it; the tail, which often matters most, has little influence, so
    read it together with `quantile_error`. It depends on the bins.

    References:
        Perkins, Pitman, Holbrook and McAneney (2007), Journal of Climate 20, 4356-4376, doi:10.1175/JCLI4253.1.
    """
    half = mean.shape[-1] // 2
    return np.asarray(np.minimum(mean[..., :half], mean[..., half:]).sum(axis=-1), np.float64)


def quantile_error(probability: float, *, main: bool = False) -> Score:
    """Create a quantile error: mean over times of the prediction's quantile minus the reference's.

    Each is the quantile of one field's own cells at one time, between cells linearly (numpy's default, type 7 of Hyndman
    and Fan). In the field's units, best 0, above 0 too high. So at 0.99 it measures by how much the extremes within a
    field are missed; it does not measure how extreme the most extreme time is, as a quantile over all times would. Every cell
    counts the same. Errors of opposite sign at different times cancel, as in the bias.

    Args:
        probability: between 0 and 1, such as 0.99.
        main: whether it is among the main scores.

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
        name=f"quantile_error_{probability:.15g}",
        statistics=partial(quantile_error_statistics, probability=probability),
        from_means=only_statistic,
        units="field",
        best=0.0,
        higher_is_better=None,
        each_member=True,
        main=main,
        convention=f"Mean over times of prediction's minus truth's {probability:.15g} quantile over the cells of a field",
    )


def quantile_error_statistics(prediction: Fields, reference: Fields, *, probability: float) -> Statistics:
    """Quantile of the prediction over the cells of each time minus that of the reference; see `quantile_error`."""
    p, r, valid = check_overlap(prediction, reference)
    p, r = p.reshape(len(p), -1), r.reshape(len(r), -1)
    if valid is None:
        return np.asarray(_quantile(p, probability) - _quantile(r, probability), np.float64)[:, None]
    masks = valid.reshape(len(r), -1)
    pairs = [(p[time, mask][None], r[time, mask][None]) for time, mask in enumerate(masks)]
    return np.stack([_quantile(predicted, probability) - _quantile(true, probability) for predicted, true in pairs])


def wasserstein_statistics(prediction: Fields, reference: Fields, *, weights: Weights = None) -> Statistics:
    """First Wasserstein distance between the values of the two fields, at each time.

    ``integral over v of |F_p(v) - F_r(v)|`` with F the share of cells not above v: the mean change that turns the
    values of one field into those of the other, wherever they are. The score is its mean over times, best 0. It is at
    least the absolute bias and at most the MAE. The bulk of the values decides it, as it does these, and a field with
    shuffled cells has the distance 0.

    References:
        Ramdas, Garcia Trillos and Cuturi (2017), Entropy 19, 47, doi:10.3390/e19020047.
    """
    p, r, valid = check_overlap(prediction, reference)
    share = cell_weights(weights, r.shape, valid)
    p, r = p.reshape(len(p), -1), r.reshape(len(r), -1)
    if share is None:
        return np.asarray(np.abs(np.sort(p, axis=1) - np.sort(r, axis=1)).mean(axis=1), np.float64)[:, None]
    # A missing cell has weight 0, so it does not matter where its value falls among the others.
    values, shares = np.concatenate([p, r], axis=1), np.concatenate([share, -share], axis=1)
    order = np.argsort(values, axis=1)  # the order of ties does not matter: the steps between them are 0
    gap = np.cumsum(np.take_along_axis(np.broadcast_to(shares, values.shape), order, axis=1), axis=1)
    steps = np.diff(np.take_along_axis(values, order, axis=1), axis=1)
    return np.asarray((np.abs(gap[:, :-1]) * steps).sum(axis=1), np.float64)[:, None]


def _bins(values: Float64[np.ndarray, "time cell"], low: float, high: float) -> Int[np.ndarray, "time cell"]:
    """Bin of each value: 0 below `low`, 1 to 100 inside, 101 above `high`."""
    edges = np.linspace(low, high, NUM_BINS + 1)
    inside = np.clip(values, low, high)
    bins = np.minimum(((inside - low) * (NUM_BINS / (high - low))).astype(np.intp), NUM_BINS - 1)
    # Rounding can miss by one bin; the edges decide.
    bins -= (inside < edges[bins]) & (bins > 0)
    bins += (inside >= edges[bins + 1]) & (bins < NUM_BINS - 1)
    bins += 1
    bins[values < low] = 0
    bins[values > high] = NUM_BINS + 1
    return np.asarray(bins, np.intp)


def _quantile(rows: Float64[np.ndarray, "time cell"], probability: float) -> Series:
    return np.asarray(np.quantile(rows, probability, axis=1), np.float64)
