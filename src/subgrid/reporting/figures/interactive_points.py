"""Points of a page that answer to the pointer: distortion against realism."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Label
from matplotlib.textpath import TextPath

from subgrid.reporting.figures.interactive_lines import plot_frame, tags_of
from subgrid.reporting.figures.perception_distortion import place, shared_area
from subgrid.reporting.figures.style import MARKERS, Array

NARROWEST = (300.0, 320.0)  # width and height inside the axes on a phone, in pixels
TEXT = 12.0  # height of a name, in pixels
MARK = 7.0  # half a point's size
NEAR = 10.0  # how far a name may be from its point
SHAPES = {"o": "circle", "s": "square", "^": "triangle", "D": "diamond"}  # Bokeh's names of matplotlib's markers


@dataclass(frozen=True)
class Point:
    """A system's place in the picture of distortion against realism.

    Attributes:
        name: of the system.
        x: its distortion.
        y: its lack of realism.
        seeds: (x, y) of each seed, for a system that has several.
    """

    name: str
    x: float
    y: float
    seeds: tuple[tuple[float, float], ...] = ()


def live_trade_off(
    points: Sequence[Point], styles: Mapping[str, tuple[str, str]], labels: tuple[str, str], name: str
) -> Any:
    """Distortion against realism: a system nearer to the lower left is better in both.

    A name that would lie on other points or names on a phone is left to the pointer and the legend.

    Args:
        points: one a system.
        styles: colour and dash by system.
        labels: of the axes.
        name: of the figure.
    """
    plot = plot_frame(name, *labels, height=380)
    shown = []
    for point in points:
        colour, dash = styles[point.name]
        marker = SHAPES[MARKERS[dash]]
        if len(point.seeds) > 1:
            seed_xs, seed_ys = zip(*point.seeds, strict=True)
            plot.scatter(seed_xs, seed_ys, marker=marker, color=colour, size=5, alpha=0.55).tags = tags_of(point.name)
        source = ColumnDataSource({"x": [point.x], "y": [point.y], "name": [point.name]})
        drawn = plot.scatter("x", "y", source=source, marker=marker, color=colour, size=12, name=point.name)
        drawn.tags = tags_of(point.name)
        shown.append(drawn)
    tips = [("", "$name"), (labels[0], "@x{0.0000}"), (labels[1], "@y{0.0000}")]
    plot.add_tools(HoverTool(renderers=shown, tooltips=tips))
    # room for the names, which do not count in the ranges
    every = np.array([(p.x, p.y) for p in points] + [pair for p in points for pair in p.seeds])
    low, span = every.min(axis=0), np.ptp(every, axis=0)
    span = np.where(span > 0, span, np.abs(low) + (low == 0))
    low, high = low - span * (0.08, 0.1), low + span * (1.3, 1.1)
    plot.x_range.start, plot.y_range.start = map(float, low)
    plot.x_range.end, plot.y_range.end = map(float, high)
    at = [(np.array((p.x, p.y)) - low) / (high - low) * NARROWEST for p in points]
    for point, offset in zip(points, _offsets([p.name for p in points], at), strict=True):
        if offset is None:
            continue
        said = plot.text(
            [point.x], [point.y], text=[point.name], x_offset=offset[0], y_offset=-offset[1], text_baseline="middle",
            text_font_size=f"{TEXT}px",
        )  # fmt: skip
        said.tags = [*tags_of(point.name), "ink"]
    plot.add_layout(
        Label(
            x=6,
            y=6,
            x_units="screen",
            y_units="screen",
            text="↙ better in both",
            text_font_size="12px",
            text_color="#808080",
        )
    )
    return plot


def _offsets(names: Sequence[str], at: Sequence[Array]) -> list[tuple[float, float] | None]:
    """From each point to the left end of its name, in pixels; None where it would lie on others.

    Args:
        names: in the order in which they take room.
        at: the points, in pixels of the narrowest figure; in a wider one they are further apart.
    """
    taken = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in at]
    taken.append((0.0, 0.0, 110.0, 24.0))  # what the corner means
    out: list[tuple[float, float] | None] = []
    for name, spot in zip(names, at, strict=True):
        width = float(TextPath((0, 0), name, size=TEXT).get_extents().width)
        box = place(tuple(spot), (width, TEXT), taken, NARROWEST)
        nearest = np.clip(spot, box[:2], box[2:])
        if np.hypot(*(nearest - spot)) > NEAR or any(shared_area(box, other) > 1e-6 for other in taken):
            out.append(None)
            continue
        taken.append(box)
        out.append((float(box[0] - spot[0]), float((box[1] + box[3]) / 2 - spot[1])))
    return out
