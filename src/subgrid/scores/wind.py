"""Scores of winds: u eastward and v northward, (time, y, x), m/s.

`derive` gives speed, divergence and vorticity as fields; any score of the package takes them, the spectral ones
above all: a downscaled wind may have the right power in u and v and far too much in its divergence. Which
variables of a file are wind components is the caller's matter.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from subgrid.errors import ConfigError, GridError
from subgrid.scores.checks import BoolArray, FloatArray, cell_weights, check_overlap

EARTH_RADIUS = 6_371_229.0  # m, of the sphere on which ECMWF's fields are given
_POLE = 90.0 - 1e-6
_LEAST_CELLS = 3

# What a cell counts where the prediction is calm and so has no direction: the mean error of a guess.
_NO_DIRECTION = 90.0


def speed(u: NDArray[Any], v: NDArray[Any]) -> FloatArray:
    """Wind speed ``sqrt(u^2 + v^2)``, m/s; NaN where either component is.

    Args:
        u: eastward wind, m/s.
        v: northward wind, m/s, same shape.

    Returns:
        m/s, same shape.

    Raises:
        GridError: shapes that differ or are not (time, y, x).
    """
    return np.hypot(*_components(u, v))


def direction(u: NDArray[Any], v: NDArray[Any]) -> FloatArray:
    """Direction that the wind comes from, degrees clockwise from north: 0 a northerly, 90 an easterly.

    Args:
        u: eastward wind, m/s.
        v: northward wind, m/s, same shape.

    Returns:
        Degrees in [0, 360), same shape; NaN where either is missing, or the wind is calm.

    Raises:
        GridError: shapes that differ or are not (time, y, x).

    References:
        WMO-No. 8 (2018), Guide to Instruments and Methods of Observation, volume I, chapter 5.
    """
    u, v = _components(u, v)
    degrees = np.rad2deg(np.arctan2(-u, -v)) % 360.0
    # A tiny negative angle is rounded up to 360 by the remainder.
    return np.where((u == 0) & (v == 0), np.nan, np.where(degrees == 360.0, 0.0, degrees))


def direction_error_statistics(
    u: NDArray[Any],
    v: NDArray[Any],
    u_reference: NDArray[Any],
    v_reference: NDArray[Any],
    *,
    threshold: float = 1.0,
    weights: NDArray[Any] | None = None,
) -> FloatArray:
    """Smallest angle between predicted and true direction, summed where the true wind is not weak.

    With `direction_error` as its finish the score is the mean absolute error in degrees over cells and times
    whose true speed exceeds the threshold: best 0, at most 180, 90 for a guess. A calm prediction has no direction
    and counts 90. Strong and moderate winds count the same, and speed does not enter: read it beside
    the vector RMSE.

    Args:
        u: predicted eastward wind (time, y, x), m/s.
        v: predicted northward wind.
        u_reference: true eastward wind.
        v_reference: true northward wind.
        threshold: true speed, m/s, that must be exceeded; 0 or more.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 2): degrees times the weight of the cells that count, and that weight, 0 to 1.

    Raises:
        ConfigError: a threshold below 0.
        GridError: shapes that differ or are not (time, y, x); unusable weights.
        SourceError: a prediction that is missing where the reference is there; a time without any reference.
    """
    if not threshold >= 0:
        raise ConfigError(f"threshold is {threshold} m/s; expected 0 or more: a true calm has no direction.")
    (u, u_reference), (v, v_reference), there = _pairs(u, v, u_reference, v_reference)
    strong = np.hypot(u_reference, v_reference) > threshold
    turn = direction(u, v) - direction(u_reference, v_reference)
    error = np.abs((turn + 180.0) % 360.0 - 180.0)
    error = np.where((u == 0) & (v == 0), _NO_DIRECTION, error)
    summed = [_mean(np.where(strong, error, 0.0), weights, there), _mean(strong.astype(np.float64), weights, there)]
    return np.stack(summed, axis=1)


def direction_error(mean: FloatArray) -> FloatArray:
    """Finish of `direction_error_statistics`: (..., 2) -> (...), degrees; NaN where no wind exceeded the threshold."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(mean[..., 0] / mean[..., 1], np.float64)


def vector_error_statistics(
    u: NDArray[Any],
    v: NDArray[Any],
    u_reference: NDArray[Any],
    v_reference: NDArray[Any],
    *,
    weights: NDArray[Any] | None = None,
) -> FloatArray:
    """Mean over cells of ``(u - u_r)^2 + (v - v_r)^2``; with `root`, the vector RMSE (best 0), m/s.

    Like every RMSE it prefers a smooth wind to a sharp one slightly displaced.

    Args:
        u: predicted eastward wind (time, y, x), m/s.
        v: predicted northward wind.
        u_reference: true eastward wind.
        v_reference: true northward wind.
        weights: relative weight of cells, (y,) or (y, x); None counts all the same.

    Returns:
        (time, 1), m2/s2.

    Raises:
        GridError: as `direction_error_statistics`.
        SourceError: as `direction_error_statistics`.

    References:
        WMO-No. 485 (2019), Manual on the Global Data-processing and Forecasting System, appendix 2.2.34.
    """
    (u, u_reference), (v, v_reference), there = _pairs(u, v, u_reference, v_reference)
    return _mean((u - u_reference) ** 2 + (v - v_reference) ** 2, weights, there)[:, None]


def derive(
    u: NDArray[Any],
    v: NDArray[Any],
    y: NDArray[Any],
    x: NDArray[Any],
    *,
    geometry: Literal["sphere", "plane"],
    periodic_x: bool = False,
) -> dict[str, FloatArray]:
    """Give speed, divergence and vorticity of winds on a grid.

    On the plane ``D = du/dx + dv/dy`` and ``Z = dv/dx - du/dy``; on the sphere of radius a, with longitude l,
    latitude p and ``s = sin p``::

        D = du/dl / (a cos p) + d(v cos p)/ds / a,    Z = dv/dl / (a cos p) - d(u cos p)/ds / a

    which is the form with ``tan(p) / a`` written as a flux. Derivatives are centred differences of second order
    on the given coordinates (exact for parabolas, so for a solid rotation too), one-sided of second order in the
    outermost rows and columns; around the globe x has no outermost column. On the poles themselves east has no
    direction, and rows there are refused. A missing value makes those beside it missing.

    Args:
        u: eastward wind (time, y, x), m/s, at least 3 cells along y and x.
        v: northward wind, same shape.
        y: (y,) latitudes in degrees, or metres northward; in either order.
        x: (x,) longitudes in degrees, or metres eastward; ascending or descending throughout.
        geometry: "sphere" for degrees, "plane" for metres.
        periodic_x: x closes on itself: longitudes around the globe, or a periodic plane of even spacing.

    Returns:
        "wind_speed" in m/s, "divergence" and "vorticity" in 1/s, each (time, y, x).

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
    d_north = (np.gradient(part * width, north, axis=1, edge_order=2) for part in (u, v))
    du_north, dv_north = d_north
    return {
        "wind_speed": np.hypot(u, v),
        "divergence": d_east[0] / width + dv_north,
        "vorticity": d_east[1] / width - du_north,
    }


def _sphere(latitude: FloatArray, longitude: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Coordinates ``a sin p`` (y,) and ``a l`` (x,), and ``cos p`` (y, 1)."""
    if np.abs(latitude).max() > _POLE:
        raise GridError(
            f"latitudes run from {latitude.min():g} to {latitude.max():g} degrees; expected none on a pole, where "
            "east has no direction. Leave the polar rows out of prediction and reference."
        )
    width = np.cos(np.deg2rad(latitude))[:, None]
    return EARTH_RADIUS * np.sin(np.deg2rad(latitude)), EARTH_RADIUS * np.deg2rad(longitude), width


def _plane(y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    return y, x, np.ones((len(y), 1))


_METRICS = {"sphere": _sphere, "plane": _plane}


def _eastward(part: FloatArray, east: FloatArray, period: float, periodic_x: bool) -> FloatArray:
    """Derivative along x, (time, y, x)."""
    if not periodic_x:
        return np.asarray(np.gradient(part, east, axis=2, edge_order=2), np.float64)
    turn = period if east[-1] > east[0] else -period
    closed = np.concatenate([[east[-1] - turn], east, [east[0] + turn]])
    around = np.concatenate([part[:, :, -1:], part, part[:, :, :1]], axis=2)
    return np.asarray(np.gradient(around, closed, axis=2)[:, :, 1:-1], np.float64)


def _coordinate(name: str, values: NDArray[Any], size: int) -> FloatArray:
    coordinate = np.asarray(values, np.float64)
    steps = np.diff(coordinate)
    if coordinate.shape != (size,) or size < _LEAST_CELLS or not ((steps > 0).all() or (steps < 0).all()):
        raise GridError(
            f"{name} has shape {coordinate.shape} for {size} cells; expected {max(size, _LEAST_CELLS)} numbers that "
            "ascend or descend throughout. Unwrap longitudes that jump by 360."
        )
    return coordinate


def _components(u: NDArray[Any], v: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    if np.shape(u) != np.shape(v) or np.ndim(u) != 3 or 0 in np.shape(u):
        raise GridError(
            f"u has shape {np.shape(u)} and v {np.shape(v)}; expected the same (time, y, x): bring both components "
            "to one grid."
        )
    filled = (np.ma.filled(np.ma.asarray(part, np.float64), np.nan) for part in (u, v))
    first, second = filled
    return first, second


def _pairs(
    u: NDArray[Any], v: NDArray[Any], u_reference: NDArray[Any], v_reference: NDArray[Any]
) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray], BoolArray | None]:
    """Prediction and reference of both components, and where the reference has both."""
    u, v = _components(u, v)
    u_reference, v_reference = _components(u_reference, v_reference)
    missing = np.isnan(u_reference) | np.isnan(v_reference)
    eastward = check_overlap(u, np.where(missing, np.nan, u_reference))
    northward = check_overlap(v, np.where(missing, np.nan, v_reference))
    return eastward[:2], northward[:2], eastward.there


def _mean(values: FloatArray, weights: NDArray[Any] | None, there: BoolArray | None) -> FloatArray:
    """Weighted mean over cells, (time,)."""
    rows = values.reshape(len(values), -1)
    cells = cell_weights(weights, values.shape, there)
    return np.asarray(rows.mean(axis=1) if cells is None else (rows * cells).sum(axis=1), np.float64)
