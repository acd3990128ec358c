"""Outputs follow the CF conventions 1.11 that they claim: the IOOS compliance checker finds no error in any of them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from subgrid.data.grid import refine_axis, refine_bounds, rotated_to_geographic
from subgrid.data.sources.open_source import open_source
from subgrid.data.sources.units import udunits
from subgrid.inference.conventions import plain_attrs
from subgrid.inference.downscale import downscale
from subgrid.inference.sample import sample
from subgrid.io.output import write_fields
from subgrid.training.train import train
from tiny import SETTINGS

pytestmark = pytest.mark.usefixtures("one_thread")

POLE = {
    "grid_mapping_name": "rotated_latitude_longitude",
    "grid_north_pole_latitude": 39.25,
    "grid_north_pole_longitude": -162.0,
}
LAMBERT = {
    "grid_mapping_name": "lambert_conformal_conic",
    "standard_parallel": [30.0, 60.0],
    "longitude_of_central_meridian": 10.0,
    "latitude_of_projection_origin": 45.0,
    "earth_radius": 6371229.0,
}
GAUSSIAN = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(8)[0]))
PLANE = ("projection_y_coordinate", "projection_x_coordinate")
GRIDS: dict[str, tuple[Any, Any, tuple[str, str], tuple[str, str], dict[str, Any] | None]] = {
    "regular": (np.linspace(90, 80, 8), np.arange(8) * 1.5, ("lat", "lon"), ("latitude", "longitude"), None),
    "gaussian": (GAUSSIAN, np.arange(-180, 180, 45), ("lat", "lon"), ("latitude", "longitude"), None),
    "rotated": (np.arange(8) - 4, np.arange(8) - 9, ("rlat", "rlon"), ("grid_latitude", "grid_longitude"), POLE),
    "projected": (np.arange(8) * 25e3, np.arange(8) * 25e3, ("y", "x"), PLANE, LAMBERT),
    "cells": (None, None, ("y", "x"), PLANE, None),
}
HEIGHT = {"units": "m", "standard_name": "height"}
UNITS = {"latitude": "degrees_north", "longitude": "degrees_east", PLANE[0]: "m", PLANE[1]: "m"}


def on_grid(kind: str) -> xr.Dataset:
    """Two coarse times on a grid of a kind, as files of that kind describe it, with a height and odd attributes."""
    y, x, dims, names, mapping = GRIDS[kind]
    rng = np.random.default_rng(0)
    fields = xr.Dataset(
        {
            "t2m": (("time", *dims), 280 + rng.normal(size=(2, 8, 8)).astype("f4"), {"units": "K"}),
            "u10": (("time", *dims), rng.normal(size=(2, 8, 8)).astype("f4"), {"standard_name": "eastward_wind"}),
        },
        {"time": pd.date_range("2020-01-01", periods=2, freq="6h"), "height": ((), 2.0, HEIGHT)},
    )
    if y is not None:
        for dim, name, values in zip(dims, names, (y, x), strict=True):
            attrs = {"standard_name": name, "units": UNITS.get(name, "degrees")}
            fields = fields.assign_coords({dim: (dim, np.asarray(values, "f8"), attrs)})
    if mapping is not None:
        fields["crs"] = ((), 0, mapping)
        for name in ("t2m", "u10"):
            fields[name].attrs["grid_mapping"] = "crs"
    return fields


def errors(paths: Sequence[Path], folder: Path) -> list[str]:
    """The errors (not the recommendations) that the compliance checker finds in files."""
    runner = pytest.importorskip("compliance_checker.runner")
    runner.CheckSuite.load_all_available_checkers()
    files, report = [str(path) for path in paths], folder / "report.json"
    _, crashed = runner.ComplianceChecker.run_checker(
        files, ["cf:1.11"], 0, "strict", output_filename=str(report), output_format="json_new"
    )
    found = json.loads(report.read_text())
    assert set(found) == set(files) and not crashed
    checks = [(Path(file).name, check) for file in files for check in found[file]["cf:1.11"]["high_priorities"]]
    assert len(checks) > 10 * len(files)
    return [f"{name}: {message}" for name, check in checks for message in check["msgs"]]


@pytest.fixture(scope="module")
def written(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What `downscale` writes for each kind of grid, in both formats."""
    folder, out = tmp_path_factory.mktemp("written"), {}
    for kind in GRIDS:
        on_grid(kind).to_netcdf(folder / f"{kind}_coarse.nc")
        for ending in ("nc", "zarr"):
            out[f"{kind}.{ending}"] = folder / f"{kind}.{ending}"
            downscale(tiny_run, folder / f"{kind}_coarse.nc", out[f"{kind}.{ending}"])
    return out


@pytest.fixture(scope="module")
def gan_run(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of fields from noise, on the whole domain, that has learned nothing."""
    settings = {key: value for key, value in SETTINGS.items() if key.startswith(("data.", "train."))}
    settings |= {"system": "gan", "generator.features": 8, "generator.latent": 8, "discriminator.features": 8}
    out = tmp_path_factory.mktemp("gan") / "run"
    return train(settings | {"train.updates": 2, "train.patch": 32}, store=tiny_store, out=out)


def as_netcdf(path: Path) -> Path:
    """A Zarr store as NetCDF, with the attributes that it has and no others; the checker reads NetCDF alone."""
    raw = xr.open_zarr(path, consolidated=False, decode_cf=False)
    target = path.with_name(f"{path.stem}_zarr.nc")
    raw.to_netcdf(target, encoding={n: {"_FillValue": None} for n in raw.variables if "_FillValue" not in raw[n].attrs})
    return target


def test_no_output_has_an_error(tiny_run: Path, gan_run: Path, written: dict[str, Path], tmp_path: Path) -> None:
    paths = [path if path.suffix == ".nc" else as_netcdf(path) for path in written.values()]
    members = xr.concat([on_grid("regular"), on_grid("regular")], "number").assign_coords(number=[0, 1])
    downscale(tiny_run, members, tmp_path / "members.nc")
    for ending in ("nc", "zarr"):
        sample(gan_run, tmp_path / f"sample.{ending}", num=2)
    paths += [tmp_path / "members.nc", tmp_path / "sample.nc", as_netcdf(tmp_path / "sample.zarr")]
    assert errors(paths, tmp_path) == []


def test_the_checker_finds_what_was_wrong(tmp_path: Path) -> None:
    fields = on_grid("regular").drop_vars("height")
    fields.to_netcdf(tmp_path / "old.nc")  # as `downscale` wrote before: fill values on coordinates
    assert any("must not have the _FillValue" in error for error in errors([tmp_path / "old.nc"], tmp_path))


@pytest.mark.parametrize("kind", GRIDS)
def test_cdo_reads_every_kind_of_grid(written: dict[str, Path], kind: str) -> None:
    if shutil.which("cdo") is None:
        pytest.skip("cdo is not installed")
    said = subprocess.run(["cdo", "-s", "sinfon", written[f"{kind}.nc"]], capture_output=True, text=True, check=True)
    assert said.stderr == ""
    wanted = {"regular": "lonlat", "gaussian": "lonlat", "rotated": "rotated_latitude_longitude"}
    wanted |= {"projected": "lambert_conformal_conic", "cells": "generic"}
    assert wanted[kind] in said.stdout
    assert "cellbounds" in said.stdout


@pytest.mark.parametrize("name", [f"{kind}.{ending}" for kind in GRIDS for ending in ("nc", "zarr")])
def test_attributes_of_what_is_written(written: dict[str, Path], name: str) -> None:
    path, kind = written[name], name.split(".")[0]
    raw = xr.open_zarr(path, consolidated=False, decode_cf=False) if path.suffix == ".zarr" else None
    with raw if raw is not None else xr.open_dataset(path, decode_cf=False) as file:
        assert {n for n in file.variables if "_FillValue" in file[n].attrs} == {"t2m", "u10"}
        assert file.attrs["Conventions"] == "CF-1.11"
        assert file.attrs["title"] == "t2m, u10 super-resolved by srgan"
        assert file["time"].attrs["axis"] == "T" and file["time"].attrs["units"].startswith("hours since 2020")
        for axis in GRIDS[kind][2]:
            assert file[axis].attrs["bounds"] == f"{axis}_bnds"
            assert file[f"{axis}_bnds"].dims == (axis, "bnds")
            assert file[f"{axis}_bnds"].attrs == {}
        field = file["t2m"].attrs
        assert file["height"].attrs["positive"] == "up"
        assert field["cell_methods"] == "area: mean"
        assert file["u10"].attrs["units"] == "m s-1"  # of the training data, for the source states none
        assert field["coordinates"].split() == ["height"] + (["lat", "lon"] if kind == "rotated" else [])
        assert field.get("grid_mapping") == ("crs" if GRIDS[kind][4] else None)
        if GRIDS[kind][4]:
            assert file["crs"].attrs["grid_mapping_name"] == GRIDS[kind][4]["grid_mapping_name"]


def test_cell_edges_hold_the_cells_in_every_orientation(tiny_run: Path) -> None:
    coarse = on_grid("gaussian")  # south first, from -180
    flipped = coarse.isel(lat=slice(None, None, -1), lon=slice(None, None, -1))
    one, other = (downscale(tiny_run, fields) for fields in (coarse, flipped))
    for fields, sign in ((one, 1), (other, -1)):
        for axis in ("lat", "lon"):
            edges = sign * fields[f"{axis}_bnds"].values
            centre = sign * fields[axis].values
            assert (edges[:, 0] < centre).all() and (centre < edges[:, 1]).all()
            np.testing.assert_array_equal(edges[1:, 0], edges[:-1, 1])
    np.testing.assert_allclose(np.ptp(one["lon_bnds"].values), 360.0)
    np.testing.assert_array_equal(other["lat_bnds"], one["lat_bnds"][::-1, ::-1])


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_cell_edges_at_the_pole(factor: int) -> None:
    latitude = xr.DataArray(90.0 - np.arange(181.0), dims="latitude", name="latitude")
    edges, centres = refine_bounds(latitude, factor), refine_axis(latitude, factor)
    assert edges[0, 0] == 90.0 and edges[-1, 1] == -90.0
    np.testing.assert_array_equal(edges[1:, 0], edges[:-1, 1])
    assert ((edges[:, 0] >= centres) & (centres >= edges[:, 1])).all()
    if factor > 1:
        np.testing.assert_allclose(edges.mean(1), centres, atol=1e-12)
    np.testing.assert_allclose(edges[[0, factor], 0], [90.0, 89.5])


@pytest.mark.parametrize("pole", [POLE, POLE | {"grid_north_pole_longitude": 20.0, "north_pole_grid_longitude": 35.0}])
def test_rotated_coordinates_by_rotation_matrices(pole: dict[str, Any]) -> None:
    def turn(degrees: float, *axes: int) -> np.ndarray:
        matrix, angle = np.eye(3), np.deg2rad(degrees)
        matrix[np.ix_(axes, axes)] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        return matrix

    y, x = np.meshgrid(np.linspace(-80, 80, 9), np.linspace(-170, 180, 11), indexing="ij")
    lat, lon = np.deg2rad(y), np.deg2rad(x)
    points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)
    # The grid's north pole lies at colatitude 90 - 39.25 on the meridian -162; the true pole has grid longitude 35 (or 0).
    colatitude = 90 - pole["grid_north_pole_latitude"]
    rotation = turn(pole["grid_north_pole_longitude"], 0, 1) @ turn(-colatitude, 0, 2)
    rotation = rotation @ turn(180 - pole.get("north_pole_grid_longitude", 0.0), 0, 1)
    true = points @ rotation.T
    latitude, longitude = rotated_to_geographic(y, x, pole)
    np.testing.assert_allclose(latitude, np.rad2deg(np.arcsin(true[..., 2])), atol=1e-9)
    expected = np.rad2deg(np.arctan2(true[..., 1], true[..., 0]))
    np.testing.assert_allclose((longitude - expected + 180) % 360, 180, atol=1e-8)
    pole_itself = rotated_to_geographic(90.0, 0.0, pole)
    np.testing.assert_allclose(
        pole_itself, [pole["grid_north_pole_latitude"], pole["grid_north_pole_longitude"]], atol=1e-9
    )


def test_an_output_is_a_source_again(written: dict[str, Path]) -> None:
    for name, path in written.items():
        again = open_source(path)
        assert set(again.data_vars) == {"t2m", "u10"}, name
        assert again["t2m"].shape == (2, 32, 32)


ODD: dict[str, Any] = {
    "table": {"a": 1, "b": [1, 2]},
    "nothing": None,
    "flag": True,
    "nested": [[1, 2], [3]],
    "no numbers": [],
    "mixed": [1, "a"],
    "big": 2**70,
    "moment": np.datetime64("2020-01-01"),
    "half": np.float16(0.5),
    "words": ["a", "b"],
    "number": 3,
    "bytes": b"text",
    "a/b": "slash",
    "_NCProperties": "made elsewhere",
    "scale": np.array([1.5, 2.0]),
}
"""Attributes as Zarr's JSON and open Datasets have them."""


def test_attributes_of_any_type_are_written(tiny_run: Path, tmp_path: Path) -> None:
    coarse = on_grid("regular")
    coarse.attrs = dict(ODD)
    coarse["t2m"].attrs["cell_methods"] = "level: mean"
    said: list[str] = []
    for ending in ("nc", "zarr"):
        fine = downscale(tiny_run, coarse, tmp_path / f"fine.{ending}", notify=said.append)
        assert json.loads(fine.attrs["table"]) == ODD["table"]
        assert json.loads(fine.attrs["nested"]) == ODD["nested"]
        assert fine.attrs["flag"] == "true" and fine.attrs["bytes"] == "text" and fine.attrs["a_b"] == "slash"
        assert fine.attrs["half"] == 0.5 and fine.attrs["number"] == 3 and list(fine.attrs["words"]) == ["a", "b"]
        assert not {"nothing", "no numbers", "_NCProperties"} & set(fine.attrs)
        assert fine.attrs["source"]
        fine.close()
    assert (
        "the data set: attributes written as text, because NetCDF cannot hold them: table, flag, nested, mixed, big, "
        "moment, a/b"
    ) in said
    assert "the data set: empty attributes that NetCDF cannot hold were left out: nothing, no numbers" in said
    assert "t2m: its cell_methods 'level: mean' name what the output does not have; dropped" in said


def test_plain_attributes_stay_as_they_are() -> None:
    notes: list[str] = []
    assert plain_attrs({"a": "x", "b": 1, "c": 2.5, "d": ["p", "q"]}, "t2m", notes) == {
        "a": "x", "b": 1, "c": 2.5, "d": ["p", "q"]
    }  # fmt: skip
    assert notes == []


def test_source_attributes_are_kept(tiny_run: Path) -> None:
    coarse = on_grid("regular")
    kept = {"title": "T", "institution": "I", "source": "S", "references": "R"}
    coarse.attrs = kept | {"featureType": "grid", "external_variables": "areacella", "Conventions": "CF-1.6"}
    coarse["t2m"].attrs["cell_methods"] = "area: time: maximum (interval: 1 hour)"
    fine = downscale(tiny_run, coarse)
    assert {key: fine.attrs[key] for key in kept} == kept
    assert not {"featureType", "external_variables"} & set(fine.attrs)
    assert fine["t2m"].attrs["cell_methods"] == "area: time: maximum (interval: 1 hour)"


@pytest.mark.parametrize(
    "given, expected",
    [
        *((units, units) for units in ("K", "m s**-1", "kg m-2", "%", "hPa", "mm/day", "degC")),
        *(("C", "degC"), ("deg C", "degC"), ("(0 - 1)", "1"), ("Numeric", ""), ("~", ""), (None, ""), ("gpm", "m")),
        *(("M S-1", "m s-1"), ("PA", "Pa"), ("deg", "degree"), ("psu", "1e-3"), ("m of water equivalent", "m")),
    ],
)
def test_units_are_written_for_udunits(given: Any, expected: str) -> None:
    assert udunits(given) == expected
    if expected and (cf_units := pytest.importorskip("cf_units")):
        assert not cf_units.Unit(expected).is_unknown()


def with_bounds(fields: xr.Dataset, calendar: str = "proleptic_gregorian") -> xr.Dataset:
    """The same with times at the end of the 6 hours that they stand for."""
    times = xr.date_range("2020-01-01", periods=2, freq="6h", calendar=calendar, use_cftime=calendar == "360_day")
    bounds = np.stack([times.values - (times.values[1] - times.values[0]), times.values], 1)
    fields = fields.assign_coords(time=("time", times, {"standard_name": "time", "bounds": "time_bnds"}))
    fields["time_bnds"] = (("time", "nv"), bounds)
    for name in ("t2m", "u10"):
        fields[name].attrs["cell_methods"] = "time: mean"
    return fields


@pytest.mark.parametrize("calendar", ["proleptic_gregorian", "360_day"])
@pytest.mark.filterwarnings("ignore:Variable time has datetime type")  # of the test's own source
def test_bounds_of_times_are_kept(tiny_run: Path, tmp_path: Path, calendar: str) -> None:
    source = with_bounds(on_grid("regular"), calendar)
    for i in range(2):
        source.isel(time=[i]).to_netcdf(tmp_path / f"part{i}.nc")
    source.to_zarr(tmp_path / "whole.zarr", consolidated=False)
    for given, out in (("part*.nc", "fine.nc"), ("whole.zarr", "fine.zarr")):
        downscale(tiny_run, tmp_path / given, tmp_path / out).close()
    files = [tmp_path / "fine.nc", as_netcdf(tmp_path / "fine.zarr")]
    for path in files:
        with xr.open_dataset(path) as fine, xr.open_dataset(path, decode_cf=False) as raw:
            np.testing.assert_array_equal(fine["time_bnds"], source["time_bnds"])
            assert (raw["time"].attrs["bounds"], raw["time"].attrs["calendar"]) == ("time_bnds", calendar)
            assert raw["time_bnds"].attrs.items() <= raw["time"].attrs.items()  # none, or the units and the calendar
            assert fine["t2m"].attrs["cell_methods"] == "time: mean"
    assert errors(files, tmp_path) == []


def test_bounds_are_coordinates_in_memory(tiny_run: Path, tmp_path: Path) -> None:
    fine = downscale(tiny_run, on_grid("regular"))
    assert list(fine.data_vars) == ["t2m", "u10"]
    write_fields(fine, tmp_path / "fine.nc")
    with xr.open_dataset(tmp_path / "fine.nc") as file:
        assert "coordinates" not in file.attrs and "coordinates" not in file.encoding
        assert set(file.data_vars) == {"t2m", "u10", "lat_bnds", "lon_bnds"}
