"""Place forecasts at their valid times: start time plus lead time, one after another; merge ERA5 with ERA5T."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.sources.decode_times import NOTE
from subgrid.errors import SourceError

LEAD = re.compile(
    r"prediction_timedelta|step|lead(_?times?)?|forecast_(period|lead_?time|hour|time)\d*|offset_?time|f?_?hours?_ahead|fhours?",
    re.IGNORECASE,
)
_START = re.compile(
    r"(forecast_)?ref(erence)?_?time|init(ial|iali[sz]ation)?_?time\w*|(forecast_)?start_?time|base_?time|analysis_?time",
    re.IGNORECASE,
)
_TIME_IS_START = {"prediction_timedelta", "step"}  # leads of WeatherBench 2 and ecCodes, where `time` is the start
_SECONDS: dict[str, float] = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hr": 3600,
    "hour": 3600,
}
_SECONDS |= {"d": 86400, "day": 86400, "ms": 1e-3, "millisecond": 1e-3, "us": 1e-6, "microsecond": 1e-6}
_SECONDS |= {"ns": 1e-9, "nanosecond": 1e-9}


def is_time(variable: xr.DataArray) -> bool:
    """Whether an array holds decoded times (numpy or cftime)."""
    if variable.dtype.kind == "M":
        return True
    if variable.dtype.kind != "O" or not variable.size or variable.ndim > 2:
        return False
    return hasattr(variable.values.ravel()[0], "calendar")


def with_forecast_times(ds: xr.Dataset, where: str) -> xr.Dataset:
    """Add the coordinate `valid_time` to forecasts that hold start and lead times only; the lead is then in hours.

    Where the file holds times along both the start and the lead, they are the valid times.

    Raises:
        SourceError: a lead time without units.
    """
    if "valid_time" in ds.variables:
        return ds.set_coords("valid_time")
    known = _times_by_start_and_lead(ds)
    if len(known) == 1 and "valid_time" not in ds.dims:
        return ds.rename({known[0]: "valid_time"}).set_coords("valid_time")
    lead = _find_lead(ds)
    start = None if lead is None else _find_start(ds, lead)
    if lead is None or start is None:
        return ds
    seconds = _lead_seconds(ds[lead], where)
    hours = seconds / 3600.0
    added = _sum(ds[start], xr.Variable(ds[lead].dims, seconds))
    span = f"{hours.min():g} h" if np.ptp(hours) == 0 else f"{hours.min():g} to {hours.max():g} h"
    added.attrs[NOTE] = f"the valid times are the start times {start!r} plus the lead times {lead!r} ({span})"
    in_hours = ds[lead].copy(data=hours if ds[lead].ndim else hours.reshape(())).assign_attrs(units="hours")
    return ds.assign_coords({lead: in_hours, "valid_time": added})


def _times_by_start_and_lead(ds: xr.Dataset) -> list[Hashable]:
    """Name the times that the file holds along two dimensions of its fields."""
    fields = {dim for variable in ds.data_vars.values() if variable.ndim > 2 for dim in variable.dims}
    return [name for name in ds.variables if ds[name].ndim == 2 and set(ds[name].dims) <= fields and is_time(ds[name])]


def _find_lead(ds: xr.Dataset) -> str | None:
    """Name the coordinate (0-D or 1-D) that holds lead times."""
    for name in map(str, ds.variables):
        coord = ds[name]
        meant = coord.attrs.get("standard_name") == "forecast_period" or LEAD.fullmatch(name)
        if meant and coord.ndim <= 1 and coord.dtype.kind in "fium" and (name in ds.coords or not coord.ndim):
            return name
    return None


def _find_start(ds: xr.Dataset, lead: str) -> str | None:
    """Name the start times, or None where the file's time already is the valid time."""
    times = {str(name): ds[name] for name in ds.variables if ds[name].ndim <= 1 and is_time(ds[name])}
    starts = [name for name, coord in times.items() if _is_start(name, coord)]
    others = [name for name in times if name not in starts]
    shape = ds[lead].dims
    own = bool(shape) and shape not in [coord.dims for coord in times.values()]
    if starts:
        return starts[0] if own or not others else None
    if len(others) == 1 and (own or (lead in _TIME_IS_START and not shape)):
        return others[0]
    return None


def _is_start(name: str, coord: xr.DataArray) -> bool:
    return coord.attrs.get("standard_name") == "forecast_reference_time" or bool(_START.fullmatch(name))


def _lead_seconds(coord: xr.DataArray, where: str) -> np.ndarray:
    """Lead times in seconds.

    Raises:
        SourceError: without units.
    """
    if coord.dtype.kind == "m":
        return np.asarray(coord.values / np.timedelta64(1, "s"), dtype=float)
    units = str(coord.attrs.get("units", "")).strip().lower()
    factor = _SECONDS.get(units, _SECONDS.get(units.removesuffix("s")))
    if factor is None:
        raise SourceError(
            f"{where}: the lead times {coord.name!r} have the units {units!r}, so that the valid times are not known. Set the "
            f"units, e.g. `ncatted -a units,{coord.name},o,c,hours`, or as an attribute of the Dataset."
        )
    return np.asarray(np.round(coord.values * factor, 6), dtype=float)


def _sum(start: xr.DataArray, seconds: xr.Variable) -> xr.Variable:
    """Start times plus lead times, along the dimensions of both."""
    delta = (seconds * 1e9).astype("int64").astype("timedelta64[ns]")
    if start.dtype.kind == "M":
        return xr.Variable(start.dims, start.values.astype("datetime64[ns]")) + delta
    leads = np.array([value.item() for value in np.ravel(delta.values.astype("timedelta64[us]"))], dtype=object)
    return xr.Variable(start.dims, start.values) + xr.Variable(seconds.dims, leads.reshape(seconds.shape))


def in_one_line(ds: xr.Dataset, time: str, where: str) -> tuple[xr.Dataset, str]:
    """Put start and lead times of forecasts along the one dimension of their valid times; give a sentence on it too.

    Args:
        ds: lazy fields.
        time: the coordinate of valid times, along two dimensions.
        where: the source, for messages.

    Raises:
        SourceError: valid times that occur more than once.
    """
    start, lead = map(str, ds[time].dims)
    if lead in _TIME_LIKE or (not LEAD.fullmatch(lead) and LEAD.fullmatch(start)):
        start, lead = lead, start
    n_start, n_lead = ds.sizes[start], ds.sizes[lead]
    text = f"{n_start} start time{'s' * (n_start > 1)} and {n_lead} lead time{'s' * (n_lead > 1)}"
    note = f"the fields are forecasts of {text}, placed at their valid times"
    if 1 in (n_start, n_lead):
        return ds.isel(
            {dim: 0 for dim in (start, lead) if ds.sizes[dim] == 1} if n_start * n_lead > 1 else {lead: 0}
        ), note
    values = ds[time].values.ravel()
    if np.unique(values).size < values.size:
        raise SourceError(
            f"{where}: the forecasts have {text}, and several hold the same valid time. Select one lead time in hours, e.g. "
            f"select = {{{lead} = {_first_label(ds, lead)}}}."
        )
    dims = tuple(map(str, ds[time].dims))
    along = [name for name in ds.coords if set(dims) & set(ds[name].dims)]
    ds = ds.drop_vars(along).stack(valid_time=dims, create_index=False)
    return ds.assign_coords(valid_time=("valid_time", values)), note


_TIME_LIKE = {"time", "forecast_reference_time"}


def _first_label(ds: xr.Dataset, name: str) -> str:
    if name not in ds.coords:
        return "0"
    value: Any = ds[name].values.ravel()[0]
    return f"{value / np.timedelta64(1, 'h'):g}" if ds[name].dtype.kind == "m" else f"{value:g}"


def merge_versions(ds: xr.Dataset) -> tuple[xr.Dataset, str | None]:
    """Merge ERA5 and its preliminary form ERA5T, which older files of the CDS keep apart along `expver`.

    Final values (the first label) are taken where there are any. The second value is a sentence on it, or None.
    """
    if ds.sizes.get("expver", 0) < 2:
        return ds, None
    ds = ds.sortby("expver")
    labels = ", ".join(str(label) for label in ds["expver"].values)
    merged = {}
    for name, field in ds.data_vars.items():
        if "expver" in field.dims:
            result = field.isel(expver=0, drop=True)
            for i in range(1, ds.sizes["expver"]):
                result = result.fillna(field.isel(expver=i, drop=True))
            merged[name] = result.assign_attrs(field.attrs)
            merged[name].encoding = field.encoding
    note = f"ERA5 and its preliminary form ERA5T are merged along 'expver' ({labels}), final values first"
    return ds.assign(merged).drop_vars("expver"), note
