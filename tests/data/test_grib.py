"""GRIB files, written here with ecCodes: every message is read where ecCodes has it, or named in an error."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subgrid import open_source
from subgrid.errors import GridError, SourceError

ec = pytest.importorskip("eccodes")
from subgrid.data.sources.grib_messages import read_index  # noqa: E402

KEYS: dict[str, Any] = {
    "Ni": 5, "Nj": 4, "iDirectionIncrementInDegrees": 2, "jDirectionIncrementInDegrees": 1,
    "latitudeOfFirstGridPointInDegrees": 53, "latitudeOfLastGridPointInDegrees": 50,
    "longitudeOfFirstGridPointInDegrees": 10, "longitudeOfLastGridPointInDegrees": 18,
}  # fmt: skip
PLANE: dict[str, Any] = {
    "Nx": 5, "Ny": 4, "latitudeOfFirstGridPointInDegrees": 40, "longitudeOfFirstGridPointInDegrees": 250,
    "LaDInDegrees": 60, "DxInMetres": 50000, "DyInMetres": 40000,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "regular_ll": KEYS,
    "rotated_ll": KEYS,
    "polar_stereographic": {**PLANE, "orientationOfTheGridInDegrees": 255},
    "lambert": {**PLANE, "LoVInDegrees": 255, "Latin1InDegrees": 30, "Latin2InDegrees": 50},
    "mercator": {
        "Ni": 5, "Nj": 4, "latitudeOfFirstGridPointInDegrees": 10, "longitudeOfFirstGridPointInDegrees": 20,
        "LaDInDegrees": 20, "DiInMetres": 50000, "DjInMetres": 40000,
    },
}  # fmt: skip
FLAGS = ("iScansNegatively", "jScansPositively", "jPointsAreConsecutive", "alternativeRowScanning")
TP = {"productDefinitionTemplateNumber": 8, "shortName": "tp"}


def field(values: np.ndarray, sample: str = "regular_ll_sfc_grib2", grid: dict[str, Any] = KEYS, **keys: Any) -> Any:
    handle = ec.codes_grib_new_from_samples(sample)
    for key, value in {**grid, "dataDate": 20200101, "dataTime": 0, "shortName": "2t", **keys}.items():
        ec.codes_set(handle, key, value)
    ec.codes_set(handle, "packingType", "grid_ieee")
    ec.codes_set_values(handle, values.astype(float).ravel())
    return handle


def write(path: Path, *handles: Any) -> Path:
    with path.open("wb") as file:
        for handle in handles:
            ec.codes_write(handle, file)
    return path


def full(value: float) -> np.ndarray:
    return np.full(20, float(value))


def message(source: Path, error: type[Exception] = SourceError, **options: Any) -> str:
    with pytest.raises(error) as caught:
        open_source(source, **options)
    return str(caught.value)


def firsts(ds: Any, name: str) -> list[float]:
    return [float(v) for v in ds[name].values.reshape(-1, 20)[:, 0]]


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        *itertools.product(("regular_ll", "lambert"), itertools.product((0, 1), repeat=4)),
        *itertools.product(KINDS, [(0, 1, 0, 0), (1, 0, 1, 0), (0, 0, 0, 1)]),
    ],
)
def test_scanning_flags(tmp_path: Path, kind: str, flags: tuple[int, ...]) -> None:
    """The reference is ecCodes' iterator, which gives latitude, longitude and value of each point."""
    grid, plane = dict(KINDS[kind]), "InMetres" in " ".join(KINDS[kind])
    if not plane and flags[0]:
        grid |= {"longitudeOfFirstGridPointInDegrees": 18, "longitudeOfLastGridPointInDegrees": 10}
    if not plane and flags[1]:
        grid |= {"latitudeOfFirstGridPointInDegrees": 50, "latitudeOfLastGridPointInDegrees": 53}
    grid = {**({"gridType": kind} if plane else {}), **grid, **dict(zip(FLAGS, flags, strict=True))}
    handle = field(np.arange(20), "GRIB2" if plane else f"{kind}_sfc_grib2", grid)
    path = write(tmp_path / "a.grib2", handle)
    if flags[2] and flags[3]:  # columns forwards and backwards in turn: ecCodes has its own reading of the table
        assert "columns are stored one after the other, every second backwards" in message(path, GridError)
        return
    ds = open_source(path)
    got = ds["t2m"].values[0]
    points, iterator = [], ec.codes_grib_iterator_new(handle, 0)
    while point := ec.codes_grib_iterator_next(iterator):
        points.append(point)
    points = np.array(points)
    if plane:  # in a plane the iterator runs from west to east, then from south to north
        np.testing.assert_array_equal(got, points[:, 2].reshape(4, 5)[::-1])
        dims = ("projection_y_coordinate", "projection_x_coordinate")
        assert [abs(float(ds[dim].diff(dim)[0])) for dim in dims] == [40000.0, 50000.0]
        assert ds[dims[0]].attrs["units"] == "m"
        return
    rows, columns = (np.unique(np.round(points[:, side], 6)) for side in (0, 1))
    if flags[3]:  # on the sphere the iterator leaves out this flag (WMO table 3.4, bit 4): every second row turns
        want = np.arange(20).reshape(4, 5)
        want[1::2] = want[1::2, ::-1]
        np.testing.assert_array_equal(got, want[:: -1 if flags[1] else 1, :: -1 if flags[0] else 1])
    elif kind == "regular_ll":
        assert (rows.size, columns.size) == (4, 5)
        want = {(lat, lon): value for lat, lon, value in np.round(points, 6)}
        lats, lons = (np.round(ds[dim].values, 6) for dim in ("latitude", "longitude"))
        assert {(lat, lon): got[i, j] for i, lat in enumerate(lats) for j, lon in enumerate(lons)} == want
    else:
        first = points[np.argmax(points[:, 2] == got[0, 0])]  # the corner, by hand: rotated (53, 10)
        np.testing.assert_allclose(first[:2], (36.3, 172.5), atol=0.1)
        assert (float(ds["grid_latitude"][0]), float(ds["grid_longitude"][0])) == (53.0, 10.0)
        order = got.ravel().astype(int)  # from north-west: ecCodes' first points with no flag
        plain = field(np.arange(20), f"{kind}_sfc_grib2", KEYS)
        np.testing.assert_allclose(points[order, 0], ec.codes_get_array(plain, "latitudes"), atol=1e-5)
        np.testing.assert_allclose(points[order, 1], ec.codes_get_array(plain, "longitudes"), atol=1e-5)


def test_two_accumulations_at_one_step_are_kept_apart(tmp_path: Path) -> None:
    ranges = ["0-1", "0-2", "1-2", "0-3", "2-3"]
    path = write(
        tmp_path / "a.grib2", *(field(full(i), **TP, stepType="accum", stepRange=r) for i, r in enumerate(ranges))
    )
    text = message(path)
    assert "the variable 'tp' is given in 2 kinds, by stepRange: 0-N; (N-1)-N." in text
    assert 'select = {stepRange = "0-N"}' in text
    assert firsts(open_source(path, select={"stepRange": "0-N"}), "tp") == [0, 1, 3]
    assert firsts(open_source(path, select={"stepRange": "(N-1)-N"}), "tp") == [0, 2, 4]
    assert firsts(open_source(path, select={"stepRange": "1-2"}), "tp") == [2]
    assert len(read_index(path)) == 5


def test_average_and_instant_are_selected_by_step_type(tmp_path: Path) -> None:
    cloud = {
        "centre": "kwbc",
        "discipline": 0,
        "parameterCategory": 6,
        "parameterNumber": 1,
        "typeOfLevel": "atmosphere",
    }
    average = {"productDefinitionTemplateNumber": 8, "stepType": "avg", "stepRange": "0-6"}
    handles = [field(full(1), stepRange="6", **cloud), field(full(2), **average, **cloud)]
    path = write(tmp_path / "a.grib2", *handles)
    assert "by stepType: instant; avg. " in message(path)
    assert firsts(open_source(path, select={"stepType": "avg"}), "tcc") == [2]
    assert firsts(open_source(path, select={"stepType": "instant"}), "tcc") == [1]
    assert "Valid: avg, instant" in message(path, select={"stepType": "mean"})


def test_control_and_perturbed_members_are_one_ensemble(tmp_path: Path) -> None:
    member = {"productDefinitionTemplateNumber": 1}
    control = field(full(0), **member, dataType="cf", perturbationNumber=0)
    others = [field(full(n), **member, dataType="pf", perturbationNumber=n) for n in (2, 1)]
    path = write(tmp_path / "a.grib2", control, *others)
    ds = open_source(path)
    assert ds["realization"].values.tolist() == [0, 1, 2]
    assert firsts(ds, "t2m") == [0, 1, 2]
    assert firsts(open_source(path, select={"dataType": "pf"}), "t2m") == [1, 2]
    assert firsts(open_source(path, select={"number": 2}), "t2m") == [2]


def test_starts_and_steps_make_one_series_where_each_time_occurs_once(tmp_path: Path) -> None:
    def forecast(steps: list[int]) -> Path:
        times = itertools.product((0, 600, 1200), steps)
        return write(
            tmp_path / "a.grib2",
            *(field(full(t / 100 + s), dataTime=t, stepRange=str(s)) for t, s in reversed([*times])),
        )

    ds = open_source(forecast([1, 3, 6]))
    hours = [1, 3, 6, 7, 9, 12, 13, 15, 18]
    assert firsts(ds, "t2m") == hours
    assert (ds["valid_time"].values - np.datetime64("2020-01-01")).tolist() == [h * 3_600_000_000_000 for h in hours]
    assert firsts(open_source(tmp_path / "a.grib2", select={"step": 3}), "t2m") == [3, 9, 15]
    assert firsts(open_source(tmp_path / "a.grib2", select={"step": [1, 6]}), "t2m") == [1, 6, 7, 12, 13, 18]
    assert "select = {step = 3}" in message(forecast([3, 9]))  # 09 and 15 UTC twice
    assert firsts(open_source(tmp_path / "a.grib2", select={"time": "2020-01-01T06:00"}), "t2m") == [9, 15]


def test_levels_members_and_gaps_keep_their_places(tmp_path: Path) -> None:
    handles = [
        field(full(v + h), shortName="t", dataTime=100 * h, typeOfLevel="isobaricInhPa", level=v)
        for v, h in ((500, 0), (850, 6), (850, 0))
    ]
    path = write(tmp_path / "a.grib2", *handles)
    ds = open_source(path)
    assert ds["isobaricInhPa"].values.tolist() == [850, 500]
    np.testing.assert_array_equal(firsts(ds, "t"), [850, 500, 856, np.nan])  # no message: missing
    assert open_source(path, select={"isobaricInhPa": 500})["t"].sizes["valid_time"] == 1
    assert float(ds["t"][0, :, 1:3, -1].values[1, 0]) == 500


def test_several_fields_in_one_message(tmp_path: Path) -> None:
    multi = ec.codes_grib_multi_new()
    for name, value in (("10u", 1), ("10v", 2)):
        ec.codes_grib_multi_append(field(full(value), shortName=name), 4, multi)
    with (tmp_path / "a.grib2").open("wb") as file:
        ec.codes_grib_multi_write(multi, file)
    ds = open_source(tmp_path / "a.grib2")
    assert {name: float(ds[name].max()) for name in ds.data_vars} == {"u10": 1.0, "v10": 2.0}


def test_missing_values_and_variables(tmp_path: Path) -> None:
    values = full(280)
    values[3] = 9999
    handle = field(full(280))
    ec.codes_set(handle, "bitmapPresent", 1)
    ec.codes_set(handle, "missingValue", 9999)
    ec.codes_set_values(handle, values)
    path = write(tmp_path / "a.grib2", handle, field(full(1), shortName="10u"))
    ds = open_source(path)
    assert np.argwhere(np.isnan(ds["t2m"].values.ravel())).tolist() == [[3]]
    assert (ds["t2m"].attrs["units"], ds["t2m"].attrs["GRIB_shortName"]) == ("K", "2t")
    assert list(open_source(path, variables=["u10"]).data_vars) == ["u10"]
    assert "no variable 't2'" in message(path, variables=["t2"])


def test_nothing_is_dropped_in_silence(tmp_path: Path) -> None:
    path = write(tmp_path / "a.grib2", field(full(1)), field(full(2)))
    assert "two GRIB messages hold 't2m' at 2020-01-01T00:00:00 on level 2" in message(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "GRIB message 2 could not be read (" in message(path)


@pytest.mark.parametrize(
    ("sample", "keys", "text"),
    [
        ("reduced_gg_pl_32_grib2", {}, "a reduced Gaussian grid (N32), whose rows hold fewer cells"),
        ("sh_ml_grib2", {}, "spherical harmonics (spectral, T63)"),
        ("GRIB2", {"gridType": "space_view"}, "the view of a geostationary satellite (space view)"),
    ],
)
def test_grids_without_two_axes_are_refused(tmp_path: Path, sample: str, keys: dict[str, Any], text: str) -> None:
    handle = ec.codes_grib_new_from_samples(sample)
    for key, value in keys.items():
        ec.codes_set(handle, key, value)
    path = write(tmp_path / "a.grib2", handle, field(full(1)))
    refusal = message(path, GridError)
    assert (
        text in refusal
        and "Regrid it first: `cdo " in refusal
        and "Or choose variables of other grids: t2m." in refusal
    )
    assert list(open_source(path, variables=["t2m"]).data_vars) == ["t2m"]


def test_fields_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    ds = open_source(write(tmp_path / "a.grib2", field(full(3))))
    assert float(pickle.loads(pickle.dumps(ds["t2m"])).max()) == 3.0
