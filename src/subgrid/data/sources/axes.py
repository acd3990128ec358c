"""Find the horizontal axes of a data set, and bring them into one form: north first, west first, unwrapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cf_xarray  # noqa: F401  (adds the .cf accessor)
import numpy as np
import xarray as xr

from subgrid.data.grid import FULL_CIRCLE, HORIZONTAL, goes_round, spatial_dims
from subgrid.data.sources.curvilinear import NAMES_2D, Places, find_places, reduce_places, refuse_curvilinear
from subgrid.data.sources.projections import named_projection
from subgrid.errors import GridError

# Coordinates closer than this share of the grid spacing are the same: float32 files carry such noise.
TOLERANCE = 1e-3
_LENGTHS = {"m", "km", *(prefix + unit for prefix in ("", "kilo") for unit in ("meter", "meters", "metre", "metres"))}

_PROJECTED = 2  # position of the projection coordinates in HORIZONTAL

# In the order of HORIZONTAL, which is that of preference: per axis the names that files without attributes use (lower case).
_NAMES: tuple[tuple[set[str], set[str]], ...] = (
    NAMES_2D,
    ({"rlat", "grid_latitude"}, {"rlon", "grid_longitude"}),
    (
        {"y", "yc", "yt", "nj", "j", "ny", "south_north", "northing", "projection_y_coordinate"},
        {"x", "xc", "xt", "ni", "i", "nx", "west_east", "easting", "projection_x_coordinate"},
    ),
)


@dataclass(frozen=True)
class Grid:
    """The horizontal axes of one source and how to reach the normal form.

    Attributes:
        y_name, x_name: normal names, one of `subgrid.data.grid.HORIZONTAL`.
        y_dim, x_dim: dimensions in the source.
        y_original, x_original: names of the coordinates (else of the dimensions) in the source.
        y, x: cell centres in normal order, y descending and x ascending (degrees, or the source's units).
        y_order, x_order: what to pass to ``isel`` on the source's dimensions.
        y_ascending, x_descending: orientation in the source.
        west_edge: western edge of the first cell in the source's own longitudes (degrees), None if projected.
        units: units of the projected axes.
        mapping: JSON of a grid mapping that the axes were found by, None where the file's own holds.
        note: a sentence for the user, None without one.
    """

    y_name: str
    x_name: str
    y_dim: str
    x_dim: str
    y_original: str
    x_original: str
    y: np.ndarray
    x: np.ndarray
    y_order: slice | np.ndarray
    x_order: slice | np.ndarray
    y_ascending: bool
    x_descending: bool
    west_edge: float | None
    units: str
    mapping: str | None = None
    note: str | None = None


def find_grid(ds: xr.Dataset, wanted: Sequence[str], where: str) -> Grid:
    """Find the horizontal axes that most of the wanted variables lie on, and normalise them.

    Raises:
        GridError: no such axes, or a grid that is curvilinear, unstructured, repeated or not monotonic.
    """
    places, (y_dim, x_dim, y_coord, x_coord, kind) = _find_axes(ds, wanted, where)
    ds = places.ds
    y_name, x_name = HORIZONTAL[kind]
    # Axes without values count cells; rows keep the file's order, since nothing says where north is.
    y_raw = _values(ds, y_coord, where) if y_coord else np.arange(ds.sizes[y_dim], dtype=float)[::-1]
    x_raw = _values(ds, x_coord, where) if x_coord else np.arange(ds.sizes[x_dim], dtype=float)
    for name, values in ((y_coord or y_dim, y_raw), (x_coord or x_dim, x_raw)):
        if values.size < 2:
            raise GridError(
                f"{where}: the axis {name!r} has {values.size} cell; a field needs at least 2 along each axis. "
                "Choose a file that holds a two-dimensional region."
            )
    y_ascending = bool(y_raw[-1] > y_raw[0])
    y_order: slice | np.ndarray = slice(None, None, -1) if y_ascending else slice(None)
    y = y_raw[y_order]
    _require_monotonic(-y, y_coord or y_dim, where)
    if y_name == "latitude" and np.abs(y).max() > 90.01:
        raise GridError(
            f"{where}: latitude {y_coord!r} reaches {np.abs(y).max():g} degrees, beyond the pole. "
            "Check that the axis is not swapped with longitude or given in other units."
        )
    x, x_order, x_descending, west_edge = _normal_x(x_raw, x_coord or x_dim, x_name, where)
    units = str(ds[y_coord].attrs.get("units", "1")) if y_coord else "1"
    return Grid(
        y_name, x_name, y_dim, x_dim, y_coord or y_dim, x_coord or x_dim, y, x, y_order, x_order,
        y_ascending, x_descending, west_edge, units, places.mapping, places.note,
    )  # fmt: skip


def names_axis(name: str) -> bool:
    """Whether a name says by itself that a dimension is a horizontal axis."""
    return any(name.lower() in known for pair in _NAMES for known in pair)


def require_same_grid(first: xr.Dataset, first_name: str, other: xr.Dataset, other_name: str) -> None:
    """Raise GridError, naming both and what differs, unless two normalised data sets share their grid."""
    pair, other_pair = spatial_dims(first), spatial_dims(other)
    head = f"the grids of {first_name} and {other_name} differ"
    fix = "Regrid one onto the other (e.g. `cdo remapbil,GRID in.nc out.nc`), or open them separately."
    if pair != other_pair:
        raise GridError(f"{head}: axes {', '.join(pair)} against {', '.join(other_pair)}. {fix}")
    for axis in pair:
        a, b = first[axis].values, other[axis].values
        if a.size != b.size:
            raise GridError(f"{head}: {a.size} against {b.size} cells along {axis}. {fix}")
        spacing = float(np.median(np.abs(np.diff(a))))
        if np.abs(a - b).max() <= TOLERANCE * spacing:
            continue
        parts = [
            f"{what} {u:g} against {v:g}"
            for what, u, v in (
                ("first", a[0], b[0]),
                ("last", a[-1], b[-1]),
                ("spacing", spacing, float(np.median(np.abs(np.diff(b))))),
            )
            if abs(u - v) > TOLERANCE * spacing
        ]
        raise GridError(f"{head} along {axis}: {', '.join(parts) or 'cells in between differ'}. {fix}")


class _Axes(NamedTuple):
    """Dimensions and coordinates (None where a dimension has none) of a pair of axes of one kind of `HORIZONTAL`."""

    y_dim: str
    x_dim: str
    y_coord: str | None
    x_coord: str | None
    kind: int


def _find_axes(ds: xr.Dataset, wanted: Sequence[str], where: str) -> tuple[Places, _Axes]:
    """Find the pair of axes of the preferred kind that most variables lie on, in the data set that has them."""
    pair = _find_pair(ds, wanted, where)
    if pair is not None and (pair.kind != _PROJECTED or _in_units_of_length(ds, pair)):
        return Places(ds), pair
    names = find_places(ds, wanted)
    if names is not None:
        places = reduce_places(ds, wanted)
        reduced = None if places is None else _find_pair(places.ds, wanted, where)
        if places is None or reduced is None:
            refuse_curvilinear(ds, names, where)
        else:
            return places, reduced
    if pair is not None:
        return Places(ds), pair._replace(kind=_kind_in_degrees(ds, pair, wanted))
    dims = ", ".join(f"{name} ({size})" for name, size in ds.sizes.items()) or "none"
    raise GridError(
        f"{where}: no pair of horizontal axes was found; the dimensions are {dims}. Expected 1-D coordinates named or "
        "described as latitude/longitude, rlat/rlon or y/x. Rename them (`ncrename`, xarray's rename) or set their "
        "attribute axis to 'Y' and 'X'."
    )


def _find_pair(ds: xr.Dataset, wanted: Sequence[str], where: str) -> _Axes | None:
    """Give the axes of the preferred kind that most variables lie on; None without any."""
    pairs = (_best_pair(ds, wanted, kind, where) for kind in range(len(HORIZONTAL)))
    return next((pair for pair in pairs if pair is not None), None)


def _in_units_of_length(ds: xr.Dataset, pair: _Axes) -> bool:
    """Whether projected axes are true projection coordinates: in metres or kilometres, or in radians seen from space."""
    if pair.y_coord is None:
        return False
    attrs = ds[pair.y_coord].attrs
    units = str(attrs.get("units", ""))
    named = attrs.get("standard_name") == "projection_y_coordinate"
    return units in _LENGTHS or (named and not units.startswith("degree"))


def _kind_in_degrees(ds: xr.Dataset, pair: _Axes, wanted: Sequence[str]) -> int:
    """Give the kind of axes named y and x: degrees are degrees, rotated where the grid mapping says so."""
    if pair.y_coord is None or pair.x_coord is None:
        return pair.kind
    units = [str(ds[name].attrs.get("units", "")) for name in (pair.y_coord, pair.x_coord)]
    mapping = (named_projection(ds, list(wanted)) or {}).get("grid_mapping_name")
    in_degrees = all(unit.startswith("degree") for unit in units) or (
        mapping == "latitude_longitude" and not any(units)
    )
    if not in_degrees:
        return pair.kind
    return 1 if mapping == "rotated_latitude_longitude" else 0


def _best_pair(ds: xr.Dataset, wanted: Sequence[str], kind: int, where: str) -> _Axes | None:
    """Give the axes of one kind that most of the wanted variables lie on; None where no variable has such axes."""
    best, most = None, 0
    for y_dim, y_coord in _candidates(ds, kind, 0):
        for x_dim, x_coord in _candidates(ds, kind, 1):
            count = sum({y_dim, x_dim} <= set(ds[name].dims) for name in wanted)
            if y_dim == x_dim and count:
                raise GridError(
                    f"{where}: the grid is unstructured: latitude and longitude both run along {y_dim!r}. Regrid it to a "
                    "regular grid of the same resolution first: a reduced Gaussian grid with `cdo setgridtype,regular in "
                    "out.nc`, a mesh with `cdo remapbil,GRID in out.nc`, where GRID describes the new grid."
                )
            if count > most:
                best, most = _Axes(y_dim, x_dim, y_coord, x_coord, kind), count
    return best


def _candidates(ds: xr.Dataset, kind: int, side: int) -> list[tuple[str, str | None]]:
    """List (dimension, coordinate or None) that may be the y (side 0) or x (side 1) axis of a kind."""
    normal, known = HORIZONTAL[kind][side], _NAMES[kind][side]
    names = {str(name) for name in ds.cf.standard_names.get(normal, [])}
    if kind == 0:
        names |= {str(name) for name in ds.cf.coordinates.get(normal, [])}
    if kind == _PROJECTED:
        names |= {str(name) for name in ds.cf.axes.get("YX"[side], [])}
    names |= {str(name) for name in ds.variables if str(name).lower() in known}
    named: list[tuple[str, str | None]] = [
        (str(ds[name].dims[0]), name) for name in sorted(names) if ds[name].ndim == 1
    ]
    taken = {dim for dim, _ in named}
    return named + [
        (str(dim), None)
        for dim in ds.dims
        if str(dim).lower() in known and dim not in ds.variables and dim not in taken
    ]


def _values(ds: xr.Dataset, name: str, where: str) -> np.ndarray:
    values = ds[name].values
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise GridError(
            f"{where}: the coordinate {name!r} holds values that are not finite numbers (dtype {values.dtype}). "
            "Correct the coordinate, or remove it: the axis then counts cells."
        )
    return values.astype(np.float64)


def _normal_x(
    raw: np.ndarray, name: str, x_name: str, where: str
) -> tuple[np.ndarray, slice | np.ndarray, bool, float | None]:
    """Give (x ascending, order for isel, x_descending, west edge) of raw x coordinates.

    Longitudes round the globe start at the first cell at or after 0; regional ones are shifted by whole turns so
    that their centre lies in -180..180. So the same cells have the same longitudes whatever the file's convention.
    """
    degrees = x_name != "projection_x_coordinate"
    positions = np.arange(raw.size)
    if degrees:
        positions = _from_the_west(raw)
    x = np.unwrap(raw[positions], period=FULL_CIRCLE) if degrees else raw
    descending = bool(x[-1] < x[0])
    if descending:
        x, positions = x[::-1], positions[::-1]
    _require_monotonic(x, name, where)
    order: slice | np.ndarray = slice(None, None, -1) if descending else slice(None)
    if (np.abs(np.diff(positions)) > 1).any():
        order = positions
    if not degrees:
        return x, order, descending, None
    spacing = float(np.median(np.diff(x)))
    if x[-1] - x[0] > FULL_CIRCLE - 0.5 * spacing:
        _refuse_repeated(x, spacing, name, where)
    west_edge = float(raw.min() - 0.5 * spacing) if isinstance(order, np.ndarray) else float(x[0] - 0.5 * spacing)
    if not goes_round(x):
        turns = np.floor(np.round((0.5 * (x[0] + x[-1]) + 180.0) / 360.0, 6))
        return x - FULL_CIRCLE * turns, order, descending, west_edge
    slack = TOLERANCE * spacing
    turned = np.mod(x + slack, 360.0) - slack
    start = int(np.argmin(turned))
    if start == 0:
        return turned, order, descending, west_edge
    return np.roll(turned, -start), np.roll(positions, -start), descending, west_edge


def _from_the_west(raw: np.ndarray) -> np.ndarray:
    """Give the positions of longitudes in order along the region; one across the date line may be stored in two pieces."""
    positions = np.arange(raw.size)
    jumps = np.abs(np.diff(raw))
    if raw.size < 3 or (np.diff(np.unwrap(raw, period=FULL_CIRCLE)) > 0).all():
        return positions
    rolled = np.roll(positions, -(int(np.argmax(jumps)) + 1))
    steps = np.diff(np.unwrap(raw[rolled], period=FULL_CIRCLE))
    one_way = (steps > 0).all() if raw[-1] > raw[0] else (steps < 0).all()
    return rolled if jumps.max() > 0.5 * FULL_CIRCLE and one_way else positions


def _refuse_repeated(x: np.ndarray, spacing: float, name: str, where: str) -> None:
    """Raise GridError for longitudes that cover more than the whole circle."""
    over = x[x > x[0] + FULL_CIRCLE - 0.5 * spacing]
    same = bool(np.abs(over - FULL_CIRCLE - x[: over.size]).max() <= 0.1 * spacing)
    columns = "the last column" if over.size == 1 else f"the last {over.size} columns"
    verb = ("repeats" if over.size == 1 else "repeat") if same else ("overlaps" if over.size == 1 else "overlap")
    first = "the first" if over.size == 1 else "the first ones"
    raise GridError(
        f"{where}: longitude {name!r} runs from {x[0]:g} to {x[-1]:g} in steps of {spacing:g}, more than once round the "
        f"globe: {columns} {verb} {first}. Drop what is repeated, e.g. `ds.isel({name}=slice(0, {x.size - over.size}))`."
    )


def _require_monotonic(values: np.ndarray, name: str, where: str) -> None:
    """Raise GridError unless values ascend strictly."""
    steps = np.diff(values)
    if (steps > 0).all():
        return
    at = int(np.argmax(steps <= 0))
    what = "repeats a value" if steps[at] == 0 else "changes direction"
    raise GridError(
        f"{where}: the coordinate {name!r} {what} near cell {at} ({abs(values[at]):g}, then "
        f"{abs(values[at + 1]):g}). It must rise or fall steadily: sort it or drop the repeated cells "
        f"(e.g. `ds.sortby({name!r}).drop_duplicates({name!r})`)."
    )
