"""Discriminators: they see the interpolated input, where there is one, beside a field and judge the field."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from subgrid.models.blocks import check_choice

NORMS = ("batch", "spectral", "none")
OUTPUTS = ("logits", "sigmoid")


class PatchGAN(nn.Module):
    """Four 4x4 convolutions that judge overlapping patches (Isola et al. 2017, arXiv:1611.07004).

    As published the output passes a sigmoid and then a loss that takes logits, two sigmoids in a row: the loss cannot fall
    under 0.50 and its gradient dies. The sound form gives logits, and spectral normalisation (Miyato et al. 2018,
    arXiv:1802.05957) in place of BatchNorm, whose statistics differ between batches of real and of made fields.
    """

    def __init__(
        self,
        channels_in: int,
        channels_condition: int,
        features: int = 64,
        norm: str = "batch",
        output: str = "sigmoid",
    ) -> None:
        """Build.

        Args:
            channels_in: variables of the field.
            channels_condition: variables of the interpolated input; 0 where the field is judged alone.
            features: channels after the first convolution.
            norm: `batch`, `spectral` or `none`.
            output: `logits`, or `sigmoid` as published.
        """
        super().__init__()
        check_choice("norm", norm, NORMS)
        if features < 1:
            raise ValueError(f"features: got {features}, expected at least 1")
        widths = [channels_condition + channels_in, features, 2 * features, 4 * features]
        layers: list[nn.Module] = []
        for i, (narrow, wide) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            layers.append(_bounded(nn.Conv2d(narrow, wide, 4, stride=2, padding=1), norm))
            if norm == "batch" and i > 0:
                layers.append(nn.BatchNorm2d(wide))
            layers.append(nn.LeakyReLU(0.2))
        layers.append(_bounded(nn.Conv2d(widths[-1], 1, 4, padding=1), norm))
        layers += _output(output)
        self.layers = nn.Sequential(*layers)

    def forward(self, condition: Tensor, field: Tensor) -> Tensor:
        """Two times (b, c, H, W), H and W at least 16, to (b, 1, H/8 - 1, W/8 - 1)."""
        return self.listen(condition, field)[0]

    def listen(self, condition: Tensor, field: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The output, and what each activation is given on the way to it: three tensors (b, f, h, w)."""
        return _listen(self.layers, torch.cat([condition, field], 1))


class VGG(nn.Module):
    """Eight 3x3 convolutions, every second one with stride 2, and a ninth to one channel: ESRGAN's judge as the study ran it.

    The study left BatchNorm and the dense end of the original (Ledig et al. 2017, arXiv:1609.04802) away, so that it works at
    any patch size.
    """

    def __init__(
        self,
        channels_in: int,
        channels_condition: int,
        features: int = 64,
        norm: str = "none",
        output: str = "logits",
    ) -> None:
        """Build.

        Args:
            channels_in: variables of the field.
            channels_condition: variables of the interpolated input; 0 where the field is judged alone.
            features: channels after the first convolution; they double with every second stride.
            norm: `none`, `batch` or `spectral`.
            output: `logits` or `sigmoid`.
        """
        super().__init__()
        check_choice("norm", norm, NORMS)
        if features < 1:
            raise ValueError(f"features: got {features}, expected at least 1")
        layers: list[nn.Module] = []
        width = channels_condition + channels_in
        for i in range(8):
            wide = features * 2 ** (i // 2)
            layers.append(_bounded(nn.Conv2d(width, wide, 3, stride=1 + i % 2, padding=1), norm))
            if norm == "batch" and i > 0:
                layers.append(nn.BatchNorm2d(wide))
            layers.append(nn.LeakyReLU(0.2))
            width = wide
        layers.append(_bounded(nn.Conv2d(width, 1, 3, padding=1), norm))
        self.layers = nn.Sequential(*layers, *_output(output))

    def forward(self, condition: Tensor, field: Tensor) -> Tensor:
        """Two times (b, c, H, W) to (b, 1, H/16, W/16), rounded up."""
        return self.listen(condition, field)[0]

    def listen(self, condition: Tensor, field: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The output, and what each activation is given on the way to it: eight tensors (b, f, h, w)."""
        return _listen(self.layers, torch.cat([condition, field], 1))


def _listen(layers: nn.Sequential, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Run layer by layer, keeping what stands before each activation."""
    heard: list[Tensor] = []
    for layer in layers:
        if isinstance(layer, nn.LeakyReLU):
            heard.append(x)
        x = layer(x)
    return x, heard


def _bounded(convolution: nn.Conv2d, norm: str) -> nn.Module:
    """Spectral normalisation where it is asked for."""
    return spectral_norm(convolution) if norm == "spectral" else convolution


def _output(output: str) -> list[nn.Module]:
    """The sigmoid of the published discriminators, or nothing."""
    check_choice("output", output, OUTPUTS)
    return [nn.Sigmoid()] if output == "sigmoid" else []
