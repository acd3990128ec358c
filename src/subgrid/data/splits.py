"""Splits by blocks of time: neighbouring times are nearly equal, so a random split would test on what was trained on."""

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
        periods: first and last time of each split, both included; a date without a time covers the whole day.
        gap: least time between two splits, such as `2d` or `12h`; times of the earlier-named split (train before valid
            before test) closer than that to another split are left out.
        season: keep one season only, one of MAM, JJA, SON, DJF.

    Returns:
        Positions along `valid_time` by split, each sorted and not empty, disjoint.

    Raises:
        ConfigError: for a period without data, overlapping periods, an unreadable date or gap.
    """
    index = valid_time.to_index()
    kept = _season_mask(valid_time, season)
    if not any(periods.get(name) for name in SPLITS):
        found = _by_share(np.flatnonzero(kept))
    else:
        found = _by_period(index, periods, kept)
    found = _leave_gap(index, found, gap)
    for name in SPLITS:
        if found[name].size == 0:
            raise ConfigError(
                f"data.{name}: no time left for this split: got period {periods.get(name) or 'automatic'}, gap {gap}, season "
                f"{season or 'all'}; the source holds {_span(index)}. Widen the period, shorten the gap or add data."
            )
    return found


def _season_mask(valid_time: xr.DataArray, season: str | None) -> npt.NDArray[np.bool_]:
    """Which times belong to the season (all where none is asked)."""
    if season is None:
        return np.ones(valid_time.size, dtype=bool)
    mask = np.asarray((valid_time.dt.season == season).values, dtype=bool)
    if not mask.any():
        have = ", ".join(sorted(set(valid_time.dt.season.values.tolist())))
        raise ConfigError(f"data.season: no time of {season} in the source; it holds {have}.")
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
    index: pd.Index[Any], periods: Mapping[str, Period | None], kept: npt.NDArray[np.bool_]
) -> dict[str, Indices]:
    """Positions inside the given periods."""
    missing = [name for name in ("train", "test") if not periods.get(name)]
    if missing:
        raise ConfigError(
            f"data.{missing[0]}: no period given; give both data.train and data.test as [first, last], "
            "or neither for a split 70 : 15 : 15."
        )
    found = {name: _inside(index, name, period, kept) for name, period in periods.items() if period}
    if "valid" not in found:
        held = max(1, round(VALID_SHARE * found["train"].size))
        found["train"], found["valid"] = found["train"][:-held], found["train"][-held:]
    for i, first in enumerate(SPLITS):
        for second in SPLITS[i + 1 :]:
            shared = np.intersect1d(found[first], found[second])
            if shared.size:
                raise ConfigError(
                    f"data.{first} and data.{second} overlap: {shared.size} time(s) from {index[shared[0]]} are in both; "
                    "scores on times that were trained on mean nothing. Move one of the periods."
                )
    return found


def _inside(index: pd.Index[Any], name: str, period: Period, kept: npt.NDArray[np.bool_]) -> Indices:
    """Positions between the first and the last time of one period, both included."""
    try:
        positions = np.arange(len(index))[index.slice_indexer(*period)]
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"data.{name}: cannot read the period {list(period)} as dates of the {_calendar(index)} calendar. Write them "
            "as '2018-10-09' or '2018-10-09T12'."
        ) from error
    positions = positions[kept[positions]].astype(np.int64)
    if positions.size == 0:
        raise ConfigError(f"data.{name}: no data from {period[0]} to {period[1]}; the source holds {_span(index)}.")
    return positions


def _leave_gap(index: pd.Index[Any], found: dict[str, Indices], gap: str) -> dict[str, Indices]:
    """Drop times of a split that lie closer than the gap to a later-named split."""
    least = _length(gap)
    if least == pd.Timedelta(0):
        return found
    out = dict(found)
    for i, name in enumerate(SPLITS):
        for other in SPLITS[i + 1 :]:
            out[name] = _apart(index, out[name], out[other], least)
    return out


def _length(gap: str) -> pd.Timedelta:
    """A length of time in words; a number alone is refused, as it would count nanoseconds."""
    least: Any = None
    with contextlib.suppress(ValueError):
        least = pd.Timedelta(re.sub("(?<![a-z])d(?![a-z])", "D", gap))  # pandas gives up the small d
    bare = gap.strip().lstrip("+-").replace(".", "", 1).isdigit() and float(gap) != 0
    if not isinstance(least, pd.Timedelta) or least < pd.Timedelta(0) or bare:
        raise ConfigError(f"data.gap: cannot use {gap!r}; write a length of time with its unit, such as '2d' or '12h'.")
    return least


def _apart(index: pd.Index[Any], positions: Indices, others: Indices, least: Any) -> Indices:
    """Positions whose time differs by at least `least` from every other time (both sorted)."""
    if positions.size == 0 or others.size == 0:
        return positions
    times: Any = index[positions]
    fixed: Any = index[others]
    right = np.searchsorted(others, positions)
    before = np.clip(right - 1, 0, others.size - 1)
    after = np.clip(right, 0, others.size - 1)
    far = (abs(times - fixed[before]) >= least) & (abs(times - fixed[after]) >= least)
    kept: Indices = positions[np.asarray(far, dtype=bool)]
    return kept


def _calendar(index: pd.Index[Any]) -> str:
    return str(getattr(index, "calendar", "standard"))


def _span(index: pd.Index[Any]) -> str:
    """First and last time, for a message."""
    return f"{len(index)} time(s) from {index[0]} to {index[-1]}" if len(index) else "no time at all"
