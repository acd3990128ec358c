"""Figures of the verification: what is drawn equals the data."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from report_run import make_cells, make_cycles, make_quantiles, make_ranks, make_samples
from subgrid.reporting import figures
from subgrid.reporting.figures.verification import ROOM

SYSTEMS = ["bilinear", "bicubic", "srgan"]


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    return make_samples((24, 32), skill=1.25)


@pytest.fixture(scope="module")
def cells(samples: xr.Dataset) -> xr.Dataset:
    return make_cells(samples)


@pytest.mark.slow
def test_nothing_is_left_in_pyplot(samples: xr.Dataset, cells: xr.Dataset) -> None:
    for drawn in (
        figures.quantile_quantile(make_quantiles(samples), "t2m"),
        figures.error_map(cells, "t2m", "srgan", "bicubic"),
        figures.error_cycle(make_cycles(samples), "t2m"),
        figures.rank_histogram(make_ranks(samples), "t2m"),
    ):
        drawn.draw_without_rendering()
    assert plt.get_fignums() == []


# --- quantiles -------------------------------------------------------------------------------------------


def test_quantiles_stand_against_the_truths(samples: xr.Dataset) -> None:
    quantiles = make_quantiles(samples)
    drawn = figures.quantile_quantile(quantiles, "u10")
    top, low = drawn.axes
    truth = quantiles["u10"].sel(system="truth").values
    styles = figures.system_styles(["truth", *SYSTEMS])
    lines = {line.get_label(): line for line in top.lines}
    assert [label for label in lines if not label.startswith("_")] == ["truth", *SYSTEMS]
    assert list(lines["truth"].get_ydata()) == list(truth)
    for name in SYSTEMS:
        made = quantiles["u10"].sel(system=name).values
        below = next(line for line in low.lines if line.get_label() == name)
        for line, values in ((lines[name], made), (below, made - truth)):
            assert list(line.get_xdata()) == list(truth)
            assert line.get_ydata() == pytest.approx(values)
            assert (line.get_color(), line.get_linestyle()) == styles[name]
            assert line.get_marker() == "o"  # the extremes are few points
    assert (top.get_ylabel(), low.get_ylabel()) == ("u10 (m s⁻¹)", "minus truth (m s⁻¹)")
    assert low.get_xlabel() == "the truth's u10 (m s⁻¹)"
    assert low.get_xlim()[0] < truth[0] < truth[-1] < low.get_xlim()[1]


def test_probabilities_are_named_where_there_is_room(samples: xr.Dataset) -> None:
    quantiles = make_quantiles(samples)
    low = figures.quantile_quantile(quantiles, "t2m").axes[1]
    truth = quantiles["t2m"].sel(system="truth")
    named = {text.get_text(): text.xy[0] for text in low.texts}
    assert {"99 %", "50 %", "1 %"} <= set(named)
    for text, at in named.items():
        share = float(text.removesuffix(" %")) / 100
        assert at == pytest.approx(float(truth.sel(probability=share, method="nearest")))
    span = np.ptp(low.get_xlim())
    assert np.diff(sorted(named.values())).min() >= ROOM * span
    dry = quantiles.copy(deep=True)
    dry["t2m"][:, :6] = 0.0  # most of the values are one, as in rain
    assert [text.get_text() for text in figures.quantile_quantile(dry, "t2m").axes[1].texts] == ["99 %", "50 %"]


def test_probabilities_that_were_not_taken_are_not_named(samples: xr.Dataset) -> None:
    few = make_quantiles(samples).isel(probability=[3, 4, 5])
    assert [text.get_text() for text in figures.quantile_quantile(few, "t2m").axes[1].texts] == ["50 %"]


def test_differences_under_a_bins_width_stay_small(samples: xr.Dataset) -> None:
    same = make_quantiles(samples)
    same["t2m"][:] = same["t2m"].sel(system="truth", drop=True).values + np.array([0.0, 1e-3, -1e-3, 0.0])[:, None]
    low = figures.quantile_quantile(same, "t2m").axes[1]
    assert low.get_ylim() == pytest.approx((-0.02, 0.02))  # two bins of 0.01 K
    del same["t2m"].attrs["bin_width"]
    assert figures.quantile_quantile(same, "t2m").axes[1].get_ylim()[1] < 0.0012


# --- maps of errors --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("narrow", [False, True])
def test_error_map_shows_rmse_difference_and_bias(cells: xr.Dataset, narrow: bool) -> None:
    drawn = figures.error_map(cells, "t2m", "srgan", "bicubic", narrow=narrow)
    panels, bars = drawn.axes[:4], drawn.axes[4:]
    images = [ax.get_images()[0] for ax in panels]
    rmse = cells["t2m_rmse"]
    ours, theirs = (rmse.sel(system=name).values for name in ("srgan", "bicubic"))
    bias = cells["t2m_bias"].sel(system="srgan").values
    for image, values in zip(images, (ours, theirs, ours - theirs, bias), strict=True):
        assert np.asarray(image.get_array()) == pytest.approx(values[::-1])  # drawn south up
    assert images[0].get_clim() == images[1].get_clim() == (0.0, pytest.approx(np.percentile([ours, theirs], 99.5)))
    for image, values in ((images[2], ours - theirs), (images[3], bias)):
        top = np.percentile(abs(values), 99.5)
        assert image.get_clim() == pytest.approx((-top, top))
    names = [image.get_cmap().name for image in images]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert [text.get_text() for ax in panels for text in ax.texts] == ["srgan", "bicubic", "srgan − bicubic", "srgan"]
    share = 100 * np.mean(ours < theirs)
    notes = [ax.get_title(loc="left") for ax in panels]
    assert notes == ["RMSE", "RMSE", f"lower in {share:.0f} % of cells", "bias: mean error"]
    labels = [bar.get_xlabel() for bar in bars]
    said = "\nlimit: percentile 99.5 of cells"
    assert labels == [f"RMSE (K){said}", f"difference of RMSE (K){said}", f"bias (K){said}"]
    assert drawn.get_size_inches()[0] == (5.2 if narrow else 12.8)
    drawn.draw_without_rendering()
    boxes = [ax.get_tightbbox() for ax in drawn.axes]
    for i, one in enumerate(boxes):  # no label over another panel or beyond the sheet
        assert one.y0 >= 0
        assert one.x1 <= drawn.bbox.x1
        assert not [j for j, two in enumerate(boxes[:i]) if min(one.x1, two.x1) - max(one.x0, two.x0) > 20
                    and min(one.y1, two.y1) - max(one.y0, two.y0) > 2]  # fmt: skip


@pytest.mark.slow
def test_error_map_without_data_says_so(cells: xr.Dataset) -> None:
    empty = cells * np.nan
    drawn = figures.error_map(empty, "u10", "srgan", "bilinear")
    assert drawn.axes[2].get_title(loc="left") == "no data"
    assert drawn.axes[2].get_images()[0].get_clim() == (-1.0, 1.0)
    drawn.draw_without_rendering()


# --- hours, seasons, ranks -------------------------------------------------------------------------------


@pytest.mark.parametrize("narrow", [False, True])
def test_cycles_have_a_line_a_system(samples: xr.Dataset, narrow: bool) -> None:
    cycles = make_cycles(samples)
    drawn = figures.error_cycle(cycles, "u10", narrow=narrow)
    order = ["rmse_hour", "bias_hour", "rmse_season", "bias_season"]
    if not narrow:
        order = ["rmse_hour", "rmse_season", "bias_hour", "bias_season"]
    styles = figures.system_styles(SYSTEMS)
    for ax, name in zip(drawn.axes, order, strict=True):
        values = cycles[f"u10_{name}"]
        for line, system in zip(ax.lines, SYSTEMS, strict=False):
            assert line.get_label() == system
            assert (line.get_color(), line.get_linestyle()) == styles[system]
            assert list(line.get_ydata()) == list(values.sel(system=system).values)
            assert list(line.get_xdata()) == ([0, 6, 12, 18] if name.endswith("hour") else [0, 1, 2, 3])
        score = name.partition("_")[0]
        assert ax.get_ylabel() == f"{'RMSE' if score == 'rmse' else 'bias'} (m s⁻¹)"
        if name.endswith("season"):
            assert [label.get_text() for label in ax.get_xticklabels()] == ["DJF", "MAM", "JJA", "SON"]
    assert drawn._suptitle.get_text() == "u10: errors by hour of day and season"
    assert drawn.get_size_inches()[0] == (6.4 if narrow else 12.8)


def test_cycle_that_the_times_do_not_have_is_left_out(samples: xr.Dataset) -> None:
    cycles = make_cycles(samples)
    hours = cycles[["t2m_rmse_hour", "t2m_bias_hour"]]
    drawn = figures.error_cycle(hours, "t2m")
    assert [ax.get_xlabel() for ax in drawn.axes] == ["", "hour of day"]
    assert drawn._suptitle.get_text() == "t2m: errors by hour of day"
    assert drawn.get_size_inches()[0] == 6.4
    many = hours.interp(hour=np.arange(19))
    assert list(figures.error_cycle(many, "t2m").axes[0].get_xticks()) == list(range(0, 19, 2))
    with pytest.raises(figures.NothingToDrawError, match="u10 has errors by neither hour nor season to draw"):
        figures.error_cycle(hours, "u10")


def test_ranks_are_drawn_beside_a_reliable_ensembles(samples: xr.Dataset) -> None:
    ranks = make_ranks(samples)
    drawn = figures.rank_histogram(ranks, "t2m")
    (ax,) = drawn.axes
    outline, filled = ax.patches  # of the one system that has members
    assert outline.get_label() == "srgan"
    for patch in (outline, filled):
        assert list(patch.get_data().values) == [0.3, 0.15, 0.1, 0.15, 0.3]
        assert list(patch.get_data().edges) == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5]
    assert [list(line.get_ydata()) for line in ax.lines] == [[0.2, 0.2]]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["reliable", "srgan"]
    assert drawn._suptitle.get_text() == "t2m: ranks of the truth among 4 members"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("members below the truth", "share of times and cells")
    assert ax.get_ylim()[0] == 0.0
