"""Scores of a trained system and of the baselines on the test split, in physical units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from torch import nn

from subgrid.data.blocks import as_indexer, time_blocks
from subgrid.data.grid import spatial_dims
from subgrid.data.patches import stack
from subgrid.data.scaling import Field
from subgrid.data.store import Store
from subgrid.errors import ConfigError
from subgrid.evaluation.alignment import wind_pair
from subgrid.evaluation.comparison import Comparison
from subgrid.evaluation.field_sets import NUM_FIELDS, compare_generated
from subgrid.evaluation.results import DESCRIPTION, TABLE, run_results
from subgrid.evaluation.totals import RunTotals
from subgrid.inference.super_resolve import pick_device, super_resolve
from subgrid.io.atomic import write_csv, write_json, write_netcdf
from subgrid.io.console import Notify, Progress, silent
from subgrid.models import count_parameters
from subgrid.models.interpolation import Interpolation
from subgrid.networks import Weights, load_generator
from subgrid.run import Run, load_run, store_of
from subgrid.scores.plan import ScoringRequest, Variable
from subgrid.scores.published import BATCH_TIMES
from subgrid.scores.registry import BASELINES, TRUTH

NUM_SAMPLES = 3
BLOCK_CELLS = 4 * 2**20  # fine cells of one variable held at once


def evaluate(
    run: str | Path,
    *,
    out: str | Path | None = None,
    store: str | Path | None = None,
    weights: Weights = "last",
    interpolate: float | None = None,
    by: Iterable[str] = (),
    level: float = 0.95,
    block: int | None = None,
    trust: bool = False,
    progress: Progress = silent,
    notify: Notify = silent,
) -> pd.DataFrame:
    """Score a trained system and the baselines on the test split, or a system without input by its fields as a set.

    Args:
        run: a run directory.
        out: folder for the results, see `evaluation_folder` for the default; docs/verification.md lists the files.
        store: the training store, if it has moved.
        weights: `last` (end of training), `best` (lowest validation RMSE of the last stage) or `content` (end of the content
            stage).
        interpolate: blends content weights (0) with the last weights (1); see `load_generator`.
        by: any of `season`, `hour`, `region`: also report scores for each of them.
        level: confidence level of the intervals.
        block: length of the blocks of the bootstrap, in times; estimated for each score by default.
        trust: whether the run may name a generator of another package, whose code is then run.
        progress: called with (times done, times in all).
        notify: called with each message for the user.

    Returns:
        One row per score: system, variable, score, value, lower, upper, units, group, rank, convention. A system without
        input has the scores of `subgrid.scores.field_sets`, without intervals; it is compared with fields of the training
        split instead of the baselines.

    Raises:
        RunError: if the run, its weights or its store are missing or do not belong together, or the folder is being written or
            holds files of something else.
        ConfigError: unknown binnings or blocks, or any of them for a system without input.
    """
    opened = load_run(run)
    data = store_of(opened, store)
    generator = load_generator(opened, weights, interpolate, trust=trust).to(pick_device())
    chosen = {"weights": weights, "interpolate": interpolate, "level": level}
    own = evaluation_folder(opened.path, weights, interpolate)
    with run_results(own if out is None else Path(out), out is None) as folder:
        if not opened.config.conditional:
            _refuse_bins(opened, by, block)
            return _evaluate_field_sets(opened, data, generator, folder, chosen)
        return _evaluate_test_split(opened, data, generator, folder, chosen, (by, block), (progress, notify))


def evaluation_folder(run: Path, weights: str = "last", interpolate: float | None = None) -> Path:
    """Return where the scores of a run are written by default.

    It is `RUN/evaluation` for the last weights, which reports and studies read; other weights have a folder of their own, such
    as `RUN/evaluation-best` or `RUN/evaluation-interpolate-0.5`.
    """
    other = "" if weights == "last" else f"-{weights}"
    return run / f"evaluation{other if interpolate is None else f'-interpolate-{interpolate:g}'}"


def _evaluate_test_split(
    run: Run,
    data: Store,
    generator: nn.Module,
    folder: Path,
    chosen: Mapping[str, Any],
    binning: tuple[Iterable[str], int | None],
    messages: tuple[Progress, Notify],
) -> pd.DataFrame:
    """Scores with a reference; `binning` holds `by` and `block`, `messages` holds `progress` and `notify`."""
    systems = {run.config.system: generator} | {mode: _baseline(run, mode) for mode in BASELINES}
    positions, request, (by, block) = data.positions("test"), request_of(run, data), binning
    options: dict[str, Any] = {"num_times": positions.size, "by": by, "level": chosen["level"], "block": block}
    comparison = Comparison(folder, list(systems), request, data.hr, **options)
    try:
        table = _compare(comparison, run, data, systems, messages[0])
    finally:
        comparison.close()
    facts = _facts(run, data, positions, generator) | {**chosen, "notes": comparison.notes}
    write_json(folder / DESCRIPTION, facts)
    for note in comparison.notes:
        messages[1](note)
    return table


def _compare(
    comparison: Comparison, run: Run, data: Store, systems: dict[str, nn.Module], progress: Progress
) -> pd.DataFrame:
    """Add the test times block by block, then write all that a report draws."""
    totals, positions = RunTotals(run, data), data.positions("test")
    y, x = spatial_dims(data.hr)
    # whole batches of the published scores, so that the length of a block changes nothing
    for block in time_blocks(positions.size, data.hr.sizes[y] * data.hr.sizes[x], BLOCK_CELLS, multiple=BATCH_TIMES):
        block_times = as_indexer(positions[block])
        truth = stack(data.hr.isel(valid_time=block_times), run.variables)
        coarse = stack(data.lr.isel(valid_time=block_times), run.variables)
        predictions = {system: _predict(run, model, coarse, data) for system, model in systems.items()}
        members = {system: _by_name(run, fields[:, None]) for system, fields in predictions.items()}
        times = data.hr["valid_time"].isel(valid_time=block_times)
        comparison.add(times, members, _by_name(run, truth), _by_name(run, coarse))
        totals.add({TRUTH: truth, **predictions})
        progress(block.stop, positions.size)
    files = {"spectra": totals.spectra(), "samples": _samples(run, data, systems, positions)}
    return comparison.finish(more_rows=totals.published(list(systems)), more_files=files)


def request_of(run: Run, data: Store) -> ScoringRequest:
    """Describe what an evaluation compares: all variables, with the ranges of the training truth."""
    variables = []
    for name in run.variables:
        known = run.statistics[name]
        low, high, mean, std = (float(known[key]) for key in ("min", "max", "mean", "std"))
        variables.append(Variable(name, known["units"] or "1", low, high, mean, std))
    kinds = {name: kind for name, kind in data.meta.get("vectors", {}).items() if name in run.variables}
    winds = wind_pair(kinds, {variable.name: variable.units for variable in variables})
    return ScoringRequest(tuple(variables), factor=data.factor, has_input=True, winds=winds)


def _by_name(run: Run, fields: Field) -> dict[str, Field]:
    """Channels, third axis from the end, by variable."""
    return {name: fields[..., i, :, :] for i, name in enumerate(run.variables)}


def _refuse_bins(run: Run, by: Iterable[str], block: int | None) -> None:
    """Refuse options that need times: a field generated from noise alone has none."""
    binned = bool(list(by))
    if binned or block is not None:
        raise ConfigError(
            f"{'by' if binned else 'block'}: {run.config.system} generates fields from noise alone, without time or place, so "
            f"its scores have neither groups nor intervals; omit {'--by' if binned else '--block'}."
        )


def _evaluate_field_sets(
    run: Run, data: Store, generator: nn.Module, folder: Path, chosen: Mapping[str, Any]
) -> pd.DataFrame:
    """Scores of a system without input: of its fields as a set."""
    table, datasets = compare_generated(run, data, generator)
    write_csv(folder / TABLE, table)
    for name, fields in datasets.items():
        write_netcdf(folder / f"{name}.nc", fields)
    facts = _facts(run, data, data.positions("test"), generator)
    facts |= {**chosen, "unpaired": True, "num_fields": NUM_FIELDS}
    write_json(folder / DESCRIPTION, facts)
    return table


def _baseline(run: Run, mode: str) -> nn.Module:
    channels = len(run.variables)
    return Interpolation(channels, channels, factor=run.config.data.factor, mode=mode)


def _predict(run: Run, model: nn.Module, coarse: Field, data: Store) -> Field:
    """Fine fields in physical units."""
    scaled = super_resolve(model, run.scaling.scale(coarse), run.static_channels(), periodic=data.periodic)
    return run.scaling.unscale(scaled)


def _span(run: Run, variable: str) -> float:
    """Range of the training truth."""
    return float(run.statistics[variable]["max"] - run.statistics[variable]["min"])


def _samples(run: Run, data: Store, systems: dict[str, nn.Module], positions: Any) -> xr.Dataset:
    """Coarse, true and predicted fields at a few times, spread over the test split."""
    picked = positions[np.unique(np.linspace(0, positions.size - 1, NUM_SAMPLES).round().astype(int))]
    coarse, truth = data.lr.isel(valid_time=picked), data.hr.isel(valid_time=picked)
    small = stack(coarse, run.variables)
    fields = [stack(truth, run.variables), *(_predict(run, model, small, data) for model in systems.values())]
    y, x = spatial_dims(truth)
    out = xr.Dataset(coords={"system": [TRUTH, *systems], "valid_time": truth["valid_time"], y: truth[y], x: truth[x]})
    for i, variable in enumerate(run.variables):
        attrs = {key: run.statistics[variable][key] for key in ("units", "long_name")}
        out[variable] = (("system", "valid_time", y, x), np.stack([f[:, i] for f in fields]), attrs)
        out[f"{variable}_coarse"] = (("valid_time", f"{y}_coarse", f"{x}_coarse"), small[:, i], attrs)
    return out.assign_coords(
        {f"{d}_coarse": (f"{d}_coarse", coarse[d].values, coarse[d].attrs) for d in (y, x)}
    ).drop_vars("split", errors="ignore")


def _facts(run: Run, data: Store, positions: Any, generator: nn.Module) -> dict[str, Any]:
    times = data.hr["valid_time"].values[positions]
    return {
        "system": run.config.system,
        "num_times": int(positions.size),
        "period": [str(times[0]), str(times[-1])],
        "factor": data.factor,
        "data_range": {v: _span(run, v) for v in run.variables},
        "units": {v: run.statistics[v]["units"] for v in run.variables},
        "parameters": count_parameters(generator),
    }
