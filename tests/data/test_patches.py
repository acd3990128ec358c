"""Patches: each cell of a batch is traced back to the time, row and column that it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import make_fields
from subgrid.data.patches import Batch, PatchSampler, patch_shape, stack, static_channels
from subgrid.data.scaling import Scaling, scaling_of
from subgrid.data.splits import split_times
from subgrid.data.store import Store, open_store
from subgrid.data.write_store import write_store

FACTOR = 4
ROWS, COLUMNS = 32, 48
NAMES = ("time", "u", "v", "t2m")
STATIC = ("row", "column")
VECTORS: Any = {"u": "x", "v": "y"}


def make_store(out: Path, *, periodic: bool, num_times: int = 20, rows: int = ROWS, columns: int = COLUMNS) -> Store:
    """A store whose first variable is the time's number, and whose static fields are the cell's row and column.

    Coarse cells are means of the four fine cells round their centre, the same at every latitude.
    """
    step = 360.0 / columns if periodic else 1.0
    fields = make_fields(num_times, 60 - np.arange(rows), np.arange(columns) * step, names=NAMES, mean=40.0)
    fields["time"][:] = np.arange(num_times)[:, None, None]
    lines = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    static = xr.Dataset(
        {name: (("latitude", "longitude"), line.astype(np.float32)) for name, line in zip(STATIC, lines, strict=True)},
        {d: fields[d] for d in ("latitude", "longitude")},
    )
    meta = {"static": {name: {"mean": float(static[name].mean()), "std": float(static[name].std())} for name in STATIC}}
    splits = split_times(fields["valid_time"], {})
    write_store(fields, out, splits=splits, factor=FACTOR, method="bilinear", static=static, meta=meta)
    return open_store(out)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Store]:
    folder = tmp_path_factory.mktemp("stores")
    return {name: make_store(folder / f"{name}.zarr", periodic=name == "globe") for name in ("globe", "region")}


def sampler(store: Store, **options: Any) -> PatchSampler:
    return PatchSampler(store, "train", **{"patch": 16, "batch": 4, "seed": 3} | options)


def physical(store: Store, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """lr and hr in their units, and the rows and columns (b, 2, y, x) that the static channels tell of."""
    scaling = scaling_of(store.meta["statistics"], store.variables)
    mean, std = (np.array([store.meta["static"][n][key] for n in STATIC])[:, None, None] for key in ("mean", "std"))
    return scaling.unscale(batch.lr), scaling.unscale(batch.hr), np.rint(batch.static * std + mean).astype(int)


def traced(store: Store, hr: np.ndarray, places: np.ndarray) -> np.ndarray:
    """What the store holds at the time, rows and columns that a sample tells of itself."""
    whole = stack(store.hr, store.variables)
    time = round(float(hr[0].mean()))
    return whole[time][:, places[0], places[1]]


def close(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)


# --- What a batch holds ---


@pytest.mark.parametrize("name", ["globe", "region"])
def test_every_cell_is_where_its_static_channels_say(stores: dict[str, Store], name: str) -> None:
    store, draws = stores[name], sampler(stores[name])
    for step in range(10):
        batch = draws.draw(step)
        assert (batch.lr.shape, batch.hr.shape, batch.static.shape) == ((4, 4, 4, 4), (4, 4, 16, 16), (4, 2, 16, 16))
        assert {part.dtype for part in batch} == {np.dtype(np.float32)}
        _, hr, places = physical(store, batch)
        for sample, place in zip(hr, places, strict=True):
            close(sample, traced(store, sample, place))


@pytest.mark.parametrize("name", ["globe", "region"])
@pytest.mark.parametrize("flips", [False, True])
def test_the_coarse_patch_is_the_coarsened_fine_patch(stores: dict[str, Store], name: str, flips: bool) -> None:
    store = stores[name]
    across = 0
    for step in range(15):
        lr, hr, places = physical(store, sampler(store, flips=flips, vectors=VECTORS).draw(step))
        blocks = hr.reshape(4, 4, 4, FACTOR, 4, FACTOR)[:, :, :, 1:3, :, 1:3]
        close(lr, blocks.mean((3, 5)))
        across += int((np.ptp(places[:, 1], axis=(1, 2)) > 15).sum())
    assert (across > 5) == (name == "globe")  # some patches lie across the seam of the globe, none of the region


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("name", ["globe", "region"])
def test_memory_and_disk_give_the_same(stores: dict[str, Store], name: str, flips: bool) -> None:
    held, read = (sampler(stores[name], flips=flips, vectors=VECTORS, memory_limit=limit) for limit in (2**30, 0))
    assert held._hr is not None
    assert read._hr is None
    for step in range(6):
        for a, b in zip(held.draw(step), read.draw(step), strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_memory_limit_is_the_size_of_the_split(stores: dict[str, Store]) -> None:
    size = 4 * 14 * len(NAMES) * ROWS * COLUMNS
    assert sampler(stores["region"], memory_limit=size)._hr is not None
    assert sampler(stores["region"], memory_limit=size - 1)._hr is None


# --- Which patches are drawn ---


def test_a_draw_depends_on_seed_and_step_alone(stores: dict[str, Store]) -> None:
    forward, backward = sampler(stores["globe"], flips=True), sampler(stores["globe"], flips=True)
    first = {step: forward.draw(step) for step in range(9)}
    for step in reversed(range(9)):
        for a, b in zip(first[step], backward.draw(step), strict=True):
            np.testing.assert_array_equal(a, b)
    assert abs(first[0].hr - first[1].hr).max() > 0
    assert abs(first[0].hr - sampler(stores["globe"], flips=True, seed=4).draw(0).hr).max() > 0


@pytest.mark.parametrize("batch", [1, 4, 7])
def test_every_time_is_used_once_before_any_again(stores: dict[str, Store], batch: int) -> None:
    store = stores["globe"]
    draws = sampler(store, batch=batch)
    times: list[int] = []
    for step in range(3 * 14 // batch + 1):
        times += np.rint(physical(store, draws.draw(step))[1][:, 0].mean((1, 2))).astype(int).tolist()
    passes = [times[i : i + 14] for i in (0, 14, 28)]
    assert [sorted(one) for one in passes] == [list(range(14))] * 3
    assert passes[0] != passes[1]


@pytest.mark.parametrize("split", ["valid", "test"])
def test_other_splits_give_their_own_times(stores: dict[str, Store], split: str) -> None:
    store = stores["region"]
    hr = physical(store, PatchSampler(store, split, patch=16, batch=6, seed=0).draw(0))[1]
    expected = {"valid": {14, 15, 16}, "test": {17, 18, 19}}[split]
    assert set(np.rint(hr[:, 0].mean((1, 2))).astype(int).tolist()) == expected


@pytest.mark.parametrize("name", ["globe", "region"])
def test_every_row_and_column_is_reached_and_no_region_wraps(stores: dict[str, Store], name: str) -> None:
    store, draws = stores[name], sampler(stores[name], batch=8)
    corners = set()
    for step in range(60):
        places = physical(store, draws.draw(step))[2]
        if name == "region":
            assert (np.diff(places[:, 1], axis=2) == 1).all()
        assert (np.diff(places[:, 0], axis=1) == 1).all()
        corners |= {(int(row), int(column)) for row, column in places[:, :, 0, 0]}
    columns = COLUMNS if name == "globe" else COLUMNS - 16 + 1
    assert {row for row, _ in corners} == set(range(0, ROWS - 16 + 1, FACTOR))
    assert {column for _, column in corners} == set(range(0, columns, FACTOR))


def test_a_domain_smaller_than_the_patch_is_taken_whole(stores: dict[str, Store]) -> None:
    store = stores["region"]
    assert patch_shape(store.hr, 40, store.factor) == (32, 40)
    assert patch_shape(store.hr, 64, store.factor) == (32, 48)
    assert patch_shape(store.hr, 18, store.factor) == (16, 16)
    batch = sampler(store, patch=64).draw(0)
    assert batch.hr.shape == (4, 4, 32, 48)
    _, hr, places = physical(store, batch)
    assert (places[:, :, 0, 0] == 0).all()
    close(hr[0], traced(store, hr[0], places[0]))


def test_patches_per_epoch_cover_the_split_about_once(stores: dict[str, Store]) -> None:
    assert sampler(stores["region"]).patches_per_epoch == 14 * 2 * 3
    assert sampler(stores["region"], patch=64).patches_per_epoch == 14
    assert sampler(stores["region"], patch=24).patches_per_epoch == round(14 * 32 / 24 * 2)


# --- Mirrors ---


@pytest.mark.parametrize("vectors", [VECTORS, None])
def test_mirrors_turn_the_components_across_them(stores: dict[str, Store], vectors: Any) -> None:
    store, draws = stores["globe"], sampler(stores["globe"], flips=True, vectors=vectors)
    seen = set()
    for step in range(12):
        _, hr, places = physical(store, draws.draw(step))
        for sample, place in zip(hr, places, strict=True):
            original = traced(store, sample, place)
            # Modulo the circle, columns fall where the sample is mirrored east-west, rows where north-south.
            east_west = (place[1, 0, 1] - place[1, 0, 0]) % COLUMNS != 1
            north_south = place[0, 1, 0] < place[0, 0, 0]
            seen.add((bool(east_west), bool(north_south)))
            signs = np.array(
                [1.0, -1.0 if east_west and vectors else 1.0, -1.0 if north_south and vectors else 1.0, 1.0]
            )
            close(sample, original * signs[:, None, None])
            close(np.hypot(sample[1], sample[2]), np.hypot(original[1], original[2]))
            assert abs(original[1].mean()) > 10  # the sign is of the wind in m s-1, not of its departure from the mean
    assert seen == {(a, b) for a in (False, True) for b in (False, True)}


def test_rotation_changes_its_sign_in_each_mirror(stores: dict[str, Store]) -> None:
    store = stores["globe"]
    scalar, rotation = (
        sampler(store, flips=True, vectors=vectors) for vectors in (None, {store.variables[0]: "rotation"})
    )
    signs = set()
    for step in range(12):
        plain, turned = (physical(store, draws.draw(step)) for draws in (scalar, rotation))
        for sample, other, place in zip(plain[1], turned[1], plain[2], strict=True):
            east_west = (place[1, 0, 1] - place[1, 0, 0]) % COLUMNS != 1
            north_south = place[0, 1, 0] < place[0, 0, 0]
            sign = (-1) ** (int(east_west) + int(north_south))
            signs.add((bool(east_west), bool(north_south)))
            close(other[0], sign * sample[0])
            close(other[1:], sample[1:])
    assert len(signs) == 4


def test_nothing_is_mirrored_unasked(stores: dict[str, Store]) -> None:
    for step in range(5):
        places = physical(stores["region"], sampler(stores["region"], vectors=VECTORS).draw(step))[2]
        assert (np.diff(places[:, 1], axis=2) == 1).all()
        assert (np.diff(places[:, 0], axis=1) == 1).all()


# --- Scaling ---


@settings(max_examples=40, deadline=None)
@given(mean=st.floats(-1e5, 1e5), std=st.floats(1e-3, 1e4), seed=st.integers(0, 2**31))
def test_scaling_goes_round(mean: float, std: float, seed: int) -> None:
    scaling = scaling_of({"a": {"mean": 0.0, "std": 1.0}, "b": {"mean": mean, "std": std}}, ["b", "a"])
    fields = np.random.default_rng(seed).normal(mean, std, (3, 2, 4, 5)).astype(np.float32)
    scaled = scaling.scale(fields)
    np.testing.assert_allclose(
        scaled[:, 0], (fields[:, 0].astype(np.float64) - mean) / std, atol=2e-7 * abs(mean) / std + 1e-5
    )
    np.testing.assert_array_equal(scaled[:, 1], fields[:, 1])
    np.testing.assert_allclose(scaling.unscale(scaled), fields, rtol=1e-6, atol=1e-6 * (abs(mean) + std))
    assert scaled.dtype == scaling.unscale(scaled).dtype == np.float32


def test_batches_are_standardised_by_the_training_split(stores: dict[str, Store]) -> None:
    store = stores["region"]
    whole = sampler(store, patch=64, batch=14).draw(0)
    np.testing.assert_allclose(whole.hr.mean((0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(whole.hr.std((0, 2, 3)), 1, atol=1e-4)
    np.testing.assert_allclose(whole.static[0].mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(whole.static[0].std((1, 2)), 1, atol=1e-5)
    assert isinstance(scaling_of(store.meta["statistics"], store.variables), Scaling)


def test_without_static_fields_there_are_no_channels(tmp_path: Path) -> None:
    fields = make_fields(6)
    splits = split_times(fields["valid_time"], {})
    store = open_store(write_store(fields, tmp_path / "s.zarr", splits=splits, factor=2, meta={}))
    assert static_channels(store).shape == (0, 8, 8)
    assert sampler(store, patch=8).draw(0).static.shape == (4, 0, 8, 8)
