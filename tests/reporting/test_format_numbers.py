"""Text of numbers, intervals and units."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subgrid.reporting.format_numbers import (
    format_interval,
    format_number,
    format_spread,
    format_units,
    name_with_units,
)

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("value", "largest", "expected"),
    [
        (281.31234, None, "281.3"),
        (0.5, None, "0.5000"),
        (-0.012345, None, "−0.0123"),
        (-0.012345, 10.0, "−0.01"),
        (1234567.0, None, "1.235e+06"),
        (-2e-9, 3e-9, "−2.000e−09"),
        (-1e-9, 10.0, "0.00"),
        (0.0, None, "0"),
        (NAN, 1.0, "n/a"),
        (INF, 1.0, "∞"),
        (-INF, None, "−∞"),
        (2.0, INF, "2.000"),
    ],
)
def test_a_row_has_the_decimals_of_its_largest_number(value: float, largest: float | None, expected: str) -> None:
    assert format_number(value, largest) == expected


def test_a_difference_has_its_sign_even_where_it_rounds_to_zero() -> None:
    assert [format_number(value, decimals=3, signed=True) for value in (0.12, 0.0, -0.0001, INF)] == [
        "+0.120",
        "+0.000",
        "−0.000",
        "+∞",
    ]
    assert format_number(12.3456, digits=3) == "12.3" and format_number(0.056, digits=1) == "0.06"


def test_an_interval_says_on_which_side_of_zero_its_ends_are() -> None:
    assert format_interval(-0.005, -0.0001, decimals=3) == "[−0.005, −0.000]"
    assert format_interval(9.0, 12.0) == "[9.00, 12.00]"
    assert format_interval(0.01, 0.02, 10.0) == "[0.01, 0.02]"
    assert format_interval(NAN, 1.0) == format_interval(1.0, NAN) == ""


def test_a_spread() -> None:
    assert [format_spread(value) for value in (0.1234, 12.3, NAN)] == ["± 0.12", "± 12", ""]
    assert format_spread(0.1234, decimals=3) == "± 0.123"


@given(st.floats(-1e300, 1e300), st.integers(2, 9))
def test_a_number_reads_back_to_its_digits(value: float, digits: int) -> None:
    text = format_number(value, digits=digits)
    assert float(text.replace("−", "-")) == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits))


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ("m s-1", "m s⁻¹"),
        ("m s**-1", "m s⁻¹"),
        ("(m s-1)^2", "(m s⁻¹)²"),
        ("(K)^2", "K²"),
        ("W m**-2", "W m⁻²"),
        ("degC", "°C"),
        ("%", "%"),
        ("1", ""),
        ("(1)^2", ""),
    ],
)
def test_units_are_written_as_in_print(units: str, expected: str) -> None:
    assert format_units(units) == expected
    assert name_with_units("RMSE", units) == (f"RMSE ({expected})" if expected else "RMSE")
