"""The scores of the published study, so that its numbers can be reproduced and compared with sound ones.

The study is zqqqj (2025), "GANs and an SRGAN ablation", https://github.com/zqqqqqqj1110/GAN_WB.

The scores use standardised fields, all variables at once, in batches of consecutive times, and therefore have no statistics
of single times. Their errors of method are kept: the range of PSNR and SSIM is read from each batch, predictions included, so
a system that overshoots is measured on a wider range; min-max scaling uses the physical minimum and maximum but is applied to
standardised values, so RMSE and MAE are errors in standard deviations divided by a range in physical units; RMSE is the
mean of the roots of the batches. During training the study evaluated one batch and reported it as the score of the epoch.
Compare these numbers with its table only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from subgrid.errors import ConfigError, GridError, SourceError
from subgrid.scores.checks import FloatArray, window_sums

VariableFields = NDArray[Any]  # (time, variable, y, x), as given
Batch = Float64[np.ndarray, "time variable y x"]
Spans = Float64[np.ndarray, " variable"]
Batches = Float64[np.ndarray, "batch 4"]

NAMES = ("published_psnr", "published_ssim", "published_rmse", "published_mae")

BATCH_TIMES = 8
WINDOW_CELLS = 7
K1 = 0.01
K2 = 0.03


def published_scores(
    prediction: VariableFields,
    reference: VariableFields,
    *,
    minimum: NDArray[Any],
    maximum: NDArray[Any],
    batch_times: int = BATCH_TIMES,
) -> dict[str, float]:
    """Score standardised fields as the published study did.

    For each batch b of consecutive times (the last can be shorter and has the same weight), ``range_b`` is the maximum minus
    the minimum of all values of prediction and reference. PSNR is ``10 log10(range_b^2 / mse)`` of each time over all
    variables. SSIM has uniform windows of 7 x 7 cells inside the field, sample variances, constants ``(0.01 range_b)^2``
    and ``(0.03 range_b)^2``, and is averaged over places and variables. Both are averaged over the batch. RMSE and MAE are
    taken over all times, variables and cells of a batch, of standardised values divided by ``maximum - minimum``.
    Each score is the mean over batches; a batch whose reference holds one value only has no range, and PSNR and SSIM
    are means over the others.

    Args:
        prediction: standardised fields (time, variable, y, x), at least 7 cells along y and x.
        reference: the truth, same shape.
        minimum: of the training truth, (variable,), in physical units.
        maximum: of the training truth, (variable,), in physical units.
        batch_times: times per batch; the study used 8 for most of its systems.

    Returns:
        published_psnr (dB, best infinite) and published_ssim (best 1), NaN where no batch has a range; published_rmse and
        published_mae (best 0; standard deviations per physical unit of each variable).

    Raises:
        ConfigError: a batch of less than one time.
        GridError: shapes that do not fit.
        SourceError: values that are not finite; a variable whose maximum is not above its minimum.

    References:
        The notebooks of the study. PSNR and SSIM as scikit-image computes them by default, after Wang et al. (2004),
        doi:10.1109/TIP.2003.819861.
    """
    rows = published_batches(prediction, reference, minimum=minimum, maximum=maximum, batch_times=batch_times)
    return {name: value for name, (value, _) in mean_of_batches(rows).items()}


def published_batches(
    prediction: VariableFields,
    reference: VariableFields,
    *,
    minimum: NDArray[Any],
    maximum: NDArray[Any],
    batch_times: int = BATCH_TIMES,
) -> Batches:
    """Score each batch as `published_scores` does: PSNR, SSIM, RMSE, MAE, (batch, score); NaN where there is none."""
    predicted, truth = _check(prediction, reference)
    if batch_times < 1:
        raise ConfigError(f"batch_times is {batch_times}; expected 1 or more times in a batch.")
    span = (np.asarray(maximum, np.float64) - np.asarray(minimum, np.float64)).reshape(-1)
    if span.shape != (truth.shape[1],) or not (np.isfinite(span) & (span > 0)).all():
        raise SourceError(
            f"maximum minus minimum is {span.tolist()} for {truth.shape[1]} variables; expected a positive number for "
            "each: those of the training truth, in physical units."
        )
    starts = range(0, len(truth), batch_times)
    return np.array([_batch(predicted[s : s + batch_times], truth[s : s + batch_times], span) for s in starts])


def mean_of_batches(rows: Batches) -> dict[str, tuple[float, int]]:
    """Average each score over the batches that have one; give also their number."""
    means = {}
    for name, values in zip(NAMES, rows.T, strict=True):
        known = values[~np.isnan(values)]
        means[name] = (float(np.mean(known)) if known.size else float("nan"), known.size)
    return means


def _batch(prediction: Batch, reference: Batch, span: Spans) -> tuple[float, float, float, float]:
    """PSNR, SSIM, RMSE, MAE of one batch."""
    peak = max(prediction.max(), reference.max()) - min(prediction.min(), reference.min())
    mse = ((prediction - reference) ** 2).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        psnr = 10.0 * np.log10(peak**2 / mse)
    scaled = (prediction - reference) / span[:, None, None]
    rmse, mae = np.sqrt(np.mean(scaled**2)), np.mean(np.abs(scaled))
    if reference.min() == reference.max():  # of all systems, so that their means are over the same batches
        return float("nan"), float("nan"), float(rmse), float(mae)
    return float(psnr.mean()), _uniform_ssim(prediction, reference, float(peak)), float(rmse), float(mae)


def _uniform_ssim(prediction: Batch, reference: Batch, data_range: float) -> float:
    """SSIM with uniform windows and sample variances, mean over times, variables and places."""
    cells = WINDOW_CELLS**2
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2

    def mean(fields: FloatArray) -> FloatArray:
        return window_sums(fields, WINDOW_CELLS) / cells

    mean_p, mean_r = mean(prediction), mean(reference)
    product, squares = mean_p * mean_r, mean_p**2 + mean_r**2
    sample = cells / (cells - 1)
    variances = sample * (mean(prediction**2 + reference**2) - squares)
    covariance = sample * (mean(prediction * reference) - product)
    places = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    return float(places.mean())


def _check(prediction: VariableFields, reference: VariableFields) -> tuple[Batch, Batch]:
    shape = np.shape(reference)
    if np.shape(prediction) != shape or len(shape) != 4 or 0 in shape or min(shape[2:]) < WINDOW_CELLS:
        raise GridError(
            f"prediction has shape {np.shape(prediction)} and reference {shape}; expected the same (time, variable, y, "
            f"x) for both, with at least {WINDOW_CELLS} x {WINDOW_CELLS} cells."
        )
    both = np.asarray(prediction, np.float64), np.asarray(reference, np.float64)
    for name, given, values in zip(("prediction", "reference"), (prediction, reference), both, strict=True):
        bad = ~np.isfinite(values) | np.ma.getmaskarray(given)
        if bad.any():
            raise SourceError(
                f"{name} holds {int(bad.sum())} non-finite or masked values of {bad.size}, the first at time index "
                f"{int(np.argmax(bad.any(axis=(1, 2, 3))))}; the published scores do not allow missing values. Crop to "
                "an area without gaps."
            )
    return both
