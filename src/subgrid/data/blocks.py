"""Blocks of times: how long series are read with a bounded amount of memory."""

from __future__ import annotations

from collections.abc import Iterator


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
