"""Figures of a study: the difference of each arm from the reference arm, and training curves by arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from subgrid.reporting.figures.lines import NothingToDrawError, legend, panels
from subgrid.reporting.figures.style import FIXED, GREY, MARKERS, Array, system_styles, tidy
from subgrid.reporting.format_numbers import format_number, name_with_units
from subgrid.reporting.score_names import title_of

STRETCH = 2.0  # a baseline is drawn unless it makes the arms' axis more than so many times as long
_SIDES = {True: "{}    better →", False: "←  better    {}", None: "{}    (closer to the best value is better)"}
_PARTS = {"valid": "validation", "train": "training"}
_MEASURES = {
    "psnr": "PSNR (dB)", "ssim": "SSIM", "rmse": "RMSE (standard deviations)", "mae": "MAE (standard deviations)",
    "log_spectral_distance": "log spectral distance (dB)", "wasserstein": "Wasserstein distance (standard deviations)",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """Difference of one arm or baseline from the reference, in one score of one variable.

    Attributes:
        name: of the arm or baseline.
        baseline: whether it has no seeds of its own.
        value: the difference, `nan` where it was not taken.
        lower: end of its interval, `nan` where there is none.
        upper: the other end.
        seeds: difference of each seed to the same seed of the reference, (seed); empty where it was not taken.
        tied: whether the difference from the reference is not significant.
        note: why the difference was not taken.
    """

    name: str
    baseline: bool
    value: float
    lower: float
    upper: float
    seeds: Array
    tied: bool
    note: str

    @property
    def has_interval(self) -> bool:
        """Whether the difference has an interval."""
        return bool(np.isfinite(self.lower) and np.isfinite(self.upper))

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest value that is drawn."""
        drawn = np.array([self.value, self.lower, self.upper, *self.seeds])
        return float(np.nanmin(drawn)), float(np.nanmax(drawn))


def refusal(note: Any) -> str:
    """The part of a note in `results` that gives a reason other than failed seeds; empty where there is none."""
    parts = note.split("; ") if isinstance(note, str) else []
    return "; ".join(part for part in parts if part and not part.startswith("failed: "))


def rows_of(results: pd.DataFrame, variable: str, score: str, reference: str) -> list[Row]:
    """Rows of all other arms in the study's order, then of the baselines; those without this score have a note only."""
    mine = results[(results["variable"] == variable) & (results["score"] == score)]
    by_arm = {str(row["arm"]): row for row in mine.to_dict("records")}
    columns = [name for name in map(str, results.columns) if name.startswith("seed_")]
    theirs = np.array([by_arm.get(reference, {}).get(name, np.nan) for name in columns], dtype=np.float64)
    rows = []
    for name in dict.fromkeys(map(str, results["arm"])):
        if name == reference:
            continue
        row = by_arm.get(name)
        if row is None:
            rows.append(Row(name, name in FIXED, np.nan, np.nan, np.nan, np.zeros(0), False, "no result"))
            continue
        baseline = row["num_seeds"] == 0
        ours = np.array([row["mean"] if baseline else row[column] for column in columns], dtype=np.float64)
        value, lower, upper = (float(row[column]) for column in ("difference", "lower", "upper"))
        gaps = (ours - theirs)[np.isfinite(ours - theirs)] if np.isfinite(value) else np.zeros(0)
        why = "" if np.isfinite(value) else refusal(row["note"]) or "no seed in common"
        rows.append(Row(name, baseline, value, lower, upper, gaps, row["significant"] == "no", why))
    return sorted(rows, key=lambda row: row.baseline)


def differences(results: pd.DataFrame, score: str, reference: str, *, higher_is_better: bool | None = None) -> Figure:
    """Draw the difference of each arm's score from the reference arm's, in a panel for each variable and a row for each arm.

    Bars are the intervals over times and seeds, small dots the differences of single seeds; a hollow marker means no
    significant difference. An arm without an interval has its dots only. Baselines are below a line; the difference of a
    baseline that would make the axis more than `STRETCH` times as long is written in its row.

    Args:
        results: as `subgrid study` writes them: columns arm, variable, score, units, mean, num_seeds, seed_N, difference,
            lower, upper, significant, note.
        score: which.
        reference: name of the reference arm.
        higher_is_better: which side is the better one; None where neither is, as of a bias.

    Returns:
        A figure with an axes for each variable in which some arm was compared; in the score's units.

    Raises:
        NothingToDrawError: if no arm was compared with the reference in this score.
    """
    of_score = results[results["score"] == score]
    named = [str(name) for name in dict.fromkeys(of_score["variable"])]
    by_variable = {name: rows_of(results, name, score, reference) for name in named}
    drawn = {
        name: rows
        for name, rows in by_variable.items()
        if any(np.isfinite(row.value) and not row.baseline for row in rows)
    }
    if not drawn:
        raise NothingToDrawError(f"no arm was compared with {reference} in {score}")
    count = len(next(iter(drawn.values())))
    figure = Figure(figsize=(1.2 + 4.4 * len(drawn), 1.75 + 0.36 * count), layout="constrained", facecolor="white")
    axes = figure.subplots(1, len(drawn), sharey=True, squeeze=False)
    styles = system_styles([str(name) for name in dict.fromkeys(results["arm"])])
    units = {str(row["variable"]): str(row["units"]) for row in of_score.to_dict("records")}
    for ax, (variable, rows) in zip(axes.flat, drawn.items(), strict=True):
        _difference_panel(ax, rows, styles)
        ax.set_title(variable, loc="left", fontsize=11, fontweight="bold")
        ax.set_xlabel(
            _SIDES[higher_is_better].format(name_with_units(f"minus {reference}'s", units[variable])), fontsize=10.5
        )
    title = f"{title_of(score)}: difference from {reference}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    legend = "bars: intervals, dots: single seeds, hollow: no significant difference"
    figure.supxlabel(legend, x=0.01, ha="left", fontsize=9, color=GREY)
    return figure


def _difference_panel(ax: Axes, rows: list[Row], styles: Mapping[str, tuple[str, str]]) -> None:
    """Draw one variable's rows from top to bottom, with their names on the axis."""
    tidy(ax)
    ax.grid(visible=False, axis="y")
    ax.axvline(0.0, color="#000000", linewidth=1.2, zorder=1)
    low, high, shown = _limits(rows)
    places = [i + 0.5 * row.baseline for i, row in enumerate(rows)]
    for at, row in zip(places, rows, strict=True):
        if row.name in shown:
            _difference_row(ax, at, row, *styles[row.name])
        else:
            text = row.note or f"{format_number(row.value, digits=3, signed=True)}, beyond this axis"
            ax.annotate(
                text, (0.01, at), xycoords=("axes fraction", "data"), va="center", color=GREY, fontsize=9,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
            )  # fmt: skip
    arms = sum(not row.baseline for row in rows)
    if 0 < arms < len(rows):
        ax.axhline(arms - 0.25, color="#888888", linewidth=0.8)
    ax.set_xlim(low, high)
    ax.set_ylim(places[-1] + 0.6, -0.6)
    ax.set_yticks(places, [row.name for row in rows])
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def _difference_row(ax: Axes, at: float, row: Row, colour: str, dash: str) -> None:
    """Draw bar and marker, and the seeds' dots under them."""
    if row.has_interval:
        ax.plot([row.lower, row.upper], [at, at], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=3)
        face = "white" if row.tied else colour
        ax.plot([row.value], [at], MARKERS[dash], color=colour, markerfacecolor=face, markersize=7, zorder=4)
    under = at + 0.24 if row.has_interval else at
    dots = row.seeds if row.seeds.size else np.array([row.value])
    ax.plot(dots, np.full(dots.size, under), "o", color=colour, markersize=3.2, alpha=0.75, linestyle="none", zorder=3)


def _limits(rows: list[Row]) -> tuple[float, float, set[str]]:
    """Ends of the axis, and the names of the rows within: the arms, and baselines that do not make the axis too long."""
    known = [row for row in rows if np.isfinite(row.value)]
    arms = [row.reach for row in known if not row.baseline]
    low, high = min(0.0, *(a for a, _ in arms)), max(0.0, *(b for _, b in arms))
    span, shown = high - low, {row.name for row in known if not row.baseline}
    for row in known:
        wider = (min(low, row.reach[0]), max(high, row.reach[1]))
        if row.baseline and wider[1] - wider[0] <= STRETCH * span:
            (low, high), shown = wider, shown | {row.name}
    pad = 0.06 * (high - low) or 1.0
    return low - pad, high + pad, shown


def arm_curves(histories: Mapping[str, Mapping[int, pd.DataFrame]], column: str) -> Figure:
    """Draw one column of the training histories: for each arm the mean over its seeds, in a band from lowest to highest.

    Args:
        histories: `history.csv` by arm and seed. Of an arm's runs the updates count that all of them measured, so that they
            are cut at the shortest.
        column: such as ``valid_psnr``, in standardised units where it has any.

    Returns:
        A figure with one axes. Dotted lines mark the first update that some arm had in another stage.

    Raises:
        NothingToDrawError: if no run measured the column.
    """
    styles = system_styles(list(histories))
    figure, (ax,) = panels(1, (3.6,), width=7.2)
    changes: set[tuple[float, str]] = set()
    for arm, runs in histories.items():
        measured = [_measured(history, column) for history in runs.values()]
        together = pd.concat(
            [values for values in measured if not values.empty] or [pd.Series(dtype=float)], axis=1, join="inner"
        )
        if together.empty:
            continue
        steps, values = together.index.to_numpy(dtype=np.float64), together.to_numpy(dtype=np.float64)
        colour, dash = styles[arm]
        mark = "o" if steps.size == 1 else None
        ax.plot(steps, values.mean(axis=1), dash, color=colour, linewidth=1.8, marker=mark, label=arm, zorder=3)
        if values.shape[1] > 1:
            ax.fill_between(steps, values.min(axis=1), values.max(axis=1), color=colour, alpha=0.15, linewidth=0)
        changes |= {change for history in runs.values() for change in _changes(history)}
    if not ax.lines:
        raise NothingToDrawError(f"no run measured {column}")
    for step, stage in sorted(changes):
        ax.axvline(step, color=GREY, linewidth=1.2, linestyle=":", zorder=2)
        ax.annotate(f" {stage}", (step, 0.02), xycoords=("data", "axes fraction"), fontsize=9.5, color=GREY)
    part, _, measure = column.partition("_")
    ax.set_ylabel(f"{_PARTS.get(part, part)} {_MEASURES.get(measure, title_of(measure))}", fontsize=10.5)
    ax.set_xlabel("updates", fontsize=10.5)
    ax.ticklabel_format(axis="y", useOffset=False)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    legend(ax)
    return figure


def _measured(history: pd.DataFrame, column: str) -> pd.Series[float]:
    """The column by update, where it was measured."""
    if column not in history:
        return pd.Series(dtype=float)
    return history.set_index("step")[column].dropna().astype(float)


def _changes(history: pd.DataFrame) -> list[tuple[float, str]]:
    """First update of each stage but the first, and the stage's name."""
    changed = history["stage"].ne(history["stage"].shift())
    rows = history.loc[changed, ["step", "stage"]].iloc[1:]
    return [(float(step), str(stage)) for step, stage in rows.itertuples(index=False)]
