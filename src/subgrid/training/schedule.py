"""The length of a training and the learning rate on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

from subgrid.config.schema import Config
from subgrid.data.patches import PatchSampler
from subgrid.training.checkpoint import TrainingState


@dataclass(frozen=True)
class Length:
    """Length of a training, in updates or in seconds.

    Attributes:
        updates: number of updates; None if the length is given in seconds.
        seconds: seconds spent on updates; None if the length is given in updates or epochs.
    """

    updates: int | None
    seconds: float | None

    def fraction(self, state: TrainingState) -> float:
        """Return how much of the training is done; 1 or more at its end."""
        if self.updates is not None:
            return state.step / self.updates
        return state.elapsed / (self.seconds or 1.0)

    def position(self, state: TrainingState) -> tuple[float, float]:
        """Return what is done and the total, both in updates or in seconds, for a progress bar."""
        if self.updates is not None:
            return state.step, self.updates
        seconds = self.seconds or 0.0
        return min(state.elapsed, seconds), seconds


def training_length(config: Config, sampler: PatchSampler) -> Length:
    """Return the length of a training; epochs are converted to updates."""
    t = config.train
    if t.epochs is not None:
        return Length(math.ceil(t.epochs * sampler.patches_per_epoch / t.batch), None)
    return Length(t.updates, t.seconds)


def set_learning_rates(config: Config, state: TrainingState, fraction: float) -> float:
    """Set the learning rates of the next update.

    Args:
        config: the resolved configuration.
        state: its optimisers are changed.
        fraction: how much of the training is done.

    Returns:
        The learning rate of the generator.
    """
    t = config.train
    start, end = (0.0, config.content.share) if state.stage == "content" else (state.stage_start, 1.0)
    local = min(1.0, (fraction - start) / max(end - start, 1e-12))  # how much of the stage is done
    shape = 0.5 * (1 + math.cos(math.pi * local)) if t.schedule == "cosine" else 1.0
    if t.warmup > 0:
        shape *= min(1.0, (local + 1e-3) / t.warmup)
    base = (config.content.learning_rate or t.learning_rate) if state.stage == "content" else t.learning_rate
    rates = {"generator": base, "discriminator": t.discriminator_learning_rate or t.learning_rate}
    for name, optimizer in state.optimizers.items():
        for group in optimizer.param_groups:
            group["lr"] = rates[name] * shape
    return base * shape
