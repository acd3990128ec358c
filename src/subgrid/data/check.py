"""Check a source before training: what it holds, what prevents or spoils a training, and how to fix it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.describe import common_step, describe_duration, describe_source, is_regular, time_steps
from subgrid.data.findings import Finding, percent, value_findings
from subgrid.data.grid import is_periodic, spatial_dims
from subgrid.data.sources.open_source import open_source, source_notes
from subgrid.data.sources.times import describe_time
from subgrid.data.sources.units import stated_units
from subgrid.data.sources.vectors import vector_components
from subgrid.data.value_statistics import ValueStatistics, variable_blocks
from subgrid.errors import SubgridError
from subgrid.io.console import Progress, silent

DEFAULT_PATCH = 64  # cells along each axis
MIN_TIMES = 30
_ORDER = ("error", "warning", "note")


@dataclass(frozen=True)
class SourceReport:
    """What a source holds (lines of text), and what was found in it, errors first."""

    summary: list[str]
    findings: list[Finding]

    @property
    def remarks(self) -> list[str]:
        """The findings as lines of text, each followed by its fix where there is one."""
        pairs = ((f"{f.level.upper():8}{f.text}", f"{'':8}{f.fix}") for f in self.findings)
        return [line for pair in pairs for line in pair if line.strip()]

    @property
    def usable(self) -> bool:
        """Whether nothing prevents training."""
        return self.exit_code < 2

    @property
    def exit_code(self) -> int:
        """0 where the source can be used, 1 where it can be used but there are warnings, 2 where it cannot be used."""
        levels = {finding.level for finding in self.findings}
        return 2 if "error" in levels else 1 if "warning" in levels else 0

    @property
    def verdict(self) -> str:
        """Whether the source can be used, a sentence."""
        return (
            "These files can be used for training.",
            "These files can be used for training, with the warnings above.",
            "These files cannot be used as they are.",
        )[self.exit_code]


def check(
    source: str | Path | Sequence[str | Path] | xr.Dataset,
    *,
    variables: Sequence[str] | None = None,
    select: Mapping[str, Any] | None = None,
    factor: int = 4,
    start: str | None = None,
    step: str | None = None,
    progress: Progress = silent,
) -> SourceReport:
    """Open a source, read it once in blocks of times, and report what it holds and what is wrong with it.

    Args:
        source: a path, a glob, a list of them or an open Dataset, as for `open_source`.
        variables: names of the variables to check; all by default.
        select: labels to pick along other dimensions, such as {"level": 850}.
        factor: fine cells per coarse cell along an axis.
        start: time of the first field, for files that hold no dates, such as .npy.
        step: time between their fields, such as "1h" or "1 month".
        progress: called with (blocks done, blocks in all).

    Returns:
        The report. A source that cannot be opened gives one finding of level "error", not an exception.
    """
    try:
        fields = open_source(source, variables=variables, select=select, start=start, step=step)
    except SubgridError as error:
        return SourceReport([], [Finding("error", str(error), "", "")])
    with fields:
        statistics, findings = _read_values(fields, progress)
    findings += [Finding("note", f"{note}.", "", "") for note in source_notes(fields)]
    findings += [*_check_grid(fields, factor), *_check_times(fields), *_check_description(fields)]
    for name, values in statistics.items():
        times = fields["valid_time"].values if "valid_time" in fields[name].dims else None
        findings += value_findings(name, values, fields[name].attrs, times)
        findings += _check_values(fields[name], values)
    findings.sort(key=lambda finding: _ORDER.index(finding.level))
    return SourceReport(describe_source(fields, statistics), _merge_variables(findings))


def _read_values(fields: xr.Dataset, progress: Progress) -> tuple[dict[str, ValueStatistics], list[Finding]]:
    """Read all values block by block; stop with a finding at a block that cannot be read."""
    blocks = [(str(name), block) for name in fields.data_vars for block in variable_blocks(fields[name])]
    statistics = {str(name): ValueStatistics() for name in fields.data_vars}
    for done, (name, block) in enumerate(blocks, start=1):
        timed = "valid_time" in fields[name].dims
        try:
            values = (fields[name].isel(valid_time=block) if timed else fields[name]).values
        except SubgridError as error:  # a file that cannot be read says so itself
            return statistics, [Finding("error", str(error), "", "")]
        except (OSError, RuntimeError, EOFError, ValueError) as error:
            what = f"the values could not be read ({type(error).__name__}: {error})."
            fix = "Part of the file is damaged or missing: download it again, or remove it from the list."
            return statistics, [Finding("error", what, name, fix)]
        statistics[name].add(values if timed else values[None])
        progress(done, len(blocks))
    return statistics, []


def _merge_variables(findings: Iterable[Finding]) -> list[Finding]:
    """Give findings that differ in nothing but the variable once, with the names of all variables."""
    names: dict[Finding, list[str]] = {}
    for finding in findings:
        names.setdefault(replace(finding, where=""), []).append(finding.where)
    return [replace(finding, where=", ".join(where)) for finding, where in names.items()]


def _check_values(variable: xr.DataArray, values: ValueStatistics) -> Iterator[Finding]:
    name = str(variable.name)
    if values.regular and values.low == values.high:
        yield Finding(
            "error",
            f"the field is constant: every value is {values.low:g}.",
            name,
            "Remove the variable: there is nothing to learn from it.",
        )
    if values.repeats:
        first = describe_time(variable["valid_time"].values[values.repeats[0]])
        yield Finding(
            "warning",
            f"{len(values.repeats)} fields equal the field before them, the first at {first}.",
            name,
            "Remove the repeated fields, or check how the file was made: equal fields in training and test make scores too "
            "good.",
        )
    scale = variable.attrs.get("subgrid_scale_factor")
    if scale is not None and values.regular and abs(scale) > 0.01 * values.std > 0.0:
        yield Finding(
            "note",
            f"the values are packed in steps of {abs(scale):g}, {percent(abs(scale) / values.std)} of the standard deviation.",
            name,
            "Use a source of finer precision if small scales matter: packing adds noise to the small scales of spectra.",
        )


def _check_grid(fields: xr.Dataset, factor: int) -> Iterator[Finding]:
    y, x = spatial_dims(fields)
    shape = f"{fields.sizes[y]} x {fields.sizes[x]} cells"
    smallest = min(fields.sizes[y], fields.sizes[x])
    if smallest < 2 * factor:
        yield Finding(
            "error",
            f"{shape} give fewer than 2 x 2 coarse cells at factor {factor}.",
            f"{y}, {x}",
            "Choose a larger region or a smaller factor.",
        )
        return
    yield from _check_multiple(fields, factor)
    if smallest < DEFAULT_PATCH:
        yield Finding(
            "note",
            f"{shape} are smaller than the default patch of {DEFAULT_PATCH} x {DEFAULT_PATCH}.",
            f"{y}, {x}",
            "Training uses smaller patches; the largest multiple of factor "
            f"{factor} that fits is {smallest // factor * factor} cells.",
        )
    yield from _check_axes(fields)


def _check_multiple(fields: xr.Dataset, factor: int) -> Iterator[Finding]:
    """Say what is cropped so that the coarse cells are whole."""
    y, x = spatial_dims(fields)
    rest = {"row": fields.sizes[y] % factor, "column": fields.sizes[x] % factor}
    if not any(rest.values()):
        return
    edges = {"row": "south", "column": "east"}
    cropped = [f"{n} {what}{'s' * (n > 1)} at the {edges[what]} edge" for what, n in rest.items() if n]
    globe = " The longitudes then no longer go round the globe." if rest["column"] and is_periodic(fields) else ""
    yield Finding(
        "note",
        f"{fields.sizes[y]} x {fields.sizes[x]} cells are not a multiple of factor {factor}: {' and '.join(cropped)} will be "
        f"cropped.{globe}",
        f"{y}, {x}",
        "No action is needed. To choose the edges yourself, cut the region to a multiple of the factor.",
    )


def _check_axes(fields: xr.Dataset) -> Iterator[Finding]:
    y, x = spatial_dims(fields)
    for axis in (y, x):
        steps = np.abs(np.diff(fields[axis].values))
        # Float32 coordinates stay below this share of their spacing, Gaussian latitudes above it.
        if steps.max() - steps.min() > 0.003 * np.median(steps):
            kind = " (possibly a Gaussian grid)" if axis == "latitude" else ""
            yield Finding(
                "note",
                f"the spacing is not uniform: {steps.min():.6g} to {steps.max():.6g}{kind}.",
                axis,
                "No action is needed: the coordinates of coarse and fine cells follow the spacing. Interpolation treats the "
                "cells as equally wide.",
            )
    if y == "latitude" and np.abs(fields[y].values).max() > 90.0 - 1e-6:
        yield Finding(
            "note",
            "there are rows on a pole, where cells are half as high and all cells are the same point.",
            y,
            "No action is needed: area weights count half cells. For cells of equal height, remove the rows (e.g. "
            "`ds.sel(latitude=slice(89, -89))`).",
        )


def _check_times(fields: xr.Dataset) -> Iterator[Finding]:
    if "valid_time" not in fields.dims:
        yield Finding(
            "warning",
            "there is no time axis: each variable is one static field.",
            "valid_time",
            "Use the fields as static predictors (data.static), or give a source with many times to train on.",
        )
        return
    values = fields["valid_time"].values
    if values.size < MIN_TIMES:
        yield Finding(
            "warning",
            f"the number of times is {values.size}; fewer than {MIN_TIMES} leave no independent times for validation and test.",
            "valid_time",
            "Add files that cover more times.",
        )
    steps = time_steps(values)
    if steps.size < 2 or is_regular(steps):
        return
    common, longest = common_step(steps), int(np.argmax(steps))
    gaps = int((steps > 1.5 * common).sum())
    kinds = sorted({round(float(step), 3) for step in steps})
    listed = ", ".join(map(describe_duration, kinds[:4])) + (", ..." if len(kinds) > 4 else "")
    yield Finding(
        "warning",
        f"the time step is irregular ({listed}; mostly {describe_duration(common)}), with {gaps} gap{'s' * (gaps != 1)}; the "
        f"largest is {describe_duration(float(steps[longest]))}, {describe_time(values[longest])} to "
        f"{describe_time(values[longest + 1])}.",
        "valid_time",
        "Add the missing files, or set the training, validation and test periods so that gaps lie between them.",
    )


def _check_description(fields: xr.Dataset) -> Iterator[Finding]:
    for name, variable in fields.data_vars.items():
        if not stated_units(variable.attrs.get("units")):
            yield Finding(
                "warning",
                "the file states no units, so errors are reported without units.",
                str(name),
                "Set them in the file, e.g. `ncatted -a units,VARIABLE,o,c,K in.nc`, or as an attribute of the Dataset.",
            )
    for name, kind in vector_components(fields).items():
        if "standard_name" not in fields[name].attrs:
            what = "a field of rotation" if kind == "rotation" else f"the {kind} component of a vector"
            yield Finding(
                "note",
                f"by its name and units alone, the variable is taken for {what}: mirrored patches change its sign.",
                name,
                f'If it is not, set data.vectors = {{ {name} = "none" }}, or its standard_name.',
            )
    for dim in (str(d) for d in fields.dims if d not in ("valid_time", *spatial_dims(fields))):
        label = fields[dim].values[0].item() if dim in fields.coords else 0
        what = "an ensemble of {} members" if dim == "realization" else "a further dimension of {} labels"
        yield Finding(
            "note",
            f"there is {what.format(fields.sizes[dim])}; training takes one.",
            dim,
            f"Select one, e.g. select = {{{dim} = {label!r}}}."
            if label == label
            else "Its labels are missing: remove the variables that have this dimension.",
        )
