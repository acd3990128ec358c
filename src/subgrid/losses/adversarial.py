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


class RelativisticAverage:
    """Real fields should look more real than the average made one, and the other way round (Jolicoeur-Martineau 2018).

    arXiv:1807.00734. D: half the sum of BCE(real - mean(fake), 1) and BCE(fake - mean(real), 0); G: the same with the labels
    exchanged, D's word on real fields held fixed. The half is BasicSR's, and the usual weight of 5e-3 belongs to it. Means are
    over the batch, place by place.
    """

    needs_real = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Half the sum of both cross-entropies."""
        return 0.5 * (
            _against(real - fake.mean(0, keepdim=True), 1.0) + _against(fake - real.mean(0, keepdim=True), 0.0)
        )

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Half the sum with the labels exchanged."""
        real = real.detach()
        return 0.5 * (
            _against(real - fake.mean(0, keepdim=True), 0.0) + _against(fake - real.mean(0, keepdim=True), 1.0)
        )


class Hinge:
    """Hinge loss (Lim and Ye 2017, arXiv:1705.02894): D is paid only inside the margin."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Half the sum of relu(1 - real) and relu(1 + fake)."""
        return 0.5 * (F.relu(1.0 - real.float()).mean() + F.relu(1.0 + fake.float()).mean())

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Minus the mean of D's word on made fields."""
        return -fake.float().mean()


class Minimax(Vanilla):
    """The theory's game (Goodfellow et al. 2014, arXiv:1406.2661): G minimises log(1 - D(G)), which saturates when D wins."""

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Mean of log(1 - sigmoid(fake))."""
        return -_against(fake, 0.0)


def _against(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, label, dtype=torch.float32))
