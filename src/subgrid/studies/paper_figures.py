"""Draws the figures of a study for papers, as PNG and PDF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import matplotlib as mpl
import xarray as xr
from matplotlib.figure import Figure

from subgrid.io.atomic import replacing
from subgrid.reporting import figures
from subgrid.scores import find_score
from subgrid.scores.registry import BASELINES, TRUTH
from subgrid.studies.load import FinishedStudy

FIGURES = "figures"
SCORES = ("psnr", "ssim", "rmse", "mae", "bias", "log_spectral_distance", "high_wavenumber_power_ratio", "wasserstein")
CURVES = tuple(f"valid_{name}" for name in ("psnr", "ssim", "rmse", "mae", "log_spectral_distance", "wasserstein"))
DPI = 200  # of PNG, and of the maps inside a PDF
_FORMATS = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
Draw = Callable[[], Figure]


def write_figures(study: FinishedStudy) -> list[Path]:
    """Draw the figures of the finished runs.

    `differences-SCORE`, `curves-COLUMN`, `trade_off-VAR`, `spectra-VAR`, `profile-VAR` and `maps-VAR` in `FOLDER/figures`, each
    as PNG (200 dots per inch) and as PDF (lines and TrueType text, which journals require; maps are images). Figures without
    data are left out. Maps and profiles show the first sample time and the first finished seed of each arm. The same study
    gives the same bytes again.

    Args:
        study: the finished study.

    Returns:
        The files, in the order written.
    """
    folder = study.folder / FIGURES
    folder.mkdir(exist_ok=True)
    out: list[Path] = []
    for name, draw in _drawings(study):
        try:
            figure = draw()
        except figures.NothingToDrawError:
            continue
        for kind, metadata in _FORMATS.items():
            path = folder / f"{name}.{kind}"
            with mpl.rc_context({"pdf.fonttype": 42}), replacing(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=DPI, metadata=metadata)
            out.append(path)
    return out


def _drawings(study: FinishedStudy) -> Iterator[tuple[str, Draw]]:
    """Yield the name of each figure and the function that draws it."""
    results = study.tables["results"]
    for score in SCORES:
        better = None if score not in set(results["score"]) else find_score(score).higher_is_better
        yield (
            f"differences-{score}",
            partial(figures.differences, results, score, study.reference, higher_is_better=better),
        )
    histories = study.histories()
    for column in CURVES:
        yield f"curves-{column}", partial(figures.arm_curves, histories, column)
    for variable in dict.fromkeys(results["variable"].dropna()):
        yield f"trade_off-{variable}", partial(figures.trade_off, results, variable)
    styles = figures.system_styles([TRUTH, *BASELINES, *study.facts["arms"]])
    spectra, samples = (one if one is not None else xr.Dataset() for one in (study.spectra(), study.samples()))
    for variable in _fields(spectra):
        yield f"spectra-{variable}", partial(figures.spectra, spectra, variable, styles=styles)
    for variable in _fields(samples):
        if f"{variable}_coarse" in samples:  # unconditional samples have no coarse input
            yield f"profile-{variable}", partial(figures.profile, samples, variable, 0, styles=styles)
            yield f"maps-{variable}", partial(figures.maps, samples, variable, 0)


def _fields(dataset: xr.Dataset) -> list[str]:
    """List the variables that each system has."""
    return [str(name) for name, field in dataset.data_vars.items() if "system" in field.dims]
