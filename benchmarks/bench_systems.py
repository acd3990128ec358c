"""What an update of each system costs: seconds of the content and of the adversarial stage, and of a whole training.

    python benchmarks/bench_systems.py --updates 600 --batch 8 --channels 2 --rows 64 --columns 64

Updates run on random fields; each figure is the median of a few, the first left out. Run it on a quiet machine.
Weights made elsewhere are not read: they cost no time in an update.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch

from subgrid.config.files import recipe_names
from subgrid.config.schema import load_config
from subgrid.data.patches import Batch
from subgrid.training.checkpoint import new_training_state
from subgrid.training.device import open_fabric
from subgrid.training.objective import build_objective
from subgrid.training.step import update


class Timed:
    """A system ready to be updated."""

    def __init__(self, system: str, args: argparse.Namespace) -> None:
        names = [f"v{i}" for i in range(args.channels)]
        self.config = load_config({"system": system, "data.variables": names, "train.batch": args.batch})
        self.fabric = open_fabric(self.config)
        torch.manual_seed(0)
        shape = (args.rows, args.columns)
        self.state = new_training_state(self.config, 0, shape, self.fabric.device, pretrained=False)
        sizes = ((args.channels, 4), (args.channels, 1), (0, 1))
        fields = [
            torch.randn(args.batch, c, args.rows // f, args.columns // f, device=self.fabric.device) for c, f in sizes
        ]
        self.batch: Any = Batch(*fields)  # type: ignore[arg-type]
        self.seconds: dict[str, list[float]] = {}
        share = self.config.content.share
        self.stages = ([("content", share)] if share else []) + ([("main", 1 - share)] if share < 1 else [])

    def update(self, stage: str) -> None:
        """One update of a stage, timed."""
        objective = build_objective(self.config, stage, self.fabric.device)
        self.state.stage = stage
        began = time.perf_counter()
        update(self.fabric, self.state, objective, self.batch, self.config)
        self.seconds.setdefault(stage, []).append(time.perf_counter() - began)


def main() -> None:
    """Time all systems and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (
        ("updates", 600),
        ("batch", 8),
        ("channels", 2),
        ("rows", 64),
        ("columns", 64),
        ("rounds", 5),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    systems = [
        name for name in recipe_names() if load_config({"system": name, "data.variables": ["a"]}).family != "baseline"
    ]
    print(
        f"{torch.get_num_threads()} thread(s), batches of {args.batch} x {args.channels} x {args.rows} x {args.columns}"
    )
    print(f"| system | content s | adversarial s | {args.updates} updates s |")
    print("| --- | --- | --- | --- |")
    for system in systems:  # one at a time: sixteen networks with their optimisers need several GiB
        timed = Timed(system, args)
        for stage, _ in timed.stages:
            for _ in range(args.rounds + 1):
                timed.update(stage)
        median = {stage: float(np.median(times[1:])) for stage, times in timed.seconds.items()}
        whole = sum(args.updates * share * median[stage] for stage, share in timed.stages)
        cells = [f"{median[stage]:.3f}" if stage in median else "" for stage in ("content", "main")]
        print(f"| {system} | {cells[0]} | {cells[1]} | {whole:.0f} |", flush=True)


if __name__ == "__main__":
    main()
