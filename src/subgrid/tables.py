"""Scores on the screen: the main ones, with intervals, the best marked and what cannot be told apart from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from subgrid.verify.results import ALL, BEST, TIED

MAIN = (
    "psnr", "ssim", "rmse", "mae", "bias", "correlation", "high_wavenumber_power_ratio", "log_spectral_distance",
    "histogram_overlap", "quantile_error_0.99", "crps", "spread_skill_ratio", "vector_rmse", "direction_error",
    "consistency_rmse",
)  # fmt: skip
MARKS = {BEST: "*", TIED: "~"}


def show_scores(scores: pd.DataFrame, *, every: bool = False) -> None:
    """Print a table, systems across.

    Args:
        scores: as `evaluate` and `score` give them; columns `lower`, `upper`, `standing`, `group` may be missing.
        every: all scores and groups, not the main ones of all times and cells alone.
    """
    full = scores.reindex(columns=[*dict.fromkeys([*scores.columns, "lower", "upper", "standing", "group"])])
    full["group"] = full.group.fillna(ALL)
    shown = full if every or not full.score.isin(MAIN).any() else full[full.score.isin(MAIN) & (full.group == ALL)]
    systems = list(dict.fromkeys(shown.system))
    grouped = shown.group.nunique() > 1
    table = Table("variable", "score", *(["group"] if grouped else []), *systems, "units", box=None)
    for (variable, score, group), rows in shown.groupby(["variable", "score", "group"], sort=False):
        cells = {str(row["system"]): _cell(row) for row in rows.to_dict("records")}
        names = [str(variable), str(score), *([str(group)] if grouped else [])]
        table.add_row(*names, *(cells.get(system, "") for system in systems), str(rows.units.iloc[0]))
    console = Console()
    console.print(table)
    if shown.standing.isin([BEST]).any():
        console.print(
            "* best    ~ not told apart from it, in pairs over the same times    lower .. upper", markup=False
        )
    if len(shown) < len(full):
        left = len(full) - len(shown)
        console.print(f"{left} more rows, and how each score is defined: in the file, or with --all", markup=False)
        return
    for score, convention in shown.drop_duplicates("score")[["score", "convention"]].itertuples(index=False):
        console.print(f"{score}: {convention}", highlight=False, markup=False)


def _cell(row: Mapping[Any, object]) -> str:
    """Value, mark, interval."""
    value, lower, upper = (float(str(row[name])) for name in ("value", "lower", "upper"))
    mark = MARKS.get(str(row["standing"]), "")
    return f"{value:.4g}{mark}" + ("" if math.isnan(lower) else f" ({lower:.4g} .. {upper:.4g})")
