"""Downscaling: a trained system applied to coarse fields in files or in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dask
import numpy as np
import xarray as xr
from torch import nn

from subgrid.data.findings import ValueCheck
from subgrid.data.grid import is_periodic, refine_coords, same_axis, spatial_dims
from subgrid.data.scaling import Field
from subgrid.data.sources import readers
from subgrid.data.sources.convert_units import convert_back, convert_units
from subgrid.data.sources.inputs import input_paths
from subgrid.data.sources.open_source import open_source, restore_names, source_notes
from subgrid.data.sources.time_bounds import with_time_bounds
from subgrid.data.static import static_fields
from subgrid.errors import GridError, RunError
from subgrid.inference.check_input import check_range, in_training_units
from subgrid.inference.conventions import complete_coordinates, describe_output, follow_conventions, training_attrs
from subgrid.inference.history import history_line
from subgrid.inference.super_resolve import pick_device, super_resolve
from subgrid.io.console import Notify, Progress, silent
from subgrid.io.interrupts import interrupts_allowed
from subgrid.io.output import claim_target, open_fields, write_fields
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
    force: bool = False,
    trust: bool = False,
    progress: Progress = silent,
    notify: Notify = silent,
) -> xr.Dataset:
    """Super-resolve coarse fields of any size with a trained system.

    Args:
        run: a run directory.
        source: coarse fields, as files or as an open Dataset, with the variables of the run. Values in other units are
            converted to those of the run.
        out: `.nc` or `.zarr` to write, block by block; without it the fine fields are returned in memory.
        weights: `last`, `best` or `content`.
        interpolate: blend of content-stage weights (0) and final weights (1); see `load_generator`.
        select: labels to pick along other dimensions, such as `{"level": 850}`.
        static_source: static fields that cover the domain, if the run uses any and the grid is not that of training.
        overwrite: replace `out` if it exists and is an earlier output.
        force: also accept values far outside the training data (see `subgrid.inference.check_input.check_range`).
        trust: whether the run may name a generator of another package, whose code is then run.
        progress: called with (blocks done, blocks in all).
        notify: called with each message for the user.

    Returns:
        The fine fields, with the names, orientation, units and attributes of the source: in memory, or lazily from `out`.

    Raises:
        RunError: if the run or its weights are missing, or `out` exists, is being written or read, or has an unknown ending.
        SourceError: for missing variables, units that cannot be converted, values far outside the training data, missing
            values.
        GridError: for grids that cannot be super-resolved.
    """
    opened = _open_conditional(run)
    inputs = [*input_paths(source), *input_paths(static_source)]
    with nullcontext() if out is None else claim_target(Path(out), overwrite, inputs) as target:
        generator = load_generator(opened, weights, interpolate, trust=trust).to(pick_device())
        given = _open_coarse(opened, source, select, notify)
        coarse, notes = in_training_units(opened, given)
        for note in notes:
            notify(note)
        if not force:
            check_range(opened, coarse)
        static = _static(opened, coarse, static_source, notify)
        fine = _super_resolve_lazily(opened, generator, coarse, static, progress)
        fine = convert_back(fine, {name: given[name].attrs for name in opened.variables})
        fine = restore_names(complete_coordinates(fine, coarse, opened.config.data.factor))
        history = _history(opened, coarse, describe_weights(weights, interpolate))
        title = f"{', '.join(opened.variables)} super-resolved by {opened.config.system}"
        fine.attrs = describe_output(opened, fine.attrs, title, history)
        fine = follow_conventions(fine, training_attrs(opened), notify)
        with dask.config.set(scheduler="synchronous"):  # the generator uses all cores itself
            if target is None:
                return fine.compute()
            write_fields(fine, target)
        return open_fields(target)


def _open_coarse(
    run: Run,
    source: str | Path | Sequence[str | Path] | xr.Dataset,
    select: Mapping[str, Any] | None,
    notify: Notify,
) -> xr.Dataset:
    """Open the coarse fields, and notify the user of differences from the training grid."""
    coarse = open_source(source, variables=run.variables, select=select).assign_attrs(_own_attrs(source, select))
    coarse = with_time_bounds(coarse, source, select or {})
    for message in (*source_notes(coarse), *_differences_from_training(run, coarse)):
        notify(message)
    return coarse


def _open_conditional(path: str | Path) -> Run:
    """Open a run whose generator refines coarse fields."""
    run = load_run(path)
    if not run.config.conditional:
        raise RunError(
            f"{run.path} is a {run.config.system} system, which draws fields from noise and takes no coarse input; use "
            "subgrid.sample (`subgrid sample RUN OUT`)."
        )
    return run


def _own_attrs(
    source: str | Path | Sequence[str | Path] | xr.Dataset, select: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the global attributes of the source, such as its title and history; `open_source` replaces them."""
    if isinstance(source, xr.Dataset):
        attrs = dict(source.attrs)
    else:
        path = readers.find_paths(source)[0]
        if path.suffix == ".npy":
            return {}
        parts = readers.open_path(path, variables=None, select=select or {}, start=None, step=None)
        attrs = dict(parts[0].attrs)
        for part in parts:
            part.close()
    return {key: value for key, value in attrs.items() if not str(key).startswith("subgrid_") and key != "grid_mapping"}


def _differences_from_training(run: Run, coarse: xr.Dataset) -> list[str]:
    """Return messages on differences from the training grid that may matter: its kind, and the size of its cells."""
    y, x = spatial_dims(coarse)
    several = [dim for dim in run.config.data.select if dim in coarse.dims]
    if several:
        trained_on = ", ".join(f"{dim} {run.config.data.select[dim]}" for dim in several)
        return [f"the model was trained on {trained_on}, and the source has several; choose one with select (--select)"]
    if f"{y}_coarse" not in run.grid:
        return [f"the model was trained on another kind of grid; this one has the axes {y} and {x}"]
    trained = run.grid[f"{y}_coarse"]
    if min(trained.size, coarse.sizes[y]) < 2:
        return []
    trained_size, size = (float(np.abs(np.median(np.diff(axis.values)))) for axis in (trained, coarse[y]))
    if abs(size / trained_size - 1) <= 0.1:
        return []
    unit = _axis_unit(coarse[y])
    trained_on = f"the model was trained on {trained_size:g}{unit} cells and will add texture at that scale"
    return [f"{trained_on}; these cells are {size:g}{unit} wide"]


def _axis_unit(axis: xr.DataArray) -> str:
    """Return the unit of an axis with a leading space, such as " degree" or " km"; empty if it states none."""
    unit = str(axis.attrs.get("units", ""))
    return " degree" if unit.startswith("degree") else f" {unit}" if unit else ""


def _static(run: Run, coarse: xr.Dataset, source: str | Path | xr.Dataset | None, notify: Notify) -> Field:
    """Return the static fields on the fine grid of the source, as standardised channels (s, y, x)."""
    names = list(run.static_scale)
    dims = spatial_dims(coarse)
    factor = run.config.data.factor
    target = xr.Dataset(coords=refine_coords(coarse, factor))
    if not names:
        return np.zeros((0, 0, 0), dtype=np.float32)
    if source is None and all(d in run.grid.coords and same_axis(run.grid[d], target[d]) for d in dims):
        return run.static_channels()
    fields = source if source is not None else run.grid[[n for n in names if n in run.grid]]
    try:
        static = static_fields(names, fields, target)  # type: ignore[arg-type]
    except GridError as error:
        raise GridError(
            f"{error} Pass static_source (--static FILE) with {', '.join(names)} over this domain."
        ) from error
    units = {name: run.grid[name].attrs.get("units") for name in names if name in run.grid}
    static, notes = convert_units(static, units, "the static source", "the training data")
    for note in notes:
        notify(note)
    return run.static_channels(static)


def _super_resolve_lazily(
    run: Run, generator: nn.Module, coarse: xr.Dataset, static: Field, progress: Progress
) -> xr.Dataset:
    """Return lazy fine fields, computed block by block along all leading dimensions."""
    y, x = spatial_dims(coarse)
    factor, variables = run.config.data.factor, run.variables
    block = max(1, CELLS_AT_ONCE // (coarse.sizes[y] * coarse.sizes[x]))
    # Chunked first, because stacking the variables would read everything that is not a dask array yet.
    lazy = coarse[variables].chunk({d: -1 if d in (y, x) else block for d in coarse[variables].dims})
    channels = lazy.to_array("_channel")
    leading = [d for d in channels.dims if d not in ("_channel", y, x)]
    channels = channels.transpose(*leading, "_channel", y, x)
    shape = channels.shape
    flat = channels.data.reshape(int(np.prod(shape[:-3], dtype=int)), *shape[-3:]).rechunk((block, *shape[-3:]))
    periodic, done = is_periodic(coarse), 0
    check, attrs = ValueCheck(), {name: coarse[name].attrs for name in variables}

    def apply(lr: Field) -> Field:
        nonlocal done
        if lr.size == 0:
            return lr
        check.add({name: lr[:, i] for i, name in enumerate(variables)}, attrs)
        with interrupts_allowed():
            sr = super_resolve(generator, run.scaling.scale(lr), static, periodic=periodic)
        done += 1
        progress(done, flat.numblocks[0])
        return run.scaling.unscale(sr)

    height, width = shape[-2] * factor, shape[-1] * factor
    chunks = (flat.chunks[0], (len(variables),), (height,), (width,))
    fine = flat.map_blocks(apply, dtype=np.float32, chunks=chunks, meta=np.empty((0, 0, 0, 0), np.float32))
    fine = fine.reshape(*shape[:-3], len(variables), height, width)
    out = xr.Dataset(attrs=coarse.attrs)
    coords = {n: c for n, c in coarse.coords.items() if not {y, x} & set(c.dims)} | refine_coords(coarse, factor)
    for i, name in enumerate(variables):
        out[name] = ((*leading, y, x), fine[..., i, :, :], coarse[name].attrs)
    return out.assign_coords(coords)


def _history(run: Run, coarse: xr.Dataset, weights: str) -> str:
    """Return the CF history: one more line on top of that of the source."""
    line = history_line(run, f"super-resolved with factor {run.config.data.factor}", weights)
    return f"{line}\n{coarse.attrs['history']}" if "history" in coarse.attrs else line
