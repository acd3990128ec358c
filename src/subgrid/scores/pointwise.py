"""Scores that compare cell with cell.

Arrays are (time, y, x). A ``*_parts`` function gives float64 (time, num_statistics), quantities that may be
averaged over times; a finish turns such an average, its last axis the parts, into the score. Cells where the
reference is missing have weight zero, and each time's weights are normalised over the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subgrid.scores.checks import (
    BoolArray,
    FloatArray,
    cell_weights,
    check_data_range,
    check_fields,
    check_overlap,
    check_pair,
)
from subgrid.scores.score import only_statistic, root

__all__ = [
    "PSNR_CEILING",
    "RESOLUTION",
    "FloatArray",
    "absolute_error_statistics",
    "check_data_range",
    "check_fields",
    "check_pair",
    "correlation",
    "correlation_statistics",
    "decibels",
    "error_statistics",
    "only_statistic",
    "psnr_statistics",
    "relative_error_statistics",
    "root",
    "squared_error_statistics",
]

# The fields are float32: an error below this fraction of their range is rounding, and no image can show less.
RESOLUTION = 2.0**-23
PSNR_CEILING = float(-20.0 * np.log10(RESOLUTION))


def psnr_statistics(
    prediction: NDArray[Any],
    reference: NDArray[Any],
    *,
    data_range: float,
    weights: NDArray[Any] | None = None,
) -> FloatArray:
    """Peak signal-to-noise ratio of each image: ``10 log10(data_range^2 / mse)``.

    The mean square error is floored at ``(2^-23 data_range)^2``, the rounding of the float32 fields
    themselves, so a perfect image counts as 138.47 dB (the best value). An infinity would be honest for one
    image, but would make the mean over all times infinite too and hide every other image.

    Args:
        prediction: fields (time, y, x).
        reference: the truth, same shape and units; NaN where missing.
        data_range: peak, in the fields' units: maximum minus minimum of the *training* truth, never of the
            image at hand, so that images, systems and periods share one scale.
        weights: relative weight of cells, (y,) or (y, x), for the mean square error; None counts all the
            same.

    Returns:
        (time, 1), dB, higher is better.

    Raises:
        GridError: shapes that differ or are not (time, y, x); unusable weights.
        SourceError: values that are not finite; a data range that is not positive.

    References:
        Huynh-Thu and Ghanbari (2008), Electronics Letters 44, 800-801, doi:10.1049/el:20080522.
    """
    return decibels(relative_error_statistics(prediction, reference, data_range=data_range, weights=weights))[:, None]


def relative_error_statistics(
    prediction: NDArray[Any],
    reference: NDArray[Any],
    *,
    data_range: float,
    weights: NDArray[Any] | None = None,
) -> FloatArray:
    """Mean over cells of ``((prediction - reference) / data_range)^2``; with `decibels` as its finish, pooled PSNR.

    Pooled PSNR takes one mean square error over all times. It is below the mean of each image's PSNR, which a few
    easy images raise (Jensen's inequality), and it ranks systems as RMSE does.

    Args:
        prediction: fields (time, y, x).
        reference: the truth, same shape and units; NaN where missing.
        data_range: peak, in the fields' units, as for `psnr_statistics`.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 1), without units.

    Raises:
        GridError: shapes that differ or are not (time, y, x); unusable weights.
        SourceError: values that are not finite; a data range that is not positive.

    References:
        Huynh-Thu and Ghanbari (2008), Electronics Letters 44, 800-801, doi:10.1049/el:20080522.
    """
    check_data_range(data_range)
    return squared_error_statistics(prediction, reference, weights=weights) / data_range**2


def decibels(mean: FloatArray) -> FloatArray:
    """Finish of a score that is ``-10 log10`` of its one part, floored at the rounding of float32: (..., 1) -> (...), dB."""
    return -10.0 * np.log10(np.maximum(mean[..., 0], RESOLUTION**2))


def squared_error_statistics(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Mean over cells of ``(prediction - reference)^2``; with `root` as its finish, the RMSE (best 0).

    Args:
        prediction: fields (time, y, x).
        reference: the truth, same shape and units; NaN where missing.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 1), units of the field squared.

    Raises:
        GridError: shapes that differ or are not (time, y, x); unusable weights.
        SourceError: values that are not finite.

    References:
        Willmott and Matsuura (2005), Climate Research 30, 79-82, doi:10.3354/cr030079.
    """
    pair = check_overlap(prediction, reference)
    return _mean_over_cells((pair.prediction - pair.reference) ** 2, weights, pair.there)


def absolute_error_statistics(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Mean over cells of ``|prediction - reference|``, the MAE of each time (best 0).

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
        Willmott and Matsuura (2005), Climate Research 30, 79-82, doi:10.3354/cr030079.
    """
    pair = check_overlap(prediction, reference)
    return _mean_over_cells(np.abs(pair.prediction - pair.reference), weights, pair.there)


def error_statistics(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Mean over cells of ``prediction - reference``, the bias of each time (best 0; above 0 is too high).

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
        Wilks (2011), Statistical Methods in the Atmospheric Sciences, 3rd ed., section 8.3 (mean error).
    """
    pair = check_overlap(prediction, reference)
    return _mean_over_cells(pair.prediction - pair.reference, weights, pair.there)


def correlation_statistics(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Five means over cells, with p the prediction and r the reference: ``p, r, p^2, r^2, p r``.

    With `correlation` as their finish they give Pearson's correlation over all cells and times at once (best 1). It
    includes the pattern of the mean field: over mountains or many latitudes any prediction with the right climate
    scores high. Take anomalies of both fields first to be rid of that. It is blind to bias and to a wrong amplitude.

    Args:
        prediction: fields (time, y, x).
        reference: the truth, same shape and units; NaN where missing.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 5), units of the field, of the field squared.

    Raises:
        GridError: shapes that differ or are not (time, y, x); unusable weights.
        SourceError: values that are not finite.

    References:
        Wilks (2011), Statistical Methods in the Atmospheric Sciences, 3rd ed., section 3.5.2 (Pearson correlation).
    """
    p, r, there = check_overlap(prediction, reference)
    columns = [_mean_over_cells(values, weights, there) for values in (p, r, p * p, r * r, p * r)]
    return np.concatenate(columns, axis=1)


def correlation(mean: FloatArray) -> FloatArray:
    """Finish of `correlation_statistics`: (..., 5) -> (...), -1 to 1.

    A field whose standard deviation is below 3e-7 of its root mean square, the rounding of float32, has no pattern: two such
    fields agree and score 1, one of them beside a field with a pattern scores 0.
    """
    mean_p, mean_r, square_p, square_r, product = np.moveaxis(mean, -1, 0)
    variance_p, variance_r = square_p - mean_p**2, square_r - mean_r**2
    flat_p, flat_r = variance_p <= 1e-13 * square_p, variance_r <= 1e-13 * square_r
    scale = np.sqrt(np.where(flat_p | flat_r, 1.0, variance_p * variance_r))
    found = np.clip((product - mean_p * mean_r) / scale, -1.0, 1.0)
    return np.where(flat_p | flat_r, np.where(flat_p & flat_r, 1.0, 0.0), found)


def _mean_over_cells(values: FloatArray, weights: NDArray[Any] | None, there: BoolArray | None) -> FloatArray:
    # Summed along each time's own row, so that a time's result does not depend on its block.
    rows = values.reshape(len(values), -1)
    share = cell_weights(weights, values.shape, there)
    if share is None:
        return np.asarray(rows.mean(axis=1, keepdims=True), np.float64)
    return np.asarray((rows * share).sum(axis=1, keepdims=True), np.float64)
