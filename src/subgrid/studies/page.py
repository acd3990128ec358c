"""The page of a study: ranking of the arms, their settings, differences without significance, maps and lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from subgrid.errors import RunError
from subgrid.reporting import report as report_runs
from subgrid.reporting.figures.interactive_points import Point
from subgrid.reporting.format_numbers import format_interval, format_number, format_spread, num_decimals
from subgrid.reporting.interactive import SystemGroup
from subgrid.reporting.ranking import RANKED, RankCell, RankRow, RankTable, columns_for, distance
from subgrid.reporting.render import check_out, write_page
from subgrid.reporting.run_facts import provenance_entries, setting_groups
from subgrid.reporting.score_columns import Entry
from subgrid.reporting.score_names import title_of, variable_title
from subgrid.reporting.verdict import Verdict, listed
from subgrid.scores.registry import BASELINES, DISTORTION, REALISM, TIED, TRUTH, WORSE
from subgrid.scores.seeds import FEWEST_SEEDS
from subgrid.studies.jobs import STUDY_FILE
from subgrid.studies.load import Gathered, gather
from subgrid.studies.paired_runs import BETTER, DIFFERS, OPEN
from subgrid.studies.single_seed import is_claim, is_unsupported

KINDS = {BETTER: "good", WORSE: "bad", TIED: "flat", DIFFERS: "flat"}
NO_INTERVAL = "no interval"
_HOW = ("command", "started", "resumed", "threads", "workers", "versions", "git_revision", "platform")


def report(runs: Sequence[str | Path], out: str | Path) -> Path:
    """Write one HTML file on runs, or on a study.

    Args:
        runs: evaluated run directories, or the folder of one study.
        out: the HTML file; its folder is made if need be, an existing file replaced in one step.

    Returns:
        `out` as a path.

    Raises:
        RunError: no run given, one given twice, a directory missing or incomplete, a run not evaluated, a study given
            with other folders, or `out` is a directory.
    """
    studies = [Path(run) for run in runs if (Path(run) / STUDY_FILE).is_file()]
    if not studies:
        return report_runs(runs, out)
    if len(runs) > 1:
        raise RunError(
            f"{studies[0]} is a study, which has a report of its own; give it without other folders, or give single runs."
        )
    return study_page(studies[0], out)


def study_page(folder: str | Path, out: str | Path | None = None) -> Path:
    """Write one HTML file on a finished study.

    Args:
        folder: of the study, as `subgrid study` left it.
        out: the HTML file; `FOLDER/report.html` by default.

    Returns:
        The file.

    Raises:
        RunError: where the folder is no study's, nothing is finished in it, or `out` is a directory.
    """
    found = gather(folder)
    out = check_out(Path(folder) / "report.html" if out is None else out)
    return write_page(_page(found), [_group(found)], out)


def _page(found: Gathered) -> dict[str, Any]:
    results, reference = found.results, found.reference
    config = found.facts["arms"][reference]["config"]
    return {
        "title": str(found.facts["text"] or f"Study of {len(found.facts['arms'])} arms"),
        "verdict": Verdict(_verdict(results, reference), "none"),
        "subtitle": f"RMSE over all test times, in pairs of equal seed with {reference}; intervals over times and seeds.",
        "about": _about(found),
        "ranking": {"tables": _tables(results, found), "intro": _intro(reference), "notes": _notes(results)},
        "study": _study(found),
        "scores": None,
        "single": True,
        "runs": [
            {
                "label": reference,
                "sections": [],
                "settings": {f"{name} ({reference})": rows for name, rows in setting_groups(config).items()},
                "provenance": provenance_entries({key: found.facts[key] for key in _HOW if key in found.facts}),
            }
        ],
    }


def _intro(reference: str) -> str:
    return (
        f"Mean ± standard deviation over seeds. Below it: the difference from {reference}, its confidence interval over times "
        "and seeds, and whether the difference is significant. Arms are sorted by the first score, best first."
    )


def _about(found: Gathered) -> list[tuple[str, str]]:
    facts = found.facts
    done = sum(map(len, found.runs.values()))
    asked = len(facts["arms"]) * len(facts["seeds"])
    data = facts["arms"][found.reference]["config"]["data"]
    return [
        ("Arms", f"{len(facts['arms'])}; the others are compared with {found.reference}"),
        ("Seeds", ", ".join(map(str, facts["seeds"]))),
        ("Budget", _budget(facts["budget"])),
        ("Runs", f"{done} of {asked} finished"),
        (
            "Data",
            f"{Path(str(data.get('source', ''))).name}, {data.get('factor')} fine cells per coarse cell along each axis",
        ),
    ]


def _budget(budget: Mapping[str, float]) -> str:
    return ", ".join(f"{value:,g} {name}" for name, value in budget.items())


def _verdict(results: pd.DataFrame, reference: str) -> str:
    """Which arms are better or worse than the reference by RMSE, variable by variable."""
    arms = results[(results["score"] == DISTORTION) & ~results["arm"].isin([reference, *BASELINES])]
    said = []
    for variable, rows in arms.groupby("variable", sort=False):
        verdicts = {kind: list(rows.loc[rows["verdict"] == kind, "arm"]) for kind in (BETTER, WORSE, TIED)}
        words = {BETTER: "better than", WORSE: "worse than", TIED: "not significantly different from"}
        parts = [
            f"{listed(names, ' and ')} {'is' if len(names) == 1 else 'are'} {words[kind]} {reference}"
            for kind, names in verdicts.items()
            if names
        ]
        open_ = list(rows.loc[rows["verdict"] == "", "arm"])
        parts += [f"no interval for {listed(open_, ' and ')}"] if open_ else []
        said.append(f"{variable_title(str(variable))}: {'; '.join(parts)}.")
    others = set(results["arm"]) - {reference, *BASELINES}
    alone = "No other arm was scored by RMSE." if others else f"{reference} is the only arm."
    return " ".join(said) or alone


def _tables(results: pd.DataFrame, found: Gathered) -> list[RankTable]:
    """A table a variable that has more than one of the ranked scores."""
    out = []
    texts = {name: str(arm["text"]) for name, arm in found.facts["arms"].items()}
    for variable, rows in results[results["score"].isin(RANKED)].groupby("variable", sort=False):
        there = set(rows["score"])
        scores = [score for score in RANKED if score in there]
        if len(scores) < 2:
            continue
        units = dict(zip(rows["score"], rows["units"], strict=True))
        table = RankTable(variable_title(str(variable)), columns_for(scores, units), head="arm")
        largest = {score: float(rows.loc[rows["score"] == score, "mean"].abs().max()) for score in scores}
        for arm, of_arm in rows.groupby("arm", sort=False):
            by_score = {str(row["score"]): row for row in of_arm.to_dict("records")}
            cells = [_cell(score, by_score.get(score), largest[score]) for score in scores]
            note = texts.get(str(arm), "interpolation")
            table.rows.append(RankRow(str(arm), note, cells, reference=arm == found.reference))
        out.append(table.sort())
    return out


def _cell(score: str, row: Mapping[Any, Any] | None, largest: float) -> RankCell:
    if row is None:
        return RankCell("n/a", math.nan)
    verdict = str(row["verdict"])
    gap = Entry(row["difference"], row["lower"], row["upper"], "")
    size = max((abs(value) for value in gap[:3] if math.isfinite(value)), default=0.0)
    value = float(row["mean"])
    text = format_number(value, largest)
    finest = 99 if "e" in text else len(text.partition(".")[2]) + 1  # decimals
    interval = ""
    if not math.isnan(gap.value):
        decimals = min(num_decimals(size, 3), finest)
        ends = format_interval(gap.lower, gap.upper, decimals=decimals)
        interval = f"{format_number(gap.value, decimals=decimals, signed=True)} {ends}".rstrip()
    mark = verdict or (NO_INTERVAL if interval else "")
    return RankCell(text, distance(score, value), format_spread(row["spread"]), interval, mark, KINDS.get(verdict, ""))


def _notes(results: pd.DataFrame) -> list[str]:
    """Why scores of the tables have no interval, each reason once."""
    missing = results[results["score"].isin(RANKED) & results["difference"].notna() & results["lower"].isna()]
    counts = missing[missing["note"] != ""]["note"].value_counts()
    return [f"No interval for {count} of these differences: {note}." for note, count in counts.items()]


def _study(found: Gathered) -> dict[str, Any]:
    arms = [
        {
            "name": name,
            "text": arm["text"],
            "confounded": arm["confounded"],
            "differences": [
                (one["key"], _plain(one["reference"]), _plain(one["value"]), one["stated"])
                for one in arm["differences"]
            ],
        }
        for name, arm in found.facts["arms"].items()
    ]
    failed = found.tables["failures"]
    return {
        "reference": found.reference,
        "budget": _budget(found.facts["budget"]),
        "seeds": ", ".join(map(str, found.facts["seeds"])),
        "arms": arms,
        "not_significant": list(_not_significant(found.results)),
        "single_seeds": _single_seeds(found.tables.get("single_seeds")),
        "failures": list(failed.itertuples(index=False, name=None)),
        **_costs(found.tables["costs"]),
    }


def _plain(value: Any) -> str:
    return "–" if value is None else str(value)


def _not_significant(results: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Variable, score, and the arms without a significant difference from the reference in it."""
    tied = results[(results["verdict"] == TIED) & results["score"].isin(RANKED) & ~results["arm"].isin(BASELINES)]
    for (variable, score), rows in tied.groupby(["variable", "score"], sort=False):
        yield str(variable), title_of(str(score)), listed(list(rows["arm"]), " and ")


def _single_seeds(single: pd.DataFrame | None) -> dict[str, Any] | None:
    """Conclusions from single seeds, and those that all seeds together do not confirm; None with fewer than two seeds."""
    if single is None or single["seed"].nunique() < FEWEST_SEEDS:
        return None
    single = single[single["score"].isin(RANKED)]
    rows = []
    for (arm, variable, score), of_seeds in single.groupby(["arm", "variable", "score"], sort=False):
        if not is_unsupported(of_seeds).any():
            continue
        by_verdict = {text: of_seeds.loc[of_seeds["verdict"] == text, "seed"] for text in (*KINDS, OPEN)}
        said = [f"{text or NO_INTERVAL}: {_seeds(seeds)}" for text, seeds in by_verdict.items() if len(seeds)]
        together = of_seeds["all_seeds"].iloc[0] or NO_INTERVAL
        rows.append((str(arm), variable_title(str(variable)), title_of(str(score)), "; ".join(said), together))
    return {
        "comparisons": len(single),
        "claims": int(is_claim(single).sum()),
        "unsupported": int(is_unsupported(single).sum()),
        "rows": rows,
    }


def _seeds(seeds: Iterable[int]) -> str:
    names = [str(seed) for seed in seeds]
    return f"seed{'' if len(names) == 1 else 's'} {listed(names, ' and ')}"


def _costs(costs: pd.DataFrame) -> dict[str, Any]:
    """Means over seeds, and their columns' titles."""
    names = [name for name in costs.columns if name not in ("arm", "seed") and costs[name].notna().any()]
    means = costs.groupby("arm", sort=False)[names].mean()
    titles = [name.replace("_mib", " (MiB)").replace("_", " ") for name in names]
    rows = [
        (str(arm), [_count(value) for value in row]) for arm, row in zip(means.index, means.to_numpy(), strict=True)
    ]
    return {"cost_columns": titles, "costs": rows}


def _count(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:,.0f}"


def _group(found: Gathered) -> SystemGroup:
    """All arms that can be shown in the same figures."""
    samples = found.samples()
    there = [] if samples is None else [str(name) for name in samples["system"].values]
    histories = {arm: list(tables.values()) for arm, tables in found.histories().items() if tables}
    return SystemGroup(
        "study",
        "",
        samples,
        found.spectra(),
        histories,
        _points(found.results),
        _pair(found, there) if there else ("", ""),
        _whose(found, there) if there else "",
    )


def _whose(found: Gathered, there: Sequence[str]) -> str:
    """A sentence on the fields of the maps."""
    arm = next(arm for arm in (found.reference, *found.runs) if arm in there)
    return f"Fields are those of each arm's first finished seed; coarse input and interpolation are those of {arm}."


def _pair(found: Gathered, there: Sequence[str]) -> tuple[str, str]:
    """The reference, and the other arm of lowest RMSE, among the systems that the maps hold."""
    rows = found.results[found.results["score"] == DISTORTION].dropna(subset=["mean"])
    rows = rows[rows["arm"].isin(there)]
    first = rows[rows["variable"] == rows["variable"].iloc[0]] if len(rows) else rows
    ranked = [str(arm) for arm in first.sort_values("mean", kind="stable")["arm"]]
    arms = sorted([*ranked, *(one for one in there if one not in (TRUTH, *ranked))], key=lambda one: one in BASELINES)
    left = found.reference if found.reference in there else arms[0]
    return left, next((arm for arm in arms if arm != left), left)


def _points(results: pd.DataFrame) -> dict[tuple[str, str], Sequence[Point]]:
    """Each arm's distortion and realism, with its seeds'."""
    out: dict[tuple[str, str], Sequence[Point]] = {}
    seeds = [name for name in results.columns if name.startswith("seed_")]
    for variable, rows in results.groupby("variable", sort=False):
        x, y = (
            {str(row["arm"]): row for row in rows[rows["score"] == score].to_dict("records")}
            for score in (DISTORTION, REALISM)
        )
        arms = [arm for arm in x if arm in y and math.isfinite(x[arm]["mean"]) and math.isfinite(y[arm]["mean"])]
        if not arms:
            continue
        points = []
        for arm in arms:
            pairs = [(float(x[arm][seed]), float(y[arm][seed])) for seed in seeds]
            known = tuple(pair for pair in pairs if not any(map(math.isnan, pair)))
            points.append(Point(arm, float(x[arm]["mean"]), float(y[arm]["mean"]), known))
        out[str(variable), str(x[arms[0]]["units"])] = points
    return out
