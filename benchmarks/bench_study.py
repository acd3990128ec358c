"""What a second worker brings: a study of eight runs by one worker and by two, with the same threads for each run.

    python benchmarks/bench_study.py [--updates 400] [--out FOLDER]

Prints both times and their ratio, and fails where the values differ. The machine should do nothing else.
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
    """Four arms and two seeds on built-in weather."""
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
    """Seconds of the whole study and its results."""
    start = time.perf_counter()
    results = subgrid.study(
        make_study(folder, updates), out=folder / f"workers{workers}", workers=workers, threads=1, show=True
    )
    return time.perf_counter() - start, results


def main() -> None:
    """Run both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        (one, values_of_one), (two, values_of_two) = (run(folder, given.updates, workers) for workers in (1, 2))
    pd.testing.assert_frame_equal(values_of_one, values_of_two, check_exact=True)
    count = len(SEEDS) * len(ARMS)
    print(f"{count} runs, one thread each: one worker {one:.0f} s, two workers {two:.0f} s, ratio {two / one:.2f}")
    print("values equal")


if __name__ == "__main__":
    main()
