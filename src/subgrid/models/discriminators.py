"""Discriminators: their input is a fine field, concatenated with the interpolated coarse input where there is one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from subgrid.models.blocks import check_choice
from subgrid.models.protocols import Condition, FeatureDiscriminator, Fields, LayerFeatures, Output

NORMS = ("batch", "spectral", "none")
OUTPUTS = ("logits", "sigmoid")


class PatchGAN(nn.Module, FeatureDiscriminator):
    """Four 4x4 convolutions whose outputs rate overlapping patches (Isola et al. 2017, arXiv:1611.07004).

    As published, the output passes a sigmoid and then a loss that expects logits: with two sigmoids in a row the loss
    cannot fall below 0.50 and its gradient vanishes. The corrected form returns logits and uses spectral normalisation
    (Miyato et al. 2018, arXiv:1802.05957) in place of BatchNorm, whose statistics differ between batches of true and of
    generated fields.

    Args:
        features: channels after the first convolution, at least 1; the next two have two and four times as many.
            Time and memory grow with its square.
        norm: `batch` (as published) for BatchNorm, `spectral` for spectral normalisation, or `none`.
        output: `sigmoid` (as published), or `logits`, which the losses expect.
    """

    def __init__(
        self,
        channels_in: int,
        channels_condition: int,
        features: int = 64,
        norm: str = "batch",
        output: str = "sigmoid",
    ) -> None:
        super().__init__()
        check_choice("norm", norm, NORMS)
        if features < 1:
            raise ValueError(f"features: got {features}, expected at least 1")
        widths = [channels_condition + channels_in, features, 2 * features, 4 * features]
        layers: list[nn.Module] = []
        for i, (narrow, wide) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            layers.append(_with_norm(nn.Conv2d(narrow, wide, 4, stride=2, padding=1), norm))
            if norm == "batch" and i > 0:
                layers.append(nn.BatchNorm2d(wide))
            layers.append(nn.LeakyReLU(0.2))
        layers.append(_with_norm(nn.Conv2d(widths[-1], 1, 4, padding=1), norm))
        layers += _output(output)
        self.layers = nn.Sequential(*layers)

    def forward(self, condition: Condition, field: Fields) -> Output:
        """Return (b, 1, H/8 - 1, W/8 - 1); H and W must be at least 16."""
        return self.forward_features(condition, field)[0]

    def forward_features(self, condition: Condition, field: Fields) -> tuple[Output, list[LayerFeatures]]:
        """Return the output, and the features before each of the three activations."""
        return _forward_features(self.layers, torch.cat([condition, field], 1))


class VGG(nn.Module, FeatureDiscriminator):
    """Eight 3x3 convolutions, every second one with stride 2, and a ninth to one channel.

    This is ESRGAN's discriminator as in the published study, which omitted the BatchNorm and the dense layers of the
    original (Ledig et al. 2017, arXiv:1609.04802), so that any patch size works.

    Args:
        features: channels after the first convolution, at least 1; they double with each stride of 2 after the
            first. Time and memory grow with its square.
        norm: `none` (as published), `batch` for BatchNorm, or `spectral` for spectral normalisation.
        output: `logits` (as published), or `sigmoid`.
    """

    def __init__(
        self,
        channels_in: int,
        channels_condition: int,
        features: int = 64,
        norm: str = "none",
        output: str = "logits",
    ) -> None:
        super().__init__()
        check_choice("norm", norm, NORMS)
        if features < 1:
            raise ValueError(f"features: got {features}, expected at least 1")
        layers: list[nn.Module] = []
        width = channels_condition + channels_in
        for i in range(8):
            wide = features * 2 ** (i // 2)
            layers.append(_with_norm(nn.Conv2d(width, wide, 3, stride=1 + i % 2, padding=1), norm))
            if norm == "batch" and i > 0:
                layers.append(nn.BatchNorm2d(wide))
            layers.append(nn.LeakyReLU(0.2))
            width = wide
        layers.append(_with_norm(nn.Conv2d(width, 1, 3, padding=1), norm))
        self.layers = nn.Sequential(*layers, *_output(output))

    def forward(self, condition: Condition, field: Fields) -> Output:
        """Return (b, 1, H/16, W/16), rounded up."""
        return self.forward_features(condition, field)[0]

    def forward_features(self, condition: Condition, field: Fields) -> tuple[Output, list[LayerFeatures]]:
        """Return the output, and the features before each of the eight activations."""
        return _forward_features(self.layers, torch.cat([condition, field], 1))


def _forward_features(layers: nn.Sequential, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    features: list[Tensor] = []
    for layer in layers:
        if isinstance(layer, nn.LeakyReLU):
            features.append(x)
        x = layer(x)
    return x, features


def _with_norm(convolution: nn.Conv2d, norm: str) -> nn.Module:
    """Return the convolution, with spectral normalisation where `norm` is `spectral`."""
    return spectral_norm(convolution) if norm == "spectral" else convolution


def _output(output: str) -> list[nn.Module]:
    """Return the sigmoid of the published discriminators, or no layer."""
    check_choice("output", output, OUTPUTS)
    return [nn.Sigmoid()] if output == "sigmoid" else []
