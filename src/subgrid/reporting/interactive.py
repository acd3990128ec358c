"""What the page shows of systems that belong together: linked maps, profiles, spectra, distortion and realism, training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from subgrid.reporting.figures import reading_order, system_styles
from subgrid.reporting.figures.interactive_lines import live_columns, live_curves, live_profile, live_spectra
from subgrid.reporting.figures.interactive_maps import LinkedMaps, linked_maps
from subgrid.reporting.figures.interactive_points import Point, live_trade_off
from subgrid.reporting.format_numbers import name_with_units
from subgrid.reporting.ranking import DISTORTION, REALISM
from subgrid.reporting.score_tables import title_of
from subgrid.scores.registry import BASELINES, TRUTH

MEASURED = {
    "valid_rmse": "validation RMSE, standardised",
    "valid_psnr": "validation PSNR, dB",
    "valid_ssim": "validation SSIM",
    "valid_log_spectral_distance": "validation log spectral distance, dB",
}
FAR = 3.0  # times the span of the middle half of the systems, from which the others leave no room for them
_VIEWS = {"discriminator_real": "of truth", "discriminator_fake": "of generated"}


@dataclass(frozen=True)
class Subject:
    """Systems that can be shown in the same figures.

    Attributes:
        key: of its figures and links.
        label: heading; empty where the page has one subject only.
        samples: `V(system, valid_time, y, x)` and `V_coarse`, or None for systems that draw from noise.
        spectra: `V(system, wavelength)`.
        histories: `history.csv` of each seed, by system.
        points: distortion and realism of each system, by variable and units.
        shown: the two systems that the maps show first.
        about: a sentence under the maps' heading on whose fields they are.
    """

    key: str
    label: str
    samples: xr.Dataset | None
    spectra: xr.Dataset | None
    histories: Mapping[str, Sequence[pd.DataFrame]]
    points: Mapping[tuple[str, str], Sequence[Point]]
    shown: tuple[str, str]
    about: str = ""

    @property
    def systems(self) -> list[str]:
        """All names, in reading order."""
        named = [str(name) for one in (self.samples, self.spectra) if one is not None for name in one["system"].values]
        placed = [point.name for points in self.points.values() for point in points]
        return list(dict.fromkeys(reading_order([*named, *self.histories, *placed])))


@dataclass
class Shown:
    """A subject's figures, by where they stand in the page.

    Attributes:
        subject: whose they are.
        maps: the linked maps, or None.
        profiles: by variable.
        spectra: power and ratio by variable.
        trade_offs: distortion against realism by variable.
        curves: validation scores.
        losses: of a single run.
        legend: name, colour and dash of each system.
    """

    subject: Subject
    maps: LinkedMaps | None = None
    profiles: dict[str, Any] = field(default_factory=dict)
    spectra: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    trade_offs: dict[str, Any] = field(default_factory=dict)
    curves: list[Any] = field(default_factory=list)
    losses: list[Any] = field(default_factory=list)
    legend: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def beside_training(self) -> bool:
        """Whether training times were scored too."""
        return any("train_rmse" in table for tables in self.subject.histories.values() for table in tables)

    @property
    def mapped(self) -> list[str]:
        """Systems that have sample fields."""
        return [] if self.subject.samples is None else [str(name) for name in self.subject.samples["system"].values]

    @property
    def placed(self) -> set[str]:
        """Systems that stand in a picture of distortion against realism."""
        return {point.name for points in self.subject.points.values() for point in points}

    def models(self) -> dict[str, Any]:
        """All Bokeh figures by name."""
        found = [*self.profiles.values(), *self.trade_offs.values(), *self.curves, *self.losses]
        found += [one for pair in self.spectra.values() for one in pair]
        found += list(self.maps.panels.values()) if self.maps else []
        return {one.name: one for one in found}


def show(subject: Subject, *, max_bytes: int) -> Shown:
    """Draw all of a subject's figures.

    Args:
        subject: what to show.
        max_bytes: room for the fields of its maps.
    """
    key, styles = subject.key, system_styles(subject.systems)
    out = Shown(subject, legend=[(name, *styles[name]) for name in subject.systems])
    samples, spectra = subject.samples, subject.spectra
    if samples is not None:
        variables = [str(name) for name, one in samples.data_vars.items() if "system" in one.dims]
        out.maps = linked_maps(samples, *subject.shown, key=key, max_bytes=max_bytes)
        out.profiles = {name: live_profile(samples, name, styles, f"{key}-profile-{name}") for name in variables}
    if spectra is not None:
        for name in map(str, spectra.data_vars):
            out.spectra[name] = live_spectra(spectra, name, styles, f"{key}-spectra-{name}")
    for (variable, units), points in subject.points.items():
        labels = (name_with_units(title_of(DISTORTION), units), name_with_units(title_of(REALISM), "dB"))
        for name, some in _near_and_far(variable, points).items():
            out.trade_offs[name] = live_trade_off(some, styles, labels, f"{key}-trade-{name.replace(', ', '-')}")
    for column, label in MEASURED.items():
        made = live_curves(subject.histories, column, label, styles, f"{key}-curve-{column}")
        out.curves += [] if made is None else [made]
    if len(subject.histories) == 1:
        (tables,) = subject.histories.values()
        out.losses = _losses(tables[0], key)
    return out


def _losses(history: pd.DataFrame, key: str) -> list[Any]:
    """Losses, and the discriminator's view."""
    losses = {
        name: name.removeprefix("loss_").replace("_", " ")
        for name in map(str, history.columns)
        if name.startswith("loss_")
    }
    losses["discriminator_loss"] = "discriminator"
    made = [
        live_columns(history, losses, "losses", f"{key}-losses"),
        live_columns(history, _VIEWS, "discriminator's view", f"{key}-views"),
    ]
    return [one for one in made if one is not None]


def _near_and_far(variable: str, points: Sequence[Point]) -> dict[str, Sequence[Point]]:
    """All systems; and, where some are so far off that the others fall into one spot, those others once more."""
    at = np.array([(point.x, point.y) for point in points])
    trained = np.array([point.name not in BASELINES for point in points])
    if trained.sum() < 2:
        return {variable: points}
    span = np.maximum(np.ptp(at, axis=0), 1e-300)
    off = (np.abs(at - np.median(at[trained], axis=0)) / span).max(axis=1)
    nearest = np.sort(off[trained])[: max(2, math.ceil(trained.sum() / 2))][-1]
    core = at[trained & (off <= nearest)]
    room = 2 * np.ptp(core, axis=0)
    near = ((core.min(axis=0) - room <= at) & (at <= core.max(axis=0) + room)).all(axis=1)
    if near.all() or (FAR * np.ptp(at[near], axis=0) >= span).any():
        return {variable: points}
    return {variable: points, f"{variable}, close-up": [one for one, kept in zip(points, near, strict=True) if kept]}


def points_of(scores: pd.DataFrame) -> dict[tuple[str, str], list[Point]]:
    """Distortion and realism of a run's systems.

    Args:
        scores: over all times, long form.
    """
    out: dict[tuple[str, str], list[Point]] = {}
    rows = scores[scores["score"].isin((DISTORTION, REALISM)) & (scores["system"] != TRUTH)]
    for variable, of_variable in rows.groupby("variable", sort=False):
        values = of_variable.pivot_table(index="system", columns="score", values="value", sort=False, aggfunc="first")
        if not {DISTORTION, REALISM} <= set(values.columns):
            continue
        units = str(of_variable.loc[of_variable["score"] == DISTORTION, "units"].iloc[0])
        complete = values[np.isfinite(values[[DISTORTION, REALISM]]).all(axis=1)]
        points = [Point(str(name), float(row[DISTORTION]), float(row[REALISM])) for name, row in complete.iterrows()]
        if len(points) > 1:
            out[str(variable), units] = points
    return out


def better(scores: Mapping[str, float]) -> str:
    """The interpolation of lower error, or whatever there is."""
    there = [name for name in BASELINES if name in scores]
    return min(there, key=lambda name: scores[name]) if there else next(iter(scores))
