"""The numbers of a study: each arm's mean and spread over seeds, and what it differs in from the reference arm, in pairs.

`results.csv` holds what another run of the study on the same machine gives again, byte for byte; what the clock and the memory
said is in `costs.csv`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from subgrid.scores.score import Score
from subgrid.scores.seeds import paired_over_seeds
from subgrid.studies.jobs import Job, read_facts
from subgrid.studies.paired_runs import (
    Pairs,
    Quantity,
    Scored,
    baselines_of,
    paired_runs,
    scored_arm,
    scores_of,
    verdict,
)
from subgrid.studies.plan import Plan

PARAMETERS = ["generator_parameters", "discriminator_parameters"]
COSTS = (*PARAMETERS, "updates", "seconds_in_updates", "peak_memory_mib")
WORDS = ["variable", "score", "units", "significant", "verdict", "note", "convention"]  # texts of results.csv


def collect(plan: Plan, jobs: Sequence[Job], *, level: float = 0.95) -> pd.DataFrame:
    """All results of a study.

    Args:
        plan: the study.
        jobs: all of its runs, finished or failed.
        level: of the intervals.

    Returns:
        One row an arm, variable and score of all times: mean, spread (standard deviation over seeds, of n - 1), num_seeds,
        seed_N with the value of each seed; difference to the reference arm (mean over the pairs of equal seed, in the score's
        units), lower, upper (over times and seeds, see `subgrid.scores.seeds`), num_pairs, significant (`yes`, `no`, or empty
        where there is no interval), verdict (`better`, `worse`, `no significant difference`, or `differs` where neither side is
        closer to the best value), note, convention. The baselines of the reference arm's runs stand last.
    """
    scored = [scored_arm(arm.name, jobs) for arm in plan.arms]
    reference = next(one for one in scored if one.name == plan.reference)
    kinds = scores_of(reference)
    rows: list[dict[str, Any]] = []
    for one in [*scored, *baselines_of(reference)]:
        failed = [job.seed for job in jobs if job.arm == one.name and not job.done]
        said = f"failed: seed {', '.join(map(str, failed))}" if failed else ""
        if not one.jobs:
            rows.append({"arm": one.name, "num_seeds": 0, "note": said})
            continue
        with paired_runs(one, reference) as pairs:
            for quantity in one.tables[0]:
                names = {"arm": one.name, "variable": quantity[0], "score": quantity[1]}
                found = _difference(pairs, quantity, kinds.get(quantity), level)
                notes = [part for part in (said, found.pop("note", None)) if part]
                rows.append(names | _summary(one, quantity) | found | {"note": "; ".join(notes)})
    seeds = [f"seed_{seed}" for seed in plan.seeds]
    table = pd.DataFrame(rows).reindex(
        columns=[
            "arm", "variable", "score", "units", "mean", "spread", "num_seeds", *seeds, "difference", "lower", "upper",
            "num_pairs", "significant", "verdict", "note", "convention",
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


def _difference(pairs: Pairs, quantity: Quantity, score: Score | None, level: float) -> dict[str, Any]:
    """The columns that compare with the reference arm."""
    if not pairs.seeds and not pairs.refused:
        return {}
    refused = pairs.refusal(quantity, score)
    if refused or score is None:
        return {"num_pairs": len(pairs.seeds), "note": refused}
    ours, theirs = pairs.read(quantity)
    compare = partial(paired_over_seeds, ours, theirs, score.from_means, level=level, breaks=pairs.breaks)
    gap = compare()
    told = gap.significant
    return {
        "difference": gap.value,
        "lower": gap.lower,
        "upper": gap.upper,
        "num_pairs": len(pairs.seeds),
        "significant": "" if told is None else "yes" if told else "no",
        "verdict": verdict(gap, score, partial(compare, best=score.best)),
        "note": gap.reason,
    }
