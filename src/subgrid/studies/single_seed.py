"""Conclusions from single seeds: the comparisons of a study for each seed on its own, with intervals over times only.

A study with one seed may report a difference that is due to the seed. The table shows how often that happens: each verdict
stands next to the verdict of all seeds together.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from subgrid.scores.bootstrap import paired
from subgrid.scores.registry import WORSE
from subgrid.studies.jobs import Job
from subgrid.studies.paired_runs import BETTER, describe_difference, load_arm, open_pairs, score_definitions
from subgrid.studies.plan import Plan
from subgrid.studies.results import fill_texts

COLUMNS = ("arm", "variable", "score", "units", "seed", "difference", "lower", "upper", "verdict", "all_seeds", "note")


def collect_single(plan: Plan, jobs: Sequence[Job], results: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Compare each run with the reference arm's run of the same seed.

    Args:
        plan: the study.
        jobs: all of its runs, finished or failed.
        results: the results of all seeds, from `subgrid.studies.results.collect`.
        level: confidence level of the intervals.

    Returns:
        One row for each arm, variable, score and seed: units, difference from the reference arm, lower, upper (over times
        only, see `subgrid.scores.bootstrap.paired`), verdict (as in the results), all_seeds (the verdict of the results),
        note. Scores that the results do not compare have no row, nor have the baselines, which have no seed.
    """
    arms = [load_arm(arm.name, jobs) for arm in plan.arms]
    reference = next(arm for arm in arms if arm.name == plan.reference)
    definitions = score_definitions(reference)
    together = {(row["arm"], row["variable"], row["score"]): row for row in results.to_dict("records")}
    rows: list[dict[str, Any]] = []
    for arm in arms:
        if arm is reference or not arm.jobs:
            continue
        with open_pairs(arm, reference) as pairs:
            for quantity in arm.scores[0]:
                score = definitions.get(quantity)
                if score is None or pairs.refusal(quantity, score):
                    continue
                whole = together[arm.name, *quantity]
                about = {key: whole[key] for key in ("arm", "variable", "score", "units")} | {
                    "all_seeds": whole["verdict"]
                }
                for seed, ours, theirs in zip(pairs.seeds, *pairs.read(quantity), strict=True):
                    compare = partial(paired, ours, theirs, score.from_means, level=level, breaks=pairs.breaks)
                    rows.append(about | {"seed": seed} | describe_difference(score, compare))
    return fill_texts(pd.DataFrame(rows).reindex(columns=list(COLUMNS)))


def is_claim(table: pd.DataFrame) -> pd.Series[bool]:
    """Mark the rows in which a single seed reports better or worse."""
    return table["verdict"].isin((BETTER, WORSE))


def is_unsupported(table: pd.DataFrame) -> pd.Series[bool]:
    """Mark the rows in which a single seed reports better or worse and all seeds together do not report the same."""
    return is_claim(table) & (table["verdict"] != table["all_seeds"])
