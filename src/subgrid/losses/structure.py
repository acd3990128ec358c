"""Losses that compare local structure."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from subgrid.losses.base import ContentLoss, Fields, Scalar


class BoxSSIM(ContentLoss):
    """One minus SSIM with 3x3 mean filters, the form of the published study, on standardised fields.

    SSIM = (2 mx my + C1)(2 sxy + C2) / ((mx^2 + my^2 + C1)(sx + sy + C2)), after Wang et al. 2004,
    doi:10.1109/TIP.2003.819861. As in the study, fields are padded with zeros, which count in the means.

    Args:
        c1: C1, in standard deviations squared, which limits the effect of the means where both are near zero; above
            0.
        c2: C2, likewise for the variances; above 0.
    """

    def __init__(self, c1: float = 0.01**2, c2: float = 0.03**2) -> None:
        super().__init__()
        self.c1, self.c2 = c1, c2

    def forward(self, sr: Fields, hr: Fields) -> Scalar:
        """Return the loss, between 0 and 2."""
        x, y = sr.float(), hr.float()  # variances as differences of squares need the digits
        mean_x, mean_y = _box(x), _box(y)
        var_x = _box(x * x) - mean_x**2
        var_y = _box(y * y) - mean_y**2
        cov = _box(x * y) - mean_x * mean_y
        numerator = (2 * mean_x * mean_y + self.c1) * (2 * cov + self.c2)
        denominator = (mean_x**2 + mean_y**2 + self.c1) * (var_x + var_y + self.c2)
        return 1 - (numerator / (denominator + 1e-8)).mean()


class GaussianSSIM(ContentLoss):
    """One minus SSIM in the standard form, with a Gaussian window and no padding.

    Wang et al. 2004, doi:10.1109/TIP.2003.819861.

    Args:
        data_range: range of the fields, in standard deviations, which sets C1 = (0.01 data_range)^2 and
            C2 = (0.03 data_range)^2; above 0.
        sigma: standard deviation of the Gaussian window, in fine cells; above 0.
        window: width of the window, in fine cells, and the smallest height and width of a field.
    """

    def __init__(self, data_range: float = 6.0, sigma: float = 1.5, window: int = 11) -> None:
        super().__init__()
        self.data_range, self.window = data_range, window
        self.kernel: Tensor
        self.register_buffer("kernel", gaussian_window(window, sigma), persistent=False)

    def forward(self, sr: Fields, hr: Fields) -> Scalar:
        """Return the loss; H and W must be at least `window`."""
        check_size(sr, self.window)
        similarity, _ = ssim_and_contrast(sr.float(), hr.float(), self.kernel, self.data_range)
        return 1 - similarity.mean()


class MultiScaleSSIM(ContentLoss):
    """One minus MS-SSIM (Wang, Simoncelli and Bovik 2003, doi:10.1109/ACSSC.2003.1292216) with as many scales as fit.

    Five scales with a window of 11 cells need 176 cells; a field of 64 cells has room for three (64, 32, 16).
    `scale_weights` gives the weights of the scales that fit, which are scaled to a sum of one. Negative contrast terms
    are replaced by a small positive number, which keeps the power and its gradient finite.

    Args:
        data_range: range of the fields, in standard deviations, which sets C1 = (0.01 data_range)^2 and
            C2 = (0.03 data_range)^2; above 0.
        sigma: standard deviation of the Gaussian window, in cells of each scale; above 0.
        window: width of the window, in cells of each scale, and the smallest height and width of a field. A narrower
            window lets more scales fit.
    """

    WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

    def __init__(self, data_range: float = 6.0, sigma: float = 1.5, window: int = 11) -> None:
        super().__init__()
        self.data_range, self.window = data_range, window
        self.kernel: Tensor
        self.register_buffer("kernel", gaussian_window(window, sigma), persistent=False)

    def scale_weights(self, height: int, width: int) -> list[float]:
        """Return the weights of the scales that fit into a field, at most five, finest first; their sum is one."""
        side, fitting = min(height, width), 0
        while fitting < len(self.WEIGHTS) and side >= self.window:
            fitting, side = fitting + 1, side // 2
        chosen = self.WEIGHTS[:fitting]
        return [weight / sum(chosen) for weight in chosen]

    def describe(self, height: int, width: int) -> str:
        """Say how many scales fit, and their weights."""
        weights = self.scale_weights(height, width)
        listed = ", ".join(f"{weight:.3f}" for weight in weights)
        return f"{len(weights)} of {len(self.WEIGHTS)} scales fit {height} x {width} cells, with weights {listed}"

    def forward(self, sr: Fields, hr: Fields) -> Scalar:
        """Return the loss; H and W must be at least `window`."""
        check_size(sr, self.window)
        x, y = sr.float(), hr.float()
        weights = self.scale_weights(x.shape[-2], x.shape[-1])
        product = torch.ones(x.shape[:2], device=x.device)
        for i, weight in enumerate(weights):
            similarity, contrast = ssim_and_contrast(x, y, self.kernel, self.data_range)
            term = similarity if i == len(weights) - 1 else contrast
            product = product * term.mean((-2, -1)).clamp_min(1e-6) ** weight
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        return 1 - product.mean()


class GradientDifference(ContentLoss):
    """L1 distance between the absolute differences of neighbouring cells, rows plus columns, as in the published study.

    After Mathieu et al. 2016, arXiv:1511.05440, with exponent 1.
    """

    def forward(self, sr: Fields, hr: Fields) -> Scalar:
        """Return the loss."""
        return sum((F.l1_loss(sr.diff(dim=d).abs(), hr.diff(dim=d).abs()) for d in (-2, -1)), sr.new_zeros(()))


def gaussian_window(cells: int, sigma: float) -> Tensor:
    """Return weights (cells,) that sum to one."""
    offset = torch.arange(cells, dtype=torch.float64) - (cells - 1) / 2
    weights = torch.exp(-0.5 * (offset / sigma) ** 2)
    return (weights / weights.sum()).float()


def check_size(fields: Fields, window: int) -> None:
    """Check that a window fits into the fields.

    Raises:
        ValueError: if it does not.
    """
    height, width = fields.shape[-2:]
    if min(height, width) < window:
        raise ValueError(f"fields of {height} x {width} cells are smaller than its window of {window} cells")


def ssim_and_contrast(x: Fields, y: Fields, kernel: Tensor, data_range: float) -> tuple[Tensor, Tensor]:
    """Return SSIM and its contrast-structure term where the window fits, (b, c, H - window + 1, W - window + 1) each."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_x, mean_y = _blur(x, kernel), _blur(y, kernel)
    var_x = _blur(x * x, kernel) - mean_x**2
    var_y = _blur(y * y, kernel) - mean_y**2
    cov = _blur(x * y, kernel) - mean_x * mean_y
    contrast = (2 * cov + c2) / (var_x + var_y + c2)
    return (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1) * contrast, contrast


def _blur(fields: Tensor, kernel: Tensor) -> Tensor:
    """Convolve each channel with a separable kernel, without padding."""
    channels = fields.shape[1]
    rows = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    columns = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    return F.conv2d(F.conv2d(fields, rows, groups=channels), columns, groups=channels)


def _box(fields: Tensor) -> Tensor:
    return F.avg_pool2d(fields, 3, stride=1, padding=1)
