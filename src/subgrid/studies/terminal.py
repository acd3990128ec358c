"""The result of a study on the screen: each arm's main scores, and what can be told from the reference arm."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from subgrid.studies.paired_runs import BETTER, DIFFERS, TIED, WORSE

SHOWN = ("psnr", "rmse", "ssim", "log_spectral_distance")
MARKS = {BETTER: "+", WORSE: "-", TIED: "~", DIFFERS: "!"}


def show_results(results: pd.DataFrame, reference: str) -> None:
    """Print a row a variable and arm.

    Args:
        results: as `subgrid.studies.results.collect` gives them.
        reference: name of the reference arm.
    """
    main = results[results.score.isin(SHOWN)]
    names = [name for name in SHOWN if name in set(main.score)]
    table = Table("variable", "arm", "seeds", *names, box=None)
    for column in table.columns:
        column.no_wrap = True
    for (variable, arm), rows in main.groupby(["variable", "arm"], sort=False):
        cells = {str(row["score"]): _cell(row) for row in rows.to_dict("records")}
        count = int(rows.num_seeds.iloc[0])
        shown = f"{arm} *" if arm == reference else str(arm)
        table.add_row(str(variable), shown, str(count or "-"), *(cells.get(name, "") for name in names))
    console = Console()
    console.print(table)
    console.print(
        f"mean ±spread over seeds; against {reference} (*), in pairs of equal seed, over times and seeds: + better  "
        "- worse  ~ not told apart  ! told apart, neither nearer the best value",
        markup=False,
    )


def _cell(row: Mapping[Any, Any]) -> str:
    """Mean, spread, verdict."""
    spread = "" if math.isnan(float(row["spread"])) else f" ±{float(row['spread']):.2g}"
    return f"{float(row['mean']):.4g}{spread}{' ' if (mark := MARKS.get(str(row['verdict']), '')) else ''}{mark}"
