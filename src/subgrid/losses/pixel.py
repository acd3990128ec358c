"""Cell by cell losses, on standardised fields (b, c, H, W)."""

from __future__ import annotations

import torch
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


class Charbonnier(nn.Module):
    """Mean of sqrt(d^2 + eps^2): L1 with a gradient at zero (Charbonnier et al. 1994, doi:10.1109/ICIP.1994.413553)."""

    def __init__(self, eps: float = 1e-3) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """(b, c, H, W) twice to a scalar."""
        return torch.sqrt((sr - hr) ** 2 + self.eps**2).mean()
