"""The pictures of a run with their captions, in the order in which they are read."""

from __future__ import annotations

import math
from dataclasses import dataclass

from matplotlib.figure import Figure

from subgrid.reporting import figures
from subgrid.reporting.evaluated_run import Run
from subgrid.reporting.verdict import listed
from subgrid.scores.registry import BASELINES, TRUTH

_ERRORS = (
    "Errors of each cell over all test times. Green: the system's RMSE is lower than the better interpolation's, brown: "
    "higher. A pattern in the bias (red: too high, blue: too low) is an error that averaging will not remove."
)
_QUANTILES = (
    "Values of equal rank, whenever and wherever they occur: a system with the truth's climate lies on the black line. The "
    "ends are the extremes; one that falls short of zero at the right end and rises above it at the left makes them too weak."
)
_CYCLE = (
    "Test times taken apart by hour and season. A line that rises where another does not shows when a system is of less use; "
    "bias that changes sign cancels in the mean."
)
_RANKS = (
    "Where the truth falls among the members. Flat is reliable; a U means that the members are too alike, a hump that they "
    "differ too much, a slope that they are biased."
)
_GALLERY = (
    "True fields of the test split above, fields drawn from noise below, one colour scale. Look for patterns that repeat from "
    "draw to draw, for a grid that the transposed convolutions print, and for scales that are missing."
)
_HISTOGRAM = (
    "How often each value occurs. The tails show below: a generator that ends early there makes no extremes. Training fields "
    "show how far true fields of other times are from the truth."
)


@dataclass(frozen=True)
class Picture:
    """A figure as it stands in the page: `narrow` replaces `wide` on a phone."""

    wide: Figure
    alt: str
    caption: str
    narrow: Figure | None = None


@dataclass(frozen=True)
class Section:
    """Figures under one heading.

    Attributes:
        title: the heading.
        pictures: of each variable.
        beside: whether variables stand beside one another, without headings of their own.
    """

    title: str
    pictures: dict[str, list[Picture]]
    beside: bool = False

    @property
    def slug(self) -> str:
        """Of links to it."""
        return self.title.lower().replace(" ", "-")


def sections_of(run: Run) -> list[Section]:
    """What the page shows of a run beside what moves, in reading order."""
    if run.histograms is not None:
        return [
            Section("Samples", {name: [_gallery(run, name)] for name in run.variables}),
            Section("Histograms", {name: [_histogram(run, name)] for name in run.variables}, beside=True),
        ]
    made = [
        Section("Error maps", {name: _error_maps(run, name) for name in run.variables}),
        Section("Quantiles", {name: _quantiles(run, name) for name in run.variables}, beside=True),
        Section("Error by hour and season", {name: _cycles(run, name) for name in run.variables}),
        Section("Ranks", {name: _ranks(run, name) for name in run.variables}, beside=True),
    ]
    return [section for section in made if any(section.pictures.values())]


def better_baseline(run: Run, variable: str) -> str | None:
    """The interpolation of lower RMSE, or of those there the first where RMSE was not scored; None without any."""
    rows = run.overall[(run.overall["variable"] == variable) & (run.overall["score"] == "rmse")]
    known = dict(zip(rows["system"], rows["value"], strict=True))
    there = [name for name in BASELINES if name in run.samples["system"].values and name != run.system]
    return min(there, key=lambda name: known.get(name, math.inf), default=None)


def _error_maps(run: Run, variable: str) -> list[Picture]:
    other = better_baseline(run, variable)
    if run.cells is None or other is None:
        return []
    wide, narrow = (figures.error_map(run.cells, variable, run.system, other, narrow=form) for form in (False, True))
    alt = f"Maps of errors of {variable}: RMSE of {run.system}, of {other}, their difference, and {run.system}'s bias."
    return [Picture(wide, alt, _ERRORS, narrow)]


def _quantiles(run: Run, variable: str) -> list[Picture]:
    if run.quantiles is None:
        return []
    alt = f"Quantiles of {variable} against the truth's: {_names(run)}; below, each minus the truth's."
    return [Picture(figures.quantile_quantile(run.quantiles, variable), alt, _QUANTILES)]


def _cycles(run: Run, variable: str) -> list[Picture]:
    if run.cycles is None:
        return []
    try:
        wide, narrow = (figures.error_cycle(run.cycles, variable, narrow=form) for form in (False, True))
    except figures.NothingToDrawError:
        return []
    alt = f"Lines of RMSE and of bias of {variable} by hour of day or season: {_names(run)}."
    return [Picture(wide, alt, _CYCLE, narrow if len(wide.axes) > 2 else None)]


def _ranks(run: Run, variable: str) -> list[Picture]:
    if run.ranks is None or variable not in run.ranks:
        return []
    alt = f"Share of each rank of the true {variable} among the members, beside the equal share of a reliable ensemble."
    return [Picture(figures.rank_histogram(run.ranks, variable), alt, _RANKS)]


def _gallery(run: Run, variable: str) -> Picture:
    wide, narrow = (figures.gallery(run.samples, variable, run.system, narrow=form) for form in (False, True))
    count = run.samples.sizes["realization"]
    alt = f"{count} true fields of {variable}; below, {count} that {run.system} drew."
    return Picture(wide, alt, _GALLERY, narrow)


def _histogram(run: Run, variable: str) -> Picture:
    assert run.histograms is not None
    alt = f"Density of the values of {variable}: truth, {_names(run)}; below, the same on a logarithmic axis."
    return Picture(figures.histograms(run.histograms, variable), alt, _HISTOGRAM)


def _names(run: Run) -> str:
    return listed([n for n in figures.reading_order(run.samples["system"].values) if n != TRUTH], " and ")
