"""What every score asks of its fields, and the one rule for missing values.

A cell where the reference is missing (NaN or masked) is left out of both fields. A prediction that is not
finite where the reference has a value, an infinite reference, and a time at which the reference has no value
at all are errors. So a NaN never passes silently, and what is left out depends on the truth alone: no system
can gain by predicting nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from subgrid.errors import GridError, SourceError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Pair(NamedTuple):
    """Prediction and reference that can be compared.

    Attributes:
        prediction: float64 (time, y, x), 0 at missing cells.
        reference: float64 (time, y, x), 0 at missing cells.
        there: (time, y, x), where the reference has a value; None where it has one everywhere.
    """

    prediction: FloatArray
    reference: FloatArray
    there: BoolArray | None


def check_overlap(prediction: NDArray[Any], reference: NDArray[Any]) -> Pair:
    """Give prediction and reference as float64 with the cells that both have, or say why they cannot be compared.

    Args:
        prediction: fields (time, y, x); masked cells count as missing.
        reference: the truth, same shape; NaN or masked where it is missing.

    Returns:
        Both, and where they are to be compared.

    Raises:
        GridError: shapes that differ, or that are not three axes each with something on it.
        SourceError: a prediction that is missing or infinite where the reference has a value; an infinite
            reference; a time without any value of the reference.
    """
    if np.shape(prediction) != np.shape(reference):
        raise GridError(
            f"prediction has shape {np.shape(prediction)} but reference has shape {np.shape(reference)}; "
            "scores compare cell with cell: bring both to the same times and grid, as (time, y, x)."
        )
    shown, truth = _floats("prediction", prediction), _floats("reference", reference)
    if _finite(prediction, shown) and _finite(reference, truth):
        return Pair(shown, truth, None)
    missing = np.isnan(truth) | np.ma.getmaskarray(reference)
    _refuse("reference", np.isinf(truth) & ~missing)
    _refuse("prediction", (~np.isfinite(shown) | np.ma.getmaskarray(prediction)) & ~missing)
    if not missing.any():
        return Pair(shown, truth, None)
    empty = missing.all(axis=(1, 2))
    if empty.any():
        raise SourceError(
            f"reference has no value at all at {int(empty.sum())} of {empty.size} times, the first at time index "
            f"{int(np.argmax(empty))}; expected some at each, since each time counts the same. Leave those times out."
        )
    return Pair(np.where(missing, 0.0, shown), np.where(missing, 0.0, truth), ~missing)


def check_pair(prediction: NDArray[Any], reference: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Give prediction and reference as float64 without gaps, for a score that cannot leave cells out.

    Args:
        prediction: fields (time, y, x); masked cells count as missing.
        reference: the truth, same shape.

    Returns:
        Both, float64 (time, y, x), finite everywhere.

    Raises:
        GridError: shapes that differ, or that are not three axes each with something on it.
        SourceError: values that are missing or not finite.
    """
    pair = check_overlap(prediction, reference)
    if pair.there is not None:
        check_complete(pair.there)
    return pair.prediction, pair.reference


def check_fields(name: str, fields: NDArray[Any]) -> FloatArray:
    """Give fields without gaps as float64, or say why they cannot be scored.

    Args:
        name: what the caller calls them, for the message.
        fields: (time, y, x); masked cells count as missing.

    Returns:
        float64 (time, y, x), finite everywhere.

    Raises:
        GridError: not three axes each with something on it.
        SourceError: values that are not finite.
    """
    values = _floats(name, fields)
    if not _finite(fields, values):
        _refuse(name, ~np.isfinite(values) | np.ma.getmaskarray(fields))
    return values


def check_complete(there: BoolArray) -> None:
    """Refuse a reference with gaps.

    Args:
        there: (time, y, x), where the reference has a value.

    Raises:
        SourceError: a cell is missing.
    """
    if not there.all():
        first = int(np.argmax(~there.all(axis=(1, 2))))
        raise SourceError(
            f"reference misses {int((~there).sum())} values of {there.size}, the first at time index {first}; a "
            "spectrum needs every cell, and cannot be taken of fields with gaps. Leave this score out, or crop to "
            "an area without gaps."
        )


def check_windows(there: BoolArray, cells: int, what: str) -> None:
    """Refuse fields that have no room for a window without missing cells.

    Args:
        there: (time, y, x), where the reference has a value.
        cells: side of the square window.
        what: the score and its window, for the message.

    Raises:
        GridError: the field is smaller than the window.
        SourceError: a time at which every window touches a missing cell.
    """
    num_y, num_x = there.shape[1:]
    if min(num_y, num_x) < cells:
        raise GridError(
            f"{what} needs at least {cells} x {cells} cells; these fields have {num_y} x {num_x}. Leave this "
            "score out, or score a larger area."
        )
    if there.all():
        return
    room = whole_windows(there, cells).any(axis=(1, 2))
    if not room.all():
        raise SourceError(
            f"{what} needs {cells} x {cells} cells of the reference without a gap, and at {int((~room).sum())} of "
            f"{room.size} times, the first at time index {int(np.argmin(room))}, there are none. Leave this score "
            "out, or crop to an area with fewer gaps."
        )


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


def whole_windows(there: BoolArray, cells: int) -> BoolArray:
    """Which windows of ``cells x cells`` have no missing cell: (time, y, x) -> (time, y - cells + 1, x - cells + 1)."""
    return np.asarray(window_sums((~there).astype(np.float64), cells) == 0)


def window_sums(values: FloatArray, cells: int) -> FloatArray:
    """Sums over all square windows that lie inside the field.

    Args:
        values: (..., y, x), at least `cells` along both.
        cells: side of the window.

    Returns:
        (..., y - cells + 1, x - cells + 1); exact for whole numbers.
    """
    for axis in (-2, -1):
        total = np.cumsum(values, axis=axis)
        later = np.swapaxes(total, axis, -1)[..., cells - 1 :].copy()
        later[..., 1:] -= np.swapaxes(total, axis, -1)[..., :-cells]
        values = np.swapaxes(later, axis, -1)
    return values


def cell_weights(weights: NDArray[Any] | None, shape: tuple[int, ...], there: BoolArray | None) -> FloatArray | None:
    """Weight of each cell, normalised at each time over the cells that are there.

    Args:
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.
        shape: (time, y, x).
        there: as in `Pair`.

    Returns:
        (time, y * x) with gaps, else (1, y * x), rows of sum 1; None where all cells of all times count the same.

    Raises:
        GridError: unusable weights.
        SourceError: a time whose only values have no weight.
    """
    if weights is None and there is None:
        return None
    full = np.ones((1, *shape[1:])) if weights is None else _normal_weights(weights, shape[1:])[None]
    rows = (full if there is None else full * there).reshape(-1, shape[1] * shape[2])
    total = rows.sum(axis=1, keepdims=True)
    if not (total > 0).all():
        raise SourceError(
            f"reference has values only in cells of weight 0 at time index {int(np.argmin(total))}; expected some "
            "in a cell that counts. Leave that time out, or give other weights."
        )
    return np.asarray(rows / total, np.float64)


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


def _floats(name: str, fields: NDArray[Any]) -> FloatArray:
    if np.ndim(fields) != 3 or 0 in np.shape(fields):
        raise GridError(
            f"{name} has shape {np.shape(fields)}; expected (time, y, x) with at least one of each. "
            "Give a single field as field[None]."
        )
    return np.asarray(fields, np.float64)


def _finite(fields: NDArray[Any], values: FloatArray) -> bool:
    # A sum is finite only if all its terms are, and takes a third of the time of a look at each. A mask is asked
    # for by name, because np.asarray brings the fill values under it to light.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum())) and not np.ma.is_masked(fields)


def _refuse(name: str, bad: BoolArray) -> None:
    if bad.any():
        first = int(np.argmax(bad.any(axis=(1, 2))))
        raise SourceError(
            f"{name} holds {int(bad.sum())} non-finite or masked values of {bad.size}, the first at time "
            f"index {first}; a score of the rest would hide them. Only the reference may be missing, as NaN or "
            "masked; in a prediction of complete input, look for a model that diverged."
        )
