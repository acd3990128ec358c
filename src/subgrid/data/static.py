"""Static fields, such as orography, on the grid of the data: derived from the grid, or read and interpolated."""

from __future__ import annotations

import numpy as np
import xarray as xr

from subgrid.data.grid import ANGULAR, FULL_CIRCLE, is_periodic, same_axis, spatial_dims
from subgrid.data.sources.open_source import open_source
from subgrid.data.sources.readers import expand
from subgrid.errors import ConfigError, GridError, nearest

DERIVED = {
    "sin_latitude": np.sin,
    "cos_latitude": np.cos,
}
"""Static fields that are made from the grid; latitude in radians."""


def static_fields(names: list[str], source: str | list[str] | xr.Dataset | None, fields: xr.Dataset) -> xr.Dataset:
    """Static fields on the grid of `fields`: made from the grid, or read and, if need be, interpolated bilinearly.

    Raises:
        ConfigError: for a name that is neither derived nor in the source.
        GridError: where the source does not cover the domain.
    """
    dims = spatial_dims(fields)
    out = xr.Dataset(coords={d: fields[d] for d in dims})
    read = [name for name in names if name not in DERIVED]
    if read and source is None:
        near = nearest(read[0], DERIVED)
        raise ConfigError(f"data.static: {read[0]} is not made from the grid and there is no data.static_source.{near}")
    for name in names:
        if name in DERIVED:
            if dims[0] != "latitude":
                raise ConfigError(f"data.static: {name} needs a grid of latitudes and longitudes, got {dims}.")
            values = DERIVED[name](np.deg2rad(fields["latitude"].values)).astype(np.float32)
            out[name] = (dims, np.repeat(values[:, None], fields.sizes[dims[1]], axis=1))
    if read:
        assert source is not None
        given = open_source(source if isinstance(source, xr.Dataset) else expand(source), variables=read)
        given = given.isel(valid_time=0, drop=True) if "valid_time" in given.dims else given
        out = out.merge(_onto(given[read], fields), compat="override", join="override")
    return out[names]


def _onto(given: xr.Dataset, fields: xr.Dataset) -> xr.Dataset:
    """Static fields on the grid of `fields`, by bilinear interpolation unless the grids agree."""
    dims = spatial_dims(fields)
    if spatial_dims(given) != dims:
        raise GridError(
            f"static fields are on {spatial_dims(given)}, the data on {dims}; both must be of one kind of grid."
        )
    given = given.astype(np.float32).drop_vars([c for c in given.coords if c not in dims])
    if all(same_axis(given[d], fields[d]) for d in dims):
        return given.assign_coords({d: fields[d] for d in dims})
    if dims[1] in ANGULAR:
        given = _turned(given, fields, dims[1])
    kwargs = {"fill_value": "extrapolate"} if _nearly(given, fields) else {}
    out = given.interp({d: fields[d] for d in dims}, method="linear", kwargs=kwargs)
    holes = [str(v) for v in out.data_vars if bool(out[v].isnull().any())]
    if holes:
        raise GridError(
            f"static field {holes[0]} does not cover the domain of the data, or has missing values; give one that does."
        )
    return out


def _turned(given: xr.Dataset, fields: xr.Dataset, x: str) -> xr.Dataset:
    """Longitudes by whole turns to those of `fields`: a region moves, the whole globe goes round three times."""
    if is_periodic(given):
        turns = [given.assign_coords({x: given[x] + FULL_CIRCLE * k}) for k in (-1, 0, 1)]
        return xr.concat(turns, x)
    away = float(fields[x].mean() - given[x].mean()) / FULL_CIRCLE
    return given.assign_coords({x: given[x] + FULL_CIRCLE * round(away)})


def _nearly(given: xr.Dataset, fields: xr.Dataset) -> bool:
    """Whether the domain reaches at most one static cell beyond the static fields' outermost centres."""
    for d in spatial_dims(fields):
        step = float(np.abs(np.diff(given[d].values)).max()) if given.sizes[d] > 1 else 0.0
        low, high = float(given[d].min()) - step, float(given[d].max()) + step
        if float(fields[d].min()) < low or float(fields[d].max()) > high:
            return False
    return True
