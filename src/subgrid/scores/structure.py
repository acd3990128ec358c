"""Structural similarity, in its standard Gaussian form, at one scale and at several.

A window that touches a cell where the reference is missing is left out, at each scale. See `subgrid.scores` for arguments,
shapes and errors.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64

from subgrid.scores.checks import (
    FieldArray,
    Fields,
    Pair,
    Series,
    Statistics,
    Valid,
    check_data_range,
    check_overlap,
    check_windows,
    mean_over_windows,
)

WINDOW_CELLS = 11
SIGMA_CELLS = 1.5
K1 = 0.01
K2 = 0.03
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

# Both measured: a block stays in the cache of the processor, and a tile keeps the banded product small.
_BLOCK_CELLS = 32768
_TILE_CELLS = 16


def ssim_statistics(prediction: Fields, reference: Fields, *, data_range: float) -> Statistics:
    """Structural similarity (SSIM) of each image.

    At each place, with means m, population variances s^2 and covariance c under a Gaussian window (sigma 1.5
    cells, 11 x 11 cells)::

        (2 m_p m_r + C1) (2 c + C2) / ((m_p^2 + m_r^2 + C1) (s_p^2 + s_r^2 + C2))

    with ``C1 = (0.01 data_range)^2`` and ``C2 = (0.03 data_range)^2``, averaged over the places whose window
    lies inside the image and touches no missing cell. The value is scikit-image's with
    ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False``. Fields enter as they are: SSIM changes
    when a constant is added to both, so it compares systems on one variable, not variables with each other.

    References:
        Wang, Bovik, Sheikh and Simoncelli (2004), IEEE Transactions on Image Processing 13, 600-612,
        doi:10.1109/TIP.2003.819861.
    """
    return _in_blocks(_ssim_block, prediction, reference, data_range, check_window)


def ms_ssim_statistics(prediction: Fields, reference: Fields, *, data_range: float) -> Statistics:
    """Multi-scale structural similarity (MS-SSIM) of each image.

    SSIM's second factor (contrast and structure) is averaged over places at scale 1, 2, 4, 8 of the cells, and SSIM as
    a whole at the last, 16; each scale is the mean over 2 x 2 cells of the one before it (an odd last row or column is
    dropped, and a cell of a missing one is missing). The score is the product of these five means, each cut at 0 and
    raised to its weight: 0.0448, 0.2856, 0.3001, 0.2363, 0.1333. Five scales of the 11-cell window need 176 cells. A smaller
    field has as many as fit, with weights scaled to the sum 1 (`scale_weights`); so compare values
    only between fields of the same shape. Unlike SSIM it allows small shifts of fine detail; as the first weight is
    small, it says little about the shortest waves.

    References:
        Wang, Simoncelli and Bovik (2003), 37th Asilomar Conference on Signals, Systems and Computers, 1398-1402,
        doi:10.1109/ACSSC.2003.1292216.
    """
    return _in_blocks(_ms_ssim_block, prediction, reference, data_range, check_window_at_each_scale)


def scale_weights(num_y: int, num_x: int) -> Float64[np.ndarray, " scale"]:
    """Weights of the scales that a field of `num_y` by `num_x` cells has room for, finest first.

    All five are used as published, with a sum of 1.0001; fewer are scaled to the sum 1.
    """
    side, fitting = min(num_y, num_x), 0
    while fitting < len(SCALE_WEIGHTS) and side >> fitting >= WINDOW_CELLS:
        fitting += 1
    chosen = np.array(SCALE_WEIGHTS[:fitting])
    return chosen if fitting == len(SCALE_WEIGHTS) else np.asarray(chosen / chosen.sum(), np.float64)


def check_window(valid: Valid) -> None:
    """Refuse fields without room for the window of SSIM.

    Raises:
        GridError: the field is smaller than the window.
        SourceError: a time at which every window touches a missing cell.
    """
    check_windows(valid, WINDOW_CELLS, "SSIM")


def check_window_at_each_scale(valid: Valid) -> None:
    """Refuse fields without room for the window of SSIM at one of the scales; errors as `check_window`."""
    check_window(valid)
    for scale in range(1, len(scale_weights(*valid.shape[1:]))):
        valid = _halve_mask(valid)
        check_windows(valid, WINDOW_CELLS, f"MS-SSIM at scale {2**scale}, counted in cells of that scale,")


def _in_blocks(
    score: Callable[[Pair, float], Series],
    prediction: Fields,
    reference: Fields,
    data_range: float,
    check: Callable[[Valid], None],
) -> Statistics:
    """Score a few images at a time."""
    pair = check_overlap(prediction, reference)
    check_data_range(data_range)
    check(pair.all_valid)
    num_time, num_y, num_x = pair.reference.shape
    step = max(1, _BLOCK_CELLS // (num_y * num_x))
    blocks = [slice(start, start + step) for start in range(0, num_time, step)]
    p, r, valid = pair
    means = [score(Pair(p[at], r[at], None if valid is None else valid[at]), data_range) for at in blocks]
    return np.concatenate(means)[:, None]


def _ssim_block(pair: Pair, data_range: float) -> Series:
    """SSIM of each image of a block."""
    luminance, contrast = _similarities(pair, data_range)
    return mean_over_windows(luminance * contrast, pair.valid, WINDOW_CELLS)


def _ms_ssim_block(pair: Pair, data_range: float) -> Series:
    """MS-SSIM of each image of a block."""
    weights = scale_weights(*pair.reference.shape[1:])
    product = np.ones(len(pair.reference))
    for scale, weight in enumerate(weights, start=1):
        luminance, contrast = _similarities(pair, data_range)
        term = luminance * contrast if scale == len(weights) else contrast
        product *= np.maximum(mean_over_windows(term, pair.valid, WINDOW_CELLS), 0.0) ** weight
        valid = None if pair.valid is None else _halve_mask(pair.valid)
        pair = Pair(_halve(pair.prediction), _halve(pair.reference), valid)
    return product


def _similarities(pair: Pair, data_range: float) -> tuple[FieldArray, FieldArray]:
    """The two factors of SSIM at each place, luminance and contrast with structure, each (time, y - 10, x - 10)."""
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    prediction, reference = pair.prediction, pair.reference
    # Only the sum of the two variances enters, so four blurs do for the five moments.
    mean_p, mean_r = _blur(prediction), _blur(reference)
    product = mean_p * mean_r
    squares = mean_p * mean_p + mean_r * mean_r
    variances = _blur(prediction * prediction + reference * reference) - squares
    covariance = _blur(prediction * reference) - product
    return (2 * product + c1) / (squares + c1), (2 * covariance + c2) / (variances + c2)


def _halve(fields: FieldArray) -> Float64[np.ndarray, "time y//2 x//2"]:
    """Average over 2 x 2 cells."""
    sums = fields[:, :-1:2, :-1:2] + fields[:, 1::2, :-1:2] + fields[:, :-1:2, 1::2] + fields[:, 1::2, 1::2]
    return np.asarray(sums / 4.0, np.float64)


def _halve_mask(valid: Valid) -> Bool[np.ndarray, "time y//2 x//2"]:
    """Find where all of 2 x 2 cells are valid."""
    all_four = valid[:, :-1:2, :-1:2] & valid[:, 1::2, :-1:2] & valid[:, :-1:2, 1::2] & valid[:, 1::2, 1::2]
    return np.asarray(all_four, np.bool_)


def _blur(fields: FieldArray) -> Float64[np.ndarray, "time y-10 x-10"]:
    """Gaussian means of the windows inside the fields.

    The window is separable, and along one axis it is a product with a banded matrix. In tiles that is about
    twice as fast as scipy's correlate1d: a matrix product does some arithmetic too much, but at the full speed of the machine.
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


def _band() -> Float64[np.ndarray, "row tile"]:
    """Matrix whose column j holds the window's weights from row j on."""
    offsets = np.arange(WINDOW_CELLS) - WINDOW_CELLS // 2
    window = np.exp(-0.5 * (offsets / SIGMA_CELLS) ** 2)
    band = np.zeros((_TILE_CELLS + WINDOW_CELLS - 1, _TILE_CELLS))
    for column in range(_TILE_CELLS):
        band[column : column + WINDOW_CELLS, column] = window / window.sum()
    return band
