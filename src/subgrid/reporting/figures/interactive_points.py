"""Interactive points of a page: distortion and realism."""

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
TEXT = 12.0  # height of a label, in pixels
MARK = 7.0  # half the size of a marker
NEAR = 10.0  # largest distance of a label from its point, in pixels
SHAPES = {"o": "circle", "s": "square", "^": "triangle", "D": "diamond"}  # Bokeh's names of matplotlib's markers


@dataclass(frozen=True)
class Point:
    """A system in the figure of distortion and realism.

    Attributes:
        name: of the system.
        x: its distortion, the lower the better.
        y: its lack of realism, the lower the better.
        seeds: (x, y) of each seed, for a system that has several.
    """

    name: str
    x: float
    y: float
    seeds: tuple[tuple[float, float], ...] = ()


def interactive_trade_off(
    points: Sequence[Point], styles: Mapping[str, tuple[str, str]], labels: tuple[str, str], name: str
) -> Any:
    """Draw distortion and realism: a system closer to the lower left is better in both.

    A label that would overlap other points or labels on a phone is left out; the pointer and the legend name its system.

    Args:
        points: one for each system.
        styles: colour and dash by system.
        labels: of the axes.
        name: of the figure.
    """
    plot = plot_frame(name, *labels, height=380)
    _draw_points(plot, points, styles, labels)
    every = np.array([(p.x, p.y) for p in points] + [pair for p in points for pair in p.seeds])
    low, high = _limits(every)
    (plot.x_range.start, plot.y_range.start), (plot.x_range.end, plot.y_range.end) = map(float, low), map(float, high)
    spots = [(np.array((p.x, p.y)) - low) / (high - low) * NARROWEST for p in points]
    for point, offset in zip(points, _offsets([p.name for p in points], spots), strict=True):
        if offset is None:
            continue
        label = plot.text(
            [point.x], [point.y], text=[point.name], x_offset=offset[0], y_offset=-offset[1], text_baseline="middle",
            text_font_size=f"{TEXT}px",
        )  # fmt: skip
        label.tags = [*tags_of(point.name), "ink"]
    corner = Label(
        x=6, y=6, x_units="screen", y_units="screen", text="↙ better in both", text_font_size="12px", text_color="#808080"
    )  # fmt: skip
    plot.add_layout(corner)
    return plot


def _draw_points(
    plot: Any, points: Sequence[Point], styles: Mapping[str, tuple[str, str]], labels: tuple[str, str]
) -> None:
    """Draw a marker for each system over small ones for its seeds, and add what the pointer shows."""
    drawn_points = []
    for point in points:
        colour, dash = styles[point.name]
        marker = SHAPES[MARKERS[dash]]
        if len(point.seeds) > 1:
            seed_xs, seed_ys = zip(*point.seeds, strict=True)
            plot.scatter(seed_xs, seed_ys, marker=marker, color=colour, size=5, alpha=0.55).tags = tags_of(point.name)
        source = ColumnDataSource({"x": [point.x], "y": [point.y], "name": [point.name]})
        drawn = plot.scatter("x", "y", source=source, marker=marker, color=colour, size=12, name=point.name)
        drawn.tags = tags_of(point.name)
        drawn_points.append(drawn)
    tooltips = [("", "$name"), (labels[0], "@x{0.0000}"), (labels[1], "@y{0.0000}")]
    plot.add_tools(HoverTool(renderers=drawn_points, tooltips=tooltips))


def _limits(points: Array) -> tuple[Array, Array]:
    """Lower and upper limits (x, y) of the axes for points (n, 2), with room for labels, which Bokeh's ranges ignore."""
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    span = np.where(span > 0, span, np.abs(low) + (low == 0))
    return low - span * (0.08, 0.1), low + span * (1.3, 1.1)


def _offsets(names: Sequence[str], spots: Sequence[Array]) -> list[tuple[float, float] | None]:
    """Find the offset from each point to the left end of its label, in pixels; None where the label would overlap others.

    Args:
        names: the labels, in the order in which they are placed.
        spots: the points, in pixels of the narrowest figure; in a wider one they are further apart.
    """
    taken = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in spots]
    taken.append((0.0, 0.0, 110.0, 24.0))  # the text in the corner
    offsets: list[tuple[float, float] | None] = []
    for name, spot in zip(names, spots, strict=True):
        width = float(TextPath((0, 0), name, size=TEXT).get_extents().width)
        box = place(tuple(spot), (width, TEXT), taken, NARROWEST)
        nearest = np.clip(spot, box[:2], box[2:])
        if np.hypot(*(nearest - spot)) > NEAR or any(shared_area(box, other) > 1e-6 for other in taken):
            offsets.append(None)
            continue
        taken.append(box)
        offsets.append((float(box[0] - spot[0]), float((box[1] + box[3]) / 2 - spot[1])))
    return offsets
