"""What callers ask of a network, and the shapes of its arguments.

The networks of this package derive from these protocols. A network of a user's own need not: `complete_generator` gives
it the defaults below for all properties that it does not state.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from subgrid.errors import ConfigError

Coarse = Float[Tensor, "b c_in h w"]
Static = Float[Tensor, "b s {self.factor}*h {self.factor}*w"]
Fine = Float[Tensor, "b c_out {self.factor}*h {self.factor}*w"]
Features = Float[Tensor, "b f h w"]
Condition = Float[Tensor, "b c_condition H W"]
Fields = Float[Tensor, "b c H W"]
Output = Float[Tensor, "b 1 _ _"]
LayerFeatures = Float[Tensor, "b _ _ _"]


@runtime_checkable
class Generator(Protocol):
    """A generator that refines coarse fields, called as `generator(lr)` or `generator(lr, static)`.

    Its constructor takes `channels_in` and `channels_out` (numbers of variables), `factor` and `static_channels`
    (number of fine static fields), and the options of a configuration.

    Attributes:
        conditional: it has a coarse input.
        factor: fine cells per coarse cell along an axis.
        size_multiple: the number that the height and width of the coarse input must be a multiple of.
        halo_cells: coarse cells on each side that an output cell depends on. Channel attention, which takes means over
            the whole field, is not counted. The default covers 32 convolutions of 3x3 cells on the coarse grid.
        pads_input: it pads its input to `size_multiple` itself, so that training patches may have any size.
    """

    conditional: bool = True
    factor: int
    size_multiple: int = 1
    halo_cells: int = 32
    pads_input: bool = False

    def forward(self, lr: Coarse, static: Static | None = None) -> Fine:
        """Return standardised fine fields from standardised coarse fields and scaled static fields."""
        ...


@runtime_checkable
class NoiseGenerator(Protocol):
    """A generator whose only input is noise, called as `generator(noise)`.

    Its constructor takes `channels_out` (number of variables) and `shape`, and the options of a configuration.

    Attributes:
        conditional: it has no coarse input.
        latent: length of the noise vector.
        shape: rows and columns of its fields, in fine cells.
    """

    conditional: bool = False
    latent: int
    shape: tuple[int, int]

    def forward(self, noise: Float[Tensor, "b latent"]) -> Fields:
        """Return standardised fine fields."""
        ...


@runtime_checkable
class Discriminator(Protocol):
    """A discriminator, called as `discriminator(condition, field)`.

    Its constructor takes `channels_in` (number of variables) and `channels_condition` (the same, or 0 where the
    generator has no coarse input), and the options of a configuration.
    """

    def forward(self, condition: Condition, field: Fields) -> Output:
        """Return logits from the interpolated coarse input, without channels where there is none, and fine fields."""
        ...


@runtime_checkable
class FeatureDiscriminator(Discriminator, Protocol):
    """A discriminator that feature matching can be computed with."""

    def forward_features(self, condition: Condition, field: Fields) -> tuple[Output, list[LayerFeatures]]:
        """Return the logits, and the features before each activation."""
        ...


RENAMED = {"multiple": "size_multiple", "any_size": "pads_input"}
"""Properties of generators that earlier versions had other names for."""


def complete_generator(network: nn.Module, name: str, factor: int) -> nn.Module:
    """Give a generator the default of each property that it does not state, and check those that it states.

    Args:
        network: a network that refines coarse fields.
        name: what the configuration calls it, for messages.
        factor: the configuration's factor.

    Raises:
        ConfigError: for a property with an impossible value, or with a name of an earlier version.
    """
    for old, new in RENAMED.items():
        if hasattr(network, old):
            raise ConfigError(f"generator: {name} states `{old}`, which is now called `{new}`; rename it.")
    for key in ("conditional", "size_multiple", "halo_cells", "pads_input"):
        if not hasattr(network, key):
            setattr(network, key, getattr(Generator, key))
    if not hasattr(network, "factor"):
        network.factor = factor  # type: ignore[assignment]
    for key, least in (("factor", 1), ("size_multiple", 1), ("halo_cells", 0)):
        value = getattr(network, key)
        if not isinstance(value, int) or value < least:
            raise ConfigError(
                f"generator: {name} states {key} = {value!r}, expected a whole number of at least {least}."
            )
    return network
