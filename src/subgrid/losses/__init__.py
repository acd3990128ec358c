"""Losses: one class and one line in a table each.

Content losses derive from `ContentLoss`, adversarial losses from `AdversarialLoss`. `FeatureMatching` compares the
features that the discriminator computes from generated and from true fields. The names in `DISCRIMINATOR_LOSSES` need a
discriminator.
"""

from __future__ import annotations

from collections.abc import Callable

from subgrid.losses.adversarial import Hinge, Minimax, RelativisticAverage, Vanilla
from subgrid.losses.base import AdversarialLoss, ContentLoss
from subgrid.losses.perceptual import Perceptual
from subgrid.losses.pixel import L1, MSE, Charbonnier
from subgrid.losses.structure import BoxSSIM, GaussianSSIM, GradientDifference, MultiScaleSSIM

LOSSES: dict[str, Callable[..., ContentLoss]] = {
    "l1": L1,
    "mse": MSE,
    "charbonnier": Charbonnier,
    "ssim_box": BoxSSIM,
    "ssim": GaussianSSIM,
    "ms_ssim": MultiScaleSSIM,
    "gradient": GradientDifference,
    "perceptual": Perceptual,
}
ADVERSARIAL: dict[str, Callable[..., AdversarialLoss]] = {
    "vanilla": Vanilla,
    "minimax": Minimax,
    "relativistic": RelativisticAverage,
    "hinge": Hinge,
}
DISCRIMINATOR_LOSSES = ("adversarial", "feature_matching")
