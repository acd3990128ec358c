"""One update of the networks: generator forward, update of the discriminator, update of the generator."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from subgrid.config.schema import Config
from subgrid.data.patches import Batch
from subgrid.errors import RunError
from subgrid.inference.super_resolve import draw_noise
from subgrid.models.blocks import resize
from subgrid.models.protocols import FeatureDiscriminator, NoiseGenerator
from subgrid.training.checkpoint import TrainingState
from subgrid.training.objective import DIVERGED, AdversarialObjective, Objective

WeightedValues = dict[str, tuple[float, Tensor]]
"""Values of losses by name, each with its weight."""


def update(
    fabric: Fabric, state: TrainingState, objective: Objective, batch: Batch, config: Config
) -> dict[str, float]:
    """Update the networks once.

    Args:
        fabric: device and precision.
        state: networks and optimisers; changed.
        objective: the losses of the current stage.
        batch: standardised patches, as tensors on the device.
        config: the resolved configuration.

    Returns:
        The values to log: each loss, and the discriminator's mean outputs for true and for generated fields.

    Raises:
        RunError: if the loss or its gradient is no longer finite.
    """
    lr, hr, static = (part.contiguous(memory_format=torch.channels_last) for part in batch)  # type: ignore[attr-defined]
    sr, condition = _generate(fabric, state, lr, hr, static, config)
    logged: dict[str, Tensor] = {}
    if objective.adversarial is not None:
        logged |= _update_discriminator(fabric, state, objective.adversarial, condition, sr.detach(), hr)
    losses: WeightedValues = {
        f"loss_{name}": (weight, loss(sr.float(), hr)) for name, (weight, loss) in objective.content.items()
    }
    if objective.adversarial is not None:
        losses |= _adversarial_losses(fabric, state, objective.adversarial, condition, sr, hr)
    logged |= {name: value for name, (_, value) in losses.items()}
    total = sum((weight * value for weight, value in losses.values()), torch.zeros((), device=fabric.device))
    if not torch.isfinite(total):
        values = ", ".join(f"{name} {value.item():.3g}" for name, value in logged.items())
        raise RunError(f"the loss is no longer finite at update {state.step + 1} ({values}). {DIVERGED}")
    _update_generator(fabric, state, total, config.train.clip_norm)
    return {name: float(value.detach()) for name, value in logged.items()}


def _generate(
    fabric: Fabric, state: TrainingState, lr: Tensor, hr: Tensor, static: Tensor, config: Config
) -> tuple[Tensor, Tensor]:
    """Return generated fields, and what the discriminator sees with them: the interpolated input, or nothing."""
    if not config.conditional:
        assert isinstance(state.generator, NoiseGenerator)
        noise = draw_noise(len(hr), state.generator.latent, (config.seed, 2, state.step)).to(hr.device)
        with fabric.autocast():
            return state.generator(noise), hr[:, :0]
    with fabric.autocast():
        sr = state.generator(lr, static if static.shape[1] else None)
    return sr, resize(lr, config.data.factor, "bilinear")


def _update_generator(fabric: Fabric, state: TrainingState, loss: Tensor, clip_norm: float) -> None:
    """Take one step of the generator's optimiser."""
    optimizer = state.optimizers["generator"]
    optimizer.zero_grad(set_to_none=True)
    fabric.backward(loss)
    if clip_norm > 0:
        norm = nn.utils.clip_grad_norm_(state.generator.parameters(), clip_norm)
        if not torch.isfinite(norm):  # clipping to an infinite norm would silently make all gradients zero
            raise RunError(f"the gradient is no longer finite at update {state.step + 1}. {DIVERGED}")
    optimizer.step()


def _adversarial_losses(
    fabric: Fabric, state: TrainingState, objective: AdversarialObjective, condition: Tensor, sr: Tensor, hr: Tensor
) -> WeightedValues:
    """Return the losses of the generator that need the discriminator."""
    discriminator = state.discriminator
    assert discriminator is not None
    with_features = objective.feature_matching is not None
    discriminator.requires_grad_(False)  # without its own gradients the update takes a tenth less time
    with fabric.autocast():
        fake, fake_features = _forward(discriminator, condition, sr, with_features)
        real = fake.detach()
        real_features: list[Tensor] = []
        if with_features or objective.loss.needs_real:
            with torch.no_grad():
                real, real_features = _forward(discriminator, condition, hr, with_features)
    losses: WeightedValues = {"loss_adversarial": (objective.weight, objective.loss.generator(real, fake))}
    if objective.feature_matching is not None:
        weight, matching = objective.feature_matching
        losses["loss_feature_matching"] = (weight, matching(fake_features, real_features))
    discriminator.requires_grad_(True)
    return losses


def _forward(
    discriminator: nn.Module, condition: Tensor, field: Tensor, with_features: bool
) -> tuple[Tensor, list[Tensor]]:
    """Return the discriminator's output, and its inner features if they are needed."""
    if not with_features:
        return discriminator(condition, field), []
    assert isinstance(discriminator, FeatureDiscriminator)
    return discriminator.forward_features(condition, field)


def _update_discriminator(
    fabric: Fabric, state: TrainingState, objective: AdversarialObjective, condition: Tensor, sr: Tensor, hr: Tensor
) -> dict[str, Tensor]:
    """Take one step of the discriminator's optimiser; return its loss and its mean outputs."""
    assert state.discriminator is not None
    with fabric.autocast():
        real, fake = state.discriminator(condition, hr), state.discriminator(condition, sr)
    loss = objective.loss.discriminator(real, fake)
    optimizer = state.optimizers["discriminator"]
    optimizer.zero_grad(set_to_none=True)
    fabric.backward(loss)
    optimizer.step()
    return {
        "discriminator_loss": loss.detach(),
        "discriminator_real": real.detach().float().mean(),
        "discriminator_fake": fake.detach().float().mean(),
    }
