"""What changes while training: networks, running average, optimisers, history; written and read whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from subgrid.config import Config
from subgrid.io.atomic import write_csv
from subgrid.io.tensors import load_tensors, save_tensors
from subgrid.networks import build_discriminator, build_generator
from subgrid.pretrained import load_pretrained
from subgrid.run import Run


@dataclass
class State:
    """Everything that changes while training; written and read whole."""

    generator: nn.Module
    average: nn.Module | None
    discriminator: nn.Module | None
    optimizers: dict[str, torch.optim.Optimizer]
    step: int = 0
    elapsed: float = 0.0  # seconds in updates, for lengths given in seconds
    stage: str = "content"
    stage_start: float = 0.0  # progress at which the stage began
    best: float = math.inf
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def evaluated(self) -> nn.Module:
        """The generator that counts: the running average where there is one."""
        return self.average if self.average is not None else self.generator

    @property
    def handed_over(self) -> float | None:
        """Validation RMSE at the end of the content stage over that of bilinear interpolation; None before the hand-off."""
        content = [row for row in self.rows if row["stage"] == "content"]
        if not content or self.stage == "content":
            return None
        return float(content[-1]["valid_rmse"] / content[-1]["valid_rmse_bilinear"])


def fresh_state(
    config: Config, num_static: int, shape: tuple[int, int], device: torch.device, *, pretrained: bool = True
) -> State:
    """Networks with seeded weights, and their optimisers.

    Args:
        config: the resolved configuration.
        num_static: static fields beside the coarse input.
        shape: fine cells (rows, columns) of a training patch.
        device: where the networks go.
        pretrained: read the weights made elsewhere that they ask for.
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
    optimizers = {"generator": adam(config, generator, rate)}
    discriminator = None
    if config.adversarial:
        discriminator = build_discriminator(config)
        discriminator.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        rate = config.train.discriminator_learning_rate or config.train.learning_rate
        optimizers["discriminator"] = adam(config, discriminator, rate)
    stage = "content" if config.content.share > 0 else "main"
    return State(generator, average, discriminator, optimizers, stage=stage)


def adam(config: Config, network: nn.Module, rate: float) -> torch.optim.Optimizer:
    """A fresh optimiser of what is to be trained; decay and moments would move frozen parameters too."""
    t, trained = config.train, [p for p in network.parameters() if p.requires_grad]
    return torch.optim.Adam(trained, lr=rate, betas=t.betas, weight_decay=t.weight_decay, fused=True)


@torch.no_grad()
def update_average(average: nn.Module, generator: nn.Module, decay: float, step: int) -> None:
    """Move the running average towards the generator; early on faster, so that the start is forgotten.

    Buffers (BatchNorm's statistics) are copied: averaging weights without them gives a network that was never trained.
    """
    weight = 1.0 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), weight)
    for mean, value in zip(average.buffers(), generator.buffers(), strict=True):
        mean.copy_(value)


def keep(run: Run, state: State) -> None:
    """Write last and best weights, history and state; the state last, so that it never runs ahead of the other files."""
    score = state.rows[-1][criterion(state.rows[-1])]
    if score < state.best:
        state.best = score
        save_tensors(run.path / "weights" / "best.safetensors", state.evaluated.state_dict(), {"step": state.step})
    save_tensors(run.path / "weights" / "last.safetensors", state.evaluated.state_dict(), {"step": state.step})
    write_csv(run.path / "history.csv", pd.DataFrame(state.rows))
    tensors: dict[str, Tensor] = {"rng": torch.get_rng_state()}
    for name, network in _networks(state).items():
        tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
    for name, optimizer in state.optimizers.items():
        for index, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"adam_{name}.{index}.{key}": value for key, value in slots.items()}
    facts = {k: getattr(state, k) for k in ("step", "elapsed", "stage", "stage_start", "best", "rows")}
    save_tensors(run.path / "state.safetensors", tensors, facts)


def criterion(row: Mapping[str, Any]) -> str:
    """The validation score that the best weights have least of."""
    return next(name for name in ("valid_rmse", "valid_log_spectral_distance") if name in row)


def restore(run: Run, state: State) -> None:
    """Go on where the last written state stands; nothing to do in a fresh run."""
    file = run.path / "state.safetensors"
    if not file.is_file():
        return
    tensors, facts = load_tensors(file)
    for key, value in facts.items():
        setattr(state, key, value)
    for name, network in _networks(state).items():
        network.load_state_dict(_under(tensors, name))
    for name, optimizer in state.optimizers.items():
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in _under(tensors, f"adam_{name}").items():
            index, slot = key.split(".", 1)
            parameter = optimizer.param_groups[0]["params"][int(index)]
            if value.shape == parameter.shape:  # in its order in memory, which the fused update takes for granted
                value = torch.empty_like(parameter).copy_(value)
            slots.setdefault(int(index), {})[slot] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    torch.set_rng_state(tensors["rng"])


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(name + "."): value for key, value in tensors.items() if key.startswith(name + ".")}


def _networks(state: State) -> dict[str, nn.Module]:
    named = {"generator": state.generator, "average": state.average, "discriminator": state.discriminator}
    return {name: network for name, network in named.items() if network is not None}
