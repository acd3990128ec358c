"""Exports the runs of a study as plain arrays and tables, in the form in which the published study kept its outputs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from subgrid.io.atomic import replacing, write_csv, write_text
from subgrid.reporting.figures import time_text
from subgrid.scores.registry import TRUTH
from subgrid.studies.load import FinishedStudy

OUTPUTS = "outputs"
MAX_ROWS = 20_000  # of predictions.csv, at some 90 bytes each
STATISTICS = ("mean", "std", "min", "max")

_README = """\
Outputs of the runs of the study, in one folder per run: ARM-seedN. Written by `subgrid study`. The runs themselves, with the
weights of the generator (weights/*.safetensors), are in ../runs. Read the .npy files with numpy.load; they contain no pickles.

metrics.csv         one row per validation: updates, stage, and a column for each of the valid_* and train_* arrays
updates.npy         (validation): number of updates before each validation
valid_*.npy         (validation): psnr in dB, ssim without units, rmse and mae in standard deviations of the training fields;
                    means over variables, rmse pooled; psnr and ssim use the range of the training truth
train_*.npy         (validation): the same scores of training fields, if the run computed them
hr_*.npy            (channel, 1, 1): mean, std, min and max of the fine training fields, in the units of the channel
lr.npy              (time, channel, coarse y, coarse x): coarse input at sample times of the test split, in the same units
y_pred.npy          (time, channel, y, x): prediction of the run's last weights
y_true.npy          (time, channel, y, x): truth
abs_error.npy       (time, channel, y, x): |y_pred - y_true|
valid_time.npy      (time): the sample times, as text
predictions.csv     one row per value: valid_time, channel, y and x (the coordinates), y_pred, y_true, abs_error

"""


def write_outputs(study: FinishedStudy) -> list[Path]:
    """Write the outputs of each finished run to `FOLDER/outputs/ARM-seedN/`, and `FOLDER/outputs/README.txt`.

    The README (`_README` above) describes the files, which also have these properties: a channel is a variable, in the order
    of the run's statistics; fields are float32 in the units of the variable, at the sample times that the evaluation kept;
    `predictions.csv` is written for at most `MAX_ROWS` values; files without data are not written. The same study gives the
    same bytes again.

    Args:
        study: the finished study.

    Returns:
        The files, in the order written.
    """
    outputs = study.folder / OUTPUTS
    out: list[Path] = []
    remarks: list[str] = []
    for arm, runs in study.runs.items():
        for seed, run in runs.items():
            folder = outputs / f"{arm}-seed{seed}"
            folder.mkdir(parents=True, exist_ok=True)
            statistics = _json(run / "statistics.json")
            out += _write_metrics(folder, pd.read_csv(run / "history.csv"))
            out += _write_statistics(folder, statistics)
            files, remark = _write_predictions(folder, run, list(statistics))
            out += files
            remarks.append(f"{folder.name}: {'; '.join(filter(None, (_channels(statistics), remark)))}")
    remarks += ["", "To compute the fields of all times, including those of training:", *_commands(study)]
    write_text(outputs / "README.txt", _README + "\n".join(remarks) + "\n")
    return [*out, outputs / "README.txt"]


def _write_metrics(folder: Path, history: pd.DataFrame) -> list[Path]:
    """Write the scores of all validations, as one table and as one array per column."""
    names = [name for name in map(str, history.columns) if name.startswith(("valid_", "train_"))]
    rows = history[history[names].notna().any(axis=1)]
    names = [name for name in names if rows[name].notna().any()]
    table = rows[["step", "stage", *names]].rename(columns={"step": "updates"})
    out = [_write_table(folder / "metrics.csv", table)]
    out.append(_write_array(folder / "updates.npy", table["updates"].to_numpy(dtype=np.int64)))
    return out + [_write_array(folder / f"{name}.npy", table[name].to_numpy(dtype=np.float64)) for name in names]


def _write_statistics(folder: Path, statistics: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """Write the statistics of the training fields as arrays that broadcast over (time, channel, y, x)."""
    if not statistics:
        return []
    by_key = {key: np.array([one[key] for one in statistics.values()], dtype=np.float64) for key in STATISTICS}
    return [_write_array(folder / f"hr_{key}.npy", values[:, None, None]) for key, values in by_key.items()]


def _write_predictions(folder: Path, run: Path, variables: list[str]) -> tuple[list[Path], str]:
    """Write sample fields as arrays, and as a table if it is small; also return a remark on what was left out."""
    path = run / "evaluation" / "samples.nc"
    if not path.is_file():
        return [], "no sample fields"
    system = _json(run / "evaluation" / "evaluation.json")["system"]
    with xr.open_dataset(path) as opened:
        samples = opened.load()
    variables = variables or [str(name) for name, field in samples.data_vars.items() if "system" in field.dims]
    if "valid_time" not in samples.dims:
        return [], "unconditional samples, so no predictions: some fields are in evaluation/samples.nc of the run"
    predicted, truth = (_stack([samples[name].sel(system=one) for name in variables]) for one in (system, TRUTH))
    coarse = _stack([samples[f"{name}_coarse"] for name in variables])
    times = np.array([time_text(value) for value in samples["valid_time"].values])
    error = abs(predicted - truth)
    arrays = {"lr": coarse, "y_pred": predicted, "y_true": truth, "abs_error": error, "valid_time": times}
    out = [_write_array(folder / f"{name}.npy", values) for name, values in arrays.items()]
    if predicted.size > MAX_ROWS:
        return out, f"no predictions.csv: {predicted.size:,} values, more than {MAX_ROWS:,}"
    y, x = (str(dim) for dim in samples[variables[0]].dims[-2:])
    values = {name: (("valid_time", "channel", y, x), arrays[name]) for name in ("y_pred", "y_true", "abs_error")}
    coordinates = {"valid_time": times, "channel": variables, y: samples[y].values, x: samples[x].values}
    table = xr.Dataset(values, coordinates).to_dataframe()
    return [*out, _write_table(folder / "predictions.csv", table.reset_index())], ""


def _stack(fields: list[xr.DataArray]) -> npt.NDArray[Any]:
    """Stack fields (time, y, x) of several variables to (time, channel, y, x), as stored."""
    return np.stack([np.asarray(field.values) for field in fields], axis=1)


def _channels(statistics: Mapping[str, Mapping[str, Any]]) -> str:
    named = ", ".join(f"{name} ({one.get('units') or '1'})" for name, one in statistics.items())
    return f"channels {named}" if named else ""


def _commands(study: FinishedStudy) -> list[str]:
    """Write the commands that compute the fields of all times, for the first finished run of each arm."""
    firsts = [next(iter(runs.values())) for runs in study.runs.values() if runs]
    out = []
    for run in firsts:
        store = Path(_json(run / "provenance.json").get("store", "STORE.zarr")).name
        words = ["subgrid", "downscale", f"runs/{run.name}", f"stores/{store}/lr", f"{run.name}.nc"]
        out.append(f"    {shlex.join(words)}")
    return out


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _write_array(path: Path, values: npt.NDArray[Any]) -> Path:
    with replacing(path) as temporary, temporary.open("wb") as file:  # numpy would add an ending to a file name
        np.save(file, values, allow_pickle=False)
    return path


def _write_table(path: Path, table: pd.DataFrame) -> Path:
    write_csv(path, table)
    return path
