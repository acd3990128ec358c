"""Figures of the verification: errors by cell, hour and season, quantiles, and ranks of the truth among members."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from subgrid.reporting.figures.fields import ROBUST_PERCENT, Sheet, draw_field, error_scale, even_scale, panel_shape
from subgrid.reporting.figures.lines import NothingToDrawError, legend, panels
from subgrid.reporting.figures.style import GREY, Array, reading_order, system_styles, tidy
from subgrid.reporting.format_numbers import name_with_units
from subgrid.scores.registry import TRUTH

RMSE_COLOURS, SIGN_COLOURS = "magma_r", "RdBu_r"
BETTER_COLOURS = "BrBG_r"  # green below zero, brown above: not those of the sign of an error
MARKED = (0.99, 0.5, 0.01, 0.999, 0.001)  # labelled probabilities in a figure of quantiles, in order of preference
ROOM = 0.09  # least distance between their labels, as a share of the axis
LIMITS = f"limit: percentile {ROBUST_PERCENT[1]:g} of cells"


def _label(name: str, field: xr.DataArray) -> str:
    """A name with the field's units."""
    return name_with_units(name, str(field.attrs.get("units", "")))


def _title(figure: Figure, text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", fontsize=12, fontweight="bold")


def quantile_quantile(quantiles: xr.Dataset, variable: str) -> Figure:
    """Draw each system's quantiles against the truth's, and below it the differences.

    Args:
        quantiles: `V(system, probability)` with a system ``truth``, units, and `bin_width`, to which they are known.
        variable: which `V`.

    Returns:
        A figure with two axes, both over the truth's quantiles: the systems' quantiles, and system minus truth. The latter
        spans at least two bins' widths on either side of zero.
    """
    known = quantiles[variable]
    truth = known.sel(system=TRUTH).values
    names = [name for name in reading_order(known["system"].values) if name != TRUTH]
    figure, (top, low) = panels(2, (2.9, 2.1))
    colour, dash = system_styles([TRUTH])[TRUTH]
    top.plot(truth, truth, dash, color=colour, linewidth=2.0, label=TRUTH)
    low.axhline(0.0, color=colour, linewidth=1.0)
    for name, (colour, dash) in system_styles(names).items():
        own = known.sel(system=name).values
        for ax, values in ((top, own), (low, own - truth)):
            ax.plot(truth, values, dash, color=colour, linewidth=1.4, marker="o", markersize=3.0, label=name)
    least = 2.0 * float(known.attrs.get("bin_width", 0.0))
    bottom, upper = low.get_ylim()
    low.set_ylim(min(bottom, -least), max(upper, least))
    _mark_quantiles((top, low), truth, np.asarray(known["probability"].values, dtype=np.float64))
    _title(figure, f"{variable}: quantiles over all times and cells")
    top.set_ylabel(_label(variable, known), fontsize=10.5)
    low.set_ylabel(_label("minus truth", known), fontsize=10.5)
    low.set_xlabel(_label(f"the truth's {variable}", known), fontsize=10.5)
    legend(top)
    return figure


def _mark_quantiles(axes: Sequence[Axes], truth: Array, probability: Array) -> None:
    """Label some probabilities at the truth's quantiles, as many as fit without overlap."""
    low, high = axes[-1].get_xlim()
    placed: list[float] = []
    for wanted in MARKED:
        nearest = int(abs(probability - wanted).argmin())
        at = float(truth[nearest])
        near = any(abs(at - other) < ROOM * (high - low) for other in placed)
        if near or not np.isclose(probability[nearest], wanted):
            continue
        placed.append(at)
        for ax in axes:
            ax.axvline(at, color=GREY, linewidth=1.0, linestyle=":", zorder=1)
        axes[-1].annotate(
            f"{100 * wanted:g} %", (at, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 3),
            textcoords="offset points", ha="center", va="bottom", color=GREY, fontsize=9,
        )  # fmt: skip


def error_map(cells: xr.Dataset, variable: str, system: str, baseline: str, *, narrow: bool = False) -> Figure:
    """Draw a system's errors by cell: its RMSE and a baseline's on one scale, their difference, and the system's bias.

    Args:
        cells: `V_rmse(system, y, x)` and `V_bias(system, y, x)`, with units.
        variable: which `V`.
        system: the system.
        baseline: the interpolation to compare it with.
        narrow: two rows for a phone rather than one.

    Returns:
        The figure; `axes` are RMSE of the system, of the baseline, RMSE of the system minus that of the baseline, bias of the
        system, then the colour bars of the RMSE, the difference and the bias.
    """
    rmse, bias = cells[f"{variable}_rmse"], cells[f"{variable}_bias"].sel(system=system, drop=True)
    ours, theirs = (rmse.sel(system=name, drop=True) for name in (system, baseline))
    gap = ours - theirs
    count = (ours.shape[0], ours.shape[1])
    both, gaps, signs = error_scale(np.stack([ours, theirs])), even_scale(gap.values), even_scale(bias.values)
    drawn = (
        (system, "RMSE", ours, RMSE_COLOURS, both),
        (baseline, "RMSE", theirs, RMSE_COLOURS, both),
        (f"{system} − {baseline}", _share_better(gap.values), gap, BETTER_COLOURS, gaps),
        (system, "bias: mean error", bias, SIGN_COLOURS, signs),
    )
    rows, columns = (2, 2) if narrow else (1, 4)
    sheet = Sheet(5.2 if narrow else 12.8, rows, columns, panel_shape(ours), [1.1, 1.75] if narrow else [0.95], 1.2)
    sheet.headline(variable, rmse, "errors over all times", narrow=narrow)
    images = []
    for i, (name, note, field, colours, scale) in enumerate(drawn):
        row, column = divmod(i, columns)
        ax = sheet.add(row, column, name, note, left=column == 0, below=True)
        images.append(draw_field(ax, field, count, colours, scale))
    sheet.axis_names(ours)
    bars = (
        (0, 0, images[0], "RMSE", "max"),
        (0 if narrow else 2, rows - 1, images[2], "difference of RMSE", "both"),
        (1 if narrow else 3, rows - 1, images[3], "bias", "both"),
    )
    for column, row, image, label, extend in bars:
        sheet.bar(column, sheet.bottom(row) - 0.36, image, f"{_label(label, rmse)}\n{LIMITS}", extend)
    return sheet.figure


def _share_better(gap: Array) -> str:
    """Share of the cells in which the first of two systems has the lower RMSE."""
    known = gap[np.isfinite(gap)]
    return f"lower in {100 * np.mean(known < 0):.0f} % of cells" if known.size else "no data"


def error_cycle(cycles: xr.Dataset, variable: str, *, narrow: bool = False) -> Figure:
    """Draw RMSE and bias of every system by hour of day and by season, whichever there are.

    Args:
        cycles: `V_rmse_hour`, `V_bias_hour` (system, hour), `V_rmse_season`, `V_bias_season` (system, season), with units;
            either pair may be absent.
        variable: which `V`.
        narrow: hours above seasons, for a phone, instead of next to them.

    Returns:
        A figure with two axes, RMSE and bias, for each of hour and season.

    Raises:
        NothingToDrawError: if there is neither.
    """
    kinds = [kind for kind in ("hour", "season") if f"{variable}_rmse_{kind}" in cycles]
    if not kinds:
        raise NothingToDrawError(f"{variable} has errors by neither hour nor season to draw")
    columns = 1 if narrow else len(kinds)
    rows = 2 * len(kinds) // columns
    figure = Figure(figsize=(6.4 * columns, 2.2 * rows), layout="constrained", facecolor="white")
    axes = figure.subplots(rows, columns, squeeze=False)
    for i, kind in enumerate(kinds):
        pair = axes[2 * i : 2 * i + 2, 0] if narrow else axes[:, i]
        for ax, score in zip(pair, ("rmse", "bias"), strict=True):
            errors = cycles[f"{variable}_{score}_{kind}"]
            _cycle(ax, errors, kind)
            ax.set_ylabel(_label({"rmse": "RMSE"}.get(score, score), errors), fontsize=10.5)
        pair[1].axhline(0.0, color="#000000", linewidth=1.0)
        pair[1].set_xlabel("hour of day" if kind == "hour" else "season", fontsize=10.5)
    _title(figure, f"{variable}: errors by {' and '.join('hour of day' if k == 'hour' else k for k in kinds)}")
    legend(axes[0, 0])
    return figure


def _cycle(ax: Axes, errors: xr.DataArray, kind: str) -> None:
    """Draw errors (system, hour or season); seasons in their order, evenly spaced."""
    tidy(ax)
    values = errors[kind].values
    at = np.arange(values.size) if kind == "season" else np.asarray(values, dtype=np.float64)
    for name, (colour, dash) in system_styles(reading_order(errors["system"].values)).items():
        ax.plot(
            at, errors.sel(system=name).values, dash, color=colour, linewidth=1.6, marker="o", markersize=4, label=name
        )
    if kind == "season":
        ax.set_xticks(at, [str(value) for value in values])
        ax.set_xlim(-0.3, values.size - 0.7)
    else:
        ax.set_xticks(at[:: -(-at.size // 12)])


def rank_histogram(ranks: xr.Dataset, variable: str) -> Figure:
    """Draw how often the truth has each rank among the members of each ensemble.

    Args:
        ranks: `V(system, rank)`, relative frequencies; rank is how many members lie below the truth. A system that has no
            members is missing throughout, and not drawn.
        variable: which `V`.

    Returns:
        A figure with one axes; a line marks the equal share of each rank that a reliable ensemble has.
    """
    shares = ranks[variable].dropna("system", how="all")
    count = shares.sizes["rank"]
    figure, (ax,) = panels(1, (3.2,))
    colour, dash = system_styles([TRUTH])[TRUTH]
    ax.axhline(1.0 / count, color=colour, linestyle=dash, linewidth=1.6, label="reliable")
    edges = np.arange(count + 1) - 0.5
    for name, (colour, dash) in system_styles(reading_order(shares["system"].values)).items():
        values = shares.sel(system=name).values
        ax.stairs(values, edges, color=colour, linestyle=dash, linewidth=1.8, label=name)
        ax.stairs(values, edges, color=colour, alpha=0.12, fill=True)
    ax.set_ylim(bottom=0.0)
    ax.set_xlim(edges[0], edges[-1])
    ax.xaxis.set_major_locator(MaxNLocator(min(count, 11), integer=True))
    _title(figure, f"{variable}: ranks of the truth among {count - 1} members")
    ax.set_xlabel("members below the truth", fontsize=10.5)
    ax.set_ylabel("share of times and cells", fontsize=10.5)
    legend(ax)
    return figure
