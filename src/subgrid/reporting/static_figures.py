"""The static figures of a run with their captions, in the order of the page."""

from __future__ import annotations

import math
from dataclasses import dataclass

from matplotlib.figure import Figure

from subgrid.reporting import figures
from subgrid.reporting.evaluated_run import EvaluatedRun
from subgrid.reporting.verdict import listed
from subgrid.scores.registry import BASELINES, TRUTH

_ERRORS = (
    "Errors at each cell over all test times. Green: the system's RMSE is lower than that of the better "
    "interpolation; brown: it is higher. A pattern in the bias (red: too high, blue: too low) is a systematic error, "
    "which averaging does not remove."
)
_QUANTILES = (
    "Quantiles over all times and cells: a system with the truth's distribution lies on the black line. The ends are "
    "the extremes, which are too weak where the difference is below zero at the right end or above zero at the left "
    "end."
)
_CYCLE = (
    "Scores of the test times by hour of day and by season. Where the line of one system alone rises, that system is "
    "less accurate at that hour or in that season. Biases of opposite sign cancel in the mean over all times."
)
_RANKS = (
    "Rank of the truth among the members of the ensemble. A flat histogram means a reliable ensemble, a U shape too "
    "little spread, a hump too much spread, and a slope a bias."
)
_GALLERY = (
    "Above: true fields of the test split. Below: fields generated from noise. All share one colour scale. Look for "
    "patterns that recur in several fields, for checkerboard artefacts of transposed convolutions, and for missing "
    "scales."
)
_HISTOGRAM = (
    "Density of the values of all cells. The logarithmic figure shows the tails: where a generator's line ends early, "
    "it produces no extremes. Training fields show how much true fields of other times differ from the truth."
)


@dataclass(frozen=True)
class Picture:
    """A figure with its text.

    Attributes:
        wide: the figure.
        alt: description for screen readers.
        caption: text under the figure.
        narrow: the figure on a phone, or None for the same one.
    """

    wide: Figure
    alt: str
    caption: str
    narrow: Figure | None = None


@dataclass(frozen=True)
class Section:
    """Figures under one heading.

    Attributes:
        title: the heading.
        pictures: those of each variable.
        in_columns: whether variables are laid out in columns, without headings of their own.
    """

    title: str
    pictures: dict[str, list[Picture]]
    in_columns: bool = False

    @property
    def slug(self) -> str:
        """Its id in links."""
        return self.title.lower().replace(" ", "-")


def sections_of(run: EvaluatedRun) -> list[Section]:
    """Sections of a run's static figures, in reading order."""
    if run.histograms is not None:
        return [
            Section("Samples", {name: [_gallery(run, name)] for name in run.variables}),
            Section("Histograms", {name: [_histogram(run, name)] for name in run.variables}, in_columns=True),
        ]
    sections = [
        Section("Error maps", {name: _error_maps(run, name) for name in run.variables}),
        Section("Quantiles", {name: _quantiles(run, name) for name in run.variables}, in_columns=True),
        Section("Error by hour and season", {name: _cycles(run, name) for name in run.variables}),
        Section("Ranks", {name: _ranks(run, name) for name in run.variables}, in_columns=True),
    ]
    return [section for section in sections if any(section.pictures.values())]


def _better_baseline(run: EvaluatedRun, variable: str) -> str | None:
    """The interpolation of lower RMSE, or the first one where RMSE was not scored; None without any."""
    rows = run.overall[(run.overall["variable"] == variable) & (run.overall["score"] == "rmse")]
    errors = dict(zip(rows["system"], rows["value"], strict=True))
    baselines = [name for name in BASELINES if name in run.samples["system"].values and name != run.system]
    return min(baselines, key=lambda name: errors.get(name, math.inf), default=None)


def _error_maps(run: EvaluatedRun, variable: str) -> list[Picture]:
    other = _better_baseline(run, variable)
    if run.cells is None or other is None:
        return []
    wide, narrow = (figures.error_map(run.cells, variable, run.system, other, narrow=flag) for flag in (False, True))
    alt = f"Maps of errors of {variable}: RMSE of {run.system}, of {other}, their difference, and {run.system}'s bias."
    return [Picture(wide, alt, _ERRORS, narrow)]


def _quantiles(run: EvaluatedRun, variable: str) -> list[Picture]:
    if run.quantiles is None:
        return []
    alt = f"Quantiles of {variable} against the truth's: {_names(run)}; below, the differences from the truth's."
    return [Picture(figures.quantile_quantile(run.quantiles, variable), alt, _QUANTILES)]


def _cycles(run: EvaluatedRun, variable: str) -> list[Picture]:
    if run.cycles is None:
        return []
    try:
        wide, narrow = (figures.error_cycle(run.cycles, variable, narrow=flag) for flag in (False, True))
    except figures.NothingToDrawError:
        return []
    alt = f"Lines of RMSE and of bias of {variable} by hour of day or season: {_names(run)}."
    return [Picture(wide, alt, _CYCLE, narrow if len(wide.axes) > 2 else None)]


def _ranks(run: EvaluatedRun, variable: str) -> list[Picture]:
    if run.ranks is None or variable not in run.ranks:
        return []
    alt = f"Share of each rank of the true {variable} among the members, with the equal share of a reliable ensemble."
    return [Picture(figures.rank_histogram(run.ranks, variable), alt, _RANKS)]


def _gallery(run: EvaluatedRun, variable: str) -> Picture:
    wide, narrow = (figures.gallery(run.samples, variable, run.system, narrow=flag) for flag in (False, True))
    count = run.samples.sizes["realization"]
    alt = f"{count} true fields of {variable}; below, {count} that {run.system} generated."
    return Picture(wide, alt, _GALLERY, narrow)


def _histogram(run: EvaluatedRun, variable: str) -> Picture:
    assert run.histograms is not None
    alt = f"Density of the values of {variable}: truth, {_names(run)}; below, the same on a logarithmic axis."
    return Picture(figures.histograms(run.histograms, variable), alt, _HISTOGRAM)


def _names(run: EvaluatedRun) -> str:
    return listed([n for n in figures.reading_order(run.samples["system"].values) if n != TRUTH], " and ")
