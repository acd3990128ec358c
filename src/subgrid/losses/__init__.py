"""Losses: one class and one line in a table each.

A content loss is called with `sr` and `hr`, standardised (b, c, H, W), and returns a scalar that carries a gradient to `sr`.
Where its constructor has an argument `variables`, it is given the names of the channels in their order. `window`, where it has
one, is the smallest side of a field in cells.

An adversarial loss has two sides, `discriminator(real, fake)` and `generator(real, fake)`. `FeatureMatching` compares what the
discriminator makes of both fields. These two are named in `GAME`: they need a discriminator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from subgrid.losses.adversarial import Hinge, Minimax, RelativisticAverage, Vanilla
from subgrid.losses.perceptual import Perceptual
from subgrid.losses.pixel import L1, MSE, Charbonnier
from subgrid.losses.structure import BoxSSIM, GaussianSSIM, GradientDifference, MultiScaleSSIM


class Adversarial(Protocol):
    """The two sides of the game."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss from its outputs."""
        ...

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """The generator's loss from the discriminator's outputs."""
        ...


LOSSES: dict[str, Callable[..., nn.Module]] = {
    "l1": L1,
    "mse": MSE,
    "charbonnier": Charbonnier,
    "ssim_box": BoxSSIM,
    "ssim": GaussianSSIM,
    "ms_ssim": MultiScaleSSIM,
    "gradient": GradientDifference,
    "perceptual": Perceptual,
}
ADVERSARIAL: dict[str, Callable[..., Adversarial]] = {
    "vanilla": Vanilla,
    "minimax": Minimax,
    "relativistic": RelativisticAverage,
    "hinge": Hinge,
}
GAME = ("adversarial", "feature_matching")
