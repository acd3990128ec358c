"""Rain: fields that are zero everywhere stop neither training nor evaluation nor report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from subgrid.evaluation.evaluate import evaluate
from subgrid.evaluation.score_files import score
from subgrid.reporting.page import report
from subgrid.training.checkpoint import rmse_ratio
from subgrid.training.prepare import prepare
from subgrid.training.train import train
from tiny import SETTINGS

PERIODS = {
    "data.train": ["2020-01-01", "2020-01-02"],
    "data.valid": ["2020-01-03", "2020-01-03"],
    "data.test": ["2020-01-04", "2020-01-04"],
}


def rain(path: Path, *dry: slice) -> Path:
    """Four days of hourly rain on 16 x 16 cells, zero everywhere in the slices of times."""
    rng = np.random.default_rng(0)
    values = np.maximum(rng.gamma(0.4, 4, (96, 16, 16)) - 1, 0).astype(np.float32)
    for times in dry:
        values[times] = 0
    coords = {
        "time": np.datetime64("2020-01-01", "ns") + np.arange(96) * np.timedelta64(1, "h"),
        "lat": ("lat", np.arange(16.0), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(16.0), {"units": "degrees_east"}),
    }
    xr.Dataset({"pr": (("time", "lat", "lon"), values, {"units": "mm"})}, coords).to_netcdf(path)
    return path


@pytest.mark.parametrize("dry_test", ["eight hours", "all"])
def test_dry_hours(tmp_path: Path, one_thread: None, dry_test: str) -> None:
    dry = slice(72, 80) if dry_test == "eight hours" else slice(72, 96)
    source = rain(tmp_path / "rain.nc", slice(48, 72), dry)
    settings = SETTINGS | PERIODS | {"data.variables": ["pr"], "data.source": str(source), "train.updates": 4}
    run = train(settings, store=prepare(settings, out=tmp_path / "store.zarr"), out=tmp_path / "run")
    row = pd.read_csv(run / "history.csv").iloc[-1]
    assert row["valid_rmse_bilinear"] < 1e-6
    assert rmse_ratio(dict(row)) is None
    table = evaluate(run)
    found = table.set_index(["score", "system"])
    psnr = found.loc[("published_psnr", "bilinear")]
    if dry_test == "all":
        assert np.isnan(psnr["value"])
        left_out = "without the 3 of 3 batches in which the truth is one value everywhere"
    else:
        assert np.isfinite(psnr["value"])
        left_out = "without the 1 of 3 batches in which the truth is one value everywhere"
    assert psnr["convention"].endswith(left_out)
    assert np.isfinite(found.loc[("published_rmse", "bilinear"), "value"])
    others = table[~table["score"].str.startswith("published")]
    without_value = set(others.loc[~np.isfinite(others["value"]), "score"])
    # Ratios to a truth without structure are infinite.
    ratios = {"gradient_magnitude_ratio", "high_wavenumber_power_ratio", "log_spectral_distance"}
    assert without_value == (ratios if dry_test == "all" else set())
    page = report([run], out=tmp_path / "report.html")
    assert left_out in Path(page).read_text(encoding="utf-8")


def test_score_of_dry_hours(tmp_path: Path) -> None:
    path = rain(tmp_path / "rain.nc", slice(10, 20), slice(90, 96))
    truth = xr.open_dataset(path)
    table = score(truth * 0.9, path, out=tmp_path / "scores", factor=4)
    assert np.isfinite(table["value"]).all()
