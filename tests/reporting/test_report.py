"""The report page and its figures, on a fabricated run directory."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.image import NonUniformImage
from PIL import Image

from report_run import make_history, make_run, make_samples, make_scores, make_spectra
from subgrid.data.grid import cell_edges
from subgrid.errors import RunError
from subgrid.reporting import figures, render, report
from subgrid.reporting import page as reporting_page
from subgrid.reporting.evaluated_run import load_evaluated_run
from subgrid.reporting.figures.style import degrees
from subgrid.reporting.run_facts import evaluation_facts
from subgrid.reporting.verdict import verdict

pytestmark = pytest.mark.slow

SYSTEMS = ("bilinear", "bicubic", "srgan")


class Page(HTMLParser):
    """Tags with attributes, headings, the visible text and apart from it that of scripts; `body` without the library."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.hidden: list[str] = []
        self.skip = ""
        self.feed(self.source)
        self.body = self.source.rpartition("</head>")[2].rpartition("<script>")[0]
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        self.skip = tag if tag in ("style", "script", "title") else self.skip

    def handle_endtag(self, tag: str) -> None:
        self.skip = "" if tag == self.skip else self.skip

    def handle_data(self, data: str) -> None:
        (self.hidden if self.skip else self.words).append(data)

    def all(self, name: str) -> list[dict[str, str]]:
        return [attrs for tag, attrs in self.tags if tag == name]

    def verdict(self) -> str:
        found = re.search(r'<p class="verdict[^"]*">(.*?)</p>', self.source, re.S)
        assert found
        return " ".join(re.sub(r"<[^>]*>|&#39;", lambda m: "'" if m[0][0] == "&" else "", found[1]).split())


def heads(page: Page) -> list[list[str]]:
    """Columns of each table of scores."""
    tables = re.findall(r'<table class="scores">\s*<thead>(.*?)</thead>', page.body, re.S)
    return [re.findall(r'<th scope="col">(.*?)</th>', table) for table in tables]


def scores_part(page: Page) -> str:
    """Source of the part that holds the scores."""
    return page.body[page.body.index('<section aria-labelledby="scores">') :]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "first", skill=1.25, whole=True)


@pytest.fixture(scope="module")
def page(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(report([run], tmp_path_factory.mktemp("page") / "new" / "report.html"))


@pytest.fixture(scope="module")
def samples() -> xr.Dataset:
    return make_samples()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode no pixels where they do not matter."""
    monkeypatch.setattr(render, "_data_uri", lambda figure, dpi: f"data:image/png;base64,{id(figure)}")


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no figures where only words and tables matter."""
    monkeypatch.setattr(reporting_page, "sections_of", lambda run: [])
    monkeypatch.setattr(reporting_page, "_system_groups", lambda runs, labels: [])


def rescored(path: Path, factors: dict[tuple[str, str], float], score: str = "rmse") -> Path:
    """Overwrite a run's scores of `score`: value by (system, variable)."""
    file = path / "evaluation" / "scores.csv"
    table = pd.read_csv(file)
    for (system, variable), value in factors.items():
        rows = (table["system"] == system) & (table["variable"] == variable) & (table["score"] == score)
        rows &= table["group"] == "all"
        assert rows.sum() == 1
        table.loc[rows, "value"] = value
    table.to_csv(file, index=False)
    return path


# --- the page --------------------------------------------------------------------------------------------


def test_page_needs_nothing_from_outside(page: Page) -> None:
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert all(not {"src", "async"} & set(script) for script in page.all("script"))  # what moves stands in the page
    for _, attrs in page.tags:
        for key in ("src", "srcset", "href"):
            assert attrs.get(key, "#").startswith(("data:image/png;base64,", "#"))
    assert "url(" not in page.body
    assert "@import" not in page.source


def test_every_image_is_a_png_with_alternative_text(page: Page) -> None:
    images = page.all("img")
    assert len(images) == 2 * 4  # error map, quantiles, cycles, ranks of each variable; all else moves
    assert all(len(image["alt"]) > 30 for image in images)
    assert len({image["alt"] for image in images}) == len(images)
    data = base64.b64decode(images[0]["src"].partition(",")[2])
    assert Image.open(io.BytesIO(data)).size[0] == int(12.8 * render.START_DPI)


def test_phone_gets_narrow_maps_and_cycles(page: Page) -> None:
    sources = page.all("source")
    assert len(sources) == 2 * 2  # errors and cycles of each variable
    data = base64.b64decode(sources[0]["srcset"].partition(",")[2])
    width, height = Image.open(io.BytesIO(data)).size
    assert height > width


def test_page_is_under_six_megabytes(page: Page) -> None:
    assert 1_000_000 < len(page.source.encode()) < render.MAX_BYTES == 6_000_000


def test_headings_come_in_order_and_language_is_set(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in zip(levels, levels[1:], strict=False))
    assert page.all("html") == [{"lang": "en"}]
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = {attrs["href"][1:] for attrs in page.all("a")}
    assert targets <= set(ids)
    assert targets == {
        "ranking", "s1-maps", "s1-trade", "s1-profiles", "s1-spectra", "s1-training", "scores", "run1-error-maps",
        "run1-quantiles", "run1-error-by-hour-and-season", "run1-ranks", "run1-settings", "run1-provenance",
    }  # fmt: skip


def test_every_system_score_and_convention_appears(page: Page, run: Path) -> None:
    assert heads(page)[0] == ["Score", *SYSTEMS]
    table = pd.read_csv(run / "evaluation" / "scores.csv")
    for title in ("PSNR (dB)", "SSIM", "RMSE (K)", "RMSE (m s⁻¹)", "MAE (K)", "bias", "high wavenumber power ratio"):
        assert title in page.text
    for convention in table["convention"].unique():
        assert convention in page.text
    rmse = table[(table["score"] == "rmse") & (table["variable"] == "u10") & (table["group"] == "all")]
    for value, lower, upper in zip(rmse["value"], rmse["lower"], rmse["upper"], strict=True):
        assert f"{value:.3f} [{lower:.3f}, {upper:.3f}]" in page.text


def test_best_and_those_without_significant_difference_are_marked_in_text(page: Page, run: Path) -> None:
    table = pd.read_csv(run / "evaluation" / "scores.csv", keep_default_na=False)
    shown = table[(table["group"] == "all") | ((table["score"] != "ssim") & table["group"].str.contains(" "))]
    assert {"best", "no significant difference", "worse"} <= set(shown["rank"])
    for kind, rank in (("best", "best"), ("tied", "no significant difference")):
        cells = re.findall(rf'<td class="{kind}">(.*?)</td>', scores_part(page), re.S)
        others = 2 if rank == "best" else 0  # an ensemble's and the study's own, by value
        assert len(cells) == sum(shown["rank"] == rank) + others
        assert all(f'<span class="rank">{rank}</span>' in cell for cell in cells)
    first = re.findall(r'<td class="best">([−\d.]+)', scores_part(page))[0]
    value = table[(table["score"] == "psnr") & (table["variable"] == "t2m")].set_index("system")["value"]
    assert first == f"{value['srgan']:.2f}"
    assert "Brackets hold 95 % confidence intervals from a moving-block bootstrap over the test times." in page.text
    assert "No significant difference means that the interval of the difference from the best system" in page.text


def folded(page: Page) -> dict[str, str]:
    """Summary of each folded part to its source."""
    found = re.findall(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", page.body, re.S)
    return dict(found)


def test_main_scores_stand_open_and_the_others_are_folded(page: Page) -> None:
    opened = page.body[: page.body.index("<details>")]
    for title in ("PSNR", "RMSE", "high wavenumber power ratio", "CRPS", "direction error"):
        assert f'<th scope="row">{title}' in opened
    for title in ("gradient RMSE", "Wasserstein distance", "FSS above 280, window of 5 cells", "spread"):
        assert f'<th scope="row">{title}' not in opened
        assert f'<th scope="row">{title}' in folded(page)["Further scores"]
    assert "left out: t2m ms_ssim: fields of 48 x 64 cells are too small." in opened
    titles = [title for title in folded(page) if not title.startswith(("t2m", "u10"))]
    assert titles == [
        "Further scores",
        "Scores by season",
        "Scores by hour of day",
        "Scores by region",
        "Scores by the conventions of the published study",
        "How each score is computed",
    ]


def test_groups_have_a_column_each(page: Page, run: Path) -> None:
    part = folded(page)["Scores by season"]
    assert re.findall(r'<th scope="col">(.*?)</th>', part) == ["System", "DJF", "JJA"]
    headings = re.findall(r'<th scope="rowgroup"[^>]*><span>(.*?)</span>', part)
    assert headings == ["t2m: RMSE (K)", "t2m: bias (K)", "u10: RMSE (m s⁻¹)", "u10: bias (m s⁻¹)"]
    assert re.findall(r'<th scope="row">(\w+)', part) == [*SYSTEMS] * 4
    table = pd.read_csv(run / "evaluation" / "scores.csv").set_index(["group", "variable", "score", "system"])["value"]
    cells = re.findall(r"<td[^>]*>([−\d.]+)", part)
    expected = [table[f"season {season}", "t2m", "rmse", "bicubic"] for season in ("DJF", "JJA")]
    assert [float(cell) for cell in cells[2:4]] == pytest.approx(expected, abs=1e-3)
    assert "northern extratropics" in folded(page)["Scores by region"]


def test_published_conventions_stand_apart(page: Page) -> None:
    part = folded(page)["Scores by the conventions of the published study"]
    assert "Do not\ncompare them with the scores above" in part
    assert "all variables" in part
    assert "31.00" in part
    assert "The study&#39;s own range" in part
    assert "own range" not in folded(page)["How each score is computed"]


def test_sections_come_in_the_order_of_reading(page: Page) -> None:
    found = re.findall(r'<h2 id="[^"]*">(.*?)</h2>', page.body)
    assert found == [
        "Ranking", "Maps", "Distortion and realism", "Profiles", "Spectra", "Training", "Scores", "Error maps", "Quantiles",
        "Error by hour and season", "Ranks", "Settings", "Provenance",
    ]  # fmt: skip


def test_settings_and_provenance_are_told(page: Page) -> None:
    for word in ("blocks.count", "learning_rate", "0.0002", "t2m, u10", "not set"):
        assert word in page.text
    for word in ("subgrid train 'my recipe.toml' --seed 7", "4f1c2aa", "sha256:5f2d1b9e", "torch", "2.13.0"):
        assert word in page.text
    assert "validation block is the last fifth" in page.text
    assert "3, 2018-10-12 06:00 to 2018-10-14 06:00" in page.text
    assert "946,189 parameters" in page.text


# --- the verdict -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind", "sentence"),
    [
        ((2.0, 1.0, 0.88, 4.0, 2.0, 1.82), "better", "srgan's RMSE is 12 % below bicubic's for t2m and 9 % for u10."),
        ((2.0, 1.0, 1.3, 4.0, 2.0, 2.01), "worse", "srgan's RMSE is 30 % above bicubic's for t2m and 0.5 % for u10."),
        (
            (2.0, 1.0, 0.5, 1.0, 2.0, 1.1),
            "mixed",
            "srgan's RMSE is 50 % below bicubic's for t2m, but 10 % above bilinear's for u10.",
        ),
        (
            (2.0, 1.0, 1.0, 4.0, 2.0, 1.0),
            "mixed",
            "srgan's RMSE is equal to bicubic's for t2m and 50 % below bicubic's for u10.",
        ),
        ((1.0, 2.0, 1.0, 1.0, 2.0, 1.0), "equal", "srgan's RMSE is equal to bilinear's for t2m and for u10."),
        (
            (np.nan, 0.0, 1.0, np.nan, 0.0, 1.0),
            "none",
            "srgan was not scored by RMSE against bilinear or bicubic interpolation.",
        ),
    ],
)
def test_verdict_says_what_the_numbers_say(tmp_path: Path, values: Any, kind: str, sentence: str) -> None:
    keys = [(system, variable) for variable in ("t2m", "u10") for system in SYSTEMS]
    run = make_run(tmp_path / "run", times=1, shape=(16, 24))
    said = verdict(load_evaluated_run(rescored(run, dict(zip(keys, values, strict=True)))))
    assert (said.kind, said.text) == (kind, sentence)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    ("skill", "sentence", "kind"),
    [
        (1.25, "▲ better srgan's RMSE is 20 % below bicubic's for t2m and 20 % for u10.", "better"),
        (0.8, "▼ worse srgan's RMSE is 25 % above bicubic's for t2m and 25 % for u10.", "worse"),
    ],
)
def test_page_opens_with_the_verdict(tmp_path: Path, skill: float, sentence: str, kind: str) -> None:
    run = make_run(tmp_path / "run", skill=skill, times=1, shape=(16, 24))
    shown = Page(report([run], tmp_path / "report.html"))
    assert shown.verdict() == sentence
    assert f'class="verdict {kind}"' in shown.body
    assert shown.text.startswith(f"srgan: super-resolution report {sentence}")


def test_verdict_says_what_cannot_be_told_apart(tmp_path: Path) -> None:
    values = {("srgan", "t2m"): 0.9, ("bicubic", "t2m"): 1.0, ("srgan", "u10"): 1.5, ("bicubic", "u10"): 1.0}
    run = rescored(make_run(tmp_path / "run", times=1, shape=(16, 24)), values)
    file = run / "evaluation" / "scores.csv"
    table = pd.read_csv(file)
    rmse = table["score"] == "rmse"
    start = "10 % below bicubic's for t2m (no significant difference), but 50 % above bicubic's for u10"
    cases = (
        (("bicubic", "t2m"), "mixed", f"{start}."),
        (("srgan", "u10"), "tied", f"{start} (no significant difference)."),
    )
    for (system, variable), kind, sentence in cases:
        table.loc[rmse & (table["system"] == system) & (table["variable"] == variable), "rank"] = (
            "no significant difference"
        )
        table.to_csv(file, index=False)
        said = verdict(load_evaluated_run(run))
        assert (said.kind, said.text) == (kind, f"srgan's RMSE is {sentence}")


@pytest.mark.usefixtures("quick")
def test_evaluation_of_an_earlier_version_is_shown_and_said(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", times=2, shape=(16, 24), skill=1.25)
    file = run / "evaluation" / "scores.csv"
    pd.read_csv(file).drop(columns=["lower", "upper", "group", "rank"]).to_csv(file, index=False)
    for name in ("cells", "quantiles"):
        (run / "evaluation" / f"{name}.nc").unlink()
    shown = Page(report([run], tmp_path / "r.html"))
    assert f"evaluated by an earlier version; `subgrid evaluate {run}` adds intervals, error maps" in shown.text
    assert "brackets" not in shown.text.lower()
    assert shown.body.count('<td class="best">') == 14  # by value
    assert "tied" not in re.findall(r'<td class="(\w+)">', shown.body)
    assert not {"Error maps", "Quantiles"} & set(re.findall(r'<h2 id="[^"]*">(.*?)</h2>', shown.body))


@pytest.mark.usefixtures("quick")
def test_what_an_evaluation_has_not_is_left_out(tmp_path: Path) -> None:
    samples = make_samples((16, 24), times=1)
    run = make_run(tmp_path / "run", samples=samples.sel(system=["truth", "srgan"]))
    xr.Dataset().to_netcdf(run / "evaluation" / "cycles.nc")  # one hour of one season
    file = run / "evaluation" / "scores.csv"
    table = pd.read_csv(file)
    pd.concat([table, table.assign(group="season SON")]).to_csv(file, index=False)
    shown = Page(report([run], tmp_path / "r.html"))
    found = re.findall(r'<h2 id="[^"]*">(.*?)</h2>', shown.body)
    moving = ["Ranking", "Maps", "Profiles", "Spectra", "Training"]
    assert found == [*moving, "Scores", "Quantiles", "Settings", "Provenance"]
    assert list(folded(shown)) == ["How each score is computed"]  # the one season is all there is


@pytest.mark.usefixtures("plain")
def test_odd_values_are_written_plainly(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", times=1, shape=(16, 24))
    rescored(run, {("srgan", "t2m"): np.inf, ("bicubic", "t2m"): np.nan}, "psnr")
    rescored(run, {(s, "t2m"): v for s, v in zip(SYSTEMS, (0.0, -2e-9, 3e-9), strict=True)}, "bias")
    rescored(run, {(s, "u10"): v for s, v in zip(SYSTEMS, (-0.00001, 23.456, -1.5), strict=True)}, "bias")
    rescored(run, {(s, "u10"): -np.inf for s in SYSTEMS}, "ssim")
    written = scores_part(Page(report([run], tmp_path / "r.html")))
    rows: dict[str, list[list[str]]] = {}  # by score, t2m before u10
    for label, row in re.findall(r'<tr><th scope="row">([^<]*?)\s*<(.*?)</tr>', written, re.DOTALL):
        rows.setdefault(label, []).append(re.findall(r"<td[^>]*>([^<]*?)\s*(?:<span[^<]*</span>\s*)*</td>", row))
    assert rows["PSNR"][0][1:] == ["n/a", "∞"]
    assert rows["bias"] == [["0.000e+00", "−2.000e−09", "3.000e−09"], ["0.00", "23.46", "−1.50"]]
    assert rows["SSIM"][1] == ["−∞"] * 3


@pytest.mark.usefixtures("plain")
def test_unknown_score_is_shown_without_a_best(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", times=1, shape=(16, 24))
    file = run / "evaluation" / "scores.csv"
    rows = [(system, "t2m", "my_score", i + 1.0, "1", "mine") for i, system in enumerate(SYSTEMS)]
    table = pd.DataFrame(rows, columns=["system", "variable", "score", "value", "units", "convention"])
    table.to_csv(file, index=False)
    shown = Page(report([run], tmp_path / "r.html"))
    assert "my score" in shown.text
    assert 'class="best"' not in shown.body
    assert "mine." in shown.text


# --- several runs ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plain")
def test_runs_of_one_test_set_share_a_table(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, skill=s, times=1, shape=(16, 24)) for name, s in (("a", 1.3), ("b", 0.9))]
    shown = Page(report(runs, tmp_path / "r.html"))
    assert heads(shown)[0] == ["Score", "bilinear", "bicubic", "srgan (a)", "srgan (b)"]
    assert shown.verdict() == "Lowest RMSE: srgan (a) for t2m and u10."
    assert shown.body.count('class="verdict better"') == shown.body.count('class="verdict worse"') == 1
    assert re.findall(r'<h2 id="run\d">(.*?)</h2>', shown.source) == ["a", "b"]
    levels = [int(tag[1]) for tag, _ in shown.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(later - earlier <= 1 for earlier, later in zip(levels, levels[1:], strict=False))
    assert 'class="best"' in shown.body
    assert 'class="tied"' not in shown.body  # a rank is within its own run
    assert "brackets" not in shown.text.lower()  # one time has no interval


@pytest.mark.usefixtures("plain")
def test_runs_are_not_compared_in_pairs(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, skill=s, shape=(16, 24), whole=True) for name, s in (("a", 1.3), ("b", 0.9))]
    shown = Page(report(runs, tmp_path / "r.html"))
    assert "Systems of different runs were not compared in pairs" in shown.text
    assert "Brackets hold 95 % confidence intervals" in shown.text
    assert 'class="interval"' in shown.body
    assert 'class="best"' in shown.body
    assert 'class="tied"' not in shown.body
    assert "a: left out: t2m ms_ssim" in shown.text
    assert "b: left out: t2m ms_ssim" in shown.text
    rows = re.findall(r'<th scope="row">([^<]*?)\s*</th>', folded(shown)["Scores by season"])
    assert rows[:4] == ["bilinear", "bicubic", "srgan (a)", "srgan (b)"]


@pytest.mark.usefixtures("plain")
def test_runs_of_different_tests_are_not_ranked(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / n / "run", seed=i, times=1, shape=(16, 24)) for i, n in enumerate("ab")]
    shown = Page(report(runs, tmp_path / "r.html"))
    names = [f"{system} ({label}/run)" for system in SYSTEMS for label in "ab"]
    assert heads(shown)[0] == ["Score", *names]
    assert 'table class="ranked"' not in shown.body
    assert "evaluated on different data" in shown.verdict()
    assert "none is marked as best." in shown.text
    assert 'class="best"' not in shown.body


@pytest.mark.usefixtures("plain")
def test_several_runs_without_rmse(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, times=1, shape=(16, 24), system=name) for name in "ab"]
    for run in runs:
        file = run / "evaluation" / "scores.csv"
        table = pd.read_csv(file)
        table[table["score"] != "rmse"].to_csv(file, index=False)
    assert Page(report(runs, tmp_path / "r.html")).verdict() == "The runs were not scored by RMSE."


# --- hostile, unfinished and missing ---------------------------------------------------------------------


@pytest.mark.usefixtures("quick")
def test_text_of_the_user_is_escaped(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", times=1, shape=(16, 24), system="</script><b>x</b>")
    evil = {"notes": ["<script>alert(1)</script>"], "command": "subgrid <img src=http://x>", "static": {}}
    (run / "provenance.json").write_text(json.dumps(evil))
    (run / "config.json").write_text(json.dumps({"<i>": {"a": {}, "l": []}, "seed": 7, "flags": [[1], None]}))
    shown = Page(report([run], tmp_path / "r.html"))
    assert len(shown.all("script")) == 4  # the library, the figures, the fields of the maps, what moves them
    assert not shown.all("b") + shown.all("i")
    assert all("http" not in image["src"] for image in shown.all("img"))
    assert "<script>alert(1)</script>" in shown.text
    assert "subgrid <img src=http://x>" in shown.text
    assert "</script><b>x</b>: super-resolution report" in shown.text
    assert "alert(1)" not in "".join(shown.hidden)
    assert "general seed 7 flags [[1], null] <i> a none l none" in shown.text


@pytest.mark.usefixtures("quick")
def test_run_that_measured_nothing_yet_has_no_curves(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", times=2, shape=(16, 24))
    make_history().head(0).to_csv(run / "history.csv", index=False)
    shown = Page(report([run], tmp_path / "r.html"))
    assert "Training" not in re.findall(r'<h2 id="[^"]*">(.*?)</h2>', shown.body)
    assert "s1-training" not in {link["href"][1:] for link in shown.all("a")}
    assert "s1-curve" not in "".join(shown.hidden)
    assert len(shown.all("img")) == 2 * 2  # errors, quantiles


def test_too_large_a_page_takes_fewer_dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", times=1, shape=(16, 24))
    tried = []

    def sized(figure: Any, dpi: int) -> str:
        tried.append(dpi)
        return "data:image/png;base64," + "A" * (200 * dpi * dpi)

    monkeypatch.setattr(render, "_data_uri", sized)
    monkeypatch.setattr(reporting_page, "_system_groups", lambda runs, labels: [])
    shown = Page(report([run], tmp_path / "r.html"))
    assert len(shown.source.encode()) < render.MAX_BYTES
    found = re.search(r"Images have (\d+) dots per inch instead of 96, to keep the file under 6 MB", shown.text)
    assert found
    assert int(found[1]) == min(tried) > 40
    assert tried[0] == render.START_DPI
    monkeypatch.setattr(render, "MAX_BYTES", 1000)  # cannot be kept: the least, rather than no report
    assert f"Images have {render.LEAST_DPI} dots" in Page(report([run], tmp_path / "r.html")).text


def test_dots_per_inch_set_the_size_of_images(samples: xr.Dataset) -> None:
    drawn = figures.profile(samples, "t2m", 0)
    width, height = drawn.get_size_inches()
    for dpi in (40, 80):
        data = base64.b64decode(render._data_uri(drawn, dpi=dpi).partition(",")[2])
        assert Image.open(io.BytesIO(data)).size == (int(width * dpi), int(height * dpi))


def test_palette_of_maps_keeps_their_colours(samples: xr.Dataset) -> None:
    drawn = figures.maps(samples, "u10", 0)
    buffer = io.BytesIO()
    drawn.savefig(buffer, dpi=60)
    exact = np.asarray(Image.open(buffer).convert("RGB"), dtype=int)
    data = base64.b64decode(render._data_uri(drawn, dpi=60).partition(",")[2])
    reduced = Image.open(io.BytesIO(data))
    assert reduced.mode == "P"
    difference = abs(np.asarray(reduced.convert("RGB"), dtype=int) - exact).max(axis=-1)
    assert np.percentile(difference, 99) <= 8  # of 255


@pytest.mark.usefixtures("plain")
def test_existing_report_survives_a_failure(tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "r.html"
    report([run], out)
    old = out.read_bytes()

    def broken(self: Path, text: str, encoding: str) -> int:
        self.write_bytes(text[:10].encode())
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", broken)
    with pytest.raises(OSError, match="disk full"):
        report([run], out)
    assert out.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["r.html"]


def test_a_file_that_is_no_report_is_not_replaced(tmp_path: Path, run: Path) -> None:
    for name in ("thesis.html", "truth.nc"):
        (tmp_path / name).write_text("<html>years of work")
        with pytest.raises(RunError, match=rf"{name} already exists and is no report of this program; choose another"):
            report([run], tmp_path / name)
        assert (tmp_path / name).read_text() == "<html>years of work"


def message(runs: list[Path], out: Path) -> str:
    with pytest.raises(RunError) as caught:
        report(runs, out)
    return str(caught.value)


def test_errors_say_what_and_how(tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out, empty = Path("r.html"), Path("empty run")
    empty.mkdir()
    give = "Give a folder that `subgrid train` wrote."
    assert message([], out) == "a report needs at least one run directory; got none."
    assert message([run, run / ".." / run.name], out) == (
        f"{run / '..' / run.name} is given twice; name each run once."
    )
    assert message([Path("none")], out) == f"no run at none: it does not exist. {give}"
    assert message([empty], out) == (
        f"empty run is not a run directory: it has no config.json, provenance.json, history.csv. {give}"
    )
    for name in ("config.json", "provenance.json", "history.csv"):
        (empty / name).write_text("{}")
    (empty / "evaluation").mkdir()
    (empty / "evaluation" / "scores.csv").write_text("system,value\n")
    assert message([empty], out) == (
        "empty run is not evaluated: it has no evaluation/samples.nc, evaluation/spectra.nc, "
        "evaluation/evaluation.json; run `subgrid evaluate 'empty run'` first."
    )
    assert message([run], tmp_path) == (
        f"{tmp_path} is a directory; expected the name of a file to write, e.g. {tmp_path / 'report.html'}."
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("config.json", "{", "cannot be read (Expecting property name"),
        ("history.csv", "", "cannot be read (No columns to parse from file); train or evaluate the run again."),
        ("evaluation/samples.nc", "no netcdf", "cannot be read ("),
        ("evaluation/evaluation.json", "3", "cannot be read ('int' object is not iterable)"),
        ("evaluation/scores.csv", "system,variable,value\n", "has no column score, units, convention; evaluate"),
    ],
)
def test_damaged_file_is_named(tmp_path: Path, name: str, text: str, expected: str) -> None:
    run = make_run(tmp_path / "run", times=1, shape=(16, 24))
    (run / name).write_text(text)
    assert message([run], tmp_path / "r.html").startswith(f"{run / name} {expected}")


# --- maps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("narrow", [False, True])
def test_maps_share_scales_and_show_the_data(samples: xr.Dataset, narrow: bool) -> None:
    drawn = figures.maps(samples, "t2m", 1, narrow=narrow)
    coarse, truth, *pairs, bar, error_bar = drawn.axes
    assert len(pairs) == 2 * len(SYSTEMS)
    images = [ax.get_images()[0] for ax in (coarse, truth, *pairs)]
    fields, errors = [images[0], images[1], *images[2::2]], images[3::2]
    assert len({image.get_clim() for image in fields}) == 1
    assert len({image.get_clim() for image in errors}) == 1
    values = samples["t2m"].isel(valid_time=1)
    assert fields[0].get_clim() == pytest.approx(np.percentile(values.sel(system="truth"), (0.5, 99.5)))
    difference = abs(values.isel(system=slice(1, None)) - values.sel(system="truth", drop=True))
    assert errors[0].get_clim() == pytest.approx((0.0, np.percentile(difference, 99.5)))
    assert {image.get_cmap().name for image in fields} == {"viridis"}
    # drawn south up, from the arrays themselves
    assert np.asarray(fields[4].get_array()) == pytest.approx(values.sel(system="srgan").values[::-1])
    assert np.asarray(errors[2].get_array()) == pytest.approx(difference.sel(system="srgan").values[::-1])
    assert fields[0].get_array().shape == (12, 16)
    assert bar.get_xlabel() == "t2m (K)\nlimits: percentiles 0.5 and 99.5 of truth"
    assert error_bar.get_xlabel() == "absolute error (K)\nupper limit: percentile 99.5 of errors"


def test_order_of_systems_is_one_for_reading_not_of_storage(samples: xr.Dataset) -> None:
    stored = samples.isel(system=[3, 2, 0, 1])
    assert list(figures.rmse_at(stored, "u10", 0)) == list(SYSTEMS)
    assert figures.rmse_at(stored, "u10", 0) == pytest.approx(figures.rmse_at(samples, "u10", 0))
    assert [ax.texts[0].get_text() for ax in figures.maps(stored, "u10", 0).axes[2:8:2]] == list(SYSTEMS)
    for drawn in (figures.profile(stored, "u10", 0), figures.spectra(make_spectra(stored), "u10")):
        assert [line.get_label() for line in drawn.axes[0].lines[:4]] == ["truth", *SYSTEMS]


def test_map_titles_tell_the_rmse(samples: xr.Dataset) -> None:
    drawn = figures.maps(samples, "u10", 0)
    values = samples["u10"].isel(valid_time=0)
    truth = values.sel(system="truth").values.astype(np.float64)
    for ax, name in zip(drawn.axes[2:8:2], SYSTEMS, strict=True):
        error = float(np.sqrt(np.mean((values.sel(system=name).values - truth) ** 2)))
        assert ax.get_title(loc="left") == f"RMSE {error:#.3g} m s⁻¹"
        assert [text.get_text() for text in ax.texts] == [name]
        assert figures.rmse_at(samples, "u10", 0)[name] == pytest.approx(error)
    assert drawn.texts[0].get_text() == "u10: 10 metre eastward wind · 2018-10-12 06:00"
    assert drawn.axes[0].get_title(loc="left") == "12 × 16 cells"
    assert drawn.axes[1].get_title(loc="left") == "48 × 64 cells"


def test_wind_is_centred_on_zero(samples: xr.Dataset) -> None:
    image = figures.maps(samples, "u10", 0).axes[1].get_images()[0]
    low, high = image.get_clim()
    assert low == -high
    assert image.get_cmap().name == "RdBu_r"


def test_a_few_negative_values_do_not_make_a_field_two_sided(samples: xr.Dataset) -> None:
    rain = samples.copy(deep=True)
    rain["u10"] = abs(rain["u10"]) - 0.1
    assert figures.maps(rain, "u10", 0).axes[1].get_images()[0].get_cmap().name == "viridis"


def test_map_cells_lie_at_their_edges_to_scale(samples: xr.Dataset) -> None:
    drawn = figures.maps(samples, "t2m", 0)
    coarse, truth = drawn.axes[:2]
    step = 18 / 63
    assert truth.get_xlim() == pytest.approx((-10 - step / 2, 8 + step / 2))
    assert coarse.get_xlim() == pytest.approx(truth.get_xlim())  # coarse cells cover the same ground
    assert coarse.get_ylim() == pytest.approx(truth.get_ylim())
    assert truth.get_aspect() == pytest.approx(1 / np.cos(np.deg2rad(55.0)))
    drawn.draw_without_rendering()
    assert "60°N" in [label.get_text() for label in coarse.get_yticklabels()]
    assert {"10°W", "5°W", "0°", "5°E"} <= {label.get_text() for label in coarse.get_xticklabels()}
    # to scale in the figure as well: one degree north is as long as one east times the aspect
    box = truth.get_window_extent()
    assert box.height / box.width == pytest.approx(
        truth.get_aspect() * np.ptp(truth.get_ylim()) / np.ptp(truth.get_xlim()), rel=0.01
    )


@pytest.mark.parametrize(("latitude", "stretch"), [((90.0, -90.0), 1.0), ((90.0, 70.0), 2.0)])
def test_poles_stay_drawable(latitude: tuple[float, float], stretch: float) -> None:
    polar = make_samples((20, 40), latitude=latitude, longitude=(0.0, 351.0), times=1)
    truth = figures.maps(polar, "t2m", 0).axes[1]
    assert truth.get_aspect() == pytest.approx(stretch)
    assert truth.get_ylim()[1] == 90.0


def test_uneven_latitudes_keep_their_cells(samples: xr.Dataset) -> None:
    uneven = samples.assign_coords(latitude=62 - 14 * np.linspace(0, 1, 48) ** 2)
    truth = figures.maps(uneven, "t2m", 0).axes[1]
    image = truth.get_images()[0]
    assert not isinstance(image, NonUniformImage)  # that one draws by centres
    assert image.get_cursor_data is not None
    assert np.asarray(image._Ay) == pytest.approx(cell_edges(uneven["latitude"].values)[::-1])


def renamed(samples: xr.Dataset, units: str) -> xr.Dataset:
    """The samples on a projected grid of 2 km cells."""
    names = {"latitude": "projection_y_coordinate", "longitude": "projection_x_coordinate"}
    moved = samples.rename({f"{a}{end}": f"{b}{end}" for a, b in names.items() for end in ("", "_coarse")})
    for name, size in (("projection_y_coordinate", 48), ("projection_x_coordinate", 64)):
        fine = np.arange(size) * 2000.0
        moved[name] = (name, fine, {"units": units})
        moved[f"{name}_coarse"] = (f"{name}_coarse", fine.reshape(-1, 4).mean(1), {"units": units})
    return moved


@pytest.mark.parametrize(
    ("units", "note", "right"),
    [
        ("m", "axes: x (km) to the right, y (km) upward", 127.0),
        ("km", "axes: x (km) to the right, y (km) upward", 127000.0),
        ("", "axes: x to the right, y upward", 127000.0),
    ],
)
def test_projected_grids_are_in_kilometres(samples: xr.Dataset, units: str, note: str, right: float) -> None:
    drawn = figures.maps(renamed(samples, units), "t2m", 0)
    assert drawn.texts[-1].get_text() == note
    assert drawn.axes[1].get_xlim()[1] == pytest.approx(right)
    assert drawn.axes[1].get_aspect() == 1.0


def test_grid_without_coordinates_counts_cells(samples: xr.Dataset) -> None:
    names = ["latitude", "longitude", "latitude_coarse", "longitude_coarse"]
    drawn = figures.maps(samples.drop_vars(names), "t2m", 0)
    assert drawn.texts[-1].get_text() == "axes: cell number to the right, cell number upward"
    assert drawn.axes[0].get_xlim() == drawn.axes[1].get_xlim() == (-0.5, 63.5)
    profile = figures.profile(samples.drop_vars(names), "t2m", 0)
    assert profile.axes[1].get_xlabel() == "cell number"
    assert profile._suptitle.get_text() == "t2m along cell number 24 · 2018-10-12 06:00"


def test_rotated_grid_has_degrees_but_no_compass(samples: xr.Dataset) -> None:
    names = {f"{n}{end}": f"grid_{n}{end}" for n in ("latitude", "longitude") for end in ("", "_coarse")}
    rotated = samples.rename(names)
    for name in names.values():
        rotated[name].attrs["units"] = "degrees"
    drawn = figures.maps(rotated, "t2m", 0)
    assert drawn.texts[-1].get_text() == "axes: rotated longitude (°) to the right, rotated latitude (°) upward"


def test_missing_cells_are_grey_and_left_out_of_the_rmse(samples: xr.Dataset) -> None:
    holed = samples.copy(deep=True)
    holed["t2m"][:, 0, :10] = np.nan
    values = holed["t2m"].isel(valid_time=0, latitude=slice(10, None)).astype(np.float64)
    expected = float(((values.sel(system="srgan") - values.sel(system="truth")) ** 2).mean() ** 0.5)
    assert figures.rmse_at(holed, "t2m", 0)["srgan"] == pytest.approx(expected)
    image = figures.maps(holed, "t2m", 0).axes[1].get_images()[0]
    assert np.ma.getmaskarray(image.get_array())[-10:].all()
    assert tuple(image.get_cmap().get_bad()) == pytest.approx((0xD0 / 255,) * 3 + (1.0,))


@pytest.mark.parametrize("value", [280.0, np.nan])
def test_constant_or_empty_field_is_drawn(samples: xr.Dataset, value: float) -> None:
    flat = samples.copy(deep=True)
    flat["t2m"][:] = value
    flat["t2m_coarse"][:] = value
    drawn = figures.maps(flat, "t2m", 0)
    low, high = drawn.axes[1].get_images()[0].get_clim()
    assert low < high
    assert drawn.axes[3].get_images()[0].get_clim() == (0.0, 1.0)
    drawn.draw_without_rendering()


# --- lines -----------------------------------------------------------------------------------------------


def test_profile_is_the_centre_row(samples: xr.Dataset) -> None:
    top, low = figures.profile(samples, "u10", 2).axes
    row = samples["u10"].isel(valid_time=2, latitude=24)
    assert [line.get_label() for line in top.lines] == ["truth", *SYSTEMS]
    for line in top.lines:
        assert line.get_ydata() == pytest.approx(row.sel(system=line.get_label()).values)
        assert line.get_xdata() == pytest.approx(samples["longitude"].values)
    difference = (row.sel(system="srgan") - row.sel(system="truth")).values
    assert low.lines[2].get_ydata() == pytest.approx(difference)
    assert (top.get_ylabel(), low.get_ylabel()) == ("u10 (m s⁻¹)", "minus truth (m s⁻¹)")
    assert low.get_xlabel() == "longitude"
    assert low.get_xlim() == pytest.approx((-10.0, 8.0))


def test_one_colour_per_system_in_every_figure(samples: xr.Dataset) -> None:
    styles = figures.system_styles(["truth", *SYSTEMS, "mine"])
    assert len({colour for colour, _ in styles.values()}) == 5
    for drawn in (figures.profile(samples, "t2m", 0), figures.spectra(make_spectra(samples), "t2m")):
        for line in drawn.axes[0].lines[:4]:
            assert (line.get_color(), line.get_linestyle()) == styles[line.get_label()]


@pytest.mark.parametrize("factor", [2, 4])
def test_spectra_mark_the_coarse_limit(samples: xr.Dataset, factor: int) -> None:
    spectra = make_spectra(samples, factor)
    top, low = figures.spectra(spectra, "t2m").axes
    for ax in (top, low):
        marks = [line for line in ax.lines if list(line.get_xdata()) == [2 * factor] * 2]
        assert len(marks) == 1
    assert [text.get_text() for text in top.texts] == [f"limit of the coarse grid: {2 * factor} cells"]
    assert top.get_xscale() == top.get_yscale() == low.get_xscale() == "log"
    assert low.get_xlim() == pytest.approx((48.0, 2.0))  # longest left
    assert top.get_ylabel() == "power (K²)"
    assert low.get_xlabel() == "wavelength (fine cells)"
    power = spectra["t2m"]
    assert top.lines[3].get_ydata() == pytest.approx(power.sel(system="srgan").values)
    ratio = (power.sel(system="bicubic") / power.sel(system="truth")).values
    assert low.lines[1].get_ydata() == pytest.approx(ratio)
    assert low.get_ylim()[0] == 0.0
    assert low.get_ylim()[1] >= ratio.max()


def test_spectra_bear_empty_and_excessive_power(samples: xr.Dataset) -> None:
    spectra = make_spectra(samples)
    spectra["t2m"][:2] = 0.0
    spectra["t2m"].attrs["units"] = "1"
    spectra["u10"][3] *= 100.0
    top, low = figures.spectra(spectra, "t2m").axes
    assert np.isnan(low.lines[2].get_ydata()).all()
    assert top.get_ylabel() == "power"
    assert figures.spectra(spectra, "u10").axes[1].get_ylim() == (0.0, 2.5)


def test_spectra_leave_out_the_mean(samples: xr.Dataset) -> None:
    spectra = make_spectra(samples)
    with_mean = spectra.assign_coords(wavelength=np.where(np.arange(24) == 0, np.inf, spectra["wavelength"]))
    assert figures.spectra(with_mean, "t2m").axes[1].get_xlim()[0] == pytest.approx(24.0)


# --- small texts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (30.0, "latitude", "30°N"),
        (-30.0, "latitude", "30°S"),
        (0.0, "latitude", "0°"),
        (350.0, "longitude", "10°W"),
        (12.5, "longitude", "12.5°E"),
        (180.0, "longitude", "180°"),
        (-180.0, "longitude", "180°"),
        (360.0, "longitude", "0°"),
    ],
)
def test_degrees_have_a_compass(value: float, kind: str, expected: str) -> None:
    assert degrees(value, kind) == expected


def test_times_of_any_calendar() -> None:
    assert figures.time_text(np.datetime64("2018-10-12T06:00:00", "ns")) == "2018-10-12 06:00"
    assert figures.time_text(cftime.Datetime360Day(2018, 2, 30, 6)) == "2018-02-30 06:00"


def test_scores_of_the_fabricated_run_follow_its_skill(samples: xr.Dataset) -> None:
    table = make_scores(samples)
    assert set(table["system"]) == set(SYSTEMS)
    better = make_scores(make_samples(skill=2.0)).set_index(["system", "variable", "score"])["value"]
    assert better["srgan", "t2m", "rmse"] == pytest.approx(better["bicubic", "t2m", "rmse"] / 2, rel=1e-3)


def test_interpolated_weights_are_said(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run")
    about = json.loads((path / "evaluation" / "evaluation.json").read_text())
    blended = "weights “last”, interpolated 0.25 of the way from the content-stage weights"
    for share, ending in ((None, "weights “last”"), (0.25, blended)):
        (path / "evaluation" / "evaluation.json").write_text(
            json.dumps(about | {"weights": "last", "interpolate": share})
        )
        assert dict(evaluation_facts(load_evaluated_run(path)))["System"].endswith(ending)
