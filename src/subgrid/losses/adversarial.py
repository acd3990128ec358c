"""Adversarial losses: two sides of one game, on the discriminator's outputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class Vanilla:
    """Binary cross-entropy with logits; the generator's side in the non-saturating form (Goodfellow et al. 2014).

    On the outputs of a discriminator that ends in a sigmoid this is the study's double sigmoid.
    """

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Mean of the cross-entropies of real fields against 1 and made fields against 0."""
        return 0.5 * (_against(real, 1.0) + _against(fake, 0.0))

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Cross-entropy of made fields against 1; `real` plays no part."""
        return _against(fake, 1.0)


def _against(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, label, dtype=torch.float32))
