"""The numbers of a comparison against numpy, the kept libraries and verify's own functions on whole arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scores.probability import crps_for_ensemble

from comparable import area, disturbed, ensemble, few_resamples, look_up, same_values, winds  # noqa: F401
from subgrid.data.grid import coarsen
from subgrid.data.sources.open_source import open_source
from subgrid.errors import ConfigError, GridError, SourceError
from subgrid.evaluation import comparison, score_files, totals
from subgrid.evaluation.comparison import Comparison
from subgrid.evaluation.regions import regions, whole_grid
from subgrid.evaluation.score_files import score
from subgrid.evaluation.totals import PROBABILITIES
from subgrid.scores import SCORES, compute_statistics, scores_from_statistics
from subgrid.scores.plan import ScoringRequest, Variable
from subgrid.scores.statistics_file import StatisticsReader

Found = tuple[pd.DataFrame, Path]
QUICK = ("rmse", "mae", "bias", "correlation", "psnr")


@pytest.fixture(scope="module")
def truth() -> xr.Dataset:
    return winds()


@pytest.fixture(scope="module")
def guess(truth: xr.Dataset) -> xr.Dataset:
    return disturbed(truth, 0.5)


@pytest.fixture(scope="module")
def found(truth: xr.Dataset, guess: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    """All scores, beside a worse system and the same one again."""
    out = tmp_path_factory.mktemp("scores")
    coarse = coarsen(open_source(truth), 4).load()
    others = {"worse": disturbed(truth, 1.5), "same": guess}
    table = score(guess, truth, baselines=others, out=out, factor=4, coarse=coarse, by=["season", "hour"])
    return table, out


@pytest.mark.slow
def test_scores_of_fields_are_those_of_whole_arrays(found: Found, truth: xr.Dataset, guess: xr.Dataset) -> None:
    p, r = guess.u10.values.astype(np.float64), truth.u10.values.astype(np.float64)
    low, high = r.min(), r.max()
    options: dict[str, Any] = {"low": low, "high": high, "factor": 4, "weights": area(truth)}
    expected = scores_from_statistics(compute_statistics(p, r, data_range=high - low, **options))
    assert set(expected) == set(SCORES)
    for name, value in expected.items():
        assert look_up(found[0], "prediction", "u10", name) == pytest.approx(value, rel=1e-9), name


def test_errors_by_area_are_those_of_a_plain_loop(found: Found, truth: xr.Dataset, guess: xr.Dataset) -> None:
    weights, error = area(truth), (guess.v10 - truth.v10).values.astype(np.float64)
    square = total = absolute = 0.0
    for t in range(error.shape[0]):
        for y in range(error.shape[1]):
            for x in range(error.shape[2]):
                square += weights[y, x] * error[t, y, x] ** 2 / len(error)
                absolute += weights[y, x] * abs(error[t, y, x]) / len(error)
                total += weights[y, x] * error[t, y, x] / len(error)
    for name, value in (("rmse", square**0.5), ("mae", absolute), ("bias", total)):
        assert look_up(found[0], "prediction", "v10", name) == pytest.approx(value, rel=1e-5, abs=1e-7), name
    assert look_up(found[0], "prediction", "v10", "rmse") != pytest.approx((error**2).mean() ** 0.5, rel=1e-5)


def test_winds(found: Found, truth: xr.Dataset, guess: xr.Dataset) -> None:
    made, true = (f.u10.values.astype(complex) + 1j * f.v10.values for f in (guess, truth))
    weights = np.broadcast_to(area(truth), made.shape)
    strong = abs(true) > 1
    angle = abs(np.rad2deg(np.angle(made / true)))
    expected = (angle * weights)[strong].sum() / weights[strong].sum()
    assert look_up(found[0], "prediction", "wind", "direction_error") == pytest.approx(expected, rel=1e-6)
    length = np.sqrt((abs(made - true) ** 2 * weights).sum() / len(made))
    assert look_up(found[0], "prediction", "wind", "vector_rmse") == pytest.approx(length, rel=1e-6)
    speed = np.sqrt(((abs(made) - abs(true)) ** 2 * weights).sum() / len(made))
    assert look_up(found[0], "prediction", "wind_speed", "rmse") == pytest.approx(speed, rel=1e-6)
    # Noise without structure has more power in its derivatives than smooth winds.
    for flow in ("divergence", "vorticity"):
        assert look_up(found[0], "prediction", flow, "high_wavenumber_power_ratio") > 1
        assert look_up(found[0], "prediction", flow, "log_spectral_distance", column="units") == "dB"


def test_agreement_with_the_input(found: Found, truth: xr.Dataset, guess: xr.Dataset) -> None:
    def blocks(values: np.ndarray) -> np.ndarray:
        rows, columns = values.shape[-2] // 4, values.shape[-1] // 4
        return values.reshape(*values.shape[:-2], rows, 4, columns, 4).sum((-3, -1))

    weights = area(truth)
    error = blocks((guess.u10 - truth.u10).values.astype(np.float64) * weights) / blocks(weights)
    expected = np.sqrt((error**2 * blocks(weights)).sum((1, 2)).mean())
    assert look_up(found[0], "prediction", "u10", "consistency_rmse") == pytest.approx(expected, rel=1e-5)
    expected = (abs(error) * blocks(weights)).sum((1, 2)).mean()
    assert look_up(found[0], "prediction", "u10", "consistency_mae") == pytest.approx(expected, rel=1e-5)


def test_an_ensemble(truth: xr.Dataset, tmp_path: Path) -> None:
    few = truth.isel(time=slice(0, 16))
    members = ensemble(few)
    table = score(members, few, out=tmp_path, overwrite=True, factor=4)
    weights = xr.DataArray(area(few), dims=("latitude", "longitude"))
    for name, method in (("crps", "ecdf"), ("crps_fair", "fair")):
        each = crps_for_ensemble(
            members.u10.astype(float), few.u10.astype(float), "realization", method=method, preserve_dims="all"
        )
        expected = float((each * weights).sum() / len(few.time))
        assert look_up(table, "prediction", "u10", name) == pytest.approx(expected, rel=1e-6)
    mean = members.u10.astype(float).mean("realization")
    expected = float(np.sqrt((((mean - few.u10) ** 2) * weights).sum() / len(few.time)))
    assert look_up(table, "prediction", "u10", "rmse") == pytest.approx(expected, rel=1e-6)
    # Texture is asked of each member: the mean of members is smoother than any.
    name = "gradient_magnitude_ratio"
    each_ratio = []
    for m in range(4):
        member = members.u10.isel(realization=m).values
        each_ratio.append(
            scores_from_statistics(compute_statistics(member, few.u10.values, names=[name], data_range=1.0, factor=4))[
                name
            ]
        )
    assert look_up(table, "prediction", "u10", name) == pytest.approx(np.mean(each_ratio), rel=1e-6)
    conventions = table.drop_duplicates("score").set_index("score").convention
    assert conventions["rmse"].endswith("of the ensemble's mean")
    assert conventions["histogram_overlap"].endswith("of each member, averaged")
    assert look_up(table, "prediction", "u10", "spread", column="rank") == ""
    with xr.open_dataset(tmp_path / "ranks.nc") as ranks:
        below = (members.u10 < few.u10).sum("realization")
        for rank in range(5):
            share = float(((below == rank) * weights).sum() / len(few.time))
            assert float(ranks.u10.sel(system="prediction")[rank]) == pytest.approx(share, abs=1e-9)


def test_round_the_globe_columns_may_start_anywhere(tmp_path: Path) -> None:
    truth = winds(16, rows=24, columns=36, step=5.0)
    turned = 10.0 * np.arange(36)
    truth = truth.assign_coords(longitude=("longitude", turned, truth.longitude.attrs))
    guess = disturbed(truth, 0.5)
    names = ["log_spectral_distance", "high_wavenumber_power_ratio", "rmse"]
    first = score(guess, truth, out=tmp_path / "a", overwrite=True, factor=2, names=names)
    rolled = [f.roll(longitude=7).assign_coords(longitude=truth.longitude) for f in (guess, truth)]
    second = score(*rolled, out=tmp_path / "b", overwrite=True, factor=2, names=names)
    assert {"divergence", "vorticity"} <= set(first.variable)
    np.testing.assert_allclose(first.value, second.value, rtol=1e-6)
    assert "x periodic" in look_up(first, "prediction", "u10", "log_spectral_distance", column="convention")


@pytest.mark.slow
@pytest.mark.parametrize("cells", [1, 20 * 24 * 3, 10**9])
def test_blocks_change_nothing(
    found: Found,
    truth: xr.Dataset,
    guess: xr.Dataset,
    cells: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(score_files, "BLOCK_CELLS", cells)
    monkeypatch.setattr(comparison, "CACHED_CELLS", max(1, cells // 2))
    steps: list[tuple[int, int]] = []
    table = score(guess, truth, out=tmp_path, overwrite=True, factor=4, progress=lambda *at: steps.append(at))
    once = found[0][
        (found[0].system == "prediction") & (found[0].group == "all") & ~found[0].score.str.startswith("consistency")
    ]
    same_values(table.assign(rank=""), once.assign(rank="").reset_index(drop=True))
    assert steps[-1] == (24, 24) and len(steps) == {1: 24, 20 * 24 * 3: 8, 10**9: 1}[cells]
    for name in ("quantiles", "cells"):
        with xr.open_dataset(tmp_path / f"{name}.nc") as one, xr.open_dataset(found[1] / f"{name}.nc") as other:
            xr.testing.assert_allclose(one.sel(system="prediction"), other.sel(system="prediction"))


def test_groups_are_scores_of_the_subset(truth: xr.Dataset, guess: xr.Dataset, found: Found, tmp_path: Path) -> None:
    table = found[0]
    groups = {
        "season DJF": truth.time.dt.month.values == 2,
        "hour 06": truth.time.dt.hour.values == 6,
    }
    assert set(table.group) == {"all", "season DJF", *(f"hour {h:02d}" for h in (0, 6, 12, 18))}
    ranges = {v: (float(truth[v].min()), float(truth[v].max())) for v in ("u10", "v10")}
    for group, there in groups.items():
        at = np.flatnonzero(there)
        alone = score(
            guess.isel(time=at), truth.isel(time=at), out=tmp_path / group, overwrite=True, names=QUICK, ranges=ranges
        )
        for row in alone[alone.variable == "u10"].itertuples():
            assert look_up(table, "prediction", "u10", row.score, group) == pytest.approx(row.value, rel=1e-9)


def test_regions_are_scores_of_their_cells(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path) -> None:
    big = [
        f.interp(latitude=np.linspace(50, 31, 30), longitude=np.linspace(5, 28, 32)).astype(np.float32)
        for f in (guess, truth)
    ]
    for fields in big:
        for v in fields:
            fields[v].attrs["units"] = "m s-1"
        fields.latitude.attrs["units"], fields.longitude.attrs["units"] = "degrees_north", "degrees_east"
    table = score(*big, out=tmp_path / "all", overwrite=True, by=["region"], names=["rmse", "log_spectral_distance"])
    names = {"northwestern", "northeastern", "southwestern", "southeastern"}
    assert set(table.group) == {"all"} | {f"region {name} quarter" for name in names}
    part = [f.isel(latitude=slice(15, None), longitude=slice(0, 16)) for f in big]
    alone = score(*part, out=tmp_path / "part", overwrite=True, names=["rmse", "log_spectral_distance"])
    for row in alone[alone.variable != "wind"].itertuples():
        value = look_up(table, "prediction", row.variable, row.score, "region southwestern quarter")
        assert value == pytest.approx(row.value, rel=1e-6), row


def test_bands_of_latitude() -> None:
    latitude, longitude = np.arange(88.75, -90, -2.5), np.arange(0, 360, 2.5)
    grid = xr.Dataset(
        coords={"latitude": latitude, "longitude": longitude},
        data_vars={"t": (("latitude", "longitude"), np.zeros((72, 144)))},
    )
    found = regions(grid)
    assert list(found) == ["northern extratropics", "tropics", "southern extratropics"]
    assert all(part.periodic_x and part.geometry == "sphere" for part in found.values())
    assert sum(part.rows.size for part in found.values()) == 72
    assert found["tropics"].y is not None and np.abs(found["tropics"].y).max() == 28.75
    whole = whole_grid(grid)
    assert whole.weights is not None and whole.weights.mean() == pytest.approx(1.0)
    shares = [part.weights.sum() / 72 for part in found.values() if part.weights is not None]
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.25], atol=1e-9)
    with pytest.raises(
        GridError, match="by region: the grid of 20 x 144 cells falls into parts of fewer than 12 cells"
    ):
        regions(grid.isel(latitude=slice(30, 50)))


def test_what_a_grid_allows() -> None:
    def grid(y: str, x: str, units: str, ends: float = 10.0) -> xr.Dataset:
        coords = {d: (d, np.linspace(ends, -ends, 14)[:: -1 if d == x else 1], {"units": units}) for d in (y, x)}
        return xr.Dataset({"t": ((y, x), np.zeros((14, 14)))}, coords)

    metres = whole_grid(grid("projection_y_coordinate", "projection_x_coordinate", "m"))
    assert (metres.weights, metres.geometry, metres.periodic_x) == (None, "plane", False)
    assert whole_grid(grid("projection_y_coordinate", "projection_x_coordinate", "1")).geometry is None
    rotated = whole_grid(grid("grid_latitude", "grid_longitude", "degrees"))
    assert rotated.geometry is None and rotated.weights is not None and rotated.weights.max() > rotated.weights.min()
    assert whole_grid(grid("latitude", "longitude", "degrees", 90.0)).geometry is None  # a pole
    bare = whole_grid(xr.Dataset({"t": (("latitude", "longitude"), np.zeros((14, 30)))}))
    assert (bare.weights, bare.y) == (None, None)
    assert set(regions(xr.Dataset({"t": (("latitude", "longitude"), np.zeros((24, 30)))}))) == {
        f"{r}{c}ern quarter" for r in ("north", "south") for c in ("west", "east")
    }


def test_standings(found: Found) -> None:
    table = found[0]
    for name in ("rmse", "mae", "ssim", "psnr"):
        assert look_up(table, "prediction", "u10", name, column="rank") == "best"
        assert look_up(table, "same", "u10", name, column="rank") == "no significant difference"
        assert look_up(table, "worse", "u10", name, column="rank") == "worse"
    lower, value, upper = (look_up(table, "worse", "u10", "rmse", column=c) for c in ("lower", "value", "upper"))
    assert lower < value < upper


def test_too_few_times_have_no_interval_and_no_standing(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path) -> None:
    said: list[str] = []
    few = [f.isel(time=slice(0, 8)) for f in (guess, truth)]
    table = score(
        *few, baselines={"other": disturbed(few[1], 2.0)}, out=tmp_path, overwrite=True, names=QUICK, notify=said.append
    )
    assert table.lower.isna().all() and (table["rank"] == "").all()
    assert said == ["no interval for 26 of 26 scores: 8 times; an interval needs 15 or more"]


def test_a_block_too_long_for_a_group(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path) -> None:
    said: list[str] = []
    options: dict[str, Any] = {"overwrite": True, "names": ["rmse"], "variables": ["u10"], "notify": said.append}
    options["out"] = tmp_path
    table = score(guess, truth, block=8, by=["hour"], **options)
    assert table[table.group == "all"].lower.notna().all()
    assert table[table.group != "all"].lower.isna().all()
    assert any("blocks of 8 times need 24 or more, hour 06 has 6" in note for note in said)
    with pytest.raises(ConfigError, match="block is 9 times; expected 1 to 8"):
        score(guess, truth, block=9, **options)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"by": ["month"]}, "by: got 'month', expected some of season, hour, region"),
        ({"level": 1.5}, "level is 1.5; expected a share between 0 and 1"),
        ({"names": ["rmsee"]}, "no score here is called 'rmsee'. Did you mean 'rmse'?"),
        ({"names": ["crps"]}, "the score crps needs members along realization"),
        ({"names": ["consistency_mae"]}, "the score consistency_mae needs the coarse input and the factor"),
        ({"names": ["high_wavenumber_power_ratio"]}, r"needs the factor \(fine cells per coarse cell\)"),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_is_read(
    truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path, option: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        score(guess, truth, out=tmp_path / "scores", overwrite=True, **option)
    assert not (tmp_path / "scores").exists()


def test_families_can_be_asked_for(truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path) -> None:
    table = score(
        guess,
        truth,
        out=tmp_path,
        overwrite=True,
        variables=["u10"],
        names=["fss_4.0_w3", "quantile_error_0.75", "rmse"],
    )
    assert list(table.score) == ["rmse", "fss_4_w3", "quantile_error_0.75"]
    pairs = zip(guess.u10.values.astype(float), truth.u10.values.astype(float), strict=True)
    expected = np.mean([np.quantile(p, 0.75) - np.quantile(r, 0.75) for p, r in pairs])
    assert look_up(table, "prediction", "u10", "quantile_error_0.75") == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(6)))
def test_the_order_of_times_changes_no_value(order: list[int], tmp_path: Path) -> None:
    truth = winds(6, rows=12, columns=12)
    guess = disturbed(truth, 0.3)
    names = [*QUICK, "ms_ssim", "log_spectral_distance", "histogram_overlap"]
    options: dict[str, Any] = {"variables": ["u10"], "names": names}
    plain = score(guess, truth, out=tmp_path / "a", overwrite=True, **options)
    turned = score(guess.isel(time=order), truth, out=tmp_path / "b", overwrite=True, **options)
    same_values(plain, turned)
    other = truth.assign_coords(time=truth.time.values[order])  # other weather at each time, of the same fields
    moved = score(guess.assign_coords(time=other.time), other, out=tmp_path / "c", overwrite=True, **options)
    np.testing.assert_allclose(plain.value, moved.value, rtol=1e-7, atol=1e-12)


def test_the_files(found: Found, truth: xr.Dataset, guess: xr.Dataset) -> None:
    table, out = found
    names = {"scores.csv", "scores.nc", "statistics.nc", "cells.nc", "quantiles.nc", "cycles.nc"}
    assert {p.name for p in out.iterdir()} == names
    written = pd.read_csv(out / "scores.csv", keep_default_na=False, na_values={"lower": "", "upper": ""})
    pd.testing.assert_frame_equal(written, table, check_dtype=False)
    with xr.open_dataset(out / "scores.nc") as cube:
        for row in table.iloc[::7].itertuples():
            at = {"system": row.system, "variable": row.variable, "score": row.score}
            cell = cube.sel(at, drop=True).sel(group=row.group)
            assert float(cell.value) == row.value
            assert str(cell["rank"].values) == row.rank
            assert (str(cell.units.values), str(cell.convention.values)) == (row.units, row.convention)
            np.testing.assert_equal([float(cell.lower), float(cell.upper)], [row.lower, row.upper])
    with xr.open_dataset(out / "statistics.nc", group="all/u10") as parts:
        error = ((guess.u10 - truth.u10).values.astype(float) ** 2 * area(truth)).sum((1, 2))
        np.testing.assert_allclose(parts.rmse[0, :, 0], error, rtol=1e-5)
        assert parts.sizes["time"] == 24
    with xr.open_dataset(out / "cells.nc") as cells:
        error = (guess.u10 - truth.u10).astype(float)
        np.testing.assert_allclose(cells.u10_bias.sel(system="prediction"), error.mean("time"), atol=1e-6)
        np.testing.assert_allclose(cells.u10_rmse.sel(system="prediction"), (error**2).mean("time") ** 0.5, rtol=1e-5)
        np.testing.assert_array_equal(cells.latitude, truth.latitude)
    with xr.open_dataset(out / "quantiles.nc") as quantiles:
        width = quantiles.u10.attrs["bin_width"]
        for name, fields in (("truth", truth), ("prediction", guess)):
            values = fields.u10.values.astype(float)
            expected = np.quantile(values, PROBABILITIES, method="inverted_cdf")
            np.testing.assert_allclose(quantiles.u10.sel(system=name), expected, rtol=0, atol=1.001 * width)
    with xr.open_dataset(out / "cycles.nc") as cycles:
        assert list(cycles.hour) == [0, 6, 12, 18]
        assert float(cycles.u10_rmse_hour.sel(system="worse", hour=6)) == pytest.approx(
            look_up(table, "worse", "u10", "rmse", "hour 06")
        )
    with StatisticsReader(out / "statistics.nc") as reader:
        assert reader.systems == ["prediction", "worse", "same"]


def test_quantiles_stay_in_their_bins() -> None:
    """Two spikes with nothing between: no quantile lies where there are no values."""
    counts, edges = np.zeros(100), np.linspace(0.0, 100.0, 101)
    counts[20], counts[70] = 60, 40
    found = totals._quantiles(counts, edges)
    values = np.repeat([20.5, 70.5], [60, 40])
    expected = np.quantile(values, PROBABILITIES, method="inverted_cdf")
    assert np.abs(found - expected).max() <= 0.5
    assert (np.diff(found) >= 0).all()


def test_a_comparison_refuses_what_no_score_can_stand(tmp_path: Path) -> None:
    grid = open_source(winds(4, rows=12, columns=12)).load()
    request = ScoringRequest((Variable("u10", "m s-1", 0.0, 6.0, 3.0, 1.0),), names=("rmse",))
    times, true = grid.valid_time, grid.u10.values

    def add(made: np.ndarray, truth: np.ndarray) -> None:
        running = Comparison(tmp_path / "x", ["ours"], request, grid, num_times=4)
        try:
            running.add(times, {"ours": {"u10": made[:, None]}}, {"u10": truth})
        finally:
            running.close()

    holes = true.copy()
    holes[2, 3, 4] = np.nan
    with pytest.raises(
        SourceError,
        match=r"ours: u10 has 1 missing or infinite values .* has one, first at 2020-02-20T12:00; ",
    ):
        add(holes, true)
    add(holes, holes)  # missing in both
    with pytest.raises(SourceError, match="reference: u10 has 1 infinite values, first at 2020-02-20T12:00"):
        add(true, np.where(np.isnan(holes), np.inf, true))
    empty = true.copy()
    empty[1] = np.nan
    with pytest.raises(SourceError, match="reference: u10 has 1 times without any value, first at 2020-02-20T06:00"):
        add(true, empty)
    with pytest.raises(SourceError, match="there are no times to compare"):
        Comparison(tmp_path / "x", ["ours"], request, grid, num_times=0).finish()


def test_what_is_interrupted_leaves_the_last_results_whole(
    truth: xr.Dataset, guess: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_files, "BLOCK_CELLS", 20 * 24 * 6)
    score(guess, truth, out=tmp_path, overwrite=True, names=QUICK)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def stop(done: int, _: int) -> None:
        if done > 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(disturbed(truth, 2.0), truth, out=tmp_path, overwrite=True, names=QUICK, progress=stop)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(totals.FieldTotals, "quantiles", fail)
    with pytest.raises(OSError, match="no space left"):
        score(disturbed(truth, 2.0), truth, out=tmp_path, overwrite=True, names=QUICK)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    monkeypatch.undo()
    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(OSError, match="no space left"):
        score(disturbed(truth, 2.0), truth, out=tmp_path, overwrite=True, names=QUICK)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_files_of_an_earlier_comparison_do_not_stay(truth: xr.Dataset, tmp_path: Path) -> None:
    few = truth.isel(time=slice(0, 6))
    score(ensemble(few), few, out=tmp_path, overwrite=True, names=["rank_histogram_flatness", "rmse"])
    assert (tmp_path / "ranks.nc").is_file() and (tmp_path / "cycles.nc").is_file()
    (tmp_path / "parts.nc").write_bytes(b"statistics of an older version")
    noon = few.isel(time=[1, 5])
    score(disturbed(noon, 0.1), noon, out=tmp_path, overwrite=True, names=["rmse"])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "cells.nc",
        "quantiles.nc",
        "scores.csv",
        "scores.nc",
        "statistics.nc",
    ]


def test_default_thresholds_are_fine_enough() -> None:
    pressure = Variable("sp", "Pa", 101000.0, 101700.0, 101325.0, 104.0)
    assert pressure.fss_thresholds == (101430.0, 101530.0)
    assert Variable("t", "K", 1.0, 2.0, 1.5, 0.0123).fss_thresholds == (1.512, 1.525)
    assert Variable("t", "K", 1.0, 2.0, 1.5, 0.1, (1.25, 7.0)).fss_thresholds == (1.25, 7.0)
    assert Variable("t", "K", 1.0, 2.0, 1.5, 0.0).fss_thresholds == (2.0, 2.0)
