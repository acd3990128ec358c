"""Tables of scores: the main ones, the others, those by season, hour and region, and those of the published study."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from subgrid.reporting.evaluated_run import EvaluatedRun
from subgrid.reporting.format_numbers import format_interval, format_number, format_units, name_with_units
from subgrid.reporting.score_columns import ABSENT, Column, Entry, columns_of
from subgrid.reporting.score_names import PUBLISHED, hint_of, meaning_of, title_of, variable_title
from subgrid.reporting.verdict import listed
from subgrid.scores.registry import ALL, BEST, MAIN_SCORES, TIED

GROUPED = ("rmse", "bias", "vector_rmse", "crps", "high_wavenumber_power_ratio")  # shown by season, hour and region


@dataclass(frozen=True)
class Cell:
    """A value as text, its interval (empty where there is none), and `best`, `no significant difference` or nothing."""

    text: str
    interval: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """A line of a table: title, units, which values are better, and a cell for each column."""

    title: str
    units: str
    hint: str
    cells: list[Cell]


@dataclass
class Table:
    """Rows under headings, each of as many cells as there are columns.

    Attributes:
        head: of the first column.
        columns: names of the others.
        groups: heading to rows.
    """

    head: str
    columns: list[str]
    groups: dict[str, list[Row]] = field(default_factory=dict)


def score_tables(runs: Sequence[EvaluatedRun], labels: Sequence[str]) -> dict[str, Any]:
    """Arrange all scores of all runs.

    Returns:
        `main`, `others`, `published`: tables with a row per variable and score and a column per system, under the variable;
        `parts`: tables by season, hour and region with a row per system, under variable and score; `comparable`; `level`:
        text of the intervals' level, empty where there are none; `pairs`: whether the marks rest on paired comparisons;
        `conventions` of the first two and `published_conventions`, as (title, variables, text); `notes`.
    """
    columns, comparable = columns_of(runs, labels)
    scores = pd.concat([run.scores for run in runs])
    rows = scores[scores["group"] == ALL].drop_duplicates(["variable", "score"])
    published = rows["score"].str.startswith(PUBLISHED)
    main = rows["score"].isin(MAIN_SCORES)
    if runs[0].histograms is not None or not main.any():
        main = ~published
    pairs = len(runs) == 1 and bool((scores["rank"] != "").any())
    maker = _TableMaker(columns, comparable, pairs)
    return {
        "comparable": comparable,
        "pairs": pairs,
        "level": _level(runs, scores),
        "main": maker.by_system(rows[main].sort_values("score", key=_order, kind="stable")),
        "others": maker.by_system(rows[~main & ~published]),
        "published": maker.by_system(rows[published]),
        "parts": maker.by_group(scores),
        "conventions": _conventions(rows[~published]),
        "published_conventions": _conventions(rows[published]),
        "notes": [
            ("" if len(runs) == 1 else label, note)
            for run, label in zip(runs, labels, strict=True)
            for note in run.notes
        ],
    }


def _order(names: pd.Series[str]) -> pd.Series[int]:
    """Place of each score among the main ones, others last."""
    return names.map({name: place for place, name in enumerate(MAIN_SCORES)}).fillna(len(MAIN_SCORES))


class _TableMaker:
    """Arranges scores in rows and columns, and marks the best of each row."""

    def __init__(self, columns: Sequence[Column], comparable: bool, pairs: bool) -> None:
        """Take the columns. Without `comparable` nothing is marked; without `pairs` only the value closest to the best."""
        self._columns, self._comparable, self._pairs = columns, comparable, pairs

    def by_system(self, rows: pd.DataFrame) -> Table:
        """A column for each system and a row for each of `rows`, under its variable."""
        table = Table("Score", [column.name for column in self._columns])
        for entry in rows.to_dict("records"):
            variable, score = str(entry["variable"]), str(entry["score"])
            cells = self._cells(ALL, variable, score)
            row = Row(title_of(score), format_units(entry["units"]), hint_of(score), cells)
            table.groups.setdefault(variable_title(variable), []).append(row)
        return table

    def by_group(self, scores: pd.DataFrame) -> dict[str, Table]:
        """Tables by kind of group: a column for each season, hour or region, a row for each system under variable and score."""
        tables: dict[str, Table] = {}
        chosen = scores[(scores["group"] != ALL) & scores["score"].isin(GROUPED)]
        for kind in dict.fromkeys(group.partition(" ")[0] for group in chosen["group"]):
            of_kind = chosen[chosen["group"].str.startswith(f"{kind} ")]
            groups = list(dict.fromkeys(of_kind["group"]))
            if len(groups) < 2:  # a single season is the same as all times
                continue
            table = Table("System", [group.partition(" ")[2] for group in groups])
            scored = of_kind.drop_duplicates(["variable", "score"])
            for variable, score, units in zip(scored["variable"], scored["score"], scored["units"], strict=True):
                heading = f"{variable_title(variable)}: {name_with_units(title_of(score), units)}"
                by_group = [self._cells(group, variable, score) for group in groups]
                table.groups[heading] = [
                    Row(column.name, "", "", list(cells))
                    for column, *cells in zip(self._columns, *by_group, strict=True)
                ]
            tables[kind] = table
        return tables

    def _cells(self, group: str, variable: str, score: str) -> list[Cell]:
        """Each system's value, with the decimals of the row."""
        entries = [column.entries.get((group, variable, score), ABSENT) for column in self._columns]
        finite = [entry.value for entry in entries if math.isfinite(entry.value)]
        largest = max(map(abs, finite), default=0.0)
        texts = [format_number(entry.value, largest) for entry in entries]
        marks = self._marks(score, entries, texts, finite)
        return [
            Cell(text, format_interval(entry.lower, entry.upper, largest), mark)
            for text, entry, mark in zip(texts, entries, marks, strict=True)
        ]

    def _marks(self, score: str, entries: Sequence[Entry], texts: Sequence[str], finite: Sequence[float]) -> list[str]:
        if self._pairs and any(entry.rank for entry in entries):
            return [entry.rank if entry.rank in (BEST, TIED) else "" for entry in entries]
        best, _ = meaning_of(score)
        if math.isnan(best) or not self._comparable or len(finite) < 2:
            return [""] * len(entries)
        nearest = min(finite, key=lambda value: abs(value - best))
        text = texts[[entry.value for entry in entries].index(nearest)]
        return [BEST if other == text else "" for other in texts]


def _conventions(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """How each score is computed, each text once, as (title, variables if not all of them, text)."""
    variables_of_text: dict[tuple[str, str], list[str]] = {}
    variables_of_score: dict[str, set[str]] = {}
    for score, variable, text in zip(rows["score"], rows["variable"], rows["convention"], strict=True):
        variables_of_text.setdefault((score, text), []).append(variable_title(variable))
        variables_of_score.setdefault(score, set()).add(variable)
    entries = []
    for score, every in variables_of_score.items():
        for (other, text), variables in variables_of_text.items():
            if other == score:
                entries.append((title_of(score), "" if len(variables) == len(every) else ", ".join(variables), text))
    return entries


def _level(runs: Iterable[EvaluatedRun], scores: pd.DataFrame) -> str:
    """``95 %``; empty where no score has an interval."""
    if scores["lower"].isna().all():
        return ""
    levels = sorted({float(run.evaluation["level"]) for run in runs if "level" in run.evaluation})
    return listed([f"{100 * level:g} %" for level in levels], " and ")
