"""The state of a training: networks, running average, optimisers and history, with its checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from subgrid.config.schema import Config
from subgrid.io.atomic import write_csv
from subgrid.io.tensors import load_tensors, save_tensors
from subgrid.networks import build_discriminator, build_generator
from subgrid.pretrained import load_pretrained
from subgrid.run import Run

STATE_FILE = "state.safetensors"
ROUNDING = 1e-6  # standardised RMSE that float32 fields which agree may have
PLAIN_FIELDS = ("step", "elapsed", "stage", "stage_start", "best", "rows")


@dataclass
class TrainingState:
    """Everything that changes during training.

    Attributes:
        generator: the generator that is trained.
        average: the running average of its weights; None without one.
        discriminator: the discriminator; None if no stage trains one.
        optimizers: by network, `generator` and `discriminator`.
        step: number of updates so far.
        elapsed: seconds spent on updates so far.
        stage: `content` or `main`.
        stage_start: fraction of the training at which the stage began.
        best: lowest validation score of the stage so far, see `selection_score`.
        rows: the history, one row per validation.
    """

    generator: nn.Module
    average: nn.Module | None
    discriminator: nn.Module | None
    optimizers: dict[str, torch.optim.Optimizer]
    step: int = 0
    elapsed: float = 0.0
    stage: str = "content"
    stage_start: float = 0.0
    best: float = math.inf
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def saved_generator(self) -> nn.Module:
        """The generator that is validated and saved: the running average if there is one."""
        return self.average if self.average is not None else self.generator

    @property
    def content_rmse_ratio(self) -> float | None:
        """Validation RMSE at the end of the content stage over that of bilinear interpolation.

        None before its end, and where bilinear interpolation has no error.
        """
        content = [row for row in self.rows if row["stage"] == "content"]
        if not content or self.stage == "content":
            return None
        return rmse_ratio(content[-1])


def rmse_ratio(row: Mapping[str, Any]) -> float | None:
    """Validation RMSE over that of bilinear interpolation, of one row of the history.

    None where the error of bilinear interpolation is rounding (standardised units), as in a validation period without rain.
    """
    bilinear = row["valid_rmse_bilinear"]
    return float(row["valid_rmse"] / bilinear) if bilinear > ROUNDING else None


def new_training_state(
    config: Config, num_static: int, shape: tuple[int, int], device: torch.device, *, pretrained: bool = True
) -> TrainingState:
    """Build the networks with seeded weights, and their optimisers.

    Args:
        config: the resolved configuration.
        num_static: number of static fields given to the generator.
        shape: fine cells (rows, columns) of a training patch.
        device: where the networks are placed.
        pretrained: whether to read the pretrained weights that the networks ask for.
    """
    generator = build_generator(config, num_static, shape)
    if pretrained:
        load_pretrained(generator)
    average = None
    if config.train.ema > 0:
        average = build_generator(config, num_static, shape)
        average.load_state_dict(generator.state_dict())
        average.requires_grad_(False).eval().to(device)
    generator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    rate = config.content.learning_rate or config.train.learning_rate
    optimizers = {"generator": build_optimizer(config, generator, rate)}
    discriminator = None
    if config.adversarial:
        discriminator = build_discriminator(config)
        discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        rate = config.train.discriminator_learning_rate or config.train.learning_rate
        optimizers["discriminator"] = build_optimizer(config, discriminator, rate)
    stage = "content" if config.content.share > 0 else "main"
    return TrainingState(generator, average, discriminator, optimizers, stage=stage)


def build_optimizer(config: Config, network: nn.Module, rate: float) -> torch.optim.Optimizer:
    """Build an Adam optimiser of the trainable parameters; weight decay would change frozen ones too."""
    t, trainable = config.train, [p for p in network.parameters() if p.requires_grad]
    return torch.optim.Adam(trainable, lr=rate, betas=t.betas, weight_decay=t.weight_decay, fused=True)


@torch.no_grad()
def update_average(average: nn.Module, generator: nn.Module, decay: float, step: int) -> None:
    """Move the running average towards the generator, faster during the first updates.

    Buffers (the statistics of BatchNorm) are copied: averaged weights with other statistics would be a network that was
    never trained.
    """
    weight = 1.0 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), weight)
    for mean, value in zip(average.buffers(), generator.buffers(), strict=True):
        mean.copy_(value)


def save_checkpoint(run: Run, state: TrainingState) -> None:
    """Write the last and the best weights, the history and the state.

    The state is written last, so that it is never newer than the other files.
    """
    score = state.rows[-1][selection_score(state.rows[-1])]
    weights, facts = state.saved_generator.state_dict(), {"step": state.step}
    if score < state.best:
        state.best = score
        save_tensors(run.path / "weights" / "best.safetensors", weights, facts)
    save_tensors(run.path / "weights" / "last.safetensors", weights, facts)
    write_csv(run.path / "history.csv", pd.DataFrame(state.rows))
    tensors: dict[str, Tensor] = {"rng": torch.get_rng_state()}
    for name, network in _networks(state).items():
        tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
    for name, optimizer in state.optimizers.items():
        for index, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"adam_{name}.{index}.{key}": value for key, value in slots.items()}
    save_tensors(run.path / STATE_FILE, tensors, {name: getattr(state, name) for name in PLAIN_FIELDS})


def selection_score(row: Mapping[str, Any]) -> str:
    """Return the name of the validation score that selects the best weights; lower is better."""
    return next(name for name in ("valid_rmse", "valid_log_spectral_distance") if name in row)


def has_checkpoint(run: Run) -> bool:
    """Whether the run has a checkpoint; it holds all weights, pretrained ones included."""
    return (run.path / STATE_FILE).is_file()


def load_checkpoint(run: Run, state: TrainingState) -> None:
    """Read the last checkpoint of a run into a new state, and set torch's random number generator."""
    tensors, facts = load_tensors(run.path / STATE_FILE)
    for key, value in facts.items():
        setattr(state, key, value)
    for name, network in _networks(state).items():
        network.load_state_dict(_select(tensors, name))
    for name, optimizer in state.optimizers.items():
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in _select(tensors, f"adam_{name}").items():
            index, slot = key.split(".", 1)
            parameter = optimizer.param_groups[0]["params"][int(index)]
            if value.shape == parameter.shape:  # the fused update requires the parameter's memory format
                value = torch.empty_like(parameter).copy_(value)
            slots.setdefault(int(index), {})[slot] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    torch.set_rng_state(tensors["rng"])


def _select(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors of one network or optimiser, without its name."""
    return {key.removeprefix(name + "."): value for key, value in tensors.items() if key.startswith(name + ".")}


def _networks(state: TrainingState) -> dict[str, nn.Module]:
    named = {"generator": state.generator, "average": state.average, "discriminator": state.discriminator}
    return {name: network for name, network in named.items() if network is not None}
