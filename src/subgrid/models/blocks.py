"""Parts that several generators share."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORMS = ("batch", "none")
HEADS = ("tanh", "linear")
BASES = ("none", "bilinear", "bicubic")
ATTENTIONS = ("none", "se")


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

    def __init__(self, features: int, norm: str, attention: str = "none", dilation: int = 1) -> None:
        super().__init__()
        check_choice("attention", attention, ATTENTIONS)
        first, second = (convolution(features, features, norm, dilation=dilation) for _ in range(2))
        weighed = [ChannelAttention(features)] if attention == "se" else []
        self.layers = nn.Sequential(*first, nn.PReLU(), *second, *weighed)

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, h, w) to the same."""
        out: Tensor = x + self.layers(x)
        return out


class ChannelAttention(nn.Module):
    """Squeeze and excitation: each channel is weighed by what its mean says of all (Hu et al. 2018, arXiv:1709.01507)."""

    def __init__(self, features: int, reduction: int = 16) -> None:
        super().__init__()
        inner = max(1, features // reduction)
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(features, inner, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(inner, features, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, h, w) to the same."""
        out: Tensor = x * self.weigh(x)
        return out


class MultiScale(nn.Module):
    """3x3, 5x5 and 7x7 convolutions side by side, brought back to the width by a 1x1, added to the input."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(nn.Conv2d(features, features, k, padding=k // 2) for k in (3, 5, 7))
        self.fuse = nn.Conv2d(3 * features, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, h, w) to the same."""
        out: Tensor = x + self.fuse(torch.cat([scale(x) for scale in self.scales], 1))
        return out


class Upsampler(nn.Sequential):
    """A convolution to four times the channels, PixelShuffle and an activation for each doubling of the grid."""

    def __init__(self, features: int, steps: int, activation: Callable[[], nn.Module]) -> None:
        layers: list[nn.Module] = []
        for _ in range(steps):
            layers += [nn.Conv2d(features, 4 * features, 3, padding=1), nn.PixelShuffle(2), activation()]
        super().__init__(*layers)


def convolution(channels_in: int, channels_out: int, norm: str, kernel: int = 3, dilation: int = 1) -> list[nn.Module]:
    """A same-size convolution, with BatchNorm behind it where `norm` says `batch`."""
    pad = dilation * (kernel // 2)
    first = nn.Conv2d(channels_in, channels_out, kernel, padding=pad, dilation=dilation)
    return [first, *norm_layers(norm, channels_out)]


def norm_layers(norm: str, channels: int) -> list[nn.Module]:
    """BatchNorm where `norm` says `batch`, nothing where it says `none`."""
    check_choice("norm", norm, NORMS)
    return [nn.BatchNorm2d(channels)] if norm == "batch" else []


def squasher(head: str) -> nn.Module:
    """What the output passes last: `tanh`, or nothing."""
    check_choice("head", head, HEADS)
    return nn.Tanh() if head == "tanh" else nn.Identity()


def start_at_base(head: nn.Conv2d | nn.ConvTranspose2d, base: str, channels_in: int, channels_out: int) -> None:
    """Start the last layer at zero where an interpolation is added, so that training starts from the interpolation."""
    check_choice("base", base, BASES)
    if base == "none":
        return
    if channels_in != channels_out:
        raise ValueError(
            f"base {base!r} adds the input to the output: got {channels_in} channels in, {channels_out} out"
        )
    nn.init.zeros_(head.weight)
    assert head.bias is not None
    nn.init.zeros_(head.bias)


def add_base(out: Tensor, lr: Tensor, factor: int, base: str) -> Tensor:
    """The output in float32, with the interpolated input added where `base` names an interpolation."""
    return out.float() if base == "none" else out.float() + resize(lr, factor, base)


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that is none of the choices."""
    if value not in choices:
        raise ValueError(f"{option}: got {value!r}, expected one of {', '.join(choices)}")


def doublings(factor: int) -> int:
    """How many doublings make the factor."""
    steps = factor.bit_length() - 1
    if factor != 1 << steps or factor < 2:
        raise ValueError(f"factor: got {factor}, this generator doubles the grid and needs 2, 4, 8, ...")
    return steps
