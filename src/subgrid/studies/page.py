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
from subgrid.studies.load import FinishedStudy, load_finished
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
    """Write the page of a finished study as one HTML file.

    Args:
        folder: folder of the study, as `subgrid study` wrote it.
        out: the HTML file; `FOLDER/report.html` by default.

    Returns:
        The path of the HTML file.

    Raises:
        RunError: the folder is not that of a finished study, none of its runs is finished, or `out` is a directory.
    """
    study = load_finished(folder)
    out = check_out(Path(folder) / "report.html" if out is None else out)
    return write_page(_page(study), [_group(study)], out)


def _page(study: FinishedStudy) -> dict[str, Any]:
    results, reference = study.results, study.reference
    config = study.facts["arms"][reference]["config"]
    return {
        "title": str(study.facts["text"] or f"Study of {len(study.facts['arms'])} arms"),
        "verdict": Verdict(_verdict(results, reference), "none"),
        "subtitle": f"RMSE over all test times, in pairs of equal seed with {reference}; intervals over times and seeds.",
        "about": _about(study),
        "ranking": {"tables": _tables(results, study), "intro": _intro(reference), "notes": _notes(results)},
        "study": _study(study),
        "scores": None,
        "single": True,
        "runs": [
            {
                "label": reference,
                "sections": [],
                "settings": {f"{name} ({reference})": rows for name, rows in setting_groups(config).items()},
                "provenance": provenance_entries({key: study.facts[key] for key in _HOW if key in study.facts}),
            }
        ],
    }


def _intro(reference: str) -> str:
    return (
        f"Mean ± standard deviation over seeds. Below it: the difference from {reference}, its confidence interval over times "
        "and seeds, and whether the difference is significant. Arms are sorted by the first score, best first."
    )


def _about(study: FinishedStudy) -> list[tuple[str, str]]:
    facts = study.facts
    done = sum(map(len, study.runs.values()))
    planned = len(facts["arms"]) * len(facts["seeds"])
    data = facts["arms"][study.reference]["config"]["data"]
    return [
        ("Arms", f"{len(facts['arms'])}; the others are compared with {study.reference}"),
        ("Seeds", ", ".join(map(str, facts["seeds"]))),
        ("Budget", _budget(facts["budget"])),
        ("Runs", f"{done} of {planned} finished"),
        (
            "Data",
            f"{Path(data.get('source', '')).name}, {data.get('factor')} fine cells per coarse cell along each axis",
        ),
    ]


def _budget(budget: Mapping[str, float]) -> str:
    return ", ".join(f"{value:,g} {name}" for name, value in budget.items())


def _verdict(results: pd.DataFrame, reference: str) -> str:
    """Say which arms have a better or worse RMSE than the reference arm, for each variable."""
    arms = results[(results["score"] == DISTORTION) & ~results["arm"].isin([reference, *BASELINES])]
    sentences = []
    for variable, rows in arms.groupby("variable", sort=False):
        verdicts = {kind: list(rows.loc[rows["verdict"] == kind, "arm"]) for kind in (BETTER, WORSE, TIED)}
        words = {BETTER: "better than", WORSE: "worse than", TIED: "not significantly different from"}
        parts = [
            f"{listed(names, ' and ')} {'is' if len(names) == 1 else 'are'} {words[kind]} {reference}"
            for kind, names in verdicts.items()
            if names
        ]
        without = list(rows.loc[rows["verdict"] == OPEN, "arm"])
        parts += [f"no interval for {listed(without, ' and ')}"] if without else []
        sentences.append(f"{variable_title(str(variable))}: {'; '.join(parts)}.")
    others = set(results["arm"]) - {reference, *BASELINES}
    nothing = "No other arm was scored by RMSE." if others else f"{reference} is the only arm."
    return " ".join(sentences) or nothing


def _tables(results: pd.DataFrame, study: FinishedStudy) -> list[RankTable]:
    """Make one table for each variable that has more than one of the ranked scores."""
    out = []
    texts = {name: str(arm["text"]) for name, arm in study.facts["arms"].items()}
    for variable, rows in results[results["score"].isin(RANKED)].groupby("variable", sort=False):
        scores = [score for score in RANKED if score in set(rows["score"])]
        if len(scores) < 2:
            continue
        units = dict(zip(rows["score"], rows["units"], strict=True))
        table = RankTable(variable_title(str(variable)), columns_for(scores, units), head="arm")
        largest = {score: float(rows.loc[rows["score"] == score, "mean"].abs().max()) for score in scores}
        for arm, of_arm in rows.groupby("arm", sort=False):
            by_score = {str(row["score"]): row for row in of_arm.to_dict("records")}
            cells = [_cell(score, by_score.get(score), largest[score]) for score in scores]
            note = texts.get(str(arm), "interpolation")
            table.rows.append(RankRow(str(arm), note, cells, reference=arm == study.reference))
        out.append(table.sort())
    return out


def _cell(score: str, row: Mapping[Any, Any] | None, largest: float) -> RankCell:
    if row is None:
        return RankCell("n/a", math.nan)
    verdict = str(row["verdict"])
    difference = Entry(row["difference"], row["lower"], row["upper"], "")
    size = max((abs(value) for value in difference[:3] if math.isfinite(value)), default=0.0)
    value = float(row["mean"])
    text = format_number(value, largest)
    finest = 99 if "e" in text else len(text.partition(".")[2]) + 1  # decimals: one more than the score
    interval = ""
    if not math.isnan(difference.value):
        decimals = min(num_decimals(size, 3), finest)
        ends = format_interval(difference.lower, difference.upper, decimals=decimals)
        interval = f"{format_number(difference.value, decimals=decimals, signed=True)} {ends}".rstrip()
    mark = verdict or (NO_INTERVAL if interval else "")
    return RankCell(text, distance(score, value), format_spread(row["spread"]), interval, mark, KINDS.get(verdict, ""))


def _notes(results: pd.DataFrame) -> list[str]:
    """Say why scores of the tables have no interval, each reason once."""
    missing = results[results["score"].isin(RANKED) & results["difference"].notna() & results["lower"].isna()]
    counts = missing[missing["note"] != ""]["note"].value_counts()
    return [f"No interval for {count} of these differences: {note}." for note, count in counts.items()]


def _study(study: FinishedStudy) -> dict[str, Any]:
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
        for name, arm in study.facts["arms"].items()
    ]
    failed = study.tables["failures"]
    return {
        "reference": study.reference,
        "budget": _budget(study.facts["budget"]),
        "seeds": ", ".join(map(str, study.facts["seeds"])),
        "arms": arms,
        "not_significant": list(_not_significant(study.results)),
        "single_seeds": _single_seeds(study.tables.get("single_seeds")),
        "failures": list(failed.itertuples(index=False, name=None)),
        **_costs(study.tables["costs"]),
    }


def _plain(value: Any) -> str:
    return "–" if value is None else str(value)


def _not_significant(results: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Yield variable, score, and the arms without a significant difference from the reference arm."""
    tied = results[(results["verdict"] == TIED) & results["score"].isin(RANKED) & ~results["arm"].isin(BASELINES)]
    for (variable, score), rows in tied.groupby(["variable", "score"], sort=False):
        yield str(variable), title_of(str(score)), listed(list(rows["arm"]), " and ")


def _single_seeds(single: pd.DataFrame | None) -> dict[str, Any] | None:
    """Compare the conclusions from single seeds with those from all seeds; None with fewer than two seeds."""
    if single is None or single["seed"].nunique() < FEWEST_SEEDS:
        return None
    single = single[single["score"].isin(RANKED)]
    rows = []
    for (arm, variable, score), of_seeds in single.groupby(["arm", "variable", "score"], sort=False):
        if not is_unsupported(of_seeds).any():
            continue
        by_verdict = {text: of_seeds.loc[of_seeds["verdict"] == text, "seed"] for text in (*KINDS, OPEN)}
        verdicts = [f"{text or NO_INTERVAL}: {_seeds(seeds)}" for text, seeds in by_verdict.items() if len(seeds)]
        together = of_seeds["all_seeds"].iloc[0] or NO_INTERVAL
        rows.append((str(arm), variable_title(str(variable)), title_of(str(score)), "; ".join(verdicts), together))
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
    """Average the costs over seeds, with the titles of the columns."""
    names = [name for name in costs.columns if name not in ("arm", "seed") and costs[name].notna().any()]
    means = costs.groupby("arm", sort=False)[names].mean()
    titles = [name.replace("_mib", " (MiB)").replace("_", " ") for name in names]
    rows = [
        (str(arm), [_count(value) for value in row]) for arm, row in zip(means.index, means.to_numpy(), strict=True)
    ]
    return {"cost_columns": titles, "costs": rows}


def _count(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:,.0f}"


def _group(study: FinishedStudy) -> SystemGroup:
    """Group all arms that can be shown in the same figures."""
    samples = study.samples()
    names = [] if samples is None else [str(name) for name in samples["system"].values]
    histories = {arm: list(tables.values()) for arm, tables in study.histories().items() if tables}
    return SystemGroup(
        "study",
        "",
        samples,
        study.spectra(),
        histories,
        _points(study.results),
        _initial_pair(study, names) if names else ("", ""),
        _about_fields(study, names) if names else "",
    )


def _about_fields(study: FinishedStudy, names: Sequence[str]) -> str:
    """Say which runs the fields of the maps come from."""
    arm = next(arm for arm in (study.reference, *study.runs) if arm in names)
    return f"Fields are those of each arm's first finished seed; coarse input and interpolation are those of {arm}."


def _initial_pair(study: FinishedStudy, names: Sequence[str]) -> tuple[str, str]:
    """Choose the systems that the maps show first: the reference arm, and the other arm of lowest RMSE."""
    rows = study.results[study.results["score"] == DISTORTION].dropna(subset=["mean"])
    rows = rows[rows["arm"].isin(names)]
    first = rows[rows["variable"] == rows["variable"].iloc[0]] if len(rows) else rows
    ranked = [str(arm) for arm in first.sort_values("mean", kind="stable")["arm"]]
    arms = sorted(
        [*ranked, *(name for name in names if name not in (TRUTH, *ranked))], key=lambda arm: arm in BASELINES
    )
    left = study.reference if study.reference in names else arms[0]
    return left, next((arm for arm in arms if arm != left), left)


def _points(results: pd.DataFrame) -> dict[tuple[str, str], Sequence[Point]]:
    """Collect distortion and realism of each arm, as means and for each seed."""
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
