"""Blocks of times."""

from __future__ import annotations

from itertools import pairwise

import pytest

from subgrid.data.blocks import time_blocks


@pytest.mark.parametrize(
    ("options", "lengths"),
    [
        ({"num_times": 10, "size_per_time": 3, "limit": 12}, [4, 4, 2]),
        ({"num_times": 10, "size_per_time": 3, "limit": 2}, [1] * 10),  # one time is over the limit
        ({"num_times": 10, "size_per_time": 1, "limit": 7, "multiple": 3}, [6, 4]),
        ({"num_times": 10, "size_per_time": 5, "limit": 7, "multiple": 4}, [4, 4, 2]),
        ({"num_times": 0, "size_per_time": 1, "limit": 7}, []),
    ],
)
def test_blocks_cover_all_times_once_and_respect_limit_and_multiple(
    options: dict[str, int], lengths: list[int]
) -> None:
    blocks = list(time_blocks(**options))
    assert [block.stop - block.start for block in blocks] == lengths
    assert all(one.stop == other.start for one, other in pairwise(blocks))
    assert not blocks or (blocks[0].start, blocks[-1].stop) == (0, options["num_times"])
