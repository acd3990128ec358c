"""Scores and derived fields of winds: u eastward and v northward, (time, y, x), m/s.

`derive` computes speed, divergence and vorticity as fields. Any score of the package can be used for them, most usefully the
spectral ones: a downscaled wind can have the right power in u and v and far too much in its divergence. Which variables of a
file are the components of a wind is for the caller to decide. See `subgrid.scores` for weights, missing values and errors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from subgrid.errors import ConfigError, GridError
from subgrid.scores.checks import (
    FieldArray,
    Fields,
    Means,
    Statistics,
    Valid,
    Values,
    Weights,
    check_overlap,
    mean_over_cells,
)

Rows = Float64[np.ndarray, " y"]
Columns = Float64[np.ndarray, " x"]
Coordinate = NDArray[Any]  # as given

EARTH_RADIUS = 6_371_229.0  # m, of the sphere on which the fields of ECMWF are given
_POLE = 90.0 - 1e-6
_LEAST_CELLS = 3

# Degrees counted where the prediction is calm and has no direction: the mean error of a random direction.
_NO_DIRECTION = 90.0


def speed(u: Fields, v: Fields) -> FieldArray:
    """Wind speed ``sqrt(u^2 + v^2)``, m/s; NaN where either component is missing."""
    return np.asarray(np.hypot(*_components(u, v)), np.float64)


def direction(u: Fields, v: Fields) -> FieldArray:
    """Direction that the wind comes from, degrees clockwise from north in [0, 360): 0 a northerly, 90 an easterly.

    NaN where either component is missing or the wind is calm.

    References:
        WMO-No. 8 (2018), Guide to Instruments and Methods of Observation, volume I, chapter 5.
    """
    u, v = _components(u, v)
    degrees = np.rad2deg(np.arctan2(-u, -v)) % 360.0
    # A tiny negative angle is rounded up to 360 by the remainder.
    return np.where((u == 0) & (v == 0), np.nan, np.where(degrees == 360.0, 0.0, degrees))


def direction_error_statistics(
    u: Fields,
    v: Fields,
    u_reference: Fields,
    v_reference: Fields,
    *,
    threshold: float = 1.0,
    weights: Weights = None,
) -> Statistics:
    """Smallest angle between predicted and true direction, averaged where the true speed exceeds a threshold in m/s.

    The two statistics are degrees times the weight of the cells that count, and that weight. `direction_error` is the mean
    absolute error in degrees over the cells and times that count: best 0, at most 180, 90 for a random direction. A calm
    prediction has no direction and counts as 90. Strong and moderate winds have the same weight, and the speed has no
    influence: read it together with the vector RMSE.

    Raises:
        ConfigError: a threshold below 0.
    """
    if not threshold >= 0:
        raise ConfigError(f"threshold is {threshold} m/s; expected 0 or more: a true calm has no direction.")
    (u, u_reference), (v, v_reference), valid = _pairs(u, v, u_reference, v_reference)
    strong = np.hypot(u_reference, v_reference) > threshold
    turn = direction(u, v) - direction(u_reference, v_reference)
    error = np.abs((turn + 180.0) % 360.0 - 180.0)
    error = np.where((u == 0) & (v == 0), _NO_DIRECTION, error)
    terms = np.where(strong, error, 0.0), strong.astype(np.float64)
    return np.stack([mean_over_cells(term, weights, valid) for term in terms], axis=1)


def direction_error(mean: Means) -> Values:
    """Return degrees from `direction_error_statistics`: (..., 2) -> (...); NaN where no wind exceeded the threshold."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(mean[..., 0] / mean[..., 1], np.float64)


def vector_error_statistics(
    u: Fields, v: Fields, u_reference: Fields, v_reference: Fields, *, weights: Weights = None
) -> Statistics:
    """Mean over cells of ``(u - u_r)^2 + (v - v_r)^2``, m2/s2; with `root`, the vector RMSE (best 0), m/s.

    Like every RMSE it prefers a smooth wind to a sharp one with a small displacement.

    References:
        WMO-No. 485 (2019), Manual on the Global Data-processing and Forecasting System, appendix 2.2.34.
    """
    (u, u_reference), (v, v_reference), valid = _pairs(u, v, u_reference, v_reference)
    return mean_over_cells((u - u_reference) ** 2 + (v - v_reference) ** 2, weights, valid)[:, None]


def derive(
    u: Fields, v: Fields, y: Coordinate, x: Coordinate, *, geometry: str, periodic_x: bool = False
) -> dict[str, FieldArray]:
    """Compute speed, divergence and vorticity of winds on a grid.

    On the plane ``D = du/dx + dv/dy`` and ``Z = dv/dx - du/dy``; on the sphere of radius a, with longitude l,
    latitude p and ``s = sin p``::

        D = du/dl / (a cos p) + d(v cos p)/ds / a,    Z = dv/dl / (a cos p) - d(u cos p)/ds / a

    which is the form with ``tan(p) / a`` written as a flux. Derivatives are centred differences of second order
    on the given coordinates (exact for parabolas, so for a solid rotation too), one-sided of second order in the
    outermost rows and columns; around the globe x has no outermost column. At the poles east has no direction, so rows there
    are refused. A missing value makes its neighbours missing.

    Args:
        u: eastward wind, at least 3 cells along y and x.
        v: northward wind.
        y: (y,) latitudes in degrees, or metres northward; in either order.
        x: (x,) longitudes in degrees, or metres eastward; ascending or descending throughout.
        geometry: "sphere" for degrees, "plane" for metres.
        periodic_x: whether x closes on itself: longitudes around the globe, or a periodic plane of even spacing.

    Returns:
        `wind_speed` in m/s, `divergence` and `vorticity` in 1/s.

    Raises:
        ConfigError: an unknown geometry.
        GridError: shapes or coordinates that do not fit; rows on a pole.

    References:
        Holton and Hakim (2013), An Introduction to Dynamic Meteorology, 5th ed., sections 2.3 and 4.2.
    """
    u, v = _components(u, v)
    if geometry not in _METRICS:
        raise ConfigError(f"geometry is {geometry!r}; expected one of {', '.join(_METRICS)}.")
    y, x = _coordinate("y", y, u.shape[1]), _coordinate("x", x, u.shape[2])
    north, east, width = _METRICS[geometry](y, x)
    period = abs(east[-1] - east[0]) * len(x) / (len(x) - 1) if geometry == "plane" else 2 * np.pi * EARTH_RADIUS
    d_east = _eastward(u, east, period, periodic_x), _eastward(v, east, period, periodic_x)
    du_north, dv_north = (np.gradient(part * width, north, axis=1, edge_order=2) for part in (u, v))
    return {
        "wind_speed": np.hypot(u, v),
        "divergence": d_east[0] / width + dv_north,
        "vorticity": d_east[1] / width - du_north,
    }


def _sphere(latitude: Rows, longitude: Columns) -> tuple[Rows, Columns, Float64[np.ndarray, "y 1"]]:
    """Coordinates ``a sin p`` and ``a l``, and ``cos p``."""
    if np.abs(latitude).max() > _POLE:
        raise GridError(
            f"latitudes run from {latitude.min():g} to {latitude.max():g} degrees; expected none on a pole, where "
            "east has no direction. Leave the polar rows out of prediction and reference."
        )
    width = np.cos(np.deg2rad(latitude))[:, None]
    return EARTH_RADIUS * np.sin(np.deg2rad(latitude)), EARTH_RADIUS * np.deg2rad(longitude), width


def _plane(y: Rows, x: Columns) -> tuple[Rows, Columns, Float64[np.ndarray, "y 1"]]:
    return y, x, np.ones((len(y), 1))


_METRICS = {"sphere": _sphere, "plane": _plane}


def _eastward(part: FieldArray, east: Columns, period: float, periodic_x: bool) -> FieldArray:
    """Derivative along x."""
    if not periodic_x:
        return np.asarray(np.gradient(part, east, axis=2, edge_order=2), np.float64)
    turn = period if east[-1] > east[0] else -period
    closed = np.concatenate([[east[-1] - turn], east, [east[0] + turn]])
    around = np.concatenate([part[:, :, -1:], part, part[:, :, :1]], axis=2)
    return np.asarray(np.gradient(around, closed, axis=2)[:, :, 1:-1], np.float64)


def _coordinate(name: str, values: Coordinate, size: int) -> Float64[np.ndarray, " {size}"]:
    coordinate = np.asarray(values, np.float64)
    steps = np.diff(coordinate)
    if coordinate.shape != (size,) or size < _LEAST_CELLS or not ((steps > 0).all() or (steps < 0).all()):
        raise GridError(
            f"{name} has shape {coordinate.shape} for {size} cells; expected {max(size, _LEAST_CELLS)} numbers that "
            "ascend or descend throughout. Unwrap longitudes that jump by 360."
        )
    return coordinate


def _components(u: Fields, v: Fields) -> tuple[FieldArray, FieldArray]:
    if np.shape(u) != np.shape(v) or np.ndim(u) != 3 or 0 in np.shape(u):
        raise GridError(
            f"u has shape {np.shape(u)} and v {np.shape(v)}; expected the same (time, y, x): bring both components "
            "to one grid."
        )
    eastward, northward = (np.ma.filled(np.ma.asarray(part, np.float64), np.nan) for part in (u, v))
    return eastward, northward


def _pairs(
    u: Fields, v: Fields, u_reference: Fields, v_reference: Fields
) -> tuple[tuple[FieldArray, FieldArray], tuple[FieldArray, FieldArray], Valid | None]:
    """Prediction and reference of both components, and where the reference has both."""
    u, v = _components(u, v)
    u_reference, v_reference = _components(u_reference, v_reference)
    missing = np.isnan(u_reference) | np.isnan(v_reference)
    eastward = check_overlap(u, np.where(missing, np.nan, u_reference))
    northward = check_overlap(v, np.where(missing, np.nan, v_reference))
    return eastward[:2], northward[:2], eastward.valid
