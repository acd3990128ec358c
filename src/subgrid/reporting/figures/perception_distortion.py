"""Distortion and realism of the arms of a study, with labels that do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

from subgrid.reporting.figures.lines import NothingToDrawError
from subgrid.reporting.figures.style import GREY, MARKERS, Array, system_styles, tidy
from subgrid.reporting.figures.variants import refusal
from subgrid.reporting.format_numbers import name_with_units
from subgrid.reporting.score_names import title_of
from subgrid.scores.registry import DISTORTION, REALISM

ZOOMED = 3.0  # a second panel shows the arms where all points together span so many times their range
LABEL = 9.5  # size of the labels, in points
PANEL = (4.6, 3.9)  # width and height of a panel, in inches
_DIRECTIONS = tuple((float(np.cos(a)), float(np.sin(a))) for a in np.deg2rad([0, 180, 45, -45, 135, -135, 90, -90]))
_DISTANCES = (8.0, 16.0, 26.0, 38.0, 52.0, 70.0, 90.0)  # of a label from its point, in points
Box = tuple[float, float, float, float]  # left, bottom, right, top


@dataclass(frozen=True)
class Point:
    """One arm or baseline.

    Attributes:
        name: of the arm or baseline.
        baseline: whether it is a baseline, which has no seeds.
        mean: its (x, y).
        seeds: (seed, 2); empty of a baseline.
        label: its name, and in brackets the reason where it cannot be compared with the reference.
    """

    name: str
    baseline: bool
    mean: tuple[float, float]
    seeds: Array
    label: str


def trade_off(results: pd.DataFrame, variable: str) -> Figure:
    """Draw log spectral distance against RMSE: arms' means, each seed as a small dot, and the baselines.

    Lower is better in both. A blurred field has a low RMSE and a high spectral distance; a field with invented detail has the
    opposite (Blau and Michaeli 2018, doi:10.1109/CVPR.2018.00652). Where baselines are far from the arms, a second panel shows
    the arms alone.

    Args:
        results: as for `differences`.
        variable: which one; its units are those of the RMSE, the spectral distance is in dB.

    Returns:
        A figure with one axes or two.

    Raises:
        NothingToDrawError: if no arm has both scores of this variable.
    """
    points = _points(results, variable)
    if all(point.baseline for point in points):
        raise NothingToDrawError(f"no arm has both {DISTORTION} and {REALISM} of {variable}")
    styles = system_styles([str(name) for name in dict.fromkeys(results["arm"])])
    arms = [point for point in points if not point.baseline]
    alone = len(arms) < len(points) and bool((_extent(points) > ZOOMED * _extent(arms)).any())
    count = 2 if alone else 1
    left, between, foot, head = 0.75, 0.75, 0.6, 0.5
    width, height = left + count * PANEL[0] + (count - 1) * between + 0.15, foot + PANEL[1] + head
    figure = Figure(figsize=(width, height), facecolor="white")
    units = results.loc[(results["variable"] == variable) & (results["score"] == DISTORTION), "units"]
    x_label = name_with_units(title_of(DISTORTION), str(units.iloc[0]))
    for i, (drawn, named) in enumerate([(points, points[len(arms) :] if alone else points), (arms, arms)][:count]):
        x = left + i * (PANEL[0] + between)
        ax = figure.add_axes((x / width, foot / height, PANEL[0] / width, PANEL[1] / height))
        _draw(ax, drawn, named, styles)
        ax.set_xlabel(x_label, fontsize=10.5)
        ax.set_ylabel(f"{title_of(REALISM)} (dB)", fontsize=10.5)
    if alone:
        _mark(figure.axes[0], figure.axes[1])
    figure.text(
        0.1 / width, 1 - 0.12 / height, f"{variable}: distortion and realism", va="top", fontsize=12, fontweight="bold"
    )
    return figure


def _points(results: pd.DataFrame, variable: str) -> list[Point]:
    """Points of arms, then of baselines."""
    mine = results[(results["variable"] == variable) & results["score"].isin((DISTORTION, REALISM))]
    columns = [name for name in map(str, results.columns) if name.startswith("seed_")]
    out = []
    for name in dict.fromkeys(map(str, mine["arm"])):
        rows = {str(row["score"]): row for row in mine[mine["arm"] == name].to_dict("records")}
        if set(rows) != {DISTORTION, REALISM}:
            continue
        pair = (rows[DISTORTION], rows[REALISM])
        mean = (float(pair[0]["mean"]), float(pair[1]["mean"]))
        seeds = np.array([[row[column] for row in pair] for column in columns], dtype=np.float64).reshape(-1, 2)
        kept = seeds[np.isfinite(seeds).all(axis=1)]
        why = refusal(pair[0]["note"]) if np.isnan(pair[0]["difference"]) else ""
        label = f"{name} ({why.partition(':')[0]})" if why else name
        out.append(Point(name, pair[0]["num_seeds"] == 0, mean, kept, label))
    return sorted(out, key=lambda point: point.baseline)


def _extent(points: Sequence[Point]) -> Array:
    """Range of the points along x and y."""
    return np.asarray(np.ptp(np.concatenate([[point.mean, *point.seeds] for point in points]), axis=0))


def _draw(ax: Axes, points: Sequence[Point], named: Sequence[Point], styles: Any) -> None:
    """Draw points with a margin around them, an arrow to the better corner, and labels of the named points."""
    tidy(ax)
    for point in points:
        colour, dash = styles[point.name]
        size = 7 if point.baseline else 8
        ax.plot(*point.mean, MARKERS[dash], color=colour, markersize=size, markeredgecolor="white", zorder=4)
        if len(point.seeds) > 1:
            ax.plot(*point.seeds.T, "o", color=colour, markersize=3.5, alpha=0.65, linestyle="none", zorder=3)
    every = np.concatenate([[point.mean, *point.seeds] for point in points])
    low, high = every.min(axis=0), every.max(axis=0)
    room = np.where(high > low, high - low, 0.1 * abs(high) + 1e-12)
    ax.set_xlim(low[0] - 0.2 * room[0], high[0] + 0.2 * room[0])
    ax.set_ylim(low[1] - 0.2 * room[1], high[1] + 0.12 * room[1])
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(6))
    ax.annotate("", (0.02, 0.02), (0.1, 0.1), xycoords="axes fraction", arrowprops={"arrowstyle": "-|>", "color": GREY})
    ax.annotate("better", (0.105, 0.06), xycoords="axes fraction", fontsize=LABEL, color=GREY)
    _label(ax, points, named, styles)


def _label(ax: Axes, points: Sequence[Point], named: Sequence[Point], styles: Any) -> None:
    """Write labels next to their points, with a line where a label is far from its point."""
    panel = 72.0 * np.array(PANEL)
    low, span = np.array([ax.get_xlim()[0], ax.get_ylim()[0]]), np.array([np.ptp(ax.get_xlim()), np.ptp(ax.get_ylim())])
    at = [(np.array(point.mean) - low) / span * panel for point in points]
    dots = [(seed - low) / span * panel for point in points for seed in point.seeds]
    taken = [_around(spot, 5.0) for spot in at] + [_around(spot, 2.0) for spot in dots]
    taken.append((0.0, 0.0, 0.24 * panel[0], 0.12 * panel[1]))  # the arrow
    for point, spot in zip(points, at, strict=True):
        if point not in named:
            continue
        text = TextPath((0, 0), point.label, size=LABEL).get_extents()
        box = place(tuple(spot), (float(text.width), LABEL), taken, tuple(panel))
        taken.append(box)
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        gap = np.hypot(*(np.clip(spot, box[:2], box[2:]) - spot))
        line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4} if gap > 10 else None
        ax.annotate(
            point.label, point.mean, xytext=(middle[0] - spot[0], middle[1] - spot[1]), textcoords="offset points",
            ha="center", va="center", fontsize=LABEL, color=styles[point.name][0], arrowprops=line, zorder=5,
        )  # fmt: skip


def place(spot: tuple[float, ...], size: tuple[float, float], taken: Sequence[Box], panel: tuple[float, ...]) -> Box:
    """Place a label at the nearest free position around its point, or where it covers the least.

    Args:
        spot: the point's (x, y).
        size: the label's (width, height).
        taken: boxes that it should not cover.
        panel: (width, height) to stay within; all in points, the panel's lower left corner being (0, 0).

    Returns:
        The label's box.
    """
    best, least = (0.0, 0.0, 0.0, 0.0), np.inf
    for distance in _DISTANCES:
        for x, y in _DIRECTIONS:
            middle = (spot[0] + x * (distance + size[0] / 2), spot[1] + y * (distance + size[1] / 2))
            box = (middle[0] - size[0] / 2, middle[1] - size[1] / 2, middle[0] + size[0] / 2, middle[1] + size[1] / 2)
            inside = shared_area(box, (0.0, 0.0, panel[0], panel[1]))
            covered = sum(shared_area(box, other) for other in taken) + 5.0 * (size[0] * size[1] - inside)
            if covered < 1e-6:
                return box
            if covered < least:
                best, least = box, covered
    return best


def _around(spot: Array, radius: float) -> Box:
    return (spot[0] - radius, spot[1] - radius, spot[0] + radius, spot[1] + radius)


def shared_area(a: Box, b: Box) -> float:
    """Area that two boxes share."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)


def _mark(whole: Axes, part: Axes) -> None:
    """Mark in one panel the part that the other one shows."""
    (left, right), (low, high) = part.get_xlim(), part.get_ylim()
    whole.add_patch(Rectangle((left, low), right - left, high - low, fill=False, edgecolor=GREY, linewidth=0.8))
    whole.annotate(
        "arms: see the right panel", (right, high), xytext=(3, 3), textcoords="offset points", fontsize=LABEL, color=GREY
    )  # fmt: skip
