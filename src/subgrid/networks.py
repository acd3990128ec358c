"""The networks of a configuration or of a run, and the list of the shipped systems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from subgrid.config.files import RENAMED, recipe_names
from subgrid.config.schema import Config, PartConfig, load_config
from subgrid.errors import ConfigError, RunError
from subgrid.io.tensors import load_tensors
from subgrid.models import DISCRIMINATORS, GENERATORS, build, count_parameters
from subgrid.models.protocols import complete_generator

if TYPE_CHECKING:
    from subgrid.run import Run  # it imports what reads data, which the check of a configuration does not need

Weights = Literal["last", "best", "content"]
NUM_CHANNELS = 2  # as in the published study


def build_generator(config: Config, num_static: int, shape: tuple[int, int] | None = None) -> nn.Module:
    """Build the generator of a configuration, with initial weights.

    Args:
        config: the resolved configuration.
        num_static: number of static fields.
        shape: rows and columns of a training patch, in fine cells, which fixes the size of fields drawn from noise; by
            default `train.patch` along both axes.

    Returns:
        A `Generator` or, where the configuration is not conditional, a `NoiseGenerator`.
    """
    n, part, factor = len(config.data.variables), config.generator, config.data.factor
    if not config.conditional:
        patch = config.train.patch
        return _build(GENERATORS, "generator", part, channels_out=n, shape=shape or (patch, patch))
    network = _build(
        GENERATORS, "generator", part, channels_in=n, channels_out=n, factor=factor, static_channels=num_static
    )
    return complete_generator(network, part.name, factor)


def build_discriminator(config: Config) -> nn.Module:
    """Build the discriminator of a configuration, with initial weights."""
    assert config.discriminator is not None
    n = len(config.data.variables)
    num_condition = n if config.conditional else 0
    return _build(
        DISCRIMINATORS, "discriminator", config.discriminator, channels_in=n, channels_condition=num_condition
    )


def _build(table: Mapping[str, Callable[..., Any]], kind: str, part: PartConfig, **given: Any) -> nn.Module:
    """Build a network; an option with a name of an earlier version is an error that gives the new name."""
    for old, new in RENAMED.get(kind, {}).items():
        if old in part.options and part.name in table:
            raise ConfigError(f"{kind}.{old}: this option is now called {kind}.{new}.")
    return build(table, kind, part.name, part.options, **given)


def check_trust(
    config: Config, origin: Path, trust: bool, kinds: Sequence[str] = ("generator", "discriminator")
) -> None:
    """Refuse to build networks of other packages that a loaded configuration names, unless the user trusts its origin.

    Importing such a class, and calling it with the options that the configuration gives, can run any code. Only a run
    directory or its config.json is checked; settings that the user writes are the user's own.

    Args:
        config: the loaded configuration.
        origin: where it was read, for the message.
        trust: whether the user trusts it.
        kinds: the networks that will be built.

    Raises:
        RunError: if it names a class of another package and is not trusted.
    """
    for kind in kinds:
        part: PartConfig | None = getattr(config, kind)
        if part is not None and ":" in part.name and not trust:
            raise RunError(
                f"{origin}: {kind}.name is {part.name!r}, which is not part of subgrid: to build this network, code of "
                "that module is run. If you know what it does, allow it with trust=True (--trust)."
            )


def load_generator(
    run: Run, weights: Weights = "last", interpolate: float | None = None, *, trust: bool = False
) -> nn.Module:
    """Return the generator of a run with trained weights, ready for inference.

    Args:
        run: an opened run.
        weights: `last`, `best` or `content`.
        interpolate: a number a from 0 to 1, in place of `weights`: (1 - a) times the content weights plus a times the
            last weights, for parameters and BatchNorm statistics (Wang et al. 2018, arXiv:1809.00219, section 3.4).
        trust: whether to build a generator of another package, which runs its code; see `check_trust`.

    Raises:
        RunError: if the run does not have these weights, if `interpolate` is out of range or combined with other
            weights than the last ones, or if the run is not trusted.
    """
    check_trust(run.config, run.path, trust, ["generator"])
    generator = build_generator(run.config, len(run.static_scale), run.patch_shape)
    tensors = _read_weights(run, weights) if interpolate is None else _blend_weights(run, weights, interpolate)
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise RunError(f"the weights {weights!r} of {run.path} are not those of its generator ({reason}).") from None
    return generator.eval()


def _blend_weights(run: Run, weights: Weights, share: float) -> dict[str, Tensor]:
    """Blend the content weights (share 0) with the last weights (share 1)."""
    if weights != "last":
        raise RunError(
            f"--interpolate blends content and last weights; it cannot be combined with --weights {weights}."
        )
    if not 0 <= share <= 1:
        raise RunError(f"interpolate: got {share:g}, expected a number from 0 (content weights) to 1 (last weights).")
    if not (run.path / "weights" / "content.safetensors").is_file():
        raise RunError(
            f"{run.path} has no content weights to interpolate from: it was trained in one stage, or has not reached "
            "its second stage. Train with content.share between 0 and 1."
        )
    content, last = _read_weights(run, "content"), _read_weights(run, "last")
    counters = content if share < 0.5 else last  # integers, such as BatchNorm's number of batches
    return {
        name: torch.lerp(start, last[name], share) if start.is_floating_point() else counters[name]
        for name, start in content.items()
    }


def _read_weights(run: Run, weights: Weights) -> dict[str, Tensor]:
    file = run.path / "weights" / f"{weights}.safetensors"
    if not file.is_file():
        available = sorted(p.stem for p in (run.path / "weights").glob("*.safetensors"))
        raise RunError(
            f"{run.path} has no weights {weights!r}; available: {', '.join(available) or 'none yet'}. "
            + ("Choose one of these." if available else "Train first, or resume with `subgrid train ... --resume`.")
        )
    return load_tensors(file)[0]


def describe_weights(weights: str, interpolate: float | None) -> str:
    """Return which weights are used, as text."""
    return f"{weights} weights" if interpolate is None else f"weights {interpolate:g} of the way from content to last"


def systems() -> list[dict[str, Any]]:
    """List the shipped systems.

    Returns:
        One dict per system: name, family, generator_parameters and discriminator_parameters with 2 variables and factor
        4 (0 where there is none), trained (whether it has parameters to train), summary.
    """
    return [_describe(name) for name in sorted(recipe_names(), key=_order)]


def _order(name: str) -> tuple[bool, str]:
    """Sort the published forms after the others."""
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
