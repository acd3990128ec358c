"""The scores of issue 4 against scikit-image, scipy, scores, pytorch-msssim and plain loops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_msssim import ms_ssim
from scipy.stats import pearsonr, wasserstein_distance
from scores.spatial import fss_2d_single_field
from skimage.metrics import structural_similarity

from subgrid.errors import ConfigError, GridError, SourceError
from subgrid.scores import (
    SCORES,
    compute_statistics,
    find_score,
    fss,
    power_spectrum,
    quantile_error,
    scores_from_statistics,
)
from subgrid.scores.distribution import histogram_statistics
from subgrid.scores.pointwise import PSNR_CEILING
from subgrid.scores.structure import SCALE_WEIGHTS, ms_ssim_statistics, scale_weights

OPTIONS = {"data_range": 7.0, "factor": 4, "low": -3.0, "high": 4.0}


def fields(shape=(4, 24, 31), seed=0, offset=0.0):
    """Two related fields with structure at all scales."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=shape).cumsum(-1) * 0.3
    return 0.8 * truth + 0.4 * rng.normal(size=shape) + 0.1 + offset, truth + offset


def value(name, prediction, truth, **options):
    score = find_score(name) if isinstance(name, str) else name
    return scores_from_statistics(
        compute_statistics(prediction, truth, names=[score], **{**OPTIONS, **options}), [score]
    )[score.name]


# --- Cell with cell ---


@pytest.mark.parametrize("offset", [0.0, 280.0, 101325.0])
def test_correlation_is_that_of_all_cells_and_times_at_once(offset):
    prediction, truth = fields(offset=offset)
    truth += np.arange(4)[:, None, None]
    prediction += np.arange(4)[:, None, None]
    expected = pearsonr(prediction.ravel(), truth.ravel()).statistic
    assert value("correlation", prediction, truth) == pytest.approx(expected, rel=1e-7)
    each = np.mean([pearsonr(p.ravel(), t.ravel()).statistic for p, t in zip(prediction, truth, strict=True)])
    assert abs(each - expected) > 1e-3


def test_weighted_correlation_equals_repeated_cells():
    prediction, truth = fields((3, 4, 5))
    counts = np.array([1, 3, 0, 2])
    expected = np.corrcoef(np.repeat(prediction, counts, 1).ravel(), np.repeat(truth, counts, 1).ravel())[0, 1]
    assert value("correlation", prediction, truth, weights=counts) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("level", [0.0, 271.37])
def test_correlation_of_fields_without_a_pattern(level):
    rough, _ = fields((2, 15, 17), offset=level)
    flat = np.full_like(rough, level)
    assert value("correlation", flat, flat) == 1.0
    assert value("correlation", flat, rough) == value("correlation", rough, flat) == 0.0
    assert value("correlation", -3 * rough, rough) == pytest.approx(-1.0, abs=1e-9)


def test_pooled_psnr_is_that_of_the_pooled_error():
    prediction, truth = fields()
    prediction[0] = truth[0] + 0.01
    expected = 10 * math.log10(49 / np.mean((prediction - truth) ** 2))
    assert value("psnr_pooled", prediction, truth) == pytest.approx(expected, rel=1e-9)
    assert value("psnr", prediction, truth) > expected + 5
    assert value("psnr_pooled", truth, truth) == PSNR_CEILING


# --- Several scales ---


@pytest.mark.parametrize("shape", [(3, 176, 176), (2, 176, 208), (1, 192, 240)])
def test_ms_ssim_equals_pytorch_msssim_where_five_scales_fit(shape):
    prediction, truth = fields(shape)
    tensors = [torch.from_numpy(f[:, None]) for f in (prediction, truth)]
    expected = ms_ssim(*tensors, data_range=7.0, size_average=False).numpy()
    np.testing.assert_allclose(ms_ssim_statistics(prediction, truth, data_range=7.0)[:, 0], expected, rtol=1e-6)


def composed(prediction, truth, data_range):
    """MS-SSIM of one image from scikit-image's SSIM maps alone.

    With K1 huge, SSIM's first factor is 1 and the map is contrast and structure.
    """
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": data_range}
    terms = []
    while min(truth.shape) >= 11:
        contrast = structural_similarity(truth, prediction, K1=1e8, **options)
        terms.append((contrast, structural_similarity(truth, prediction, **options)))
        cut = [f[: f.shape[0] // 2 * 2, : f.shape[1] // 2 * 2] for f in (prediction, truth)]
        prediction, truth = (f.reshape(len(f) // 2, 2, -1, 2).mean((1, 3)) for f in cut)
    terms = terms[:5]
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333][: len(terms)])
    weights /= weights.sum() if len(terms) < 5 else 1.0
    values = [contrast for contrast, _ in terms[:-1]] + [terms[-1][1]]
    return math.prod(max(v, 0.0) ** w for v, w in zip(values, weights, strict=True))


@pytest.mark.parametrize("shape", [(2, 11, 14), (20, 64, 64), (2, 45, 61), (2, 100, 47), (1, 353, 400)])
def test_ms_ssim_equals_a_composition_of_scikit_image_at_any_size(shape):
    prediction, truth = fields(shape)
    expected = [composed(p, t, 7.0) for p, t in zip(prediction, truth, strict=True)]
    np.testing.assert_allclose(ms_ssim_statistics(prediction, truth, data_range=7.0)[:, 0], expected, rtol=1e-6)


def test_scales_have_the_weights_that_fit():
    assert scale_weights(176, 300).tolist() == [*SCALE_WEIGHTS]
    assert [len(scale_weights(size, 500)) for size in (11, 21, 22, 64, 88, 175, 176, 400)] == [1, 1, 2, 3, 4, 4, 5, 5]
    assert scale_weights(64, 64).sum() == pytest.approx(1.0)
    prediction, truth = fields((2, 16, 16))
    assert value("ms_ssim", prediction, truth) == pytest.approx(value("ssim", prediction, truth), rel=1e-12)
    assert value("ms_ssim", 20 - truth, truth + 20) == 0.0


# --- Spectra ---


@pytest.mark.parametrize("periodic_x", [False, True])
def test_log_spectral_distance_is_of_mean_spectra(periodic_x):
    prediction, truth = fields((5, 20, 27))
    _, p = power_spectrum(prediction, periodic_x=periodic_x)
    _, r = power_spectrum(truth, periodic_x=periodic_x)
    rings = [(10 * math.log10(sum(p[:, k]) / sum(r[:, k]))) ** 2 for k in range(10)]
    found = value("log_spectral_distance", prediction, truth, periodic_x=periodic_x)
    assert found == pytest.approx(math.sqrt(sum(rings) / 10), rel=1e-9)


def test_log_spectral_distance_of_known_pairs():
    _, truth = fields((3, 16, 16))
    assert value("log_spectral_distance", 2 * truth + 5, truth) == pytest.approx(20 * math.log10(2), rel=1e-9)
    assert value("log_spectral_distance", truth[:, ::-1, ::-1], truth) == pytest.approx(0, abs=1e-9)
    flat = np.full_like(truth, 271.37)
    assert value("log_spectral_distance", flat, flat) == 0.0
    assert value("log_spectral_distance", flat, truth) == math.inf
    assert value("log_spectral_distance", truth, flat) == math.inf


def test_power_ratio_goes_round_the_globe_where_x_is_periodic():
    wave = np.sin(2 * np.pi * np.arange(64) * 7 / 64)[None, None] * np.ones((1, 64, 1))
    noise = 1e-3 * fields((1, 64, 64))[1]
    open_x, closed_x = (
        compute_statistics(
            wave, noise, names=["high_wavenumber_power_ratio"], data_range=1, factor=4, periodic_x=closed
        )
        for closed in (False, True)
    )
    # Seven waves across are too long to count; cut off, they spread to the eighth, which with the taper along y counts.
    assert closed_x["high_wavenumber_power_ratio"][0, 0] < 1e-20 < 1e-3 < open_x["high_wavenumber_power_ratio"][0, 0]


# --- Values ---


@pytest.mark.parametrize("weighted", [False, True])
def test_histogram_equals_a_plain_loop(weighted):
    prediction, truth = fields((3, 6, 7))
    prediction[0, 0, :3] = -3.0, 4.0, 4.0 + 1e-12  # both bounds belong to the inner bins
    weights = np.random.default_rng(1).uniform(size=(6, 7)) if weighted else np.ones((6, 7))
    edges = np.linspace(-3, 4, 101)
    shares = np.zeros((2, 102))
    for row, field in zip(shares, (prediction, truth), strict=True):
        row[0], row[-1] = ((weights * (f)).sum() / weights.sum() / 3 for f in ((field < -3).sum(0), (field > 4).sum(0)))
        for time in range(3):
            row[1:-1] += np.histogram(field[time], edges, weights=weights)[0] / weights.sum() / 3
    found = histogram_statistics(prediction, truth, low=-3, high=4, weights=weights if weighted else None).mean(0)
    np.testing.assert_allclose(found.reshape(2, 102), shares, atol=1e-14)
    options = {"weights": weights} if weighted else {}
    assert value("histogram_overlap", prediction, truth, **options) == pytest.approx(np.minimum(*shares).sum())


@given(st.floats(-300, 300), st.floats(1e-3, 1e3), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_values_on_the_edges_of_bins_fall_where_numpy_puts_them(low, width, seed):
    high = low + width
    edges = np.linspace(low, high, 101)
    on_edges = np.concatenate([edges, np.nextafter(edges, -np.inf)[1:], np.nextafter(edges, np.inf)[:-1]])
    inside = on_edges[(on_edges >= low) & (on_edges <= high)].reshape(1, 1, -1)
    found = histogram_statistics(inside, inside, low=low, high=high)[0, 1:101] * inside.size
    np.testing.assert_allclose(found, np.histogram(inside, edges)[0], atol=1e-9)


@pytest.mark.parametrize("probability", [0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0])
def test_quantile_error_equals_numpy(probability):
    prediction, truth = fields((5, 9, 13))
    expected = np.mean(
        [np.quantile(p, probability) - np.quantile(t, probability) for p, t in zip(prediction, truth, strict=True)]
    )
    assert value(f"quantile_error_{probability:g}", prediction, truth) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weights", [None, "rows", "cells"])
def test_wasserstein_equals_scipy(weights):
    prediction, truth = fields((4, 9, 13))
    prediction[:, 0] = truth[:, 0]  # ties
    rng = np.random.default_rng(2)
    chosen = {None: None, "rows": rng.uniform(size=9), "cells": rng.uniform(size=(9, 13))}[weights]
    full = np.ones((9, 13)) if chosen is None else np.broadcast_to(chosen.reshape(9, -1), (9, 13))
    expected = [
        wasserstein_distance(p.ravel(), t.ravel(), full.ravel(), full.ravel())
        for p, t in zip(prediction, truth, strict=True)
    ]
    assert value("wasserstein", prediction, truth, weights=chosen) == pytest.approx(np.mean(expected), rel=1e-9)


@given(st.integers(0, 2**31), st.floats(-5, 5))
@settings(max_examples=30, deadline=None)
def test_wasserstein_lies_between_bias_and_mae_of_one_time(seed, shift):
    prediction, truth = fields((1, 6, 8), seed)
    prediction = prediction + shift
    found = {name: value(name, prediction, truth) for name in ("bias", "wasserstein", "mae")}
    assert abs(found["bias"]) - 1e-12 <= found["wasserstein"] <= found["mae"] + 1e-12
    assert value("wasserstein", truth[:, ::-1, ::-1], truth) == pytest.approx(0, abs=1e-12)


# --- Neighbours ---


@pytest.mark.parametrize("window", [1, 2, 5, 12])
@pytest.mark.parametrize("threshold", [-0.5, 0.7])
def test_fss_equals_the_library_scores(window, threshold):
    prediction, truth = fields((1, 12, 16))
    expected = fss_2d_single_field(
        prediction[0],
        truth[0],
        event_threshold=threshold,
        window_size=(window, window),
        threshold_operator=np.greater_equal,
    )
    assert value(fss(threshold, window), prediction, truth) == pytest.approx(expected, rel=1e-9)


def test_fss_pools_windows_of_all_times():
    prediction, truth = fields((6, 10, 11))
    truth *= np.arange(6)[:, None, None] / 3  # few events at first, many later
    top = bottom = 0.0
    for p, t in zip(prediction >= 0.5, truth >= 0.5, strict=True):
        for y in range(8):
            for x in range(9):
                a, b = p[y : y + 3, x : x + 3].mean(), t[y : y + 3, x : x + 3].mean()
                top, bottom = top + (a - b) ** 2, bottom + a**2 + b**2
    assert value("fss_0.5_w3", prediction, truth) == pytest.approx(1 - top / bottom, rel=1e-12)


def test_fss_counts_a_cell_at_the_threshold_and_forgives_a_shift_in_a_large_window():
    truth = np.zeros((1, 20, 20))
    truth[:, 5:8, 5:8] = 10.0
    moved = np.roll(truth, 3, axis=2)
    found = [value(fss(10, window), moved, truth) for window in (1, 3, 7, 13)]
    assert found[0] == 0.0
    assert found == sorted(found)
    assert found[-1] > 0.85
    assert value(fss(10.5, 3), moved, truth) == 1.0  # no event in either
    assert value(fss(10, 3), np.zeros_like(truth), truth) == 0.0


def test_gradients_equal_plain_loops():
    prediction, truth = fields((3, 6, 5))
    squares, lengths, count = 0.0, [0.0, 0.0], 0
    for time in range(3):
        for y in range(5):
            for x in range(4):
                slopes = [
                    (f[time, y + 1, x] - f[time, y, x], f[time, y, x + 1] - f[time, y, x]) for f in (prediction, truth)
                ]
                squares += sum((a - b) ** 2 for a, b in zip(*slopes, strict=True))
                lengths = [total + math.hypot(*slope) for total, slope in zip(lengths, slopes, strict=True)]
                count += 1
    assert value("gradient_rmse", prediction, truth) == pytest.approx(math.sqrt(squares / count), rel=1e-12)
    assert value("gradient_magnitude_ratio", prediction, truth) == pytest.approx(lengths[0] / lengths[1], rel=1e-12)


def test_gradients_see_a_plane_exactly():
    y, x = np.mgrid[:9, :12].astype(float)
    plane = (3 * y + 4 * x)[None]
    assert value("gradient_rmse", plane + 280, 0 * plane) == pytest.approx(5.0, rel=1e-12)
    assert value("gradient_magnitude_ratio", plane, 2 * plane) == pytest.approx(0.5, rel=1e-12)


# --- A worse prediction scores worse ---


@pytest.mark.parametrize("name", [*SCORES, "fss_0.5_w3"])
def test_more_noise_is_farther_from_the_best(name):
    _, truth = fields((6, 32, 32))
    noise = np.random.default_rng(5).normal(size=truth.shape)
    # The bias and the median do not feel noise of mean zero: for them the noise is one-sided.
    noise = (
        np.abs(noise) if name in ("bias", "quantile_error_0.5", "quantile_error_0.1", "quantile_error_0.01") else noise
    )
    score = find_score(name)
    far = [abs(value(score, truth + size * noise, truth) - score.best) for size in (0.0, 0.1, 0.5, 2.0)]
    assert far == sorted(far)
    assert far[1] < far[2] < far[3]


# --- Names and what is refused ---


def test_scores_with_parameters_are_found_by_name():
    assert find_score("rmse") is SCORES["rmse"]
    for name in ("fss_10_w5", "fss_-2.5_w1", "fss_1e-05_w3", "quantile_error_0.95", "quantile_error_0.999"):
        assert find_score(name).name == name
    assert find_score("fss_10.0_w05").name == fss(10, 5).name == "fss_10_w5"
    assert list(compute_statistics(*fields(), names=["rmse", fss(0, 3)], **OPTIONS)) == ["rmse", "fss_0_w3"]
    with pytest.raises(ConfigError, match=r"no score is called 'fss_10'\. Did you mean 'fss_10_w5'"):
        find_score("fss_10")
    with pytest.raises(ConfigError, match=r"threshold 10\.0 and window 0 does not exist"):
        find_score("fss_10_w0")
    with pytest.raises(ConfigError, match="threshold nan"):
        fss(math.nan, 3)
    with pytest.raises(ConfigError, match=r"quantile of probability 1\.5 does not exist"):
        quantile_error(1.5)


def test_a_score_of_ones_own_is_finished_by_handing_it_over():
    own = replace(SCORES["rmse"], name="mine", convention="My own", options=())
    parts = compute_statistics(*fields(), names=[own], **OPTIONS)
    assert scores_from_statistics(parts, [own])["mine"] == value("rmse", *fields())
    with pytest.raises(ConfigError, match="no score is called 'mine'"):
        scores_from_statistics(parts)


def test_an_option_that_a_score_needs_is_asked_for():
    pair = fields()
    with pytest.raises(ConfigError, match="score 'histogram_overlap' needs low and high, which were not given"):
        compute_statistics(*pair, names=["histogram_overlap"], data_range=7.0, factor=4)
    with pytest.raises(ConfigError, match="score 'high_wavenumber_power_ratio' needs factor, which was not given"):
        compute_statistics(*pair, names=["high_wavenumber_power_ratio"], data_range=7.0, factor=None)
    taken = compute_statistics(*pair, data_range=7.0, factor=None)
    assert set(SCORES) - set(taken) == {"histogram_overlap", "high_wavenumber_power_ratio"}


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0), (0.0, math.inf)])
def test_bounds_of_a_histogram_must_ascend(low, high):
    with pytest.raises(SourceError, match=f"low and high of the histogram are {low} and {high}; expected"):
        value("histogram_overlap", *fields(), low=low, high=high)


def test_fields_smaller_than_a_window_are_refused():
    with pytest.raises(GridError, match="fss_0_w6 needs at least 6 x 6 cells; these fields have 5 x 9"):
        value("fss_0_w6", *fields((1, 5, 9)))
    for name in ("gradient_rmse", "gradient_magnitude_ratio"):
        with pytest.raises(GridError, match="a gradient needs at least 2 x 2 cells"):
            value(name, *fields((1, 1, 9)))
    with pytest.raises(GridError, match="at least 4 x 4 cells"):
        value("log_spectral_distance", *fields((1, 3, 9)))
