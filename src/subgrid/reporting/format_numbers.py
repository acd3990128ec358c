"""Text of numbers, intervals and units: one form for the terminal, the page, its figures, studies and the findings.

A number has a decimal point, leading zeros and a typographic minus sign (U+2212). An interval is ``[lower, upper]``, a standard
deviation ``± 0.12``, and units are written as print does, ``m s⁻¹``.
"""

from __future__ import annotations

import math

from subgrid.data.sources.units import display_units

MISSING = "n/a"
SMALLEST, LARGEST = 1e-4, 1e6  # sizes from and to which numbers are written without an exponent

format_units = display_units


def num_decimals(largest: float, digits: int) -> int:
    """Count the decimals that give a number `digits` significant digits.

    Args:
        largest: size of the number, or of the largest of several that are to have the same decimals.
        digits: significant digits; integers keep all of theirs.
    """
    return max(digits - 1 - math.floor(math.log10(abs(largest))), 0) if largest else 0


def format_number(
    value: float,
    largest: float | None = None,
    *,
    digits: int | None = None,
    decimals: int | None = None,
    signed: bool = False,
) -> str:
    """Write a number.

    Args:
        value: the number.
        largest: size of the largest number of its row, so that a row has the same decimals; the number's own by default.
        digits: significant digits of the largest number; by default four, and three from 0.0001 to 0.1.
        decimals: decimals, in place of `digits`.
        signed: write a difference: with a plus sign where it is not negative, and a minus sign even where it rounds to zero.

    Returns:
        For example ``281.3``, ``−0.012``, ``+0.12``, ``3.100e−07`` (sizes outside `SMALLEST` to `LARGEST`), ``n/a`` for NaN.
    """
    if math.isnan(value):
        return MISSING
    text = _digits(abs(value), largest, digits, decimals)
    if value < 0 and (signed or float(text.replace("∞", "inf").replace("−", "-")) != 0):
        return f"−{text}"
    return f"+{text}" if signed else text


def _digits(size: float, largest: float | None, digits: int | None, decimals: int | None) -> str:
    """The digits of a number that is not negative."""
    if math.isinf(size):
        return "∞"
    largest = size if largest is None or not math.isfinite(largest) else abs(largest)
    with_exponent = decimals is None and largest > 0 and not SMALLEST <= largest < LARGEST
    digits = digits or (4 if largest >= 0.1 or with_exponent else 3)
    if with_exponent:
        return f"{size:.{digits - 1}e}".replace("-", "−")
    return f"{size:.{num_decimals(largest, digits) if decimals is None else decimals}f}"


def format_interval(
    lower: float, upper: float, largest: float | None = None, *, digits: int | None = None, decimals: int | None = None
) -> str:
    """Write an interval as ``[lower, upper]``; empty where an end is NaN.

    An end that rounds to zero keeps its minus sign, which says on which side of zero it is.

    Args:
        lower: lower end.
        upper: upper end.
        largest: as of `format_number`; by default the larger of the two ends.
        digits: as of `format_number`.
        decimals: as of `format_number`.
    """
    if math.isnan(lower) or math.isnan(upper):
        return ""
    size = max(abs(lower), abs(upper)) if largest is None else largest
    ends = (format_number(end, size, digits=digits, decimals=decimals, signed=end < 0) for end in (lower, upper))
    return f"[{', '.join(ends)}]"


def format_spread(value: float, *, decimals: int | None = None) -> str:
    """Write a standard deviation as ``± 0.12``, two digits by default; empty for NaN."""
    return "" if math.isnan(value) else f"± {format_number(value, digits=2, decimals=decimals)}"


def name_with_units(name: str, units: str) -> str:
    """Write a name with its units in round brackets, ``RMSE (m s⁻¹)``; the name alone where there are none."""
    text = format_units(units)
    return f"{name} ({text})" if text else name
