"""Units: which spellings are the same unit, and how they are shown."""

from __future__ import annotations

import subprocess
import sys

import pytest

from subgrid.data.sources.units import display_units, same_units, stated_units

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
