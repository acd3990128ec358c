"""Sampling: fields drawn from noise with a trained unconditional generator."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import xarray as xr

from subgrid.data.grid import spatial_dims
from subgrid.errors import RunError
from subgrid.inference.conventions import complete_coordinates, describe_output, follow_conventions, training_attrs
from subgrid.inference.history import history_line
from subgrid.inference.super_resolve import draw_fields, pick_device
from subgrid.io.console import silent
from subgrid.io.output import claim_target, write_fields
from subgrid.networks import Weights, describe_weights, load_generator
from subgrid.run import Run, load_run


def sample(
    run: str | Path,
    out: str | Path | None = None,
    *,
    num: int = 16,
    seed: int = 0,
    weights: Weights = "last",
    overwrite: bool = False,
    trust: bool = False,
) -> xr.Dataset:
    """Draw fields from a trained unconditional generator.

    Args:
        run: the run directory of a system that draws from noise, such as `gan`.
        out: `.nc` or `.zarr` to write; without it the fields are only returned.
        num: number of fields.
        seed: random seed for the noise; with the same seed, a larger `num` gives the same first fields.
        weights: `last`, `best` or `content`.
        overwrite: replace `out` if it exists and is an earlier output.
        trust: whether the run may name a generator of another package, whose code is then run.

    Returns:
        Each variable as (realization, y, x) in physical units, in memory. The fields have the coordinates of the
        training domain if a training patch covers it; otherwise their axes count cells.

    Raises:
        RunError: if the run is missing or refines coarse fields, if `num` is not positive, or if `out` already exists
            or is being written.
    """
    opened = load_run(run)
    if opened.config.conditional:
        raise RunError(
            f"{opened.path} is a {opened.config.system} system, which refines coarse fields; use "
            "subgrid.downscale (`subgrid downscale`). Only systems that draw fields from noise, such as gan, can be sampled."
        )
    if num < 1:
        raise RunError(f"num: got {num}, expected at least 1 field.")
    if seed < 0:
        raise RunError(f"seed: got {seed}, expected 0 or more.")
    with nullcontext() if out is None else claim_target(Path(out), overwrite) as target:
        generator = load_generator(opened, weights, trust=trust).to(pick_device())
        fields = as_dataset(opened, opened.scaling.unscale(draw_fields(generator, num, (seed,))))
        title = f"Fields drawn from noise by {opened.config.system}"
        history = history_line(opened, f"{num} fields drawn from noise of seed {seed}", describe_weights(weights, None))
        fields.attrs = describe_output(opened, {}, title, history)
        fields = follow_conventions(fields, training_attrs(opened), notify=silent)
        if target is not None:
            write_fields(fields, target)
    return fields


def as_dataset(run: Run, fields: np.ndarray) -> xr.Dataset:
    """Return fields (n, c, y, x) in physical units as a Dataset with names, units and coordinates."""
    y, x = spatial_dims(run.grid)
    whole = run.patch_shape == (run.grid.sizes[y], run.grid.sizes[x])
    dims = ("realization", y, x) if whole else ("realization", "row", "column")
    out = xr.Dataset(
        coords={"realization": np.arange(len(fields))} | ({d: run.grid[d] for d in (y, x)} if whole else {})
    )
    for i, name in enumerate(run.variables):
        known = run.statistics[name]
        attrs = {key: known[key] for key in ("units", "long_name", "standard_name") if known.get(key)}
        out[name] = (dims, fields[:, i], attrs)
    return complete_coordinates(out, run.grid if whole else None, 1)
