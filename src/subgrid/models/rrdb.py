"""RRDBNet, the generator of ESRGAN (Wang et al. 2018, arXiv:1809.00219)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from subgrid.models.blocks import Upsampler, add_base, doublings, squasher, start_at_base, with_static

RESIDUAL_SCALE = 0.2
DENSE_CONVOLUTIONS = 5


class DenseBlock(nn.Module):
    """Five 3x3 convolutions that each see all before them, a sixth back to the width, added to the input at .2."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.grow = nn.ModuleList(
            nn.Conv2d(features + i * growth, growth, 3, padding=1) for i in range(DENSE_CONVOLUTIONS)
        )
        self.shrink = nn.Conv2d(features + DENSE_CONVOLUTIONS * growth, features, 3, padding=1)
        self.act = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, h, w) to the same."""
        seen = [x]
        for convolution in self.grow:
            seen.append(self.act(convolution(torch.cat(seen, 1))))
        out: Tensor = x + RESIDUAL_SCALE * self.shrink(torch.cat(seen, 1))
        return out


class RRDB(nn.Module):
    """Three dense blocks, added to the input at .2: a residual in residual dense block."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(features, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        """(b, f, h, w) to the same."""
        out: Tensor = x + RESIDUAL_SCALE * self.blocks(x)
        return out


class RRDBNet(nn.Module):
    """RRDBs on the coarse grid, then a doubling by PixelShuffle for each power of two; no BatchNorm anywhere."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        factor: int = 4,
        static_channels: int = 0,
        features: int = 64,
        blocks: int = 8,
        growth: int = 32,
        head: str = "linear",
        base: str = "none",
        init_scale: float = 1.0,
    ) -> None:
        """Build.

        Args:
            channels_in: variables of the coarse input.
            channels_out: variables of the output.
            factor: 2, 4, 8, ...
            static_channels: fine static fields beside the input.
            features: channels inside.
            blocks: RRDBs.
            growth: channels that each convolution of a dense block adds.
            head: `linear` or `tanh`.
            base: interpolation added to the output, `none`, `bilinear` or `bicubic`.
            init_scale: the dense blocks' weights start at Kaiming's times this; 1 leaves torch's own start. ESRGAN takes .1.
        """
        super().__init__()
        self.factor, self.multiple, self.base = factor, 1, base
        # 3x3 stem, 18 convolutions a block, trunk, doublings and head, and the interpolation's two
        self.halo_cells = 1 + 18 * blocks + 1 + 2 + 1 + 2
        self.stem = nn.Conv2d(channels_in + static_channels * factor**2, features, 3, padding=1)
        self.body = nn.Sequential(
            *(RRDB(features, growth) for _ in range(blocks)), nn.Conv2d(features, features, 3, padding=1)
        )
        self.upsample = Upsampler(features, doublings(factor), lambda: nn.LeakyReLU(0.2))
        self.head = nn.Conv2d(features, channels_out, 3, padding=1)
        self.squash = squasher(head)
        if init_scale != 1.0:
            self._shrink(init_scale)
        start_at_base(self.head, base, channels_in, channels_out)

    def _shrink(self, scale: float) -> None:
        """Small starting weights in the dense blocks, so that many residuals in a row start as the identity."""
        for block in self.body.modules():
            if isinstance(block, DenseBlock):
                for convolution in block.modules():
                    if isinstance(convolution, nn.Conv2d):
                        nn.init.kaiming_normal_(convolution.weight, a=0.2)
                        convolution.weight.data *= scale
                        assert convolution.bias is not None
                        nn.init.zeros_(convolution.bias)

    def forward(self, lr: Tensor, static: Tensor | None = None) -> Tensor:
        """(b, c_in, h, w) and static (b, s, h*factor, w*factor) to (b, c_out, h*factor, w*factor)."""
        shallow = self.stem(with_static(lr, static, self.factor))
        out: Tensor = self.squash(self.head(self.upsample(shallow + self.body(shallow))))
        return add_base(out, lr, self.factor, self.base)
