"""Open the group of a NetCDF4 file or Zarr store that holds the fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import xarray as xr

from subgrid.errors import SourceError, nearest

GROUP = "group"  # the entry of `select` that names a group


def open_group(
    opened: Callable[[str | None], xr.Dataset], listed: Callable[[], Iterable[str]], wanted: object, where: str
) -> xr.Dataset:
    """Open the root of a file, the group that is asked for, or the only group with fields where the root has none.

    Args:
        opened: opens a group by its path, and the root for None.
        listed: lists the paths of all groups but the root.
        wanted: the path of a group, or None.
        where: the file, for messages.

    Returns:
        The content of the group, with the coordinates of its dimensions that the groups above it hold, as CF has it.

    Raises:
        SourceError: an unknown group, or several with fields and none asked for.
    """
    if wanted is not None:
        names = list(listed())
        name = str(wanted).strip("/")
        if name not in names:
            known = f"{nearest(name, names)} Its groups: {', '.join(names)}." if names else " The file has no groups."
            raise SourceError(f"{where}: select group = {name!r} is not in the file.{known}")
        return _with_coords_above(opened(name), opened, name)
    root = opened(None)
    if _has_fields(root):
        return root
    filled = []
    for name in listed():
        ds = opened(name)
        if _has_fields(ds):
            filled.append(name)
        ds.close()
    if not filled:
        return root
    if len(filled) > 1:
        raise SourceError(
            f"{where}: the fields are in {len(filled)} groups: {', '.join(filled)}. Choose one, e.g. select = "
            f'{{group = "{filled[0]}"}}.'
        )
    return _with_coords_above(opened(filled[0]), opened, filled[0])


def netcdf_groups(path: Any) -> list[str]:
    """List the paths of the groups of a NetCDF file, such as ``forecast/surface``, parents first."""
    import netCDF4

    def walk(node: Any, prefix: str) -> Iterator[str]:
        for name, child in node.groups.items():
            yield f"{prefix}{name}"
            yield from walk(child, f"{prefix}{name}/")

    with netCDF4.Dataset(path) as file:
        return list(walk(file, ""))


def zarr_groups(store: Any, root: str = "") -> list[str]:
    """List the paths of the groups of a Zarr store below one of them, parents first."""
    import zarr

    top = zarr.open_group(store, path=root, mode="r", use_consolidated=False)
    return sorted(name for name, node in top.members(max_depth=None) if isinstance(node, zarr.Group))


def _has_fields(ds: xr.Dataset) -> bool:
    return any(variable.ndim >= 2 and variable.dtype.kind in "fiub" for variable in ds.data_vars.values())


def _with_coords_above(ds: xr.Dataset, opened: Callable[[str | None], xr.Dataset], name: str) -> xr.Dataset:
    """Add the 1-D coordinates of dimensions that only a group above holds, and the variables that attributes point to."""
    close = ds.close
    while name:
        name = name.rpartition("/")[0]
        above = opened(name or None)
        pointed = {
            str(value)
            for variable in ds.variables.values()
            for key in ("grid_mapping", "bounds")
            for value in (variable.attrs.get(key), variable.encoding.get(key))
        }
        missing = {str(dim) for dim in ds.dims} - {str(v) for v in ds.variables}
        ds = ds.assign_coords({dim: above[dim].load() for dim in sorted(missing) if dim in above.variables})
        ds = ds.assign(
            {key: above[key].load() for key in pointed if key in above.variables and key not in ds.variables}
        )
        above.close()
    ds.set_close(close)
    return ds
