"""Scores of a prediction against the truth, each a pair: additive parts per time, and a finish.

A caller streams: parts of one block of times after another from `score_parts`, concatenated along time, then
`finish_scores`. The finish sees only the mean of the parts, so RMSE is the root of the mean square over all
times and never a mean of roots. A new score is a parts function and a line in `SCORES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from subgrid.errors import ConfigError, SourceError, nearest
from subgrid.verify import pointwise, spectra, structure
from subgrid.verify.pointwise import FloatArray
from subgrid.verify.spectra import power_spectrum

__all__ = ["SCORES", "Score", "finish_scores", "power_spectrum", "score_parts"]


@dataclass(frozen=True)
class Score:
    """One score: how it is computed and how its number is to be read.

    Attributes:
        name: its key in `SCORES`.
        parts: ``parts(prediction, reference, **options)`` on arrays (time, y, x) gives float64 (time,
            num_parts); their mean over any set of times is meaningful.
        finish: mean parts (..., num_parts) to scores (...), so a stack of means gives a stack of scores.
        units: "field" stands for the units of the variable, "1" for none.
        best: the value of a perfect prediction. The distance from it ranks systems for every score.
        higher_is_better: None where a value may be wrong on both sides of the best one.
        convention: one sentence to print beside the number.
        options: which of data_range, factor and weights the parts take.
    """

    name: str
    parts: Callable[..., FloatArray]
    finish: Callable[[FloatArray], FloatArray]
    units: Literal["field", "dB", "1"]
    best: float
    higher_is_better: bool | None
    convention: str
    options: tuple[Literal["data_range", "factor", "weights"], ...] = ()

    def describe(self, *, data_range: float, factor: int, weights: NDArray[Any] | None = None) -> str:
        """State the convention with the options that a number was computed with.

        Args:
            data_range: as given to `score_parts`.
            factor: as given to `score_parts`.
            weights: as given to `score_parts`.

        Returns:
            The convention, and in brackets the options that this score takes.
        """
        said = {
            "data_range": f"data range {data_range:g}",
            "factor": f"factor {factor}",
            "weights": "every cell counts the same" if weights is None else "cells weighted",
        }
        return f"{self.convention} ({'; '.join(said[option] for option in self.options)})"


_TABLE = (
    Score(
        "psnr",
        pointwise.psnr_parts,
        pointwise.only_part,
        "dB",
        pointwise.PSNR_CEILING,
        True,
        "Mean over times of each image's 10 log10(range^2 / mse), range of the training truth; "
        f"an image without error counts as {pointwise.PSNR_CEILING:.1f} dB, the rounding of float32",
        ("data_range", "weights"),
    ),
    Score(
        "ssim",
        structure.ssim_parts,
        pointwise.only_part,
        "1",
        1.0,
        True,
        "Mean over times of each image's SSIM: Gaussian window of sigma 1.5 and 11 cells, population "
        "covariance, K1 0.01, K2 0.03, border cropped, range of the training truth",
        ("data_range",),
    ),
    Score(
        "rmse",
        pointwise.squared_error_parts,
        pointwise.root,
        "field",
        0.0,
        False,
        "Root of the mean square error over all times and cells",
        ("weights",),
    ),
    Score(
        "mae",
        pointwise.absolute_error_parts,
        pointwise.only_part,
        "field",
        0.0,
        False,
        "Mean absolute error over all times and cells",
        ("weights",),
    ),
    Score(
        "bias",
        pointwise.error_parts,
        pointwise.only_part,
        "field",
        0.0,
        None,
        "Mean of prediction minus truth over all times and cells",
        ("weights",),
    ),
    Score(
        "high_wavenumber_power_ratio",
        spectra.high_wavenumber_power_parts,
        spectra.ratio,
        "1",
        1.0,
        None,
        "Mean power of the prediction over that of the truth at wavelengths shorter than 2 x factor fine "
        "cells, mean removed, Hann window along both axes",
        ("factor",),
    ),
)

SCORES: dict[str, Score] = {score.name: score for score in _TABLE}


def score_parts(
    prediction: NDArray[Any],
    reference: NDArray[Any],
    *,
    names: Iterable[str] | None = None,
    data_range: float,
    factor: int,
    weights: NDArray[Any] | None = None,
) -> dict[str, FloatArray]:
    """Compute the parts of several scores for a block of times.

    Args:
        prediction: fields (time, y, x).
        reference: the truth, same shape and units.
        names: keys of `SCORES`; None takes all.
        data_range: maximum minus minimum of the training truth, in the fields' units.
        factor: fine cells per coarse cell along an axis.
        weights: relative weight of cells, (y,) or (y, x), for the pointwise scores; None counts all the same.

    Returns:
        Name to parts (time, num_parts). Parts of further blocks are concatenated along time.

    Raises:
        ConfigError: an unknown score.
        GridError: shapes that differ, are not (time, y, x) or are too small for a score; unusable weights or
            factor.
        SourceError: values that are not finite; a data range that is not positive.
    """
    chosen = [_score(name) for name in (SCORES if names is None else names)]
    # Checked and converted here once; the scores' own check of float64 arrays is then cheap.
    prediction, reference = pointwise.check_pair(prediction, reference)
    given = {"data_range": data_range, "factor": factor, "weights": weights}
    return {
        score.name: score.parts(prediction, reference, **{option: given[option] for option in score.options})
        for score in chosen
    }


def finish_scores(parts: Mapping[str, FloatArray]) -> dict[str, float]:
    """Turn parts of all times into scores.

    Args:
        parts: name to parts (time, num_parts), as `score_parts` gives them, of one block or of many
            concatenated.

    Returns:
        Name to score; units as `SCORES` says. Each time counts the same.

    Raises:
        ConfigError: an unknown score.
        SourceError: no times at all, or parts that are not finite.
    """
    scores = {}
    for name, values in parts.items():
        score = _score(name)
        if len(values) == 0 or not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise SourceError(
                f"score {name!r} has parts of {len(values)} times to average, {bad} of them not finite; "
                "expected finite parts (time, num_parts) of at least one time, as score_parts gives them. "
                "Check the period that was chosen, and the fields for huge values."
            )
        scores[name] = float(score.finish(np.mean(values, axis=0)))
    return scores


def _score(name: str) -> Score:
    if name not in SCORES:
        raise ConfigError(f"no score is called {name!r}.{nearest(name, SCORES)}")
    return SCORES[name]
