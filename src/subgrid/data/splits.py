"""Splits by blocks of time: neighbouring times are nearly equal, so a random split would test on training data."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from subgrid.errors import ConfigError

Indices = npt.NDArray[np.int64]
Period = tuple[str, str]

SPLITS = ("train", "valid", "test")
SHARES = (0.70, 0.85)  # without periods: the first 70 % train, the next 15 % valid, the rest test
VALID_SHARE = 0.1  # of the training block, where no validation period is given


def split_times(
    valid_time: xr.DataArray,
    periods: Mapping[str, Period | None],
    *,
    gap: str = "0h",
    season: str | None = None,
) -> dict[str, Indices]:
    """Assign times to training, validation and test by blocks.

    Without periods the times are cut 70 : 15 : 15 in their order. With periods, `train` and `test` are needed; without
    `valid` the last tenth of the training block becomes the validation block.

    Args:
        valid_time: (n,) sorted times, datetime64 or cftime.
        periods: first and last time of each split, both included; a date without a time of day covers the whole day.
        gap: least time between two splits, such as `2d` or `12h`. Closer times are removed from the split that is named
            first in (train, valid, test).
        season: use one season only: MAM, JJA, SON or DJF.

    Returns:
        Positions along `valid_time` by split, each sorted and not empty, disjoint.

    Raises:
        ConfigError: for a period without data, overlapping periods, an unreadable date or gap.
    """
    index = valid_time.to_index()
    in_season = _season_mask(valid_time, season)
    if not any(periods.get(name) for name in SPLITS):
        splits = _by_share(np.flatnonzero(in_season))
    else:
        splits = _by_period(index, periods, in_season)
    splits = _with_gap(index, splits, gap)
    for name in SPLITS:
        if splits[name].size == 0:
            raise ConfigError(
                f"data.{name}: no times remain for this split: got period {periods.get(name) or 'automatic'}, gap {gap}, "
                f"season {season or 'all'}; the source holds {_span(index)}. Widen the period, shorten the gap or add data."
            )
    return splits


def _season_mask(valid_time: xr.DataArray, season: str | None) -> npt.NDArray[np.bool_]:
    """Which times belong to the season; all where none is given."""
    if season is None:
        return np.ones(valid_time.size, dtype=bool)
    mask = np.asarray((valid_time.dt.season == season).values, dtype=bool)
    if not mask.any():
        seasons = ", ".join(sorted(set(valid_time.dt.season.values.tolist())))
        raise ConfigError(f"data.season: the source holds no time of {season}; it holds {seasons}.")
    return mask


def _by_share(positions: Indices) -> dict[str, Indices]:
    """Cut positions in order by `SHARES`."""
    if positions.size < len(SPLITS):
        raise ConfigError(
            f"data: {positions.size} time(s) cannot be split into train, valid and test; at least {len(SPLITS)} are needed."
        )
    last = positions.size - 1
    first_cut = min(max(int(SHARES[0] * positions.size), 1), last - 1)
    second_cut = min(max(int(SHARES[1] * positions.size), first_cut + 1), last)
    return dict(zip(SPLITS, np.split(positions, [first_cut, second_cut]), strict=True))


def _by_period(
    index: pd.Index[Any], periods: Mapping[str, Period | None], in_season: npt.NDArray[np.bool_]
) -> dict[str, Indices]:
    """Positions inside the periods; checks that these do not overlap."""
    missing = [name for name in ("train", "test") if not periods.get(name)]
    if missing:
        raise ConfigError(
            f"data.{missing[0]}: the period is missing. Give both data.train and data.test as [first, last], "
            "or neither for a split 70 : 15 : 15."
        )
    splits = {name: _inside(index, name, period, in_season) for name, period in periods.items() if period}
    if "valid" not in splits:
        num_valid = max(1, round(VALID_SHARE * splits["train"].size))
        splits["train"], splits["valid"] = splits["train"][:-num_valid], splits["train"][-num_valid:]
    for i, first in enumerate(SPLITS):
        for second in SPLITS[i + 1 :]:
            shared = np.intersect1d(splits[first], splits[second])
            if shared.size:
                raise ConfigError(
                    f"data.{first} and data.{second} overlap: {shared.size} time(s) from {index[shared[0]]} are in both. "
                    "Move one of the periods: scores on training times do not show the skill on new data."
                )
    return splits


def _inside(index: pd.Index[Any], name: str, period: Period, in_season: npt.NDArray[np.bool_]) -> Indices:
    """Positions between the first and the last time of one period, both included."""
    try:
        positions = np.arange(len(index))[index.slice_indexer(*period)]
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"data.{name}: cannot read the period {list(period)} as dates of the {_calendar(index)} calendar. Write them "
            "as '2018-10-09' or '2018-10-09T12'."
        ) from error
    positions = positions[in_season[positions]].astype(np.int64)
    if positions.size == 0:
        raise ConfigError(
            f"data.{name}: there are no times from {period[0]} to {period[1]}; the source holds {_span(index)}."
        )
    return positions


def _with_gap(index: pd.Index[Any], splits: dict[str, Indices], gap: str) -> dict[str, Indices]:
    """Drop times of a split that are closer than the gap to a later-named split."""
    least = _duration(gap)
    if least == pd.Timedelta(0):
        return splits
    out = dict(splits)
    for i, name in enumerate(SPLITS):
        for other in SPLITS[i + 1 :]:
            out[name] = _distant(index, out[name], out[other], least)
    return out


def _duration(gap: str) -> pd.Timedelta:
    """Read a length of time; a number without a unit is refused, because pandas would count nanoseconds."""
    least: Any = None
    with contextlib.suppress(ValueError):
        least = pd.Timedelta(re.sub("(?<![a-z])d(?![a-z])", "D", gap))  # pandas deprecates the small d
    bare = gap.strip().lstrip("+-").replace(".", "", 1).isdigit() and float(gap) != 0
    if not isinstance(least, pd.Timedelta) or least < pd.Timedelta(0) or bare:
        raise ConfigError(
            f"data.gap: {gap!r} is not a length of time. Write a number with a unit, such as '2d' or '12h'."
        )
    return least


def _distant(index: pd.Index[Any], positions: Indices, others: Indices, least: Any) -> Indices:
    """Positions whose time differs by at least `least` from every other time (both sorted)."""
    if positions.size == 0 or others.size == 0:
        return positions
    times: Any = index[positions]
    fixed: Any = index[others]
    right = np.searchsorted(others, positions)
    before = np.clip(right - 1, 0, others.size - 1)
    after = np.clip(right, 0, others.size - 1)
    far = (abs(times - fixed[before]) >= least) & (abs(times - fixed[after]) >= least)
    distant: Indices = positions[np.asarray(far, dtype=bool)]
    return distant


def _calendar(index: pd.Index[Any]) -> str:
    return str(getattr(index, "calendar", "standard"))


def _span(index: pd.Index[Any]) -> str:
    """Number of times, first and last, for a message."""
    return f"{len(index)} time(s) from {index[0]} to {index[-1]}" if len(index) else "no time at all"
