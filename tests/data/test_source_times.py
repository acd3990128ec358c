"""Times of every kind: forecasts, unusual names and units, small errors, two calendars, given times, ERA5T, intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cftime
import numpy as np
import pytest
import xarray as xr

from subgrid.data.check import check
from subgrid.data.pairs import open_pair
from subgrid.data.sources.open_source import open_source, restore_names, source_notes
from subgrid.errors import SourceError
from subgrid.evaluation.alignment import align

LAT, LON = np.arange(58.0, 50.0, -1.0), np.arange(-4.0, 4.0)
HOUR = np.timedelta64(1, "h")
START = np.datetime64("2020-01-01", "ns")


def fields(times: Any, dim: str = "time", **more: Any) -> xr.Dataset:
    """Fields with given times (numbers or dates) along a dimension; of numbers, `more` are the attributes."""
    data = np.random.default_rng(0).normal(280, 5, (len(times), 8, 8)).astype(np.float32)
    coords = {dim: (dim, times, more), "latitude": LAT, "longitude": LON}
    return xr.Dataset({"t2m": ((dim, "latitude", "longitude"), data, {"units": "K"})}, coords)


def written(path: Path, times: Any, **attrs: Any) -> Path:
    """Fields in a file, with numbers as times."""
    fields(np.asarray(times, float), **attrs).to_netcdf(path)
    return path


def forecasts(starts: Any, leads: Any, names: tuple[str, str], **lead_attrs: str) -> xr.Dataset:
    start, lead = names
    data = np.random.default_rng(0).normal(280, 5, (len(starts), len(leads), 8, 8)).astype(np.float32)
    coords = {start: (start, starts), lead: (lead, leads, lead_attrs), "latitude": LAT, "longitude": LON}
    return xr.Dataset({"t2m": ((start, lead, "latitude", "longitude"), data, {"units": "K"})}, coords)


def days(values: Any) -> list[str]:
    return [str(value)[:16].replace(" ", "T") for value in values]


def refusal(source: Any, **options: Any) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(source, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", ["ocean_time", "initial_time0_hours", "Zeit", "time1"])
def test_the_name_of_the_time_axis_does_not_matter(name: str) -> None:
    ds = open_source(fields(START + 6 * HOUR * np.arange(5), name))
    assert ds["t2m"].dims == ("valid_time", "latitude", "longitude")
    assert restore_names(ds)["t2m"].dims[0] == name


def test_fields_with_time_axes_of_their_own() -> None:
    other = fields(START + 12 * HOUR * np.arange(3), "time1").rename(t2m="pr")
    both = xr.merge([fields(START + 6 * HOUR * np.arange(5)), other])
    assert open_source(both, variables=["t2m"]).sizes["valid_time"] == 5
    assert days(open_source(both, variables=["pr"])["valid_time"].values)[1] == "2020-01-01T12:00"
    assert "the times of t2m and pr differ" in refusal(both)


@pytest.mark.parametrize(
    ("names", "leads", "attrs"),
    [
        (("time", "prediction_timedelta"), [12], {"units": "hours"}),
        (("time", "prediction_timedelta"), np.array([12], "timedelta64[h]").astype("timedelta64[ns]"), {}),
        (("forecast_reference_time", "forecast_period"), [720], {"units": "minutes"}),
        (("time", "vorlauf"), [0.5], {"units": "days", "standard_name": "forecast_period"}),
        (("init_time", "lead_time"), [43200], {"units": "s"}),
    ],
)
def test_start_plus_lead_is_the_valid_time(names: tuple[str, str], leads: Any, attrs: dict[str, str]) -> None:
    starts = START + 24 * HOUR * np.arange(4)
    ds = forecasts(starts, leads, names, **attrs)
    opened = open_source(ds)
    np.testing.assert_array_equal(opened["valid_time"].values, starts + 12 * HOUR)
    np.testing.assert_array_equal(opened["t2m"].values, ds["t2m"].values[:, 0])
    assert source_notes(opened) == [
        f"the valid times are the start times {names[0]!r} plus the lead times {names[1]!r} (12 h)"
    ]
    truth = fields(START + 6 * HOUR * np.arange(16))
    truth["t2m"][2::4] = ds["t2m"].values[:, 0]
    reference, predictions = align(open_source(truth), {"forecast": opened}, ["t2m"], notify=print)
    np.testing.assert_array_equal(predictions["forecast"]["t2m"].values, reference["t2m"].values)
    assert reference.sizes["valid_time"] == 4


def test_leads_of_all_starts_follow_each_other() -> None:
    ds = forecasts(START + 24 * HOUR * np.arange(3), [0, 6, 12, 18], ("time", "step"), units="hours")
    opened = open_source(ds)
    np.testing.assert_array_equal(opened["valid_time"].values, START + 6 * HOUR * np.arange(12))
    np.testing.assert_array_equal(opened["t2m"].values, ds["t2m"].values.reshape(12, 8, 8))
    one = open_source(ds, select={"step": 6})
    np.testing.assert_array_equal(one["valid_time"].values, START + 24 * HOUR * np.arange(3) + 6 * HOUR)
    overlapping = forecasts(START + 12 * HOUR * np.arange(3), [0, 6, 12, 18], ("time", "step"), units="hours")
    text = "3 start times and 4 lead times, and several hold the same valid time. Select one lead time in hours"
    assert text in refusal(overlapping)
    assert text in check(overlapping).findings[0].text
    with pytest.raises(SourceError, match=r"select = \{step = 0\}"):
        open_pair(overlapping, variables=["t2m"], factor=2)
    assert "the lead times 'step' have the units ''" in refusal(forecasts(ds["time"].values, [0, 6], ("time", "step")))


@pytest.mark.parametrize("starts", [1, 3])
def test_valid_times_along_start_and_lead(starts: int) -> None:
    ds = forecasts(START + 24 * HOUR * np.arange(starts), [0, 6, 12, 18], ("reftime", "offset"))
    ds = ds.assign_coords(time=(("reftime", "offset"), ds["reftime"].values[:, None] + ds["offset"].values * HOUR))
    opened = open_source(ds)
    np.testing.assert_array_equal(opened["valid_time"].values, START + 6 * HOUR * np.arange(4 * starts))
    np.testing.assert_array_equal(opened["t2m"].values, ds["t2m"].values.reshape(-1, 8, 8))
    assert f"forecasts of {starts} start time" in source_notes(opened)[0]
    assert open_pair(ds, variables=["t2m"], factor=2).fine.sizes["valid_time"] == 4 * starts


def test_times_that_are_valid_times_already() -> None:
    times = START + 6 * HOUR * np.arange(4)
    ds = fields(times).assign_coords(
        forecast_reference_time=START - 6 * HOUR, forecast_period=("time", [6, 12, 18, 24])
    )
    ds["forecast_period"].attrs["units"] = "hours"
    np.testing.assert_array_equal(open_source(ds)["valid_time"].values, times)
    fixed = fields(times).assign_coords(forecast_period=((), 6, {"units": "hours"}))
    np.testing.assert_array_equal(open_source(fixed)["valid_time"].values, times)


@pytest.mark.parametrize(
    ("units", "calendar", "numbers", "expected"),
    [
        (
            "months since 1960-01-01",
            "360",
            [480.5, 481.5, 493.0],
            ["2000-01-16T12:00", "2000-02-15T12:00", "2001-02-01T00:00"],
        ),
        ("months since 1899-12 00:00:00", "gregorian", [949, 950], ["1979-01-01T00:00", "1979-02-01T00:00"]),
        ("months since 2000-01-31", "standard", [0, 1], ["2000-01-31T00:00", "2000-02-29T00:00"]),
        ("years since 2000-07-01", "noleap", [0, 1.0], ["2000-07-01T00:00", "2001-07-01T00:00"]),
        ("days since 0000-01-01", "standard", [738000.5], ["2020-07-27T12:00"]),
        ("days since 0000-01-01", "noleap", [730000.0], ["2000-01-01T00:00"]),
        ("days since 1-1-1 00:00:0.0", "standard", [738841.25], ["2023-11-16T06:00"]),
    ],
)
def test_units_of_time(tmp_path: Path, units: str, calendar: str, numbers: Any, expected: list[str]) -> None:
    path = written(tmp_path / "a.nc", numbers, units=units, calendar=calendar)
    opened = open_source(path)
    assert days(opened["valid_time"].values) == expected
    assert ("year 0" in "".join(source_notes(opened))) == (
        units.startswith("days since 0000") and calendar == "standard"
    )
    fields(np.asarray(numbers, float), units=units, calendar=calendar).to_zarr(tmp_path / "a.zarr", zarr_format=2)
    assert days(open_source(tmp_path / "a.zarr")["valid_time"].values) == expected


def test_times_without_dates_need_start_and_step(tmp_path: Path) -> None:
    path = written(tmp_path / "a.nc", np.arange(12), units="days")
    text = "the time axis 'time' could not be read as dates (units 'days')"
    assert text in refusal(path)
    assert text in check(path).findings[0].text
    with pytest.raises(SourceError, match="give the first time and the step"):
        open_pair(str(path), variables=["t2m"], factor=2)
    monthly = open_source(path, start="2001-01-01", step="1 month")
    assert days(monthly["valid_time"].values)[-1] == "2001-12-01T00:00"
    pair = open_pair(str(path), variables=["t2m"], factor=2, start="2001-01-01", step="6h")
    assert days(pair.fine["valid_time"].values)[-1] == "2001-01-03T18:00"
    dated = written(tmp_path / "b.nc", np.arange(3), units="days since 1990-01-01")
    assert days(open_source(dated, start="2001-01-01", step="6h")["valid_time"].values)[0] == "1990-01-01T00:00"


def test_times_are_rounded_before_they_are_compared(tmp_path: Path) -> None:
    exact = START + HOUR * np.arange(48)
    off = fields(exact + np.random.default_rng(0).integers(-30_000_000, 30_000_000, 48).astype("timedelta64[ns]"))
    np.testing.assert_array_equal(open_source(off)["valid_time"].values, exact)
    dates = xr.date_range("2020-01-01", periods=3, freq="h", calendar="noleap", use_cftime=True)
    for micro in (999_990, 20):
        ds = fields([d.replace(microsecond=micro) for d in dates]).isel(time=slice(0, 2))
        assert open_source(ds)["valid_time"].values[1] == cftime.DatetimeNoLeap(2020, 1, 1, 1, 0, int(micro > 500_000))
    half = fields(START + np.arange(4) * np.timedelta64(500, "ms"))
    np.testing.assert_array_equal(open_source(half)["valid_time"].values, half["time"].values)


def test_a_series_that_crosses_2262(tmp_path: Path) -> None:
    units = "days since 1850-01-01"
    first = written(tmp_path / "a.nc", 150_000 + np.arange(20), units=units)
    second = written(tmp_path / "b.nc", 150_590 + np.arange(20), units=units)
    kinds = {type(open_source(path)["valid_time"].values[0]) for path in (first, second)}
    assert kinds == {np.datetime64, cftime.DatetimeGregorian}
    both = open_source([first, second])
    assert both.sizes["valid_time"] == 40
    pair = open_pair([str(first), str(second)], variables=["t2m"], factor=2)
    assert pair.fine.sizes["valid_time"] == 40
    coarse = open_source(first).isel(valid_time=slice(4, None)).coarsen(latitude=2, longitude=2).mean()
    pair = open_pair([str(first), str(second)], variables=["t2m"], factor=2, coarse_source=coarse)
    assert pair.coarse is not None and pair.coarse.sizes["valid_time"] == pair.fine.sizes["valid_time"] == 16
    reference, predictions = align(both, {"a": open_source(first)}, ["t2m"], notify=print)
    np.testing.assert_array_equal(predictions["a"]["t2m"].values, reference["t2m"].values)
    assert reference.sizes["valid_time"] == 20


def test_era5_and_its_preliminary_form_are_merged() -> None:
    ds = fields(START + 6 * HOUR * np.arange(6))
    early, late = ds.where(ds["time"] < ds["time"][4]), (ds + 1.0).where(ds["time"] >= ds["time"][3])
    both = xr.concat([late, early], xr.DataArray([5, 1], dims="expver", name="expver")).transpose("time", "expver", ...)
    opened = open_source(both)
    expected = xr.where(ds["time"] < ds["time"][4], ds["t2m"], ds["t2m"] + 1.0).transpose(*ds["t2m"].dims)
    np.testing.assert_array_equal(opened["t2m"].values, expected.values)
    assert "ERA5T" in source_notes(opened)[0]
    assert opened["t2m"].attrs["units"] == "K"
    assert np.isnan(open_source(both, select={"expver": 1})["t2m"].values[-1]).all()


@pytest.mark.parametrize(("low", "high", "said"), [(-6, 0, True), (0, 6, False), (-3, 3, False)])
def test_stamps_at_the_end_of_intervals_are_said(tmp_path: Path, low: int, high: int, said: bool) -> None:
    ds = fields(START + 6 * HOUR * np.arange(6))
    ds["time_bnds"] = (("time", "nv"), ds["time"].values[:, None] + np.array([low, high]) * HOUR)
    ds["time"].attrs["bounds"] = "time_bnds"
    ds.to_netcdf(tmp_path / "a.nc")
    text = "times are the ends of the intervals that the fields describe (time_bnds; the first is 2019-12-31T18:00 to "
    levels = [f.level for f in check(tmp_path / "a.nc").findings if text in f.text]
    assert levels == (["note"] if said else [])
    notes = open_pair(str(tmp_path / "a.nc"), variables=["t2m"], factor=2).notes
    assert any(text in note for note in notes) == said


def test_members_with_labels_of_text(tmp_path: Path) -> None:
    ds = fields(START + 6 * HOUR * np.arange(3))
    members = xr.concat([ds, ds + 1], xr.DataArray(["r1i1p1f1", "r2i1p1f1"], dims="member_id", name="member_id"))
    members.to_netcdf(tmp_path / "a.nc")
    assert open_source(tmp_path / "a.nc")["t2m"].dims == ("valid_time", "realization", "latitude", "longitude")
    for key in ("realization", "member_id"):
        one = open_source(tmp_path / "a.nc", select={key: "r2i1p1f1"})
        np.testing.assert_array_equal(one["t2m"].values, ds["t2m"].values + 1)
    named = xr.concat(
        [ds, ds + 1], xr.DataArray([1, 2], dims="run", name="run", attrs={"standard_name": "realization"})
    )
    assert "realization" in open_source(named)["t2m"].dims
