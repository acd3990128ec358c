"""Parts that several generators share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORMS = ("batch", "none")


def resize(fields: Tensor, factor: int, mode: str) -> Tensor:
    """Interpolate to a grid `factor` times finer, cell centres to cell centres; edge values are repeated beyond the edge.

    Args:
        fields: (b, c, h, w).
        factor: fine cells per coarse cell.
        mode: `bilinear` or `bicubic` (Keys 1981, doi:10.1109/TASSP.1981.1163711, with a = -0.75).

    Returns:
        (b, c, h*factor, w*factor) float32.
    """
    return F.interpolate(fields.float(), scale_factor=factor, mode=mode, align_corners=False)


def with_static(lr: Tensor, static: Tensor | None, factor: int) -> Tensor:
    """Put fine static channels beside coarse ones, each block of fine cells as channels, so that nothing is averaged away.

    Args:
        lr: (b, c, h, w).
        static: (b, s, h*factor, w*factor) or None.
        factor: fine cells per coarse cell.

    Returns:
        (b, c + s * factor**2, h, w).
    """
    if static is None or static.shape[1] == 0:
        return lr
    return torch.cat([lr, F.pixel_unshuffle(static, factor)], 1)


class ResidualBlock(nn.Module):
    """Convolution, PReLU, convolution, added to the input (Ledig et al. 2017, arXiv:1609.04802, figure 4)."""

    def __init__(self, features: int, norm: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *convolution(features, features, norm), nn.PReLU(), *convolution(features, features, norm)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, h, w) to the same."""
        out: Tensor = x + self.layers(x)
        return out


def convolution(channels_in: int, channels_out: int, norm: str, kernel: int = 3) -> list[nn.Module]:
    """A same-size convolution, with BatchNorm behind it where `norm` says `batch`."""
    if norm not in NORMS:
        raise ValueError(f"norm: got {norm!r}, expected one of {', '.join(NORMS)}")
    layers: list[nn.Module] = [nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)]
    return [*layers, nn.BatchNorm2d(channels_out)] if norm == "batch" else layers


def doublings(factor: int) -> int:
    """How many doublings make the factor."""
    steps = factor.bit_length() - 1
    if factor != 1 << steps or factor < 2:
        raise ValueError(f"factor: got {factor}, this generator doubles the grid and needs 2, 4, 8, ...")
    return steps
