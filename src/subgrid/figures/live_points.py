"""Points of a page that answer to the pointer: distortion against realism."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Label

from subgrid.figures.live_lines import plot_frame, tags_of
from subgrid.figures.style import MARKERS

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
        said = plot.text("x", "y", text="name", source=source, x_offset=10, y_offset=4, text_font_size="12px")
        said.tags = [*tags_of(point.name), "ink"]
    tips = [("", "$name"), (labels[0], "@x{0.0000}"), (labels[1], "@y{0.0000}")]
    plot.add_tools(HoverTool(renderers=shown, tooltips=tips))
    # room for the names, which do not count in the ranges
    xs = [p.x for p in points] + [x for p in points for x, _ in p.seeds]
    ys = [p.y for p in points] + [y for p in points for _, y in p.seeds]
    wide, high = np.ptp(xs) or abs(xs[0]) or 1.0, np.ptp(ys) or abs(ys[0]) or 1.0
    plot.x_range.start, plot.x_range.end = min(xs) - 0.08 * wide, max(xs) + 0.3 * wide
    plot.y_range.start, plot.y_range.end = min(ys) - 0.1 * high, max(ys) + 0.1 * high
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
