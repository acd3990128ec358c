"""`subgrid init`: what it writes for files of several kinds, and that it can be used as it is."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from conftest import make_fields, real_file
from subgrid import init, load_config, prepare
from subgrid.data.store import open_store
from subgrid.errors import ConfigError, SourceError


def write(fields: xr.Dataset, path: Path) -> str:
    fields.to_netcdf(path)
    return str(path)


def data_of(text: str) -> dict[str, Any]:
    """The data table, after the whole has passed the checks of a configuration."""
    load_config(tomllib.loads(text))
    return dict(tomllib.loads(text)["data"])


def uncommented(text: str) -> str:
    """The text with every offered setting put into effect."""
    return "\n".join(
        line.removeprefix("#") if line.startswith("#") and line[1:2].isalpha() else line for line in text.splitlines()
    )


@pytest.mark.slow
def test_simulated_weather(weather_file: Path, tmp_path: Path) -> None:
    remarks: list[str] = []
    text = init(str(weather_file), notify=remarks.append)
    data = data_of(text)
    assert data["source"] == data["static_source"] == str(weather_file)
    assert {"t2m", "u10", "v10"} <= set(data["variables"])
    assert "orography" in data["static"] and "orography" not in data["variables"]
    assert data["factor"] == 4
    (tmp_path / "my.toml").write_text(text)
    store = open_store(prepare(tmp_path / "my.toml", out=tmp_path / "store.zarr"))
    assert store.variables == data["variables"]
    assert "# grid: 32 x 32 cells" in text and "#   t2m: " in text
    assert any("smaller than the default patch" in remark for remark in remarks)


def test_what_is_offered_can_be_put_into_effect(weather_file: Path) -> None:
    text = init(str(weather_file), variables=["t2m"])
    config = load_config(tomllib.loads(uncommented(text)))
    assert config.data.season == "DJF"
    assert config.train == load_config(tomllib.loads(text)).train
    assert all(len(line) <= 120 for line in text.splitlines())


def test_levels_and_members_are_chosen_and_listed(tmp_path: Path) -> None:
    fields = make_fields(60, names=("t",)).expand_dims(level=[500, 850]).transpose("valid_time", "level", ...)
    text = init(write(fields, tmp_path / "levels.nc"))
    assert data_of(text)["select"] == {"level": 500}
    assert "#   level: 500, 850" in text
    assert data_of(init(str(tmp_path / "levels.nc"), select={"level": 850}))["select"] == {"level": 850}
    prepare(tomllib.loads(text), out=tmp_path / "store.zarr")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "factor"), [((32, 64), 4), ((34, 64), 2), ((33, 64), 4), ((9, 15), 2)], ids=["4", "2", "none", "small"]
)
def test_the_factor_divides_the_grid_where_one_can(tmp_path: Path, shape: tuple[int, int], factor: int) -> None:
    fields = make_fields(60, np.linspace(40, 20, shape[0]), np.linspace(0, 30, shape[1]))
    path = write(fields, tmp_path / "fields.nc")
    assert data_of(init(path))["factor"] == factor
    assert data_of(init(path, factor=2))["factor"] == 2


DAYS_360 = [cftime.Datetime360Day(2020, 1 + i // 30, 1 + i % 30) for i in range(60)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("times", "periods", "gap"),
    [
        (
            pd.date_range("2019-03-01", "2019-03-31T23:00", freq="h", unit="ns"),
            [["2019-03-01", "2019-03-21"], ["2019-03-22", "2019-03-26"], ["2019-03-27", "2019-03-31"]],
            "1d",
        ),
        (
            pd.date_range("2020-01-01", periods=60, unit="ns"),
            [["2020-01-01", "2020-02-11"], ["2020-02-12", "2020-02-20"], ["2020-02-21", "2020-02-29"]],
            "2d",
        ),
        (
            pd.date_range("2020-01-01", periods=10, freq="h", unit="ns"),
            [
                ["2020-01-01T00:00", "2020-01-01T06:00"],
                ["2020-01-01T07:00", "2020-01-01T07:00"],
                ["2020-01-01T08:00", "2020-01-01T09:00"],
            ],
            None,
        ),
        (
            pd.date_range("2010-01-15", periods=60, freq=pd.DateOffset(months=1), unit="ns"),
            [["2010-01-15", "2013-06-15"], ["2013-07-15", "2014-03-15"], ["2014-04-15", "2014-12-15"]],
            None,
        ),
        (DAYS_360, [["2020-01-01", "2020-02-12"], ["2020-02-13", "2020-02-21"], ["2020-02-22", "2020-02-30"]], "2d"),
    ],
    ids=["hours", "days", "a few hours", "months", "360 days"],
)
def test_times_are_split_in_their_order_with_a_gap(
    tmp_path: Path, times: Any, periods: list[list[str]], gap: str | None
) -> None:
    text = init(write(make_fields(times=times), tmp_path / "fields.nc"))
    data = data_of(text)
    assert [data[name] for name in ("train", "valid", "test")] == periods
    assert data.get("gap") == gap
    prepare(tomllib.loads(text), out=tmp_path / "store.zarr")


def test_variables_that_cannot_be_used_are_left_out(tmp_path: Path) -> None:
    fields = make_fields(60, names=("t2m", "sst", "flat"))
    fields["sst"] = fields["sst"].where(fields["sst"] > 272)
    fields["flat"] = fields["flat"] * 0 + 1
    remarks: list[str] = []
    assert data_of(init(write(fields, tmp_path / "fields.nc"), notify=remarks.append))["variables"] == ["t2m"]
    errors = [remark.split()[1] for remark in remarks if remark.startswith("ERROR")]
    assert sorted(errors) == ["flat:", "sst:"]


@pytest.mark.slow
@pytest.mark.realdata
def test_real_winds(tmp_path: Path) -> None:
    path = str(real_file("gfs_uv10_1deg.nc"))
    text = init(path, variables=["u10", "v10"])
    data = data_of(text)
    assert data["train"] == ["2018-09-14", "2018-10-12"]
    assert (data["test"], data["gap"]) == (["2018-10-15", "2018-10-16"], "1d")
    store = open_store(prepare(tomllib.loads(text), out=tmp_path / "store.zarr"))
    assert store.hr.sizes["latitude"] == 180


def test_several_files_that_repeat_their_static_fields(weather: xr.Dataset, tmp_path: Path) -> None:
    fields = weather[["t2m", "orography"]]
    paths = [write(fields.isel(time=part), tmp_path / f"{i}.nc") for i, part in enumerate((slice(20), slice(20, 40)))]
    text = init(paths)
    data = data_of(text)
    assert (data["source"], data["static"], data["static_source"]) == (paths, ["orography"], paths)
    assert list(open_store(prepare(tomllib.loads(text), out=tmp_path / "store.zarr")).meta["static"]) == ["orography"]


def test_an_npy_file(tmp_path: Path) -> None:
    np.save(tmp_path / "fields.npy", np.random.default_rng(0).normal(size=(60, 2, 16, 16)).astype(np.float32))
    text = init(tmp_path / "fields.npy", variables=["t", "u"], start="2020-01-01", step="1h")
    data = data_of(text)
    assert (data["variables"], data["start"], data["step"]) == (["t", "u"], "2020-01-01", "1h")
    prepare(tomllib.loads(text), out=tmp_path / "store.zarr")


def test_a_factor_that_the_generator_cannot_have_is_refused(weather_file: Path) -> None:
    with pytest.raises(ConfigError, match=r"^factor: got 6, but the generator of srgan needs a power of two"):
        init(str(weather_file), factor=6)


def test_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    static = make_fields(1).isel(valid_time=0, drop=True)
    with pytest.raises(SourceError, match=r"^no variable can be used for training"):
        init(write(static, tmp_path / "static.nc"))
    with pytest.raises(SourceError, match=r"holds 2 times; training, validation and test need at least 3\."):
        init(write(make_fields(2), tmp_path / "two.nc"))
