"""All default scores of 1,000 times of two variables on 64 x 64 cells, and peak memory from 1,000 to 10,000 times."""

from __future__ import annotations

import statistics
import time
import tracemalloc

import numpy as np
from bench_ssim import loop, ours, seconds

from subgrid.scores import SCORES, compute_statistics, join_statistics, scores_from_statistics

BLOCK_TIMES = 100
SPAN = 100.0


def block(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and reference of a few times, (time, y, x), as a caller reads them."""
    rng = np.random.default_rng(index)
    reference = rng.normal(size=(BLOCK_TIMES, 64, 64)).cumsum(1).cumsum(2)
    return reference + rng.normal(size=reference.shape), reference


def stream(num_times: int) -> dict[str, float]:
    """All default scores, block by block."""
    parts = [
        compute_statistics(*block(index), data_range=SPAN, factor=4, low=-SPAN, high=SPAN)
        for index in range(num_times // BLOCK_TIMES)
    ]
    return scores_from_statistics(join_statistics(parts))


def main() -> None:
    pairs = [block(index) for index in range(20)]  # 1,000 times of two variables
    began = time.perf_counter()
    for prediction, reference in pairs:
        compute_statistics(prediction, reference, data_range=SPAN, factor=4, low=-SPAN, high=SPAN)
    print(f"all {len(SCORES)} default scores of 1000 x 2 x 64 x 64: {time.perf_counter() - began:.2f} s")
    for name in SCORES:
        took = seconds(
            lambda name=name: [
                compute_statistics(*p, names=[name], data_range=SPAN, factor=4, low=-SPAN, high=SPAN) for p in pairs
            ]
        )
        print(f"  {name:28s} {took:.3f} s")
    prediction, reference = (np.concatenate(fields) for fields in zip(*pairs, strict=True))
    np.testing.assert_allclose(ours(prediction, reference, SPAN), loop(prediction, reference, SPAN), rtol=1e-6)
    timed = [
        (seconds(lambda: ours(prediction, reference, SPAN)), seconds(lambda: loop(prediction, reference, SPAN)))
        for _ in range(3)
    ]
    mine, plain = (statistics.median(column) for column in zip(*timed, strict=True))
    print(f"PSNR and SSIM: ours {mine:.2f} s, scikit-image loop {plain:.2f} s, ratio {plain / mine:.1f}")
    for num_times in (1000, 10000):
        tracemalloc.start()
        stream(num_times)
        print(f"{num_times} times: peak memory {tracemalloc.get_traced_memory()[1] / 1e6:.0f} MB")
        tracemalloc.stop()


if __name__ == "__main__":
    main()
