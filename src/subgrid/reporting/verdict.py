"""The result of an evaluation in one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from subgrid.reporting.evaluated_run import EvaluatedRun
from subgrid.reporting.score_columns import columns_of, entries_of
from subgrid.scores.registry import BASELINES, TIED

_KINDS = {"below": "better", "above": "worse", "equal to": "equal"}
_SPECTRAL = "log_spectral_distance"


@dataclass(frozen=True)
class Verdict:
    """A sentence on scores, and its kind.

    Attributes:
        text: the sentence.
        kind: `better`, `worse`, `equal`, `tied`, `mixed` or `none`; the page marks it.
    """

    text: str
    kind: str


def run_labels(paths: Sequence[Path]) -> list[str]:
    """Name each run by its folder, and by as many parent folders as distinct names need."""
    parts = [path.resolve().parts for path in paths]
    tails = (["/".join(part[-count:]) for part in parts] for count in range(1, max(map(len, parts)) + 1))
    return next(labels for labels in tails if len(set(labels)) == len(labels))


@dataclass(frozen=True)
class _Comparison:
    """The RMSE of a run's system compared with the better baseline's, for one variable.

    Attributes:
        variable: its name.
        baseline: the interpolation of lower RMSE.
        ratio: the system's RMSE over the baseline's.
        tied: whether the difference is not significant.
    """

    variable: str
    baseline: str
    ratio: float
    tied: bool

    @property
    def percent(self) -> str:
        """``12 %`` or ``9.1 %``; empty where it rounds to nothing."""
        percent = abs(self.ratio - 1) * 100
        text = f"{percent:.0f}" if percent >= 9.95 else f"{percent:.1f}".removesuffix(".0")
        return "" if text == "0" else f"{text} %"

    @property
    def direction(self) -> str:
        """``below``, ``above`` or ``equal to``."""
        if not self.percent:
            return "equal to"
        return "below" if self.ratio < 1 else "above"

    @property
    def kind(self) -> str:
        """Kind of a verdict that says this alone."""
        return "tied" if self.tied and self.percent else _KINDS[self.direction]

    @property
    def variable_text(self) -> str:
        """The variable, with a remark where the difference is not significant."""
        return f"{self.variable} ({TIED})" if self.kind == "tied" else self.variable


def verdict(run: EvaluatedRun) -> Verdict:
    """Compare the system's RMSE with the better baseline's, variable by variable.

    Args:
        run: an evaluated run.

    Returns:
        For example ``srgan's RMSE is 12 % below bicubic's for t2m and 9 % for u10.`` Where the interval of the paired
        difference includes zero, `no significant difference` follows the variable.
    """
    if run.histograms is not None:
        return _verdict_on_field_sets(run)
    comparisons = _comparisons(run)
    if not comparisons:
        return Verdict(f"{run.system} was not scored by RMSE against bilinear or bicubic interpolation.", "none")
    phrases = [
        _phrase(direction, baseline, list(group))
        for (direction, baseline), group in groupby(comparisons, lambda item: (item.direction, item.baseline))
    ]
    opposed = {"below", "above"} <= {item.direction for item in comparisons} and len(phrases) == 2
    kinds = {item.kind for item in comparisons}
    text = f"{run.system}'s RMSE is {listed(phrases, ', but ' if opposed else ' and ')}."
    return Verdict(text, kinds.pop() if len(kinds) == 1 else "mixed")


def _comparisons(run: EvaluatedRun) -> list[_Comparison]:
    """One for each variable whose RMSE the system and a baseline have."""
    entries = entries_of(run.overall, run.system)
    baselines = {name: entries_of(run.overall, name) for name in BASELINES}
    comparisons = []
    for key, own in entries.items():
        _, variable, score = key
        others = {name: of_baseline[key] for name, of_baseline in baselines.items() if key in of_baseline}
        others = {name: entry for name, entry in others.items() if entry.value > 0}
        if score != "rmse" or variable not in run.variables or not others or math.isnan(own.value):
            continue
        baseline = min(others, key=lambda name: (others[name], name))
        # one of the two is the best of the systems, so that the rank of the other one is about this pair
        tied = TIED in (own.rank, others[baseline].rank)
        comparisons.append(_Comparison(variable, baseline, own.value / others[baseline].value, tied))
    return comparisons


def _verdict_on_field_sets(run: EvaluatedRun) -> Verdict:
    """How far generated fields' mean spectra are from the truth's, and how far those of true fields of other times are."""
    other = next(str(name) for name in run.scores["system"].unique() if name != run.system)
    distances = {
        name: {key[1]: entry.value for key, entry in entries_of(run.overall, name).items() if key[2] == _SPECTRAL}
        for name in (run.system, other)
    }
    phrases = [
        f"{distances[run.system][name]:.1f} dB for {name} ({other}: {distances[other][name]:.1f} dB)"
        for name in run.variables
    ]
    text = f"The mean spectrum of {run.system}'s fields differs from the truth's by {listed(phrases, ' and ')}."
    return Verdict(text, "none")


def _phrase(direction: str, baseline: str, comparisons: Sequence[_Comparison]) -> str:
    """``12 % below bicubic's for t2m and 9 % for u10``, of comparisons with one baseline and direction."""
    first, *others = comparisons
    start = f"{first.percent} {direction} {baseline}'s for {first.variable_text}".strip()
    return listed([start, *(f"{item.percent} for {item.variable_text}".strip() for item in others)], " and ")


def listed(words: Sequence[str], last: str) -> str:
    """Join words by commas, the last by `last`."""
    return last.join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def summary(runs: Sequence[EvaluatedRun], labels: Sequence[str]) -> Verdict:
    """Name the system of lowest RMSE for each variable, over several runs."""
    columns, comparable = columns_of(runs, labels)
    if not comparable:
        text = "The runs were evaluated on different data and are not compared; the result of each run follows below."
        return Verdict(text, "none")
    best: dict[str, list[str]] = {}
    for variable in dict.fromkeys(variable for run in runs for variable in run.variables):
        errors = {column.name: column.overall().get((variable, "rmse"), math.nan) for column in columns}
        errors = {name: error for name, error in errors.items() if not math.isnan(error)}
        if errors:
            best.setdefault(min(errors, key=lambda name: (errors[name], name)), []).append(variable)
    if not best:
        return Verdict("The runs were not scored by RMSE.", "none")
    text = "; ".join(f"{name} for {listed(variables, ' and ')}" for name, variables in best.items())
    return Verdict(f"Lowest RMSE: {text}.", "none")
