"""The generator of the study's cGAN: down twice, up to the fine grid by transposed convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from subgrid.models.blocks import add_base, doublings, norm_layers, squasher, start_at_base, with_static

DOWN = 2  # halvings of the encoder


class UNet(nn.Module):
    """Strided 4x4 convolutions, then transposed ones.

    As published there are no skip connections: everything passes through a grid four times coarser than the input. The sound
    form has them (Ronneberger et al. 2015, arXiv:1505.04597), so that the input's own detail reaches the output.
    The coarsest cells are fours of input cells counted from the first one, so a shifted input gives a shifted output only for
    shifts by fours.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        factor: int = 4,
        static_channels: int = 0,
        features: int = 64,
        norm: str = "batch",
        head: str = "tanh",
        base: str = "none",
        skips: bool = False,
    ) -> None:
        """Build.

        Args:
            channels_in: variables of the coarse input.
            channels_out: variables of the output.
            factor: 2, 4, 8, ...
            static_channels: fine static fields beside the input.
            features: channels of the finest inner grids.
            norm: `batch` or `none`.
            head: `tanh` or `linear`.
            base: interpolation added to the output, `none`, `bilinear` or `bicubic`.
            skips: encoder features and the input enter the decoder at their own grids.
        """
        super().__init__()
        given = channels_in + static_channels * factor**2
        self.factor, self.multiple, self.base, self.skips = factor, 2**DOWN, base, skips
        # an output cell sees its own cell of the coarsest grid and one to each side (each up-step reaches half as far as the
        # one before), a coarsest cell sees 10 input cells; the worst place among the fours is 10 cells from what it sees
        self.halo_cells = 10
        self.down1 = nn.Sequential(nn.Conv2d(given, features, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.down2 = nn.Sequential(
            nn.Conv2d(features, 2 * features, 4, stride=2, padding=1),
            *norm_layers(norm, 2 * features),
            nn.LeakyReLU(0.2),
        )
        beside = [0, features if skips else 0, given if skips else 0]
        steps = DOWN + doublings(factor) - 1
        widths = [2 * features, *(features + (beside[i] if i < len(beside) else 0) for i in range(1, steps))]
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(width, features, 4, stride=2, padding=1), *norm_layers(norm, features), nn.ReLU()
            )
            for width in widths
        )
        last = features + (beside[steps] if steps < len(beside) else 0)
        self.head = nn.ConvTranspose2d(last, channels_out, 4, stride=2, padding=1)
        self.squash = squasher(head)
        start_at_base(self.head, base, channels_in, channels_out)

    def forward(self, lr: Tensor, static: Tensor | None = None) -> Tensor:
        """(b, c_in, h, w), h and w multiples of 4, to (b, c_out, h*factor, w*factor)."""
        x = with_static(lr, static, self.factor)
        half = self.down1(x)
        out = self.down2(half)
        beside = [None, half, x]
        for i, up in enumerate(self.up):
            skip = beside[i] if self.skips and i < len(beside) else None
            out = up(out if skip is None else torch.cat([out, skip], 1))
        if self.skips and len(self.up) < len(beside):
            out = torch.cat([out, beside[len(self.up)]], 1)
        return add_base(self.squash(self.head(out)), lr, self.factor, self.base)
