"""Compare the units of fields with those of other fields, and convert them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import xarray as xr

from subgrid.data.sources.units import Conversion, conversion, same_units, stated_units
from subgrid.errors import SourceError

# Differences of temperatures are not shifted from degrees Celsius to kelvin.
_DIFFERENCE = re.compile(r"anomal|tendency|difference|deviation|variance|range|error|spread", re.IGNORECASE)


def convert_units(
    fields: xr.Dataset, units: Mapping[str, object], where: str, reference: str
) -> tuple[xr.Dataset, list[str]]:
    """Bring fields to given units, and spell units alike that are the same.

    Args:
        fields: fields in the form of `open_source`.
        units: the units wanted, by variable; empty or missing where none are known.
        where: what the fields are, for messages.
        reference: what states `units`, for messages.

    Returns:
        The fields, lazy where they were, with the units wanted as their attribute; and sentences for the user on what was
        converted, and on variables for which only one side states units.

    Raises:
        SourceError: units that measure something else, or are not known.
    """
    notes = []
    changed: dict[str, xr.DataArray] = {}
    for name in map(str, fields.data_vars):
        got, wanted = stated_units(fields[name].attrs.get("units")), stated_units(units.get(name))
        if got and wanted and got != wanted:
            found = _conversion(fields[name], wanted)
            if found is None:
                raise SourceError(
                    f"{where}: {name} is in {got!r}, {reference} in {wanted!r}, and the one cannot be converted to the other. "
                    "Correct the units attribute if it is wrong, or convert the values and set it."
                )
            changed[name] = _apply(fields[name], found).assign_attrs(units=wanted)
            if not same_units(got, wanted):
                notes.append(f"{where}: {name} is converted from {got!r} to {wanted!r}, the units of {reference}")
        elif bool(got) != bool(wanted):
            silent, stated = (where, reference) if wanted else (reference, where)
            notes.append(
                f"{name} is in {got or wanted!r} in {stated} and has no units in {silent}; the values are taken to be in the "
                "same units"
            )
    return fields.assign(changed), notes


def convert_back(fields: xr.Dataset, originals: Mapping[str, Mapping[str, Any]]) -> xr.Dataset:
    """Undo `convert_units`: bring fields to the units of `originals`, the attributes by variable before it."""
    changed = {}
    for name, attrs in originals.items():
        got, wanted = stated_units(fields[name].attrs.get("units")), stated_units(attrs.get("units"))
        if got and wanted and got != wanted:
            found = _conversion(fields[name], wanted)
            assert found is not None  # the way there exists
            changed[name] = _apply(fields[name], found).assign_attrs(attrs)
    return fields.assign(changed)


def _conversion(field: xr.DataArray, wanted: str) -> Conversion | None:
    """The conversion of a field to other units; none where a shift would be wrong, as for an anomaly."""
    labels = [str(field.attrs.get(key, "")) for key in ("standard_name", "long_name", "cell_methods")]
    found = conversion(str(field.attrs["units"]), wanted, " ".join([str(field.name), *labels[:2]]))
    return None if found and found.offset and any(map(_DIFFERENCE.search, labels)) else found


def _apply(field: xr.DataArray, found: Conversion) -> xr.DataArray:
    """Convert values in double precision, back to the type of the field; the step of packed values too."""
    if found == (1.0, 0.0):
        return field.copy(deep=False)
    attrs = dict(field.attrs)
    if "subgrid_scale_factor" in attrs:
        attrs["subgrid_scale_factor"] *= found.scale
    return (field.astype("float64") * found.scale + found.offset).astype(field.dtype).assign_attrs(attrs)
