"""What the report page is made of: packed fields, linked maps, live lines, ranked tables, studies read and told."""

from __future__ import annotations

import base64
import json
import math
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import xarray as xr
from bokeh.models import GlyphRenderer, Span
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from report_run import make_history, make_run, make_samples, make_spectra
from report_study import make_draws, make_study
from subgrid.errors import RunError
from subgrid.reporting import render
from subgrid.reporting.evaluated_run import load_evaluated_run
from subgrid.reporting.figures import interactive_maps, rmse_at, system_styles
from subgrid.reporting.figures.encode_fields import LEVELS, Steps, decode_field, encode_field, steps_for
from subgrid.reporting.figures.interactive_lines import (
    MOST_POINTS,
    interactive_columns,
    interactive_curves,
    interactive_profile,
    interactive_spectra,
    over_seeds,
)
from subgrid.reporting.figures.interactive_maps import PANELS, LinkedMaps, linked_maps
from subgrid.reporting.figures.interactive_points import Point, interactive_trade_off
from subgrid.reporting.interactive import GroupFigures, SystemGroup, better_baseline, draw_group, points_of
from subgrid.reporting.merge_runs import merge_systems
from subgrid.reporting.page import _system_groups
from subgrid.reporting.ranking import distance, ranking_tables
from subgrid.reporting.render import table_of_contents
from subgrid.reporting.score_columns import Column, Entry
from subgrid.studies.load import load_finished
from subgrid.studies.page import _cell, _group, _page, _verdict, report, study_page
from subgrid.studies.results import COSTS
from subgrid.studies.single_seed import COLUMNS

pytestmark = pytest.mark.slow

Fields = npt.NDArray[np.float64]

# --- packing -------------------------------------------------------------------------------------------------


def decoded(text: str, shape: tuple[int, int], steps: Steps) -> Fields:
    """The page's own decoder, number by number: see `decode_field` in report.js."""
    data = zlib.decompress(base64.b64decode(text))
    rows, columns = shape
    levels, out = [0] * (rows * columns), []
    for y in range(rows):
        total = 0
        for x in range(columns):
            at = y * columns + x
            folded = data[at] + 256 * data[rows * columns + at]
            total += -(folded + 1) // 2 if folded % 2 else folded // 2
            levels[at] = (total + (levels[at - columns] if y else 0)) % 65536  # a Uint16Array
            out.append(steps.low + (levels[at] - 1) * steps.step if levels[at] else math.nan)
    return np.array(out).reshape(shape)


FIELDS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.floats(width=32, allow_infinity=True, allow_nan=True),
)


@settings(deadline=None, max_examples=120)
@given(FIELDS, st.sampled_from([3, 250, LEVELS, 65534, 10**6]))
@example(np.full((1, 1), 280.0, np.float32), LEVELS)
@example(np.full((2, 3), np.nan, np.float32), LEVELS)
@example(np.full((4, 2), -7.5, np.float32), 250)
@example(np.array([[3e38, -3e38], [-3e38, 3e38]], np.float32), 65534)
@example(np.array([[0.0, 1.0, np.nan], [1.0, 0.0, np.inf]], np.float32), 65534)
def test_a_field_comes_back_within_half_a_step(field: npt.NDArray[np.float32], levels: int) -> None:
    steps = steps_for(field, levels)
    text = encode_field(field, steps)
    back = decode_field(text, field.shape, steps)
    finite = np.isfinite(field)
    assert (np.isfinite(back) == finite).all()
    size = np.abs(field[finite]).max(initial=0.0).astype(np.float64)
    assert (abs(back[finite] - field[finite].astype(np.float64)) <= 0.5 * steps.step * (1 + 1e-9) + 1e-12 * size).all()
    np.testing.assert_array_equal(decoded(text, field.shape, steps), back)
    upside = encode_field(-field, steps_for(-field, levels))
    mirrored = decode_field(upside, field.shape, steps_for(-field, levels))
    assert (abs(mirrored + back)[finite] <= steps.step * (1 + 1e-9) + 1e-12 * size).all()


def test_steps_span_the_values_and_smooth_fields_are_small() -> None:
    field = make_samples((48, 64), times=1)["t2m"].values[0, 0]
    steps = steps_for(field)
    assert (steps.low, steps.step) == pytest.approx((field.min(), np.ptp(field) / LEVELS))
    assert steps_for(np.array([np.nan, np.inf])) == Steps(0.0, 1.0)
    rough = np.random.default_rng(0).permutation(field.ravel()).reshape(field.shape)
    assert len(encode_field(field, steps)) < 0.85 * len(encode_field(rough, steps)) < 2.7 * field.size


# --- linked maps ---------------------------------------------------------------------------------------------


def maps_of(samples: xr.Dataset, max_bytes: int = 10**7) -> LinkedMaps:
    return linked_maps(samples, "bicubic", "srgan", key="k", max_bytes=max_bytes)


def shown(maps: LinkedMaps, variable: int, time: int, system: str) -> Fields:
    """A field as the page unpacks it, first row below."""
    block = maps.payload["variables"][variable]
    return decode_field(block["times"][time]["fields"][system], tuple(block["shape"]), Steps(*block["steps"]))


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    return make_samples((24, 32))


@pytest.mark.parametrize("turned", [{}, {"latitude": -1}, {"longitude": -1}, {"latitude": -1, "longitude": -1}])
def test_fields_are_told_south_first_and_west_first(samples: xr.Dataset, turned: dict[str, int]) -> None:
    flip = {f"{dim}{end}": slice(None, None, step) for dim, step in turned.items() for end in ("", "_coarse")}
    stored = samples.isel(flip)
    upright = samples.isel(latitude=slice(None, None, -1), latitude_coarse=slice(None, None, -1))
    maps = maps_of(stored)
    for v, name in enumerate(("t2m", "u10")):
        block = maps.payload["variables"][v]
        for t in range(3):
            assert block["times"][t]["label"] == f"2018-10-{12 + t} 06:00"
            here = upright[name].isel(valid_time=t)
            for system in ("truth", "bilinear", "bicubic", "srgan"):
                error = abs(shown(maps, v, t, system) - here.sel(system=system).values)
                assert error.max() <= block["steps"][1] / 2 + 1e-4
            coarse = decode_field(
                block["times"][t]["coarse"], tuple(block["coarse_shape"]), Steps(*block["coarse_steps"])
            )
            assert abs(coarse - upright[f"{name}_coarse"].values[t]).max() <= block["coarse_steps"][1] / 2 + 1e-4
            assert block["times"][t]["rmse"] == pytest.approx(rmse_at(samples, name, t), rel=1e-3)
    for axis, dim in (("y", "latitude"), ("x", "longitude")):
        about = maps.payload[axis]
        assert (about["kind"], about["name"]) == (dim, dim)
        assert about["centres"] == pytest.approx(list(upright[dim].values), rel=1e-5)
        assert about["start"] < about["centres"][0] < about["centres"][-1] < about["end"]
    json.loads(json.dumps(maps.payload, allow_nan=False))  # as the page reads it


def test_all_maps_share_ranges_cursor_and_colours(samples: xr.Dataset) -> None:
    maps = maps_of(samples)
    plots = list(maps.panels.values())
    assert tuple(maps.panels) == PANELS
    assert len({plot.x_range.id for plot in plots}) == len({plot.y_range.id for plot in plots}) == 1
    for plot in plots:
        crosses = [one for one in plot.renderers if one.data_source is maps.cursor]
        assert len(crosses) == 2  # black on white
        assert (plot.x_range.start, plot.x_range.end) == plot.x_range.bounds
    colours = {name: plot.renderers[0].glyph.color_mapper for name, plot in maps.panels.items()}
    assert len({colours[name].id for name in ("coarse", "truth", "first", "second")}) == 1
    assert colours["first-error"] is colours["second-error"] is not colours["gain"]
    truth = samples["t2m"].sel(system="truth").values
    assert (colours["truth"].low, colours["truth"].high) == pytest.approx(tuple(np.percentile(truth, (0.5, 99.5))))
    errors = abs(samples["t2m"].sel(system=["bicubic", "srgan"]) - samples["t2m"].sel(system="truth"))
    top = float(np.percentile(errors, 99.5))
    assert (colours["gain"].low, colours["gain"].high) == pytest.approx((-top, top), rel=1e-6)
    assert maps.payload["systems"] == ["bilinear", "bicubic", "srgan"]


def test_uneven_cells_are_counted_and_projected_ones_are_in_kilometres(samples: xr.Dataset) -> None:
    uneven = samples.assign_coords(latitude=62 - 14 * np.linspace(0, 1, 24) ** 2)
    maps = maps_of(uneven)
    assert (maps.payload["y"]["start"], maps.payload["y"]["end"]) == (0.0, 24.0)
    assert maps.payload["y"]["centres"][0] == pytest.approx(48.0)
    assert "centres" in maps.panels["truth"].yaxis[0].formatter.args
    assert maps.panels["truth"].xaxis[0].formatter.args == {"kind": "longitude"}
    names = {
        f"{a}{end}": f"projection_{b}_coordinate{end}"
        for a, b in (("latitude", "y"), ("longitude", "x"))
        for end in ("", "_coarse")
    }
    moved = samples.rename(names)
    for axis, size in (("y", 24), ("x", 32)):
        moved[f"projection_{axis}_coordinate"] = (
            f"projection_{axis}_coordinate",
            np.arange(size) * 2000.0,
            {"units": "m"},
        )
    projected = maps_of(moved)
    assert (projected.payload["x"]["start"], projected.payload["x"]["end"]) == pytest.approx((-1.0, 63.0))
    assert projected.panels["truth"].xaxis[0].axis_label == "x (km)"
    assert projected.panels["truth"].xaxis[0].formatter.args == {}
    wide = make_samples((20, 40), latitude=(85.5, -85.5), longitude=(0.0, 351.0), times=1)
    assert maps_of(wide).panels["truth"].xaxis[0].ticker.mantissas == [1.5, 3, 6, 9]


def test_a_time_without_a_valid_cell_has_no_rmse(samples: xr.Dataset) -> None:
    holed = samples.copy(deep=True)
    holed["t2m"][:, 1] = np.nan
    maps = maps_of(holed)
    times = maps.payload["variables"][0]["times"]
    assert set(times[1]["rmse"].values()) == {None} and None not in times[0]["rmse"].values()
    assert np.isnan(shown(maps, 0, 1, "srgan")).all()
    json.dumps(maps.payload, allow_nan=False)


def packed_bytes(maps: LinkedMaps) -> int:
    return sum(
        len(text) for block in maps.payload["variables"] for time in block["times"] for text in time["fields"].values()
    )


def test_what_does_not_fit_is_left_out_times_first_then_levels_then_cells(samples: xr.Dataset) -> None:
    whole = maps_of(samples)
    assert whole.note == "" and len(whole.payload["variables"][0]["times"]) == 3
    size = packed_bytes(whole)
    fewer = maps_of(samples, int(0.8 * size))
    assert fewer.note == "2 of 3 sample times"
    assert fewer.payload["variables"][0]["steps"] == whole.payload["variables"][0]["steps"]
    assert packed_bytes(fewer) <= 0.8 * size * 1.03
    coarser = maps_of(samples, int(0.29 * size))
    assert coarser.note == "1 of 3 sample times, values rounded to 1/1000 of their range"
    assert coarser.payload["variables"][0]["steps"][1] > 3 * whole.payload["variables"][0]["steps"][1]
    part = maps_of(samples, int(0.1 * size))
    rows, columns = part.payload["variables"][0]["shape"]
    assert part.note == (
        f"the {rows} × {columns} cells with the largest interpolation errors, values rounded to 1/250 of their range"
    )
    assert rows % 4 == columns % 4 == 0 and rows < 24 and columns < 32
    assert part.payload["variables"][0]["coarse_shape"] == [rows // 4, columns // 4]
    assert len(part.payload["x"]["centres"]) == columns


@pytest.mark.parametrize("share", [0.2, 0.45, 0.8, 0.999])
@pytest.mark.parametrize("dims", ["all", "no coarse coordinate", "without baselines"])
def test_the_window_is_the_one_of_largest_error(samples: xr.Dataset, share: float, dims: str) -> None:
    given = samples.isel(valid_time=[0]).copy(deep=True)
    given["t2m"][1, 0, 3, 5] = np.nan  # a missing cell errs by nothing
    if dims == "without baselines":
        given = given.sel(system=["truth", "srgan"])
    if dims == "no coarse coordinate":
        given = given.drop_vars(["latitude_coarse", "longitude_coarse"])
    part = interactive_maps._part(given, "t2m", share)
    other = "srgan" if dims == "without baselines" else "bilinear"
    truth, theirs = (given["t2m"].sel(system=name).values[0].astype(np.float64) for name in ("truth", other))
    error = np.nan_to_num(abs(theirs - truth))
    rows, columns = (max(int(size * share) // 4, 1) * 4 for size in (24, 32))
    assert part["t2m"].shape[-2:] == (rows, columns)
    sums = {
        (y, x): error[y : y + rows, x : x + columns].sum()
        for y in range(0, 24 - rows + 1, 4)
        for x in range(0, 32 - columns + 1, 4)
    }
    y, x = max(sums, key=lambda one: sums[one])
    np.testing.assert_array_equal(part["latitude"], given["latitude"][y : y + rows])
    np.testing.assert_array_equal(part["longitude"], given["longitude"][x : x + columns])
    expected = given["t2m_coarse"][:, y // 4 : (y + rows) // 4, x // 4 : (x + columns) // 4]
    np.testing.assert_array_equal(part["t2m_coarse"], expected)


# --- live lines ----------------------------------------------------------------------------------------------


def lines_of(plot: Any) -> dict[str, Any]:
    """Lines of a figure by name."""
    return {one.name: one for one in plot.renderers if isinstance(one, GlyphRenderer) and one.name}


def spans(plot: Any) -> list[float]:
    return [one.location for one in plot.center if isinstance(one, Span)]


def test_a_line_is_the_mean_and_its_band_the_extremes_over_seeds() -> None:
    tables = [make_history(), make_history(), make_history(updates=10000)]
    tables[1]["valid_rmse"] *= 1.1
    tables[2]["valid_rmse"] *= 0.9
    line = over_seeds(tables, "valid_rmse", "a")
    assert line is not None and line.low is not None and line.high is not None
    measured = [table.dropna(subset="valid_rmse").set_index("step")["valid_rmse"] for table in tables]
    for i, step in enumerate(line.x):
        values = [one[step] for one in measured]
        assert (line.y[i], line.low[i], line.high[i]) == pytest.approx((np.mean(values), min(values), max(values)))
    assert list(line.x) == list(measured[2].index)  # cut at the shortest
    alone = over_seeds(tables[:1], "valid_rmse", "a")
    assert alone is not None and alone.low is None and alone.high is None
    long = over_seeds([make_history(updates=60000, every=10)], "loss_l1", "a")
    assert long is not None and 300 < len(long.x) <= MOST_POINTS
    assert over_seeds(tables, "nothing", "a") is None
    assert over_seeds([tables[0], tables[1].assign(valid_rmse=np.nan)], "valid_rmse", "a") is None
    assert over_seeds([tables[0], tables[1].assign(step=tables[1]["step"] + 1)], "valid_rmse", "a") is None


def test_curves_carry_their_systems_tags_and_the_change_of_stage() -> None:
    histories = {"a": [make_history(), make_history()], "b": [make_history().head(5)]}
    styles = system_styles(["a", "b"])
    plot = interactive_curves(histories, "valid_psnr", "PSNR", styles, "n")
    assert plot is not None and plot.name == "n"
    tagged = [(type(one.glyph).__name__, tuple(one.tags)) for one in plot.renderers]
    assert tagged == [("VArea", ("of:a",)), ("Line", ("of:a",)), ("Line", ("of:b",)), ("Scatter", ("of:b",))]
    assert lines_of(plot)["a"].glyph.line_color == styles["a"][0]
    assert spans(plot) == []  # b never changed its stage
    plot = interactive_curves({"a": [make_history()], "b": [make_history()]}, "valid_psnr", "PSNR", styles, "n")
    assert plot is not None and spans(plot) == [6200.0]
    rmse = interactive_curves({"a": [make_history()]}, "valid_rmse", "RMSE", styles, "n")
    assert rmse is not None
    assert [one.location for one in rmse.center if isinstance(one, Span) and one.dimension == "width"] == [1.32]
    assert not [one for one in plot.center if isinstance(one, Span) and one.dimension == "width"]
    other = interactive_curves(
        {"a": [make_history()], "b": [make_history(updates=8000)]}, "valid_psnr", "PSNR", styles, "n"
    )
    assert other is not None and spans(other) == []  # not all at once
    bare = interactive_curves({"a": [make_history().drop(columns="stage")]}, "valid_psnr", "PSNR", styles, "n")
    assert bare is not None and spans(bare) == []
    assert interactive_curves(histories, "valid_nothing", "", styles, "n") is None


def test_training_times_are_dotted_beside_validation() -> None:
    table = make_history()
    table["train_rmse"] = 0.8 * table["valid_rmse"]
    plot = interactive_curves({"a": [table]}, "valid_rmse", "RMSE", system_styles(["a"]), "n")
    assert plot is not None
    own, beside = (lines_of(plot)[name] for name in ("a", "a, training times"))
    assert (own.glyph.line_dash, beside.glyph.line_dash) == ([], [2, 4])  # Bokeh's solid and dotted
    assert beside.tags == own.tags == ["of:a"]
    assert np.asarray(beside.data_source.data["y"]) == pytest.approx(0.8 * np.asarray(own.data_source.data["y"]))


def test_losses_are_logarithmic_where_all_are_positive() -> None:
    titles = {"loss_l1": "l1", "loss_adversarial": "adversarial", "loss_none": "none"}
    plot = interactive_columns(make_history(), titles, "losses", "n")
    assert plot is not None and list(lines_of(plot)) == ["l1", "adversarial"]
    assert type(plot.y_scale).__name__ == "LogScale"
    assert [item.label.value for item in plot.legend[0].items] == ["l1", "adversarial"]
    signed = interactive_columns(make_history().assign(loss_l1=-1.0), titles, "losses", "n")
    assert signed is not None and type(signed.y_scale).__name__ == "LinearScale"
    assert interactive_columns(make_history(), {"loss_none": "none"}, "losses", "n") is None


def test_spectra_show_power_and_its_ratio_to_the_truths(samples: xr.Dataset) -> None:
    spectra = make_spectra(samples)
    spectra = spectra.assign_coords(wavelength=np.where(np.arange(12) == 0, np.inf, spectra["wavelength"]))
    top, low = interactive_spectra(spectra, "t2m", system_styles(["truth", "bilinear", "bicubic", "srgan"]), "n")
    assert (top.name, low.name) == ("n-power", "n-ratio")
    assert top.x_range is low.x_range and top.x_range.start > top.x_range.end  # large scales left
    power = spectra["t2m"].isel(wavelength=slice(1, None))
    for system in ("truth", "bicubic", "srgan"):
        own = power.sel(system=system).values
        assert np.asarray(lines_of(top)[system].data_source.data["y"]) == pytest.approx(own)
        ratio = own / power.sel(system="truth").values
        assert np.asarray(lines_of(low)[system].data_source.data["y"]) == pytest.approx(ratio)
        assert lines_of(top)[system].tags[0] == f"of:{system}"
    assert lines_of(top)["truth"].tags == ["of:truth", "ink"]
    assert spans(top) == spans(low) == [8.0]
    assert top.yaxis[0].axis_label == "power (K²)"


def test_spectra_bear_empty_and_excessive_power(samples: xr.Dataset) -> None:
    spectra, styles = make_spectra(samples), system_styles(["truth", "bilinear", "bicubic", "srgan"])
    spectra["u10"][3] *= 100.0
    assert interactive_spectra(spectra, "u10", styles, "n")[1].y_range.end == 2.5
    spectra["t2m"][:] = 0.0
    spectra["t2m"].attrs["units"] = "1"
    del spectra.attrs["factor"]
    spectra["wavelength"].attrs["factor"] = 2
    top, low = interactive_spectra(spectra, "t2m", styles, "n")
    assert low.y_range.end == pytest.approx(1.1) and top.yaxis[0].axis_label == "power"
    assert np.isnan(lines_of(low)["srgan"].data_source.data["y"]).all()
    assert spans(top) == [4.0]


@pytest.mark.parametrize("step", [1, -1])
def test_the_profile_is_the_centre_row_from_west_to_east(samples: xr.Dataset, step: int) -> None:
    stored = samples.isel(longitude=slice(None, None, step))
    plot = interactive_profile(stored, "u10", system_styles(["truth", "bilinear", "bicubic", "srgan"]), "k-profile-u10")
    for system, line in lines_of(plot).items():
        source = line.data_source
        assert source.name == f"k-profile-u10-line-{system}"
        assert list(source.data["x"]) == pytest.approx(list(samples["longitude"].values))
        row = samples["u10"].isel(valid_time=0, latitude=12).sel(system=system)
        assert list(source.data["y"]) == pytest.approx(list(row.values))
    assert (plot.xaxis[0].axis_label, plot.yaxis[0].axis_label) == ("longitude (°)", "u10 (m s⁻¹)")


def test_the_trade_off_shows_means_and_their_seeds() -> None:
    points = [Point("a", 1.0, 5.0, ((0.9, 4.0), (1.1, 6.0))), Point("b", 2.0, 3.0, ((2.0, 3.0),))]
    plot = interactive_trade_off(points, system_styles(["a", "b"]), ("RMSE", "distance"), "n")
    kinds = [(type(one.glyph).__name__, *one.tags) for one in plot.renderers]
    assert kinds == [
        ("Scatter", "of:a"), ("Scatter", "of:a"), ("Scatter", "of:b"), ("Text", "of:a", "ink"), ("Text", "of:b", "ink"),
    ]  # fmt: skip
    assert dict(plot.renderers[1].data_source.data) == {"x": [1.0], "y": [5.0], "name": ["a"]}
    assert list(plot.renderers[0].data_source.data["x"]) == [0.9, 1.1]
    assert plot.x_range.start < 0.9 and plot.x_range.end > 2.0 and plot.y_range.start < 3.0 and plot.y_range.end > 6.0
    heap = [Point(name, 1.0 + 0.001 * i, 1.0) for i, name in enumerate("abcdef")] + [Point("far", 9.0, 9.0)]
    named = interactive_trade_off(heap, system_styles([one.name for one in heap]), ("", ""), "n")
    written = [one.tags[0] for one in named.renderers if type(one.glyph).__name__ == "Text"]
    assert "of:far" in written and len(written) < len(heap)  # those that find room
    lone = interactive_trade_off([Point("a", 0.0, 0.0)], system_styles(["a"]), ("", ""), "n")
    assert lone.x_range.start < 0.0 < lone.x_range.end and lone.y_range.start < 0.0 < lone.y_range.end


# --- ranked tables -------------------------------------------------------------------------------------------


def column(name: str, **values: float) -> Column:
    entries = {("all", "t2m", score): Entry(value, math.nan, math.nan, "") for score, value in values.items()}
    return Column(name, name, entries)


UNITS = {("t2m", "rmse"): "K", ("t2m", "psnr"): "dB", ("t2m", "high_wavenumber_power_ratio"): "1"}


def test_rows_stand_best_first_and_those_without_a_value_last() -> None:
    columns = [
        column("worst", rmse=2.0, psnr=20.0, high_wavenumber_power_ratio=1.4),
        column("unknown", rmse=math.nan, psnr=30.0, high_wavenumber_power_ratio=0.9),
        column("best", rmse=1.0, psnr=25.0),
        column("empty", rmse=math.nan),
    ]
    (table,) = ranking_tables(columns, UNITS, marked=True)
    assert [row.name for row in table.rows] == ["best", "worst", "unknown"]
    assert [title for title, _, _ in table.columns] == ["RMSE", "PSNR", "high wavenumber power ratio"]
    assert [units for _, units, _ in table.columns] == ["K", "dB", ""]
    orders = {row.name: [cell.order for cell in row.cells] for row in table.rows}
    assert orders["unknown"] == ["", "-30", "0.1"] and orders["best"][2] == ""
    assert orders["worst"] == ["2", "-20", "0.4"]
    assert table.rows[0].cells[0].text == "1.000" and table.rows[2].cells[0].text == "n/a"


def test_what_is_far_from_perfect_ranks_low() -> None:
    assert distance("psnr", 30.0) == -30.0  # the higher the better
    assert distance("rmse", 2.0) == 2.0
    assert distance("high_wavenumber_power_ratio", 0.8) == pytest.approx(distance("high_wavenumber_power_ratio", 1.2))
    assert distance("a_score_of_mine", -3.0) == -3.0
    assert math.isnan(distance("high_wavenumber_power_ratio", math.nan))


def test_marks_are_shown_within_one_run_only() -> None:
    best, tied = (
        Column(name, name, {("all", "t2m", score): Entry(1.0, 0.9, 1.1, rank) for score in ("rmse", "psnr")})
        for name, rank in (("a", "best"), ("b", "no significant difference"))
    )
    units = {
        ("t2m", "rmse"): "K",
        ("t2m", "psnr"): "dB",
        ("wind_speed", "rmse"): "m s-1",
        ("wind_speed", "mae"): "m s-1",
    }
    one, other = ranking_tables([best, tied], units, marked=True)
    assert (one.variable, other.variable) == ("t2m", "wind speed") and other.rows == []
    marks = {row.name: {(cell.mark, cell.kind) for cell in row.cells} for row in one.rows}
    assert marks == {"a": {("best", "good")}, "b": {("no significant difference", "")}}
    assert one.rows[0].cells[0].interval == "[0.900, 1.100]"
    (unmarked, _) = ranking_tables([best, tied], units, marked=False)
    assert {cell.mark for row in unmarked.rows for cell in row.cells} == {""}
    assert ranking_tables([best], {("t2m", "rmse"): "K"}, marked=True) == []  # one score is no table


# --- runs side by side ---------------------------------------------------------------------------------------


def test_fields_of_runs_are_joined_under_their_names(samples: xr.Dataset) -> None:
    other = make_samples((24, 32), skill=2.0)
    joined = merge_systems({"mine": [samples], "yours": [other]})
    assert joined is not None
    assert list(joined["system"].values) == ["truth", "bilinear", "bicubic", "mine", "yours"]
    for name, source in (("mine", samples), ("yours", other)):
        for variable in ("t2m", "u10"):
            np.testing.assert_array_equal(joined[variable].sel(system=name), source[variable].sel(system="srgan"))
    xr.testing.assert_identical(joined["t2m_coarse"], samples["t2m_coarse"])
    assert joined["u10"].attrs == samples["u10"].attrs


def test_several_datasets_of_one_name_are_averaged(samples: xr.Dataset) -> None:
    spectra = [make_spectra(samples), make_spectra(make_samples((24, 32), skill=2.0))]
    joined = merge_systems({"mine": spectra})
    assert joined is not None and joined.attrs["factor"] == 4
    mean = (spectra[0]["t2m"].sel(system="srgan") + spectra[1]["t2m"].sel(system="srgan")) / 2
    np.testing.assert_allclose(joined["t2m"].sel(system="mine"), mean)
    np.testing.assert_array_equal(joined["t2m"].sel(system="truth"), spectra[0]["t2m"].sel(system="truth"))


def test_another_truth_is_left_out(samples: xr.Dataset) -> None:
    elsewhere, smaller = make_samples((24, 32), seed=1), make_samples((16, 24))
    without = samples.drop_sel(system="truth")
    renamed = samples.rename({"t2m": "t", "t2m_coarse": "t_coarse"})
    joined = merge_systems(
        {"mine": [samples], "a": [elsewhere], "b": [smaller], "c": [without], "d": [renamed], "e": []}
    )
    assert joined is not None and list(joined["system"].values)[3:] == ["mine"]
    coarser = samples.assign(t2m_coarse=samples["t2m_coarse"] + 1)  # as where an arm is about coarsening
    both = merge_systems({"mine": [samples], "other": [coarser]})
    assert both is not None and "other" in both["system"].values
    np.testing.assert_array_equal(both["t2m_coarse"], samples["t2m_coarse"])
    assert merge_systems({}) is None and merge_systems({"mine": []}) is None
    assert merge_systems({"mine": [without]}) is None


# --- groups ------------------------------------------------------------------------------------------------


def scores_table(rows: list[tuple[str, str, str, float]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["system", "variable", "score", "value"])
    return table.assign(units="K")


def test_points_need_both_scores_and_two_systems() -> None:
    rows = [
        (name, "t2m", score, value)
        for name, value in (("a", 1.0), ("b", 2.0))
        for score in ("rmse", "log_spectral_distance")
    ]
    rows += [("a", "u10", "rmse", 1.0), ("b", "u10", "rmse", 1.0)]  # no realism
    rows += [("a", "v10", "rmse", 1.0), ("a", "v10", "log_spectral_distance", 1.0)]  # alone
    rows += [("c", "t2m", "rmse", 1.0), ("c", "t2m", "log_spectral_distance", math.inf)]
    rows += [("truth", "t2m", "rmse", 0.0), ("truth", "t2m", "log_spectral_distance", 0.0)]
    assert points_of(scores_table(rows)) == {("t2m", "K"): [Point("a", 1.0, 1.0), Point("b", 2.0, 2.0)]}
    assert better_baseline({"bilinear": 2.0, "bicubic": 1.0, "srgan": 0.5}) == "bicubic"
    assert better_baseline({"srgan": 0.5, "other": 0.1}) == "srgan"


def bare(points: list[Point]) -> SystemGroup:
    return SystemGroup(
        "k", "", None, None, {"a": [make_history()], "b": [make_history()]}, {("t2m", "K"): points}, ("", "")
    )


def test_where_some_are_far_off_the_others_are_shown_once_more() -> None:
    near = [Point("a", 1.0, 1.0), Point("b", 1.1, 1.2)]
    far = [*near, Point("bilinear", 9.0, 9.0)]
    drawn = draw_group(bare(far), max_bytes=1)
    assert list(drawn.trade_offs) == ["t2m", "t2m, close-up"]
    assert list(lines_of(drawn.trade_offs["t2m, close-up"])) == ["a", "b"]
    many = [*near, Point("c", 1.05, 1.1), Point("clipped", 8.0, 3.0), Point("bicubic", 1.15, 1.3)]
    close = draw_group(bare(many), max_bytes=1).trade_offs["t2m, close-up"]
    assert {one.tags[0] for one in close.renderers} == {"of:a", "of:b", "of:c", "of:bicubic"}
    assert list(draw_group(bare([*near, Point("c", 1.05, 30.0)]), max_bytes=1).trade_offs) == [
        "t2m"
    ]  # apart in one of the two
    assert list(draw_group(bare([*near, Point("bilinear", 1.2, 2.0)]), max_bytes=1).trade_offs) == ["t2m"]
    assert list(draw_group(bare([near[0], Point("bilinear", 9.0, 2.0)]), max_bytes=1).trade_offs) == ["t2m"]
    assert set(drawn.group.systems_with_points) == {"a", "b", "bilinear"} and not drawn.group.has_training_scores
    assert drawn.maps is None and drawn.losses == [] and [plot.name for plot in drawn.curves] == [
        "k-curve-valid_rmse", "k-curve-valid_psnr", "k-curve-valid_ssim",
    ]  # fmt: skip
    models = drawn.bokeh_figures()
    assert set(models) == {"k-trade-t2m", "k-trade-t2m-close-up", *(plot.name for plot in drawn.curves)}


def test_one_run_has_losses_and_links_to_what_is_there(samples: xr.Dataset) -> None:
    group = SystemGroup("k", "", samples, make_spectra(samples), {"srgan": [make_history()]}, {}, ("bicubic", "srgan"))
    drawn = draw_group(group, max_bytes=10**7)
    assert [plot.name for plot in drawn.losses] == ["k-losses", "k-discriminator"]
    assert group.systems == ["truth", "bilinear", "bicubic", "srgan"]
    assert [name for name, _, _ in drawn.legend] == group.systems
    page = {"ranking": None, "study": None, "scores": None, "single": False, "runs": [{"label": "one"}]}
    said = [title for _, title in table_of_contents(page, [drawn])]
    assert said == ["Maps", "Profiles", "Spectra", "Training", "one"]
    assert table_of_contents(page, [replace(drawn, group=replace(group, label="Of one"))])[0] == ("k", "Of one")
    names = set(drawn.bokeh_figures())
    assert {"k-map-truth", "k-profile-u10", "k-spectra-t2m-ratio", "k-losses"} <= names
    empty = replace(group, samples=None, spectra=None, histories={"srgan": [make_history().head(0)]})
    assert draw_group(empty, max_bytes=1).bokeh_figures() == {}


def test_runs_of_one_truth_share_their_figures(tmp_path: Path) -> None:
    paths = [make_run(tmp_path / name, skill=s, shape=(16, 24), times=2) for name, s in (("a", 1.3), ("b", 0.9))]
    runs = [load_evaluated_run(path) for path in paths]
    (one,) = _system_groups(runs, ["a", "b"])
    assert one.systems == ["truth", "bilinear", "bicubic", "srgan (a)", "srgan (b)"]
    assert one.first_pair == ("srgan (a)", "srgan (b)") and list(one.histories) == ["srgan (a)", "srgan (b)"]
    (points,) = {tuple(point.name for point in some) for some in one.points.values()}
    assert points == ("bilinear", "bicubic", "srgan (a)", "srgan (b)")
    elsewhere = load_evaluated_run(make_run(tmp_path / "c", shape=(16, 24), times=2, seed=1))
    apart = _system_groups([runs[0], elsewhere], ["a", "c"])
    assert [group.label for group in apart] == ["Figures of a", "Figures of c"]
    draws = load_evaluated_run(make_draws(tmp_path / "draws"))
    assert [group.samples is None for group in _system_groups([runs[0], draws], ["a", "draws"])] == [False, True]


# --- studies -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three arms of two seeds; not to be changed."""
    return make_study(tmp_path_factory.mktemp("study") / "study", shape=(16, 24))


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no interactive figures where only words and tables matter."""
    monkeypatch.setattr(render, "draw_group", lambda group, max_bytes: GroupFigures(group))


def test_a_study_is_read_arm_by_arm(study: Path) -> None:
    found = load_finished(study)
    assert (found.reference, list(found.runs)) == ("plain", ["plain", "sharp", "blurred"])
    fields, spectra = found.samples(), found.spectra()
    assert fields is not None and spectra is not None
    assert list(fields["system"].values) == ["truth", "bilinear", "bicubic", "plain", "sharp", "blurred"]
    first, second = (
        xr.load_dataset(study / "runs" / f"sharp-seed{seed}" / "evaluation" / "samples.nc") for seed in (0, 1)
    )
    np.testing.assert_array_equal(fields["t2m"].sel(system="sharp"), first["t2m"].sel(system="srgan"))
    assert not np.array_equal(first["t2m"], second["t2m"])
    power = [
        xr.load_dataset(study / "runs" / f"sharp-seed{seed}" / "evaluation" / "spectra.nc")["t2m"].sel(system="srgan")
        for seed in (0, 1)
    ]
    np.testing.assert_allclose(spectra["t2m"].sel(system="sharp"), (power[0] + power[1]) / 2)
    assert {arm: list(tables) for arm, tables in found.histories().items()} == {arm: [0, 1] for arm in found.runs}


def test_what_is_no_finished_study_is_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        load_finished(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} is not the folder of a finished study: it has no study.json, results.csv, differences.csv, costs.csv, "
        "failures.csv. Run `subgrid study` first."
    )
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(
        RunError,
        match=r"not the folder of a finished study: it has no results.csv, differences.csv, costs.csv, failures.csv",
    ):
        report([tmp_path], tmp_path / "r.html")
    with pytest.raises(
        RunError, match=r"^\S+ is a study, which has a report of its own; give it without other folders, or give single"
    ):
        report([study / "runs" / "plain-seed0", study], tmp_path / "r.html")
    with pytest.raises(RunError, match=r"is a directory; expected the name of a file to write"):
        study_page(study, tmp_path)
    with pytest.raises(RunError, match=r"^no run at "):
        report([tmp_path / "nowhere"], tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_nothing_finished_is_refused(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", seeds=(0,), shape=(16, 24))
    for facts in folder.glob("runs/*/job.json"):
        facts.unlink()
    with pytest.raises(RunError, match=r"no run of this study is finished; failures.csv lists the errors.$"):
        study_page(folder)


def results(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    """Verdicts on RMSE by arm and variable."""
    return pd.DataFrame([{"arm": a, "variable": v, "score": "rmse", "verdict": said} for a, v, said in rows])


def test_the_verdict_of_a_study_names_the_arms() -> None:
    rows = [(name, "t2m", "") for name in ("plain", "bilinear", "bicubic")]
    rows += [
        ("a", "t2m", "better"),
        ("b", "t2m", "better"),
        ("c", "t2m", "worse"),
        ("d", "t2m", "no significant difference"),
    ]
    rows += [("e", "t2m", ""), ("a", "u10", "no significant difference")]
    assert _verdict(results(rows), "plain") == (
        "t2m: a and b are better than plain; c is worse than plain; d is not significantly different from plain; "
        "no interval for e. u10: a is not significantly different from plain."
    )
    assert _verdict(results(rows[:3]), "plain") == "plain is the only arm."
    draws = results(rows).assign(score="wasserstein")
    assert _verdict(draws, "plain") == "No other arm was scored by RMSE."


def test_a_study_shows_means_failures_costs_and_differences_without_significance(study: Path, tmp_path: Path) -> None:
    folder = make_study(
        tmp_path / "study", shape=(16, 24), failed=[("sharp", 1)], verdicts={"blurred": "no significant difference"}
    )
    page = _page(load_finished(folder))
    about = dict(page["about"])
    assert about["Runs"] == "5 of 6 finished" and about["Budget"] == "12,000 updates" and about["Seeds"] == "0, 1"
    assert about["Data"] == "era5.grib, 4 fine cells per coarse cell along each axis"
    (t2m, _) = page["ranking"]["tables"]
    table = pd.read_csv(folder / "results.csv").query("variable == 't2m' and score == 'rmse'").set_index("arm")
    rows = {row.name: row for row in t2m.rows}
    assert [row.name for row in t2m.rows] == list(table["mean"].sort_values().index)
    assert rows["plain"].reference and not rows["sharp"].reference and rows["bilinear"].note == "interpolation"
    cell = rows["blurred"].cells[0]
    assert float(cell.text) == pytest.approx(table.loc["blurred", "mean"], abs=6e-4)
    assert cell.spread == f"± {table.loc['blurred', 'spread']:.2g}" and (cell.mark, cell.kind) == (
        "no significant difference",
        "flat",
    )
    gap, low, high = (table.loc["blurred", name] for name in ("difference", "lower", "upper"))
    assert [float(part.strip("[],+")) for part in cell.interval.split()] == pytest.approx([gap, low, high], rel=5e-3)
    assert cell.interval.startswith("+") and rows["sharp"].cells[0].interval.startswith("−")
    assert rows["plain"].cells[0].interval == "" and rows["sharp"].cells[0].spread == ""  # one seed
    assert rows["sharp"].cells[0].mark == "no interval" and "[" not in rows["sharp"].cells[0].interval
    assert page["ranking"]["notes"] == ["No interval for 12 of these differences: one seed."]
    facts = page["study"]
    assert facts["failures"] == [("sharp", 1, "RunError: the gradient is no longer finite")]
    assert facts["not_significant"][0] == ("t2m", "PSNR", "blurred")
    assert {score for _, score, _ in facts["not_significant"]} >= {"RMSE", "log spectral distance"}
    columns = facts["cost_columns"]
    assert columns == [name.replace("_", " ") for name in COSTS if name != "peak_memory_mib"]  # which was not measured
    plain = dict(zip(columns, dict(facts["costs"])["plain"], strict=True))
    assert (plain["updates"], plain["seconds in updates"]) == ("12,000", "1,284")
    arms = {arm["name"]: arm for arm in facts["arms"]}
    assert arms["blurred"]["confounded"] and arms["sharp"]["differences"][1] == ("content.share", "–", "0.5", False)
    assert arms["plain"]["differences"] == []


def test_differences_have_one_decimal_more_than_the_score() -> None:
    def interval(mean: float, gap: float) -> str:
        row = {"mean": mean, "spread": math.nan, "verdict": "", "difference": gap, "lower": 0.5 * gap, "upper": 2 * gap}
        return _cell("rmse", row, mean).interval

    assert interval(0.3591, 0.000096) == "+0.00010 [0.00005, 0.00019]"
    assert interval(37.29, 1.2) == "+1.20 [0.60, 2.40]"
    assert interval(3e-5, -1e-8) == "−0.0000000100 [−0.0000000050, −0.0000000200]"


@pytest.mark.usefixtures("no_figures")
def test_conclusions_from_single_seeds(study: Path, tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", shape=(16, 24))
    assert _page(load_finished(folder))["study"]["single_seeds"] is None  # a study of a subgrid that did not ask
    said = {
        "sharp": (("better", "no significant difference"), "no significant difference"),
        "blurred": (("worse", "worse"), "worse"),
    }
    rows = [
        (arm, "t2m", score, "K", seed, 0.1, -0.1, 0.3, verdict, together, "")
        for score in ("rmse", "bias")  # of which bias ranks nothing
        for arm, (verdicts, together) in said.items()
        for seed, verdict in enumerate(verdicts)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table.to_csv(folder / "single_seeds.csv", index=False)
    alone = _page(load_finished(folder))["study"]["single_seeds"]
    assert (alone["comparisons"], alone["claims"], alone["unsupported"]) == (4, 3, 1)
    assert alone["rows"] == [
        ("sharp", "t2m", "RMSE", "better: seed 0; no significant difference: seed 1", "no significant difference")
    ]
    table.loc[table["arm"] == "sharp", ["verdict", "all_seeds"]] = ["better", ""]
    table.to_csv(folder / "single_seeds.csv", index=False)
    alone = _page(load_finished(folder))["study"]["single_seeds"]
    assert alone["rows"] == [("sharp", "t2m", "RMSE", "better: seeds 0 and 1", "no interval")]
    text = study_page(folder).read_text(encoding="utf-8")
    assert "Conclusions from single seeds" in text
    assert "4 find a difference (better or worse); all seeds together do not confirm 2 of these" in text
    table["verdict"] = table["all_seeds"] = "better"
    table.to_csv(folder / "single_seeds.csv", index=False)
    text = study_page(folder).read_text(encoding="utf-8")
    assert "4 find a difference (better or worse); all seeds together confirm each of these" in text
    table[table["seed"] == 0].to_csv(folder / "single_seeds.csv", index=False)
    assert _page(load_finished(folder))["study"]["single_seeds"] is None  # one seed is all there is


def test_report_of_a_study_is_one_page(study: Path) -> None:
    assert study_page(study) == study / "report.html"
    text = (study / "report.html").read_text(encoding="utf-8")
    parts = ("ranking", "arms", "study-maps", "study-trade", "study-profiles", "study-spectra", "study-training")
    for part in (*parts, "run1-settings"):
        assert f'id="{part}"' in text
    assert "(confounded:" in text
    (study / "report.html").unlink()


@pytest.mark.usefixtures("no_figures")
def test_report_of_a_study_folder_is_the_study_page(study: Path, tmp_path: Path) -> None:
    out = report([study], tmp_path / "new" / "page.html")
    assert out == tmp_path / "new" / "page.html"
    assert out.read_text(encoding="utf-8") == study_page(study, tmp_path / "other.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("no_figures")
def test_a_study_whose_reference_failed_is_shown_all_the_same(tmp_path: Path) -> None:
    whole = make_study(tmp_path / "study", seeds=(0,), shape=(16, 24))
    (whole / "runs" / "plain-seed0" / "job.json").unlink()
    table = pd.read_csv(whole / "results.csv")
    failed = pd.DataFrame([{"arm": "plain", "num_seeds": 0, "note": "failed: seed 0"}])
    kept = table[table["arm"].isin(["sharp", "blurred"])].assign(verdict="", difference=np.nan)
    pd.concat([failed, kept]).to_csv(whole / "results.csv", index=False)
    group = _group(load_finished(whole))
    assert group.first_pair == ("sharp", "blurred") and "those of sharp" in group.about
    text = study_page(whole).read_text(encoding="utf-8")
    assert "t2m: no interval for sharp and blurred." in text


def test_an_arm_of_another_truth_has_scores_but_no_maps(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", arms={"plain": 1.2, "sharp": 3.0, "other": 1.5}, seeds=(0,), shape=(16, 24))
    path = folder / "runs" / "sharp-seed0" / "evaluation" / "samples.nc"
    fields = xr.load_dataset(path)
    fields["t2m"] += 1.0
    path.unlink()
    fields.to_netcdf(path)
    group = _group(load_finished(folder))
    assert group.samples is not None and "sharp" not in group.samples["system"].values
    assert group.first_pair == ("plain", "other")  # though sharp has the lowest RMSE
    assert "sharp" in group.systems  # its spectra and curves are shown
    assert '"sharp"' in study_page(folder).read_text(encoding="utf-8")


def test_arms_that_draw_from_noise_have_no_maps(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", arms={"plain": 1.2, "sharp": 3.0}, seeds=(0,), shape=(16, 24))
    draws = xr.load_dataset(make_draws(tmp_path / "draws") / "evaluation" / "samples.nc")
    path = folder / "runs" / "sharp-seed0" / "evaluation" / "samples.nc"
    path.unlink()
    draws.to_netcdf(path)
    assert _group(load_finished(folder)).first_pair == ("plain", "bicubic")
    path = folder / "runs" / "plain-seed0" / "evaluation" / "samples.nc"
    path.unlink()
    draws.to_netcdf(path)
    group = _group(load_finished(folder))
    assert group.samples is None and group.first_pair == ("", "") and group.about == ""
    path.unlink()  # not scored yet
    assert load_finished(folder).samples() is None
    (folder / "runs" / "plain-seed0" / "evaluation" / "spectra.nc").unlink()
    (folder / "runs" / "sharp-seed0" / "evaluation" / "spectra.nc").unlink()
    assert load_finished(folder).spectra() is None
    assert "study-maps" not in study_page(folder).read_text(encoding="utf-8").split("<body>")[1]


def test_scores_that_are_missing_leave_gaps(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "study", seeds=(0,), shape=(16, 24))
    table = pd.read_csv(folder / "results.csv")
    gone = (table["arm"] == "sharp") & (table["score"] == "psnr") & (table["variable"] == "t2m")
    lost = (table["variable"] == "u10") & ~table["score"].isin(["rmse"])  # one score is no table
    table.loc[(table["arm"] == "blurred") & (table["score"] == "log_spectral_distance"), ["mean", "seed_0"]] = math.nan
    table[~gone & ~lost].to_csv(folder / "results.csv", index=False)
    costs = pd.read_csv(folder / "costs.csv")
    costs.loc[costs["arm"] == "sharp", COSTS[0]] = math.nan
    costs.to_csv(folder / "costs.csv", index=False)
    found = load_finished(folder)
    page = _page(found)
    (only,) = page["ranking"]["tables"]
    cells = {row.name: row.cells for row in only.rows}
    assert cells["sharp"][1].text == "n/a" and cells["sharp"][1].order == ""
    assert dict(page["study"]["costs"])["sharp"][0] == "n/a"
    points = _group(found).points
    assert list(points) == [("t2m", "K")]
    assert "blurred" not in [point.name for point in points["t2m", "K"]]
