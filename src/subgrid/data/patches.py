"""Patches for training, drawn at random in time and place, and scaled.

Draws depend on nothing but the seed and the number of the update, so that a resumed run draws what an uninterrupted one would.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from subgrid.data.blocks import as_indexer
from subgrid.data.grid import spatial_dims
from subgrid.data.scaling import Field, scaling_of, static_channel
from subgrid.data.sources.vectors import Component
from subgrid.data.store import Store

MEMORY_LIMIT = 4 * 2**30  # bytes of fields kept in memory; larger splits are read from the store patch by patch


class Batch(NamedTuple):
    """Scaled samples: lr (b, c, h, w), hr (b, c, h*factor, w*factor), static (b, s, h*factor, w*factor), s may be 0."""

    lr: Field
    hr: Field
    static: Field


def stack(fields: xr.Dataset, variables: list[str]) -> Field:
    """Stack variables as channels, float32: (n, c, y, x) if the fields have times, else (c, y, x)."""
    arrays = [np.asarray(fields[v].values, dtype=np.float32) for v in variables]
    return np.stack(arrays, axis=-3)


def patch_shape(fine: xr.Dataset, patch: int, factor: int) -> tuple[int, int]:
    """Fine cells (rows, columns) of a patch: `patch` in whole coarse cells, or the domain where that is smaller."""
    y, x = spatial_dims(fine)
    rows, columns = (min(patch // factor * factor, fine.sizes[d]) for d in (y, x))
    return rows, columns


class PatchSampler:
    """Draws batches from one split of a store.

    Every time is used once before any is used again. Rows and columns are uniform over all positions of whole coarse cells; on
    a periodic grid, patches may cross the edge of the array.
    """

    def __init__(
        self,
        store: Store,
        split: str,
        *,
        patch: int,
        batch: int,
        seed: int,
        flips: bool = False,
        vectors: Mapping[str, Component] | None = None,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        """Read the split, if it fits in memory.

        Args:
            store: the training store.
            split: train, valid or test.
            patch: fine cells along a side, a multiple of the factor; a smaller domain gives smaller patches.
            batch: samples of a batch.
            seed: random seed of all draws.
            flips: mirror samples east-west and north-south at random; vector components across the mirror and fields of
                rotation change sign.
            vectors: the variables whose sign changes: `x` (eastward), `y` (northward) or `rotation`, such as vorticity.
            memory_limit: in bytes; a larger split is read from disk patch by patch.
        """
        self._store, self._batch, self._seed = store, batch, seed
        self._positions = store.positions(split)
        self._rows, self._columns = (n // store.factor for n in patch_shape(store.hr, patch, store.factor))
        self._flips = flips
        kinds = [(vectors or {}).get(v) for v in store.variables]
        # sign of each channel after a mirror (east-west, north-south)
        self._signs = np.array(
            [[-1 if kind in (axis, "rotation") else 1 for kind in kinds] for axis in ("x", "y")], dtype=np.float32
        )
        self._scaling = scaling_of(store.meta["statistics"], store.variables)
        y, x = spatial_dims(store.lr)
        self._num_rows, self._num_columns = store.lr.sizes[y], store.lr.sizes[x]
        fine = 4 * self._num_rows * self._num_columns * store.factor**2 * len(store.variables) * self._positions.size
        self._lr: Field | None = None
        self._hr: Field | None = None
        if fine <= memory_limit:
            times = as_indexer(self._positions)
            self._lr = stack(store.lr.isel(valid_time=times), store.variables)
            self._hr = stack(store.hr.isel(valid_time=times), store.variables)
        self._static = static_channels(store)
        self._pass: tuple[int, npt.NDArray[np.int64]] | None = None

    @property
    def patches_per_epoch(self) -> int:
        """Number of patches that cover every field of the split about once."""
        patches_per_field = (self._num_rows / self._rows) * (self._num_columns / self._columns)
        return max(1, round(self._positions.size * patches_per_field))

    def draw(self, step: int) -> Batch:
        """The batch of one update; the same for the same seed and step."""
        rng = np.random.default_rng([self._seed, 1, step])
        samples = [self._sample(step * self._batch + j, rng) for j in range(self._batch)]
        lr, hr, static = (np.stack(part) for part in zip(*samples, strict=True))
        return Batch(self._scaling.scale(lr), self._scaling.scale(hr), static)

    def _sample(self, number: int, rng: np.random.Generator) -> tuple[Field, Field, Field]:
        """One pair in physical units, with its scaled static fields."""
        epoch, position = divmod(number, self._positions.size)
        time = int(self._order(epoch)[position])
        row = int(rng.integers(self._num_rows - self._rows + 1))
        num_starts = self._num_columns if self._store.periodic else self._num_columns - self._columns + 1
        column = int(rng.integers(num_starts))
        f = self._store.factor
        lr = self._read("lr", time, (row, self._rows), (column, self._columns))
        hr = self._read("hr", time, (row * f, self._rows * f), (column * f, self._columns * f))
        columns = np.arange(column * f, (column + self._columns) * f) % self._static.shape[-1]
        static = self._static[:, row * f : (row + self._rows) * f][:, :, columns]
        return self._mirror(lr, hr, static, rng) if self._flips else (lr, hr, static)

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        """The order of times in one pass over the split; the last order is cached."""
        if self._pass is None or self._pass[0] != epoch:
            order = np.random.default_rng([self._seed, 0, epoch]).permutation(self._positions.size)
            self._pass = (epoch, order)
        return self._pass[1]

    def _read(self, grid: Literal["lr", "hr"], time: int, rows: tuple[int, int], columns: tuple[int, int]) -> Field:
        """Read a window (c, rows, columns) of one field, from memory or the store; columns wrap at the edge."""
        in_memory = self._lr if grid == "lr" else self._hr
        y = slice(rows[0], rows[0] + rows[1])
        width = self._num_columns * (1 if grid == "lr" else self._store.factor)
        x = np.arange(columns[0], columns[0] + columns[1]) % width
        if in_memory is not None:
            window: Field = in_memory[time][:, y][:, :, x]
            return window
        fields = self._store.lr if grid == "lr" else self._store.hr
        dims = spatial_dims(fields)
        return stack(fields.isel({"valid_time": self._positions[time], dims[0]: y, dims[1]: x}), self._store.variables)

    def _mirror(self, lr: Field, hr: Field, static: Field, rng: np.random.Generator) -> tuple[Field, Field, Field]:
        """Mirror at random; a vector component across the mirror and a rotation change sign, in physical units."""
        for axis, signs in ((-1, self._signs[0]), (-2, self._signs[1])):
            if rng.random() < 0.5:
                lr, hr = (np.flip(a, axis) * signs[:, None, None] for a in (lr, hr))
                static = np.flip(static, axis)
        return lr, hr, static


def static_channels(store: Store) -> Field:
    """Stack the static fields of a store as channels (s, y, x), each standardised over the domain; s may be 0."""
    y, x = spatial_dims(store.hr)
    if store.static is None:
        return np.zeros((0, store.hr.sizes[y], store.hr.sizes[x]), dtype=np.float32)
    return np.stack([static_channel(store.static[v].values, store.meta["static"][v]) for v in store.meta["static"]])
