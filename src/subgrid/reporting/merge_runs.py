"""Sets the fields and spectra of several runs side by side, under names that tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from subgrid.scores.registry import BASELINES, TRUTH


def side_by_side(found: Mapping[str, Sequence[xr.Dataset]]) -> xr.Dataset | None:
    """Join datasets of runs along `system`.

    Args:
        found: by name, the `samples.nc` or `spectra.nc` of one run or several, whose mean is taken. Each holds the truth, the
            baselines and one trained system.

    Returns:
        Truth and baselines of the first run, then each name's own system under that name. A run whose truth is another than the
        first one's is left out; coarse fields are the first run's. None where nothing is left.
    """
    parts: list[xr.Dataset] = []
    common: xr.Dataset | None = None
    for name, datasets in found.items():
        for one in datasets:
            if common is None:
                common = one.sel(system=[s for s in one["system"].values if s in (TRUTH, *BASELINES)])
        mine = [_own(one, name) for one in datasets if common is not None and _same(one, common)]
        if mine:
            parts.append(sum(mine[1:], mine[0]) / len(mine) if len(mine) > 1 else mine[0])
    if common is None or not parts:
        return None
    joined = xr.concat(
        [common, *parts], dim="system", data_vars="minimal", coords="minimal", compat="override", join="override"
    )
    for variable, field in common.data_vars.items():
        joined[variable].attrs.update(field.attrs)
    return joined.assign_attrs(common.attrs)


def _own(dataset: xr.Dataset, name: str) -> xr.Dataset:
    """The trained system's fields, under another name."""
    own = [one for one in dataset["system"].values if one not in (TRUTH, *BASELINES)][:1]
    fields = [key for key, field in dataset.data_vars.items() if "system" in field.dims]
    return dataset[fields].sel(system=own).assign_coords(system=[name])


def _same(one: xr.Dataset, common: xr.Dataset) -> bool:
    """Whether the truth is the same; coarse fields may be another's, as where an arm is about coarsening."""
    if dict(one.sizes) != dict(common.sizes) | {"system": one.sizes["system"]} or TRUTH not in one["system"].values:
        return False
    names = [name for name, field in common.data_vars.items() if "system" in field.dims]
    return all(
        name in one and np.allclose(one[name].sel(system=TRUTH), common[name].sel(system=TRUTH), equal_nan=True)
        for name in names
    )
