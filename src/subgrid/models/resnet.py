"""The generator of PREGAN: ResNet-18's first stages, trained on photographs, and a decoder of transposed convolutions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from subgrid.models.blocks import add_base, check_choice, norm_layers, resize, squasher, start_at_base, with_static
from subgrid.pretrained import fill, find_weights, read_weights

STEMS = ("random", "adapted")
ENCODER_NORMS = ("batch", "fixed")
SEES = ("coarse", "fine")
DOWN = 16  # cells of the encoder's input along a side of one of its output
REACH = 135  # input cells between an output cell and the farthest one it depends on, see `ResNet18`


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm, added to the input, which is projected where the grid or the width changes."""

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

    def forward(self, x: Tensor) -> Tensor:
        """(b, c_in, h, w) to (b, c_out, h/stride, w/stride), rounded up."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNetEncoder(nn.Module):
    """Stem, max-pool and the first three stages of ResNet-18 (He et al. 2016, arXiv:1512.03385), with torchvision's names.

    Fresh weights are He's, those of the stem torch's own. With `norm` `fixed` BatchNorm always takes its stored statistics.
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
        self.train()  # a new module is in training mode without having been told

    def train(self, mode: bool = True) -> ResNetEncoder:
        """Training mode, for BatchNorm only where its statistics are to be those of the batch."""
        super().train(mode)
        if self.norm == "fixed":
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """(b, c, h, w) to features at 1/2, 1/4, 1/8 and 1/16 of its grid, of 64, 64, 128 and 256 channels."""
        half = F.relu(self.bn1(self.conv1(x)))
        quarter = self.layer1(self.maxpool(half))
        eighth = self.layer2(quarter)
        return [half, quarter, eighth, self.layer3(eighth)]


class ResNet18(nn.Module):
    """ResNet-18 to its third stage, then transposed 4x4 convolutions back to the grid it saw.

    As published it sees the coarse field: 16 x 16 cells become one, are decoded to 16 x 16 and resized to the fine grid, so
    no detail of the input passes. Its stem is drawn at random and frozen with the rest, so ImageNet's layers read random
    mixtures. The sound form sees the input on the fine grid, static fields beside it, through a stem adapted from ImageNet's.

    Weights made elsewhere are not read when it is built but by `load_pretrained`, when a training starts.

    `halo_cells`: with j an index at 1/16, a feature j depends on cells 16 j - 105 to 16 j + 105 of what the encoder sees
    (3 cells to each side at layer3's and layer2's grids beside their stride-2 convolutions, 4 at layer1's, then the pool and
    the 7x7 stem). Output cell 16 j + r depends on feature j - 1 up to r = 14, so on a cell 14 + 16 + 105 = 135 before it, and
    on j + 1 from r = 1, so on one 120 after it. The coarsest cells are counted from the first one: a shifted input gives a
    shifted output only for shifts by `multiple`.
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
        sees: str = "coarse",
        skips: bool = False,
        norm: str = "batch",
        head: str = "tanh",
        base: str = "none",
    ) -> None:
        """Build.

        Args:
            channels_in: variables of the coarse input.
            channels_out: variables of the output.
            factor: fine cells per coarse cell, 2 or more.
            static_channels: fine static fields beside the input.
            features: channels of the decoder's finer grids.
            weights: `official` (torchvision's, trained on ImageNet), the path of such a file, or `none` for fresh ones.
            stem: of weights made elsewhere: `random` leaves the stem fresh; `adapted` takes the mean of theirs over red, green
                and blue for every channel, scaled by 3 / channels so that its output keeps its size.
            frozen: the encoder's parameters are not trained.
            encoder_norm: `batch`, or `fixed`: the encoder's BatchNorm takes its stored statistics in training too.
            sees: `coarse`, the input; or `fine`, the input interpolated bilinearly.
            skips: encoder features at 1/8, 1/4 and 1/2 of what it sees enter the decoder at their own grids.
            norm: the decoder's, `batch` or `none`.
            head: `tanh` or `linear`.
            base: interpolation added to the output, `none`, `bilinear` or `bicubic`.
        """
        super().__init__()
        check_choice("stem", stem, STEMS)
        check_choice("sees", sees, SEES)
        if factor < 2 or features < 1:
            raise ValueError(f"factor must be at least 2 and features at least 1: got {factor} and {features}")
        fine = sees == "fine"
        given = channels_in + static_channels * (1 if fine else factor**2)
        self.factor, self.base, self.skips, self.sees = factor, base, skips, sees
        self.weights, self.stem = weights, stem
        self.multiple = DOWN // math.gcd(DOWN, factor) if fine else DOWN
        self.any_size = not fine  # what it sees is padded inside
        self.halo_cells = (-(-REACH // factor) if fine else REACH) + 1  # and one for the interpolation
        self.encoder = ResNetEncoder(given, encoder_norm)
        _start(self.encoder)
        self.encoder.requires_grad_(not frozen)
        widths = [2 * features, features, features]
        beside = [128, 64, 64] if skips else [0, 0, 0]
        given_up = [256, *(width + more for width, more in zip(widths, beside, strict=True))]
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1), *norm_layers(norm, b), nn.ReLU())
            for a, b in zip(given_up[:-1], widths, strict=True)
        )
        self.head = nn.ConvTranspose2d(given_up[-1], channels_out, 4, stride=2, padding=1)
        self.squash = squasher(head)
        start_at_base(self.head, base, channels_in, channels_out)

    def load_pretrained(self) -> None:
        """Put the encoder's weights in, but for a stem that stays random.

        Raises:
            ConfigError: if the file is not there, cannot be fetched or read, or holds another network's weights.
        """
        if self.weights == "none":
            return
        where = "generator.weights"
        path = find_weights(self.weights, "resnet18", where, otherwise=", or 'none' for fresh weights")
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

    def forward(self, lr: Tensor, static: Tensor | None = None) -> Tensor:
        """(b, c_in, h, w) and static (b, s, h*factor, w*factor) to (b, c_out, h*factor, w*factor).

        Where it sees the fine grid, h and w must be multiples of `multiple`.
        """
        half, quarter, eighth, out = self.encoder(self._seen(lr, static))
        for up, beside in zip(self.up, (eighth, quarter, half), strict=True):
            out = up(out)
            out = torch.cat([out, beside], 1) if self.skips else out
        out = self.squash(self.head(out))
        if self.sees == "coarse":
            height, width = lr.shape[-2:]
            out = resize(out, self.factor, "bilinear")[..., : height * self.factor, : width * self.factor]
        return add_base(out, lr, self.factor, self.base)

    def _seen(self, lr: Tensor, static: Tensor | None) -> Tensor:
        """What enters the encoder."""
        if self.sees == "fine":
            up = resize(lr, self.factor, "bilinear")
            return up if static is None or static.shape[1] == 0 else torch.cat([up, static], 1)
        x = with_static(lr, static, self.factor)
        below, right = -x.shape[-2] % DOWN, -x.shape[-1] % DOWN
        return F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def _stage(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(channels_in, channels_out, stride), BasicBlock(channels_out, channels_out, 1))


def _start(encoder: ResNetEncoder) -> None:
    """Fresh weights: normal with variance 2 / fan-out (He et al. 2015, arXiv:1502.01852); the stem is left as it is."""
    for stage in (encoder.layer1, encoder.layer2, encoder.layer3):
        for module in stage.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
