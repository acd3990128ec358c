"""Layers and functions that several generators share."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from subgrid.models.protocols import Features

NORMS = ("batch", "none")
HEADS = ("tanh", "linear")
RESIDUALS = ("none", "bilinear", "bicubic")
ATTENTIONS = ("none", "se")


def resize(fields: Float[Tensor, "b c h w"], factor: int, mode: str) -> Float[Tensor, "b c {factor}*h {factor}*w"]:
    """Interpolate between cell centres to a grid `factor` times finer; values at the edge are repeated beyond it.

    Args:
        fields: (b, c, h, w).
        factor: fine cells per coarse cell.
        mode: `bilinear` or `bicubic` (Keys 1981, doi:10.1109/TASSP.1981.1163711, with a = -0.75).

    Returns:
        (b, c, h*factor, w*factor) float32.
    """
    return F.interpolate(fields.float(), scale_factor=factor, mode=mode, align_corners=False)


def with_static(
    lr: Float[Tensor, "b c h w"], static: Float[Tensor, "b s {factor}*h {factor}*w"] | None, factor: int
) -> Float[Tensor, "b c_all h w"]:
    """Append fine static fields to coarse ones: each block of fine cells becomes channels, so that no detail is lost.

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
        weighting = [ChannelAttention(features)] if attention == "se" else []
        self.layers = nn.Sequential(*first, nn.PReLU(), *second, *weighting)

    def forward(self, x: Features) -> Features:
        """Return features of the same shape."""
        out: Tensor = x + self.layers(x)
        return out


class ChannelAttention(nn.Module):
    """Squeeze and excitation: weights of the channels, computed from their means (Hu et al. 2018, arXiv:1709.01507)."""

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

    def forward(self, x: Features) -> Features:
        """Return features of the same shape."""
        out: Tensor = x * self.weigh(x)
        return out


class MultiScale(nn.Module):
    """3x3, 5x5 and 7x7 convolutions in parallel, combined by a 1x1 convolution and added to the input."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(nn.Conv2d(features, features, k, padding=k // 2) for k in (3, 5, 7))
        self.fuse = nn.Conv2d(3 * features, features, 1)

    def forward(self, x: Features) -> Features:
        """Return features of the same shape."""
        out: Tensor = x + self.fuse(torch.cat([scale(x) for scale in self.scales], 1))
        return out


class Upsampler(nn.Sequential):
    """For each doubling of the grid: a convolution to four times the channels, PixelShuffle and an activation."""

    def __init__(self, features: int, steps: int, activation: Callable[[], nn.Module]) -> None:
        layers: list[nn.Module] = []
        for _ in range(steps):
            layers += [nn.Conv2d(features, 4 * features, 3, padding=1), nn.PixelShuffle(2), activation()]
        super().__init__(*layers)


def convolution(channels_in: int, channels_out: int, norm: str, kernel: int = 3, dilation: int = 1) -> list[nn.Module]:
    """Return a convolution that keeps the size, followed by BatchNorm where `norm` is `batch`."""
    pad = dilation * (kernel // 2)
    first = nn.Conv2d(channels_in, channels_out, kernel, padding=pad, dilation=dilation)
    return [first, *norm_layers(norm, channels_out)]


def norm_layers(norm: str, channels: int) -> list[nn.Module]:
    """Return BatchNorm where `norm` is `batch`, and no layer where it is `none`."""
    check_choice("norm", norm, NORMS)
    return [nn.BatchNorm2d(channels)] if norm == "batch" else []


def output_activation(head: str) -> nn.Module:
    """Return the activation of the output: `tanh`, or none for `linear`."""
    check_choice("head", head, HEADS)
    return nn.Tanh() if head == "tanh" else nn.Identity()


def zero_init_head(head: nn.Conv2d | nn.ConvTranspose2d, residual: str, channels_in: int, channels_out: int) -> None:
    """Set the last layer to zero where its output is added to an interpolation, so that training starts from that."""
    check_choice("residual", residual, RESIDUALS)
    if residual == "none":
        return
    if channels_in != channels_out:
        raise ValueError(
            f"residual {residual!r} adds the input to the output: got {channels_in} channels in, {channels_out} out"
        )
    nn.init.zeros_(head.weight)
    assert head.bias is not None
    nn.init.zeros_(head.bias)


def add_interpolation(out: Tensor, lr: Tensor, factor: int, residual: str) -> Tensor:
    """Return the output in float32, added to the interpolated input where `residual` names an interpolation."""
    return out.float() if residual == "none" else out.float() + resize(lr, factor, residual)


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise a ValueError for a value that is none of the choices."""
    if value not in choices:
        raise ValueError(f"{option}: got {value!r}, expected one of {', '.join(choices)}")


def doublings(factor: int) -> int:
    """Return the number of doublings that give the factor."""
    steps = factor.bit_length() - 1
    if factor != 1 << steps or factor < 2:
        raise ValueError(f"factor: got {factor}, this generator doubles the grid and needs 2, 4, 8, ...")
    return steps
