"""What `import subgrid` gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

import subgrid
from tiny import SETTINGS


def test_import_is_light() -> None:
    code = "import sys, subgrid; print(sorted({'torch', 'xarray', 'pandas', 'numpy', 'rich', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", subgrid.__all__)
def test_every_public_name_loads_and_is_described(name: str) -> None:
    value = getattr(subgrid, name)
    assert isinstance(value, str) if name == "__version__" else value.__doc__
    assert name in dir(subgrid)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match=r"^module 'subgrid' has no attribute 'trian'$"):
        subgrid.trian  # noqa: B018
    assert sorted(set(subgrid.__all__)) == subgrid.__all__


def test_version_is_the_packages() -> None:
    from importlib.metadata import version

    assert subgrid.__version__ == version("subgrid")


@pytest.mark.slow
def test_an_open_dataset_from_end_to_end(one_thread: None, weather: xr.Dataset, tmp_path: Path) -> None:
    settings = SETTINGS | {"data.variables": ["t2m"], "train.updates": 4}
    run = subgrid.train(settings, source=weather, out=tmp_path / "run")
    assert run == tmp_path / "run"
    scores = subgrid.evaluate(run)
    assert set(scores.system) == {"srgan", "bilinear", "bicubic"}
    fine = subgrid.downscale(run, weather[["t2m"]].isel(time=slice(2)))
    assert fine["t2m"].shape == (2, 128, 128)
    assert fine["t2m"].attrs["units"] == "K"
    assert subgrid.train(settings, source=weather, out=tmp_path / "run", resume=True) == run
