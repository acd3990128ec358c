"""Adversarial losses: two sides of one game, on the discriminator's outputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MEANS: dict[str, tuple[int, ...]] = {"batch": (0,), "all": (0, 1, 2, 3)}
HALVES = ("both", "fake")


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
    exchanged, D's word on real fields held fixed. The half is BasicSR's, and the usual weight of 5e-3 belongs to it.
    """

    needs_real = True

    def __init__(self, mean: str = "batch", generator_halves: str = "both") -> None:
        """Build.

        Args:
            mean: `batch`: means over the batch, place by place; `all`: over the places too, as the study's PREGAN has it.
            generator_halves: `both`; or `fake`: G's loss is BCE(fake - mean(real), 1) alone and whole, as the study has it.
                The gradient through mean(fake) is missing then.

        Raises:
            ValueError: for another word.
        """
        for option, value, choices in (("mean", mean, MEANS), ("generator_halves", generator_halves, HALVES)):
            if value not in choices:
                raise ValueError(f"{option}: got {value!r}, expected one of {', '.join(choices)}")
        self.over = MEANS[mean]
        self.both = generator_halves == "both"

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Half the sum of both cross-entropies."""
        return 0.5 * (_against(real - self._mean(fake), 1.0) + _against(fake - self._mean(real), 0.0))

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Half the sum with the labels exchanged, or the half of the made fields alone."""
        real = real.detach()
        of_fake = _against(fake - self._mean(real), 1.0)
        return 0.5 * (_against(real - self._mean(fake), 0.0) + of_fake) if self.both else of_fake

    def _mean(self, verdicts: Tensor) -> Tensor:
        return verdicts.mean(self.over, keepdim=True)


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
