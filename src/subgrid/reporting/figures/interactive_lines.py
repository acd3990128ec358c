"""Interactive lines of a page: curves with bands, spectra, profiles.

A renderer's tags name its system (``of:NAME``), so that the page's legends show and hide a system in all figures at once;
``ink`` marks renderers that have the colour of the page's text.
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
ROUND = [float(f"{step}e{power}") for power in range(6) for step in (1, 2, 3, 5)]  # wavelengths with a tick
MOST_POINTS = 400  # of a curve, as many as a screen resolves
_BAND = 0.16
_PLAIN = "return String(Number(tick.toPrecision(3)))"


@dataclass(frozen=True)
class Line:
    """A line, and the band around it.

    Attributes:
        name: its system.
        x: horizontal positions, (n).
        y: vertical positions, (n).
        low: lower edge of the band, (n), or None.
        high: upper edge, or None.
        note: text after the name at the pointer; a line with a note is dotted.
    """

    name: str
    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None
    note: str = ""


def plot_frame(name: str, x_label: str, y_label: str, *, height: int = 320, **options: Any) -> Any:
    """Start a figure that is panned by dragging, zoomed by Ctrl and the wheel, and reset by a double click."""
    plot = figure(
        sizing_mode="stretch_width", height=height, toolbar_location=None, name=name, output_backend="canvas",
        tools=[PanTool(), WheelZoomTool(modifiers="ctrl")], x_axis_label=x_label, y_axis_label=y_label, **options,
    )  # fmt: skip
    plot.toolbar.active_scroll = plot.tools[1]
    plot.background_fill_alpha = plot.border_fill_alpha = 0.0
    plot.js_on_event("doubletap", CustomJS(args={"plot": plot}, code="plot.reset.emit()"))
    return plot


def _draw(plot: Any, lines: Sequence[Line], styles: Mapping[str, tuple[str, str]], hover: str) -> None:
    """Draw lines over their bands, and add what the pointer shows."""
    for line in lines:
        colour, _ = styles[line.name]
        if line.low is not None and line.high is not None and len(line.x) > 1:
            band = plot.varea(line.x, line.low, line.high, fill_color=colour, fill_alpha=_BAND, level="underlay")
            band.tags = tags_of(line.name)
    drawn_lines = []
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
        drawn_lines.append(drawn)
    plot.add_tools(HoverTool(renderers=drawn_lines, tooltips=[("", "$name"), ("", hover)], line_policy="nearest"))


def tags_of(name: str) -> list[str]:
    """Return the tags of a system's renderer; passed to Bokeh's `plot.line` they would become the glyph's."""
    return [f"of:{name}", "ink"] if name == TRUTH else [f"of:{name}"]


def over_seeds(histories: Sequence[pd.DataFrame], column: str, name: str) -> Line | None:
    """Average one column over seeds, with a band from the lowest to the highest.

    Args:
        histories: `history.csv` of each seed; updates after the end of the shortest are left out.
        column: which one.
        name: of the line.

    Returns:
        Points where all seeds measured, thinned to `MOST_POINTS`; None where nothing was measured.
    """
    series = [table.set_index("step")[column].dropna() for table in histories if column in table]
    if not series or any(values.empty for values in series):
        return None
    joined = pd.concat(series, axis=1, join="inner")
    if joined.empty:
        return None
    joined = joined.iloc[:: math.ceil(len(joined) / MOST_POINTS)]
    steps, values = joined.index.to_numpy(np.float64), joined.to_numpy(np.float64)
    band = (values.min(1), values.max(1)) if values.shape[1] > 1 else (None, None)
    return Line(name, steps, values.mean(1), *band)


def interactive_curves(
    histories: Mapping[str, Sequence[pd.DataFrame]],
    column: str,
    label: str,
    styles: Mapping[str, tuple[str, str]],
    name: str,
) -> Any | None:
    """Draw one quantity by update: a line for each system with a band over its seeds, and a dotted line for training times.

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
    """Mark changes of the training stage by dotted lines, if all systems change at the same updates."""
    changes = {
        tuple(table.loc[table["stage"].ne(table["stage"].shift()), "step"].iloc[1:])
        for tables in histories.values()
        for table in tables
        if "stage" in table
    }
    for step in changes.pop() if len(changes) == 1 else ():
        plot.add_layout(Span(location=float(step), dimension="height", line_color="#888888", line_dash="dotted"))


def interactive_columns(history: pd.DataFrame, columns: Mapping[str, str], label: str, name: str) -> Any | None:
    """Draw several columns of one history as lines, with a legend in the figure.

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
    items = [LegendItem(label=drawn.name, renderers=[drawn]) for drawn in plot.renderers if drawn.name]
    plot.add_layout(
        Legend(items=items, ncols=2, border_line_alpha=0.0, background_fill_alpha=0.0, click_policy="hide"), "above"
    )
    return plot


def interactive_spectra(
    spectra: xr.Dataset, variable: str, styles: Mapping[str, tuple[str, str]], name: str
) -> tuple[Any, Any]:
    """Draw mean power by wavelength, and the ratio of each system's power to the truth's; both share the wavelengths.

    Args:
        spectra: `V(system, wavelength)`, wavelength in fine cells, attribute `factor`.
        variable: which `V`.
        styles: colour and dash by system.
        name: of the figures, followed by `-power` and `-ratio`.
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
    x_label = "wavelength (fine cells)"
    top = plot_frame(
        f"{name}-power", x_label, name_with_units("power", str(power.attrs.get("units", ""))),
        x_axis_type="log", y_axis_type="log", x_range=ends,
    )  # fmt: skip
    peak = max([1.0, *(float(np.nanmax(line.y)) for line in ratios if np.isfinite(line.y).any())])
    low = plot_frame(
        f"{name}-ratio", x_label, "power / truth's power", x_axis_type="log", x_range=top.x_range,
        y_range=(0.0, min(1.1 * peak, 2.5)),
    )  # fmt: skip
    _draw(top, powers, styles, "@y{0.000e} at @x{0.0} cells")
    _draw(low, ratios, styles, "@y{0.000} times the truth's at @x{0.0} cells")
    limit = 2.0 * int(spectra.attrs.get("factor") or spectra["wavelength"].attrs["factor"])
    for plot in (top, low):
        plot.add_layout(
            Span(location=limit, dimension="height", line_color="#888888", line_dash="dotted", line_width=1.5)
        )
        plot.xaxis.ticker = FixedTicker(ticks=ROUND)
        plot.xaxis.formatter = CustomJSTickFormatter(code=_PLAIN)
    return top, low


def interactive_profile(samples: xr.Dataset, variable: str, styles: Mapping[str, tuple[str, str]], name: str) -> Any:
    """Draw the centre row at the first time; the page's script replaces it by the row that the reader selects.

    Args:
        samples: `V(system, valid_time, y, x)`.
        variable: which `V`.
        styles: colour and dash by system.
        name: of the figure; the line of a system has the source `NAME-line-SYSTEM`.
    """
    field = samples[variable].isel(valid_time=0)
    y_dim, x_dim = (str(dim) for dim in field.dims[-2:])
    row = field.isel({y_dim: field.sizes[y_dim] // 2})
    centres, label, kind = coordinate(field, x_dim, field.sizes[x_dim])
    order = np.argsort(centres)
    lines = [
        Line(system, centres[order], row.sel(system=system).values[order].astype(np.float64))
        for system in reading_order(row["system"].values)
    ]
    x_label = label if kind == "other" else f"{label} (°)"
    plot = plot_frame(name, x_label, name_with_units(variable, str(field.attrs.get("units", ""))))
    _draw(plot, lines, styles, "@y{0.00} at @x{0.00}")
    for drawn in plot.renderers:
        if drawn.name:
            drawn.data_source.name = f"{name}-line-{drawn.name}"
    return plot
