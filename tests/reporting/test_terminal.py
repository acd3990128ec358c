"""Scores on the screen."""

from __future__ import annotations

import io
import re

import pandas as pd
import pytest
from rich.console import Console

from subgrid.reporting import terminal
from subgrid.reporting.terminal import show_scores
from subgrid.scores.score_table import COLUMNS

SYSTEMS = ("a_system_with_a_long_name", "bilinear", "bicubic")


def scores() -> pd.DataFrame:
    """Two scores of three systems, one of them also by season, and one beside the main ones."""
    rank = dict(zip(SYSTEMS, ("best", "no significant difference", "worse"), strict=True))
    rows = [
        (s, "u10", name, 1.23456 + i, 1.1, 1.34567 + i, units, group, rank[s], f"How {name} is defined")
        for name, units in (("rmse", "m s-1"), ("high_wavenumber_power_ratio", "1"), ("wasserstein", "m s-1"))
        for group in ("all", "season DJF")
        for i, s in enumerate(SYSTEMS)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def shown(monkeypatch: pytest.MonkeyPatch, table: pd.DataFrame, *, width: int | None, every: bool = False) -> list[str]:
    """The lines on a terminal of some width, or in a pipe."""
    out = io.StringIO()
    made = Console(file=out, width=width or 80, force_terminal=width is not None, color_system=None)
    monkeypatch.setattr(terminal, "Console", lambda: made)
    show_scores(table, every=every)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_piped_lines_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, scores(), width=None)
    assert lines[0].split() == ["variable", "score", *SYSTEMS, "units"]
    assert lines[1].split("  ")[0].strip() == "u10"
    found = re.findall(r"\S+ \[1\.100, \S+\]", lines[1])
    assert found == ["1.235* [1.100, 1.346]", "2.235~ [1.100, 2.346]", "3.235 [1.100, 3.346]"]
    assert lines[1].endswith(" m s⁻¹") and lines[2].endswith("3.346]")
    assert "high_wavenumber_power_ratio" in lines[2]
    assert lines[3].startswith("* best    ~ no significant difference from the best")
    assert lines[4] == "12 more rows and the definitions of the scores are in the file; --all prints them."
    assert len(lines) == 5


@pytest.mark.parametrize(("width", "rows"), [(200, 1), (110, 2), (80, 4)])
def test_no_number_is_broken_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, width: int, rows: int) -> None:
    lines = shown(monkeypatch, scores(), width=width)
    text = "\n".join(lines)
    for whole in ("high_wavenumber_power_ratio", "m s⁻¹", "2.235~", "[1.100, 3.346]", *SYSTEMS):
        assert whole in text
    body = lines[1 : next(i for i, line in enumerate(lines) if line.startswith("* best"))]
    assert len(body) == 2 * rows
    assert max(map(len, [lines[0], *body])) <= width


def test_every_group_and_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, scores(), width=None, every=True)
    assert lines[0].split()[:3] == ["variable", "score", "group"]
    assert sum("season DJF" in line for line in lines) == 3
    assert lines[-3:] == [
        f"{name}: How {name} is defined" for name in ("rmse", "high_wavenumber_power_ratio", "wasserstein")
    ]
    narrow = shown(monkeypatch, scores(), width=60, every=True)
    assert sum(line.strip() == "u10 rmse season DJF m s⁻¹" for line in narrow) == 1


def test_a_table_without_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = scores()[["system", "variable", "score", "value", "units", "convention"]].drop_duplicates(
        ["system", "score"]
    )
    plain = plain[plain.score == "wasserstein"]  # none of the main ones: all are shown
    lines = shown(monkeypatch, plain, width=200)
    assert lines[1].split() == ["u10", "wasserstein", "1.235", "2.235", "3.235", "m", "s⁻¹"]
    assert lines[2:] == ["wasserstein: How wasserstein is defined"]
