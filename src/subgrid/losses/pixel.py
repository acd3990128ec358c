"""Cell by cell losses, on standardised fields (b, c, H, W)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class L1(nn.Module):
    """Mean absolute difference, mean(|sr - hr|)."""

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """(b, c, H, W) twice to a scalar."""
        return F.l1_loss(sr, hr)


class MSE(nn.Module):
    """Mean squared difference, mean((sr - hr)^2)."""

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """(b, c, H, W) twice to a scalar."""
        return F.mse_loss(sr, hr)
