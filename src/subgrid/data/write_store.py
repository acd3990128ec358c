"""Write a training store block by block, so that an interrupted preparation resumes and memory stays bounded."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Mapping
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr

from subgrid.data.blocks import as_indexer, read_blocks, time_blocks
from subgrid.data.findings import ValueCheck
from subgrid.data.grid import Method, check_nesting, coarsen, is_periodic, spatial_dims
from subgrid.data.identity import axes_digest, check_chunks, data_difference, fields_digest, store_digest
from subgrid.data.splits import SPLITS, Indices
from subgrid.data.store import AGAIN, FORMAT, partial_folder
from subgrid.errors import RunError, SourceError
from subgrid.io.atomic import read_json, remove, sync_tree, write_json
from subgrid.io.console import Progress, silent
from subgrid.io.exchange import replace_folder

BLOCK_BYTES = 32 * 2**20  # fine fields in memory at once
CHUNK_CELLS = 256 * 256  # approximate number of cells of one field in a Zarr chunk
EVERY_CHUNK = {"array.write_empty_chunks": True}  # so that a chunk that is not on disk is a lost one
_PARTIAL_NAMES = {"zarr.json", "hr", "lr", "static", "blocks.json", "store.json"}
SPLIT_ATTRS = {
    "long_name": "split of the training store",
    "flag_values": [1, 2, 3],
    "flag_meanings": "train valid test",
}


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
    replace: bool = True,
    progress: Progress = silent,
) -> Path:
    """Write paired fields block by block; memory does not grow with the number of times.

    The store is written to a folder next to `out` and renamed when it is complete. An interrupted preparation of the same
    request resumes with the first block that is missing.

    Args:
        fields: fine fields (valid_time, y, x), y and x multiples of `factor`.
        out: folder of the store; a store there is replaced, see `replace`.
        splits: positions along `valid_time` by split (see `split_times`).
        factor: fine cells per coarse cell along an axis.
        method: how to coarsen (see `subgrid.data.grid.coarsen`).
        coarse: coarse fields from a source of their own, on the same times, in whose cells the fine cells nest; None for
            coarsened fine fields.
        static: fields (y, x) on the fine grid.
        meta: facts to store, in JSON types. The same facts, times and grid are the same request.
        replace: replace a store at `out` whatever it holds; otherwise only if it holds the same data.
        progress: called with (times done, times in all).

    Returns:
        `out`.

    Raises:
        RunError: if a store with other data at `out` must not be replaced.
        SourceError: for missing and infinite values, and fill values that the source does not declare.
        GridError: if the fine grid does not nest in the grid of `coarse`.
    """
    order = as_indexer(np.sort(np.concatenate([splits[name] for name in SPLITS])))
    fine = _with_split(fields, splits).isel(valid_time=order)
    if coarse is not None:
        coarse = coarse.isel(valid_time=order)
        check_nesting(coarse, fine, factor)
    partial = partial_folder(out)
    variables = list(map(str, fields.data_vars))
    request = {**meta, "format": FORMAT, "factor": factor, "method": method, "variables": variables}
    _write_blocks(out, fine, coarse, request, progress)
    if static is not None:
        with zarr.config.set(EVERY_CHUNK):
            static.to_zarr(partial / "static", mode="w", zarr_format=3, consolidated=False)
    document = _describe(partial, fine, static, request)
    if out.exists() and not replace:
        _require_same_data(partial, out, document)
    return _finish(partial, out, document)


def _with_split(fields: xr.Dataset, splits: Mapping[str, Indices]) -> xr.Dataset:
    """Add the coordinate `split` along the times: 1 train, 2 valid, 3 test, 0 none of them."""
    flags = np.zeros(fields.sizes["valid_time"], dtype=np.int8)
    for number, name in enumerate(SPLITS, start=1):
        flags[splits[name]] = number
    return fields.assign_coords(split=("valid_time", flags, SPLIT_ATTRS))


def discard_partial(path: Path) -> None:
    """Remove what an interrupted preparation of the store at `path` has written.

    Raises:
        RunError: if the folder of that name holds something else.
    """
    partial = partial_folder(path)
    if partial.exists():
        names = (
            {file.name for file in partial.iterdir() if not file.name.endswith(".tmp")}
            if partial.is_dir()
            else {"a file"}
        )
        foreign = sorted(names - _PARTIAL_NAMES)
        if foreign:
            raise RunError(
                f"{partial} is needed for the incomplete store, but is something else (it holds {foreign[0]}); rename it, or "
                "choose another folder for the store (out, or --out)."
            )
        remove(partial)


def _write_blocks(
    out: Path, fine: xr.Dataset, coarse: xr.Dataset | None, request: dict[str, Any], progress: Progress
) -> None:
    """Write the blocks of times that are missing."""
    partial, axes = partial_folder(out), axes_digest(fine)
    done = _resume_at(partial, request, axes)
    fine_check, coarse_check = ValueCheck(), ValueCheck(kind="coarse ")
    num_times, blocks = fine.sizes["valid_time"], list(_blocks(fine))
    missing = [times for times in blocks if times.stop > done]
    for times in blocks[: len(blocks) - len(missing)]:
        progress(times.stop, num_times)
    pairs = zip(
        read_blocks(fine, missing), repeat(None) if coarse is None else read_blocks(coarse, missing), strict=False
    )
    for times, (block, small) in zip(missing, pairs, strict=True):
        block = _checked(block, fine_check)
        if small is None:
            small = coarsen(block, request["factor"], request["method"])
        else:
            small = _checked(small, coarse_check)
        if times.start == 0:
            discard_partial(out)
            _create_arrays(partial, block, small, num_times)
        _write_block(partial / "hr", block, times.start)
        _write_block(partial / "lr", small, times.start)
        write_json(partial / "blocks.json", {"request": request, "axes": axes, "done": times.stop})
        progress(times.stop, num_times)


def _blocks(fine: xr.Dataset) -> Iterator[slice]:
    """Blocks of times of about `BLOCK_BYTES`, in whole chunks, so that no chunk is written twice."""
    y, x = spatial_dims(fine)
    bytes_per_time = 4 * fine.sizes[y] * fine.sizes[x] * len(fine.data_vars)
    return time_blocks(fine.sizes["valid_time"], bytes_per_time, BLOCK_BYTES, multiple=_chunks(fine)["valid_time"])


def _chunks(fields: xr.Dataset) -> dict[str, int]:
    """Chunk sizes: several small fields, or part of a large one, so that a patch is read from one or a few chunks."""
    y, x = spatial_dims(fields)
    side = math.isqrt(CHUNK_CELLS)
    sizes = {d: fields.sizes[d] if fields.sizes[d] <= 2 * side else side for d in (y, x)}
    times = max(1, CHUNK_CELLS // (sizes[y] * sizes[x]))
    return {"valid_time": min(times, 32), **sizes}


def _checked(block: xr.Dataset, check: ValueCheck) -> xr.Dataset:
    """Convert a block to float32; raise SourceError for values that no training can use."""
    block = block.astype(np.float32)
    arrays = {name: field.values for name, field in block.data_vars.items()}
    check.add(arrays, {name: block[name].attrs for name in arrays}, block["valid_time"].values)
    return block


def _create_arrays(partial: Path, hr: xr.Dataset, lr: xr.Dataset, num_times: int) -> None:
    """Create the arrays of the store, empty, from the first block."""
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
    """Write one block of times into the arrays that `_create_arrays` made."""
    store, written = zarr.open_group(group, mode="r+"), list[Path]()
    for name, field in block.data_vars.items():
        array = store[str(name)]
        assert isinstance(array, zarr.Array)
        with zarr.config.set(EVERY_CHUNK):
            array[start : start + field.shape[0]] = field.values
        numbers = range(start // array.chunks[0], -(-(start + field.shape[0]) // array.chunks[0]))
        written += [group / str(name) / "c" / str(number) for number in numbers]
    sync_tree(*written)  # before the block is recorded as written


def _require_same_data(partial: Path, out: Path, document: Mapping[str, Any]) -> None:
    """Refuse to replace a store with other data; the new one is removed."""
    difference = data_difference(read_json(out / "store.json", AGAIN), document)
    if difference is None:
        return
    shutil.rmtree(partial, ignore_errors=True)
    raise RunError(
        f"{out} is a training store of other data, as its sources have changed: {difference}. Runs may have been trained "
        "on it. Choose another folder (out, or --out), or replace the store with overwrite=True (--overwrite)."
    )


def _describe(partial: Path, fine: xr.Dataset, static: xr.Dataset | None, request: dict[str, Any]) -> dict[str, Any]:
    """Write the time axis, and compute statistics and digest of what is on disk; return the JSON document of the store."""
    times = fine[["valid_time", "split"]].drop_attrs(deep=False).compute()
    times = times.drop_vars([c for c in times.coords if c not in {"valid_time", "split"}])
    for group in ("hr", "lr"):
        times.to_zarr(partial / group, mode="a", zarr_format=3, consolidated=False)
        check_chunks(partial / group, request["variables"])
    hr, lr = (xr.open_zarr(partial / group, consolidated=False, chunks=None) for group in ("hr", "lr"))
    with hr, lr:
        statistics, fingerprint = _statistics(hr)
        meta = {
            **request,
            "statistics": statistics,
            "fingerprint": fingerprint,
            "periodic": is_periodic(hr),
            "num_times": {name: int((hr["split"].values == i).sum()) for i, name in enumerate(SPLITS, start=1)},
            "periods": {name: _period(hr, i) for i, name in enumerate(SPLITS, start=1)},
        }
        coarse = fields_digest(lr[request["variables"]], _blocks(hr))
        meta["digest"] = store_digest(fingerprint, coarse, static, hr, meta)
    return meta


def _finish(partial: Path, out: Path, document: Mapping[str, Any]) -> Path:
    """Write the JSON document, and rename the folder."""
    sync_tree(partial)
    write_json(partial / "store.json", document)
    (partial / "blocks.json").unlink(missing_ok=True)
    replace_folder(partial, out)
    return out


def _statistics(hr: xr.Dataset) -> tuple[dict[str, dict[str, Any]], str]:
    """Mean, standard deviation, minimum and maximum of the training split, and a SHA-256 of all fine fields.

    Moments of blocks are merged as in Chan, Golub and LeVeque (1983), doi:10.1080/00031305.1983.10483115, so that a large
    mean (temperature in K) does not reduce precision.
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
                f"{name} is constant ({mean:g}) over the training split. Remove it from data.variables: there is nothing to "
                "learn from it."
            )
        attrs = {key: str(hr[name].attrs.get(key, "")) for key in ("units", "long_name", "standard_name")}
        out[name] = {"mean": mean, "std": std, "min": low, "max": high, "count": count, **attrs}
    return out, whole.hexdigest()


def _period(hr: xr.Dataset, flag: int) -> list[str]:
    times = hr["valid_time"].values[hr["split"].values == flag]
    return [str(times[0]), str(times[-1])]


def _resume_at(partial: Path, request: Mapping[str, Any], axes: str) -> int:
    """Number of times already written by an interrupted preparation of the same request."""
    try:
        state = read_json(partial / "blocks.json", "")
    except (FileNotFoundError, NotADirectoryError, RunError):
        return 0
    same = state.get("request") == json.loads(json.dumps(request)) and state.get("axes") == axes
    return int(state["done"]) if same else 0
