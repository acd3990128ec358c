"""Scores that compare cell with cell, and the checks that every score shares.

Arrays are (time, y, x). A ``*_parts`` function gives float64 (time, num_parts), quantities that may be
averaged over times; a finish turns such an average, its last axis the parts, into the score.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subgrid.errors import GridError, SourceError

FloatArray = NDArray[np.float64]

# The fields are float32: an error below this fraction of their range is rounding, and no image can show less.
RESOLUTION = 2.0**-23
PSNR_CEILING = float(-20.0 * np.log10(RESOLUTION))


def psnr_parts(
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
        reference: the truth, same shape and units.
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
    check_data_range(data_range)
    mse = squared_error_parts(prediction, reference, weights=weights)
    return -10.0 * np.log10(np.maximum(mse / data_range**2, RESOLUTION**2))


def squared_error_parts(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Mean over cells of ``(prediction - reference)^2``; with `root` as its finish, the RMSE (best 0).

    Args:
        prediction: fields (time, y, x).
        reference: the truth, same shape and units.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 1), units of the field squared.

    Raises:
        GridError: shapes that differ or are not (time, y, x); unusable weights.
        SourceError: values that are not finite.

    References:
        Willmott and Matsuura (2005), Climate Research 30, 79-82, doi:10.3354/cr030079.
    """
    prediction, reference = check_pair(prediction, reference)
    return _mean_over_cells((prediction - reference) ** 2, weights)


def absolute_error_parts(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Mean over cells of ``|prediction - reference|``, the MAE of each time (best 0).

    Args:
        prediction: fields (time, y, x).
        reference: the truth, same shape and units.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 1), units of the field.

    Raises:
        GridError: shapes that differ or are not (time, y, x); unusable weights.
        SourceError: values that are not finite.

    References:
        Willmott and Matsuura (2005), Climate Research 30, 79-82, doi:10.3354/cr030079.
    """
    prediction, reference = check_pair(prediction, reference)
    return _mean_over_cells(np.abs(prediction - reference), weights)


def error_parts(
    prediction: NDArray[Any], reference: NDArray[Any], *, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Mean over cells of ``prediction - reference``, the bias of each time (best 0; above 0 is too high).

    Args:
        prediction: fields (time, y, x).
        reference: the truth, same shape and units.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 1), units of the field.

    Raises:
        GridError: shapes that differ or are not (time, y, x); unusable weights.
        SourceError: values that are not finite.

    References:
        Wilks (2011), Statistical Methods in the Atmospheric Sciences, 3rd ed., section 8.3 (mean error).
    """
    prediction, reference = check_pair(prediction, reference)
    return _mean_over_cells(prediction - reference, weights)


def only_part(mean: FloatArray) -> FloatArray:
    """Finish of a score that is its one part: (..., 1) -> (...), same units."""
    return mean[..., 0]


def root(mean: FloatArray) -> FloatArray:
    """Finish of a score that is the root of its one part: (..., 1) -> (...), the root of the part's units."""
    return np.sqrt(mean[..., 0])


def check_pair(prediction: NDArray[Any], reference: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Give prediction and reference as float64, or say why they cannot be compared.

    Args:
        prediction: fields (time, y, x); masked cells count as missing.
        reference: the truth, same shape.

    Returns:
        Both, float64 (time, y, x), finite everywhere.

    Raises:
        GridError: shapes that differ, or that are not three axes each with something on it.
        SourceError: values that are not finite.
    """
    if np.shape(prediction) != np.shape(reference):
        raise GridError(
            f"prediction has shape {np.shape(prediction)} but reference has shape {np.shape(reference)}; "
            "scores compare cell with cell: bring both to the same times and grid, as (time, y, x)."
        )
    return check_fields("prediction", prediction), check_fields("reference", reference)


def check_fields(name: str, fields: NDArray[Any]) -> FloatArray:
    """Give fields as float64, or say why they cannot be scored.

    Args:
        name: what the caller calls them, for the message.
        fields: (time, y, x); masked cells count as missing.

    Returns:
        float64 (time, y, x), finite everywhere.

    Raises:
        GridError: not three axes each with something on it.
        SourceError: values that are not finite.
    """
    if np.ndim(fields) != 3 or 0 in np.shape(fields):
        raise GridError(
            f"{name} has shape {np.shape(fields)}; expected (time, y, x) with at least one of each. "
            "Give a single field as field[None]."
        )
    values = np.asarray(fields, np.float64)
    # A mask is asked for by name, because np.asarray brings the fill values under it to light.
    bad = ~np.isfinite(values) | np.ma.getmask(fields)
    if bad.any():
        first = int(np.argmax(bad.any(axis=(1, 2))))
        raise SourceError(
            f"{name} holds {int(bad.sum())} non-finite or masked values of {bad.size}, the first at time "
            f"index {first}; a score of the rest would hide them. Fill or crop missing cells in both fields "
            "before scoring; in a prediction of complete input, look for a model that diverged."
        )
    return values


def check_data_range(data_range: float) -> None:
    """Refuse a data range that PSNR and SSIM cannot use.

    Args:
        data_range: maximum minus minimum of the training truth, in the fields' units.

    Raises:
        SourceError: the range is not a positive finite number.
    """
    if not (np.isfinite(data_range) and data_range > 0):
        raise SourceError(
            f"data_range is {data_range}; expected a positive number: maximum minus minimum of the "
            "training truth, in the fields' units. A constant truth has no PSNR or SSIM: leave them out for it."
        )


def _mean_over_cells(values: FloatArray, weights: NDArray[Any] | None) -> FloatArray:
    # Summed along each time's own row, so that a time's result does not depend on its block.
    rows = values.reshape(len(values), -1)
    if weights is None:
        return np.asarray(rows.mean(axis=1, keepdims=True), np.float64)
    weighted = rows * _normal_weights(weights, values.shape[1:]).ravel()
    return np.asarray(weighted.sum(axis=1, keepdims=True), np.float64)


def _normal_weights(weights: NDArray[Any], shape: tuple[int, ...]) -> FloatArray:
    """Weights as (y, x) with sum 1, from (y,) or (y, x)."""
    given = np.asarray(weights, np.float64)
    if given.shape not in ((shape[0],), shape):
        raise GridError(
            f"weights have shape {given.shape}; expected ({shape[0]},) or {shape}: (y,) or (y, x) of the fields."
        )
    if not np.isfinite(given).all() or given.min() < 0 or given.max() == 0:
        raise GridError(
            f"weights run from {given.min():g} to {given.max():g}; expected finite numbers, none below 0 "
            "and some above, such as the cells' areas or the cosine of latitude."
        )
    full = np.broadcast_to(given[:, None] if given.ndim == 1 else given, shape)
    return np.asarray(full / full.sum(), np.float64)
