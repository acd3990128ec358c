"""Two-dimensional latitudes and longitudes: the axes that they amount to, or why there are none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import cf_xarray  # noqa: F401  (adds the .cf accessor)
import numpy as np
import xarray as xr

from subgrid.data.grid import HORIZONTAL
from subgrid.data.sources.projections import named_projection, project
from subgrid.errors import GridError

_TOLERANCE = 0.02  # of the spacing; float32 degrees at 100 m stay below it
_KM_PER_DEGREE = 111.2  # of a great circle
_MOST_TIMES = 8  # at which it is seen whether the domain moves

NAMES_2D = (
    {"lat", "lats", "latitude", "latitudes", "nav_lat", "xlat", "ylat"},
    {"lon", "lons", "long", "longitude", "longitudes", "nav_lon", "xlong", "xlon"},
)
"""Names of latitude and longitude (lower case) in files without attributes."""


@dataclass(frozen=True)
class Places:
    """One-dimensional axes in place of two-dimensional coordinates.

    Attributes:
        ds: the data set, with the axes as coordinates that have standard names and units.
        mapping: JSON of a CF grid mapping that the axes lie in, None without one.
        note: a sentence for the user, None without one.
    """

    ds: xr.Dataset
    mapping: str | None = None
    note: str | None = None


def reduce_places(ds: xr.Dataset, wanted: Sequence[str]) -> Places | None:
    """Give the axes of two-dimensional latitudes and longitudes that are rectilinear, or regular in a named projection.

    Args:
        ds: as opened.
        wanted: variables on the grid.

    Returns:
        The axes; None where there are no such coordinates, or where they are curvilinear.
    """
    names = find_places(ds, wanted)
    if names is None:
        return None
    latitude, longitude = (ds[name] for name in names)
    times = _first_times(latitude)
    fields = [(_at(latitude, t), _at(longitude, t)) for t in times]
    if not all(np.isfinite(field).all() for pair in fields for field in pair):
        return None
    dims = (str(latitude.dims[-2]), str(latitude.dims[-1]))
    moves = any(
        not np.allclose(a, b, rtol=0.0, atol=1e-4) for pair in fields[1:] for a, b in zip(fields[0], pair, strict=True)
    )
    plane = _in_plane(ds, wanted, fields, dims, names, moves)
    if plane is not None:
        return plane
    plain = None if moves else _separate(fields[0][0], np.unwrap(fields[0][1], period=360.0, axis=1), dims)
    if plain is None:
        return None
    return Places(_with_axes(ds, plain, HORIZONTAL[0], ("degrees_north", "degrees_east"), names))


def _in_plane(
    ds: xr.Dataset,
    wanted: Sequence[str],
    fields: Sequence[tuple[np.ndarray, np.ndarray]],
    dims: tuple[str, str],
    names: tuple[str, str],
    moves: bool,
) -> Places | None:
    """Give the axes in the projection that the file names; None without one, or where the grid is not regular in it.

    Args:
        ds: as opened.
        wanted: variables on the grid.
        fields: latitude and longitude (degrees) at some times.
        dims: their dimensions.
        names: their names.
        moves: whether they differ between the times.
    """
    projection = named_projection(ds, list(wanted))
    if projection is None:
        return None
    planes = []
    for lat, lon in fields:
        plane = project(projection, lat, lon)
        axes = None if plane is None else _separate(*plane, dims)
        if axes is None:
            return None
        planes.append({dim: _even(values) for dim, values in axes.items()})
    axes = planes[0]
    if moves:
        axes = {dim: values - values[0] for dim, values in axes.items()}
        note = "the domain moves with time: its coordinates are distances from its corner, not places on the Earth"
        return Places(_with_axes(ds, axes, HORIZONTAL[2], ("m", "m"), names), None, note)
    attrs = {key: v.tolist() if isinstance(v, np.generic | np.ndarray) else v for key, v in projection.items()}
    mapping = json.dumps({"name": "crs", "attrs": attrs})
    return Places(_with_axes(ds, axes, HORIZONTAL[2], ("m", "m"), names), mapping)


def find_places(ds: xr.Dataset, wanted: Sequence[str]) -> tuple[str, str] | None:
    """Name the latitude and the longitude that run along the same two dimensions of a wanted variable (and time)."""
    found = []
    for side in (0, 1):
        names = {str(name) for name in ds.cf.coordinates.get(HORIZONTAL[0][side], [])}
        names |= {str(name) for name in ds.cf.standard_names.get(HORIZONTAL[0][side], [])}
        names |= {str(name) for name in ds.variables if str(name).lower() in NAMES_2D[side]}
        found.append([name for name in sorted(names) if name in ds.variables and ds[name].ndim in (2, 3)])
    for latitude in found[0]:
        for longitude in found[1]:
            dims = ds[latitude].dims
            if dims == ds[longitude].dims and any(set(dims[-2:]) <= set(ds[name].dims) for name in wanted):
                return latitude, longitude
    return None


def refuse_curvilinear(ds: xr.Dataset, names: tuple[str, str], where: str) -> None:
    """Raise GridError for two-dimensional coordinates without axes, with a remedy that keeps their resolution."""
    rows, columns = (str(dim) for dim in ds[names[0]].dims[-2:])
    raise GridError(
        f"{where}: the grid is curvilinear: {names[0]!r} runs along both {rows!r} and {columns!r}, it is not regular in a "
        "projection that the file names, and no 1-D projection coordinates in units of length are given. Regrid it to a "
        f"regular grid of the same resolution{_resolution(ds, names)} first, e.g. `cdo remapbil,GRID in.nc out.nc`, where "
        "GRID describes the new grid, or with xESMF in Python."
    )


def _first_times(coordinate: xr.DataArray) -> list[int]:
    """Positions in time, spread over the series; one for a coordinate without time."""
    if coordinate.ndim == 2:
        return [0]
    return sorted(set(np.linspace(0, coordinate.shape[0] - 1, _MOST_TIMES).round().astype(int).tolist()))


def _at(coordinate: xr.DataArray, time: int) -> np.ndarray:
    field = coordinate if coordinate.ndim == 2 else coordinate.isel({coordinate.dims[0]: time})
    return np.asarray(field.values, dtype=np.float64)


def _separate(y: np.ndarray, x: np.ndarray, dims: tuple[str, ...]) -> dict[str, np.ndarray] | None:
    """Give y and x along one dimension each, y first, where they are the same along the other one."""
    if min(y.shape) < 2:
        return None
    for y_axis in (0, 1):
        axes = {dims[y_axis]: y.mean(axis=1 - y_axis), dims[1 - y_axis]: x.mean(axis=y_axis)}
        spread = [np.ptp(y, axis=1 - y_axis).max(), np.ptp(x, axis=y_axis).max()]
        steps = [np.diff(values) * np.sign(values[-1] - values[0]) for values in axes.values()]
        spacing = [float(along.min()) for along in steps]  # negative where the coordinate turns back
        if all(step > 0.0 and wide <= _TOLERANCE * step for wide, step in zip(spread, spacing, strict=True)):
            return axes
    return None


def _even(values: np.ndarray) -> np.ndarray:
    """Space an axis evenly, to whole metres per cell where it is that but for rounding."""
    step = (values[-1] - values[0]) / (values.size - 1)
    step = round(step) if abs(step - round(step)) < 1e-3 * abs(step) and round(step) else step
    even = values.mean() + step * (np.arange(values.size) - 0.5 * (values.size - 1))
    return np.asarray(even if np.abs(even - values).max() <= _TOLERANCE * abs(step) else values)


def _with_axes(
    ds: xr.Dataset, axes: dict[str, np.ndarray], names: tuple[str, str], units: tuple[str, str], old: tuple[str, str]
) -> xr.Dataset:
    """Replace the two-dimensional coordinates by axes along the dimensions."""
    described = zip(axes.items(), names, units, strict=True)
    return ds.drop_vars([*old, *(dim for dim in axes if dim in ds.variables)]).assign_coords(
        {dim: (dim, values, {"standard_name": name, "units": unit}) for (dim, values), name, unit in described}
    )


def _resolution(ds: xr.Dataset, names: tuple[str, str]) -> str:
    """Describe the spacing of a curvilinear grid: the median distance between neighbours, along the finer axis."""
    lat, lon = (_at(ds[name], 0) for name in names)
    spacings = []
    for axis in (0, 1):
        east = (np.diff(lon, axis=axis) + 180.0) % 360.0 - 180.0
        away = np.hypot(np.diff(lat, axis=axis), east * np.cos(np.deg2rad(np.delete(lat, 0, axis))))
        spacings.append(float(np.median(away[np.isfinite(away)])) if np.isfinite(away).any() else 0.0)
    degrees = min(spacings)
    return f" (about {degrees:.2g} degrees, {degrees * _KM_PER_DEGREE:.2g} km)" if degrees > 0.0 else ""
