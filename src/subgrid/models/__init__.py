"""Generators and discriminators: one class and one line in a table each; their interfaces are in `protocols`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from subgrid.errors import ConfigError, nearest
from subgrid.models.dcgan import DCGAN
from subgrid.models.discriminators import VGG, PatchGAN
from subgrid.models.interpolation import Interpolation
from subgrid.models.protocols import Discriminator, Generator, NoiseGenerator
from subgrid.models.resnet import ResNet18
from subgrid.models.rrdb import RRDBNet
from subgrid.models.srresnet import SRResNet
from subgrid.models.unet import UNet

GENERATORS: dict[str, type[Generator] | type[NoiseGenerator]] = {
    "dcgan": DCGAN,
    "interpolation": Interpolation,
    "resnet18": ResNet18,
    "rrdbnet": RRDBNet,
    "srresnet": SRResNet,
    "unet": UNet,
}
DISCRIMINATORS: dict[str, type[Discriminator]] = {
    "patchgan": PatchGAN,
    "vgg": VGG,
}


def build(
    table: Mapping[str, Callable[..., Any]], kind: str, name: str, options: Mapping[str, Any], **given: Any
) -> nn.Module:
    """Build a network by name; its constructor's signature states its options.

    Args:
        table: `GENERATORS`, `DISCRIMINATORS` or any table of constructors.
        kind: what the table holds, for messages, such as `generator`.
        name: an entry of the table, or `package.module:Class` for a class of a user's own.
        options: the options that a configuration gives.
        **given: arguments that the caller supplies (channels, factor); options may not repeat them.

    Raises:
        ConfigError: for an unknown name or option, a value that the constructor refuses, or a class of another kind.
    """
    factory = _find(table, kind, name)
    known = [p for p in inspect.signature(factory).parameters if p not in given]
    for option in options:
        if option not in known:
            raise ConfigError(f"{kind}.{option}: {name} has no such option.{nearest(option, known)}")
    try:
        network = factory(**given, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{kind}: {name} refuses its options {dict(options)}: {error}") from error
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{kind}.name: {name} returns a {type(network).__name__}, expected a torch.nn.Module.")
    return network


def _find(table: Mapping[str, Callable[..., Any]], kind: str, name: str) -> Callable[..., Any]:
    """Return an entry of the table, or a class of the user's own."""
    if name in table:
        return table[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(f"{kind}.name: no {kind} called {name!r}.{nearest(name, table)}")
    try:
        constructor: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{kind}.name: cannot import {name!r}: {error}. Is its package installed? For a file in the current folder, "
            "set PYTHONPATH=."
        ) from error
    return constructor


def count_parameters(network: nn.Module | None) -> int:
    """Return the number of parameters, including frozen ones and not buffers; 0 where there is no network."""
    return 0 if network is None else sum(p.numel() for p in network.parameters())
