"""Evaluation against the same scores computed another way, from the store by hand."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import xarray as xr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from subgrid.data.grid import cell_area
from subgrid.data.store import open_store
from subgrid.errors import RunError
from subgrid.evaluation import evaluate as evaluate_module
from subgrid.evaluation.evaluate import evaluate
from subgrid.evaluation.results import run_results
from subgrid.networks import load_generator
from subgrid.reporting import report
from subgrid.run import load_run
from subgrid.scores import SCORES
from tiny import PUBLISHED, Cut, round_fields, train_tiny

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def found(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    """Scores of the tiny run and the folder they were written to."""
    out = tmp_path_factory.mktemp("evaluation") / "deep" / "er"
    return evaluate(tiny_run, out=out), out


def by_hand(run_path: Path, system: str, weights: str = "last") -> dict[tuple[str, str], float]:
    """PSNR, SSIM, RMSE, MAE, bias of one system on the test times by area, with numpy and scikit-image."""
    run = load_run(run_path)
    store = open_store(run.provenance["store"])
    names = run.variables
    test = store.hr["split"].values == 3
    lr, hr = (np.stack([g[v].values[test] for v in names], 1).astype(np.float64) for g in (store.lr, store.hr))
    train = {v: store.hr[v].values[store.hr["split"].values == 1].astype(np.float64) for v in names}
    mean, std = (np.array([getattr(train[v], f)() for v in names])[:, None, None] for f in ("mean", "std"))
    scaled = torch.from_numpy(((lr - mean) / std).astype(np.float32))
    with torch.no_grad():
        if system in ("bilinear", "bicubic"):
            sr = F.interpolate(scaled, scale_factor=4, mode=system, align_corners=False)
        else:
            sr = load_generator(run, weights)(scaled)  # type: ignore[arg-type]
    made = sr.double().numpy() * std + mean
    area, out = cell_area(store.hr), {}
    for i, v in enumerate(names):
        truth, guess, span = hr[:, i], made[:, i], np.ptp(train[v])
        pairs = list(zip(truth, guess, strict=True))
        # Errors scaled by the root of the area: then scikit-image's plain mean over cells is the one by area.
        weighted = [(np.zeros_like(t), (g - t) * np.sqrt(area)) for t, g in pairs]
        out[v, "psnr"] = np.mean([peak_signal_noise_ratio(t, g, data_range=span) for t, g in weighted])
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": span}
        out[v, "ssim"] = np.mean([structural_similarity(t, g, **options) for t, g in pairs])
        out[v, "rmse"] = np.sqrt(((truth - guess) ** 2 * area).mean())
        out[v, "mae"] = (np.abs(truth - guess) * area).mean()
        out[v, "bias"] = ((guess - truth) * area).mean()
    return out


def look_up(scores: pd.DataFrame, system: str) -> dict[tuple[str, str], float]:
    rows = scores[(scores.system == system) & (scores.group == "all")]
    return {(r.variable, r.score): r.value for r in rows.itertuples()}


@pytest.mark.parametrize("system", ["srgan", "bilinear", "bicubic"])
def test_scores_are_those_computed_by_hand(found: tuple[pd.DataFrame, Path], tiny_run: Path, system: str) -> None:
    expected = by_hand(tiny_run, system)
    scores = look_up(found[0], system)
    for key, value in expected.items():
        assert scores[key] == pytest.approx(value, rel=1e-4, abs=1e-4), key


def test_rmse_is_no_mean_of_roots(found: tuple[pd.DataFrame, Path], tiny_run: Path) -> None:
    store = open_store(load_run(tiny_run).provenance["store"])
    test = store.positions("test")
    lr = torch.from_numpy(store.lr["t2m"].values[test])[:, None]
    error = F.interpolate(lr, scale_factor=4, mode="bilinear")[:, 0].numpy() - store.hr["t2m"].values[test]
    roots = np.sqrt((error.astype(np.float64) ** 2 * cell_area(store.hr)).mean((1, 2)))
    value = look_up(found[0], "bilinear")["t2m", "rmse"]
    assert value == pytest.approx(np.sqrt((roots**2).mean()), rel=1e-4)
    assert abs(value - roots.mean()) > 1e-5 * value


def test_the_table(found: tuple[pd.DataFrame, Path]) -> None:
    scores, folder = found
    columns = ["system", "variable", "score", "value", "lower", "upper", "units", "group", "rank", "convention"]
    assert list(scores) == columns
    assert list(scores.system.unique()) == ["srgan", "bilinear", "bicubic"]
    published = {f"published_{name}" for name in ("psnr", "ssim", "rmse", "mae")}
    others = {name for name in scores.score if name.startswith("fss_")} | {"consistency_rmse", "consistency_mae"}
    assert len(others) == 2 * 2 * 3 + 2  # two thresholds a variable and three windows
    assert set(scores.score) == {*SCORES} | others | published
    of_fields = scores[scores.variable != "all"]
    assert len(of_fields) == 3 * 2 * (len(SCORES) + 6 + 2)
    assert set(scores[scores.variable == "all"].score) == published
    units = scores.drop_duplicates(["variable", "score"]).set_index(["variable", "score"]).units
    assert units["t2m", "gradient_rmse"] == "K per cell"
    assert (units["t2m", "rmse"], units["u10", "mae"], units["t2m", "psnr"], units["u10", "ssim"]) == (
        "K",
        "m s-1",
        "dB",
        "1",
    )
    assert scores.convention.str.len().min() > 30
    written = pd.read_csv(folder / "scores.csv")
    same = scores.assign(units=written.units, rank=written["rank"])
    pd.testing.assert_frame_equal(written, same, check_dtype=False)
    assert list(written.units.astype(str)) == list(scores.units)
    assert written["rank"].isna().all() and set(scores["rank"]) == {""}
    fields = {f"{name}.nc" for name in ("statistics", "scores", "cells", "quantiles", "samples", "spectra", "cycles")}
    assert {p.name for p in folder.iterdir()} == {"scores.csv", "evaluation.json"} | fields
    notes = json.loads((folder / "evaluation.json").read_text())["notes"]
    assert notes == ["no interval for 168 of 168 scores: 6 times; an interval needs 15 or more"]


def test_samples_and_spectra(found: tuple[pd.DataFrame, Path], tiny_run: Path) -> None:
    folder, run = found[1], load_run(tiny_run)
    store = open_store(run.provenance["store"])
    with xr.open_dataset(folder / "samples.nc") as samples:
        assert list(samples.system.values) == ["truth", "srgan", "bilinear", "bicubic"]
        assert samples.t2m.dims == ("system", "valid_time", "latitude", "longitude")
        assert samples.t2m_coarse.dims == ("valid_time", "latitude_coarse", "longitude_coarse")
        assert samples.t2m.attrs["units"] == "K"
        times = samples.valid_time.values
        test = store.hr.valid_time.values[store.positions("test")]
        assert len(times) == 3 and times[0] == test[0] and times[-1] == test[-1]
        np.testing.assert_array_equal(samples.t2m.sel(system="truth"), store.hr.t2m.sel(valid_time=times))
        np.testing.assert_array_equal(samples.u10_coarse, store.lr.u10.sel(valid_time=times))
    with xr.open_dataset(folder / "spectra.nc") as spectra:
        assert spectra.t2m.dims == ("system", "wavelength")
        assert spectra.wavelength.attrs["units"] == "cells"
        assert spectra.attrs["factor"] == 4
        assert float(spectra.wavelength.min()) == pytest.approx(2.0)
        assert (spectra.t2m > 0).all()
        short = spectra.t2m.isel(wavelength=-1)
        assert float(short.sel(system="bilinear")) < 0.5 * float(short.sel(system="truth"))
    facts = json.loads((folder / "evaluation.json").read_text())
    assert facts["num_times"] == len(test)
    assert facts["period"] == [str(test[0]), str(test[-1])]
    assert (facts["system"], facts["weights"], facts["factor"]) == ("srgan", "last", 4)
    assert facts["units"] == {"t2m": "K", "u10": "m s-1"}
    statistics = run.statistics["t2m"]
    assert facts["data_range"]["t2m"] == pytest.approx(statistics["max"] - statistics["min"])
    assert facts["parameters"] == sum(p.numel() for p in load_generator(run).parameters())


@pytest.mark.slow
def test_blocks_change_nothing(
    found: tuple[pd.DataFrame, Path], tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(evaluate_module, "BLOCK_CELLS", 2 * 32 * 32)
    monkeypatch.setattr(
        evaluate_module, "BATCH_TIMES", 2
    )  # of which blocks are made; the study's own batches are then others
    scores = evaluate(tiny_run, out=tmp_path, progress=lambda *given: calls.append(given))
    own = scores.score.str.startswith("published_")
    np.testing.assert_allclose(scores.value[~own], found[0].value[~own], rtol=1e-5, atol=1e-6)
    assert calls == [(2, 6), (4, 6), (6, 6)]


def test_the_weights_asked_for_are_scored(found: tuple[pd.DataFrame, Path], tiny_run: Path, tmp_path: Path) -> None:
    content = evaluate(tiny_run, out=tmp_path, weights="content")
    expected = by_hand(tiny_run, "srgan", "content")
    assert look_up(content, "srgan")["u10", "rmse"] == pytest.approx(expected["u10", "rmse"], rel=1e-4)
    assert look_up(content, "srgan") != look_up(found[0], "srgan")
    assert look_up(content, "bicubic") == pytest.approx(look_up(found[0], "bicubic"), nan_ok=True)
    assert json.loads((tmp_path / "evaluation.json").read_text())["weights"] == "content"
    with pytest.raises(RunError, match=r"has no weights 'first'; available: best, content, last\."):
        evaluate(tiny_run, out=tmp_path, weights="first")  # type: ignore[arg-type]


def test_a_moved_store(tiny_run: Path, tiny_store: Path, tmp_path: Path, found: tuple[pd.DataFrame, Path]) -> None:
    run, store = (
        Path(shutil.copytree(tiny_run, tmp_path / "run")),
        Path(shutil.copytree(tiny_store, tmp_path / "s.zarr")),
    )
    provenance = json.loads((run / "provenance.json").read_text())
    (run / "provenance.json").write_text(json.dumps(provenance | {"store": str(tmp_path / "old.zarr")}))
    with pytest.raises(RunError) as error:
        evaluate(run)
    assert str(error.value) == (
        f"the training store {tmp_path / 'old.zarr'} of {run} does not exist; prepare it again with "
        f"`subgrid prepare {run / 'config.json'} --out STORE` and pass it as store (--store)."
    )
    scores = evaluate(run, store=store)
    np.testing.assert_array_equal(scores.value, found[0].value)
    assert (run / "evaluation" / "scores.csv").is_file()  # the default place


@pytest.mark.slow
def test_a_published_run_is_scored_in_physical_units(tiny_store: Path, tmp_path: Path) -> None:
    run = train_tiny(tiny_store, tmp_path / "run", PUBLISHED)
    scores = look_up(evaluate(run), "published/srgan")
    expected = by_hand(run, "published/srgan")
    for key, value in expected.items():
        assert scores[key] == pytest.approx(value, rel=1e-4, abs=1e-4), key
    with xr.open_dataset(run / "evaluation" / "samples.nc") as samples:
        made = samples.t2m.sel(system="published/srgan")
        mean, std = (load_run(run).statistics["t2m"][key] for key in ("mean", "std"))
        assert float(abs(made - mean).max()) <= std * 1.0001  # tanh clips at one standard deviation


def test_periodic_baselines_see_across_the_seam(tmp_path: Path) -> None:
    from subgrid import train
    from tiny import SETTINGS

    settings = SETTINGS | {"data.variables": ["t2m"], "train.updates": 2}
    run = train(settings, source=round_fields(), out=tmp_path / "run")
    assert load_run(run).provenance["periodic"]
    evaluate(run)
    with xr.open_dataset(run / "evaluation" / "samples.nc") as samples:
        error = (samples.t2m.sel(system="bilinear") - samples.t2m.sel(system="truth")) ** 2
        by_column = error.mean(("valid_time", "latitude")).values.reshape(-1, 4).mean(1)
        assert by_column[[0, -1]].max() < 3 * np.median(by_column)


def test_other_weights_have_a_folder_of_their_own(tiny_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    (run / "evaluation").mkdir()
    (run / "evaluation" / "scores.csv").write_text("those of the last weights")
    evaluate(run, weights="best")
    assert [path.name for path in (run / "evaluation").iterdir()] == ["scores.csv"]
    assert (run / "evaluation" / "scores.csv").read_text() == "those of the last weights"
    about = json.loads((run / "evaluation-best" / "evaluation.json").read_text("utf-8"))
    assert (about["weights"], about["interpolate"]) == ("best", None)
    assert evaluate_module.evaluation_folder(run).name == "evaluation"
    assert evaluate_module.evaluation_folder(run, "last", 0.5).name == "evaluation-interpolate-0.5"
    page = report([run / "evaluation-best"], tmp_path / "page.html")
    assert "weights “best”" in page.read_text(encoding="utf-8")


def test_a_store_with_other_coarse_fields_is_refused(tiny_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(tiny_store, tmp_path / "store.zarr"))
    meta = json.loads((store / "store.json").read_text("utf-8"))
    (store / "store.json").write_text(json.dumps(meta | {"digest": "another"}))
    with pytest.raises(RunError, match="its coarse or static fields, times or scaling have other values"):
        evaluate(tiny_run, store=store, out=tmp_path / "scores")
    assert not (tmp_path / "scores").exists()


@pytest.mark.parametrize("replaced", range(4))
def test_files_of_two_evaluations_have_no_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: int
) -> None:
    names = ("evaluation.json", "scores.csv", "spectra.nc")
    for name in names:
        (tmp_path / name).write_text("old")
    replace, left = os.replace, iter(range(replaced))

    def cut(source: Path, target: Path) -> None:
        if next(left, None) is None:
            raise Cut
        replace(source, target)

    monkeypatch.setattr("subgrid.evaluation.results.os.replace", cut)
    with suppress(Cut), run_results(tmp_path, own=False) as partial:
        for name in names:
            (partial / name).write_text("new")
    found = {name: (tmp_path / name).read_text() for name in names if (tmp_path / name).exists()}
    assert len(set(found.values())) == 1 or "evaluation.json" not in found
    monkeypatch.undo()
    with run_results(tmp_path, own=False):  # it is still known as ours
        pass
