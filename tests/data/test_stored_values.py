"""What files mean by "missing", compared with netCDF4, and files that are damaged or cut off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
import zarr

from subgrid.data.check import check
from subgrid.data.sources.open_source import open_source
from subgrid.errors import SourceError

NUMBERS = [[-127, 1, 120], [-99, 0, 100], [7, 50, 3]]


def write(path: Path, stored: Any, kind: str = "f4", file_format: str = "NETCDF4", **attrs: Any) -> Path:
    """One variable `v` (time, lat, lon) of stored numbers, with attributes as they stand, 40 times unless given."""
    values = np.asarray(stored, dtype=kind)
    with netCDF4.Dataset(path, "w", format=file_format) as file:
        for name, size in (("time", None), ("lat", values.shape[-2]), ("lon", values.shape[-1])):
            file.createDimension(name, size)
        for name, units, size in (
            ("time", "hours since 2020-01-01", len(values)),
            ("lat", "degrees_north", values.shape[-2]),
            ("lon", "degrees_east", values.shape[-1]),
        ):
            axis = file.createVariable(name, "f8", (name,))
            axis.units = units
            axis[:] = np.arange(size)
        fill = attrs.pop("_FillValue", None)
        chunks = (1, *values.shape[1:]) if file_format == "NETCDF4" else None
        field = file.createVariable(
            "v", kind, ("time", "lat", "lon"), fill_value=fill, chunksizes=chunks, fletcher32=True
        )
        field.set_auto_maskandscale(False)
        field.setncatts({"units": "K", **attrs})
        field[:] = values
    return path


def opened(path: Path) -> np.ndarray:
    """Values of `v` in the order of the file."""
    with open_source(path) as fields:
        values: np.ndarray = fields["v"].values[:, ::-1]
        return values


def masked(path: Path) -> np.ndarray:
    """Values of `v` as netCDF4 masks them."""
    with netCDF4.Dataset(path) as file:
        return np.ma.filled(np.ma.asarray(file["v"][:], dtype=np.float32), np.nan)


DEFAULTS = {kind: netCDF4.default_fillvals[kind] for kind in ("i2", "i4", "i8", "u2", "u4", "f4", "f8")}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", list(DEFAULTS))
def test_default_fill_values_are_missing_as_netcdf4_has_it(tmp_path: Path, kind: str, packed: bool) -> None:
    if packed and kind[0] == "f":
        pytest.skip("floating-point values are not packed")
    stored = np.array([np.abs(NUMBERS)] * 3, dtype=kind)
    stored[1, 1, 2] = DEFAULTS[kind]
    attrs = {"scale_factor": 0.01, "add_offset": 280.0} if packed else {}
    path = write(tmp_path / "a.nc", stored, kind, **attrs)
    assert np.isnan(opened(path)).sum() == 1
    np.testing.assert_allclose(opened(path), masked(path), rtol=1e-6)


def test_bytes_have_no_default_fill_value(tmp_path: Path) -> None:
    assert not np.isnan(opened(write(tmp_path / "a.nc", [NUMBERS] * 3, "i1"))).any()


@pytest.mark.parametrize(
    ("kind", "attrs"),
    [
        ("f4", {"valid_range": np.array([-99, 100], "f4")}),
        ("f4", {"valid_min": 0}),
        ("f4", {"valid_max": 100.0, "_FillValue": 50.0}),
        ("i2", {"valid_range": np.array([0, 100], "i2")}),
        ("i2", {"valid_range": np.array([0, 100], "i2"), "scale_factor": 0.01, "add_offset": 280.0}),
        ("i2", {"valid_max": np.int16(50), "scale_factor": np.float32(-0.1)}),
        ("i1", {"valid_min": np.int32(-99), "scale_factor": 2.0}),
        ("i2", {"missing_value": np.int16(-99), "scale_factor": 0.01}),
        ("i2", {"missing_value": -99.0, "scale_factor": 0.01, "add_offset": 280.0}),
        ("f4", {"missing_value": -99.0}),
    ],
)
def test_stated_missing_values_as_netcdf4_has_them(tmp_path: Path, kind: str, attrs: dict[str, Any]) -> None:
    path = write(tmp_path / "a.nc", [NUMBERS] * 3, kind, **attrs)
    assert np.isnan(opened(path)).any()
    np.testing.assert_allclose(opened(path), masked(path), rtol=1e-6)


def test_missing_values_of_another_type(tmp_path: Path) -> None:
    """netCDF4 leaves these as they are: a number that the type cannot hold exactly, unpacked numbers, text."""
    numbers = np.array([NUMBERS] * 3, dtype="f4")
    numbers[0, 0, 0] = np.float32(-9999.9)
    for number in (-9999.9, "-9999.9"):
        path = write(tmp_path / "double.nc", numbers, missing_value=number)
        assert np.argwhere(np.isnan(opened(path))).tolist() == [[0, 0, 0]]
    path = write(
        tmp_path / "unpacked.nc", [NUMBERS] * 3, "i2", missing_value=278.73, scale_factor=0.01, add_offset=280.0
    )
    assert np.isnan(opened(path)).sum() == 3
    path = write(
        tmp_path / "range.nc", [NUMBERS] * 3, "i2", valid_range=[280.0, 281.0], scale_factor=0.01, add_offset=280.0
    )
    assert np.isnan(opened(path)).sum() == 9  # -127, -99 and 120 in each field


def test_unsigned_bounds(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", [NUMBERS] * 3, "i1", valid_range=np.array([0, -120], "i1"), _Unsigned="true")
    assert np.isnan(opened(path)).sum() == 3  # -99 is 157, and -120 is 136
    assert np.nanmax(opened(path)) == 129.0


def test_an_open_data_set_states_its_range_too() -> None:
    values = np.full((3, 3, 4), 280.0, np.float32)
    values[0, 0, 0] = 500.0
    fields = xr.Dataset(
        {"v": (("time", "lat", "lon"), values, {"valid_max": 350.0})}, {"lat": range(3), "lon": range(4)}
    )
    fields["time"] = np.datetime64("2020-01-01", "ns") + np.arange(3) * np.timedelta64(1, "h")
    for ds in (fields, fields.chunk(time=1)):
        assert np.isnan(open_source(ds)["v"].values).sum() == 1


def rain(path: Path, fill_value: float) -> Path:
    fields = np.zeros((4, 8, 8), np.float32)
    fields[:, 3] = 2.5
    fields[0, 0, 0] = -9999.0
    group = zarr.open_group(path, mode="w", zarr_format=2)
    coords = {"time": np.arange(4), "lat": np.arange(8.0) - 4, "lon": np.arange(8.0)}
    for name, values, dims in (("pr", fields, list(coords)), *((name, v, [name]) for name, v in coords.items())):
        fill = fill_value if name == "pr" else 0
        array = group.create_array(name, shape=values.shape, dtype=values.dtype, chunks=values.shape, fill_value=fill)
        array[...] = values
        array.attrs["_ARRAY_DIMENSIONS"] = dims
    group["time"].attrs["units"] = "hours since 2020-01-01"
    return path


@pytest.mark.parametrize(("fill_value", "missing"), [(0.0, 0), (-9999.0, 1)])
def test_fill_value_zero_of_zarr_2_is_a_value(tmp_path: Path, fill_value: float, missing: int) -> None:
    with open_source(rain(tmp_path / "a.zarr", fill_value)) as fields:
        values = fields["pr"].values
        assert np.isnan(values).sum() == missing
        assert (values == 0).sum() == 4 * 8 * 7 - 1
        assert fields["latitude"].values.tolist() == [3, 2, 1, 0, -1, -2, -3, -4]
        assert str(fields["valid_time"].values[0]).startswith("2020-01-01T00:00")


# --- damaged files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"])
def test_a_classic_file_that_is_cut_off(tmp_path: Path, file_format: str) -> None:
    path = write(tmp_path / "a.nc", np.ones((40, 8, 9)), file_format=file_format)  # type: ignore[arg-type]
    whole = path.read_bytes()
    assert opened(path).shape == (40, 8, 9)
    for length in (len(whole) - 1, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(SourceError) as caught:
            open_source(path)
        expected = f"a.nc: the file is shorter than its header says ({length} of {len(whole)} bytes). "
        assert str(caught.value) == expected + "Its last part is missing: download the file again."
    path.write_bytes(whole[:100])
    with pytest.raises(SourceError, match="header of the NetCDF file is damaged"):
        open_source(path)


def test_padding_at_the_end_may_be_absent(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", np.ones((3, 3, 3)), "i2", "NETCDF3_CLASSIC")
    path.write_bytes(path.read_bytes()[:-2])
    assert (opened(path) == 1).all()


def damaged(tmp_path: Path, kind: str) -> Path:
    """A file whose field of 02:00 cannot be read."""
    values = np.random.default_rng(0).normal(280, 5, (40, 8, 9)).astype(np.float32)
    if kind == "netcdf":
        path = write(tmp_path / "a.nc", values)
        content = bytearray(path.read_bytes())
        content[content.find(values[2].tobytes()) + 5] ^= 255
        path.write_bytes(content)
        return path
    path = tmp_path / "a.zarr"
    fields = xr.Dataset({"v": (("time", "lat", "lon"), values, {"units": "K"})}, {"lat": range(8), "lon": range(9)})
    fields["time"] = np.datetime64("2020-01-01", "ns") + np.arange(40) * np.timedelta64(1, "h")
    fields.to_zarr(path, zarr_format=2, encoding={"v": {"chunks": (1, 8, 9)}})
    assert json.loads((path / "v" / ".zarray").read_text())["compressor"]
    (path / "v" / "2.0.0").write_bytes(b"not a chunk")
    return path


@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
def test_a_chunk_that_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    path = damaged(tmp_path, kind)
    with open_source(path) as fields, pytest.raises(SourceError) as caught:
        fields["v"].load()
    start = f"{path.name}: v at 2020-01-01T02:00: the values could not be read ("
    assert str(caught.value).startswith(start)
    report = check(path)
    assert not report.usable
    assert report.findings[0].what.startswith(start)
