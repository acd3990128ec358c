"""How often sources are read: values counted where xarray takes them from NetCDF files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from subgrid.data import write_store
from subgrid.data.blocks import as_indexer, read_blocks
from subgrid.data.sources import fields as fields_module
from subgrid.data.sources import readers, times
from subgrid.data.sources.open_source import open_source
from subgrid.errors import SourceError
from subgrid.evaluation import score_files
from subgrid.evaluation.score_files import score
from subgrid.training.prepare import prepare

SIZE = 16
NUM_TIMES = 400
FIELD = SIZE * SIZE


def series(seed: int, num_times: int = NUM_TIMES, start: str = "2020-01-01") -> xr.Dataset:
    """Three variables on a small grid, to be packed as reanalyses are."""
    rng = np.random.default_rng(seed)
    dims, shape = ("time", "latitude", "longitude"), (num_times, SIZE, SIZE)
    return xr.Dataset(
        {name: (dims, 280 + rng.normal(size=shape), {"units": "K"}) for name in ("a", "b", "c")},
        coords={
            "time": pd.date_range(start, periods=num_times, freq="6h"),
            "latitude": ("latitude", 50.0 - np.arange(SIZE), {"units": "degrees_north"}),
            "longitude": ("longitude", 5.0 + np.arange(SIZE), {"units": "degrees_east"}),
        },
    )


def write(fields: xr.Dataset, path: Path) -> Path:
    packing = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 280.0, "_FillValue": -32768}
    fields.to_netcdf(path, encoding=dict.fromkeys(fields.data_vars, packing))
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """Counts the values that are read, by file and variable; blocks are small and no multiples of one another."""
    from xarray.backends.netCDF4_ import NetCDF4ArrayWrapper

    read: Counter[tuple[str, str]] = Counter()
    original = NetCDF4ArrayWrapper._getitem

    def counted(self: Any, key: Any) -> Any:
        values = original(self, key)
        assert all(isinstance(part, slice | int | np.integer) for part in key), key
        read[Path(self.datastore._filename).stem, self.variable_name] += np.size(values)
        return values

    monkeypatch.setattr(NetCDF4ArrayWrapper, "_getitem", counted)
    monkeypatch.setattr(times, "BLOCK_VALUES", 50 * FIELD)
    monkeypatch.setattr(write_store, "BLOCK_BYTES", 4 * 3 * 32 * FIELD)
    monkeypatch.setattr(score_files, "BLOCK_CELLS", 22 * FIELD)
    return read


def settings(source: Path, **more: Any) -> dict[str, Any]:
    data = {"source": str(source), "variables": ["a", "b", "c"], "factor": 4, **more}
    return {"system": "srgan", "data": data}


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["north first", "south first"])
def test_prepare_reads_a_source_once(tmp_path: Path, reads: Counter[tuple[str, str]], order: slice) -> None:
    path = write(series(0).isel(latitude=order), tmp_path / "fine.nc")
    store = prepare(settings(path), out=tmp_path / "store.zarr")
    assert {name: reads["fine", name] for name in "abc"} == dict.fromkeys("abc", NUM_TIMES * FIELD)
    with xr.open_zarr(store / "hr", consolidated=False) as hr:
        np.testing.assert_allclose(hr["b"], series(0)["b"], atol=6e-4)


def test_prepare_of_a_pair_reads_the_common_times_once(tmp_path: Path, reads: Counter[tuple[str, str]]) -> None:
    fine = write(series(0), tmp_path / "fine.nc")
    small = series(0).isel(time=slice(0, None, 2)).coarsen(latitude=4, longitude=4).mean()
    coarse = write(small, tmp_path / "coarse.nc")
    prepare(settings(fine, coarse_source=str(coarse)), out=tmp_path / "store.zarr")
    assert reads["fine", "a"] == NUM_TIMES * FIELD
    assert reads["coarse", "a"] == NUM_TIMES // 2 * FIELD // 16


def test_score_reads_the_reference_twice_and_all_else_once(tmp_path: Path, reads: Counter[tuple[str, str]]) -> None:
    paths = [write(series(seed), tmp_path / f"{name}.nc") for seed, name in enumerate(["truth", "ours", "theirs"])]
    options: dict[str, Any] = {"names": ["rmse", "bias"], "out": tmp_path / "scores"}
    score(paths[1], paths[0], baselines={"theirs": paths[2]}, **options)
    every = {name: [reads[name, v] / (NUM_TIMES * FIELD) for v in "abc"] for name in ("truth", "ours", "theirs")}
    assert every == {"truth": [2, 2, 2], "ours": [1, 1, 1], "theirs": [1, 1, 1]}


@pytest.mark.parametrize("chunks", [1, 7, 10, 64, (3, 50, 11)])
@pytest.mark.parametrize("first", [0, 10, 30])
def test_blocks_hold_what_they_say_and_chunks_are_read_once(chunks: Any, first: int) -> None:
    values, asked = np.arange(64.0 * 2).reshape(64, 2), []

    def read(block: np.ndarray) -> np.ndarray:
        asked.extend(block[:, 0])
        return block

    lazy = dask.array.from_array(values, chunks=(chunks, 2)).map_blocks(read, meta=np.empty((0, 0)))
    fields = xr.Dataset({"a": (("valid_time", "x"), lazy), "b": (("valid_time", "x"), values)})
    blocks = [slice(i, min(i + 10, 64)) for i in range(first, 64, 10)]
    for block, got in zip(blocks, read_blocks(fields, blocks), strict=True):
        np.testing.assert_array_equal(got["a"].values, values[block])
        np.testing.assert_array_equal(got["b"].values, values[block])
    assert len(asked) == len(set(asked))


def test_positions_of_equal_distance_are_a_slice() -> None:
    assert as_indexer([3, 4, 5]) == slice(3, 6, 1)
    assert as_indexer(np.arange(2, 20, 6)) == slice(2, 15, 6)
    assert as_indexer([7]) == slice(7, 8, 1)
    assert as_indexer([]) == slice(0, 0)
    assert isinstance(as_indexer([1, 2, 4]), np.ndarray) and isinstance(as_indexer([2, 1]), np.ndarray)


# --- Series of files ---


def days(folder: Path, changes: dict[int, Any]) -> xr.Dataset:
    """Write a file for each of five days, changed where asked for; return what they hold together."""
    whole = series(3, num_times=20)
    for day in range(5):
        fields = whole.isel(time=slice(4 * day, 4 * day + 4))
        write(changes.get(day, lambda same: same)(fields), folder / f"day{day}.nc")
    return whole


def moved(fields: xr.Dataset) -> xr.Dataset:
    """On the same grid, but for the rounding of float32."""
    return fields.assign_coords(latitude=fields["latitude"] + np.float64(1e-6))


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, 1),
        ({1: lambda fields: fields.assign_attrs(history="made again")}, 1),
        ({2: moved}, 2),
        ({2: moved, 4: lambda fields: fields.assign(d=fields["a"] * 0)}, 3),
    ],
)
def test_files_that_differ_in_their_times_alone_are_opened_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[int, Any], kinds: int
) -> None:
    normalised: list[str] = []
    original = fields_module.normalise
    monkeypatch.setattr(
        fields_module, "normalise", lambda part, *a, **k: normalised.append(part.name) or original(part, *a, **k)
    )
    whole = days(tmp_path, changes)
    opened = open_source(str(tmp_path / "*.nc"), variables=["a", "b", "c"])
    assert len(normalised) == kinds
    assert opened.attrs["source"] == "5 files (day0.nc .. day4.nc)"
    for positions in (slice(None), slice(None, None, -1), slice(3, 17, 5), slice(4, 4), [0, 7, 8, 19]):
        got, expected = opened.isel(valid_time=positions), whole.isel(time=positions)
        np.testing.assert_array_equal(got["valid_time"].values, expected["time"].values)
        np.testing.assert_allclose(got["b"].values, expected["b"].values, atol=6e-4)


def test_files_in_another_order_and_overlapping_ones(tmp_path: Path) -> None:
    whole = days(tmp_path, {})
    opened = open_source([tmp_path / f"day{day}.nc" for day in (3, 0, 4, 2, 1)])
    np.testing.assert_allclose(opened["c"].values, whole["c"].values, atol=6e-4)
    with pytest.raises(SourceError, match="4 of 8 times occur more than once"):
        open_source([tmp_path / "day1.nc", tmp_path / "day1.nc"])


def test_a_damaged_file_of_a_series_is_named(tmp_path: Path) -> None:
    days(tmp_path, {})
    with xr.set_options(file_cache_maxsize=1):  # so that the file is opened again
        opened = open_source(str(tmp_path / "*.nc"))
    (tmp_path / "day2.nc").write_bytes(b"damaged")
    with pytest.raises(SourceError, match=r"day2\.nc: a at 2020-01-03T00:00: the values could not be read"):
        opened["a"].load()


def test_a_series_of_files_is_prepared_and_read_once(tmp_path: Path, reads: Counter[tuple[str, str]]) -> None:
    days(tmp_path, {})
    prepare(settings(tmp_path / "*.nc"), out=tmp_path / "store.zarr")
    counts = [reads[f"day{day}", "a"] for day in range(5)]
    assert min(counts) == 4 * FIELD
    assert sum(counts) <= 6 * 4 * FIELD  # rarely two threads read one file at the same moment; twice each would be 10


def test_an_unchanged_request_opens_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: Counter[tuple[str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    whole, opened = days(tmp_path, {}), list[Path]()
    original = readers.open_path
    monkeypatch.setattr(readers, "open_path", lambda path, **k: opened.append(path) or original(path, **k))
    wanted = settings(tmp_path / "*.nc")
    made = {out: prepare(wanted, out=out) for out in (None, tmp_path / "store.zarr")}
    opened.clear()
    reads.clear()
    for out, store in made.items():
        assert prepare(wanted, out=out) == store
    assert not opened and not reads
    assert prepare(settings(tmp_path / "*.nc", factor=2)) != made[None]  # other settings
    write(whole.isel(time=slice(16, 20)) + 1.0, tmp_path / "day4.nc")  # a file of the same size that was written anew
    assert len(opened) == 5
    assert prepare(wanted) != made[None]
    assert len(opened) == 10
