"""Find the variables whose sign changes in a mirror: components of vectors, and fields of rotation such as vorticity."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import xarray as xr

from subgrid.data.sources.units import measures

Component = Literal["x", "y", "rotation"]
"""`x` (eastward) changes its sign in an east-west mirror, `y` (northward) in a north-south mirror, `rotation` in both."""

SIDES: tuple[Literal["x", "y"], ...] = ("x", "y")
_DIRECTIONS = {"x": {"eastward", "x", "zonal", "u"}, "y": {"northward", "y", "meridional", "v"}}
_LETTERS = {"x": "u", "y": "v"}
# Short names of CMIP, ECMWF, NCEP and MERRA files; words may go on, as in ugrd10m and ugrdprs.
_NAMES = {
    "x": re.compile(r"ua|uas|uo|usi|ubar|ulml|tauu|tauuo|ewss|iews|uflx|ustr|viwve|(ugrd|uwnd|uwind).*"),
    "y": re.compile(r"va|vas|vo|vsi|vbar|vlml|tauv|tauvo|nsss|inss|vflx|vstr|viwvn|(vgrd|vwnd|vwind).*"),
}
_ROTATION = re.compile(r"vorticity|streamfunction|helicity|curl|vort|vor|rvor|relv|absv|zeta|pv|strf")
_SCALAR = re.compile(r"divergence|squared?|magnitude|speed|variance|std|direction|gust|coordinate|angle")
_WIND = re.compile(r"winds?|wnd|velocity|vel|comp(onent)?|current|stress|grd")
# Words that may stand next to a bare u or v, such as those of a height or level.
_LEVEL = re.compile(
    r"[mnpl]|km|mb|h?pa|pl|at|above|below|ground|agl|height|lev(el)?|surface|sfc|sig(ma)?|eta|isobaric|maboveground|mean|avg"
)
_ROTATION_UNITS = ("s-1", "K m2 kg-1 s-1", "m2 s-1", "m2 s-2", "N m-3")  # of helicity too, and of the curl of a stress
_VECTOR_UNITS = ("m s-1", "m s-2", "Pa", "Pa s", "m2 s-1", "m3 s-1", "kg s-1", "W m-1", "1")


def vector_components(ds: xr.Dataset, given: Mapping[str, str] | None = None) -> dict[str, Component]:
    """Find the variables that are components of a vector, or a field of rotation.

    The standard name decides; without one, the words of the GRIB short name or of the variable's name, unless the units are
    those of another quantity: `vo` in m s-1 is a northward velocity, and in s-1 a vorticity.

    Args:
        ds: fields with their attributes.
        given: what the user states by variable: `x`, `y`, `rotation`, or `none` for a scalar.

    Returns:
        The kind by variable; scalars are left out.
    """
    kinds: dict[str, Component] = {}
    for name, variable in ds.data_vars.items():
        kind = (given or {}).get(str(name)) or _find_kind(str(name), variable.attrs)
        if kind is not None and kind != "none":
            kinds[str(name)] = kind  # type: ignore[assignment]  # the configuration checks what is given
    return kinds


def _find_kind(name: str, attrs: Mapping[str, object]) -> Component | None:
    """The kind of one variable by its attributes and name."""
    if re.search(r"deviation|variance|range", str(attrs.get("cell_methods", ""))):
        return None
    words = _words(attrs.get("standard_name", "")) - {"unknown"}
    if words:
        return _by_standard_name(words)
    for label in (attrs.get("GRIB_shortName", ""), name):
        kind = _by_name(_words(label), attrs.get("units"))
        if kind is not None:
            return kind
    return None


def _words(label: object) -> set[str]:
    """Runs of letters, in small letters: `10m_u_component_of_wind` gives m, u, component, of and wind."""
    return set(re.findall(r"[a-z]+", str(label).lower()))


def _any(pattern: re.Pattern[str], words: set[str]) -> bool:
    return any(pattern.fullmatch(word) for word in words)


def _by_standard_name(words: set[str]) -> Component | None:
    if _any(_SCALAR, words):
        return None
    if _any(_ROTATION, words):
        return "rotation"
    sides: list[Component] = [side for side in SIDES if words & _DIRECTIONS[side]]
    if len(sides) == 2:  # the product of both components changes its sign in each mirror
        return "rotation" if "product" in words else None
    return sides[0] if sides else None


def _by_name(words: set[str], units: object) -> Component | None:
    if _any(_SCALAR, words):
        return None
    # The vorticity of GRIB files and the northward velocity of ocean models share the name vo.
    if _any(_ROTATION, words) or ("vo" in words and measures(units, ("s-1",))):
        return None if measures(units, _ROTATION_UNITS) is False else "rotation"
    sides: list[Component] = [side for side in SIDES if _names_side(words, side)]
    if len(sides) != 1 or measures(units, _VECTOR_UNITS) is False:
        return None
    return sides[0]


def _names_side(words: set[str], side: str) -> bool:
    """Whether words name the component along one side: `uwnd`, `eastward` or `u` with a word for wind, or a bare `u`."""
    if _any(_NAMES[side], words) or (words & _DIRECTIONS[side] and _any(_WIND, words)):
        return True
    return _LETTERS[side] in words and all(map(_LEVEL.fullmatch, words - {_LETTERS[side]}))
