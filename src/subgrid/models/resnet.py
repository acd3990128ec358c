"""The generator of PREGAN: the first stages of ResNet-18, trained on photographs, and a decoder."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from subgrid.models.blocks import (
    add_interpolation,
    check_choice,
    norm_layers,
    output_activation,
    resize,
    with_static,
    zero_init_head,
)
from subgrid.models.protocols import Coarse, Features, Fine, Generator, Static
from subgrid.pretrained import Pretrained, fill, find_weights, read_weights

STEMS = ("random", "adapted")
ENCODER_NORMS = ("batch", "fixed")
INPUT_GRIDS = ("coarse", "fine")
DOWN = 16  # cells of the encoder's input per cell of its output, along an axis
REACH = 135  # input cells between an output cell and the farthest one it depends on, see `ResNet18`


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm, added to the input, which is projected where its shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Features) -> Float[Tensor, "b f_out h_out w_out"]:
        """Return (b, c_out, h/stride, w/stride), rounded up."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNetEncoder(nn.Module):
    """Stem, max-pool and three stages of ResNet-18 (He et al. 2016, arXiv:1512.03385), named as in torchvision.

    Initial weights are He's, and torch's own in the stem. With `norm` `fixed`, BatchNorm always uses its stored
    statistics.
    """

    def __init__(self, channels_in: int, norm: str = "batch") -> None:
        super().__init__()
        check_choice("encoder_norm", norm, ENCODER_NORMS)
        self.norm = norm
        self.conv1 = nn.Conv2d(channels_in, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(64, 64, 1)
        self.layer2 = _stage(64, 128, 2)
        self.layer3 = _stage(128, 256, 2)
        self.train()  # a new module is in training mode although `train` was not called

    def train(self, mode: bool = True) -> ResNetEncoder:
        """Set the training mode; BatchNorm stays in evaluation mode where its statistics are fixed."""
        super().train(mode)
        if self.norm == "fixed":
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, x: Features) -> list[Tensor]:
        """Return features at 1/2, 1/4, 1/8 and 1/16 of the input's grid, with 64, 64, 128 and 256 channels."""
        half = F.relu(self.bn1(self.conv1(x)))
        quarter = self.layer1(self.maxpool(half))
        eighth = self.layer2(quarter)
        return [half, quarter, eighth, self.layer3(eighth)]


class ResNet18(nn.Module, Generator, Pretrained):
    """ResNet-18 up to its third stage, then transposed 4x4 convolutions back to the grid of the encoder's input.

    As published the encoder's input is the coarse field: blocks of 16 x 16 cells become one cell, are decoded to 16 x
    16 cells and resized to the fine grid, so no detail of the input passes. Its stem has random weights and is frozen
    with the rest, so ImageNet's layers receive random mixtures. In the corrected form the input is interpolated to the
    fine grid, concatenated with the static fields, and passes a stem adapted from ImageNet's. ImageNet's weights are
    loaded by `load_pretrained`.

    `halo_cells`: with j an index at 1/16, a feature j depends on cells 16 j - 105 to 16 j + 105 of the encoder's input
    (3 cells on each side at layer3's and layer2's grids in addition to their stride-2 convolutions, 4 at layer1's, then
    the pool and the 7x7 stem). Output cell 16 j + r depends on feature j - 1 up to r = 14, so on a cell 14 + 16 + 105 =
    135 before it, and on j + 1 from r = 1, so on one 120 after it. The coarsest cells are counted from the first one: a
    shifted input gives a shifted output only for shifts by `size_multiple`.

    Args:
        features: channels of the decoder's finer grids, at least 1. Time and memory grow with it.
        weights: of the encoder: `official` (torchvision's, trained on ImageNet), the path of such a file,
            or `none` for random ones.
        stem: of loaded weights: `random` (as published) keeps the stem's initial weights; `adapted` uses
            the mean of the loaded ones over red, green and blue for every channel, scaled by 3 / channels to keep
            the output's size.
        frozen: whether the encoder's weights stay as they are; as published they do.
        encoder_norm: `batch` (as published), or `fixed`: BatchNorm uses its stored statistics in training
            too.
        input_grid: grid of the encoder's input: `coarse` (as published), or `fine`, interpolated
            bilinearly.
        skips: pass the encoder's features at 1/8, 1/4 and 1/2 of its grid to the decoder.
        norm: BatchNorm in the decoder: `batch` (as published) or `none`.
        head: activation of the output: `tanh` (as published) limits it to one standard deviation; `linear`
            does not.
        residual: interpolated input that the output is added to: `none` (as published), `bilinear` or
            `bicubic`. Training then starts from the interpolation.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        factor: int = 4,
        static_channels: int = 0,
        features: int = 64,
        weights: str = "official",
        stem: str = "random",
        frozen: bool = True,
        encoder_norm: str = "batch",
        input_grid: str = "coarse",
        skips: bool = False,
        norm: str = "batch",
        head: str = "tanh",
        residual: str = "none",
    ) -> None:
        super().__init__()
        check_choice("stem", stem, STEMS)
        check_choice("input_grid", input_grid, INPUT_GRIDS)
        if factor < 2 or features < 1:
            raise ValueError(f"factor must be at least 2 and features at least 1: got {factor} and {features}")
        fine = input_grid == "fine"
        self.factor, self.residual, self.skips, self.input_grid = factor, residual, skips, input_grid
        self.weights, self.stem = weights, stem
        self.size_multiple = DOWN // math.gcd(DOWN, factor) if fine else DOWN
        self.pads_input = not fine
        self.halo_cells = (-(-REACH // factor) if fine else REACH) + 1  # one cell for the interpolation
        self.encoder = ResNetEncoder(channels_in + static_channels * (1 if fine else factor**2), encoder_norm)
        _init_weights(self.encoder)
        self.encoder.requires_grad_(not frozen)
        widths = [2 * features, features, features]
        joined = [128, 64, 64] if skips else [0, 0, 0]
        inputs = [256, *(width + more for width, more in zip(widths, joined, strict=True))]
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1), *norm_layers(norm, b), nn.ReLU())
            for a, b in zip(inputs[:-1], widths, strict=True)
        )
        self.head = nn.ConvTranspose2d(inputs[-1], channels_out, 4, stride=2, padding=1)
        self.activation = output_activation(head)
        zero_init_head(self.head, residual, channels_in, channels_out)

    def load_pretrained(self) -> None:
        """Load the encoder's weights, except for a stem that stays random.

        Raises:
            ConfigError: if the file is missing, cannot be downloaded or read, or holds another network's weights.
        """
        if self.weights == "none":
            return
        where = "generator.weights"
        path = find_weights(self.weights, "resnet18", where, otherwise=", or 'none' for random weights")
        tensors = read_weights(path, where)
        conv = self.encoder.conv1
        if self.stem == "adapted":
            rgb = nn.Conv2d(3, 64, 7, bias=False)
            fill(nn.ModuleDict({"conv1": rgb}), tensors, f"{where}: {path}")
            mean = rgb.weight.detach().mean(1, keepdim=True) * 3 / conv.in_channels
            tensors |= {"conv1.weight": mean.expand(conv.weight.shape)}
        else:
            tensors |= {"conv1.weight": conv.weight.detach().clone()}
        fill(self.encoder, tensors, f"{where}: {path}")

    def forward(self, lr: Coarse, static: Static | None = None) -> Fine:
        """Return (b, c_out, h*factor, w*factor) from (b, c_in, h, w) and static fields (b, s, h*factor, w*factor).

        With `input_grid` `fine`, h and w must be multiples of `size_multiple`.
        """
        half, quarter, eighth, out = self.encoder(self._encoder_input(lr, static))
        for up, skip in zip(self.up, (eighth, quarter, half), strict=True):
            out = up(out)
            out = torch.cat([out, skip], 1) if self.skips else out
        out = self.activation(self.head(out))
        if self.input_grid == "coarse":
            height, width = lr.shape[-2:]
            out = resize(out, self.factor, "bilinear")[..., : height * self.factor, : width * self.factor]
        return add_interpolation(out, lr, self.factor, self.residual)

    def _encoder_input(self, lr: Coarse, static: Static | None) -> Tensor:
        if self.input_grid == "fine":
            up = resize(lr, self.factor, "bilinear")
            return up if static is None or static.shape[1] == 0 else torch.cat([up, static], 1)
        x = with_static(lr, static, self.factor)
        below, right = -x.shape[-2] % DOWN, -x.shape[-1] % DOWN
        return F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def _stage(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(channels_in, channels_out, stride), BasicBlock(channels_out, channels_out, 1))


def _init_weights(encoder: ResNetEncoder) -> None:
    """Draw the stages' weights with normal distribution and variance 2 / fan-out (He et al. 2015, arXiv:1502.01852)."""
    for stage in (encoder.layer1, encoder.layer2, encoder.layer3):
        for module in stage.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
