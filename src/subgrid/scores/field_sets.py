"""Scores that compare a set of fields with another set, in which no field corresponds to another.

They are for fields that are generated from noise alone. Such a field predicts nothing, so its RMSE has no meaning; these
scores compare the spectrum, the values and the variety of all fields together. They have no statistics of single times:
each function takes both sets whole, fields (n, y, x) and (m, y, x), and the factor (fine cells per coarse cell).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy.stats import wasserstein_distance

from subgrid.errors import GridError
from subgrid.scores import spectra
from subgrid.scores.score import ratio
from subgrid.scores.spectra import high_wavenumber_power_statistics, power_spectrum

GeneratedSet = Float64[np.ndarray, "n y x"]
TrueSet = Float64[np.ndarray, "m y x"]

ROUNDING = 1e-12  # of the largest value: less variety than this is none


def log_spectral_distance(prediction: GeneratedSet, reference: TrueSet, factor: int) -> float:
    """`subgrid.scores.spectra.log_spectral_distance` of the mean spectra of both sets, in dB; best 0.

    Raises:
        GridError: the reference has no power at all.
    """
    generated, true = (power_spectrum(fields)[1].mean(0) for fields in (prediction, reference))
    if not true.any():
        raise GridError("log_spectral_distance: the reference fields are constant, so there is no spectrum to compare.")
    return float(spectra.log_spectral_distance(np.concatenate([generated, true])))


def power_ratio(prediction: GeneratedSet, reference: TrueSet, factor: int) -> float:
    """Ratio of the mean powers of both sets at wavelengths shorter than ``2 factor`` cells; best 1.

    The power is that of `high_wavenumber_power_statistics`.
    """
    generated, true = (
        high_wavenumber_power_statistics(fields, fields, factor=factor)[:, 0].mean()
        for fields in (prediction, reference)
    )
    return float(ratio(np.array([generated, true])))


def wasserstein(prediction: GeneratedSet, reference: TrueSet, factor: int) -> float:
    """First Wasserstein distance between all values of both sets, in the units of the fields; best 0."""
    return float(wasserstein_distance(prediction.ravel(), reference.ravel()))


def spread_ratio(prediction: GeneratedSet, reference: TrueSet, factor: int) -> float:
    """Ratio of the standard deviations from field to field (root of the mean variance over cells) of both sets; best 1.

    It is near 0 where a generator creates the same field from any noise (mode collapse).

    Raises:
        GridError: a set has fewer than 2 fields, or the reference does not vary.
    """
    if min(len(prediction), len(reference)) < 2:
        raise GridError(f"spread_ratio: got {len(prediction)} and {len(reference)} fields, expected at least 2 each.")
    generated, true = (np.sqrt(fields.var(axis=0, ddof=1).mean()) for fields in (prediction, reference))
    if true <= ROUNDING * np.abs(reference).max():
        raise GridError("spread_ratio: the reference fields are all the same, so there is no variety to compare.")
    return float(generated / true)
