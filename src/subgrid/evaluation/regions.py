"""Regions of a grid that are scored separately, and the whole grid, with the weights and the geometry of their cells."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from subgrid.data.grid import axis_weights, is_periodic, spatial_dims
from subgrid.errors import GridError
from subgrid.scores.plan import Region
from subgrid.scores.registry import ALL

BANDS = {"northern extratropics": (30.0, 90.0), "tropics": (-30.0, 30.0), "southern extratropics": (-90.0, -30.0)}
LEAST_CELLS = 12  # rows and columns of a region: room for a window
METRES = {"m", "metre", "metres", "meter", "meters"}
_POLE = 90.0 - 1e-6  # degrees: derivatives along longitude have no meaning on a pole itself


def whole_grid(grid: xr.Dataset) -> Region:
    """The whole of a grid with fine coordinates.

    Cells have the weight of their area where rows are latitudes, true or of a rotated pole; elsewhere all have the same.
    Derivatives can be computed where rows are true latitudes without a pole (the components of a wind on a rotated grid may
    point either way), or metres.
    """
    y, x = spatial_dims(grid)
    rows, columns = (np.arange(grid.sizes[d]) for d in (y, x))
    if y not in grid.coords or x not in grid.coords:
        return Region(ALL, rows, columns)
    place: dict[str, Any] = {"y": grid[y].values, "x": grid[x].values}
    if y == "projection_y_coordinate":
        metres = all(str(grid[d].attrs.get("units", "")) in METRES for d in (y, x))
        return Region(ALL, rows, columns, **place, geometry="plane" if metres else None)
    weights = axis_weights(grid[y])
    true_sphere = y == "latitude" and float(np.abs(grid[y].values).max()) < _POLE
    geometry: Literal["sphere"] | None = "sphere" if true_sphere else None
    return Region(
        ALL, rows, columns, weights / weights.mean(), **place, geometry=geometry, periodic_x=is_periodic(grid)
    )


def regions(grid: xr.Dataset) -> dict[str, Region]:
    """Parts of a grid with fine coordinates: tropics and both extratropics if two of them fit, otherwise quarters.

    Raises:
        GridError: if the parts would be too small to score.
    """
    whole = whole_grid(grid)
    parts: dict[str, tuple[NDArray[np.intp], NDArray[np.intp]]] = {}
    if spatial_dims(grid)[0] == "latitude" and whole.y is not None:
        for name, (south, north) in BANDS.items():
            inside = np.nonzero((whole.y >= south) & (whole.y < north + (north == 90.0)))[0]
            if inside.size >= LEAST_CELLS:
                parts[name] = (inside, whole.columns)
    if len(parts) < 2:
        middle = [whole.rows.size // 2, whole.columns.size // 2]
        rows = {"north": whole.rows[: middle[0]], "south": whole.rows[middle[0] :]}
        columns = {"west": whole.columns[: middle[1]], "east": whole.columns[middle[1] :]}
        parts = {f"{r}{c}ern quarter": (rows[r], columns[c]) for r in rows for c in columns}
    if any(min(r.size, c.size) < LEAST_CELLS for r, c in parts.values()):
        raise GridError(
            f"by region: the grid of {whole.rows.size} x {whole.columns.size} cells falls into parts of fewer than "
            f"{LEAST_CELLS} cells along a side; omit --by region."
        )
    return {name: _part(whole, name, *cells) for name, cells in parts.items()}


def _part(whole: Region, name: str, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Region:
    y, x, weights = (
        None if a is None else a[i] for a, i in ((whole.y, rows), (whole.x, columns), (whole.weights, rows))
    )
    closed = whole.periodic_x and columns.size == whole.columns.size
    return Region(name, rows, columns, weights, y, x, whole.geometry, closed)
