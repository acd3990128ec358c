"""Figures of a study: what each arm differs in from the reference, and its training, seed by seed."""

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

CAPITALS = ("psnr", "ssim", "rmse", "mae", "crps")
STRETCH = 2.0  # a baseline is drawn where it makes the arms' axis no more than so many times as long
_SIDES = {True: "{}    better →", False: "←  better    {}", None: "{}    (nearer the best value is better)"}
_PARTS = {"valid": "validation", "train": "training"}
_MEASURES = {
    "psnr": "PSNR (dB)", "ssim": "SSIM", "rmse": "RMSE (standard deviations)", "mae": "MAE (standard deviations)",
    "log_spectral_distance": "distance of spectra (dB)", "wasserstein": "distance of values (standard deviations)",
}  # fmt: skip


def score_name(score: str) -> str:
    """Write a score as a text does: ``rmse`` becomes ``RMSE``, ``log_spectral_distance`` loses its underscores."""
    words = score.split("_")
    return " ".join(word.upper() if word in CAPITALS else word for word in words)


@dataclass(frozen=True)
class Row:
    """One arm or baseline beside the reference, in one score of one variable.

    Attributes:
        name: of it.
        baseline: whether it has no seeds of its own.
        value: the difference, `nan` where it was not taken.
        lower: end of its interval, `nan` where there is none.
        upper: the other end.
        seeds: difference of each seed to the same seed of the reference, (seed); empty where it was not taken.
        tied: not significantly different from the reference.
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
        """Whether there is one."""
        return bool(np.isfinite(self.lower) and np.isfinite(self.upper))

    @property
    def reach(self) -> tuple[float, float]:
        """Lowest and highest of what is drawn of it."""
        drawn = np.array([self.value, self.lower, self.upper, *self.seeds])
        return float(np.nanmin(drawn)), float(np.nanmax(drawn))


def refusal(note: Any) -> str:
    """What a note in `results` says beside which seeds failed; empty where it says nothing more."""
    said = str(note) if isinstance(note, str) else ""
    return "; ".join(part for part in said.split("; ") if part and not part.startswith("failed: "))


def rows_of(results: pd.DataFrame, variable: str, score: str, reference: str) -> list[Row]:
    """All arms but the reference, in the study's order, then the baselines; those without this score with a note alone."""
    mine = results[(results["variable"] == variable) & (results["score"] == score)]
    found = {str(row["arm"]): row for row in mine.to_dict("records")}
    columns = [name for name in map(str, results.columns) if name.startswith("seed_")]
    theirs = np.array([found.get(reference, {}).get(name, np.nan) for name in columns], dtype=np.float64)
    out = []
    for name in dict.fromkeys(map(str, results["arm"])):
        if name == reference:
            continue
        row = found.get(name)
        if row is None:
            out.append(Row(name, name in FIXED, np.nan, np.nan, np.nan, np.zeros(0), False, "no result"))
            continue
        baseline = row["num_seeds"] == 0
        ours = np.array([row["mean"] if baseline else row[column] for column in columns], dtype=np.float64)
        value, lower, upper = (float(row[column]) for column in ("difference", "lower", "upper"))
        gaps = (ours - theirs)[np.isfinite(ours - theirs)] if np.isfinite(value) else np.zeros(0)
        why = "" if np.isfinite(value) else refusal(row["note"]) or "no seed in common"
        out.append(Row(name, baseline, value, lower, upper, gaps, row["significant"] == "no", why))
    return sorted(out, key=lambda one: one.baseline)


def differences(results: pd.DataFrame, score: str, reference: str, *, higher_is_better: bool | None = None) -> Figure:
    """Draw what each arm's score differs from the reference arm's by, a panel a variable and a row an arm.

    Bars are the intervals over times and seeds, small dots each seed's own difference; a hollow marker has no
    significant difference from the reference. An arm without interval has its dots alone. Baselines stand
    under a rule; one that would make the arms' axis more than `STRETCH` times as long is not drawn, its difference written
    in its row.

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
    figure.suptitle(
        f"{score_name(score)}: difference to {reference}", x=0.01, ha="left", fontsize=12, fontweight="bold"
    )
    figure.supxlabel(
        "bars: intervals, dots: each seed, hollow: no significant difference", x=0.01, ha="left", fontsize=9, color=GREY
    )
    return figure


def _difference_panel(ax: Axes, rows: list[Row], styles: Mapping[str, tuple[str, str]]) -> None:
    """One variable's rows, from above, and the names on the axis."""
    tidy(ax)
    ax.grid(visible=False, axis="y")
    ax.axvline(0.0, color="#000000", linewidth=1.2, zorder=1)
    low, high, shown = _limits(rows)
    places = [i + 0.5 * row.baseline for i, row in enumerate(rows)]
    for at, row in zip(places, rows, strict=True):
        if row.name in shown:
            _difference_row(ax, at, row, *styles[row.name])
        else:
            said = row.note or f"{format_number(row.value, digits=3, signed=True)}, beyond this axis"
            ax.annotate(
                said, (0.01, at), xycoords=("axes fraction", "data"), va="center", color=GREY, fontsize=9,
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
    """Bar and marker, and the seeds' dots under them."""
    if row.has_interval:
        ax.plot([row.lower, row.upper], [at, at], color=colour, linewidth=2.2, solid_capstyle="butt", zorder=3)
        face = "white" if row.tied else colour
        ax.plot([row.value], [at], MARKERS[dash], color=colour, markerfacecolor=face, markersize=7, zorder=4)
    under = at + 0.24 if row.has_interval else at
    dots = row.seeds if row.seeds.size else np.array([row.value])
    ax.plot(dots, np.full(dots.size, under), "o", color=colour, markersize=3.2, alpha=0.75, linestyle="none", zorder=3)


def _limits(rows: list[Row]) -> tuple[float, float, set[str]]:
    """Ends of the axis, and who is within them: the arms, zero, and baselines that do not make it too long."""
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
    """Draw one column of the training histories, a line an arm: the mean over its seeds, in a band from least to most.

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
            [one for one in measured if not one.empty] or [pd.Series(dtype=float)], axis=1, join="inner"
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
    ax.set_ylabel(f"{_PARTS.get(part, part)} {_MEASURES.get(measure, score_name(measure))}", fontsize=10.5)
    ax.set_xlabel("updates", fontsize=10.5)
    ax.ticklabel_format(axis="y", useOffset=False)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    legend(ax)
    return figure


def _measured(history: pd.DataFrame, column: str) -> pd.Series[float]:
    """The column over the updates that measured it."""
    if column not in history:
        return pd.Series(dtype=float)
    return history.set_index("step")[column].dropna().astype(float)


def _changes(history: pd.DataFrame) -> list[tuple[float, str]]:
    """First update of each stage but the first, and the stage's name."""
    changed = history["stage"].ne(history["stage"].shift())
    rows = history.loc[changed, ["step", "stage"]].iloc[1:]
    return [(float(step), str(stage)) for step, stage in rows.itertuples(index=False)]
