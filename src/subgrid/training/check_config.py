"""The checks of a configuration that need no data: they come before all work, and import no library that reads data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from subgrid.config.schema import Config, load_config
from subgrid.errors import ConfigError
from subgrid.losses import DISCRIMINATOR_LOSSES
from subgrid.networks import build_discriminator, build_generator, check_trust
from subgrid.training.device import open_fabric
from subgrid.training.objective import STAGES, adversarial_objective, content_losses, stage_losses


def load_checked(
    config: str | Path | Mapping[str, Any] | Config, overrides: Iterable[str] = (), trust: bool = False
) -> Config:
    """Read a configuration for a training, and check it.

    Args:
        config: a TOML file, the config.json of a run, settings, or a `Config`.
        overrides: settings `key=value`.
        trust: whether the config.json of a run may name networks of another package; what is not one is the caller's own.

    Raises:
        ConfigError: for a configuration that cannot be trained.
        RunError: if it is not trusted.
    """
    resolved = load_config(config, overrides)
    if isinstance(config, str | Path) and Path(config).suffix == ".json":
        check_trust(resolved, Path(config), trust)
    check_config(resolved)
    return resolved


def check_config(config: Config) -> None:
    """Check what can be checked without any data.

    Raises:
        ConfigError: for a configuration that cannot be trained.
    """
    if config.family == "baseline":
        raise ConfigError(f"system: {config.system} is a baseline with nothing to train; every evaluation includes it.")
    share = config.content.share
    content, main = (
        content_losses(stage_losses(config, stage), key, config.data.variables) for stage, key in STAGES.items()
    )
    if share > 0 and not content:
        raise ConfigError(
            "content.losses: no loss has a weight above 0; give at least one, such as [content.losses.l1] weight = 1.0."
        )
    if share < 1 and not main and not config.adversarial:
        raise ConfigError(
            "losses: no loss has a weight above 0; give at least one, such as [losses.l1] with weight = 1.0."
        )
    if not config.conditional:
        _check_unconditional(config)
    adversarial_objective(config)
    _check_networks(config)
    open_fabric(config)


def _check_unconditional(config: Config) -> None:
    """Fields drawn from noise have no paired target, so only the adversarial loss applies."""
    name = config.generator.name
    reason = f"{name} draws fields from noise, so there are no true fields to compare them with cell by cell"
    if config.content.share > 0:
        raise ConfigError(f"content.share: {reason}; set it to 0.")
    for loss, settings in config.losses.items():
        if settings.weight and loss not in DISCRIMINATOR_LOSSES:
            raise ConfigError(f"losses.{loss}: {reason}; set its weight to 0.")
    if config.train.training_fields:
        raise ConfigError(
            f"train.training_fields: {reason}; set it to 0. The columns valid_*_train of history.csv compare training "
            "fields with validation fields as sets."
        )
    if not config.adversarial:
        raise ConfigError(f"losses.adversarial: {name} can only be trained with this loss; set its weight above 0.")


def _check_networks(config: Config) -> None:
    """Build the networks, which checks their names and options and the factor."""
    own = any(part is not None and ":" in part.name for part in (config.generator, config.discriminator))
    # Tensors of the device `meta` have no values and take no time; the user's own code may need values.
    with nullcontext() if own else torch.device("meta"):
        generator = build_generator(config, len(config.data.static))
        if config.discriminator is not None:
            build_discriminator(config)
    if not any(p.requires_grad for p in generator.parameters()):
        raise ConfigError(f"generator.name: {config.generator.name} has nothing to train; choose another generator.")
