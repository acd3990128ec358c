"""Arrange the GRIB messages of one variable by member, time and level, and read them lazily."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from subgrid.data.sources.grib_grids import GribGrid
from subgrid.data.sources.grib_messages import LOCK, Message, get, import_eccodes, open_field

# Keys by which fields of one name are kept apart, besides their grid and whether they belong to an ensemble.
APART = ("typeOfLevel", "stepType")
# Keys that keep fields apart where everything else is the same.
FURTHER = ("dataType", "stream", "expver", "percentileValue")
CHOICES = (*APART, "stepRange", *FURTHER, "paramId", "parameter", "gridType", "numberOfPoints")
"""Keys that may be selected, in the order in which they are suggested; scalar coordinates of a data set."""

_HPA = {"units": "hPa", "standard_name": "air_pressure", "positive": "down"}
_COORDINATES: Mapping[str, dict[str, str]] = {
    "number": {"units": "1", "standard_name": "realization"},
    "step": {"units": "hours", "standard_name": "forecast_period"},
    "isobaricInhPa": _HPA,
    "isobaricInPa": {**_HPA, "units": "Pa"},
    "heightAboveGround": {"units": "m", "standard_name": "height", "positive": "up"},
    "depthBelowLand": {"units": "m", "standard_name": "depth", "positive": "down"},
    "depthBelowLandLayer": {"units": "m", "standard_name": "depth", "positive": "down"},
    "hybrid": {
        "units": "1", "standard_name": "atmosphere_hybrid_sigma_pressure_coordinate", "positive": "down",
    },
}  # fmt: skip
_HOUR = np.timedelta64(1, "h")
_MISSING = 3.4028234663852886e38  # what ecCodes is told to give for a missing value


class _Fields(BackendArray):
    """The fields of one variable, read message by message; (header dimensions, rows, columns), float32."""

    def __init__(
        self, path: Path, table: np.ndarray, messages: Sequence[Message], grids: Mapping[str, GribGrid]
    ) -> None:
        """Keep where the fields are.

        Args:
            path: the file.
            table: position in `messages` for each label of the header dimensions, -1 where there is no message.
            messages: of this variable.
            grids: by grid section.
        """
        self.path, self.table, self.messages, self.grids = path, table, messages, grids
        self.shape = (*table.shape, *grids[section(messages[0])].shape)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        """Read what a key of xarray names."""
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        header, places = key[:-2], key[-2:]
        table = self.table
        for axis in reversed(range(len(header))):  # one axis after the other, as OUTER indexing asks
            table = table[(slice(None),) * axis + (header[axis],)]
        out = np.full((table.size, *self.shape[-2:]), np.nan, dtype=np.float32)
        with self.path.open("rb") as file:
            for at, position in enumerate(table.ravel()):
                if position >= 0:
                    out[at] = self._read_message(file, self.messages[position])
        field = out.reshape(*table.shape, *self.shape[-2:])
        rows, columns = places
        return np.asarray(field[..., rows, :][..., columns])

    def _read_message(self, file: Any, message: Message) -> np.ndarray:
        codes = import_eccodes(self.path)  # a module cannot be sent to other processes
        with LOCK:
            handle = open_field(codes, self.path, file, message)
            try:
                codes.codes_set(handle, "missingValue", _MISSING)
                values = codes.codes_get_values(handle)
                if get(codes, handle, "bitmapPresent"):
                    values = np.where(values == _MISSING, np.nan, values)
            finally:
                codes.codes_release(handle)
        return self.grids[section(message)].arrange(values)


def section(message: Message) -> str:
    """Name the grid section of a message."""
    return str(message.keys.get("md5GridSection"))


def open_cube(
    codes: Any, path: Path, messages: list[Message], interval: str | None, grids: Mapping[str, GribGrid]
) -> xr.Dataset:
    """Arrange the messages of one variable by member, time and level.

    Args:
        codes: the module ecCodes.
        path: the file.
        messages: of different member, time or level.
        interval: name of the series of intervals that they were split by, if any.
        grids: by grid section.
    """
    first, grid = messages[0], grids[section(messages[0])]
    kind = str(first.keys.get("typeOfLevel", "level"))
    members = sorted({m.number for m in messages if m.number is not None})
    levels = sorted({m.level for m in messages}, reverse="isobaric" in kind)
    axes = {"number": members, **_time_axes(messages), kind: levels}
    dims = [dim for dim, values in axes.items() if len(values) > 1]
    at = {dim: {value: i for i, value in enumerate(values)} for dim, values in axes.items()}
    table = np.full([len(axes[dim]) for dim in dims], -1)
    for position, m in enumerate(messages):
        place = {"number": m.number, "time": m.time, "step": m.step, "valid_time": m.time + m.step, kind: m.level}
        table[tuple(at[dim][place[dim]] for dim in dims)] = position
    lazy = indexing.LazilyIndexedArray(_Fields(path, table, messages, grids))
    coords = {**_labels(axes, kind), **_times(messages, axes), **_choices(messages, interval), **grid.coords}
    field = xr.Variable((*dims, *grid.dims), lazy, _attributes(codes, path, first))
    ds = xr.Dataset({first.name: field}, coords=coords)
    ds.attrs = {"institution": first.keys["centreDescription"]} if "centreDescription" in first.keys else {}
    if grid.mapping:
        ds[first.name].attrs["grid_mapping"] = "rotated_pole"
        ds["rotated_pole"] = ((), 0, dict(grid.mapping))
    return ds


def _labels(axes: Mapping[str, list[Any]], kind: str) -> dict[str, xr.Variable]:
    """Give the coordinate of each axis; scalar for an axis of one label."""
    coords: dict[str, xr.Variable] = {}
    for dim, values in axes.items():
        if values:
            data = np.array(values if len(values) > 1 else values[0])
            attrs = _COORDINATES.get(dim, {"units": "1"} if dim == kind else {})
            coords[dim] = xr.Variable((dim,) if data.ndim else (), data / _HOUR if dim == "step" else data, attrs)
    return coords


def _choices(messages: Sequence[Message], interval: str | None) -> dict[str, xr.Variable]:
    """Give the keys of which all messages have one value."""
    coords = {}
    for key in CHOICES:
        found = {m.keys.get(key) for m in messages} if interval is None or key != "stepRange" else {interval}
        if len(found) == 1 and None not in found:
            coords[key] = xr.Variable((), found.pop())
    return coords


def _time_axes(messages: Sequence[Message]) -> dict[str, list[Any]]:
    """Give the axes of time: one of valid times where each occurs once, else starts and steps as cfgrib does."""
    starts, steps = (sorted({getattr(m, key) for m in messages}) for key in ("time", "step"))
    if len(starts) > 1 and len(steps) > 1:
        valid = {(m.time + m.step, m.number, m.level) for m in messages}
        if len(valid) == len(messages):
            return {"valid_time": sorted({m.time + m.step for m in messages})}
    return {"time": starts, "step": steps}


def _times(messages: Sequence[Message], axes: Mapping[str, list[Any]]) -> dict[str, xr.Variable]:
    """Give start, step and valid time along the axes of time."""
    dim = "valid_time"
    if dim in axes:
        by_valid = {m.time + m.step: m for m in messages}
        return {
            "time": xr.Variable(dim, np.array([by_valid[v].time for v in axes[dim]])),
            "step": xr.Variable(dim, np.array([by_valid[v].step for v in axes[dim]]) / _HOUR, _COORDINATES["step"]),
        }
    starts, steps = (np.array(axes[key]) for key in ("time", "step"))
    valid = starts[:, None] + steps
    dims = tuple(key for key in ("time", "step") if len(axes[key]) > 1)
    return {"valid_time": xr.Variable(dims, valid.reshape([len(axes[key]) for key in dims]))}


def _attributes(codes: Any, path: Path, message: Message) -> dict[str, str]:
    """Give units and names of a variable."""
    with LOCK, path.open("rb") as file:
        handle = open_field(codes, path, file, message)
        try:
            found: dict[str, Any] = {
                attr: get(codes, handle, key)
                for attr, key in (("units", "units"), ("standard_name", "cfName"), ("long_name", "name"))
            }
        finally:
            codes.codes_release(handle)
    found["GRIB_shortName"] = message.keys.get("shortName")
    return {attr: str(value) for attr, value in found.items() if value not in (None, "unknown")}
