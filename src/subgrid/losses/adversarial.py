"""Adversarial losses, computed from the discriminator's outputs for true and for generated fields."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from subgrid.losses.base import AdversarialLoss, Scalar

Logits = Float[Tensor, "b *place"]
MEANS: dict[str, tuple[int, ...]] = {"batch": (0,), "all": (0, 1, 2, 3)}
HALVES = ("both", "fake")


class Vanilla(AdversarialLoss):
    """Binary cross-entropy with logits; the generator's loss in its non-saturating form (Goodfellow et al. 2014).

    For a discriminator that ends in a sigmoid this is the double sigmoid of the published study.
    """

    def discriminator(self, real: Logits, fake: Logits) -> Scalar:
        """Return the mean of the cross-entropies of true fields with label 1 and of generated fields with label 0."""
        return 0.5 * (_cross_entropy(real, 1.0) + _cross_entropy(fake, 0.0))

    def generator(self, real: Logits, fake: Logits) -> Scalar:
        """Return the cross-entropy of generated fields with label 1; `real` is not used."""
        return _cross_entropy(fake, 1.0)


class RelativisticAverage(AdversarialLoss):
    """A true field should look more realistic than the average generated field, and the other way round.

    Jolicoeur-Martineau 2018, arXiv:1807.00734. Discriminator: half the sum of BCE(real - mean(fake), 1) and
    BCE(fake - mean(real), 0). Generator: the same with the labels exchanged and `real` detached. The factor of one half
    follows BasicSR; the usual weight of 5e-3 assumes it.

    Args:
        mean: what the means are taken over: `batch`, place by place; or `all`, over the batch and all
            places, as in the published PREGAN.
        generator_halves: terms of the generator's loss: `both`; or `fake`, BCE(fake - mean(real), 1)
            alone and not halved, as in the published PREGAN. With `fake` no gradient passes through mean(fake).

    Raises:
        ValueError: for another value.
    """

    needs_real = True

    def __init__(self, mean: str = "batch", generator_halves: str = "both") -> None:
        for option, value, choices in (("mean", mean, MEANS), ("generator_halves", generator_halves, HALVES)):
            if value not in choices:
                raise ValueError(f"{option}: got {value!r}, expected one of {', '.join(choices)}")
        self.dims = MEANS[mean]
        self.both = generator_halves == "both"

    def discriminator(self, real: Logits, fake: Logits) -> Scalar:
        """Return half the sum of both cross-entropies."""
        return 0.5 * (_cross_entropy(real - self._mean(fake), 1.0) + _cross_entropy(fake - self._mean(real), 0.0))

    def generator(self, real: Logits, fake: Logits) -> Scalar:
        """Return half the sum with the labels exchanged, or the term of the generated fields alone."""
        real = real.detach()
        of_fake = _cross_entropy(fake - self._mean(real), 1.0)
        return 0.5 * (_cross_entropy(real - self._mean(fake), 0.0) + of_fake) if self.both else of_fake

    def _mean(self, logits: Tensor) -> Tensor:
        return logits.mean(self.dims, keepdim=True)


class Hinge(AdversarialLoss):
    """Hinge loss (Lim and Ye 2017, arXiv:1705.02894): outputs beyond the margin cost nothing."""

    def discriminator(self, real: Logits, fake: Logits) -> Scalar:
        """Return half the sum of the means of relu(1 - real) and relu(1 + fake)."""
        return 0.5 * (F.relu(1.0 - real.float()).mean() + F.relu(1.0 + fake.float()).mean())

    def generator(self, real: Logits, fake: Logits) -> Scalar:
        """Return minus the mean output for generated fields; `real` is not used."""
        return -fake.float().mean()


class Minimax(Vanilla):
    """The original minimax form (Goodfellow et al. 2014, arXiv:1406.2661).

    The generator minimises log(1 - D(G)), whose gradient vanishes where the discriminator is certain.
    """

    def generator(self, real: Logits, fake: Logits) -> Scalar:
        """Return the mean of log(1 - sigmoid(fake)); `real` is not used."""
        return -_cross_entropy(fake, 0.0)


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, label, dtype=torch.float32))
