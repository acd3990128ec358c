"""From a configuration to a training store: open, coarsen, split, write."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subgrid.config import Config, DataConfig, load_config
from subgrid.data.grid import (
    crop_to_multiple,
    spatial_dims,
)
from subgrid.data.sources.open_source import open_source, wind_components
from subgrid.data.sources.readers import expand, find_paths
from subgrid.data.sources.times import describe_time
from subgrid.data.splits import SPLITS, split_times
from subgrid.data.static import static_fields
from subgrid.data.store import discard_partial, open_store, same_request, write_store
from subgrid.errors import ConfigError, RunError
from subgrid.io.console import Progress, silent


def prepare(
    config: str | Path | Mapping[str, Any] | Config,
    *,
    out: str | Path | None = None,
    source: xr.Dataset | None = None,
    overrides: Iterable[str] = (),
    progress: Progress = silent,
) -> Path:
    """Make the training store of a configuration, or find it already made.

    Args:
        config: a TOML file, settings, or a `Config`.
        out: folder of the store; `stores/<name>-<hash of the request>.zarr` by default, so that another request never
            replaces a store.
        source: an open Dataset in place of `data.source`.
        overrides: settings `key=value`.
        progress: called with (times done, times in all).

    Returns:
        The folder of the store.

    Raises:
        SubgridError: for configurations, sources and grids that cannot be used; nothing is lost.
    """
    resolved = load_config(config, overrides)
    data = resolved.data
    given = data.source if source is None else source
    if given is None:
        raise ConfigError(
            "data.source is missing: give a path, a glob or a list of them, or pass an open Dataset as source."
        )
    fields, coarse, notes = _pair(given, data)
    splits = split_times(fields["valid_time"], _periods(resolved), gap=data.gap, season=data.season)
    static, scales = _static(resolved, fields)
    request = _request(data, fields, None if source is not None else data.source)
    target = Path(out) if out is not None else _default_store(config, request)
    if target.exists():
        if same_request(target, request) and source is None:
            return target
        if not (target / "store.json").is_file():
            raise RunError(f"{target} exists and is no training store; choose another --out.")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source is not None:  # nothing tells two open data sets apart but their values
        discard_partial(target)
    return write_store(
        _plain(fields),
        target,
        splits=splits,
        factor=data.factor,
        method=data.coarsen,
        coarse=None if coarse is None else _plain(coarse),
        static=static,
        meta={**request, "static": scales, "vectors": wind_components(fields), "notes": notes},
        progress=progress,
    )


def describe_store(path: Path) -> list[str]:
    """What a store holds, in lines for the screen."""
    store = open_store(path)
    y, x = spatial_dims(store.hr)
    shape = f"{store.lr.sizes[y]} x {store.lr.sizes[x]} -> {store.hr.sizes[y]} x {store.hr.sizes[x]}"
    lines = [f"{', '.join(store.variables)}: {shape}, factor {store.factor}, coarsened by {store.meta['method']}"]
    for name in SPLITS:
        first, last = store.meta["periods"][name]
        lines.append(f"{name}: {store.meta['num_times'][name]} times, {first[:16]} to {last[:16]}")
    return lines + list(store.meta["notes"])


def _pair(source: str | list[str] | xr.Dataset, data: DataConfig) -> tuple[xr.Dataset, xr.Dataset | None, list[str]]:
    """Fine fields, coarse ones where they have a source of their own, and sentences on what was left out."""
    fields, cropped = crop_to_multiple(_open(source, data), data.factor)
    notes = [cropped] if cropped else []
    if data.coarse_source is None:
        return fields, None, notes
    fields, coarse, lost = _common_times(fields, _open(data.coarse_source, data))
    return fields, coarse, notes + ([lost] if lost else [])


def _open(source: str | list[str] | xr.Dataset, data: DataConfig) -> xr.Dataset:
    """One set of variables on times; refuses other dimensions."""
    fields = open_source(
        source if isinstance(source, xr.Dataset) else expand(source),
        variables=data.variables,
        select=data.select,
        start=data.start,
        step=data.step,
    )
    for name, field in fields.data_vars.items():
        extra = [str(d) for d in field.dims if d not in {"valid_time", *spatial_dims(fields)}]
        if extra:
            raise ConfigError(
                f"data.variables: {name} has the dimension {extra[0]} with {field.sizes[extra[0]]} values; training takes one. "
                f"Choose it: select = {{ {extra[0]} = {field[extra[0]].values[0]} }} under [data]."
            )
        if "valid_time" not in field.dims:
            raise ConfigError(f"data.variables: {name} has no time dimension; a static field goes under data.static.")
    return fields


def _periods(config: Config) -> dict[str, tuple[str, str] | None]:
    return {"train": config.data.train, "valid": config.data.valid, "test": config.data.test}


def _request(data: DataConfig, fields: xr.Dataset, source: str | list[str] | None) -> dict[str, Any]:
    """What makes a store another one: the settings, what they found, and the state of each file."""
    times, dims = fields["valid_time"].values, spatial_dims(fields)
    given = [s for s in (source, data.coarse_source, data.static_source) if s is not None]
    files = [path for s in given for path in find_paths(expand(s))]
    return {
        "data": data.model_dump(mode="json"),
        "source_text": str(fields.attrs.get("source", "")),
        "shape": {d: fields.sizes[d] for d in dims},
        "times": [str(times[0]), str(times[-1]), str(times.size)],
        "files": [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files],
    }


def _common_times(fine: xr.Dataset, coarse: xr.Dataset) -> tuple[xr.Dataset, xr.Dataset, str | None]:
    """Both on the times they share, and a sentence where some are dropped."""
    ours, theirs = fine["valid_time"], coarse["valid_time"]
    calendars = [times.dt.calendar for times in (ours, theirs)]
    if calendars[0] != calendars[1]:
        raise ConfigError(
            f"data.coarse_source: its calendar is {calendars[1]}, that of data.source {calendars[0]}; bring both to one, "
            "e.g. by `cdo setcalendar` or xarray's convert_calendar."
        )
    shared = np.intersect1d(ours.values, theirs.values)
    spans = [f"{describe_time(t.values[0])} to {describe_time(t.values[-1])}" for t in (ours, theirs)]
    if shared.size == 0:
        raise ConfigError(
            f"data.coarse_source: it shares no time with data.source; it runs from {spans[1]}, data.source from {spans[0]}."
        )
    said = None
    if shared.size < max(ours.size, theirs.size):
        said = (
            f"{shared.size} times are in both sources: fine {ours.size} ({spans[0]}), coarse {theirs.size} ({spans[1]})"
        )
    return fine.sel(valid_time=shared), coarse.sel(valid_time=shared), said


def _static(config: Config, fields: xr.Dataset) -> tuple[xr.Dataset | None, dict[str, dict[str, float]]]:
    """Static fields on the fine grid and the mean and standard deviation that scale each."""
    names = config.data.static
    if not names:
        return None, {}
    out = static_fields(names, config.data.static_source, fields)
    scales = {}
    for name in names:
        values = out[name].values.astype(np.float64)
        std = float(values.std())
        if not np.isfinite(std) or std == 0.0:
            raise ConfigError(
                f"data.static: {name} is constant or has missing values over the domain; leave it out or fill it."
            )
        scales[name] = {"mean": float(values.mean()), "std": std}
    return out, scales


def _plain(fields: xr.Dataset) -> xr.Dataset:
    """Fields with their dimension coordinates alone."""
    keep = {"valid_time", *spatial_dims(fields)}
    return fields.drop_vars([c for c in fields.coords if c not in keep])


def _default_store(config: object, request: Mapping[str, Any]) -> Path:
    """A folder named after the configuration and its request."""
    stem = Path(config).stem if isinstance(config, str | Path) else "data"
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:8]
    return Path("stores") / f"{stem}-{digest}.zarr"
