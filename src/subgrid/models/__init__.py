"""Generators and discriminators: one class and one line in a table each.

A generator is called with `lr` (b, c_in, h, w) and, where it was built with static channels, `static`
(b, s, h*factor, w*factor); it returns `sr` (b, c_out, h*factor, w*factor), all standardised. It states

- `factor`: fine cells per coarse cell along an axis,
- `multiple`: what h and w must be a multiple of,
- `halo_cells`: coarse cells on each side that an output cell depends on (channel attention apart, which sees the whole field),
- `any_size`, where it has it and it is true: it pads h and w to `multiple` itself,
- `load_pretrained()`, where it has it: called once when a training starts, to put in weights made elsewhere.

An unconditional generator, one of `SAMPLERS`, is called with `noise` (b, latent) alone; it states `latent` and `shape`.

A discriminator is called with `condition`, the interpolated input, and `field`, both (b, c, H, W), and returns logits; its
`listen` returns inner features too, for feature matching.
"""

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
from subgrid.models.resnet import ResNet18
from subgrid.models.rrdb import RRDBNet
from subgrid.models.srresnet import SRResNet
from subgrid.models.unet import UNet

GENERATORS: dict[str, Callable[..., nn.Module]] = {
    "interpolation": Interpolation,
    "resnet18": ResNet18,
    "rrdbnet": RRDBNet,
    "srresnet": SRResNet,
    "unet": UNet,
}
SAMPLERS: dict[str, Callable[..., nn.Module]] = {
    "dcgan": DCGAN,
}
DISCRIMINATORS: dict[str, Callable[..., nn.Module]] = {
    "patchgan": PatchGAN,
    "vgg": VGG,
}


def build(
    table: Mapping[str, Callable[..., nn.Module]], kind: str, name: str, options: Mapping[str, Any], **given: Any
) -> nn.Module:
    """Build a part by name; its constructor's signature is its schema.

    Args:
        table: `GENERATORS`, `SAMPLERS` or `DISCRIMINATORS`, or any table of constructors.
        kind: what the table holds, for messages, such as `generator`.
        name: an entry of the table, or `package.module:Name` of a class of your own.
        options: the options a configuration gives.
        **given: arguments that the caller supplies (channels, factor); options may not repeat them.

    Raises:
        ConfigError: for an unknown name or option, or a value that the constructor refuses.
    """
    factory = _find(table, kind, name)
    known = [p for p in inspect.signature(factory).parameters if p not in given]
    for option in options:
        if option not in known:
            raise ConfigError(f"{kind}.{option}: {name} has no such option.{nearest(option, known)}")
    try:
        return factory(**given, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{kind}: {name} refuses its options {dict(options)}: {error}") from error


def _find(table: Mapping[str, Callable[..., nn.Module]], kind: str, name: str) -> Callable[..., nn.Module]:
    """An entry of the table, or a class of the user's."""
    if name in table:
        return table[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(f"{kind}.name: no {kind} called {name!r}.{nearest(name, table)}")
    try:
        found: Callable[..., nn.Module] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{kind}.name: cannot import {name!r}: {error}. Is its package installed?") from error
    return found


def count_parameters(network: nn.Module | None) -> int:
    """Numbers that a network is made of, frozen ones included and buffers not; 0 where there is no network."""
    return 0 if network is None else sum(p.numel() for p in network.parameters())
