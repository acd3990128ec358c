"""The horizontal grids of GRIB messages: axes, and the order in which values are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.sources.grib_messages import get
from subgrid.errors import GridError

_PLANES = {
    "lambert", "polar_stereographic", "mercator", "lambert_azimuthal_equal_area", "albers", "transverse_mercator",
}  # fmt: skip

# What a kind of grid is, and the command that regrids it at its own resolution.
_REFUSED = {
    "reduced_gg": (
        "a reduced Gaussian grid (N{N}), whose rows hold fewer cells towards the poles",
        "`cdo setgridtype,regular in.grib out.grib`, which keeps the number of rows",
    ),
    "reduced_ll": (
        "a reduced latitude-longitude grid, whose rows hold fewer cells towards the poles",
        "`cdo setgridtype,regular in.grib out.grib`, which keeps the number of rows",
    ),
    "sh": (
        "spherical harmonics (spectral, T{J}), which are coefficients of waves and no values at places",
        "`cdo sp2gpl in.grib out.grib`, which gives the Gaussian grid of that truncation",
    ),
    "space_view": (
        "the view of a geostationary satellite (space view), whose cells grow towards the edge of the disc",
        "`cdo remapbil,GRID in.grib out.grib`, where GRID describes a regular grid of the resolution wanted",
    ),
}
_ALIASES = {"rotated_gg": "a rotated Gaussian grid", "unstructured_grid": "an unstructured grid", "healpix": "HEALPix"}


@dataclass(frozen=True)
class GribGrid:
    """Axes and storage order of one grid section.

    Attributes:
        shape: (rows, columns).
        dims: names of the axes (y, x).
        coords: values of the axes, in the order that `arrange` gives.
        columns_first: whether the points of a column follow each other.
        alternate: whether every second row runs backwards.
        mapping: attributes of the rotated pole; empty for other grids.
    """

    shape: tuple[int, int]
    dims: tuple[str, str]
    coords: dict[str, xr.Variable]
    columns_first: bool
    alternate: bool
    mapping: Mapping[str, float | str] = field(default_factory=dict)

    def arrange(self, values: np.ndarray) -> np.ndarray:
        """Put values (points,) in stored order into (rows, columns); WMO GRIB2 flag table 3.4, bits 3 and 4."""
        rows, columns = self.shape
        if self.columns_first:
            return values.reshape(columns, rows).T
        field = values.reshape(rows, columns)
        if self.alternate:
            field = field.copy()
            field[1::2] = field[1::2, ::-1]
        return field

    def same_axes(self, other: GribGrid) -> bool:
        """Whether the arranged values of both lie at the same places, whatever their storage order."""
        return (
            self.dims == other.dims
            and self.shape == other.shape
            and all(
                bool(np.allclose(self.coords[dim].values, other.coords[dim].values, rtol=0.0, atol=1e-5))
                for dim in self.dims
            )
        )


def read_grid(codes: ModuleType, handle: Any, where: str) -> GribGrid:
    """Read the grid of a message.

    Args:
        codes: the module ecCodes.
        handle: of the message.
        where: file and variable, for messages.

    Raises:
        GridError: a grid that is not made of two axes.
    """
    kind = str(get(codes, handle, "gridType"))
    if kind not in (*_PLANES, "regular_ll", "regular_gg", "rotated_ll"):
        what, fix = _REFUSED.get(kind, (_ALIASES.get(kind, f"of the kind {kind!r}"), _REFUSED["space_view"][1]))
        keys = {key: get(codes, handle, key) for key in ("N", "J")}
        raise GridError(f"{where}: the grid is {what.format(**keys)}. Regrid it first: {fix}.")
    shape = (int(get(codes, handle, "Ny", "Nj")), int(get(codes, handle, "Nx", "Ni")))
    columns_first, alternate = (
        bool(get(codes, handle, k)) for k in ("jPointsAreConsecutive", "alternativeRowScanning")
    )
    if columns_first and alternate:
        raise GridError(
            f"{where}: the columns are stored one after the other, every second backwards, which programs read differently. "
            "Write the file in another scanning mode."
        )
    if kind in _PLANES:
        dims, values, mapping = ("y", "x"), _plane_axes(codes, handle, shape, f"{where}: the {kind} grid"), {}
        names, units = ("projection_y_coordinate", "projection_x_coordinate"), ("m", "m")
    elif kind == "rotated_ll":
        dims, values, mapping = ("y", "x"), _rotated_axes(codes, handle, shape), _rotated_pole(codes, handle)
        names, units = ("grid_latitude", "grid_longitude"), ("degrees", "degrees")
    else:
        # ecCodes lists places in stored order, but leaves rows that run backwards as if they did not.
        order = GribGrid(shape, ("", ""), {}, columns_first, alternate=False)
        places = [order.arrange(codes.codes_get_array(handle, key)) for key in ("latitudes", "longitudes")]
        values, mapping = (places[0][:, 0], places[1][0]), {}
        dims = names = ("latitude", "longitude")
        units = ("degrees_north", "degrees_east")
    coords = {
        dim: xr.Variable((dim,), axis, {"standard_name": name, "units": unit})
        for dim, axis, name, unit in zip(dims, values, names, units, strict=True)
    }
    return GribGrid(shape, dims, coords, columns_first, alternate, mapping)


def _directions(codes: ModuleType, handle: Any) -> tuple[int, int]:
    """Give 1 or -1 for rows that follow each other northwards or southwards, and columns eastwards or westwards."""
    return (1 if get(codes, handle, "jScansPositively") else -1, -1 if get(codes, handle, "iScansNegatively") else 1)


def _plane_axes(codes: ModuleType, handle: Any, shape: tuple[int, int], what: str) -> tuple[np.ndarray, np.ndarray]:
    """Give distances from the first cell: the spacing holds in the plane, the origin is not needed."""
    steps = [get(codes, handle, f"D{axis}InMetres", f"D{old}InMetres") for axis, old in (("y", "j"), ("x", "i"))]
    if not all(steps):
        raise GridError(f"{what} states no spacing in metres. Regrid it first: {_REFUSED['space_view'][1]}.")
    north, east = _directions(codes, handle)
    return north * np.arange(shape[0]) * float(steps[0]), east * np.arange(shape[1]) * float(steps[1])


def _rotated_axes(codes: ModuleType, handle: Any, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Give the axes of a rotated grid in degrees."""
    first = [get(codes, handle, f"{name}OfFirstGridPointInDegrees") for name in ("latitude", "longitude")]
    steps = [get(codes, handle, f"{axis}DirectionIncrementInDegrees") for axis in "ji"]
    north, east = _directions(codes, handle)
    return first[0] + north * np.arange(shape[0]) * steps[0], first[1] + east * np.arange(shape[1]) * steps[1]


def _rotated_pole(codes: ModuleType, handle: Any) -> dict[str, float | str]:
    """Give the attributes of a CF grid mapping; GRIB names the southern pole, CF the northern one."""
    south = [get(codes, handle, f"{name}OfSouthernPoleInDegrees") for name in ("latitude", "longitude")]
    return {
        "grid_mapping_name": "rotated_latitude_longitude",
        "grid_north_pole_latitude": -south[0],
        "grid_north_pole_longitude": (south[1] + 360.0) % 360.0 - 180.0,
    }
