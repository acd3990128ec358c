"""Feature matching: the discriminator's own features as a perceptual measure, which no download is needed for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS = ("before", "after")
SLOPE = 0.2  # of the discriminators' LeakyReLU


class FeatureMatching(nn.Module):
    """Mean absolute difference of what the discriminator makes of made and of real fields, averaged over its layers.

    Wang et al. 2018, arXiv:1711.11585, equation 5. The gradient reaches the generator alone: the discriminator is held fixed,
    and its features of real fields are no function of the generator.
    """

    def __init__(self, activation: str = "before") -> None:
        """Build.

        Args:
            activation: features `before` the activations, as ESRGAN takes them from its own network (Wang et al. 2018,
                arXiv:1809.00219, section 3.3: they are denser), or `after`.
        """
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation: got {activation!r}, expected one of {', '.join(ACTIVATIONS)}")
        self.activation = activation

    def forward(self, fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
        """Two lists of features, (b, f, h, w) each, to a scalar."""
        distances = [
            F.l1_loss(self._seen(made), self._seen(true.detach())) for made, true in zip(fake, real, strict=True)
        ]
        return torch.stack(distances).mean()

    def _seen(self, features: Tensor) -> Tensor:
        features = features.float()
        return features if self.activation == "before" else F.leaky_relu(features, SLOPE)
