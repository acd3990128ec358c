"""Static fields, such as orography, on the grid of the data: computed from the grid, or read and interpolated."""

from __future__ import annotations

from collections.abc import Sequence

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
"""Static fields that are computed from the grid; latitude in radians."""


def static_fields(names: Sequence[str], source: str | list[str] | xr.Dataset | None, fields: xr.Dataset) -> xr.Dataset:
    """Give static fields on the grid of `fields`.

    Args:
        names: the static fields, some of `DERIVED` or variables of the source.
        source: where the others are read; of several times the first is taken.
        fields: fields on the target grid.

    Returns:
        (y, x) float32 fields in the order of `names`, interpolated bilinearly unless the grids agree.

    Raises:
        ConfigError: for a name that is neither derived nor in the source.
        GridError: where the source does not cover the domain.
    """
    dims = spatial_dims(fields)
    out = xr.Dataset(coords={d: fields[d] for d in dims})
    read = [name for name in names if name not in DERIVED]
    if read and source is None:
        near = nearest(read[0], DERIVED)
        raise ConfigError(
            f"data.static: {read[0]!r} is not computed from the grid, and no data.static_source is given.{near}"
        )
    for name in names:
        if name in DERIVED:
            if dims[0] != "latitude":
                raise ConfigError(f"data.static: {name} needs a grid of latitudes and longitudes, got {dims}.")
            values = DERIVED[name](np.deg2rad(fields["latitude"].values)).astype(np.float32)
            out[name] = (dims, np.repeat(values[:, None], fields.sizes[dims[1]], axis=1))
    if read:
        assert source is not None
        static = open_source(source if isinstance(source, xr.Dataset) else expand(source), variables=read)
        static = static.isel(valid_time=0, drop=True) if "valid_time" in static.dims else static
        out = out.merge(_interpolate(static[read], fields), compat="override", join="override")
    return out[list(names)]


def static_scales(static: xr.Dataset) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each static field over the domain, in its units.

    Raises:
        ConfigError: for a field that is constant or has missing values.
    """
    scales = {}
    for name, field in static.data_vars.items():
        values = field.values.astype(np.float64)
        std = float(values.std())
        if not np.isfinite(std) or std == 0.0:
            raise ConfigError(
                f"data.static: {name} is constant or has missing values over the domain. Remove it from the list, or fill "
                "the missing values."
            )
        scales[str(name)] = {"mean": float(values.mean()), "std": std}
    return scales


def _interpolate(static: xr.Dataset, fields: xr.Dataset) -> xr.Dataset:
    """Static fields on the grid of `fields`, by bilinear interpolation unless the grids agree."""
    dims = spatial_dims(fields)
    if spatial_dims(static) != dims:
        raise GridError(
            f"the static fields are on a grid of {spatial_dims(static)}, the data on {dims}. Regrid the static fields to "
            "the kind of grid of the data."
        )
    static = static.astype(np.float32).drop_vars([c for c in static.coords if c not in dims])
    if all(same_axis(static[d], fields[d]) for d in dims):
        return static.assign_coords({d: fields[d] for d in dims})
    if dims[1] in ANGULAR:
        static = _match_longitudes(static, fields, dims[1])
    kwargs = {"fill_value": "extrapolate"} if _reaches_one_cell(static, fields) else {}
    out = static.interp({d: fields[d] for d in dims}, method="linear", kwargs=kwargs)
    gaps = [str(v) for v in out.data_vars if bool(out[v].isnull().any())]
    if gaps:
        raise GridError(
            f"the static field {gaps[0]} does not cover the domain of the data, or has missing values. Give a static field "
            "that covers the domain, or fill the missing values."
        )
    return out


def _match_longitudes(static: xr.Dataset, fields: xr.Dataset, x: str) -> xr.Dataset:
    """Shift a region by whole turns to the longitudes of `fields`; repeat a global field to the west and the east."""
    if is_periodic(static):
        return xr.concat([static.assign_coords({x: static[x] + FULL_CIRCLE * turn}) for turn in (-1, 0, 1)], x)
    turns = round(float(fields[x].mean() - static[x].mean()) / FULL_CIRCLE)
    return static.assign_coords({x: static[x] + FULL_CIRCLE * turns})


def _reaches_one_cell(static: xr.Dataset, fields: xr.Dataset) -> bool:
    """Whether the domain ends at most one static cell beyond the outermost centres of the static fields."""
    for d in spatial_dims(fields):
        step = float(np.abs(np.diff(static[d].values)).max()) if static.sizes[d] > 1 else 0.0
        low, high = float(static[d].min()) - step, float(static[d].max()) + step
        if float(fields[d].min()) < low or float(fields[d].max()) > high:
            return False
    return True
