"""Linked maps of a page: coarse input, truth, two selected systems, their errors, and which of the two is closer to the truth.

All maps share their ranges and one cursor. The page holds the encoded fields of all systems; its script decodes those that the
reader selects and draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from bokeh.models import (
    AdaptiveTicker,
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    CustomJS,
    CustomJSTickFormatter,
    LinearColorMapper,
    PanTool,
    Range1d,
    WheelZoomTool,
)
from bokeh.plotting import figure
from matplotlib import colormaps
from matplotlib.colors import to_hex

from subgrid.data.grid import cell_edges
from subgrid.reporting.figures.encode_fields import LEVELS, encode_field, steps_for
from subgrid.reporting.figures.fields import even_scale, field_scale, panel_shape, rmse_at
from subgrid.reporting.figures.style import coordinate, reading_order, time_text
from subgrid.reporting.format_numbers import format_units
from subgrid.scores.registry import TRUTH

PANELS = ("coarse", "truth", "first", "first-error", "second", "second-error", "gain")
LEVELS_TO_TRY = (LEVELS, 1000, 250)  # in turn, where the fields are too large for the page
MISSING = "#9a9a9a"
_UNEVEN = 0.02  # relative difference of cell widths from which an axis counts cells instead

_DEGREES = """
const turned = kind == "longitude" ? ((tick + 180) % 360 + 360) % 360 - 180 : tick
const letter = kind == "latitude" ? (tick < 0 ? "S" : "N") : (turned < 0 ? "W" : "E")
const size = Math.round(Math.abs(turned) * 1e6) / 1e6
return size == 0 || size == 180 ? `${size}°` : `${size}°${letter}`
"""
_POINT = "window.subgrid?.maps[key]?.point(event, cb_obj.x, cb_obj.y)"
_COUNTED = "const at = Math.max(0, Math.min(centres.length - 1, Math.floor(tick))); return String(centres[at])"


@dataclass(frozen=True)
class Axis:
    """One axis of the maps.

    Attributes:
        name: for the reader.
        kind: `latitude`, `longitude` or `other`.
        start: edge of the first cell, in `centres`' units; 0 where cells are counted.
        end: edge of the last one; the number of cells where they are counted.
        centres: of the cells, upward or to the right.
        flipped: whether the field runs the other way.
        counted: cells are too uneven for an image, so that the axis counts them.
    """

    name: str
    kind: str
    start: float
    end: float
    centres: list[float]
    flipped: bool
    counted: bool


@dataclass(frozen=True)
class LinkedMaps:
    """What a page needs for its maps.

    Attributes:
        panels: Bokeh figures by name, see `PANELS`.
        cursor: source of the marker that all maps show.
        payload: plain values for the page's script: fields, scales, axes.
        note: what was left out to keep the page small; empty where nothing was.
    """

    panels: dict[str, Any]
    cursor: ColumnDataSource
    payload: dict[str, Any]
    note: str


def linked_maps(samples: xr.Dataset, first: str, second: str, *, key: str, max_bytes: int) -> LinkedMaps:
    """Draw the linked maps of sample fields.

    Args:
        samples: `V(system, valid_time, y, x)` and `V_coarse(valid_time, y_coarse, x_coarse)`, with units; systems include
            ``truth``.
        first: system shown first on the left.
        second: and on the right.
        key: what the names of all models begin with; see `PANELS` for the rest.
        max_bytes: room for the encoded fields: as many times as fit; where not one fits, fewer levels, then a part of the grid.
    """
    variables = [str(name) for name, field in samples.data_vars.items() if "system" in field.dims]
    chosen, levels, note = _fit(samples, variables, max_bytes)
    field = chosen[variables[0]]
    y, x = (_axis(field, str(dim)) for dim in field.dims[-2:])
    blocks = [_block(chosen, name, levels, (y.flipped, x.flipped)) for name in variables]
    scales = [_scales(chosen, name, (first, second)) for name in variables]
    systems = [name for name in reading_order(chosen["system"].values) if name != TRUTH]
    payload = {
        "variables": [block | scale for block, scale in zip(blocks, scales, strict=True)],
        "systems": systems,
        "first": first,
        "second": second,
        "y": {"name": y.name, "kind": y.kind, "start": y.start, "end": y.end, "centres": y.centres},
        "x": {"name": x.name, "kind": x.kind, "start": x.start, "end": x.end, "centres": x.centres},
    }
    cursor = ColumnDataSource({"x": [], "y": []}, name=f"{key}-cursor")
    shape = panel_shape(field.isel(valid_time=0))
    return LinkedMaps(_panels(key, (y, x), shape, cursor, scales[0]), cursor, payload, note)


def _fit(samples: xr.Dataset, variables: Sequence[str], max_bytes: int) -> tuple[xr.Dataset, int, str]:
    """Select as many times, then levels, then cells as there is room for; the note says what was left out."""
    times = samples.sizes["valid_time"]
    sizes: dict[int, float] = {}
    for levels in LEVELS_TO_TRY:
        sizes[levels] = _size(samples.isel(valid_time=[0]), variables, levels)
        count = min(times, int(max_bytes // sizes[levels]))
        if count:
            notes = [f"{count} of {times} sample times"] if count < times else []
            notes += [f"values rounded to 1/{levels} of their range"] if levels < LEVELS else []
            return samples.isel(valid_time=slice(count)), levels, ", ".join(notes)
    share = (max_bytes / sizes[LEVELS_TO_TRY[-1]]) ** 0.5
    part = _part(samples.isel(valid_time=[0]), variables[0], 0.95 * share)
    y, x = part[variables[0]].shape[-2:]
    return (
        part,
        LEVELS_TO_TRY[-1],
        f"the {y} × {x} cells with the largest interpolation errors, values rounded to 1/{LEVELS_TO_TRY[-1]} of their range",
    )


def _size(samples: xr.Dataset, variables: Sequence[str], levels: int) -> float:
    """Estimate the bytes of the encoded fields from those of the truth and the first interpolation."""
    total = 0.0
    for name in variables:
        fields = samples[name].values
        steps = steps_for(fields, levels)
        encoded = [encode_field(fields[i, 0], steps) for i in range(min(2, len(fields)))]
        total += len(fields) * sum(map(len, encoded)) / len(encoded)
    return total


def _part(samples: xr.Dataset, variable: str, share: float) -> xr.Dataset:
    """The window of `share` of each axis, whole coarse cells, where the first baseline's error is largest."""
    field = samples[variable].isel(valid_time=0)
    y_dim, x_dim = (str(dim) for dim in field.dims[-2:])
    names = reading_order(field["system"].values)
    error = abs(field.sel(system=names[1]) - field.sel(system=names[0])).fillna(0.0).values
    window: dict[str, slice] = {}
    lengths, factors = [], []
    for dim in (y_dim, x_dim):
        factor = field.sizes[dim] // samples.sizes.get(f"{dim}_coarse", field.sizes[dim])
        factors.append(factor)
        lengths.append(max(int(field.sizes[dim] * share) // factor, 1) * factor)
    total = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    (high, wide), (dy, dx) = lengths, factors
    sums = total[high:, wide:] - total[:-high, wide:] - total[high:, :-wide] + total[:-high, :-wide]
    best = np.unravel_index(int(sums[::dy, ::dx].argmax()), sums[::dy, ::dx].shape)
    for dim, start, length, factor in zip((y_dim, x_dim), best, lengths, factors, strict=True):
        window[dim] = slice(int(start) * factor, int(start) * factor + length)
        if f"{dim}_coarse" in samples.sizes:
            window[f"{dim}_coarse"] = slice(int(start), int(start) + length // factor)
    return samples.isel(window)


def _axis(field: xr.DataArray, dim: str) -> Axis:
    centres, name, kind = coordinate(field, dim, field.sizes[dim])
    flipped = centres.size > 1 and centres[0] > centres[-1]
    centres = centres[::-1] if flipped else centres
    edges = cell_edges(centres)
    widths = np.diff(edges)
    counted = bool(np.ptp(widths) > _UNEVEN * widths.mean())
    start, end = (0.0, float(centres.size)) if counted else (float(edges[0]), float(edges[-1]))
    return Axis(name, kind, start, end, [float(f"{value:.6g}") for value in centres], flipped, counted)


def _block(samples: xr.Dataset, variable: str, levels: int, flipped: tuple[bool, bool]) -> dict[str, Any]:
    """One variable's encoded fields."""
    field, coarse = samples[variable], samples[f"{variable}_coarse"]
    order = tuple(slice(None, None, -1 if axis else 1) for axis in flipped)
    steps, coarse_steps = steps_for(field.values, levels), steps_for(coarse.values, levels)
    times = []
    for i in range(field.sizes["valid_time"]):
        here = field.isel(valid_time=i)
        fields = {str(name): encode_field(here.sel(system=name).values[order], steps) for name in here["system"].values}
        errors = rmse_at(samples, variable, i).items()
        rmse = {
            name: float(f"{value:.4g}") if np.isfinite(value) else None for name, value in errors
        }  # JSON has no NaN
        when = time_text(samples["valid_time"].values[i])
        times.append(
            {
                "label": when,
                "coarse": encode_field(coarse.values[i][order], coarse_steps),
                "fields": fields,
                "rmse": rmse,
            }
        )
    return {
        "name": variable,
        "long_name": str(field.attrs.get("long_name", "")),
        "units": format_units(str(field.attrs.get("units", ""))),
        "shape": list(field.shape[-2:]),
        "coarse_shape": list(coarse.shape[-2:]),
        "steps": [steps.low, steps.step],
        "coarse_steps": [coarse_steps.low, coarse_steps.step],
        "times": times,
    }


def _scales(samples: xr.Dataset, variable: str, pair: tuple[str, str]) -> dict[str, Any]:
    """Colour scales of a variable: of its fields, and of errors and differences between errors."""
    field = samples[variable]
    truth = field.sel(system=TRUTH)
    palette, norm = field_scale(truth.values)
    errors = (field.sel(system=list(dict.fromkeys(pair))) - truth).values
    bound = even_scale(errors).vmax
    return {"palette": hexes(palette), "low": norm.vmin, "high": norm.vmax, "error": bound}


def hexes(name: str, count: int = 256) -> list[str]:
    """A matplotlib colour map as hex colours."""
    return [to_hex(colour) for colour in colormaps[name](np.linspace(0.0, 1.0, count))]


def _panels(
    key: str, axes: tuple[Axis, Axis], shape: float, cursor: ColumnDataSource, scale: dict[str, Any]
) -> dict[str, Any]:
    """Empty maps that share ranges, cursor and colour scales."""
    y_range, x_range = (
        Range1d(axis.start, axis.end, bounds=(axis.start, axis.end), name=f"{key}-range-{name}")
        for axis, name in zip(axes, "yx", strict=True)
    )
    field = LinearColorMapper(scale["palette"], low=scale["low"], high=scale["high"], nan_color=MISSING)
    error, gain = (
        LinearColorMapper(hexes(name), low=-scale["error"], high=scale["error"], nan_color=MISSING)
        for name in ("RdBu_r", "PRGn")
    )
    mappers = {"coarse": field, "truth": field, "first": field, "second": field}
    mappers |= {"first-error": error, "second-error": error, "gain": gain}
    for name, mapper in (("field", field), ("error", error), ("gain", gain)):
        mapper.name = f"{key}-colours-{name}"
    return {name: _panel(key, name, mappers[name], (x_range, y_range), axes, shape, cursor) for name in PANELS}


def _panel(
    key: str,
    name: str,
    mapper: LinearColorMapper,
    ranges: tuple[Range1d, Range1d],
    axes: tuple[Axis, Axis],
    shape: float,
    cursor: ColumnDataSource,
) -> Any:
    """One map, empty: the page's script fills the source `KEY-image-NAME`."""
    y, x = axes
    plot = figure(
        x_range=ranges[0], y_range=ranges[1], sizing_mode="stretch_width", aspect_ratio=1 / (shape + 0.14),
        min_height=170, max_height=720, toolbar_location=None, tools=[PanTool(), WheelZoomTool(modifiers="ctrl")],
        name=f"{key}-map-{name}", output_backend="canvas",
    )  # fmt: skip
    plot.toolbar.active_scroll = plot.tools[1]
    plot.background_fill_alpha = plot.border_fill_alpha = 0.0
    source = ColumnDataSource({"image": [np.full((1, 1), np.nan, np.float32)]}, name=f"{key}-image-{name}")
    plot.image(
        "image", source=source, x=x.start, y=y.start, dw=x.end - x.start, dh=y.end - y.start, color_mapper=mapper
    )
    plot.scatter("x", "y", source=cursor, marker="cross", size=17, line_width=3.5, line_color="#ffffff")
    plot.scatter("x", "y", source=cursor, marker="cross", size=15, line_width=1.4, line_color="#000000")
    for drawn, axis in ((plot.yaxis[0], y), (plot.xaxis[0], x)):
        drawn.formatter = _formatter(axis)
        drawn.ticker = _ticker(axis)
        drawn.axis_label = None if axis.kind in ("latitude", "longitude") else axis.name
    plot.grid.visible = False
    bar = ColorBar(color_mapper=mapper, height=8, padding=2, margin=0, ticker=BasicTicker(desired_num_ticks=4))
    plot.add_layout(bar, "below")
    for event in ("mousemove", "tap"):
        plot.js_on_event(event, CustomJS(args={"key": key, "event": event}, code=_POINT))
    return plot


def _ticker(axis: Axis) -> Any:
    """Place ticks at round numbers; in degrees of a large domain, multiples of 30 and the like."""
    wide = axis.kind != "other" and not axis.counted and axis.end - axis.start > 45
    return AdaptiveTicker(mantissas=[1.5, 3, 6, 9] if wide else [1, 2, 5], desired_num_ticks=4)


def _formatter(axis: Axis) -> Any:
    if axis.counted:
        return CustomJSTickFormatter(args={"centres": axis.centres}, code=_COUNTED)
    if axis.kind == "other":
        return CustomJSTickFormatter(code="return String(Math.round(tick * 1e6) / 1e6)")
    return CustomJSTickFormatter(args={"kind": axis.kind}, code=_DEGREES)
