"""What one seed alone would have said: the same comparisons, by an interval that knows other times and no other seeds.

A study of one seed claims from it what may be the seed's doing. Set beside the verdict over all seeds, this shows how often.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from subgrid.scores.bootstrap import paired
from subgrid.scores.registry import WORSE
from subgrid.studies.jobs import Job
from subgrid.studies.paired_runs import BETTER, paired_runs, scored_arm, scores_of, verdict
from subgrid.studies.plan import Plan

COLUMNS = ("arm", "variable", "score", "units", "seed", "difference", "lower", "upper", "verdict", "all_seeds", "note")
CLAIMS = (BETTER, WORSE)
TEXTS = ["arm", "variable", "score", "units", "verdict", "all_seeds", "note"]


def collect_single(plan: Plan, jobs: Sequence[Job], results: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Compare each run with the reference arm's of its seed, on its own.

    Args:
        plan: the study.
        jobs: all of its runs, finished or failed.
        results: what `subgrid.studies.results.collect` gave for them.
        level: of the intervals.

    Returns:
        One row an arm, variable, score and seed: units, difference to the reference arm, lower, upper (over times alone, see
        `subgrid.scores.bootstrap.paired`), verdict as in the results, all_seeds (the results' own verdict), note. Scores
        without a comparison in the results have no row, nor have interpolations, which have no seed.
    """
    scored = [scored_arm(arm.name, jobs) for arm in plan.arms]
    reference = next(one for one in scored if one.name == plan.reference)
    kinds = scores_of(reference)
    found = {(row["arm"], row["variable"], row["score"]): row for row in results.to_dict("records")}
    rows: list[dict[str, Any]] = []
    for one in scored:
        with paired_runs(one, reference) as pairs:
            for quantity in one.tables[0] if one.jobs and pairs.seeds else ():
                score = kinds.get(quantity)
                if score is None or pairs.refusal(quantity, score):
                    continue
                whole = found[one.name, *quantity]
                names = {"arm": one.name, "variable": quantity[0], "score": quantity[1], "units": whole["units"]}
                for seed, ours, theirs in zip(pairs.seeds, *pairs.read(quantity), strict=True):
                    compare = partial(paired, ours, theirs, score.from_means, level=level, breaks=pairs.breaks)
                    gap = compare()
                    rows.append(
                        names
                        | {"seed": seed, "difference": gap.value, "lower": gap.lower, "upper": gap.upper}
                        | {"verdict": verdict(gap, score, partial(compare, best=score.best))}
                        | {"all_seeds": whole["verdict"], "note": gap.reason}
                    )
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    table[TEXTS] = table[TEXTS].astype(object).fillna("")
    return table


def is_claim(table: pd.DataFrame) -> pd.Series[bool]:
    """Rows in which the seed alone says better or worse."""
    return table["verdict"].isin(CLAIMS)


def is_unsupported(table: pd.DataFrame) -> pd.Series[bool]:
    """Rows in which the seed alone says better or worse, and all seeds together do not say the same."""
    return is_claim(table) & (table["verdict"] != table["all_seeds"])
