"""Read times from numbers: units that xarray does not decode, times that the user gives, and small rounding errors."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import cftime
import numpy as np
import pandas as pd
import xarray as xr

from subgrid.errors import SourceError

_SINCE = re.compile(
    r"\s*(\w+)\s+since\s+(-?\d+)(?:-(\d+)(?:-(\d+))?)?(?:[T\s]+(\d+)(?::(\d+))?(?::(\d+))?\S*)?", re.IGNORECASE
)
_MONTHS = {"month": 1, "months": 1, "year": 12, "years": 12, "yr": 12, "common_year": 12, "common_years": 12}
_JITTER = 0.1  # seconds that a time may be off a whole second by the rounding of its number
_STANDARD = ("standard", "gregorian", "proleptic_gregorian")
NOTE = "subgrid_note"  # attribute of a time coordinate: a sentence on how it was read


def open_decoded(opened: Callable[..., xr.Dataset]) -> xr.Dataset:
    """Open a file with its times decoded, also in units that xarray refuses.

    Months and years are those of the calendar: 949 months since December 1899 are January 1979; half a month is half the
    length of that month. A reference in year 0 is read in the astronomical numbering of years. Units that mean no time are
    left as numbers.

    Args:
        opened: opens the file with the argument `decode_times`, as `xarray.open_dataset` does.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xr.SerializationWarning)  # dates past 2262 become cftime, year 1 is padded
        try:
            return opened(decode_times=True)
        except ValueError as error:
            if "decode time" not in str(error):
                raise
        with opened(decode_times=False) as raw:
            refused = {str(name): _decode(raw[name]) for name in raw.variables if not _xarray_decodes(raw[name])}
        names = dict.fromkeys(refused, False)
        ds = opened(decode_times=names)
    decoded = {name: coord for name, coord in refused.items() if coord is not None}
    coords = {name: coord for name, coord in decoded.items() if name in ds.coords}
    return ds.assign_coords(coords).assign({name: coord for name, coord in decoded.items() if name not in coords})


def _xarray_decodes(coord: xr.DataArray) -> bool:
    if "since" not in str(coord.attrs.get("units", "")):
        return True
    try:
        xr.decode_cf(xr.Dataset({"t": coord.variable}), decode_timedelta=False)
    except ValueError:
        return False
    return True


def _decode(coord: xr.DataArray) -> xr.Variable | None:
    """Decode months, years and references in year 0; None for units that mean no time."""
    found = _SINCE.match(str(coord.attrs["units"]))
    if found is None:
        return None
    unit, year, month, day = found[1].lower(), int(found[2]), int(found[3] or 1), int(found[4] or 1)
    clock = tuple(int(text or 0) for text in found.groups()[4:])
    calendar = str(coord.attrs.get("calendar", "standard")).lower()
    attrs = {key: value for key, value in coord.attrs.items() if key not in ("units", "calendar")}
    numbers = np.ma.masked_invalid(coord.values.astype(float))
    try:
        if unit in _MONTHS:
            # "360" is no calendar of CF: IRI's library writes it where months are counted.
            calendar = "standard" if calendar == "360" else calendar
            first = (year, month, day, *clock)
            values = [_months_after(first, float(number) * _MONTHS[unit], calendar) for number in numbers.ravel()]
        elif year == 0:
            reference = str(coord.attrs["units"])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that CF knows no year 0 of this calendar; the note says so
                values = list(cftime.num2date(numbers.ravel(), reference, calendar, has_year_zero=True))
            attrs[NOTE] = f"times are counted from the year 0 ({reference!r}), as 1 BC in the {calendar} calendar"
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return xr.Variable(coord.dims, _plain(values, calendar).reshape(coord.shape), attrs)


def _months_after(first: tuple[int, ...], months: float, calendar: str) -> Any:
    """The date a number of calendar months after another; a fraction is a share of the month that it falls into."""
    whole = int(np.floor(months + 1e-9))
    year, month = divmod(first[0] * 12 + first[1] - 1 + whole, 12)
    start = cftime.datetime(year, month + 1, 1, calendar=calendar)
    following = cftime.datetime(year + (month == 11), (month + 1) % 12 + 1, 1, calendar=calendar)
    length = following - start
    offset = timedelta(days=min(first[2], length.days) - 1, hours=first[3], minutes=first[4], seconds=first[5])
    return start + offset + length * max(0.0, months - whole)


def _plain(values: Sequence[Any], calendar: str) -> np.ndarray:
    """Dates of the standard calendar between 1678 and 2262 as datetime64, others as they are."""
    if calendar in _STANDARD and all(1678 <= value.year < 2262 for value in values):
        return np.array([np.datetime64(value.isoformat(), "ns") for value in values], "datetime64[ns]")
    classes = {"noleap": cftime.DatetimeNoLeap, "365_day": cftime.DatetimeNoLeap, "360_day": cftime.Datetime360Day}
    kind = classes.get(calendar, cftime.DatetimeGregorian)
    return np.array([_as(value, kind) for value in values], dtype=object)


def _as(value: Any, kind: Any) -> Any:
    """The same date and time of day as another class of cftime."""
    return kind(value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)


def rounded(values: np.ndarray) -> np.ndarray:
    """Times (datetime64[ns] or cftime) that lie within 0.1 s of a whole second, as that second."""
    if values.dtype.kind == "M":
        seconds = (values + np.timedelta64(500, "ms")).astype("datetime64[s]").astype(values.dtype)
        near = np.abs(values - seconds) <= np.timedelta64(int(1e9 * _JITTER), "ns")
        return np.where(near, seconds, values)
    out = []
    for value in values:
        rest = value.microsecond / 1e6
        if 0 < rest <= _JITTER:
            value = value - timedelta(microseconds=value.microsecond)
        elif rest >= 1.0 - _JITTER:
            value = value + timedelta(microseconds=1_000_000 - value.microsecond)
        out.append(value)
    return np.array(out, dtype=object)


def in_one_calendar(datasets: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """Give all the same kind of times where some hold datetime64 and others dates of the standard calendar.

    xarray reads dates past 2262 as cftime. From 15 October 1582 the standard and the proleptic Gregorian calendar agree.
    """
    axes = [ds["valid_time"].values if "valid_time" in ds.dims else None for ds in datasets]
    firsts = [values[0] for values in axes if values is not None and values.size]
    kinds = {type(first) for first in firsts}
    dated = [kind for kind in kinds if kind is not np.datetime64]
    calendars = {str(getattr(first, "calendar", "standard")) for first in firsts}
    if len(kinds) < 2 or not dated or not calendars <= set(_STANDARD):
        return list(datasets)
    kind = min(dated, key=lambda one: one.__name__)
    return [ds if values is None else _with_times(ds, values, kind) for ds, values in zip(datasets, axes, strict=True)]


def _with_times(ds: xr.Dataset, values: np.ndarray, kind: Any) -> xr.Dataset:
    dates = pd.DatetimeIndex(values).to_pydatetime() if values.dtype.kind == "M" else values
    converted = np.array([_as(date, kind) for date in dates], dtype=object)
    return ds.assign_coords(valid_time=("valid_time", converted, ds["valid_time"].attrs))


def given_times(where: str, count: int, start: str, step: str) -> np.ndarray:
    """Give times from a first one and a step: a length of time, or a number of months.

    Raises:
        SourceError: for texts that are not a time and a step.
    """
    try:
        first = pd.Timestamp(start)
        months = re.fullmatch(r"\s*(\d*)\s*(?:mo|months?)\s*", step)
        if months and not pd.isna(first):
            dates = [first + pd.DateOffset(months=i * int(months[1] or 1)) for i in range(count)]
            return np.array(dates, dtype="datetime64[ns]")
        delta = pd.Timedelta(step)
        if pd.isna(first) or pd.isna(delta) or delta <= pd.Timedelta(0):
            raise ValueError("empty or not positive")
    except ValueError as error:
        text = " ".join(str(error).split())
        raise SourceError(
            f"{where}: start = {start!r} and step = {step!r} are not a time and a length of time ({text}). "
            'Expected an ISO time such as "2020-01-01T00:00" and a step such as "1h" or "1 month".'
        ) from error
    return np.asarray(np.datetime64(first, "ns") + np.arange(count) * np.timedelta64(delta.value, "ns"))
