"""What version 0.1.0 wrote still works: a store, runs, an interrupted run, evaluations, a study.

`fixtures/earlier_version.tar.xz` holds folders that the commit 512ce94 made from simulated weather, 24 times of 16 x 16 cells.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import subgrid
from subgrid.config.files import recipe_names
from subgrid.config.schema import load_config
from subgrid.data.store import open_store
from subgrid.networks import build_generator, load_generator
from subgrid.run import load_run
from tiny import weights

pytestmark = pytest.mark.slow

ARCHIVE = Path(__file__).parent / "fixtures" / "earlier_version.tar.xz"
NUMBERS = ["value", "lower", "upper"]


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders, unpacked; paths in them are relative to the working directory."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def same_scores(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Equal rows and values; the names of later columns may be others."""
    keys = ["system", "variable", "score"] + (["group"] if "group" in one else [])
    assert one[keys].equals(other[keys])
    for name in NUMBERS[: 3 if "lower" in one else 1]:
        np.testing.assert_allclose(one[name], other[name], rtol=2e-4, atol=1e-5)


def test_the_store_opens(earlier: Path) -> None:
    store = open_store(earlier / "store.zarr")
    assert store.variables == ["u10", "v10"]
    assert store.factor == 4
    assert {split: store.positions(split).size for split in ("train", "valid", "test")} == store.meta["num_times"]


@pytest.mark.parametrize("file", recipe_names())
def test_the_configuration_of_every_system_loads(earlier: Path, file: str) -> None:
    config = load_config(earlier / "configs" / f"{file.replace('/', '-')}.json")
    assert config.system == file
    assert config.conditional == (not file.endswith("gan") or file.rpartition("/")[2] != "gan")
    options: dict[str, Any] = {"weights": "none"} if config.generator.name == "resnet18" else {}
    part = config.generator.model_copy(update=options)
    build_generator(config.model_copy(update={"generator": part}), 0)


@pytest.mark.parametrize("name", ["srgan", "gan"])
def test_a_run_is_evaluated_as_it_was(earlier: Path, name: str) -> None:
    before = pd.read_csv(earlier / name / "evaluation" / "scores.csv")
    now = subgrid.evaluate(name, out=earlier / "again", by=["season"] if name == "srgan" else ())
    same_scores(before, now)


def test_weights_of_both_stages_load(earlier: Path) -> None:
    run = load_run("srgan")
    for which in ("last", "content"):
        network = load_generator(run, which)  # type: ignore[arg-type]
        held = weights(earlier / "srgan", which)
        assert {key: value.shape for key, value in network.state_dict().items()} == {
            k: v.shape for k, v in held.items()
        }


def test_an_interrupted_run_resumes_to_the_finished_one(earlier: Path) -> None:
    settings = load_config(earlier / "cut" / "config.json")
    subgrid.train(settings, store=earlier / "store.zarr", out=earlier / "cut", resume=True)
    finished, resumed = weights(earlier / "srgan"), weights(earlier / "cut")
    assert finished.keys() == resumed.keys()
    for key, value in finished.items():
        torch.testing.assert_close(resumed[key], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["srgan", "gan"])
def test_an_evaluation_is_reported_without_evaluating_again(earlier: Path, name: str) -> None:
    scores = earlier / name / "evaluation" / "scores.csv"
    written = scores.read_bytes()
    page = subgrid.report([name], earlier / "page.html").read_text(encoding="utf-8")
    assert scores.read_bytes() == written
    assert name in page


def test_a_study_is_shown_and_resumed(earlier: Path) -> None:
    before = pd.read_csv(earlier / "study" / "results.csv")
    trained = {path: path.stat().st_mtime_ns for path in earlier.glob("study/runs/*/weights/last.safetensors")}
    assert len(trained) == 4
    assert subgrid.report(["study"], earlier / "page.html").stat().st_size > 10_000
    subgrid.study("study.toml", out="study", figures=False)
    after = pd.read_csv(earlier / "study" / "results.csv")
    assert {path: path.stat().st_mtime_ns for path in trained} == trained  # nothing was trained again
    numbers = [name for name in before.select_dtypes("number") if name in after and name != "seconds"]
    assert len(numbers) >= 4
    np.testing.assert_allclose(before[numbers], after[numbers], rtol=2e-4, atol=1e-5)
    assert json.loads((earlier / "study" / "study.json").read_text("utf-8"))
