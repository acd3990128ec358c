"""Evaluation of fields generated from noise alone: as a set, compared with true fields of the test split.

True fields of the training split are compared with them too: they show how far one true set is from another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from torch import nn

from subgrid.data.patches import PatchSampler
from subgrid.data.scaling import Field
from subgrid.data.store import Store
from subgrid.evaluation.totals import spectra_dataset, spectrum_attrs
from subgrid.inference.super_resolve import draw_fields
from subgrid.run import Run
from subgrid.scores.compute import compare_field_sets
from subgrid.scores.registry import FIELD_SET_SCORES, TRUTH
from subgrid.scores.spectra import power_spectrum

NUM_FIELDS = 256  # of each set
NUM_SHOWN = 6
NUM_BINS = 80
TRAINING = "training fields"


def compare_generated(run: Run, data: Store, generator: nn.Module) -> tuple[pd.DataFrame, dict[str, xr.Dataset]]:
    """Compare generated fields, and fields of the training split, with fields of the test split.

    Args:
        run: a run of an unconditional system.
        data: its store.
        generator: with trained weights.

    Returns:
        One row per score (system, variable, score, value, units, convention), and the Datasets that a report draws: `samples`
        V(system, realization, y, x), `spectra` V(system, wavelength), `histograms` V(system, V_bin).
    """
    truth, trained = (_true_fields(run, data, split) for split in ("test", "train"))
    generated = run.scaling.unscale(draw_fields(generator, NUM_FIELDS, (run.config.seed, 4)))
    sets = {run.config.system: generated, TRAINING: trained}
    size = f"{NUM_FIELDS} fields of {run.patch_shape[0]} x {run.patch_shape[1]} cells each"
    rows = []
    for i, variable in enumerate(run.variables):
        units = run.statistics[variable]["units"] or "1"
        for system, fields in sets.items():
            for name, value in compare_field_sets(fields[:, i], truth[:, i], factor=data.factor).items():
                score = FIELD_SET_SCORES[name]
                convention = f"{score.convention} ({size})"
                rows.append((system, variable, name, value, score.units_for(units), convention))
    table = pd.DataFrame(rows, columns=["system", "variable", "score", "value", "units", "convention"])
    every = {TRUTH: truth, **sets}
    datasets = {
        "samples": _samples(run, every),
        "spectra": _spectra(run, data, every),
        "histograms": _histograms(run, every),
    }
    return table, datasets


def _true_fields(run: Run, data: Store, split: str) -> Field:
    """True fields from anywhere in a split, in physical units."""
    config = run.config
    sampler = PatchSampler(data, split, patch=config.train.patch, batch=NUM_FIELDS, seed=config.seed)
    return run.scaling.unscale(sampler.draw(0).hr)


def _attrs(run: Run, variable: str) -> dict[str, Any]:
    return {key: run.statistics[variable][key] for key in ("units", "long_name")}


def _samples(run: Run, sets: Mapping[str, Field]) -> xr.Dataset:
    """The first few fields of each set."""
    out = xr.Dataset(coords={"system": list(sets)})
    for i, variable in enumerate(run.variables):
        fields = np.stack([fields[:NUM_SHOWN, i] for fields in sets.values()])
        out[variable] = (("system", "realization", "row", "column"), fields, _attrs(run, variable))
    return out


def _spectra(run: Run, data: Store, sets: Mapping[str, Field]) -> xr.Dataset:
    """Mean spectrum of each set."""
    wavenumber, _ = power_spectrum(sets[TRUTH][:, 0])
    out = spectra_dataset(list(sets), wavenumber, data.factor)
    for i, variable in enumerate(run.variables):
        power = np.stack([power_spectrum(fields[:, i])[1].mean(0) for fields in sets.values()])
        out[variable] = (("system", "wavelength"), power, spectrum_attrs(run, variable))
    return out


def _histograms(run: Run, sets: Mapping[str, Field]) -> xr.Dataset:
    """Density of the values of each set, in bins that hold all values of the truth."""
    out = xr.Dataset(coords={"system": list(sets)})
    for i, variable in enumerate(run.variables):
        true = sets[TRUTH][:, i]
        edges = np.linspace(float(true.min()), float(true.max()), NUM_BINS + 1)
        width = edges[1] - edges[0]
        counts = [np.histogram(fields[:, i], edges)[0] / (fields[:, i].size * width) for fields in sets.values()]
        units = run.statistics[variable]["units"] or "1"
        attrs = {"units": f"({units})^-1", "long_name": "density"}
        out[variable] = (("system", f"{variable}_bin"), np.stack(counts), attrs)
        out[f"{variable}_bin"] = (f"{variable}_bin", (edges[1:] + edges[:-1]) / 2, _attrs(run, variable))
    return out
