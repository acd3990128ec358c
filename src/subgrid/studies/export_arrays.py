"""A study's runs as plain arrays and tables: what the published study left behind, for those who read it with numpy alone."""

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

from subgrid.io.atomic import replacing, write_text
from subgrid.reporting.figures import time_text
from subgrid.scores.registry import TRUTH
from subgrid.studies.load import Gathered

OUTPUTS = "outputs"
MAX_ROWS = 20_000  # of predictions.csv, at some 90 bytes each
STATISTICS = ("mean", "std", "min", "max")

_README = """\
Outputs of each run of the study, one folder a run: ARM-seedN. Written by `subgrid study`; the runs themselves are in ../runs,
with the generator's weights (weights/*.safetensors). The .npy files are read by numpy.load, nothing in them is pickled.

metrics.csv         one row a validation, a column each: update, stage, and the columns below
updates.npy         (validation): updates done at each validation
valid_*.npy         (validation): psnr in dB, ssim without units, rmse and mae in standard deviations of the training fields;
                    means over variables, the rmse pooled; psnr and ssim by the training truth's range
train_*.npy         (validation): the same of training fields, where the run took them
hr_*.npy            (channel, 1, 1): mean, std, min and max of the fine training fields, in the channel's units
lr.npy              (time, channel, coarse y, coarse x): coarse input at sample times of the test split, in its units
y_pred.npy          (time, channel, y, x): what the run's last weights make of it
y_true.npy          the truth, of the same shape
abs_error.npy       |y_pred - y_true|
valid_time.npy      (time): the sample times, as text
predictions.csv     a row a value: valid_time, channel, y, x (the coordinates), y_pred, y_true, abs_error

"""


def write_outputs(gathered: Gathered) -> list[Path]:
    """Write the outputs of each finished run to `FOLDER/outputs/ARM-seedN/`, and a README.txt beside these folders.

    - `metrics.csv`, and each of its columns as `.npy` (validation): `updates`; `valid_psnr` (dB), `valid_ssim` (1),
      `valid_rmse` and `valid_mae` (standard deviations of the training fields), what else the history has of `valid_*`, and
      `train_*` where it has those, in the same units.
    - `hr_mean.npy`, `hr_std.npy`, `hr_min.npy`, `hr_max.npy` (channel, 1, 1): of the fine training fields, in the variables'
      units; they broadcast over fields (time, channel, y, x).
    - `lr.npy` (time, channel, y_coarse, x_coarse), `y_pred.npy`, `y_true.npy`, `abs_error.npy` (time, channel, y, x), float32
      in the variables' units, at the sample times that the evaluation kept; `valid_time.npy` (time), text;
      `predictions.csv`, a row a value, where there are no more than `MAX_ROWS`.

    A channel is a variable, in the order of the run's statistics. README.txt says so, and what was left out. Files of a run
    that have no data are not made. The same study gives the same bytes again.

    Args:
        gathered: the study's folder, read.

    Returns:
        The files, in the order written.
    """
    folder = gathered.folder / OUTPUTS
    out: list[Path] = []
    said: list[str] = []
    for arm, runs in gathered.runs.items():
        for seed, run in runs.items():
            made = folder / f"{arm}-seed{seed}"
            made.mkdir(parents=True, exist_ok=True)
            statistics = _json(run / "statistics.json")
            out += _write_metrics(made, pd.read_csv(run / "history.csv"))
            out += _write_statistics(made, statistics)
            files, remark = _write_predictions(made, run, list(statistics))
            out += files
            said.append(f"{made.name}: {'; '.join(filter(None, (_channels(statistics), remark)))}")
    said += ["", "Fields of all times, those of training among them:", *_commands(gathered)]
    out.append(_write_text(folder / "README.txt", _README + "\n".join(said) + "\n"))
    return out


def _write_metrics(folder: Path, history: pd.DataFrame) -> list[Path]:
    """One row a validation, in one table and column by column."""
    names = [name for name in map(str, history.columns) if name.startswith(("valid_", "train_"))]
    rows = history[history[names].notna().any(axis=1)]
    kept = [name for name in names if rows[name].notna().any()]
    table = rows[["step", "stage", *kept]].rename(columns={"step": "updates"})
    out = [_write_table(folder / "metrics.csv", table)]
    out.append(_write_array(folder / "updates.npy", table["updates"].to_numpy(dtype=np.int64)))
    return out + [_write_array(folder / f"{name}.npy", table[name].to_numpy(dtype=np.float64)) for name in kept]


def _write_statistics(folder: Path, statistics: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """What the fields were standardised with, as arrays that broadcast over (time, channel, y, x)."""
    if not statistics:
        return []
    by_key = {key: np.array([known[key] for known in statistics.values()], dtype=np.float64) for key in STATISTICS}
    return [_write_array(folder / f"hr_{key}.npy", values[:, None, None]) for key, values in by_key.items()]


def _write_predictions(folder: Path, run: Path, variables: list[str]) -> tuple[list[Path], str]:
    """Sample fields as arrays, and as a table where that stays small; and what was left out."""
    path = run / "evaluation" / "samples.nc"
    if not path.is_file():
        return [], "no sample fields"
    system = _json(run / "evaluation" / "evaluation.json")["system"]
    with xr.open_dataset(path) as opened:
        samples = opened.load()
    variables = variables or [str(name) for name, field in samples.data_vars.items() if "system" in field.dims]
    if "valid_time" not in samples.dims:
        return [], "drawn from noise, so no predictions: evaluation/samples.nc of the run has some fields"
    made, truth = (_stack([samples[name].sel(system=one) for name in variables]) for one in (system, TRUTH))
    coarse = _stack([samples[f"{name}_coarse"] for name in variables])
    times = np.array([time_text(value) for value in samples["valid_time"].values])
    error = abs(made - truth)
    arrays = {"lr": coarse, "y_pred": made, "y_true": truth, "abs_error": error, "valid_time": times}
    out = [_write_array(folder / f"{name}.npy", values) for name, values in arrays.items()]
    if made.size > MAX_ROWS:
        return out, f"no predictions.csv: {made.size:,} values, more than {MAX_ROWS:,}"
    y, x = (str(dim) for dim in samples[variables[0]].dims[-2:])
    values = {name: (("valid_time", "channel", y, x), arrays[name]) for name in ("y_pred", "y_true", "abs_error")}
    places = {"valid_time": times, "channel": variables, y: samples[y].values, x: samples[x].values}
    table = xr.Dataset(values, places).to_dataframe()
    return [*out, _write_table(folder / "predictions.csv", table.reset_index())], ""


def _stack(fields: list[xr.DataArray]) -> npt.NDArray[Any]:
    """Fields (time, y, x) of several variables to (time, channel, y, x), as stored."""
    return np.stack([np.asarray(field.values) for field in fields], axis=1)


def _channels(statistics: Mapping[str, Mapping[str, Any]]) -> str:
    named = ", ".join(f"{name} ({known.get('units') or '1'})" for name, known in statistics.items())
    return f"channels {named}" if named else ""


def _commands(gathered: Gathered) -> list[str]:
    """How to make the fields of all times: from the study's folder, by arm and its first finished run."""
    firsts = [next(iter(runs.values())) for runs in gathered.runs.values() if runs]
    out = []
    for run in firsts:
        store = Path(_json(run / "provenance.json").get("store", "STORE.zarr")).name
        words = ["subgrid", "downscale", f"runs/{run.name}", f"stores/{store}/lr", f"{run.name}.nc"]
        out.append(f"    {shlex.join(words)}")
    return out


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _write_array(path: Path, values: npt.NDArray[Any]) -> Path:
    with replacing(path) as temporary, temporary.open("wb") as file:  # given a name, numpy would add an ending to it
        np.save(file, values, allow_pickle=False)
    return path


def _write_table(path: Path, table: pd.DataFrame) -> Path:
    return _write_text(path, table.to_csv(index=False))


def _write_text(path: Path, text: str) -> Path:
    write_text(path, text)
    return path
