"""Structural similarity, in its standard Gaussian form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subgrid.errors import GridError
from subgrid.verify.pointwise import FloatArray, check_data_range, check_pair

WINDOW_CELLS = 11
SIGMA_CELLS = 1.5
K1 = 0.01
K2 = 0.03

# Both measured: a block stays in the cache, and a tile keeps the banded product small.
_BLOCK_CELLS = 32768
_TILE_CELLS = 16


def ssim_parts(prediction: NDArray[Any], reference: NDArray[Any], *, data_range: float) -> FloatArray:
    """Structural similarity (SSIM) of each image.

    At each place, with means m, population variances s^2 and covariance c under a Gaussian window (sigma 1.5
    cells, 11 x 11 cells)::

        (2 m_p m_r + C1) (2 c + C2) / ((m_p^2 + m_r^2 + C1) (s_p^2 + s_r^2 + C2))

    with ``C1 = (0.01 data_range)^2`` and ``C2 = (0.03 data_range)^2``, averaged over the places whose window
    lies inside the image. The value is scikit-image's with ``gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False``. Fields enter as they are: SSIM changes when a constant is added to both, so
    it compares systems on one variable, not variables with each other.

    Args:
        prediction: fields (time, y, x), at least 11 cells along y and x.
        reference: the truth, same shape and units.
        data_range: in the fields' units: maximum minus minimum of the training truth.

    Returns:
        (time, 1), without units, 1 is best, -1 the least possible.

    Raises:
        GridError: shapes that differ or are not (time, y, x); an image smaller than the window.
        SourceError: values that are not finite; a data range that is not positive.

    References:
        Wang, Bovik, Sheikh and Simoncelli (2004), IEEE Transactions on Image Processing 13, 600-612,
        doi:10.1109/TIP.2003.819861.
    """
    prediction, reference = check_pair(prediction, reference)
    check_data_range(data_range)
    num_y, num_x = prediction.shape[1:]
    if min(num_y, num_x) < WINDOW_CELLS:
        raise GridError(
            f"SSIM needs at least {WINDOW_CELLS} x {WINDOW_CELLS} cells, its window; these fields have "
            f"{num_y} x {num_x}. Leave ssim out, or score a larger area."
        )
    step = max(1, _BLOCK_CELLS // (num_y * num_x))
    means = [
        _ssim_block(prediction[start : start + step], reference[start : start + step], data_range)
        for start in range(0, len(prediction), step)
    ]
    return np.concatenate(means)[:, None]


def _ssim_block(prediction: FloatArray, reference: FloatArray, data_range: float) -> FloatArray:
    """SSIM of each image of a block, (time,)."""
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    # Only the sum of the two variances enters, so four blurs do for the five moments.
    mean_p, mean_r = _blur(prediction), _blur(reference)
    product = mean_p * mean_r
    squares = mean_p * mean_p + mean_r * mean_r
    variances = _blur(prediction * prediction + reference * reference) - squares
    covariance = _blur(prediction * reference) - product
    places = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return np.asarray(places.reshape(len(places), -1).mean(axis=1), np.float64)


def _blur(fields: FloatArray) -> FloatArray:
    """Gaussian means (time, y - 10, x - 10) of the windows inside (time, y, x).

    The window is separable, and along one axis it is a product with a banded matrix. In tiles that is about
    twice as fast as scipy's correlate1d: a matrix product wastes some arithmetic, but none of the machine.
    """
    band = _band()
    edge = WINDOW_CELLS - 1
    num_time, num_y, num_x = fields.shape
    along_x = np.empty((num_time, num_y, num_x - edge))
    for start in range(0, num_x - edge, _TILE_CELLS):
        width = min(_TILE_CELLS, num_x - edge - start)
        tile = fields[:, :, start : start + width + edge]
        along_x[:, :, start : start + width] = tile @ band[: width + edge, :width]
    blurred = np.empty((num_time, num_y - edge, num_x - edge))
    for start in range(0, num_y - edge, _TILE_CELLS):
        width = min(_TILE_CELLS, num_y - edge - start)
        tile = along_x[:, start : start + width + edge]
        blurred[:, start : start + width] = band[: width + edge, :width].T @ tile
    return blurred


def _band() -> FloatArray:
    """Matrix (tile + 10, tile) whose column j holds the window's weights from row j on."""
    offsets = np.arange(WINDOW_CELLS) - WINDOW_CELLS // 2
    window = np.exp(-0.5 * (offsets / SIGMA_CELLS) ** 2)
    band = np.zeros((_TILE_CELLS + WINDOW_CELLS - 1, _TILE_CELLS))
    for column in range(_TILE_CELLS):
        band[column : column + WINDOW_CELLS, column] = window / window.sum()
    return band
