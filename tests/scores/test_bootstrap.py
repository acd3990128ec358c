"""Intervals: their coverage by simulation, the block rule by plain loops, and what never changes them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.signal import lfilter

from subgrid.errors import ConfigError, GridError, SourceError
from subgrid.scores import bootstrap
from subgrid.scores.block_length import block_length, find_breaks
from subgrid.scores.bootstrap import intervals, paired


def mean_of(mean):
    return mean[..., 0]


def root_of(mean):
    return np.sqrt(mean[..., 0])


def ratio_of(mean):
    return mean[..., 0] / mean[..., 1]


def autoregressive(rng, rho, num_times, num_series=1):
    """Unit variance, lag-one correlation rho."""
    noise = rng.normal(size=(num_times + 60, num_series)) * math.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise, axis=0)[60:]


def parts_of(name, rng, rho, num_times):
    """Parts of a score whose true value is known."""
    if name == "mean":
        return autoregressive(rng, rho, num_times), mean_of, 0.0
    if name == "rmse":
        return autoregressive(rng, rho, num_times) ** 2, root_of, 1.0
    common, first, second = autoregressive(rng, rho, num_times, 3).T
    return np.exp(0.4 * (common + 0.7 * np.stack([first, second])).T), ratio_of, 1.0


# --- Coverage ---


@pytest.mark.slow
@pytest.mark.parametrize("num_times", [100, 400])
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("name", ["mean", "rmse", "ratio"])
def test_an_interval_covers_what_it_promises(name, rho, num_times):
    rng, held, given_up, num_series = np.random.default_rng(11), 0, 0, 300
    for seed in range(num_series):
        parts, finish, truth = parts_of(name, rng, rho, num_times)
        interval = intervals(parts, finish, num_resamples=300, seed=seed)
        held += interval.lower <= truth <= interval.upper
        given_up += interval.reason is not None
    assert given_up <= 0.01 * num_series
    assert 0.90 <= held / (num_series - given_up) <= 0.98


@pytest.mark.slow
def test_a_difference_covers_what_it_promises_and_pairing_narrows_it():
    rng, held, narrower = np.random.default_rng(3), 0, []
    for seed in range(200):
        weather, one, other = autoregressive(rng, 0.6, 150, 3).T
        a, b = (np.exp(0.5 * weather + 0.1 * own)[:, None] for own in (one, other))
        both = paired(a, b, root_of, num_resamples=300, seed=seed)
        held += both.lower <= 0 <= both.upper
        alone = intervals(a, root_of, num_resamples=300, seed=seed)
        narrower.append((both.upper - both.lower) / (alone.upper - alone.lower))
    assert 0.90 <= held / 200 <= 0.98
    assert np.median(narrower) < 0.5


def test_independent_times_give_nearly_students_interval():
    parts = np.random.default_rng(0).normal(size=(2000, 1)) + 5
    found = intervals(parts, mean_of, block=1, num_resamples=20000)
    low, high = stats.t.interval(0.95, 1999, parts.mean(), stats.sem(parts[:, 0]))
    # One standard error of the correlation, 0.022, widens it by as much.
    assert (found.upper - found.lower) / (high - low) == pytest.approx(1.022, abs=0.03)
    assert found.value == pytest.approx(parts.mean())
    assert found.block == 1


def test_level_bites():
    parts = np.random.default_rng(0).normal(size=(200, 1))
    widths = [(lambda i: i.upper - i.lower)(intervals(parts, mean_of, level=level)) for level in (0.5, 0.9, 0.99)]
    assert widths == sorted(widths)
    assert widths[2] > 3 * widths[0]


def test_persistence_widens_as_theory_says():
    # A mean of n values with correlation rho has the spread of n (1 - rho) / (1 + rho) independent ones.
    parts = autoregressive(np.random.default_rng(2), 0.8, 8000)
    found = intervals(parts, mean_of)
    expected = 2 * 1.96 * math.sqrt(9 / 8000)
    assert found.upper - found.lower == pytest.approx(expected, rel=0.2)
    assert 20 < found.block < 100


# --- What never changes, and what never may be wrong ---


def test_a_seed_is_a_result_and_another_seed_another():
    parts = autoregressive(np.random.default_rng(1), 0.5, 120) ** 2
    assert intervals(parts, root_of, seed=4) == intervals(parts, root_of, seed=4)
    assert intervals(parts, root_of, seed=4) != intervals(parts, root_of, seed=5)
    assert intervals(parts, root_of, num_resamples=100) != intervals(parts, root_of, num_resamples=1000)


def test_chunks_change_nothing(monkeypatch):
    parts = autoregressive(np.random.default_rng(1), 0.5, 120, 3) ** 2
    whole = intervals(parts, ratio_of, num_resamples=333)
    monkeypatch.setattr(bootstrap, "_CHUNK_DRAWS", 100)
    assert intervals(parts, ratio_of, num_resamples=333) == whole


@given(st.integers(15, 60), st.floats(-1e6, 1e6), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_constant_parts_have_no_width(num_times, value, seed):
    found = intervals(np.full((num_times, 1), value), mean_of, seed=seed)
    assert (found.lower, found.upper, found.reason) == (found.value, found.value, None)
    assert found.block == 1


def test_perfect_agreement_has_no_width():
    parts = autoregressive(np.random.default_rng(1), 0.5, 120) ** 2
    zero = intervals(0 * parts, root_of)
    assert (zero.lower, zero.value, zero.upper) == (0.0, 0.0, 0.0)
    same = paired(parts, parts, root_of)
    assert (same.lower, same.value, same.upper) == (0.0, 0.0, 0.0)


@given(st.integers(15, 80), st.integers(0, 2**31), st.sampled_from([mean_of, root_of, ratio_of]))
@settings(max_examples=30, deadline=None)
def test_an_interval_holds_its_score_and_scales_with_the_units(num_times, seed, finish):
    parts = np.random.default_rng(seed).gamma(1.0, size=(num_times, 2)).cumsum(axis=0) ** 0.3
    found, scaled = (intervals(factor * parts, finish, num_resamples=100) for factor in (1.0, 1e-4))
    assert found.value == pytest.approx(float(finish(parts.mean(axis=0))))
    if found.reason is None:
        assert found.lower <= found.value <= found.upper
    unit = float(finish(np.array([1e-4, 1e-4])) / finish(np.ones(2)))
    for name in ("lower", "upper"):
        assert getattr(scaled, name) == pytest.approx(getattr(found, name) * unit, rel=1e-6, nan_ok=True)


def test_distance_from_the_best_ranks_and_a_plain_difference_does_not():
    rng = np.random.default_rng(0)
    a, b = 1.1 + 0.01 * rng.normal(size=(100, 1)), 0.5 + 0.01 * rng.normal(size=(100, 1))
    plain, ranked = paired(a, b, mean_of), paired(a, b, mean_of, best=1.0)
    assert plain.value == pytest.approx(0.6, abs=0.01) and plain.lower > 0
    assert ranked.value == pytest.approx(-0.4, abs=0.01) and ranked.upper < 0
    swapped = paired(b, a, mean_of)
    assert swapped.value == -plain.value and swapped.upper < 0


def test_parts_far_from_zero_lose_no_digits():
    parts = autoregressive(np.random.default_rng(1), 0.3, 100)
    near, far = intervals(parts, mean_of), intervals(parts + 1e6, mean_of)
    assert far.lower - 1e6 == pytest.approx(near.lower, abs=1e-8)
    assert far.upper - 1e6 == pytest.approx(near.upper, abs=1e-8)


# --- Weights and bounds ---


def test_weights_of_units_give_the_score_of_all_times():
    rng = np.random.default_rng(5)
    num_times = rng.choice([1, 2, 9, 10], size=400)
    levels = np.where(num_times < 3, 5.0, 0.0)  # units of few times differ from the others
    parts = (levels + rng.normal(size=400) / np.sqrt(num_times))[:, None]
    every = np.repeat(parts[:, 0], num_times).mean()
    found = intervals(parts, mean_of, weights=num_times)
    assert found.value == pytest.approx(every, rel=1e-12)
    assert found.lower < every < found.upper < intervals(parts, mean_of).lower
    # The width is that of a ratio of two sums (Cochran 1977, Sampling Techniques, equation 2.39).
    spread = np.std(num_times * (parts[:, 0] - every)) / num_times.mean() / math.sqrt(400)
    assert (found.upper - found.lower) / (2 * 1.96 * spread) == pytest.approx(1.05, abs=0.1)


def test_an_interval_of_uneven_units_covers_what_it_promises():
    rng, held, seeds = np.random.default_rng(7), 0, range(300)
    for seed in seeds:
        starts = np.unique(np.append(rng.choice(1200, 200, replace=False), 0))
        num_times = np.diff(starts, append=1200)
        series = autoregressive(rng, 0.8, 1200)[:, 0] ** 2
        units = np.add.reduceat(series, starts) / num_times
        found = intervals(units[:, None], root_of, weights=num_times, num_resamples=300, seed=seed)
        held += found.lower <= 1.0 <= found.upper
    assert 0.90 <= held / len(seeds) <= 0.98


def test_equal_weights_change_nothing():
    parts = autoregressive(np.random.default_rng(1), 0.5, 120) ** 2
    assert intervals(parts, root_of, weights=np.full(120, 7)) == intervals(parts, root_of)
    assert paired(parts, 2 * parts, root_of, weights=np.ones(120)) == paired(parts, 2 * parts, root_of)
    weights = np.arange(1, 121)
    one, other = (intervals(p, root_of, weights=weights).value for p in (parts, 2 * parts))
    assert paired(parts, 2 * parts, root_of, weights=weights).value == pytest.approx(one - other)


@pytest.mark.parametrize("weights", [np.ones(29), np.zeros(30), np.full(30, np.nan)])
def test_bad_weights_are_refused(weights):
    with pytest.raises(GridError, match="expected one positive number for each of 30 times"):
        intervals(np.zeros((30, 1)), mean_of, weights=weights)


def test_an_interval_ends_at_the_bounds_of_the_score():
    parts = np.where(np.arange(60) % 12 == 0, 0.2, 0.999)[:, None]
    free = intervals(parts, mean_of, level=0.999)
    assert free.upper > 0.98
    held = intervals(parts, mean_of, level=0.999, bounds=(0.9, 0.98))
    assert (held.lower, held.upper) == (max(free.lower, 0.9), 0.98)
    assert intervals(parts, mean_of, bounds=(0.0, 0.5)).upper == held.value  # which always lies inside


# --- Breaks ---


def test_no_block_reaches_across_a_break_and_all_times_count_the_same():
    num_times, starts, length = 23, np.array([0, 4, 15]), 6
    identity = np.eye(num_times)
    windows = bootstrap._windows(identity, identity, np.zeros(num_times), None, starts, length)
    run = np.searchsorted(starts, np.arange(num_times), side="right")
    assert set(np.unique(windows.sums)) == {0.0, 1.0}
    assert (windows.sums.sum(axis=0) == length).all()
    for window, times in zip(windows.sums, windows.times, strict=True):
        inside = np.nonzero(window)[0]
        assert len(inside) == times <= length
        assert np.ptp(inside) == times - 1
        assert len(set(run[inside])) == 1


def test_a_break_bites_and_pairs_across_it_do_not_count():
    # Two runs, each constant: one break makes them one value each, and of correlation there is none.
    series = np.random.default_rng(0).normal(size=60).cumsum()
    parts = np.concatenate([series, series[::-1] + 50])[:, None]
    assert intervals(parts, mean_of, block=5, breaks=[60]) != intervals(parts, mean_of, block=5)
    alternating = np.tile([1.0, -1.0], 30)
    assert block_length(alternating, breaks=np.arange(60)) == 1
    assert block_length(alternating) > 1


def test_breaks_are_found_in_dates_and_in_numbers():
    hours = np.array([0, 1, 2, 5, 6, 7, 8, 30, 31])
    dates = np.datetime64("2020-02-28T20") + hours.astype("timedelta64[h]")
    assert find_breaks(hours).tolist() == find_breaks(dates).tolist() == [3, 7]
    assert find_breaks(hours[:1]).tolist() == []
    assert find_breaks([0, 365, 730]).tolist() == []
    with pytest.raises(SourceError, match="time 2 is not after"):
        find_breaks([0, 1, 1, 2])


# --- The length of a block ---


def plain_block_length(series):
    n = len(series)
    values = [x - sum(series) / n for x in series]
    covariance = [sum(values[t] * values[t + k] for t in range(n - k)) / n for k in range(n)]
    in_a_row = max(5, math.ceil(math.sqrt(math.log10(n))))
    largest = math.ceil(math.sqrt(n)) + in_a_row
    limit = 2 * math.sqrt(math.log10(n) / n)
    cut = largest
    for lag in range(largest):
        if all(abs(covariance[lag + k] / covariance[0]) < limit for k in range(1, in_a_row + 1)):
            cut = max(lag, 1)
            break
    cut = min(2 * cut, largest)
    top = bottom = 0.0
    for k in range(-cut, cut + 1):
        s = abs(k) / cut
        window = 1.0 if s <= 0.5 else 2 * (1 - s)
        top += window * abs(k) * covariance[abs(k)]
        bottom += window * covariance[abs(k)]
    longest = min(math.ceil(3 * math.sqrt(n)), n // 3)
    if bottom <= 0:
        return longest
    length = (2 * top**2 / (4 / 3 * bottom**2)) ** (1 / 3) * n ** (1 / 3)
    return max(1, min(math.ceil(length), longest))


@pytest.mark.parametrize("num_times", [40, 100, 333])
@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9, 0.99])
def test_block_length_equals_plain_loops(num_times, rho):
    series = autoregressive(np.random.default_rng(num_times), rho, num_times)[:, 0]
    assert block_length(series) == plain_block_length(list(series))


def test_block_length_is_near_the_best_for_known_series():
    # For AR(1), G / sum R(k) = 2 rho / (1 - rho^2), and the formula has a closed form.
    for rho in (0.5, 0.8):
        best = (1.5 * (2 * rho / (1 - rho**2)) ** 2 * 1000) ** (1 / 3)
        found = [block_length(autoregressive(np.random.default_rng(seed), rho, 1000)[:, 0]) for seed in range(60)]
        assert 0.7 * best < np.median(found) < 1.5 * best
    assert np.median([block_length(np.random.default_rng(seed).normal(size=1000)) for seed in range(60)]) <= 4


def test_block_length_has_bounds():
    assert block_length(np.zeros(50)) == 1
    assert block_length([3.0]) == 1
    assert block_length(np.arange(90.0)) <= 29
    # A sum of covariances below zero says nothing of a length, and the longest is taken.
    wave = np.cos(np.arange(12) * np.pi / 2.9)
    assert block_length(wave) == plain_block_length(list(wave))


@given(st.floats(1.0, 500.0))
def test_draws_have_the_variance_asked_for(num_draws):
    weights = bootstrap._draw_weights(num_draws)
    assert ((weights >= 0) & (weights <= 1)).all()
    assert weights.sum() ** 2 / (weights**2).sum() == pytest.approx(num_draws, rel=1e-9)


def test_inflation_equals_the_double_sum():
    for rho in (0.0, 0.3, 0.9):
        for n in (1, 2, 17):
            double = sum(rho ** abs(i - j) for i in range(n) for j in range(n)) / n
            assert float(bootstrap._inflation(rho, np.array([n]))[0]) == pytest.approx(double)


# --- Where there is none ---


def test_few_times_give_a_reason_and_no_interval():
    found = intervals(np.arange(9.0)[:, None], mean_of)
    assert found.value == 4.0
    assert math.isnan(found.lower) and math.isnan(found.upper) and found.block == 0
    assert found.reason == "9 times; an interval needs 15 or more"
    assert intervals(np.random.default_rng(0).normal(size=(15, 1)), mean_of).reason is None


def test_persistent_times_give_a_reason():
    found = intervals(np.arange(30.0)[:, None], mean_of)
    assert math.isnan(found.lower) and "too few independent times" in str(found.reason)


def test_persistent_times_shorten_the_blocks_before_they_are_given_up():
    parts = autoregressive(np.random.default_rng(0), 0.85, 60)
    found = intervals(parts, mean_of)
    assert found.reason is None and found.block < block_length(parts[:, 0])
    assert intervals(parts, mean_of, block=block_length(parts[:, 0])).block == block_length(parts[:, 0])


def test_scores_that_are_not_finite_give_a_reason():
    parts = np.stack([np.ones(40), np.zeros(40)], axis=1)
    assert "not finite for all" in str(intervals(parts, ratio_of).reason)
    parts[3, 1] = 1.0
    assert "not finite for some" in str(intervals(parts, ratio_of).reason)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"level": 95}, ConfigError, "level is 95"),
        ({"num_resamples": 5}, ConfigError, "num_resamples is 5"),
        ({"block": 0}, ConfigError, "block is 0 times; expected 1 to 10"),
        ({"block": 11}, ConfigError, "block is 11 times"),
        ({"breaks": [30]}, GridError, "breaks run from 30 to 30"),
        ({"breaks": [-1, 4]}, GridError, "breaks run from -1 to 4"),
    ],
)
def test_bad_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        intervals(np.random.default_rng(0).normal(size=(30, 1)), mean_of, **options)


def test_bad_parts_are_refused():
    with pytest.raises(GridError, match=r"shape \(30,\)"):
        intervals(np.zeros(30), mean_of)
    with pytest.raises(GridError, match=r"shape \(0, 1\)"):
        intervals(np.zeros((0, 1)), mean_of)
    with pytest.raises(GridError, match=r"shape \(3, 3, 3\)"):
        block_length(np.zeros((3, 3, 3)))
    with pytest.raises(SourceError, match="1 of 30 statistics"):
        intervals(np.where(np.arange(30) == 3, np.nan, 1.0)[:, None], mean_of)
    with pytest.raises(GridError, match=r"\(30, 1\) and \(29, 1\)"):
        paired(np.zeros((30, 1)), np.zeros((29, 1)), mean_of)
