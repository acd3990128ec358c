"""Runs of an arm and of the reference arm in pairs, with the statistics that their evaluations kept of every test time."""

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
from subgrid.evaluation.regions import whole_grid
from subgrid.run import load_run, store_of
from subgrid.scores.block_length import find_breaks
from subgrid.scores.bootstrap import Interval
from subgrid.scores.checks import FloatArray, IntArray
from subgrid.scores.plan import list_jobs
from subgrid.scores.registry import ALL, BASELINES, TIED, WORSE
from subgrid.scores.score import Score
from subgrid.scores.score_table import update_names
from subgrid.scores.seeds import SeedInterval
from subgrid.scores.statistics_file import StatisticsReader, find_statistics
from subgrid.studies.jobs import Job

BETTER, DIFFERS, OPEN = "better", "differs", ""  # verdicts besides TIED and WORSE; OPEN: there is no interval
_RANGE = re.compile(r"data range [^;)]*")  # in the convention of a score: the range of the training times
SAME_TRUTH = ("source", "variables", "factor", "select", "start", "step")  # data settings that decide the truth
Quantity = tuple[str, str]  # variable, score
Scores = dict[Quantity, dict[str, Any]]


@dataclass(frozen=True)
class ArmRuns:
    """The finished runs of an arm, or a baseline.

    Attributes:
        name: name of the arm.
        system: its name among the systems of an evaluation.
        jobs: the finished runs in the order of seeds; for a baseline, the one run whose evaluation contains it.
        scores: for each run, the rows of `scores.csv` over all times, by (variable, score).
        baseline: whether it is a baseline, which has no seed.
    """

    name: str
    system: str
    jobs: tuple[Job, ...]
    scores: tuple[Scores, ...]
    baseline: bool = False


def load_arm(name: str, jobs: Sequence[Job]) -> ArmRuns:
    """Read the scores of an arm's finished runs.

    Args:
        name: name of the arm.
        jobs: all jobs of the study.
    """
    finished = [job for job in jobs if job.arm == name and job.done]
    system = str(finished[0].config["system"]) if finished else ""
    return ArmRuns(name, system, tuple(finished), tuple(_read_scores(job, system) for job in finished))


def load_baselines(reference: ArmRuns) -> Iterator[ArmRuns]:
    """Read the scores of the interpolations from the reference arm's first run; they are the same in all its runs."""
    for mode in BASELINES:
        for job in reference.jobs[:1]:
            scores = _read_scores(job, mode)
            if scores:
                yield ArmRuns(mode, mode, (job,), (scores,), baseline=True)


def _read_scores(job: Job, system: str) -> Scores:
    """Read one system's scores over all times."""
    table = update_names(pd.read_csv(Path(job.out) / "evaluation" / "scores.csv")).reindex(
        columns=["system", "variable", "score", "value", "units", "group", "convention"]
    )
    rows = table[(table.system == system) & (table.group.fillna(ALL) == ALL)].to_dict("records")
    return {(str(row["variable"]), str(row["score"])): {str(key): v for key, v in row.items()} for row in rows}


def score_definitions(reference: ArmRuns) -> dict[Quantity, Score]:
    """Find the scores that can be computed from the reference arm's statistics; empty where its runs kept none."""
    kept = [job for job in reference.jobs if _statistics_file(job).is_file()]
    if not kept:
        return {}
    run = load_run(kept[0].out)
    store = store_of(run, kept[0].store)
    jobs = list_jobs(request_of(run, store), whole_grid(store.hr))
    return {(job.variable, job.score.name): job.score for job in jobs}


def _statistics_file(job: Job) -> Path:
    return find_statistics(Path(job.out) / "evaluation")


@dataclass(frozen=True)
class RunStatistics:
    """The open statistics of one run, and the position of the run's system in them."""

    reader: StatisticsReader
    index: int

    def read(self, quantity: Quantity) -> FloatArray:
        """Read the statistics of one score at every test time, (time, num_statistics)."""
        values: FloatArray = self.reader.read((ALL, *quantity))[self.index]
        return values


@dataclass(frozen=True)
class PairedRuns:
    """Runs of an arm and of the reference arm, in pairs.

    Attributes:
        arm: the arm.
        reference: the reference arm.
        seeds: seed of each pair.
        refused: why the runs cannot be compared; empty where they can.
        arm_runs: the arm's side of each pair; empty where the runs cannot be compared.
        reference_runs: the reference arm's side of each pair, likewise.
        shared: the scores of which all these runs kept statistics.
        breaks: indices of the test times that follow a gap.
    """

    arm: ArmRuns
    reference: ArmRuns
    seeds: tuple[int, ...]
    refused: str
    arm_runs: tuple[RunStatistics, ...] = ()
    reference_runs: tuple[RunStatistics, ...] = ()
    shared: frozenset[Quantity] = frozenset()
    breaks: IntArray | None = None

    def refusal(self, quantity: Quantity, score: Score | None) -> str:
        """Say why one score cannot be compared; empty where it can."""
        if self.refused:
            return self.refused
        if score is None or quantity not in self.shared:
            return "no statistics of single times were kept for this score"
        rows = [side.scores[0].get(quantity) for side in (self.arm, self.reference)]
        ours, theirs = (None if row is None else str(row["convention"]) for row in rows)
        if ours == theirs:
            return ""
        same = ours and theirs and _RANGE.sub("", ours) == _RANGE.sub("", theirs)
        return f"another {'data range' if same else 'convention'} than the reference's"

    def read(self, quantity: Quantity) -> tuple[list[FloatArray], list[FloatArray]]:
        """Read the statistics of one score, (time, num_statistics), of the arm's runs and of the reference arm's runs."""
        return [run.read(quantity) for run in self.arm_runs], [run.read(quantity) for run in self.reference_runs]


@contextmanager
def open_pairs(arm: ArmRuns, reference: ArmRuns) -> Iterator[PairedRuns]:
    """Open the statistics of all runs of equal seed, and close them afterwards.

    Args:
        arm: an arm other than the reference arm, or a baseline; at least one finished run.
        reference: the reference arm.
    """
    pairs = _equal_seeds(arm, reference)
    seeds = tuple(job.seed for _, job in pairs)
    refused = _refusal(arm, reference) if pairs else "no seed of both was finished"
    if refused:
        yield PairedRuns(arm, reference, seeds, refused)
        return
    with ExitStack() as stack:

        def open_run(job: Job, system: str) -> RunStatistics:
            reader = stack.enter_context(StatisticsReader(_statistics_file(job)))
            return RunStatistics(reader, reader.systems.index(system))

        arm_runs = tuple(open_run(job, arm.system) for job, _ in pairs)
        reference_runs = tuple(open_run(job, reference.system) for _, job in pairs)
        readers = [run.reader for run in (*arm_runs, *reference_runs)]
        first, *others = (reader.clock("second") for reader in readers)
        if not all(np.array_equal(times, first) for times in others):
            refused = "not the same test times as the reference"
        shared = frozenset.intersection(
            *(
                frozenset((variable, score) for area, variable, score in reader.all_keys() if area == ALL)
                for reader in readers
            )
        )
        yield PairedRuns(arm, reference, seeds, refused, arm_runs, reference_runs, shared, find_breaks(first))


def _equal_seeds(arm: ArmRuns, reference: ArmRuns) -> list[tuple[Job, Job]]:
    """Pair the runs of equal seed; a baseline is paired with each run of the reference arm."""
    if arm.baseline:
        return [(arm.jobs[0], job) for job in reference.jobs]
    by_seed = {job.seed: job for job in reference.jobs}
    return [(job, by_seed[job.seed]) for job in arm.jobs if job.seed in by_seed]


def _refusal(arm: ArmRuns, reference: ArmRuns) -> str:
    """Say why an arm cannot be compared with the reference arm at all; empty where it can."""
    ours, theirs = (side.jobs[0].config["data"] for side in (arm, reference))
    other = [key for key in SAME_TRUTH if ours.get(key) != theirs.get(key)]
    if other:
        return f"another truth: data.{other[0]} differs"
    kept = all(_statistics_file(job).is_file() for side in (arm, reference) for job in side.jobs)
    return "" if kept else "unconditional samples have no paired truth to be compared over"


def describe_difference(score: Score, compare: Callable[..., Interval | SeedInterval]) -> dict[str, Any]:
    """Compare two systems in one score.

    Args:
        score: the score, which says which values are better.
        compare: returns the difference of the scores, the first system minus the second; with ``best=VALUE``, the difference
            of their distances from that value.

    Returns:
        Columns of a table: difference, lower, upper, significant (`yes`, `no`, or empty without an interval), verdict, note.
    """
    found = compare()
    return {
        "difference": found.value,
        "lower": found.lower,
        "upper": found.upper,
        "significant": {None: "", True: "yes", False: "no"}[found.significant],
        "verdict": verdict(found, score, compare),
        "note": found.reason or "",
    }


def verdict(difference: Interval | SeedInterval, score: Score, compare: Callable[..., Interval | SeedInterval]) -> str:
    """Decide which of two systems is better, from the difference of their scores.

    Args:
        difference: what `compare` returned.
        score: as of `describe_difference`.
        compare: as of `describe_difference`; called for a score that can be wrong on both sides of its best value.

    Returns:
        `better` or `worse` for the first system, `no significant difference`, `differs` where the difference is
        significant but neither is closer to the best value, empty without an interval.
    """
    if not difference.significant:
        return OPEN if difference.significant is None else TIED
    if score.higher_is_better is not None:
        return BETTER if (difference.value > 0) == score.higher_is_better else WORSE
    distances = compare(best=score.best) if math.isfinite(score.best) else None
    if distances is None or not distances.significant:
        return DIFFERS
    return BETTER if distances.value < 0 else WORSE
