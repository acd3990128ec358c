"""Splits by blocks of time."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subgrid.data.splits import SPLITS, split_times
from subgrid.errors import ConfigError


def axis(num_times: int = 40, freq: str = "6h", start: str = "2020-01-01", calendar: str | None = None) -> xr.DataArray:
    if calendar:
        times = xr.date_range(start, periods=num_times, freq=freq, calendar=calendar, use_cftime=True)
    else:
        times = pd.date_range(start, periods=num_times, freq=freq)
    return xr.DataArray(times, dims="valid_time", name="valid_time")


def sizes(found: dict[str, Any]) -> list[int]:
    return [found[name].size for name in SPLITS]


def refused(text: str) -> Any:
    return pytest.raises(ConfigError, match=f"^{re.escape(text)}$")


# --- Shares ---


@pytest.mark.parametrize(
    ("num_times", "expected"),
    [(100, [70, 15, 15]), (744, [520, 112, 112]), (20, [14, 3, 3]), (3, [1, 1, 1]), (4, [2, 1, 1])],
)
def test_shares_are_70_15_15_in_order(num_times: int, expected: list[int]) -> None:
    found = split_times(axis(num_times), {})
    assert sizes(found) == expected
    assert np.concatenate([found[name] for name in SPLITS]).tolist() == list(range(num_times))


def test_too_few_times_are_refused() -> None:
    with refused("data: 2 time(s) cannot be split into train, valid and test; at least 3 are needed."):
        split_times(axis(2), {})


# --- Periods ---


def test_periods_include_both_ends_and_a_date_covers_its_day() -> None:
    periods = {
        "train": ("2020-01-01", "2020-01-03"),
        "valid": ("2020-01-04", "2020-01-05T06"),
        "test": ("2020-01-06", "2020-01"),
    }
    found = split_times(axis(), periods)
    assert found["train"].tolist() == list(range(12))  # up to 18 h on the third
    assert found["valid"].tolist() == list(range(12, 18))  # up to 6 h on the fifth
    assert found["test"].tolist() == list(range(20, 40))  # to the end of the month


def test_without_validation_the_last_tenth_of_training_is_taken() -> None:
    found = split_times(
        axis(), {"train": ("2020-01-01", "2020-01-05"), "valid": None, "test": ("2020-01-06", "2020-01-10")}
    )
    assert found["train"].tolist() == list(range(18))
    assert found["valid"].tolist() == [18, 19]


def test_the_order_of_periods_is_free() -> None:
    found = split_times(axis(), {"test": ("2020-01-01", "2020-01-02"), "train": ("2020-01-04", "2020-01-08")}, gap="2d")
    assert found["test"].tolist() == list(range(8))
    assert found["valid"].tolist() == [30, 31]
    assert found["train"].tolist() == list(range(15, 23))  # two days from the last test and the first validation time


def test_a_calendar_of_360_days() -> None:
    times = axis(360, "D", "2000-01-01", "360_day")
    found = split_times(times, {"train": ("2000-01", "2000-02-30"), "test": ("2000-05-01", "2000-06")}, gap="2d")
    assert sizes(found) == [53, 6, 60]  # one of 54 for the gap to validation
    assert found["test"][[0, -1]].tolist() == [120, 179]
    with refused(
        "data.train: cannot read the period ['2000-02-31', '2000-03'] as dates of the 360_day calendar. Write them "
        "as '2018-10-09' or '2018-10-09T12'."
    ):
        split_times(times, {"train": ("2000-02-31", "2000-03"), "test": ("2000-05", "2000-06")})


@pytest.mark.parametrize(
    ("periods", "text"),
    [
        (
            {"train": ("2020-01-01", "2020-01-05"), "test": ("2020-01-05", "2020-01-08")},
            (
                "data.train and data.test overlap: 2 time(s) from 2020-01-05 00:00:00 are in both. Move one of the periods: "
                "scores on training times do not show the skill on new data."
            ),
        ),
        (
            {
                "train": ("2020-01-01", "2020-01-05"),
                "valid": ("2020-01-05T18", "2020-01-06"),
                "test": ("2020-01-07", "2020-01-08"),
            },
            (
                "data.train and data.valid overlap: 1 time(s) from 2020-01-05 18:00:00 are in both. Move one of the periods: "
                "scores on training times do not show the skill on new data."
            ),
        ),
        (
            {"train": ("2019-01-01", "2019-02-01"), "test": ("2020-01-05", "2020-01-08")},
            (
                "data.train: there are no times from 2019-01-01 to 2019-02-01; the source holds 40 time(s) from "
                "2020-01-01 00:00:00 to 2020-01-10 18:00:00."
            ),
        ),
        (
            {"train": ("first of may", "2020-02"), "test": ("2020-01-05", "2020-01-08")},
            (
                "data.train: cannot read the period ['first of may', '2020-02'] as dates of the standard calendar. Write them "
                "as '2018-10-09' or '2018-10-09T12'."
            ),
        ),
        (
            {"train": ("2020-01-01", "2020-01-05")},
            (
                "data.test: the period is missing. Give both data.train and data.test as [first, last], or neither for a split "
                "70 : 15 : 15."
            ),
        ),
        (
            {"valid": ("2020-01-01", "2020-01-05"), "test": ("2020-01-06", "2020-01-07")},
            (
                "data.train: the period is missing. Give both data.train and data.test as [first, last], or neither for a "
                "split 70 : 15 : 15."
            ),
        ),
    ],
)
def test_unusable_periods_are_refused(periods: dict[str, Any], text: str) -> None:
    with refused(text):
        split_times(axis(), periods)


# --- Gap ---


def test_the_gap_is_taken_from_the_earlier_named_split_on_both_sides() -> None:
    periods = {"train": ("2020-01-01", "2020-01-20"), "test": ("2020-01-21", "2020-01-31")}
    times = axis(31, "D")
    assert sizes(split_times(times, periods)) == [18, 2, 11]
    found = split_times(times, periods, gap="2d")
    # Exactly two days apart is far enough.
    assert found["train"].tolist() == list(range(17))
    assert found["valid"].tolist() == [18]
    assert found["test"].tolist() == list(range(20, 31))


def test_the_gap_reaches_before_and_after_a_block() -> None:
    times = axis(30, "D")
    periods = {
        "train": ("2020-01-12", "2020-01-30"),
        "valid": ("2020-01-05", "2020-01-11"),
        "test": ("2020-01-01", "2020-01-04"),
    }
    found = split_times(times, periods, gap="2d")
    assert found["test"].tolist() == [0, 1, 2, 3]
    assert found["valid"].tolist() == [5, 6, 7, 8, 9, 10]
    assert found["train"].tolist() == list(range(12, 30))


@pytest.mark.parametrize("gap", ["", "soon", "nat", "2", "-2d", "1 month"])
def test_an_unusable_gap_is_refused(gap: str) -> None:
    with refused(f"data.gap: {gap!r} is not a length of time. Write a number with a unit, such as '2d' or '12h'."):
        split_times(axis(), {}, gap=gap)


@pytest.mark.parametrize("gap", ["0", "0h", "0d"])
def test_no_gap_drops_nothing(gap: str) -> None:
    assert sum(sizes(split_times(axis(40), {}, gap=gap))) == 40


def test_a_gap_that_leaves_nothing_is_refused() -> None:
    with refused(
        "data.train: no times remain for this split: got period automatic, gap 30d, season all; the source holds 40 time(s) "
        "from 2020-01-01 00:00:00 to 2020-01-10 18:00:00. Widen the period, shorten the gap or add data."
    ):
        split_times(axis(), {}, gap="30d")


# --- Season ---


@pytest.mark.parametrize("calendar", [None, "noleap", "360_day"])
def test_a_season_keeps_its_months_alone(calendar: str | None) -> None:
    times = axis(720, "D", "2001-01-01", calendar)
    found = split_times(times, {"train": ("2001-01-01", "2001-12"), "test": ("2002-01", "2002-12")}, season="JJA")
    assert set(times.dt.month.values[np.concatenate(list(found.values()))]) == {6, 7, 8}
    assert set(times.dt.month.values[found["test"]]) == {6, 7, 8}


def test_a_season_that_is_not_there_is_refused() -> None:
    with refused("data.season: the source holds no time of JJA; it holds DJF."):
        split_times(axis(), {}, season="JJA")
    with refused(
        "data.test: there are no times from 2020-03-01 to 2020-03-05; the source holds 100 time(s) from 2020-01-01 00:00:00 to "
        "2020-04-09 00:00:00."
    ):
        split_times(
            axis(100, "D"), {"train": ("2020-01", "2020-02"), "test": ("2020-03-01", "2020-03-05")}, season="DJF"
        )


# --- Always ---


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(st.integers(1, 100), min_size=30, max_size=120),
    gap=st.integers(0, 60),
    cuts=st.none() | st.lists(st.integers(1, 29), min_size=2, max_size=2, unique=True),
    calendar=st.sampled_from([None, "360_day"]),
    order=st.permutations(SPLITS),
)
def test_splits_are_disjoint_sorted_and_apart(
    steps: list[int], gap: int, cuts: list[int] | None, calendar: str | None, order: list[str]
) -> None:
    hours = np.cumsum(steps)
    whole = axis(int(hours[-1]) + 1, "h", calendar=calendar)
    times = whole[hours]
    periods: dict[str, Any] = {}
    if cuts:
        blocks = np.split(times.values, sorted(cuts))
        text = [
            [pd.Timestamp(t).isoformat() if calendar is None else t.isoformat() for t in (b[0], b[-1])] for b in blocks
        ]
        periods = {name: tuple(t) for name, t in zip(order, text, strict=True)}
    try:
        found = split_times(times, periods, gap=f"{gap}h")
    except ConfigError as error:
        problem = str(error)
        found = {}
    if not found:  # nothing but the gap can leave a split empty here
        assert gap > 0
        assert "no times remain for this split" in problem
        return
    assert set(found) == set(SPLITS)
    for i, name in enumerate(SPLITS):
        assert (np.diff(found[name]) > 0).all()
        for other in SPLITS[i + 1 :]:
            apart = abs(hours[found[name]][:, None] - hours[found[other]][None])
            assert apart.min() >= max(gap, 1)
    if gap == 0:
        assert sum(sizes(found)) == times.size
