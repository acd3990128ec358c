"""Scores of a cell together with the cells around it: fractions skill score and gradients.

A window, or a pair of neighbours, that touches a cell where the reference is missing is left out. Windows and differences
lie inside the field, also on a grid that closes around the globe, and all have the same weight. See `subgrid.scores` for
arguments, shapes and errors.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float64

from subgrid.errors import ConfigError
from subgrid.scores.checks import (
    FieldArray,
    Fields,
    Means,
    Statistics,
    Valid,
    Values,
    check_overlap,
    check_windows,
    mean_over_windows,
    window_sums,
)
from subgrid.scores.score import SHARE, Score


def fss(threshold: float, window: int) -> Score:
    """Create the fractions skill score of one threshold and one window.

    In every square window that lies inside the field, with ``P`` and ``R`` the shares of its cells at which prediction and
    reference reach the threshold::

        1 - mean (P - R)^2 / (mean P^2 + mean R^2)

    Both means are over all windows and times. Best 1, least 0. A displacement within the window costs
    little. According to its authors the prediction is useful above ``0.5 + f / 2`` with f the share of all cells at which
    the reference reaches the threshold. A bias lowers it at every window; with a common event and a large window every
    prediction has a high score. Where neither ever reaches the threshold they agree, and it is 1. Cells are not weighted.

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
        name=name,
        statistics=partial(fss_statistics, threshold=threshold, window=window),
        from_means=skill,
        units="1",
        best=1.0,
        higher_is_better=True,
        bounds=SHARE,
        convention=f"Fractions skill score of {threshold:.15g} or more in windows of {window} x {window} cells inside the "
        "field",
        check=partial(check_windows, cells=window, what=name),
    )


def fss_statistics(prediction: Fields, reference: Fields, *, threshold: float, window: int) -> Statistics:
    """Means over windows of ``(P - R)^2`` and of ``P^2 + R^2``; see `fss`."""
    pair = check_overlap(prediction, reference)
    check_windows(pair.all_valid, window, f"fss_{threshold:.15g}_w{window}")
    p, r = (window_sums((f >= threshold).astype(np.float64), window) / window**2 for f in pair[:2])
    terms = ((p - r) ** 2, p * p + r * r)
    return np.stack([mean_over_windows(values, pair.valid, window) for values in terms], axis=1)


def skill(mean: Means) -> Values:
    """Return 1 minus the first statistic divided by the second: (..., 2) -> (...); 1 where both are 0."""
    empty = mean[..., 1] == 0
    return np.asarray(1.0 - np.where(empty, 0.0, mean[..., 0]) / np.where(empty, 1.0, mean[..., 1]), np.float64)


def gradient_difference_statistics(prediction: Fields, reference: Fields) -> Statistics:
    """Mean over places of ``|grad p - grad r|^2``; with `root`, the RMSE of the gradient vectors (best 0).

    The gradient at a cell is the pair of differences to its next neighbours along y and along x. The score is in the units
    of the field per cell. Even more than RMSE it prefers a smooth field to a sharp feature in the wrong place.

    References:
        Mathieu, Couprie and LeCun (2016), arXiv:1511.05440 (gradient differences as a measure of sharpness).
    """
    pair = check_overlap(prediction, reference)
    check_neighbours(pair.all_valid)
    along_y, along_x = _gradient(pair.prediction - pair.reference)
    return mean_over_windows(along_y**2 + along_x**2, pair.valid, 2)[:, None]


def gradient_magnitude_statistics(prediction: Fields, reference: Fields) -> Statistics:
    """Mean over places of ``|grad|``, of prediction and of reference; with `ratio`, their quotient.

    Best 1; below 1 the prediction is too smooth, above 1 too rough or too noisy. It does not depend on the places of the
    fronts, and weak noise everywhere can replace missing fronts.

    References:
        Mathieu, Couprie and LeCun (2016), arXiv:1511.05440 (gradients as a measure of sharpness).
    """
    pair = check_overlap(prediction, reference)
    check_neighbours(pair.all_valid)
    gradients = [_gradient(fields) for fields in pair[:2]]
    sizes = [np.sqrt(along_y**2 + along_x**2) for along_y, along_x in gradients]
    return np.stack([mean_over_windows(size, pair.valid, 2) for size in sizes], axis=1)


def check_neighbours(valid: Valid) -> None:
    """Refuse fields without room for a gradient.

    Raises:
        GridError: fewer than 2 cells along y or x.
        SourceError: a time at which all 2 x 2 cells touch a missing one.
    """
    check_windows(valid, 2, "a gradient")


def _gradient(fields: FieldArray) -> tuple[Float64[np.ndarray, "time y-1 x-1"], Float64[np.ndarray, "time y-1 x-1"]]:
    """Differences to the next cell along y and along x."""
    corner = fields[:, :-1, :-1]
    return fields[:, 1:, :-1] - corner, fields[:, :-1, 1:] - corner
