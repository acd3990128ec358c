"""Ranking tables: a row for each system, best first, and a column for each score, by which the reader can sort."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from subgrid.reporting.format_numbers import format_interval, format_number, format_units
from subgrid.reporting.score_columns import ABSENT, Column
from subgrid.reporting.score_names import hint_of, meaning_of, title_of, variable_title
from subgrid.scores.registry import ALL, BEST, HEADLINE_SCORES

RANKED = (*HEADLINE_SCORES, "high_wavenumber_power_ratio", "mae", "histogram_overlap", "crps")


@dataclass(frozen=True)
class RankCell:
    """A score of a system.

    Attributes:
        text: the value.
        key: sort key of the column; lower is better, NaN comes last.
        spread: text after the value.
        interval: text below the value.
        mark: the rank in words, or nothing.
        kind: colour of the cell: `good`, `bad`, `flat` or nothing.
    """

    text: str
    key: float
    spread: str = ""
    interval: str = ""
    mark: str = ""
    kind: str = ""

    @property
    def order(self) -> str:
        """The key as text for the page; empty where there is none."""
        return "" if math.isnan(self.key) else f"{self.key:.9g}"


@dataclass(frozen=True)
class RankRow:
    """A system: its name, a note, its scores, and whether it is the one that others are compared with."""

    name: str
    note: str
    cells: list[RankCell]
    reference: bool = False


@dataclass
class RankTable:
    """One variable's table.

    Attributes:
        variable: heading.
        columns: title, units and hint of each score.
        rows: best first by the first column.
        head: heading of the first column.
    """

    variable: str
    columns: list[tuple[str, str, str]]
    rows: list[RankRow] = field(default_factory=list)
    head: str = "system"

    def sort(self) -> RankTable:
        """Order the rows by the first column; those without a value last."""
        self.rows.sort(key=lambda row: (math.isnan(row.cells[0].key), row.cells[0].key))
        return self


def columns_for(scores: Iterable[str], units: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Title, units and hint of each score."""
    return [(title_of(score), format_units(units.get(score, "")), hint_of(score)) for score in scores]


def distance(score: str, value: float) -> float:
    """Sort key of a value: lower is better. It is the distance from the best value, or the value where no best one is known."""
    best, higher = meaning_of(score)
    if higher is not None:
        return -value if higher else value
    return value if math.isnan(best) else abs(value - best)


def ranking_tables(columns: Sequence[Column], units: Mapping[tuple[str, str], str], *, marked: bool) -> list[RankTable]:
    """Rank the systems of one or several runs, in a table for each variable.

    Args:
        columns: systems with their scores.
        units: by (variable, score).
        marked: whether the ranks of the evaluation are shown; they hold within one run.
    """
    tables = []
    for variable in dict.fromkeys(variable for variable, _ in units):
        scores = [score for score in RANKED if (variable, score) in units]
        if len(scores) < 2:
            continue
        table = RankTable(
            variable_title(variable), columns_for(scores, {score: units[variable, score] for score in scores})
        )
        largest = {score: _largest(columns, variable, score) for score in scores}
        for column in columns:
            cells = [_cell(column, variable, score, largest[score], marked) for score in scores]
            if any(not math.isnan(cell.key) for cell in cells):
                table.rows.append(RankRow(column.name, "", cells))
        tables.append(table.sort())
    return tables


def _largest(columns: Sequence[Column], variable: str, score: str) -> float:
    values = [column.entries.get((ALL, variable, score), ABSENT).value for column in columns]
    return max((abs(value) for value in values if math.isfinite(value)), default=0.0)


def _cell(column: Column, variable: str, score: str, largest: float, marked: bool) -> RankCell:
    entry = column.entries.get((ALL, variable, score), ABSENT)
    mark = entry.rank if marked else ""
    kind = "good" if mark == BEST else ""
    text, interval = format_number(entry.value, largest), format_interval(entry.lower, entry.upper, largest)
    return RankCell(text, distance(score, entry.value), "", interval, mark, kind)
