"""Fabricates what a report is made of beside one run: a study's folder, and a run of a system that draws from noise."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from report_run import CONFIG, PROVENANCE, make_history, make_run, make_samples
from subgrid.scores import power_spectrum
from subgrid.scores.compute import compare_field_sets
from subgrid.scores.registry import FIELD_SET_SCORES
from subgrid.studies.results import COSTS

ARMS: dict[str, float] = {"plain": 1.2, "sharp": 1.6, "blurred": 0.8}
"""Skill by arm: bicubic's error is divided by it."""
VERDICTS = {"sharp": "better", "blurred": "worse", "bilinear": "worse", "bicubic": "no significant difference"}
VARIABLES = ("t2m", "u10")
STATISTICS = {
    "t2m": {"mean": 280.0, "std": 5.0, "min": 250.0, "max": 310.0, "units": "K"},
    "u10": {"mean": 0.5, "std": 4.0, "min": -20.0, "max": 25.0, "units": "m s-1"},
}


def make_study(
    path: Path,
    *,
    arms: Mapping[str, float] = ARMS,
    seeds: Sequence[int] = (0, 1),
    verdicts: Mapping[str, str] = VERDICTS,
    failed: Sequence[tuple[str, int]] = (),
    shape: tuple[int, int] = (24, 32),
    times: int = 2,
    text: str = "What sharpness costs",
) -> Path:
    """Write the folder of a study whose first arm is the reference.

    Args:
        path: the folder to make.
        arms: skill by name.
        seeds: of each arm.
        verdicts: by arm, in all scores.
        failed: arms and seeds that have no run.
        shape: of the fine fields.
        times: of the samples.
        text: the study's own title.
    """
    for arm, skill in arms.items():
        for seed in seeds:
            if (arm, seed) not in failed:
                _make_arm(path / "runs" / f"{arm}-seed{seed}", skill, seed, shape, times)
    reference = next(iter(arms))
    facts = {
        "text": text,
        "reference": reference,
        "seeds": list(seeds),
        "budget": {"updates": 12000},
        "arms": {arm: _described(arm, reference) for arm in arms},
        **{key: PROVENANCE[key] for key in ("command", "started", "versions", "git_revision")},
        "resumed": [],
        "threads": 1,
        "workers": None,
        "platform": "Linux x86_64",
    }
    (path / "study.json").write_text(json.dumps(facts))
    _results(path, facts, verdicts).to_csv(path / "results.csv", index=False)
    rows = [(arm, *one.values()) for arm, about in facts["arms"].items() for one in about["differences"]]
    pd.DataFrame(rows, columns=["arm", "key", "reference", "value", "stated"]).to_csv(
        path / "differences.csv", index=False
    )
    done = [(arm, seed) for seed in seeds for arm in arms if (arm, seed) not in failed]
    about = dict.fromkeys(COSTS, 946189.0) | {"updates": 12000.0, "peak_memory_mib": math.nan}
    costs = [{"arm": arm, "seed": seed} | about | {"seconds_in_updates": 1234.5 + 100 * seed} for arm, seed in done]
    pd.DataFrame(costs, columns=["arm", "seed", *COSTS]).to_csv(path / "costs.csv", index=False)
    errors = [(arm, seed, "RunError: the gradient is no longer finite") for arm, seed in failed]
    pd.DataFrame(errors, columns=["arm", "seed", "error"]).to_csv(path / "failures.csv", index=False)
    return path


def _make_arm(path: Path, skill: float, seed: int, shape: tuple[int, int], times: int) -> None:
    """One run: the truth is the same in all of them, the system's error has something of the seed."""
    samples = make_samples(shape, skill=skill, times=times, longitude=(-20.0, 16.0))
    rng = np.random.default_rng(100 + seed)
    for name in VARIABLES:
        spread = float(samples[name].sel(system="truth").std())
        samples[name][-1] += rng.normal(0, 0.01 * spread, samples[name][-1].shape).astype(np.float32)
    make_run(path, samples=samples)
    (path / "job.json").write_text("{}")
    (path / "statistics.json").write_text(json.dumps(STATISTICS))
    history = make_history()
    history["valid_rmse"] *= 1 + 0.1 * seed
    history.to_csv(path / "history.csv", index=False)


def _described(arm: str, reference: str) -> dict[str, Any]:
    one = {"key": "generator.features", "reference": 64, "value": 32, "stated": True}
    other = {"key": "content.share", "reference": None, "value": 0.5, "stated": False}
    return {
        "text": f"the {arm} one",
        "confounded": arm == "blurred",
        "differences": [] if arm == reference else [one, other],
        "config": CONFIG | {"system": "srgan"},
    }


def _results(path: Path, facts: Mapping[str, Any], verdicts: Mapping[str, str]) -> pd.DataFrame:
    """`results.csv` from the runs' own scores; intervals reach a tenth of the difference to either side."""
    reference, rows = facts["reference"], []
    found = {
        arm: {
            seed: _scores(folder, "srgan")
            for seed in facts["seeds"]
            if (folder := path / "runs" / f"{arm}-seed{seed}").exists()
        }
        for arm in facts["arms"]
    }
    first = next((path / "runs").glob(f"{reference}-seed*"))
    found |= {name: {-1: _scores(first, name)} for name in ("bilinear", "bicubic")}
    for arm, tables in found.items():
        if not tables:
            rows.append({"arm": arm, "num_seeds": 0, "note": "failed"})
            continue
        for key, about in next(iter(tables.values())).items():
            values = np.array([table[key]["value"] for table in tables.values()])
            row = {"arm": arm, "variable": key[0], "score": key[1], "units": about["units"]}
            row |= {"convention": about["convention"], "mean": values.mean(), "num_seeds": len(values)}
            row["spread"] = values.std(ddof=1) if len(values) > 1 else math.nan
            row |= {f"seed_{seed}": value for seed, value in zip(tables, values, strict=True) if seed >= 0}
            if arm != reference:
                gap = values.mean() - np.mean([table[key]["value"] for table in found[reference].values()])
                half = math.nan if list(tables) != [-1] and len(values) < 2 else abs(gap) / 10
                row |= {"difference": gap, "lower": gap - half, "upper": gap + half}
                row["note"] = "one seed" if math.isnan(half) else ""
                row |= {"num_pairs": len(values), "verdict": verdicts.get(arm, "")}
            rows.append(row)
    seeds = [f"seed_{seed}" for seed in facts["seeds"]]
    return pd.DataFrame(rows).reindex(
        columns=[
            "arm", "variable", "score", "units", "mean", "spread", "num_seeds", *seeds, "difference", "lower", "upper",
            "num_pairs", "significant", "verdict", "note", "convention",
        ]
    )  # fmt: skip


def _scores(run: Path, system: str) -> dict[tuple[str, str], dict[str, Any]]:
    table = pd.read_csv(run / "evaluation" / "scores.csv")
    rows = table[(table["system"] == system) & (table["group"] == "all")].to_dict("records")
    return {(row["variable"], row["score"]): row for row in rows}


def make_draws(path: Path, *, cells: int = 16) -> Path:
    """Write the run directory of a system that draws fields of t2m from noise, as `evaluate` leaves it."""
    samples = make_samples((cells, cells), times=6, skill=1.5)["t2m"].sel(system=["truth", "bicubic", "srgan"])
    sets = dict(zip(("truth", "gan", "training fields"), samples.values, strict=True))
    folder = path / "evaluation"
    folder.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(CONFIG))
    (path / "provenance.json").write_text(json.dumps(PROVENANCE))
    make_history().to_csv(path / "history.csv", index=False)
    rows = [
        (
            name,
            "t2m",
            score,
            value,
            FIELD_SET_SCORES[score].units_for("K"),
            "as sets",
        )
        for name in ("gan", "training fields")
        for score, value in compare_field_sets(sets[name], sets["truth"], factor=4).items()
    ]
    columns = ["system", "variable", "score", "value", "units", "convention"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "scores.csv", index=False)
    names, fields = list(sets), np.stack(list(sets.values()))
    attrs = {"units": "K", "long_name": "2 metre temperature"}
    dims = ("system", "realization", "row", "column")
    xr.Dataset({"t2m": (dims, fields, attrs)}, {"system": names}).to_netcdf(folder / "samples.nc")
    wave = power_spectrum(sets["truth"])[0]
    power = np.stack([power_spectrum(one)[1].mean(0) for one in sets.values()])
    xr.Dataset(
        {"t2m": (("system", "wavelength"), power, {"units": "(K)^2"})},
        {"system": names, "wavelength": ("wavelength", 1.0 / wave, {"units": "cells"})},
        attrs={"factor": 4},
    ).to_netcdf(folder / "spectra.nc")
    edges = np.linspace(fields[0].min(), fields[0].max(), 21)
    density = np.stack([np.histogram(one, edges, density=True)[0] for one in sets.values()])
    xr.Dataset(
        {"t2m": (("system", "t2m_bin"), density, {"units": "(K)^-1"})},
        {"system": names, "t2m_bin": ("t2m_bin", (edges[1:] + edges[:-1]) / 2, attrs)},
    ).to_netcdf(folder / "histograms.nc")
    times = ["2018-10-12T06:00:00.000000000", "2018-10-17T06:00:00.000000000"]
    about: dict[str, Any] = {"system": "gan", "weights": "last", "num_times": 6, "period": times, "factor": 4}
    about |= {"units": {"t2m": "K"}, "parameters": 946189, "unpaired": True, "num_fields": 6}
    (folder / "evaluation.json").write_text(json.dumps(about))
    return path
