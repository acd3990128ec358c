"""A study compares runs of the same data and of the last weights; what does not belong to it is refused before it trains."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import subgrid
from subgrid.errors import SubgridError

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "earlier_version.tar.xz"
UNTRAINED = Path("study/runs/srgan-seed1")


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study that was run, but for one run that is missing; the working directory holds it."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(UNTRAINED)
    return next(path for path in Path("study/runs").iterdir() if not path.name.startswith("."))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | values))


def refused(message: str) -> None:
    with pytest.raises(SubgridError, match=message):
        subgrid.study("study.toml", out="study", figures=False)
    assert not UNTRAINED.exists()


def test_scores_of_other_weights_are_refused(finished: Path) -> None:
    change(finished / "evaluation" / "evaluation.json", weights="content")
    message = "holds scores of the content weights, but a study compares the last weights; evaluate it again with `subgrid eval"
    refused(message)
    with pytest.raises(SubgridError, match=message):
        subgrid.report(["study"], "page.html")
    change(finished / "evaluation" / "evaluation.json", weights="last", interpolate=0.5)
    refused("holds scores of the weights 0.5 of the way from content to last")


def test_scores_without_their_description_are_refused(finished: Path) -> None:
    (finished / "evaluation" / "evaluation.json").unlink()
    refused(r"has no complete evaluation, as evaluation\.json is missing; evaluate it again")


def test_a_run_of_other_data_is_refused(finished: Path) -> None:
    change(finished / "provenance.json", fingerprint="another")
    refused("is not the store that .* was trained on: its fine fields have other values")


def test_a_source_that_has_changed_replaces_no_store(finished: Path) -> None:
    stores = {path: path.read_bytes() for path in Path("study/stores").glob("*/store.json")}
    assert stores
    with xr.open_dataset("weather.nc") as opened:
        changed = opened.load()
    (changed * 1.5).to_netcdf("weather.nc")
    refused("its fine fields have other values")
    assert all(path.read_bytes() == content for path, content in stores.items())
