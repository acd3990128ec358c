"""The table of scores, and the families whose scores have a number in their name."""

from __future__ import annotations

import re
from collections.abc import Callable

from subgrid.errors import ConfigError, nearest
from subgrid.scores import distribution, neighbourhood, pointwise, spectra, structure
from subgrid.scores.distribution import quantile_error
from subgrid.scores.neighbourhood import fss
from subgrid.scores.score import Score, only_statistic, ratio, root

TRUTH = "truth"  # the reference's name among the systems
ALL = "all"  # the group of all times and cells; the variable of scores of all variables at once
BASELINES = ("bilinear", "bicubic")
BEST, TIED, WORSE, UNRANKED = "best", "no significant difference", "worse", ""  # values of the column `rank`
MAIN_SCORES = (
    "psnr", "ssim", "rmse", "mae", "bias", "correlation", "high_wavenumber_power_ratio", "log_spectral_distance",
    "histogram_overlap", "quantile_error_0.99", "crps", "spread_skill_ratio", "vector_rmse", "direction_error",
    "consistency_rmse",
)  # fmt: skip
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999)

_POINTWISE = (
    Score(
        "psnr",
        pointwise.psnr_statistics,
        only_statistic,
        "dB",
        pointwise.PSNR_CEILING,
        True,
        "Mean over times of each image's 10 log10(range^2 / mse), range of the training truth; "
        f"an image without error counts as {pointwise.PSNR_CEILING:.1f} dB, the rounding of float32",
        ("data_range", "weights"),
    ),
    Score(
        "psnr_pooled",
        pointwise.relative_error_statistics,
        pointwise.decibels,
        "dB",
        pointwise.PSNR_CEILING,
        True,
        "10 log10(range^2 / mse), mse over all times and cells, range of the training truth; "
        f"no error counts as {pointwise.PSNR_CEILING:.1f} dB, the rounding of float32",
        ("data_range", "weights"),
    ),
    Score(
        "rmse",
        pointwise.squared_error_statistics,
        root,
        "field",
        0.0,
        False,
        "Root of the mean square error over all times and cells",
        ("weights",),
    ),
    Score(
        "mae",
        pointwise.absolute_error_statistics,
        only_statistic,
        "field",
        0.0,
        False,
        "Mean absolute error over all times and cells",
        ("weights",),
    ),
    Score(
        "bias",
        pointwise.error_statistics,
        only_statistic,
        "field",
        0.0,
        None,
        "Mean of prediction minus truth over all times and cells",
        ("weights",),
    ),
    Score(
        "correlation",
        pointwise.correlation_statistics,
        pointwise.correlation,
        "1",
        1.0,
        True,
        "Pearson correlation over all times and cells at once, the pattern of the mean field included",
        ("weights",),
    ),
)

_STRUCTURE = (
    Score(
        "ssim",
        structure.ssim_statistics,
        only_statistic,
        "1",
        1.0,
        True,
        "Mean over times of each image's SSIM: Gaussian window of sigma 1.5 and 11 cells, population "
        "covariance, K1 0.01, K2 0.03, border cropped, range of the training truth",
        ("data_range",),
        structure.needs_window,
    ),
    Score(
        "ms_ssim",
        structure.ms_ssim_statistics,
        only_statistic,
        "1",
        1.0,
        True,
        "Mean over times of each image's MS-SSIM: window and constants as SSIM, as many of the five scales as have room for "
        "the window (3 at 64 cells, 5 from 176), weights .0448 .2856 .3001 .2363 .1333 (fewer: scaled to sum 1), range of "
        "the training truth",
        ("data_range",),
        structure.needs_window_at_each_scale,
    ),
    Score(
        "gradient_rmse",
        neighbourhood.gradient_difference_statistics,
        root,
        "field per cell",
        0.0,
        False,
        "Root mean square over all times and cells of the difference of the gradient vectors, by first differences",
        needs=neighbourhood.needs_neighbours,
    ),
    Score(
        "gradient_magnitude_ratio",
        neighbourhood.gradient_magnitude_statistics,
        ratio,
        "1",
        1.0,
        None,
        "Mean length of the prediction's gradient over that of the truth's, by first differences",
        needs=neighbourhood.needs_neighbours,
    ),
)

_SPECTRA = (
    Score(
        "high_wavenumber_power_ratio",
        spectra.high_wavenumber_power_statistics,
        ratio,
        "1",
        1.0,
        None,
        "Mean power of the prediction over that of the truth at wavelengths shorter than 2 x factor fine "
        "cells, mean removed, Hann window along the axes that are not periodic",
        ("factor", "periodic_x"),
        spectra.needs_whole_fields,
    ),
    Score(
        "log_spectral_distance",
        spectra.ring_power_statistics,
        spectra.log_spectral_distance,
        "dB",
        0.0,
        False,
        "Root mean square over wavenumber rings of the difference in dB of the two spectra, each averaged over direction and "
        "times; mean removed, Hann window along the axes that are not periodic",
        ("periodic_x",),
        spectra.needs_whole_fields,
    ),
)

_DISTRIBUTION = (
    Score(
        "histogram_overlap",
        distribution.histogram_statistics,
        distribution.histogram_overlap,
        "1",
        1.0,
        True,
        f"Common area of the histograms over all times and cells: {distribution.NUM_BINS} bins of equal width between the "
        "truth's bounds, and two outer ones",
        ("low", "high", "weights"),
    ),
    Score(
        "wasserstein",
        distribution.wasserstein_statistics,
        only_statistic,
        "field",
        0.0,
        False,
        "Mean over times of the first Wasserstein distance between the values of the two fields",
        ("weights",),
    ),
    *map(quantile_error, QUANTILES),
)

SCORES: dict[str, Score] = {score.name: score for score in (*_POINTWISE, *_STRUCTURE, *_SPECTRA, *_DISTRIBUTION)}

_NUMBER = r"(-?\d+\.?\d*(?:e[+-]?\d+)?)"

# How the name of a score with parameters is read; the text in front names the family.
_FAMILIES: tuple[tuple[str, Callable[[re.Match[str]], Score]], ...] = (
    (rf"fss_{_NUMBER}_w(\d+)", lambda found: fss(float(found[1]), int(found[2]))),
    (rf"quantile_error_{_NUMBER}", lambda found: quantile_error(float(found[1]))),
)


def canonical_name(name: str) -> str:
    """Write a score's name as the score itself does, ``fss_10_w5`` for ``fss_10.0_w5``; an unknown one stays as it is."""
    for pattern, make in _FAMILIES:
        if found := re.fullmatch(pattern, name):
            return make(found).name
    return name


def find_score(name: str) -> Score:
    """Look up a score, or make it where its name holds its parameters.

    Args:
        name: a key of `SCORES`, or such as ``fss_10_w5`` (threshold in the field's units, window in cells) or
            ``quantile_error_0.95``.

    Returns:
        The score. Its own name may be written shorter: ``fss_10.0_w5`` is called ``fss_10_w5``.

    Raises:
        ConfigError: no score is called that, or it cannot have these parameters.
    """
    if name in SCORES:
        return SCORES[name]
    for pattern, make in _FAMILIES:
        if found := re.fullmatch(pattern, name):
            return make(found)
    raise ConfigError(f"no score is called {name!r}.{nearest(name, [*SCORES, 'fss_10_w5', 'quantile_error_0.95'])}")
