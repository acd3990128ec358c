"""The training store: paired coarse and fine fields in Zarr, with splits, statistics and provenance.

Layout: groups `hr` and `lr` with the same variables and times on the two grids, `static` with fields of the fine grid that do
not change, a coordinate `split` along `valid_time` (1 train, 2 valid, 3 test), and one JSON document `store.json`, whose
presence says that the store is complete. Everything opens with
`xarray.open_zarr(store, group="hr", consolidated=False)`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr

from subgrid.data.blocks import time_blocks
from subgrid.data.grid import Method, check_nesting, coarsen, is_periodic, spatial_dims
from subgrid.data.sources.times import describe_time
from subgrid.data.splits import SPLITS, Indices
from subgrid.errors import RunError, SourceError
from subgrid.io.atomic import write_json
from subgrid.io.console import Progress, silent

BLOCK_BYTES = 32 * 2**20  # fine fields held at once while preparing
CHUNK_CELLS = 256 * 256  # cells of one field in a Zarr chunk, about
FORMAT = 1


@dataclass(frozen=True)
class Store:
    """An opened training store; the fields stay on disk until they are read.

    Attributes:
        path: its folder.
        hr: fine fields (valid_time, y, x).
        lr: coarse fields (valid_time, y, x).
        static: fine fields (y, x) that do not change, or None.
        meta: the JSON document: factor, method, variables, statistics, fingerprint, notes.
    """

    path: Path
    hr: xr.Dataset
    lr: xr.Dataset
    static: xr.Dataset | None
    meta: dict[str, Any]

    @property
    def factor(self) -> int:
        """Fine cells per coarse cell along an axis."""
        return int(self.meta["factor"])

    @property
    def variables(self) -> list[str]:
        """Names of the variables, in channel order."""
        return list(self.meta["variables"])

    @property
    def periodic(self) -> bool:
        """Whether the longitudes close the circle."""
        return bool(self.meta["periodic"])

    def positions(self, split: str) -> Indices:
        """Positions of a split along `valid_time`."""
        return np.flatnonzero(self.hr["split"].values == SPLITS.index(split) + 1)


def write_store(
    fields: xr.Dataset,
    out: Path,
    *,
    splits: Mapping[str, Indices],
    factor: int,
    method: Method = "mean",
    coarse: xr.Dataset | None = None,
    static: xr.Dataset | None = None,
    meta: Mapping[str, Any],
    progress: Progress = silent,
) -> Path:
    """Write the paired fields block by block; memory does not grow with the number of times.

    The store is written beside `out` and moved there when complete. A run cut off goes on with the first block that is not
    there yet, if the request is the same.

    Args:
        fields: fine fields (valid_time, y, x), y and x multiples of `factor`.
        out: folder to make; replaced if it holds a store of another request.
        splits: positions along `valid_time` by split (see `split_times`).
        factor: fine cells per coarse cell along an axis.
        method: how to coarsen (see `subgrid.data.grid.coarsen`).
        coarse: real coarse fields on the same times whose cells nest; None makes them by coarsening.
        static: fields (y, x) on the fine grid.
        meta: facts kept with the store; must be JSON. The same facts, times and grid mean the same request.
        progress: called with (times done, times in all).

    Returns:
        `out`.

    Raises:
        SourceError: for missing or infinite values, naming variable and time.
        GridError: if a given coarse grid does not nest.
    """
    order = np.sort(np.concatenate([splits[name] for name in SPLITS]))
    flags = np.zeros(fields.sizes["valid_time"], dtype=np.int8)
    for number, name in enumerate(SPLITS, start=1):
        flags[splits[name]] = number
    fine = fields.isel(valid_time=order).assign_coords(split=("valid_time", flags[order], SPLIT_ATTRS))
    if coarse is not None:
        coarse = coarse.isel(valid_time=order)
        check_nesting(coarse, fine, factor)
    partial = _partial(out)
    request = {
        **meta,
        "format": FORMAT,
        "factor": factor,
        "method": method,
        "variables": list(map(str, fields.data_vars)),
    }
    _write_blocks(partial, fine, coarse, request, progress)
    if static is not None:
        static.to_zarr(partial / "static", mode="w", zarr_format=3, consolidated=False)
    return _finish(partial, out, fine, request)


SPLIT_ATTRS = {
    "long_name": "split of the training store",
    "flag_values": [1, 2, 3],
    "flag_meanings": "train valid test",
}


def open_store(path: str | Path) -> Store:
    """Open a training store.

    Args:
        path: its folder.

    Returns:
        The store, its fields still on disk.

    Raises:
        RunError: if there is no complete store.
    """
    path = Path(path)
    if not (path / "store.json").is_file():
        hint = (
            " Its preparation was cut off: run `subgrid prepare` again, it goes on." if _partial(path).exists() else ""
        )
        raise RunError(
            f"{path} is not a training store (no store.json in it).{hint or ' Make one with `subgrid prepare`.'}"
        )
    meta = json.loads((path / "store.json").read_text())
    if meta.get("format") != FORMAT:
        raise RunError(
            f"{path} has store format {meta.get('format')!r}, this version reads {FORMAT}; make it again with "
            "`subgrid prepare`."
        )
    hr, lr = (xr.open_zarr(path / group, consolidated=False, chunks=None) for group in ("hr", "lr"))
    static = None
    if (path / "static").is_dir():
        static = xr.open_zarr(path / "static", consolidated=False, chunks=None)
    return Store(path, hr, lr, static, meta)


def describe_store(path: str | Path) -> list[str]:
    """Say what a store holds, in lines of text: variables, grids, times of each split, and what was left out."""
    store = open_store(path)
    y, x = spatial_dims(store.hr)
    shape = f"{store.lr.sizes[y]} x {store.lr.sizes[x]} -> {store.hr.sizes[y]} x {store.hr.sizes[x]}"
    lines = [f"{', '.join(store.variables)}: {shape}, factor {store.factor}, coarsened by {store.meta['method']}"]
    for name in SPLITS:
        first, last = store.meta["periods"][name]
        lines.append(f"{name}: {store.meta['num_times'][name]} times, {first[:16]} to {last[:16]}")
    return lines + list(store.meta["notes"])


def same_request(path: Path, request: Mapping[str, Any]) -> bool:
    """Whether a complete store at `path` was made from this request (all facts in `request` equal)."""
    if not (path / "store.json").is_file():
        return False
    meta = json.loads((path / "store.json").read_text())
    return all(meta.get(key) == value for key, value in json.loads(json.dumps(request)).items())


def discard_partial(path: Path) -> None:
    """Forget an interrupted preparation of the store at `path`."""
    shutil.rmtree(_partial(path), ignore_errors=True)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def _blocks(fine: xr.Dataset) -> Iterator[slice]:
    """Blocks of times of about `BLOCK_BYTES`, in whole chunks, so that no chunk is written twice."""
    y, x = spatial_dims(fine)
    bytes_per_time = 4 * fine.sizes[y] * fine.sizes[x] * len(fine.data_vars)
    return time_blocks(fine.sizes["valid_time"], bytes_per_time, BLOCK_BYTES, multiple=_chunks(fine)["valid_time"])


def _chunks(fields: xr.Dataset) -> dict[str, int]:
    """Chunk sizes: small fields share a chunk, large ones are cut, so that a patch costs one or a few chunks."""
    y, x = spatial_dims(fields)
    side = math.isqrt(CHUNK_CELLS)
    sizes = {d: fields.sizes[d] if fields.sizes[d] <= 2 * side else side for d in (y, x)}
    times = max(1, CHUNK_CELLS // (sizes[y] * sizes[x]))
    return {"valid_time": min(times, 32), **sizes}


def _finite(block: xr.Dataset, kind: str = "") -> xr.Dataset:
    """Refuse a block with missing or infinite values; give it back as float32."""
    for name, field in block.data_vars.items():
        bad = ~np.isfinite(field.values)
        if bad.any():
            times = [describe_time(t) for t in block["valid_time"].values]
            first = times[int(np.argmax(bad.reshape(bad.shape[0], -1).any(1)))]
            raise SourceError(
                f"{kind}{name}: {bad.sum()} of {bad.size} values from {times[0]} to {times[-1]} are missing or infinite, first "
                f"at {first}. Training needs complete fields: choose a period or region without gaps, or fill them first "
                "(`subgrid check` shows where they are)."
            )
    return block.astype(np.float32)


def _write_blocks(
    partial: Path, fine: xr.Dataset, coarse: xr.Dataset | None, request: dict[str, Any], progress: Progress
) -> None:
    """Write the blocks of times that are not there yet."""
    axes = _axes_digest(fine)
    done = _resume_at(partial, request, axes)
    for times in _blocks(fine):
        if times.stop > done:
            block = _finite(fine.isel(valid_time=times).load())
            if coarse is None:
                small = coarsen(block, request["factor"], request["method"])
            else:
                small = _finite(coarse.isel(valid_time=times).load(), "coarse ")
            if times.start == 0:
                _lay_out(partial, block, small, fine.sizes["valid_time"])
            _write_block(partial / "hr", block, times.start)
            _write_block(partial / "lr", small, times.start)
            write_json(partial / "blocks.json", {"request": request, "axes": axes, "done": times.stop})
        progress(times.stop, fine.sizes["valid_time"])


def _lay_out(partial: Path, hr: xr.Dataset, lr: xr.Dataset, num_times: int) -> None:
    """Create the arrays of the store, empty, from the first block."""
    if partial.exists():
        shutil.rmtree(partial)
    zarr.create_group(partial)
    for group, block in (("hr", hr), ("lr", lr)):
        y, x = spatial_dims(block)
        root = block.drop_dims("valid_time").assign_coords({d: block[d] for d in (y, x)}).drop_attrs(deep=False)
        root.to_zarr(partial / group, mode="w", zarr_format=3, consolidated=False)
        store = zarr.open_group(partial / group, mode="r+")
        chunks = _chunks(hr)
        if group == "lr":
            ratio = hr.sizes[spatial_dims(hr)[0]] // lr.sizes[y]
            chunks = {"valid_time": chunks["valid_time"], **{d: max(1, chunks[d] // ratio) for d in (y, x)}}
        for name, field in block.data_vars.items():
            array = store.create_array(
                str(name),
                shape=(num_times, *field.shape[1:]),
                chunks=tuple(
                    min(chunks[str(d)], n) for d, n in zip(field.dims, (num_times, *field.shape[1:]), strict=True)
                ),
                dtype="float32",
                dimension_names=[str(d) for d in field.dims],
                fill_value=float("nan"),
            )
            array.attrs.update({k: v for k, v in field.attrs.items() if isinstance(v, str | int | float)})


def _write_block(group: Path, block: xr.Dataset, start: int) -> None:
    """Write one block of times into the arrays that `_lay_out` made."""
    store = zarr.open_group(group, mode="r+")
    for name, field in block.data_vars.items():
        array = store[str(name)]
        assert isinstance(array, zarr.Array)
        array[start : start + field.shape[0]] = field.values


def _finish(partial: Path, out: Path, fine: xr.Dataset, request: dict[str, Any]) -> Path:
    """Write the time axis, then statistics and fingerprint from what is on disk, then move the store in place."""
    times = fine[["valid_time", "split"]].drop_attrs(deep=False).compute()
    times = times.drop_vars([c for c in times.coords if c not in {"valid_time", "split"}])
    for group in ("hr", "lr"):
        times.to_zarr(partial / group, mode="a", zarr_format=3, consolidated=False)
    with xr.open_zarr(partial / "hr", consolidated=False, chunks=None) as hr:
        statistics, fingerprint = _statistics(hr)
        meta = {
            **request,
            "statistics": statistics,
            "fingerprint": fingerprint,
            "periodic": is_periodic(hr),
            "num_times": {name: int((hr["split"].values == i).sum()) for i, name in enumerate(SPLITS, start=1)},
            "periods": {name: _period(hr, i) for i, name in enumerate(SPLITS, start=1)},
        }
    write_json(partial / "store.json", meta)
    (partial / "blocks.json").unlink(missing_ok=True)
    old = out.with_name(out.name + ".old")  # a store half removed could look whole
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        os.replace(out, old)
    os.replace(partial, out)
    shutil.rmtree(old, ignore_errors=True)
    return out


def _statistics(hr: xr.Dataset) -> tuple[dict[str, dict[str, Any]], str]:
    """Mean, standard deviation, minimum and maximum of the training split, and a hash of all fine fields.

    Moments of blocks are merged as in Chan, Golub and LeVeque (1983), doi:10.1080/00031305.1983.10483115, so that a large
    mean (temperature in K) costs no digits.
    """
    out: dict[str, dict[str, Any]] = {}
    whole = hashlib.sha256()
    for name in sorted(map(str, hr.data_vars)):
        count, mean, m2, low, high = 0, 0.0, 0.0, math.inf, -math.inf
        for times in _blocks(hr[[name]]):
            block: npt.NDArray[np.float32] = hr[name].isel(valid_time=times).values
            whole.update(np.ascontiguousarray(block).tobytes())
            train = block[hr["split"].values[times] == 1].astype(np.float64)
            if train.size == 0:
                continue
            n, block_mean = train.size, float(train.mean())
            delta = block_mean - mean
            m2 += float(((train - block_mean) ** 2).sum()) + delta**2 * count * n / (count + n)
            mean += delta * n / (count + n)
            count += n
            low, high = min(low, float(train.min())), max(high, float(train.max()))
        std = math.sqrt(m2 / count)
        if std == 0.0:
            raise SourceError(
                f"{name}: constant ({mean:g}) over the training split; there is nothing to learn. Leave it out."
            )
        attrs = {key: str(hr[name].attrs.get(key, "")) for key in ("units", "long_name", "standard_name")}
        out[name] = {"mean": mean, "std": std, "min": low, "max": high, "count": count, **attrs}
    return out, whole.hexdigest()


def _period(hr: xr.Dataset, flag: int) -> list[str]:
    times = hr["valid_time"].values[hr["split"].values == flag]
    return [str(times[0]), str(times[-1])]


def _axes_digest(fine: xr.Dataset) -> str:
    """A hash of what the blocks are cut along: times, splits and grid."""
    y, x = spatial_dims(fine)
    times = ",".join(map(str, fine["valid_time"].values)).encode()
    parts = [times, *(np.ascontiguousarray(fine[name].values).tobytes() for name in ("split", y, x))]
    return hashlib.sha256(b"|".join(parts)).hexdigest()


def _resume_at(partial: Path, request: Mapping[str, Any], axes: str) -> int:
    """Number of times already written by an interrupted preparation of the same request."""
    try:
        state = json.loads((partial / "blocks.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return 0
    same = state.get("request") == json.loads(json.dumps(request)) and state.get("axes") == axes
    return int(state["done"]) if same else 0
