"""Units of measurement: whether two spellings mean the same unit, conversion, and one spelling for screen and page.

Spellings are read by pint with the registry of cf-xarray, which follows the CF conventions. Both are imported on the first
use, because the import takes about a second.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pint import Unit

# Spellings that files use and the CF registry does not know.
_DEGREES = re.compile(r"\bdeg(?:ree)?s?[_ ]?(c|k)(?:elsius|elvin)?\b|^(c|k)$", re.IGNORECASE)
_NO_UNITS = {"", "unknown", "numeric", "none", "undefined", "not specified", "~", "-"}
_DIMENSIONLESS = {"1", "(0 - 1)", "0 - 1", "(0-1)", "0-1", "fraction", "proportion", "dimensionless"}

# Spellings that UDUNITS does not read, or reads as another unit.
_UDUNITS = {"deg": "degree", "degs": "degree", "gpm": "m", "gpdm": "dam", "psu": "1e-3", "m of water equivalent": "m"}
_IN_CAPITALS = {
    units.upper(): units
    for units in ("m s-1", "m/s", "m s**-1", "Pa", "hPa", "Pa s-1", "mm", "mm s-1", "kg kg-1", "kg/kg", "kg m-2")
}

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SYMBOLS = {"degrees_north": "°N", "degrees_east": "°E", "deg": "°", "degrees": "°", "delta_degC": "°C"}

# A mass of water per area, as the depth of liquid water of 1000 kg m-3: 1 kg m-2 is 1 mm.
_WATER = re.compile(
    r"water|lwe|precip|rain|snow|evapo|runoff|^(tp|pr|prate|pre|prcp|cp|lsp|sf|ro|swe|sd)$", re.IGNORECASE
)
_WATER_DEPTH = re.compile(r"\s+(?:of\s+)?water(?:\s+(?:equivalent|eq))?$", re.IGNORECASE)
_WATER_DENSITY = "1000 kg m-3"


class Conversion(NamedTuple):
    """Values in one unit times `scale` plus `offset` are values in another."""

    scale: float
    offset: float


def stated_units(units: object) -> str:
    """Give the units that an attribute states, or "" where it is missing, empty or a placeholder such as ``Numeric``."""
    text = "" if units is None else " ".join(str(units).split())
    return "" if text.lower() in _NO_UNITS else text


def same_units(first: object, second: object) -> bool:
    """Say whether two texts mean the same unit, so that values need no conversion.

    ``m s**-1`` equals ``meter second-1``, and ``mbar`` equals ``hPa``; ``MW`` (megawatt) differs from ``mW`` (milliwatt), and
    ``degC`` from ``K``. Texts wholly in capitals, such as ``M S-1``, are also read in small letters. Texts that are not known
    as units are compared as texts, regardless of case. A missing unit equals only another missing unit.
    """
    a, b = stated_units(first), stated_units(second)
    if not (a and b):
        return a == b
    left, right = _readings(a), _readings(b)
    if not (left and right):
        return a.lower() == b.lower()
    return any(_same_size(one, other) for one in left for other in right)


@functools.lru_cache(maxsize=256)
def conversion(source: str, target: str, quantity: str = "") -> Conversion | None:
    """Find how values in one unit become values in another.

    Args:
        source: units of the values, such as ``degC`` or ``mm/day``.
        target: units wanted.
        quantity: names of the quantity, separated by spaces. A mass per area, such as ``kg m-2 s-1``, is converted from and
            to the depth of liquid water, such as ``mm/day``, if one of the names or the units speak of water.

    Returns:
        The conversion; None for units that are not known, that measure something else, or whose relation is not linear
        (decibels).
    """
    if same_units(source, target):
        return Conversion(1.0, 0.0)
    texts = [stated_units(text) for text in (source, target)]
    is_water = any(_WATER.search(word) for word in (*texts, *quantity.split()))
    left, right = ([*_readings(text), *_readings(_WATER_DEPTH.sub("", text))] for text in texts)
    for one in left:
        for other in right:
            found = _between(one, other, is_water)
            if found is not None:
                return found
    return None


def measures(units: object, others: Iterable[str]) -> bool | None:
    """Say whether units measure the same kind of quantity as one of others; None for missing or unknown units."""
    text = stated_units(units)
    if not (text and _readings(text)):
        return None
    return any(conversion(text, other) is not None for other in others)


def _between(source: Unit, target: Unit, is_water: bool) -> Conversion | None:
    """The conversion between two units that pint knows."""
    from cf_xarray.units import units as registry

    factor = 1
    if source.dimensionality != target.dimensionality:
        depth = [unit.dimensionality in ({"[length]": 1}, {"[length]": 1, "[time]": -1}) for unit in (source, target)]
        if not is_water or depth[0] == depth[1]:
            return None
        # A depth times the density is a mass per area.
        factor = registry.Quantity(_WATER_DENSITY) ** (1 if depth[0] else -1)
    try:
        at = [float((registry.Quantity(value, source) * factor).to(target).magnitude) for value in (0.0, 1.0, 2.0)]
    except Exception:  # pint raises errors of many types, such as for offset units in a product
        return None
    scale, offset = (
        float(f"{value:.12g}") for value in (at[1] - at[0], at[0])
    )  # without the rounding of the difference
    return Conversion(scale, offset) if math.isclose(at[2], 2 * scale + offset, rel_tol=1e-9) else None


@functools.lru_cache(maxsize=256)
def display_units(units: str) -> str:
    """Write units as in print, for screen and page: ``m s**-1`` and ``m/s`` become ``m s⁻¹``, ``degC`` becomes ``°C``.

    Args:
        units: as a file or a score states them; a power of a whole unit is written ``(m s-1)^2``.

    Returns:
        The text; empty for dimensionless or missing units. Units that are not known stay as they are.
    """
    text = stated_units(units)
    power = re.fullmatch(r"\((.+)\)\^(\d+)", text)
    if power:
        base = display_units(power[1])
        inner = base if re.fullmatch(r"[^\W\d_]*", base) else f"({base})"
        return f"{inner}{power[2].translate(_SUPERSCRIPTS)}" if base else ""
    if text.lower() in _DIMENSIONLESS:
        return ""
    units_read = _readings(text)
    if not units_read:
        return text
    symbols = f"{units_read[0]:cf}"
    if symbols == "1":  # a ratio such as m3 m-3, which pint cancels
        symbols = re.sub(r"\*\*|\^", "", text)
    words = [_SYMBOLS.get(word, word) for word in symbols.split()]
    return " ".join(re.sub(r"(?<=[^\W\d_])-?\d+$", _superscript, word) for word in words)


def udunits(units: object) -> str:
    """Give units in a spelling that UDUNITS reads, as the CF conventions ask; "" for a placeholder such as ``Numeric``.

    Texts that UDUNITS reads with the meaning intended, such as ``m s**-1``, stay as they are.
    """
    text = stated_units(units)
    if text.lower() in _DIMENSIONLESS:
        return "1"
    text = _DEGREES.sub(lambda match: "degC" if (match[1] or match[2]).lower() == "c" else "K", text)
    if text.isupper():
        return _IN_CAPITALS.get(text, text)
    return _UDUNITS.get(text.lower(), text)


def _superscript(match: re.Match[str]) -> str:
    return match[0].translate(_SUPERSCRIPTS)


@functools.lru_cache(maxsize=256)
def _readings(text: str) -> list[Unit]:
    """Give the units that a text may mean, most likely first; none where the CF registry does not know it."""
    from cf_xarray.units import units as registry

    if text.lower() in _DIMENSIONLESS:
        text = "1"
    text = _DEGREES.sub(lambda match: "degC" if (match[1] or match[2]).lower() == "c" else "K", text)
    readings: list[Unit] = []
    for spelling in (text, text.lower()):
        if readings and not text.isupper():
            break
        try:
            readings.append(registry.parse_units(spelling))
        except Exception:  # pint raises errors of many types for a text that is no unit
            continue
    return readings


def _same_size(first: Unit, second: Unit) -> bool:
    """Say whether equal numbers in both units are equal quantities."""
    from cf_xarray.units import units as registry

    def in_base_units(value: float, unit: Unit) -> float:
        return float(registry.Quantity(value, unit).to_base_units().magnitude)

    return first == second or (
        bool(first.dimensionality == second.dimensionality)
        and all(
            math.isclose(in_base_units(value, first), in_base_units(value, second), rel_tol=1e-9)
            for value in (0.0, 1.0)
        )
    )
