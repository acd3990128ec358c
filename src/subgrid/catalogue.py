"""The table of systems: what there is, how large, what for."""

from __future__ import annotations

from typing import Any

from subgrid.config import load_config, recipe_names
from subgrid.models import count_parameters
from subgrid.run import build_discriminator, build_generator

NUM_CHANNELS = 2  # the study's


def systems() -> list[dict[str, Any]]:
    """List the shipped systems.

    Returns:
        One dict a system: name, family, generator_parameters and discriminator_parameters at 2 channels and factor 4 (0 where
        there is none), trained (whether it has anything to train), summary.
    """
    return [_describe(name) for name in sorted(recipe_names(), key=_order)]


def _order(name: str) -> tuple[bool, str]:
    """The study's own forms after the others."""
    return name.startswith("published/"), name


def _describe(name: str) -> dict[str, Any]:
    config = load_config({"system": name, "data": {"variables": [f"v{i}" for i in range(NUM_CHANNELS)]}})
    return {
        "name": name,
        "family": config.family,
        "generator_parameters": count_parameters(build_generator(config, 0)),
        "discriminator_parameters": count_parameters(build_discriminator(config)) if config.discriminator else 0,
        "trained": config.family != "baseline",
        "summary": config.summary,
    }
