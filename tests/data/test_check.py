"""What `check` finds in a source, one defect at a time."""

from __future__ import annotations

import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from test_open_source import AWKWARD, curvilinear, make, real

from subgrid.data.check import Finding, SourceReport, check
from subgrid.data.sources import times
from subgrid.data.value_statistics import ValueStatistics


def sound(**changes: Any) -> xr.Dataset:
    """A regional source without any defect: 64 x 64 cells, 40 times."""
    return make(**{"lat": np.arange(64.0) * 0.5, "lon": np.arange(64.0) * 0.5, "times": 40, **changes})


def found(report: SourceReport, word: str) -> Finding:
    hits = [finding for finding in report.findings if word in finding.what]
    assert len(hits) == 1, report.findings
    assert len(hits[0].fix) > 15
    return hits[0]


def test_a_sound_source_has_no_findings() -> None:
    report = check(sound())
    assert report.findings == []
    assert report.usable
    assert report.summary[0] == "source: the data set"
    assert report.summary[1].startswith("t2m: K, float32 (valid_time 40, latitude 64, longitude 64), ")
    assert report.summary[2:] == [
        "grid: 64 x 64 cells, latitude 31.5 to 0 by 0.5, longitude 0 to 31.5 by 0.5 (degrees)",
        "times: 40, 2020-01-01T00:00 to 2020-01-10T18:00, every 6 h, standard calendar",
    ]


def test_summary_gives_the_moments_of_the_values() -> None:
    ds = sound()
    values = ds["t2m"].values.astype(float)
    statistics = ValueStatistics()
    for block in np.array_split(ds["t2m"].values, 7):
        statistics.add(block)
    assert statistics.mean == pytest.approx(values.mean(), rel=1e-12)
    assert statistics.std == pytest.approx(values.std(), rel=1e-9)
    assert (statistics.low, statistics.high) == (values.min(), values.max())
    assert f"{values.min():.6g} to {values.max():.6g}, mean {values.mean():.6g}" in check(ds).summary[1]


@pytest.mark.parametrize("always", [True, False])
def test_missing_values(always: bool) -> None:
    ds = sound()
    ds["t2m"][{"time": slice(None) if always else slice(0, 10), "lat": slice(0, 16)}] = np.nan
    report = check(ds)
    finding = found(report, "are missing")
    assert finding.level == "error"
    assert finding.where == "t2m"
    assert not report.usable
    if always:
        assert finding.what == (
            "40960 of 163840 values are missing (25.00 %; the same cells at every time, as under a land mask). "
            "Complete fields are needed."
        )
    else:
        assert "10240 of 163840 values are missing (6.25 %; not the same at every time)" in finding.what


def test_one_missing_value_is_counted() -> None:
    ds = sound()
    ds["t2m"].values[3, 3, 3] = np.nan
    assert found(check(ds), "is missing").what.startswith("1 of 163840 values is missing (less than 0.01 %;")


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (np.inf, "3 of 163840 values are infinite, first at 2020-01-01T06:00."),
        (1e20, "3 of 163840 values are larger than 1e+15: this is a fill value that the file does not declare."),
        (-9999.0, "3 of 163840 values are -9999 while all others lie from 2"),
        (-999.0, "3 of 163840 values are -999 while all others lie from 2"),
    ],
)
def test_infinite_values_and_fill_values(value: float, word: str) -> None:
    ds = sound()
    ds["t2m"].values[[1, 5, 9], 3, 3] = value
    report = check(ds)
    assert found(report, word).level == "error"
    assert len(report.findings) == 1
    # What is found does not spoil the other numbers.
    low, high = np.sort(sound()["t2m"].values.ravel())[[0, -1]]
    assert f"{low:.6g} to {high:.6g}, mean 2" in report.summary[1]


def test_a_value_like_a_fill_value_among_its_like_is_none() -> None:
    ds = sound()
    ds["t2m"].values[:] = np.linspace(-12000, 12000, ds["t2m"].size).reshape(ds["t2m"].shape)
    ds["t2m"].values[3, 3, 3] = -9999.0
    assert check(ds).findings == []


def test_constant_and_all_missing() -> None:
    ds = sound()
    ds["t2m"].values[:] = 5
    assert found(check(ds), "constant: every value is 5.").level == "error"
    ds["t2m"].values[:] = np.nan
    report = check(ds)
    assert "163840 of 163840 values are missing (100.00 %" in report.findings[0].what
    assert "no values" in report.summary[1]
    ds["t2m"].values[:] = -9999
    assert "while there are no others" in check(ds).findings[0].what


def test_stuck_fields_but_not_dry_days() -> None:
    ds = sound()
    ds["t2m"].values[7] = ds["t2m"].values[6]
    ds["t2m"].values[21] = ds["t2m"].values[20]
    finding = found(check(ds), "equal the field before them")
    assert finding.level == "warning"
    assert finding.what.startswith("2 fields equal the field before them, the first at 2020-01-02T18:00")
    dry = sound()
    dry["t2m"] -= dry["t2m"].min()
    dry["t2m"].values[10:20] = 0
    assert check(dry).findings == []


def test_stuck_fields_across_blocks() -> None:
    ds = sound()
    ds["t2m"].values[8] = ds["t2m"].values[7]
    assert "1 fields" in found(check(ds.chunk(time=8)), "equal the field before").what


@pytest.mark.parametrize(
    ("drop", "word"),
    [
        ([5], "(6 h, 12 h; mostly 6 h), with 1 gap; the largest is 12 h, 2020-01-02T00:00 to 2020-01-02T12:00"),
        ([5, *range(11, 31)], "with 2 gaps; the largest is 5.25 d, 2020-01-03T12:00 to 2020-01-08T18:00"),
    ],
)
@pytest.mark.parametrize("calendar", ["standard", "noleap"])
def test_gaps(drop: list[int], word: str, calendar: str) -> None:
    ds = sound(times=60).drop_isel(time=drop)
    report = check(ds if calendar == "standard" else ds.convert_calendar(calendar, use_cftime=True))
    assert word in found(report, "the time step is irregular").what
    assert report.summary[-1].endswith(f"{calendar} calendar")
    assert ", with gaps" in report.summary[-1]


@pytest.mark.parametrize("freq", ["MS", "YS"])
def test_calendar_months_and_years_are_regular(freq: str) -> None:
    times = xr.date_range("1990-01-01", periods=40, freq=freq)
    assert check(sound().assign_coords(time=times)).findings == []


def test_few_times_and_none() -> None:
    assert found(check(sound(times=29)), "the number of times is 29;").level == "warning"
    assert found(check(sound(times=None)), "there is no time axis").level == "warning"
    assert check(sound(times=None)).summary[-1] == "times: none (static)"


@pytest.mark.parametrize(
    ("lat", "lon", "factor", "word"),
    [
        (65, 64, 4, "65 x 64 cells are not a multiple of factor 4: 1 row at the south edge will be cropped."),
        (64, 70, 4, "64 x 70 cells are not a multiple of factor 4: 2 columns at the east edge will be cropped."),
        (69, 70, 8, "5 rows at the south edge and 6 columns at the east edge will be cropped."),
    ],
)
def test_what_is_cropped(lat: int, lon: int, factor: int, word: str) -> None:
    report = check(sound(lat=np.arange(lat) * 0.5, lon=np.arange(lon) * 0.5), factor=factor)
    assert found(report, word).level == "note"
    assert report.usable


def test_cropping_opens_the_globe() -> None:
    report = check(sound(lon=np.arange(90) * 4.0))
    assert found(report, "not a multiple").what.endswith("The longitudes then no longer go round the globe.")
    assert report.summary[2].endswith("global in longitude")


def test_small_domains() -> None:
    finding = found(check(sound(lat=np.arange(33.0), lon=np.arange(49.0))), "smaller than the default patch")
    assert finding.level == "note"
    assert finding.fix.endswith("the largest multiple of factor 4 that fits is 32 cells.")
    assert found(check(make()), "give fewer than 2 x 2 coarse cells at factor 4").level == "error"


def test_gaussian_latitudes_and_poles() -> None:
    nodes = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(96)[0]))
    assert "possibly a Gaussian grid" in found(check(sound(lat=nodes)), "spacing is not uniform").what
    poles = sound(lat=np.linspace(-90, 90, 64).astype(np.float32))
    assert found(check(poles), "rows on a pole").level == "note"


def test_names_units_and_further_dimensions() -> None:
    ds = sound(name="u10", units="")
    ds = ds.expand_dims(number=[0, 1]).expand_dims(level=[850, 500])
    report = check(ds)
    assert found(report, "states no units").level == "warning"
    assert found(report, "taken for the x component of a vector").where == "u10"
    assert found(report, "an ensemble of 2 members").level == "note"
    assert found(report, "a further dimension of 2 labels").fix.endswith("select = {level = 850}.")
    assert "remove the variables" in found(check(ds.assign_coords(level=[np.nan, np.nan])), "further").fix
    assert [finding.level for finding in report.findings] == ["warning", "note", "note", "note"]


def test_coarse_packing(tmp_path: Path) -> None:
    for scale, count in ((0.5, 1), (0.01, 0)):
        packing = {"dtype": "int16", "scale_factor": scale, "add_offset": 280.0}
        sound().to_netcdf(tmp_path / f"{scale}.nc", encoding={"t2m": packing})
        findings = check(tmp_path / f"{scale}.nc").findings
        assert len(findings) == count
    assert "packed in steps of" in found(check(tmp_path / "0.5.nc"), "packed").what


def test_a_source_that_does_not_open_is_a_finding(tmp_path: Path) -> None:
    report = check(tmp_path / "none.nc")
    assert not report.usable
    assert report.summary == []
    assert report.findings[0].text.startswith(f"'{tmp_path / 'none.nc'}' does not exist.")
    assert check(curvilinear(None)).findings[0].text.startswith("the data set: the grid is curvilinear")


def test_a_finding_on_several_variables_is_given_once() -> None:
    ds = sound(units="")
    report = check(ds.assign(d2m=ds["t2m"] + 1, sst=sound()["t2m"] + 2))
    assert found(report, "states no units").text.startswith("t2m, d2m: the file states no units")


def test_no_advice_begins_with_nothing() -> None:
    ds = sound(lat=np.linspace(-90, 90, 65), lon=np.arange(66) ** 1.1, name="u10", units="").expand_dims(number=[0, 1])
    findings = check(ds).findings
    assert len(findings) >= 6
    assert not [finding for finding in findings if finding.fix.startswith("Nothing")]


def test_values_that_cannot_be_read_are_a_finding() -> None:
    def broken(block: np.ndarray) -> np.ndarray:
        raise OSError("NetCDF: HDF error")

    ds = sound()
    ds["t2m"] = ds["t2m"].copy(data=ds["t2m"].chunk().data.map_blocks(broken, dtype=np.float32))
    report = check(ds)
    assert found(report, "the values could not be read (OSError: NetCDF: HDF error).").where == "t2m"
    assert not report.usable


def test_arguments_reach_the_source(tmp_path: Path) -> None:
    ds = sound().assign(other=sound(seed=2)["t2m"] * 2).expand_dims(level=[1, 2])
    report = check(ds, variables=["other"], select={"level": 2})
    assert report.findings == []
    assert [line.split(":")[0] for line in report.summary] == ["source", "other", "grid", "times"]
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(size=(40, 1, 64, 64)))
    report = check(tmp_path / "a.npy", variables=["t2m"], start="2020-01-01", step="3h")
    assert report.summary[-1] == "times: 40, 2020-01-01T00:00 to 2020-01-05T21:00, every 3 h, standard calendar"
    assert "(cell numbers)" in report.summary[-2]


def record(calls: list[tuple[int, int]], done: int, total: int) -> None:
    calls.append((done, total))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npy", "nc", "files"])
def test_progress_and_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(times, "BLOCK_VALUES", 2**18)
    peaks = []
    for blocks in (4, 4, 32):  # the first warms up
        num = blocks * 64
        rows = np.random.default_rng(0).normal(size=(num, 1, 64, 1)).astype(np.float32)
        data = np.broadcast_to(rows, (num, 1, 64, 64))
        source: Any = tmp_path / f"{blocks}.{kind}"
        options: dict[str, Any] = {"variables": ["a"], "start": "2020", "step": "1h"} if kind == "npy" else {}
        if kind == "npy":
            np.save(source, data)
        else:
            dims = ("time", "lat", "lon")
            valid = np.datetime64("2020-01-01", "ns") + np.arange(num) * np.timedelta64(1, "h")
            ds = xr.Dataset({"a": (dims, data[:, 0])}, {"time": valid, "lat": np.arange(64.0), "lon": np.arange(64.0)})
            parts = 4 if kind == "files" else 1
            for part in range(parts):
                chosen = ds.isel(time=slice(part * num // parts, (part + 1) * num // parts))
                chosen.to_netcdf(tmp_path / f"{blocks}_{part}.nc")
            source = str(tmp_path / f"{blocks}_*.nc")
        calls: list[tuple[int, int]] = []
        tracemalloc.start()
        check(source, **options, progress=partial(record, calls))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert calls == [(done + 1, blocks) for done in range(blocks)]
    # The longer archive holds 28 blocks of 1 MiB more.
    assert peaks[2] < peaks[1] + 3 * 2**20


@pytest.mark.slow
@pytest.mark.realdata
def test_gfs_winds_as_documented() -> None:
    report = check(real("gfs_uv10_1deg.nc"))
    assert report.usable
    assert "the largest is 17 d, 2018-09-19T18:00 to 2018-10-06T18:00" in found(report, "irregular").what
    assert "1 row at the south edge will be cropped." in found(report, "not a multiple").what
    assert found(report, "rows on a pole").level == "note"
    assert report.summary[-2].endswith("global in longitude")


@pytest.mark.realdata
def test_sea_surface_temperature_is_masked() -> None:
    report = check(real("series/sst.mnmean.nc"))
    assert "(31.41 %; the same cells at every time" in found(report, "missing").what
    assert report.summary[-1] == "times: 128, 2010-01-01T00:00 to 2020-08-01T00:00, monthly, standard calendar"


@pytest.mark.realdata
def test_gaussian_model_grid() -> None:
    assert "possibly a Gaussian grid" in found(check(real("series/tas_rectilinear_grid_2D.nc")), "not uniform").what


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("name", [name for name in sorted(AWKWARD) if name.endswith(".nc")])
def test_check_never_raises_on_real_files(name: str) -> None:
    report = check(real(f"awkward/{name}"))
    assert report.summary or report.findings[0].level == "error"
