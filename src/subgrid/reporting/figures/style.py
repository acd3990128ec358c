"""What all figures share: colours, texts of times and degrees, cell edges, the look of axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from subgrid.scores.registry import TRUTH

Array = npt.NDArray[Any]

FIXED = {TRUTH: ("#000000", "-"), "bilinear": ("#009E73", "--"), "bicubic": ("#0072B2", "-.")}
_VERMILION, _PURPLE, _OLIVE, _SKY, _INDIGO, _BROWN = "#D55E00", "#AA4499", "#8A6D00", "#56B4E9", "#332288", "#661100"
# colours of one dash, FIXED included, differ for colour-blind readers too, which tests/studies/test_arms.py measures
OTHERS = (
    (_VERMILION, "-"), (_PURPLE, "-"), (_OLIVE, "--"), (_SKY, "-"), (_INDIGO, "-"), (_VERMILION, ":"), (_PURPLE, ":"),
    (_SKY, ":"), (_INDIGO, ":"), (_OLIVE, "-."), (_PURPLE, "--"), (_INDIGO, "--"), (_SKY, "-."), (_INDIGO, "-."),
    (_BROWN, "-."), (_BROWN, "--"), (_BROWN, ":"),
)  # fmt: skip
MARKERS = {"-": "o", "--": "s", "-.": "^", ":": "D"}  # markers by dash, for figures without lines
GREY = "#555555"


def time_text(value: Any) -> str:
    """Write a `datetime64` or `cftime` time to the minute, e.g. ``2018-10-12 06:00``."""
    if isinstance(value, np.datetime64):
        return str(np.datetime_as_string(value, unit="m")).replace("T", " ")
    return str(value.strftime("%Y-%m-%d %H:%M"))


def reading_order(systems: Iterable[Any]) -> list[str]:
    """Order systems as every figure shows them: truth, interpolations, then the others in their given order."""
    names = [str(name) for name in systems]
    return [name for name in FIXED if name in names] + [name for name in names if name not in FIXED]


def system_styles(systems: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Give each system its colour and dash pattern, the same in every figure.

    Args:
        systems: names, in the order in which they are stored.

    Returns:
        Name to (hex colour, matplotlib line style); no two are the same for up to 17 systems that are neither
            truth nor interpolation.
    """
    others = [name for name in systems if name not in FIXED]
    styles = {name: OTHERS[i % len(OTHERS)] for i, name in enumerate(others)}
    return {name: FIXED.get(name) or styles[name] for name in systems}


def coordinate(data: xr.DataArray, dim: str, cells: int) -> tuple[Array, str, str]:
    """Return the centres of `dim` to draw at, the axis label, and the kind: lat, lon, or other.

    Args:
        data: the field that has `dim`.
        dim: dimension name, fine or with the suffix `_coarse`.
        cells: fine cells along this axis; places cells that have no coordinate.
    """
    name = dim.removesuffix("_coarse")
    if dim not in data.coords:
        step = cells / data.sizes[dim]
        return (np.arange(data.sizes[dim]) + 0.5) * step - 0.5, "cell number", "other"
    values = np.asarray(data[dim].values, dtype=np.float64)
    if name in ("latitude", "longitude"):
        return values, name, name
    units = str(data[dim].attrs.get("units", ""))
    if units in ("m", "metre", "metres", "meter", "meters"):
        values, units = values / 1000.0, "km"
    axis = name.replace("projection_", "").replace("_coordinate", "").replace("grid_", "rotated ")
    units = "°" if units.startswith("degree") else units
    return values, f"{axis} ({units})" if units else axis, "other"


def degrees(value: float, kind: str) -> str:
    """Write ``30°N`` or ``10°W``; a longitude beyond 180 is wrapped."""
    if kind == "longitude":
        value = (value + 180.0) % 360.0 - 180.0
    if abs(value) < 1e-9:
        return "0°"
    if kind == "longitude" and abs(abs(value) - 180.0) < 1e-9:
        return "180°"
    letter = "NS" if kind == "latitude" else "EW"
    return f"{abs(value):g}°{letter[int(value < 0)]}"


def set_ticks(axis: Any, kind: str, span: float, count: int) -> None:
    """Place about `count` round ticks; in degrees of a large domain, multiples of 30 and the like."""
    steps = [1, 1.5, 3, 4.5, 6, 9, 10] if kind != "other" and span > 45 else [1, 2, 2.5, 5, 10]
    axis.set_major_locator(MaxNLocator(count, steps=steps))
    if kind != "other":
        axis.set_major_formatter(FuncFormatter(lambda value, _: degrees(round(value, 6), kind)))


def tidy(ax: Axes, size: float = 10) -> None:
    """Give axes a light frame and grid; sizes are set here because ticks are created only when drawn."""
    ax.tick_params(labelsize=size, color="#888888", labelcolor="#222222")
    for name, spine in ax.spines.items():
        spine.set_color("#888888")
        spine.set_visible(name in ("left", "bottom"))
    ax.grid(True, color="#e4e4e4", linewidth=0.8)
    ax.set_axisbelow(True)
