"""A system small enough to train in a second, for the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from safetensors.torch import load_file

from subgrid.io.tensors import load_tensors
from subgrid.training.train import train

SETTINGS: dict[str, Any] = {
    "system": "srgan",
    "data.variables": ["t2m", "u10"],
    "generator.features": 8,
    "generator.blocks": 1,
    "discriminator.features": 8,
    "content.share": 0.5,
    "train.updates": 8,
    "train.batch": 2,
    "train.patch": 16,
    "train.validate_every": 2,
    "train.validation_fields": 2,
    "train.precision": "32",
}
"""Content and adversarial stage, running average, spectral normalisation."""

PUBLISHED = {k: v for k, v in SETTINGS.items() if k != "content.share"} | {"system": "published/srgan"}
"""BatchNorm, tanh, sigmoid in the discriminator, one stage."""


def train_tiny(store: Path, out: Path, settings: dict[str, Any] = SETTINGS, **changes: Any) -> Path:
    """Train on a store that is there; `changes` are settings with `__` for the dot."""
    given = {key.replace("__", "."): value for key, value in changes.items()}
    return train(settings | given, store=store, out=out)


def history(run: Path) -> pd.DataFrame:
    """The run's history."""
    return pd.read_csv(run / "history.csv")


def weights(run: Path, which: str = "last") -> dict[str, torch.Tensor]:
    """The run's weights."""
    return load_file(run / "weights" / f"{which}.safetensors")


def same_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def round_fields(num_times: int = 20, rows: int = 16, columns: int = 64) -> xr.Dataset:
    """Smooth temperature (K) on longitudes that close the circle; made of waves, so that it has no seam."""
    rng = np.random.default_rng(3)
    longitude = (np.arange(columns) + 0.5) * 360 / columns
    latitude = np.linspace(40, -40, rows)
    phase, size = rng.uniform(0, 2 * np.pi, (num_times, 8)), rng.uniform(1, 5, (num_times, 8))
    waves = size[:, :, None] * np.cos(np.arange(1, 9)[:, None] * np.deg2rad(longitude) + phase[:, :, None])
    field = 280 + waves.sum(1)[:, None, :] * np.cos(np.deg2rad(latitude))[:, None]
    return xr.Dataset(
        {"t2m": (("time", "latitude", "longitude"), field.astype(np.float32), {"units": "K"})},
        {
            "time": pd.date_range("2020-01-01", periods=num_times, freq="6h"),
            "latitude": ("latitude", latitude, {"units": "degrees_north"}),
            "longitude": ("longitude", longitude, {"units": "degrees_east"}),
        },
    )


def assert_same_run(one: Path, other: Path) -> None:
    """History byte for byte, weights and state bit for bit."""
    assert (one / "history.csv").read_bytes() == (other / "history.csv").read_bytes()
    kinds = sorted(p.name for p in (one / "weights").iterdir())
    assert kinds == sorted(p.name for p in (other / "weights").iterdir() if p.suffix == ".safetensors")
    for name in kinds:
        assert same_weights(weights(one, Path(name).stem), weights(other, Path(name).stem)), name
    states = [load_tensors(run / "state.safetensors") for run in (one, other)]
    assert same_weights(states[0][0], states[1][0])
    facts = [{k: v for k, v in state[1].items() if k != "elapsed"} for state in states]
    assert json.dumps(facts[0]) == json.dumps(facts[1])


class Cut(Exception):
    """In place of a power cut."""


def cut_at(update: int) -> Any:
    """A progress function that ends the process, as it were, after an update."""

    def progress(done: float, *_: object) -> None:
        if done >= update:
            raise Cut

    return progress


class Keeps(torch.nn.Module):
    """A generator of the user's that forgets to refine."""

    def __init__(self, channels_in: int, channels_out: int, factor: int, static_channels: int) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, lr: torch.Tensor, static: torch.Tensor | None = None) -> torch.Tensor:
        """(b, c, h, w) to the same."""
        return self.layer(lr)


class WithoutFeatures(torch.nn.Module):
    """A discriminator of the user's own that returns its output alone."""

    def __init__(self, channels_in: int, channels_condition: int) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(channels_in + channels_condition, 1, 3)

    def forward(self, condition: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
        """Two times (b, c, h, w) to (b, 1, h - 2, w - 2)."""
        return self.layer(torch.cat([condition, field], 1))
