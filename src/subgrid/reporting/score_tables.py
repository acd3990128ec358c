"""Arranges the scores for reading: the main ones, the others, those by season, hour and region, the study's own."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from subgrid.errors import ConfigError
from subgrid.reporting.evaluated_run import Run
from subgrid.reporting.format_numbers import format_interval, format_number, format_units, name_with_units
from subgrid.reporting.score_columns import ABSENT, Column, Entry, columns_of
from subgrid.reporting.verdict import listed
from subgrid.scores import find_score
from subgrid.scores.ensemble import ENSEMBLE_SCORES
from subgrid.scores.field_sets import SET_SCORES
from subgrid.scores.registry import ALL, BEST, MAIN_SCORES, TIED

GROUPED = ("rmse", "bias", "vector_rmse", "crps", "high_wavenumber_power_ratio")  # shown by season, hour and region
_PUBLISHED = "published_"
_ERRORS = ("consistency_rmse", "consistency_mae", "vector_rmse", "direction_error")  # best 0; made by the evaluation
_NAMES = {"ms_ssim": "MS-SSIM", **{name: name.upper() for name in ("psnr", "ssim", "rmse", "mae", "crps")}}
HEADINGS = {
    "all": "all variables",
    "wind_speed": "wind speed",
}  # what the evaluation calls what is no variable of the run


@dataclass(frozen=True)
class Cell:
    """A value as text, its interval (empty where there is none), and `best`, `no significant difference` or nothing."""

    text: str
    interval: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """A line of a table: what it is, its units, how to read it, and a cell a column."""

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


def score_tables(runs: Sequence[Run], labels: Sequence[str]) -> dict[str, Any]:
    """Arrange all scores of all runs.

    Returns:
        `main`, `others`, `published`: tables with a row per variable and score, a column per system, heading the variable;
        `parts`: tables by season, hour and region, heading the variable and score, a row per system; `comparable`; `level`:
        text of the intervals' level, empty where there are none; `pairs`: whether the marks rest on comparisons in pairs;
        `conventions` of the first two and `published_conventions`, as (title, variables, text); `notes`.
    """
    columns, comparable = columns_of(runs, labels)
    scores = pd.concat([run.scores for run in runs])
    rows = scores[scores["group"] == ALL].drop_duplicates(["variable", "score"])
    published = rows["score"].str.startswith(_PUBLISHED)
    main = rows["score"].isin(MAIN_SCORES)
    if runs[0].histograms is not None or not main.any():
        main = ~published
    pairs = len(runs) == 1 and bool((scores["rank"] != "").any())
    draw = _Drawer(columns, comparable, pairs)
    return {
        "comparable": comparable,
        "pairs": pairs,
        "level": _level(runs, scores),
        "main": draw.by_system(rows[main].sort_values("score", key=_places, kind="stable")),
        "others": draw.by_system(rows[~main & ~published]),
        "published": draw.by_system(rows[published]),
        "parts": draw.by_group(scores),
        "conventions": _conventions(rows[~published]),
        "published_conventions": _conventions(rows[published]),
        "notes": [
            ("" if len(runs) == 1 else label, note)
            for run, label in zip(runs, labels, strict=True)
            for note in run.notes
        ],
    }


def _places(names: pd.Series[str]) -> pd.Series[int]:
    return names.map({name: place for place, name in enumerate(MAIN_SCORES)}).fillna(len(MAIN_SCORES))


class _Drawer:
    """Writes scores as cells, marked within a row."""

    def __init__(self, columns: Sequence[Column], comparable: bool, pairs: bool) -> None:
        """Take the columns; without `comparable` nothing is marked, without `pairs` the nearest value to a perfect one."""
        self._columns, self._comparable, self._pairs = columns, comparable, pairs

    def by_system(self, rows: pd.DataFrame) -> Table:
        """A column a system, a row each of `rows`, under its variable."""
        table = Table("Score", [column.name for column in self._columns])
        for entry in rows.to_dict("records"):
            variable, score = str(entry["variable"]), str(entry["score"])
            cells = self._cells(ALL, variable, score)
            row = Row(title_of(score), format_units(entry["units"]), hint_of(score), cells)
            table.groups.setdefault(HEADINGS.get(variable, variable), []).append(row)
        return table

    def by_group(self, scores: pd.DataFrame) -> dict[str, Table]:
        """A table a kind of group: a column each season, hour or region, a row a system, under variable and score."""
        tables: dict[str, Table] = {}
        chosen = scores[(scores["group"] != ALL) & scores["score"].isin(GROUPED)]
        for kind in dict.fromkeys(group.partition(" ")[0] for group in chosen["group"]):
            of_kind = chosen[chosen["group"].str.startswith(f"{kind} ")]
            groups = list(dict.fromkeys(of_kind["group"]))
            if len(groups) < 2:  # the only season is all there is
                continue
            table = Table("System", [group.partition(" ")[2] for group in groups])
            asked = of_kind.drop_duplicates(["variable", "score"])
            for variable, score, units in zip(asked["variable"], asked["score"], asked["units"], strict=True):
                heading = f"{HEADINGS.get(variable, variable)}: {name_with_units(title_of(score), units)}"
                made = [self._cells(group, variable, score) for group in groups]
                table.groups[heading] = [
                    Row(column.name, "", "", list(cells)) for column, *cells in zip(self._columns, *made, strict=True)
                ]
            tables[kind] = table
        return tables

    def _cells(self, group: str, variable: str, score: str) -> list[Cell]:
        """Each system's value, with the row's digits."""
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


def meaning_of(score: str) -> tuple[float, bool | None]:
    """The best value, NaN where there is none, and whether higher is better (None: wrong on both sides)."""
    if score in _ERRORS:
        return 0.0, False
    found = SET_SCORES.get(score) or ENSEMBLE_SCORES.get(score)
    try:
        found = found or find_score(score.removeprefix(_PUBLISHED))
    except ConfigError:  # a score of the user's own
        return math.nan, None
    return found.best, found.higher_is_better


def hint_of(score: str) -> str:
    """Which way is better, in words; empty where neither is."""
    best, higher = meaning_of(score)
    if higher is not None:
        return "higher is better" if higher else "lower is better"
    return "" if math.isnan(best) else f"best: {best:g}"


def title_of(score: str) -> str:
    """Write a score's name as print does, e.g. ``quantile error 0.99`` or ``FSS above 10, window of 5 cells``."""
    name = score.removeprefix(_PUBLISHED)
    if found := re.fullmatch(r"fss_(.+)_w(\d+)", name):
        return f"FSS above {found[1].replace('-', '−')}, window of {found[2]} {'cell' if found[2] == '1' else 'cells'}"
    return _NAMES.get(name) or " ".join(_NAMES.get(word, word) for word in name.split("_"))


def _conventions(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """What is said of each score, once: title, the variables if not all of them, text."""
    said: dict[tuple[str, str], list[str]] = {}
    of_score: dict[str, set[str]] = {}
    for score, variable, text in zip(rows["score"], rows["variable"], rows["convention"], strict=True):
        said.setdefault((score, text), []).append(HEADINGS.get(variable, variable))
        of_score.setdefault(score, set()).add(variable)
    order = list(of_score)
    return [
        (title_of(score), "" if len(variables) == len(of_score[score]) else ", ".join(variables), text)
        for (score, text), variables in sorted(said.items(), key=lambda item: order.index(item[0][0]))
    ]


def _level(runs: Iterable[Run], scores: pd.DataFrame) -> str:
    """``95 %``; empty where no score has an interval."""
    if scores["lower"].isna().all():
        return ""
    levels = sorted({float(run.evaluation["level"]) for run in runs if "level" in run.evaluation})
    return listed([f"{100 * level:g} %" for level in levels], " and ")
