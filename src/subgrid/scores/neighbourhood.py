"""Scores that look at a cell and the cells around it: fractions skill score and gradients.

A window, or a pair of neighbours, that touches a cell where the reference is missing is left out. Windows and
differences lie inside the field: they do not go round the globe, and every one counts the same.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subgrid.errors import ConfigError
from subgrid.scores.checks import (
    BoolArray,
    FloatArray,
    check_overlap,
    check_windows,
    whole_windows,
    window_sums,
)
from subgrid.scores.score import Score


def fss(threshold: float, window: int) -> Score:
    """Make the fractions skill score of one threshold and one window.

    In every square window that lies inside the field, with ``P`` and ``R`` the shares of its cells at which prediction and
    reference reach the threshold::

        1 - mean (P - R)^2 / (mean P^2 + mean R^2)

    Both means are over all windows and times. Best 1, least 0. A displaced feature is forgiven if the window holds both. It
    is useful, by its authors, above ``0.5 + f / 2`` with f the share of all cells at which the reference reaches
    the threshold. A bias lowers it at every window; with a common event and a large window anything scores high.
    Where neither ever reaches the threshold they agree, and it is 1. Cells are not weighted.

    Args:
        threshold: in the field's units; a cell equal to it counts as an event.
        window: side of the window, in cells; 1 compares cell with cell.

    Returns:
        The score, called e.g. ``fss_10_w5``.

    Raises:
        ConfigError: a window below 1, or a threshold that is not finite.

    References:
        Roberts and Lean (2008), Monthly Weather Review 136, 78-97, doi:10.1175/2007MWR2123.1 (equations 5 to 8; they
        pad the domain with zeros, we leave out what crosses the edge).
    """
    if not np.isfinite(threshold) or window < 1:
        raise ConfigError(
            f"a fractions skill score of threshold {threshold} and window {window} does not exist; expected a "
            "finite threshold in the field's units and a window of 1 or more cells."
        )
    name = f"fss_{threshold:.15g}_w{window}"
    return Score(
        name,
        partial(fss_statistics, threshold=threshold, window=window),
        skill,
        "1",
        1.0,
        True,
        f"Fractions skill score of {threshold:.15g} or more in windows of {window} x {window} cells inside the field",
        needs=partial(check_windows, cells=window, what=name),
    )


def fss_statistics(prediction: NDArray[Any], reference: NDArray[Any], *, threshold: float, window: int) -> FloatArray:
    """Numerator and denominator of the fractions skill score; see `fss`.

    Args:
        prediction: fields (time, y, x), at least `window` cells along y and x.
        reference: the truth, same shape and units; NaN where missing.
        threshold: in the field's units.
        window: side of the window, in cells.

    Returns:
        (time, 2), without units: mean over windows of ``(P - R)^2``, and of ``P^2 + R^2``.

    Raises:
        GridError: shapes that differ or are not (time, y, x); a field smaller than the window.
        SourceError: values that are not finite; a time without a window free of gaps.
    """
    pair = check_overlap(prediction, reference)
    if pair.there is not None or window > min(pair.reference.shape[1:]):
        there = np.ones((1, *pair.reference.shape[1:]), bool) if pair.there is None else pair.there
        check_windows(there, window, f"fss_{threshold:.15g}_w{window}")
    p, r = (window_sums((f >= threshold).astype(np.float64), window) / window**2 for f in pair[:2])
    terms = ((p - r) ** 2, p * p + r * r)
    return np.stack([_mean_over_places(values, pair.there, window) for values in terms], axis=1)


def skill(mean: FloatArray) -> FloatArray:
    """Finish of a score that is 1 minus its first part over its second: (..., 2) -> (...); 1 where both are 0."""
    empty = mean[..., 1] == 0
    return 1.0 - np.where(empty, 0.0, mean[..., 0]) / np.where(empty, 1.0, mean[..., 1])


def gradient_difference_statistics(prediction: NDArray[Any], reference: NDArray[Any]) -> FloatArray:
    """Mean over places of ``|grad p - grad r|^2``; with `root` as its finish, the RMSE of the gradient vectors (best 0).

    The gradient at a cell is the pair of differences to its next neighbours along y and along x. The score is in the field's
    units per cell. Like RMSE it prefers a smooth guess to a sharp feature in the wrong place, and more so.

    Args:
        prediction: fields (time, y, x), at least 2 cells along y and x.
        reference: the truth, same shape and units; NaN where missing.

    Returns:
        (time, 1), units of the field squared per cell squared.

    Raises:
        GridError: shapes that differ or are not (time, y, x); fewer than 2 cells along y or x.
        SourceError: values that are not finite; a time without 2 x 2 cells free of gaps.

    References:
        Mathieu, Couprie and LeCun (2016), arXiv:1511.05440 (gradient differences as a measure of sharpness).
    """
    pair = check_overlap(prediction, reference)
    needs_neighbours(np.ones((1, *pair.reference.shape[1:]), bool) if pair.there is None else pair.there)
    along_y, along_x = _gradient(pair.prediction - pair.reference)
    return _mean_over_places(along_y**2 + along_x**2, pair.there, 2)[:, None]


def gradient_magnitude_statistics(prediction: NDArray[Any], reference: NDArray[Any]) -> FloatArray:
    """Mean over places of ``|grad|``, of prediction and of reference; with `ratio` as its finish, their quotient.

    Best 1; below 1 the prediction is too smooth, above 1 too rough or too noisy. It does not ask whether the fronts are
    in the right places, and weak noise everywhere can stand in for missing fronts.

    Args:
        prediction: fields (time, y, x), at least 2 cells along y and x.
        reference: the truth, same shape and units; NaN where missing.

    Returns:
        (time, 2), units of the field per cell: prediction's, reference's.

    Raises:
        GridError: shapes that differ or are not (time, y, x); fewer than 2 cells along y or x.
        SourceError: values that are not finite; a time without 2 x 2 cells free of gaps.

    References:
        Mathieu, Couprie and LeCun (2016), arXiv:1511.05440 (gradients as a measure of sharpness).
    """
    pair = check_overlap(prediction, reference)
    needs_neighbours(np.ones((1, *pair.reference.shape[1:]), bool) if pair.there is None else pair.there)
    gradients = [_gradient(fields) for fields in pair[:2]]
    sizes = [np.sqrt(along_y**2 + along_x**2) for along_y, along_x in gradients]
    return np.stack([_mean_over_places(size, pair.there, 2) for size in sizes], axis=1)


def needs_neighbours(there: BoolArray) -> None:
    """Refuse fields without room for a gradient.

    Args:
        there: (time, y, x), where the reference has a value.

    Raises:
        GridError: fewer than 2 cells along y or x.
        SourceError: a time at which all 2 x 2 cells touch a missing one.
    """
    check_windows(there, 2, "a gradient")


def _gradient(fields: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Differences to the next cell along y and along x, each (time, y - 1, x - 1)."""
    corner = fields[:, :-1, :-1]
    return fields[:, 1:, :-1] - corner, fields[:, :-1, 1:] - corner


def _mean_over_places(places: FloatArray, there: BoolArray | None, window: int) -> FloatArray:
    """Mean over the windows without a missing cell, (time,)."""
    rows = places.reshape(len(places), -1)
    if there is None:
        return np.asarray(rows.mean(axis=1), np.float64)
    whole = whole_windows(there, window).reshape(rows.shape)
    return np.asarray((rows * whole).sum(axis=1) / whole.sum(axis=1), np.float64)
