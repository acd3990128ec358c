"""Consistency: does the fine prediction, coarsened, give back the coarse field it was made from?

Input and output are fields of one variable in one unit. The coarse input plays the part of the reference: where
it is missing, cells are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subgrid.errors import GridError
from subgrid.scores.checks import FloatArray, cell_weights
from subgrid.scores.pointwise import absolute_error_statistics, squared_error_statistics


def consistency_squared_statistics(
    prediction: NDArray[Any], coarse: NDArray[Any], *, factor: int, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Mean square difference of the coarsened prediction and its input; with `root`, the consistency RMSE.

    Best 0, as a layer that conserves coarse means reaches to rounding. It says nothing of the detail inside the
    coarse cells: repeating each coarse value over its cell scores 0. And it holds a prediction to its input as
    it is: where the input was made otherwise than by area means, the truth itself does not score 0.

    Args:
        prediction: fine fields (time, y, x).
        coarse: the input (time, y / factor, x / factor), same units.
        factor: fine cells per coarse cell along an axis.
        weights: areas of the fine cells, relative, (y,) or (y, x), for the means in coarse cells and over them;
            None takes them as equal.

    Returns:
        (time, 1), units of the field squared.

    Raises:
        GridError: shapes that do not fit; unusable weights or factor.
        SourceError: a prediction that is missing where the input has a value; a time without any input.

    References:
        Harder et al. (2023), Journal of Machine Learning Research 24, arXiv:2208.05424 (the constraint).
    """
    coarsened, areas = area_means(prediction, factor=factor, weights=weights)
    return squared_error_statistics(coarsened, coarse, weights=areas)


def consistency_absolute_statistics(
    prediction: NDArray[Any], coarse: NDArray[Any], *, factor: int, weights: NDArray[Any] | None = None
) -> FloatArray:
    """Mean absolute difference of the coarsened prediction and its input; best 0.

    Args:
        prediction: as for `consistency_squared_statistics`.
        coarse: as for `consistency_squared_statistics`.
        factor: as for `consistency_squared_statistics`.
        weights: as for `consistency_squared_statistics`.

    Returns:
        (time, 1), units of the field.

    Raises:
        GridError: as `consistency_squared_statistics`.
        SourceError: as `consistency_squared_statistics`.
    """
    coarsened, areas = area_means(prediction, factor=factor, weights=weights)
    return absolute_error_statistics(coarsened, coarse, weights=areas)


def area_means(
    fields: NDArray[Any], *, factor: int, weights: NDArray[Any] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Area-weighted means over ``factor x factor`` cells.

    Args:
        fields: (time, y, x); a NaN or masked cell makes its coarse cell NaN.
        factor: fine cells per coarse cell along an axis, 1 or more, a divisor of y and x.
        weights: areas of the fine cells, relative, (y,) or (y, x); None takes them as equal.

    Returns:
        Means (time, y / factor, x / factor), and the relative areas of the coarse cells (y / factor, x / factor).

    Raises:
        GridError: not (time, y, x); a factor that does not divide it; unusable weights, or a coarse cell
            without any.
    """
    shape = np.shape(fields)
    if len(shape) != 3 or 0 in shape or factor < 1 or shape[1] % factor or shape[2] % factor:
        raise GridError(
            f"fields have shape {shape} and factor is {factor}; expected (time, y, x), y and x multiples of the "
            "factor. Crop the prediction to the input's cells."
        )
    num_y, num_x = shape[1] // factor, shape[2] // factor
    values = np.ma.filled(np.ma.asarray(fields, np.float64), np.nan).reshape(-1, num_y, factor, num_x, factor)
    cells = cell_weights(weights, (1, *shape[1:]), None)
    if cells is None:
        return values.mean(axis=(2, 4)), np.ones((num_y, num_x))
    areas = cells.reshape(num_y, factor, num_x, factor)
    total = areas.sum(axis=(1, 3))
    if not (total > 0).all():
        raise GridError("weights are 0 all over a coarse cell; expected the areas of the fine cells, none of them 0.")
    return np.einsum("tyfxg,yfxg->tyx", values, areas) / total, total
