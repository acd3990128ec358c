"""Every trained system from a store to scores and fine fields, and the weights between two stages."""

from __future__ import annotations

import inspect
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from subgrid.config.files import recipe_names
from subgrid.config.schema import load_config
from subgrid.data.grid import coarsen
from subgrid.data.sources.open_source import open_source
from subgrid.errors import RunError
from subgrid.evaluation.evaluate import evaluate
from subgrid.inference.downscale import downscale
from subgrid.models import DISCRIMINATORS, GENERATORS
from subgrid.networks import load_generator
from subgrid.run import load_run
from subgrid.training.train import train
from tiny import SETTINGS, same_weights, train_tiny, weights

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

TRAINED = [
    name for name in recipe_names() if load_config({"system": name, "data.variables": ["a"]}).family != "baseline"
]
SIZES = {"features": 8, "blocks": 1, "growth": 4}


def tiny_settings(system: str) -> dict[str, Any]:
    """A few updates of a recipe with small networks."""
    config = load_config({"system": system, "data.variables": ["a"]})
    out = {key: value for key, value in SETTINGS.items() if key.startswith(("data.", "train."))}
    out |= {"system": system, "train.updates": 2, "train.validate_every": 2}
    out |= {"content.share": 0.5} if 0 < config.content.share < 1 else {}
    for kind, table in (("generator", GENERATORS), ("discriminator", DISCRIMINATORS)):
        part = getattr(config, kind)
        known = inspect.signature(table[part.name]).parameters if part is not None else {}
        out |= {f"{kind}.{key}": value for key, value in SIZES.items() if key in known}
    out |= {"generator.weights": "none"} if "weights" in config.generator.options else {}  # no network
    return out


@pytest.fixture(scope="module")
def coarse(weather: xr.Dataset) -> xr.Dataset:
    """Two coarse times of 6 x 5 cells: no multiple of what a U-Net needs."""
    fields = open_source(weather.isel(time=slice(-2, None)), variables=["t2m", "u10"]).load()
    return coarsen(fields, 4).isel(latitude=slice(6), longitude=slice(5))


@pytest.mark.parametrize("system", [name for name in TRAINED if name.split("/")[-1] != "gan"])
def test_every_system_takes_the_whole_road(system: str, tiny_store: Path, coarse: xr.Dataset, tmp_path: Path) -> None:
    run = train(tiny_settings(system), store=tiny_store, out=tmp_path / "run")
    scores = evaluate(run)
    assert list(scores.system.unique()) == [system, "bilinear", "bicubic"]
    assert np.isfinite(scores.value).all()
    fine = downscale(run, coarse)
    assert dict(fine.sizes) == {"valid_time": 2, "latitude": 24, "longitude": 20, "bnds": 2}
    assert all(np.isfinite(fine[name]).all() for name in ("t2m", "u10"))


OWN_RECIPE = """
summary = "a residual network trained on the absolute error alone"
family = "sound"
generator = { name = "srresnet", norm = "none", head = "linear", residual = "bicubic" }
content = { share = 1.0, losses.l1.weight = 1.0 }
train = { updates = 10 }
"""


def test_a_recipe_of_ones_own_without_a_discriminator(tiny_store: Path, coarse: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "plain.toml").write_text(OWN_RECIPE)
    test_every_system_takes_the_whole_road(str(tmp_path / "plain.toml"), tiny_store, coarse, tmp_path)


@pytest.mark.parametrize("system", ["cgan", "published/esrgan"])
def test_another_system_is_one_setting(
    system: str, tmp_path: Path, weather_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from subgrid.cli import app

    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(
        f"system = 'srgan'\n[data]\nsource = '{weather_file}'\nvariables = ['t2m']\n"
        "[train]\nupdates = 2\nbatch = 2\npatch = 16\nvalidation_fields = 1\n"
    )
    sizes = [f"--set={key}={value}" for key, value in tiny_settings(system).items() if key.split(".")[1:] in FEATURES]
    words = ["train", "mine.toml", "--out", "run", f"--set=system='{system}'", *sizes]
    app(args=words, standalone_mode=False)
    assert load_run("run").config.system == system
    app(args=["evaluate", "run"], standalone_mode=False)
    app(args=["downscale", "run", str(weather_file), "fine.nc", "--select", "time=2020-01-01"], standalone_mode=False)
    assert "fine.nc: " in capsys.readouterr().out


FEATURES = [["features"], ["blocks"]]


# between the content weights and the last ones


@pytest.fixture(scope="module")
def batchnorm_run(one_thread: None, tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in two stages whose generator has buffers."""
    return train_tiny(tiny_store, tmp_path_factory.mktemp("batchnorm") / "run", generator__norm="batch")


def between(run: Path, share: float) -> dict[str, torch.Tensor]:
    return load_generator(load_run(run), interpolate=share).state_dict()


@pytest.mark.parametrize("which", ["tiny_run", "batchnorm_run"])
def test_interpolated_weights(which: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(which)
    content, last = weights(run, "content"), weights(run, "last")
    assert not same_weights(content, last)
    assert same_weights(between(run, 0.0), content)
    assert same_weights(between(run, 1.0), last)
    half, quarter = between(run, 0.5), between(run, 0.25)
    for key, value in content.items():
        if value.is_floating_point():
            torch.testing.assert_close(half[key], (value + last[key]) / 2)
            torch.testing.assert_close(quarter[key], 0.75 * value + 0.25 * last[key])
    if which == "batchnorm_run":
        counts = [key for key in content if key.endswith("num_batches_tracked")]
        means = [key for key in content if key.endswith("running_mean")]
        assert counts and means
        assert all(torch.equal(quarter[key], content[key]) and torch.equal(half[key], last[key]) for key in counts)
        assert all(not torch.equal(half[key], last[key]) for key in means)


def test_interpolation_reaches_fields_and_records(tiny_run: Path, coarse: xr.Dataset, tmp_path: Path) -> None:
    ends = [downscale(tiny_run, coarse, weights=name)["t2m"].values for name in ("content", "last")]
    assert np.array_equal(downscale(tiny_run, coarse, interpolate=0.0)["t2m"], ends[0])
    assert np.array_equal(downscale(tiny_run, coarse, interpolate=1.0)["t2m"], ends[1])
    middle = downscale(tiny_run, coarse, interpolate=0.3)
    assert not np.array_equal(middle["t2m"], ends[0]) and not np.array_equal(middle["t2m"], ends[1])
    assert "by srgan (weights 0.3 of the way from content to last, trained" in middle.attrs["history"]
    scores = evaluate(tiny_run, out=tmp_path, interpolate=0.0)
    about = json.loads((tmp_path / "evaluation.json").read_text())
    assert (about["weights"], about["interpolate"]) == ("last", 0.0)
    content = evaluate(tiny_run, out=tmp_path, weights="content")
    assert json.loads((tmp_path / "evaluation.json").read_text())["interpolate"] is None
    assert list(scores.value) == list(content.value)
    assert list(scores.value) != list(evaluate(tiny_run, out=tmp_path, interpolate=0.5).value)


@pytest.mark.parametrize("share", [-0.1, 1.01, math.nan, math.inf])
def test_interpolation_out_of_range_is_refused(tiny_run: Path, share: float) -> None:
    with pytest.raises(
        RunError, match=rf"^interpolate: got {share:g}, expected a number from 0 \(content weights\) to 1"
    ):
        evaluate(tiny_run, interpolate=share)


def test_interpolation_beside_other_weights_is_refused(tiny_run: Path, coarse: xr.Dataset) -> None:
    with pytest.raises(
        RunError, match=r"^--interpolate blends content and last weights; it cannot be combined with --weights best\."
    ):
        downscale(tiny_run, coarse, weights="best", interpolate=0.5)


def test_interpolation_without_content_weights_is_refused(tiny_run: Path, coarse: xr.Dataset, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "weights" / "content.safetensors").unlink()
    with pytest.raises(
        RunError, match=r"has no content weights to interpolate from: .* Train with content\.share between"
    ):
        downscale(run, coarse, interpolate=0.5)


def test_interpolation_on_the_command_line(tiny_run: Path, tmp_path: Path, coarse: xr.Dataset) -> None:
    from subgrid.cli import app

    coarse.to_netcdf(tmp_path / "coarse.nc")
    words = [str(tiny_run), str(tmp_path / "coarse.nc"), str(tmp_path / "fine.nc"), "--interpolate", "0.25"]
    app(args=["downscale", *words], standalone_mode=False)
    with xr.open_dataset(tmp_path / "fine.nc") as fine:
        assert "weights 0.25 of the way" in fine.attrs["history"]
    app(args=["evaluate", str(tiny_run), "--out", str(tmp_path), "--interpolate", "0.25"], standalone_mode=False)
    assert json.loads((tmp_path / "evaluation.json").read_text())["interpolate"] == 0.25
