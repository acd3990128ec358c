"""Maps of sample fields: coarse input, truth, systems, and the systems' errors.

RMSE over the cells of one time is `sqrt(mean((system - truth)**2))`: cells unweighted, missing ones left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from subgrid.data.grid import cell_edges
from subgrid.reporting.figures.style import (
    GREY,
    Array,
    coordinate,
    reading_order,
    set_ticks,
    time_text,
)
from subgrid.reporting.format_numbers import format_number, format_units, name_with_units
from subgrid.scores.registry import TRUTH

ROBUST_PERCENT = (0.5, 99.5)  # percentiles of the colour limits, which every colour bar states
MAX_LATITUDE_STRETCH = 2.0  # upper limit of 1 / cos(latitude), for polar domains
MAX_COLUMNS = 6  # of maps, so that their titles fit
_MISSING = "#d0d0d0"


def rmse_at(samples: xr.Dataset, variable: str, time: int) -> dict[str, float]:
    """Compute the RMSE of every system for one sample time.

    Args:
        samples: `V(system, valid_time, y, x)` with a system ``truth``.
        variable: which `V`.
        time: index along `valid_time`.

    Returns:
        System name to RMSE in the variable's units; `nan` where no cell is valid.
    """
    field = samples[variable].isel(valid_time=time)
    truth = field.sel(system=TRUTH, drop=True)
    square = (field.astype(np.float64) - truth) ** 2
    error = square.mean(field.dims[-2:]) ** 0.5
    names = [name for name in reading_order(field["system"].values) if name != TRUTH]
    return {name: float(error.sel(system=name)) for name in names}


def field_scale(truth: Array) -> tuple[str, Normalize]:
    """Choose the colour map and limits from the truth, diverging about zero where both signs matter."""
    finite = truth[np.isfinite(truth)]
    low, high = (float(v) for v in np.percentile(finite, ROBUST_PERCENT)) if finite.size else (0.0, 1.0)
    if low < 0 < high and min(-low, high) > 0.1 * max(-low, high):
        bound = max(-low, high)
        return "RdBu_r", Normalize(-bound, bound)
    return "viridis", Normalize(low, high if high > low else low + 1.0)


def error_scale(errors: Array) -> Normalize:
    """Colour limits of values that are never negative: 0 to the robust upper limit."""
    finite = errors[np.isfinite(errors)]
    top = float(np.percentile(finite, ROBUST_PERCENT[1])) if finite.size else 0.0
    return Normalize(0.0, top if top > 0 else 1.0)


def draw_field(ax: Axes, data: xr.DataArray, cells: tuple[int, int], cmap: str, norm: Normalize) -> ScalarMappable:
    """Draw `data` (y, x) as its own cells, to scale, with labelled ticks.

    Args:
        ax: where.
        data: one field, coarse or fine.
        cells: the fine field's (rows, columns).
        cmap: colour map name.
        norm: colour limits, shared between panels.
    """
    y_dim, x_dim = (str(dim) for dim in data.dims)
    (y, _, y_kind), (x, _, x_kind) = coordinate(data, y_dim, cells[0]), coordinate(data, x_dim, cells[1])
    values = np.ma.masked_invalid(np.asarray(data.values, dtype=np.float64))
    y_edges, x_edges = cell_edges(y), cell_edges(x)
    if y_edges[0] > y_edges[-1]:
        y_edges, values = y_edges[::-1], values[::-1]
    bad = colormaps[cmap].with_extremes(bad=_MISSING)
    # pcolorfast keeps uneven cells true and draws even ones as an image, which thins without aliasing
    mesh = cast(AxesImage, ax.pcolorfast(x_edges, y_edges, values, cmap=bad, norm=norm))
    mesh.set_interpolation("auto")
    mesh.set_interpolation_stage("data")  # a mean of values, not of colours that the colour bar lacks
    limit = 90.0 if y_kind == "latitude" else np.inf
    ax.set_ylim(max(y_edges[0], -limit), min(y_edges[-1], limit))
    ax.set_xlim(x_edges[0], x_edges[-1])
    ax.set_aspect(_stretch(y) if y_kind == "latitude" else 1.0)
    set_ticks(ax.yaxis, y_kind, abs(float(y_edges[-1] - y_edges[0])), 4)
    set_ticks(ax.xaxis, x_kind, abs(float(x_edges[-1] - x_edges[0])), 4)
    for spine in ax.spines.values():
        spine.set_color("#888888")
    return mesh


def even_scale(differences: Array) -> Normalize:
    """Colour limits symmetric about zero: the robust upper limit of the absolute differences."""
    top = error_scale(abs(differences)).vmax
    assert top is not None
    return Normalize(-top, top)


def _stretch(latitude: Array) -> float:
    cosine = float(np.cos(np.deg2rad(latitude.mean())))
    return min(1.0 / max(cosine, 1e-6), MAX_LATITUDE_STRETCH)


def panel_shape(field: xr.DataArray) -> float:
    """Ratio of a panel's height to its width, limited to 0.3 to 1.8."""
    y_dim, x_dim = (str(dim) for dim in field.dims[-2:])
    (y, _, kind), (x, _, _) = (coordinate(field, dim, field.sizes[dim]) for dim in (y_dim, x_dim))
    height, width = float(np.ptp(cell_edges(y))), float(np.ptp(cell_edges(x)))
    height = min(float(height), 180.0) if kind == "latitude" else float(height)
    return float(np.clip(height * (_stretch(y) if kind == "latitude" else 1.0) / float(width), 0.3, 1.8))


class Sheet:
    """Panels of one size, placed in inches, so that rows and columns align for fields of any shape.

    Attributes:
        left: width of the tick labels to the left of the first column, in inches.
        panel: width of a panel, in inches.
        high: height of a panel, in inches.
        figure: the figure of all panels.
    """

    def __init__(self, width: float, rows: int, columns: int, shape: float, tops: Sequence[float], foot: float) -> None:
        """Compute the layout; `tops` is the space above each row, `foot` the space below the last one, in inches."""
        self.left, gap = 0.62, 0.16
        self.panel = (width - self.left - 0.2 - gap * (columns - 1)) / columns
        self.high = self.panel * shape
        self.height = sum(tops) + rows * self.high + foot
        self.width, self.tops, self.gap = width, tops, gap
        self.figure = Figure(figsize=(width, self.height), facecolor="white")

    def place(self, column: int, bottom: float, width: float, height: float) -> Axes:
        """Add axes at the left edge of a column, `bottom` inches above the sheet's lower edge."""
        x = (self.left + column * (self.panel + self.gap)) / self.width
        return self.figure.add_axes((x, bottom / self.height, width / self.width, height / self.height))

    def bottom(self, row: int) -> float:
        """Lower edge of a row of panels, in inches."""
        return self.height - sum(self.tops[: row + 1]) - (row + 1) * self.high

    def add(self, row: int, column: int, name: str, note: str, *, left: bool, below: bool) -> Axes:
        """Add a panel with a bold name and a note at the upper left, and tick labels on the named sides."""
        ax = self.place(column, self.bottom(row), self.panel, self.high)
        ax.set_title(note, loc="left", fontsize=10, pad=5)
        raised = 19 if note else 5
        ax.annotate(
            name, (0, 1), xytext=(0, raised), xycoords="axes fraction", textcoords="offset points",
            fontsize=10, fontweight="bold" if note else "normal",
        )  # fmt: skip
        ax.tick_params(labelsize=9, color="#888888", labelcolor="#222222", length=3)
        ax.tick_params(labelleft=left, labelbottom=below)
        return ax

    def headline(self, variable: str, field: xr.DataArray, when: str, *, narrow: bool) -> None:
        """Write variable, its long name and the time at the upper left."""
        long_name = str(field.attrs.get("long_name", ""))
        named = f"{variable}: {long_name}" if long_name and long_name != variable else variable
        text = f"{named}\n{when}" if narrow else f"{named} · {when}"
        x, y = self.left / self.width, 1 - 0.14 / self.height
        self.figure.text(x, y, text, ha="left", va="top", fontsize=12, fontweight="bold", linespacing=1.3)

    def axis_names(self, field: xr.DataArray) -> None:
        """Write the names of both axes in one line; tick labels already show latitude and longitude."""
        labels = [coordinate(field, str(dim), field.sizes[dim])[1] for dim in field.dims[-2:]]
        if "latitude" not in labels:
            text = f"axes: {labels[1]} to the right, {labels[0]} upward"
            self.figure.text(self.left / self.width, 0.06 / self.height, text, fontsize=9, color=GREY)

    def bar(self, column: int, top: float, image: ScalarMappable, label: str, extend: str) -> None:
        """Add a horizontal colour bar as wide as a column, its upper edge at `top` inches."""
        ax = self.place(column, top - 0.15, 0.8 * self.panel, 0.15)
        bar = self.figure.colorbar(image, cax=ax, orientation="horizontal", extend=extend)
        bar.locator = MaxNLocator(4)
        bar.update_ticks()
        ax.tick_params(labelsize=9, color="#888888")
        bar.set_label(label, fontsize=9 if self.panel > 2 else 8, color="#222222", linespacing=1.3)
        bar.outline.set_edgecolor("#888888")


def maps(samples: xr.Dataset, variable: str, time: int, *, narrow: bool = False) -> Figure:
    """Draw coarse input, truth and systems on one colour scale, and the systems' errors on another.

    Args:
        samples: `V(system, valid_time, y, x)` and `V_coarse(valid_time, y_coarse, x_coarse)`, with units.
        variable: which `V`.
        time: index along `valid_time`.
        narrow: two columns (field, error) for a phone rather than rows of fields over rows of errors, six across at most.

    Returns:
        The figure; `axes` are coarse, truth, each system and its error by turns, then two colour bars.
    """
    field = samples[variable].isel(valid_time=time)
    systems = [name for name in reading_order(field["system"].values) if name != TRUTH]
    places, tops = _places(len(systems), narrow)
    columns = 2 if narrow else 1 + max(column for _, column in places)
    sheet = Sheet(5.2 if narrow else 12.8, len(tops), columns, panel_shape(field), tops, 1.5 if narrow else 0.5)
    sheet.headline(variable, field, time_text(samples["valid_time"].values[time]), narrow=narrow)
    images = _draw_maps(sheet, samples, variable, time, dict(zip(systems, places, strict=True)), narrow)
    sheet.axis_names(field)
    top = 0.85 if narrow else sheet.bottom(1) + sheet.high / 2 + 0.35
    units, (low, high) = str(field.attrs.get("units", "")), ROBUST_PERCENT
    labels = (
        f"{name_with_units(variable, units)}\nlimits: percentiles {low:g} and {high:g} of truth",
        f"{name_with_units('absolute error', units)}\nupper limit: percentile {high:g} of errors",
    )
    for column, (image, label) in enumerate(zip(images, labels, strict=True)):
        sheet.bar(column, top, image, label, ("both", "max")[column])
    return sheet.figure


def _draw_maps(
    sheet: Sheet,
    samples: xr.Dataset,
    variable: str,
    time: int,
    places: Mapping[str, tuple[int, int]],
    narrow: bool,
) -> tuple[ScalarMappable, ScalarMappable]:
    """Draw all panels of `maps`, systems at their (row, column); return an image of a field and one of an error."""
    field, coarse = (samples[name].isel(valid_time=time) for name in (variable, f"{variable}_coarse"))
    truth = field.sel(system=TRUTH, drop=True)
    errors = abs(field.sel(system=list(places)) - truth)
    (cmap, norm), error_norm = field_scale(truth.values), error_scale(errors.values)
    cells = (truth.shape[0], truth.shape[1])
    for column, (name, data) in enumerate((("coarse input", coarse), ("truth", truth))):
        ax = sheet.add(0, column, name, _size(data), left=column == 0, below=not narrow)
        image = draw_field(ax, data, cells, cmap, norm)
    rmse, units = rmse_at(samples, variable, time), format_units(str(field.attrs.get("units", "")))
    last = list(places)[-1]
    for i, (name, (row, column)) in enumerate(places.items()):
        below, first = not narrow or name == last, column == 0
        note = f"RMSE {format_number(rmse[name], digits=3)} {units}".rstrip()
        ax = sheet.add(row, column, name, note, left=first, below=below)
        draw_field(ax, field.sel(system=name, drop=True), cells, cmap, norm)
        at, left = ((row, column + 1), False) if narrow else ((row + 1, column), i == 0 or first)
        ax = sheet.add(*at, f"|{name} − truth|", "", left=left, below=below)
        error_image = draw_field(ax, errors.sel(system=name, drop=True), cells, "magma_r", error_norm)
    return image, error_image


def _places(count: int, narrow: bool) -> tuple[list[tuple[int, int]], list[float]]:
    """Row and column of each system's field, and the space above each row in inches; coarse input and truth come first."""
    if narrow:
        return [(i + 1, 0) for i in range(count)], [1.1, *[0.58] * count]
    bands = -(-(count + 2) // MAX_COLUMNS)
    columns = -(-(count + 2) // bands)
    at = [(2 * (i // columns), i % columns) for i in range(2, count + 2)]
    return at, [0.95, 0.62] * bands


def _size(field: xr.DataArray) -> str:
    return f"{field.shape[0]} × {field.shape[1]} cells"
