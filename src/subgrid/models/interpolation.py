"""Interpolation as a generator, so that baselines take the same road as trained systems."""

from __future__ import annotations

from torch import Tensor, nn

from subgrid.models.blocks import resize

MODES = ("bilinear", "bicubic")


class Interpolation(nn.Module):
    """Bilinear or bicubic interpolation of the coarse field."""

    def __init__(
        self, channels_in: int, channels_out: int, factor: int = 4, static_channels: int = 0, mode: str = "bicubic"
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"mode: got {mode!r}, expected one of {', '.join(MODES)}")
        if channels_in != channels_out:
            raise ValueError(f"interpolation keeps its channels: got {channels_in} in, {channels_out} out")
        self.factor, self.multiple, self.halo_cells, self.mode = factor, 1, 2, mode

    def forward(self, lr: Tensor, static: Tensor | None = None) -> Tensor:
        """(b, c, h, w) to (b, c, h*factor, w*factor); static fields play no part."""
        return resize(lr, self.factor, self.mode)
