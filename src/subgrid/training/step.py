"""One update of the networks: generator forward, discriminator's update, generator's update."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from subgrid.config import Config
from subgrid.data.patches import Batch
from subgrid.errors import RunError
from subgrid.inference.super_resolve import draw_noise
from subgrid.losses.base import ContentLoss
from subgrid.models.blocks import resize
from subgrid.models.protocols import FeatureDiscriminator, NoiseGenerator
from subgrid.training.checkpoint import State
from subgrid.training.objective import LOWER_RATE, Game


def update(
    fabric: Fabric,
    state: State,
    terms: dict[str, tuple[float, ContentLoss]],
    game: Game | None,
    batch: Batch,
    config: Config,
) -> dict[str, float]:
    """One update of the networks of the current stage; returns what is logged."""
    lr, hr, static = (part.contiguous(memory_format=torch.channels_last) for part in batch)  # type: ignore[attr-defined]
    logged: dict[str, Tensor] = {}
    if not config.conditional:
        assert isinstance(state.generator, NoiseGenerator)
        noise = draw_noise(len(hr), state.generator.latent, (config.seed, 2, state.step)).to(hr.device)
        with fabric.autocast():
            sr = state.generator(noise)
        condition = hr[:, :0]
    else:
        with fabric.autocast():
            sr = state.generator(lr, static if static.shape[1] else None)
        condition = resize(lr, config.data.factor, "bilinear")
    played = game if state.stage == "main" else None
    if played is not None:
        logged |= _update_discriminator(fabric, state, played, condition, sr.detach(), hr)
    weighted = {f"loss_{name}": (weight, term(sr.float(), hr)) for name, (weight, term) in terms.items()}
    if played is not None:
        weighted |= _game_terms(fabric, state, played, condition, sr, hr)
    logged |= {name: value for name, (_, value) in weighted.items()}
    loss = sum((weight * value for weight, value in weighted.values()), torch.zeros((), device=fabric.device))
    if not torch.isfinite(loss):
        said = ", ".join(f"{name} {value.item():.3g}" for name, value in logged.items())
        raise RunError(f"the loss is no longer finite at update {state.step + 1} ({said}). {LOWER_RATE}")
    optimizer = state.optimizers["generator"]
    optimizer.zero_grad(set_to_none=True)
    fabric.backward(loss)
    if config.train.clip_norm > 0:
        norm = nn.utils.clip_grad_norm_(state.generator.parameters(), config.train.clip_norm)
        if not torch.isfinite(norm):  # clipped to an infinite norm, gradients are zeros, and nothing would be said
            raise RunError(f"the gradient is no longer finite at update {state.step + 1}. {LOWER_RATE}")
    optimizer.step()
    return {name: float(value.detach()) for name, value in logged.items()}


def _game_terms(
    fabric: Fabric, state: State, game: Game, condition: Tensor, sr: Tensor, hr: Tensor
) -> dict[str, tuple[float, Tensor]]:
    """The generator's half of the game: weight and value of each of its losses."""
    judge = state.discriminator
    assert judge is not None
    matched = game.matching is not None
    judge.requires_grad_(False)  # its gradients are not wanted here: a tenth of the update's time
    with fabric.autocast():
        fake, heard = _listen(judge, condition, sr, matched)
        real = fake.detach()
        true: list[Tensor] = []
        if matched or game.loss.needs_real:
            with torch.no_grad():
                real, true = _listen(judge, condition, hr, matched)
    out = {"loss_adversarial": (game.weight, game.loss.generator(real, fake))}
    if game.matching is not None:
        weight, term = game.matching
        out["loss_feature_matching"] = (weight, term(heard, true))
    judge.requires_grad_(True)
    return out


def _listen(judge: nn.Module, condition: Tensor, field: Tensor, features: bool) -> tuple[Tensor, list[Tensor]]:
    """The verdict, and the inner features where they are wanted."""
    if not features:
        return judge(condition, field), []
    assert isinstance(judge, FeatureDiscriminator)
    return judge.forward_features(condition, field)


def _update_discriminator(
    fabric: Fabric, state: State, game: Game, condition: Tensor, sr: Tensor, hr: Tensor
) -> dict[str, Tensor]:
    """The discriminator's half of an update; logs what it says of real and made fields."""
    assert state.discriminator is not None
    with fabric.autocast():
        real, fake = state.discriminator(condition, hr), state.discriminator(condition, sr)
    loss = game.loss.discriminator(real, fake)
    optimizer = state.optimizers["discriminator"]
    optimizer.zero_grad(set_to_none=True)
    fabric.backward(loss)
    optimizer.step()
    return {
        "discriminator_loss": loss.detach(),
        "discriminator_real": real.detach().float().mean(),
        "discriminator_fake": fake.detach().float().mean(),
    }
