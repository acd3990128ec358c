"""From a configuration or a run to its networks, and the table of the systems that are shipped."""

from __future__ import annotations

from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from subgrid.config import Config, load_config
from subgrid.config_files import recipe_names
from subgrid.errors import RunError
from subgrid.models import DISCRIMINATORS, GENERATORS, SAMPLERS, build, count_parameters
from subgrid.run import Run

Weights = Literal["last", "best", "content"]
NUM_CHANNELS = 2  # the study's


def build_generator(config: Config, num_static: int, shape: tuple[int, int] | None = None) -> nn.Module:
    """The generator of a configuration, with fresh weights.

    Args:
        config: the resolved configuration.
        num_static: static fields beside the coarse input.
        shape: fine cells (rows, columns) of a training patch, which an unconditional generator is built for; by default a whole
            patch as configured.
    """
    n, part = len(config.data.variables), config.generator
    if not config.conditional:
        patch = config.train.patch
        return build(SAMPLERS, "generator", part.name, part.options, channels_out=n, shape=shape or (patch, patch))
    given = {"channels_in": n, "channels_out": n, "factor": config.data.factor, "static_channels": num_static}
    table = {**GENERATORS, **SAMPLERS}  # so that a misspelt name finds its neighbour
    return build(table, "generator", part.name, part.options, **given)


def build_discriminator(config: Config) -> nn.Module:
    """The discriminator of a configuration, with fresh weights; without condition where the generator has none."""
    assert config.discriminator is not None
    n = len(config.data.variables)
    part, condition = config.discriminator, 0 if not config.conditional else n
    return build(DISCRIMINATORS, "discriminator", part.name, part.options, channels_in=n, channels_condition=condition)


def load_generator(run: Run, weights: Weights = "last", interpolate: float | None = None) -> nn.Module:
    """The run's generator with trained weights, ready for inference.

    Args:
        run: an opened run.
        weights: which ones.
        interpolate: a number a from 0 to 1, in place of `weights`: (1 - a) times the content weights plus a times the last
            ones, parameters and BatchNorm statistics alike (Wang et al. 2018, arXiv:1809.00219, section 3.4).

    Raises:
        RunError: if those weights are not there, or `interpolate` is out of range or given beside other weights.
    """
    generator = build_generator(run.config, len(run.static_scale), run.patch_shape)
    generator.load_state_dict(_weights(run, weights) if interpolate is None else _between(run, weights, interpolate))
    return generator.eval()


def _between(run: Run, weights: Weights, share: float) -> dict[str, Tensor]:
    """Tensors between those of the content stage and the last ones; both ends exact."""
    if weights != "last":
        raise RunError(f"interpolate goes from the content weights to the last ones; leave weights {weights!r} away.")
    if not 0 <= share <= 1:
        raise RunError(f"interpolate: got {share:g}, expected a number from 0 (content weights) to 1 (last weights).")
    if not (run.path / "weights" / "content.safetensors").is_file():
        raise RunError(
            f"{run.path} has no content weights to interpolate from: it was trained in one stage, or has not reached its "
            "second. Train with content.share between 0 and 1."
        )
    content, last = _weights(run, "content"), _weights(run, "last")
    counters = content if share < 0.5 else last  # whole numbers, such as BatchNorm's count of batches
    return {
        name: torch.lerp(start, last[name], share) if start.is_floating_point() else counters[name]
        for name, start in content.items()
    }


def _weights(run: Run, weights: Weights) -> dict[str, Tensor]:
    """Read one file of weights."""
    file = run.path / "weights" / f"{weights}.safetensors"
    if not file.is_file():
        have = sorted(p.stem for p in (run.path / "weights").glob("*.safetensors"))
        raise RunError(
            f"{run.path} has no weights {weights!r}; there are: {', '.join(have) or 'none yet'}. "
            + ("Choose one of them." if have else "Train first, or go on with `subgrid train ... --resume`.")
        )
    return load_file(file)


def describe_weights(weights: str, interpolate: float | None) -> str:
    """Which weights, in words."""
    return f"{weights} weights" if interpolate is None else f"weights {interpolate:g} of the way from content to last"


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
