"""Values as files mean them: missing where the file says so, and an error that names file, variable and time.

xarray turns `_FillValue` into NaN. The NetCDF conventions know more ways to say that a value is missing: the default fill
value of each type, where `_FillValue` is not set; values outside `valid_range`, `valid_min` and `valid_max`; and
`missing_value` of another type than the data, in packed or in unpacked numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from subgrid.data.sources.times import describe_time
from subgrid.errors import SourceError, SubgridError

DEFAULT_FILL = "subgrid_default_fill"  # in the encoding: what the NetCDF library writes where no value is written
VALID = "subgrid_valid"  # attribute of a field whose file states what is valid


@dataclass(frozen=True)
class MissingRule:
    """What is missing in a variable, in the units of its unpacked values.

    Attributes:
        values: values that mean "missing".
        low, high: smallest and largest valid value.
        tolerance: half a step of packed values, 0 where they are not packed.
    """

    values: tuple[float, ...]
    low: float
    high: float
    tolerance: float

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return the values, floating-point and NaN where missing."""
        kind = values.dtype if values.dtype.kind == "f" else _float_type(values.dtype)
        out = values.astype(kind)
        missing = np.zeros(out.shape, dtype=bool)
        with np.errstate(over="ignore"):  # a value beyond the type is infinite, and equal to none
            for value in self.values:
                missing |= np.abs(out - value) <= self.tolerance if self.tolerance else out == kind.type(value)
            missing |= (out < kind.type(self.low - self.tolerance)) | (out > kind.type(self.high + self.tolerance))
        out[missing] = np.nan
        return out


def missing_rule(variable: xr.Variable) -> MissingRule | None:
    """Read from attributes and encoding what is missing beyond what xarray has made NaN; None where nothing is."""
    encoding = variable.encoding
    stored = np.dtype(encoding.get("dtype", variable.dtype))
    if variable.dtype.kind not in "fiu" or stored.kind not in "fiu":
        return None
    packing = _Packing.read(encoding, stored)
    stated = encoding.get("missing_value", variable.attrs.get("missing_value"))
    values = [packing.unpacked(number) for number in _numbers(stated)]
    if DEFAULT_FILL in encoding:
        values.append(packing.unpacked(encoding[DEFAULT_FILL]))
    low, high = packing.bounds(*_stated_range(variable.attrs))
    if not values and low == -np.inf and high == np.inf:
        return None
    return MissingRule(tuple(values), low, high, packing.step / 2)


def states_validity(attrs: Mapping[Any, Any]) -> bool:
    """Whether the attributes of a variable state which values are valid."""
    return any(bound is not None for bound in _stated_range(attrs))


@dataclass(frozen=True)
class _Packing:
    """How stored numbers become values: value = number * scale + offset; not packed: step 0."""

    stored: np.dtype[Any]
    scale: float
    offset: float
    packed: bool

    @classmethod
    def read(cls, encoding: Mapping[str, Any], stored: np.dtype[Any]) -> _Packing:
        if stored.kind == "i" and str(encoding.get("_Unsigned", "false")).lower() == "true":
            stored = np.dtype(f"u{stored.itemsize}")
        scale, offset = (float(np.ravel(encoding.get(k, d))[0]) for k, d in (("scale_factor", 1), ("add_offset", 0)))
        packed = stored.kind in "iu" and bool({"scale_factor", "add_offset"} & set(encoding))
        return cls(stored, scale, offset, packed)

    @property
    def step(self) -> float:
        """Distance of neighbouring packed values."""
        return abs(self.scale) if self.packed else 0.0

    def unpacked(self, number: np.generic) -> float:
        """Give the value of a stored number; a number that the stored type cannot hold is a value itself."""
        number = self._unsigned(number)
        if not self.packed or not self._holds(float(number)):
            return float(number)
        return float(number) * self.scale + self.offset

    def bounds(self, low: np.generic | None, high: np.generic | None) -> tuple[float, float]:
        """Give smallest and largest valid value from the numbers that a file states, infinite where it states none.

        Of packed data, a floating-point bound is a value itself, and another one a packed number (NetCDF User's Guide).
        """
        ends = [-np.inf, np.inf]
        for end, number in enumerate((low, high)):
            if number is None:
                continue
            number = self._unsigned(number)
            if not self.packed or number.dtype.kind == "f":
                ends[end] = float(number)
            else:  # a negative scale exchanges smallest and largest
                ends[end if self.scale > 0 else 1 - end] = float(number) * self.scale + self.offset
        return ends[0], ends[1]

    def _unsigned(self, number: np.generic) -> np.generic:
        """Read a negative number of a signed attribute as the unsigned number of the stored type."""
        if self.stored.kind == "u" and number.dtype.kind == "i" and float(number) < 0:
            return np.uint64(int(number) % 2 ** (8 * self.stored.itemsize))
        return number

    def _holds(self, number: float) -> bool:
        info = np.iinfo(self.stored)
        return number.is_integer() and info.min <= number <= info.max


def _stated_range(attrs: Mapping[Any, Any]) -> tuple[np.generic | None, np.generic | None]:
    """Give the smallest and the largest valid number that the attributes state."""
    both = _numbers(attrs.get("valid_range"))
    if len(both) == 2:
        return both[0], both[1]
    low, high = (_numbers(attrs.get(key)) for key in ("valid_min", "valid_max"))
    return (low[0] if low else None), (high[0] if high else None)


def _numbers(attribute: Any) -> list[np.generic]:
    """Read the numbers of an attribute, also where they are written as text; an unreadable one gives none."""
    if isinstance(attribute, str):
        attribute = attribute.replace(",", " ").split()
    try:
        array = np.ravel(np.asarray([] if attribute is None else attribute))
        array = array.astype(np.float64) if array.dtype.kind not in "fiu" else array
    except (TypeError, ValueError):
        return []
    return [number for number in array if np.isfinite(number)]


def with_default_fill(ds: xr.Dataset) -> xr.Dataset:
    """Note in the encoding of each field of a NetCDF file without `_FillValue` the default fill value of its type.

    Bytes have none: all their values may be data.
    """
    from netCDF4 import default_fillvals

    for variable in ds.variables.values():
        stored = np.dtype(variable.encoding.get("dtype", variable.dtype))
        known = stored.kind in "fiu" and stored.itemsize > 1 and variable.ndim >= 2
        if known and "_FillValue" not in variable.encoding:
            variable.encoding[DEFAULT_FILL] = np.asarray(default_fillvals[stored.str[1:]], dtype=stored)[()]
    return ds


def with_zeros(opened: xr.Dataset, stored: xr.Dataset, names: Sequence[Hashable]) -> xr.Dataset:
    """Give variables of a Zarr store of version 2 their zeros back.

    Writers set `fill_value` 0 where nothing is missing, because it is the default; xarray takes it for a missing value.

    Args:
        opened: as xarray opens the store.
        stored: the same, not decoded.
        names: the variables whose `fill_value` is 0.
    """
    plain = stored[list(names)].reset_coords()
    for name in names:
        del plain[name].attrs["_FillValue"]
    plain = xr.decode_cf(plain, decode_coords=False, decode_timedelta=False)
    is_coord = {name: name in opened.coords for name in names}
    opened = opened.assign_coords({name: plain[name].variable for name in names if is_coord[name]})
    return opened.assign({name: plain[name].variable for name in names if not is_coord[name]})


def as_meant(ds: xr.Dataset, file: str, time: str | None) -> xr.Dataset:
    """Make missing values NaN, lazily, and errors of reading `SourceError`s.

    Args:
        ds: as opened.
        file: what to call the file in messages.
        time: name of the time coordinate, or None.
    """
    return ds.assign(meant_variables(ds, file, time))


def meant_variables(ds: xr.Dataset, file: str, time: str | None) -> dict[Hashable, xr.Variable]:
    """The data variables that `as_meant` changes; arguments as there."""
    times, dim = None, None
    if time is not None and ds.variables[time].ndim == 1:
        times, dim = ds.variables[time].values, str(ds.variables[time].dims[0])
    changed: dict[Hashable, xr.Variable] = {}
    for name in ds.data_vars:
        variable = ds.variables[name]
        rule = missing_rule(variable)
        if variable.chunks is not None:
            if rule is not None:
                data = variable.data.map_blocks(rule.apply, dtype=_float_type(variable.dtype))
                changed[name] = variable._replace(data=data)
            continue
        axis = variable.dims.index(dim) if dim in variable.dims else None
        stored = _StoredValues(variable, rule, f"{file}: {name}", axis, times)
        lazy = xr.Variable(variable.dims, indexing.LazilyIndexedArray(stored), variable.attrs, variable.encoding)
        changed[name] = lazy
    return changed


def _float_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Give the floating-point type that holds numbers of a type, and NaN."""
    if dtype.kind == "f":
        return dtype
    return np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)


class _StoredValues(BackendArray):
    """The values of one variable, read on demand."""

    def __init__(
        self, variable: xr.Variable, rule: MissingRule | None, label: str, axis: int | None, times: np.ndarray | None
    ) -> None:
        self.variable, self.rule, self.label, self.axis, self.times = variable, rule, label, axis, times
        self.shape = variable.shape
        self.dtype = variable.dtype if rule is None else _float_type(variable.dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        support = indexing.IndexingSupport.OUTER
        values: np.ndarray = indexing.explicit_indexing_adapter(key, self.shape, support, self._read)
        return values

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        try:
            values = self.variable[key].values
        except (SubgridError, MemoryError):
            raise
        except Exception as error:  # the libraries raise whatever they make of a damaged chunk
            self._refuse(key, error)
        return values if self.rule is None else self.rule.apply(values)

    def _refuse(self, key: tuple[Any, ...], error: Exception) -> NoReturn:
        """Raise SourceError, naming the first time that cannot be read."""
        when = ""
        if self.axis is not None and self.times is not None:
            positions = np.atleast_1d(np.arange(self.shape[self.axis])[key[self.axis]])
            when = f" at {describe_time(self.times[self._first_unreadable(key, positions)])}"
        text = " ".join(str(error).split())[:200]
        raise SourceError(
            f"{self.label}{when}: the values could not be read ({type(error).__name__}: {text}). Part of the file is damaged "
            "or missing: download it again, or remove it from the list."
        ) from error

    def _first_unreadable(self, key: tuple[Any, ...], positions: np.ndarray) -> int:
        assert self.axis is not None
        for position in positions[:-1]:
            try:
                _ = self.variable[(*key[: self.axis], int(position), *key[self.axis + 1 :])].values
            except Exception:
                return int(position)
        return int(positions[-1])
