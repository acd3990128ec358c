"""The losses of a stage of training: content losses, the adversarial loss and feature matching, with their weights.

There are two stages, `content` without and `main` with a discriminator; `STAGES` names the table of the configuration
that holds the losses of each.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from subgrid.config.schema import Config, LossConfig
from subgrid.errors import ConfigError, nearest
from subgrid.losses import ADVERSARIAL, DISCRIMINATOR_LOSSES, LOSSES
from subgrid.losses.base import AdversarialLoss, ContentLoss
from subgrid.losses.feature_matching import FeatureMatching

STAGES = {"content": "content.losses", "main": "losses"}
FEATURES = "feature_matching"
DIVERGED = (
    "The last checkpoint is kept. Start a new run with a lower train.learning_rate, or with train.precision = '32'."
)

Weighted = dict[str, tuple[float, ContentLoss]]
"""Losses by name, each with its weight."""


@dataclass(frozen=True)
class AdversarialObjective:
    """The losses that need the discriminator.

    Attributes:
        loss: the adversarial loss, of the generator and of the discriminator.
        weight: weight of the generator's adversarial loss.
        feature_matching: weight and loss of the feature matching; None without it.
    """

    loss: AdversarialLoss
    weight: float
    feature_matching: tuple[float, FeatureMatching] | None


@dataclass(frozen=True)
class Objective:
    """What is minimised in one stage.

    Attributes:
        content: the content losses, called with (sr, hr).
        adversarial: the losses that need the discriminator; None in a stage without one.
    """

    content: Weighted
    adversarial: AdversarialObjective | None


def build_objective(config: Config, stage: str, device: torch.device) -> Objective:
    """Build the losses of a stage, on a device.

    Raises:
        ConfigError: for unknown losses or options.
    """
    losses = stage_losses(config, stage)
    content = content_losses(losses, STAGES[stage], config.data.variables)
    content = {name: (weight, loss.to(device)) for name, (weight, loss) in content.items()}
    return Objective(content, adversarial_objective(config) if stage == "main" else None)


def stage_losses(config: Config, stage: str) -> dict[str, LossConfig]:
    """Return the settings of the losses of a stage."""
    return config.content.losses if stage == "content" else config.losses


def content_losses(losses: Mapping[str, LossConfig], key: str, variables: Sequence[str]) -> Weighted:
    """Build the content losses whose weight is above 0.

    Args:
        losses: settings by name of the loss.
        key: the table of the configuration that holds them, for messages.
        variables: names of the channels in their order, for losses that depend on them.

    Raises:
        ConfigError: for unknown losses or options.
    """
    out: Weighted = {}
    for name, settings in losses.items():
        if name not in LOSSES and name not in DISCRIMINATOR_LOSSES:
            raise ConfigError(f"{key}.{name}: there is no such loss.{nearest(name, [*LOSSES, *DISCRIMINATOR_LOSSES])}")
        if name in DISCRIMINATOR_LOSSES or settings.weight == 0:
            continue
        needs_names = "variables" in inspect.signature(LOSSES[name]).parameters
        try:
            known = {"variables": list(variables)} if needs_names else {}
            out[name] = (settings.weight, LOSSES[name](**known, **settings.options))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{key}.{name}: invalid options {settings.options}: {error}") from error
    return out


def adversarial_objective(config: Config) -> AdversarialObjective | None:
    """Build the losses that need the discriminator; None if no stage trains one.

    Raises:
        ConfigError: for unknown kinds or options, or feature matching without an adversarial loss.
    """
    if not config.adversarial:
        if FEATURES in config.losses and config.losses[FEATURES].weight and config.content.share < 1:
            raise ConfigError(
                f"losses.{FEATURES}: it compares features of the discriminator, which only the adversarial loss "
                "trains; set losses.adversarial.weight above 0."
            )
        return None
    settings = config.losses["adversarial"]
    options = settings.options
    kind = options.pop("kind", "vanilla")
    if kind not in ADVERSARIAL:
        raise ConfigError(f"losses.adversarial.kind: got {kind!r}.{nearest(str(kind), ADVERSARIAL)}")
    build: Callable[..., AdversarialLoss] = ADVERSARIAL[str(kind)]
    known = inspect.signature(build).parameters
    for option in options:
        if option not in known:
            raise ConfigError(
                f"losses.adversarial.{option}: {kind} has no such option.{nearest(option, ['kind', *known])}"
            )
    try:
        return AdversarialObjective(build(**options), settings.weight, _feature_matching(config))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"losses.adversarial: invalid options {options} for {kind}: {error}") from error


def _feature_matching(config: Config) -> tuple[float, FeatureMatching] | None:
    """Build the feature-matching loss; None if its weight is 0."""
    settings = config.losses.get(FEATURES)
    if settings is None or settings.weight == 0:
        return None
    try:
        return settings.weight, FeatureMatching(**settings.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"losses.{FEATURES}: invalid options {settings.options}: {error}") from error
