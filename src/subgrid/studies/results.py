"""The numbers of a study: each arm's mean and spread over seeds, and what it differs in from the reference arm, in pairs.

`results.csv` holds what another run of the study on the same machine gives again, byte for byte; what the clock and the memory
said is in `costs.csv`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from subgrid.areas import whole_area
from subgrid.evaluation import BASELINES, question_of
from subgrid.run import load_run, store_of
from subgrid.studies.jobs import Job, read_facts
from subgrid.studies.plan import Plan
from subgrid.verify.archive import PartsReader
from subgrid.verify.blocks import find_breaks
from subgrid.verify.checks import FloatArray
from subgrid.verify.results import ALL
from subgrid.verify.score import Score
from subgrid.verify.seeds import SeedInterval, paired_over_seeds
from subgrid.verify.tasks import list_tasks

BETTER, WORSE, TIED, DIFFERS, OPEN = "better", "worse", "not told apart", "differs", ""
SAME_TRUTH = ("source", "variables", "factor", "select", "start", "step")
PARAMETERS = ["generator_parameters", "discriminator_parameters"]
COSTS = (*PARAMETERS, "updates", "seconds_in_updates", "peak_memory_mib")
WORDS = ["variable", "score", "units", "told_apart", "verdict", "note", "convention"]  # texts of results.csv
Quantity = tuple[str, str]  # variable, score
Scores = dict[Quantity, dict[str, Any]]


@dataclass(frozen=True)
class Scored:
    """One arm's finished runs, or a baseline.

    Attributes:
        name: of the arm.
        system: its name in the runs' parts.
        jobs: finished ones, in the order of seeds; of a baseline the one run that holds it.
        tables: scores of each run, by (variable, score).
        baseline: whether it has no seed.
    """

    name: str
    system: str
    jobs: tuple[Job, ...]
    tables: tuple[Scores, ...]
    baseline: bool = False


def collect(plan: Plan, jobs: Sequence[Job], *, level: float = 0.95) -> pd.DataFrame:
    """All results of a study.

    Args:
        plan: the study.
        jobs: all of its runs, finished or failed.
        level: of the intervals.

    Returns:
        One row an arm, variable and score of all times: mean, spread (standard deviation over seeds, of n - 1), num_seeds,
        seed_N with the value of each seed; difference to the reference arm (mean over the pairs of equal seed, in the score's
        units), lower, upper (over times and seeds, see `subgrid.verify.seeds`), num_pairs, told_apart (`yes`, `no`, or empty
        where there is no interval), verdict (`better`, `worse`, `not told apart`, or `differs` where neither side is
        closer to the best value), note, convention. The baselines of the reference arm's runs stand last.
    """
    scored = [_scored(name, [job for job in jobs if job.arm == name and job.done]) for name in _names(plan)]
    reference = next(one for one in scored if one.name == plan.reference)
    kinds = _scores_of(reference)
    rows: list[dict[str, Any]] = []
    for one in [*scored, *_baselines(reference)]:
        failed = [job.seed for job in jobs if job.arm == one.name and not job.done]
        said = f"failed: seed {', '.join(map(str, failed))}" if failed else ""
        if not one.jobs:
            rows.append({"arm": one.name, "num_seeds": 0, "note": said})
            continue
        with _paired(one, reference) as pairs:
            for quantity in one.tables[0]:
                names = {"arm": one.name, "variable": quantity[0], "score": quantity[1]}
                found = _difference(pairs, quantity, kinds.get(quantity), level)
                notes = [part for part in (said, found.pop("note", None)) if part]
                rows.append(names | _summary(one, quantity) | found | {"note": "; ".join(notes)})
    seeds = [f"seed_{seed}" for seed in plan.seeds]
    table = pd.DataFrame(rows).reindex(
        columns=[
            "arm", "variable", "score", "units", "mean", "spread", "num_seeds", *seeds, "difference", "lower", "upper",
            "num_pairs", "told_apart", "verdict", "note", "convention",
        ]
    )  # fmt: skip
    table[WORDS] = table[WORDS].astype(object).fillna("")
    return table


def costs(jobs: Sequence[Job]) -> pd.DataFrame:
    """What each finished run took.

    Args:
        jobs: of the study.

    Returns:
        arm, seed, generator_parameters, discriminator_parameters (0 where none was trained; empty in runs of an older subgrid,
        which did not count them), updates, seconds_in_updates, peak_memory_mib.
    """
    rows = []
    for job in jobs:
        if job.done:
            facts = read_facts(job)
            rows.append({"arm": job.arm, "seed": job.seed, PARAMETERS[0]: facts["parameters"]} | facts)
    table = pd.DataFrame(rows).reindex(columns=["arm", "seed", *COSTS])
    table[PARAMETERS] = table[PARAMETERS].astype("Int64")  # whole numbers beside empty cells
    return table


def failures(jobs: Sequence[Job]) -> pd.DataFrame:
    """Arm, seed and error of each run that failed."""
    rows = [(job.arm, job.seed, job.error or "did not run") for job in jobs if not job.done]
    return pd.DataFrame(rows, columns=["arm", "seed", "error"])


def setting_differences(plan: Plan) -> pd.DataFrame:
    """Arm, key, its value in the reference arm and in the arm, and whether the arm states it."""
    rows = [
        (arm.name, d.key, _text(d.reference), _text(d.value), "yes" if d.stated else "no")
        for arm in plan.arms
        for d in arm.differences
    ]
    return pd.DataFrame(rows, columns=["arm", "key", "reference", "value", "stated"])


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _names(plan: Plan) -> Iterator[str]:
    return (arm.name for arm in plan.arms)


def _scored(name: str, jobs: Sequence[Job]) -> Scored:
    system = str(jobs[0].config["system"]) if jobs else ""
    return Scored(name, system, tuple(jobs), tuple(_table(job, system) for job in jobs))


def _table(job: Job, system: str) -> Scores:
    """Scores of all times of one system."""
    full = pd.read_csv(Path(job.out) / "evaluation" / "scores.csv").reindex(
        columns=["system", "variable", "score", "value", "units", "group", "convention"]
    )
    rows = full[(full.system == system) & (full.group.fillna(ALL) == ALL)].to_dict("records")
    return {(str(row["variable"]), str(row["score"])): {str(key): v for key, v in row.items()} for row in rows}


def _baselines(reference: Scored) -> Iterator[Scored]:
    """Interpolation, as the reference arm's first run scored it; the same in all of them."""
    for mode in BASELINES:
        for job in reference.jobs[:1]:
            table = _table(job, mode)
            if table:
                yield Scored(mode, mode, (job,), (table,), baseline=True)


def _summary(one: Scored, quantity: Quantity) -> dict[str, Any]:
    """Mean and spread over seeds."""
    values = np.array([table[quantity]["value"] for table in one.tables], dtype=np.float64)
    first = one.tables[0][quantity]
    by_seed = {} if one.baseline else {f"seed_{job.seed}": v for job, v in zip(one.jobs, values, strict=True)}
    return by_seed | {
        "mean": values.mean(),
        "spread": values.std(ddof=1) if len(values) > 1 else math.nan,
        "num_seeds": 0 if one.baseline else len(values),
        "units": first["units"],
        "convention": first["convention"],
    }


def _scores_of(reference: Scored) -> dict[Quantity, Score]:
    """What finishes the parts that the reference arm's runs kept; empty where they kept none."""
    kept = [job for job in reference.jobs if _parts(job).is_file()]
    if not kept:
        return {}
    run = load_run(kept[0].out)
    store = store_of(run, kept[0].store)
    tasks = list_tasks(question_of(run, store), whole_area(store.hr))
    return {(task.variable, task.score.name): task.score for task in tasks}


def _parts(job: Job) -> Path:
    return Path(job.out) / "evaluation" / "parts.nc"


@dataclass(frozen=True)
class _Pairs:
    """Runs of an arm beside the reference's, with their parts open.

    Attributes:
        num: of pairs; 0 where the arm is the reference itself.
        sides: of the arm and of the reference: each run's parts, and which system's are its.
        shared: what all of them kept.
        breaks: times after a gap.
        conventions: of the arm and of the reference, by quantity.
        refused: why they cannot be paired; empty where they can.
    """

    num: int
    sides: tuple[list[tuple[PartsReader, int]], list[tuple[PartsReader, int]]]
    shared: frozenset[Quantity]
    breaks: Any
    conventions: tuple[dict[Quantity, str], dict[Quantity, str]]
    refused: str

    def read(self, quantity: Quantity) -> tuple[list[FloatArray], list[FloatArray]]:
        """Parts of each run of both sides, (time, part)."""
        ours, theirs = ([reader.read((ALL, *quantity))[i] for reader, i in side] for side in self.sides)
        return ours, theirs


@contextmanager
def _paired(one: Scored, reference: Scored) -> Iterator[_Pairs]:
    """Open the parts of all runs that are set side by side."""
    pairs = _equal_seeds(one, reference)
    refused = "no seed of both was finished"
    if pairs:
        refused = "" if one.name == reference.name else _refusal(one, reference)
    sides: tuple[list[tuple[PartsReader, int]], list[tuple[PartsReader, int]]] = ([], [])
    with ExitStack() as stack:
        for pair in [] if refused or one.name == reference.name else pairs:
            for job, system, side in zip(pair, (one.system, reference.system), sides, strict=True):
                reader = stack.enter_context(PartsReader(_parts(job)))
                side.append((reader, reader.systems.index(system)))
        readers = [reader for side in sides for reader, _ in side]
        clocks = [reader.clock("second") for reader in readers]
        if any(not np.array_equal(clock, clocks[0]) for clock in clocks):
            refused = "not the same test times as the reference"
        kept = [{key[1:] for key in reader.all_keys() if key[0] == ALL} for reader in readers]
        shared = frozenset(set.intersection(*kept)) if kept else frozenset()
        breaks = find_breaks(clocks[0]) if clocks else None
        said = tuple(
            {q: str(row["convention"]) for q, row in (arm.tables or ({},))[0].items()} for arm in (one, reference)
        )
        num = 0 if one.name == reference.name else len(pairs)
        yield _Pairs(num, sides, shared, breaks, (said[0], said[1]), refused)


def _equal_seeds(one: Scored, reference: Scored) -> list[tuple[Job, Job]]:
    """Runs of equal seed; a baseline beside each run of the reference."""
    if one.baseline:
        return [(one.jobs[0], job) for job in reference.jobs]
    theirs = {job.seed: job for job in reference.jobs}
    return [(job, theirs[job.seed]) for job in one.jobs if job.seed in theirs]


def _refusal(one: Scored, reference: Scored) -> str:
    """Why an arm cannot be set against the reference at all; empty where it can."""
    ours, theirs = (arm.jobs[0].config["data"] for arm in (one, reference))
    other = [key for key in SAME_TRUTH if ours.get(key) != theirs.get(key)]
    if other:
        return f"another truth: data.{other[0]} differs"
    kept = all(_parts(job).is_file() for arm in (one, reference) for job in arm.jobs)
    return "" if kept else "fields drawn from noise have no truth of their own to be paired over"


def _difference(pairs: _Pairs, quantity: Quantity, score: Score | None, level: float) -> dict[str, Any]:
    """The columns that compare with the reference arm."""
    if not pairs.num and not pairs.refused:
        return {}
    ours_said, theirs_said = (said.get(quantity) for said in pairs.conventions)
    refused = pairs.refused
    if not refused and (score is None or quantity not in pairs.shared):
        refused = "no parts kept of this score"
    elif not refused and ours_said != theirs_said:
        refused = "another convention than the reference's"
    if refused or score is None:
        return {"num_pairs": pairs.num, "note": refused}
    ours, theirs = pairs.read(quantity)
    gap = paired_over_seeds(ours, theirs, score.finish, level=level, breaks=pairs.breaks)
    told = gap.told_apart
    return {
        "difference": gap.value,
        "lower": gap.lower,
        "upper": gap.upper,
        "num_pairs": pairs.num,
        "told_apart": "" if told is None else "yes" if told else "no",
        "verdict": _verdict(gap, score, ours, theirs, {"level": level, "breaks": pairs.breaks}),
        "note": gap.reason,
    }


def _verdict(
    gap: SeedInterval, score: Score, ours: list[FloatArray], theirs: list[FloatArray], options: Mapping[str, Any]
) -> str:
    """Which of the two is better, where that can be told."""
    if gap.told_apart is None:
        return OPEN
    if not gap.told_apart:
        return TIED
    if score.higher_is_better is not None:
        return BETTER if (gap.value > 0) == score.higher_is_better else WORSE
    if not math.isfinite(score.best):
        return DIFFERS
    nearer = paired_over_seeds(ours, theirs, score.finish, best=score.best, **options)
    if not nearer.told_apart:
        return DIFFERS
    return BETTER if nearer.value < 0 else WORSE
