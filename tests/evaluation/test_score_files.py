"""`subgrid score`: what can be compared, what is said of it, and what is refused in one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from comparable import disturbed, ensemble, few_resamples, look_up, same_values, winds  # noqa: F401
from subgrid.data.grid import coarsen
from subgrid.data.sources.open_source import open_source
from subgrid.errors import ConfigError, GridError, RunError, SourceError, SubgridError
from subgrid.evaluation import score_files
from subgrid.evaluation.alignment import wind_pair
from subgrid.evaluation.score_files import score

QUICK: dict[str, Any] = {"names": ["rmse", "bias", "ssim"]}


@pytest.fixture(scope="module")
def truth() -> xr.Dataset:
    return winds(16, rows=16, columns=16)


@pytest.fixture(scope="module")
def guess(truth: xr.Dataset) -> xr.Dataset:
    return disturbed(truth, 0.5)


def in_units(fields: xr.Dataset, units: str) -> xr.Dataset:
    """The same numbers, said to be in other units."""
    return fields.assign({name: field.assign_attrs(units=units) for name, field in fields.items()})


@pytest.mark.slow
def test_other_ways_to_write_the_same_fields(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path) -> None:
    plain = score(guess, truth, out=tmp_path / "plain", overwrite=True, **QUICK)
    upside_down = guess.isel(latitude=slice(None, None, -1))
    west = guess.assign_coords(longitude=("longitude", guess.longitude.values - 360.0, guess.longitude.attrs))
    shuffled = guess.isel(time=np.random.default_rng(0).permutation(16))
    spelled, unsaid = in_units(guess, "m/s"), in_units(guess, "")
    renamed = guess.rename(time="valid_time", latitude="lat", longitude="lon")
    for other in (
        upside_down,
        west,
        shuffled,
        spelled,
        unsaid,
        renamed,
        guess.transpose("longitude", "time", "latitude"),
    ):
        same_values(score(other, truth, out=tmp_path / "other", overwrite=True, **QUICK), plain)


@pytest.mark.slow
def test_files_of_both_kinds(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path) -> None:
    truth.to_netcdf(tmp_path / "era5.nc")
    guess.to_zarr(tmp_path / "ours.zarr", consolidated=False)
    disturbed(truth, 1.0).to_netcdf(tmp_path / "theirs.2020.nc")
    for year, part in (("a", slice(0, 8)), ("b", slice(8, 16))):
        guess.isel(time=part).to_netcdf(tmp_path / f"many_{year}.nc")
    table = score(
        tmp_path / "ours.zarr",
        tmp_path / "era5.nc",
        baselines={"theirs": tmp_path / "theirs.2020.nc"},
        out=tmp_path / "s",
        overwrite=True,
        **QUICK,
    )
    assert list(table.system.unique()) == ["ours", "theirs"]
    for several in (str(tmp_path / "many_*.nc"), [tmp_path / "many_a.nc", tmp_path / "many_b.nc"]):
        again = score(several, tmp_path / "era5.nc", out=tmp_path / "m", overwrite=True, **QUICK)
        np.testing.assert_allclose(again.value, table[table.system == "ours"].value, rtol=1e-12)
    assert list(
        score(str(tmp_path / "?any_*.nc"), truth, out=tmp_path / "m", overwrite=True, **QUICK).system.unique()
    ) == ["?any_*"]
    assert list(score(tmp_path / "era5.nc", truth, out=tmp_path / "m", overwrite=True, **QUICK).value.unique()) == [
        0.0,
        1.0,
    ]
    truth.to_netcdf(tmp_path / "truth.nc")  # a name that the files of results need for the reference
    assert list(score(tmp_path / "truth.nc", truth, out=tmp_path / "m", overwrite=True, **QUICK).system.unique()) == [
        "prediction"
    ]


def test_times_and_variables_in_common(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path) -> None:
    said: list[str] = []
    late = guess.isel(time=slice(4, None)).assign(t2m=guess.u10, orography=guess.u10[0].drop_vars("time"))
    table = score(late, truth.isel(time=slice(None, 12)), out=tmp_path, notify=said.append, **QUICK)
    assert said[:3] == [
        "not in all files and left out: t2m",
        "reference: 4 of its 12 times are not in all files and are left out",
        "prediction: 4 of its 12 times are not in all files and are left out",
    ]
    middle = slice(4, 12)
    alone = score(guess.isel(time=middle), truth.isel(time=middle), out=tmp_path, overwrite=True, **QUICK)
    same_values(table, alone)


def test_other_calendars(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path) -> None:
    times = xr.date_range("2020-02-20", periods=16, freq="6h", calendar="360_day", use_cftime=True)
    odd, also = (f.assign_coords(time=times) for f in (guess, truth))
    table = score(odd, also, out=tmp_path, overwrite=True, by=["season", "hour"], **QUICK)
    assert {"season DJF", "hour 18"} <= set(table.group)
    np.testing.assert_allclose(
        table[table.group == "all"].value, score(guess, truth, out=tmp_path, overwrite=True, **QUICK).value
    )
    with pytest.raises(
        SourceError, match=r"the calendars differ \(reference: proleptic_gregorian; prediction: 360_day\)"
    ):
        score(odd, truth, out=tmp_path / "x", overwrite=True, **QUICK)


def test_other_units_are_converted_to_those_of_the_reference(
    truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path
) -> None:
    said: list[str] = []
    coarse = coarsen(open_source(truth), 4)
    options: dict[str, Any] = {"factor": 4, "names": ["rmse", "consistency_rmse"]}
    plain = score(guess, truth, out=tmp_path / "plain", overwrite=True, coarse=coarse, **options)
    other, small = (in_units(fields * 3.6, "km h-1") for fields in (guess, coarse))
    table = score(other, truth, out=tmp_path / "other", overwrite=True, coarse=small, notify=said.append, **options)
    np.testing.assert_allclose(table.value, plain.value, rtol=1e-5, atol=1e-6)
    assert set(table.units) == set(plain.units)
    assert said[:3] == [
        "prediction: u10 is converted from 'km h-1' to 'm s-1', the units of the reference",
        "prediction: v10 is converted from 'km h-1' to 'm s-1', the units of the reference",
        "coarse: u10 is converted from 'km h-1' to 'm s-1', the units of the reference",
    ]


def with_land(fields: xr.Dataset) -> xr.Dataset:
    """A corner without values, as sea temperatures have."""
    land = (fields.latitude > 46) & (fields.longitude < 9)
    return fields.where(~land)


@pytest.mark.slow
def test_a_reference_with_land(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path) -> None:
    said: list[str] = []
    table = score(guess, with_land(truth), out=tmp_path, overwrite=True, factor=4, notify=said.append)
    gone = [
        note for note in said if note.startswith("left out: u10 log_spectral_distance") or "needs every cell" in note
    ]
    assert gone and "log_spectral_distance" not in set(table[table.variable == "u10"].score)
    there = ~np.isnan(with_land(truth).u10.values)
    error = (guess.u10 - truth.u10).values.astype(float)
    rows = np.cos(np.deg2rad(truth.latitude.values))[None, :, None] * there
    expected = np.sqrt(np.mean([(e**2 * w).sum() / w.sum() for e, w in zip(error, rows, strict=True)]))
    assert look_up(table, "prediction", "u10", "rmse") == pytest.approx(expected, rel=1e-6)
    same_values(score(with_land(guess), with_land(truth), out=tmp_path, overwrite=True, factor=4), table)
    with xr.open_dataset(tmp_path / "cells.nc") as cells:
        assert int(np.isnan(cells.u10_rmse).sum()) == int((~there[0]).sum())
    with pytest.raises(SourceError, match=r"u10: .*a spectrum needs every cell"):
        score(guess, with_land(truth), out=tmp_path / "x", overwrite=True, names=["rmse", "log_spectral_distance"])
    assert not (tmp_path / "x").exists()


def bad(truth: xr.Dataset, guess: xr.Dataset) -> dict[str, tuple[dict[str, Any], type[SubgridError], str]]:
    """What cannot be compared, and what is said."""
    hole = guess.copy(deep=True)
    hole.v10[3, 2, 1] = np.nan
    still = truth.map(lambda f: f * 0 + 5, keep_attrs=True)
    levels = xr.concat([guess, guess], "level").assign_coords(level=[500, 850])
    members = ensemble(truth, 3)
    half = members.assign(v10=members.v10.isel(realization=0, drop=True))
    coarse = coarsen(open_source(truth), 4).load()
    shifted = coarse.assign_coords(latitude=coarse.latitude + 1.0)
    return {
        "grid": (
            {"prediction": guess.isel(latitude=slice(0, 12))},
            GridError,
            r"prediction: its grid differs .* along latitude \(12 cells from 50 to 39, expected 16 cells",
        ),
        "kind of grid": (
            {"prediction": guess.drop_attrs().rename(latitude="rlat", longitude="rlon")},
            GridError,
            "along latitude",
        ),
        "units": (
            {"prediction": in_units(guess, "K")},
            SourceError,
            "prediction: u10 is in 'K', the reference in 'm s-1', and the one cannot be converted",
        ),
        "times": (
            {"prediction": guess.assign_coords(time=guess.time + np.timedelta64(400, "D"))},
            SourceError,
            "no time in common: reference: 2020-02-20",
        ),
        "variables": (
            {"prediction": guess.rename(u10="a", v10="b")},
            SourceError,
            "no variable in common: reference: u10, v10; prediction: a, b",
        ),
        "wanted": ({"variables": ["t2m"]}, SourceError, "no variable 't2m'"),
        "levels": ({"prediction": levels}, SourceError, r"has the dimension level \(2 labels\)"),
        "truth's members": (
            {"reference": members},
            SourceError,
            r"reference: u10 has the dimension realization \(3 labels\)",
        ),
        "a hole": (
            {"prediction": hole},
            SourceError,
            "prediction: v10 has 1 missing or infinite values where the reference has one, first at 2020-02-20T18:00",
        ),
        "constant": (
            {"reference": still},
            SourceError,
            "u10: its range is 5 to 5; expected a lower and a higher number",
        ),
        "empty": ({"reference": truth * np.nan}, SourceError, "reference: u10 holds no value at all"),
        "names": ({"baselines": {"prediction": guess}}, ConfigError, "two of the fields are called 'prediction'"),
        "its name": ({"baselines": {"truth": guess}}, ConfigError, "two of the fields are called 'truth'"),
        "one and many": (
            {"prediction": members, "baselines": {"single": guess}},
            ConfigError,
            r"members differ \(prediction 3, single 1\)",
        ),
        "half": ({"prediction": half}, SourceError, "prediction: v10 has no members though other variables have"),
        "no time": (
            {"prediction": guess.isel(time=0, drop=True)},
            SourceError,
            "no variable in common: .*prediction: none with times",
        ),
        "no such time": (
            {"prediction": guess.isel(time=0, drop=True), "variables": ["u10"]},
            SourceError,
            "prediction: u10 has no time; add one",
        ),
        "no factor": ({"coarse": coarse}, ConfigError, r"coarse needs factor \(--factor\)"),
        "factor": ({"factor": 1}, ConfigError, "factor is 1; expected"),
        "coarse size": (
            {"coarse": coarse, "factor": 2},
            GridError,
            "coarse: 4 cells from .* along latitude, expected 16 / 2",
        ),
        "coarse place": ({"coarse": shifted, "factor": 4}, GridError, "latitude: coarse and fine cells do not nest"),
        "coarse times": (
            {"coarse": coarse.isel(valid_time=slice(2, None)), "factor": 4},
            SourceError,
            "coarse: 2 of the 16 times that are compared are missing, the first 2020-02-20 00:00:00",
        ),
        "coarse units": (
            {"coarse": in_units(coarse, "K"), "factor": 4},
            SourceError,
            "coarse: u10 is in 'K'",
        ),
        "coarse members": (
            {"coarse": xr.concat([coarse, coarse], "realization"), "factor": 4},
            SourceError,
            "coarse: u10 has the dimension realization",
        ),
        "coarse still": (
            {"coarse": coarse.isel(valid_time=0, drop=True), "factor": 4},
            SourceError,
            "coarse: u10 has no time",
        ),
        "range of nothing": (
            {"ranges": {"u1": (0, 1)}},
            ConfigError,
            "range: no variable 'u1' is scored. Did you mean 'u10'?",
        ),
        "range": ({"ranges": {"u10": (3.0, 1.0)}}, SourceError, "u10: its range is 3 to 1"),
        "threshold": ({"thresholds": {"t2m": (1.0,)}}, ConfigError, "threshold: no variable 't2m' is scored"),
        "small": ({"by": ["region"]}, GridError, "by region: the grid of 16 x 16 cells"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(bad(winds(16, rows=16, columns=16), winds(16, rows=16, columns=16))))
def test_what_cannot_be_compared(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path, case: str) -> None:
    changes, kind, message = bad(truth, guess)[case]
    given = {"prediction": guess, "reference": truth, "out": tmp_path / "scores", **changes}
    with pytest.raises(kind, match=message) as error:
        score(given.pop("prediction"), given.pop("reference"), **given)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "scores").exists()


def test_an_out_that_is_a_file(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "scores").write_text("mine")
    with pytest.raises(RunError, match="scores is a file; give a folder for the scores"):
        score(guess, truth, out=tmp_path / "scores", overwrite=True)
    assert (tmp_path / "scores").read_text() == "mine"


@pytest.mark.parametrize("ending", ["csv", "nc"])
def test_the_table_alone(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"table.{ending}"
    table = score(guess, truth, out=out, names=["rmse", "mae"])
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    if ending == "csv":
        assert list(pd.read_csv(out).value) == pytest.approx(list(table.value), rel=1e-12)
    else:
        with xr.open_dataset(out) as held:
            values = held["value"].stack(row=("variable", "score")).dropna("row").values.ravel()
        assert sorted(values) == pytest.approx(sorted(table.value), rel=1e-12)
    before = out.read_bytes()
    with pytest.raises(SourceError):  # a run that fails leaves the older table
        score(guess.where(guess > 1e9), truth, out=out, overwrite=True)
    assert out.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == [out.name]
    with pytest.raises(RunError, match=r"nowhere does not exist; create it first"):
        score(guess, truth, out=tmp_path / "nowhere" / "table.csv")
    (tmp_path / "folder.nc").mkdir()
    with pytest.raises(RunError, match=r"folder\.nc is a folder; give another name"):
        score(guess, truth, out=tmp_path / "folder.nc")


@pytest.mark.slow
def test_options_bite(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path) -> None:
    plain = score(guess, truth, out=tmp_path, overwrite=True, variables=["u10"])
    wide = score(
        guess,
        truth,
        out=tmp_path,
        overwrite=True,
        variables=["u10"],
        ranges={"u10": (-100.0, 100.0)},
        thresholds={"u10": (4.5,)},
    )
    span = float(np.ptp(truth.u10.values.astype(float)))
    gained = look_up(wide, "prediction", "u10", "psnr") - look_up(plain, "prediction", "u10", "psnr")
    assert gained == pytest.approx(20 * np.log10(200 / span), rel=1e-6)
    assert {name for name in wide.score if name.startswith("fss")} == {"fss_4.5_w1", "fss_4.5_w5"}
    assert "high_wavenumber_power_ratio" not in set(plain.score)
    assert "high_wavenumber_power_ratio" in set(
        score(guess, truth, out=tmp_path, overwrite=True, factor=2, variables=["u10"]).score
    )
    narrow = score(guess, truth, out=tmp_path, overwrite=True, level=0.5, names=["rmse"])
    usual = score(guess, truth, out=tmp_path, overwrite=True, names=["rmse"])
    assert ((narrow.upper - narrow.lower) < (usual.upper - usual.lower)).all()
    longer = score(guess, truth, out=tmp_path, overwrite=True, names=["rmse"], block=5)
    assert not np.allclose(longer.lower, usual.lower) and np.allclose(longer.value, usual.value)


@pytest.mark.slow
@pytest.mark.parametrize("chunks", [{"time": 3}, {"latitude": 5, "longitude": 7}, {"time": 1, "latitude": 4}])
def test_chunks_change_nothing(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path, chunks: dict[str, int]) -> None:
    plain = score(guess, truth, out=tmp_path, overwrite=True, **QUICK)
    same_values(score(guess.chunk(chunks), truth.chunk(chunks), out=tmp_path, overwrite=True, **QUICK), plain)


def test_never_more_than_a_block_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks are made when they are read: none is held while another block is."""
    grid, made = winds(40, rows=12, columns=12), []

    def lazily(fields: xr.Dataset, name: str) -> xr.Dataset:
        def read(block: np.ndarray, block_info: Any = None) -> np.ndarray:
            made.append((name, block_info[0]["array-location"][0][0]))
            return block

        return fields.map(
            lambda f: f.copy(data=dask.array.from_array(f.values, (2, -1, -1)).map_blocks(read, dtype=f.dtype))
        )

    monkeypatch.setattr(score_files, "BLOCK_CELLS", 12 * 12 * 4)
    order: list[int] = []
    score(
        lazily(grid[["u10"]], "prediction"),
        lazily(grid[["u10"]], "reference"),
        out=tmp_path,
        overwrite=True,
        names=["rmse"],
        progress=lambda done, _: order.append(sum(name == "prediction" for name, _ in made)),
    )
    assert order == list(range(2, 22, 2))  # two chunks more with each of the ten blocks, never ahead


def test_pairs_of_winds() -> None:
    units = dict.fromkeys(("u10", "v10", "u500", "v500", "ua", "va"), "m s-1") | {"tauu": "N m-2", "tauv": "N m-2"}
    assert wind_pair({"u10": "x", "v10": "y"}, units) == ("u10", "v10")
    assert wind_pair({"ua": "x", "v10": "y"}, units) == ("ua", "v10")  # one of each
    assert wind_pair({"v500": "y", "u10": "x", "v10": "y"}, units) == ("u10", "v10")
    assert wind_pair({"u500": "x", "v10": "y", "u10": "x"}, units) == ("u10", "v10")
    assert wind_pair({"u500": "x", "v10": "y", "ua": "x"}, units) is None
    assert wind_pair({"tauu": "x", "tauv": "y"}, units) is None
    assert wind_pair({"u10": "x"}, units) is None
    assert wind_pair({"u10": "x", "v10": "y"}, {}) == ("u10", "v10")


def test_a_derived_field_that_is_there_is_kept(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path) -> None:
    own = [f.assign(wind_speed=f.u10 * 0 + f.u10 + f.v10) for f in (guess, truth)]
    table = score(*own, out=tmp_path, overwrite=True, names=["bias"])
    expected = look_up(table, "prediction", "u10", "bias") + look_up(table, "prediction", "v10", "bias")
    assert look_up(table, "prediction", "wind_speed", "bias") == pytest.approx(expected, abs=1e-5)


def run_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str, str]:
    from subgrid.cli import main

    monkeypatch.setattr(sys, "argv", ["subgrid", *map(str, words)])
    with pytest.raises(SystemExit) as done:
        main()
    found = capsys.readouterr()
    return int(str(done.value.code)), found.out, found.err


@pytest.mark.slow
def test_the_command(
    truth: xr.Dataset,
    guess: xr.Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, fields in (
        ("truth", truth),
        ("ours", guess),
        ("theirs", disturbed(truth, 1.0)),
        ("kelvin", in_units(guess, "K")),
    ):
        fields.to_netcdf(f"{name}.nc")
    coarsen(open_source(truth), 4).to_netcdf("coarse.nc")
    words = ["score", "ours.nc", "truth.nc", "--baseline", "theirs.nc", "--variables", "u10"]
    options = [
        "--factor",
        4,
        "--coarse",
        "coarse.nc",
        "--range",
        "u10=-30,30",
        "--threshold",
        "u10=4,5",
        "--by",
        "hour",
    ]
    code, out, _ = run_command(monkeypatch, capsys, *words, *options)
    assert code == 0 and out.splitlines()[-1] == "scores/scores.csv"
    assert any(line.split()[:2] == ["u10", "consistency_rmse"] for line in out.splitlines())
    assert "* best" in out and "more rows" in out
    code, out, _ = run_command(monkeypatch, capsys, *words, "--scores", "rmse,fss_4_w3", "--out", "few")
    assert code == 0 and "fss_4_w3: Fractions skill score" in out and len(out.splitlines()) == 7
    before = {p.name: p.read_bytes() for p in Path("scores").iterdir()}
    code, out, err = run_command(monkeypatch, capsys, "score", "kelvin.nc", "truth.nc", "--overwrite")
    assert (code, out) == (2, "") and err.startswith("subgrid: kelvin: u10 is in 'K'") and err.count("\n") == 1
    assert {p.name: p.read_bytes() for p in Path("scores").iterdir()} == before
    for wrong in (["--range", "u10=1"], ["--threshold", "u10"], ["--baseline", "a/theirs.nc"], ["--level", "2"]):
        assert run_command(monkeypatch, capsys, *words, *wrong)[0] == 2


# outputs


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["truth.nc", "ours.nc", "link.nc"])
def test_scores_never_replace_what_they_are_computed_from(
    truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path, name: str
) -> None:
    truth.to_netcdf(tmp_path / "truth.nc")
    guess.to_netcdf(tmp_path / "ours.nc")
    (tmp_path / "link.nc").symlink_to(tmp_path / "truth.nc")
    before = contents(tmp_path)
    with pytest.raises(RunError, match=rf"{name} is what is read .* and would be lost; choose another name"):
        score(tmp_path / "ours.nc", tmp_path / "truth.nc", out=tmp_path / name, overwrite=True, **QUICK)
    assert contents(tmp_path) == before


def test_scores_replace_only_scores_and_only_when_told(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path) -> None:
    guess.to_netcdf(tmp_path / "cells.nc")  # of another program, with a name that `score` writes too
    (tmp_path / "era5.nc").write_bytes((tmp_path / "cells.nc").read_bytes())
    (tmp_path / "stations.csv").write_text("name,value\nGraz,3\n")
    before = contents(tmp_path)
    with pytest.raises(RunError, match=r"holds cells\.nc, which `score` did not write; choose another folder"):
        score(guess, truth, out=tmp_path, overwrite=True, **QUICK)
    for name in ("era5.nc", "stations.csv"):
        with pytest.raises(RunError, match=rf"{name} already exists and is no table of scores; choose"):
            score(guess, truth, out=tmp_path / name, overwrite=True, **QUICK)
    assert contents(tmp_path) == before
    for out in (tmp_path / "scores", tmp_path / "table.csv", tmp_path / "table.nc"):
        first = score(guess, truth, out=out, **QUICK)
        with pytest.raises(RunError, match=r"already .* or pass overwrite=True \(--overwrite\)\.$"):
            score(truth, truth, out=out, **QUICK)
        again = score(truth, truth, out=out, overwrite=True, **QUICK)
        assert not again.value.equals(first.value)
    (tmp_path / "scores" / "evaluation.json").write_text("{}")
    with pytest.raises(RunError, match="scores holds the evaluation of a run; choose another folder"):
        score(guess, truth, out=tmp_path / "scores", overwrite=True, **QUICK)


@pytest.mark.parametrize("name", ["scores", "table.csv"])
def test_of_two_writers_of_scores_the_second_is_refused(
    truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path, name: str
) -> None:
    said: list[str] = []

    def second(*_: object) -> None:
        with pytest.raises(RunError, match=rf"{name} is being written by another process \({os.getpid()} on"):
            score(truth, truth, out=tmp_path / name, overwrite=True, **QUICK)
        said.append("refused")

    table = score(guess, truth, out=tmp_path / name, progress=second, **QUICK)
    assert said
    file = tmp_path / name if name.endswith(".csv") else tmp_path / name / "scores.csv"
    assert list(pd.read_csv(file).value) == pytest.approx(list(table.value), rel=1e-12)
    assert not list(tmp_path.rglob("*.tmp")) and not list(tmp_path.rglob("*.lock"))
