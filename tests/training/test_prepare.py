"""From a configuration to a store: names, repetition, refusals, static fields, pairs; and what is said on the way."""

from __future__ import annotations

import gc
import json
import os
import re
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from conftest import make_fields, real_file
from subgrid.data.grid import coarsen
from subgrid.data.sources.open_source import open_source
from subgrid.data.sources.readers import expand
from subgrid.data.static import static_fields
from subgrid.data.store import describe_store, open_store
from subgrid.errors import ConfigError, GridError, RunError, SourceError
from subgrid.training.prepare import prepare

TOML = """
[data]
source = "{source}"
variables = ["t2m"]
factor = 2
[train]
patch = 8
"""


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """A file of twelve times, and settings that read it."""
    make_fields(12).to_netcdf(tmp_path / "fields.nc")
    return {"data": {"source": "fields.nc", "variables": ["t2m"], "factor": 2}, "train.patch": 8}


def refused(kind: type[Exception], text: str) -> Any:
    return pytest.raises(kind, match=f"^{re.escape(text)}$")


def unchanged(path: Path) -> int:
    return (path / "store.json").stat().st_mtime_ns


# --- Where the store is, and when it is made ---


@pytest.mark.slow
def test_the_default_store_is_named_after_file_and_request(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "winds.toml").write_text(TOML.format(source="fields.nc"))
    first = prepare("winds.toml")
    assert re.fullmatch(r"stores/winds-[0-9a-f]{8}\.zarr", str(first))
    assert prepare(tmp_path / "winds.toml") == first
    others = [
        prepare("winds.toml", overrides=[text]) for text in ("data.coarsen=bilinear", "data.gap=1d", "data.factor=4")
    ]
    assert len({first, *others}) == 4
    # What changes the training alone changes no store.
    assert prepare("winds.toml", overrides=["train.batch=2"]) == first
    assert re.fullmatch(r"stores/data-[0-9a-f]{8}\.zarr", str(prepare(settings)))


def test_a_store_is_made_once(settings: dict[str, Any]) -> None:
    seen: list[int] = []
    path = prepare(settings, progress=lambda done, total: seen.append(done))
    before = unchanged(path)
    assert seen == [12]
    assert prepare(settings, progress=lambda done, total: seen.append(done)) == path
    assert seen == [12]
    assert unchanged(path) == before


def test_another_request_replaces_no_store_unless_asked(tmp_path: Path, settings: dict[str, Any]) -> None:
    out = tmp_path / "deep" / "own.zarr"
    assert prepare(settings, out=out) == out
    before = unchanged(out)
    text = (
        f"{out} is a training store of another request: data.factor was 2 and is now 4. Runs may have been trained on it. "
        "Choose another folder (out, or --out), or replace the store with overwrite=True (--overwrite)."
    )
    with refused(RunError, text):
        prepare(settings, out=out, overrides=["data.factor=4"])
    assert unchanged(out) == before
    assert prepare(settings, out=out, overrides=["data.factor=4"], overwrite=True) == out
    assert open_store(out).factor == 4


def test_a_changed_file_replaces_no_store_unless_asked(tmp_path: Path, settings: dict[str, Any]) -> None:
    out = tmp_path / "own.zarr"
    first = prepare(settings), prepare(settings, out=out)
    before = unchanged(out)
    fields = make_fields(12, seed=1)
    gc.collect()  # closes the file that was read, which HDF5 else keeps from being written
    fields.to_netcdf(tmp_path / "fields.nc")
    assert prepare(settings) != first[0]
    text = (
        f"{out} is a training store of other data, as its sources have changed: its fine fields have other values. Runs may "
        "have been trained on it. Choose another folder (out, or --out), or replace the store with overwrite=True "
        "(--overwrite)."
    )
    with refused(RunError, text):
        prepare(settings, out=out)
    assert unchanged(out) == before
    assert not (tmp_path / "own.zarr.partial").exists()
    prepare(settings, out=out, overwrite=True)
    np.testing.assert_array_equal(open_store(out).hr["t2m"].values, fields["t2m"].values)


def test_files_that_were_only_touched_are_the_same_data(tmp_path: Path, settings: dict[str, Any]) -> None:
    out = prepare(settings, out=tmp_path / "own.zarr")
    digest = open_store(out).meta["digest"]
    os.utime(tmp_path / "fields.nc", ns=(1, 1))
    assert prepare(settings, out=out) == out
    assert open_store(out).meta["digest"] == digest


@pytest.mark.parametrize("version", [2, 3])
def test_a_chunk_that_was_written_anew_is_noticed(tmp_path: Path, settings: dict[str, Any], version: Any) -> None:
    fields = make_fields(12)
    fields.to_zarr(tmp_path / "fields.zarr", zarr_format=version, consolidated=False)
    settings = settings | {"data.source": "fields.zarr"}
    first = prepare(settings)
    assert prepare(settings) == first
    folder = (tmp_path / "fields.zarr").stat().st_mtime_ns
    region = {"valid_time": slice(0, 1)}
    changed = (fields[["t2m"]] + 1).isel(region).drop_vars(["latitude", "longitude"])
    changed.to_zarr(tmp_path / "fields.zarr", region=region, mode="r+")
    os.utime(tmp_path / "fields.zarr", ns=(folder, folder))
    second = prepare(settings)
    assert second != first
    digests = [open_store(path).meta["digest"] for path in (first, second)]
    assert digests[0] != digests[1]


def test_what_is_no_store_is_never_replaced(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("precious", "file"):
        with refused(RunError, f"{name} exists and is not a training store. Choose another folder (out, or --out)."):
            prepare(settings, out=name)
    assert (tmp_path / "precious" / "thesis.tex").read_text() == "x"


# --- Sources ---


def test_an_open_data_set_takes_the_place_of_the_source(tmp_path: Path) -> None:
    settings = {"data": {"variables": ["t2m"], "factor": 2, "source": "not/there.nc"}, "train.patch": 8}
    out = tmp_path / "s.zarr"
    for seed in (0, 0, 1):  # nothing but its values tells the last from the others
        fields = make_fields(12, seed=seed)
        if seed:
            with pytest.raises(RunError, match="is a training store of other data"):
                prepare(settings, source=fields, out=out)
        store = open_store(prepare(settings, source=fields, out=out, overwrite=bool(seed)))
        np.testing.assert_array_equal(store.hr["t2m"].values, fields["t2m"].values)


@pytest.mark.slow
def test_an_open_data_set_never_finishes_anothers_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subgrid.data.write_store.CHUNK_CELLS", 64)
    monkeypatch.setattr("subgrid.data.write_store.BLOCK_BYTES", 4 * 64)
    settings = {"data": {"variables": ["t2m"], "factor": 2}, "train.patch": 8}

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(settings, source=make_fields(12), out="s.zarr", progress=stop)
    assert (tmp_path / "s.zarr.partial").is_dir()
    fields = make_fields(12, seed=1)
    store = open_store(prepare(settings, source=fields, out="s.zarr"))
    np.testing.assert_array_equal(store.hr["t2m"].values, fields["t2m"].values)


def test_a_source_is_needed() -> None:
    with refused(
        ConfigError,
        "data.source is missing: give a path, a glob or a list of them, or pass an open Dataset as source.",
    ):
        prepare({"data": {"variables": ["t2m"]}})


def test_environment_variables_and_home_are_filled_in(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELDS_FOLDER", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in (
        "${FIELDS_FOLDER}/fields.nc",
        "$FIELDS_FOLDER/fields.nc",
        "~/fields.nc",
        ["$FIELDS_FOLDER/fields.nc"],
    ):
        store = open_store(prepare(settings | {"data.source": source, "system": "bilinear"}))
        assert store.hr.sizes["valid_time"] == 12
    assert expand(["~/a", "$FIELDS_FOLDER/b"]) == [str(tmp_path / "a"), str(tmp_path / "b")]
    monkeypatch.delenv("FIELDS_FOLDER")
    for source in ("${FIELDS_FOLDER}/fields.nc", ["fields.nc", "$FIELDS_FOLDER/fields.nc"]):
        named = source if isinstance(source, str) else source[1]
        text = f"{named}: the environment variable FIELDS_FOLDER is not set. Set it to the folder of the data."
        with refused(ConfigError, text):
            prepare(settings | {"data.source": source})


def test_another_dimension_is_refused_with_the_way_to_choose(tmp_path: Path, settings: dict[str, Any]) -> None:
    fields = make_fields(12)
    levels = xr.concat([fields, fields + 1], xr.Variable("level", [500, 850]))
    levels.to_netcdf(tmp_path / "levels.nc")
    with refused(
        ConfigError,
        "data.variables: t2m has the dimension level with 2 values; training takes one. Choose it: select = { level = 500 } "
        "under [data].",
    ):
        prepare(settings | {"data.source": "levels.nc"})
    chosen = prepare(settings | {"data.source": "levels.nc", "data.select": {"level": 850}})
    np.testing.assert_allclose(open_store(chosen).hr["t2m"].values, fields["t2m"].values + 1)


def test_a_field_without_time_is_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    make_fields(1).isel(valid_time=0, drop=True).to_netcdf(tmp_path / "static.nc")
    text = "data.variables: t2m has no time dimension. Move it to data.static if it does not change in time."
    with refused(ConfigError, text):
        prepare(settings | {"data.source": "static.nc"})


def test_what_was_cropped_is_kept_and_told(settings: dict[str, Any]) -> None:
    path = prepare(settings | {"data.factor": 3, "train.patch": 9})
    assert describe_store(path) == [
        "t2m: 2 x 2 -> 6 x 6, factor 3, coarsened by mean",
        "train: 8 times, 2020-01-01T00:00 to 2020-01-08T00:00",
        "valid: 2 times, 2020-01-09T00:00 to 2020-01-10T00:00",
        "test: 2 times, 2020-01-11T00:00 to 2020-01-12T00:00",
        "components of vectors: none; data.vectors changes this",
        (
            "8 x 8 cells are not a multiple of factor 3: dropped 2 row(s) at the southern edge and 2 column(s) at the "
            "eastern edge, 6 x 6 remain"
        ),
    ]


def test_periods_gap_and_season_reach_the_split(settings: dict[str, Any]) -> None:
    periods = {"data.train": ["2020-01-01", "2020-01-06"], "data.test": ["2020-01-08", "2020-01-09"], "data.gap": "2d"}
    meta = open_store(prepare(settings | periods | {"data.valid": ["2020-01-11", "2020-01-12"]})).meta
    assert meta["num_times"] == {"train": 6, "valid": 2, "test": 2}
    with pytest.raises(ConfigError, match=r"^data\.season: the source holds no time of JJA"):
        prepare(settings | {"data.season": "JJA"})


def test_vector_components_are_noted(tmp_path: Path) -> None:
    fields = make_fields(12, names=("t2m", "10m_v_component_of_wind", "vo"))
    fields["10m_v_component_of_wind"].attrs |= {"units": "m s**-1", "standard_name": "unknown"}  # as in WeatherBench 2
    fields["vo"].attrs |= {"units": "s**-1"}
    config = {"data": {"variables": ["10m_v_component_of_wind", "t2m", "vo"], "factor": 2}}
    store = open_store(prepare(config, source=fields, out=tmp_path / "s.zarr"))
    assert store.variables == ["10m_v_component_of_wind", "t2m", "vo"]
    assert store.meta["vectors"] == {"10m_v_component_of_wind": "y", "vo": "rotation"}
    assert describe_store(store.path)[-1] == (
        "components of vectors: 10m_v_component_of_wind (y), vo (rotation); data.vectors changes this"
    )


def test_data_vectors_settles_what_is_unclear(tmp_path: Path, settings: dict[str, Any]) -> None:
    plain = prepare(settings)
    assert "vectors" not in open_store(plain).meta["data"]  # stores made before this setting are found again
    assert describe_store(plain)[-1] == "components of vectors: none; data.vectors changes this"
    path = prepare(settings, overrides=["data.vectors.t2m=rotation"])
    assert path != plain
    assert open_store(path).meta["vectors"] == {"t2m": "rotation"}
    assert prepare(settings, overrides=["data.vectors.t2m=rotation"]) == path
    with pytest.raises(ConfigError, match=r"vectors: 't2n' is not in data\.variables\. Did you mean 't2m'\?"):
        prepare(settings, overrides=["data.vectors.t2n=x"])
    with pytest.raises(ConfigError, match=r"data\.vectors\.t2m"):
        prepare(settings, overrides=["data.vectors.t2m=east"])


# --- A pair ---


def test_a_coarse_source_is_paired_on_shared_times(tmp_path: Path, settings: dict[str, Any]) -> None:
    fine, partner = make_fields(12), make_fields(12, seed=9)
    coarse = coarsen(partner, 2)
    coarse.isel(valid_time=slice(2, None)).to_netcdf(tmp_path / "coarse.nc")
    path = prepare(settings | {"data.coarse_source": "coarse.nc"})
    store = open_store(path)
    np.testing.assert_array_equal(store.lr["t2m"].values, coarse["t2m"].values[2:])
    np.testing.assert_array_equal(store.hr["t2m"].values, fine["t2m"].values[2:])
    assert describe_store(path)[-1] == (
        "10 times are in both sources, of 12 fine (2020-01-01T00:00 to 2020-01-12T00:00) and 10 coarse "
        "(2020-01-03T00:00 to 2020-01-12T00:00); the others are left out"
    )
    coarse.to_netcdf(tmp_path / "all.nc")
    assert open_store(prepare(settings | {"data.coarse_source": "all.nc"})).meta["notes"] == []


def test_a_coarse_source_has_labels_of_its_own(tmp_path: Path, settings: dict[str, Any]) -> None:
    coarse = coarsen(make_fields(12, seed=9), 2)
    levels = xr.concat([coarse, coarse + 10.0], xr.DataArray([85000.0, 50000.0], dims="plev", name="plev"))
    levels.to_netcdf(tmp_path / "coarse.nc")
    with pytest.raises(ConfigError, match="coarse_select: there is no coarse_source"):
        prepare(settings, overrides=["data.coarse_select.plev=50000"])
    settings |= {"data.coarse_source": "coarse.nc"}
    with pytest.raises(
        ConfigError, match=r"plev with 2 values; training takes one. Choose it: coarse_select = \{ plev = 85000"
    ):
        prepare(settings)
    store = open_store(prepare(settings, overrides=["data.coarse_select.plev=50000"]))
    np.testing.assert_array_equal(store.lr["t2m"].values, (coarse["t2m"] + 10.0).values)
    coarse.to_netcdf(tmp_path / "one.nc")
    settings |= {"data.source": "coarse.nc", "data.coarse_source": "one.nc", "data.factor": 2}
    with pytest.raises(SourceError, match=r"data.coarse_source: one.nc: select names 'plev'.* by data.coarse_select"):
        prepare(settings, overrides=["data.select.plev=50000"])


def test_a_coarse_source_in_other_units_is_converted(tmp_path: Path, settings: dict[str, Any]) -> None:
    coarse = coarsen(make_fields(12), 2)
    expected = coarse["t2m"].values
    coarse["t2m"] = (coarse["t2m"] - 273.15).astype(np.float32).assign_attrs(units="degC")
    coarse.to_netcdf(tmp_path / "coarse.nc")
    path = prepare(settings | {"data.coarse_source": "coarse.nc"})
    store = open_store(path)
    np.testing.assert_allclose(store.lr["t2m"].values, expected, rtol=1e-6)
    assert store.lr["t2m"].attrs["units"] == "K"
    assert (
        describe_store(path)[-1] == "data.coarse_source: t2m is converted from 'degC' to 'K', the units of data.source"
    )
    meta = json.loads((path / "store.json").read_text())
    del meta["converted"], meta["digest"]  # as in a store of a version that paired the values as they were
    (path / "store.json").write_text(json.dumps(meta))
    with pytest.raises(RunError, match="another request: converted was None and is now"):
        prepare(settings | {"data.coarse_source": "coarse.nc"}, out=path)
    coarse["t2m"].attrs["units"] = "m"
    coarse.to_netcdf(tmp_path / "metres.nc")
    text = "data.coarse_source: t2m is in 'm', data.source in 'K', and the one cannot be converted to the other. "
    with pytest.raises(SourceError, match=f"^{re.escape(text)}"):
        prepare(settings | {"data.coarse_source": "metres.nc"})


def test_values_of_a_coarse_source_without_units_must_fit(tmp_path: Path, settings: dict[str, Any]) -> None:
    coarse = coarsen(make_fields(12), 2).drop_attrs()
    coarse.to_netcdf(tmp_path / "kelvin.nc")
    path = prepare(settings | {"data.coarse_source": "kelvin.nc"})
    assert describe_store(path)[-1] == (
        "t2m is in 'K' in data.source and has no units in data.coarse_source; the values are taken to be in the same units"
    )
    (coarse - 273.15).to_netcdf(tmp_path / "celsius.nc")
    with pytest.raises(
        ConfigError, match=r"^data\.coarse_source: the mean of t2m over 12 evenly spaced times is -0\.1"
    ):
        prepare(settings | {"data.coarse_source": "celsius.nc"})


def test_a_coarse_source_that_does_not_fit_is_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    coarse = coarsen(make_fields(12), 2)
    with_pair = settings | {"data.coarse_source": "coarse.nc"}

    def replace(fields: xr.Dataset) -> None:
        (tmp_path / "coarse.nc").unlink(missing_ok=True)
        fields.to_netcdf(tmp_path / "coarse.nc")

    replace(coarse.assign_coords(valid_time=coarse.valid_time + np.timedelta64(1, "h")))
    with refused(
        ConfigError,
        "data.coarse_source and data.source have no time in common: the coarse fields run from 2020-01-01T01:00 to "
        "2020-01-12T01:00, the fine fields from 2020-01-01T00:00 to 2020-01-12T00:00. Choose sources of the same period.",
    ):
        prepare(with_pair)
    replace(coarse.convert_calendar("noleap", dim="valid_time"))
    with refused(
        ConfigError,
        "data.coarse_source has the calendar 'noleap', data.source 'proleptic_gregorian'. Convert one of them, e.g. with "
        "`cdo setcalendar` or xarray's convert_calendar.",
    ):
        prepare(with_pair)
    replace(coarse.isel(valid_time=0, drop=True))
    with refused(
        ConfigError,
        "data.variables: t2m has no time dimension. Move it to data.static if it does not change in time.",
    ):
        prepare(with_pair)
    replace(coarse.isel(latitude=slice(1, None)))
    with pytest.raises(GridError, match=r"^latitude: 8 fine cells do not nest in 3 coarse cells"):
        prepare(with_pair)


# --- Static fields ---


def static_on(latitudes: Any, longitudes: Any, name: str = "orography") -> xr.Dataset:
    """A plane over latitude and longitude (round the circle, a sine), that linear interpolation gives exactly or nearly."""
    lat, lon = np.asarray(latitudes, float), np.asarray(longitudes, float)
    values = 3.0 * lat[:, None] + 100 * np.sin(np.radians(lon))[None, :]
    dims = ("latitude", "longitude")
    return xr.Dataset({name: (dims, values)}, {"latitude": lat, "longitude": lon})


@pytest.mark.slow
@pytest.mark.parametrize(
    "order", [["orography", "cos_latitude", "sin_latitude"], ["sin_latitude", "orography"], ["cos_latitude"]]
)
def test_static_fields_are_made_and_read_in_the_order_asked(
    tmp_path: Path, settings: dict[str, Any], order: list[str]
) -> None:
    fields = make_fields(1)
    given = static_on(fields.latitude, fields.longitude)
    given.to_netcdf(tmp_path / "static.nc")
    store = open_store(prepare(settings | {"data.static": order, "data.static_source": "static.nc"}))
    assert store.static is not None
    assert list(store.meta["static"]) == order
    lat = np.radians(fields.latitude.values)[:, None] * np.ones(8)
    expected = {"sin_latitude": np.sin(lat), "cos_latitude": np.cos(lat), "orography": given["orography"].values}
    for name in order:
        assert store.static[name].dims == ("latitude", "longitude")
        np.testing.assert_allclose(store.static[name].values, expected[name], rtol=1e-6)
        scale = store.meta["static"][name]
        assert scale == pytest.approx({"mean": expected[name].mean(), "std": expected[name].std()}, rel=1e-5)


@pytest.mark.parametrize(
    "domain", [np.arange(0.0, 360.0, 3.0), np.arange(-30.0, 30.0, 3.0), np.arange(150.0, 210.0, 3.0)]
)
@pytest.mark.parametrize("start", [0.0, -180.0])
def test_a_global_static_field_is_interpolated_in_either_convention(domain: np.ndarray, start: float) -> None:
    fields = open_source(make_fields(1, np.arange(60.0, -60.0, -3.0), domain))
    given = static_on(np.arange(90.0, -91.0, -2.0), start + np.arange(0.0, 360.0, 0.5))
    out = static_fields(["orography"], given, fields)["orography"]
    expected = static_on(fields.latitude, fields.longitude)["orography"]
    assert out.dims == ("latitude", "longitude")
    np.testing.assert_array_equal(out["longitude"], fields["longitude"])
    np.testing.assert_allclose(out.values, expected.values, rtol=0, atol=0.01)


def test_a_regional_static_field_moves_by_whole_turns() -> None:
    # Its centre lies just west of the date line, that of the domain just east of it.
    given = open_source(static_on(np.arange(5.0, -6.0, -1.0), np.arange(150.0, 206.0)))
    fields = open_source(make_fields(1, np.arange(4.0, -5.0, -1.0), np.arange(180.5, 196.0)))
    assert (given["longitude"].values[0], fields["longitude"].values[0]) == (150.0, -179.5)
    out = static_fields(["orography"], given, fields)["orography"]
    np.testing.assert_allclose(out.values, static_on(fields.latitude, fields.longitude)["orography"], atol=0.01)


def test_static_fields_reach_one_cell_beyond_their_centres_and_no_further() -> None:
    fields = make_fields(1, np.arange(4.0, -5.0, -1.0), np.arange(10.0, 20.0))
    nearly = static_on(np.arange(3.0, -5.0, -2.0), np.arange(11.0, 21.0, 2.0))
    out = static_fields(["orography"], nearly, fields)["orography"]
    np.testing.assert_allclose(out.values, static_on(fields.latitude, fields.longitude)["orography"], atol=0.1)
    text = (
        "the static field orography does not cover the domain of the data, or has missing values. Give a static field that "
        "covers the domain, or fill the missing values."
    )
    for given in (
        static_on(np.arange(1.0, -5.0, -2.0), np.arange(11.0, 21.0, 2.0)),
        static_on(np.arange(9.0, -9.0, -1.0), np.arange(30.0, 60.0)),  # elsewhere, not round the globe
        static_on(np.arange(9.0, -9.0, -1.0), np.arange(13.0, 60.0)),
        static_on(np.arange(9.0, -9.5, -0.5), np.arange(0.0, 60.0)).where(lambda ds: ds.latitude != 0),
    ):
        with refused(GridError, text):
            static_fields(["orography"], given, fields)


def test_static_fields_keep_the_first_of_several_times() -> None:
    fields = make_fields(1)
    given = xr.concat(
        [static_on(fields.latitude, fields.longitude)] * 2, xr.Variable("time", fields.valid_time.values.repeat(2))
    )
    given["time"] = fields.valid_time.values[0] + np.arange(2) * np.timedelta64(1, "D")
    out = static_fields(["orography"], given, fields)
    np.testing.assert_allclose(out["orography"].values, given["orography"].values[0], rtol=1e-6)


def test_unusable_static_fields_are_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    with refused(
        ConfigError,
        "data.static: 'sin_latitud' is not computed from the grid, and no data.static_source is given. Did you mean "
        "'sin_latitude'?",
    ):
        prepare(settings | {"data.static": ["sin_latitud"]})
    fields = make_fields(1)
    static_on(fields.latitude, fields.longitude).to_netcdf(tmp_path / "static.nc")
    with refused(SourceError, "static.nc: no variable 'orogaphy'. Did you mean 'orography'?"):
        prepare(settings | {"data.static": ["orogaphy"], "data.static_source": "static.nc"})
    (static_on(fields.latitude, fields.longitude) * 0).to_netcdf(tmp_path / "flat.nc")
    with refused(
        ConfigError,
        "data.static: orography is constant or has missing values over the domain. Remove it from the list, or fill the "
        "missing values.",
    ):
        prepare(settings | {"data.static": ["orography"], "data.static_source": "flat.nc"})


def test_static_fields_need_the_same_kind_of_grid() -> None:
    projected = make_fields(1).rename(latitude="projection_y_coordinate", longitude="projection_x_coordinate")
    with refused(
        ConfigError,
        "data.static: cos_latitude needs a grid of latitudes and longitudes, got ('projection_y_coordinate', "
        "'projection_x_coordinate').",
    ):
        static_fields(["cos_latitude"], None, projected)
    with refused(
        GridError,
        "the static fields are on a grid of ('latitude', 'longitude'), the data on ('projection_y_coordinate', "
        "'projection_x_coordinate'). Regrid the static fields to the kind of grid of the data.",
    ):
        static_fields(["orography"], static_on([1.0, 0.0], [0.0, 1.0]), projected)


def test_projected_static_fields_are_interpolated() -> None:
    names = {"latitude": "projection_y_coordinate", "longitude": "projection_x_coordinate"}
    fields = make_fields(1, np.arange(4.0, -5.0, -1.0), np.arange(10.0, 20.0)).rename(names)
    given = static_on(np.arange(5.0, -6.0, -0.5), np.arange(9.0, 22.0, 0.5)).rename(names)
    out = static_fields(["orography"], given, fields)["orography"]
    expected = static_on(np.arange(4.0, -5.0, -1.0), np.arange(10.0, 20.0))["orography"]
    np.testing.assert_allclose(out.values, expected.values, atol=1e-4)


@pytest.mark.slow
@pytest.mark.realdata
def test_real_winds_become_a_store(tmp_path: Path) -> None:
    winds = xr.open_dataset(real_file("gfs_uv10_1deg.nc")).isel(time=slice(0, 20))
    config = {"data": {"variables": ["u10", "v10"], "factor": 4}}
    store = open_store(prepare(config, source=winds, out=tmp_path / "gfs.zarr"))
    assert dict(store.hr.sizes) == {"valid_time": 20, "latitude": 180, "longitude": 360}
    assert store.periodic
    assert store.meta["vectors"] == {"u10": "x", "v10": "y"}
    assert store.meta["notes"][0].startswith("181 x 360 cells are not a multiple of factor 4: dropped 1 row(s)")


# one writer


def test_two_that_start_together_share_one_store(tmp_path: Path) -> None:
    make_fields(40).to_netcdf(tmp_path / "weather.nc")
    config = {"data": {"source": str(tmp_path / "weather.nc"), "variables": ["t2m"], "factor": 4}}
    said: list[str] = []
    waits, written = threading.Event(), []

    def tell(text: str) -> None:
        said.append(text)
        waits.set()

    def second() -> Path:
        return prepare(config, out=tmp_path / "s.zarr", progress=lambda *at: written.append(at), notify=tell)

    with ThreadPoolExecutor(1) as threads:
        futures: list[Future[Path]] = []

        def hold(*_: object) -> None:
            if not futures:
                futures.append(threads.submit(second))
                assert waits.wait(60)

        first = prepare(config, out=tmp_path / "s.zarr", progress=hold)
        assert futures[0].result(60) == first
    assert len(said) == 1 and said[0].endswith("; waiting for it to finish")
    assert said[0].startswith(f"{first} is being written by another process ({os.getpid()} on ")
    assert written == []  # it took the store of the first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.zarr", "weather.nc"]


@pytest.mark.parametrize("name", ["s.zarr.partial", "s.zarr.old", "s.zarr"])
def test_no_folder_of_the_users_is_removed(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "chapter1.txt").write_text("years of work")
    config = {"data": {"variables": ["t2m"], "factor": 4}}
    for fields in (make_fields(40), make_fields(40, seed=1)):
        with suppress(RunError):
            prepare(config, source=fields, out=tmp_path / "s.zarr", overwrite=True)
    assert (folder / "chapter1.txt").read_text() == "years of work"


def test_no_store_takes_the_place_of_its_source(tmp_path: Path) -> None:
    made = prepare({"data": {"variables": ["t2m"], "factor": 4}}, source=make_fields(40), out=tmp_path / "s.zarr")
    config = {"data": {"source": str(made / "hr"), "variables": ["t2m"], "factor": 4}}
    with pytest.raises(RunError, match=r"s\.zarr is what is read \(.*hr\), and would be lost"):
        prepare(config, out=made, overwrite=True)
