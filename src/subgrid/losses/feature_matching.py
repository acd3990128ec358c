"""Feature matching: the discriminator's own features as a perceptual distance, which needs no downloaded weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from subgrid.losses.base import Scalar

ACTIVATIONS = ("before", "after")
SLOPE = 0.2  # of the discriminators' LeakyReLU


class FeatureMatching(nn.Module):
    """Mean absolute difference between the discriminator's features of generated and true fields, averaged over layers.

    Wang et al. 2018, arXiv:1711.11585, equation 5. Only the generator gets a gradient: the discriminator's weights are
    held fixed, and the features of true fields are detached.

    Args:
        activation: compare features `before` the activations, which are denser, as ESRGAN does in its
            perceptual loss (Wang et al. 2018, arXiv:1809.00219, section 3.3); or `after` them.
    """

    def __init__(self, activation: str = "before") -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation: got {activation!r}, expected one of {', '.join(ACTIVATIONS)}")
        self.activation = activation

    def forward(self, fake: Sequence[Float[Tensor, "b ..."]], real: Sequence[Float[Tensor, "b ..."]]) -> Scalar:
        """Return the loss from the features of each layer, (b, f, h, w) each, before the activations."""
        distances = [
            F.l1_loss(self._activate(generated), self._activate(true.detach()))
            for generated, true in zip(fake, real, strict=True)
        ]
        return torch.stack(distances).mean()

    def _activate(self, features: Tensor) -> Tensor:
        features = features.float()
        return features if self.activation == "before" else F.leaky_relu(features, SLOPE)
