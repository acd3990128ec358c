"""The numbers of a study: mean and spread of each arm over seeds, and its difference from the reference arm, in pairs.

`results.csv` is the same, byte for byte, when the study is run again on the same machine; measured times and memory are in
`costs.csv`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from subgrid.scores.score import Score
from subgrid.scores.seeds import paired_over_seeds
from subgrid.studies.jobs import Job, read_facts
from subgrid.studies.paired_runs import (
    ArmRuns,
    PairedRuns,
    Quantity,
    describe_difference,
    load_arm,
    load_baselines,
    open_pairs,
    score_definitions,
)
from subgrid.studies.plan import Plan

PARAMETERS = ["generator_parameters", "discriminator_parameters"]
COSTS = (*PARAMETERS, "updates", "seconds_in_updates", "peak_memory_mib")
TEXT_COLUMNS = ("arm", "variable", "score", "units", "significant", "verdict", "all_seeds", "note", "convention")


def fill_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Replace missing values by empty texts in the text columns of `results.csv` or `single_seeds.csv`."""
    names = [name for name in TEXT_COLUMNS if name in table]
    return table.assign(**{name: table[name].astype(object).fillna("") for name in names})


def collect(plan: Plan, jobs: Sequence[Job], *, level: float = 0.95) -> pd.DataFrame:
    """Compute all results of a study.

    Args:
        plan: the study.
        jobs: all of its runs, finished or failed.
        level: confidence level of the intervals.

    Returns:
        One row for each arm, variable and score over all times: mean, spread (standard deviation over seeds, with n - 1),
        num_seeds, seed_N (the value of each seed); difference from the reference arm (mean over the pairs of equal seed, in
        the score's units), lower, upper (over times and seeds, see `subgrid.scores.seeds`), num_pairs, significant (`yes`,
        `no`, or empty without an interval), verdict (see `subgrid.studies.paired_runs.verdict`), note (why there is no
        difference or interval, and which seeds failed), convention. The baselines, from the reference arm's runs, are last.
    """
    arms = [load_arm(arm.name, jobs) for arm in plan.arms]
    reference = next(arm for arm in arms if arm.name == plan.reference)
    definitions = score_definitions(reference)
    rows: list[dict[str, Any]] = []
    for arm in [*arms, *load_baselines(reference)]:
        seeds = ", ".join(str(job.seed) for job in jobs if job.arm == arm.name and not job.done)
        failed = f"failed: seed {seeds}" if seeds else ""
        if not arm.jobs:
            rows.append({"arm": arm.name, "num_seeds": 0, "note": failed})
            continue
        rows += [
            row | {"note": "; ".join(filter(None, (failed, row.get("note"))))}
            for row in _arm_rows(arm, reference, definitions, level)
        ]
    by_seed = [f"seed_{seed}" for seed in plan.seeds]
    table = pd.DataFrame(rows).reindex(
        columns=[
            "arm", "variable", "score", "units", "mean", "spread", "num_seeds", *by_seed, "difference", "lower", "upper",
            "num_pairs", "significant", "verdict", "note", "convention",
        ]
    )  # fmt: skip
    return fill_texts(table)


def costs(jobs: Sequence[Job]) -> pd.DataFrame:
    """List the costs of each finished run.

    Args:
        jobs: all jobs of the study.

    Returns:
        arm, seed, generator_parameters, discriminator_parameters (0 without a discriminator; empty for runs of an older
        version, which did not record them), updates, seconds_in_updates, peak_memory_mib.
    """
    rows = []
    for job in jobs:
        if job.done:
            facts = read_facts(job)
            rows.append({"arm": job.arm, "seed": job.seed, PARAMETERS[0]: facts["parameters"]} | facts)
    table = pd.DataFrame(rows).reindex(columns=["arm", "seed", *COSTS])
    table[PARAMETERS] = table[PARAMETERS].astype("Int64")  # integers with missing values
    return table


def failures(jobs: Sequence[Job]) -> pd.DataFrame:
    """List arm, seed and error of each run that failed."""
    rows = [(job.arm, job.seed, job.error or "did not run") for job in jobs if not job.done]
    return pd.DataFrame(rows, columns=["arm", "seed", "error"])


def setting_differences(plan: Plan) -> pd.DataFrame:
    """List each setting in which an arm differs: both values, and whether the arm states it."""
    rows = [
        (arm.name, one.key, _text(one.reference), _text(one.value), "yes" if one.stated else "no")
        for arm in plan.arms
        for one in arm.differences
    ]
    return pd.DataFrame(rows, columns=["arm", "key", "reference", "value", "stated"])


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _arm_rows(
    arm: ArmRuns, reference: ArmRuns, definitions: Mapping[Quantity, Score], level: float
) -> Iterator[dict[str, Any]]:
    """Yield the row of each score of an arm."""
    with nullcontext() if arm is reference else open_pairs(arm, reference) as pairs:
        for quantity in arm.scores[0]:
            names = {"arm": arm.name, "variable": quantity[0], "score": quantity[1]}
            compared = {} if pairs is None else _difference(pairs, quantity, definitions.get(quantity), level)
            yield names | _summary(arm, quantity) | compared


def _summary(arm: ArmRuns, quantity: Quantity) -> dict[str, Any]:
    """Compute mean and spread over seeds."""
    values = np.array([scores[quantity]["value"] for scores in arm.scores], dtype=np.float64)
    first = arm.scores[0][quantity]
    by_seed = {} if arm.baseline else {f"seed_{job.seed}": v for job, v in zip(arm.jobs, values, strict=True)}
    return by_seed | {
        "mean": values.mean(),
        "spread": values.std(ddof=1) if len(values) > 1 else math.nan,
        "num_seeds": 0 if arm.baseline else len(values),
        "units": first["units"],
        "convention": first["convention"],
    }


def _difference(pairs: PairedRuns, quantity: Quantity, score: Score | None, level: float) -> dict[str, Any]:
    """Compare one score with the reference arm's."""
    refused = pairs.refusal(quantity, score)
    if refused or score is None:
        return {"num_pairs": len(pairs.seeds), "note": refused}
    compare = partial(paired_over_seeds, *pairs.read(quantity), score.from_means, level=level, breaks=pairs.breaks)
    return describe_difference(score, compare) | {"num_pairs": len(pairs.seeds)}
