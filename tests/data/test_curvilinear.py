"""Two-dimensional latitudes and longitudes, projections that files name, and longitudes round the globe."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr

from subgrid import open_source
from subgrid.data.grid import is_periodic
from subgrid.data.sources.open_source import restore_names
from subgrid.data.sources.projections import named_projection, project
from subgrid.errors import GridError

CLARKE = {"semi_major_axis": 6378206.4, "semi_minor_axis": 6356583.8}
INTERNATIONAL = {"semi_major_axis": 6378388.0, "inverse_flattening": 297.0}


# The worked examples of Snyder (1987), USGS Professional Paper 1395, appendix A, in metres.
@pytest.mark.parametrize(
    ("attrs", "place", "plane"),
    [
        (
            {"grid_mapping_name": "mercator", "longitude_of_projection_origin": 180.0, **CLARKE},
            (35.0, -75.0),
            (11688673.7, 4139145.6),
        ),
        (
            {
                "grid_mapping_name": "lambert_conformal_conic",
                "standard_parallel": [33.0, 45.0],
                "latitude_of_projection_origin": 23.0,
                "longitude_of_central_meridian": -96.0,
                **CLARKE,
            },
            (35.0, -75.0),
            (1894410.9, 1564649.5),
        ),
        (
            {
                "grid_mapping_name": "polar_stereographic",
                "standard_parallel": -71.0,
                "latitude_of_projection_origin": -90.0,
                "straight_vertical_longitude_from_pole": -100.0,
                **INTERNATIONAL,
            },
            (-75.0, 150.0),
            (-1540033.6, -560526.4),
        ),
    ],
)
def test_projections_follow_snyder(
    attrs: dict[str, Any], place: tuple[float, float], plane: tuple[float, float]
) -> None:
    projected = project(attrs, *(np.float64(value) for value in place))
    assert projected is not None
    np.testing.assert_allclose(projected[::-1], plane, atol=0.3)


def test_a_polar_plane_of_true_scale_at_the_pole() -> None:
    """Snyder (1987), equation 21-33: near the pole, distances are those on the Earth times the scale factor."""
    attrs = {
        "grid_mapping_name": "polar_stereographic",
        "latitude_of_projection_origin": 90.0,
        "earth_radius": 6371000.0,
    }
    for key, factor in (({"standard_parallel": 90.0}, 1.0), ({"scale_factor_at_projection_origin": 0.994}, 0.994)):
        y, x = project({**attrs, **key}, np.float64(89.99), np.float64(90.0)) or (np.nan, np.nan)
        np.testing.assert_allclose(np.hypot(x, y), factor * 6371000.0 * np.deg2rad(0.01), rtol=1e-6)


WKT1 = (
    'PROJCS["x",GEOGCS["y",DATUM["z",SPHEROID["GRS 1980",6378137,298.257222101]]],PROJECTION["Lambert_Conformal_Conic_2SP"],'
    'PARAMETER["standard_parallel_1",33],PARAMETER["standard_parallel_2",45],PARAMETER["latitude_of_origin",23],'
    'PARAMETER["central_meridian",-96]]'
)
WKT2 = (
    'PROJCRS["x",BASEGEOGCRS["y",DATUM["z",ELLIPSOID["GRS 1980",6378137,298.257222101]]],CONVERSION["c",METHOD["Lambert Conic '
    'Conformal (2SP)",ID["EPSG",9802]],PARAMETER["Latitude of false origin",23],PARAMETER["Longitude of false origin",-96],'
    'PARAMETER["Latitude of 1st standard parallel",33],PARAMETER["Latitude of 2nd standard parallel",45]]]'
)


@pytest.mark.parametrize("wkt", [WKT1, WKT2])
def test_well_known_text_names_a_projection(wkt: str) -> None:
    ds = xr.Dataset({"t": ((), 0.0, {"grid_mapping": "crs"}), "crs": ((), 0, {"crs_wkt": wkt})})
    found = named_projection(ds, ["t"]) or {}
    assert found["grid_mapping_name"] == "lambert_conformal_conic"
    assert found["standard_parallel"] == [33.0, 45.0]
    assert (found["longitude_of_central_meridian"], found["latitude_of_projection_origin"]) == (-96.0, 23.0)
    assert (found["semi_major_axis"], found["inverse_flattening"]) == (6378137.0, 298.257222101)


def mercator(moves: float = 0.0, **attrs: Any) -> xr.Dataset:
    """A WRF file on a Mercator plane of 10 km; float32, as WRF writes."""
    radius, rows, columns = 6370000.0, np.arange(8) * 1e4, np.arange(10) * 1e4
    steps = moves * np.arange(3)[:, None, None] + np.zeros((3, 8, 10))
    lat = np.rad2deg(np.arctan(np.sinh((2.4e6 + rows[:, None]) / radius))) + 0.0 * columns + steps
    lon = -95.0 + np.rad2deg(columns / radius) + 0.0 * rows[:, None] + steps
    dims = ("Time", "south_north", "west_east")
    return xr.Dataset(
        {"T2": (dims, np.arange(240.0).reshape(3, 8, 10), {"units": "K"})},
        coords={
            "XLAT": (dims, lat.astype(np.float32), {"units": "degree_north"}),
            "XLONG": (dims, lon.astype(np.float32), {"units": "degree_east"}),
            "XTIME": ("Time", np.datetime64("2020-01-01", "ns") + np.arange(3) * np.timedelta64(1, "h")),
        },
        attrs={"MAP_PROJ": 3, "DX": 1e4, "DY": 1e4, "TRUELAT1": 0.0, "STAND_LON": -89.0, **attrs},
    )


def test_wrf_is_regular_in_its_plane() -> None:
    ds = open_source(mercator())
    y, x = ds["projection_y_coordinate"], ds["projection_x_coordinate"]
    np.testing.assert_allclose(np.diff(y), -1e4)
    np.testing.assert_allclose(np.diff(x), 1e4)
    np.testing.assert_allclose(x[0], 6370000.0 * np.deg2rad(-6.0), atol=2.0)
    np.testing.assert_allclose(y[-1], 2.4e6, atol=2.0)
    mapping = json.loads(ds.attrs["grid_mapping"])["attrs"]
    assert (mapping["grid_mapping_name"], mapping["earth_radius"]) == ("mercator", 6370000.0)
    np.testing.assert_array_equal(ds["T2"][0], mercator()["T2"][0, ::-1])
    assert restore_names(ds)["T2"].dims == ("XTIME", "south_north", "west_east")


def test_a_domain_that_moves_has_distances_from_its_corner() -> None:
    ds = open_source(mercator(moves=0.25))
    np.testing.assert_allclose(ds["projection_x_coordinate"], np.arange(10) * 1e4)
    assert "grid_mapping" not in ds.attrs
    assert "the domain moves with time" in ds.attrs["subgrid_notes"]


@pytest.mark.parametrize("attrs", [{}, {"MAP_PROJ": 1, "TRUELAT1": 30.0, "TRUELAT2": 60.0}, {"MAP_PROJ": 203}])
def test_places_that_do_not_fit_the_projection_are_curvilinear(attrs: dict[str, Any]) -> None:
    source = mercator(**attrs)
    source["XLAT"] = source["XLAT"] + 0.02 * xr.DataArray(np.arange(10.0), dims="west_east")
    with pytest.raises(GridError) as error:
        open_source(source)
    assert "the grid is curvilinear: 'XLAT' runs along both 'south_north' and 'west_east'" in str(error.value)
    assert "same resolution (about 0.084 degrees, 9.3 km)" in str(error.value)


def plain(**coords: Any) -> xr.Dataset:
    time = np.datetime64("2020-01-01", "ns") + np.arange(2) * np.timedelta64(1, "h")
    return xr.Dataset(
        {"t2m": (("time", "y", "x"), np.arange(40.0).reshape(2, 4, 5), {"units": "K"})}, coords={"time": time, **coords}
    )


LAT, LON = np.array([50.0, 51.0, 52.5, 53.0]), np.array([178.0, 179.0, -180.0, -179.0, -178.0])


@pytest.mark.parametrize("as_coordinates", [True, False])
def test_two_dimensional_coordinates_of_a_plain_grid(as_coordinates: bool) -> None:
    lat, lon = np.meshgrid(LAT, LON, indexing="ij")
    source = plain().assign({"lat": (("y", "x"), lat), "lon": (("y", "x"), lon)})
    ds = open_source(source.set_coords(["lat", "lon"]) if as_coordinates else source)
    assert list(ds.data_vars) == ["t2m"]
    np.testing.assert_array_equal(ds["latitude"], LAT[::-1])
    np.testing.assert_array_equal(ds["longitude"], np.arange(-182.0, -177.0))
    np.testing.assert_array_equal(ds["t2m"], source["t2m"][:, ::-1])


def test_a_plain_grid_whose_rows_run_along_longitude() -> None:
    lat, lon = np.meshgrid(np.arange(5.0), np.arange(4.0) + 10, indexing="xy")
    ds = open_source(plain(lat=(("y", "x"), lat), lon=(("y", "x"), lon)))
    assert ds["t2m"].dims == ("valid_time", "latitude", "longitude") and ds.sizes["latitude"] == 5
    np.testing.assert_array_equal(ds["t2m"][0], np.arange(20.0).reshape(4, 5).T[::-1])


def test_tripolar_axes_in_degrees_are_no_projection() -> None:
    lat, lon = np.meshgrid(LAT, np.arange(5.0), indexing="ij")
    lat[-1] += [0.0, 0.4, 0.8, 0.4, 0.0]
    axes = {
        axis: (axis, values, {"units": "degrees", "standard_name": f"projection_{axis}_coordinate"})
        for axis, values in (("y", LAT), ("x", np.arange(5.0)))
    }
    with pytest.raises(GridError, match="the grid is curvilinear: 'lat' runs along both 'y' and 'x'"):
        open_source(plain(lat=(("y", "x"), lat), lon=(("y", "x"), lon), **axes))


@pytest.mark.parametrize(
    ("units", "mapping", "dims"),
    [
        ({"units": "degrees"}, {}, ("latitude", "longitude")),
        ({}, {"crs_wkt": 'GEOGCRS["WGS 84",ELLIPSOID["WGS 84",6378137,298.257223563]]'}, ("latitude", "longitude")),
        (
            {"units": "degrees"},
            {"grid_mapping_name": "rotated_latitude_longitude"},
            ("grid_latitude", "grid_longitude"),
        ),
        ({"units": "m"}, {}, ("projection_y_coordinate", "projection_x_coordinate")),
    ],
)
def test_degrees_are_degrees_though_named_x_and_y(
    units: dict[str, str], mapping: dict[str, str], dims: tuple[str, str]
) -> None:
    source = plain(y=("y", LAT[::-1], units), x=("x", np.arange(5.0), units), spatial_ref=((), 0, mapping))
    source["t2m"].attrs["grid_mapping"] = "spatial_ref"
    assert open_source(source)["t2m"].dims == ("valid_time", *dims)


def test_a_region_across_the_date_line_stored_in_two_pieces() -> None:
    stored = np.array([-180.0, -179.0, -178.0, 178.0, 179.0])
    source = plain(lat=("y", LAT), lon=("x", stored)).swap_dims(y="lat", x="lon")
    ds = open_source(source)
    np.testing.assert_array_equal(ds["longitude"], np.arange(-182.0, -177.0))
    np.testing.assert_array_equal(ds["t2m"][0, -1], source["t2m"][0, 0, [3, 4, 0, 1, 2]])
    back = restore_names(ds)
    np.testing.assert_array_equal(back["lon"], stored)
    np.testing.assert_array_equal(back["t2m"], source["t2m"])


@pytest.mark.parametrize(
    ("longitudes", "periodic"),
    [
        (np.arange(0.0, 360.0, 1.5), True),
        (np.arange(240) * np.float32(1.4999), True),  # 0.016 of a cell short
        (np.arange(239) * 1.5, False),  # a column short
        (np.arange(120) * 2.99, False),  # 0.4 of a cell short
    ],
)
def test_periodic_is_what_covers_the_circle_once(longitudes: np.ndarray, periodic: bool) -> None:
    data = np.zeros((4, longitudes.size))
    ds = open_source(xr.Dataset({"t": (("lat", "lon"), data)}, coords={"lat": LAT, "lon": longitudes}))
    assert is_periodic(ds) is periodic


@pytest.mark.parametrize(
    ("longitudes", "text"),
    [
        (np.arange(0.0, 361.0, 10.0), "the last column repeats the first."),
        (np.arange(52) * 7.0, "the last column overlaps the first."),  # 357 + 7 = 364
        (np.arange(0.0, 372.0, 10.0), "the last 2 columns repeat the first ones."),
    ],
)
def test_more_than_the_whole_circle(longitudes: np.ndarray, text: str) -> None:
    data = np.zeros((4, longitudes.size))
    with pytest.raises(GridError) as error:
        open_source(xr.Dataset({"t": (("lat", "lon"), data)}, coords={"lat": LAT, "lon": longitudes}))
    assert text in str(error.value)
