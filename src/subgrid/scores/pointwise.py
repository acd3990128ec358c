"""Scores that compare cell with cell; see `subgrid.scores` for arguments, shapes and errors.

Cells where the reference is missing have weight 0, and the weights of each time are normalised over the other cells.
"""

from __future__ import annotations

import numpy as np

from subgrid.scores.checks import (
    Fields,
    Means,
    Statistics,
    Values,
    Weights,
    check_data_range,
    check_overlap,
    mean_over_cells,
)

# The fields are float32: an error below this fraction of their range is rounding, and no image can have less.
RESOLUTION = 2.0**-23
PSNR_CEILING = float(-20.0 * np.log10(RESOLUTION))


def psnr_statistics(prediction: Fields, reference: Fields, *, data_range: float, weights: Weights = None) -> Statistics:
    """Peak signal-to-noise ratio of each image, ``10 log10(data_range^2 / mse)``, in dB.

    The mean square error is at least ``(2^-23 data_range)^2``, the rounding of the float32 fields themselves, so a perfect
    image counts as 138.47 dB (the best value). Infinity would be correct for one image, but would make the mean over all times
    infinite too and hide every other image.

    References:
        Huynh-Thu and Ghanbari (2008), Electronics Letters 44, 800-801, doi:10.1049/el:20080522.
    """
    return decibels(relative_error_statistics(prediction, reference, data_range=data_range, weights=weights))[:, None]


def relative_error_statistics(
    prediction: Fields, reference: Fields, *, data_range: float, weights: Weights = None
) -> Statistics:
    """Mean over cells of ``((prediction - reference) / data_range)^2``; with `decibels`, the pooled PSNR.

    Pooled PSNR has one mean square error over all times. It is below the mean of each image's PSNR, which a few easy images
    raise (Jensen's inequality), and it ranks systems as RMSE does.

    References:
        Huynh-Thu and Ghanbari (2008), as for `psnr_statistics`.
    """
    check_data_range(data_range)
    return squared_error_statistics(prediction, reference, weights=weights) / data_range**2


def decibels(mean: Means) -> Values:
    """Return ``-10 log10`` of the one statistic, at least the rounding of float32: (..., 1) -> (...), dB."""
    return np.asarray(-10.0 * np.log10(np.maximum(mean[..., 0], RESOLUTION**2)), np.float64)


def squared_error_statistics(prediction: Fields, reference: Fields, *, weights: Weights = None) -> Statistics:
    """Mean over cells of ``(prediction - reference)^2``; with `root`, the RMSE (best 0).

    References:
        Willmott and Matsuura (2005), Climate Research 30, 79-82, doi:10.3354/cr030079.
    """
    p, r, valid = check_overlap(prediction, reference)
    return mean_over_cells((p - r) ** 2, weights, valid)[:, None]


def absolute_error_statistics(prediction: Fields, reference: Fields, *, weights: Weights = None) -> Statistics:
    """Mean over cells of ``|prediction - reference|``, the MAE of each time (best 0).

    References:
        Willmott and Matsuura (2005), as for `squared_error_statistics`.
    """
    p, r, valid = check_overlap(prediction, reference)
    return mean_over_cells(np.abs(p - r), weights, valid)[:, None]


def error_statistics(prediction: Fields, reference: Fields, *, weights: Weights = None) -> Statistics:
    """Mean over cells of ``prediction - reference``, the bias of each time (best 0; above 0 is too high).

    References:
        Wilks (2011), Statistical Methods in the Atmospheric Sciences, 3rd ed., section 8.3 (mean error).
    """
    p, r, valid = check_overlap(prediction, reference)
    return mean_over_cells(p - r, weights, valid)[:, None]


def correlation_statistics(prediction: Fields, reference: Fields, *, weights: Weights = None) -> Statistics:
    """Five means over cells, with p the prediction and r the reference: ``p, r, p^2, r^2, p r``.

    `correlation` of their means is Pearson's correlation over all cells and times at once (best 1). It includes the pattern of
    the mean field: over mountains or many latitudes any prediction with the right climate has a high score. To avoid that,
    subtract the climate from both fields first. It does not react to a bias or to a wrong amplitude.

    References:
        Wilks (2011), Statistical Methods in the Atmospheric Sciences, 3rd ed., section 3.5.2 (Pearson correlation).
    """
    p, r, valid = check_overlap(prediction, reference)
    return np.stack([mean_over_cells(values, weights, valid) for values in (p, r, p * p, r * r, p * r)], axis=1)


def correlation(mean: Means) -> Values:
    """Return the correlation from `correlation_statistics`: (..., 5) -> (...), -1 to 1.

    A field whose standard deviation is below 3e-7 of its root mean square, the rounding of float32, has no pattern: two such
    fields agree and have correlation 1; one of them and a field with a pattern have correlation 0.
    """
    mean_p, mean_r, square_p, square_r, product = np.moveaxis(mean, -1, 0)
    variance_p, variance_r = square_p - mean_p**2, square_r - mean_r**2
    flat_p, flat_r = variance_p <= 1e-13 * square_p, variance_r <= 1e-13 * square_r
    scale = np.sqrt(np.where(flat_p | flat_r, 1.0, variance_p * variance_r))
    quotient = np.clip((product - mean_p * mean_r) / scale, -1.0, 1.0)
    return np.where(flat_p | flat_r, np.where(flat_p & flat_r, 1.0, 0.0), quotient)
