"""The results of a study on the terminal: the main scores of each arm, and the comparison with the reference arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from subgrid.reporting.format_numbers import format_number, format_spread
from subgrid.scores.registry import HEADLINE_SCORES, TIED, WORSE
from subgrid.studies.paired_runs import BETTER, DIFFERS

MARKS = {BETTER: "+", WORSE: "-", TIED: "~", DIFFERS: "!"}


def show_results(results: pd.DataFrame, reference: str) -> None:
    """Print one row for each variable and arm.

    Args:
        results: the results, from `subgrid.studies.results.collect`.
        reference: name of the reference arm.
    """
    main = results[results.score.isin(HEADLINE_SCORES)]
    names = [name for name in HEADLINE_SCORES if name in set(main.score)]
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
        f"Mean ± standard deviation over seeds. Compared with {reference} (*) in pairs of equal seed, over times and seeds: "
        "+ better  - worse  ~ no significant difference  ! significant difference, neither closer to the ideal value",
        markup=False,
    )


def _cell(row: Mapping[Any, Any]) -> str:
    """Write mean, spread and verdict."""
    spread, mark = format_spread(float(row["spread"])), MARKS.get(str(row["verdict"]), "")
    return " ".join(filter(None, (format_number(float(row["mean"])), spread, mark)))
