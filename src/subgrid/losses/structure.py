"""Losses that compare local structure."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BoxSSIM(nn.Module):
    """One minus SSIM with 3x3 mean filters, the published study's form, on standardised fields.

    SSIM = (2 mx my + C1)(2 sxy + C2) / ((mx^2 + my^2 + C1)(sx + sy + C2)), after Wang et al. 2004,
    doi:10.1109/TIP.2003.819861, C1 = .01^2, C2 = .03^2. The study pads with zeros that count in the mean.
    """

    def __init__(self, c1: float = 0.01**2, c2: float = 0.03**2) -> None:
        super().__init__()
        self.c1, self.c2 = c1, c2

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """(b, c, H, W) twice to a scalar between 0 and 2."""
        x, y = sr.float(), hr.float()  # variances as differences of squares need the digits
        mean_x, mean_y = _box(x), _box(y)
        var_x = _box(x * x) - mean_x**2
        var_y = _box(y * y) - mean_y**2
        cov = _box(x * y) - mean_x * mean_y
        numerator = (2 * mean_x * mean_y + self.c1) * (2 * cov + self.c2)
        denominator = (mean_x**2 + mean_y**2 + self.c1) * (var_x + var_y + self.c2)
        return 1 - (numerator / (denominator + 1e-8)).mean()


def _box(fields: Tensor) -> Tensor:
    return F.avg_pool2d(fields, 3, stride=1, padding=1)
