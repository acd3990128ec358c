"""What a training measures on validation fields: cell by cell where each has a truth to be compared with, else as sets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from subgrid.data.patches import PatchSampler, stack
from subgrid.data.store import Store
from subgrid.errors import RunError
from subgrid.inference.super_resolve import draw_fields, super_resolve
from subgrid.models.interpolation import Interpolation
from subgrid.run import Run
from subgrid.scores import compute_statistics, scores_from_statistics
from subgrid.scores.field_sets import compare_sets
from subgrid.training.dry_run import VALID_SCORES
from subgrid.training.objective import LOWER_RATE

NUM_DRAWN = 64  # fields on either side where sets are compared
VALID_SET_SCORES = ("log_spectral_distance", "wasserstein", "spread_ratio")

IN_WORDS = {"valid": "validation", "train": "training"}

Validator = Callable[[nn.Module], dict[str, float]]


def validator(run: Run, store: Store) -> Validator:
    """A function from a generator to its scores, in standardised units, over all variables.

    Args:
        run: of the system.
        store: its store.

    Returns:
        The function. Its scores are named `valid_...`, of the validation split; with `train.training_fields` there are
        `train_...` too, by the same rules, of the training split: a generator that goes on gaining there alone is overfitting.

    Raises:
        RunError: the function does, where a generator's fields are not finite.
    """
    return _of_pairs(run, store) if run.config.conditional else _of_sets(run, store)


def _of_pairs(run: Run, store: Store) -> Validator:
    """Whole fields, cell by cell; beside them bilinear interpolation's RMSE, and the same scores of training fields."""
    settings, channels = run.config.train, len(run.variables)
    valid = _pairs(run, store, "valid", settings.validation_fields)
    bilinear = Interpolation(channels, channels, factor=store.factor, mode="bilinear")
    reference = {"valid_rmse_bilinear": valid(bilinear)["valid_rmse"]}
    if not settings.training_fields:
        return lambda generator: valid(generator) | reference
    trained = _pairs(run, store, "train", settings.training_fields)

    def both(generator: nn.Module) -> dict[str, float]:
        found = valid(generator) | reference
        used = {p.device.index for p in generator.parameters() if p.device.type == "cuda"}
        with torch.random.fork_rng(used):  # of a generator that draws at random, the next updates draw as without this
            return found | trained(generator)

    return both


def _pairs(run: Run, store: Store, split: str, num: int) -> Validator:
    """Scores of `num` whole fields spread evenly over a split, or of all where it has fewer; in memory."""
    positions = store.positions(split)
    count = min(num, positions.size)
    chosen = positions[np.linspace(0, positions.size - 1, count).round().astype(int)]
    scaling, variables, static = run.scaling, run.variables, run.static_channels()
    lr = scaling.scale(stack(store.lr.isel(valid_time=chosen), variables))
    hr = scaling.scale(stack(store.hr.isel(valid_time=chosen), variables))
    ranges = [(run.statistics[v]["max"] - run.statistics[v]["min"]) / run.statistics[v]["std"] for v in variables]

    def scores(generator: nn.Module) -> dict[str, float]:
        sr = super_resolve(generator, lr, static, periodic=store.periodic)
        _refuse_infinite(sr, IN_WORDS[split])
        found: dict[str, list[float]] = {}
        for i in range(len(variables)):
            parts = compute_statistics(
                sr[:, i], hr[:, i], names=VALID_SCORES, data_range=ranges[i], factor=store.factor
            )
            for name, value in scores_from_statistics(parts).items():
                found.setdefault(name, []).append(value)
        pooled = {name: float(np.mean(values)) for name, values in found.items()}
        pooled["rmse"] = float(np.sqrt(np.mean(np.square(found["rmse"]))))
        return {f"{split}_{name}": value for name, value in pooled.items()}

    return scores


def _of_sets(run: Run, store: Store) -> Validator:
    """Fields drawn from noise against as many true ones; the same of training fields, which shows how near one can come."""
    config, variables = run.config, run.variables
    true, trained = (
        PatchSampler(store, split, patch=config.train.patch, batch=NUM_DRAWN, seed=config.seed).draw(0).hr
        for split in ("valid", "train")
    )

    def scores(fields: np.ndarray) -> dict[str, float]:
        found = [
            compare_sets(fields[:, i], true[:, i], factor=store.factor, names=VALID_SET_SCORES)
            for i in range(len(variables))
        ]
        return {f"valid_{name}": float(np.mean([one[name] for one in found])) for name in VALID_SET_SCORES}

    reference = {f"{name}_train": value for name, value in scores(trained).items()}

    def drawn(generator: nn.Module) -> dict[str, float]:
        fields = draw_fields(generator, NUM_DRAWN, (config.seed, 3))
        _refuse_infinite(fields, IN_WORDS["valid"])
        return scores(fields) | reference

    return drawn


def _refuse_infinite(fields: np.ndarray, split: str) -> None:
    if not np.isfinite(fields).all():
        raise RunError(f"the generator's output on {split} fields is no longer finite. {LOWER_RATE}")
