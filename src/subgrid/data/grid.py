"""Horizontal grids: cell edges and areas, coarsening, refining, nesting.

Fields here are xarray objects as `open_source` returns them: dimensions end in y, x; y runs from north
to south, x from west to east; coordinates are one-dimensional cell centres.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from subgrid.errors import GridError

Array = npt.NDArray[np.float64]
Method = Literal["mean", "bilinear"]

HORIZONTAL = (
    ("latitude", "longitude"),
    ("grid_latitude", "grid_longitude"),
    ("projection_y_coordinate", "projection_x_coordinate"),
)
"""The pairs of dimension names (y, x) that a normalised field may end in."""

ANGULAR = {"latitude", "longitude", "grid_latitude", "grid_longitude"}
FULL_CIRCLE = 360.0  # degrees


def spatial_dims(fields: xr.Dataset | xr.DataArray) -> tuple[str, str]:
    """Name the dimensions along y (rows) and x (columns).

    Args:
        fields: normalised fields.

    Returns:
        The pair (y, x), one of `HORIZONTAL`.

    Raises:
        GridError: if the fields have no known pair.
    """
    for y, x in HORIZONTAL:
        if y in fields.dims and x in fields.dims:
            return y, x
    raise GridError(
        f"no horizontal grid: got dimensions {', '.join(map(str, fields.dims))}, expected one of "
        f"{'; '.join(f'({y}, {x})' for y, x in HORIZONTAL)}. Open the data with subgrid.open_source first."
    )


def cell_edges(centres: npt.ArrayLike) -> Array:
    """Edges half-way between neighbouring centres, the outermost by the same half step.

    Args:
        centres: (n,) monotonic cell centres, n >= 1; one cell alone is given a width of 1.

    Returns:
        (n + 1,) edges in the unit of the centres, in their order. Latitudes are not clipped here.
    """
    c = np.asarray(centres, dtype=np.float64)
    if c.size == 1:
        return np.array([c[0] - 0.5, c[0] + 0.5])
    middle = 0.5 * (c[1:] + c[:-1])
    return np.concatenate([[c[0] - (middle[0] - c[0])], middle, [c[-1] + (c[-1] - middle[-1])]])


def axis_weights(coordinate: xr.DataArray) -> Array:
    """Relative cell extent along one axis; the product of two axes is proportional to cell area.

    On a sphere the area between two latitudes is proportional to the difference of their sines (exact for latitude-longitude
    cells; see e.g. Snyder 1987, USGS Professional Paper 1395). Cells that reach past a pole count up to the pole.

    Args:
        coordinate: (n,) cell centres; degrees for angular axes.

    Returns:
        (n,) positive weights, not normalised.
    """
    edges = cell_edges(coordinate.values)
    if coordinate.name in {"latitude", "grid_latitude"}:
        edges = np.sin(np.deg2rad(np.clip(edges, -90.0, 90.0)))
    return np.abs(np.diff(edges))


def cell_area(fields: xr.Dataset | xr.DataArray) -> Array:
    """Relative area of each cell, mean 1.

    Args:
        fields: normalised fields with dimensions y, x.

    Returns:
        (y, x) weights.
    """
    y, x = spatial_dims(fields)
    area = np.outer(axis_weights(fields[y]), axis_weights(fields[x]))
    return np.asarray(area / area.mean(), dtype=np.float64)


def is_periodic(fields: xr.Dataset | xr.DataArray) -> bool:
    """Whether the longitudes go round the globe, so that the first column follows the last."""
    _, x = spatial_dims(fields)
    if x not in ANGULAR or fields.sizes[x] < 2:
        return False
    return goes_round(fields[x].values)


def goes_round(longitudes: npt.ArrayLike) -> bool:
    """Whether cells with these ascending longitudes (degrees) cover the circle once, to a tenth of a cell."""
    x = np.asarray(longitudes, dtype=np.float64)
    spacing = float(np.median(np.diff(x)))
    return bool(abs(x[-1] - x[0] + spacing - FULL_CIRCLE) <= 0.1 * spacing)


def crop_to_multiple(fields: xr.Dataset, factor: int) -> tuple[xr.Dataset, str | None]:
    """Drop the rows at the southern and the columns at the eastern edge beyond a multiple of the factor.

    Args:
        fields: normalised fields.
        factor: fine cells per coarse cell along an axis.

    Returns:
        The cropped fields, and a sentence on what was dropped (None where nothing was).

    Raises:
        GridError: if an axis holds fewer cells than one coarse cell.
    """
    y, x = spatial_dims(fields)
    keep = {d: fields.sizes[d] // factor * factor for d in (y, x)}
    for d, n in keep.items():
        if n == 0:
            raise GridError(
                f"{d} has {fields.sizes[d]} cells, fewer than one coarse cell of factor {factor}; "
                "use a smaller factor or a larger domain."
            )
    dropped = {d: fields.sizes[d] - n for d, n in keep.items()}
    if not any(dropped.values()):
        return fields, None
    note = (
        f"{fields.sizes[y]} x {fields.sizes[x]} cells are not a multiple of factor {factor}: dropped {dropped[y]} row(s) at "
        f"the southern edge and {dropped[x]} column(s) at the eastern edge, {keep[y]} x {keep[x]} remain"
    )
    if dropped[x] and is_periodic(fields):
        note += "; the longitudes no longer go round the globe"
    return fields.isel({d: slice(0, n) for d, n in keep.items()}), note


def coarsen(fields: xr.Dataset, factor: int, method: Method = "mean") -> xr.Dataset:
    """Make the coarse fields that fine fields nest in.

    Args:
        fields: (..., y, x) fine fields whose sizes are multiples of `factor` (see `crop_to_multiple`).
        factor: fine cells per coarse cell along an axis, at least 2.
        method: `mean`, the area-weighted mean of the factor x factor fine cells, as the cell of a coarse model; or `bilinear`,
            interpolation at the centre of the coarse cell from the 4 nearest fine cells, without antialiasing.

    Returns:
        (..., y / factor, x / factor) fields, lazy where the input is; units unchanged; coordinates are the means of the
        fine centres, so that splitting each coarse cell evenly gives the fine centres back. A coarse cell with any missing
        fine cell is missing.

    Raises:
        GridError: if the sizes are not multiples, or the method is unknown.
    """
    y, x = spatial_dims(fields)
    _check_multiple(fields, factor)
    windows, parts = {y: factor, x: factor}, {y: (y, "_row"), x: (x, "_column")}
    inside = ("_row", "_column")
    blocks = fields.drop_vars([y, x]).coarsen(windows).construct(parts)
    if method == "mean":
        area = xr.DataArray(cell_area(fields), dims=(y, x)).coarsen(windows).construct(parts)
        out = (blocks * area).sum(inside, skipna=False) / area.sum(inside)
    elif method == "bilinear":
        middle = [(factor - 1) // 2, factor // 2]
        out = blocks.isel(_row=middle, _column=middle).mean(inside, skipna=False)
    else:
        raise GridError(
            f"unknown coarsening method {method!r}. Valid: 'mean' (area-weighted), 'bilinear' (at the cell centre)."
        )
    for d in (y, x):
        centres = fields[d].values.reshape(-1, factor).mean(1)
        out = out.assign_coords({d: (d, centres, fields[d].attrs)})
    for name in fields.data_vars:
        out[name] = out[name].transpose(*fields[name].dims).astype(fields[name].dtype).assign_attrs(fields[name].attrs)
    return out.assign_attrs(fields.attrs)


def refine_axis(coordinate: xr.DataArray, factor: int) -> Array:
    """Centres of the fine cells that split each coarse cell evenly.

    A coarse cell centred on (or near) a pole is a half cell: where even splitting would put centres beyond 90 degrees, the
    part of the cell up to the pole is split instead.

    Args:
        coordinate: (n,) coarse cell centres.
        factor: fine cells per coarse cell.

    Returns:
        (n * factor,) fine cell centres, monotonic in the same direction.
    """
    edges = cell_edges(coordinate.values)
    share = (np.arange(factor) + 0.5) / factor
    fine = edges[:-1, None] + np.diff(edges)[:, None] * share
    if coordinate.name in {"latitude", "grid_latitude"}:
        # By rounding, a centre on the pole may lie a little beyond it: such a cell is not a half cell.
        slack = 1e-6 * float(np.abs(np.diff(edges)).max())
        beyond = np.any(np.abs(fine) > 90.0 + slack, axis=1, keepdims=True)
        inside = np.clip(edges, -90.0, 90.0)
        capped = inside[:-1, None] + np.diff(inside)[:, None] * share
        fine = np.clip(np.where(beyond, capped, fine), -90.0, 90.0)
    return np.asarray(fine.reshape(-1), dtype=np.float64)


def refine_bounds(coordinate: xr.DataArray, factor: int) -> Array:
    """Edges of the cells whose centres `refine_axis` gives; cells at a pole end there.

    Args:
        coordinate: (n,) coarse cell centres.
        factor: fine cells per coarse cell; 1 for the edges of the cells themselves.

    Returns:
        (n * factor, 2) edges of each fine cell in the direction of the axis; neighbours share theirs exactly.
    """
    edges = cell_edges(coordinate.values)
    if coordinate.name in {"latitude", "grid_latitude"}:
        edges = np.clip(edges, -90.0, 90.0)
    share = np.arange(factor) / factor
    fine = np.append((edges[:-1, None] + np.diff(edges)[:, None] * share).reshape(-1), edges[-1])
    return np.stack([fine[:-1], fine[1:]], axis=1)


def refine_coords(fields: xr.Dataset | xr.DataArray, factor: int) -> dict[str, xr.DataArray]:
    """Coordinates of the grid `factor` times finer, with the coarse coordinates' attributes.

    Args:
        fields: normalised coarse fields.
        factor: fine cells per coarse cell along an axis.

    Returns:
        The fine y and x coordinates by dimension name.
    """
    out: dict[str, xr.DataArray] = {}
    for d in spatial_dims(fields):
        out[d] = xr.DataArray(refine_axis(fields[d], factor), dims=(d,), name=d, attrs=fields[d].attrs)
    return out


def with_bounds(fields: xr.Dataset, coarse: xr.Dataset, factor: int) -> xr.Dataset:
    """Add the edges of the cells as coordinates (`latitude_bnds` and the like), named by the attribute `bounds` of the axes.

    Args:
        fields: fields on the grid that is `factor` times finer than the coarse one.
        coarse: normalised coarse fields.
        factor: fine cells per coarse cell along an axis; 1 where both are on one grid.
    """
    out = fields.copy()
    for d in spatial_dims(coarse):
        out = out.assign_coords({f"{d}_bnds": ((d, "bnds"), refine_bounds(coarse[d], factor))})
        out[d] = out[d].assign_attrs(bounds=f"{d}_bnds")
    return out


def rotated_to_geographic(
    latitude: npt.ArrayLike, longitude: npt.ArrayLike, pole: Mapping[str, Any]
) -> tuple[Array, Array]:
    """Latitude and longitude of the points of a rotated grid on the sphere.

    Args:
        latitude: rotated latitudes (degrees).
        longitude: rotated longitudes (degrees), of a shape that broadcasts with the latitudes.
        pole: attributes of the CF grid mapping `rotated_latitude_longitude` (CF conventions 1.11, appendix F).

    Returns:
        Latitudes, and longitudes from -180 to 180 (degrees).
    """
    tilt, turn = (np.deg2rad(float(pole[f"grid_north_pole_{name}"])) for name in ("latitude", "longitude"))
    y = np.deg2rad(np.asarray(latitude, dtype=np.float64))
    x = np.deg2rad(np.asarray(longitude, dtype=np.float64) - float(pole.get("north_pole_grid_longitude", 0.0)))
    height = np.sin(tilt) * np.sin(y) + np.cos(tilt) * np.cos(y) * np.cos(x)
    north = np.cos(tilt) * np.sin(y) - np.sin(tilt) * np.cos(y) * np.cos(x)
    east = turn + np.arctan2(-np.cos(y) * np.sin(x), north)
    return np.rad2deg(np.arcsin(np.clip(height, -1.0, 1.0))), (np.rad2deg(east) + 180.0) % FULL_CIRCLE - 180.0


def same_axis(a: npt.ArrayLike, b: npt.ArrayLike) -> bool:
    """Whether two coordinate axes agree to a hundredth of their spacing."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        return False
    step = np.abs(np.diff(first)).min() if first.size > 1 else 1.0
    return bool(np.abs(first - second).max(initial=0.0) <= 0.01 * step)


def check_nesting(coarse: xr.Dataset, fine: xr.Dataset, factor: int) -> None:
    """Check that fine cells nest exactly in coarse cells.

    Args:
        coarse: coarse fields.
        fine: fine fields, `factor` times as many cells along each axis.
        factor: fine cells per coarse cell along an axis.

    Raises:
        GridError: if the kinds of grid, the sizes or the cell centres do not fit.
    """
    dims = spatial_dims(coarse)
    if dims != spatial_dims(fine):
        raise GridError(
            f"the coarse grid is {dims}, the fine grid {spatial_dims(fine)}. Regrid one of them to the kind of the other."
        )
    for d in dims:
        n, m = coarse.sizes[d], fine.sizes[d]
        if m != n * factor:
            raise GridError(
                f"{d}: {m} fine cells do not nest in {n} coarse cells at factor {factor} (expected {n * factor}); "
                "crop both to the same domain or change the factor."
            )
        centres = fine[d].values.reshape(n, factor).mean(1)
        if not same_axis(coarse[d].values, centres):
            worst = int(np.abs(coarse[d].values - centres).argmax())
            raise GridError(
                f"{d}: coarse and fine cells do not nest; coarse cell {worst} is centred on {coarse[d].values[worst]:g}, its "
                f"{factor} fine cells on {centres[worst]:g}. Put both on one domain, or let subgrid coarsen the fine fields."
            )


def _check_multiple(fields: xr.Dataset, factor: Any) -> None:
    """Raise GridError for an invalid factor, and for sizes that are not multiples of it."""
    if not isinstance(factor, int) or factor < 2:
        raise GridError(f"factor must be a whole number of at least 2, got {factor!r}.")
    for d in spatial_dims(fields):
        if fields.sizes[d] % factor:
            raise GridError(
                f"{d} has {fields.sizes[d]} cells, not a multiple of factor {factor}; call crop_to_multiple first."
            )
