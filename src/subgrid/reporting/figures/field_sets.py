"""Figures of sets of fields in which no field belongs to another: a gallery, and histograms of their values."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from subgrid.reporting.figures.fields import ROBUST_PERCENT, field_scale
from subgrid.reporting.figures.lines import legend, panels
from subgrid.reporting.figures.style import reading_order, system_styles
from subgrid.reporting.format_numbers import name_with_units
from subgrid.scores.registry import TRUTH


def gallery(samples: xr.Dataset, variable: str, system: str, *, narrow: bool = False) -> Figure:
    """Draw true fields above and drawn ones below, all on one colour scale.

    Args:
        samples: `V(system, realization, row, column)` with a system ``truth``.
        variable: which `V`.
        system: whose draws.
        narrow: three columns for a phone rather than six.

    Returns:
        The figure; its axes are the true fields, then the drawn ones, then the colour bar.
    """
    field = samples[variable]
    cmap, norm = field_scale(field.sel(system=TRUTH).values)
    columns = 3 if narrow else field.sizes["realization"]
    rows = -(-field.sizes["realization"] // columns)
    height, width = field.shape[-2:]
    panel = (5.2 if narrow else 12.8) / columns
    tall = panel * height / width
    figure = Figure(figsize=(panel * columns, 2 * rows * tall + 1.6), layout="constrained", facecolor="white")
    axes = figure.subplots(2 * rows, columns, squeeze=False)
    for half, name in enumerate((TRUTH, system)):
        shown = field.sel(system=name).values
        for i, ax in enumerate(axes[half * rows : (half + 1) * rows].flat):
            ax.set_axis_off()
            if i < len(shown):
                image = ax.imshow(shown[i], cmap=cmap, norm=norm, interpolation="nearest")
            if i == 0:
                ax.set_title("truth" if half == 0 else f"drawn by {name}", loc="left", fontsize=10.5, fontweight="bold")
    low, high = ROBUST_PERCENT
    label = name_with_units(variable, str(field.attrs.get("units", "")))
    bar = figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.4, aspect=30, pad=0.02, extend="both")
    bar.set_label(f"{label}; limits: {low:g}–{high:g} % of truth", fontsize=9.5)
    return figure


def histograms(densities: xr.Dataset, variable: str) -> Figure:
    """Draw the density of the values of each set, linear above and logarithmic below, where the tails show.

    Args:
        densities: `V(system, V_bin)`.
        variable: which `V`.

    Returns:
        A figure with two axes.
    """
    density = densities[variable]
    values = np.asarray(density[f"{variable}_bin"].values)
    figure, (top, low) = panels(2, (2.3, 2.3))
    for name, (colour, dash) in system_styles(reading_order(density["system"].values)).items():
        width = 2.4 if name == TRUTH else 1.6
        counts = density.sel(system=name).values
        top.plot(values, counts, dash, color=colour, linewidth=width, label=name)
        low.semilogy(values, np.where(counts > 0, counts, np.nan), dash, color=colour, linewidth=width)
    units = str(density[f"{variable}_bin"].attrs.get("units", ""))
    figure.suptitle(f"{variable}: values of all cells", x=0.01, ha="left", fontsize=12, fontweight="bold")
    top.set_ylabel("density", fontsize=10.5)
    low.set_ylabel("density, logarithmic", fontsize=10.5)
    low.set_xlabel(name_with_units(variable, units), fontsize=10.5)
    legend(top)
    return figure
