"""Fields in groups, files that are no data, and fields without values."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from subgrid.data.check import check
from subgrid.data.pairs import open_pair
from subgrid.data.sources.open_source import open_source
from subgrid.errors import SourceError


def fields(seed: int = 0, times: int = 3) -> xr.Dataset:
    data = np.random.default_rng(seed).normal(280, 5, (times, 8, 8)).astype(np.float32)
    coords = {
        "time": np.datetime64("2020-01-01", "ns") + np.arange(times) * np.timedelta64(6, "h"),
        "lat": np.arange(58.0, 50.0, -1.0),
        "lon": np.arange(-4.0, 4.0),
    }
    return xr.Dataset({"t2m": (("time", "lat", "lon"), data, {"units": "K"})}, coords)


def write(path: Path, groups: dict[str, xr.Dataset]) -> Path:
    """A NetCDF4 file or Zarr store with groups."""
    for number, (group, ds) in enumerate(groups.items()):
        mode = "a" if number else "w"
        if path.suffix == ".nc":
            ds.to_netcdf(path, mode=mode, group=group, engine="netcdf4")  # type: ignore[call-overload]
        else:
            ds.to_zarr(path, mode=mode, group=group, consolidated=False)
    return path


def refusals(path: Path) -> list[str]:
    """What `open_source` and `prepare` say, and `check`."""
    with pytest.raises(SourceError) as opened:
        open_source(path)
    with pytest.raises(SourceError) as paired:
        open_pair(str(path), variables=["t2m"], factor=2)
    report = check(path)
    assert not report.usable
    return [str(opened.value), str(paired.value), report.findings[0].text]


@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_the_only_group_opens_by_itself(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, {"Grid/inner": fields(), "Other": xr.Dataset(attrs={"a": 1})})
    np.testing.assert_array_equal(open_source(path)["t2m"].values, fields()["t2m"].values)
    assert check(path).usable


@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_of_several_groups_one_is_selected(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, {"first": fields(), "second/inner": fields(1)})
    for text in refusals(path):
        assert "the fields are in 2 groups: first, second/inner" in text
        assert 'select = {group = "first"}' in text
    for wanted in ("second/inner", "/second/inner/"):
        one = open_source(path, select={"group": wanted})
        np.testing.assert_array_equal(one["t2m"].values, fields(1)["t2m"].values)
    pair = open_pair(str(path), variables=["t2m"], factor=2, select={"group": "first", "time": "2020-01-01"})
    assert pair.fine.sizes["valid_time"] == 1
    with pytest.raises(SourceError, match=r"group = 'frist' is not in the file\. Did you mean 'first'"):
        open_source(path, select={"group": "frist"})


def test_root_fields_come_first_and_coordinates_of_the_root_hold_below(tmp_path: Path) -> None:
    both = write(tmp_path / "both.nc", {"/": fields(), "more": fields(1)})
    np.testing.assert_array_equal(open_source(both)["t2m"].values, fields()["t2m"].values)
    np.testing.assert_array_equal(open_source(both, select={"group": "more"})["t2m"].values, fields(1)["t2m"].values)
    shared = fields().drop_vars("t2m")
    path = write(tmp_path / "a.nc", {"/": shared, "fields": fields().drop_vars(["time", "lat", "lon"])})
    opened = open_source(path)
    np.testing.assert_array_equal(opened["latitude"].values, shared["lat"].values)
    np.testing.assert_array_equal(opened["valid_time"].values, shared["time"].values)
    fields().to_netcdf(tmp_path / "flat.nc")
    with pytest.raises(SourceError, match="The file has no groups"):
        open_source(tmp_path / "flat.nc", select={"group": "x"})


def tar(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("a.nc")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "a.nc: the file is empty (0 bytes)"),
        (bz2.compress(b"CDF" * 99), "compressed with bzip2. Decompress it: `bunzip2 -k a.nc`"),
        (gzip.compress(b"CDF" * 99, mtime=0), "compressed with gzip. Decompress it: `gunzip -k a.nc`"),
        (lzma.compress(b"CDF" * 99), "compressed with xz"),
        (tar(b"CDF" * 99), "the file is a tar archive"),
        (
            b"\n<!DOCTYPE html>\n<html><head><title>Earthdata\n Login</title>",
            "a web page ('Earthdata Login'), not data",
        ),
        (b"<HTML>403</HTML>", "a web page, not data"),
        (b'<?xml version="1.0"?><Error>AccessDenied</Error>', "XML text, not data"),
        (b'{"error": "token expired"}', '"token expired"'),
        (b"lat lon t2m\n50 0 280\n", "the file is plain text. Supported are NetCDF 3 and 4"),
        (b"\x0e\x03\x13\x01" + bytes(20), "an HDF4 file"),
        (bytes(100), "this kind of file is not supported"),
    ],
)
def test_what_is_no_data_is_named_for_what_it_is(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "a.nc").write_bytes(content)
    assert all(text in said for said in refusals(tmp_path / "a.nc"))


def test_a_dimension_of_length_0_is_a_finding(tmp_path: Path) -> None:
    fields(times=0).to_netcdf(tmp_path / "a.nc", unlimited_dims=["time"])
    text = "a.nc: the dimension 'time' of 't2m' has length 0: the file holds no values of it."
    assert all(text in said for said in refusals(tmp_path / "a.nc"))
    ds = fields()
    ds["empty"] = (("none", "lat", "lon"), np.zeros((0, 8, 8), np.float32))
    assert list(open_source(ds)) == ["t2m"]
    with pytest.raises(SourceError, match="the dimension 'none' of 'empty' has length 0"):
        open_source(ds, variables=["empty"])
