"""From a configuration to a training store: open the sources, split the times, write the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from glob import escape
from pathlib import Path
from typing import Any

import xarray as xr

from subgrid.config.schema import Config, DataConfig, load_config
from subgrid.data.identity import file_state
from subgrid.data.pairs import Pair, open_pair, source_files
from subgrid.data.splits import split_times
from subgrid.data.store import FILES_CHANGED, FORMAT, other_request
from subgrid.data.write_store import discard_partial, write_store
from subgrid.errors import ConfigError, RunError
from subgrid.io.console import Notify, Progress, silent
from subgrid.io.lock import locked_output
from subgrid.io.output import refuse_inputs


def prepare(
    config: str | Path | Mapping[str, Any] | Config,
    *,
    out: str | Path | None = None,
    source: xr.Dataset | None = None,
    overrides: Iterable[str] = (),
    overwrite: bool = False,
    progress: Progress = silent,
    notify: Notify = silent,
) -> Path:
    """Make the training store of a configuration, or return the one that was made before.

    Args:
        config: a TOML file, settings, or a `Config`.
        out: folder of the store; `stores/<name>-<hash of the request>.zarr` by default, so that no other request replaces
            the store.
        source: an open Dataset in place of `data.source`.
        overrides: settings `key=value`.
        overwrite: replace a store at `out` that was made for another request; runs that were trained on it can then no
            longer be evaluated or resumed.
        progress: called with (times done, times in all).
        notify: called with a message if another process is preparing this store: the call waits for it, and shares the
            store if it is that of the same request.

    Returns:
        The folder of the store.

    Raises:
        SubgridError: for configurations, sources and grids that cannot be used. An existing store is then left as it is.
    """
    settings = load_config(config, overrides).data
    made = _unchanged(settings, config, out) if source is None else None
    if made is not None:
        return made
    pair = _open(settings, source)
    periods = {"train": settings.train, "valid": settings.valid, "test": settings.test}
    splits = split_times(pair.fine["valid_time"], periods, gap=settings.gap, season=settings.season)
    request = _request(settings, pair)
    target = Path(out) if out is not None else _default_store(config, request)
    refuse_inputs(target, pair.files)
    with locked_output(target, waiting=notify):
        if target.exists() and _is_usable(target, request, source, overwrite):
            return target
        if source is not None:  # two open data sets may differ in nothing but their values
            discard_partial(target)
        return write_store(
            pair.fine,
            target,
            splits=splits,
            factor=settings.factor,
            method=settings.coarsen,
            coarse=pair.coarse,
            static=pair.static,
            meta={**request, "static": pair.static_scale, "vectors": pair.vectors, "notes": pair.notes},
            replace=overwrite,
            progress=progress,
        )


def _unchanged(settings: DataConfig, config: object, out: str | Path | None) -> Path | None:
    """Find the store that was made with these settings from these files; no file is opened, which takes long for thousands."""
    if settings.source is None:
        return None
    files = source_files(settings.source, settings.coarse_source, settings.static_source)
    wanted = {"data": _data(settings), "files": [file_state(path) for path in files], "format": FORMAT}
    folders = Path("stores").glob(f"{escape(_stem(config))}-*.zarr") if out is None else [Path(out)]
    for document in (folder / "store.json" for folder in folders):
        if document.is_file():
            made = json.loads(document.read_text())
            # Earlier versions wrote no digest; they may have read the same files otherwise.
            if "digest" in made and all(made.get(key) == value for key, value in wanted.items()):
                return document.parent
    return None


def _is_usable(target: Path, request: Mapping[str, Any], source: xr.Dataset | None, overwrite: bool) -> bool:
    """Whether what is at `target` is the store of this request; False if it is made again.

    Files that were copied or touched, and an open Dataset, may hold the same data as before: that is known when the store has
    been made again.

    Raises:
        RunError: if it is something else, unless it is a store and `overwrite` is given.
    """
    if not (target / "store.json").is_file():
        raise RunError(f"{target} exists and is not a training store. Choose another folder (out, or --out).")
    difference = other_request(target, {"converted": [], **request})
    if difference in (None, FILES_CHANGED) or overwrite:
        return difference is None and source is None
    raise RunError(
        f"{target} is a training store of another request: {difference}. Runs may have been trained on it. Choose another "
        "folder (out, or --out), or replace the store with overwrite=True (--overwrite)."
    )


def _open(settings: DataConfig, source: xr.Dataset | None) -> Pair:
    """Open the sources of a configuration, or an open Dataset in place of the fine source."""
    fine_source = settings.source if source is None else source
    if fine_source is None:
        raise ConfigError(
            "data.source is missing: give a path, a glob or a list of them, or pass an open Dataset as source."
        )
    return open_pair(
        fine_source,
        variables=settings.variables,
        factor=settings.factor,
        select=settings.select,
        start=settings.start,
        step=settings.step,
        coarse_source=settings.coarse_source,
        coarse_select=settings.coarse_select,
        static=settings.static,
        static_source=settings.static_source,
        vectors=settings.vectors,
    )


def _request(settings: DataConfig, pair: Pair) -> dict[str, Any]:
    """What identifies a store: the settings, the source with its grid and times, and the state of each file."""
    times = pair.fine["valid_time"].values
    # Versions that did not convert units paired the fields as they were: such a store is another one.
    converted = {"converted": pair.converted} if pair.converted else {}
    return {
        "data": _data(settings),
        **converted,
        "source_text": str(pair.fine.attrs.get("source", "")),
        "shape": {name: size for name, size in pair.fine.sizes.items() if name != "valid_time"},
        "times": [str(times[0]), str(times[-1]), str(times.size)],
        "files": [file_state(path) for path in pair.files],
    }


def _data(settings: DataConfig) -> dict[str, Any]:
    new: dict[str, Any] = {"vectors": {}, "coarse_select": None}  # stores of versions without these settings stay valid
    data = settings.model_dump(mode="json")
    return {key: value for key, value in data.items() if key not in new or value != new[key]}


def _stem(config: object) -> str:
    return Path(config).stem if isinstance(config, str | Path) else "data"


def _default_store(config: object, request: Mapping[str, Any]) -> Path:
    """A folder named after the configuration and its request."""
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:8]
    return Path("stores") / f"{_stem(config)}-{digest}.zarr"
