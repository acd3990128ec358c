"""PSNR and SSIM of many fields: ours against a plain scikit-image loop, in one run, at equal values."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from subgrid.scores import compute_statistics, scores_from_statistics


def ours(prediction: np.ndarray, reference: np.ndarray, span: float) -> tuple[float, float]:
    """Scores by parts and finish."""
    parts = compute_statistics(prediction, reference, names=("psnr", "ssim"), data_range=span, factor=4)
    done = scores_from_statistics(parts)
    return done["psnr"], done["ssim"]


def loop(prediction: np.ndarray, reference: np.ndarray, span: float) -> tuple[float, float]:
    """Scores image by image."""
    psnr, ssim = [], []
    for p, r in zip(prediction, reference, strict=True):
        psnr.append(peak_signal_noise_ratio(r, p, data_range=span))
        ssim.append(
            structural_similarity(r, p, data_range=span, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        )
    return float(np.mean(psnr)), float(np.mean(ssim))


def seconds(work: Callable[[], object]) -> float:
    """Time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Alternate the two, print medians and their ratio."""
    rng = np.random.default_rng(0)
    for shape in ((200, 64, 64), (16, 180, 360)):
        reference = rng.normal(size=shape).cumsum(1).cumsum(2)
        prediction = reference + rng.normal(size=shape)
        span = float(np.ptp(reference))
        np.testing.assert_allclose(ours(prediction, reference, span), loop(prediction, reference, span), rtol=1e-6)
        pairs = [
            (seconds(lambda: ours(prediction, reference, span)), seconds(lambda: loop(prediction, reference, span)))  # noqa: B023
            for _ in range(7)
        ]
        mine, plain = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{shape}: ours {1e3 * mine:.0f} ms, scikit-image loop {1e3 * plain:.0f} ms, ratio {plain / mine:.1f}")


if __name__ == "__main__":
    main()
