"""What the networks of a stage minimise: content losses, the adversarial loss, feature matching; device and precision."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric

from subgrid.config import Config, LossConfig
from subgrid.errors import ConfigError, nearest
from subgrid.losses import ADVERSARIAL, DISCRIMINATOR_LOSSES, LOSSES
from subgrid.losses.base import AdversarialLoss, ContentLoss
from subgrid.losses.feature_matching import FeatureMatching

FEATURES = "feature_matching"
LOWER_RATE = (
    "What was saved before is kept. Start a new run with a lower train.learning_rate, or train.precision = '32'."
)


@dataclass(frozen=True)
class Game:
    """What the generator plays with the discriminator.

    Attributes:
        loss: both sides of the adversarial loss.
        weight: of the generator's side.
        matching: weight and term of the feature matching, where there is any.
    """

    loss: AdversarialLoss
    weight: float
    matching: tuple[float, FeatureMatching] | None


def content_terms(
    losses: Mapping[str, LossConfig], where: str, variables: Sequence[str]
) -> dict[str, tuple[float, ContentLoss]]:
    """Content losses with a weight, built by name; `variables`, the channels in their order, go to those that ask for them."""
    out = {}
    for name, given in losses.items():
        if name in DISCRIMINATOR_LOSSES or given.weight == 0:
            continue
        if name not in LOSSES:
            raise ConfigError(f"{where}.{name}: no such loss.{nearest(name, [*LOSSES, *DISCRIMINATOR_LOSSES])}")
        try:
            known = {"variables": list(variables)} if "variables" in inspect.signature(LOSSES[name]).parameters else {}
            out[name] = (given.weight, LOSSES[name](**known, **given.options))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{where}.{name}: it refuses its options {given.options}: {error}") from error
    return out


def make_game(config: Config) -> Game | None:
    """What is played with the discriminator; None where no stage has one."""
    if not config.adversarial:
        if FEATURES in config.losses and config.losses[FEATURES].weight and config.content.share < 1:
            raise ConfigError(
                f"losses.{FEATURES}: it compares what a trained discriminator sees; give losses.adversarial a weight too."
            )
        return None
    given = config.losses["adversarial"]
    options = given.options
    kind = options.pop("kind", "vanilla")
    if kind not in ADVERSARIAL:
        raise ConfigError(f"losses.adversarial.kind: got {kind!r}.{nearest(str(kind), ADVERSARIAL)}")
    made: Callable[..., AdversarialLoss] = ADVERSARIAL[str(kind)]
    known = inspect.signature(made).parameters
    for option in options:
        if option not in known:
            raise ConfigError(
                f"losses.adversarial.{option}: {kind} has no such option.{nearest(option, ['kind', *known])}"
            )
    try:
        return Game(made(**options), given.weight, _matching(config))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"losses.adversarial: {kind} refuses its options {options}: {error}") from error


def _matching(config: Config) -> tuple[float, FeatureMatching] | None:
    """The feature-matching term, where it has a weight."""
    given = config.losses.get(FEATURES)
    if given is None or given.weight == 0:
        return None
    try:
        return given.weight, FeatureMatching(**given.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"losses.{FEATURES}: it refuses its options {given.options}: {error}") from error


def open_fabric(config: Config) -> Fabric:
    """Device and precision; bf16 where the processor computes it, which a plain CPU does not."""
    accelerator = config.train.device
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise ConfigError("train.device: got 'cuda', but torch sees no CUDA device; use 'auto' or 'cpu'.")
    precision = config.train.precision
    if precision == "auto":
        on_gpu = accelerator != "cpu" and torch.cuda.is_available()
        fast = torch.cuda.is_bf16_supported() if on_gpu else torch.cpu._is_avx512_bf16_supported()
        precision = "bf16" if fast else "32"
    accelerator = accelerator if accelerator != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)  # it tells of its precision on the user's screen
    try:
        return Fabric(accelerator=accelerator, devices=1, precision="bf16-mixed" if precision == "bf16" else "32-true")
    finally:
        logger.setLevel(level)
