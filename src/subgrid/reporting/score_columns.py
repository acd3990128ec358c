"""The systems of one or several runs as columns of one table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pandas as pd

from subgrid.reporting.evaluated_run import EvaluatedRun
from subgrid.scores.registry import ALL, BASELINES, TRUTH

_SAME = 1e-6  # relative difference under which two runs' baselines count as one


class Entry(NamedTuple):
    """One score of one system: NaN where there is no interval, an empty rank where it was not ranked."""

    value: float
    lower: float
    upper: float
    rank: str


Key = tuple[str, str, str]  # group, variable, score
ABSENT = Entry(math.nan, math.nan, math.nan, "")


@dataclass(frozen=True)
class Column:
    """A system's scores.

    Attributes:
        name: name of the column.
        label: label of its run.
        entries: scores by (group, variable, score).
    """

    name: str
    label: str
    entries: dict[Key, Entry]

    def overall(self) -> dict[tuple[str, str], float]:
        """Values over all times and cells by (variable, score)."""
        return {key[1:]: entry.value for key, entry in self.entries.items() if key[0] == ALL}


def entries_of(scores: pd.DataFrame, system: str) -> dict[Key, Entry]:
    """A system's scores by (group, variable, score)."""
    rows = scores[scores["system"] == system]
    keys = zip(rows["group"], rows["variable"], rows["score"], strict=True)
    entries = zip(rows["value"], rows["lower"], rows["upper"], rows["rank"], strict=True)
    return {key: Entry(*entry) for key, entry in zip(keys, entries, strict=True)}


def columns_of(runs: Sequence[EvaluatedRun], labels: Sequence[str]) -> tuple[list[Column], bool]:
    """Columns, baselines first, and whether they can be compared.

    A baseline with the same scores in several runs is one column; the label of the run is added to any other name that
    occurs twice. Runs are comparable if they were evaluated on the same times, factor and truth, so that the scores of a
    baseline are equal.
    """
    all_columns: list[Column] = []
    for run, label in zip(runs, labels, strict=True):
        for name in run.scores["system"].unique():
            column = Column(str(name), label, entries_of(run.scores, name))
            known = name in BASELINES and any(name == other.name and _equal(column, other) for other in all_columns)
            if name != TRUTH and not known:
                all_columns.append(column)
    names = [column.name for column in all_columns]
    all_columns.sort(key=lambda column: BASELINES.index(column.name) if column.name in BASELINES else len(BASELINES))
    columns = [
        column if names.count(column.name) == 1 else replace(column, name=f"{column.name} ({column.label})")
        for column in all_columns
    ]
    tests = {_test(run.evaluation) for run in runs}
    return columns, len(tests) == 1 and all(names.count(name) <= 1 for name in BASELINES)


def _test(evaluation: dict[str, Any]) -> tuple[str, ...]:
    """Facts that agree between comparable evaluations."""
    return tuple(str(evaluation.get(key)) for key in ("factor", "num_times", "period", "unpaired"))


def _equal(column: Column, other: Column) -> bool:
    """Whether the scores that both columns have are the same; one of them may have more scores."""
    values, others = column.overall(), other.overall()
    common = values.keys() & others.keys()
    return bool(common) and all(
        math.isclose(values[key], others[key], rel_tol=_SAME, abs_tol=1e-12)
        or (math.isnan(values[key]) and math.isnan(others[key]))
        for key in common
    )
