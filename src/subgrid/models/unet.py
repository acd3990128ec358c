"""The generator of the study's cGAN: down twice, up to the fine grid by transposed convolutions."""

from __future__ import annotations

import torch
from torch import nn

from subgrid.models.blocks import (
    add_interpolation,
    doublings,
    norm_layers,
    output_activation,
    with_static,
    zero_init_head,
)
from subgrid.models.protocols import Coarse, Fine, Generator, Static

DOWN = 2  # halvings of the encoder


class UNet(nn.Module, Generator):
    """Two strided 4x4 convolutions, then transposed ones up to the fine grid.

    As published there are no skip connections: everything passes through a grid four times coarser than the input. The
    corrected form has them (Ronneberger et al. 2015, arXiv:1505.04597), so that details of the input reach the output.
    The coarsest cells are blocks of 4 x 4 input cells counted from the first one, so the output moves with the input
    only for shifts by multiples of 4.

    Args:
        features: channels of the finest hidden grids. Time and memory grow with its square.
        norm: `batch` (as published) for BatchNorm, or `none`. With BatchNorm the output for a field
            depends on the other fields of its training batch.
        head: activation of the output: `tanh` (as published) limits it to one standard deviation; `linear`
            does not.
        residual: interpolated input that the output is added to: `none` (as published), `bilinear` or
            `bicubic`. Training then starts from the interpolation, and the network learns what it lacks.
        skips: pass the encoder's features and the input to the decoder at their own grids.
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
        residual: str = "none",
        skips: bool = False,
    ) -> None:
        super().__init__()
        inputs = channels_in + static_channels * factor**2
        self.factor, self.size_multiple, self.residual, self.skips = factor, 2**DOWN, residual, skips
        # An output cell depends on its own cell of the coarsest grid and one on each side (each up-step reaches half as
        # far as the one before), a coarsest cell on 10 input cells; the farthest of these is 10 cells away.
        self.halo_cells = 10
        self.down1 = nn.Sequential(nn.Conv2d(inputs, features, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.down2 = nn.Sequential(
            nn.Conv2d(features, 2 * features, 4, stride=2, padding=1),
            *norm_layers(norm, 2 * features),
            nn.LeakyReLU(0.2),
        )
        joined = [0, features if skips else 0, inputs if skips else 0]
        steps = DOWN + doublings(factor) - 1
        widths = [2 * features, *(features + (joined[i] if i < len(joined) else 0) for i in range(1, steps))]
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(width, features, 4, stride=2, padding=1), *norm_layers(norm, features), nn.ReLU()
            )
            for width in widths
        )
        last = features + (joined[steps] if steps < len(joined) else 0)
        self.head = nn.ConvTranspose2d(last, channels_out, 4, stride=2, padding=1)
        self.activation = output_activation(head)
        zero_init_head(self.head, residual, channels_in, channels_out)

    def forward(self, lr: Coarse, static: Static | None = None) -> Fine:
        """Return (b, c_out, h*factor, w*factor) from (b, c_in, h, w); h and w must be multiples of 4."""
        x = with_static(lr, static, self.factor)
        half = self.down1(x)
        out = self.down2(half)
        joined = [None, half, x]
        for i, up in enumerate(self.up):
            skip = joined[i] if self.skips and i < len(joined) else None
            out = up(out if skip is None else torch.cat([out, skip], 1))
        if self.skips and len(self.up) < len(joined):
            out = torch.cat([out, joined[len(self.up)]], 1)
        return add_interpolation(self.activation(self.head(out)), lr, self.factor, self.residual)
