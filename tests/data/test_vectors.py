"""Which variables are components of vectors or fields of rotation, by standard names, names and units."""

from __future__ import annotations

from typing import Any

import pytest
import xarray as xr

from subgrid.data.sources.vectors import vector_components
from subgrid.evaluation.alignment import wind_pair


def kind(name: str, units: str = "m s**-1", **attrs: Any) -> str | None:
    ds = xr.Dataset({name: ("y", [0.0], {"units": units, **attrs})})
    return vector_components(ds).get(name)


U_NAMES = [
    *("u", "U", "10u", "u10", "u10n", "U_10M", "U50M", "u_850", "u850", "ua", "ua100m", "uas", "uo", "uwnd", "u_wind"),
    *(
        "UGRD_10maboveground",
        "ugrdprs",
        "u-component_of_wind_isobaric",
        "10m_u_component_of_wind",
        "wind_u_10m",
        "ULML",
    ),
]


@pytest.mark.parametrize("name", U_NAMES)
def test_winds_by_the_words_of_their_names(name: str) -> None:
    letter = "U" if "U" in name else "u"
    partner = name.replace(letter, chr(ord(letter) + 1), 1)
    pair = xr.Dataset({key: ("y", [0.0], {"units": "m s-1"}) for key in (partner, name, "t2m")})
    kinds = vector_components(pair)
    assert kinds == {name: "x", partner: "y"}
    assert wind_pair(kinds, dict.fromkeys(kinds, "m s-1")) == (name, partner)


@pytest.mark.parametrize(("east", "north"), [("x_wind_10m", "y_wind_10m"), ("zonal_wind", "meridional_wind")])
def test_winds_by_their_directions(east: str, north: str) -> None:
    assert (kind(east), kind(north)) == ("x", "y")


@pytest.mark.parametrize(
    "name",
    ["ustar", "u_star", "uvb", "10m_wind_speed", "u_gust", "v_divergence", "t2m", "sp", "uv", "zonal_index", "x"],
)
def test_scalars_by_name(name: str) -> None:
    assert kind(name) is None


def test_units_settle_what_names_leave_open() -> None:
    assert kind("vo", "s**-1") == "rotation"  # GRIB: relative vorticity
    assert kind("vo", "m s-1") == "y"  # CMIP: northward velocity of sea water
    assert kind("zeta", "s-1") == "rotation"
    assert kind("zeta", "m") is None  # the height of the sea surface
    assert kind("u", "K") is None
    assert kind("v", "m3 kg-1") is None
    assert kind("u10", "") == "x"
    assert kind("uflx", "N m-2") == "x"


def test_the_standard_name_comes_first() -> None:
    field = ("y", [0.0])
    ds = xr.Dataset(
        {
            "a": (*field, {"standard_name": "eastward_wind"}),
            "b": (*field, {"standard_name": "barotropic_sea_water_y_velocity"}),
            "c": (*field, {"GRIB_shortName": "10u", "standard_name": "unknown"}),
            "V10M": field,
            "vas": field,
            "u": (*field, {"standard_name": "air_temperature"}),
            "uv": (*field, {"standard_name": "product_of_eastward_wind_and_northward_wind"}),
            "uu": (*field, {"standard_name": "square_of_eastward_wind"}),
            "d": (*field, {"standard_name": "divergence_of_wind"}),
            "z": (*field, {"standard_name": "atmosphere_relative_vorticity"}),
            "psi": (*field, {"standard_name": "atmosphere_horizontal_streamfunction"}),
            "u10": (*field, {"cell_methods": "time: standard_deviation"}),
            "uvb": field,
            "t2m": field,
        }
    )
    rotation = {"uv": "rotation", "z": "rotation", "psi": "rotation"}
    assert vector_components(ds) == {"a": "x", "b": "y", "c": "x", "V10M": "y", "vas": "y"} | rotation


def test_what_the_user_states_comes_before_all() -> None:
    ds = xr.Dataset({name: ("y", [0.0], {"units": "m s-1"}) for name in ("u10", "vt", "eta")})
    given = {"u10": "none", "vt": "y", "eta": "rotation"}
    assert vector_components(ds, given) == {"vt": "y", "eta": "rotation"}
