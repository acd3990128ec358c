"""Fabricates `results.csv` of a study whose arms lie as close as a figure may have to show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

SCORES = {"rmse": "K", "psnr": "dB", "log_spectral_distance": "dB", "bias": "K"}
COLUMNS = ("difference", "lower", "upper", "num_pairs", "significant", "verdict", "note", "convention")


def make_results(
    arms: Sequence[str],
    seeds: Sequence[int] = (0, 1, 2),
    variables: Sequence[str] = ("t2m", "u10"),
    *,
    far: bool = True,
) -> pd.DataFrame:
    """Scores of arms that lie side by side, the first being the reference; baselines `far` from them, or near."""
    rng = np.random.default_rng(11)
    rows: list[dict[str, Any]] = []
    names = {f"seed_{seed}": i for i, seed in enumerate(seeds)}
    for variable in variables:
        for score, units in SCORES.items():
            theirs = np.zeros(0)
            for k, arm in enumerate([*arms, "bilinear", "bicubic"]):
                baseline = arm in ("bilinear", "bicubic")
                shift = (5.0 if far else 0.3) if baseline else 0.06 * ((5 * k) % 7)
                values = 2.0 + shift + 0.04 * rng.standard_normal(len(seeds))
                values = np.full(len(seeds), values[0]) if baseline else values
                theirs = values if k == 0 else theirs
                gaps = values - theirs
                half = 2.0 * gaps.std(ddof=1) / np.sqrt(len(seeds)) if len(seeds) > 1 else np.nan
                row: dict[str, Any] = {"arm": arm, "variable": variable, "score": score, "units": units}
                row |= {"mean": values.mean(), "spread": np.nan, "num_seeds": 0 if baseline else len(seeds)}
                row |= {} if baseline else {name: values[i] for name, i in names.items()}
                if k:
                    row |= {"difference": gaps.mean(), "lower": gaps.mean() - half, "upper": gaps.mean() + half}
                    tied = bool(row["lower"] <= 0 <= row["upper"])
                    row |= {"num_pairs": len(seeds), "significant": "" if np.isnan(half) else "no" if tied else "yes"}
                rows.append(row)
    table = pd.DataFrame(rows).reindex(
        columns=["arm", "variable", "score", "units", "mean", "spread", "num_seeds", *names, *COLUMNS]
    )
    words = ["significant", "verdict", "note", "convention"]
    table[words] = table[words].astype(object).fillna("")
    return table
