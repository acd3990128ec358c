"""Map projections that files name: places on the Earth to distances in the plane, for conformal projections.

The formulas are those of Snyder (1987), USGS Professional Paper 1395, chapters 7, 15 and 21, written with the isometric
latitude, which holds for spheres and ellipsoids.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

_WRF_RADIUS = 6370000.0  # metres
_WRF_NAMES = {1: "lambert_conformal_conic", 2: "polar_stereographic", 3: "mercator"}
_WGS84 = (6378137.0, 298.257223563)  # semi-major axis in metres, inverse flattening

_WKT_METHODS = (
    ("mercator", r"^(popular_visualisation_pseudo_)?mercator(?!.*transverse)"),
    ("lambert_conformal_conic", r"lambert.*con(form|ic)"),
    ("polar_stereographic", r"polar_stereographic"),
)
_WKT_PARAMETERS = (
    ("standard_parallel_2", r"standard_parallel_2|2nd_standard_parallel"),
    ("standard_parallel_1", r"standard_parallel"),
    ("longitude", r"central_meridian|longitude_of_(natural_|false_)?origin|longitude_of_center"),
    ("latitude", r"latitude_of_(natural_|false_)?origin|latitude_of_center"),
    ("scale", r"scale_factor"),
)


def named_projection(ds: xr.Dataset, wanted: list[str]) -> dict[str, Any] | None:
    """Give the CF attributes of the projection that the fields or the attributes of WRF name; None without one."""
    if "MAP_PROJ" in ds.attrs and "DX" in ds.attrs:
        return _wrf(ds.attrs)
    for name in wanted:
        target = ds[name].attrs.get("grid_mapping") or ds[name].encoding.get("grid_mapping")
        target = str(target).split(":")[0].split(" ")[0]
        if target in ds.variables:
            attrs = dict(ds[target].attrs)
            wkt = attrs.get("crs_wkt") or attrs.get("spatial_ref")
            return attrs if "grid_mapping_name" in attrs or not wkt else {**attrs, **_from_wkt(str(wkt))}
    return None


def _wrf(attrs: Mapping[str, Any]) -> dict[str, Any] | None:
    name = _WRF_NAMES.get(int(attrs["MAP_PROJ"]))
    if name is None:
        return None
    first, second = float(attrs.get("TRUELAT1", 0.0)), float(attrs.get("TRUELAT2", 1e20))
    parallels = [first, second] if name == "lambert_conformal_conic" and abs(second) <= 90.0 else [first]
    key = {"polar_stereographic": "straight_vertical_longitude_from_pole", "mercator": "longitude_of_projection_origin"}
    projection: dict[str, Any] = {
        "grid_mapping_name": name,
        "standard_parallel": parallels,
        key.get(name, "longitude_of_central_meridian"): float(attrs.get("STAND_LON", 0.0)),
        "earth_radius": _WRF_RADIUS,
    }
    if name == "polar_stereographic":
        projection["latitude_of_projection_origin"] = float(np.copysign(90.0, first))
    elif name == "lambert_conformal_conic":
        projection["latitude_of_projection_origin"] = float(attrs.get("MOAD_CEN_LAT", first))
    return projection


def _from_wkt(wkt: str) -> dict[str, Any]:
    """Read method, parameters and ellipsoid from well-known text (versions 1 and 2) into CF attributes."""
    ellipsoid = re.search(r'(?:SPHEROID|ELLIPSOID)\["[^"]*",\s*([\d.eE+-]+),\s*([\d.eE+-]+)', wkt)
    found: dict[str, Any] = {}
    if ellipsoid:
        found = {"semi_major_axis": float(ellipsoid[1]), "inverse_flattening": float(ellipsoid[2])}
    method = re.search(r'(?:PROJECTION|METHOD)\["([^"]*)"', wkt)
    if method is None:
        return {**found, "grid_mapping_name": "latitude_longitude"}
    label = re.sub(r"\W+", "_", method[1].lower())
    name = next((name for name, pattern in _WKT_METHODS if re.search(pattern, label)), label)
    values: dict[str, float] = {}
    for text, value in re.findall(r'PARAMETER\["([^"]*)",\s*([\d.eE+-]+)', wkt):
        text = re.sub(r"\W+", "_", text.lower())
        key = next((key for key, pattern in _WKT_PARAMETERS if re.search(pattern, text)), text)
        values[key] = float(value)
    parallels = [values[key] for key in ("standard_parallel_1", "standard_parallel_2") if key in values]
    if not parallels and "scale" not in values and "latitude" in values:
        parallels = [values["latitude"]]
    return {
        **found,
        "grid_mapping_name": name,
        **({"standard_parallel": parallels} if parallels else {}),
        "longitude_of_central_meridian": values.get("longitude", 0.0),
        "latitude_of_projection_origin": values.get("latitude", 0.0),
        "scale_factor_at_projection_origin": values.get("scale", 1.0),
    }


def project(
    attrs: Mapping[str, Any], latitude: np.ndarray, longitude: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Give northward and eastward distances (y, x) in the plane, metres; None for a projection that is not known here.

    Args:
        attrs: CF attributes of a grid mapping.
        latitude: degrees.
        longitude: degrees, of the same shape.
    """
    name = attrs.get("grid_mapping_name")
    if name not in ("mercator", "lambert_conformal_conic", "polar_stereographic"):
        return None
    radius, eccentricity = _ellipsoid(attrs)
    centre = next((float(attrs[key]) for key in _CENTRES if key in attrs), 0.0)
    origin = float(attrs.get("latitude_of_projection_origin", 0.0))
    parallels = np.atleast_1d(np.asarray(attrs.get("standard_parallel", []), dtype=np.float64))
    east = np.deg2rad((longitude - centre + 180.0) % 360.0 - 180.0)
    scale = float(attrs.get("scale_factor_at_projection_origin", 1.0))
    if name == "mercator":
        along = np.unwrap(east, axis=1) if east.ndim == 2 else east
        factor = radius * (float(_parallel_radius(parallels[0], eccentricity)) if parallels.size else scale)
        return factor * _isometric(latitude, eccentricity), factor * along
    if name == "polar_stereographic":
        pole = -1.0 if origin < 0.0 else 1.0
        if parallels.size and abs(parallels[0]) < 90.0:
            at = pole * parallels[0]
            factor = float(_parallel_radius(at, eccentricity) * np.exp(_isometric(at, eccentricity)))
        else:
            e = eccentricity
            factor = scale * 2.0 / np.sqrt((1.0 + e) ** (1.0 + e) * (1.0 - e) ** (1.0 - e))
        distance = radius * factor * np.exp(-_isometric(pole * latitude, eccentricity))
        return -pole * distance * np.cos(east), distance * np.sin(east)
    first, second = (parallels[0], parallels[-1]) if parallels.size else (origin, origin)
    m, psi = (
        _parallel_radius(np.array([first, second]), eccentricity),
        _isometric(np.array([first, second]), eccentricity),
    )
    cone = float(np.sin(np.deg2rad(first)) if abs(first - second) < 1e-6 else np.log(m[0] / m[1]) / (psi[1] - psi[0]))
    size = radius * scale * float(m[0]) / cone * np.exp(cone * psi[0])
    distance = size * np.exp(-cone * _isometric(latitude, eccentricity))
    start = size * np.exp(-cone * _isometric(np.float64(origin), eccentricity))
    return start - distance * np.cos(cone * east), distance * np.sin(cone * east)


_CENTRES = ("longitude_of_central_meridian", "straight_vertical_longitude_from_pole", "longitude_of_projection_origin")


def _ellipsoid(attrs: Mapping[str, Any]) -> tuple[float, float]:
    """Give the semi-major axis (m) and the eccentricity; those of WGS 84 where nothing is stated."""
    if "earth_radius" in attrs:
        return float(attrs["earth_radius"]), 0.0
    major = float(attrs.get("semi_major_axis", _WGS84[0]))
    if "semi_minor_axis" in attrs:
        ratio = float(attrs["semi_minor_axis"]) / major
        return major, float(np.sqrt(max(0.0, 1.0 - ratio**2)))
    inverse = float(attrs.get("inverse_flattening", 0.0 if "semi_major_axis" in attrs else _WGS84[1]))
    flattening = 1.0 / inverse if inverse else 0.0
    return major, float(np.sqrt(flattening * (2.0 - flattening)))


def _isometric(latitude: Any, eccentricity: float) -> Any:
    """The isometric latitude; Snyder (1987), equations 7-7 and 15-9."""
    sine = np.sin(np.deg2rad(np.clip(latitude, -90.0 + 1e-9, 90.0 - 1e-9)))
    return np.arctanh(sine) - eccentricity * np.arctanh(eccentricity * sine)


def _parallel_radius(latitude: Any, eccentricity: float) -> Any:
    """The radius of a parallel in units of the semi-major axis; Snyder (1987), equation 14-15."""
    phi = np.deg2rad(latitude)
    return np.cos(phi) / np.sqrt(1.0 - (eccentricity * np.sin(phi)) ** 2)
