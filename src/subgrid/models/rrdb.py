"""RRDBNet, the generator of ESRGAN (Wang et al. 2018, arXiv:1809.00219)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from subgrid.models.blocks import (
    Upsampler,
    add_interpolation,
    doublings,
    output_activation,
    with_static,
    zero_init_head,
)
from subgrid.models.protocols import Coarse, Features, Fine, Generator, Static

RESIDUAL_SCALE = 0.2
DENSE_CONVOLUTIONS = 5


class DenseBlock(nn.Module):
    """Five densely connected 3x3 convolutions and a sixth, 0.2 times whose output is added to the input."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.grow = nn.ModuleList(
            nn.Conv2d(features + i * growth, growth, 3, padding=1) for i in range(DENSE_CONVOLUTIONS)
        )
        self.shrink = nn.Conv2d(features + DENSE_CONVOLUTIONS * growth, features, 3, padding=1)
        self.act = nn.LeakyReLU(0.2)

    def forward(self, x: Features) -> Features:
        """Return features of the same shape."""
        features = [x]
        for convolution in self.grow:
            features.append(self.act(convolution(torch.cat(features, 1))))
        out: Tensor = x + RESIDUAL_SCALE * self.shrink(torch.cat(features, 1))
        return out


class RRDB(nn.Module):
    """Residual in residual dense block: three dense blocks; 0.2 times their output is added to the input."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(DenseBlock(features, growth) for _ in range(3)))

    def forward(self, x: Features) -> Features:
        """Return features of the same shape."""
        out: Tensor = x + RESIDUAL_SCALE * self.blocks(x)
        return out


class RRDBNet(nn.Module, Generator):
    """Residual in residual dense blocks on the coarse grid, then doublings by PixelShuffle; there is no BatchNorm.

    Args:
        features: channels of the hidden layers. Time and memory grow with its square.
        blocks: number of residual in residual dense blocks; each adds 18 coarse cells to the halo.
        growth: channels that each convolution of a dense block adds.
        head: activation of the output: `linear`, or `tanh`, which limits it to one standard deviation.
        residual: interpolated input that the output is added to: `none` (as published), `bilinear` or
            `bicubic`. Training then starts from the interpolation, and the network learns what it lacks.
        init_scale: factor on the initial weights (Kaiming's) of the dense blocks; with 1 torch's own
            initial weights are kept. ESRGAN uses 0.1, so that the blocks start close to the identity.
    """

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
        residual: str = "none",
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.factor, self.residual = factor, residual
        # 3x3 stem, 18 convolutions per block, the last of the body, doublings, head, and two cells of the interpolation
        self.halo_cells = 1 + 18 * blocks + 1 + 2 + 1 + 2
        self.stem = nn.Conv2d(channels_in + static_channels * factor**2, features, 3, padding=1)
        self.body = nn.Sequential(
            *(RRDB(features, growth) for _ in range(blocks)), nn.Conv2d(features, features, 3, padding=1)
        )
        self.upsample = Upsampler(features, doublings(factor), lambda: nn.LeakyReLU(0.2))
        self.head = nn.Conv2d(features, channels_out, 3, padding=1)
        self.activation = output_activation(head)
        if init_scale != 1.0:
            self._scale_weights(init_scale)
        zero_init_head(self.head, residual, channels_in, channels_out)

    def _scale_weights(self, scale: float) -> None:
        """Draw small initial weights for the dense blocks, so that each starts close to the identity."""
        for block in self.body.modules():
            if isinstance(block, DenseBlock):
                for convolution in block.modules():
                    if isinstance(convolution, nn.Conv2d):
                        nn.init.kaiming_normal_(convolution.weight, a=0.2)
                        convolution.weight.data *= scale
                        assert convolution.bias is not None
                        nn.init.zeros_(convolution.bias)

    def forward(self, lr: Coarse, static: Static | None = None) -> Fine:
        """Return (b, c_out, h*factor, w*factor) from (b, c_in, h, w) and static fields (b, s, h*factor, w*factor)."""
        shallow = self.stem(with_static(lr, static, self.factor))
        out: Tensor = self.activation(self.head(self.upsample(shallow + self.body(shallow))))
        return add_interpolation(out, lr, self.factor, self.residual)
