"""SRResNet, the generator of SRGAN (Ledig et al. 2017, arXiv:1609.04802)."""

from __future__ import annotations

from torch import Tensor, nn

from subgrid.models.blocks import ResidualBlock, convolution, doublings, resize, with_static

HEADS = ("tanh", "linear")
BASES = ("none", "bilinear", "bicubic")


class SRResNet(nn.Module):
    """Residual blocks on the coarse grid, then a doubling by PixelShuffle for each power of two.

    As published: BatchNorm, tanh head, nothing added to the output. tanh on standardised targets clips every value beyond
    one standard deviation; the sound form takes `norm="none", head="linear", base="bicubic"`, so that the network learns what
    interpolation lacks and starts from it (the last convolution then starts at zero).
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
        """
        super().__init__()
        if head not in HEADS:
            raise ValueError(f"head: got {head!r}, expected one of {', '.join(HEADS)}")
        if base not in BASES:
            raise ValueError(f"base: got {base!r}, expected one of {', '.join(BASES)}")
        if base != "none" and channels_in != channels_out:
            raise ValueError(
                f"base {base!r} adds the input to the output: got {channels_in} channels in, {channels_out} out"
            )
        if features < 1 or blocks < 0:
            raise ValueError(f"features must be at least 1 and blocks at least 0: got {features} and {blocks}")
        steps = doublings(factor)
        self.factor, self.multiple, self.base = factor, 1, base
        # 9x9, two 3x3 a block, one 3x3, then 3x3 and 9x9 on finer grids, and the interpolation's two
        self.halo_cells = 4 + 2 * blocks + 1 + 2 + (4 + factor - 1) // factor + 2
        self.stem = nn.Sequential(
            nn.Conv2d(channels_in + static_channels * factor**2, features, 9, padding=4), nn.PReLU()
        )
        self.body = nn.Sequential(
            *(ResidualBlock(features, norm) for _ in range(blocks)), *convolution(features, features, norm)
        )
        double = [
            (nn.Conv2d(features, 4 * features, 3, padding=1), nn.PixelShuffle(2), nn.PReLU()) for _ in range(steps)
        ]
        self.upsample = nn.Sequential(*(layer for group in double for layer in group))
        self.head = nn.Conv2d(features, channels_out, 9, padding=4)
        self.squash = nn.Tanh() if head == "tanh" else nn.Identity()
        if base != "none":
            nn.init.zeros_(self.head.weight)
            assert self.head.bias is not None
            nn.init.zeros_(self.head.bias)

    def forward(self, lr: Tensor, static: Tensor | None = None) -> Tensor:
        """(b, c_in, h, w) and static (b, s, h*factor, w*factor) to (b, c_out, h*factor, w*factor)."""
        shallow = self.stem(with_static(lr, static, self.factor))
        out: Tensor = self.squash(self.head(self.upsample(shallow + self.body(shallow))))
        return out.float() if self.base == "none" else out.float() + resize(lr, self.factor, self.base)
