"""Where and in which precision a training computes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from subgrid.config.schema import Config
from subgrid.errors import ConfigError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def open_fabric(config: Config) -> Fabric:
    """Choose device and precision: with `auto`, a GPU if there is one, and bf16 where the processor computes it.

    Raises:
        ConfigError: if a CUDA device is asked for and there is none.
    """
    accelerator = config.train.device
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise ConfigError("train.device: got 'cuda', but torch finds no CUDA device; use 'auto' or 'cpu'.")
    precision = config.train.precision
    if precision == "auto":
        on_gpu = accelerator != "cpu" and torch.cuda.is_available()
        fast = torch.cuda.is_bf16_supported() if on_gpu else torch.cpu._is_avx512_bf16_supported()
        precision = "bf16" if fast else "32"
    accelerator = accelerator if accelerator != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    from lightning_fabric import Fabric  # here, because it takes a second or two, which a refusal should not wait for

    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)  # below this level it prints its own line about the precision
    try:
        return Fabric(accelerator=accelerator, devices=1, precision="bf16-mixed" if precision == "bf16" else "32-true")
    finally:
        logger.setLevel(level)
