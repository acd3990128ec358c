"""Write docs/datasets.md: what `subgrid check` says of every file in a folder of real and made files.

    python benchmarks/make_datasets.py FOLDER [FOLDER ...] > docs/datasets.md

Values of files that open are compared with those that netCDF4, zarr or ecCodes reads from them directly: five cells at
random places and times of up to three variables must be in the file, at the same latitude and longitude where the file's
own axes tell them.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from subgrid.data.check import check
from subgrid.data.grid import spatial_dims
from subgrid.data.sources.open_source import open_source
from subgrid.errors import SubgridError


class Direct(NamedTuple):
    """Values as another library reads them, with the coordinates of their last axes where they have some."""

    values: np.ndarray
    y: np.ndarray | None = None
    x: np.ndarray | None = None


NUM_VALUES = 5
VERDICTS = {0: "usable", 1: "usable, with warnings", 2: "not usable"}
_HEAD = """# Data sets

For readers who want to know whether their kind of file is read: what `subgrid check FILE` says of every file of our
collection of real and made files, each of which is unusual in some way. `python benchmarks/make_datasets.py FOLDER` writes
this page. It also compares values with those that netCDF4, zarr or ecCodes reads from the same file directly.

| file | verdict | what `open_source` gives, or the first finding | values compared |
| --- | --- | --- | --- |"""


def files_of(folder: Path) -> list[Path]:
    """Files and Zarr folders, without descriptions."""
    return sorted(p for p in folder.iterdir() if p.suffix not in {".md", ".idx"} and not p.name.startswith("."))


def row(path: Path) -> str:
    """One line of the table."""
    report = check(path)
    levels = [finding.level for finding in report.findings]
    verdict = VERDICTS[2 if "error" in levels else 1 if "warning" in levels else 0]
    errors = [finding.text for finding in report.findings if finding.level == "error"]
    opened, compared = "", ""
    try:
        with open_source(path) as fields:
            opened = describe(fields)
            compared = compare(path, fields)
    except SubgridError as error:
        opened = str(error)
    if errors and not opened.startswith(errors[0][:40]):
        opened = f"{opened}. {errors[0]}" if compared else errors[0]
    cells = [f"`{path.name}`", verdict, " ".join(opened.split()).replace("|", "\\|"), compared]
    return f"| {' | '.join(cells)} |"


def describe(fields: xr.Dataset) -> str:
    """Variables and sizes."""
    names = [str(name) for name in fields.data_vars]
    sizes = ", ".join(f"{dim} {size}" for dim, size in fields.sizes.items())
    return f"{', '.join(names[:6])}{f' and {len(names) - 6} more' if len(names) > 6 else ''}: {sizes}"


def compare(path: Path, fields: xr.Dataset) -> str:
    """Compare values with a direct reading of the file: at their own coordinates where it has such axes."""
    rng = np.random.default_rng(0)
    try:
        direct = dict(eccodes_fields(path) if is_grib(path) else plain_fields(path))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        return f"not read directly ({type(error).__name__})"
    y, x = spatial_dims(fields)
    counts = {"placed": 0, "anywhere": 0, "no": 0}
    for name in list(fields.data_vars)[:3]:
        for _ in range(NUM_VALUES):
            at = {d: int(rng.integers(n)) for d, n in fields[name].sizes.items()}
            cell = fields[name].isel(at)
            counts[found(float(cell.values), float(cell[y]), float(cell[x]), direct, str(name))] += 1
    if counts["no"]:
        return f"**{counts['no']} of {sum(counts.values())} values are not in the file**"
    placed = f"{counts['placed']} at their coordinates" if counts["placed"] else ""
    return ", ".join(filter(None, (placed, f"{counts['anywhere']} in the file" if counts["anywhere"] else "")))


def found(value: float, y: float, x: float, direct: dict[str, Direct], name: str) -> str:
    """Where the file has a value: at its coordinates, somewhere, or nowhere."""
    candidates = [direct[name]] if name in direct else list(direct.values())
    for one in candidates:
        if one.y is not None and one.x is not None:
            distance = np.abs(one.y - y) + np.abs((one.x - x + 180) % 360 - 180)
            near = one.values[..., distance < 1e-3]
            if near.size and same(near, value):
                return "placed"
    return "anywhere" if any(same(one.values, value) for one in candidates) else "no"


def same(values: np.ndarray, value: float) -> bool:
    """Whether a value, to the digits of float32, is one of these."""
    if np.isnan(value):
        return bool(np.isnan(values).any())
    return bool(np.isclose(values, value, rtol=2e-6, atol=1e-30).any())


def is_grib(path: Path) -> bool:
    """Whether the first bytes are GRIB's."""
    return path.is_file() and b"GRIB" in path.open("rb").read(4096)


def plain_fields(path: Path) -> Iterator[tuple[str, Direct]]:
    """Variables of a NetCDF file or a Zarr folder as its own library decodes them."""
    if path.is_dir() or path.suffix == ".zip":
        import zarr

        store: Any = zarr.storage.ZipStore(path, mode="r") if path.suffix == ".zip" else path
        for name, array in zarr.open_group(store, mode="r").arrays():
            if array.ndim >= 2:
                scale, offset = (float(array.attrs.get(key, d)) for key, d in (("scale_factor", 1), ("add_offset", 0)))
                yield name, Direct(np.asarray(array[...], np.float64) * scale + offset)
        return
    import netCDF4

    with netCDF4.Dataset(path) as file:
        for group in (file, *file.groups.values()):
            for name, variable in group.variables.items():
                if variable.ndim >= 2 and variable.dtype is not str and np.dtype(variable.dtype).kind in "fiu":
                    values = np.ma.filled(variable[...].astype(np.float64), np.nan)
                    axes = [group.variables.get(dim) for dim in variable.dimensions[-2:]]
                    if all(axis is not None and axis.ndim == 1 for axis in axes):
                        y, x = (np.asarray(axis[...], np.float64) for axis in axes)
                        yield (
                            name,
                            Direct(values, np.broadcast_to(y[:, None], (y.size, x.size)), x[None] + 0 * y[:, None]),
                        )
                    else:
                        yield name, Direct(values)


def eccodes_fields(path: Path) -> Iterator[tuple[str, Direct]]:
    """All values of all messages with ecCodes' own latitudes and longitudes, by name."""
    import eccodes

    parts: dict[str, list[np.ndarray]] = {}
    with path.open("rb") as file:
        while (handle := eccodes.codes_grib_new_from_file(file)) is not None:
            eccodes.codes_set(handle, "missingValue", 1e34)
            try:
                points = [eccodes.codes_get_array(handle, key) for key in ("latitudes", "longitudes", "values")]
            except eccodes.CodesInternalError:
                points = [np.full(1, np.nan), np.full(1, np.nan), np.zeros(1)]
            points[2] = np.where(points[2] == 1e34, np.nan, points[2])
            for name in {eccodes.codes_get(handle, key) for key in ("shortName", "cfVarName")}:
                parts.setdefault(name, []).append(np.stack(points))
            eccodes.codes_release(handle)
    for name, messages in parts.items():
        latitude, longitude, values = np.concatenate(messages, axis=1)
        yield name, Direct(values, latitude, longitude)


def main() -> None:
    """Print the page."""
    warnings.simplefilter("ignore")
    print(_HEAD)
    for folder in map(Path, sys.argv[1:]):
        for path in files_of(folder):
            print(row(path), flush=True)


if __name__ == "__main__":
    main()
