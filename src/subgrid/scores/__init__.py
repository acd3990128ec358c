"""Scores of a prediction against the truth, each a pair: additive parts per time, and a finish.

A caller streams: parts of one block of times after another from `compute_statistics`, put together by `join_statistics`, then
`scores_from_statistics`. The finish sees only the mean of the parts, so RMSE is the root of the mean square over all
times and never a mean of roots. A new score is a parts function and a line in `SCORES`.

Missing values: a cell where the reference is missing is left out of both fields, and only that; see
`subgrid.scores.checks`. Each time counts the same in every score, however many of its cells are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subgrid.errors import ConfigError, GridError, SourceError
from subgrid.scores.checks import FloatArray, Pair, check_overlap
from subgrid.scores.distribution import quantile_error
from subgrid.scores.neighbourhood import fss
from subgrid.scores.registry import SCORES, find_score
from subgrid.scores.score import Score
from subgrid.scores.spectra import power_spectrum

__all__ = [
    "SCORES",
    "Score",
    "compute_statistics",
    "find_score",
    "fss",
    "join_statistics",
    "power_spectrum",
    "quantile_error",
    "scores_from_statistics",
    "unusable_scores",
]


def compute_statistics(
    prediction: NDArray[Any],
    reference: NDArray[Any],
    *,
    names: Iterable[str | Score] | None = None,
    data_range: float,
    factor: int | None,
    weights: NDArray[Any] | None = None,
    low: float | None = None,
    high: float | None = None,
    periodic_x: bool = False,
) -> dict[str, FloatArray]:
    """Compute the parts of several scores for a block of times.

    Args:
        prediction: fields (time, y, x).
        reference: the truth, same shape and units; NaN or masked where it is missing.
        names: keys of `SCORES`, names that `find_score` reads, or scores. None takes all of `SCORES` but those that
            `unusable_scores` names for this block; a score asked for by name that cannot be taken is an error.
        data_range: maximum minus minimum of the training truth, in the fields' units.
        factor: fine cells per coarse cell along an axis; None where there are no coarse cells.
        weights: relative weight of cells, (y,) or (y, x), for the pointwise scores, correlation, histogram and
            Wasserstein distance; None counts all the same.
        low: minimum of the training truth or of the whole reference, in the fields' units, for the histogram.
        high: maximum of the same.
        periodic_x: x closes on itself, as longitudes around the globe do, for spectra.

    Returns:
        Name to parts (time, num_statistics). Parts of further blocks are concatenated along time: `join_statistics`.

    Raises:
        ConfigError: an unknown score, or one by name that needs an option which was not given.
        GridError: shapes that differ or are not (time, y, x); unusable weights or factor; by name, too small for a score.
        SourceError: a prediction that is not finite where the reference has a value; a data range that is not positive;
            by name, gaps that a score cannot be taken with.
    """
    # Checked and converted here once; the scores' own check of float64 arrays is then cheap.
    pair = check_overlap(prediction, reference)
    given = {
        "data_range": data_range,
        "factor": factor,
        "weights": weights,
        "low": low,
        "high": high,
        "periodic_x": periodic_x,
    }
    chosen = [name if isinstance(name, Score) else find_score(name) for name in (SCORES if names is None else names)]
    if names is None:
        chosen = [score for score in chosen if not _refusal(score, _room(pair), given)]
    for score in chosen:
        _check_options(score, given)
    shown, truth, there = pair
    if there is not None:
        shown, truth = np.where(there, shown, np.nan), np.where(there, truth, np.nan)
    return {
        score.name: score.statistics(shown, truth, **{option: given[option] for option in score.options})
        for score in chosen
    }


def unusable_scores(
    reference: NDArray[Any],
    *,
    names: Iterable[str | Score] | None = None,
    factor: int | None = None,
    low: float | None = None,
    high: float | None = None,
) -> dict[str, str]:
    """Say which scores cannot be taken against this reference, and why.

    Args:
        reference: the truth (time, y, x); NaN or masked where it is missing.
        names: as in `compute_statistics`; None asks about all of `SCORES`.
        factor: as given to `compute_statistics`.
        low: as given to `compute_statistics`.
        high: as given to `compute_statistics`.

    Returns:
        Name to reason, one line: an option that is missing, too small a field, gaps. Empty where all can be taken.

    Raises:
        ConfigError: an unknown score.
        GridError: the reference is not (time, y, x).
        SourceError: a time at which the whole reference is missing, or an infinite value.
    """
    room = _room(check_overlap(reference, reference))
    given = {"data_range": 1.0, "factor": factor, "weights": 1.0, "low": low, "high": high, "periodic_x": False}
    chosen = [name if isinstance(name, Score) else find_score(name) for name in (SCORES if names is None else names)]
    found = {score.name: _refusal(score, room, given) for score in chosen}
    return {name: reason for name, reason in found.items() if reason}


def join_statistics(blocks: Sequence[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    """Put the parts of blocks of times together, for the scores that every block has.

    A score that could not be taken of one block has no value for the whole, and is left out here;
    `unusable_scores` of that block says why.

    Args:
        blocks: name to parts (time, num_statistics), in the order of time.

    Returns:
        Name to parts (all times, num_statistics).

    Raises:
        SourceError: no blocks.
    """
    if not blocks:
        raise SourceError("there are no blocks of times to put together; expected at least one. Check the period.")
    common = [name for name in blocks[0] if all(name in block for block in blocks)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in common}


def scores_from_statistics(parts: Mapping[str, FloatArray], scores: Iterable[Score] = ()) -> dict[str, float]:
    """Turn parts of all times into scores.

    Args:
        parts: name to parts (time, num_statistics), as `compute_statistics` gives them, of one block or of many
            concatenated.
        scores: those of the scores that `find_score` does not know by name.

    Returns:
        Name to score; units as the score says. Each time counts the same.

    Raises:
        ConfigError: an unknown score.
        SourceError: no times at all, or parts that are not finite.
    """
    own = {score.name: score for score in scores}
    done = {}
    for name, values in parts.items():
        score = own[name] if name in own else find_score(name)
        if len(values) == 0 or not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise SourceError(
                f"score {name!r} has parts of {len(values)} times to average, {bad} of them not finite; "
                "expected finite parts (time, num_statistics) of at least one time, as compute_statistics gives them. "
                "Check the period that was chosen, and the fields for huge values."
            )
        done[name] = float(score.from_means(np.mean(values, axis=0)))
    return done


def _room(pair: Pair) -> NDArray[np.bool_]:
    """Where the reference has values, (time, y, x), one time standing for all where nothing is missing."""
    return np.ones((1, *pair.reference.shape[1:]), bool) if pair.there is None else pair.there


def _refusal(score: Score, room: NDArray[np.bool_], given: Mapping[str, Any]) -> str:
    """Why a score cannot be taken, or nothing."""
    try:
        _check_options(score, given)
        if score.needs is not None:
            score.needs(room)
    except (ConfigError, GridError, SourceError) as error:
        return str(error)
    return ""


def _check_options(score: Score, given: Mapping[str, Any]) -> None:
    # Weights of None mean something: every cell counts the same.
    absent = [option for option in score.options if option != "weights" and given[option] is None]
    if absent:
        raise ConfigError(
            f"score {score.name!r} needs {' and '.join(absent)}, which {'was' if len(absent) == 1 else 'were'} not given; "
            "give them to compute_statistics, or leave the score out."
        )
