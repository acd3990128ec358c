"""Measures the gain of a second worker: a study of eight runs with one worker and with two, one thread for each run.

    python benchmarks/bench_study.py [--updates 400] [--out FOLDER]

Prints both times and their ratio, and fails if the results differ. The machine should be otherwise idle.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

import subgrid

SEEDS = [0, 1]
ARMS: dict[str, dict[str, Any]] = {
    "small": {},
    "wide": {"generator.features": 40},
    "deep": {"generator.blocks": 5},
    "charbonnier": {"content.losses.l1.weight": 0.0, "content.losses.charbonnier.weight": 1.0},
}


def make_study(folder: Path, updates: int) -> dict[str, Any]:
    """Describe a study of four arms and two seeds on simulated weather."""
    source = folder / "weather.nc"
    if not source.is_file():
        subgrid.simulate(num_times=240, num_latitudes=64, num_longitudes=64).to_netcdf(source)
    base = {
        "system": "srgan",
        "data.source": str(source),
        "data.variables": ["t2m"],
        "generator.features": 32,
        "generator.blocks": 4,
        "train.batch": 8,
        "train.patch": 64,
        "train.validate_every": max(updates // 4, 1),
    }
    return {"base": base, "seeds": SEEDS, "budget": {"updates": updates}, "arms": ARMS}


def run(folder: Path, updates: int, workers: int) -> tuple[float, pd.DataFrame]:
    """Run the study; return its duration in seconds and its results."""
    start = time.perf_counter()
    results = subgrid.study(
        make_study(folder, updates), out=folder / f"workers{workers}", workers=workers, threads=1, show=True
    )
    return time.perf_counter() - start, results


def main() -> None:
    """Run the study with one worker and with two, and print both times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        (one, values_of_one), (two, values_of_two) = (run(folder, arguments.updates, workers) for workers in (1, 2))
    pd.testing.assert_frame_equal(values_of_one, values_of_two, check_exact=True)
    count = len(SEEDS) * len(ARMS)
    print(f"{count} runs, one thread each: one worker {one:.0f} s, two workers {two:.0f} s, ratio {two / one:.2f}")
    print("values equal")


if __name__ == "__main__":
    main()
