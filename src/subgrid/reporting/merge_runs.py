"""Merges the fields and spectra of several runs along `system`, under distinct names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from subgrid.scores.registry import BASELINES, TRUTH


def merge_systems(datasets_by_name: Mapping[str, Sequence[xr.Dataset]]) -> xr.Dataset | None:
    """Join datasets of runs along `system`.

    Args:
        datasets_by_name: `samples.nc` or `spectra.nc` of one run or several, by name; the mean of several is taken. Each
            dataset holds the truth, the baselines and one trained system.

    Returns:
        Truth and baselines of the first run, then the trained system of each name under that name. A run with another truth
        than the first one's is left out; coarse fields are the first run's. None where nothing is left.
    """
    datasets = [dataset for several in datasets_by_name.values() for dataset in several]
    if not datasets:
        return None
    common = datasets[0].sel(system=[name for name in datasets[0]["system"].values if name in (TRUTH, *BASELINES)])
    parts: list[xr.Dataset] = []
    for name, several in datasets_by_name.items():
        own = [_trained_system(dataset, name) for dataset in several if _has_same_truth(dataset, common)]
        if own:
            parts.append(sum(own[1:], own[0]) / len(own) if len(own) > 1 else own[0])
    if not parts:
        return None
    merged = xr.concat(
        [common, *parts], dim="system", data_vars="minimal", coords="minimal", compat="override", join="override"
    )
    for variable, field in common.data_vars.items():
        merged[variable].attrs.update(field.attrs)
    return merged.assign_attrs(common.attrs)


def _trained_system(dataset: xr.Dataset, name: str) -> xr.Dataset:
    """The trained system's fields, under another name."""
    trained = [system for system in dataset["system"].values if system not in (TRUTH, *BASELINES)][:1]
    fields = [key for key, field in dataset.data_vars.items() if "system" in field.dims]
    return dataset[fields].sel(system=trained).assign_coords(system=[name])


def _has_same_truth(dataset: xr.Dataset, common: xr.Dataset) -> bool:
    """Whether the truth is the same; coarse fields may differ, as between arms with different coarsening."""
    systems = dataset["system"]
    if dict(dataset.sizes) != dict(common.sizes) | {"system": systems.size} or TRUTH not in systems.values:
        return False
    names = [name for name, field in common.data_vars.items() if "system" in field.dims]
    return all(
        name in dataset and np.allclose(dataset[name].sel(system=TRUTH), common[name].sel(system=TRUTH), equal_nan=True)
        for name in names
    )
