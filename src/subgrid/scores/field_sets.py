"""Scores of a set of fields against another set, no field belonging to another: what an unconditional generator can be asked.

A draw from noise is no forecast of anything, so RMSE says nothing about it. These ask whether the fields as a crowd have the
truth's spectrum, values and variety. They are no additive parts: a set is compared as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from subgrid.errors import ConfigError, GridError, nearest
from subgrid.scores import spectra
from subgrid.scores.pointwise import FloatArray, check_fields
from subgrid.scores.score import ratio
from subgrid.scores.spectra import high_wavenumber_power_statistics, power_spectrum

ROUNDING = 1e-12  # of the largest value: less variety than this is none


@dataclass(frozen=True)
class SetScore:
    """One score of a set against a set.

    Attributes:
        name: its key in `SET_SCORES`.
        compute: ``compute(prediction, reference, factor)`` on arrays (n, y, x) and (m, y, x).
        units: "field" stands for the units of the variable, "1" for none.
        best: the value of two sets of one distribution, sampling aside.
        higher_is_better: None where a value may be wrong on both sides of the best one.
        convention: one sentence to print beside the number.
    """

    name: str
    compute: Callable[[FloatArray, FloatArray, int], float]
    units: Literal["field", "dB", "1"]
    best: float
    higher_is_better: bool | None
    convention: str


def log_spectral_distance(prediction: FloatArray, reference: FloatArray, factor: int) -> float:
    """`subgrid.scores.spectra.log_spectral_distance` of the mean spectra of both sets, in dB; 0 for equal ones.

    Raises:
        GridError: if the reference has no power at all.
    """
    made, true = (power_spectrum(fields)[1].mean(0) for fields in (prediction, reference))
    if not true.any():
        raise GridError("log_spectral_distance: the reference fields are constant, so there is no spectrum to compare.")
    return float(spectra.log_spectral_distance(np.concatenate([made, true])))


def power_ratio(prediction: FloatArray, reference: FloatArray, factor: int) -> float:
    """Mean power of the first set over that of the second at wavelengths shorter than ``2 factor`` cells; 1 for equal sets.

    The power is that of `high_wavenumber_power_statistics`.
    """
    made, true = (
        high_wavenumber_power_statistics(fields, fields, factor=factor)[:, 0].mean()
        for fields in (prediction, reference)
    )
    return float(ratio(np.array([made, true])))


def wasserstein(prediction: FloatArray, reference: FloatArray, factor: int) -> float:
    """First Wasserstein distance between all values of the one set and of the other, in the field's units; 0 for equal sets."""
    return float(wasserstein_distance(prediction.ravel(), reference.ravel()))


def spread_ratio(prediction: FloatArray, reference: FloatArray, factor: int) -> float:
    """Standard deviation from field to field, root of its mean square over cells, of the first set over that of the second.

    1 for equal variety; near 0 where a generator makes the same field whatever the noise (mode collapse).

    Raises:
        GridError: if a set has fewer than 2 fields, or the reference does not vary.
    """
    if min(len(prediction), len(reference)) < 2:
        raise GridError(f"spread_ratio: got {len(prediction)} and {len(reference)} fields, expected at least 2 each.")
    made, true = (np.sqrt(fields.var(axis=0, ddof=1).mean()) for fields in (prediction, reference))
    if true <= ROUNDING * np.abs(reference).max():
        raise GridError("spread_ratio: the reference fields are all the same, so there is no variety to compare.")
    return float(made / true)


_TABLE = (
    SetScore(
        "log_spectral_distance", log_spectral_distance, "dB", 0.0, False,
        "Root mean square over wavenumbers of the difference of both sets' mean spectra in decibels",
    ),
    SetScore(
        "high_wavenumber_power_ratio", power_ratio, "1", 1.0, None,
        "Mean power over the truth's at wavelengths shorter than 2 x factor cells",
    ),
    SetScore(
        "wasserstein", wasserstein, "field", 0.0, False,
        "First Wasserstein distance between all values of both sets",
    ),
    SetScore(
        "spread_ratio", spread_ratio, "1", 1.0, None,
        "Standard deviation from field to field over the truth's; near 0 where all fields are alike",
    ),
)  # fmt: skip
SET_SCORES: dict[str, SetScore] = {score.name: score for score in _TABLE}


def compare_sets(
    prediction: NDArray[Any], reference: NDArray[Any], *, factor: int, names: Iterable[str] | None = None
) -> dict[str, float]:
    """Compare a set of fields with another.

    Args:
        prediction: (n, y, x).
        reference: (m, y, x), the truth's set; the same cells and units, any number of fields.
        factor: fine cells per coarse cell along an axis.
        names: keys of `SET_SCORES`; None takes all.

    Returns:
        Name to score.

    Raises:
        ConfigError: an unknown score.
        GridError: fields of different shapes, or too small or too uniform for a score.
        SourceError: values that are not finite.
    """
    prediction, reference = check_fields("prediction", prediction), check_fields("reference", reference)
    if prediction.shape[1:] != reference.shape[1:]:
        raise GridError(
            f"prediction has fields of {prediction.shape[1:]} cells, reference of {reference.shape[1:]}; expected the same."
        )
    out = {}
    for name in SET_SCORES if names is None else names:
        if name not in SET_SCORES:
            raise ConfigError(f"no score of sets is called {name!r}.{nearest(name, SET_SCORES)}")
        out[name] = SET_SCORES[name].compute(prediction, reference, factor)
    return out
