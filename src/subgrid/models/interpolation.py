"""Interpolation as a generator, so that baselines are evaluated in the same way as trained systems."""

from __future__ import annotations

from torch import nn

from subgrid.models.blocks import check_choice, resize
from subgrid.models.protocols import Coarse, Fine, Generator, Static

MODES = ("bilinear", "bicubic")


class Interpolation(nn.Module, Generator):
    """Bilinear or bicubic interpolation of the coarse field.

    Args:
        mode: `bilinear` or `bicubic`.
    """

    def __init__(
        self, channels_in: int, channels_out: int, factor: int = 4, static_channels: int = 0, mode: str = "bicubic"
    ) -> None:
        super().__init__()
        check_choice("mode", mode, MODES)
        if channels_in != channels_out:
            raise ValueError(f"interpolation keeps its channels: got {channels_in} in, {channels_out} out")
        self.factor, self.halo_cells, self.mode = factor, 2, mode

    def forward(self, lr: Coarse, static: Static | None = None) -> Fine:
        """Return (b, c, h*factor, w*factor) from (b, c, h, w)."""
        return resize(lr, self.factor, self.mode)
