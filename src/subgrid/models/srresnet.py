"""SRResNet, the generator of SRGAN (Ledig et al. 2017, arXiv:1609.04802), with the study's additions."""

from __future__ import annotations

from torch import Tensor, nn

from subgrid.models.blocks import (
    MultiScale,
    ResidualBlock,
    Upsampler,
    add_interpolation,
    convolution,
    doublings,
    output_activation,
    with_static,
    zero_init_head,
)
from subgrid.models.protocols import Coarse, Fine, Generator, Static


class SRResNet(nn.Module, Generator):
    """Residual blocks on the coarse grid, then a doubling by PixelShuffle for each power of two.

    As published it has BatchNorm and a tanh output, and nothing is added to the output. tanh limits standardised values
    to one standard deviation. The corrected form is `norm="none", head="linear", residual="bicubic"`.

    `halo_cells` is that of the convolutions. With channel attention, which takes means over the whole field, every
    output cell depends weakly on every input cell, and the means of whole fields differ from those of training patches.

    Args:
        features: channels of the hidden layers, at least 1. Time and memory grow with its square.
        blocks: number of residual blocks; each adds 2 coarse cells to the halo.
        norm: `batch` (as published) for BatchNorm, or `none`. With BatchNorm the output for a field
            depends on the other fields of its training batch.
        head: activation of the output: `tanh` (as published) limits it to one standard deviation; `linear`
            does not.
        residual: interpolated input that the output is added to: `none` (as published), `bilinear` or
            `bicubic`. Training then starts from the interpolation, and the network learns what it lacks.
        attention: `se` for squeeze and excitation at the end of each residual block, or `none`.
        multiscale: insert 3x3, 5x5 and 7x7 convolutions in parallel after the first layer.
        dilation: dilation of the convolutions in residual blocks, in coarse cells.
        head_kernel: width of the last convolution, odd; the published 9 takes a quarter of an update's time on a
            CPU.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        factor: int = 4,
        static_channels: int = 0,
        features: int = 64,
        blocks: int = 8,
        norm: str = "batch",
        head: str = "tanh",
        residual: str = "none",
        attention: str = "none",
        multiscale: bool = False,
        dilation: int = 1,
        head_kernel: int = 9,
    ) -> None:
        super().__init__()
        _check_sizes(features, blocks, head_kernel)
        self.factor, self.residual = factor, residual
        # 9x9, 7x7 (multiscale), two 3x3 per block, 3x3; on finer grids 3x3 and the head; two cells of the interpolation
        self.halo_cells = 4 + 3 * multiscale + 2 * blocks * dilation + 1 + 2 + -(-(head_kernel // 2) // factor) + 2
        self.stem = nn.Sequential(
            nn.Conv2d(channels_in + static_channels * factor**2, features, 9, padding=4), nn.PReLU()
        )
        self.body = nn.Sequential(
            *([MultiScale(features)] if multiscale else []),
            *(ResidualBlock(features, norm, attention, dilation) for _ in range(blocks)),
            *convolution(features, features, norm),
        )
        self.upsample = Upsampler(features, doublings(factor), nn.PReLU)
        self.head = nn.Conv2d(features, channels_out, head_kernel, padding=head_kernel // 2)
        self.activation = output_activation(head)
        zero_init_head(self.head, residual, channels_in, channels_out)

    def forward(self, lr: Coarse, static: Static | None = None) -> Fine:
        """Return (b, c_out, h*factor, w*factor) from (b, c_in, h, w) and static fields (b, s, h*factor, w*factor)."""
        shallow = self.stem(with_static(lr, static, self.factor))
        out: Tensor = self.activation(self.head(self.upsample(shallow + self.body(shallow))))
        return add_interpolation(out, lr, self.factor, self.residual)


def _check_sizes(features: int, blocks: int, head_kernel: int) -> None:
    if features < 1 or blocks < 0:
        raise ValueError(f"features must be at least 1 and blocks at least 0: got {features} and {blocks}")
    if head_kernel < 1 or head_kernel % 2 == 0:
        raise ValueError(f"head_kernel: got {head_kernel}, expected an odd number")
