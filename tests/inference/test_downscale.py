"""Downscaling: what comes out has the source's names, grid, units and values; what cannot work is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from subgrid.data import value_range
from subgrid.data.grid import coarsen
from subgrid.data.sources.open_source import open_source
from subgrid.errors import GridError, RunError, SourceError
from subgrid.inference import check_input
from subgrid.inference import downscale as downscale_module
from subgrid.inference.downscale import downscale
from subgrid.io.output import open_fields
from subgrid.networks import load_generator
from subgrid.run import load_run
from tiny import round_fields

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def coarse(weather: xr.Dataset) -> xr.Dataset:
    """Five coarse times (8 x 8 cells) with attributes to keep; latitude from north to south."""
    fields = open_source(weather.isel(time=slice(-5, None)), variables=["t2m", "u10"]).load()
    made = coarsen(fields, 4).rename(valid_time="time")
    made.attrs = {"title": "coarse weather", "institution": "somewhere", "history": "born"}
    made["t2m"].attrs |= {"cell_methods": "area: mean"}
    return made


def by_hand(run_path: Path, coarse: xr.Dataset, weights: Any = "last") -> np.ndarray:
    """The generator on standardised values, in physical units: (time, variable, y, x)."""
    run = load_run(run_path)
    lr = np.stack([coarse[v].values for v in run.variables], 1)
    mean, std = (np.array([run.statistics[v][k] for v in run.variables])[:, None, None] for k in ("mean", "std"))
    with torch.no_grad():
        made = load_generator(run, weights)(torch.from_numpy(((lr - mean) / std).astype(np.float32)))
    return made.numpy() * std + mean


def test_values_are_the_generators(tiny_run: Path, coarse: xr.Dataset) -> None:
    fine, expected = downscale(tiny_run, coarse), by_hand(tiny_run, coarse)
    np.testing.assert_allclose(fine["t2m"], expected[:, 0], atol=2e-3)
    np.testing.assert_allclose(fine["u10"], expected[:, 1], atol=2e-3)
    other = downscale(tiny_run, coarse, weights="content")
    np.testing.assert_allclose(other["t2m"], by_hand(tiny_run, coarse, "content")[:, 0], atol=2e-3)
    assert not np.array_equal(other["t2m"], fine["t2m"])
    assert fine["t2m"].dtype == np.float32


def test_metadata_is_the_sources(tiny_run: Path, coarse: xr.Dataset) -> None:
    fine = downscale(tiny_run, coarse)
    assert list(fine.data_vars) == ["t2m", "u10"]
    assert fine["t2m"].dims == ("time", "latitude", "longitude")
    assert fine["t2m"].shape == (5, 32, 32)
    assert fine["t2m"].attrs == coarse["t2m"].attrs
    assert fine["u10"].attrs["standard_name"] == "eastward_wind"
    np.testing.assert_array_equal(fine["time"], coarse["time"])
    for name in ("latitude", "longitude"):
        assert fine[name].attrs["units"] == coarse[name].attrs["units"]
        np.testing.assert_allclose(fine[name].values.reshape(-1, 4).mean(1), coarse[name])
        np.testing.assert_allclose(np.diff(fine[name]), (coarse[name].values[1] - coarse[name].values[0]) / 4)
    assert (fine.attrs["title"], fine.attrs["institution"]) == ("coarse weather", "somewhere")
    assert fine.attrs["Conventions"] == "CF-1.11"
    first, second = fine.attrs["history"].split("\n")
    assert "super-resolved with factor 4 by srgan (last weights" in first
    assert second == "born"
    assert not [key for key in fine.attrs if key.startswith("subgrid_")]


@pytest.mark.parametrize("kind", ["nc", "zarr"])
def test_files_hold_what_memory_does(tiny_run: Path, coarse: xr.Dataset, tmp_path: Path, kind: str) -> None:
    expected = downscale(tiny_run, coarse)
    coarse.to_netcdf(tmp_path / "coarse.nc")
    made = downscale(tiny_run, tmp_path / "coarse.nc", tmp_path / f"fine.{kind}")
    assert made["t2m"].chunks is not None  # lazily from the file
    xr.testing.assert_allclose(made.compute(), expected, atol=1e-4)
    assert {made.attrs[key] for key in ("title", "institution")} == {"coarse weather", "somewhere"}
    assert made.attrs["history"].endswith("\nborn")
    reopened = (
        xr.open_zarr(tmp_path / "fine.zarr", consolidated=False)
        if kind == "zarr"
        else xr.open_dataset(tmp_path / "fine.nc")
    )
    with reopened:
        np.testing.assert_array_equal(reopened["u10"], made["u10"])
        assert reopened["t2m"].dims == ("time", "latitude", "longitude")
        assert reopened["t2m"].attrs["units"] == "K"
        np.testing.assert_array_equal(reopened["time"], coarse["time"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["coarse.nc", f"fine.{kind}"]


def test_zarr_source_to_zarr(tiny_run: Path, coarse: xr.Dataset, tmp_path: Path) -> None:
    coarse.chunk({"time": 2}).to_zarr(tmp_path / "coarse.zarr", consolidated=False)
    made = downscale(tiny_run, tmp_path / "coarse.zarr", tmp_path / "fine.zarr")
    np.testing.assert_allclose(made["t2m"], downscale(tiny_run, coarse)["t2m"], atol=1e-4)


def test_south_first_gives_the_same_field_flipped(tiny_run: Path, coarse: xr.Dataset) -> None:
    north, south = downscale(tiny_run, coarse), downscale(tiny_run, coarse.sortby("latitude"))
    assert (np.diff(north["latitude"]) < 0).all()
    assert (np.diff(south["latitude"]) > 0).all()
    np.testing.assert_array_equal(south["t2m"], north["t2m"][:, ::-1])


def test_names_and_longitudes_come_back(tiny_run: Path, coarse: xr.Dataset) -> None:
    west = coarse.assign_coords(longitude=("longitude", coarse.longitude.values + 300, coarse.longitude.attrs))
    renamed = west.rename(latitude="lat", longitude="lon")
    fine = downscale(tiny_run, renamed)
    assert fine["t2m"].dims == ("time", "lat", "lon")
    np.testing.assert_allclose(fine["lon"].values.reshape(-1, 4).mean(1), renamed["lon"])
    np.testing.assert_array_equal(fine["t2m"], downscale(tiny_run, coarse)["t2m"])


def test_transposed_source(tiny_run: Path, coarse: xr.Dataset) -> None:
    fine = downscale(tiny_run, coarse.transpose("longitude", "time", "latitude"))
    np.testing.assert_array_equal(fine["t2m"], downscale(tiny_run, coarse)["t2m"])


def test_larger_than_trained(tiny_run: Path, weather: xr.Dataset) -> None:
    source = weather[["t2m", "u10"]].isel(time=slice(3)).drop_attrs(deep=False)
    remarks: list[str] = []
    fine = downscale(tiny_run, source, notify=remarks.append)
    assert fine["t2m"].shape == (3, 128, 128)
    assert remarks == [
        "the model was trained on 1 degree cells and will add texture at that scale; these cells are 0.25 degree wide"
    ]


def test_a_single_field(tiny_run: Path, coarse: xr.Dataset) -> None:
    fine = downscale(tiny_run, coarse.isel(time=2, drop=True))
    assert fine["t2m"].dims == ("latitude", "longitude")
    np.testing.assert_allclose(fine["t2m"], downscale(tiny_run, coarse)["t2m"][2], atol=1e-4)


@pytest.mark.parametrize("cells", [1, 64 * 4, 10**9])
def test_members_and_blocks(tiny_run: Path, coarse: xr.Dataset, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downscale_module, "CELLS_AT_ONCE", cells)
    members = xr.concat([coarse, coarse + 1, coarse - 1], "realization", combine_attrs="override")
    members = members.transpose("time", "realization", ...).assign_coords(realization=[0, 1, 2])
    calls: list[tuple[int, int]] = []
    fine = downscale(tiny_run, members, progress=lambda *given: calls.append(given))
    assert fine["t2m"].dims == ("time", "realization", "latitude", "longitude")
    np.testing.assert_array_equal(fine["realization"], [0, 1, 2])
    for member, shift in ((0, 0), (1, 1), (2, -1)):
        np.testing.assert_allclose(fine["u10"][:, member], downscale(tiny_run, coarse + shift)["u10"], atol=1e-4)
    blocks = -(-15 // max(1, cells // 64))
    assert calls == [(i, blocks) for i in range(1, blocks + 1)]


def test_select(tiny_run: Path, coarse: xr.Dataset) -> None:
    levels = xr.concat([coarse, coarse + 5], "level").assign_coords(level=[1000, 850])
    fine = downscale(tiny_run, levels, select={"level": 850})
    np.testing.assert_allclose(fine["t2m"], downscale(tiny_run, coarse + 5)["t2m"], atol=1e-4)


def test_fields_in_files_are_read_a_block_at_a_time(
    tiny_run: Path, coarse: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xarray.backends.netCDF4_ import NetCDF4ArrayWrapper

    read: list[int] = []
    getitem = NetCDF4ArrayWrapper._getitem

    def watch(self: Any, key: Any) -> Any:
        values = getitem(self, key)
        if values.ndim == 3:
            read.append(values.shape[0])
        return values

    coarse.to_netcdf(tmp_path / "coarse.nc")
    monkeypatch.setattr(NetCDF4ArrayWrapper, "_getitem", watch)
    monkeypatch.setattr(downscale_module, "CELLS_AT_ONCE", 2 * 64)
    with xr.open_dataset(tmp_path / "coarse.nc") as source:
        downscale(tiny_run, source, tmp_path / "fine.nc")
    assert read and max(read) <= 5  # the source's own blocks may hold more times than one of ours
    assert sum(read) <= 4 * 2 * 5


def test_output_coarsened_is_near_the_input(tiny_run: Path, coarse: xr.Dataset) -> None:
    fine = downscale(tiny_run, coarse)
    again = coarsen(open_source(fine, variables=["t2m"]).load(), 4)["t2m"]
    bicubic = torch.nn.functional.interpolate(
        torch.from_numpy(coarse["t2m"].values)[:, None], scale_factor=4, mode="bicubic"
    )
    smooth = torch.nn.functional.avg_pool2d(bicubic, 4)[:, 0].numpy()
    worst = np.abs(smooth - coarse["t2m"].values).max()
    assert np.abs(again.values - coarse["t2m"].values).max() < 1.5 * worst


def test_the_globe_has_no_seam(tmp_path: Path) -> None:
    from subgrid import train
    from tiny import SETTINGS

    fields = round_fields()
    settings = SETTINGS | {"data.variables": ["t2m"], "train.updates": 4}
    run = train(settings, source=fields, out=tmp_path / "run")
    small = coarsen(open_source(fields, variables=["t2m"]).load(), 4).rename(valid_time="time").drop_attrs(deep=False)
    fine = downscale(run, small)["t2m"]
    turned = small.roll(longitude=5).assign_coords(longitude=small.longitude)
    np.testing.assert_allclose(downscale(run, turned)["t2m"], fine.roll(longitude=20), atol=2e-3)
    half = downscale(run, small.isel(longitude=slice(0, 8)))["t2m"]
    assert np.abs(half.values - fine.values[..., :32])[..., 0].max() > 0.05


# units


@pytest.mark.parametrize("units", ["m s**-1", "m s^-1", "m/s", "m s-1", "m.s-1", "M S-1", " m  s-1"])
def test_other_spellings_of_the_units_are_taken(tiny_run: Path, coarse: xr.Dataset, units: str) -> None:
    source = coarse.isel(time=[0]).copy()
    source["u10"] = source["u10"].assign_attrs(units=units)
    written = {"M S-1": "m s-1", " m  s-1": "m s-1"}.get(units, units)  # what UDUNITS reads stays as it is
    assert downscale(tiny_run, source)["u10"].attrs["units"] == written


def in_celsius(coarse: xr.Dataset, units: str = "degC") -> xr.Dataset:
    """The same fields with the temperature in degrees Celsius."""
    celsius = (coarse["t2m"].astype(np.float64) - 273.15).astype(np.float32)
    return coarse.assign(t2m=celsius.assign_attrs(coarse["t2m"].attrs | {"units": units}))


def test_other_units_are_converted_and_converted_back(tiny_run: Path, coarse: xr.Dataset) -> None:
    said: list[str] = []
    fine = downscale(tiny_run, in_celsius(coarse, "celsius"), notify=said.append)
    expected = downscale(tiny_run, coarse)
    assert fine["t2m"].attrs == coarse["t2m"].attrs | {"units": "celsius"}
    np.testing.assert_allclose(fine["t2m"], expected["t2m"] - 273.15, atol=1e-3)
    np.testing.assert_allclose(fine["u10"], expected["u10"], atol=1e-3)
    assert said == ["the source: t2m is converted from 'celsius' to 'K', the units of the training data"]


def test_units_that_measure_something_else_are_refused(tiny_run: Path, coarse: xr.Dataset) -> None:
    source = coarse.assign(u10=coarse["u10"].assign_attrs(units="m/s2"))
    with pytest.raises(SourceError) as error:
        downscale(tiny_run, source)
    assert str(error.value) == (
        "the source: u10 is in 'm/s2', the training data in 'm s-1', and the one cannot be converted to the other. Correct the "
        "units attribute if it is wrong, or convert the values and set it."
    )


def test_values_far_outside_the_training_data_are_refused_unless_forced(
    tiny_run: Path, coarse: xr.Dataset, tmp_path: Path
) -> None:
    run, source, said = load_run(tiny_run), in_celsius(coarse, ""), list[str]()
    known = run.statistics["t2m"]
    mean = float(source["t2m"].astype(np.float64).mean())
    with pytest.raises(SourceError) as error:
        downscale(tiny_run, source, tmp_path / "fine.nc")
    assert str(error.value) == (
        f"t2m: the mean of the source over 5 evenly spaced times is {mean:.4g} K, "
        f"{(known['mean'] - mean) / known['std']:.1f} standard deviations from the mean of the training data "
        f"({known['mean']:.4g} K, standard deviation {known['std']:.4g}); at most 6 are accepted. The source states no units: "
        "set its units attribute, and the values are converted. If they are right, pass force=True (--force)."
    )
    assert list(tmp_path.iterdir()) == []
    assert downscale(tiny_run, source, force=True, notify=said.append)["t2m"].mean() < 200
    assert said == [
        "t2m is in 'K' in the training data and has no units in the source; the values are taken to be in the same units"
    ]
    for shift, refused in ((5.9, False), (6.1, True)):
        moved = coarse.copy(deep=True)
        moved["t2m"] += known["mean"] + shift * known["std"] - moved["t2m"].mean()
        if refused:
            with pytest.raises(SourceError, match="Check the values and their units attribute"):
                downscale(tiny_run, moved)
        else:
            downscale(tiny_run, moved)


def test_the_range_is_that_of_evenly_spaced_times(
    tiny_run: Path, coarse: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The units change within the series: the last time is read too, and the other times are not."""
    monkeypatch.setattr(value_range, "SAMPLE_TIMES", 2)
    run = load_run(tiny_run)
    kelvin, celsius = open_source(coarse), open_source(in_celsius(coarse, ""))
    times = xr.DataArray([0, 1, 1, 1, 0], dims="valid_time")
    check_input.check_range(run, kelvin.where(times == 0, celsius))
    with pytest.raises(SourceError, match="over 2 evenly spaced times is"):
        check_input.check_range(run, kelvin.where(times == 1, celsius))


def test_static_fields_in_other_units_are_converted(static_run: Path, weather: xr.Dataset) -> None:
    source, said = weather[["t2m", "u10"]].isel(time=slice(2)), list[str]()
    kilometres = (weather[["orography"]] / 1000).assign_attrs(weather.attrs)
    kilometres["orography"].attrs = weather["orography"].attrs | {"units": "km"}
    part = source.isel(latitude=slice(0, 8), longitude=slice(0, 8))
    whole = downscale(static_run, part, static_source=weather[["orography"]])
    fine = downscale(static_run, part, static_source=kilometres, notify=said.append)
    np.testing.assert_allclose(fine["t2m"], whole["t2m"], atol=1e-3)
    assert said[-1] == "the static source: orography is converted from 'km' to 'm', the units of the training data"


def test_kelvin_by_its_names(tiny_run: Path, coarse: xr.Dataset) -> None:
    source = coarse.isel(time=[0]).copy()
    for units in ("kelvin", "degK", ""):
        source["t2m"] = source["t2m"].assign_attrs(units=units)
        assert downscale(tiny_run, source)["t2m"].shape == (1, 32, 32)


# refusals


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_missing_values_are_refused_and_leave_nothing(
    tiny_run: Path, coarse: xr.Dataset, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downscale_module, "CELLS_AT_ONCE", 64)
    source = coarse.copy(deep=True)
    source["u10"][3, 2, 2] = np.nan
    with pytest.raises(SourceError) as error:
        downscale(tiny_run, source, tmp_path / f"fine.{ending}")
    assert str(error.value) == (
        "u10: 1 of 128 values read so far is missing (0.78 %; not the same at every time). Complete fields are needed. Fill "
        "the gaps (`cdo fillmiss2`, `ds.interpolate_na`), or choose a region, period or variable without gaps."
    )
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_overwrite_keeps_the_old_file(tiny_run: Path, coarse: xr.Dataset, tmp_path: Path) -> None:
    target = tmp_path / "fine.nc"
    downscale(tiny_run, coarse, target).close()
    old = target.read_bytes()
    source = coarse.copy(deep=True)
    source["t2m"][0, 0, 0] = np.inf
    with pytest.raises(SourceError):
        downscale(tiny_run, source, target, overwrite=True)
    assert target.read_bytes() == old
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_nothing_that_another_program_wrote_is_replaced(
    tiny_run: Path, coarse: xr.Dataset, tmp_path: Path, ending: str
) -> None:
    target = tmp_path / f"era5.{ending}"
    if ending == "nc":
        coarse.to_netcdf(target)
    else:
        coarse.to_zarr(target, consolidated=False)
    with pytest.raises(RunError, match=rf"era5\.{ending} already exists and was not written by this program"):
        downscale(tiny_run, coarse, target, overwrite=True)
    xr.testing.assert_equal(open_fields(target).load(), coarse)


def test_no_output_takes_the_place_of_its_input(tiny_run: Path, coarse: xr.Dataset, tmp_path: Path) -> None:
    source = tmp_path / "first.nc"
    downscale(tiny_run, coarse, source).close()  # an output of this program, which marks it as replaceable
    (tmp_path / "link.nc").symlink_to(source)
    for target in (source, tmp_path / "link.nc"):
        with pytest.raises(RunError, match=r"\.nc is what is read \(.*first\.nc\), and would be lost; choose"):
            downscale(tiny_run, source, target, overwrite=True)
    with xr.open_dataset(source) as opened, pytest.raises(RunError, match="is what is read"):
        downscale(tiny_run, opened, source, overwrite=True)
    store = tmp_path / "first.zarr"
    downscale(tiny_run, coarse, store)
    with pytest.raises(RunError, match="is what is read"):
        downscale(tiny_run, store, store / "second.nc")


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_of_two_writers_of_one_output_the_second_is_refused(
    tiny_run: Path, coarse: xr.Dataset, tmp_path: Path, ending: str
) -> None:
    target = tmp_path / f"fine.{ending}"
    said: list[str] = []

    def second(*_: object) -> None:
        with pytest.raises(RunError, match=rf"fine\.{ending} is being written by another process \({os.getpid()} on"):
            downscale(tiny_run, coarse, target, overwrite=True)
        said.append("refused")

    expected = downscale(tiny_run, coarse).load()
    found = downscale(tiny_run, coarse, target, progress=second).load()
    assert said
    xr.testing.assert_equal(found, expected)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_an_existing_output_is_refused_unless_told_otherwise(
    tiny_run: Path, coarse: xr.Dataset, tmp_path: Path, ending: str
) -> None:
    target, source = tmp_path / f"fine.{ending}", coarse.isel(time=[0])
    downscale(tiny_run, source, target)
    with pytest.raises(RunError) as error:
        downscale(tiny_run, coarse, target)
    assert str(error.value) == f"{target} already exists; choose another name, or pass overwrite=True (--overwrite)."
    assert downscale(tiny_run, coarse, target, overwrite=True).sizes["time"] == 5


@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_overwrite_never_takes_a_folder_of_the_users(tiny_run: Path, tmp_path: Path, ending: str) -> None:
    folder = tmp_path / f"thesis.{ending}"
    folder.mkdir()
    (folder / "chapter1.txt").write_text("years of work")
    with pytest.raises(RunError, match=rf"thesis\.{ending} already exists and is not a \.{ending} data set"):
        downscale(tiny_run, "nothing.nc", folder, overwrite=True)
    assert (folder / "chapter1.txt").exists()


def test_bad_targets_are_refused_before_anything_is_read(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError) as error:
        downscale(tiny_run, "nothing.nc", tmp_path / "fine.grib")
    assert str(error.value) == f"{tmp_path / 'fine.grib'}: cannot write '.grib'; use .nc or .zarr."
    with pytest.raises(RunError, match="cannot write 'a name without ending'; use"):
        downscale(tiny_run, "nothing.nc", tmp_path / "fine")
    with pytest.raises(RunError) as error:
        downscale(tiny_run, "nothing.nc", tmp_path / "no" / "fine.nc")
    assert str(error.value) == (
        f"{tmp_path / 'no' / 'fine.nc'}: the folder {tmp_path / 'no'} does not exist; create it first."
    )


def test_missing_variable(tiny_run: Path, coarse: xr.Dataset) -> None:
    with pytest.raises(SourceError, match="no variable 'u10'"):
        downscale(tiny_run, coarse[["t2m"]])


# static fields


def test_static_fields_of_the_training_grid(static_run: Path, coarse: xr.Dataset) -> None:
    fine = downscale(static_run, coarse)
    run = load_run(static_run)
    lr = np.stack([coarse[v].values for v in run.variables], 1)
    mean, std = (np.array([run.statistics[v][k] for v in run.variables])[:, None, None] for k in ("mean", "std"))
    static = torch.from_numpy(run.static_channels())[None].expand(5, -1, -1, -1)
    with torch.no_grad():
        made = load_generator(run)(torch.from_numpy(((lr - mean) / std).astype(np.float32)), static).numpy()
    np.testing.assert_allclose(fine["t2m"], (made * std + mean)[:, 0], atol=2e-3)


def test_static_fields_of_another_grid(
    static_run: Path, weather: xr.Dataset, coarse: xr.Dataset, tmp_path: Path
) -> None:
    part = downscale(static_run, coarse.isel(latitude=slice(1, 7)))  # inside: from the run's own
    assert part["t2m"].shape == (5, 24, 32)
    moved = coarse.assign_coords(longitude=("longitude", coarse.longitude.values + 60, coarse.longitude.attrs))
    with pytest.raises(GridError, match=r"Pass static_source \(--static FILE\) with orography, sin_latitude over this"):
        downscale(static_run, moved)
    ground = weather[["orography"]]
    ground = ground.assign_coords(longitude=("longitude", ground.longitude.values + 60, ground.longitude.attrs))
    ground.to_netcdf(tmp_path / "ground.nc")
    for static_source in (ground, tmp_path / "ground.nc", str(tmp_path / "ground.nc")):
        there = downscale(static_run, moved, static_source=static_source)
        np.testing.assert_allclose(there["t2m"], downscale(static_run, coarse)["t2m"], atol=2e-3)
    flat = downscale(static_run, moved, static_source=ground * 0)
    assert np.abs(flat["t2m"].values - there["t2m"].values).max() > 1e-4


def test_a_run_that_was_copied_works_alone(tiny_run: Path, coarse: xr.Dataset, tmp_path: Path) -> None:
    copied = shutil.copytree(tiny_run, tmp_path / "elsewhere")
    np.testing.assert_array_equal(downscale(copied, coarse)["t2m"], downscale(tiny_run, coarse)["t2m"])
