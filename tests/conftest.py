"""What several test files share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import xarray as xr
from jaxtyping import install_import_hook

install_import_hook(["subgrid.models", "subgrid.losses", "subgrid.scores"], "annotations.check")
"""Types and array shapes that annotations state are checked at every call in the tests."""

DATA = Path(os.environ.get("SUBGRID_DATA", Path(__file__).parents[2] / "shared" / "data"))


def real_file(name: str) -> Path:
    """A file of the folder of real data; the test skips where that is absent."""
    if not DATA.is_dir():
        pytest.skip("no real data: set SUBGRID_DATA to the folder of real files")
    return DATA / name


def make_fields(
    num_times: int = 12,
    latitudes: npt.ArrayLike = (3.5, 2.5, 1.5, 0.5, -0.5, -1.5, -2.5, -3.5),
    longitudes: npt.ArrayLike = (10.5, 11.5, 12.5, 13.5, 14.5, 15.5, 16.5, 17.5),
    *,
    names: Sequence[str] = ("t2m",),
    mean: float = 273.0,
    seed: int = 0,
    times: Any = None,
) -> xr.Dataset:
    """Random fields as `open_source` returns them: (valid_time, latitude, longitude), float32, daily from 2020-01-01."""
    lat, lon = np.asarray(latitudes, dtype=np.float64), np.asarray(longitudes, dtype=np.float64)
    times = pd.date_range("2020-01-01", periods=num_times, unit="ns") if times is None else times
    rng = np.random.default_rng(seed)
    dims = ("valid_time", "latitude", "longitude")
    values = {name: mean + rng.normal(size=(len(times), lat.size, lon.size)) * (i + 1) for i, name in enumerate(names)}
    return xr.Dataset(
        {name: (dims, v.astype(np.float32), {"units": "K", "long_name": name}) for name, v in values.items()},
        coords={
            "valid_time": ("valid_time", times, {"standard_name": "time"}),
            "latitude": ("latitude", lat, {"units": "degrees_north", "standard_name": "latitude"}),
            "longitude": ("longitude", lon, {"units": "degrees_east", "standard_name": "longitude"}),
        },
    )


@pytest.fixture(scope="session")
def one_thread() -> None:
    """One thread for torch: tests share the processor, and runs compared bit for bit must sum in one order."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def weather() -> xr.Dataset:
    """Simulated fields, 40 times of 32 x 32 cells."""
    from subgrid import simulate

    return simulate(num_times=40, num_latitudes=32, num_longitudes=32)


@pytest.fixture(scope="session")
def weather_file(weather: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated fields in a file."""
    path = tmp_path_factory.mktemp("weather") / "weather.nc"
    weather.to_netcdf(path)
    return path


@pytest.fixture(scope="session")
def tiny_store(weather_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training store of two variables at factor 4."""
    from subgrid import prepare
    from tiny import SETTINGS

    out = tmp_path_factory.mktemp("store") / "tiny.zarr"
    return prepare(SETTINGS | {"data.source": str(weather_file)}, out=out)


@pytest.fixture(scope="session")
def tiny_run(one_thread: None, tiny_store: Path, weather_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; not to be changed."""
    from tiny import SETTINGS, train_tiny

    out = tmp_path_factory.mktemp("runs") / "tiny"
    return train_tiny(tiny_store, out, SETTINGS | {"data.source": str(weather_file)})


@pytest.fixture(scope="session")
def static_run(
    one_thread: None, weather: xr.Dataset, weather_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run with orography and a derived field as static channels; not to be changed."""
    from subgrid import prepare, train
    from tiny import SETTINGS

    folder = tmp_path_factory.mktemp("static")
    weather[["orography"]].to_netcdf(folder / "static.nc")
    static = {"data.static": ["orography", "sin_latitude"], "data.static_source": str(folder / "static.nc")}
    settings = SETTINGS | static | {"data.source": str(weather_file)}
    return train(settings, store=prepare(settings, out=folder / "store.zarr"), out=folder / "run")


@pytest.fixture(scope="session")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first layers of a VGG19 that has learned nothing."""
    from make_weights import write_vgg

    return write_vgg(tmp_path_factory.mktemp("vgg") / "vgg.safetensors")
