"""The report page in a real browser: it opens without a network, and everything in it answers to pointer, keys and fingers."""

from __future__ import annotations

import base64
import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from report_run import make_run
from report_study import make_draws, make_study
from subgrid.reporting import render
from subgrid.studies.page import report

sync_api = pytest.importorskip("playwright.sync_api")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = os.environ.get("SUBGRID_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; name one in SUBGRID_CHROMIUM"),
]

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
MAPS = ("coarse", "truth", "first", "second", "gain", "first-error", "second-error")
PROBE = """
window.probe = {
  model: (name) => Bokeh.documents.map((one) => one.get_model_by_name(name)).find((one) => one),
  roots: () => Bokeh.documents.flatMap((one) => one.roots()),
  view: (name) => Bokeh.index[probe.model(name).id],
  image: (name) => { const one = probe.model(name).data.image[0]; return [[...one], one.shape]; },
  frame: (name) => {
    const [view, box] = [probe.view(name), probe.view(name).el.getBoundingClientRect()];
    const { left, top, width, height } = view.frame.bbox;
    return { x: box.x + left, y: box.y + top, left, top, width, height };
  },
  pixels: (name) => probe.view(name).canvas_view.primary.canvas.toDataURL(),
  ranges: (name) => ["x_range", "y_range"].flatMap((one) => {
    const range = probe.model(name)[one]; return [range.start, range.end]; }),
  colour: (text) => { const one = document.createElement("i"); one.style.color = text; document.body.append(one);
                      const out = getComputedStyle(one).color; one.remove(); return out; },
  variable: (name) => probe.colour(getComputedStyle(document.documentElement).getPropertyValue(name)),
};
"""


@dataclass
class Visit:
    """A page that is open, and what it should not have done.

    Attributes:
        page: Playwright's.
        complaints: errors and warnings of its console, what it threw, what it asked of others.
    """

    page: Any
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        page = self.page
        page.on("console", lambda one: self.complaints.append(one.text) if one.type in ("error", "warning") else None)
        page.on("pageerror", lambda one: self.complaints.append(str(one)))
        page.on("request", lambda one: None if one.url.startswith(LOCAL) else self.complaints.append(one.url))

    def ask(self, code: str, *given: Any) -> Any:
        return self.page.evaluate(f"(given) => {code}", list(given))

    def wait(self, code: str, *given: Any) -> None:
        self.page.wait_for_function(f"(given) => {code}", arg=list(given))

    def until(self, met: Callable[[], bool]) -> bool:
        """Whether something comes true; figures are drawn when the browser has time for it."""
        for _ in range(300):
            if met():
                return True
            self.page.wait_for_timeout(100)
        return met()

    def pixels(self, figure: str) -> npt.NDArray[np.int64]:
        """The inside of a figure's frame, (y, x, 3)."""
        box = self.ask("probe.frame(given[0])", figure)
        data = base64.b64decode(self.ask("probe.pixels(given[0])", figure).partition(",")[2])
        whole = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.int64)
        top, left = round(box["top"]), round(box["left"])
        return whole[top : top + round(box["height"]), left : left + round(box["width"])]

    def image(self, name: str) -> npt.NDArray[np.float64]:
        """What a map shows, first row in the south."""
        values, shape = self.ask("probe.image(given[0])", name)
        return np.array([np.nan if one is None else one for one in values], dtype=np.float64).reshape(shape)

    def place(self, figure: str, j: int, i: int, shape: tuple[int, int]) -> tuple[float, float]:
        """The middle of a cell on the screen, row `j` from the south, where the map shows all."""
        self.page.evaluate(
            "(name) => probe.view(name).el.scrollIntoView({ block: 'center', behavior: 'instant' })", figure
        )
        box = self.ask("probe.frame(given[0])", figure)
        return (
            box["x"] + (i + 0.5) / shape[1] * box["width"],
            box["y"] + (1 - (j + 0.5) / shape[0]) * box["height"],
        )

    def choose(self, **values: str) -> None:
        """Set the controls of the maps and wait for what they show."""
        for name, label in values.items():
            self.page.locator(f".controls select[name={name}]").select_option(label=label)
        self.settle()

    def settle(self) -> None:
        """Wait until the maps show what the controls say."""
        self.wait(
            """(() => { const root = document.querySelector('.linked');
            const said = (name) => root.querySelector(`select[name=${name}]`).selectedOptions[0].textContent;
            const wanted = [said('variable').split(':')[0], said('time'), said('first'), said('second')].join(' ');
            return root.dataset.ready === wanted; })()"""
        )


LOCAL = ("file:", "data:", "blob:")


@dataclass(frozen=True)
class Shelf:
    """Pages and what they were made of."""

    pages: dict[str, Path]
    study: Path
    run: Path

    def samples(self, arm: str = "plain", seed: int = 0) -> xr.Dataset:
        """Fields of an arm's seed, south first as the maps show them."""
        with xr.open_dataset(self.study / "runs" / f"{arm}-seed{seed}" / "evaluation" / "samples.nc") as read:
            return read.load().isel(latitude=slice(None, None, -1), latitude_coarse=slice(None, None, -1))

    def field(self, system: str, variable: str, time: int) -> npt.NDArray[np.float64]:
        """(y, x) of truth, an interpolation or an arm of the study."""
        arm, name = (system, "srgan") if (self.study / "runs" / f"{system}-seed0").exists() else ("plain", system)
        found = self.samples(arm)[variable].sel(system=name).isel(valid_time=time)
        return np.asarray(found.values, dtype=np.float64)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """A study of which one row lacks a score, a run, and a system that draws from noise."""
    folder = tmp_path_factory.mktemp("shelf")
    study = make_study(folder / "study")
    table = pd.read_csv(study / "results.csv")
    gone = (table["arm"] == "bilinear") & (table["score"] == "ssim") & (table["variable"] == "t2m")
    table[~gone].to_csv(study / "results.csv", index=False)
    run, draws = make_run(folder / "run", shape=(16, 24), times=2, skill=1.25), make_draws(folder / "draws")
    made = {"study": study, "run": run, "draws": draws}
    pages = {name: report([path], folder / f"{name}.html") for name, path in made.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "FIELD_BYTES", 5_000)  # no more than a part of the study's grid
        pages["part"] = report([study], folder / "part.html")
    return Shelf(pages, study, run)


@pytest.fixture(scope="module")
def browser(shelf: Shelf) -> Iterator[Any]:
    """Chromium; the pages are made before it starts, as its event loop is this thread's."""
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


def visited(browser: Any, path: Path, script: str = "", **options: Any) -> Visit:
    """Open a page without a network and wait until it has started."""
    context = browser.new_context(offline=True, **options)
    context.set_default_timeout(90_000)  # a laden machine is slow, which is no failure of the page
    context.add_init_script(PROBE + script)
    visit = Visit(context.new_page())
    visit.watch()
    visit.page.goto(path.as_uri())
    if options.get("java_script_enabled", True):
        visit.wait("document.documentElement.dataset.started")
        visit.wait("[...document.querySelectorAll('.linked .maps')].every((one) => one.parentElement.dataset.ready)")
    return visit


@pytest.fixture
def opened(browser: Any, shelf: Shelf) -> Iterator[Any]:
    """Opens pages of their own; fails where one of them complained."""
    visits: list[Visit] = []

    def go(name: str, script: str = "", **options: Any) -> Visit:
        visits.append(visited(browser, shelf.pages[name], script, **options))
        return visits[-1]

    yield go
    for visit in visits:
        visit.page.context.close()
    assert [one for visit in visits for one in visit.complaints] == []


@pytest.fixture(scope="module")
def desk(browser: Any, shelf: Shelf) -> Iterator[Visit]:
    """The study on a large screen, opened once."""
    visit = visited(browser, shelf.pages["study"], **DESKTOP)
    yield visit
    visit.page.context.close()


@pytest.fixture
def study(desk: Visit) -> Iterator[Visit]:
    """The study's page with its maps as at first; fails where it complained."""
    desk.page.mouse.move(2, 2)
    desk.page.evaluate("() => { subgrid.maps.study.reset(); scrollTo({ top: 0, behavior: 'instant' }); }")
    desk.choose(variable="t2m: 2 metre temperature", time="2018-10-12 06:00", first="plain", second="sharp")
    yield desk
    assert desk.complaints == []


SHAPE = (24, 32)
"""Of the study's fields."""


def colours_of(pixels: npt.NDArray[np.int64]) -> int:
    """How many there are."""
    return len(np.unique(pixels.reshape(-1, 3), axis=0))


# opening


@pytest.mark.parametrize(
    ("name", "screen", "scheme"),
    [
        ("study", PHONE, "light"),
        ("run", PHONE, "dark"),
        ("draws", PHONE, "light"),
        ("run", DESKTOP, "light"),
        ("study", DESKTOP, "dark"),
    ],
    ids=str,
)
def test_it_opens_without_a_network(
    opened: Any, name: str, screen: dict[str, Any], scheme: str, tmp_path: Path
) -> None:
    visit = opened(name, **screen, color_scheme=scheme)
    wide = visit.ask("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= screen["viewport"]["width"] == wide[1]
    ground = visit.ask("getComputedStyle(document.body).backgroundColor")
    bright = np.mean([int(part) for part in ground.strip("rgb()").split(",")])
    assert bright > 200 if scheme == "light" else bright < 60
    soft = visit.ask("probe.variable('--soft')")
    drawn = visit.ask("probe.roots().map((one) => probe.colour(one.below[0].major_label_text_color))")
    assert set(drawn) == {soft} and len(drawn) >= (5 if name == "draws" else 14)
    sizes = visit.ask("[...document.querySelectorAll('.plot')].map((one) => [one.clientWidth, one.clientHeight])")
    assert all(width >= 250 and height >= 150 for width, height in sizes)
    assert all(width <= screen["viewport"]["width"] for width, _ in sizes)
    for map_name in MAPS if name != "draws" else ():
        figure = f"{'study' if name == 'study' else 's1'}-map-{map_name}"
        assert visit.until(lambda figure=figure: colours_of(visit.pixels(figure)) > 10), figure  # not an empty frame
    visit.page.screenshot(path=tmp_path / "page.png", full_page=True)


def test_contents_lead_to_their_parts(study: Visit) -> None:
    links = study.ask("[...document.querySelectorAll('nav a')].map((one) => one.hash.slice(1))")
    assert links[:3] == ["ranking", "arms", "study-maps"]
    study.page.locator("nav a", has_text="Spectra").click()
    study.wait("Math.abs(document.getElementById('study-spectra').getBoundingClientRect().top) < 5")
    study.page.evaluate("() => history.replaceState(null, '', location.pathname)")


# linked maps


def shares(before: npt.NDArray[np.int64], after: npt.NDArray[np.int64], x: int, y: int) -> float:
    """Share of the pixels that are where they were, moved `x` to the right and `y` down."""
    rows, columns = before.shape[:2]
    one = before[max(-y, 0) : rows - max(y, 0), max(-x, 0) : columns - max(x, 0)]
    two = after[max(y, 0) : rows + min(y, 0), max(x, 0) : columns + min(x, 0)]
    return float((abs(one - two).max(axis=-1) < 12).mean())


def test_all_maps_are_dragged_together(study: Visit) -> None:
    study.page.get_by_role("button", name="Zoom in").click()
    ranges = np.array(study.ask("probe.ranges('study-map-truth')"))
    study.page.wait_for_timeout(1000)  # the zoomed maps are drawn one after another
    before = {name: study.pixels(f"study-map-{name}") for name in ("gain", "first-error", "coarse")}
    x, y = study.place("study-map-truth", 12, 16, SHAPE)
    box = study.ask("probe.frame('study-map-truth')")
    study.page.mouse.move(x, y)
    study.page.mouse.down()
    study.page.mouse.move(x + 20, y + 10, steps=3)
    study.page.mouse.move(x + 40, y + 24, steps=3)
    study.page.mouse.up()
    per_pixel = np.array([ranges[1] - ranges[0], ranges[3] - ranges[2]]) / (box["width"], box["height"])
    moved = np.array([-40, -40, 24, 24]) * per_pixel.repeat(2)
    asked = pytest.approx(list(ranges + moved))
    for name in MAPS:
        assert study.until(lambda name=name: study.ask("probe.ranges(given[0])", f"study-map-{name}") == asked), name
    for name, was in before.items():
        assert study.until(lambda name=name, was=was: shares(was, study.pixels(f"study-map-{name}"), 40, 24) > 0.9), (
            name
        )
        now = study.pixels(f"study-map-{name}")
        assert shares(was, now, 0, 0) < shares(was, now, 40, 24) - 0.02, name


def test_maps_are_zoomed_by_buttons_and_keys(study: Visit) -> None:
    whole = study.ask("probe.ranges('study-map-gain')")

    def spans() -> list[float]:
        x0, x1, y0, y1 = study.ask("probe.ranges('study-map-gain')")
        assert whole[0] - 1e-9 <= x0 < x1 <= whole[1] + 1e-9 and whole[2] - 1e-9 <= y0 < y1 <= whole[3] + 1e-9
        return [(x1 - x0) / (whole[1] - whole[0]), (y1 - y0) / (whole[3] - whole[2])]

    group = study.page.locator(".maps")
    press = {
        "in": study.page.get_by_role("button", name="Zoom in").click,
        "out": study.page.get_by_role("button", name="Zoom out").click,
        "all": study.page.get_by_role("button", name="Whole domain").click,
    }
    press["in"]()
    assert spans() == pytest.approx([0.6, 0.6])
    press["in"]()
    assert spans() == pytest.approx([0.36, 0.36])
    press["out"]()
    assert spans() == pytest.approx([0.6, 0.6])
    press["all"]()
    assert study.ask("probe.ranges('study-map-gain')") == pytest.approx(whole)
    press["out"]()
    assert spans() == pytest.approx([1.0, 1.0])  # not beyond the edges
    group.focus()
    group.press("+")
    assert spans() == pytest.approx([0.6, 0.6])
    group.press("-")
    assert spans() == pytest.approx([1.0, 1.0])
    group.press("=")
    group.press("0")
    assert spans() == pytest.approx([1.0, 1.0])


def test_ctrl_and_the_wheel_zoom_and_the_wheel_alone_scrolls(study: Visit) -> None:
    whole = study.ask("probe.ranges('study-map-first')")
    x, y = study.place("study-map-first", 12, 16, SHAPE)
    study.page.mouse.move(x, y)
    top = study.ask("scrollY")
    study.page.mouse.wheel(0, 120)
    study.wait("Math.abs(scrollY - given[0]) > 50", top)
    assert study.ask("probe.ranges('study-map-first')") == pytest.approx(whole)
    study.page.mouse.move(*study.place("study-map-first", 12, 16, SHAPE))
    study.page.keyboard.down("Control")
    study.page.mouse.wheel(0, -120)
    study.page.keyboard.up("Control")
    study.wait(
        "probe.ranges('study-map-first')[1] - probe.ranges('study-map-first')[0] < given[0]", whole[1] - whole[0]
    )
    assert study.ask("probe.ranges('study-map-second-error')") == study.ask("probe.ranges('study-map-first')")


def values_of(visit: Visit) -> dict[str, list[str]]:
    """The readout: name to value and error."""
    rows = visit.ask(
        "[...document.querySelectorAll('.readout tbody tr')].map((one) => [...one.children].map((cell) => cell.textContent))"
    )
    return {name: rest for name, *rest in rows}


def close(text: str, value: float, step: float, digits: int = 4) -> bool:
    """Whether a number of the page is `value` to the packing's step and its own digits."""
    shown = float(text.replace("−", "-"))
    return abs(shown - value) <= step + 0.51 * 10.0 ** (np.floor(np.log10(max(abs(value), 1e-12))) + 1 - digits)


def steps(visit: Visit, variable: int) -> tuple[float, float]:
    """Of the packing, fine and coarse."""
    about = visit.ask("subgrid.maps.study.about.variables[given[0]]", variable)
    return about["steps"][1], about["coarse_steps"][1]


def assert_readout(visit: Visit, shelf: Shelf, variable: str, time: int, j: int, i: int) -> None:
    """The readout holds what the files hold at that cell, row `j` from the south."""
    step, coarse_step = steps(visit, ("t2m", "u10").index(variable))
    said = values_of(visit)
    assert list(said) == ["coarse", "truth", "bilinear", "bicubic", "plain", "sharp", "blurred"]
    coarse = shelf.samples()[f"{variable}_coarse"].isel(valid_time=time).values
    assert close(said["coarse"][0], float(coarse[j // 4, i // 4]), coarse_step)
    truth = shelf.field("truth", variable, time)[j, i]
    for name, (value, error) in list(said.items())[1:]:
        exact = shelf.field(name, variable, time)[j, i]
        assert close(value, exact, step / 2 + 1e-6)
        assert error == "" if name == "truth" else close(error, exact - truth, step + 1e-5, 3)


def crossed(pixels: npt.NDArray[np.int64], j: int, i: int) -> bool:
    """Whether the black cross lies on a cell; no colour map is as dark."""
    y, x = (round(at) for at in ((1 - (j + 0.5) / SHAPE[0]) * len(pixels), (i + 0.5) / SHAPE[1] * pixels.shape[1]))
    return bool(pixels[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].max(axis=-1).min() < 60)


@pytest.mark.parametrize(("figure", "j", "i"), [("truth", 20, 5), ("gain", 3, 28), ("second-error", 11, 0)])
def test_the_pointer_moves_the_cross_in_all_maps_and_the_values_are_those_of_the_files(
    study: Visit, shelf: Shelf, figure: str, j: int, i: int
) -> None:
    study.page.mouse.move(*study.place(f"study-map-{figure}", j, i, SHAPE))
    latitude, longitude = (shelf.samples()[name].values for name in ("latitude", "longitude"))
    east = f"{abs(longitude[i]):.4f}".rstrip("0").rstrip(".") + "°" + ("W" if longitude[i] < 0 else "E")
    north = f"{latitude[j]:.4f}".rstrip("0").rstrip(".") + "°N"
    study.wait("document.querySelector('.readout caption').textContent === given[0]", f"{north}, {east}")
    assert_readout(study, shelf, "t2m", 0, j, i)
    for name in MAPS:
        assert study.until(lambda name=name: crossed(study.pixels(f"study-map-{name}"), j, i)), name
    assert study.ask("probe.ranges('study-map-truth')") == study.ask("probe.ranges('study-map-coarse')")


def test_keys_move_the_cross_and_take_the_row(study: Visit, shelf: Shelf) -> None:
    study.page.mouse.move(*study.place("study-map-truth", 12, 16, SHAPE))
    study.wait("String(subgrid.maps.study.cell) === '12,16'")
    maps = study.page.locator(".maps")
    maps.focus()
    for key, cell in {
        "ArrowUp": "13,16",
        "ArrowLeft": "13,15",
        "Shift+ArrowRight": "13,25",
        "ArrowDown": "12,25",
    }.items():
        maps.press(key)
        assert study.ask("String(subgrid.maps.study.cell)") == cell
    assert_readout(study, shelf, "t2m", 0, 12, 25)
    for _ in range(3):
        maps.press("Shift+ArrowDown")
    assert study.ask("String(subgrid.maps.study.cell)") == "0,25"  # the edge holds it
    maps.press("Enter")
    study.wait("document.querySelector('[data-profile=\"study-t2m\"]').textContent.includes('along 48°N')")
    line = study.ask("[...probe.model('study-profile-t2m-line-sharp').data.y]")
    assert line == pytest.approx(list(shelf.field("sharp", "t2m", 0)[0]), abs=steps(study, 0)[0] / 2 + 1e-4)


def test_a_click_takes_the_row_into_the_profile(study: Visit, shelf: Shelf) -> None:
    study.page.mouse.click(*study.place("study-map-second", 17, 9, SHAPE))
    latitude = float(shelf.samples()["latitude"][17])
    study.wait(
        "document.querySelector('[data-profile=\"study-t2m\"]').textContent.includes(given[0])", f"{latitude:.4f}"[:5]
    )
    said = study.page.locator('[data-profile="study-t2m"]').inner_text()
    assert said.startswith("t2m along ") and said.endswith("°N, 2018-10-12 06:00")
    for system in ("truth", "bilinear", "plain", "blurred"):
        source = study.ask(
            "(({ x, y }) => [[...x], [...y]])(probe.model(given[0]).data)", f"study-profile-t2m-line-{system}"
        )
        assert source[0] == pytest.approx(list(shelf.samples()["longitude"].values), abs=1e-4)
        assert source[1] == pytest.approx(list(shelf.field(system, "t2m", 0)[17]), abs=steps(study, 0)[0] / 2 + 1e-4)


def test_of_a_large_grid_the_profile_is_that_of_the_part_in_the_page(opened: Any, shelf: Shelf) -> None:
    visit = opened("part", **DESKTOP)
    rows, columns = shape = tuple(visit.ask("subgrid.maps.study.variable.shape"))
    assert (
        4 <= columns < SHAPE[1]
        and "cells with the largest interpolation errors" in visit.page.locator("main").inner_text()
    )
    before = visit.page.locator('[data-profile="study-t2m"]').inner_text()
    visit.page.mouse.click(*visit.place("study-map-second", rows - 1, 1, shape))
    visit.wait("document.querySelector('[data-profile=\"study-t2m\"]').textContent !== given[0]", before)
    x, y = visit.ask("(({ x, y }) => [[...x], [...y]])(probe.model('study-profile-t2m-line-plain').data)")
    said = visit.page.locator('[data-profile="study-t2m"]').inner_text()
    latitude = float(said.removeprefix("t2m along ").partition("°")[0])
    field = shelf.samples()["t2m"].sel(system="srgan").isel(valid_time=0)
    row = field.sel(latitude=latitude, method="nearest").sel(longitude=x, method="nearest")
    assert x == pytest.approx(list(row["longitude"].values), abs=1e-4) and len(set(x)) == columns
    assert y == pytest.approx(list(row.values), abs=steps(visit, 0)[0] / 2 + 1e-4)


def test_what_is_chosen_is_shown(study: Visit, shelf: Shelf) -> None:
    study.choose(variable="u10: 10 metre eastward wind", time="2018-10-13 06:00", first="bicubic", second="blurred")
    step, coarse_step = steps(study, 1)
    fields = {name: shelf.field(name, "u10", 1) for name in ("truth", "bicubic", "blurred")}
    assert 0 < step < np.ptp(fields["truth"]) / 1000
    first, second = (fields[name] - fields["truth"] for name in ("bicubic", "blurred"))
    coarse = shelf.samples()["u10_coarse"].isel(valid_time=1).values
    expected = {
        "coarse": (coarse, coarse_step / 2),
        "truth": (fields["truth"], step / 2),
        "first": (fields["bicubic"], step / 2),
        "second": (fields["blurred"], step / 2),
        "first-error": (first, step),
        "second-error": (second, step),
        "gain": (abs(first) - abs(second), 2 * step),
    }
    for name, (values, error) in expected.items():
        shown = study.image(f"study-image-{name}")
        assert shown.shape == values.shape
        assert abs(shown - values).max() <= error + 1e-5, name
    texts = study.ask("[...document.querySelectorAll('.maps figcaption')].map((one) => one.textContent.trim())")
    rmse = [float(np.sqrt(np.mean(one**2))) for one in (first, second)]
    for text, name, value in zip(texts[2:4], ("bicubic", "blurred"), rmse, strict=True):
        start, number, unit = text.partition(", RMSE ")[0], text.partition(", RMSE ")[2].split()[0], text.split()[-2:]
        assert start == name and float(number) == pytest.approx(value, rel=1e-3) and unit == ["m", "s⁻¹"]
    assert texts[:2] == ["coarse input", "truth"]
    assert texts[4:] == [
        "Closer to the truth: blurred (green) or bicubic (purple)",
        "bicubic − truth",
        "blurred − truth",
    ]
    palette = study.ask("(({ palette, low, high }) => [palette.length, low, high])(probe.model('study-colours-field'))")
    assert palette[0] == 256 and palette[1] == pytest.approx(-palette[2])  # wind: about zero
    j, i = study.ask("subgrid.maps.study.cell")
    assert_readout(study, shelf, "u10", 1, j, i)


# tables, legend, colours


def column(visit: Visit, number: int) -> list[list[str]]:
    """Name and text of a column of the first ranked table, in the order of its rows."""
    return visit.ask(
        "[...document.querySelector('table.ranked').tBodies[0].rows].map((row) => "
        "[row.children[0].dataset.key, row.children[given[0]].textContent.trim()])",
        number,
    )


def sorts(visit: Visit) -> list[str]:
    return visit.ask("[...document.querySelectorAll('table.ranked')[0].tHead.rows[0].cells].map((one) => one.ariaSort)")


def test_tables_sort_both_ways_and_by_keyboard(study: Visit, shelf: Shelf) -> None:
    table = pd.read_csv(shelf.study / "results.csv")
    values = table[table["variable"] == "t2m"].pivot(index="arm", columns="score", values="mean")
    heads = study.ask(
        "[...document.querySelector('table.ranked').tHead.rows[0].cells].map((one) => one.querySelector('button').innerText)"
    )
    assert heads[:4] == ["arm", "RMSE (K)", "PSNR (dB)", "SSIM"]
    assert sorts(study)[:2] == ["none", "ascending"]
    best = list(values["rmse"].sort_values().index)
    assert [name for name, _ in column(study, 1)] == best
    buttons = study.page.locator("table.ranked").first.locator("thead button")
    buttons.nth(3).click()
    good = list(values["ssim"].dropna().sort_values(ascending=False).index)
    # the best SSIM first: the numbers fall
    assert sorts(study) == ["none", "none", "none", "descending", *["none"] * (len(heads) - 4)]
    assert [name for name, _ in column(study, 3)] == [*good, "bilinear"]
    assert column(study, 3)[-1][1] == "n/a"
    buttons.nth(3).click()
    assert sorts(study)[3] == "ascending"
    assert [name for name, _ in column(study, 3)] == [*good[::-1], "bilinear"]  # what has no value stays last
    buttons.nth(0).focus()
    study.page.keyboard.press("Enter")
    assert [name for name, _ in column(study, 1)] == sorted(values.index)
    assert study.ask("document.activeElement.textContent") == "arm"  # the focus stays on what was pressed
    study.page.keyboard.press("Space")
    assert [name for name, _ in column(study, 1)] == sorted(values.index, reverse=True)
    assert sorts(study)[0] == "descending"
    other = study.ask(
        "[...document.querySelectorAll('table.ranked')[1].tHead.rows[0].cells].map((one) => one.ariaSort)"
    )
    assert other[:2] == ["none", "ascending"]  # a table of its own
    buttons.nth(1).click()


def test_the_legend_hides_a_system_everywhere(study: Visit) -> None:
    of = (
        "probe.roots().flatMap((one) => one.renderers)"
        ".filter((one) => one.tags.includes(`of:${given[0]}`)).map((one) => one.visible)"
    )
    buttons = study.page.locator(".legend button[data-of=sharp]")
    pressed = "[...document.querySelectorAll(`.legend button[data-of=${given[0]}]`)].map((one) => one.ariaPressed)"
    assert study.ask(pressed, "sharp") == ["true"] * 4
    assert set(study.ask(of, "sharp")) == {True} and len(study.ask(of, "sharp")) >= 12
    before = study.pixels("study-spectra-t2m-ratio")
    buttons.nth(1).click()
    assert study.ask(pressed, "sharp") == ["false"] * 4
    assert set(study.ask(of, "sharp")) == {False}
    assert set(study.ask(of, "plain")) == {True}
    assert study.until(lambda: bool((study.pixels("study-spectra-t2m-ratio") != before).any()))
    buttons.nth(3).click()
    assert study.ask(pressed, "sharp") == ["true"] * 4
    assert set(study.ask(of, "sharp")) == {True}
    assert study.until(lambda: bool((study.pixels("study-spectra-t2m-ratio") == before).all()))


def test_colours_turn_with_the_button_and_stay_so(opened: Any) -> None:
    visit = opened("run", **DESKTOP, color_scheme="light")

    def colours() -> tuple[set[str], str, str]:
        axes = visit.ask("probe.roots().map((one) => probe.colour(one.left[0].major_label_text_color))")
        ink = visit.ask(
            "probe.colour(probe.roots().find((one) => one.name === 's1-profile-t2m').renderers[0].glyph.line_color.value)"
        )
        return set(axes), ink, visit.ask("getComputedStyle(document.body).backgroundColor")

    light = colours()
    assert light[:2] == ({visit.ask("probe.variable('--soft')")}, visit.ask("probe.variable('--ink')"))
    button = visit.page.locator("#theme")
    assert button.inner_text() == "Dark" and button.get_attribute("aria-label") == "Show the page in dark colours"
    button.click()
    dark = colours()
    assert dark[:2] == ({visit.ask("probe.variable('--soft')")}, visit.ask("probe.variable('--ink')"))
    assert all(one != two for one, two in zip(light, dark, strict=True))
    assert button.inner_text() == "Light"
    visit.page.reload()
    visit.wait("document.documentElement.dataset.started")
    assert colours() == dark
    button.click()
    assert colours() == light
    visit.page.emulate_media(color_scheme="dark")  # what the reader chose goes before what the system says
    assert colours() == light


# fingers


def swipe(visit: Visit, x: float, y: float, dx: float, dy: float) -> None:
    """One finger, as the touch screen reports it."""
    session = visit.page.context.new_cdp_session(visit.page)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for k in range(1, 11):
        point = {"x": x + dx * k / 10, "y": y + dy * k / 10}
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        visit.page.wait_for_timeout(20)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    visit.page.wait_for_timeout(300)


def test_a_finger_scrolls_the_page_until_it_may_drag_the_maps(opened: Any, shelf: Shelf) -> None:
    visit = opened("study", **PHONE)
    button = visit.page.get_by_role("button", name="Drag maps")
    assert button.is_visible() and button.get_attribute("aria-pressed") == "false"
    visit.page.get_by_role("button", name="Zoom in").tap()
    place = visit.place("study-map-truth", 12, 16, SHAPE)
    top, ranges = visit.ask("scrollY"), visit.ask("probe.ranges('study-map-truth')")
    swipe(visit, *place, 0, -150)
    assert visit.until(lambda: visit.ask("scrollY") > top + 60)
    assert visit.ask("probe.ranges('study-map-truth')") == ranges
    button.tap()
    assert button.get_attribute("aria-pressed") == "true"
    place = visit.place("study-map-truth", 12, 16, SHAPE)
    top = visit.ask("scrollY")
    swipe(visit, *place, 40, -30)
    assert visit.until(lambda: visit.ask("probe.ranges('study-map-truth')") != ranges)
    moved = np.array(visit.ask("probe.ranges('study-map-truth')")) - ranges
    assert (moved[:2] < 0).all() and (moved[2:] < 0).all(), moved  # the map goes with the finger
    assert abs(visit.ask("scrollY") - top) < 2
    assert visit.ask("probe.ranges('study-map-gain')") == visit.ask("probe.ranges('study-map-truth')")
    visit.page.get_by_role("button", name="Whole domain").tap()
    visit.page.touchscreen.tap(*visit.place("study-map-first", 5, 20, SHAPE))
    visit.wait("String(subgrid.maps.study.cell) === '5,20'")
    assert_readout(visit, shelf, "t2m", 0, 5, 20)


# for everybody


def test_everything_is_reached_by_tab_and_has_a_name(study: Visit) -> None:
    wanted = study.ask(
        "[...document.querySelectorAll('a[href], button, select, summary, [tabindex=\"0\"]')]"
        ".filter((one) => one.checkVisibility()).map((one, i) => { one.dataset.stop = i; return i; })"
    )
    study.page.evaluate("() => document.activeElement.blur()")
    seen = set()
    for _ in range(2 * len(wanted)):
        study.page.keyboard.press("Tab")
        stop = study.ask("document.activeElement?.dataset.stop ?? null")
        if stop is not None:
            seen.add(int(stop))
        if len(seen) == len(wanted):
            break
    left = sorted(set(wanted) - seen)
    assert (
        study.ask("given.map((one) => document.querySelector(`[data-stop='${one}']`).outerHTML.slice(0, 90))", *left)
        == []
    )
    session = study.page.context.new_cdp_session(study.page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    reached = [
        node
        for node in nodes
        if not node["ignored"]
        and any(one["name"] == "focusable" and one["value"]["value"] for one in node.get("properties", []))
    ]
    assert len(reached) > len(wanted)
    assert [node["role"]["value"] for node in reached if not node.get("name", {}).get("value", "").strip()] == []


def test_without_javascript_tables_and_words_are_there(opened: Any, tmp_path: Path) -> None:
    visit = opened("study", **DESKTOP, java_script_enabled=False)
    page = visit.page
    assert page.locator("noscript p").is_visible()
    assert "This page needs JavaScript for its maps and lines" in page.locator("noscript p").inner_text()
    assert page.locator("table.ranked").first.locator("tbody tr").count() == 5
    assert page.locator("h1").inner_text() == "What sharpness costs"
    for text in ("sharp is better than plain; blurred is worse than plain", "generator.features", "Provenance"):
        assert page.get_by_text(text).first.is_visible()
    assert not page.locator("select:visible").count()  # nothing that would not answer
    page.screenshot(path=tmp_path / "page.png", full_page=True)


def test_an_old_browser_has_a_sentence_instead_of_maps(opened: Any) -> None:
    visit = opened("study", "delete window.DecompressionStream;", **DESKTOP)
    assert visit.page.locator(".linked").inner_text() == "The maps need a browser from 2023 or later."
    visit.page.locator("table.ranked").first.locator("thead button").nth(2).click()
    assert sorts(visit)[2] == "descending"  # all else goes on
    assert visit.until(lambda: colours_of(visit.pixels("study-spectra-t2m-power")) > 10)
