"""Scores on the test split, the system beside bilinear and bicubic, in physical units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from torch import nn

from subgrid.data.grid import spatial_dims
from subgrid.data.patches import Field, stack
from subgrid.data.store import Store
from subgrid.files import replacing
from subgrid.inference import pick_device, super_resolve
from subgrid.models.interpolation import Interpolation
from subgrid.run import Run, Weights, load_generator, load_run, store_of, unconditional, write_json
from subgrid.unconditional import NUM_FIELDS, compare_draws
from subgrid.verify import SCORES, finish_scores, score_parts
from subgrid.verify.spectra import power_spectrum

Progress = Callable[[int, int], None]

BASELINES = ("bilinear", "bicubic")
NUM_SAMPLES = 3
BLOCK_CELLS = 4 * 2**20  # fine cells of one variable held at once


def evaluate(
    run: str | Path,
    *,
    out: str | Path | None = None,
    store: str | Path | None = None,
    weights: Weights = "last",
    interpolate: float | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score a trained system and the baselines on the test split; one that draws from noise as a set of fields.

    Args:
        run: a run directory.
        out: folder for `scores.csv`, `samples.nc`, `spectra.nc`, `evaluation.json`; `RUN/evaluation` by default.
        store: the training store, if it has moved.
        weights: `last` (the end of training), `best` (lowest validation RMSE of the last stage) or `content` (the end of
            the content stage).
        interpolate: from 0, the content weights, to 1, the last ones; see `load_generator`.
        progress: called with (times done, times in all).

    Returns:
        One row a score: system, variable, score, value, units, convention. Where the system draws fields from noise, the scores
        are those of `subgrid.verify.unpaired`, and the training split's own fields stand beside it instead of the baselines.

    Raises:
        RunError: if the run, its weights or its store are missing or do not belong together.
    """
    opened = load_run(run)
    data = store_of(opened, store)
    generator = load_generator(opened, weights, interpolate).to(pick_device())
    folder = Path(out) if out is not None else opened.path / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    if unconditional(opened.config):
        return _evaluate_draws(opened, data, generator, folder, {"weights": weights, "interpolate": interpolate})
    name, chosen = opened.config.system, {"weights": weights, "interpolate": interpolate}
    systems = {name: generator} | {mode: _baseline(opened, mode) for mode in BASELINES}
    positions = data.positions("test")
    parts: dict[tuple[str, str], list[dict[str, Any]]] = {}
    spectra: dict[tuple[str, str], list[np.ndarray]] = {}
    for block in _blocks(data, positions):
        truth = stack(data.hr.isel(valid_time=block), opened.variables)
        coarse = stack(data.lr.isel(valid_time=block), opened.variables)
        made = {system: _predict(opened, model, coarse, data) for system, model in systems.items()}
        _score_block(opened, data, truth, made, parts)
        wavenumber = _spectra_block(data, {"truth": truth, **made}, opened.variables, spectra)
        if progress:
            progress(int(np.searchsorted(positions, block[-1])) + 1, positions.size)
    table = _table(opened, parts, systems)
    _write_csv(folder / "scores.csv", table)
    _write_dataset(folder / "spectra.nc", _spectra(opened, data, spectra, wavenumber))
    _write_dataset(folder / "samples.nc", _samples(opened, data, systems, positions))
    write_json(folder / "evaluation.json", _facts(opened, data, positions, generator) | chosen)
    return table


def _evaluate_draws(run: Run, data: Store, generator: nn.Module, folder: Path, chosen: dict[str, Any]) -> pd.DataFrame:
    """Scores of a system without input: of its fields as a set."""
    table, pictures = compare_draws(run, data, generator)
    _write_csv(folder / "scores.csv", table)
    for name, fields in pictures.items():
        _write_dataset(folder / f"{name}.nc", fields)
    facts = _facts(run, data, data.positions("test"), generator) | chosen | {"unpaired": True, "num_fields": NUM_FIELDS}
    write_json(folder / "evaluation.json", facts)
    return table


def _baseline(run: Run, mode: str) -> nn.Module:
    channels = len(run.variables)
    return Interpolation(channels, channels, factor=run.config.data.factor, mode=mode)


def _blocks(data: Store, positions: np.ndarray) -> Iterator[np.ndarray]:
    """Test times a few at a time, so that memory does not grow with the archive."""
    y, x = spatial_dims(data.hr)
    count = max(1, BLOCK_CELLS // (data.hr.sizes[y] * data.hr.sizes[x]))
    for start in range(0, positions.size, count):
        yield positions[start : start + count]


def _predict(run: Run, model: nn.Module, coarse: Field, data: Store) -> Field:
    """Fine fields in physical units."""
    scaled = super_resolve(model, run.scaling.scale(coarse), run.static_channels(), periodic=data.periodic)
    return run.scaling.unscale(scaled)


def _score_block(run: Run, data: Store, truth: Field, made: dict[str, Field], parts: dict[Any, list[Any]]) -> None:
    """Add the score parts of a block of times."""
    for i, variable in enumerate(run.variables):
        for system, fields in made.items():
            found = score_parts(fields[:, i], truth[:, i], data_range=_span(run, variable), factor=data.factor)
            parts.setdefault((system, variable), []).append(found)


def _span(run: Run, variable: str) -> float:
    """Range of the training truth."""
    return float(run.statistics[variable]["max"] - run.statistics[variable]["min"])


def _spectra_block(
    data: Store, fields: dict[str, Field], variables: list[str], spectra: dict[Any, list[Any]]
) -> np.ndarray:
    """Add the power spectra of a block of times; returns the wavenumbers."""
    for i, variable in enumerate(variables):
        for system, values in fields.items():
            wavenumber, power = power_spectrum(values[:, i], periodic_x=data.periodic)
            spectra.setdefault((system, variable), []).append(power)
    return np.asarray(wavenumber)


def _table(run: Run, parts: dict[Any, list[Any]], systems: dict[str, nn.Module]) -> pd.DataFrame:
    """All scores as rows."""
    rows = []
    for variable in run.variables:
        units = run.statistics[variable]["units"] or "1"
        for system in systems:
            blocks = parts[system, variable]
            joined = {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}
            for score, value in finish_scores(joined).items():
                unit = SCORES[score].units_for(units)
                said = SCORES[score].describe(data_range=_span(run, variable), factor=run.config.data.factor)
                rows.append((system, variable, score, value, unit, said))
    return pd.DataFrame(rows, columns=["system", "variable", "score", "value", "units", "convention"])


def _spectra(run: Run, data: Store, spectra: dict[Any, list[Any]], wavenumber: Any) -> xr.Dataset:
    """Mean spectra over the test times."""
    names = list(dict.fromkeys(system for system, _ in spectra))
    out = xr.Dataset(
        coords={
            "system": names,
            "wavelength": ("wavelength", 1.0 / wavenumber, {"units": "cells", "long_name": "wavelength in fine cells"}),
        },
        attrs={"factor": data.factor},
    )
    for variable in run.variables:
        mean = np.stack([np.concatenate(spectra[system, variable]).mean(0) for system in names])
        units = run.statistics[variable]["units"] or "1"
        out[variable] = (
            ("system", "wavelength"),
            mean,
            {"units": f"({units})^2", "long_name": "power spectral density"},
        )
    return out


def _samples(run: Run, data: Store, systems: dict[str, nn.Module], positions: Any) -> xr.Dataset:
    """Coarse, true and made fields at a few times spread over the test split."""
    picked = positions[np.unique(np.linspace(0, positions.size - 1, NUM_SAMPLES).round().astype(int))]
    coarse, truth = data.lr.isel(valid_time=picked), data.hr.isel(valid_time=picked)
    small = stack(coarse, run.variables)
    fields = [stack(truth, run.variables), *(_predict(run, model, small, data) for model in systems.values())]
    y, x = spatial_dims(truth)
    out = xr.Dataset(
        coords={"system": ["truth", *systems], "valid_time": truth["valid_time"], y: truth[y], x: truth[x]}
    )
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
        "parameters": sum(p.numel() for p in generator.parameters()),
    }


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def _write_dataset(path: Path, fields: xr.Dataset) -> None:
    with replacing(path) as temporary:
        fields.to_netcdf(temporary, engine="h5netcdf")
