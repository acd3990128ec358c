"""The training store against direct computation; interrupted, resumed, and read by plain xarray."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
import xarray as xr
import zarr

from conftest import make_fields
from subgrid.data import write_store as module
from subgrid.data.grid import coarsen
from subgrid.data.splits import split_times
from subgrid.data.store import Store, open_store, other_request
from subgrid.data.write_store import discard_partial, write_store
from subgrid.errors import GridError, RunError, SourceError

FACTOR = 2


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times a chunk and eight a block, so that a few small fields make several blocks."""
    monkeypatch.setattr(module, "CHUNK_CELLS", 4 * 8 * 8)
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 4 * 8 * 8)


def write(fields: xr.Dataset, out: Path, **options: Any) -> Path:
    splits = options.pop("splits", None) or split_times(fields["valid_time"], {}, gap="2d")
    return write_store(fields, out, **{"splits": splits, "factor": FACTOR, "meta": {"facts": "same"}} | options)


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def counting(fields: xr.Dataset, read: list[int], values: Any = None) -> xr.Dataset:
    """The same fields, lazy, one time a piece; every piece read is noted."""
    array = fields["t2m"].values if values is None else values

    def piece(block_info: Any = None) -> np.ndarray:
        time = block_info[None]["array-location"][0][0]
        read.append(time)
        return array[time : time + 1]

    shape = fields["t2m"].shape
    lazy = dask.array.map_blocks(piece, chunks=((1,) * shape[0], shape[1:2], shape[2:3]), dtype=np.float32)
    return fields.assign(t2m=(fields["t2m"].dims, lazy, fields["t2m"].attrs))


class CutOff(Exception):
    """What a kill does, at a place of our choosing."""


def cut_after(num_times: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done >= num_times:
            raise CutOff

    return progress


# --- What is in it ---


def test_a_store_holds_fields_their_coarse_means_and_nothing_of_the_gap(tmp_path: Path) -> None:
    fields = make_fields(40, names=("t2m", "u10"))
    splits = split_times(fields["valid_time"], {}, gap="3d")
    store = open_store(write(fields, tmp_path / "s.zarr", splits=splits))
    kept = np.sort(np.concatenate(list(splits.values())))
    assert kept.size < 40
    expected = coarsen(fields.isel(valid_time=kept), FACTOR)
    for name in ("t2m", "u10"):
        np.testing.assert_array_equal(store.hr[name].values, fields[name].values[kept])
        np.testing.assert_array_equal(store.lr[name].values, expected[name].values)
        assert store.lr[name].dtype == store.hr[name].dtype == np.float32
        assert store.hr[name].attrs == store.lr[name].attrs == fields[name].attrs
    np.testing.assert_array_equal(store.lr["latitude"], expected["latitude"])
    for name, positions in splits.items():
        assert kept[store.positions(name)].tolist() == positions.tolist()
        assert store.meta["num_times"][name] == positions.size
        assert store.meta["periods"][name] == [str(fields["valid_time"].values[positions[i]]) for i in (0, -1)]
    assert (store.factor, store.variables, store.periodic) == (FACTOR, ["t2m", "u10"], False)
    assert store.meta["facts"] == "same"
    assert store.static is None


@pytest.mark.parametrize("group", ["hr", "lr"])
def test_plain_xarray_opens_it_with_cf_coordinates(tmp_path: Path, group: str) -> None:
    fields = make_fields(12, longitudes=np.arange(8) * 45.0)
    path = write(fields, tmp_path / "s.zarr", splits=split_times(fields["valid_time"], {}))
    ds = xr.open_zarr(path, group=group, consolidated=False)
    assert ds["t2m"].dims == ("valid_time", "latitude", "longitude")
    assert ds["latitude"].attrs == {"units": "degrees_north", "standard_name": "latitude"}
    assert ds["longitude"].attrs == {"units": "degrees_east", "standard_name": "longitude"}
    assert ds["valid_time"].attrs == {"standard_name": "time"}
    np.testing.assert_array_equal(ds["valid_time"].values, fields["valid_time"].values)
    assert ds["split"].values.tolist() == [1] * 8 + [2] * 2 + [3] * 2
    assert ds["split"].attrs["flag_meanings"] == "train valid test"
    assert open_store(path).periodic


def test_other_calendars_come_back(tmp_path: Path) -> None:
    times = xr.date_range("2000-02-25", periods=12, freq="D", calendar="360_day", use_cftime=True)
    fields = make_fields(times=times)
    store = open_store(write(fields, tmp_path / "s.zarr", splits=split_times(fields["valid_time"], {})))
    assert store.hr["valid_time"].values.tolist() == list(times)
    assert store.meta["periods"]["train"] == ["2000-02-25 00:00:00", "2000-03-02 00:00:00"]


def test_static_fields_and_a_real_coarse_partner_are_kept(tmp_path: Path) -> None:
    fields = make_fields(12)
    coarse = coarsen(make_fields(12, seed=5), FACTOR)
    static = fields[["t2m"]].isel(valid_time=0, drop=True).rename(t2m="orography")
    store = open_store(write(fields, tmp_path / "s.zarr", coarse=coarse, static=static))
    kept = np.isin(fields["valid_time"].values, store.hr["valid_time"].values)
    np.testing.assert_array_equal(store.lr["t2m"].values, coarse["t2m"].values[kept])
    assert store.static is not None
    np.testing.assert_array_equal(store.static["orography"].values, static["orography"].values)
    with pytest.raises(GridError, match="do not nest"):
        write(fields, tmp_path / "t.zarr", coarse=coarse.assign_coords(latitude=coarse.latitude + 0.5))


def test_large_fields_are_cut_into_chunks_of_a_few_coarse_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_CELLS", 8 * 8)
    fields = make_fields(4, np.arange(24) * -1.0, np.arange(12.0))
    path = write(fields, tmp_path / "s.zarr", splits=split_times(fields["valid_time"], {}))
    chunks = {group: zarr.open_group(path / group, mode="r")["t2m"].chunks for group in ("hr", "lr")}  # type: ignore[union-attr]
    assert chunks == {"hr": (1, 8, 12), "lr": (1, 4, 6)}
    np.testing.assert_array_equal(open_store(path).hr["t2m"].values, fields["t2m"].values)


# --- Statistics and fingerprint ---


@pytest.mark.slow
def test_statistics_are_those_of_the_training_split_alone(tmp_path: Path) -> None:
    fields = make_fields(40, names=("t2m", "u10"))
    store = open_store(write(fields, tmp_path / "a.zarr"))
    for name in ("t2m", "u10"):
        train = fields[name].values[:27].astype(np.float64)  # 70 % are 28, one less for the gap of two days
        got = store.meta["statistics"][name]
        expected = {"mean": train.mean(), "std": train.std(), "min": train.min(), "max": train.max()}
        assert {key: got[key] for key in expected} == pytest.approx(expected, rel=1e-12)
        assert got["count"] == train.size
        assert (got["units"], got["long_name"], got["standard_name"]) == ("K", name, "")
    assert store.meta["statistics"]["t2m"]["mean"] == pytest.approx(273, abs=1)
    other = fields.copy(deep=True)
    other["t2m"][30:] += 100.0
    changed = open_store(write(other, tmp_path / "b.zarr"))
    assert changed.meta["statistics"] == store.meta["statistics"]
    assert changed.meta["fingerprint"] != store.meta["fingerprint"]


def test_the_fingerprint_is_of_the_values_not_of_the_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = make_fields(40)
    first = open_store(write(fields, tmp_path / "a.zarr")).meta
    monkeypatch.setattr(module, "BLOCK_BYTES", 2**20)
    second = open_store(write(fields, tmp_path / "b.zarr")).meta
    assert second["fingerprint"] == first["fingerprint"]
    for key, value in first["statistics"]["t2m"].items():
        assert second["statistics"]["t2m"][key] == (
            pytest.approx(value, rel=1e-12) if key in ("mean", "std") else value
        )
    fields["t2m"][-1, 0, 0] = np.nextafter(fields["t2m"][-1, 0, 0].values, np.float32(np.inf))
    assert open_store(write(fields, tmp_path / "c.zarr")).meta["fingerprint"] != first["fingerprint"]


def test_a_constant_variable_is_refused(tmp_path: Path) -> None:
    fields = make_fields(12)
    fields["t2m"][:] = 5.0
    text = (
        "t2m is constant (5) over the training split. Remove it from data.variables: there is nothing to learn from it."
    )
    with pytest.raises(SourceError, match=f"^{re.escape(text)}$"):
        write(fields, tmp_path / "s.zarr")
    assert not (tmp_path / "s.zarr").exists()


# --- Interrupted and resumed ---


@pytest.mark.slow
@pytest.mark.parametrize("num_times", [8, 16, 24, 32, 40])
def test_a_store_cut_off_at_any_block_is_finished_without_reading_again(tmp_path: Path, num_times: int) -> None:
    fields = make_fields(40)
    options = {"splits": split_times(fields["valid_time"], {})}
    whole = contents(write(fields, tmp_path / "whole.zarr", **options))
    out, read = tmp_path / "s.zarr", list[int]()
    with pytest.raises(CutOff):
        write(counting(fields, read), out, progress=cut_after(num_times), **options)
    assert sorted(read) == list(range(num_times))
    with pytest.raises(RunError, match="Its preparation was interrupted; prepare it again to resume"):
        open_store(out)
    seen: list[tuple[int, int]] = []
    write(counting(fields, read), out, progress=lambda done, total: seen.append((done, total)), **options)
    assert sorted(read) == list(range(40))
    assert seen == [(n, 40) for n in (8, 16, 24, 32, 40)]
    assert contents(out) == whole
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("s.zarr")] == ["s.zarr"]


@pytest.mark.slow
def test_a_store_is_finished_with_blocks_of_another_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = make_fields(40)
    whole = contents(write(fields, tmp_path / "whole.zarr"))
    with pytest.raises(CutOff):
        write(fields, tmp_path / "s.zarr", progress=cut_after(16))
    monkeypatch.setattr(module, "BLOCK_BYTES", 12 * 4 * 8 * 8)
    made = contents(write(fields, tmp_path / "s.zarr"))
    assert {k: v for k, v in made.items() if k != "store.json"} == {k: v for k, v in whole.items() if k != "store.json"}


@pytest.mark.slow
@pytest.mark.parametrize("other", ["meta", "method", "times", "splits", "grid", "variables", "damaged"])
def test_another_request_begins_anew(tmp_path: Path, other: str) -> None:
    out, fields = tmp_path / "s.zarr", make_fields(40)
    with pytest.raises(CutOff):
        write(fields, out, progress=cut_after(16))
    options: dict[str, Any] = {}
    fields = make_fields(40, seed=1)
    if other == "meta":
        options["meta"] = {"facts": "others"}
    elif other == "method":
        options["method"] = "bilinear"
    elif other == "times":
        fields["valid_time"] = fields["valid_time"] + np.timedelta64(1, "h")
    elif other == "splits":
        options["splits"] = split_times(fields["valid_time"], {}, gap="1d")
    elif other == "grid":
        fields["longitude"] = fields["longitude"] + 1.0
    elif other == "variables":
        fields = fields.rename(t2m="d2m")
    else:
        (tmp_path / "s.zarr.partial" / "blocks.json").write_text("{")
    store = open_store(write(fields, out, **options))
    name = store.variables[0]
    kept = np.isin(fields["valid_time"].values, store.hr["valid_time"].values)
    np.testing.assert_array_equal(store.hr[name].values, fields[name].values[kept])


def test_a_partial_store_can_be_discarded(tmp_path: Path) -> None:
    with pytest.raises(CutOff):
        write(make_fields(40), tmp_path / "s.zarr", progress=cut_after(16))
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr.partial"]
    discard_partial(tmp_path / "s.zarr")
    assert list(tmp_path.iterdir()) == []
    discard_partial(tmp_path / "s.zarr")


def test_a_store_is_replaced_only_by_a_complete_one(tmp_path: Path) -> None:
    out, fields = tmp_path / "s.zarr", make_fields(40)
    first = contents(write(fields, out))
    with pytest.raises(CutOff):
        write(make_fields(40, seed=1), out, meta={"facts": 2}, progress=cut_after(8))
    assert contents(out) == first
    write(make_fields(40, seed=1), out, meta={"facts": 2})
    assert open_store(out).meta["facts"] == 2
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]


# --- What is refused ---


@pytest.mark.parametrize(
    ("time", "value", "text"),
    [
        (
            2,
            np.nan,
            "2 of 256 values read so far are missing (0.78 %; not the same at every time), first at 2020-01-03T00:00.",
        ),
        (30, np.inf, "2 of 2048 values read so far are infinite, first at 2020-01-31T00:00."),
    ],
)
def test_missing_values_are_refused_and_leave_no_store(tmp_path: Path, time: int, value: float, text: str) -> None:
    fields = make_fields(40, names=("t2m", "u10"))
    fields["u10"][time, 1:3, 4] = value
    with pytest.raises(SourceError) as caught:
        write(fields, tmp_path / "s.zarr", splits=split_times(fields["valid_time"], {}))
    assert str(caught.value).startswith(f"u10: {text} ")
    assert not (tmp_path / "s.zarr").exists()
    with pytest.raises(RunError):
        open_store(tmp_path / "s.zarr")


def test_missing_values_of_a_coarse_partner_are_refused(tmp_path: Path) -> None:
    fields = make_fields(12)
    coarse = coarsen(fields, FACTOR)
    coarse["t2m"][0, 0, 0] = np.nan
    with pytest.raises(SourceError, match=r"^coarse t2m: 1 of "):
        write(fields, tmp_path / "s.zarr", coarse=coarse)


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    text = f"{tmp_path} is not a training store (no store.json in it). Make one (`subgrid prepare`)."
    with pytest.raises(RunError, match=f"^{re.escape(text)}$"):
        open_store(tmp_path)
    (tmp_path / "store.json").write_text('{"format": 0}')
    text = f"{tmp_path} has store format 0; this version reads 1. Make the store again (`subgrid prepare`)."
    with pytest.raises(RunError, match=f"^{re.escape(text)}$"):
        open_store(tmp_path)


def test_the_same_request_is_known_again(tmp_path: Path) -> None:
    path = write(make_fields(12), tmp_path / "s.zarr", meta={"a": 1, "b": (1, 2)})
    assert other_request(path, {"a": 1}) is None
    assert other_request(path, {"a": 1, "b": (1, 2)}) is None  # JSON has lists only
    assert other_request(path, {"a": 2}) == "a was 1 and is now 2"
    assert other_request(path, {"c": 1}) == "c was None and is now 1"


def test_what_an_earlier_version_did_not_record_is_no_difference(tmp_path: Path) -> None:
    recorded = {"data": {"factor": 2}, "files": [["a.zarr", 1, 2]]}
    path = write(make_fields(12), tmp_path / "s.zarr", meta=recorded)
    assert other_request(path, {"data": {"factor": 2, "later": None}, "files": [["a.zarr", 1, 2, "digest"]]}) is None
    assert other_request(path, {"data": {}}) == "data.factor was 2 and is now None"
    assert other_request(path, {"data": {"factor": 2, "later": "x"}}) == "data.later was None and is now 'x'"
    assert other_request(path, {"files": [["a.zarr", 1, 3, "digest"]]}) == "its source files have changed"
    assert other_request(path, {"files": []}) == "its source files have changed"


# --- Identity ---


def test_the_digest_is_of_everything_that_a_batch_can_hold(tmp_path: Path) -> None:
    fine, static = make_fields(12), make_fields(1).isel(valid_time=0, drop=True).rename(t2m="height")
    meta = {"vectors": {}, "static": {"height": {"mean": 273.0, "std": 1.0}}}

    def digest(fine: xr.Dataset = fine, *, static: xr.Dataset = static, meta: Any = meta, **more: Any) -> str:
        path = write(fine, tmp_path / "s.zarr", static=static, meta=meta, **more)
        return str(open_store(path).meta["digest"])

    coarse = coarsen(fine, FACTOR, "mean")
    same = digest()
    assert digest(coarse=coarse.astype(np.float32)) == same
    one_value = fine.copy(deep=True)
    one_value["t2m"][11, 7, 7] += 1
    others = [
        digest(one_value),
        digest(coarse=coarse + 0.01),
        digest(static=static + 1),
        digest(meta={**meta, "static": {"height": {"mean": 0.0, "std": 1.0}}}),
        digest(meta={**meta, "vectors": {"t2m": "x"}}),
        digest(fine.assign_coords(valid_time=fine["valid_time"] + np.timedelta64(1, "h"))),
    ]
    assert len({same, *others}) == 1 + len(others)


@pytest.mark.parametrize("group", ["hr", "lr", "static"])
def test_a_lost_chunk_is_refused_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    monkeypatch.setattr(module, "CHUNK_CELLS", 64)
    fine, static = make_fields(12), make_fields(1).isel(valid_time=0, drop=True).rename(t2m="height") * 0
    meta = {"static": {"height": {"mean": 0.0, "std": 1.0}}}
    path = write(fine, tmp_path / "s.zarr", static=static, meta=meta)
    assert np.isfinite(open_store(path).hr["t2m"].values).all()
    name, place, cells = (
        ("height", "0/0", "latitude 0 to 7") if group == "static" else ("t2m", "5/0/0", "valid_time 5 to 5")
    )
    (path / group / name / "c" / place).unlink()
    with pytest.raises(
        RunError, match=rf"s\.zarr is damaged: of {name} in {group}, the chunk with {cells}.*is not there"
    ):
        open_store(path)


def test_a_chunk_that_is_lost_while_a_store_is_made_enters_no_statistics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_CELLS", 64)
    chunk = tmp_path / "s.zarr.partial" / "hr" / "t2m" / "c" / "3" / "0" / "0"
    with pytest.raises(RunError, match="the chunk with valid_time 3 to 3"):
        write(
            make_fields(12), tmp_path / "s.zarr", progress=lambda done, total: chunk.unlink() if done == total else None
        )
    assert not (tmp_path / "s.zarr").exists()


# --- Memory ---


def peak_bytes(num_times: int, out: Path) -> int:
    fields = make_fields(1, np.arange(96) * -0.5, np.arange(96) * 0.5)
    one = fields["t2m"].values
    times = np.datetime64("2020-01-01", "ns") + np.arange(num_times) * np.timedelta64(1, "h")
    lazy = dask.array.map_blocks(
        lambda block_info=None: one + np.float32(block_info[None]["chunk-location"][0]),
        chunks=((1,) * num_times, (96,), (96,)),
        dtype=np.float32,
    )
    dims = fields["t2m"].dims
    coords = {"valid_time": times, "latitude": fields.latitude, "longitude": fields.longitude}
    ds = xr.Dataset({"t2m": (dims, lazy)}, coords)
    tracemalloc.start()
    try:
        write(ds, out, splits=split_times(ds["valid_time"], {}))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_CELLS", 256 * 256)
    monkeypatch.setattr(module, "BLOCK_BYTES", 16 * 4 * 96 * 96)
    peak_bytes(16, tmp_path / "warm.zarr")
    few, many = peak_bytes(32, tmp_path / "few.zarr"), peak_bytes(96, tmp_path / "many.zarr")
    # What grows is the graph of the lazy source, some 3 kB a time; a field has 37.
    assert many - few < 0.3 * (96 - 32) * 4 * 96 * 96


def test_a_store_stays_on_disk_until_it_is_read(tmp_path: Path) -> None:
    store = open_store(write(make_fields(12), tmp_path / "s.zarr"))
    assert isinstance(store, Store)
    assert not store.hr["t2m"].variable._in_memory
    assert not store.lr["t2m"].variable._in_memory
