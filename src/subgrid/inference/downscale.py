"""Coarse fields to fine ones: the use of a trained system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr
from torch import nn

from subgrid.data.grid import is_periodic, refine_coords, same_axis, spatial_dims
from subgrid.data.scaling import Field
from subgrid.data.sources import readers
from subgrid.data.sources.open_source import open_source, restore_names
from subgrid.data.sources.units import same_units, stated_units
from subgrid.data.static import static_fields
from subgrid.errors import GridError, RunError, SourceError
from subgrid.inference.super_resolve import pick_device, super_resolve
from subgrid.io.console import Notify, Progress, silent
from subgrid.io.output import check_target, open_fields, write_fields
from subgrid.networks import Weights, describe_weights, load_generator
from subgrid.run import Run, load_run

CELLS_AT_ONCE = 256 * 1024  # coarse cells of one channel in a block


def downscale(
    run: str | Path,
    source: str | Path | Sequence[str | Path] | xr.Dataset,
    out: str | Path | None = None,
    *,
    weights: Weights = "last",
    interpolate: float | None = None,
    select: Mapping[str, Any] | None = None,
    static_source: str | Path | xr.Dataset | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    notify: Notify = silent,
) -> xr.Dataset:
    """Super-resolve coarse fields of any size with a trained system.

    Args:
        run: a run directory.
        source: coarse fields, files or an open Dataset, with the run's variables in its units.
        out: `.nc` or `.zarr` to write, block by block; without it the fine fields come back in memory.
        weights: `last`, `best` or `content`.
        interpolate: from 0, the content weights, to 1, the last ones; see `load_generator`.
        select: labels to pick along other dimensions, such as `{"level": 850}`.
        static_source: static fields that cover the domain, where the run uses any and the grid is not that of training.
        overwrite: replace `out` if it exists.
        progress: called with (blocks done, blocks in all).
        notify: called with each message for the user.

    Returns:
        The fine fields, with the source's names, orientation and attributes: in memory, or lazily from `out`.

    Raises:
        RunError: if the run or its weights are missing, or `out` is there already or of an unknown ending.
        SourceError: for missing variables, other units, missing values.
        GridError: for grids it cannot work on.
    """
    opened = load_run(run)
    if not opened.config.conditional:
        raise RunError(
            f"{opened.path} is a {opened.config.system}, which draws fields from noise and takes no coarse ones; use "
            "`subgrid sample RUN OUT`."
        )
    target = None if out is None else check_target(Path(out), overwrite)
    generator = load_generator(opened, weights, interpolate).to(pick_device())
    coarse = open_source(source, variables=opened.variables, select=select).assign_attrs(_own_attrs(source))
    _check_units(opened, coarse)
    for remark in _remarks(opened, coarse):
        notify(remark)
    static = _static(opened, coarse, static_source)
    fine = restore_names(_fine(opened, generator, coarse, static, progress))
    fine.attrs |= {
        "history": _history(opened, coarse, describe_weights(weights, interpolate)),
        "Conventions": "CF-1.11",
    }
    with dask.config.set(scheduler="synchronous"):  # the generator uses all cores itself
        if target is None:
            return fine.compute()
        write_fields(fine, target)
    return open_fields(target)


def _own_attrs(source: str | Path | Sequence[str | Path] | xr.Dataset) -> dict[str, Any]:
    """The source's own title, institution, history and the like; `open_source` sets its own in their place."""
    if isinstance(source, xr.Dataset):
        attrs = dict(source.attrs)
    else:
        path = readers.find_paths(source)[0]
        if path.suffix == ".npy":
            return {}
        parts = readers.open_path(path, variables=None, start=None, step=None)
        attrs = dict(parts[0].attrs)
        for part in parts:
            part.close()
    return {key: value for key, value in attrs.items() if not str(key).startswith("subgrid_") and key != "grid_mapping"}


def _check_units(run: Run, coarse: xr.Dataset) -> None:
    """Refuse values in other units than those trained on: a field in degrees Celsius would pass, 273 off."""
    for name in run.variables:
        want, got = (stated_units(about.get("units")) for about in (run.statistics[name], coarse[name].attrs))
        if want and got and not same_units(want, got):
            raise SourceError(
                f"{name}: the source is in {got!r}, the run was trained in {want!r}; convert the source "
                f"(and set its units attribute) first."
            )


def _remarks(run: Run, coarse: xr.Dataset) -> list[str]:
    """What differs from training and may matter."""
    out = []
    y, _ = spatial_dims(coarse)
    trained = run.grid[f"{y}_coarse"].values if f"{y}_coarse" in run.grid else None
    if trained is None:
        out.append(f"the run was trained on another kind of grid than the source's ({', '.join(spatial_dims(coarse))})")
    elif trained.size > 1 and coarse.sizes[y] > 1:
        was, now = (float(np.abs(np.median(np.diff(axis)))) for axis in (trained, coarse[y].values))
        if abs(now / was - 1) > 0.1:
            out.append(
                f"the source's cells are {now:g} wide, the run was trained on {was:g}: it adds the texture of that scale"
            )
    return out


def _static(run: Run, coarse: xr.Dataset, source: str | Path | xr.Dataset | None) -> Field:
    """The run's static fields on the fine grid of this source, as scaled channels."""
    names = list(run.static_scale)
    dims = spatial_dims(coarse)
    factor = run.config.data.factor
    target = xr.Dataset(coords=refine_coords(coarse, factor))
    if not names:
        return np.zeros((0, 0, 0), dtype=np.float32)
    if source is None and all(d in run.grid.coords and same_axis(run.grid[d], target[d]) for d in dims):
        return run.static_channels()
    given = source if source is not None else run.grid[[n for n in names if n in run.grid]]
    try:
        return run.static_channels(static_fields(names, given, target))  # type: ignore[arg-type]
    except GridError as error:
        raise GridError(
            f"{error} Pass static_source (--static FILE) with {', '.join(names)} over this domain."
        ) from error


def _fine(run: Run, generator: nn.Module, coarse: xr.Dataset, static: Field, progress: Progress) -> xr.Dataset:
    """Lazy fine fields, block by block along all leading dimensions."""
    y, x = spatial_dims(coarse)
    factor, variables = run.config.data.factor, run.variables
    block = max(1, CELLS_AT_ONCE // (coarse.sizes[y] * coarse.sizes[x]))
    # Chunks first: putting variables together would read all that is not a dask array yet.
    lazy = coarse[variables].chunk({d: -1 if d in (y, x) else block for d in coarse[variables].dims})
    channels = lazy.to_array("_channel")
    leading = [d for d in channels.dims if d not in ("_channel", y, x)]
    channels = channels.transpose(*leading, "_channel", y, x)
    shape = channels.shape
    flat = channels.data.reshape(int(np.prod(shape[:-3], dtype=int)), *shape[-3:]).rechunk((block, *shape[-3:]))
    periodic, done = is_periodic(coarse), 0

    def apply(lr: Field) -> Field:
        nonlocal done
        if lr.size == 0:
            return lr
        _check_finite(lr, variables)
        sr = super_resolve(generator, run.scaling.scale(lr), static, periodic=periodic)
        done += 1
        progress(done, flat.numblocks[0])
        return run.scaling.unscale(sr)

    height, width = shape[-2] * factor, shape[-1] * factor
    chunks = (flat.chunks[0], (len(variables),), (height,), (width,))
    made = flat.map_blocks(apply, dtype=np.float32, chunks=chunks, meta=np.empty((0, 0, 0, 0), np.float32))
    made = made.reshape(*shape[:-3], len(variables), height, width)
    out = xr.Dataset(attrs=coarse.attrs)
    coords = {n: c for n, c in coarse.coords.items() if not {y, x} & set(c.dims)} | refine_coords(coarse, factor)
    for i, name in enumerate(variables):
        out[name] = ((*leading, y, x), made[..., i, :, :], coarse[name].attrs)
    return out.assign_coords(coords)


def _check_finite(lr: Field, variables: list[str]) -> None:
    """A missing cell would spread over the halo without a word; refuse it."""
    for i, name in enumerate(variables):
        bad = ~np.isfinite(lr[:, i])
        if bad.any():
            raise SourceError(
                f"{name}: {bad.mean():.1%} of the coarse values in this block are missing or infinite. "
                "Fill them first (for example with xarray's interpolate_na), and mask the result afterwards."
            )


def _history(run: Run, coarse: xr.Dataset, weights: str) -> str:
    """The CF history attribute: one more line on top of the source's."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    line = (
        f"{now} subgrid {version('subgrid')}: super-resolved {run.config.data.factor} times per axis by {run.config.system} "
        f"({weights}, trained on data {run.provenance['fingerprint'][:12]})"
    )
    return f"{line}\n{coarse.attrs['history']}" if "history" in coarse.attrs else line
