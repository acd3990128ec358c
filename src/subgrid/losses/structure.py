"""Losses that compare local structure."""

from __future__ import annotations

import torch
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


class GaussianSSIM(nn.Module):
    """One minus SSIM in the standard form: Gaussian window of 11 cells and sigma 1.5, border cropped.

    Wang et al. 2004, doi:10.1109/TIP.2003.819861. The range of standardised fields is given; 6 standard deviations by default.
    """

    def __init__(self, data_range: float = 6.0, sigma: float = 1.5, window: int = 11) -> None:
        super().__init__()
        self.data_range, self.window = data_range, window
        self.kernel: Tensor
        self.register_buffer("kernel", gaussian_window(window, sigma), persistent=False)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """(b, c, H, W) twice, H and W at least the window, to a scalar."""
        refuse_small(sr, self.window)
        similarity, _ = ssim_and_contrast(sr.float(), hr.float(), self.kernel, self.data_range)
        return 1 - similarity.mean()


class MultiScaleSSIM(nn.Module):
    """One minus MS-SSIM (Wang, Simoncelli and Bovik 2003, doi:10.1109/ACSSC.2003.1292216) with as many scales as fit.

    Five scales and 11 cells need 176 cells; a field of 64 has room for three (64, 32, 16). The weights of the scales that fit
    are renormalised to a sum of one; `scale_weights` says them. Negative contrast terms are cut at a small positive number,
    which keeps the power and its gradient finite.
    """

    WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

    def __init__(self, data_range: float = 6.0, sigma: float = 1.5, window: int = 11) -> None:
        super().__init__()
        self.data_range, self.window = data_range, window
        self.kernel: Tensor
        self.register_buffer("kernel", gaussian_window(window, sigma), persistent=False)

    def scale_weights(self, height: int, width: int) -> list[float]:
        """Weights of the scales that a field has room for, at most five, finest first, with a sum of one."""
        side, fitting = min(height, width), 0
        while fitting < len(self.WEIGHTS) and side >= self.window:
            fitting, side = fitting + 1, side // 2
        chosen = self.WEIGHTS[:fitting]
        return [weight / sum(chosen) for weight in chosen]

    def describe(self, height: int, width: int) -> str:
        """What it does with fields of this size, in words."""
        weights = self.scale_weights(height, width)
        said = ", ".join(f"{weight:.3f}" for weight in weights)
        return f"{len(weights)} of {len(self.WEIGHTS)} scales fit {height} x {width} cells, with weights {said}"

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """(b, c, H, W) twice, H and W at least the window, to a scalar."""
        refuse_small(sr, self.window)
        x, y = sr.float(), hr.float()
        weights = self.scale_weights(x.shape[-2], x.shape[-1])
        product = torch.ones(x.shape[:2], device=x.device)
        for i, weight in enumerate(weights):
            similarity, contrast = ssim_and_contrast(x, y, self.kernel, self.data_range)
            term = similarity if i == len(weights) - 1 else contrast
            product = product * term.mean((-2, -1)).clamp_min(1e-6) ** weight
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return 1 - product.mean()


class GradientDifference(nn.Module):
    """L1 distance between the absolute differences of neighbours, rows plus columns, as the study ran it.

    After Mathieu et al. 2016, arXiv:1511.05440, with exponent 1.
    """

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """(b, c, H, W) twice to a scalar."""
        return sum((F.l1_loss(sr.diff(dim=d).abs(), hr.diff(dim=d).abs()) for d in (-2, -1)), sr.new_zeros(()))


def gaussian_window(cells: int, sigma: float) -> Tensor:
    """(cells,) weights that sum to one."""
    offset = torch.arange(cells, dtype=torch.float64) - (cells - 1) / 2
    weights = torch.exp(-0.5 * (offset / sigma) ** 2)
    return (weights / weights.sum()).float()


def refuse_small(fields: Tensor, window: int) -> None:
    """A field without room for one window has no similarity.

    Raises:
        ValueError: if it is smaller.
    """
    height, width = fields.shape[-2:]
    if min(height, width) < window:
        raise ValueError(f"fields of {height} x {width} cells have no room for its window of {window} cells")


def ssim_and_contrast(x: Tensor, y: Tensor, kernel: Tensor, data_range: float) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure term at each cell where the window fits, (b, c, H-10, W-10)."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_x, mean_y = _blur(x, kernel), _blur(y, kernel)
    var_x = _blur(x * x, kernel) - mean_x**2
    var_y = _blur(y * y, kernel) - mean_y**2
    cov = _blur(x * y, kernel) - mean_x * mean_y
    contrast = (2 * cov + c2) / (var_x + var_y + c2)
    return (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1) * contrast, contrast


def _blur(fields: Tensor, kernel: Tensor) -> Tensor:
    """Separable convolution of each channel, valid cells alone."""
    channels = fields.shape[1]
    rows = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    columns = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    return F.conv2d(F.conv2d(fields, rows, groups=channels), columns, groups=channels)


def _box(fields: Tensor) -> Tensor:
    return F.avg_pool2d(fields, 3, stride=1, padding=1)
