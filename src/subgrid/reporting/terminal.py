"""Scores on the screen: the main ones with their intervals, and marks of the best and of what does not differ from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from subgrid.reporting.format_numbers import format_interval, format_number, format_units
from subgrid.scores.registry import ALL, BEST, MAIN_SCORES, TIED

MARKS = {BEST: "*", TIED: "~"}


def show_scores(scores: pd.DataFrame, *, every: bool = False) -> None:
    """Print a table with a column for each system.

    On a narrow terminal, intervals are below their values, or systems are below one another. Names and numbers are never broken
    over lines. Where the output is not a terminal, lines have any length.

    Args:
        scores: as `evaluate` and `score` give them; columns `lower`, `upper`, `rank`, `group` may be missing.
        every: print all scores and groups, not only the main scores over all times and cells.
    """
    absent: dict[str, Any] = {"lower": math.nan, "upper": math.nan, "rank": "", "group": ALL}
    full = scores.assign(**{name: value for name, value in absent.items() if name not in scores})
    main = full.score.isin(MAIN_SCORES) & (full.group == ALL)
    shown = full if every or "group" not in scores or not main.any() else full[main]  # sets of fields have few scores
    console = Console()
    _print_whole(console, shown)
    if shown["rank"].isin([BEST]).any():
        console.print(
            "* best    ~ no significant difference from the best (paired bootstrap)    [lower, upper]: confidence interval",
            markup=False,
            soft_wrap=True,
        )
    if len(shown) < len(full):
        left = len(full) - len(shown)
        console.print(
            f"{left} more rows and the definitions of the scores are in the file; --all prints them.",
            markup=False,
            soft_wrap=True,
        )
        return
    for score, convention in shown.drop_duplicates("score")[["score", "convention"]].itertuples(index=False):
        console.print(f"{score}: {convention}", highlight=False, markup=False, soft_wrap=True)


def _print_whole(console: Console, shown: pd.DataFrame) -> None:
    """Print the first layout that fits, or the widest where nothing limits the width."""
    layouts = [_across(shown, " "), _across(shown, "\n"), _below(shown)]
    widths = [Measurement.get(console, console.options.update(max_width=10_000), layout).maximum for layout in layouts]
    fitting = [i for i, width in enumerate(widths) if width <= console.width or not console.is_terminal]
    chosen = fitting[0] if fitting else len(layouts) - 1
    console.width = max(console.width, widths[chosen])  # if none fits, long lines rather than broken ones
    console.print(layouts[chosen])


def _across(shown: pd.DataFrame, between: str) -> Table:
    """A row for each score and a column for each system; `between` separates value and interval."""
    systems = [str(system) for system in dict.fromkeys(shown.system)]
    grouped = shown.group.nunique() > 1
    table = Table(box=None)
    for name in ("variable", "score", *(["group"] if grouped else []), *systems, "units"):
        table.add_column(name, no_wrap=True)
    for (variable, score, group), units, by_system in _rows(shown):
        cells = [between.join(filter(None, by_system.get(system, ("", "")))) for system in systems]
        table.add_row(variable, score, *([group] if grouped else []), *cells, units)
    return table


def _below(shown: pd.DataFrame) -> Table:
    """A heading for each score, and a row for each system."""
    table = Table(box=None)
    for name in ("score, system", "value", "interval"):
        table.add_column(name, no_wrap=True)
    for (variable, score, group), units, by_system in _rows(shown):
        table.add_row(" ".join([variable, score, *([] if group == ALL else [group]), units]))
        for system, cells in by_system.items():
            table.add_row(f"  {system}", *cells)
    return table


def _rows(shown: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], str, dict[str, tuple[str, str]]]]:
    """(variable, score, group), units, and each system's value and interval."""
    for (variable, score, group), rows in shown.groupby(["variable", "score", "group"], sort=False):
        largest = float(rows.value.abs().replace(math.inf, math.nan).max())
        cells = {str(row["system"]): _cell(row, largest) for row in rows.to_dict("records")}
        yield (str(variable), str(score), str(group)), format_units(str(rows.units.iloc[0])), cells


def _cell(row: Mapping[Any, object], largest: float) -> tuple[str, str]:
    """Value with its mark; interval, empty where there is none."""
    value, lower, upper = (float(str(row[name])) for name in ("value", "lower", "upper"))
    return format_number(value, largest) + MARKS.get(str(row["rank"]), ""), format_interval(lower, upper, largest)
