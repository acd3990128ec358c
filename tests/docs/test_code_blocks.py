"""The code blocks of README.md and the documentation do what a reader expects of them.

A page's fenced blocks run in their order, in one empty folder that holds the input files its text assumes:

- `toml` and `python` blocks with a title are written to the file of that name,
- the `subgrid` lines of `sh` blocks run through the real command line, in this process,
- `python` blocks without a title are executed, all of one page in one namespace,
- `text` blocks are output for the reader and are not run.

So that this takes seconds, every configuration is cut to a few updates of a small network when it is read (`FAST`), and the
input files are small. What is not executed is checked as far as possible: `make` lines by their target, and every `subgrid`
line of every page, executed or not, by the options of the command.
"""

from __future__ import annotations

import contextlib
import glob
import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import typer
import xarray as xr

from subgrid.cli import app, main
from subgrid.config.schema import LENGTHS, Config, merge

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FAST = {"updates": 4, "batch": 2, "patch": 16, "validate_every": 2, "validation_fields": 2, "precision": "32"}
SMALL = {"features": 4, "blocks": 1}
SIZED = {"srresnet", "patchgan"}
"""Networks that take the options of `SMALL`; those of the reader's own stay as they are."""


class Block(NamedTuple):
    """A fenced code block: language, title ("" without one), text."""

    language: str
    title: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    """The fenced code blocks of a page."""
    fence = re.compile(r'^( *)```(\w+)(?: title="([^"]+)")?\n(.*?)^\1```$', re.MULTILINE | re.DOTALL)
    return [Block(found[2], found[3] or "", found[4]) for found in fence.finditer(page.read_text(encoding="utf-8"))]


def lines_of(block: Block) -> list[str]:
    """The commands of a shell block, continued lines joined, without comments."""
    joined = block.text.replace("\\\n", " ")
    return [line for line in (line.strip() for line in joined.splitlines()) if line and not line.startswith("#")]


def small(raw: dict[str, Any]) -> dict[str, Any]:
    """A configuration with a few updates of a small network."""
    train = {key: value for key, value in raw["train"].items() if key not in LENGTHS}
    parts = {
        kind: {key: value for key, value in SMALL.items() if kind == "generator" or key == "features"}
        for kind in ("generator", "discriminator")
        if raw.get(kind, {}).get("name") in SIZED
    }
    return merge({**raw, "train": train}, {"train": FAST, **parts})


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Path:
    """An empty folder to work in, from which modules can be imported, where every configuration is cut to size."""
    validate = Config.model_validate
    monkeypatch.setattr(Config, "model_validate", lambda raw: validate(small(raw)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def run_command(line: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run one `subgrid` line as a shell would; returns what it printed."""
    words = shlex.split(line, comments=True)
    target = words.index(">") if ">" in words else len(words)
    quoted = {word.strip("'\"") for word in line.split() if word[0] in "'\""}
    arguments: list[str] = []
    for word in words[:target]:
        arguments += sorted(glob.glob(word)) or [word] if word not in quoted else [word]  # noqa: PTH207
    monkeypatch.setattr("sys.argv", arguments)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as exit_:
        main()
    warned = line.startswith("subgrid check") and exit_.value.code == 1  # usable, with warnings
    assert exit_.value.code == 0 or warned, f"{line}\n{printed.getvalue()}"
    if target < len(words):
        Path(words[target + 1]).write_text(printed.getvalue(), encoding="utf-8")
    return printed.getvalue()


def run_page(page: Path, monkeypatch: pytest.MonkeyPatch, skip: Callable[[str], bool] = lambda _: False) -> str:
    """Run the blocks of a page; returns what its commands printed. `skip` names commands that cannot run here."""
    printed, namespace = "", {"__name__": "page"}
    for block in blocks_of(page):
        if block.title:
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile(block.text, page.name, "exec"), namespace)
        elif block.language == "sh":
            for line in lines_of(block):
                if line.startswith("subgrid ") and not skip(line):
                    printed += run_command(line, monkeypatch)
    return printed


def weather(num_times: int, step_hours: int, start: str) -> xr.Dataset:
    """Simulated weather of 32 x 32 cells."""
    from subgrid import simulate

    return simulate(num_times=num_times, num_latitudes=32, num_longitudes=32, step_hours=step_hours, start=start)


def coarsened(fields: xr.Dataset, factor: int = 4) -> xr.Dataset:
    """Plain means of squares of cells, as if from another archive."""
    small = fields.coarsen(latitude=factor, longitude=factor).mean()
    for name in ("latitude", "longitude", *fields.data_vars):
        small[name].attrs = fields[name].attrs
    return small


def save(fields: xr.Dataset, path: str) -> None:
    """Write a file, and its folder first."""
    Path(path).parent.mkdir(exist_ok=True)
    fields.to_netcdf(path)


def test_readme(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fields = weather(61, 730, "2018-01-01")[["t2m", "u10", "v10"]]  # a field a month, 2018 to 2022
    save(fields[["t2m"]], "my_files/t2m.nc")
    save(coarsened(fields[["t2m"]].isel(time=slice(2))), "coarse.nc")
    monkeypatch.setattr("subgrid.simulate", lambda num_times: fields.isel(time=slice(40)), raising=False)
    printed = run_page(ROOT / "README.md", monkeypatch)
    assert "These files can be used for training." in printed
    assert (workplace / "my.html").stat().st_size > 500_000
    with xr.open_dataset("fine.nc") as fine:
        assert fine.t2m.shape == (2, 32, 32)
    assert "bicubic" in capsys.readouterr().out  # the table that the Python block prints


def test_tutorial(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = weather(61, 730, "2018-01-01")[["t2m"]]
    save(fields, "my_files/t2m.nc")
    save(coarsened(fields.isel(time=slice(2))), "coarse.nc")
    printed = run_page(ROOT / "docs" / "tutorial.md", monkeypatch)
    assert "These files can be used for training." in printed and "data.gap" in printed
    assert {"my", "first"} == {path.name for path in Path("runs").iterdir()}
    scores = pd.read_csv("runs/my/evaluation/scores.csv")
    assert {"srgan", "bilinear", "bicubic"} == set(scores.system) and {"season DJF", "season JJA"} < set(scores.group)
    assert Path("runs/my/evaluation-content/scores.csv").is_file() and Path("my.html").is_file()
    with xr.open_dataset("fine.nc") as fine:
        assert fine.t2m.shape == (2, 32, 32)


def test_two_sources(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = weather(40, 18, "2020-01-01")
    fine, small = fields[["t2m"]], coarsened(fields[["t2m"]])
    save(fine.isel(time=slice(30)), "fine/t2m.nc")
    save(small.assign(t2m=(small.t2m + 1).assign_attrs(small.t2m.attrs)).isel(time=slice(5, None)), "coarse/t2m.nc")
    save(fields[["orography"]], "orography.nc")
    run_page(ROOT / "docs" / "howto" / "two-sources.md", monkeypatch)
    for run, static in (("pairs", {}), ("static", {"orography", "sin_latitude"})):
        provenance = json.loads(Path("runs", run, "provenance.json").read_text())
        assert sum(provenance["num_times"].values()) == 25  # those of both
        assert set(provenance["static"]) == set(static)
    scores = pd.read_csv("runs/pairs/evaluation/scores.csv")
    bias = scores[(scores.system == "bilinear") & (scores.score == "bias")].value.item()
    assert bias == pytest.approx(1.0, abs=0.2)  # the coarse fields of the other source, a kelvin too warm


def test_levels(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = weather(20, 18, "2020-01-01")[["t2m"]].rename(t2m="t")
    levels = xr.concat([fields, fields + 50], pd.Index([500, 850], name="level")).transpose("time", "level", ...)
    levels.t.attrs = fields.t.attrs
    save(levels, "levels/t.nc")
    save(coarsened(levels).isel(time=slice(2)), "coarse_levels.nc")
    run_page(ROOT / "docs" / "howto" / "levels.md", monkeypatch)
    with xr.open_dataset("fine.nc") as fine:
        assert fine.t.mean() == pytest.approx(float(levels.t.sel(level=850).isel(time=slice(2)).mean()), abs=5)


def test_gap_and_own_network(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(weather(60, 18, "2020-01-01")[["t2m"]], "my_files/t2m.nc")
    run_page(ROOT / "docs" / "howto" / "gap.md", monkeypatch)
    with xr.open_zarr("gap.zarr/hr", consolidated=False) as store:
        last, first = (store.valid_time.values[store.split.values == split] for split in (1, 3))
        assert first[0] - last[-1] >= np.timedelta64(5, "D")
        assert store.sizes["valid_time"] < 60
    run_page(ROOT / "docs" / "howto" / "own-network.md", monkeypatch)
    config = json.loads(Path("runs/own/config.json").read_text())
    assert config["generator"] == {"name": "my_networks:TinyNet", "width": 16}
    assert Path("runs/own/evaluation/scores.csv").is_file()


def test_score(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = weather(20, 18, "2020-01-01")[["t2m"]]
    save(truth, "truth.nc")
    save(coarsened(truth), "coarse.nc")
    for name, shift in (("prediction", 0.1), ("bicubic", 0.5)):
        save(truth.assign(t2m=(truth.t2m + shift).assign_attrs(truth.t2m.attrs)), f"{name}.nc")
    run_page(ROOT / "docs" / "howto" / "score.md", monkeypatch)
    assert {"scores.csv", "scores.nc"} < {path.name for path in Path("scores").iterdir()}
    plain, table, consistent = (set(pd.read_csv(f).score) for f in ("scores/scores.csv", "table.csv", "consistent.csv"))
    assert any(name.startswith("fss_273.15") for name in table - plain)
    assert consistent - plain


def test_resume_and_pretrained(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(weather(20, 18, "2020-01-01")[["t2m"]], "my_files/t2m.nc")
    Path("my.toml").write_text('[data]\nsource = "my_files/*.nc"\nvariables = ["t2m"]\n', encoding="utf-8")
    run_page(ROOT / "docs" / "howto" / "resume.md", monkeypatch)
    run_page(ROOT / "docs" / "howto" / "pretrained.md", monkeypatch)
    assert {path.parent.name for path in Path("runs").glob("*/finished.json")} == {"my", "pregan"}


def test_only_known_programs() -> None:
    lines = [line for page in PAGES for block in blocks_of(page) if block.language == "sh" for line in lines_of(block)]
    programs = {line.split()[0] for line in lines if "=" not in line.split()[0]}
    assert programs <= {"subgrid", "make", "pip", "python", "dask", "cdo", "export", "torch"}
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {line.split()[1] for line in lines if line.startswith("make ")} <= targets


def commands() -> list[Any]:
    """Every `subgrid` line of every page, in fenced and in indented blocks; those with brackets are outlines."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"^ *(subgrid [a-z]+ .*)$", text, re.MULTILINE):
            if "[" not in line.split("#")[0].replace("=[", "") and "..." not in line:
                found.append(pytest.param(line, id=f"{page.name}: {line[:60]}"))
    return found


@pytest.mark.parametrize("line", commands())
def test_every_command_parses(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    words = words[: words.index(">")] if ">" in words else words
    group: Any = typer.main.get_command(app)
    with group.make_context("subgrid", list(words)) as context:
        name, command, rest = group.resolve_command(context, words)
        command.make_context(name, rest, parent=context)


def test_every_configuration_loads(workplace: Path) -> None:
    from subgrid import load_config

    whole = [b for page in PAGES for b in blocks_of(page) if b.language == "toml" and b.text.startswith("system =")]
    assert len(whole) > 3
    for number, block in enumerate(whole):
        path = workplace / f"{number}.toml"
        path.write_text(block.text, encoding="utf-8")
        assert load_config(path).data.variables
