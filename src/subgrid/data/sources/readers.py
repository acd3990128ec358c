"""Open files of each kind that is read, as lazy xarray data sets in the files' own names."""

from __future__ import annotations

import difflib
import os
import re
import uuid
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import xarray as xr

from subgrid.data.sources import netcdf3, stored_values, times
from subgrid.data.sources.decode_times import given_times, open_decoded
from subgrid.data.sources.file_kinds import name_unsupported
from subgrid.data.sources.grib import open_grib
from subgrid.data.sources.groups import GROUP, netcdf_groups, open_group, zarr_groups
from subgrid.errors import ConfigError, SourceError, SubgridError


def find_paths(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the files (or Zarr folders) that paths and globs stand for, sorted within each glob.

    Raises:
        SourceError: a path that does not exist, or a glob that matches nothing.
    """
    items = [source] if isinstance(source, str | Path) else list(source)
    if not items:
        raise SourceError("the source is an empty list. Name at least one file, folder or glob.")
    paths: list[Path] = []
    for item in items:
        text = str(item)
        if "://" in text:
            raise SourceError(
                f"{text}: remote addresses are not supported. Download the file, or open it with xarray and pass the "
                "Dataset."
            )
        path = Path(text).expanduser()
        if path.exists():
            paths.append(path)
        elif any(sign in text for sign in "*?["):
            root = Path(path.anchor)
            matches = sorted(hit for hit in root.glob(str(path.relative_to(root))) if hit.suffix != ".idx")
            if not matches:
                raise SourceError(f"no file matches {text!r}.{_nearest_path(path)}")
            paths += matches
        else:
            raise SourceError(f"{text!r} does not exist.{_nearest_path(path)}")
    return paths


def expand(path: str | list[str]) -> str | list[str]:
    """Fill in `~` and environment variables.

    Raises:
        ConfigError: for a variable that is not set.
    """
    if isinstance(path, list):
        return [str(expand(p)) for p in path]
    full = os.path.expandvars(os.path.expanduser(path))  # noqa: PTH111
    unset = re.search(r"\$\{?(\w+)", full)
    if unset:
        raise ConfigError(f"{path}: the environment variable {unset[1]} is not set. Set it to the folder of the data.")
    return full


def open_path(
    path: Path, *, variables: Sequence[str] | None, select: Mapping[str, Any], start: str | None, step: str | None
) -> list[xr.Dataset]:
    """Open one path lazily by what its first bytes say it is; GRIB gives a data set for each variable and kind of level.

    Raises:
        SourceError: a file of no known kind, or one that its reader cannot open.
    """
    if path.is_dir() or zipfile.is_zipfile(path):
        return [_open_zarr(path, select.get(GROUP))]
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"\x93NUMPY"):
        return [_open_npy(path, variables, start, step)]
    try:
        # CDF: classic NetCDF; HDF may follow a user block.
        if head.startswith(b"CDF") or b"\x89HDF" in head:
            if head.startswith(b"CDF"):
                netcdf3.require_complete(path)
            return [_open_netcdf(path, select.get(GROUP))]
        if b"GRIB" in head:
            return open_grib(path, variables, select)
    except SubgridError:
        raise
    except Exception as error:
        # The readers raise whatever their C libraries make of a broken file: OSError, RuntimeError, KeyError...
        raise SourceError(
            f"{path.name}: the file could not be opened ({type(error).__name__}: {_one_line(error)}). Check that it "
            "is complete (`ncdump -h`, `grib_ls`) and that its time units follow CF."
        ) from error
    raise SourceError(name_unsupported(path, head))


def _open_netcdf(path: Path, group: object) -> xr.Dataset:
    """Open a NetCDF file, with its times decoded."""

    def opened(name: str | None) -> xr.Dataset:
        options: dict[str, Any] = {"engine": "netcdf4", "cache": False, "decode_timedelta": False, "group": name}
        options["create_default_indexes"] = False  # which take half of the time, and are made later
        ds = open_decoded(
            lambda decode_times: _with_coords(xr.open_dataset(path, decode_times=decode_times, **options))
        )
        return stored_values.with_default_fill(ds)

    return open_group(opened, lambda: netcdf_groups(path), group, path.name)


def _with_coords(ds: xr.Dataset) -> xr.Dataset:
    """Read the coordinates of at most one dimension."""
    for name in ds.coords:
        if ds.variables[name].ndim < 2:
            ds.variables[name].load()
    return ds


class _Channel:
    """One channel of a memory-mapped (N, C, H, W) array, read by slices; dask would copy the map itself."""

    def __init__(self, array: np.ndarray, channel: int) -> None:
        self.array, self.channel = array, channel
        self.shape, self.dtype, self.ndim = (array.shape[0], *array.shape[2:]), array.dtype, 3

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        return np.asarray(self.array[:, self.channel][key])


def _open_npy(path: Path, variables: Sequence[str] | None, start: str | None, step: str | None) -> xr.Dataset:
    """Open an array of shape (N, C, H, W) without reading it; rows run north to south as they stand.

    Args:
        path: the file.
        variables: names of the C channels.
        start: time of the first field, ISO.
        step: time between fields, such as "1h".
    """
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim != 4 or array.dtype.kind not in "fiu":
        raise SourceError(
            f"{path.name}: holds {array.dtype} of shape {array.shape}; expected numbers of shape (N, C, H, W): times, "
            "variables, rows, columns. Reshape it, e.g. `array[:, None]` for one variable."
        )
    if not (variables and start and step):
        missing = [n for n, v in (("variables", variables), ("start", start), ("step", step)) if not v]
        raise SourceError(
            f"{path.name}: an .npy file holds no names and no times; {', '.join(missing)} must be given. Set e.g. "
            'variables = ["t2m", "d2m"], start = "2020-01-01T00:00" and step = "1h".'
        )
    count, channels, height, width = array.shape
    if len(variables) != channels:
        raise SourceError(
            f"{path.name}: the file has {channels} channels, but {len(variables)} variables are named "
            f"({', '.join(variables)}). Name every channel, in order."
        )
    dims = ("valid_time", "projection_y_coordinate", "projection_x_coordinate")
    from_array: Any = dask.array.from_array  # not typed
    # With a name, because dask would otherwise read the file to make one.
    chunks, token = (max(1, times.BLOCK_VALUES // (height * width)), height, width), uuid.uuid4().hex
    lazy = [from_array(_Channel(array, c), chunks=chunks, name=f"npy-{token}-{c}") for c in range(channels)]
    return xr.Dataset(
        {name: (dims, field) for name, field in zip(variables, lazy, strict=True)},
        coords={
            "valid_time": given_times(path.name, count, start, step),
            # y descends, so that the first row stays the first.
            dims[1]: (dims[1], np.arange(height, dtype=float)[::-1], {"units": "1"}),
            dims[2]: (dims[2], np.arange(width, dtype=float), {"units": "1"}),
        },
    )


def _open_zarr(path: Path, group: object) -> xr.Dataset:
    """Open a Zarr folder or zip, version 2 or 3, also where the one group is a folder inside the zip."""
    import zarr
    import zarr.storage

    root = ""
    store: Any = str(path)
    if path.is_dir():
        if not any((path / name).exists() for name in (".zgroup", "zarr.json", ".zmetadata")):
            raise SourceError(
                f"{path.name}: this folder is not a Zarr store. Give a glob of the files in it, such as "
                f"'{path.name}/*.nc'."
            )
    else:
        root = _zipped_group(path)
        store = zarr.storage.ZipStore(path, mode="r")

    def opened(name: str | None) -> xr.Dataset:
        full = "/".join(part for part in (root, name) if part)
        options: dict[str, Any] = {"group": full or None, "chunks": None, "decode_timedelta": False}
        # xarray looks for consolidated metadata at the root, also where a group is named.
        options["consolidated"] = False if full else None
        ds = open_decoded(lambda decode_times: xr.open_zarr(store, decode_times=decode_times, **options))
        zero = [key for key, variable in ds.variables.items() if variable.encoding.get("_FillValue") == 0]
        if zero and zarr.open_group(store, path=full, mode="r").metadata.zarr_format == 2:
            ds = stored_values.with_zeros(ds, xr.open_zarr(store, decode_cf=False, **options), zero)
        return ds

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unconsolidated metadata is no trouble here
            return open_group(opened, lambda: zarr_groups(store, root), group, path.name)
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(
            f"{path.name}: the Zarr store could not be opened ({type(error).__name__}: {_one_line(error)}). Check that "
            "it is complete, and that it opens with `xarray.open_zarr`."
        ) from error


def _zipped_group(path: Path) -> str:
    """Name the one topmost Zarr group in a zip file, "" for its root."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    folders = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in (".zgroup", "zarr.json")}
    top = sorted(f for f in folders if not any(f != g and (f"{f}/".startswith(f"{g}/") or not g) for g in folders))
    if len(top) == 1:
        return top[0]
    if top:
        raise SourceError(
            f"{path.name}: the zip holds {len(top)} Zarr groups ({', '.join(top[:5])}); expected one. Unzip it and "
            "name the group's folder."
        )
    raise SourceError(
        f"{path.name}: the zip holds no Zarr group (no .zgroup or zarr.json in it). Unzip it and name the files."
    )


def _nearest_path(path: Path) -> str:
    """Name what in the folder resembles a path that does not exist."""
    folder = path.parent
    while any(sign in str(folder) for sign in "*?["):
        folder = folder.parent
    if not folder.is_dir():
        return f" The folder {str(folder)!r} does not exist either: check the path."
    names = sorted(entry.name for entry in folder.iterdir() if entry.exists())  # without broken links
    close = [name for name in names if name.startswith(path.name)]
    close = close or difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    if close:
        return f" Did you mean {str(folder / close[0])!r}?"
    return f" The folder {str(folder)!r} holds {', '.join(names[:5]) or 'nothing'}{', ...' if len(names) > 5 else ''}."


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
