"""Small files of weights that stand for those made elsewhere, for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from subgrid.models.resnet import ResNetEncoder

VGG_SHAPES = {"features.0": (64, 3), "features.2": (64, 64), "features.5": (128, 64)}
"""VGG19 to conv2_1."""


def write_vgg(path: Path) -> Path:
    """VGG19's first three convolutions, drawn at random so that features keep their size."""
    drawn = torch.Generator().manual_seed(7)
    tensors: dict[str, Tensor] = {}
    for name, (wide, narrow) in VGG_SHAPES.items():
        tensors[f"{name}.weight"] = torch.randn(wide, narrow, 3, 3, generator=drawn) * (2 / (9 * narrow)) ** 0.5
        tensors[f"{name}.bias"] = 0.1 * torch.randn(wide, generator=drawn)
    save_file(tensors, path)
    return path


def resnet_tensors() -> dict[str, Tensor]:
    """What torchvision's file of ResNet-18 holds, as far as it is used, with a tensor more; drawn at random."""
    drawn = torch.Generator().manual_seed(8)
    tensors = {
        name: torch.rand(value.shape, generator=drawn) * 0.1 + 0.5
        if "bn" in name or "downsample.1" in name
        else torch.randn(value.shape, generator=drawn) * 0.05
        for name, value in ResNetEncoder(3).state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    return tensors | {"fc.bias": torch.zeros(1000)}


def loss_options(name: str, vgg: Path, variables: tuple[str, str] = ("a", "b")) -> dict[str, Any]:
    """Options without which a loss cannot be built from a configuration."""
    one, other = variables
    needed = {"perceptual": {"weights": str(vgg), "inputs": [one, other, one], "layer": "conv2_1"}}
    return needed.get(name, {})
