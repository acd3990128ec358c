"""Scores against scikit-image and plain loops, and the properties that every score must have."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from subgrid.errors import ConfigError, GridError, SourceError
from subgrid.scores import SCORES, compute_statistics, power_spectrum, scores_from_statistics, unusable_scores
from subgrid.scores.pointwise import PSNR_CEILING, psnr_statistics
from subgrid.scores.spectra import _mode_variances, high_wavenumber_power_statistics, ratio
from subgrid.scores.structure import ssim_statistics

OPTIONS = {"data_range": 7.0, "factor": 4, "low": -3.0, "high": 4.0}
BARE = {name: OPTIONS[name] for name in ("factor", "low", "high")}


def fields(shape=(5, 24, 31), seed=0, scale=1.0, offset=0.0):
    """Two related fields with structure at all scales, float32 as in the product."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=shape).cumsum(-1) * 0.3
    prediction = 0.8 * truth + 0.4 * rng.normal(size=shape) + 0.1
    return (prediction * scale + offset).astype(np.float32), (truth * scale + offset).astype(np.float32)


@st.composite
def pairs(draw):
    shape = (draw(st.integers(1, 12)), draw(st.integers(11, 70)), draw(st.integers(11, 70)))
    scale = 10.0 ** draw(st.integers(-4, 4))
    offset = scale * draw(st.sampled_from([0.0, -3.0, 40.0]))
    prediction, truth = fields(shape, draw(st.integers(0, 2**31)), scale, offset)
    data_range = draw(st.floats(0.1, 10)) * float(np.ptp(truth))
    return prediction, truth, data_range


def evaluate(prediction, truth, **options):
    return scores_from_statistics(compute_statistics(prediction, truth, **{**OPTIONS, **options}))


# --- Against independent references ---


@given(pairs())
@settings(max_examples=60, deadline=None)
def test_psnr_and_ssim_equal_scikit_image_for_each_time(case):
    prediction, truth, data_range = case
    # scikit-image works in the precision that it is given.
    images = list(zip(truth.astype(np.float64), prediction.astype(np.float64), strict=True))
    ssim = [
        structural_similarity(
            t, p, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=data_range
        )
        for t, p in images
    ]
    psnr = [peak_signal_noise_ratio(t, p, data_range=data_range) for t, p in images]
    np.testing.assert_allclose(ssim_statistics(prediction, truth, data_range=data_range)[:, 0], ssim, atol=1e-6)
    np.testing.assert_allclose(psnr_statistics(prediction, truth, data_range=data_range)[:, 0], psnr, atol=1e-6)


@pytest.mark.parametrize("shape", [(200, 64, 64), (3, 180, 360), (2, 11, 300), (1, 300, 11)])
def test_ssim_equals_scikit_image_across_blocks_and_tiles(shape):
    prediction, truth = fields(shape)
    expected = np.mean(
        [
            structural_similarity(t, p, gaussian_weights=True, use_sample_covariance=False, data_range=7.0)
            for t, p in zip(truth.astype(np.float64), prediction.astype(np.float64), strict=True)
        ]
    )
    assert evaluate(prediction, truth, names=["ssim"])["ssim"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("weights", [None, "rows", "cells"])
def test_pointwise_scores_equal_plain_loops(weights):
    prediction, truth = fields((3, 5, 4))
    rng = np.random.default_rng(1)
    given_weights = {None: None, "rows": rng.uniform(size=5), "cells": rng.uniform(size=(5, 4))}[weights]
    total, squares, absolutes, errors, psnrs = 0.0, 0.0, 0.0, 0.0, []
    for time in range(3):
        image_total, image_squares = 0.0, 0.0
        for y in range(5):
            for x in range(4):
                cell = {None: 1.0, "rows": 0.0, "cells": 0.0}[weights]
                if weights == "rows":
                    cell = given_weights[y]
                elif weights == "cells":
                    cell = given_weights[y, x]
                error = float(prediction[time, y, x]) - float(truth[time, y, x])
                image_total += cell
                image_squares += cell * error**2
                absolutes += cell * abs(error)
                errors += cell * error
        total += image_total
        squares += image_squares
        psnrs.append(10 * math.log10(7.0**2 / (image_squares / image_total)))
    found = evaluate(prediction, truth, names=["psnr", "rmse", "mae", "bias"], weights=given_weights)
    assert found == pytest.approx(
        {
            "psnr": sum(psnrs) / 3,
            "rmse": math.sqrt(squares / total),
            "mae": absolutes / total,
            "bias": errors / total,
        },
        rel=1e-12,
    )


@pytest.mark.parametrize(("shape", "factor"), [((2, 12, 9), 2), ((2, 9, 12), 4), ((2, 16, 16), 3)])
def test_high_wavenumber_power_equals_a_plain_transform(shape, factor):
    num_time, num_y, num_x = shape
    prediction, truth = fields(shape)
    taper = [[math.sin(math.pi * (n + 0.5) / size) ** 2 for n in range(size)] for size in (num_y, num_x)]
    window = np.outer(*taper)
    y, x = np.mgrid[:num_y, :num_x]
    for column, values in enumerate((prediction.astype(np.float64), truth.astype(np.float64))):
        expected = np.zeros(num_time)
        for ky in range(num_y):
            for kx in range(num_x):
                k = math.hypot(min(ky, num_y - ky) / num_y, min(kx, num_x - kx) / num_x)
                if k <= 1 / (2 * factor) + 1e-12:
                    continue
                wave = np.exp(-2j * np.pi * (ky * y / num_y + kx * x / num_x))
                for time in range(num_time):
                    anomaly = (values[time] - values[time].mean()) * window
                    expected[time] += abs((anomaly * wave).sum()) ** 2
        expected /= (num_y * num_x) ** 2 * (window**2).mean()
        found = high_wavenumber_power_statistics(prediction, truth, factor=factor)[:, column]
        np.testing.assert_allclose(found, expected, rtol=1e-9)


# --- Properties of every score ---


@pytest.mark.slow
@given(pairs(), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_blocks_and_order_of_times_change_nothing(case, seed):
    prediction, truth, data_range = case
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.1, 1, size=truth.shape[1])
    low, high = float(truth.min()), float(truth.max())
    options = {"data_range": data_range, "factor": 3, "weights": weights, "low": low, "high": high}
    whole = compute_statistics(prediction, truth, **options)
    order = rng.permutation(len(truth))
    blocks = [
        compute_statistics(prediction[block], truth[block], **options)
        for block in np.array_split(order, rng.integers(1, len(truth) + 1))
    ]
    streamed = {name: np.concatenate([block[name] for block in blocks]) for name in whole}
    assert set(whole) == set(SCORES)
    for name, parts in whole.items():
        assert parts.shape[0] == len(truth)
        assert parts.dtype == np.float64
        np.testing.assert_allclose(streamed[name], parts[order], rtol=1e-9, atol=1e-12 * np.abs(parts).max())
    assert scores_from_statistics(streamed) == pytest.approx(
        scores_from_statistics(whole), rel=1e-9, abs=1e-9 * data_range
    )


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("offset", [0.0, 280.0])
def test_a_perfect_prediction_has_the_best_value_and_a_wrong_one_has_not(name, offset):
    prediction, truth = fields(offset=offset)
    best = SCORES[name].best
    bounds = {"low": float(truth.min()), "high": float(truth.max())}
    perfect = evaluate(truth, truth, names=[name], **bounds)[name]
    wrong = evaluate(prediction, truth, names=[name], **bounds)[name]
    assert perfect == pytest.approx(best, abs=1e-12)
    assert abs(wrong - best) > 1e-3
    if SCORES[name].higher_is_better is not None:
        assert (wrong < best) == SCORES[name].higher_is_better


def test_two_sided_scores_are_wrong_on_both_sides():
    _, truth = fields()
    two_sided = {name for name, score in SCORES.items() if score.higher_is_better is None}
    quantiles = {name for name in SCORES if name.startswith("quantile_error_")}
    assert two_sided == {"bias", "high_wavenumber_power_ratio", "gradient_magnitude_ratio"} | quantiles
    mean = truth.mean(dtype=np.float64)
    for sign in (-1, 1):
        found = evaluate(truth + sign * (0.5 + 0.5 * (truth - mean)), truth, names=two_sided)
        assert found["bias"] == pytest.approx(0.5 * sign, abs=1e-5)
        assert found["high_wavenumber_power_ratio"] == pytest.approx((1 + 0.5 * sign) ** 2, rel=1e-5)
        assert found["gradient_magnitude_ratio"] == pytest.approx(1 + 0.5 * sign, rel=1e-5)
        for name in quantiles:
            share = float(name.removeprefix("quantile_error_"))
            own = np.quantile(truth.reshape(len(truth), -1), share, axis=1).mean(dtype=np.float64)
            assert found[name] == pytest.approx(sign * (0.5 + 0.5 * (own - mean)), abs=1e-5)


def test_scores_are_finishes_of_means_and_not_means_of_finishes():
    truth = np.zeros((2, 12, 12), np.float32)
    prediction = truth + np.array([1.0, 7.0], np.float32)[:, None, None]
    found = evaluate(prediction, truth, names=["rmse", "mae"])
    assert found["rmse"] == pytest.approx(5.0, rel=1e-12)
    assert found["mae"] == pytest.approx(4.0, rel=1e-12)
    rough = np.stack([fields((1, 16, 16), seed)[1][0] for seed in (0, 1)]) * np.array([1, 10])[:, None, None]
    predicted = rough * np.array([2.0, 1.0])[:, None, None]
    powers = high_wavenumber_power_statistics(predicted, rough, factor=2)
    quotient = evaluate(predicted, rough, factor=2)["high_wavenumber_power_ratio"]
    assert quotient == pytest.approx(powers[:, 0].sum() / powers[:, 1].sum(), rel=1e-12)
    assert (powers[:, 0] / powers[:, 1]).mean() > 2.4 > 1.2 > quotient


@pytest.mark.parametrize("name", SCORES)
def test_a_stack_of_means_gives_a_stack_of_scores(name):
    score = SCORES[name]
    parts = compute_statistics(*fields(), names=[name], **OPTIONS)[name]
    means = np.stack([parts[:2].mean(axis=0), parts[2:].mean(axis=0), parts.mean(axis=0)])
    stack = score.from_means(means.reshape(3, 1, -1))
    assert stack.shape == (3, 1)
    each = [scores_from_statistics({name: chunk})[name] for chunk in (parts[:2], parts[2:], parts)]
    np.testing.assert_allclose(stack[:, 0], each, rtol=1e-12)


@pytest.mark.parametrize("name", SCORES)
def test_every_option_that_a_score_names_bites_and_no_other(name):
    prediction, truth = fields()
    base = evaluate(prediction, truth, names=[name])[name]
    other = {
        "data_range": 9.0,
        "factor": 2,
        "weights": np.arange(24.0),
        "low": -2.0,
        "high": 3.0,
        "periodic_x": True,
    }
    biting = {
        option for option in other if evaluate(prediction, truth, names=[name], **{option: other[option]})[name] != base
    }
    assert biting == set(SCORES[name].options)


@given(pairs())
@settings(max_examples=25, deadline=None)
def test_equal_weights_of_any_size_are_the_plain_mean(case):
    prediction, truth, data_range = case
    names = [name for name, score in SCORES.items() if "weights" in score.options]
    bounds = {"low": float(truth.min()), "high": float(truth.max())}
    plain = evaluate(prediction, truth, names=names, data_range=data_range, **bounds)
    for weights in (np.full(truth.shape[1], 3.0), np.full(truth.shape[1:], 1e-9)):
        weighted = evaluate(prediction, truth, names=names, data_range=data_range, weights=weights, **bounds)
        assert weighted == pytest.approx(plain, rel=1e-9, abs=1e-9 * data_range)


def test_cells_of_weight_zero_do_not_count():
    prediction, truth = fields((2, 12, 12))
    prediction[:, :6] = truth[:, :6] + 0.25
    prediction[:, 6:] = 99
    weights = np.repeat([1.0, 0.0], 6)
    found = evaluate(prediction, truth, names=["rmse", "bias"], weights=weights)
    assert found == pytest.approx({"rmse": 0.25, "bias": 0.25}, rel=1e-5)


def test_psnr_of_one_perfect_image_leaves_the_others_visible():
    prediction, truth = fields((2, 12, 12))
    prediction[0] = truth[0]
    parts = compute_statistics(prediction, truth, names=["psnr"], **OPTIONS)["psnr"][:, 0]
    assert parts[0] == PSNR_CEILING == pytest.approx(138.474, abs=1e-3)
    assert 0 < parts[1] < 40
    assert evaluate(prediction, truth, names=["psnr"])["psnr"] == pytest.approx(parts.mean())


def test_psnr_depends_on_error_relative_to_the_range_only():
    prediction, truth = fields()
    base = psnr_statistics(prediction, truth, data_range=7.0)
    np.testing.assert_allclose(psnr_statistics(prediction * 8, truth * 8, data_range=56.0), base, rtol=1e-12)
    tenfold = psnr_statistics(prediction, truth, data_range=70.0)
    np.testing.assert_allclose(tenfold - base, 20.0, rtol=1e-12)


def test_power_ratio_where_the_truth_is_flat():
    # In double precision the mean of these cells is not the cells' own value: no power may come of that.
    flat = np.full((2, 15, 17), 271.37)
    assert (flat[0] - flat[0].mean()).any()
    rough = flat + fields((2, 15, 17))[0]
    assert high_wavenumber_power_statistics(flat, flat, factor=2).tolist() == [[0, 0], [0, 0]]
    assert evaluate(flat, flat, names=["high_wavenumber_power_ratio"]) == {"high_wavenumber_power_ratio": 1.0}
    assert evaluate(rough, flat, names=["high_wavenumber_power_ratio"])["high_wavenumber_power_ratio"] == math.inf
    assert ratio(np.array([[4.0, 2.0], [0.0, 2.0]])).tolist() == [2.0, 0.0]


def test_table_and_conventions_say_what_was_used():
    assert {"psnr", "ssim", "rmse", "mae", "bias", "high_wavenumber_power_ratio"} < set(SCORES)
    assert all(name == score.name for name, score in SCORES.items())
    said = {name: score.describe(data_range=7.5, factor=8, low=-1.0, high=2.5) for name, score in SCORES.items()}
    assert said["rmse"] == "Root of the mean square error over all times and cells (every cell counts the same)"
    assert said["psnr"].endswith("(data range 7.5; every cell counts the same)")
    assert said["ssim"].endswith("(data range 7.5)")
    assert said["high_wavenumber_power_ratio"].endswith("(factor 8; x not periodic)")
    assert said["histogram_overlap"].endswith("(from -1; to 2.5; every cell counts the same)")
    assert said["gradient_rmse"].endswith("by first differences")
    periodic = SCORES["log_spectral_distance"].describe(data_range=1, factor=None, periodic_x=True)
    assert periodic.endswith("(x periodic)")
    assert [SCORES[name].units_for("K") for name in ("rmse", "gradient_rmse", "psnr", "ssim")] == [
        "K",
        "K per cell",
        "dB",
        "1",
    ]
    assert SCORES["mae"].describe(data_range=1, factor=2, weights=np.ones(3)).endswith("(cells weighted)")


# --- Spectra ---


@given(st.integers(4, 33), st.integers(4, 33), st.booleans(), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_modes_sum_to_the_tapered_variance(num_y, num_x, periodic_x, seed):
    values = np.random.default_rng(seed).normal(5.0, 3.0, size=(2, num_y, num_x))
    _, variance = _mode_variances(values, periodic_x=periodic_x)
    y_taper = np.sin(np.pi * (np.arange(num_y) + 0.5) / num_y) ** 2
    x_taper = np.ones(num_x) if periodic_x else np.sin(np.pi * (np.arange(num_x) + 0.5) / num_x) ** 2
    weight = np.outer(y_taper, x_taper) ** 2
    anomalies = values - values.mean(axis=(1, 2), keepdims=True)
    expected = (anomalies**2 * weight).sum(axis=(1, 2)) / weight.sum()
    np.testing.assert_allclose(variance.sum(axis=(1, 2)), expected, rtol=1e-10)


@pytest.mark.parametrize("shape", [(12, 9), (9, 12), (16, 16), (7, 30)])
def test_rings_hold_the_means_of_a_full_plain_transform(shape):
    num_y, num_x = shape
    short = min(shape)
    image = fields((1, *shape))[1].astype(np.float64)
    taper = [[math.sin(math.pi * (n + 0.5) / size) ** 2 for n in range(size)] for size in shape]
    window = np.outer(*taper)
    full = np.abs(np.fft.fft2((image[0] - image.mean()) * window)) ** 2
    rings: dict[int, list[float]] = {}
    for ky in range(num_y):
        for kx in range(num_x):
            k = math.hypot(min(ky, num_y - ky) / num_y, min(kx, num_x - kx) / num_x)
            if k <= 0.5 + 1e-12:
                rings.setdefault(math.floor(k * short + 0.5 + 1e-12), []).append(full[ky, kx])
    expected = [np.mean(rings[j]) / (num_y * num_x * (window**2).mean()) for j in range(1, short // 2 + 1)]
    np.testing.assert_allclose(power_spectrum(image)[1][0], expected, rtol=1e-10)


@pytest.mark.parametrize("shape", [(64, 64), (32, 48), (48, 32), (33, 49), (180, 360), (4, 4)])
def test_rings_are_common_ascending_and_end_at_nyquist(shape):
    wavenumber, power = power_spectrum(fields((2, *shape))[1])
    short = min(shape)
    np.testing.assert_allclose(wavenumber, np.arange(1, short // 2 + 1) / short, rtol=1e-14)
    assert power.shape == (2, short // 2)
    assert wavenumber[-1] <= 0.5
    assert (power > 0).all()


@pytest.mark.parametrize("shape", [(64, 64), (32, 48), (48, 32), (180, 360)])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("periodic_x", [False, True])
def test_a_sine_wave_shows_at_its_wavenumber_with_its_variance(shape, axis, periodic_x):
    cells = np.indices(shape)[axis]
    wave = 3.0 * np.sin(2 * np.pi * cells / 4 + 0.3)[None]
    wavenumber, power = power_spectrum(wave, periodic_x=periodic_x)
    assert wavenumber[power[0].argmax()] == pytest.approx(1 / 4)
    near = np.abs(wavenumber - 1 / 4) < 2.5 / min(shape)
    assert power[0, near].sum() > 0.999 * power[0].sum()
    k, variance = _mode_variances(wave, periodic_x=periodic_x)
    assert variance[0].sum() == pytest.approx(4.5, rel=0.02)
    assert variance[0][np.abs(k - 1 / 4) < 2.5 / min(shape)].sum() == pytest.approx(4.5, rel=0.02)


def test_a_periodic_wave_is_cut_off_only_where_x_is_taken_for_open():
    wave = np.sin(2 * np.pi * np.arange(64) / 8)[None, None, :] * np.ones((1, 64, 1))
    periodic = power_spectrum(wave, periodic_x=True)[1][0]
    tapered = power_spectrum(wave, periodic_x=False)[1][0]
    # A taper spreads a wave to its two neighbours along its own axis, here rings 7 and 9.
    assert periodic[6] < 1e-20 < 1e-3 < tapered[6]


@pytest.mark.parametrize("shape", [(64, 64), (32, 48), (90, 180)])
@pytest.mark.parametrize("periodic_x", [False, True])
def test_white_noise_is_flat_at_its_variance_on_any_grid(shape, periodic_x):
    noise = np.random.default_rng(0).normal(10.0, 2.0, size=(300, *shape))
    _, power = power_spectrum(noise, periodic_x=periodic_x)
    # The first ring loses what is taken off with the mean.
    np.testing.assert_allclose(power.mean(axis=0)[1:], 4.0, rtol=0.1)
    assert power.mean(axis=0)[len(power[0]) // 2 :].mean() == pytest.approx(4.0, rel=0.02)


@pytest.mark.parametrize("cut", [(128, 128), (96, 160)])
@pytest.mark.parametrize("slope", [-3.0, -5 / 3])
def test_the_slope_of_a_power_law_is_recovered(cut, slope):
    size = 256
    rng = np.random.default_rng(2)
    k = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    k[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(40, size, size))) * k ** (slope / 2))
    # Cut out of the periodic domain, so that without a taper the edges would flatten the spectrum.
    wavenumber, power = power_spectrum(field[:, : cut[0], : cut[1]])
    inner = (wavenumber > 0.04) & (wavenumber < 0.45)
    found = np.polyfit(np.log(wavenumber[inner]), np.log(power.mean(axis=0)[inner]), 1)[0]
    assert found == pytest.approx(slope, abs=0.06)
    np.testing.assert_allclose(power.mean(axis=0)[inner], wavenumber[inner] ** slope, rtol=0.2)


def test_spectra_see_a_scale_squared_and_no_offset():
    _, truth = fields((3, 20, 27))
    base = power_spectrum(truth)[1]
    np.testing.assert_allclose(power_spectrum(truth.astype(np.float64) * 3 + 280)[1], base * 9, rtol=1e-9)
    np.testing.assert_allclose(power_spectrum(truth[1:2])[1][0], base[1], rtol=1e-9)


def test_smoothing_lowers_the_ratio_and_noise_raises_it():
    _, truth = fields((4, 32, 48))
    smooth = uniform_filter(truth, (1, 3, 3))
    noisy = truth + np.random.default_rng(1).normal(size=truth.shape)
    name = "high_wavenumber_power_ratio"
    assert evaluate(smooth, truth, factor=2)[name] < 0.9 < 1.1 < evaluate(noisy, truth, factor=2)[name]


# --- What is refused ---


@pytest.mark.parametrize(
    ("which", "value"),
    [("prediction", np.nan), ("prediction", np.inf), ("reference", np.inf), ("reference", -np.inf)],
)
@pytest.mark.parametrize("name", SCORES)
def test_values_that_are_not_finite_never_pass(which, value, name):
    pair = dict(zip(("prediction", "reference"), fields((4, 12, 12)), strict=True))
    pair[which][2, 3, 4:6] = value
    pair[which][3, 0, 0] = value
    message = rf"^{which} holds 3 non-finite or masked values of 576, the first at time index 2;"
    with pytest.raises(SourceError, match=message):
        compute_statistics(**pair, names=[name], **OPTIONS)
    options = {option: {**OPTIONS, "weights": None, "periodic_x": False}[option] for option in SCORES[name].options}
    with pytest.raises(SourceError, match=message):
        SCORES[name].statistics(**pair, **options)


def test_masked_values_never_pass():
    prediction, truth = fields((4, 12, 12))
    mask = np.zeros(truth.shape, bool)
    mask[1, 2, 3] = True
    with pytest.raises(
        SourceError, match="prediction holds 1 non-finite or masked values of 576, the first at time index 1;"
    ):
        compute_statistics(np.ma.MaskedArray(prediction, mask), truth, **OPTIONS)
    unmasked = np.ma.MaskedArray(truth, np.zeros_like(mask))
    assert evaluate(prediction, unmasked) == evaluate(prediction, truth)
    with pytest.raises(SourceError, match="fields holds 1 "):
        power_spectrum(np.ma.MaskedArray(truth, mask))


def test_shapes_that_do_not_fit_are_refused():
    prediction, truth = fields((4, 12, 13))
    with pytest.raises(GridError, match=r"prediction has shape \(4, 12, 12\) but reference has shape \(4, 12, 13\)"):
        compute_statistics(prediction[:, :, :12], truth, **OPTIONS)
    with pytest.raises(GridError, match=r"shape \(12, 13\); expected \(time, y, x\).*field\[None\]"):
        compute_statistics(prediction[0], truth[0], **OPTIONS)
    with pytest.raises(GridError, match=r"shape \(0, 12, 13\); expected \(time, y, x\) with at least one"):
        compute_statistics(prediction[:0], truth[:0], **OPTIONS)


@pytest.mark.parametrize("shape", [(2, 10, 40), (2, 40, 10)])
def test_an_image_smaller_than_the_window_is_refused(shape):
    with pytest.raises(GridError, match=rf"at least 11 x 11 cells.*have {shape[1]} x {shape[2]}"):
        compute_statistics(*fields(shape), names=["ssim"], **OPTIONS)
    taken = evaluate(*fields(shape))
    assert set(SCORES) - set(taken) == {"ssim", "ms_ssim"} == set(unusable_scores(fields(shape)[1], **BARE))


@pytest.mark.parametrize("shape", [(2, 3, 8), (2, 8, 3)])
def test_too_few_cells_for_a_spectrum_are_refused(shape):
    with pytest.raises(GridError, match="at least 4 x 4 cells"):
        power_spectrum(fields(shape)[0])


@pytest.mark.parametrize("data_range", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("name", ["psnr", "ssim"])
def test_a_data_range_that_is_not_positive_is_refused(data_range, name):
    with pytest.raises(SourceError, match=f"data_range is {data_range}; expected a positive number"):
        compute_statistics(*fields(), names=[name], data_range=data_range, factor=4)


@pytest.mark.parametrize("factor", [1, 0, -2])
def test_a_factor_without_finer_cells_is_refused(factor):
    with pytest.raises(GridError, match=f"factor is {factor}; expected 2 or more"):
        compute_statistics(*fields(), data_range=7.0, factor=factor)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(31), r"weights have shape \(31,\); expected \(24,\) or \(24, 31\)"),
        (np.ones((31, 24)), r"weights have shape \(31, 24\)"),
        (np.zeros(24), "weights run from 0 to 0; expected finite numbers"),
        (np.linspace(-1, 1, 24), "weights run from -1 to 1"),
        (np.full(24, np.nan), "weights run from nan to nan"),
    ],
)
def test_unusable_weights_are_refused(weights, message):
    with pytest.raises(GridError, match=message):
        compute_statistics(*fields(), names=["rmse"], weights=weights, **OPTIONS)


def test_unknown_scores_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"^no score is called 'rsme'. Did you mean 'rmse'\?$"):
        compute_statistics(*fields(), names=["rsme"], **OPTIONS)
    with pytest.raises(ConfigError, match=r"'pnsr'\. Did you mean 'psnr'\?"):
        scores_from_statistics({"pnsr": np.ones((1, 1))})


@pytest.mark.parametrize("values", [np.ones((0, 1)), np.array([[1.0], [np.nan]]), np.array([[np.inf]])])
def test_parts_that_cannot_be_averaged_are_refused(values):
    bad = int((~np.isfinite(values)).sum())
    message = f"score 'mae' has statistics of {len(values)} times to average, {bad} of them not finite"
    with pytest.raises(SourceError, match=message):
        scores_from_statistics({"mae": values})
