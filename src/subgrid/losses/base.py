"""What training asks of a content loss and of an adversarial loss, and the shapes of their arguments."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

Fields = Float[Tensor, "b c H W"]
"""Standardised fine fields."""
Scalar = Float[Tensor, ""]


class ContentLoss(nn.Module):
    """A distance between generated and true fields, called as `loss(sr, hr)`.

    `sr` and `hr` are standardised (b, c, H, W); the result is a scalar that carries a gradient to `sr`. A constructor
    with an argument `variables` is given the names of the channels in their order.

    Attributes:
        window: smallest height and width of a field, in fine cells.
    """

    window: int = 1

    def describe(self, height: int, width: int) -> str:
        """Say what the loss computes on fields of this size, in fine cells; empty where there is nothing to say."""
        return ""


class AdversarialLoss(ABC):
    """The losses of the discriminator and of the generator, both computed from the discriminator's outputs.

    `real` are the outputs for true fields and `fake` those for generated fields, of one shape (b, ...).

    Attributes:
        needs_real: whether the generator's loss depends on `real`; computing it takes one more forward pass.
    """

    needs_real: bool = False

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss, a scalar."""

    @abstractmethod
    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the generator's loss, a scalar."""
