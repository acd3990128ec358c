"""Differences over seeds and times, against scipy, the bootstrap alone, and a simulation whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal, stats

from subgrid.errors import GridError
from subgrid.scores.bootstrap import paired
from subgrid.scores.score import only_statistic, root
from subgrid.scores.seeds import paired_over_seeds


def series(
    rng: np.random.Generator, num_runs: int, num_times: int, correlation: float, of_seed: float, of_time: float
) -> list[np.ndarray]:
    """Differences of runs, true mean 0: one offset a run, weather that all runs share, and a little of their own."""
    noise = rng.normal(size=(num_runs + 1, num_times + 100)) * math.sqrt(1 - correlation**2)
    weather = signal.lfilter([1.0], [1.0, -correlation], noise)[:, 100:]
    offsets = of_seed * rng.normal(size=(num_runs, 1))
    return list((offsets + of_time * weather[:1] + 0.2 * weather[1:])[..., None])


def test_without_weather_it_is_the_paired_t_interval() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(3, 1, 4), rng.normal(2, 1, 4)
    found = paired_over_seeds([np.full((30, 1), v) for v in a], [np.full((30, 1), v) for v in b], only_statistic)
    wanted = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found.lower, found.upper) == pytest.approx((wanted.low, wanted.high))
    assert found.of_times == pytest.approx(0, abs=1e-12)
    assert found.significant == (not wanted.low <= 0 <= wanted.high)


def test_without_seed_noise_it_is_the_bootstrap_over_times() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.gamma(2, 1, (60, 1)), rng.gamma(2, 1.2, (60, 1))
    found = paired_over_seeds([a] * 3, [b] * 3, root, breaks=[20])
    wanted = paired(a, b, root, breaks=[20])
    assert found.value == pytest.approx(wanted.value)
    assert (found.lower, found.upper) == pytest.approx((wanted.lower, wanted.upper), rel=0.05)
    assert found.of_seeds == pytest.approx(0, abs=1e-12)


def test_the_score_is_finished_for_each_run_before_the_mean() -> None:
    a, b = [np.full((20, 1), 4.0), np.full((20, 1), 16.0)], [np.full((20, 1), 1.0), np.full((20, 1), 9.0)]
    assert paired_over_seeds(a, b, root).value == pytest.approx(((2 - 1) + (4 - 3)) / 2)
    assert paired_over_seeds(a, b, root, best=3.0).value == pytest.approx(((1 - 2) + (1 - 0)) / 2)


def test_a_baseline_stands_beside_each_run() -> None:
    rng = np.random.default_rng(3)
    runs, baseline = [rng.normal(size=(40, 1)) for _ in range(3)], rng.normal(size=(40, 1))
    one, other = (
        paired_over_seeds(runs, [baseline], only_statistic),
        paired_over_seeds([baseline], runs, only_statistic),
    )
    assert one == paired_over_seeds(runs, [baseline] * 3, only_statistic)
    assert (one.value, one.of_seeds) == pytest.approx((-other.value, other.of_seeds))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), num_runs=st.integers(2, 5), scale=st.floats(0.1, 100))
def test_interval_holds_the_value_and_scales_with_the_units(seed: int, num_runs: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, num_runs, 40, 1))
    one = paired_over_seeds(list(a), list(b), only_statistic, num_resamples=100)
    assert one.lower <= one.value <= one.upper
    assert one.upper - one.value >= one.of_seeds
    other = paired_over_seeds(list(scale * a), list(scale * b), only_statistic, num_resamples=100)
    assert (other.lower, other.upper) == pytest.approx((scale * one.lower, scale * one.upper), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("of_seed, of_time", [(1.0, 0.0), (0.3, 1.0), (0.1, 1.0)])
def test_three_seeds_cover_what_they_promise(of_seed: float, of_time: float) -> None:
    rng = np.random.default_rng(4)
    hits = 0
    for index in range(80):
        found = paired_over_seeds(
            series(rng, 3, 60, 0.5, of_seed, of_time),
            [np.zeros((60, 1))],
            only_statistic,
            num_resamples=100,
            seed=index,
        )
        hits += found.lower <= 0 <= found.upper
    assert hits >= 72  # 0.95 is promised; two standard errors of 80 are 0.05


def test_one_seed_and_few_times_give_no_interval() -> None:
    one = paired_over_seeds([np.ones((20, 1))], [np.zeros((20, 1))], only_statistic)
    assert one.value == 1.0
    assert math.isnan(one.lower) and one.significant is None
    assert one.reason == "one seed; an interval needs two or more, and three to be useful"
    few = paired_over_seeds([np.ones((5, 1))] * 2, [np.zeros((5, 1))], only_statistic)
    assert few.reason == "5 times; an interval needs 15 or more"


def test_runs_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(GridError, match=r"^statistics of paired runs have shapes \[\(20, 1\)\] and \[\(19, 1\)\]"):
        paired_over_seeds([np.ones((20, 1))], [np.zeros((19, 1))], only_statistic)
    with pytest.raises(GridError, match="expected equal numbers of runs"):
        paired_over_seeds([np.ones((20, 1))] * 3, [np.zeros((20, 1))] * 2, only_statistic)
