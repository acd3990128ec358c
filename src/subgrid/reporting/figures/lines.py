"""Figures of lines: centre-row profile and power spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from subgrid.reporting.figures.style import (
    GREY,
    Array,
    coordinate,
    degrees,
    reading_order,
    set_ticks,
    system_styles,
    tidy,
    time_text,
)
from subgrid.reporting.format_numbers import name_with_units
from subgrid.scores.registry import TRUTH

LEGEND = 10.5  # size of a legend's text, in points


class NothingToDrawError(ValueError):
    """Nothing was measured that the figure shows."""


def panels(count: int, heights: Sequence[float], *, columns: int = 1, width: float = 6.4) -> tuple[Figure, list[Axes]]:
    """Start a figure of stacked panels that share x; `heights` in inches, one per row."""
    figure = Figure(figsize=(width, sum(heights)), layout="constrained", facecolor="white")
    grid = figure.subplots(len(heights), columns, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights})
    axes = list(grid.flat)
    for ax in axes[count:]:
        ax.remove()
    for ax in axes[:count]:
        tidy(ax)
    return figure, axes[:count]


def legend(ax: Axes) -> None:
    """Put a legend above the upper left corner, in as many columns as fit; each further row makes the figure higher."""
    handles, labels = ax.get_legend_handles_labels()
    figure, grid = ax.get_figure(root=True), ax.get_gridspec()
    assert figure is not None
    room = (
        figure.get_figwidth() / (grid.ncols if grid is not None else 1) - 1.0
    )  # inches, without the labels of the axis
    widths = np.array([TextPath((0, 0), label, size=LEGEND).get_extents().width for label in labels])
    columns = next((n for n in range(len(labels), 1, -1) if _legend_width(widths, n) <= room), 1)
    ax.legend(
        handles, labels, loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=columns, frameon=False, fontsize=LEGEND,
        handlelength=1.9, columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip
    rows = -(-len(labels) // max(columns, 1))
    figure.set_figheight(figure.get_figheight() + 0.21 * (rows - 1))


def _legend_width(labels: Array, columns: int) -> float:
    """Width in inches of a legend with labels of these widths (in points), which matplotlib distributes over its columns."""
    text = sum(float(part.max()) for part in np.array_split(labels, columns))
    return (text + LEGEND * (2.7 * columns + 1.2 * (columns - 1))) / 72


def profile(
    samples: xr.Dataset, variable: str, time: int, *, styles: Mapping[str, tuple[str, str]] | None = None
) -> Figure:
    """Draw the centre row of every system against the truth, and below it the differences.

    Args:
        samples: as for `maps`.
        variable: which `V`.
        time: index along `valid_time`.
        styles: of each system; by default those that `system_styles` gives the systems here.

    Returns:
        A figure with two axes: values, and system minus truth.
    """
    field = samples[variable].isel(valid_time=time)
    y_dim, x_dim = (str(dim) for dim in field.dims[-2:])
    row = field.isel({y_dim: field.sizes[y_dim] // 2})
    x, x_label, x_kind = coordinate(field, x_dim, field.sizes[x_dim])
    y, y_label, y_kind = coordinate(field, y_dim, field.sizes[y_dim])
    names = reading_order(row["system"].values)
    units = str(field.attrs.get("units", ""))
    figure, (top, low) = panels(2, (2.9, 1.7))
    truth = row.sel(system=TRUTH).values
    known = styles or system_styles(names)
    for name in names:
        colour, dash = known[name]
        values, width = row.sel(system=name).values, 2.4 if name == TRUTH else 1.6
        top.plot(x, values, dash, color=colour, linewidth=width, label=name, zorder=2 if name == TRUTH else 3)
        if name != TRUTH:
            low.plot(x, values - truth, dash, color=colour, linewidth=1.4)
    low.axhline(0.0, color="#000000", linewidth=1.0)
    middle = float(y[field.sizes[y_dim] // 2])
    where = degrees(round(middle, 2), y_kind) if y_kind != "other" else f"{y_label} {middle:g}"
    when = time_text(samples["valid_time"].values[time])
    figure.suptitle(f"{variable} along {where} · {when}", x=0.01, ha="left", fontsize=12, fontweight="bold")
    top.set_ylabel(name_with_units(variable, units), fontsize=10.5)
    low.set_ylabel(name_with_units("minus truth", units), fontsize=10.5)
    low.set_xlabel(x_label, fontsize=10.5)
    low.set_xlim(x[0], x[-1]) if x.size > 1 else None
    set_ticks(low.xaxis, x_kind, float(np.ptp(x)), 6)
    legend(top)
    return figure


def _factor(spectra: xr.Dataset) -> int:
    holder = spectra if "factor" in spectra.attrs else spectra["wavelength"]
    return int(holder.attrs["factor"])


def spectra(spectra: xr.Dataset, variable: str, *, styles: Mapping[str, tuple[str, str]] | None = None) -> Figure:
    """Draw mean power against wavelength, and below it each system's power over the truth's.

    Args:
        spectra: `V(system, wavelength)`, wavelength in fine cells, attribute `factor`.
        variable: which `V`.
        styles: as for `profile`.

    Returns:
        A figure with two axes: power (both axes logarithmic) and ratio. Longest wavelengths left; the coarse
        grid's shortest wavelength, `2 * factor` fine cells, is marked in both.
    """
    power = spectra[variable]
    wavelength = np.asarray(power["wavelength"].values, dtype=np.float64)
    keep = np.isfinite(wavelength) & (wavelength > 0)
    power, wavelength = power.isel(wavelength=keep), wavelength[keep]
    figure, (top, low) = panels(2, (2.9, 1.7))
    _draw_power((top, low), power, wavelength, styles or system_styles(reading_order(power["system"].values)))
    limit = 2 * _factor(spectra)
    for ax in (top, low):
        ax.axvline(limit, color=GREY, linewidth=1.2, linestyle=":")
    top.annotate(
        f"limit of the coarse grid: {limit} cells", (limit, 0.06), xycoords=("data", "axes fraction"),
        xytext=(-5, 0), textcoords="offset points", ha="right", color=GREY, fontsize=9.5,
    )  # fmt: skip
    low.set_xlim(wavelength.max(), wavelength.min())
    low.xaxis.set_major_locator(LogLocator(base=2, numticks=12))
    low.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    low.xaxis.set_minor_formatter(NullFormatter())
    low.minorticks_off()
    figure.suptitle(f"{variable}: mean power spectrum", x=0.01, ha="left", fontsize=12, fontweight="bold")
    top.set_ylabel(name_with_units("power", str(power.attrs.get("units", ""))), fontsize=10.5)
    low.set_ylabel("power / truth's power", fontsize=10.5)
    low.set_xlabel("wavelength (fine cells)", fontsize=10.5)
    legend(top)
    return figure


def _draw_power(
    axes: tuple[Axes, Axes], power: xr.DataArray, wavelength: Array, styles: Mapping[str, tuple[str, str]]
) -> None:
    """Draw the power (system, wavelength) of all systems, and its ratio to the truth's."""
    top, low = axes
    truth = power.sel(system=TRUTH).values
    peak = 1.0
    for name in reading_order(power["system"].values):
        colour, dash = styles[name]
        values, width = power.sel(system=name).values, 2.4 if name == TRUTH else 1.6
        top.loglog(wavelength, values, dash, color=colour, linewidth=width, label=name)
        if name != TRUTH:
            ratio = np.divide(values, truth, out=np.full(truth.shape, np.nan), where=truth > 0)
            low.plot(wavelength, ratio, dash, color=colour, linewidth=1.6)
            peak = float(np.nanmax([peak, *ratio]))
    low.axhline(1.0, color="#000000", linewidth=1.2)
    low.set_ylim(0.0, min(1.1 * peak, 2.5))
    floor = truth[truth > 0]
    if floor.size:  # lines without power would compress all others
        top.set_ylim(bottom=max(top.get_ylim()[0], 1e-3 * float(floor.min())))
