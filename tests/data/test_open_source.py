"""Opening files of every kind, their normal form, the way back, and what each error says."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subgrid.data.sources.open_source import open_source, restore_names, source_notes
from subgrid.data.sources.vectors import vector_components
from subgrid.errors import GridError, SourceError, SubgridError

DATA = Path(os.environ.get("SUBGRID_DATA", Path(__file__).parents[3] / "shared" / "data"))
GRIB = importlib.util.find_spec("eccodes") is not None
NOT_THERE = "no real data: set SUBGRID_DATA to the folder of real files"


def make(
    lat: Any = (50.0, 51.0, 52.0),
    lon: Any = (-2.0, -1.0, 0.0, 1.0),
    times: int | None = 4,
    start: str = "2020-01-01",
    name: str = "t2m",
    seed: int = 0,
    **attrs: str,
) -> xr.Dataset:
    """Fields named as ERA5 or CMIP files name them; latitude ascending unless given otherwise."""
    rng = np.random.default_rng(seed)
    shape = (len(lat), len(lon)) if times is None else (times, len(lat), len(lon))
    dims = ("lat", "lon") if times is None else ("time", "lat", "lon")
    data = rng.normal(280, 5, shape).astype(np.float32)
    coords: dict[str, Any] = {
        "lat": ("lat", np.asarray(lat, float), {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": ("lon", np.asarray(lon, float), {"units": "degrees_east", "standard_name": "longitude"}),
    }
    if times is not None:
        coords["time"] = np.datetime64(start, "ns") + np.arange(times) * np.timedelta64(6, "h")
    return xr.Dataset({name: (dims, data, {"units": "K", **attrs})}, coords=coords)


def message(source: Any, error: type[SubgridError] = SourceError, **options: Any) -> str:
    with pytest.raises(error) as caught:
        open_source(source, **options)
    return str(caught.value)


# --- kinds of files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["NETCDF3_CLASSIC", "NETCDF3_64BIT", "NETCDF4", "NETCDF4_CLASSIC", "packed"])
def test_netcdf_opens_lazily_in_normal_form(tmp_path: Path, kind: str) -> None:
    ds = make(long_name="2 metre temperature")
    path = tmp_path / "a.nc"
    if kind == "packed":
        encoding = {"t2m": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": -32768}}
        ds["t2m"][0, 0, 0] = np.nan
        ds.to_netcdf(path, encoding=encoding)
    else:
        ds.to_netcdf(path, format=kind)
    got = open_source(path)
    assert got["t2m"].chunks is not None
    assert got["t2m"].dims == ("valid_time", "latitude", "longitude")
    assert got["t2m"].dtype == np.float32
    assert got["t2m"].encoding == {}
    assert got["latitude"].values.tolist() == [52.0, 51.0, 50.0]
    assert got["latitude"].dtype == np.float64
    assert got["valid_time"].dtype == np.dtype("datetime64[ns]")
    assert got["t2m"].attrs["units"] == "K"
    assert got["t2m"].attrs["long_name"] == "2 metre temperature"
    assert ("subgrid_scale_factor" in got["t2m"].attrs) == (kind == "packed")
    assert got.attrs["source"] == "a.nc"
    expected = ds["t2m"].values[:, ::-1]
    np.testing.assert_allclose(got["t2m"].values, expected, atol=0.006 if kind == "packed" else 0)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("zipped", [None, "root", "nested"])
def test_zarr_folder_and_zip(tmp_path: Path, version: int, zipped: str | None) -> None:
    ds = make()
    path = tmp_path / "store.zarr"
    ds.to_zarr(path, zarr_format=version, consolidated=version == 2)
    if zipped == "root":
        path = Path(shutil.make_archive(str(path), "zip", path))
    elif zipped == "nested":
        path = Path(shutil.make_archive(str(path), "zip", tmp_path, "store.zarr"))
    np.testing.assert_array_equal(open_source(path)["t2m"].values, ds["t2m"].values[:, ::-1])


def test_zip_without_or_with_several_groups(tmp_path: Path) -> None:
    make().to_zarr(tmp_path / "in" / "a.zarr", zarr_format=3, consolidated=False)
    make().to_zarr(tmp_path / "in" / "b.zarr", zarr_format=3, consolidated=False)
    two = shutil.make_archive(str(tmp_path / "two"), "zip", tmp_path / "in")
    assert "the zip holds 2 Zarr groups (a.zarr, b.zarr)" in message(two)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "x.txt").write_text("x")
    none = shutil.make_archive(str(tmp_path / "none"), "zip", tmp_path / "plain")
    assert "no Zarr group" in message(none)
    assert "this folder is not a Zarr store" in message(tmp_path / "plain")


def test_damaged_zarr_says_so(tmp_path: Path) -> None:
    (tmp_path / "bad.zarr").mkdir()
    (tmp_path / "bad.zarr" / "zarr.json").write_text("{")
    assert "the Zarr store could not be opened" in message(tmp_path / "bad.zarr")


def test_npy_stays_on_disk_and_keeps_its_row_order(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(5, 2, 6, 8))
    np.save(tmp_path / "hr.npy", array)
    ds = open_source(tmp_path / "hr.npy", variables=["t2m", "d2m"], start="2020-01-01", step="1h")
    assert list(ds.data_vars) == ["t2m", "d2m"]
    assert ds["d2m"].chunks is not None
    assert ds["d2m"].dims == ("valid_time", "projection_y_coordinate", "projection_x_coordinate")
    np.testing.assert_array_equal(ds["d2m"].values, array[:, 1].astype(np.float32))
    assert (np.diff(ds["projection_y_coordinate"]) == -1).all()
    assert ds["projection_y_coordinate"].attrs == {"units": "1", "axis": "Y"}
    assert str(ds["valid_time"].values[-1]) == "2020-01-01T04:00:00.000000000"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "variables, start, step must be given"),
        ({"variables": ["a", "b"]}, "start, step must be given"),
        ({"variables": ["a"], "start": "2020", "step": "1h"}, "2 channels, but 1 variables are named (a)"),
        ({"variables": ["a", "b"], "start": "soon", "step": "1h"}, "are not a time and a length of time"),
        ({"variables": ["a", "b"], "start": "2020", "step": "-1h"}, "are not a time and a length of time"),
    ],
)
def test_npy_says_what_is_missing(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    np.save(tmp_path / "hr.npy", np.zeros((2, 2, 4, 4)))
    assert text in message(tmp_path / "hr.npy", **options)


def test_npy_of_wrong_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "hr.npy", np.zeros((2, 4, 4)))
    text = message(tmp_path / "hr.npy", variables=["a"], start="2020", step="1h")
    assert text.startswith("hr.npy: holds float64 of shape (2, 4, 4); expected numbers of shape (N, C, H, W)")


def test_unknown_kinds_and_damaged_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert "Supported are NetCDF 3 and 4, Zarr (folder or zipped), GRIB 1 and 2" in message(tmp_path / "notes.txt")
    make().to_netcdf(tmp_path / "a.nc")
    (tmp_path / "half.nc").write_bytes((tmp_path / "a.nc").read_bytes()[:600])
    text = message(tmp_path / "half.nc")
    assert text.startswith("half.nc: the file could not be opened (")
    assert "ncdump -h" in text


def test_grib_without_eccodes_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "eccodes", None)
    (tmp_path / "a.grib").write_bytes(b"GRIB" + bytes(100))
    assert message(tmp_path / "a.grib") == (
        'a.grib: reading GRIB needs ecCodes. Install it: pip install "subgrid[grib]".'
    )


# --- paths ------------------------------------------------------------------------------------------------------


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    make().to_netcdf(tmp_path / "winds_2020.nc")
    assert message(tmp_path / "wind_2020.nc") == (
        f"{str(tmp_path / 'wind_2020.nc')!r} does not exist. Did you mean {str(tmp_path / 'winds_2020.nc')!r}?"
    )
    assert "no file matches" in message(tmp_path / "q*.grib")
    assert f"The folder {str(tmp_path / 'no')!r} does not exist either" in message(tmp_path / "no" / "a*.nc")
    assert f"The folder {str(tmp_path)!r} holds winds_2020.nc." in message(tmp_path / "zzz")
    assert "empty list" in message([])
    assert "remote addresses are not supported" in message("https://example.org/a.nc")
    assert message(make()["t2m"]).startswith("the source is of type DataArray")


def test_glob_and_list_of_consecutive_times(tmp_path: Path) -> None:
    # The later file sorts first by name: order comes from the times.
    make(start="2020-01-02", seed=1).to_netcdf(tmp_path / "a.nc")
    make(start="2020-01-01", seed=2).to_netcdf(tmp_path / "b.nc")
    for source in (str(tmp_path / "*.nc"), [tmp_path / "a.nc", tmp_path / "b.nc"]):
        ds = open_source(source)
        assert ds.sizes["valid_time"] == 8
        assert (np.diff(ds["valid_time"].values) > np.timedelta64(0)).all()
        np.testing.assert_array_equal(ds["t2m"].values[4:], make(seed=1)["t2m"].values[:, ::-1])
        assert len(ds["t2m"].chunks[0]) == 2
    assert ds.attrs["source"] == "2 files (a.nc .. b.nc)"


def test_variables_and_times_in_one_go_whatever_the_conventions(tmp_path: Path) -> None:
    lon = np.arange(0.0, 360.0, 30.0)
    for month in (1, 2):
        wind = make(lon=lon, start=f"2020-0{month}-01", name="u10", seed=month)
        wind.to_netcdf(tmp_path / f"u_{month}.nc")
        # The other variable's files run south to north, -180..180, with the noise of float32.
        temperature = make(lon=lon, start=f"2020-0{month}-01", seed=month + 10)
        turned = temperature.assign_coords(lon=(temperature["lon"] + 180) % 360 - 180).sortby("lon")
        turned = turned.sortby("lat", ascending=False)
        turned["lon"] = turned["lon"].astype(np.float32) + np.float32(1e-5)
        turned.to_netcdf(tmp_path / f"t_{month}.nc")
    ds = open_source(str(tmp_path / "*.nc"), variables=["u10", "t2m"])
    assert list(ds.data_vars) == ["u10", "t2m"]
    assert ds.sizes == {"valid_time": 8, "latitude": 3, "longitude": 12}
    np.testing.assert_array_equal(ds["t2m"].values[4:], temperature["t2m"].values[:, ::-1])
    np.testing.assert_array_equal(ds["u10"].values[4:], wind["u10"].values[:, ::-1])


def test_static_field_beside_a_series(tmp_path: Path) -> None:
    make().assign(orog=make(times=None, name="orog")["orog"]).to_netcdf(tmp_path / "a.nc")
    make(start="2020-02-01").assign(orog=make(times=None, name="orog")["orog"]).to_netcdf(tmp_path / "b.nc")
    make(times=None, name="mask").to_netcdf(tmp_path / "mask.nc")
    ds = open_source(str(tmp_path / "*.nc"))
    assert {str(name): v.dims[0] for name, v in ds.data_vars.items()} == {
        "t2m": "valid_time",
        "orog": "latitude",
        "mask": "latitude",
    }
    assert "valid_time" not in open_source(tmp_path / "mask.nc").dims
    alone = open_source(tmp_path / "a.nc", variables=["orog"])  # its file has times, it has none
    assert alone["orog"].dims == ("latitude", "longitude")
    assert "valid_time" not in alone.coords


def test_units_of_files_may_be_spelled_differently(tmp_path: Path) -> None:
    make(name="u10", units="m s**-1").to_netcdf(tmp_path / "a.nc")
    make(name="u10", units="m s-1", start="2021-01-01").to_netcdf(tmp_path / "b.nc")
    fields = open_source(str(tmp_path / "*.nc"))
    assert fields.sizes["valid_time"] == 8
    assert source_notes(fields) == []


def test_files_of_a_series_are_converted_to_the_units_of_the_first(tmp_path: Path) -> None:
    kelvin = make()
    kelvin.to_netcdf(tmp_path / "a.nc")
    for number, start in enumerate(("2021-01-01", "2022-01-01")):
        other = make(start=start, units="degC")
        other["t2m"] -= np.float32(273.15)
        other.to_netcdf(tmp_path / f"b{number}.nc")
    fields = open_source(str(tmp_path / "*.nc"))
    assert fields["t2m"].attrs["units"] == "K"
    expected = open_source(make())["t2m"].values
    np.testing.assert_allclose(fields["t2m"].values, np.concatenate([expected] * 3), rtol=1e-6)
    assert source_notes(fields) == ["2 files (b0.nc .. b1.nc): t2m is converted from 'degC' to 'K', the units of a.nc"]
    silent = make(start="2021-01-01")
    del silent["t2m"].attrs["units"]
    silent.to_netcdf(tmp_path / "silent.nc")
    assert "'t2m' is in 'K' in a.nc, and silent.nc states no units. Set them" in message(
        [tmp_path / "a.nc", tmp_path / "silent.nc"]
    )


@pytest.mark.slow
def test_files_that_cannot_be_put_together(tmp_path: Path) -> None:
    first, second = tmp_path / "a.nc", tmp_path / "b.nc"
    make().to_netcdf(first)

    def joined(ds: xr.Dataset, error: type[SubgridError] = SourceError) -> str:
        ds.to_netcdf(second)
        return message([first, second], error)

    assert joined(make(lon=(0.0, 1.0, 2.0)), GridError).startswith(
        "the grids of a.nc and b.nc differ: 4 against 3 cells along longitude. Regrid one onto the other"
    )
    assert "differ along longitude: last 1 against 4, spacing 1 against 2" in joined(
        make(lon=(-2.0, 0.0, 2.0, 4.0)), GridError
    )
    assert "axes latitude, longitude against grid_latitude, grid_longitude" in joined(
        make().drop_attrs().rename(lat="rlat", lon="rlon"), GridError
    )
    assert "4 of 8 times occur more than once, the first is 2020-01-01T00:00" in joined(make(seed=3))
    assert "b.nc: t2m is in 'm', a.nc in 'K', and the one cannot be converted" in joined(
        make(start="2021-01-01", units="m")
    )
    assert "in b.nc it has no time" in joined(make(times=None))
    assert "the times of t2m and d2m differ: 4 (2020-01-01T00:00 .. 2020-01-01T18:00) against 3" in joined(
        make(times=3, name="d2m")
    )
    cf = make(start="2021-01-01").convert_calendar("360_day", align_on="date")
    assert "calendar of 't2m' differ: standard in a.nc, 360_day in b.nc" in joined(cf)
    levels = make(start="2021-01-01").expand_dims(level=[850.0, 500.0])
    assert "dimensions of 't2m' differ" in joined(levels)


# --- axes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "x", "normal"),
    [
        ("lat", "lon", "latitude"),
        ("Latitude", "LONGITUDE", "latitude"),
        ("nav_lat", "nav_lon", "latitude"),
        ("rlat", "rlon", "grid_latitude"),
        ("y", "x", "projection_y_coordinate"),
        ("Y", "X", "projection_y_coordinate"),
    ],
)
def test_undecorated_axes_by_name_and_back(y: str, x: str, normal: str) -> None:
    ds = make().drop_attrs().rename(lat=y, lon=x)
    got = open_source(ds)
    assert got["t2m"].dims[1] == normal
    assert restore_names(got)["t2m"].dims == ("time", y, x)


def test_attributes_beat_names() -> None:
    ds = make().rename(lat="a", lon="b")
    assert open_source(ds)["t2m"].dims == ("valid_time", "latitude", "longitude")
    axis = make().drop_attrs().rename(lat="p", lon="q")
    axis["p"].attrs["axis"], axis["q"].attrs["axis"] = "Y", "X"
    assert open_source(axis)["t2m"].dims[1] == "projection_y_coordinate"


def test_axes_without_coordinates_count_cells() -> None:
    ds = make().rename(lat="y", lon="x").drop_vars(["x", "y"])
    got = open_source(ds)
    assert got["projection_y_coordinate"].values.tolist() == [2, 1, 0]
    np.testing.assert_array_equal(got["t2m"].values, ds["t2m"].values)


def test_rotated_pole_keeps_its_mapping() -> None:
    ds = make(lat=(-1.0, 0.0, 1.0), lon=(359.0, 360.0, 361.0)).drop_attrs().rename(lat="rlat", lon="rlon")
    ds["t2m"].attrs["grid_mapping"] = "rotated_pole"
    pole = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": np.float32(39.25)}
    ds["rotated_pole"] = ((), 0, pole)
    got = open_source(ds)
    assert list(got.data_vars) == ["t2m"]
    assert got["grid_longitude"].values.tolist() == [-1, 0, 1]
    assert json.loads(got.attrs["grid_mapping"])["attrs"]["grid_north_pole_latitude"] == 39.25
    back = restore_names(got)
    assert back["rlon"].values.tolist() == [359, 360, 361]
    assert back["t2m"].attrs["grid_mapping"] == "rotated_pole"
    assert back["rotated_pole"].attrs == pole
    assert set(back.attrs) == {"source"}


def curvilinear(units: str | None) -> xr.Dataset:
    ds = make().drop_attrs().rename(lat="y", lon="x")
    if units is None:
        ds = ds.drop_vars(["x", "y"])
    else:
        ds["y"].attrs["units"] = ds["x"].attrs["units"] = units
    return ds.assign_coords(lat=(("y", "x"), np.ones((3, 4))), lon=(("y", "x"), np.ones((3, 4))))


@pytest.mark.parametrize("units", [None, "1"])
def test_curvilinear_is_refused(units: str | None) -> None:
    text = message(curvilinear(units), GridError)
    assert "the grid is curvilinear: 'lat' runs along both 'y' and 'x'" in text
    assert "cdo remapbil" in text


def test_a_curvilinear_grid_is_to_keep_its_resolution() -> None:
    ds = curvilinear(None)
    rows, columns = np.meshgrid(np.arange(3), np.arange(4), indexing="ij")
    # 0.036 degrees (4 km) along both axes, turned by 30 degrees, at 60 N
    north, east = (
        0.036 * (rows * np.cos(0.5) + columns * np.sin(0.5)),
        0.036 * (columns * np.cos(0.5) - rows * np.sin(0.5)),
    )
    ds = ds.assign_coords(lat=(("y", "x"), 60.0 + north), lon=(("y", "x"), 179.99 + 2 * east))
    text = message(ds, GridError)
    assert "a regular grid of the same resolution (about 0.036 degrees, 4 km) first" in text
    assert "r360x180" not in text


def test_projection_axes_with_units_are_accepted_beside_2d_latitudes() -> None:
    got = open_source(curvilinear("km"))
    assert got["projection_x_coordinate"].attrs["units"] == "km"
    assert "lat" not in got.coords


def test_unstructured_is_refused() -> None:
    cells = xr.Dataset(
        {"t2m": (("time", "values"), np.ones((2, 5)))},
        coords={"latitude": ("values", np.arange(5.0)), "longitude": ("values", np.arange(5.0)), "time": [0, 1]},
    )
    assert "the grid is unstructured" in message(cells, GridError)


@pytest.mark.parametrize(
    ("lat", "lon", "text"),
    [
        ((0.0, 1.0), np.arange(0.0, 361.0, 30.0), "the last column repeats the first. Drop what is repeated"),
        ((0.0, 1.0), np.arange(0.0, 391.0, 30.0), "the last 2 columns repeat the first ones"),
        ((0.0, 1.0, 1.0), (0.0, 1.0), "the coordinate 'lat' repeats a value near cell"),
        ((0.0, 2.0, 1.0), (0.0, 1.0), "the coordinate 'lat' changes direction near cell"),
        ((0.0, 1.0), (0.0, 2.0, 1.0), "the coordinate 'lon' changes direction near cell 1 (2, then 1)"),
        ((0.0, 91.0), (0.0, 1.0), "latitude 'lat' reaches 91 degrees, beyond the pole"),
        ((0.0,), (0.0, 1.0), "the axis 'lat' has 1 cell"),
        ((0.0, np.nan), (0.0, 1.0), "holds values that are not finite numbers"),
    ],
)
def test_axes_that_are_refused(lat: Any, lon: Any, text: str) -> None:
    assert text in message(make(lat=lat, lon=lon), GridError)


def test_no_axes_at_all() -> None:
    ds = xr.Dataset({"t2m": (("a", "b"), np.ones((3, 4)))})
    text = message(ds, GridError)
    assert "no pair of horizontal axes was found; the dimensions are a (3), b (4)" in text
    assert "there is no numeric field with horizontal axes" in message(xr.Dataset({"name": ("a", ["x", "y"])}))


# --- times, ensembles, levels -----------------------------------------------------------------------------------


def test_calendar_of_360_days_stays(tmp_path: Path) -> None:
    ds = make().convert_calendar("360_day", align_on="date")
    ds.to_netcdf(tmp_path / "a.nc")
    assert open_source(tmp_path / "a.nc")["valid_time"].values[0].calendar == "360_day"


def test_times_are_sorted_and_repeats_are_named() -> None:
    ds = make().isel(time=[2, 0, 3, 1])
    np.testing.assert_array_equal(open_source(ds)["t2m"].values, make()["t2m"].values[:, ::-1])
    assert message(make().isel(time=[0, 1, 1, 2, 2])) == (
        "the data set: 2 of 5 times occur more than once, the first is 2020-01-01T06:00. Remove the repeats (e.g. "
        "`ds.drop_duplicates('time')`), or the files that overlap."
    )


def test_times_that_cannot_be_used() -> None:
    times = make()["time"].values.copy()
    times[1] = "NaT"
    assert "1 of 4 times are missing" in message(make().assign_coords(time=times))
    plain = make().assign_coords(time=("time", np.arange(4), {"units": "months since 1960"}))
    assert "the time axis 'time' could not be read as dates (units 'months since 1960')" in message(plain)


def test_scalar_time_becomes_a_dimension_and_no_time_stays_none() -> None:
    ds = make().isel(time=0)
    assert open_source(ds)["t2m"].dims == ("valid_time", "latitude", "longitude")
    assert restore_names(open_source(ds))["t2m"].dims == ("time", "lat", "lon")
    assert open_source(make(times=None))["t2m"].dims == ("latitude", "longitude")


def forecast(num_times: int, num_steps: int, apart: int = 24) -> xr.Dataset:
    """As cfgrib gives forecasts: time, step and valid_time; starts some hours apart."""
    base = np.datetime64("2020-01-01", "ns") + np.arange(num_times) * np.timedelta64(apart, "h")
    lead = np.arange(num_steps) * np.timedelta64(6, "h").astype("timedelta64[ns]")
    data = np.random.default_rng(0).normal(size=(num_times, num_steps, 3, 4)).astype(np.float32)
    ds = xr.Dataset(
        {"t2m": (("time", "step", "latitude", "longitude"), data)},
        coords={
            "time": base,
            "step": lead,
            "valid_time": (("time", "step"), base[:, None] + lead),
            "latitude": np.arange(3.0)[::-1],
            "longitude": np.arange(4.0),
        },
    )
    return ds.squeeze()


def test_forecasts_are_placed_at_their_valid_time() -> None:
    steps = open_source(forecast(1, 3))
    assert [str(t)[:13] for t in steps["valid_time"].values] == ["2020-01-01T00", "2020-01-01T06", "2020-01-01T12"]
    assert restore_names(steps)["t2m"].dims[0] == "valid_time"
    assert restore_names(open_source(forecast(2, 1)))["t2m"].dims[0] == "time"
    every = open_source(forecast(2, 3))
    assert [str(t)[8:13] for t in every["valid_time"].values] == ["01T00", "01T06", "01T12", "02T00", "02T06", "02T12"]
    np.testing.assert_array_equal(every["t2m"].values[4], forecast(2, 3)["t2m"].values[1, 1])
    text = message(forecast(2, 3, apart=12))
    assert "the forecasts have 2 start times and 3 lead times" in text
    assert "select = {step = 0}" in text
    one = open_source(forecast(2, 3), select={"step": 6})
    assert [str(t)[:13] for t in one["valid_time"].values] == ["2020-01-01T06", "2020-01-02T06"]


def test_members_levels_and_select() -> None:
    ds = xr.concat([make(seed=s) for s in range(3)], "number").expand_dims(level=[850, 500], height=[2.0])
    ds = ds.assign_coords(number=[0, 1, 2])
    got = open_source(ds)
    assert got["t2m"].dims == ("valid_time", "level", "realization", "latitude", "longitude")
    assert float(got["height"]) == 2.0
    assert restore_names(got)["t2m"].dims[2] == "number"
    for key in ("number", "realization"):
        one = open_source(ds, select={key: 2, "level": 850.0})
        assert one["t2m"].dims == ("valid_time", "latitude", "longitude")
        np.testing.assert_array_equal(one["t2m"].values, make(seed=2)["t2m"].values[:, ::-1])
    assert open_source(ds, select={"level": [500]}).coords["level"].item() == 500
    assert open_source(ds.drop_vars("level"), select={"level": 1}).coords["level"].item() == 1
    day = open_source(ds, select={"time": "2020-01-01T06:00", "number": 0, "level": 850})
    assert day.sizes["valid_time"] == 1


@pytest.mark.parametrize(
    ("select", "text"),
    [
        ({"level": 851}, "the data set: select level = 851 is not in the file. Nearest: 850, 500."),
        ({"level": "high"}, "select level = 'high' is not in the file. Valid: 500, 850."),
        (
            {"lvel": 850},
            "the data set: select names 'lvel', which is not a dimension of the source. Did you mean 'level'?",
        ),
        ({"time": "tomorrow"}, "select time = 'tomorrow' is not in the file."),
    ],
)
def test_select_says_what_is_there(select: dict[str, Any], text: str) -> None:
    assert text in message(make().expand_dims(level=[850, 500]), select=select)


# --- variables --------------------------------------------------------------------------------------------------


def test_variables_that_cannot_be_had() -> None:
    ds = make().assign(flag=("lat", [1.0, 2.0, 3.0]), word=("lat", ["a", "b", "c"]))
    ds["lat"].attrs["bounds"] = "lat_bnds"
    ds["lat_bnds"] = (("lat", "nb"), np.zeros((3, 2)))
    assert list(open_source(ds).data_vars) == ["t2m"]
    assert message(ds, variables=["t2n"]) == "the data set: no variable 't2n'. Did you mean 't2m'?"
    assert "holds <U1, not numbers" in message(ds, variables=["word"])
    assert "the variable 'flag' has dimensions ('lat',); a field needs the horizontal axes" in message(
        ds, variables=["t2m", "flag"]
    )
    assert "names 't2m' more than once" in message(ds, variables=["t2m", "t2m"])
    assert "give a list of names: ['t2m']" in message(ds, variables="t2m")


def test_restore_names_on_a_finer_grid() -> None:
    lon = np.arange(-180.0, 180.0, 30.0)
    ds = open_source(make(lat=(-10.0, 0.0, 10.0), lon=lon))
    assert ds["longitude"].values[0] == 0.0
    fine = xr.Dataset(
        {"t2m": (("valid_time", "latitude", "longitude"), np.zeros((1, 6, 24)))},
        coords={
            "valid_time": ds["valid_time"].values[:1],
            "latitude": np.linspace(12.5, -12.5, 6),
            "longitude": np.arange(24) * 15.0 - 7.5,
        },
        attrs=ds.attrs,
    )
    back = restore_names(fine)
    # The western edge stays at -195, as half a coarse cell west of the source's first centre.
    assert back["lon"].values[[0, -1]].tolist() == [-187.5, 157.5]
    assert (np.diff(back["lat"]) > 0).all()


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    north_first=st.booleans(),
    east_first=st.booleans(),
    roll=st.integers(0, 11),
    turns=st.sampled_from([-360.0, 0.0, 360.0]),
    region=st.booleans(),
    packed=st.booleans(),
)
def test_orientation_convention_and_packing_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    north_first: bool,
    east_first: bool,
    roll: int,
    turns: float,
    region: bool,
    packed: bool,
) -> None:
    lon = np.arange(-5.0, 7.0) if region else np.arange(0.0, 360.0, 30.0)
    plain = make(lat=(-60.0, 0.0, 60.0), lon=lon)
    expected = open_source(plain)
    # A rolled global grid starts anywhere; a rolled region would no longer be one.
    ds = plain if region else plain.roll(lon=roll, roll_coords=True)
    ds = ds.assign_coords(lon=("lon", np.unwrap(ds["lon"].values, period=360.0) + turns, plain["lon"].attrs))
    ds = ds.isel(lat=slice(None, None, -1 if north_first else 1), lon=slice(None, None, -1 if east_first else 1))
    path = tmp_path_factory.mktemp("p") / "a.nc"
    packing = {"t2m": {"dtype": "int16", "scale_factor": 0.001, "add_offset": 280.0}} if packed else {}
    ds.to_netcdf(path, encoding=packing)
    got = open_source(path)
    np.testing.assert_allclose(got["longitude"], expected["longitude"], atol=1e-9)
    np.testing.assert_array_equal(got["latitude"], expected["latitude"])
    np.testing.assert_allclose(got["t2m"], expected["t2m"], atol=6e-4 if packed else 0)
    back = restore_names(got)
    assert back["t2m"].dims == ds["t2m"].dims
    np.testing.assert_allclose(back["lon"], ds["lon"], atol=1e-9)
    np.testing.assert_array_equal(back["lat"], ds["lat"])
    np.testing.assert_allclose(back["t2m"], ds["t2m"], atol=6e-4 if packed else 0)


@pytest.mark.slow
def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ds = make(lat=np.arange(0.0, 64.0), lon=np.arange(0.0, 64.0), times=3000)
    ds.to_netcdf(tmp_path / "a.nc")
    read: list[int] = []
    from xarray.backends.netCDF4_ import NetCDF4ArrayWrapper

    original = NetCDF4ArrayWrapper._getitem

    def counted(self: Any, key: Any) -> Any:
        values = original(self, key)
        read.append(np.size(values))
        return values

    monkeypatch.setattr(NetCDF4ArrayWrapper, "_getitem", counted)
    got = open_source(tmp_path / "a.nc")
    assert sum(read) < 10_000  # coordinates and times
    got["t2m"].isel(valid_time=5).load()
    assert max(read) <= 2**23  # one block of times, not the file


# --- real files -------------------------------------------------------------------------------------------------

# Each file: the variables it opens with, or the word by which it is refused.
AWKWARD: dict[str, list[str] | str] = {
    "A1B_north_america.nc": ["air_temperature"],
    "Arctic20_1to5Feb_2016.nc": [
        "aice",
        "h",
        "hice",
        "mask",
        "salinity",
        "temperature",
        "u",
        "ubar",
        "v",
        "vbar",
        "zeta",
    ],
    "basin_mask.nc": ["basin"],
    "bcsd_obs_1999.nc": ["pr", "tas"],
    "era5-levels-members.grib": ["z", "t"],
    "era5_1995-07-14T12.nc": ["u10", "v10", "d2m", "t2m", "sp", "t2m_C", "d2m_C"],
    "eraint_uvz.nc": ["z", "u", "v"],
    "mslp.nc": ["msl"],
    "nam.t00z.awp21100.tm00.grib2": "is given in 5 kinds, by typeOfLevel",
    "reduced.nc": ["sst", "anom", "err", "ice"],
    "rotated_ll.grib1": ["t2m"],
    "rotated_pole.nc": ["air_pressure_at_sea_level"],
    "sic_daily_sample.zarr.zip": ["siconc"],
    "tasmax_day_HadGEM2-CC_rcp85_r1i1p1_na10kgrid_qm-moving-50bins-detrend_2095.nc": ["time_vectors", "tasmax"],
    "test_stageiv_xyt.nc": "curvilinear",
    "tos_ocean_bipolar_grid.nc": "curvilinear",
}
PLAIN: dict[str, list[str] | str] = {
    "era5_t2m_uk_2019-03.grib": ["t2m"],
    "gfs_uv10_1deg.nc": ["u10", "v10"],
    "large/CMC_glb_TMP_TGL_2_latlon.15x.15_2020081000_P000.grib2": ["t2m"],
    "series/orog_mod1_rectilinear_grid_2D.nc": ["orog"],
    "series/sftlf_mod1_rectilinear_grid_2D.nc": ["sftlf"],
    "series/sst.mnmean.nc": ["sst"],
    "series/tas_rectilinear_grid_2D.nc": ["tas"],
    "series/uas_rectilinear_grid_2D.nc": ["uas"],
    "series/vas_rectilinear_grid_2D.nc": ["vas"],
    "static_pair/orog_mod2_rectilinear_grid_2D.nc": ["orog"],
    "static_pair/orog_mod3_rectilinear_grid_2D.nc": ["orog"],
    "static_pair/sftlf_mod2_rectilinear_grid_2D.nc": ["sftlf"],
    "static_pair/sftlf_mod3_rectilinear_grid_2D.nc": ["sftlf"],
}
EXPECTED = PLAIN | {f"awkward/{name}": outcome for name, outcome in AWKWARD.items()}


def real(name: str) -> Path:
    if "grib" in name and not GRIB:
        pytest.skip("ecCodes is not installed")
    if not (DATA / name).exists():
        pytest.skip(NOT_THERE)
    return DATA / name


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_real_file_opens_or_says_why_not(name: str) -> None:
    path, expected = real(name), EXPECTED[name]
    if isinstance(expected, str):
        text = message(path, SubgridError)
        assert expected in text
        assert len(text) > 40
        return
    ds = open_source(path)
    assert list(ds.data_vars) == expected
    for variable in ds.data_vars.values():
        assert variable.chunks is not None
        assert variable.dtype == np.float32
        y, x = (ds[dim].values for dim in variable.dims[-2:])
        assert (np.diff(y) < 0).all()
        assert (np.diff(x) > 0).all()
    field = ds[expected[0]]
    assert np.isfinite(field.isel(dict.fromkeys(field.dims[:-2], 0)).values).any()
    assert set(restore_names(ds).data_vars) >= set(expected)


@pytest.mark.slow
@pytest.mark.realdata
def test_nam_by_variable_and_by_level() -> None:
    path = real("awkward/nam.t00z.awp21100.tm00.grib2")
    two = open_source(path, variables=["t2m", "u10"])
    assert two["t2m"].dims == ("valid_time", "projection_y_coordinate", "projection_x_coordinate")
    assert "heightAboveGround" not in two.coords  # 2 m and 10 m
    assert two["projection_x_coordinate"].attrs["units"] == "m"
    high = open_source(path, variables=["t"], select={"isobaricInhPa": 850})
    assert 250 < float(high["t"].mean()) < 300
    assert "Did you mean 'tropopause'?" in message(path, variables=["t"], select={"typeOfLevel": "tropopaus"})


@pytest.mark.realdata
def test_rotated_grib_gets_its_own_axes() -> None:
    path = real("awkward/rotated_ll.grib1")
    ds = open_source(path)
    import eccodes

    with path.open("rb") as file:
        latitudes = eccodes.codes_get_array(eccodes.codes_grib_new_from_file(file), "latitudes").reshape(372, 496)
    mapping = json.loads(ds.attrs["grid_mapping"])["attrs"]
    # Independent check: rotate the 1-D axes back and compare with the latitudes that ecCodes gives.
    pole = np.deg2rad(mapping["grid_north_pole_latitude"])
    rlat, rlon = np.meshgrid(np.deg2rad(ds["grid_latitude"]), np.deg2rad(ds["grid_longitude"]), indexing="ij")
    sin_lat = np.sin(rlat) * np.sin(pole) + np.cos(rlat) * np.cos(rlon) * np.cos(pole)
    np.testing.assert_allclose(np.rad2deg(np.arcsin(sin_lat)), latitudes[::-1], atol=2e-3)


@pytest.mark.realdata
def test_grib_leaves_no_index_beside_the_data(tmp_path: Path) -> None:
    copy = Path(shutil.copy(real("awkward/era5-levels-members.grib"), tmp_path / "a.grib"))
    ds = open_source(copy, select={"number": 3, "isobaricInhPa": 500})
    assert ds["t"].isel(valid_time=0).values.shape == (61, 120)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.grib"]


@pytest.mark.realdata
def test_series_of_variables_with_static_fields() -> None:
    folder = real("series/tas_rectilinear_grid_2D.nc").parent
    ds = open_source(str(folder / "*rectilinear_grid_2D.nc"))
    assert set(ds.data_vars) == {"orog", "sftlf", "tas", "uas", "vas"}
    assert vector_components(ds) == {"uas": "x", "vas": "y"}
    assert ds["orog"].dims == ("latitude", "longitude")
