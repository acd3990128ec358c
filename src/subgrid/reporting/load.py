"""Reads what a report needs of a run directory, or says what is missing there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from subgrid.errors import RunError

_RUN_FILES = ("config.json", "provenance.json", "history.csv")
_EVALUATION_FILES = ("scores.csv", "samples.nc", "spectra.nc", "evaluation.json")
_SCORE_COLUMNS = ("system", "variable", "score", "value", "units", "convention")


@dataclass(frozen=True)
class Run:
    """What a report needs of one run directory, read.

    Attributes:
        path: the directory as given.
        config: resolved configuration.
        provenance: versions, seed, command and so on.
        evaluation: the evaluation's own facts.
        history: one row per logged update.
        scores: long form, columns system, variable, score, value, units, convention.
        samples: `V(system, valid_time, y, x)` and `V_coarse`.
        spectra: `V(system, wavelength)`.
        histograms: `V(system, V_bin)` of a system that draws from noise, else None.
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

    @property
    def system(self) -> str:
        """Name of the evaluated system."""
        return str(self.evaluation["system"])

    @property
    def variables(self) -> list[str]:
        """Names of the variables, in the order in which they were sampled."""
        return [str(name) for name, field in self.samples.data_vars.items() if "system" in field.dims]


def load_run(path: Path) -> Run:
    """Read a run directory, or say what is wrong with it."""
    if not path.exists():
        raise RunError(f"no run at {path}: it does not exist. Give a folder that `subgrid train` wrote.")
    missing = [name for name in _RUN_FILES if not (path / name).is_file()]
    if missing:
        raise RunError(
            f"{path} is not a run directory: it has no {', '.join(missing)}. Give a folder that `subgrid train` wrote."
        )
    folder = path / "evaluation"
    missing = [f"evaluation/{name}" for name in _EVALUATION_FILES if not (folder / name).is_file()]
    if missing:
        command = shlex.join(["subgrid", "evaluate", str(path)])
        raise RunError(f"{path} is not evaluated: it has no {', '.join(missing)}; run `{command}` first.")
    text = dict.fromkeys(set(_SCORE_COLUMNS) - {"value"}, str)
    read = {
        "scores": lambda file: pd.read_csv(
            file, dtype=text, keep_default_na=False, na_values={"value": ["", "nan", "NaN"]}
        ),
        "samples": _dataset,
        "spectra": _dataset,
        "evaluation": _json,
    }
    files = {name.split(".")[0]: folder / name for name in _EVALUATION_FILES}
    parts = {name: _read(files[name], reader) for name, reader in read.items()}
    lacking = [name for name in _SCORE_COLUMNS if name not in parts["scores"]]
    if lacking:
        raise RunError(f"{files['scores']} has no column {', '.join(lacking)}; evaluate the run again.")
    config, provenance = (_read(path / name, _json) for name in _RUN_FILES[:2])
    history = _read(path / "history.csv", pd.read_csv)
    if parts["evaluation"].get("unpaired"):
        parts["histograms"] = _read(folder / "histograms.nc", _dataset)
    return Run(path=path, config=config, provenance=provenance, history=history, **parts)


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
