"""Compare coarse input with what a system was trained on: its units, and the range of its values."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import xarray as xr

from subgrid.data.sources.convert_units import convert_units
from subgrid.data.sources.units import stated_units
from subgrid.errors import SourceError
from subgrid.run import Run

MAX_DEVIATIONS = 6.0  # of the training data, between the mean of the input and the mean of the training data
RANGE_TIMES = 16  # evenly spaced, the first and the last among them; the mean is taken over them and all cells


def in_training_units(run: Run, coarse: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    """Convert coarse fields to the units of the training data; also return sentences on what was converted.

    Raises:
        SourceError: units that cannot be converted.
    """
    units = {name: run.statistics[name].get("units") for name in run.variables}
    return convert_units(coarse, units, "the source", "the training data")


def check_range(run: Run, coarse: xr.Dataset) -> None:
    """Refuse input whose values lie far outside the training data, such as degrees Celsius without a units attribute.

    The mean over at most `RANGE_TIMES` times, evenly spaced, and over all cells may differ from the mean of the training data
    by `MAX_DEVIATIONS` standard deviations of the training data. These times are read in addition, before anything is
    computed.

    Args:
        run: the trained system.
        coarse: coarse fields in the units of the training data.

    Raises:
        SourceError: values outside this range.
    """
    num_times = coarse.sizes.get("valid_time", 1)
    positions = np.unique(np.linspace(0, num_times - 1, min(num_times, RANGE_TIMES)).round().astype(int))
    sample = coarse[run.variables]
    sample = sample.isel(valid_time=positions) if "valid_time" in sample.dims else sample
    with dask.config.set(scheduler="synchronous"):
        means = sample.where(np.isfinite(sample)).astype(np.float64).mean().compute()
    for name in run.variables:
        mean, known = float(means[name]), run.statistics[name]
        deviations = abs(mean - known["mean"]) / known["std"]
        if deviations > MAX_DEVIATIONS:  # False where all values are missing, which is refused elsewhere
            raise SourceError(_outside(name, mean, known, deviations, positions.size, coarse[name].attrs))


def _outside(
    name: str, mean: float, known: dict[str, Any], deviations: float, num_times: int, attrs: dict[str, Any]
) -> str:
    """Describe values outside the training range, and what to do."""
    units = stated_units(known.get("units"))
    unit = f" {units}" if units else ""
    times = "1 time" if num_times == 1 else f"{num_times} evenly spaced times"
    hint = "Check the values and their units attribute."
    if not stated_units(attrs.get("units")):
        hint = "The source states no units: set its units attribute, and the values are converted."
    return (
        f"{name}: the mean of the source over {times} is {mean:.4g}{unit}, {deviations:.1f} standard deviations from the mean "
        f"of the training data ({known['mean']:.4g}{unit}, standard deviation {known['std']:.4g}); at most "
        f"{MAX_DEVIATIONS:g} are accepted. {hint} If they are right, pass force=True (--force)."
    )
