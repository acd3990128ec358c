"""Consistency with the coarse input: does the fine prediction, coarsened, give back the field that it was made from?

The coarse input takes the place of the reference: `prediction` is (time, y, x), `coarse` is (time, y / factor, x / factor) of
the same variable in the same units, and cells where the input is missing are left out. `weights` are areas of the fine
cells, for the means in coarse cells and over them. See `subgrid.scores` for everything else.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from subgrid.errors import GridError
from subgrid.scores.checks import FieldArray, Fields, Statistics, Weights, cell_weights
from subgrid.scores.pointwise import absolute_error_statistics, squared_error_statistics


def consistency_squared_statistics(
    prediction: Fields, coarse: Fields, *, factor: int, weights: Weights = None
) -> Statistics:
    """Mean square difference of the coarsened prediction and its input; with `root`, the consistency RMSE.

    Best 0, which a layer that conserves coarse means reaches to rounding. It says nothing about the detail inside the coarse
    cells: repeating each coarse value in all its cells has the score 0. It compares the prediction with the input as it is:
    where the input was not made by area means, the truth itself does not have the score 0.

    References:
        Harder et al. (2023), Journal of Machine Learning Research 24, arXiv:2208.05424 (the constraint).
    """
    coarsened, areas = area_means(prediction, factor=factor, weights=weights)
    return squared_error_statistics(coarsened, coarse, weights=areas)


def consistency_absolute_statistics(
    prediction: Fields, coarse: Fields, *, factor: int, weights: Weights = None
) -> Statistics:
    """Mean absolute difference of the coarsened prediction and its input; best 0."""
    coarsened, areas = area_means(prediction, factor=factor, weights=weights)
    return absolute_error_statistics(coarsened, coarse, weights=areas)


def area_means(
    fields: Fields, *, factor: int, weights: Weights = None
) -> tuple[FieldArray, Float64[np.ndarray, "y x"]]:
    """Average over ``factor x factor`` cells by area; a missing cell makes its coarse cell NaN.

    Returns:
        Means (time, y / factor, x / factor), and the relative areas of the coarse cells.

    Raises:
        GridError: not (time, y, x); a factor below 1 or that does not divide y and x; unusable weights, or weights that are
            all 0 in a coarse cell.
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
        raise GridError(
            "weights are 0 everywhere in a coarse cell; expected the areas of the fine cells, none of them 0."
        )
    return np.einsum("tyfxg,yfxg->tyx", values, areas) / total, total
