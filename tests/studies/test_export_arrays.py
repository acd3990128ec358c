"""Outputs of a study's runs as plain files: they equal what the runs hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from report_study import STATISTICS, make_study
from subgrid.studies import export_arrays
from subgrid.studies.export_arrays import write_outputs
from subgrid.studies.load import load_finished

pytestmark = pytest.mark.slow

VARIABLES = ("t2m", "u10")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return make_study(tmp_path / "study", arms={"sound": 1.2, "tanh": 1.6}, shape=(16, 24), times=3)


def load(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, allow_pickle=False))


def test_histories_are_columns_of_one_value_a_validation(study: Path) -> None:
    run = study / "runs" / "tanh-seed1"
    history = pd.read_csv(run / "history.csv")
    history["train_psnr"] = history["valid_psnr"] + 1.0
    history["train_ssim"] = np.nan  # taken by no validation
    history.loc[4, "train_psnr"] = np.nan  # by one not
    history.to_csv(run / "history.csv", index=False)
    paths = write_outputs(load_finished(study))
    folder = study / "outputs" / "tanh-seed1"
    measured = history.dropna(subset="valid_psnr")
    assert list(load(folder / "updates.npy")) == list(measured["step"])
    assert 5 < len(measured) < len(history)
    assert load(folder / "updates.npy").dtype == np.int64
    names = [f"valid_{name}" for name in ("psnr", "ssim", "rmse", "mae", "rmse_bilinear")] + ["train_psnr"]
    table = pd.read_csv(folder / "metrics.csv")
    assert list(table.columns) == ["updates", "stage", *names]
    assert list(table["stage"]) == list(measured["stage"])
    for name in names:
        values = load(folder / f"{name}.npy")
        assert np.array_equal(values, measured[name], equal_nan=True) and values.dtype == np.float64
        assert table[name].to_numpy() == pytest.approx(values, nan_ok=True)
    assert np.isnan(load(folder / "train_psnr.npy")[0])
    assert not (folder / "train_ssim.npy").exists() and not (folder.parent / "sound-seed0" / "train_psnr.npy").exists()
    assert {path for path in (study / "outputs").rglob("*") if path.is_file()} == set(paths)


def test_statistics_broadcast_over_fields(study: Path) -> None:
    write_outputs(load_finished(study))
    folder = study / "outputs" / "sound-seed0"
    for key in ("mean", "std", "min", "max"):
        values = load(folder / f"hr_{key}.npy")
        assert values.shape == (2, 1, 1)
        assert list(values[:, 0, 0]) == [STATISTICS[name][key] for name in VARIABLES]
    assert ((load(folder / "y_true.npy") - load(folder / "hr_mean.npy")) / load(folder / "hr_std.npy")).shape == (
        3,
        2,
        16,
        24,
    )


def test_predictions_are_the_runs_own_in_physical_units(study: Path) -> None:
    write_outputs(load_finished(study))
    for run in ("sound-seed0", "tanh-seed1"):
        folder = study / "outputs" / run
        with xr.open_dataset(study / "runs" / run / "evaluation" / "samples.nc") as opened:
            samples = opened.load()
        made, truth, coarse = (load(folder / f"{name}.npy") for name in ("y_pred", "y_true", "lr"))
        assert made.shape == truth.shape == (3, 2, 16, 24) and coarse.shape == (3, 2, 4, 6)
        assert made.dtype == truth.dtype == coarse.dtype == np.float32
        for i, name in enumerate(VARIABLES):
            assert np.array_equal(made[:, i], samples[name].sel(system="srgan"))
            assert np.array_equal(truth[:, i], samples[name].sel(system="truth"))
            assert np.array_equal(coarse[:, i], samples[f"{name}_coarse"])
        assert np.array_equal(load(folder / "abs_error.npy"), np.abs(made - truth))
        assert list(load(folder / "valid_time.npy")) == ["2018-10-12 06:00", "2018-10-13 06:00", "2018-10-14 06:00"]
        table = pd.read_csv(folder / "predictions.csv")
        assert list(table.columns) == [
            "valid_time",
            "channel",
            "latitude",
            "longitude",
            "y_pred",
            "y_true",
            "abs_error",
        ]
        assert len(table) == made.size
        assert table["y_pred"].to_numpy() == pytest.approx(made.ravel(), rel=1e-6)
        row = table.iloc[(1 * 2 + 1) * 16 * 24 + 5 * 24 + 7]  # time 1, channel 1, row 5, column 7
        assert (row.valid_time, row.channel) == ("2018-10-13 06:00", "u10")
        assert (row.latitude, row.longitude) == pytest.approx((samples.latitude[5].item(), samples.longitude[7].item()))
        assert row.y_true == pytest.approx(truth[1, 1, 5, 7], rel=1e-6)
    assert not np.array_equal(
        load(study / "outputs/sound-seed0/y_pred.npy"), load(study / "outputs/tanh-seed0/y_pred.npy")
    )


def test_a_large_table_is_left_out_and_said(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (study / "runs" / "sound-seed0" / "provenance.json").write_text(json.dumps({"store": "elsewhere/0b9c.zarr"}))
    monkeypatch.setattr(export_arrays, "MAX_ROWS", 2303)
    paths = write_outputs(load_finished(study))
    assert not [path for path in paths if path.name == "predictions.csv"]
    said = paths[-1].read_text(encoding="utf-8")
    assert paths[-1] == study / "outputs" / "README.txt"
    assert "tanh-seed0: channels t2m (K), u10 (m s-1); no predictions.csv: 2,304 values, more than 2,303\n" in said
    assert "    subgrid downscale runs/sound-seed0 stores/0b9c.zarr/lr sound-seed0.nc\n" in said
    assert str(study) not in said
    monkeypatch.setattr(export_arrays, "MAX_ROWS", 2304)
    assert len([path for path in write_outputs(load_finished(study)) if path.name == "predictions.csv"]) == 4
    largest = export_arrays.MAX_ROWS, 20_000 / 2304 * (study / "outputs/sound-seed0/predictions.csv").stat().st_size
    assert largest[1] < 2e6  # bytes, at the limit


def test_what_a_run_does_not_have_is_not_made(study: Path) -> None:
    run, other = study / "runs" / "sound-seed0", study / "runs" / "sound-seed1"
    (run / "statistics.json").unlink()
    (run / "evaluation" / "samples.nc").unlink()
    pd.read_csv(run / "history.csv")[["step", "stage", "loss_l1"]].to_csv(run / "history.csv", index=False)
    with xr.open_dataset(other / "evaluation" / "samples.nc") as opened:
        drawn = opened.load().rename(valid_time="realization").drop_vars("realization")
    drawn.to_netcdf(other / "evaluation" / "samples.nc")
    said = write_outputs(load_finished(study))[-1].read_text(encoding="utf-8")
    assert {path.name for path in (study / "outputs" / "sound-seed0").iterdir()} == {"metrics.csv", "updates.npy"}
    assert load(study / "outputs" / "sound-seed0" / "updates.npy").shape == (0,)
    assert "sound-seed0: no sample fields\n" in said
    assert "sound-seed1: channels t2m (K), u10 (m s-1); unconditional samples, so no predictions" in said
    assert not (study / "outputs" / "sound-seed1" / "y_pred.npy").exists()


def test_samples_without_statistics_keep_their_own_order(study: Path) -> None:
    (study / "runs" / "sound-seed0" / "statistics.json").unlink()
    write_outputs(load_finished(study))
    assert load(study / "outputs" / "sound-seed0" / "y_pred.npy").shape == (3, 2, 16, 24)
    assert np.array_equal(
        load(study / "outputs" / "sound-seed0" / "y_true.npy"), load(study / "outputs" / "sound-seed1" / "y_true.npy")
    )


def test_an_arm_without_a_finished_run_has_no_folder_and_the_rest_is_the_same_again(study: Path) -> None:
    for path in study.glob("runs/tanh-*/job.json"):
        path.unlink()
    first = {path: path.read_bytes() for path in write_outputs(load_finished(study))}
    assert {path.name for path in (study / "outputs").iterdir()} == {"sound-seed0", "sound-seed1", "README.txt"}
    assert {path: path.read_bytes() for path in write_outputs(load_finished(study))} == first
