"""Describe a source in a few lines of text: variables, grid and times."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from subgrid.data.grid import is_periodic, spatial_dims
from subgrid.data.sources.times import describe_time
from subgrid.data.sources.units import display_units, stated_units
from subgrid.data.value_statistics import ValueStatistics

_DAY = 86400.0  # seconds


def describe_source(fields: xr.Dataset, statistics: Mapping[str, ValueStatistics]) -> list[str]:
    """Describe source, variables, grid and times, a line each.

    Args:
        fields: as `open_source` returns them.
        statistics: of the values, by variable.
    """
    variables = [_describe_variable(fields[name], statistics[name]) for name in map(str, fields.data_vars)]
    return [f"source: {fields.attrs['source']}", *variables, _describe_grid(fields), _describe_times(fields)]


def _describe_variable(variable: xr.DataArray, values: ValueStatistics) -> str:
    dims = ", ".join(f"{dim} {size}" for dim, size in variable.sizes.items())
    stated = stated_units(variable.attrs.get("units"))
    units = (display_units(stated) or "dimensionless") if stated else "no units"
    text = f"{values.low:.6g} to {values.high:.6g}, mean {values.mean:.6g}" if values.regular else "no values"
    packed = ", packed" if "subgrid_scale_factor" in variable.attrs else ""
    return f"{variable.name}: {units}, {variable.dtype}{packed} ({dims}), {text}"


def _describe_grid(fields: xr.Dataset) -> str:
    y, x = spatial_dims(fields)
    ranges = [
        f"{d} {fields[d].values[0]:.6g} to {fields[d].values[-1]:.6g} by {np.median(np.abs(np.diff(fields[d]))):.6g}"
        for d in (y, x)
    ]
    units = fields[x].attrs["units"]
    units = "degrees" if units.startswith("degree") else ("cell numbers" if units == "1" else units)
    globe = ", global in longitude" if is_periodic(fields) else ""
    return f"grid: {fields.sizes[y]} x {fields.sizes[x]} cells, {ranges[0]}, {ranges[1]} ({units}){globe}"


def _describe_times(fields: xr.Dataset) -> str:
    if "valid_time" not in fields.dims:
        return "times: none (static)"
    valid = fields["valid_time"].values
    steps = time_steps(valid)
    step = f", {_describe_steps(steps)}" if steps.size else ""
    calendar = getattr(valid[0], "calendar", "standard")
    return f"times: {valid.size}, {describe_time(valid[0])} to {describe_time(valid[-1])}{step}, {calendar} calendar"


def _describe_steps(steps: np.ndarray) -> str:
    """Say how regular steps (seconds) are."""
    if steps.min() >= 28 * _DAY and steps.max() <= 31 * _DAY:
        return "monthly"
    common = describe_duration(common_step(steps))
    if not is_regular(steps):
        return f"mostly every {common}, with gaps, the largest {describe_duration(float(steps.max()))}"
    return f"every {common}"


def time_steps(values: np.ndarray) -> np.ndarray:
    """Seconds between neighbouring times (numpy or cftime)."""
    steps = np.diff(values)
    if steps.dtype.kind == "m":
        return np.asarray(steps / np.timedelta64(1, "s"), dtype=np.float64)
    return np.array([step.total_seconds() for step in steps], dtype=np.float64)


def common_step(steps: np.ndarray) -> float:
    """The most frequent step, in seconds."""
    values, counts = np.unique(np.round(steps, 3), return_counts=True)
    return float(values[np.argmax(counts)])


def is_regular(steps: np.ndarray) -> bool:
    """Whether steps (seconds) are equal, or months or years of the calendar."""
    low, high = float(steps.min()), float(steps.max())
    months = low >= 28 * _DAY and high <= 31 * _DAY
    years = low >= 360 * _DAY and high <= 366 * _DAY
    return months or years or high - low < 1e-3 * low


def describe_duration(seconds: float) -> str:
    """Write a length of time in its largest unit, such as ``1.5 d``."""
    for size, unit in ((_DAY, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.4g} s"
