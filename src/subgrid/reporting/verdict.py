"""What the scores say: the verdict in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from subgrid.reporting.evaluated_run import Run
from subgrid.reporting.score_columns import ABSENT, Entry, columns_of, entries_of
from subgrid.scores.registry import BASELINES, TIED

_KINDS = {"below": "better", "above": "worse", "equal to": "equal", "tied": "tied"}


@dataclass(frozen=True)
class Verdict:
    """A sentence, and whether it says better, worse, equal, tied, mixed or nothing (for its mark)."""

    text: str
    kind: str


def run_labels(paths: Sequence[Path]) -> list[str]:
    """Name each run by its folder, and by as many parent folders as it takes to tell distinct runs apart."""
    parts = [path.resolve().parts for path in paths]
    tails = (["/".join(part[-count:]) for part in parts] for count in range(1, max(map(len, parts)) + 1))
    return next(labels for labels in tails if len(set(labels)) == len(labels))


def _overall(run: Run, system: str) -> dict[tuple[str, str], Entry]:
    """The system's scores over all times and cells, by (variable, score)."""
    return {key[1:]: entry for key, entry in entries_of(run.overall, system).items()}


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
        For example ``srgan's RMSE is 12 % below bicubic's for t2m and 9 % for u10.`` Where the pair's interval includes no
        difference, `no significant difference` follows the variable.
    """
    found = {name: _overall(run, name) for name in run.scores["system"].unique()}
    if run.histograms is not None:
        return _verdict_of_draws(run, found)
    said: list[tuple[str, str, str]] = []  # direction, baseline, percentage and variable
    kinds = set()
    for (variable, score), mine in found.get(run.system, {}).items():
        others = [(found[name].get((variable, score), ABSENT), name) for name in BASELINES if name in found]
        others = [(other, name) for other, name in others if other.value > 0]
        if score != "rmse" or variable not in run.variables or not others or math.isnan(mine.value):
            continue
        other, name = min(others)
        percent = _percent(mine.value / other.value)
        direction = "equal to" if not percent else "below" if mine.value < other.value else "above"
        # one of the two is the best of the systems, so that the other's rank is about this pair
        tied = TIED in (mine.rank, other.rank)
        text = f"{variable} ({TIED})" if tied and percent else variable
        said.append((direction, name, text if not percent else f"{percent}\n{text}"))
        kinds.add("tied" if tied and percent else direction)
    if not said:
        return Verdict(f"{run.system} was not scored by RMSE against bilinear or bicubic interpolation.", "none")
    phrases = [
        _phrase(direction, name, [text for *_, text in group])
        for (direction, name), group in groupby(said, lambda one: (one[0], one[1]))
    ]
    between = ", but " if {"below", "above"} <= {one[0] for one in said} and len(phrases) == 2 else " and "
    kind = _KINDS[kinds.pop()] if len(kinds) == 1 else "mixed"
    return Verdict(f"{run.system}'s RMSE is {listed(phrases, between)}.", kind)


def _verdict_of_draws(run: Run, found: dict[str, dict[tuple[str, str], Entry]]) -> Verdict:
    """How far the drawn fields' spectra are from the truth's, beside how far true fields of other times are."""
    other = next(name for name in found if name != run.system)
    mine, theirs = (
        {v: found[name][v, "log_spectral_distance"].value for v in run.variables} for name in (run.system, other)
    )
    phrases = [f"{mine[v]:.1f} dB for {v} ({other}: {theirs[v]:.1f} dB)" for v in run.variables]
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


def summary(runs: Sequence[Run], labels: Sequence[str]) -> Verdict:
    """Name the system of lowest RMSE for each variable, over several runs."""
    columns, comparable = columns_of(runs, labels)
    if not comparable:
        return Verdict("The runs were evaluated on different data; each run's own verdict stands below.", "none")
    values = {column.name: column.overall() for column in columns}
    variables = dict.fromkeys(variable for run in runs for variable in run.variables)
    best: dict[str, list[str]] = {}
    for variable in variables:
        ranked = [(one.get((variable, "rmse"), math.nan), name) for name, one in values.items()]
        ranked = [(value, name) for value, name in ranked if not math.isnan(value)]
        best.setdefault(min(ranked)[1], []).append(variable) if ranked else None
    if not best:
        return Verdict("The runs were not scored by RMSE.", "none")
    text = "; ".join(f"{name} for {listed(variables, ' and ')}" for name, variables in best.items())
    return Verdict(f"Lowest RMSE: {text}.", "none")
