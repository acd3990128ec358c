"""Compare coarse input with what a system was trained on: its units, and the range of its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from subgrid.data.sources.convert_units import convert_units
from subgrid.data.sources.units import stated_units
from subgrid.data.value_range import MAX_DEVIATIONS, Moments, deviations, sample_moments
from subgrid.errors import SourceError
from subgrid.run import Run


def in_training_units(run: Run, coarse: xr.Dataset) -> tuple[xr.Dataset, list[str]]:
    """Convert coarse fields to the units of the training data; also return sentences on what was converted.

    Raises:
        SourceError: units that cannot be converted.
    """
    units = {name: run.statistics[name].get("units") for name in run.variables}
    return convert_units(coarse, units, "the source", "the training data")


def check_range(run: Run, coarse: xr.Dataset) -> None:
    """Refuse input whose values lie far outside the training data, such as degrees Celsius without a units attribute.

    The mean over at most `SAMPLE_TIMES` times, evenly spaced, and over all cells may differ from the mean of the training
    data by `MAX_DEVIATIONS` standard deviations of the training data (see `subgrid.data.value_range`). These times are read in
    addition, before anything is computed.

    Args:
        run: the trained system.
        coarse: coarse fields in the units of the training data.

    Raises:
        SourceError: values outside this range.
    """
    for name in run.variables:
        known = run.statistics[name]
        sample = sample_moments(coarse[name])
        distance = deviations(sample.mean, known["mean"], known["std"])
        if distance > MAX_DEVIATIONS:
            raise SourceError(_outside(name, sample, known, distance, coarse[name].attrs))


def _outside(name: str, sample: Moments, known: Mapping[str, Any], distance: float, attrs: Mapping[str, Any]) -> str:
    """Describe values outside the training range, and what to do."""
    units = stated_units(known.get("units"))
    unit = f" {units}" if units else ""
    times = "1 time" if sample.num_times == 1 else f"{sample.num_times} evenly spaced times"
    hint = "Check the values and their units attribute."
    if not stated_units(attrs.get("units")):
        hint = "The source states no units: set its units attribute, and the values are converted."
    return (
        f"{name}: the mean of the source over {times} is {sample.mean:.4g}{unit}, {distance:.1f} standard deviations from the "
        f"mean of the training data ({known['mean']:.4g}{unit}, standard deviation {known['std']:.4g}); at most "
        f"{MAX_DEVIATIONS:g} are accepted. {hint} If they are right, pass force=True (--force)."
    )
