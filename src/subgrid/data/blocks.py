"""Blocks of times: how long series are read with a bounded amount of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import dask
import dask.base
import numpy as np
import numpy.typing as npt
import xarray as xr

compute: Callable[..., tuple[Any, ...]] = dask.base.compute  # not typed


def time_blocks(num_times: int, size_per_time: int, limit: int, *, multiple: int = 1) -> Iterator[slice]:
    """Divide a series of times into blocks of at most `limit`.

    Args:
        num_times: length of the series.
        size_per_time: what one time takes, in the unit of `limit`: values, cells or bytes.
        limit: the most that a block may take. A block has at least `multiple` times even where they take more.
        multiple: number of times, such as a chunk or a batch, that every block but the last must hold a whole number of.

    Yields:
        The positions of each block, in order.
    """
    length = max(multiple, limit // size_per_time // multiple * multiple)
    for start in range(0, num_times, length):
        yield slice(start, min(start + length, num_times))


def as_indexer(positions: npt.ArrayLike) -> slice | npt.NDArray[np.int64]:
    """Give ascending positions of equal distance as a slice, which files read faster than a list of positions."""
    given = np.asarray(positions, np.int64)
    if given.size == 0:
        return slice(0, 0)
    step = int(given[1] - given[0]) if given.size > 1 else 1
    if step < 1 or (np.diff(given) != step).any():
        return given
    return slice(int(given[0]), int(given[-1]) + 1, step)


def read_blocks(fields: xr.Dataset, blocks: Iterable[slice]) -> Iterator[xr.Dataset]:
    """Read blocks of times one after another, and each chunk of the source only once.

    A chunk that reaches beyond a block is held until the blocks have passed it, so that memory holds one block and one
    chunk of each variable.

    Args:
        fields: variables whose first dimension is `valid_time`; lazy, or in memory.
        blocks: positions of the blocks along `valid_time`, ascending and without overlap.

    Yields:
        The fields of each block, in memory.
    """
    readers = {name: _ChunkReader(field.variable) for name, field in fields.data_vars.items()}
    for block in blocks:
        # One call for all variables: what several of them are computed from is read once.
        with dask.config.set(scheduler="synchronous"):
            read = compute({name: reader.missing(block) for name, reader in readers.items()})[0]
        data = {
            name: (field.dims, readers[name].values(block, read[name]), field.attrs)
            for name, field in fields.data_vars.items()
        }
        rest = fields.drop_vars(list(fields.data_vars))
        yield rest.isel(valid_time=block, missing_dims="ignore").assign(data)


class _ChunkReader:
    """Whole chunks of a variable, read in order; holds those that are not passed yet."""

    def __init__(self, variable: xr.Variable) -> None:
        chunks = variable.chunks
        self._data = variable.data if chunks is not None else variable
        self._edges = None if chunks is None else np.cumsum([0, *chunks[0]])
        self._start = self._stop = 0
        self._held: np.ndarray | None = None

    def missing(self, block: slice) -> object:
        """What has to be read for a block, lazily: whole chunks from where the last one ended."""
        if self._edges is None:
            return self._data[block].values
        first = int(self._edges[np.searchsorted(self._edges, block.start, side="right") - 1])
        last = int(self._edges[np.searchsorted(self._edges, block.stop)])
        first = max(first, self._stop)
        return self._data[first:last] if first < last else None

    def values(self, block: slice, read: np.ndarray | None) -> np.ndarray:
        """Values of a block, given what `missing` asked for."""
        if self._edges is None:
            assert read is not None
            return read
        if read is not None:
            kept = None if self._held is None else self._held[block.start - self._start :]
            self._stop = int(self._edges[np.searchsorted(self._edges, block.stop)])
            self._held = read if kept is None or not len(kept) else np.concatenate([kept, read])
            self._start = self._stop - len(self._held)
        assert self._held is not None
        return self._held[block.start - self._start : block.stop - self._start]
