"""What identifies data: the state of source files, a digest of all that a batch can hold, and the chunks of a store."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.grid import spatial_dims
from subgrid.errors import RunError

SIGNIFICANT = 9
"""Digits of the scaling that count: the last ones of a mean depend on the processor."""


def file_state(path: Path) -> list[Any]:
    """Return what changes when a source changes: name, size in bytes and time of change in ns.

    Those of a Zarr folder stay when a chunk in it is written anew, so a digest over the states of all its files follows; no
    file is read.
    """
    status = path.stat()
    state = [path.name, status.st_size, status.st_mtime_ns]
    return [*state, _folder_digest(path)] if path.is_dir() else state


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for name, status in sorted(_walk(folder, "")):
        digest.update(f"{name}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _walk(folder: str | Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """All files below a folder with their states; `scandir` makes this quick for many chunks."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry.stat()


def store_digest(fine: str, coarse: str, static: xr.Dataset | None, hr: xr.Dataset, facts: Mapping[str, Any]) -> str:
    """Return a SHA-256 over everything that a batch can hold.

    Args:
        fine: digest of the fine fields.
        coarse: digest of the coarse fields.
        static: the static fields (y, x), or None.
        hr: the fine fields, for their times, splits and grid.
        facts: the JSON document of the store, with `variables`, `factor`, `periodic`, `vectors`, `statistics` and `static`.
    """
    scaling = {name: facts["statistics"][name] for name in facts["variables"]} | dict(facts.get("static", {}))
    content = {
        "fine": fine,
        "coarse": coarse,
        "static": None if static is None else fields_digest(static),
        "axes": axes_digest(hr),
        "scaling": {name: [f"{of[key]:.{SIGNIFICANT}g}" for key in ("mean", "std")] for name, of in scaling.items()},
        **{key: facts.get(key) for key in ("variables", "factor", "periodic", "vectors")},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def data_difference(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str | None:
    """Say in what the data of a store differ from those expected; None if in nothing that both describe.

    Args:
        found: the JSON document of the store.
        expected: that of another store, or what a run recorded of its store. Earlier versions recorded no digest, only a
            fingerprint of the fine fields.
    """
    if found["fingerprint"] != expected["fingerprint"]:
        return "its fine fields have other values"
    for key in ("factor", "method", "variables", "periods", "num_times", "static"):
        if found.get(key, {}) != expected.get(key, {}):
            return f"its {key} is {found.get(key)!r}, expected {expected.get(key)!r}"
    digests = found.get("digest"), expected.get("digest")
    if None not in digests and digests[0] != digests[1]:
        return "its coarse or static fields, times or scaling have other values"
    return None


def fields_digest(fields: xr.Dataset, blocks: Iterable[slice] = (slice(None),)) -> str:
    """Return a SHA-256 over the names and values of fields, which are read block by block along their first axis."""
    digest, blocks = hashlib.sha256(), list(blocks)
    for name in sorted(map(str, fields.data_vars)):
        digest.update(name.encode())
        for block in blocks:
            digest.update(np.ascontiguousarray(fields[name][block].values).tobytes())
    return digest.hexdigest()


def axes_digest(fine: xr.Dataset) -> str:
    """Return a SHA-256 over the times, splits and grid of fields."""
    y, x = spatial_dims(fine)
    times = ",".join(map(str, fine["valid_time"].values)).encode()
    parts = [times, *(np.ascontiguousarray(fine[name].values).tobytes() for name in ("split", y, x))]
    return hashlib.sha256(b"|".join(parts)).hexdigest()


def check_chunks(group: Path, variables: Iterable[str]) -> None:
    """Check that all chunks of arrays in a Zarr group are on disk: a lost one would read as missing values.

    Raises:
        RunError: for the first chunk that is not there, with its place.
    """
    for name in variables:
        meta = json.loads((group / name / "zarr.json").read_text(encoding="utf-8"))
        sides = meta["chunk_grid"]["configuration"]["chunk_shape"]
        counts = [math.ceil(size / side) for size, side in zip(meta["shape"], sides, strict=True)]
        chunks = group / name / "c"
        if chunks.is_dir() and sum(1 for _ in _walk(chunks, "")) >= math.prod(counts):
            continue
        place = next((at for at in product(*map(range, counts)) if not chunks.joinpath(*map(str, at)).is_file()), None)
        if place is not None:
            cells = ", ".join(
                f"{axis} {i * side} to {min((i + 1) * side, size) - 1}"
                for axis, i, side, size in zip(meta["dimension_names"], place, sides, meta["shape"], strict=True)
            )
            raise RunError(
                f"{group.parent} is damaged: of {name} in {group.name}, the chunk with {cells} (counted from 0) is not there. "
                f"Delete the folder {group.parent}, and make the store again (`subgrid prepare`)."
            )
