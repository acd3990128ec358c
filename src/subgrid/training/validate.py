"""Validation during training: whole fields compared cell by cell with the truth, or sets of fields drawn from noise."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import nn

from subgrid.data.patches import PatchSampler, stack
from subgrid.data.scaling import Field
from subgrid.data.store import Store
from subgrid.errors import RunError
from subgrid.inference.super_resolve import draw_fields, super_resolve
from subgrid.models.interpolation import Interpolation
from subgrid.run import Run
from subgrid.scores import compute_statistics, scores_from_statistics
from subgrid.scores.compute import compare_field_sets
from subgrid.training.objective import DIVERGED

VALID_SCORES = ("psnr", "ssim", "rmse", "mae")
VALID_SET_SCORES = ("log_spectral_distance", "wasserstein", "spread_ratio")
NUM_DRAWN = 64  # fields in each set that is compared
SPLIT_NAMES = {"valid": "validation", "train": "training"}


class Validator(Protocol):
    """Scores a generator during training."""

    def score(self, generator: nn.Module) -> dict[str, float]:
        """Return the scores of a generator on standardised fields, averaged over the variables.

        Raises:
            RunError: if generated fields are not finite.
        """


def build_validator(run: Run, store: Store) -> Validator:
    """Build the validator of a run: of pairs of fields, or of sets where the generator's only input is noise."""
    return PairedValidator(run, store) if run.config.conditional else FieldSetValidator(run, store)


class PairedValidator:
    """Scores whole fields cell by cell.

    Scores are named `valid_...`. With `train.training_fields` there are `train_...` too, of the training split: if only
    those improve, the generator is overfitting. `valid_rmse_bilinear` is the RMSE of bilinear interpolation.
    """

    def __init__(self, run: Run, store: Store) -> None:
        """Read the fields to score into memory."""
        settings, channels = run.config.train, len(run.variables)
        self._run, self._factor, self._periodic = run, store.factor, store.periodic
        self._static = run.static_channels()
        self._pairs = {"valid": _read_pairs(run, store, "valid", settings.validation_fields)}
        bilinear = Interpolation(channels, channels, factor=store.factor, mode="bilinear")
        self._reference = {"valid_rmse_bilinear": self._score(bilinear, "valid")["valid_rmse"]}
        if settings.training_fields:
            self._pairs["train"] = _read_pairs(run, store, "train", settings.training_fields)

    def score(self, generator: nn.Module) -> dict[str, float]:
        """Return the scores of validation fields and, if any are asked for, of training fields."""
        scores = self._score(generator, "valid") | self._reference
        if "train" in self._pairs:
            devices = {p.device.index for p in generator.parameters() if p.device.type == "cuda"}
            with torch.random.fork_rng(devices):  # so that scoring training fields does not change the training
                scores |= self._score(generator, "train")
        return scores

    def _score(self, generator: nn.Module, split: str) -> dict[str, float]:
        lr, hr = self._pairs[split]
        sr = super_resolve(generator, lr, self._static, periodic=self._periodic)
        _check_finite(sr, split)
        by_score: dict[str, list[float]] = {}
        for i, variable in enumerate(self._run.variables):
            known = self._run.statistics[variable]
            data_range = (known["max"] - known["min"]) / known["std"]
            statistics = compute_statistics(
                sr[:, i], hr[:, i], names=VALID_SCORES, data_range=data_range, factor=self._factor
            )
            for name, value in scores_from_statistics(statistics).items():
                by_score.setdefault(name, []).append(value)
        means = {name: float(np.mean(values)) for name, values in by_score.items()}
        means["rmse"] = float(np.sqrt(np.mean(np.square(by_score["rmse"]))))
        return {f"{split}_{name}": value for name, value in means.items()}


def _read_pairs(run: Run, store: Store, split: str, num: int) -> tuple[Field, Field]:
    """Read `num` evenly spaced coarse and fine fields of a split, or all if it has fewer; standardised (n, c, y, x)."""
    positions = store.positions(split)
    count = min(num, positions.size)
    times = positions[np.linspace(0, positions.size - 1, count).round().astype(int)]
    lr, hr = (stack(fields.isel(valid_time=times), run.variables) for fields in (store.lr, store.hr))
    return run.scaling.scale(lr), run.scaling.scale(hr)


class FieldSetValidator:
    """Compares fields drawn from noise, as a set, with as many true ones.

    Scores are named `valid_...`. `valid_..._train` are those of as many training fields, the best that can be expected.
    """

    def __init__(self, run: Run, store: Store) -> None:
        """Read the sets to compare with into memory."""
        self._config, self._factor = run.config, store.factor
        self._truth = self._read(store, "valid")
        training = self._score(self._read(store, "train"))
        self._reference = {f"{name}_train": value for name, value in training.items()}

    def score(self, generator: nn.Module) -> dict[str, float]:
        """Return the scores of fields drawn from noise, and those of training fields."""
        fields = draw_fields(generator, NUM_DRAWN, (self._config.seed, 3))
        _check_finite(fields, "valid")
        return self._score(fields) | self._reference

    def _read(self, store: Store, split: str) -> Field:
        """Read patches of a split, standardised (n, c, y, x)."""
        config = self._config
        return PatchSampler(store, split, patch=config.train.patch, batch=NUM_DRAWN, seed=config.seed).draw(0).hr

    def _score(self, fields: Field) -> dict[str, float]:
        by_variable = [
            compare_field_sets(fields[:, i], self._truth[:, i], factor=self._factor, names=VALID_SET_SCORES)
            for i in range(fields.shape[1])
        ]
        return {f"valid_{name}": float(np.mean([scores[name] for scores in by_variable])) for name in VALID_SET_SCORES}


def _check_finite(fields: Field, split: str) -> None:
    if not np.isfinite(fields).all():
        raise RunError(f"the generator's output on {SPLIT_NAMES[split]} fields is no longer finite. {DIVERGED}")
