"""SRResNet, the generator of SRGAN (Ledig et al. 2017, arXiv:1609.04802), with the study's additions."""

from __future__ import annotations

from torch import Tensor, nn

from subgrid.models.blocks import (
    MultiScale,
    ResidualBlock,
    Upsampler,
    add_base,
    convolution,
    doublings,
    squasher,
    start_at_base,
    with_static,
)


class SRResNet(nn.Module):
    """Residual blocks on the coarse grid, then a doubling by PixelShuffle for each power of two.

    As published: BatchNorm, tanh head, nothing added to the output. tanh on standardised targets clips every value beyond
    one standard deviation; the sound form takes `norm="none", head="linear", base="bicubic"`, so that the network learns what
    interpolation lacks and starts from it (the last convolution then starts at zero).

    `halo_cells` is that of the convolutions. Channel attention takes means over all the field it is given, so with it every
    output cell depends, weakly, on every input cell, and whole fields are weighed by other means than patches were.
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
        base: str = "none",
        attention: str = "none",
        multiscale: bool = False,
        dilation: int = 1,
        head_kernel: int = 9,
    ) -> None:
        """Build.

        Args:
            channels_in: variables of the coarse input.
            channels_out: variables of the output.
            factor: 2, 4, 8, ...
            static_channels: fine static fields beside the input.
            features: channels inside.
            blocks: residual blocks.
            norm: `batch` or `none`.
            head: `tanh` or `linear`.
            base: interpolation added to the output, `none`, `bilinear` or `bicubic`.
            attention: `se` ends each residual block with squeeze and excitation.
            multiscale: 3x3, 5x5 and 7x7 convolutions side by side after the first one.
            dilation: of the residual blocks' convolutions.
            head_kernel: side of the last convolution, odd; the published 9 takes a quarter of an update's time on a CPU.
        """
        super().__init__()
        if features < 1 or blocks < 0:
            raise ValueError(f"features must be at least 1 and blocks at least 0: got {features} and {blocks}")
        if head_kernel < 1 or head_kernel % 2 == 0:
            raise ValueError(f"head_kernel: got {head_kernel}, expected an odd number")
        steps = doublings(factor)
        self.factor, self.multiple, self.base = factor, 1, base
        # 9x9, the scales' 7x7, two 3x3 a block, one 3x3, then 3x3 and the head on finer grids, and the interpolation's two
        self.halo_cells = 4 + 3 * multiscale + 2 * blocks * dilation + 1 + 2 + -(-(head_kernel // 2) // factor) + 2
        self.stem = nn.Sequential(
            nn.Conv2d(channels_in + static_channels * factor**2, features, 9, padding=4), nn.PReLU()
        )
        self.body = nn.Sequential(
            *([MultiScale(features)] if multiscale else []),
            *(ResidualBlock(features, norm, attention, dilation) for _ in range(blocks)),
            *convolution(features, features, norm),
        )
        self.upsample = Upsampler(features, steps, nn.PReLU)
        self.head = nn.Conv2d(features, channels_out, head_kernel, padding=head_kernel // 2)
        self.squash = squasher(head)
        start_at_base(self.head, base, channels_in, channels_out)

    def forward(self, lr: Tensor, static: Tensor | None = None) -> Tensor:
        """(b, c_in, h, w) and static (b, s, h*factor, w*factor) to (b, c_out, h*factor, w*factor)."""
        shallow = self.stem(with_static(lr, static, self.factor))
        out: Tensor = self.squash(self.head(self.upsample(shallow + self.body(shallow))))
        return add_base(out, lr, self.factor, self.base)
