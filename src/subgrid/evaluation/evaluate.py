"""Scores on the test split, the system beside bilinear and bicubic, in physical units."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from torch import nn

from subgrid.data.blocks import time_blocks
from subgrid.data.grid import spatial_dims
from subgrid.data.patches import stack
from subgrid.data.scaling import Field
from subgrid.data.store import Store
from subgrid.errors import ConfigError
from subgrid.evaluation.alignment import wind_pair
from subgrid.evaluation.comparison import Comparison
from subgrid.evaluation.field_sets import NUM_FIELDS, compare_draws
from subgrid.inference.super_resolve import pick_device, super_resolve
from subgrid.io.atomic import write_csv, write_json, write_netcdf
from subgrid.io.console import Notify, Progress, silent
from subgrid.models import count_parameters
from subgrid.models.interpolation import Interpolation
from subgrid.networks import Weights, load_generator
from subgrid.run import Run, load_run, store_of
from subgrid.scores.plan import ScoringRequest, Variable
from subgrid.scores.published import BATCH_TIMES, published_scores
from subgrid.scores.registry import ALL, BASELINES, TRUTH
from subgrid.scores.score_table import COLUMNS
from subgrid.scores.spectra import power_spectrum

NUM_SAMPLES = 3
BLOCK_CELLS = 4 * 2**20  # fine cells of one variable held at once
PUBLISHED = {
    "published_psnr": ("dB", "The study's: each image over the range of its batch, predictions included"),
    "published_ssim": ("1", "The study's: scikit-image's default windows over the range of the batch"),
    "published_rmse": ("1", "The study's: standardised values over the physical range, mean of the batches' roots"),
    "published_mae": ("1", "The study's: standardised values over the physical range"),
}


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
    progress: Progress = silent,
    notify: Notify = silent,
) -> pd.DataFrame:
    """Score a trained system and the baselines on the test split; one that draws from noise as a set of fields.

    Args:
        run: a run directory.
        out: folder for `scores.csv`, `scores.nc`, `parts.nc`, `cells.nc`, `quantiles.nc`, `samples.nc`, `spectra.nc`,
            `evaluation.json`; `RUN/evaluation` by default.
        store: the training store, if it has moved.
        weights: `last` (the end of training), `best` (lowest validation RMSE of the last stage) or `content` (the end of
            the content stage).
        interpolate: from 0, the content weights, to 1, the last ones; see `load_generator`.
        by: any of `season`, `hour`, `region`: scores for each beside those of all.
        level: of the intervals.
        block: length of the bootstrap's blocks, in times; estimated for each score by default.
        progress: called with (times done, times in all).
        notify: called with each message for the user.

    Returns:
        One row a score: system, variable, score, value, lower, upper, units, group, rank, convention. Where the system
        draws fields from noise, the scores are those of `subgrid.scores.field_sets`, without intervals, and the training split
        own fields stand beside it instead of the baselines.

    Raises:
        RunError: if the run, its weights or its store are missing or do not belong together.
        ConfigError: groups or blocks that do not exist, or that a system without input cannot have.
    """
    opened = load_run(run)
    data = store_of(opened, store)
    generator = load_generator(opened, weights, interpolate).to(pick_device())
    folder = Path(out) if out is not None else opened.path / "evaluation"
    chosen = {"weights": weights, "interpolate": interpolate, "level": level}
    if not opened.config.conditional:
        _refuse_groups(opened, by, block)
        return _evaluate_draws(opened, data, generator, folder, chosen)
    systems = {opened.config.system: generator} | {mode: _baseline(opened, mode) for mode in BASELINES}
    positions = data.positions("test")
    comparison = Comparison(
        folder,
        list(systems),
        request_of(opened, data),
        data.hr,
        num_times=positions.size,
        by=by,
        level=level,
        block=block,
    )
    try:
        table = _compare(comparison, opened, data, systems, progress)
    finally:
        comparison.abandon()
    facts = _facts(opened, data, positions, generator) | chosen | {"notes": comparison.notes}
    write_json(folder / "evaluation.json", facts)
    for note in comparison.notes:
        notify(note)
    return table


def _compare(
    comparison: Comparison, run: Run, data: Store, systems: dict[str, nn.Module], progress: Progress
) -> pd.DataFrame:
    """Stream the test times, then write all that a report draws."""
    sums, positions = _Sums(), data.positions("test")
    y, x = spatial_dims(data.hr)
    # whole batches of the published scores, so that the length of a block changes nothing
    for block in time_blocks(positions.size, data.hr.sizes[y] * data.hr.sizes[x], BLOCK_CELLS, multiple=BATCH_TIMES):
        block_times = positions[block]
        truth = stack(data.hr.isel(valid_time=block_times), run.variables)
        coarse = stack(data.lr.isel(valid_time=block_times), run.variables)
        made = {system: _predict(run, model, coarse, data) for system, model in systems.items()}
        members = {system: _by_name(run, fields[:, None]) for system, fields in made.items()}
        times = data.hr["valid_time"].isel(valid_time=block_times)
        comparison.add(times, members, _by_name(run, truth), _by_name(run, coarse))
        sums.add(run, data, {TRUTH: truth, **made})
        progress(block.stop, positions.size)
    beside = {"spectra": sums.spectra(run, data), "samples": _samples(run, data, systems, positions)}
    return comparison.finish(more=sums.published(list(systems)), beside=beside)


def request_of(run: Run, data: Store) -> ScoringRequest:
    """What an evaluation compares: all variables, with the training truth's ranges."""
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


class _Sums:
    """Mean spectra, and the study's own scores over its batches."""

    def __init__(self) -> None:
        self._power: dict[tuple[str, str], np.ndarray] = {}
        self._published: dict[tuple[str, str], float] = {}
        self._times = self._batches = 0
        self._wavenumber = np.zeros(0)

    def add(self, run: Run, data: Store, fields: dict[str, Field]) -> None:
        """Add a block of times: truth, and each system's fields."""
        count = len(fields[TRUTH])
        batches = -(-count // BATCH_TIMES)
        self._times, self._batches = self._times + count, self._batches + batches
        low, high = (np.array([run.statistics[v][key] for v in run.variables]) for key in ("min", "max"))
        truth = run.scaling.scale(fields[TRUTH])
        for system, values in fields.items():
            for i, variable in enumerate(run.variables):
                self._wavenumber, power = power_spectrum(values[:, i], periodic_x=data.periodic)
                self._power[system, variable] = self._power.get((system, variable), 0.0) + power.sum(0)
            if system != TRUTH:
                for name, value in published_scores(
                    run.scaling.scale(values), truth, minimum=low, maximum=high
                ).items():
                    self._published[system, name] = self._published.get((system, name), 0.0) + batches * value

    def published(self, systems: list[str]) -> pd.DataFrame:
        """The study's scores, of all variables at once and without interval."""
        rows = [
            (system, ALL, name, self._published[system, name] / self._batches, np.nan, np.nan, units, ALL, "", said)
            for name, (units, said) in PUBLISHED.items()
            for system in systems
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def spectra(self, run: Run, data: Store) -> xr.Dataset:
        """Mean spectra over the test times."""
        names = list(dict.fromkeys(system for system, _ in self._power))
        cells = {"units": "cells", "long_name": "wavelength in fine cells"}
        out = xr.Dataset(
            coords={"system": names, "wavelength": ("wavelength", 1.0 / self._wavenumber, cells)},
            attrs={"factor": data.factor},
        )
        for variable in run.variables:
            mean = np.stack([self._power[system, variable] / self._times for system in names])
            units = run.statistics[variable]["units"] or "1"
            out[variable] = (
                ("system", "wavelength"),
                mean,
                {"units": f"({units})^2", "long_name": "power spectral density"},
            )
        return out


def _refuse_groups(run: Run, by: Iterable[str], block: int | None) -> None:
    """A field drawn from noise belongs to no time or place."""
    grouped = bool(list(by))
    if grouped or block is not None:
        raise ConfigError(
            f"{'by' if grouped else 'block'}: {run.config.system} draws fields from noise, of no time or place, so its scores "
            "have neither groups nor intervals; leave it away."
        )


def _evaluate_draws(run: Run, data: Store, generator: nn.Module, folder: Path, chosen: dict[str, Any]) -> pd.DataFrame:
    """Scores of a system without input: of its fields as a set."""
    table, pictures = compare_draws(run, data, generator)
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "scores.csv", table)
    for name, fields in pictures.items():
        write_netcdf(folder / f"{name}.nc", fields)
    facts = _facts(run, data, data.positions("test"), generator) | chosen | {"unpaired": True, "num_fields": NUM_FIELDS}
    write_json(folder / "evaluation.json", facts)
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
    """Coarse, true and made fields at a few times spread over the test split."""
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
