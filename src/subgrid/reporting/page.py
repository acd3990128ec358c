"""The page on one or several evaluated runs: its content, and which runs share their figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from subgrid.errors import RunError
from subgrid.reporting import figures
from subgrid.reporting.evaluated_run import EvaluatedRun, load_evaluated_run
from subgrid.reporting.figures.interactive_points import Point
from subgrid.reporting.interactive import SystemGroup, better_baseline, points_of
from subgrid.reporting.merge_runs import merge_systems
from subgrid.reporting.ranking import ranking_tables
from subgrid.reporting.render import check_out, write_page
from subgrid.reporting.run_facts import evaluation_facts, provenance_entries, setting_groups
from subgrid.reporting.score_columns import columns_of
from subgrid.reporting.score_tables import score_tables
from subgrid.reporting.static_figures import sections_of
from subgrid.reporting.verdict import run_labels, summary, verdict
from subgrid.scores.registry import BASELINES


def verdict_of(run: str | Path) -> str:
    """State in one sentence how an evaluated run's RMSE compares with the better baseline's, variable by variable."""
    return verdict(load_evaluated_run(Path(run))).text


def report(runs: Sequence[str | Path], out: str | Path) -> Path:
    """Write one HTML file on the results, figures, settings and provenance of runs.

    The file holds its figures and the library that draws them, and needs no network. Its size stays under `MAX_BYTES` of
    `render.py`: the maps hold as many times, levels and cells as fit into `FIELD_BYTES`, and images have `START_DPI` dots per
    inch, or fewer where the file would be too large, down to `LEAST_DPI`. Runs of one truth share their maps and lines.

    Args:
        runs: run directories, each evaluated.
        out: the HTML file; missing folders are created, an existing file is replaced in one step.

    Returns:
        `out` as a path.

    Raises:
        RunError: no run given, one given twice, a directory missing or incomplete, a run not evaluated, or
            `out` is a directory.
    """
    out = check_out(out)
    if not runs:
        raise RunError("a report needs at least one run directory; got none.")
    paths = [Path(path) for path in runs]
    for i, path in enumerate(paths):
        if path.resolve() in [other.resolve() for other in paths[:i]]:
            raise RunError(f"{path} is given twice; name each run once.")
    evaluated = [load_evaluated_run(path) for path in paths]
    labels = run_labels(paths)
    return write_page(_content(evaluated, labels), _system_groups(evaluated, labels), out)


def _content(runs: Sequence[EvaluatedRun], labels: Sequence[str]) -> dict[str, Any]:
    """What the template shows apart from the groups' figures; images are not yet encoded."""
    first, single = runs[0], len(runs) == 1
    if first.histograms is None:
        subtitle = "RMSE over all test times, compared with the better of the two interpolations for each variable."
    else:
        subtitle = "Fields generated from noise have no paired truth; sets of fields are compared, not single fields."
    return {
        "title": f"{first.system}: super-resolution report"
        if single
        else f"Super-resolution report on {len(runs)} runs",
        "verdict": verdict(first) if single else summary(runs, labels),
        "subtitle": subtitle if single else "",
        "about": evaluation_facts(first) if single else [],
        "ranking": _ranking(runs, labels),
        "study": None,
        "scores": score_tables(runs, labels),
        "single": single,
        "runs": [_run_section(run, label) for run, label in zip(runs, labels, strict=True)],
    }


def _run_section(run: EvaluatedRun, label: str) -> dict[str, Any]:
    return {
        "label": label,
        "verdict": verdict(run),
        "facts": evaluation_facts(run),
        "sections": sections_of(run),
        "settings": setting_groups(run.config),
        "provenance": provenance_entries(run.provenance),
    }


def _ranking(runs: Sequence[EvaluatedRun], labels: Sequence[str]) -> dict[str, Any] | None:
    """The ranked tables; None where the runs cannot be compared, or there is nothing to rank."""
    columns, comparable = columns_of(runs, labels)
    rows = [row for run in runs for row in run.overall.to_dict("records")]
    units = {(str(row["variable"]), str(row["score"])): str(row["units"]) for row in rows}
    tables = ranking_tables(columns, units, marked=len(runs) == 1) if comparable else []
    if not tables:
        return None
    intro = "Systems are sorted by the first score, best first. "
    if any(cell.interval for table in tables for row in table.rows for cell in row.cells):
        intro += "Confidence intervals over the test times are in brackets. "
    return {"tables": tables, "intro": intro + "The section Scores defines each score.", "notes": []}


def _system_groups(runs: Sequence[EvaluatedRun], labels: Sequence[str]) -> list[SystemGroup]:
    """One group for all runs of one truth; otherwise one for each run."""
    merged = _merged_group(runs, labels)
    if merged is not None:
        return [merged]
    single = len(runs) == 1
    return [
        _group_of_run(run, f"s{i + 1}", "" if single else f"Figures of {label}")
        for i, (run, label) in enumerate(zip(runs, labels, strict=True))
    ]


def _merged_group(runs: Sequence[EvaluatedRun], labels: Sequence[str]) -> SystemGroup | None:
    """All runs in one group; None where there is one run only, or where their truths differ."""
    columns, comparable = columns_of(runs, labels)
    if len(runs) == 1 or not comparable or any(run.histograms is not None for run in runs):
        return None
    names = {column.label: column.name for column in columns if column.name not in BASELINES}
    by_name = {names[label]: run for run, label in zip(runs, labels, strict=True) if label in names}
    samples = merge_systems({name: [run.samples] for name, run in by_name.items()})
    spectra = merge_systems({name: [run.spectra] for name, run in by_name.items()})
    if samples is None or len(by_name) < len(runs) or not set(by_name) <= set(samples["system"].values):
        return None
    histories = {name: [run.history] for name, run in by_name.items()}
    first, second = list(by_name)[:2]
    return SystemGroup("all", "", samples, spectra, histories, _merged_points(by_name), (first, second))


def _group_of_run(run: EvaluatedRun, key: str, label: str) -> SystemGroup:
    """One run and its baselines."""
    histories = {run.system: [run.history]}
    if run.histograms is not None:
        return SystemGroup(key, label, None, run.spectra, histories, {}, ("", ""))
    pair = (better_baseline(figures.rmse_at(run.samples, run.variables[0], 0)), run.system)
    return SystemGroup(key, label, run.samples, run.spectra, histories, points_of(run.overall), pair)


def _merged_points(by_name: Mapping[str, EvaluatedRun]) -> dict[tuple[str, str], list[Point]]:
    """Distortion and realism of all runs' systems, under the columns' names, baselines once."""
    tables = []
    for i, (name, run) in enumerate(by_name.items()):
        rows = run.overall
        selected = rows["system"] == run.system if i else rows["system"].notna()
        tables.append(rows[selected].replace({"system": {run.system: name}}))
    return points_of(pd.concat(tables))
