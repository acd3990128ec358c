"""A run directory from a stranger runs no code unless the user allows it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import subgrid
from subgrid.errors import RunError, SubgridError
from subgrid.networks import load_generator
from subgrid.run import load_run

HOSTILE = """
from pathlib import Path
from tiny import Keeps
Path("imported").touch()
class Net(Keeps):
    pass
"""


@pytest.fixture
def strange_run(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Gives a run whose config.json names a class of `hostile.py`, which leaves a file when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "hostile.py").write_text(HOSTILE)

    def make(kind: str) -> Path:
        run = Path(shutil.copytree(tiny_run, tmp_path / "run", symlinks=True))
        config = json.loads((run / "config.json").read_text("utf-8"))
        config[kind] = {"name": "hostile:Net"}
        (run / "config.json").write_text(json.dumps(config))
        return run

    return make


def coarse() -> xr.Dataset:
    """Fields that are not read before the run is refused."""
    axes = {"time": [np.datetime64("2020-01-01", "ns")], "latitude": [1.0, 0.0], "longitude": [0.0, 1.0]}
    return xr.Dataset({"t2m": (tuple(axes), np.zeros((1, 2, 2)))}, axes)


COMMANDS: dict[str, Callable[..., Any]] = {
    "evaluate": lambda run, **more: subgrid.evaluate(run, **more),
    "downscale": lambda run, **more: subgrid.downscale(run, coarse(), **more),
    "load_generator": lambda run, **more: load_generator(load_run(run), **more),
    "train": lambda run, **more: subgrid.train(run / "config.json", out="new", **more),
    "train --resume": lambda run, **more: subgrid.train(run / "config.json", out=run, resume=True, **more),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_strange_generator_is_not_imported(strange_run: Callable[[str], Path], tmp_path: Path, command: str) -> None:
    run = strange_run("generator")
    (run / "finished.json").unlink()
    with pytest.raises(SubgridError, match=r"generator\.name is 'hostile:Net', which is not part of subgrid.*--trust"):
        COMMANDS[command](run)
    assert not (tmp_path / "imported").exists()
    assert not (tmp_path / "new").exists()


def test_the_user_may_allow_it(strange_run: Callable[[str], Path], tmp_path: Path) -> None:
    run = strange_run("generator")
    with pytest.raises(
        RunError, match="are not those of its generator"
    ):  # it was built; its weights are another network's
        load_generator(load_run(run), trust=True)
    assert (tmp_path / "imported").exists()


def test_a_strange_discriminator_matters_only_to_training(strange_run: Callable[[str], Path], tmp_path: Path) -> None:
    run = strange_run("discriminator")
    with pytest.raises(SubgridError, match=r"discriminator\.name is 'hostile:Net'"):
        subgrid.train(run / "config.json", out="new")
    load_generator(load_run(run))
    assert not (tmp_path / "imported").exists()


def test_a_function_of_python_is_refused_as_any_class(strange_run: Callable[[str], Path], tmp_path: Path) -> None:
    run = strange_run("generator")
    config = json.loads((run / "config.json").read_text("utf-8"))
    config["generator"] = {"name": "subprocess:call", "args": ["touch", "imported"]}
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(SubgridError, match="which is not part of subgrid"):
        subgrid.evaluate(run)
    assert not (tmp_path / "imported").exists()


def test_loading_a_run_reads_no_weights_made_elsewhere(strange_run: Callable[[str], Path], tmp_path: Path) -> None:
    run = strange_run("generator")
    config = json.loads((run / "config.json").read_text("utf-8"))
    config["generator"] = {"name": "resnet18", "weights": str(tmp_path / "secret.pth")}
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match="are not those of its generator"):  # not that there is no such file
        load_generator(load_run(run))
