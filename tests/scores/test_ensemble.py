"""Ensemble scores against `scores`, plain loops and closed forms, and their properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from subgrid.errors import GridError, SourceError
from subgrid.scores.ensemble import (
    crps_fair_statistics,
    crps_statistics,
    flatness,
    rank_histogram_statistics,
)
from subgrid.scores.pointwise import absolute_error_statistics
from subgrid.scores.registry import ENSEMBLE_SCORES

EVERY = pytest.mark.parametrize("score", ENSEMBLE_SCORES.values(), ids=ENSEMBLE_SCORES)


def ensemble(shape=(3, 5, 4, 6), seed=0):
    """Members and truth around a common field; some truths equal a member, as floods of zeros do."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(shape[0], *shape[2:]))
    members = (common[:, None] + 0.5 * rng.normal(size=shape)).astype(np.float32)
    truth = (common + 0.7 * rng.normal(size=common.shape)).astype(np.float32)
    truth[:, 0] = members[:, 0, 0]
    return members, truth


@st.composite
def ensembles(draw):
    shape = [draw(st.integers(1, most)) for most in (4, 7, 5, 5)]
    shape[1] += 1
    members, truth = ensemble(shape, draw(st.integers(0, 2**31)))
    if draw(st.booleans()):
        members, truth = np.round(members), np.round(truth)
    return members, truth


def finish(score, members, truth, **options):
    return float(score.from_means(score.statistics(members, truth, **options).mean(axis=0)))


# --- Against independent references ---


@pytest.mark.parametrize(("parts", "method"), [(crps_statistics, "ecdf"), (crps_fair_statistics, "fair")])
@given(ensembles())
@settings(max_examples=15, deadline=None)
def test_crps_equals_scores(parts, method, case):
    from scores.probability import crps_for_ensemble

    members, truth = case
    expected = crps_for_ensemble(
        xr.DataArray(members.astype(np.float64), dims=("time", "member", "y", "x")),
        xr.DataArray(truth.astype(np.float64), dims=("time", "y", "x")),
        ensemble_member_dim="member",
        method=method,
        preserve_dims="time",
    )
    np.testing.assert_allclose(parts(members, truth)[:, 0], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weights", ["rows", "cells"])
def test_all_parts_equal_plain_loops_with_weights_and_gaps(weights):
    members, truth = ensemble((2, 4, 3, 5))
    truth[0, 1, 2] = truth[1, 2] = np.nan
    members[1, :, 2] = np.nan
    given_weights = np.random.default_rng(1).uniform(size=3 if weights == "rows" else (3, 5))
    for time in range(2):
        sums, total = dict.fromkeys(("crps", "fair", "variance", "square"), 0.0), 0.0
        ranks = [0.0] * 5
        for y in range(3):
            for x in range(5):
                obs = float(truth[time, y, x])
                if math.isnan(obs):
                    continue
                weight = float(given_weights[y] if weights == "rows" else given_weights[y, x])
                values = [float(value) for value in members[time, :, y, x]]
                error = sum(abs(value - obs) for value in values) / 4
                pairs = sum(abs(a - b) for a in values for b in values)
                mean = sum(values) / 4
                total += weight
                sums["crps"] += weight * (error - pairs / 32)
                sums["fair"] += weight * (error - pairs / 24)
                sums["variance"] += weight * sum((value - mean) ** 2 for value in values) / 3
                sums["square"] += weight * (mean - obs) ** 2
                below, ties = sum(v < obs for v in values), sum(v == obs for v in values)
                for rank in range(below, below + ties + 1):
                    ranks[rank] += weight / (ties + 1)
        found = {name: s.statistics(members, truth, weights=given_weights)[time] for name, s in ENSEMBLE_SCORES.items()}
        assert found["crps"] == pytest.approx([sums["crps"] / total])
        assert found["crps_fair"] == pytest.approx([sums["fair"] / total])
        assert found["spread"] == pytest.approx([sums["variance"] / total])
        assert found["skill"] == pytest.approx([sums["square"] / total])
        expected = [1.25 * sums["variance"] / total, sums["square"] / total]
        assert found["spread_skill_ratio"] == pytest.approx(expected)
        assert found["rank_histogram_flatness"] == pytest.approx([rank / total for rank in ranks])


@pytest.mark.slow
def test_crps_of_a_large_gaussian_ensemble_is_the_closed_form():
    # Quantile levels (i - 1/2) / m make the members' step function nearly the normal distribution itself.
    members = 280 + 2 * stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    truth = np.array([275.0, 279.0, 280.0, 284.0])
    z = (truth - 280) / 2
    expected = 2 * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi))
    prediction = np.broadcast_to(members[None, :, None, None], (1, 4000, 1, 4))
    for column in range(4):
        found = crps_statistics(prediction[..., column : column + 1], truth[None, None, column : column + 1])
        assert found.item() == pytest.approx(expected[column], rel=1e-3)


def test_crps_of_two_members_by_hand():
    # |0 - 1|, |4 - 1| mean 2; the pair 4 apart: 2 - 4 / 4 = 1, fair 2 - 4 / 2 = 0.
    members, truth = np.array([0.0, 4.0]).reshape(1, 2, 1, 1), np.ones((1, 1, 1))
    assert crps_statistics(members, truth).item() == 1.0
    assert crps_fair_statistics(members, truth).item() == 0.0


def test_fair_crps_does_not_depend_on_the_number_of_members_and_plain_does():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(1, 200, 200))
    fair, plain = (
        [part(rng.normal(size=(1, m, 200, 200)), truth).item() for m in (2, 20)]
        for part in (crps_fair_statistics, crps_statistics)
    )
    best = 1 / math.sqrt(math.pi)
    assert fair == pytest.approx([best, best], rel=0.02)
    assert plain == pytest.approx([best * 1.5, best * 1.05], rel=0.02)


def test_a_truth_like_the_members_is_calibrated_and_a_sure_ensemble_is_not():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4, 80, 80))
    for num_members in (2, 7):
        members = rng.normal(size=(4, num_members, 80, 80))
        ratio, flat = (ENSEMBLE_SCORES[name] for name in ("spread_skill_ratio", "rank_histogram_flatness"))
        assert finish(ratio, members, truth) == pytest.approx(1, abs=0.03)
        assert finish(flat, members, truth) < 0.05
        assert finish(ratio, 0.5 * members, truth) < 0.8
        histogram = rank_histogram_statistics(0.5 * members, truth).mean(axis=0)
        assert histogram[0] > 1.2 * histogram[1:-1].max() < 1.2 * histogram[-1]
        assert finish(ratio, 2 * members, truth) > 1.2


def test_flatness_by_hand():
    assert flatness(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist() == [0.0, 1.0]


# --- Properties ---


@given(ensembles(), st.floats(-3, 3), st.floats(0.5, 4))
@settings(max_examples=30, deadline=None)
def test_crps_is_a_distance_that_scales_and_shifts(case, shift, scale):
    members, truth = (values.astype(np.float64) for values in case)
    plain = crps_statistics(members, truth)
    assert (plain >= -1e-12).all()
    assert (plain <= np.abs(members - truth[:, None]).mean(axis=(1, 2, 3))[:, None] + 1e-12).all()
    np.testing.assert_allclose(
        crps_statistics(scale * members + shift, scale * truth + shift), scale * plain, atol=1e-9
    )
    np.testing.assert_allclose(crps_statistics(-members, -truth), plain, atol=1e-12)
    np.testing.assert_allclose(crps_statistics(np.repeat(members, 2, axis=1), truth), plain, atol=1e-12)


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_one_member_scores_its_mean_absolute_error(seed):
    members, truth = ensemble((2, 1, 5, 4), seed)
    np.testing.assert_allclose(
        crps_statistics(members, truth), absolute_error_statistics(members[:, 0], truth), rtol=1e-12
    )
    assert rank_histogram_statistics(members, truth).shape == (2, 2)


@EVERY
@given(ensembles(), st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None)
def test_blocks_of_times_and_order_of_members_change_nothing(score, case, random):
    members, truth = case
    whole = score.statistics(members, truth)
    pieces = [score.statistics(members[i : i + 1], truth[i : i + 1]) for i in range(len(truth))]
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=1e-12, atol=1e-12)
    order = random.sample(range(members.shape[1]), members.shape[1])
    np.testing.assert_allclose(score.statistics(members[:, order], truth), whole, rtol=1e-9, atol=1e-12)


@given(ensembles())
def test_rank_shares_sum_to_one(case):
    shares = rank_histogram_statistics(*case)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)


@EVERY
def test_members_that_are_the_truth_score_the_best(score):
    _, truth = ensemble()
    found = finish(score, np.repeat(truth[:, None], 4, axis=1), truth)
    assert found == (0.0 if score.name == "spread" else pytest.approx(score.best, abs=1e-12))


@EVERY
def test_finish_takes_stacks(score):
    members, truth = ensemble()
    parts = score.statistics(members, truth)
    assert parts.dtype == np.float64
    np.testing.assert_array_equal(score.from_means(parts), [score.from_means(row) for row in parts])


@EVERY
def test_weights_bite(score):
    members, truth = ensemble()
    alike = score.statistics(members, truth)
    np.testing.assert_allclose(score.statistics(members, truth, weights=np.full(4, 3.0)), alike)
    assert not np.allclose(score.statistics(members, truth, weights=np.arange(4.0)), alike)


# --- What is refused ---


@EVERY
def test_gaps_in_the_members_and_empty_times_are_refused(score):
    members, truth = ensemble()
    members[1, 2, 3, 0] = np.nan
    with pytest.raises(SourceError, match="prediction holds 1 non-finite"):
        score.statistics(members, truth)
    truth[1] = np.nan
    with pytest.raises(SourceError, match="no value at all"):
        score.statistics(members, truth)


@pytest.mark.parametrize("name", ["crps_fair", "spread", "spread_skill_ratio"])
def test_one_member_has_no_spread(name):
    members, truth = ensemble((2, 1, 4, 4))
    with pytest.raises(SourceError, match="1 member; expected 2 or more"):
        ENSEMBLE_SCORES[name].statistics(members, truth)


@pytest.mark.parametrize("shape", [(3, 4, 6), (3, 0, 4, 6), (2, 5, 4, 6), (3, 5, 4, 5)])
def test_shapes_that_do_not_fit_are_refused(shape):
    with pytest.raises(GridError, match="expected"):
        crps_statistics(np.zeros(shape), np.zeros((3, 4, 6)))
