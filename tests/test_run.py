"""The run directory and the files in it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import subgrid
from subgrid.data.store import open_store
from subgrid.errors import RunError
from subgrid.io.provenance import git_revision
from subgrid.io.tensors import load_tensors
from subgrid.networks import load_generator
from subgrid.run import load_run, store_of
from tiny import SETTINGS

pytestmark = pytest.mark.usefixtures("one_thread")


def test_it_holds_what_the_contract_says(tiny_run: Path) -> None:
    found = {str(p.relative_to(tiny_run)) for p in tiny_run.rglob("*") if p.is_file()}
    named = {"config.json", "provenance.json", "statistics.json", "grid.nc", "history.csv", "state.safetensors"}
    weights = {f"weights/{kind}.safetensors" for kind in ("last", "best", "content")}
    assert found - {p for p in found if p.startswith("evaluation/")} == named | weights | {"finished.json"}


@pytest.mark.parametrize("name", ["config.json", "provenance.json", "statistics.json", "grid.nc"])
def test_missing_files_are_named(tiny_run: Path, tmp_path: Path, name: str) -> None:
    broken = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    (broken / name).unlink()
    with pytest.raises(RunError) as error:
        load_run(broken)
    assert str(error.value) == (
        f"{broken} is not a run directory: it has no {name}. Create one with `subgrid train CONFIG --out {broken}`."
    )


def test_no_directory_at_all(tiny_run: Path) -> None:
    with pytest.raises(RunError) as error:
        load_run(tiny_run.with_name("tinny"))
    assert str(error.value) == f"there is no run directory {tiny_run.with_name('tinny')}. Did you mean 'tiny'?"


def test_missing_weights_say_what_is_there(tiny_run: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    (broken / "weights" / "best.safetensors").unlink()
    with pytest.raises(RunError) as error:
        load_generator(load_run(broken), "best")
    assert str(error.value) == f"{broken} has no weights 'best'; available: content, last. Choose one of these."
    shutil.rmtree(broken / "weights")
    with pytest.raises(RunError, match=r"available: none yet\. Train first, or resume with `subgrid train"):
        load_generator(load_run(broken))


def test_the_generator_comes_back_in_evaluation_mode_with_its_weights(tiny_run: Path) -> None:
    run = load_run(tiny_run)
    last, best = load_generator(run, "last"), load_generator(run, "content")
    assert not last.training
    tensors, facts = load_tensors(tiny_run / "weights" / "last.safetensors")
    assert facts == {"step": 8}
    assert all(torch.equal(tensors[key], value) for key, value in last.state_dict().items())
    assert any(not torch.equal(a, b) for a, b in zip(last.parameters(), best.parameters(), strict=True))


def test_provenance(tiny_run: Path, tiny_store: Path) -> None:
    found = json.loads((tiny_run / "provenance.json").read_text())
    meta = open_store(tiny_store).meta
    for key in ("fingerprint", "num_times", "periods", "periodic"):
        assert found[key] == meta[key], key
    assert found["seed"] == 0
    assert found["versions"]["subgrid"] == subgrid.__version__
    assert found["versions"]["torch"] == torch.__version__
    assert found["versions"]["numpy"] == np.__version__
    assert Path(found["store"]) == tiny_store.resolve()
    assert found["command"] == " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found["started"])
    assert found["git_revision"].removesuffix("-dirty") == git_revision().removesuffix("-dirty")
    assert found["source"] == "weather.nc"
    assert found["static"] == {}


def test_statistics_are_those_of_the_training_times(tiny_run: Path, tiny_store: Path) -> None:
    run, store = load_run(tiny_run), open_store(tiny_store)
    train = store.hr.isel(valid_time=store.positions("train"))
    for name in run.variables:
        values = train[name].values.astype(np.float64)
        assert run.statistics[name]["mean"] == pytest.approx(values.mean())
        assert run.statistics[name]["std"] == pytest.approx(values.std())
        assert (run.statistics[name]["min"], run.statistics[name]["max"]) == (values.min(), values.max())
    assert [run.statistics[name]["units"] for name in run.variables] == ["K", "m s-1"]


def test_grids_and_static_fields(static_run: Path, weather: xr.Dataset) -> None:
    run = load_run(static_run)
    np.testing.assert_allclose(run.grid["latitude"], np.sort(weather.latitude)[::-1])
    np.testing.assert_allclose(run.grid["longitude_coarse"], weather.longitude.values.reshape(-1, 4).mean(1))
    channels = run.static_channels()
    assert channels.shape == (2, 32, 32)
    np.testing.assert_allclose(channels.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(channels.std((1, 2)), 1, atol=1e-5)
    orography = weather.orography.sortby("latitude", ascending=False).values
    np.testing.assert_allclose(np.corrcoef(channels[0].ravel(), orography.ravel())[0, 1], 1, atol=1e-6)
    assert load_run(static_run).config.data.static == ["orography", "sin_latitude"]


def test_store_of(tiny_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    run = load_run(tiny_run)
    assert store_of(run).path == tiny_store.resolve()
    moved = Path(shutil.copytree(tiny_store, tmp_path / "moved.zarr"))
    assert store_of(run, moved).path == moved


def test_git_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_revision() == ""
    monkeypatch.setenv("PATH", "")
    assert git_revision() == ""


def test_the_configuration_comes_back_as_it_was(tiny_run: Path) -> None:
    from subgrid.config.schema import load_config

    source = json.loads((tiny_run / "config.json").read_text())["data"]["source"]
    assert load_run(tiny_run).config == load_config(SETTINGS | {"data.source": source})
