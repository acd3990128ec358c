"""Fabricates the folder of a finished study that obeys the layout written by `subgrid study`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from report_run import make_history, make_run, make_samples

SCORES = {"rmse": "K", "psnr": "dB", "log_spectral_distance": "dB", "bias": "K"}
COLUMNS = ("difference", "lower", "upper", "num_pairs", "told_apart", "verdict", "note", "convention")


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
                    row |= {"num_pairs": len(seeds), "told_apart": "" if np.isnan(half) else "no" if tied else "yes"}
                rows.append(row)
    table = pd.DataFrame(rows).reindex(
        columns=["arm", "variable", "score", "units", "mean", "spread", "num_seeds", *names, *COLUMNS]
    )
    words = ["told_apart", "verdict", "note", "convention"]
    table[words] = table[words].astype(object).fillna("")
    return table


def make_study(
    folder: Path, arms: Sequence[str], seeds: Sequence[int] = (0, 1), *, shape: tuple[int, int] = (24, 32)
) -> Path:
    """A study's folder with a run an arm and seed; all runs have the same truth."""
    samples = make_samples(shape)
    for k, arm in enumerate(arms):
        for seed in seeds:
            path = folder / "runs" / f"{arm}-seed{seed}"
            make_run(path, samples=_nearer(samples, 1.2 + 0.2 * k + 0.05 * seed))
            history = make_history(3000, 100)
            history["valid_psnr"] += 0.3 * k + 0.2 * seed
            history.to_csv(path / "history.csv", index=False)
            (path / "job.json").write_text("{}")
            (path / "statistics.json").write_text(json.dumps(STATISTICS))
    (folder / "study.json").write_text(
        json.dumps({"reference": arms[0], "seeds": list(seeds), "arms": {arm: {} for arm in arms}})
    )
    make_results(arms, seeds).to_csv(folder / "results.csv", index=False)
    for name in ("differences", "costs", "failures"):
        pd.DataFrame(columns=["arm"]).to_csv(folder / f"{name}.csv", index=False)
    return folder


STATISTICS = {
    "t2m": {"mean": 280.0, "std": 5.0, "min": 250.0, "max": 310.0, "units": "K"},
    "u10": {"mean": 0.5, "std": 4.0, "min": -20.0, "max": 25.0, "units": "m s-1"},
}


def _nearer(samples: xr.Dataset, skill: float) -> xr.Dataset:
    """The same truth, with another error of the trained system."""
    out = samples.copy(deep=True)
    for name in ("t2m", "u10"):
        truth, cubic = (samples[name].sel(system=system) for system in ("truth", "bicubic"))
        out[name].loc[{"system": "srgan"}] = truth + (cubic - truth) / skill
    return out
