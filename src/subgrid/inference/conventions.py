"""The CF conventions in what `downscale` and `sample` return and write (https://cfconventions.org, version 1.11)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.grid import rotated_to_geographic, with_bounds
from subgrid.data.sources.axes import names_axis
from subgrid.data.sources.time_bounds import time_encoding
from subgrid.data.sources.units import udunits
from subgrid.io.console import Notify
from subgrid.io.output import bounds_of
from subgrid.run import Run

CONVENTIONS = "CF-1.11"

_RESERVED = {
    *("_NCProperties", "_Netcdf4Dimid", "_nc3_strict", "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"),
    *("_FillValue", "missing_value", "scale_factor", "add_offset"),
}
"""Attributes that the libraries write, or that describe how a variable was packed."""

_OF_THE_SOURCE = {"external_variables", "featureType", "coordinates"}  # global, and true of the source's file alone
_STANDARD_AXES = {"time", "latitude", "longitude", "height", "depth", "air_pressure", "altitude", "realization"}
_POSITIVE = {"height": "up", "altitude": "up", "depth": "down", "air_pressure": "down"}
_LONGEST_NAME = 255  # bytes of a name in NetCDF


def describe_output(run: Run, attrs: Mapping[str, Any], title: str, history: str) -> dict[str, Any]:
    """Return the global attributes of an output: those of the source, and what it does not say.

    Args:
        run: the run whose generator was used.
        attrs: global attributes of the source.
        title: used where the source has none.
        history: replaces that of the source.
    """
    made = {"title": title, "source": f"subgrid {version('subgrid')}, {run.config.system}"}
    kept = {key: value for key, value in attrs.items() if key not in made or str(value).strip()}
    return made | kept | {"history": history, "Conventions": CONVENTIONS}


def training_attrs(run: Run) -> dict[str, dict[str, str]]:
    """Return what the training data tell about each variable: units, and that the fine cells are means over their area."""
    data = run.config.data
    averaged = data.coarsen == "mean" and data.coarse_source is None
    methods = {"cell_methods": "area: mean"} if averaged else {}
    units = {name: udunits(run.statistics[name].get("units")) for name in run.variables}
    return {name: ({"units": units[name]} if units[name] else {}) | methods for name in run.variables}


def complete_coordinates(fields: xr.Dataset, coarse: xr.Dataset | None, factor: int) -> xr.Dataset:
    """Add cell edges, and latitude and longitude where the axes are those of a rotated pole; describe members.

    Args:
        fields: fields in normal form on the grid that is `factor` times finer than the coarse one.
        coarse: fields in normal form, its attribute ``grid_mapping`` that of `open_source`; None where the fields have no
            horizontal coordinates.
        factor: fine cells per coarse cell along an axis; 1 where both are on one grid.
    """
    out = fields
    if coarse is not None:
        out = with_bounds(fields, coarse, factor)
        out = _with_geographic(out, json.loads(coarse.attrs.get("grid_mapping", "{}")))
    if "realization" in out.coords and out["realization"].dtype.kind in "iuf":
        out["realization"] = out["realization"].assign_attrs({"standard_name": "realization", "units": "1"})
    return out


def _with_geographic(fields: xr.Dataset, mapping: Mapping[str, Any]) -> xr.Dataset:
    """Add latitude and longitude as two-dimensional coordinates `lat` and `lon` to fields on rotated axes."""
    pole = mapping.get("attrs", {})
    needed = {"grid_north_pole_latitude", "grid_north_pole_longitude"}
    if "grid_latitude" not in fields.dims or not needed <= set(pole) or {"lat", "lon"} & set(fields.variables):
        return fields
    dims = "grid_latitude", "grid_longitude"
    latitude, longitude = rotated_to_geographic(fields[dims[0]].values[:, None], fields[dims[1]].values, pole)
    return fields.assign_coords(
        lat=(dims, latitude, {"standard_name": "latitude", "units": "degrees_north"}),
        lon=(dims, longitude, {"standard_name": "longitude", "units": "degrees_east"}),
    )


def follow_conventions(fields: xr.Dataset, defaults: Mapping[str, Mapping[str, str]], notify: Notify) -> xr.Dataset:
    """Return fields whose attributes follow the CF conventions and can be held by NetCDF.

    Args:
        fields: fields with the names of the source.
        defaults: attributes of each variable that its source may not state, such as units.
        notify: called with each message for the user.
    """
    out, notes, bounds = fields.copy(), list[str](), bounds_of(fields)
    out.attrs = plain_attrs({k: v for k, v in out.attrs.items() if k not in _OF_THE_SOURCE}, "the data set", notes)
    for name in [str(name) for name in out.variables if name not in bounds]:
        variable = out[name]
        variable.attrs = _describe(name, variable, notes)
        if name in out.coords:
            # CF allows no missing values in coordinates; xarray would declare some for every floating point variable.
            variable.encoding = {"_FillValue": None}
        for key, value in defaults.get(name, {}).items():
            variable.attrs.setdefault(key, value)
        _check_cell_methods(out, name, notes)
    for name in (*bounds, *(str(name) for name in out.data_vars if not out[name].ndim)):
        # Without this, xarray would give them the scalar coordinates of the fields.
        out[name].encoding = {"_FillValue": None, "coordinates": None}
    for variable in out.coords.values():
        if variable.attrs.get("standard_name") == "time" and variable.attrs.get("bounds") in out.coords:
            edges = out[variable.attrs["bounds"]]
            shared = time_encoding(variable, edges)
            variable.encoding |= shared
            edges.encoding |= shared
    for note in notes:
        notify(note)
    return out


def _describe(name: str, variable: xr.DataArray, notes: list[str]) -> dict[str, Any]:
    """Return the attributes of one variable: plain, units as UDUNITS reads them, axis and a name for people."""
    attrs = plain_attrs(variable.attrs, name, notes)
    if "units" in attrs:
        attrs["units"] = udunits(attrs["units"])
        if not attrs["units"]:
            del attrs["units"]
    if "grid_mapping_name" not in attrs and not {"standard_name", "long_name"} & set(attrs):
        attrs["long_name"] = name
    if name in variable.coords and (vertical := str(attrs.get("standard_name", name)).lower()) in _POSITIVE:
        attrs.setdefault("positive", _POSITIVE[vertical])
    if attrs.get("standard_name") == "time" and variable.dims == (name,):
        attrs["axis"] = "T"
    if attrs.get("units") == "1" and attrs.get("axis") in ("Y", "X") and names_axis(name):
        del attrs["axis"]  # numbers of cells are no geographic axis in CF
    return attrs


def _check_cell_methods(fields: xr.Dataset, name: str, notes: list[str]) -> None:
    """Drop `cell_methods` that name what is not there, such as a dimension that was selected from."""
    attrs = fields[name].attrs
    if "cell_methods" not in attrs:
        return
    named = set(re.findall(r"([\w.]+)\s*:", re.sub(r"\([^)]*\)", "", str(attrs["cell_methods"]))))
    known = {"area", *_STANDARD_AXES, *map(str, fields.dims), *map(str, fields.coords)}
    if not named or named - known:
        notes.append(
            f"{name}: its cell_methods {attrs.pop('cell_methods')!r} name what the output does not have; dropped"
        )


def plain_attrs(attrs: Mapping[Any, Any], owner: str, notes: list[str]) -> dict[str, Any]:
    """Return attributes as NetCDF holds them: texts, numbers and lists of either.

    Other values become JSON text. What is empty, and what only the libraries may write, is left out.

    Args:
        attrs: attributes of any type, such as those of a Zarr source.
        owner: whose attributes they are, for the messages.
        notes: messages on what was changed are appended.
    """
    plain, dropped, converted = {}, [], []
    for key, value in attrs.items():
        name = re.sub(r"[^\w.@+-]|^[^\w]", "_", str(key))[:_LONGEST_NAME]
        if name in _RESERVED:
            continue
        held = _plain_value(value)
        if held is None or not name:
            dropped.append(str(key))
            continue
        plain[name] = held
        if name != str(key) or (isinstance(held, str) and not isinstance(value, str | bytes)):
            converted.append(str(key))
    if converted:
        notes.append(f"{owner}: attributes written as text, because NetCDF cannot hold them: {', '.join(converted)}")
    if dropped:
        notes.append(f"{owner}: empty attributes that NetCDF cannot hold were left out: {', '.join(dropped)}")
    return plain


def _plain_value(value: Any) -> Any:
    """Return one attribute as NetCDF holds it; None where there is nothing to hold."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "")
    if isinstance(value, list | tuple | np.ndarray):
        items = np.asarray(value).tolist() if isinstance(value, np.ndarray) else list(value)
        if not items:
            return None
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return [_plain_value(item) for item in items]
        if isinstance(items, list) and all(_is_number(item) for item in items):
            return _plain_number(np.asarray(value))
        value = items
    if value is None:
        return None
    return _plain_number(np.asarray(value))[()] if _is_number(value) else json.dumps(value, default=str)


def _is_number(value: Any) -> bool:
    """Whether NetCDF holds a value as a number: no boolean, no integer of more than 64 bits."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return isinstance(value, float | np.floating) or -(2**63) <= int(value) < 2**63


def _plain_number(values: np.ndarray) -> np.ndarray:
    """Return numbers in a type of NetCDF, which has no half or extended precision."""
    known = values.dtype.kind in "iu" or values.dtype in (np.float32, np.float64)
    return values if known else values.astype(np.float64)
