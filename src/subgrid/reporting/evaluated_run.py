"""Reads what a report needs of a run directory, and reports what is missing there."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from subgrid.errors import RunError
from subgrid.scores.registry import ALL
from subgrid.scores.score_table import update_names

_RUN_FILES = ("config.json", "provenance.json", "history.csv")
_EVALUATION_FILES = ("scores.csv", "samples.nc", "spectra.nc", "evaluation.json")
_FIELDS_OF_SCORES = ("cells", "quantiles", "cycles", "ranks")  # NetCDF, where the evaluation had what they need
_SCORE_COLUMNS = ("system", "variable", "score", "value", "units", "convention")
_NUMBERS = ("value", "lower", "upper")


@dataclass(frozen=True)
class EvaluatedRun:
    """What a report needs of one evaluated run directory.

    Attributes:
        path: the directory as given.
        config: resolved configuration.
        provenance: versions, seed, command and so on.
        evaluation: the evaluation's own facts.
        history: one row per logged update.
        scores: long form, columns system, variable, score, value, lower, upper, units, group, rank, convention.
        samples: `V(system, valid_time, y, x)` and `V_coarse`.
        spectra: `V(system, wavelength)`.
        histograms: `V(system, V_bin)` of a system that generates fields from noise, else None.
        cells: `V_rmse(system, y, x)` and `V_bias`, or None.
        quantiles: `V(system, probability)`, or None.
        cycles: `V_rmse_hour(system, hour)` and the like, or None.
        ranks: `V(system, rank)` of ensembles, or None.
    """

    path: Path
    config: dict[str, Any]
    provenance: dict[str, Any]
    evaluation: dict[str, Any]
    history: pd.DataFrame
    scores: pd.DataFrame
    samples: xr.Dataset
    spectra: xr.Dataset
    histograms: xr.Dataset | None = None
    cells: xr.Dataset | None = None
    quantiles: xr.Dataset | None = None
    cycles: xr.Dataset | None = None
    ranks: xr.Dataset | None = None

    @property
    def overall(self) -> pd.DataFrame:
        """The scores over all times and cells."""
        return self.scores[self.scores["group"] == ALL]

    @property
    def notes(self) -> list[str]:
        """What the evaluation left out, and why."""
        notes = [str(note) for note in self.evaluation.get("notes", [])]
        if self.histograms is None and self.cells is None:
            command = shlex.join(["subgrid", "evaluate", str(self.path)])
            notes.append(f"evaluated by an earlier version; `{command}` adds intervals, error maps and quantiles")
        return notes

    @property
    def system(self) -> str:
        """Name of the evaluated system."""
        return str(self.evaluation["system"])

    @property
    def variables(self) -> list[str]:
        """Names of the variables, in the order in which they were sampled."""
        return [str(name) for name, field in self.samples.data_vars.items() if "system" in field.dims]


def load_evaluated_run(path: Path) -> EvaluatedRun:
    """Read a run directory and its evaluation.

    Args:
        path: folder that `subgrid train` wrote and `subgrid evaluate` evaluated, or a folder of scores in it, such as
            `RUN/evaluation-best`; by default that of the last weights, `RUN/evaluation`.

    Raises:
        RunError: the folder or a file of it is missing, or a file cannot be read.
    """
    of_other_weights = (path / "evaluation.json").is_file() and (path.parent / "config.json").is_file()
    folder, path = (path, path.parent) if of_other_weights else (path / "evaluation", path)
    _check_files(path, folder)
    scores = _read(folder / "scores.csv", _scores)
    missing = [name for name in _SCORE_COLUMNS if name not in scores]
    if missing:
        raise RunError(f"{folder / 'scores.csv'} has no column {', '.join(missing)}; evaluate the run again.")
    evaluation = _read(folder / "evaluation.json", _json)
    if evaluation.get("unpaired"):
        optional = ["histograms"]
    else:
        optional = [name for name in _FIELDS_OF_SCORES if (folder / f"{name}.nc").is_file()]
    return EvaluatedRun(
        path=path,
        config=_read(path / "config.json", _json),
        provenance=_read(path / "provenance.json", _json),
        evaluation=evaluation,
        history=_read(path / "history.csv", pd.read_csv),
        scores=scores,
        **{name: _read(folder / f"{name}.nc", _dataset) for name in ("samples", "spectra", *optional)},
    )


def _check_files(path: Path, folder: Path) -> None:
    """Refuse a folder that is no run, or whose run is not evaluated."""
    if not path.exists():
        raise RunError(f"no run at {path}: it does not exist. Give a folder that `subgrid train` wrote.")
    missing = [name for name in _RUN_FILES if not (path / name).is_file()]
    if missing:
        raise RunError(
            f"{path} is not a run directory: it has no {', '.join(missing)}. Give a folder that `subgrid train` wrote."
        )
    missing = [f"{folder.name}/{name}" for name in _EVALUATION_FILES if not (folder / name).is_file()]
    if missing:
        command = shlex.join(["subgrid", "evaluate", str(path)])
        raise RunError(f"{path} is not evaluated: it has no {', '.join(missing)}; run `{command}` first.")


def _scores(path: Path) -> pd.DataFrame:
    """The table as text but for the numbers; sets of fields and older evaluations have neither groups nor intervals."""
    gaps = {name: ["", "nan", "NaN"] for name in _NUMBERS}
    table = update_names(pd.read_csv(path, dtype=str, keep_default_na=False, na_values=gaps))
    absent: dict[str, Any] = {"lower": math.nan, "upper": math.nan, "group": ALL, "rank": ""}
    table = table.assign(**{name: value for name, value in absent.items() if name not in table})
    return table.astype({name: float for name in _NUMBERS if name in table})


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _dataset(path: Path) -> xr.Dataset:
    with xr.open_dataset(path) as dataset:
        return dataset.load()


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(path)
    except (OSError, ValueError, TypeError) as error:  # pandas' and json's own errors are ValueErrors
        raise RunError(f"{path} cannot be read ({error}); train or evaluate the run again.") from error
