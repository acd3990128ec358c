"""What the scores say: the verdict in a sentence, and the table of all systems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from subgrid.figures import pretty_units
from subgrid.reporting.load import Run
from subgrid.verify import SCORES, Score
from subgrid.verify.unpaired import SET_SCORES, SetScore

BASELINES = ("bilinear", "bicubic")
_TITLES = {"psnr": "PSNR", "ssim": "SSIM", "rmse": "RMSE", "mae": "MAE"}
_KNOWN: dict[str, Score | SetScore] = {**SET_SCORES, **SCORES}
_SAME = 1e-6  # relative difference under which two runs' baselines count as one


@dataclass(frozen=True)
class Verdict:
    """A sentence, and whether it says better, worse, mixed or nothing (for its mark)."""

    text: str
    kind: str


def run_labels(paths: Sequence[Path]) -> list[str]:
    """Name each run by its folder, and by as many parent folders as it takes to tell distinct runs apart."""
    parts = [path.resolve().parts for path in paths]
    tails = (["/".join(part[-count:]) for part in parts] for count in range(1, max(map(len, parts)) + 1))
    return next(labels for labels in tails if len(set(labels)) == len(labels))


def _values(scores: pd.DataFrame, system: str) -> dict[tuple[str, str], float]:
    """The system's value for each (variable, score)."""
    rows = scores[scores["system"] == system]
    keys = zip(rows["variable"], rows["score"], strict=True)
    return dict(zip(keys, map(float, rows["value"]), strict=True))


def _percent(ratio: float) -> str:
    """``12 %`` or ``9.1 %``; empty where it rounds to nothing."""
    percent = abs(ratio - 1) * 100
    text = f"{percent:.0f}" if percent >= 9.95 else f"{percent:.1f}".removesuffix(".0")
    return "" if text == "0" else f"{text} %"


def verdict(run: Run) -> Verdict:
    """Compare the system's RMSE with the better baseline's, variable by variable.

    Args:
        run: an evaluated run.

    Returns:
        For example ``srgan's RMSE is 12 % below bicubic's for t2m and 9 % for u10.``
    """
    values = {name: _values(run.scores, name) for name in run.scores["system"].unique()}
    if run.histograms is not None:
        return _verdict_of_draws(run, values)
    said: list[tuple[str, str, str]] = []  # direction, baseline, percentage and variable
    for (variable, score), mine in values.get(run.system, {}).items():
        others = [(values[name].get((variable, score), math.nan), name) for name in BASELINES if name in values]
        others = [(value, name) for value, name in others if value > 0]
        if score != "rmse" or not others or math.isnan(mine):
            continue
        value, name = min(others)
        percent = _percent(mine / value)
        direction = "equal to" if not percent else "below" if mine < value else "above"
        said.append((direction, name, variable if not percent else f"{percent}\n{variable}"))
    if not said:
        return Verdict(f"{run.system} was not scored by RMSE against bilinear or bicubic interpolation.", "none")
    phrases = [
        _phrase(direction, name, [text for *_, text in group])
        for (direction, name), group in groupby(said, lambda one: (one[0], one[1]))
    ]
    kinds = {direction for direction, _, _ in said}
    between = ", but " if kinds == {"below", "above"} and len(phrases) == 2 else " and "
    kind = {"below": "better", "above": "worse", "equal to": "equal"}[kinds.pop()] if len(kinds) == 1 else "mixed"
    return Verdict(f"{run.system}'s RMSE is {listed(phrases, between)}.", kind)


def _verdict_of_draws(run: Run, values: dict[str, dict[tuple[str, str], float]]) -> Verdict:
    """How far the drawn fields' spectra are from the truth's, beside how far true fields of other times are."""
    other = next(name for name in values if name != run.system)
    name = "log_spectral_distance"
    phrases = [
        f"{values[run.system][variable, name]:.1f} dB for {variable} ({other}: {values[other][variable, name]:.1f} dB)"
        for variable in run.variables
    ]
    return Verdict(
        f"The mean spectrum of {run.system}'s fields is off the truth's by {listed(phrases, ' and ')}.", "none"
    )


def _phrase(direction: str, baseline: str, texts: list[str]) -> str:
    """``12 % below bicubic's for t2m and 9 % for u10``; texts are a percentage, if any, and a variable."""
    first, *rest = [text.rpartition("\n") for text in texts]
    start = f"{first[0]} {direction} {baseline}'s for {first[2]}".strip()
    return listed([start, *(f"{percent} for {variable}".strip() for percent, _, variable in rest)], " and ")


def listed(words: Sequence[str], last: str) -> str:
    """Join words by commas, the last by `last`."""
    return last.join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _columns(runs: Sequence[Run], labels: Sequence[str]) -> tuple[dict[str, dict[tuple[str, str], float]], bool]:
    """Values by column name, baselines first, and whether the columns may be compared.

    A baseline that scores the same in several runs is one column; any other name that comes twice takes the
    run's label. Runs are comparable if they were evaluated on the same times, factor and truth, which a
    baseline's equal scores show.
    """
    found: list[tuple[str, str, dict[tuple[str, str], float]]] = []
    for run, label in zip(runs, labels, strict=True):
        for name in run.scores["system"].unique():
            values = _values(run.scores, name)
            known = name in BASELINES and any(name == n and _equal(values, v) for n, _, v in found)
            if name != "truth" and not known:
                found.append((str(name), label, values))
    names = [name for name, _, _ in found]
    found.sort(key=lambda entry: BASELINES.index(entry[0]) if entry[0] in BASELINES else len(BASELINES))
    columns = {name if names.count(name) == 1 else f"{name} ({label})": v for name, label, v in found}
    tests = {_test(run.evaluation) for run in runs}
    return columns, len(tests) == 1 and all(names.count(name) <= 1 for name in BASELINES)


def _test(evaluation: dict[str, Any]) -> tuple[str, ...]:
    """What must agree for two evaluations to be comparable."""
    return tuple(str(evaluation.get(key)) for key in ("factor", "num_times", "period", "unpaired"))


def _equal(one: dict[tuple[str, str], float], two: dict[tuple[str, str], float]) -> bool:
    return one.keys() == two.keys() and all(
        math.isclose(one[key], two[key], rel_tol=_SAME, abs_tol=1e-12)
        or (math.isnan(one[key]) and math.isnan(two[key]))
        for key in one
    )


def summary(runs: Sequence[Run], labels: Sequence[str]) -> Verdict:
    """Name the system of lowest RMSE for each variable, over several runs."""
    columns, comparable = _columns(runs, labels)
    if not comparable:
        return Verdict("The runs were evaluated on different data; each run's own verdict stands below.", "none")
    best: dict[str, list[str]] = {}
    for variable in dict.fromkeys(key[0] for values in columns.values() for key in values if key[1] == "rmse"):
        ranked = [(values.get((variable, "rmse"), math.nan), name) for name, values in columns.items()]
        ranked = [(value, name) for value, name in ranked if not math.isnan(value)]
        best.setdefault(min(ranked)[1], []).append(variable) if ranked else None
    if not best:
        return Verdict("The runs were not scored by RMSE.", "none")
    text = "; ".join(f"{name} for {listed(variables, ' and ')}" for name, variables in best.items())
    return Verdict(f"Lowest RMSE: {text}.", "none")


def _number(value: float, largest: float) -> str:
    """Write `value` with as many decimals as give the row's largest number four digits (three if small)."""
    if math.isnan(value):
        return "n/a"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if largest and not 1e-4 <= largest < 1e6:
        text = f"{value:.3e}"
    else:
        digits = 3 if largest >= 0.1 else 2
        decimals = max(digits - math.floor(math.log10(largest)), 0) if largest else 0
        text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def score_table(runs: Sequence[Run], labels: Sequence[str]) -> dict[str, Any]:
    """Arrange all scores of all runs, a row per variable and score, a column per system.

    Returns:
        `columns`, `comparable`, `conventions` as (score, variables, text), and `groups`: a variable and its rows, each with
        `title`, `units`, `hint` and `cells` of (text, best).
    """
    columns, comparable = _columns(runs, labels)
    table = pd.concat([run.scores for run in runs]).drop_duplicates(["variable", "score"])
    groups: dict[str, list[dict[str, Any]]] = {}
    conventions: dict[str, list[str]] = {}
    for entry in table.to_dict("records"):
        key = (str(entry["variable"]), str(entry["score"]))
        values = [column.get(key, math.nan) for column in columns.values()]
        title = _TITLES.get(key[1], key[1].replace("_", " "))
        row = {"title": title, "units": pretty_units(entry["units"]), "hint": _hint(key[1])}
        groups.setdefault(key[0], []).append({**row, "cells": _cells(key[1], values, comparable)})
        conventions.setdefault(f"{title}\n{entry['convention']}", []).append(key[0])
    said = []
    for text, variables in conventions.items():
        title, convention = text.split("\n", 1)
        said.append((title, "" if len(variables) == len(groups) else ", ".join(variables), convention))
    order = [title for title, _, _ in said]
    said.sort(key=lambda entry: order.index(entry[0]))
    return {"columns": list(columns), "comparable": comparable, "groups": groups, "conventions": said}


def _hint(score: str) -> str:
    if score not in _KNOWN:
        return ""
    higher = _KNOWN[score].higher_is_better
    return f"best: {_KNOWN[score].best:g}" if higher is None else "higher is better" if higher else "lower is better"


def _cells(score: str, values: list[float], comparable: bool) -> list[tuple[str, bool]]:
    """Each value as text, and whether it is the best: nearest to a perfect prediction's."""
    finite = [value for value in values if math.isfinite(value)]
    largest = max(map(abs, finite), default=0.0)
    texts = [_number(value, largest) for value in values]
    if score not in _KNOWN or not comparable or len(finite) < 2:
        return [(text, False) for text in texts]
    nearest = min(finite, key=lambda value: abs(value - _KNOWN[score].best))
    return [(text, text == _number(nearest, largest)) for text in texts]
