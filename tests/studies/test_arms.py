"""Figures of a study: what is drawn equals the tables."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from PIL import Image
from skimage.color import rgb2lab

from report_run import make_history, make_samples, make_spectra
from report_study import make_study
from study_results import make_results
from subgrid.reporting import figures
from subgrid.reporting.figures.fields import MAX_COLUMNS
from subgrid.reporting.figures.perception_distortion import place
from subgrid.reporting.figures.style import FIXED, MARKERS, OTHERS
from subgrid.reporting.figures.variants import STRETCH, rows_of
from subgrid.studies import paper_figures
from subgrid.studies.load import load_finished

pytestmark = pytest.mark.slow

ARMS = ("sound", "tanh", "losses", "attention")
MANY = tuple(f"system-{i}" for i in range(12))

# red, green, blue of linear light as those see them who lack the cones of long, of medium, of short waves
# (Machado, Oliveira and Fernandes 2009, doi:10.1109/TVCG.2009.113, severity 1)
SIGHT = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
)


def seen(colour: str, sight: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """CIE L*a*b* of a colour as seen by someone."""
    light = np.asarray(to_rgb(colour))
    light = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    light = np.clip(np.asarray(sight) @ light, 0, 1)
    shown = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(rgb2lab(shown[None, None])[0, 0])


# --- styles and legends ----------------------------------------------------------------------------------


def test_no_two_systems_of_one_dash_look_alike_to_anyone() -> None:
    styles = [*FIXED.values(), *OTHERS]
    assert len(set(styles)) == len(styles) >= 3 + 12
    assert {dash for _, dash in styles} == set(MARKERS) and len(set(MARKERS.values())) == 4
    for (one, dash), (other, other_dash) in combinations(styles, 2):
        if dash == other_dash:
            apart = [float(np.linalg.norm(seen(one, sight) - seen(other, sight))) for sight in SIGHT]
            assert min(apart) > 24, (one, other)
    background = np.array([seen(colour, SIGHT[0])[0] for colour, _ in styles])
    assert background.max() < 75  # lightness; white is 100


def test_first_systems_keep_their_colours() -> None:
    styles = figures.system_styles(["truth", "bilinear", "bicubic", "a", "b", "c", "d"])
    colours = ["#000000", "#009E73", "#0072B2", "#D55E00", "#AA4499", "#8A6D00", "#56B4E9"]
    assert [colour for colour, _ in styles.values()] == colours
    assert len(set(figures.system_styles(MANY).values())) == len(MANY)


def many_samples(names: tuple[str, ...]) -> xr.Dataset:
    samples = make_samples((24, 32), times=1)
    more = [samples.sel(system=["srgan"]).assign_coords(system=[name]) for name in names]
    base = samples.sel(system=["truth", "bilinear", "bicubic"])
    return xr.concat([base, *more], "system", data_vars="minimal", coords="minimal", compat="override")


@pytest.mark.parametrize("count", [1, 12])
def test_legends_stay_within_the_figure(count: int) -> None:
    samples = many_samples(MANY[:count])
    plain = figures.profile(many_samples(MANY[:1]), "t2m", 0).get_figheight()
    for drawn in (figures.profile(samples, "t2m", 0), figures.spectra(make_spectra(samples), "t2m")):
        drawn.draw_without_rendering()
        legend = drawn.axes[0].get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()] == ["truth", "bilinear", "bicubic", *MANY[:count]]
        box, axes_box = legend.get_window_extent(), drawn.axes[0].get_window_extent()
        assert box.x1 <= drawn.bbox.x1 and box.y0 >= axes_box.y1 - 1
        assert axes_box.width > 0.75 * drawn.bbox.width  # not squeezed by the names
        assert (drawn.get_figheight() > plain) == (count > 1)


def test_lines_take_the_styles_they_are_given() -> None:
    samples = many_samples(MANY[:2])
    styles = dict.fromkeys([*FIXED, *MANY[:2]], ("#123456", ":"))
    for drawn in (
        figures.profile(samples, "t2m", 0, styles=styles),
        figures.spectra(make_spectra(samples), "t2m", styles=styles),
    ):
        lines = drawn.axes[0].lines[:5]
        assert {(line.get_color(), line.get_linestyle()) for line in lines} == {("#123456", ":")}


# --- maps of many systems --------------------------------------------------------------------------------


@pytest.mark.parametrize(("arms", "across", "bands"), [(1, 5, 1), (2, 6, 1), (3, 4, 2), (5, 5, 2), (12, 6, 3)])
def test_maps_wrap(arms: int, across: int, bands: int) -> None:
    samples = many_samples(MANY[:arms])
    drawn = figures.maps(samples, "t2m", 0)
    coarse, truth, *pairs, bar, error_bar = drawn.axes
    places = [tuple(np.round(ax.get_position().bounds, 4)) for ax in (coarse, truth, *pairs)]
    assert len(set(places)) == len(places) == 2 * (arms + 2) + 2
    assert len({place[0] for place in places}) == across <= MAX_COLUMNS
    assert len({place[1] for place in places}) == 2 * bands
    assert len({place[2:] for place in places}) == 1
    for field, error in zip(pairs[::2], pairs[1::2], strict=True):
        above, below = field.get_position(), error.get_position()
        assert below.x0 == pytest.approx(above.x0) and below.y1 < above.y0
        assert error.texts[0].get_text() == f"|{field.texts[0].get_text()} − truth|"
    lefts = [ax for ax in (coarse, *pairs) if ax.get_position().x0 == pytest.approx(coarse.get_position().x0)]
    assert all(ax.yaxis.get_tick_params()["labelleft"] for ax in lefts)
    for one, other in combinations([ax.get_position() for ax in drawn.axes], 2):
        assert not one.shrunk(0.99, 0.99).overlaps(other)
    assert bar.get_position().y1 < coarse.get_position().y0 and error_bar.get_position().x0 == truth.get_position().x0


# --- differences -----------------------------------------------------------------------------------------


def marks(ax: Axes, at: float) -> tuple[list[float], list[float], list[float]]:
    """x of the big marker, of the bar's ends and of the dots of a row."""
    big, bar, dots = [], [], []
    for line in ax.lines:
        y = np.unique(np.asarray(line.get_ydata(), dtype=float))
        if y.size == 1 and abs(y[0] - at) < 0.3 and line.get_xdata() is not None:
            x = list(np.asarray(line.get_xdata(), dtype=float))
            if line.get_linestyle() != "None" and len(x) == 2 and x != [0.0, 1.0]:
                bar += x
            elif line.get_markersize() > 5 and line.get_marker() in MARKERS.values():
                big += x
            elif line.get_markersize() < 5 and line.get_marker() == "o":
                dots += x
    return big, bar, dots


def test_differences_stand_where_the_table_says() -> None:
    table = make_results(ARMS, far=False)
    drawn = figures.differences(table, "rmse", "sound", higher_is_better=False)
    styles = figures.system_styles([*ARMS, "bilinear", "bicubic"])
    assert [ax.get_title(loc="left") for ax in drawn.axes] == ["t2m", "u10"]
    found = table.set_index(["arm", "variable", "score"])
    names = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert names == ["tanh", "losses", "attention", "bilinear", "bicubic"]
    for ax in drawn.axes:
        variable = ax.get_title(loc="left")
        seeds = ["seed_0", "seed_1", "seed_2"]
        theirs = found.loc[("sound", variable, "rmse"), seeds].to_numpy(dtype=float)
        for name, at in zip(names, ax.get_yticks(), strict=True):
            row = found.loc[(name, variable, "rmse")]
            ours = np.full(3, row["mean"]) if name in FIXED else row[seeds].to_numpy(dtype=float)
            big, bar, dots = marks(ax, at)
            assert (big, bar) == ([row["difference"]], [row["lower"], row["upper"]])
            assert dots == pytest.approx(ours - theirs)
            (marker,) = [x for x in ax.lines if list(x.get_xdata()) == big]
            colour, dash = styles[name]
            assert (marker.get_color(), marker.get_marker()) == (colour, MARKERS[dash])
            filled = to_hex(marker.get_markerfacecolor()) == colour.lower()
            assert filled == (row["significant"] == "yes")
        zero = [line for line in ax.lines if list(line.get_xdata()) == [0.0, 0.0]]
        assert len(zero) == 1 and ax.get_xlim()[0] < 0 < ax.get_xlim()[1]
        assert ax.get_ylim()[0] > ax.get_ylim()[1]  # first arm on top
        assert ax.get_xlabel().startswith("←  better") and ax.get_xlabel().endswith("minus sound's (K)")
        rules = [line for line in ax.lines if list(line.get_xdata()) == [0, 1]]
        assert [line.get_ydata()[0] for line in rules] == [2.75]  # between arms and baselines
    assert {row.tied for row in rows_of(table, "t2m", "rmse", "sound")} == {True, False}
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("score", "higher", "label"),
    [
        ("psnr", True, "minus sound's (dB)    better →"),
        ("bias", None, "minus sound's (K)    (closer to the best value is better)"),
    ],
)
def test_better_side_is_named(score: str, higher: bool | None, label: str) -> None:
    drawn = figures.differences(make_results(ARMS), score, "sound", higher_is_better=higher)
    assert {ax.get_xlabel() for ax in drawn.axes} == {label}
    assert figures.differences(make_results(ARMS).assign(units="1"), "psnr", "sound").axes[0].get_xlabel()[:14] == (
        "minus sound's "
    )


def test_a_baseline_far_off_is_written_and_not_drawn() -> None:
    table = make_results(ARMS)
    below = (table.arm == "bilinear") & (table.score == "rmse")
    table.loc[below, ["difference", "lower", "upper"]] = -7.125
    (ax, _) = figures.differences(table, "rmse", "sound").axes
    row = table[(table.arm == "bicubic") & (table.variable == "t2m") & (table.score == "rmse")].iloc[0]
    assert {text.get_text() for text in ax.texts} == {
        f"{row.difference:+.3g}, beyond this axis",
        "−7.12, beyond this axis",
    }
    arms = table[table.arm.isin(ARMS[1:]) & (table.variable == "t2m") & (table.score == "rmse")]
    assert ax.get_xlim()[1] < STRETCH * arms.upper.max()
    assert marks(ax, ax.get_yticks()[-1]) == ([], [], [])


def test_an_arm_without_interval_has_its_dots_and_one_without_pair_says_why(tmp_path: Path) -> None:
    table = make_results(ARMS, seeds=(0,), variables=("t2m",))
    refused = table.arm == "attention"
    table.loc[refused, ["difference", "lower", "upper"]] = np.nan
    table.loc[refused, "note"] = "failed: seed 1; another truth: data.factor differs"
    table.loc[table.arm == "losses", ["difference", "lower", "upper"]] = np.nan
    table = pd.concat([table, pd.DataFrame([{"arm": "wild", "num_seeds": 0, "note": "failed: seed 0"}])])
    table.to_csv(tmp_path / "results.csv", index=False)
    for given_table in (table, pd.read_csv(tmp_path / "results.csv")):  # empty cells come back as nan
        (ax,) = figures.differences(given_table, "rmse", "sound").axes
        names = [label.get_text() for label in ax.get_yticklabels()]
        assert names == ["tanh", "losses", "attention", "wild", "bilinear", "bicubic"]
        row = table[(table.arm == "tanh") & (table.score == "rmse")].iloc[0]
        big, bar, dots = marks(ax, ax.get_yticks()[0])
        assert (big, bar) == ([], []) and dots == pytest.approx([row.difference])
        said = {text.get_text() for text in ax.texts}
        assert {"another truth: data.factor differs", "no seed in common", "no result"} <= said


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(figures.NothingToDrawError, match="no arm was compared with sound in rmse"):
        figures.differences(make_results(ARMS[:1]), "rmse", "sound")
    with pytest.raises(figures.NothingToDrawError, match="in ssim"):
        figures.differences(make_results(ARMS), "ssim", "sound")


def test_equal_arms_have_an_axis_all_the_same() -> None:
    table = make_results(ARMS[:2], seeds=(0,), variables=("t2m",))
    table = table[~table.arm.isin(FIXED)]
    table.loc[table.arm == "tanh", "seed_0"] = table.loc[table.arm == "sound", "seed_0"].to_numpy()
    table.loc[table.arm == "tanh", "difference"] = 0.0
    (ax,) = figures.differences(table, "rmse", "sound").axes
    assert ax.get_xlim() == (-1.0, 1.0)
    assert not [line for line in ax.lines if list(line.get_xdata()) == [0, 1]]  # no rule without baselines


# --- curves ----------------------------------------------------------------------------------------------


def histories() -> dict[str, dict[int, pd.DataFrame]]:
    out = {}
    for k, arm in enumerate(("sound", "tanh")):
        out[arm] = {seed: make_history(3000 - 500 * seed * (1 - k), 100) for seed in (0, 1)}
        for seed, history in out[arm].items():
            history["valid_psnr"] += k + 0.3 * seed
    return out


def test_curves_are_means_over_seeds_in_a_band() -> None:
    runs = histories() | {"late": {}, "lone": {5: make_history(2000, 100)}}
    (ax,) = figures.arm_curves(runs, "valid_psnr").axes
    styles = figures.system_styles(list(runs))
    lines = {line.get_label(): line for line in ax.lines if not str(line.get_label()).startswith("_")}
    assert list(lines) == ["sound", "tanh", "lone"]
    assert len(ax.collections) == 2  # no band round a lone run
    for name, band in zip(("sound", "tanh"), ax.collections, strict=True):
        tables = [one.dropna(subset="valid_psnr").set_index("step").valid_psnr for one in runs[name].values()]
        count = min(map(len, tables))
        both = np.stack([table.iloc[:count] for table in tables])
        line = lines[name]
        assert list(line.get_xdata()) == list(tables[0].index[:count])
        assert line.get_ydata() == pytest.approx(both.mean(axis=0))
        assert (line.get_color(), line.get_linestyle()) == styles[name]
        edge = band.get_paths()[0].vertices
        for step, low, high in zip(tables[0].index, both.min(axis=0), both.max(axis=0), strict=False):
            there = np.asarray(edge)[np.asarray(edge)[:, 0] == step, 1]
            assert (there.min(), there.max()) == pytest.approx((low, high))
    assert len(lines["sound"].get_xdata()) == 5 and len(lines["tanh"].get_xdata()) == 6  # cut at the shortest
    assert ax.get_ylabel() == "validation PSNR (dB)"


def test_curves_mark_where_a_stage_begins() -> None:
    runs = histories()
    changed = {
        float(one.loc[one.stage == "adversarial", "step"].min()) for seeds in runs.values() for one in seeds.values()
    }
    (ax,) = figures.arm_curves(runs, "valid_rmse").axes
    assert {line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"} == changed
    assert [text.get_text() for text in ax.texts] == [" adversarial"] * len(changed)
    assert ax.get_ylabel() == "validation RMSE (standard deviations)"


def test_curves_of_a_lone_validation_and_of_none() -> None:
    runs = {"sound": {0: make_history(500, 100)}}
    (ax,) = figures.arm_curves(runs, "valid_ssim").axes
    assert ax.lines[0].get_marker() == "o"
    with pytest.raises(figures.NothingToDrawError, match="no run measured train_psnr"):
        figures.arm_curves(runs, "train_psnr")
    train = {"sound": {0: runs["sound"][0].assign(train_psnr=30.0, valid_spread_ratio=1.0)}}
    assert figures.arm_curves(train, "train_psnr").axes[0].get_ylabel() == "training PSNR (dB)"
    assert figures.arm_curves(train, "valid_spread_ratio").axes[0].get_ylabel() == "validation spread ratio"


# --- trade-off -------------------------------------------------------------------------------------------


def points(ax: Axes, size: tuple[float, float]) -> list[list[float]]:
    """(x, y) of the markers of a size."""
    made = [line for line in ax.lines if size[0] <= line.get_markersize() <= size[1]]
    return [list(pair) for line in made for pair in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def labels(ax: Axes) -> list[Annotation]:
    return [
        text
        for text in ax.texts
        if isinstance(text, Annotation) and text.get_text() not in ("", "better", "arms: see the right panel")
    ]


@pytest.mark.parametrize(("far", "panels"), [(True, 2), (False, 1)])
def test_trade_off_shows_means_seeds_and_baselines(far: bool, panels: int) -> None:
    table = make_results(ARMS, far=far)
    drawn = figures.trade_off(table, "u10")
    found = table[table.variable == "u10"].set_index(["score", "arm"])
    assert len(drawn.axes) == panels
    for ax, names in zip(drawn.axes, ([*ARMS, "bilinear", "bicubic"], ARMS)[:panels], strict=True):
        expected = [[found.loc[(s, n), "mean"] for s in ("rmse", "log_spectral_distance")] for n in names]
        assert points(ax, (5, 9)) == pytest.approx(np.array(expected))
        seeds = [
            [found.loc[(s, n), f"seed_{k}"] for s in ("rmse", "log_spectral_distance")] for n in ARMS for k in range(3)
        ]
        assert points(ax, (2, 4)) == pytest.approx(np.array(seeds))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("RMSE (K)", "log spectral distance (dB)")
        (arrow,) = [
            t for t in ax.texts if isinstance(t, Annotation) and t.get_text() == "" and t.arrow_patch is not None
        ]
        assert arrow.xy < arrow.xyann  # towards the lower left
    shown = [[text.get_text() for text in labels(ax)] for ax in drawn.axes]
    assert shown == ([["bilinear", "bicubic"], list(ARMS)] if far else [[*ARMS, "bilinear", "bicubic"]])
    if far:
        (box,) = drawn.axes[0].patches
        left, right = drawn.axes[1].get_xlim()
        assert (box.get_x(), box.get_x() + box.get_width()) == pytest.approx((left, right))


def test_labels_of_many_arms_keep_clear_of_each_other() -> None:
    drawn = figures.trade_off(make_results(MANY), "t2m")
    FigureCanvasAgg(drawn)  # which can measure texts
    placed = named_boxes(drawn)
    assert len(placed) == 12
    for one, other in combinations(placed, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def named_boxes(drawn: Figure) -> list[tuple[float, float, float, float]]:
    """Boxes of the arms' labels themselves, without their lines, in pixels."""
    out = []
    for text in labels(drawn.axes[-1]):
        text.arrow_patch = None
        text.arrowprops = None
        box = text.get_window_extent()
        out.append((box.x0, box.y0 + 0.2 * box.height, box.x1, box.y1 - 0.2 * box.height))
    return out


def test_an_arm_of_another_truth_is_called_so_and_one_without_both_scores_left_out() -> None:
    table = make_results(ARMS, variables=("t2m",))
    other = table.arm == "tanh"
    table.loc[other, ["difference", "lower", "upper"]] = np.nan
    table.loc[other, "note"] = "another truth: data.factor differs"
    table = table[(table.arm != "losses") | (table.score != "rmse")]
    names = [text.get_text() for text in labels(figures.trade_off(table, "t2m").axes[-1])]
    assert names == ["sound", "tanh (another truth)", "attention"]
    with pytest.raises(figures.NothingToDrawError, match="no arm has both rmse and log_spectral_distance of t2m"):
        figures.trade_off(table[table.score != "rmse"], "t2m")


@given(
    spots=st.lists(st.tuples(st.floats(30, 270), st.floats(20, 230)), min_size=1, max_size=8),
    width=st.floats(20, 60),
)
@settings(max_examples=60, deadline=None)
def test_a_label_covers_nothing_where_there_is_room(spots: list[tuple[float, float]], width: float) -> None:
    taken: list[tuple[float, float, float, float]] = []
    for spot in spots:
        box = place(spot, (width, 9.5), taken, (600.0, 500.0))
        assert box[2] - box[0] == pytest.approx(width) and box[3] - box[1] == pytest.approx(9.5)
        assert box[0] >= 0 and box[1] >= 0 and box[2] <= 600 and box[3] <= 500
        for other in taken:
            apart = box[2] <= other[0] or other[2] <= box[0] or box[3] <= other[1] or other[3] <= box[1]
            assert apart or min(box[2], other[2]) - max(box[0], other[0]) < 1e-3
        taken.append(box)


def test_a_label_without_room_covers_least() -> None:
    panel = (60.0, 30.0)
    half = [(0.0, 0.0, 60.0, 15.0)]
    box = place((30.0, 15.0), (50.0, 9.5), half, panel)
    assert box[1] >= 15.0  # on the free half
    full = [(0.0, 0.0, 60.0, 30.0)]
    assert place((30.0, 15.0), (50.0, 9.5), full, panel)[2] > 0


# --- files -----------------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of few figures, so that the test is quick."""
    monkeypatch.setattr(paper_figures, "SCORES", ("psnr", "wasserstein"))  # which the table has not
    monkeypatch.setattr(paper_figures, "CURVES", ("valid_rmse", "valid_wasserstein"))
    folder = make_study(tmp_path / "study", arms={"sound": 1.2, "tanh": 1.6}, shape=(16, 24))
    table = pd.read_csv(folder / "results.csv")
    table[table.variable == "t2m"].to_csv(folder / "results.csv", index=False)
    for path in folder.glob("runs/*/evaluation/s*.nc"):
        with xr.open_dataset(path) as opened:
            kept = opened.load().drop_vars(["u10", "u10_coarse"], errors="ignore")
        kept.to_netcdf(path)
    return folder


def test_figures_are_written_whole_and_the_same_again(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = paper_figures.write_figures(load_finished(study))
    names = [path.stem for path in paths[::2]]
    assert names == ["differences-psnr", "curves-valid_rmse", "trade_off-t2m", "spectra-t2m", "profile-t2m", "maps-t2m"]
    assert [path.suffix for path in paths] == [".png", ".pdf"] * len(names)
    assert set((study / "figures").iterdir()) == set(paths)  # nothing temporary is left
    first = {path: path.read_bytes() for path in paths}
    for path in paths[::2]:
        assert Image.open(path).info["dpi"] == pytest.approx((200, 200), abs=0.1)
    for path in paths[1::2]:
        assert b"/CIDFontType2" in first[path]  # TrueType
        assert b"/Type3" not in first[path] and b"CreationDate" not in first[path]
        assert (b"/Subtype /Image" in first[path]) == path.stem.startswith("maps")
    drawings = paper_figures._drawings
    monkeypatch.setattr(paper_figures, "_drawings", lambda one: list(drawings(one))[::7])  # first and last, to be quick
    again = paper_figures.write_figures(load_finished(study))
    assert [path.name for path in again[::2]] == ["differences-psnr.png", "maps-t2m.png"]
    assert all(path.read_bytes() == first[path] for path in again)
    assert plt.get_fignums() == []


def test_what_a_study_has_no_data_for_is_left_out(study: Path) -> None:
    for path in study.glob("runs/*/evaluation/s*.nc"):
        path.unlink()
    table = pd.read_csv(study / "results.csv")
    table[(table.arm == "sound") & (table.score == "psnr")].to_csv(study / "results.csv", index=False)
    for path in study.glob("runs/*/history.csv"):
        pd.read_csv(path).drop(columns="valid_rmse").to_csv(path, index=False)
    assert paper_figures.write_figures(load_finished(study)) == []


def test_fields_drawn_from_noise_have_spectra_alone(study: Path) -> None:
    for path in study.glob("runs/*/evaluation/samples.nc"):
        with xr.open_dataset(path) as opened:
            drawn = opened.load().drop_vars("t2m_coarse").drop_dims(["latitude_coarse", "longitude_coarse"])
        drawn.to_netcdf(path)
    names = [name for name, _ in paper_figures._drawings(load_finished(study))]
    assert names[-1] == "spectra-t2m"


def test_a_paper_keeps_each_arms_style(study: Path) -> None:
    for path in study.glob("runs/sound-*/job.json"):
        path.unlink()  # the first arm did not finish
    drawings = dict(paper_figures._drawings(load_finished(study)))
    styles = figures.system_styles(["sound", "tanh"])
    for name in ("spectra-t2m", "profile-t2m", "curves-valid_rmse"):
        lines = {line.get_label(): line for line in drawings[name]().axes[0].lines}
        assert (lines["tanh"].get_color(), lines["tanh"].get_linestyle()) == styles["tanh"]
