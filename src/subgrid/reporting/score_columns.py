"""The systems of one or several runs as columns of one table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pandas as pd

from subgrid.reporting.evaluated_run import Run
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
        name: of the column.
        label: of the run that they are from.
        entries: by (group, variable, score).
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


def columns_of(runs: Sequence[Run], labels: Sequence[str]) -> tuple[list[Column], bool]:
    """Columns, baselines first, and whether they may be compared.

    A baseline that scores the same in several runs is one column; any other name that comes twice takes the
    run's label. Runs are comparable if they were evaluated on the same times, factor and truth, which a
    baseline's equal scores show.
    """
    found: list[Column] = []
    for run, label in zip(runs, labels, strict=True):
        for name in run.scores["system"].unique():
            column = Column(str(name), label, entries_of(run.scores, name))
            known = name in BASELINES and any(name == one.name and _equal(column, one) for one in found)
            if name != TRUTH and not known:
                found.append(column)
    names = [column.name for column in found]
    found.sort(key=lambda column: BASELINES.index(column.name) if column.name in BASELINES else len(BASELINES))
    named = [
        column if names.count(column.name) == 1 else replace(column, name=f"{column.name} ({column.label})")
        for column in found
    ]
    tests = {_test(run.evaluation) for run in runs}
    return named, len(tests) == 1 and all(names.count(name) <= 1 for name in BASELINES)


def _test(evaluation: dict[str, Any]) -> tuple[str, ...]:
    """What must agree for two evaluations to be comparable."""
    return tuple(str(evaluation.get(key)) for key in ("factor", "num_times", "period", "unpaired"))


def _equal(one: Column, two: Column) -> bool:
    """Whether the scores that both have are the same; one of them may have been evaluated with more scores."""
    mine, theirs = one.overall(), two.overall()
    common = mine.keys() & theirs.keys()
    return bool(common) and all(
        math.isclose(mine[key], theirs[key], rel_tol=_SAME, abs_tol=1e-12)
        or (math.isnan(mine[key]) and math.isnan(theirs[key]))
        for key in common
    )
