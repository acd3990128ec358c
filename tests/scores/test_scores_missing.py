"""The one rule for missing values: what the reference lacks is left out of both fields, and nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter
from scipy.stats import wasserstein_distance
from skimage.metrics import structural_similarity

from subgrid.errors import GridError, SourceError
from subgrid.scores import SCORES, compute_statistics, fss, join_statistics, scores_from_statistics, unusable_scores
from subgrid.scores.structure import ms_ssim_statistics, ssim_statistics

OPTIONS = {"data_range": 7.0, "factor": 4, "low": -3.0, "high": 4.0}
BARE = {name: OPTIONS[name] for name in ("factor", "low", "high")}
SPECTRAL = {"high_wavenumber_power_ratio", "log_spectral_distance"}
WINDOWED = {"ssim", "ms_ssim", *SPECTRAL}


def gappy(shape=(4, 40, 44), seed=0):
    """A pair whose reference has a hole that moves from time to time."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=shape).cumsum(-1) * 0.3
    prediction = 0.8 * truth + 0.4 * rng.normal(size=shape) + 0.1
    for time in range(len(truth)):
        truth[time, : 3 + time, 5 : 8 + time] = np.nan
    return prediction, truth


def evaluate(prediction, truth, **options):
    return scores_from_statistics(compute_statistics(prediction, truth, **{**OPTIONS, **options}))


@pytest.mark.parametrize("weighted", [False, True])
def test_pointwise_scores_of_what_is_there(weighted):
    prediction, truth = gappy()
    weights = np.random.default_rng(1).uniform(size=truth.shape[1:]) if weighted else None
    rows = []
    for p, t in zip(prediction, truth, strict=True):
        there = np.isfinite(t)
        w = (np.ones(t.shape) if weights is None else weights)[there]
        p, t = p[there], t[there]
        e, w = p - t, w / w.sum()
        rows.append([(w * a).sum() for a in (e**2, abs(e), e, p, t, p * p, t * t, p * t)])
        rows[-1].append(wasserstein_distance(p, t, w, w))
    mse, mae, bias, p, t, pp, tt, pt, distance = np.mean(rows, axis=0)  # each time counts the same
    found = evaluate(prediction, truth, weights=weights)
    assert {name: found[name] for name in ("rmse", "mae", "bias", "correlation", "wasserstein")} == pytest.approx(
        {
            "rmse": math.sqrt(mse),
            "mae": mae,
            "bias": bias,
            "correlation": (pt - p * t) / math.sqrt((pp - p * p) * (tt - t * t)),
            "wasserstein": distance,
        },
        rel=1e-9,
    )
    assert found["psnr"] == pytest.approx(np.mean([10 * math.log10(49 / row[0]) for row in rows]), rel=1e-9)


def test_values_of_what_is_there():
    prediction, truth = gappy()
    pairs = [(p[np.isfinite(t)], t[np.isfinite(t)]) for p, t in zip(prediction, truth, strict=True)]
    found = evaluate(prediction, truth)
    for share in (0.01, 0.5, 0.999):
        expected = np.mean([np.quantile(p, share) - np.quantile(t, share) for p, t in pairs])
        assert found[f"quantile_error_{share:g}"] == pytest.approx(expected, rel=1e-9)
    edges = [-np.inf, *np.linspace(-3, 4, 101), np.inf]
    shares = [np.mean([np.histogram(pair[i], edges)[0] / pair[i].size for pair in pairs], axis=0) for i in (0, 1)]
    assert found["histogram_overlap"] == pytest.approx(np.minimum(*shares).sum(), rel=1e-9)


def touched(truth, cells):
    """Windows that touch a missing cell, by a maximum filter, cropped to windows inside the field."""
    grown = maximum_filter(np.isnan(truth).astype(int), cells, origin=0)
    half = cells // 2
    return grown[half : -half or None, half : -half or None].astype(bool)


def test_ssim_leaves_out_windows_that_touch_a_gap():
    prediction, truth = gappy((3, 30, 33))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 7.0, "full": True}
    expected = []
    for p, t in zip(prediction, truth, strict=True):
        places = structural_similarity(np.nan_to_num(t, nan=99.0), p, **options)[1][5:-5, 5:-5]
        expected.append(places[~touched(t, 11)].mean())
    np.testing.assert_allclose(ssim_statistics(prediction, truth, data_range=7.0)[:, 0], expected, rtol=1e-6)


def test_ms_ssim_leaves_them_out_at_each_scale():
    prediction, truth = gappy((2, 64, 64))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 7.0, "full": True}
    weights = np.array([0.0448, 0.2856, 0.3001]) / 0.6305
    expected = []
    for p, t in zip(prediction, truth, strict=True):
        product = 1.0
        for scale, weight in enumerate(weights):
            kind = {"K1": 1e8} if scale < 2 else {}  # without SSIM's first factor but at the last scale
            places = structural_similarity(np.nan_to_num(t, nan=99.0), p, **options, **kind)[1][5:-5, 5:-5]
            product *= places[~touched(t, 11)].mean() ** weight
            p, t = (f.reshape(len(f) // 2, 2, -1, 2).mean((1, 3)) for f in (p, t))
        expected.append(product)
    np.testing.assert_allclose(ms_ssim_statistics(prediction, truth, data_range=7.0)[:, 0], expected, rtol=1e-6)


def test_windows_and_differences_that_touch_a_gap_are_left_out():
    prediction, truth = gappy((3, 12, 14))
    top = bottom = squares = 0.0
    for p, t in zip(prediction, truth, strict=True):
        terms, slopes = [], []
        for y in range(10):
            for x in range(12):
                box = slice(y, y + 3), slice(x, x + 3)
                if np.isfinite(t[box]).all():
                    a, b = (p[box] >= 0.5).mean(), (t[box] >= 0.5).mean()
                    terms.append(((a - b) ** 2, a**2 + b**2))
        for y in range(11):
            for x in range(13):
                if np.isfinite(t[y : y + 2, x : x + 2]).all():
                    e = p - t
                    slopes.append((e[y + 1, x] - e[y, x]) ** 2 + (e[y, x + 1] - e[y, x]) ** 2)
        top, bottom = np.array([top, bottom]) + np.mean(terms, axis=0)
        squares += np.mean(slopes) / 3
    found = evaluate(prediction, truth, names=["fss_0.5_w3", "gradient_rmse"])
    assert found == pytest.approx({"fss_0.5_w3": 1 - top / bottom, "gradient_rmse": math.sqrt(squares)}, rel=1e-9)


@pytest.mark.slow
@given(st.integers(0, 2**31), st.sampled_from([np.nan, np.inf, 1e30]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_what_stands_in_a_gap_changes_nothing(seed, filling, masked):
    prediction, truth = gappy(seed=seed)
    # Six quantiles are one function; one of them stands for all.
    names = [name for name in SCORES if name not in SPECTRAL and not name.startswith("quantile_error_0.9")]
    base = evaluate(prediction, truth, names=[*names, fss(0.5, 3)])
    gaps = np.isnan(truth)
    filled = np.where(gaps, filling, prediction)
    reference = np.ma.MaskedArray(np.where(gaps, -999.0, truth), gaps) if masked else truth
    assert evaluate(filled, reference, names=[*names, fss(0.5, 3)]) == base


@pytest.mark.parametrize("name", [n for n in SCORES if n not in SPECTRAL])
def test_a_perfect_prediction_is_best_with_gaps_and_times_may_be_split_and_moved(name):
    prediction, truth = gappy()
    assert evaluate(truth, truth, names=[name])[name] == pytest.approx(SCORES[name].best, abs=1e-12)
    whole = compute_statistics(prediction, truth, names=[name], **OPTIONS)[name]
    blocks = [compute_statistics(prediction[[t]], truth[[t]], names=[name], **OPTIONS) for t in (2, 0, 3, 1)]
    np.testing.assert_allclose(join_statistics(blocks)[name], whole[[2, 0, 3, 1]], rtol=1e-12)
    assert np.isfinite(whole).all()


def test_spectra_are_refused_by_name_and_left_out_otherwise():
    prediction, truth = gappy()
    for name in SPECTRAL:
        with pytest.raises(
            SourceError, match=r"reference misses 86 values of 7040, the first at time index 0; a spectrum"
        ):
            compute_statistics(prediction, truth, names=[name], **OPTIONS)
        assert "cannot be taken of fields with gaps" in unusable_scores(truth, **BARE)[name]
    assert set(compute_statistics(prediction, truth, **OPTIONS)) == set(SCORES) - SPECTRAL
    assert set(unusable_scores(truth, **BARE)) == SPECTRAL
    assert set(unusable_scores(truth, names=["rmse", "fss_1_w41", "ssim"], **BARE)) == {"fss_1_w41"}


def test_scores_without_a_whole_window_are_refused_by_name_and_left_out_otherwise():
    prediction, truth = gappy((3, 20, 25))
    truth[1, ::5, ::5] = np.nan
    with pytest.raises(
        SourceError, match=r"SSIM needs 11 x 11 cells.*at 1 of 3 times, the first at time index 1, there"
    ):
        compute_statistics(prediction, truth, names=["ssim"], **OPTIONS)
    assert set(unusable_scores(truth, **BARE)) == WINDOWED
    assert set(compute_statistics(prediction, truth, **OPTIONS)) == set(SCORES) - WINDOWED
    wide, hole = gappy((1, 64, 64))
    hole[:, 30:34, 30:34] = np.nan
    assert set(unusable_scores(hole, **BARE)) == {"ms_ssim", *SPECTRAL}
    with pytest.raises(SourceError, match="MS-SSIM at scale 4, counted in cells of that scale, needs 11 x 11"):
        compute_statistics(wide, hole, names=["ms_ssim"], **OPTIONS)


def test_unusable_scores_of_a_whole_reference_and_of_no_options():
    whole = np.nan_to_num(gappy()[1])
    assert unusable_scores(whole, **BARE) == {}
    reasons = unusable_scores(whole)
    assert set(reasons) == {"histogram_overlap", "high_wavenumber_power_ratio"}
    assert reasons["histogram_overlap"].startswith("score 'histogram_overlap' needs low and high")
    with pytest.raises(GridError, match="expected"):
        unusable_scores(whole[0])


def test_blocks_are_joined_by_the_scores_that_all_have():
    prediction, truth = gappy()
    whole = np.nan_to_num(truth)
    blocks = [
        compute_statistics(prediction[:2], whole[:2], **OPTIONS),
        compute_statistics(prediction[2:], truth[2:], **OPTIONS),
    ]
    joined = join_statistics(blocks)
    assert set(joined) == set(SCORES) - SPECTRAL
    assert {len(parts) for parts in joined.values()} == {4}
    with pytest.raises(SourceError, match="no blocks of times"):
        join_statistics([])


def test_a_prediction_must_have_what_the_reference_has():
    prediction, truth = gappy()
    prediction[:, 0] = np.nan
    bad = int((~np.isnan(truth[:, 0])).sum())
    with pytest.raises(
        SourceError, match=f"prediction holds {bad} non-finite or masked values of 7040, the first at time"
    ):
        compute_statistics(prediction, truth, **OPTIONS)


def test_a_time_must_have_something_that_counts():
    prediction, truth = gappy()
    truth[2] = np.nan
    with pytest.raises(SourceError, match="no value at all at 1 of 4 times, the first at time index 2"):
        compute_statistics(prediction, truth, names=["rmse"], **OPTIONS)
    truth[2, :5] = 1.0
    weights = np.arange(40) >= 5.0
    with pytest.raises(SourceError, match="only in cells of weight 0 at time index 2"):
        compute_statistics(prediction, truth, names=["rmse"], weights=weights, **OPTIONS)


def test_finite_fields_too_large_to_sum_are_still_finite():
    huge = np.full((1, 12, 12), 1.7e308)
    assert evaluate(huge, huge, names=["mae", "bias"]) == {"mae": 0.0, "bias": 0.0}
