"""The training store: paired coarse and fine fields in Zarr, with splits, statistics and provenance.

Layout: groups `hr` and `lr` with the same variables and times on the two grids, `static` with fields of the fine grid that do
not change, a coordinate `split` along `valid_time` (1 train, 2 valid, 3 test), and one JSON document `store.json`, whose
presence says that the store is complete. Everything opens with
`xarray.open_zarr(store, group="hr", consolidated=False)`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.grid import spatial_dims
from subgrid.data.identity import check_chunks
from subgrid.data.splits import SPLITS, Indices
from subgrid.errors import RunError
from subgrid.io.atomic import read_json

FORMAT = 1
AGAIN = "Remove the store, and make it again (`subgrid prepare`)."
FILES_CHANGED = "its source files have changed"


@dataclass(frozen=True)
class Store:
    """An opened training store; the fields stay on disk until they are read.

    Attributes:
        path: its folder.
        hr: fine fields (valid_time, y, x).
        lr: coarse fields (valid_time, y, x).
        static: fine fields (y, x) that do not change, or None.
        meta: the JSON document: factor, method, variables, statistics, notes, fingerprint (of the fine fields) and digest
            (of everything that a batch can hold; earlier versions wrote none).
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
        """Whether the longitudes go round the globe."""
        return bool(self.meta["periodic"])

    def positions(self, split: str) -> Indices:
        """Positions of a split along `valid_time`."""
        return np.flatnonzero(self.hr["split"].values == SPLITS.index(split) + 1)


def open_store(path: str | Path) -> Store:
    """Open a training store.

    Args:
        path: its folder.

    Returns:
        The store, its fields still on disk.

    Raises:
        RunError: if there is no complete store, or a part of it was lost.
    """
    path = Path(path)
    if not (path / "store.json").is_file():
        interrupted = partial_folder(path).exists()
        hint = "Its preparation was interrupted; prepare it again to resume" if interrupted else "Make one"
        raise RunError(f"{path} is not a training store (no store.json in it). {hint} (`subgrid prepare`).")
    meta = read_json(path / "store.json", AGAIN)
    if meta.get("format") != FORMAT:
        raise RunError(
            f"{path} has store format {meta.get('format')!r}; this version reads {FORMAT}. Make the store again "
            "(`subgrid prepare`)."
        )
    hr, lr = (_open_group(path / group) for group in ("hr", "lr"))
    static = _open_group(path / "static") if (path / "static").is_dir() else None
    for group in ("hr", "lr"):
        check_chunks(path / group, meta["variables"])
    if "digest" in meta:  # earlier versions left out chunks of static fields that hold nothing but the fill value
        check_chunks(path / "static", meta.get("static", {}))
    return Store(path, hr, lr, static, meta)


def _open_group(path: Path) -> xr.Dataset:
    """Open a group of a store, its fields still on disk."""
    try:
        fields: xr.Dataset = xr.open_zarr(path, consolidated=False, chunks=None)
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:  # broken JSON is a ValueError
        raise RunError(f"{path} is damaged or missing ({error}). {AGAIN}") from None
    return fields


def describe_store(path: str | Path) -> list[str]:
    """Say what a store holds, in lines of text: variables, grids, times of each split, and what was left out."""
    store = open_store(path)
    y, x = spatial_dims(store.hr)
    shape = f"{store.lr.sizes[y]} x {store.lr.sizes[x]} -> {store.hr.sizes[y]} x {store.hr.sizes[x]}"
    own = store.meta.get("data", {}).get("coarse_source")
    coarse = "coarse fields from their own source" if own else f"coarsened by {store.meta['method']}"
    lines = [f"{', '.join(store.variables)}: {shape}, factor {store.factor}, {coarse}"]
    for name in SPLITS:
        first, last = store.meta["periods"][name]
        lines.append(f"{name}: {store.meta['num_times'][name]} times, {first[:16]} to {last[:16]}")
    kinds = ", ".join(f"{name} ({kind})" for name, kind in store.meta.get("vectors", {}).items())
    lines.append(f"components of vectors: {kinds or 'none'}; data.vectors changes this")
    return lines + list(store.meta["notes"])


def other_request(path: Path, request: Mapping[str, Any]) -> str | None:
    """Say in what the complete store at `path` differs from this request; None if in nothing."""
    meta, wanted = read_json(path / "store.json", AGAIN), json.loads(json.dumps(request))
    before, now = meta.get("files", []), wanted.get("files", [])
    if now and len(before) == len(now):  # earlier versions recorded less of a Zarr folder
        wanted["files"] = [new[: len(old)] for new, old in zip(now, before, strict=True)]
    for key, value in wanted.items():
        old = meta.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            for name in {**value, **old}:
                was, now = old.get(name), value.get(name)
                if was != now and (was or now):  # a setting that is empty may be left out, as by earlier versions
                    return f"{key}.{name} was {was!r} and is now {now!r}"
        elif old != value and (old or value):
            return FILES_CHANGED if key == "files" else f"{key} was {old!r} and is now {value!r}"
    return None


def partial_folder(path: Path) -> Path:
    """Where the store of this folder is written until it is complete."""
    return path.with_name(path.name + ".partial")
