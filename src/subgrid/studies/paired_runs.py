"""Runs of an arm beside the reference arm's, with what their evaluations kept of every test time."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from subgrid.evaluation.evaluate import request_of
from subgrid.evaluation.regions import whole_area
from subgrid.run import load_run, store_of
from subgrid.scores.block_length import find_breaks
from subgrid.scores.bootstrap import Interval
from subgrid.scores.checks import FloatArray
from subgrid.scores.plan import list_jobs
from subgrid.scores.registry import ALL, BASELINES, TIED, WORSE
from subgrid.scores.score import Score
from subgrid.scores.seeds import SeedInterval
from subgrid.scores.statistics_file import StatisticsReader
from subgrid.studies.jobs import Job

BETTER, DIFFERS, OPEN = "better", "differs", ""
_RANGE = re.compile(r"data range [^;)]*")  # as conventions say it; that of the training times
SAME_TRUTH = ("source", "variables", "factor", "select", "start", "step")
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


def scored_arm(name: str, jobs: Sequence[Job]) -> Scored:
    """Read the scores of an arm's finished runs, of all times.

    Args:
        name: of the arm.
        jobs: all of the study's.
    """
    jobs = [job for job in jobs if job.arm == name and job.done]
    system = str(jobs[0].config["system"]) if jobs else ""
    return Scored(name, system, tuple(jobs), tuple(_table(job, system) for job in jobs))


def _table(job: Job, system: str) -> Scores:
    """Scores of all times of one system."""
    full = pd.read_csv(Path(job.out) / "evaluation" / "scores.csv").reindex(
        columns=["system", "variable", "score", "value", "units", "group", "convention"]
    )
    rows = full[(full.system == system) & (full.group.fillna(ALL) == ALL)].to_dict("records")
    return {(str(row["variable"]), str(row["score"])): {str(key): v for key, v in row.items()} for row in rows}


def baselines_of(reference: Scored) -> Iterator[Scored]:
    """Interpolation, as the reference arm's first run scored it; the same in all of them."""
    for mode in BASELINES:
        for job in reference.jobs[:1]:
            table = _table(job, mode)
            if table:
                yield Scored(mode, mode, (job,), (table,), baseline=True)


def scores_of(reference: Scored) -> dict[Quantity, Score]:
    """What finishes the parts that the reference arm's runs kept; empty where they kept none."""
    kept = [job for job in reference.jobs if _parts(job).is_file()]
    if not kept:
        return {}
    run = load_run(kept[0].out)
    store = store_of(run, kept[0].store)
    tasks = list_jobs(request_of(run, store), whole_area(store.hr))
    return {(task.variable, task.score.name): task.score for task in tasks}


def _parts(job: Job) -> Path:
    return Path(job.out) / "evaluation" / "parts.nc"


@dataclass(frozen=True)
class Pairs:
    """Runs of an arm beside the reference's, with their parts open.

    Attributes:
        seeds: of the pairs; none where the arm is the reference itself.
        sides: of the arm and of the reference: each run's parts, and which system's are its.
        shared: what all of them kept.
        breaks: times after a gap.
        conventions: of the arm and of the reference, by quantity.
        refused: why they cannot be paired; empty where they can.
    """

    seeds: tuple[int, ...]
    sides: tuple[list[tuple[StatisticsReader, int]], list[tuple[StatisticsReader, int]]]
    shared: frozenset[Quantity]
    breaks: Any
    conventions: tuple[dict[Quantity, str], dict[Quantity, str]]
    refused: str

    def refusal(self, quantity: Quantity, score: Score | None) -> str:
        """Why this score of theirs cannot be compared; empty where it can."""
        ours, theirs = (said.get(quantity) for said in self.conventions)
        if self.refused:
            return self.refused
        if score is None or quantity not in self.shared:
            return "no parts kept of this score"
        if ours == theirs:
            return ""
        same = None not in (ours, theirs) and _RANGE.sub("", str(ours)) == _RANGE.sub("", str(theirs))
        return f"another {'data range' if same else 'convention'} than the reference's"

    def read(self, quantity: Quantity) -> tuple[list[FloatArray], list[FloatArray]]:
        """Parts of each run of both sides, (time, part)."""
        ours, theirs = ([reader.read((ALL, *quantity))[i] for reader, i in side] for side in self.sides)
        return ours, theirs


@contextmanager
def paired_runs(one: Scored, reference: Scored) -> Iterator[Pairs]:
    """Open the parts of all runs that are set side by side."""
    pairs = _equal_seeds(one, reference)
    refused = "no seed of both was finished"
    if pairs:
        refused = "" if one.name == reference.name else _refusal(one, reference)
    sides: tuple[list[tuple[StatisticsReader, int]], list[tuple[StatisticsReader, int]]] = ([], [])
    with ExitStack() as stack:
        for pair in [] if refused or one.name == reference.name else pairs:
            for job, system, side in zip(pair, (one.system, reference.system), sides, strict=True):
                reader = stack.enter_context(StatisticsReader(_parts(job)))
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
        seeds = () if one.name == reference.name else tuple(theirs.seed for _, theirs in pairs)
        yield Pairs(seeds, sides, shared, breaks, (said[0], said[1]), refused)


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


def verdict(gap: Interval | SeedInterval, score: Score, off: Callable[[], Interval | SeedInterval]) -> str:
    """Say which of two is better, where that can be told.

    Args:
        gap: the difference of their scores.
        score: whose meaning decides.
        off: gives the difference of their distances from the best value, for a score that can be wrong on both sides.

    Returns:
        `better` or `worse` of the first one, `no significant difference`, `differs` where neither is nearer, empty
        without an interval.
    """
    if gap.significant is None:
        return OPEN
    if not gap.significant:
        return TIED
    if score.higher_is_better is not None:
        return BETTER if (gap.value > 0) == score.higher_is_better else WORSE
    if not math.isfinite(score.best):
        return DIFFERS
    nearer = off()
    if not nearer.significant:
        return DIFFERS
    return BETTER if nearer.value < 0 else WORSE
