"""Lines and points of a page that answer to the pointer: curves with bands, spectra, profiles, distortion against realism.

A renderer's tags say whose it is (``of:NAME``), so that the page's legend shows and hides a system in all of them at once;
``ink`` marks what has the colour of the page's text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    CustomJS,
    CustomJSTickFormatter,
    FixedTicker,
    HoverTool,
    Legend,
    LegendItem,
    NumeralTickFormatter,
    PanTool,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from subgrid.reporting.figures.style import FIXED, Array, coordinate, reading_order, system_styles
from subgrid.reporting.format_numbers import name_with_units
from subgrid.scores.registry import TRUTH

DASHES = {"-": "solid", "--": "dashed", "-.": "dotdash", ":": "dotted"}
ROUND = [float(f"{step}e{power}") for power in range(6) for step in (1, 2, 3, 5)]  # wavelengths that are named
MOST_POINTS = 400  # of a curve: what a screen can show
_BAND = 0.16
_PLAIN = "return String(Number(tick.toPrecision(3)))"


@dataclass(frozen=True)
class Line:
    """A line with a band, if it has one.

    Attributes:
        name: whose it is.
        x: (n).
        y: (n).
        low: lower edge of the band, (n), or None.
        high: upper edge, or None.
        note: what else there is to say at the pointer; such a line is dotted.
    """

    name: str
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None
    note: str = ""


def plot_frame(name: str, x_label: str, y_label: str, *, height: int = 320, **options: Any) -> Any:
    """Start a figure that is dragged, zoomed with ctrl and the wheel, and reset by a double click."""
    plot = figure(
        sizing_mode="stretch_width", height=height, toolbar_location=None, name=name, output_backend="canvas",
        tools=[PanTool(), WheelZoomTool(modifiers="ctrl")], x_axis_label=x_label, y_axis_label=y_label, **options,
    )  # fmt: skip
    plot.toolbar.active_scroll = plot.tools[1]
    plot.background_fill_alpha = plot.border_fill_alpha = 0.0
    plot.js_on_event("doubletap", CustomJS(args={"plot": plot}, code="plot.reset.emit()"))
    return plot


def _draw(plot: Any, lines: Sequence[Line], styles: Mapping[str, tuple[str, str]], hover: str) -> None:
    """Bands under lines, and what stands at the pointer."""
    for line in lines:
        colour, _ = styles[line.name]
        if line.low is not None and line.high is not None and len(line.x) > 1:
            band = plot.varea(line.x, line.low, line.high, fill_color=colour, fill_alpha=_BAND, level="underlay")
            band.tags = tags_of(line.name)
    shown = []
    for line in lines:
        colour, dash = styles[line.name]
        source = ColumnDataSource({"x": line.x, "y": line.y})
        width = 2.6 if line.name == TRUTH else 2.0
        drawn = plot.line(
            "x", "y", source=source, line_color=colour, line_dash="dotted" if line.note else DASHES[dash],
            line_width=width, name=f"{line.name}{line.note}",
        )  # fmt: skip
        drawn.tags = tags_of(line.name)
        if len(line.x) == 1:
            plot.scatter("x", "y", source=source, color=colour, size=6).tags = tags_of(line.name)
        shown.append(drawn)
    plot.add_tools(HoverTool(renderers=shown, tooltips=[("", "$name"), ("", hover)], line_policy="nearest"))


def tags_of(name: str) -> list[str]:
    """Whose a renderer is, for the page's legend and colours."""
    """Of a renderer; given to Bokeh's `plot.line` they would become its glyph's."""
    return [f"of:{name}", "ink"] if name == TRUTH else [f"of:{name}"]


def over_seeds(histories: Sequence[pd.DataFrame], column: str, name: str) -> Line | None:
    """The mean of one column over seeds, from the least to the largest as a band.

    Args:
        histories: a `history.csv` a seed; cut at the shortest.
        column: of them.
        name: of the line.

    Returns:
        Points where all seeds measured, thinned to `MOST_POINTS`; None where nothing was measured.
    """
    series = [table.set_index("step")[column].dropna() for table in histories if column in table]
    if not series or any(one.empty for one in series):
        return None
    joined = pd.concat(series, axis=1, join="inner")
    if joined.empty:
        return None
    joined = joined.iloc[:: math.ceil(len(joined) / MOST_POINTS)]
    steps, values = joined.index.to_numpy(np.float64), joined.to_numpy(np.float64)
    band = (values.min(1), values.max(1)) if values.shape[1] > 1 else (None, None)
    return Line(name, steps, values.mean(1), *band)


def live_curves(
    histories: Mapping[str, Sequence[pd.DataFrame]],
    column: str,
    label: str,
    styles: Mapping[str, tuple[str, str]],
    name: str,
) -> Any | None:
    """One quantity over the updates, a line a system, a band over its seeds; dotted beside it that of training times.

    Args:
        histories: `history.csv` of each seed, by system.
        column: the quantity.
        label: of the axis.
        styles: colour and dash by system.
        name: of the figure.

    Returns:
        A Bokeh figure; None where no system measured it.
    """
    lines = [line for system, tables in histories.items() if (line := over_seeds(tables, column, system))]
    if not lines:
        return None
    for system, tables in histories.items():
        if line := over_seeds(tables, f"train_{column.removeprefix('valid_')}", system):
            lines.append(replace(line, note=", training times"))
    plot = plot_frame(name, "updates", label)
    _draw(plot, lines, styles, "@y{0.0000} after @x{0,0} updates")
    _mark_stages(plot, histories)
    level = f"{column}_bilinear"
    levels = {float(x) for tables in histories.values() for t in tables if level in t for x in t[level].dropna()}
    if len(levels) == 1:  # of all on one data set; it does not widen the axis
        plot.add_layout(
            Span(location=levels.pop(), dimension="width", line_color=FIXED["bilinear"][0], line_dash="dashed")
        )
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
    plot.xaxis.ticker = BasicTicker(desired_num_ticks=5)
    return plot


def _mark_stages(plot: Any, histories: Mapping[str, Sequence[pd.DataFrame]]) -> None:
    """A dotted line where the systems change their stage, if they all do at once."""
    changes = {
        tuple(table.loc[table["stage"].ne(table["stage"].shift()), "step"].iloc[1:])
        for tables in histories.values()
        for table in tables
        if "stage" in table
    }
    for step in changes.pop() if len(changes) == 1 else ():
        plot.add_layout(Span(location=float(step), dimension="height", line_color="#888888", line_dash="dotted"))


def live_columns(history: pd.DataFrame, columns: Mapping[str, str], label: str, name: str) -> Any | None:
    """Several columns of one history as lines with a legend of their own.

    Args:
        history: `history.csv`.
        columns: title by column.
        label: of the axis.
        name: of the figure.
    """
    lines = [line for column, title in columns.items() if (line := over_seeds([history], column, title))]
    if not lines:
        return None
    low = min(float(line.y.min()) for line in lines)
    plot = plot_frame(name, "updates", label, y_axis_type="log" if low > 0 else "linear")
    _draw(plot, lines, system_styles([line.name for line in lines]), "@y{0.0000} after @x{0,0} updates")
    _mark_stages(plot, {"": [history]})
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0")
    if low > 0:
        plot.yaxis.formatter = CustomJSTickFormatter(code=_PLAIN)
    items = [LegendItem(label=one.name, renderers=[one]) for one in plot.renderers if one.name]
    plot.add_layout(
        Legend(items=items, ncols=2, border_line_alpha=0.0, background_fill_alpha=0.0, click_policy="hide"), "above"
    )
    return plot


def live_spectra(
    spectra: xr.Dataset, variable: str, styles: Mapping[str, tuple[str, str]], name: str
) -> tuple[Any, Any]:
    """Mean power against wavelength, and each system's power over the truth's; both share the wavelengths.

    Args:
        spectra: `V(system, wavelength)`, wavelength in fine cells, attribute `factor`.
        variable: which `V`.
        styles: colour and dash by system.
        name: of the figures, with `-power` and `-ratio` behind.
    """
    power = spectra[variable]
    wavelength = np.asarray(power["wavelength"].values, dtype=np.float64)
    keep = np.isfinite(wavelength) & (wavelength > 0)
    power, wavelength = power.isel(wavelength=keep), wavelength[keep]
    names = reading_order(power["system"].values)
    truth = power.sel(system=TRUTH).values
    powers, ratios = [], []
    for system in names:
        values = power.sel(system=system).values
        powers.append(Line(system, wavelength, np.where(values > 0, values, np.nan)))
        ratio = np.divide(values, truth, out=np.full(truth.shape, np.nan), where=truth > 0)
        ratios.append(Line(system, wavelength, ratio))
    ends = (float(wavelength.max()), float(wavelength.min()))
    x_label = "wavelength, fine cells"
    top = plot_frame(
        f"{name}-power", x_label, name_with_units("power", str(power.attrs.get("units", ""))),
        x_axis_type="log", y_axis_type="log", x_range=ends,
    )  # fmt: skip
    peak = max([1.0, *(float(np.nanmax(line.y)) for line in ratios if np.isfinite(line.y).any())])
    low = plot_frame(
        f"{name}-ratio", x_label, "power over the truth's", x_axis_type="log", x_range=top.x_range,
        y_range=(0.0, min(1.1 * peak, 2.5)),
    )  # fmt: skip
    _draw(top, powers, styles, "@y{0.000e} at @x{0.0} cells")
    _draw(low, ratios, styles, "@y{0.000} of the truth's at @x{0.0} cells")
    limit = 2.0 * int(spectra.attrs.get("factor") or spectra["wavelength"].attrs["factor"])
    for plot in (top, low):
        plot.add_layout(
            Span(location=limit, dimension="height", line_color="#888888", line_dash="dotted", line_width=1.5)
        )
        plot.xaxis.ticker = FixedTicker(ticks=ROUND)
        plot.xaxis.formatter = CustomJSTickFormatter(code=_PLAIN)
    return top, low


def live_profile(samples: xr.Dataset, variable: str, styles: Mapping[str, tuple[str, str]], name: str) -> Any:
    """The centre row at the first time; the page's script replaces the row by the one that the reader points at.

    Args:
        samples: `V(system, valid_time, y, x)`.
        variable: which `V`.
        styles: colour and dash by system.
        name: of the figure; the line of a system has the source `NAME-line-SYSTEM`.
    """
    field = samples[variable].isel(valid_time=0)
    y_dim, x_dim = (str(dim) for dim in field.dims[-2:])
    row = field.isel({y_dim: field.sizes[y_dim] // 2})
    centres, label, _ = coordinate(field, x_dim, field.sizes[x_dim])
    order = np.argsort(centres)
    lines = [
        Line(system, centres[order], row.sel(system=system).values[order].astype(np.float64))
        for system in reading_order(row["system"].values)
    ]
    plot = plot_frame(name, label, name_with_units(variable, str(field.attrs.get("units", ""))))
    _draw(plot, lines, styles, "@y{0.00} at @x{0.00}")
    for one in plot.renderers:
        if one.name:
            one.data_source.name = f"{name}-line-{one.name}"
    return plot
