"""Statistics of several scores at once, for a block of times, and the scores of their means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from subgrid.errors import ConfigError, GridError, SourceError, nearest
from subgrid.scores.checks import AnyStatistics, Fields, Valid, Weights, check_fields, check_overlap
from subgrid.scores.registry import FIELD_SET_SCORES, SCORES, find_score
from subgrid.scores.score import Score


def compute_statistics(
    prediction: Fields,
    reference: Fields,
    *,
    names: Iterable[str | Score] | None = None,
    data_range: float,
    factor: int | None,
    weights: Weights = None,
    low: float | None = None,
    high: float | None = None,
    periodic_x: bool = False,
) -> dict[str, AnyStatistics]:
    """Compute the statistics of several scores for a block of times; see `subgrid.scores` for the arguments.

    Args:
        prediction: fields (time, y, x).
        reference: the truth, same shape and units.
        names: keys of `SCORES`, names that `find_score` reads, or scores. None takes all of `SCORES` except those that
            `unusable_scores` names for this block; a score that is given by name and cannot be computed is an error.
        data_range: maximum minus minimum of the training truth.
        factor: fine cells per coarse cell along an axis; None where there are no coarse cells.
        weights: of cells, for the pointwise scores, correlation, histogram and Wasserstein distance.
        low: minimum of the training truth or of the whole reference, for the histogram.
        high: maximum of the same.
        periodic_x: whether x closes on itself, as longitudes around the globe do; for spectra.

    Returns:
        Name to statistics; `join_statistics` joins those of several blocks.

    Raises:
        ConfigError: an unknown score, or one by name that needs an option which was not given.
    """
    pair = check_overlap(prediction, reference)  # converted once: the scores' own check of float64 arrays is then cheap
    options = {
        "data_range": data_range,
        "factor": factor,
        "weights": weights,
        "low": low,
        "high": high,
        "periodic_x": periodic_x,
    }
    chosen = _choose(names)
    if names is None:
        chosen = [score for score in chosen if not _refusal(score, pair.all_valid, options)]
    for score in chosen:
        _check_options(score, options)
    p, r, valid = pair
    if valid is not None:
        p, r = np.where(valid, p, np.nan), np.where(valid, r, np.nan)
    return {score.name: score.statistics(p, r, **{name: options[name] for name in score.options}) for score in chosen}


def unusable_scores(
    reference: Fields,
    *,
    names: Iterable[str | Score] | None = None,
    factor: int | None = None,
    low: float | None = None,
    high: float | None = None,
) -> dict[str, str]:
    """Find the scores that cannot be computed with this reference; arguments as for `compute_statistics`.

    Returns:
        Name to reason, one line: an option that is missing, a field that is too small, gaps. Empty where all can be
        computed.

    Raises:
        ConfigError: an unknown score.
        GridError: the reference is not (time, y, x).
        SourceError: a time at which the whole reference is missing, or an infinite value.
    """
    valid = check_overlap(reference, reference).all_valid
    options = {"data_range": 1.0, "factor": factor, "weights": None, "low": low, "high": high, "periodic_x": False}
    reasons = {score.name: _refusal(score, valid, options) for score in _choose(names)}
    return {name: reason for name, reason in reasons.items() if reason}


def join_statistics(blocks: Sequence[Mapping[str, AnyStatistics]]) -> dict[str, AnyStatistics]:
    """Concatenate the statistics of blocks of times, given in the order of time.

    A score that could not be computed for one block has no value for the whole, and is left out; `unusable_scores` of that
    block gives the reason.

    Raises:
        SourceError: no blocks.
    """
    if not blocks:
        raise SourceError("there are no blocks of times to join; expected at least one. Check the period.")
    common = [name for name in blocks[0] if all(name in block for block in blocks)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in common}


def scores_from_statistics(statistics: Mapping[str, AnyStatistics], scores: Iterable[Score] = ()) -> dict[str, float]:
    """Turn the statistics of all times into scores.

    Args:
        statistics: name to statistics, as `compute_statistics` returns them, of one block or of several joined.
        scores: those of the scores that `find_score` does not know by name.

    Returns:
        Name to score.

    Raises:
        ConfigError: an unknown score.
        SourceError: no times at all, or statistics that are not finite.
    """
    own = {score.name: score for score in scores}
    values = {}
    for name, of_times in statistics.items():
        score = own[name] if name in own else find_score(name)
        if len(of_times) == 0 or not np.isfinite(of_times).all():
            bad = int((~np.isfinite(of_times)).sum())
            raise SourceError(
                f"score {name!r} has statistics of {len(of_times)} times to average, {bad} of them not finite; expected "
                "finite statistics (time, statistic) of at least one time, as compute_statistics returns them. Check the "
                "period that was chosen, and the fields for huge values."
            )
        values[name] = float(score.from_means(np.mean(of_times, axis=0)))
    return values


def compare_field_sets(
    prediction: Fields, reference: Fields, *, factor: int, names: Iterable[str] | None = None
) -> dict[str, float]:
    """Compare a set of fields with another; see `subgrid.scores.field_sets`.

    Args:
        prediction: fields (n, y, x).
        reference: true fields (m, y, x) on the same cells and in the same units; any number of fields.
        factor: fine cells per coarse cell along an axis.
        names: keys of `FIELD_SET_SCORES`; None takes all.

    Returns:
        Name to score.

    Raises:
        ConfigError: an unknown score.
        GridError: fields of different shapes, or too small or too uniform for a score.
        SourceError: values that are not finite.
    """
    p, r = check_fields("prediction", prediction), check_fields("reference", reference)
    if p.shape[1:] != r.shape[1:]:
        raise GridError(f"prediction has fields of {p.shape[1:]} cells, reference of {r.shape[1:]}; expected the same.")
    values = {}
    for name in FIELD_SET_SCORES if names is None else names:
        if name not in FIELD_SET_SCORES:
            raise ConfigError(f"no score of field sets is called {name!r}.{nearest(name, FIELD_SET_SCORES)}")
        values[name] = FIELD_SET_SCORES[name].compute(p, r, factor)
    return values


def _choose(names: Iterable[str | Score] | None) -> list[Score]:
    return [name if isinstance(name, Score) else find_score(name) for name in (SCORES if names is None else names)]


def _refusal(score: Score, valid: Valid, options: Mapping[str, Any]) -> str:
    """Why a score cannot be computed; empty where it can."""
    try:
        _check_options(score, options)
        if score.check is not None:
            score.check(valid)
    except (ConfigError, GridError, SourceError) as error:
        return str(error)
    return ""


def _check_options(score: Score, options: Mapping[str, Any]) -> None:
    # Weights of None have a meaning: every cell counts the same.
    absent = [option for option in score.options if option != "weights" and options[option] is None]
    if absent:
        raise ConfigError(
            f"score {score.name!r} needs {' and '.join(absent)}, which {'was' if len(absent) == 1 else 'were'} not given; "
            "give them to compute_statistics, or leave the score out."
        )
