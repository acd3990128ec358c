"""Losses computed cell by cell, on standardised fields (b, c, H, W)."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from subgrid.losses.base import ContentLoss, Fields, Scalar


class L1(ContentLoss):
    """Mean absolute difference, mean(|sr - hr|)."""

    def forward(self, sr: Fields, hr: Fields) -> Scalar:
        """Return the loss."""
        return F.l1_loss(sr, hr)


class MSE(ContentLoss):
    """Mean squared difference, mean((sr - hr)^2)."""

    def forward(self, sr: Fields, hr: Fields) -> Scalar:
        """Return the loss."""
        return F.mse_loss(sr, hr)


class Charbonnier(ContentLoss):
    """Mean of sqrt(d^2 + eps^2): L1 with a gradient at zero (Charbonnier et al. 1994, doi:10.1109/ICIP.1994.413553).

    Args:
        eps: the difference, in standard deviations, below which the loss behaves as a squared error; above 0.
    """

    def __init__(self, eps: float = 1e-3) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, sr: Fields, hr: Fields) -> Scalar:
        """Return the loss."""
        return torch.sqrt((sr - hr) ** 2 + self.eps**2).mean()
