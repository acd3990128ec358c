"""The registry of all scores, and the names that every table of scores uses.

`REGISTRY` describes every name that can stand in the column `score` of `scores.csv`, apart from the two families whose
names hold parameters (``fss_THRESHOLD_wWINDOW``, ``quantile_error_PROBABILITY``); `describe_score` knows these too. A
new score is a function of statistics, a function of their means if no existing one fits, and an entry here; plans,
tables, terminal and pages read the entry.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from subgrid.errors import ConfigError, nearest
from subgrid.scores import (
    consistency,
    distribution,
    ensemble,
    field_sets,
    neighbourhood,
    pointwise,
    spectra,
    structure,
    wind,
)
from subgrid.scores.distribution import quantile_error
from subgrid.scores.neighbourhood import fss
from subgrid.scores.score import (
    CORRELATION,
    NOT_NEGATIVE,
    SHARE,
    Description,
    FieldSetScore,
    Score,
    only_statistic,
    ratio,
    root,
)

TRUTH = "truth"  # name of the reference among the systems
ALL = "all"  # the group of all times and cells; also the variable of a score that is of all variables at once
BASELINES = ("bilinear", "bicubic")
BEST, TIED, WORSE, UNRANKED = "best", "no significant difference", "worse", ""  # values of the column `rank`
QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
MAIN_QUANTILE = 0.99

Kind = TypeVar("Kind", bound=Description)


def _by_name(*scores: Kind) -> dict[str, Kind]:
    return {score.name: score for score in scores}


_POINTWISE = (
    Score(
        name="psnr",
        statistics=pointwise.psnr_statistics,
        from_means=only_statistic,
        units="dB",
        best=pointwise.PSNR_CEILING,
        higher_is_better=True,
        bounds=(-math.inf, pointwise.PSNR_CEILING),
        convention="Mean over times of each image's 10 log10(range^2 / mse), range of the training truth; "
        f"an image without error counts as {pointwise.PSNR_CEILING:.1f} dB, the rounding of float32",
        options=("data_range", "weights"),
        main=True,
    ),
    Score(
        name="psnr_pooled",
        statistics=pointwise.relative_error_statistics,
        from_means=pointwise.decibels,
        units="dB",
        best=pointwise.PSNR_CEILING,
        higher_is_better=True,
        bounds=(-math.inf, pointwise.PSNR_CEILING),
        convention="10 log10(range^2 / mse), mse over all times and cells, range of the training truth; "
        f"no error counts as {pointwise.PSNR_CEILING:.1f} dB, the rounding of float32",
        options=("data_range", "weights"),
    ),
    Score(
        name="rmse",
        statistics=pointwise.squared_error_statistics,
        from_means=root,
        units="field",
        best=0.0,
        higher_is_better=False,
        bounds=NOT_NEGATIVE,
        convention="Root of the mean square error over all times and cells",
        options=("weights",),
        main=True,
    ),
    Score(
        name="mae",
        statistics=pointwise.absolute_error_statistics,
        from_means=only_statistic,
        units="field",
        best=0.0,
        higher_is_better=False,
        bounds=NOT_NEGATIVE,
        convention="Mean absolute error over all times and cells",
        options=("weights",),
        main=True,
    ),
    Score(
        name="bias",
        statistics=pointwise.error_statistics,
        from_means=only_statistic,
        units="field",
        best=0.0,
        higher_is_better=None,
        convention="Mean of prediction minus truth over all times and cells",
        options=("weights",),
        main=True,
    ),
    Score(
        name="correlation",
        statistics=pointwise.correlation_statistics,
        from_means=pointwise.correlation,
        units="1",
        best=1.0,
        higher_is_better=True,
        bounds=CORRELATION,
        convention="Pearson correlation over all times and cells at once, the pattern of the mean field included",
        options=("weights",),
        main=True,
    ),
)

_STRUCTURE = (
    Score(
        name="ssim",
        statistics=structure.ssim_statistics,
        from_means=only_statistic,
        units="1",
        best=1.0,
        higher_is_better=True,
        bounds=CORRELATION,
        convention="Mean over times of each image's SSIM: Gaussian window of sigma 1.5 and 11 cells, population "
        "covariance, K1 0.01, K2 0.03, border cropped, range of the training truth",
        options=("data_range",),
        check=structure.check_window,
        main=True,
    ),
    Score(
        name="ms_ssim",
        statistics=structure.ms_ssim_statistics,
        from_means=only_statistic,
        units="1",
        best=1.0,
        higher_is_better=True,
        bounds=CORRELATION,
        convention="Mean over times of each image's MS-SSIM: window and constants as SSIM, as many of the five scales as "
        "have room for the window (3 at 64 cells, 5 from 176), weights 0.0448 0.2856 0.3001 0.2363 0.1333 (fewer: scaled "
        "to sum 1), range of the training truth",
        options=("data_range",),
        check=structure.check_window_at_each_scale,
    ),
    Score(
        name="gradient_rmse",
        statistics=neighbourhood.gradient_difference_statistics,
        from_means=root,
        units="field per cell",
        best=0.0,
        higher_is_better=False,
        bounds=NOT_NEGATIVE,
        convention="Root mean square over all times and cells of the difference of the gradient vectors, by first "
        "differences",
        check=neighbourhood.check_neighbours,
    ),
    Score(
        name="gradient_magnitude_ratio",
        statistics=neighbourhood.gradient_magnitude_statistics,
        from_means=ratio,
        units="1",
        best=1.0,
        higher_is_better=None,
        bounds=NOT_NEGATIVE,
        convention="Mean length of the prediction's gradient over that of the truth's, by first differences",
        check=neighbourhood.check_neighbours,
        each_member=True,
    ),
)

_SPECTRA = (
    Score(
        name="high_wavenumber_power_ratio",
        statistics=spectra.high_wavenumber_power_statistics,
        from_means=ratio,
        units="1",
        best=1.0,
        higher_is_better=None,
        bounds=NOT_NEGATIVE,
        convention="Mean power of the prediction over that of the truth at wavelengths shorter than 2 x factor fine "
        "cells, mean removed, Hann window along the axes that are not periodic",
        options=("factor", "periodic_x"),
        check=spectra.check_whole_fields,
        each_member=True,
        main=True,
        needs="factor",
    ),
    Score(
        name="log_spectral_distance",
        statistics=spectra.ring_power_statistics,
        from_means=spectra.log_spectral_distance,
        units="dB",
        best=0.0,
        higher_is_better=False,
        bounds=NOT_NEGATIVE,
        convention="Root mean square over wavenumber rings of the difference in dB of the two spectra, each averaged over "
        "direction and times; mean removed, Hann window along the axes that are not periodic",
        options=("periodic_x",),
        check=spectra.check_whole_fields,
        each_member=True,
        main=True,
    ),
)

_DISTRIBUTION = (
    Score(
        name="histogram_overlap",
        statistics=distribution.histogram_statistics,
        from_means=distribution.histogram_overlap,
        units="1",
        best=1.0,
        higher_is_better=True,
        bounds=SHARE,
        convention=f"Common area of the histograms over all times and cells: {distribution.NUM_BINS} bins of equal width "
        "between the truth's bounds, and two outer ones",
        options=("low", "high", "weights"),
        each_member=True,
        main=True,
    ),
    Score(
        name="wasserstein",
        statistics=distribution.wasserstein_statistics,
        from_means=only_statistic,
        units="field",
        best=0.0,
        higher_is_better=False,
        bounds=NOT_NEGATIVE,
        convention="Mean over times of the first Wasserstein distance between the values of the two fields",
        options=("weights",),
        each_member=True,
    ),
    *(quantile_error(probability, main=probability == MAIN_QUANTILE) for probability in QUANTILES),
)

# Of single fields: the scores of every variable, computed without being asked for by name.
SCORES = _by_name(*_POINTWISE, *_STRUCTURE, *_SPECTRA, *_DISTRIBUTION)

ENSEMBLE_SCORES = _by_name(
    Score(
        name="crps",
        statistics=ensemble.crps_statistics,
        from_means=only_statistic,
        units="field",
        best=0.0,
        higher_is_better=False,
        bounds=NOT_NEGATIVE,
        convention="Mean CRPS of the step function of the members; compares ensembles of one size",
        options=("weights",),
        main=True,
        needs="members",
    ),
    Score(
        name="crps_fair",
        statistics=ensemble.crps_fair_statistics,
        from_means=only_statistic,
        units="field",
        best=0.0,
        higher_is_better=False,
        convention="Mean fair CRPS; compares ensembles of any size",
        options=("weights",),
        needs="members",
    ),
    Score(
        name="spread",
        statistics=ensemble.spread_statistics,
        from_means=root,
        units="field",
        best=float("nan"),
        higher_is_better=None,
        bounds=NOT_NEGATIVE,
        convention="Root of the mean variance of the members (divisor m - 1); compare it with skill, it has no best value",
        options=("weights",),
        needs="members",
    ),
    Score(
        name="skill",
        statistics=ensemble.skill_statistics,
        from_means=root,
        units="field",
        best=0.0,
        higher_is_better=False,
        bounds=NOT_NEGATIVE,
        convention="Root of the mean square error of the ensemble mean",
        options=("weights",),
        needs="members",
    ),
    Score(
        name="spread_skill_ratio",
        statistics=ensemble.spread_skill_statistics,
        from_means=ensemble.root_ratio,
        units="1",
        best=1.0,
        higher_is_better=None,
        bounds=NOT_NEGATIVE,
        convention="sqrt((m + 1) / m) times spread over skill, variances averaged before the root",
        options=("weights",),
        main=True,
        needs="members",
    ),
    Score(
        name="rank_histogram_flatness",
        statistics=ensemble.rank_histogram_statistics,
        from_means=ensemble.flatness,
        units="1",
        best=0.0,
        higher_is_better=False,
        bounds=NOT_NEGATIVE,
        convention="Sum over ranks of |share - 1 / (m + 1)|; ties counted in equal shares",
        options=("weights",),
        needs="members",
    ),
)

WIND_SCORES = _by_name(
    Score(
        name="vector_rmse",
        statistics=wind.vector_error_statistics,
        from_means=root,
        units="field",
        best=0.0,
        higher_is_better=False,
        bounds=NOT_NEGATIVE,
        convention="Root mean square length of the error vector",
        main=True,
        needs="wind",
    ),
    Score(
        name="direction_error",
        statistics=wind.direction_error_statistics,
        from_means=wind.direction_error,
        units="degrees",
        best=0.0,
        higher_is_better=False,
        bounds=(0.0, 180.0),
        convention="Mean angle between predicted and true direction where the true wind exceeds 1 m s-1",
        main=True,
        needs="wind",
    ),
)

_DIFFERENCE = "the prediction, averaged over {factor} x {factor} cells by area, minus its coarse input"
CONSISTENCY_SCORES = _by_name(
    Score(
        name="consistency_rmse",
        statistics=consistency.consistency_squared_statistics,
        from_means=root,
        units="field",
        best=0.0,
        higher_is_better=False,
        bounds=NOT_NEGATIVE,
        convention=f"Root mean square of {_DIFFERENCE}",
        main=True,
        needs="coarse input",
    ),
    Score(
        name="consistency_mae",
        statistics=consistency.consistency_absolute_statistics,
        from_means=only_statistic,
        units="field",
        best=0.0,
        higher_is_better=False,
        bounds=NOT_NEGATIVE,
        convention=f"Mean absolute value of {_DIFFERENCE}",
        needs="coarse input",
    ),
)

# Computed by `subgrid.scores.published.published_scores`, of all variables at once.
PUBLISHED_SCORES = _by_name(
    Description(
        name="published_psnr",
        units="dB",
        best=pointwise.PSNR_CEILING,  # infinite by its own formula; a finite number serves to rank
        higher_is_better=True,
        convention="PSNR as the published study computed it: each image over the range of its batch, predictions included",
    ),
    Description(
        name="published_ssim",
        units="1",
        best=1.0,
        higher_is_better=True,
        convention="SSIM as the published study computed it: scikit-image's default windows over the range of the batch",
    ),
    Description(
        name="published_rmse",
        units="1",
        best=0.0,
        higher_is_better=False,
        convention="RMSE as the published study computed it: standardised values over the physical range, mean of the roots "
        "of the batches",
    ),
    Description(
        name="published_mae",
        units="1",
        best=0.0,
        higher_is_better=False,
        convention="MAE as the published study computed it: standardised values over the physical range",
    ),
)

# Of fields that are generated from noise alone.
FIELD_SET_SCORES = _by_name(
    FieldSetScore(
        name="log_spectral_distance",
        compute=field_sets.log_spectral_distance,
        units="dB",
        best=0.0,
        higher_is_better=False,
        convention="Root mean square over wavenumbers of the difference in decibels of the mean spectra of both sets",
    ),
    FieldSetScore(
        name="high_wavenumber_power_ratio",
        compute=field_sets.power_ratio,
        units="1",
        best=1.0,
        higher_is_better=None,
        convention="Mean power over that of the truth at wavelengths shorter than 2 x factor cells",
        needs="factor",
    ),
    FieldSetScore(
        name="wasserstein",
        compute=field_sets.wasserstein,
        units="field",
        best=0.0,
        higher_is_better=False,
        convention="First Wasserstein distance between all values of both sets",
    ),
    FieldSetScore(
        name="spread_ratio",
        compute=field_sets.spread_ratio,
        units="1",
        best=1.0,
        higher_is_better=None,
        convention="Standard deviation from field to field over that of the truth; near 0 where all fields are alike",
    ),
)

# Three names are both of fields with a reference and of field sets; here they describe the former.
REGISTRY: dict[str, Description] = {
    **SCORES,
    **ENSEMBLE_SCORES,
    **WIND_SCORES,
    **CONSISTENCY_SCORES,
    **PUBLISHED_SCORES,
    **{name: score for name, score in FIELD_SET_SCORES.items() if name not in SCORES},
}
MAIN_SCORES = tuple(name for name, score in REGISTRY.items() if score.main)
DISTORTION, REALISM = "rmse", "log_spectral_distance"  # the axes of the trade-off between the two
HEADLINE_SCORES = (DISTORTION, "psnr", "ssim", REALISM)  # the few that a table of many systems has room for

_NUMBER = r"(-?\d+\.?\d*(?:e[+-]?\d+)?)"

# How the name of a score with parameters is read; the text in front names the family.
_FAMILIES: tuple[tuple[str, Callable[[re.Match[str]], Score]], ...] = (
    (rf"fss_{_NUMBER}_w(\d+)", lambda match: fss(float(match[1]), int(match[2]))),
    (rf"quantile_error_{_NUMBER}", lambda match: quantile_error(float(match[1]))),
)


def is_of_family(name: str) -> bool:
    """Whether a name holds the parameters of its score, as ``fss_10_w5`` does."""
    return any(re.fullmatch(pattern, name) for pattern, _ in _FAMILIES)


def canonical_name(name: str) -> str:
    """Write a score's name as the score itself does, ``fss_10_w5`` for ``fss_10.0_w5``; an unknown one stays as it is."""
    return find_score(name).name if is_of_family(name) else name


def find_score(name: str) -> Score:
    """Look up a score of single fields, or create it where its name holds its parameters.

    Args:
        name: a key of `SCORES`, or a name such as ``fss_10_w5`` (threshold in the field's units, window in cells) or
            ``quantile_error_0.95``.

    Returns:
        The score. Its own name can be written shorter: ``fss_10.0_w5`` is called ``fss_10_w5``.

    Raises:
        ConfigError: no score has that name, or it cannot have these parameters.
    """
    if name in SCORES:
        return SCORES[name]
    for pattern, create in _FAMILIES:
        if match := re.fullmatch(pattern, name):
            return create(match)
    raise _unknown(name, SCORES)


def describe_score(name: str) -> Description:
    """Look up any score that can stand in `scores.csv`.

    Raises:
        ConfigError: no score has that name, or it cannot have these parameters.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    if is_of_family(name):
        return find_score(name)
    raise _unknown(name, REGISTRY)


def _unknown(name: str, names: Iterable[str]) -> ConfigError:
    return ConfigError(f"no score is called {name!r}.{nearest(name, [*names, 'fss_10_w5', 'quantile_error_0.95'])}")
