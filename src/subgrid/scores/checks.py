"""The types of arrays, what every score requires of its fields, and the one rule for missing values.

A cell where the reference is missing (NaN or masked) is left out of both fields. A prediction that is not finite where the
reference has a value, an infinite reference, and a time at which the reference has no value at all are errors. So a NaN is
never ignored, and what is left out depends on the reference alone: no system gains by predicting nothing.

Arrays that a caller gives (`Fields`, `Members`, `Weights`) may have any numeric type and may be masked; the functions that
take them check them, with a message that says what to change. All other arrays have the shapes that their types state.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int
from numpy.typing import NDArray

from subgrid.errors import GridError, SourceError

Fields = NDArray[Any]  # (time, y, x), as given
Members = NDArray[Any]  # (time, member, y, x), as given
Weights = NDArray[Any] | None  # relative weights of cells, (y,) or (y, x), as given; None: all cells count the same

FloatArray = Float64[np.ndarray, "..."]
FieldArray = Float64[np.ndarray, "time y x"]
Valid = Bool[np.ndarray, "time y x"]  # where the reference has a value
Statistics = Float64[np.ndarray, "time statistic"]
AnyStatistics = Float64[np.ndarray, "_ _"]  # in collections, whose items have different numbers of times or statistics
Means = Float64[np.ndarray, "*batch statistic"]  # statistics averaged over times
Values = Float64[np.ndarray, "*batch"]  # scores of `Means`
Series = Float64[np.ndarray, " time"]
IntArray = Int[np.ndarray, "..."]


class Pair(NamedTuple):
    """Prediction and reference that can be compared.

    Attributes:
        prediction: 0 at missing cells.
        reference: 0 at missing cells.
        valid: where the reference has a value; None where it has one everywhere.
    """

    prediction: FieldArray
    reference: FieldArray
    valid: Valid | None

    @property
    def all_valid(self) -> Valid:
        """Where the reference has values; a single time represents all of them where nothing is missing."""
        return np.ones((1, *self.reference.shape[1:]), bool) if self.valid is None else self.valid


def check_overlap(prediction: Fields, reference: Fields) -> Pair:
    """Convert prediction and reference (time, y, x) to float64 and find the cells where they can be compared.

    Raises:
        GridError: shapes that differ, or that are not three axes of at least one cell each.
        SourceError: a prediction that is missing or infinite where the reference has a value; an infinite reference; a
            time without any value of the reference.
    """
    if np.shape(prediction) != np.shape(reference):
        raise GridError(
            f"prediction has shape {np.shape(prediction)} but reference has shape {np.shape(reference)}; "
            "scores compare cell with cell: bring both to the same times and grid, as (time, y, x)."
        )
    predicted, truth = _floats("prediction", prediction), _floats("reference", reference)
    if _finite(prediction, predicted) and _finite(reference, truth):
        return Pair(predicted, truth, None)
    missing = np.isnan(truth) | np.ma.getmaskarray(reference)
    _refuse("reference", np.isinf(truth) & ~missing)
    _refuse("prediction", (~np.isfinite(predicted) | np.ma.getmaskarray(prediction)) & ~missing)
    if not missing.any():
        return Pair(predicted, truth, None)
    empty = missing.all(axis=(1, 2))
    if empty.any():
        raise SourceError(
            f"reference has no value at all at {int(empty.sum())} of {empty.size} times, the first at time index "
            f"{int(np.argmax(empty))}; expected some at each, since each time counts the same. Leave those times out."
        )
    return Pair(np.where(missing, 0.0, predicted), np.where(missing, 0.0, truth), ~missing)


def check_pair(prediction: Fields, reference: Fields) -> tuple[FieldArray, FieldArray]:
    """Convert prediction and reference to float64, for a score that needs every cell; errors as `check_overlap`.

    Raises:
        SourceError: a missing value.
    """
    pair = check_overlap(prediction, reference)
    if pair.valid is not None:
        check_complete(pair.valid)
    return pair.prediction, pair.reference


def check_fields(name: str, fields: Fields) -> FieldArray:
    """Convert fields (time, y, x) without gaps to float64; `name` is for the message.

    Raises:
        GridError: not three axes of at least one cell each.
        SourceError: values that are masked or not finite.
    """
    values = _floats(name, fields)
    if not _finite(fields, values):
        _refuse(name, ~np.isfinite(values) | np.ma.getmaskarray(fields))
    return values


def check_complete(valid: Valid) -> None:
    """Refuse a reference with gaps.

    Raises:
        SourceError: a cell is missing.
    """
    if not valid.all():
        first = int(np.argmax(~valid.all(axis=(1, 2))))
        raise SourceError(
            f"reference misses {int((~valid).sum())} values of {valid.size}, the first at time index {first}; a "
            "spectrum needs every cell, and cannot be taken of fields with gaps. Leave this score out, or crop to "
            "an area without gaps."
        )


def check_windows(valid: Valid, cells: int, what: str) -> None:
    """Refuse fields in which a window of ``cells x cells`` without missing cells does not fit; `what` is for the message.

    Raises:
        GridError: the field is smaller than the window.
        SourceError: a time at which every window touches a missing cell.
    """
    num_y, num_x = valid.shape[1:]
    if min(num_y, num_x) < cells:
        raise GridError(
            f"{what} needs at least {cells} x {cells} cells; these fields have {num_y} x {num_x}. Leave this "
            "score out, or score a larger area."
        )
    if valid.all():
        return
    room = whole_windows(valid, cells).any(axis=(1, 2))
    if not room.all():
        raise SourceError(
            f"{what} needs {cells} x {cells} cells of the reference without a gap, and at {int((~room).sum())} of "
            f"{room.size} times, the first at time index {int(np.argmin(room))}, there are none. Leave this score "
            "out, or crop to an area with fewer gaps."
        )


def check_data_range(data_range: float) -> None:
    """Refuse a data range that PSNR and SSIM cannot use.

    Raises:
        SourceError: the range is not a positive finite number.
    """
    if not (np.isfinite(data_range) and data_range > 0):
        raise SourceError(
            f"data_range is {data_range}; expected a positive number: maximum minus minimum of the "
            "training truth, in the fields' units. A constant truth has no PSNR or SSIM: leave them out for it."
        )


def whole_windows(valid: Valid, cells: int) -> Bool[np.ndarray, "time y-{cells}+1 x-{cells}+1"]:
    """Find the windows of ``cells x cells`` that have no missing cell."""
    return np.asarray(window_sums((~valid).astype(np.float64), cells) == 0)


def window_sums(
    values: Float64[np.ndarray, "*batch y x"], cells: int
) -> Float64[np.ndarray, "*batch y-{cells}+1 x-{cells}+1"]:
    """Sum over all windows of ``cells x cells`` inside the field; exact for whole numbers."""
    for axis in (-2, -1):
        total = np.cumsum(values, axis=axis)
        later = np.swapaxes(total, axis, -1)[..., cells - 1 :].copy()
        later[..., 1:] -= np.swapaxes(total, axis, -1)[..., :-cells]
        values = np.swapaxes(later, axis, -1)
    return values


def cell_weights(
    weights: Weights, shape: tuple[int, ...], valid: Valid | None
) -> Float64[np.ndarray, "time cell"] | None:
    """Normalise the weights of the cells, at each time over those that are valid.

    Returns:
        Rows of sum 1, a single row where nothing is missing; None where all cells of all times count the same.

    Raises:
        GridError: unusable weights.
        SourceError: a time whose only values have no weight.
    """
    if weights is None and valid is None:
        return None
    full = np.ones((1, *shape[1:])) if weights is None else _normal_weights(weights, shape[1:])[None]
    rows = (full if valid is None else full * valid).reshape(-1, shape[1] * shape[2])
    total = rows.sum(axis=1, keepdims=True)
    if not (total > 0).all():
        raise SourceError(
            f"reference has values only in cells of weight 0 at time index {int(np.argmin(total))}; expected some "
            "in a cell that counts. Leave that time out, or give other weights."
        )
    return np.asarray(rows / total, np.float64)


def mean_over_cells(values: FieldArray, weights: Weights, valid: Valid | None) -> Series:
    """Average over the valid cells of each time, with weights."""
    # Summed along each time's own row, so that a time's result does not depend on its block.
    rows = values.reshape(len(values), -1)
    cells = cell_weights(weights, values.shape, valid)
    return np.asarray(rows.mean(axis=1) if cells is None else (rows * cells).sum(axis=1), np.float64)


def mean_over_windows(places: Float64[np.ndarray, "time place_y place_x"], valid: Valid | None, cells: int) -> Series:
    """Average over the windows of ``cells x cells`` of each time that have no missing cell."""
    rows = places.reshape(len(places), -1)
    if valid is None:
        return np.asarray(rows.mean(axis=1), np.float64)
    whole = whole_windows(valid, cells).reshape(rows.shape)
    return np.asarray((rows * whole).sum(axis=1) / whole.sum(axis=1), np.float64)


def _normal_weights(weights: NDArray[Any], shape: tuple[int, ...]) -> Float64[np.ndarray, "y x"]:
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


def _floats(name: str, fields: Fields) -> FieldArray:
    if np.ndim(fields) != 3 or 0 in np.shape(fields):
        raise GridError(
            f"{name} has shape {np.shape(fields)}; expected (time, y, x) with at least one of each. "
            "Give a single field as field[None]."
        )
    return np.asarray(fields, np.float64)


def _finite(fields: Fields, values: FieldArray) -> bool:
    # A sum is finite only if all its terms are, and takes a third of the time of a test of each. The mask is tested on its
    # own, because np.asarray uncovers the fill values below it.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum())) and not np.ma.is_masked(fields)


def _refuse(name: str, bad: Valid) -> None:
    if bad.any():
        first = int(np.argmax(bad.any(axis=(1, 2))))
        raise SourceError(
            f"{name} holds {int(bad.sum())} non-finite or masked values of {bad.size}, the first at time "
            f"index {first}; a score of the rest would hide them. Only the reference may be missing, as NaN or "
            "masked; in a prediction of complete input, look for a model that diverged."
        )
