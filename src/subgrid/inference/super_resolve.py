"""Generators applied to arrays: coarse fields of any size, or noise.

Fields are padded to the multiple of cells that a generator needs and, on a global grid, across the date line.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from subgrid.data.scaling import Field
from subgrid.models.protocols import Generator, NoiseGenerator

FINE_CELLS_AT_ONCE = 1024 * 1024  # fine cells of one channel drawn in one forward pass
CELLS_AT_ONCE = 64 * 1024  # coarse cells in one forward pass, about 1.5 GiB inside SRResNet at factor 4


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of a name; `auto` is the GPU if there is one."""
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


@torch.no_grad()
def super_resolve(generator: nn.Module, lr: Field, static: Field | None = None, *, periodic: bool = False) -> Field:
    """Apply a generator to coarse fields of any size.

    Args:
        generator: a generator that refines coarse fields; computes where its parameters are, in float32.
        lr: standardised coarse fields (n, c, h, w).
        static: standardised static fields (s, h*factor, w*factor), or None.
        periodic: whether the columns go round the globe, so that the last one borders on the first.

    Returns:
        Standardised fine fields (n, c_out, h*factor, w*factor).
    """
    assert isinstance(generator, Generator)
    factor, multiple, halo = generator.factor, generator.size_multiple, generator.halo_cells
    height, width = lr.shape[-2:]
    side = -(-halo // multiple) * multiple if periodic else 0
    below, right = -height % multiple, -(width + 2 * side) % multiple
    if periodic and right:  # the padding to the multiple goes on round the globe
        side_right = side + right
    else:
        side_right = side
    rows = np.minimum(np.arange(height + below), height - 1)
    columns = np.arange(-side, width + side_right)
    columns = columns % width if periodic else np.minimum(np.arange(width + right), width - 1)
    device = next((p.device for p in generator.parameters()), torch.device("cpu"))
    fixed = _window(static, rows, columns, factor, device) if static is not None and static.shape[0] else None
    at_once = max(1, CELLS_AT_ONCE // (rows.size * columns.size))
    was_training = generator.training
    generator.eval()
    out = []
    for start in range(0, lr.shape[0], at_once):
        block = np.ascontiguousarray(lr[start : start + at_once][..., rows[:, None], columns])
        x = torch.from_numpy(block).to(device, memory_format=torch.channels_last)
        sr = generator(x, None if fixed is None else fixed.expand(x.shape[0], -1, -1, -1))
        crop = sr[..., : height * factor, side * factor : (side + width) * factor]
        out.append(crop.float().cpu().numpy())
    generator.train(was_training)
    return np.concatenate(out)


def draw_noise(num: int, latent: int, seed: Sequence[int]) -> torch.Tensor:
    """Return standard normal noise (num, latent), the same on every device; row i does not depend on `num`."""
    drawn = np.random.default_rng(seed).standard_normal((num, latent), dtype=np.float32)
    return torch.from_numpy(drawn)


@torch.no_grad()
def draw_fields(generator: nn.Module, num: int, seed: Sequence[int]) -> Field:
    """Draw fields from an unconditional generator.

    Args:
        generator: a generator whose only input is noise; computes where its parameters are, in float32.
        num: number of fields.
        seed: random seed for the noise; with the same seed, a larger `num` gives the same first fields.

    Returns:
        Standardised fields (num, c, rows, columns).
    """
    assert isinstance(generator, NoiseGenerator)
    noise, (rows, columns) = draw_noise(num, generator.latent, seed), generator.shape
    device = next(p.device for p in generator.parameters())
    was_training = generator.training
    generator.eval()
    at_once = max(1, FINE_CELLS_AT_ONCE // (rows * columns))
    out = [generator(noise[i : i + at_once].to(device)).float().cpu().numpy() for i in range(0, num, at_once)]
    generator.train(was_training)
    return np.concatenate(out)


def _window(static: Field, rows: np.ndarray, columns: np.ndarray, factor: int, device: torch.device) -> torch.Tensor:
    """Return static fields on the padded fine grid, (1, s, rows*factor, columns*factor)."""
    inside = np.arange(factor)
    y = (rows[:, None] * factor + inside).reshape(-1)
    x = (columns[:, None] * factor + inside).reshape(-1)
    return torch.from_numpy(np.ascontiguousarray(static[:, y[:, None], x]))[None].to(device)
