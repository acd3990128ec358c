"""Interactive figures of systems that can be compared: linked maps, profiles, spectra, distortion and realism, training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from subgrid.reporting.figures import reading_order, system_styles
from subgrid.reporting.figures.interactive_lines import (
    interactive_columns,
    interactive_curves,
    interactive_profile,
    interactive_spectra,
)
from subgrid.reporting.figures.interactive_maps import LinkedMaps, linked_maps
from subgrid.reporting.figures.interactive_points import Point, interactive_trade_off
from subgrid.reporting.format_numbers import name_with_units
from subgrid.reporting.score_names import title_of
from subgrid.scores.registry import BASELINES, DISTORTION, REALISM, TRUTH

VALIDATION_SCORES = {
    "valid_rmse": "validation RMSE (standard deviations)",
    "valid_psnr": "validation PSNR (dB)",
    "valid_ssim": "validation SSIM",
    "valid_log_spectral_distance": "validation log spectral distance (dB)",
}
CLOSE_UP_RATIO = 3.0  # a close-up is drawn where all systems together span so many times the range of the near ones
_DISCRIMINATOR_OUTPUTS = {"discriminator_real": "for the truth", "discriminator_fake": "for generated fields"}


@dataclass(frozen=True)
class SystemGroup:
    """Systems that can be shown in the same figures.

    Attributes:
        key: first part of the names of its figures and links.
        label: heading; empty where the page has only one group.
        samples: `V(system, valid_time, y, x)` and `V_coarse`, or None for systems that generate fields from noise.
        spectra: `V(system, wavelength)`.
        histories: `history.csv` of each seed, by system.
        points: distortion and realism of each system, by variable and units.
        first_pair: the two systems that the maps show at first.
        about: a sentence under the maps' heading on the source of their fields.
    """

    key: str
    label: str
    samples: xr.Dataset | None
    spectra: xr.Dataset | None
    histories: Mapping[str, Sequence[pd.DataFrame]]
    points: Mapping[tuple[str, str], Sequence[Point]]
    first_pair: tuple[str, str]
    about: str = ""

    @property
    def systems(self) -> list[str]:
        """All names, in reading order."""
        datasets = [dataset for dataset in (self.samples, self.spectra) if dataset is not None]
        names = [str(name) for dataset in datasets for name in dataset["system"].values]
        return list(dict.fromkeys(reading_order([*names, *self.histories, *self.systems_with_points])))

    @property
    def systems_with_fields(self) -> list[str]:
        """Systems that have sample fields."""
        return [] if self.samples is None else [str(name) for name in self.samples["system"].values]

    @property
    def systems_with_points(self) -> list[str]:
        """Systems in a figure of distortion and realism."""
        return list(dict.fromkeys(point.name for points in self.points.values() for point in points))

    @property
    def has_training_scores(self) -> bool:
        """Whether the training times were scored as well as the validation times."""
        return any("train_rmse" in table for tables in self.histories.values() for table in tables)


@dataclass
class GroupFigures:
    """The figures of a group, by their section of the page.

    Attributes:
        group: whose they are.
        maps: the linked maps, or None.
        profiles: by variable.
        spectra: power and ratio by variable.
        trade_offs: distortion and realism by variable.
        curves: validation scores.
        losses: losses and discriminator outputs of a single run.
        legend: name, colour and dash of each system.
    """

    group: SystemGroup
    maps: LinkedMaps | None = None
    profiles: dict[str, Any] = field(default_factory=dict)
    spectra: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    trade_offs: dict[str, Any] = field(default_factory=dict)
    curves: list[Any] = field(default_factory=list)
    losses: list[Any] = field(default_factory=list)
    legend: list[tuple[str, str, str]] = field(default_factory=list)

    def bokeh_figures(self) -> dict[str, Any]:
        """All Bokeh figures by name."""
        plots = [*self.profiles.values(), *self.trade_offs.values(), *self.curves, *self.losses]
        plots += [plot for pair in self.spectra.values() for plot in pair]
        plots += list(self.maps.panels.values()) if self.maps else []
        return {plot.name: plot for plot in plots}


def draw_group(group: SystemGroup, *, max_bytes: int) -> GroupFigures:
    """Draw all figures of a group.

    Args:
        group: what to draw.
        max_bytes: room for the encoded fields of its maps.
    """
    key, styles = group.key, system_styles(group.systems)
    figures = GroupFigures(group, legend=[(name, *styles[name]) for name in group.systems])
    if group.samples is not None:
        variables = [str(name) for name, values in group.samples.data_vars.items() if "system" in values.dims]
        figures.maps = linked_maps(group.samples, *group.first_pair, key=key, max_bytes=max_bytes)
        for name in variables:
            figures.profiles[name] = interactive_profile(group.samples, name, styles, f"{key}-profile-{name}")
    if group.spectra is not None:
        for name in map(str, group.spectra.data_vars):
            figures.spectra[name] = interactive_spectra(group.spectra, name, styles, f"{key}-spectra-{name}")
    for (variable, units), points in group.points.items():
        labels = (name_with_units(title_of(DISTORTION), units), name_with_units(title_of(REALISM), "dB"))
        for title, selected in _with_close_up(variable, points).items():
            name = f"{key}-trade-{title.replace(', ', '-')}"
            figures.trade_offs[title] = interactive_trade_off(selected, styles, labels, name)
    for column, label in VALIDATION_SCORES.items():
        curve = interactive_curves(group.histories, column, label, styles, f"{key}-curve-{column}")
        figures.curves += [] if curve is None else [curve]
    if len(group.histories) == 1:
        (tables,) = group.histories.values()
        figures.losses = _losses(tables[0], key)
    return figures


def _losses(history: pd.DataFrame, key: str) -> list[Any]:
    """Losses, and the discriminator's outputs."""
    names = [name for name in map(str, history.columns) if name.startswith("loss_")]
    losses = {name: name.removeprefix("loss_").replace("_", " ") for name in names}
    losses["discriminator_loss"] = "discriminator"
    plots = [
        interactive_columns(history, losses, "losses", f"{key}-losses"),
        interactive_columns(history, _DISCRIMINATOR_OUTPUTS, "discriminator output", f"{key}-discriminator"),
    ]
    return [plot for plot in plots if plot is not None]


def _with_close_up(variable: str, points: Sequence[Point]) -> dict[str, Sequence[Point]]:
    """All systems; and, where a few are so far away that the others overlap, a close-up of those others."""
    xy = np.array([(point.x, point.y) for point in points])
    trained = np.array([point.name not in BASELINES for point in points])
    if trained.sum() < 2:
        return {variable: points}
    span = np.maximum(np.ptp(xy, axis=0), 1e-300)
    distance = (np.abs(xy - np.median(xy[trained], axis=0)) / span).max(axis=1)
    nearer_half = np.sort(distance[trained])[: max(2, math.ceil(trained.sum() / 2))][-1]
    core = xy[trained & (distance <= nearer_half)]
    margin = 2 * np.ptp(core, axis=0)
    near = ((core.min(axis=0) - margin <= xy) & (xy <= core.max(axis=0) + margin)).all(axis=1)
    if near.all() or (CLOSE_UP_RATIO * np.ptp(xy[near], axis=0) >= span).any():
        return {variable: points}
    return {
        variable: points,
        f"{variable}, close-up": [point for point, is_near in zip(points, near, strict=True) if is_near],
    }


def points_of(scores: pd.DataFrame) -> dict[tuple[str, str], list[Point]]:
    """Distortion and realism of a run's systems, by variable and units.

    Args:
        scores: over all times, long form.
    """
    points_by_variable: dict[tuple[str, str], list[Point]] = {}
    rows = scores[scores["score"].isin((DISTORTION, REALISM)) & (scores["system"] != TRUTH)]
    for variable, of_variable in rows.groupby("variable", sort=False):
        values = of_variable.pivot_table(index="system", columns="score", values="value", sort=False, aggfunc="first")
        if not {DISTORTION, REALISM} <= set(values.columns):
            continue
        units = str(of_variable.loc[of_variable["score"] == DISTORTION, "units"].iloc[0])
        complete = values[np.isfinite(values[[DISTORTION, REALISM]]).all(axis=1)]
        points = [Point(str(name), float(row[DISTORTION]), float(row[REALISM])) for name, row in complete.iterrows()]
        if len(points) > 1:
            points_by_variable[str(variable), units] = points
    return points_by_variable


def better_baseline(errors: Mapping[str, float]) -> str:
    """Name the interpolation of lower error, or the first system where there is no interpolation."""
    baselines = [name for name in BASELINES if name in errors]
    return min(baselines, key=lambda name: errors[name]) if baselines else next(iter(errors))
