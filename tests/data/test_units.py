"""Units: which spellings are the same unit, how they are shown, and how values are converted."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from conftest import make_fields
from subgrid.data.sources.convert_units import convert_back, convert_units
from subgrid.data.sources.units import conversion, display_units, same_units, stated_units
from subgrid.errors import SourceError

SPELLINGS = {
    "K": ["K", "k", "kelvin", "Kelvin", "degK", "deg_K", "degree_K", "degrees_kelvin"],
    "°C": ["degC", "C", "celsius", "Celsius", "degrees_celsius", "degrees_C", "degree_C", "degreesC", "deg C", "°C"],
    "m s⁻¹": ["m s-1", "m s**-1", "m s^-1", "m/s", "m.s-1", "meter second-1", "metre/second", "m s⁻¹"],
    "mm d⁻¹": ["mm d-1", "mm/day", "mm day**-1"],
    "kg m⁻² s⁻¹": ["kg m-2 s-1", "kg m**-2 s**-1", "kg/m2/s", "kg m^-2 s^-1"],
    "mbar": ["mbar", "millibar", "millibars"],
    "hPa": ["hPa", "hectopascal"],
    "MW": ["MW", "megawatt"],
    "mW": ["mW", "milliwatt"],
    "W m⁻²": ["W m-2", "W m**-2", "W/m^2"],
    "%": ["%", "percent"],
    "": ["1", "(0 - 1)", "0-1", "fraction", "dimensionless"],
}
DIFFERENT = [
    ("MW", "mW"),
    ("K", "degC"),
    ("mm d-1", "mm h-1"),
    ("%", "1"),
    ("m", "s"),
    ("m", "km"),
    ("kg m-2 s-1", "mm s-1"),
    ("dBZ", "K"),
    ("dBZ", "reflectivity"),
    ("K", ""),
    (None, "K"),
]
UNKNOWN = ["", " ", "unknown", "Numeric", "~", None]


@pytest.mark.parametrize("shown", SPELLINGS)
def test_spellings_of_one_unit_are_the_same_and_shown_alike(shown: str) -> None:
    first, *_ = SPELLINGS[shown]
    for spelling in SPELLINGS[shown]:
        assert same_units(first, spelling), spelling
        assert same_units(spelling, first), spelling
        assert display_units(spelling) == shown, spelling


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_different_units_differ(first: str | None, second: str | None) -> None:
    assert not same_units(first, second)
    assert not same_units(second, first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("mbar", "hPa"),
        ("m2 s-2", "J kg-1"),
        ("kg kg-1", "1"),
        ("dBZ", "DBZ"),
        ("gpm", "m"),
        ("M S-1", "m/s"),
        ("MM/DAY", "mm d-1"),
    ],
)
def test_other_names_of_the_same_size_need_no_conversion(first: str, second: str) -> None:
    assert same_units(first, second)


@pytest.mark.parametrize("units", UNKNOWN)
def test_placeholders_state_no_units(units: str | None) -> None:
    assert stated_units(units) == ""
    assert same_units(units, "")
    assert not same_units(units, "1")
    assert display_units(str(units)) == ""


@pytest.mark.parametrize(
    ("units", "shown"),
    [
        ("(m s-1)^2", "(m s⁻¹)²"),
        ("(K)^2", "K²"),
        ("(1)^2", ""),
        ("m**3 m**-3", "m³ m⁻³"),
        ("degrees_north", "°N"),
        ("degrees", "°"),
        ("dBZ", "dBZ"),
        ("m of water equivalent", "m of water equivalent"),
        ("10^-5 s-1", "10^-5 s-1"),
    ],
)
def test_powers_ratios_and_units_that_are_not_known(units: str, shown: str) -> None:
    assert display_units(units) == shown


def test_importing_the_module_does_not_import_pint() -> None:
    code = "import sys, subgrid.data.sources.units, subgrid.cli; sys.exit('pint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("source", "target", "quantity", "expected"),
    [
        ("degC", "K", "t2m", (1.0, 273.15)),
        ("K", "Celsius", "t2m", (1.0, -273.15)),
        ("Pa", "hPa", "msl", (0.01, 0.0)),
        ("knot", "m s-1", "u10", (1852 / 3600, 0.0)),
        ("m s**-1", "m s-1", "u10", (1.0, 0.0)),
        ("mm/day", "kg m-2 s-1", "pr", (1 / 86400, 0.0)),
        ("kg m-2 s-1", "mm h-1", "precipitation_flux", (3600.0, 0.0)),
        ("m", "kg m**-2", "tp", (1000.0, 0.0)),
        ("m of water equivalent", "kg m-2", "x", (1000.0, 0.0)),
        ("kg m-2 s-1", "m s-1", "u10", None),  # nothing says that this is water
        ("mm", "kg m-2 s-1", "pr", None),  # an amount is no rate
        ("kg m-3", "1", "water", None),
        ("dB", "1", "gain", None),  # not linear
        ("dBZ", "K", "t2m", None),
        ("K", "m", "t2m", None),
    ],
)
def test_conversion_of_values(source: str, target: str, quantity: str, expected: tuple[float, float] | None) -> None:
    found = conversion(source, target, quantity)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-9))


def test_fields_are_converted_spelled_alike_or_refused() -> None:
    fields = make_fields(3, names=("t2m", "u10", "pr", "z"))
    for name, units in (("t2m", "degC"), ("u10", "m s**-1"), ("pr", "mm/day"), ("z", "m")):
        fields[name].attrs = {"units": units, "long_name": name, "subgrid_scale_factor": 0.5}
    wanted = {"t2m": "K", "u10": "m s-1", "pr": "kg m-2 s-1", "z": ""}
    made, notes = convert_units(fields, wanted, "coarse", "fine")
    assert notes == [
        "coarse: t2m is converted from 'degC' to 'K', the units of fine",
        "coarse: pr is converted from 'mm/day' to 'kg m-2 s-1', the units of fine",
        "z is in 'm' in coarse and has no units in fine; the values are taken to be in the same units",
    ]
    assert [made[name].attrs["units"] for name in made] == ["K", "m s-1", "kg m-2 s-1", "m"]
    assert made["pr"].attrs["subgrid_scale_factor"] == pytest.approx(0.5 / 86400)
    assert made["t2m"].dtype == np.float32
    np.testing.assert_allclose(made["t2m"], fields["t2m"] + 273.15, rtol=1e-6)
    np.testing.assert_allclose(made["pr"], fields["pr"] / 86400, rtol=1e-6)
    for name in ("u10", "z"):
        np.testing.assert_array_equal(made[name], fields[name])
    back = convert_back(made, {name: fields[name].attrs for name in made})
    xr.testing.assert_allclose(back, fields)
    assert back["t2m"].attrs == fields["t2m"].attrs
    with pytest.raises(
        SourceError, match=r"^coarse: u10 is in 'm s\*\*-1', fine in 'K', and the one cannot be converted"
    ):
        convert_units(fields, wanted | {"u10": "K"}, "coarse", "fine")
    fields["t2m"].attrs["long_name"] = "temperature anomaly"  # a difference of 1 degC is one of 1 K, not of 274 K
    with pytest.raises(SourceError, match="t2m is in 'degC', fine in 'K'"):
        convert_units(fields, wanted, "coarse", "fine")
