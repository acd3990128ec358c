"""Say what a source holds, and what stands in the way of training on it, before hours are spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from subgrid.data.grid import is_periodic, spatial_dims
from subgrid.data.sources.open_source import open_source, wind_components
from subgrid.data.sources.times import describe_time
from subgrid.data.tally import HUGE, Tally, blocks_of
from subgrid.errors import SubgridError
from subgrid.io.console import Progress, silent

DEFAULT_PATCH = 64  # cells along each axis
MIN_TIMES = 30
_DAY = 86400.0  # seconds


@dataclass(frozen=True)
class Finding:
    """One thing about a source that a user should know.

    Attributes:
        level: "error" stops training, "warning" spoils it, "note" is good to know.
        what: what was found.
        where: the variable or axis, or the source.
        fix: what to do about it.
    """

    level: Literal["error", "warning", "note"]
    what: str
    where: str
    fix: str


@dataclass(frozen=True)
class Report:
    """What a source holds (lines of text) and what was found."""

    summary: list[str]
    findings: list[Finding]

    @property
    def usable(self) -> bool:
        """Whether nothing found stops training."""
        return all(finding.level != "error" for finding in self.findings)


def check(
    source: str | Path | Sequence[str | Path] | xr.Dataset,
    *,
    variables: Sequence[str] | None = None,
    select: Mapping[str, Any] | None = None,
    factor: int = 4,
    start: str | None = None,
    step: str | None = None,
    progress: Progress = silent,
) -> Report:
    """Open a source, read it once in blocks of times, and report what it holds and what is wrong with it.

    Args:
        source: what to open, as for `subgrid.data.sources.open_source.open_source`; so are the next two and the last two.
        variables: names to keep.
        select: labels to pick along other dimensions.
        factor: fine cells per coarse cell along an axis.
        start: time of the first field of an .npy file.
        step: time between the fields of an .npy file.
        progress: called with (blocks done, blocks in all).

    Returns:
        The report; a source that cannot be opened gives one finding of level "error", not an exception.
    """
    try:
        ds = open_source(source, variables=variables, select=select, start=start, step=step)
    except SubgridError as error:
        where = "the data set" if isinstance(source, xr.Dataset) else str(source)
        fix = "Mend the source or the arguments as the message says, and check again."
        return Report([], [Finding("error", str(error), where, fix)])
    findings = [*_check_grid(ds, factor), *_check_times(ds), *_check_description(ds)]
    blocks = [(str(name), block) for name in ds.data_vars for block in blocks_of(ds[name])]
    tallies = {str(name): Tally() for name in ds.data_vars}
    with ds:
        for done, (name, block) in enumerate(blocks, start=1):
            timed = "valid_time" in ds[name].dims
            try:
                values = (ds[name].isel(valid_time=block) if timed else ds[name]).values
            except (OSError, RuntimeError, EOFError, ValueError) as error:
                what = f"the values could not be read ({type(error).__name__}: {error})."
                fix = "Get the file again, or leave it out: part of it is damaged or missing."
                findings.append(Finding("error", what, name, fix))
                break
            tallies[name].add(values, timed)
            progress(done, len(blocks))
    for name, tally in tallies.items():
        findings += [*_check_gaps(ds[name], tally), *_check_values(ds[name], tally)]
    order = {"error": 0, "warning": 1, "note": 2}
    return Report(_summary(ds, tallies), sorted(findings, key=lambda finding: order[finding.level]))


def _check_gaps(variable: xr.DataArray, tally: Tally) -> Iterator[Finding]:
    where = str(variable.name)
    if tally.nan:
        fixed = tally.always is not None and tally.nan == int(tally.always.sum()) * tally.times
        kind = "at the same cells every time (a mask, such as land)" if fixed else "at changing cells"
        yield Finding(
            "error",
            f"{tally.nan / tally.count:.2%} of the values are missing, {kind}; training needs complete fields.",
            where,
            "Fill them (`cdo fillmiss2`, `ds.interpolate_na`), or choose a region, period or variable without gaps.",
        )
    if tally.infinite:
        yield Finding(
            "error",
            f"{tally.infinite} values are infinite.",
            where,
            "Replace them (`ds.where(np.isfinite(ds))`), then fill the gaps; look for a division by zero upstream.",
        )
    if tally.huge:
        yield Finding(
            "error",
            f"{tally.huge} values exceed {HUGE:g}: a fill value that the file does not declare.",
            where,
            "Declare it as _FillValue (`ncatted -a _FillValue,VAR,o,f,1e20`, `cdo setmissval`), then fill the gaps.",
        )
    reach = max(tally.high - tally.low, 1e-6 * max(abs(tally.high), abs(tally.low), 1e-30)) if tally.finite else 0.0
    for value, count in tally.suspects.items():
        if tally.finite and tally.low - reach <= value <= tally.high + reach:
            continue
        rest = f"all others lie in {tally.low:g} .. {tally.high:g}" if tally.finite else "there are no others"
        yield Finding(
            "error",
            f"{count} values are {value:g} while {rest}: a fill value that the file does not declare.",
            where,
            f"Declare it as _FillValue (`ncatted -a _FillValue,{where},o,f,{value:g}`), then fill the gaps.",
        )


def _check_values(variable: xr.DataArray, tally: Tally) -> Iterator[Finding]:
    where = str(variable.name)
    if tally.finite and tally.low == tally.high:
        yield Finding(
            "error",
            f"constant: every value is {tally.low:g}.",
            where,
            "Leave the variable out; there is nothing to learn from it.",
        )
    if tally.stuck:
        first = describe_time(variable["valid_time"].values[tally.stuck[0]])
        yield Finding(
            "warning",
            f"{len(tally.stuck)} fields equal the field before them, the first at {first}: stuck or repeated data.",
            where,
            "Drop the repeats, or check how the file was made; equal times in training and test leak.",
        )
    scale = variable.attrs.get("subgrid_scale_factor")
    if scale is not None and tally.finite and abs(scale) > 0.01 * tally.std > 0.0:
        yield Finding(
            "note",
            f"packed in steps of {abs(scale):g}, {abs(scale) / tally.std:.1%} of the standard deviation.",
            where,
            "Take a source of finer precision if small scales matter; spectra level off at the packing noise.",
        )


def _check_grid(ds: xr.Dataset, factor: int) -> Iterator[Finding]:
    y, x = spatial_dims(ds)
    rows, columns = ds.sizes[y], ds.sizes[x]
    if min(rows, columns) < 2 * factor:
        yield Finding(
            "error",
            f"{rows} x {columns} cells give fewer than 2 x 2 coarse cells at factor {factor}.",
            f"{y}, {x}",
            "Choose a larger region or a smaller factor.",
        )
        return
    if rows % factor or columns % factor:
        edge = " The longitudes then no longer close the globe." if is_periodic(ds) and columns % factor else ""
        cut = [
            f"{left} {what} at the {side} edge"
            for left, what, side in (
                (rows % factor, "row(s)", "south"),
                (columns % factor, "column(s)", "east"),
            )
            if left
        ]
        yield Finding(
            "note",
            f"{rows} x {columns} cells are no multiple of factor {factor}: {' and '.join(cut)} will be cropped.{edge}",
            f"{y}, {x}",
            "Nothing, or cut the region to a multiple yourself.",
        )
    if min(rows, columns) < DEFAULT_PATCH:
        size = min(rows, columns) // factor * factor
        yield Finding(
            "note",
            f"{rows} x {columns} cells are smaller than the default patch of {DEFAULT_PATCH} x {DEFAULT_PATCH}.",
            f"{y}, {x}",
            f"The patch will be reduced; the largest multiple of factor {factor} that fits is {size} cells.",
        )
    for axis in (y, x):
        steps = np.abs(np.diff(ds[axis].values))
        # Float32 coordinates stay below this share of their spacing, Gaussian latitudes above it.
        if steps.max() - steps.min() > 0.003 * np.median(steps):
            kind = " (a Gaussian grid, perhaps)" if axis == "latitude" else ""
            yield Finding(
                "note",
                f"the spacing is not uniform: {steps.min():.6g} to {steps.max():.6g}{kind}.",
                axis,
                "Nothing: coordinates of coarse and fine cells follow it. Interpolation treats the cells as equal.",
            )
    if y == "latitude" and np.abs(ds[y].values).max() > 90.0 - 1e-6:
        yield Finding(
            "note",
            "rows lie on a pole, where cells are half as high and all one point.",
            y,
            "Nothing: area weights count half cells. Cut them off (e.g. `sel(latitude=slice(89, -89))`) for even cells.",
        )


def _check_times(ds: xr.Dataset) -> Iterator[Finding]:
    if "valid_time" not in ds.dims:
        yield Finding(
            "warning",
            "there is no time axis: one static field for each variable.",
            "valid_time",
            "Use it as a static covariate; to train on it, give a source with many times.",
        )
        return
    count = ds.sizes["valid_time"]
    if count < MIN_TIMES:
        yield Finding(
            "warning",
            f"only {count} time(s); fewer than {MIN_TIMES} leave nothing independent for validation and test.",
            "valid_time",
            "Add files that cover more times.",
        )
    values = ds["valid_time"].values
    steps = _steps(values)
    if steps.size < 2 or _regular(steps):
        return
    common = _common_step(steps)
    at = int(np.argmax(steps))
    gaps = int((steps > 1.5 * common).sum())
    kinds = sorted({round(float(step), 3) for step in steps})
    listed = ", ".join(map(_duration, kinds[:4])) + (", ..." if len(kinds) > 4 else "")
    yield Finding(
        "warning",
        f"the time step is irregular ({listed}; mostly {_duration(common)}), with {gaps} gap(s); the largest is "
        f"{_duration(float(steps[at]))}, {describe_time(values[at])} to {describe_time(values[at + 1])}.",
        "valid_time",
        "Add the missing files, or set the training, validation and test periods so that gaps lie between them.",
    )


def _check_description(ds: xr.Dataset) -> Iterator[Finding]:
    for name, variable in ds.data_vars.items():
        if not str(variable.attrs.get("units", "")).strip():
            yield Finding(
                "warning",
                "no units: errors cannot be given in any.",
                str(name),
                f"Set them in the file, e.g. `ncatted -a units,{name},o,c,K in.nc`, or on the Dataset you hand over.",
            )
    for name, axis in wind_components(ds).items():
        if "standard_name" not in ds[name].attrs:
            words = "eastward_wind" if axis == "x" else "northward_wind"
            yield Finding(
                "note",
                f"taken for the {axis} component of a vector by its name alone (it changes sign in flips).",
                name,
                f"Set its standard_name, e.g. {words!r}; set another one if it is no vector component.",
            )
    if "realization" in ds.dims:
        yield Finding(
            "note",
            f"an ensemble of {ds.sizes['realization']} members.",
            "realization",
            "Nothing, or take one member with select = {realization = ...}.",
        )
    levels = [str(dim) for dim in ds.dims if dim not in ("valid_time", "realization", *spatial_dims(ds))]
    for dim in levels:
        first = ds[dim].values[0].item() if dim in ds.coords else 0
        if first == first:
            fix = f"Take one label if you want one field a time, e.g. select = {{{dim} = {first!r}}}."
        else:
            fix = "Its labels are missing; leave out the variables that have it."
        yield Finding("note", f"a further dimension of {ds.sizes[dim]} labels.", dim, fix)


def _summary(ds: xr.Dataset, tallies: dict[str, Tally]) -> list[str]:
    """Describe source, variables, grid and times, a line each."""
    y, x = spatial_dims(ds)
    lines = [f"source: {ds.attrs['source']}"]
    for name, variable in ds.data_vars.items():
        tally = tallies[str(name)]
        dims = ", ".join(f"{dim} {size}" for dim, size in variable.sizes.items())
        units = variable.attrs.get("units", "no units")
        values = f"{tally.low:.6g} .. {tally.high:.6g}, mean {tally.mean:.6g}" if tally.finite else "no values"
        packed = ", packed" if "subgrid_scale_factor" in variable.attrs else ""
        lines.append(f"{name}: {units}, {variable.dtype}{packed} ({dims}), {values}")
    spans = [
        f"{axis} {ds[axis].values[0]:.6g} .. {ds[axis].values[-1]:.6g} by {np.median(np.abs(np.diff(ds[axis]))):.6g}"
        for axis in (y, x)
    ]
    globe = ", global in longitude" if is_periodic(ds) else ""
    units = ds[x].attrs["units"]
    unit = "degrees" if units.startswith("degree") else ("cell numbers" if units == "1" else units)
    lines.append(f"grid: {ds.sizes[y]} x {ds.sizes[x]} cells, {spans[0]}, {spans[1]} ({unit}){globe}")
    if "valid_time" not in ds.dims:
        return [*lines, "times: none (static)"]
    valid = ds["valid_time"].values
    calendar = getattr(valid[0], "calendar", "standard")
    steps = _steps(valid)
    step = f", {_describe_steps(steps)}" if steps.size else ""
    span = f"{describe_time(valid[0])} .. {describe_time(valid[-1])}"
    return [*lines, f"times: {valid.size}, {span}{step}, {calendar} calendar"]


def _describe_steps(steps: np.ndarray) -> str:
    """Say how regular steps (seconds) are."""
    if steps.min() >= 28 * _DAY and steps.max() <= 31 * _DAY:
        return "monthly"
    if not _regular(steps):
        return f"mostly every {_duration(_common_step(steps))} with gaps, the largest {_duration(float(steps.max()))}"
    return f"every {_duration(_common_step(steps))}"


def _steps(values: np.ndarray) -> np.ndarray:
    """Seconds between times."""
    steps = np.diff(values)
    if steps.dtype.kind == "m":
        return np.asarray(steps / np.timedelta64(1, "s"), dtype=np.float64)
    return np.array([step.total_seconds() for step in steps], dtype=np.float64)


def _common_step(steps: np.ndarray) -> float:
    values, counts = np.unique(np.round(steps, 3), return_counts=True)
    return float(values[np.argmax(counts)])


def _regular(steps: np.ndarray) -> bool:
    """Say whether steps are equal, or months or years of the calendar."""
    low, high = float(steps.min()), float(steps.max())
    months = low >= 28 * _DAY and high <= 31 * _DAY
    years = low >= 360 * _DAY and high <= 366 * _DAY
    return months or years or high - low < 1e-3 * low


def _duration(seconds: float) -> str:
    for size, unit in ((_DAY, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.4g} s"
