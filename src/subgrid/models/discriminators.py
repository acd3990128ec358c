"""Discriminators: they see the interpolated input beside a field and judge the field."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

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
            channels_condition: variables of the interpolated input.
            features: channels after the first convolution.
            norm: `batch`, `spectral` or `none`.
            output: `logits`, or `sigmoid` as published.
        """
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm: got {norm!r}, expected one of {', '.join(NORMS)}")
        if output not in OUTPUTS:
            raise ValueError(f"output: got {output!r}, expected one of {', '.join(OUTPUTS)}")
        if features < 1:
            raise ValueError(f"features: got {features}, expected at least 1")
        widths = [channels_condition + channels_in, features, 2 * features, 4 * features]
        layers: list[nn.Module] = []
        for i, (narrow, wide) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            conv = nn.Conv2d(narrow, wide, 4, stride=2, padding=1)
            layers.append(spectral_norm(conv) if norm == "spectral" else conv)
            if norm == "batch" and i > 0:
                layers.append(nn.BatchNorm2d(wide))
            layers.append(nn.LeakyReLU(0.2))
        last = nn.Conv2d(widths[-1], 1, 4, padding=1)
        layers.append(spectral_norm(last) if norm == "spectral" else last)
        if output == "sigmoid":
            layers.append(nn.Sigmoid())
        self.layers = nn.Sequential(*layers)

    def forward(self, condition: Tensor, field: Tensor) -> Tensor:
        """Two times (b, c, H, W), H and W at least 16, to (b, 1, H/8 - 1, W/8 - 1)."""
        out: Tensor = self.layers(torch.cat([condition, field], 1))
        return out
