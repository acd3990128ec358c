"""The command line from end to end, and what a user's mistakes look like."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from subgrid import __version__, cli, quickstart
from subgrid.cli.options import as_labels
from subgrid.cli.reference import commands, summary
from subgrid.data.grid import coarsen
from subgrid.data.sources.open_source import open_source
from subgrid.errors import RunError
from subgrid.scores import SCORES
from tiny import SETTINGS

pytestmark = pytest.mark.usefixtures("one_thread")
COMMANDS = tuple(commands())


class Outcome:
    """What a command left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def subgrid(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Run a command in this process, through the same door as the installed script."""

    def call(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["subgrid", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        text = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), text.out, text.err)

    return call


@pytest.fixture(scope="module")
def folder(weather: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weather, coarse weather and a configuration."""
    path = tmp_path_factory.mktemp("cli")
    weather.to_netcdf(path / "weather.nc")
    coarsen(open_source(weather, variables=["t2m", "u10"]).load(), 4).drop_attrs(deep=False).to_netcdf(
        path / "coarse.nc"
    )
    lines = [f'"{key}" = {json.dumps(value)}' for key, value in SETTINGS.items()]
    text = "\n".join(line.replace('"', "", 2) for line in [*lines, '"data.source" = "weather.nc"'])
    (path / "tiny.toml").write_text(text)
    (path / "baseline.toml").write_text('system = "bicubic"\ndata.variables = ["t2m"]\ndata.source = "weather.nc"\n')
    return path


@pytest.mark.slow
def test_all_commands_in_their_order(subgrid, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(folder)
    checked = subgrid("check", "weather.nc", "--variables", "t2m,u10")
    assert (checked.code, checked.out.splitlines()[-1]) == (0, "These files can be used for training.")
    prepared = subgrid("prepare", "tiny.toml", "--out", "tiny.zarr")
    assert (prepared.code, prepared.out) == (0, "tiny.zarr\n")
    assert "t2m, u10: 8 x 8 -> 32 x 32, factor 4, coarsened by mean" in prepared.err
    trained = subgrid("train", "tiny.toml", "--out", "run", "--store", "tiny.zarr", "--set", "train.updates=4")
    assert (trained.code, trained.out) == (0, "run\n")
    assert json.loads(Path("run/config.json").read_text())["train"]["updates"] == 4
    again = subgrid("train", "tiny.toml", "--out", "run", "--resume", "--set", "train.updates=4")
    assert (again.code, again.out) == (0, "run\n")
    evaluated = subgrid("evaluate", "run", "--all")
    assert evaluated.code == 0
    assert evaluated.out.splitlines()[-1] == "run/evaluation/scores.csv"
    assert "rmse: Root of the mean square error over all times and cells" in evaluated.out
    rows = pd.read_csv("run/evaluation/scores.csv").groupby("score").size()
    assert (rows[list(SCORES)] == 3 * 2).all()  # systems, variables
    downscaled = subgrid("downscale", "run", "coarse.nc", "fine.nc", "--weights", "best")
    assert (downscaled.code, downscaled.out) == (0, "fine.nc: valid_time 40, latitude 32, longitude 32\n")
    with xr.open_dataset("fine.nc") as fine:
        assert np.isfinite(fine["t2m"]).all()
    reported = subgrid("report", "run", "--out", "report.html")
    assert (reported.code, reported.out) == (0, "report.html\n")
    assert "<html" in Path("report.html").read_text()[:500]


def test_train_prepares_its_own_store(subgrid, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    words = [
        "train",
        folder / "tiny.toml",
        "--set",
        f"data.source='{folder / 'weather.nc'}'",
        "--set",
        "train.updates=2",
    ]
    done = subgrid(*words)
    assert (done.code, done.out) == (0, "runs/tiny-srgan\n")
    assert len(list(Path("stores").glob("tiny-*.zarr"))) == 1
    assert subgrid(*words).code == 2  # the run is there
    assert subgrid(*words, "--resume").code == 0


def test_an_unusable_source(subgrid, tmp_path: Path, weather: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    weather[["t2m"]].where(weather.t2m > 280).to_netcdf(tmp_path / "holes.nc")
    found = subgrid("check", tmp_path / "holes.nc")
    assert (found.code, found.out.splitlines()[-1]) == (2, "These files cannot be used as they are.")
    absent = subgrid("check", tmp_path / "nothing.nc")
    assert (absent.code, absent.out.splitlines()[-1]) == (2, "These files cannot be used as they are.")
    assert "does not exist" in absent.out and "[" not in absent.out
    assert absent.out.count("nothing.nc") == 1


def test_exit_codes_of_check(subgrid, tmp_path: Path, weather: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    weather[["t2m"]].to_netcdf(tmp_path / "whole.nc")
    weather[["t2m"]].isel(time=slice(5)).to_netcdf(tmp_path / "short.nc")
    assert [subgrid("check", tmp_path / name).code for name in ("whole.nc", "short.nc")] == [0, 1]
    assert subgrid("check", tmp_path / "short.nc").out.splitlines()[-1] == (
        "These files can be used for training, with the warnings above."
    )


def test_a_problem_of_several_variables_is_told_once(subgrid, tmp_path: Path, weather: xr.Dataset) -> None:  # type: ignore[no-untyped-def]
    weather[["u10", "v10"]].where(weather.t2m > 280).to_netcdf(tmp_path / "holes.nc")
    lines = subgrid("check", tmp_path / "holes.nc").out.splitlines()
    assert [line.partition(":")[0] for line in lines if line.startswith("ERROR")] == ["ERROR   u10, v10"]


def test_settings_are_described(subgrid) -> None:  # type: ignore[no-untyped-def]
    done = subgrid("settings", "train.betas")
    assert done.code == 0
    assert done.out.startswith("train.betas\n    Decay rates of Adam")
    assert done.out.endswith("; default [0.9, 0.999]; srgan sets [0.9, 0.99]]\n")


@pytest.mark.slow
def test_init_writes_a_configuration_that_trains(  # type: ignore[no-untyped-def]
    subgrid, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    done = subgrid("init", folder / "weather.nc", "--factor", "2")
    assert done.code == 0
    Path("my.toml").write_text(done.out)
    small = ["generator.features=8", "generator.blocks=1", "discriminator.features=8", "train.updates=2"]
    trained = subgrid("train", "my.toml", *(word for key in small for word in ("--set", key)))
    assert (trained.code, trained.out) == (0, "runs/my-srgan\n")
    resolved = json.loads(Path("runs/my-srgan/config.json").read_text())
    assert resolved["data"]["factor"] == 2


@pytest.mark.slow
def test_systems(subgrid) -> None:  # type: ignore[no-untyped-def]
    rows = json.loads(subgrid("systems", "--json").out)
    by = {row["name"]: row for row in rows}
    assert (by["published/srgan"]["generator_parameters"], by["published/srgan"]["discriminator_parameters"]) == (
        946189,
        664769,
    )
    assert by["bicubic"]["trained"] is False and by["srgan"]["trained"] is True
    assert by["bicubic"]["generator_parameters"] == 0
    assert all(row["summary"] for row in rows)
    table = subgrid("systems").out
    assert "946,189" in table and all(name in table for name in by)


MISTAKES = [
    (("check", "weather.nc", "--select", "level"), "expected DIM=LABEL, such as level=850"),
    (("prepare", "tinny.toml"), "there is no configuration file tinny.toml. Did you mean 'tiny.toml'?"),
    (("prepare", "tiny.toml", "--set", "data.factr=4"), "'data.factor'"),
    (("prepare", "tiny.toml", "--set", "data.variables=['q']"), "'q'"),
    (("train", "tiny.toml", "--set", "generator.features=0"), "features must be at least 1"),
    (("train", "baseline.toml"), "system: bicubic is a baseline with nothing to train"),
    (("train", "tiny.toml", "--store", "nowhere.zarr"), "nowhere.zarr is not a training store"),
    (("train", "tiny.toml", "--out", "weather.nc"), "weather.nc already exists and is not a run directory"),
    (("train",), "Missing argument 'CONFIG'. Try `subgrid train --help`."),
    (("evaluate", "nowhere"), "there is no run directory nowhere."),
    (("evaluate", "nowhere", "--weights", "first"), "expected last, best or content"),
    (("downscale", "nowhere", "coarse.nc", "fine.nc"), "there is no run directory nowhere."),
    (("evaluate", "nowhere", "--interpolate", "half"), "--interpolate"),
    (("downscale", "nowhere", "coarse.nc"), "Missing argument 'OUT'"),
    (("report", "nowhere"), "nowhere"),
    (("init", "nothing.nc"), "nothing.nc"),
    (("settings", "train.lr"), "there is no setting train.lr. Did you mean 'train.learning_rate'?"),
    (("score", "weather.nc", "weather.nc", "--range", "t2m=1"), "expected NAME=NUMBER,NUMBER, such as t2m=250,310"),
    (("sample", "nowhere", "fields.nc"), "no run directory nowhere."),
    (("study", "nowhere.toml", "--out", "study"), "there is no configuration file nowhere.toml."),
    (("systems", "--jsn"), "No such option: --jsn"),
    (("demo", "--out", "weather.nc"), "weather.nc is a file; remove it, or choose another folder with --out."),
    (("demo", "--out", "."), "is not empty; remove it, or choose another folder with --out."),
    (("demo", "--seconds", "0"), "--seconds"),
    (("trian",), "No such command 'trian'. Did you mean 'train'?"),
]


@pytest.mark.slow
@pytest.mark.parametrize("words, text", MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_a_mistake_is_one_line(subgrid, folder: Path, monkeypatch: pytest.MonkeyPatch, words, text) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(folder)
    before = {p for p in folder.iterdir() if p.name != "stores"}
    done = subgrid(*words)
    assert done.code == 2
    assert done.out == ""
    last = done.err.splitlines()[-1]
    assert last.startswith("subgrid: ")
    assert text in last
    # what was prepared for a training is shown before, and nothing else
    assert [line for line in done.err.splitlines()[:-1] if not line.startswith("  ")] == []
    assert {p for p in folder.iterdir() if p.name != "stores"} == before


def test_every_command_has_a_mistake() -> None:
    assert {words[0] for words, _ in MISTAKES} >= set(COMMANDS)


def test_the_systems_own_refusals_are_one_line_too(subgrid, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/elsewhere/report.html")

    monkeypatch.setattr("subgrid.studies.page.report", denied)
    done = subgrid("report", "run")
    assert done.code == 2
    assert done.err == (
        "subgrid: /elsewhere/report.html: Permission denied. Give another path, or change its permissions. An earlier page "
        "is kept as it was; run the same command again.\n"
    )


def test_our_own_bugs_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("subgrid.studies.page.report", broken)
    monkeypatch.setattr(sys, "argv", ["subgrid", "report", "run"])
    with pytest.raises(ZeroDivisionError, match="ours"):
        cli.main()


def test_labels() -> None:
    assert as_labels(["level=850", "height=1.5", "run=-3", "kind=sfc", "a=b=c"]) == {
        "level": 850,
        "height": 1.5,
        "run": -3,
        "kind": "sfc",
        "a": "b=c",
    }
    assert as_labels(None) == {}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(subgrid, command: str) -> None:  # type: ignore[no-untyped-def]
    done = subgrid(command, "--help")
    assert done.code == 0
    assert f"Example: subgrid {command}" in " ".join(done.out.split())


def test_no_words_are_help(subgrid) -> None:  # type: ignore[no-untyped-def]
    done = subgrid()
    assert done.code == 0
    shown = dict(
        re.findall(r"^  (\w+) +(.+)$", done.out.partition("Commands:\n")[2].partition("\n\n")[0], re.MULTILINE)
    )
    assert shown == {name: summary(command) for name, command in commands().items()}
    assert all(len(text) <= 60 for text in shown.values())


def test_version(subgrid) -> None:  # type: ignore[no-untyped-def]
    done = subgrid("--version")
    assert (done.code, done.out) == (0, f"subgrid {__version__}\n")


def test_help_is_light() -> None:
    code = (
        "import sys; sys.argv = ['subgrid', '--help']\n"
        "from subgrid.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'torch', 'xarray', 'pandas', 'scores', 'numpy', 'dask', 'matplotlib', 'lightning_fabric'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert "Usage: subgrid" in done.stdout


@pytest.mark.slow
def test_interrupted_by_the_user(folder: Path, tiny_store: Path, tmp_path: Path) -> None:
    words = ["train", str(folder / "tiny.toml"), "--store", str(tiny_store), "--out", "run"]
    words += ["--set", "train.updates=100000", "--set", "train.validate_every=5"]
    process = subprocess.Popen(
        [sys.executable, "-m", "subgrid.cli", *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in a background job ignore it
    )
    for _ in range(4000):
        if (tmp_path / "run" / "state.safetensors").exists() or process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "subgrid: interrupted. Completed checkpoints are kept; continue with the same command and --resume.\n"
    assert (tmp_path / "run" / "state.safetensors").exists()


@pytest.mark.slow
def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    small = {
        "generator.features": 8,
        "generator.blocks": 1,
        "discriminator.features": 8,
        "train.patch": 32,
        "data.variables": ["t2m"],
    }
    monkeypatch.setattr(quickstart, "SETTINGS", quickstart.SETTINGS | small)
    reported: list[list[Path]] = []

    def quick_report(
        runs: list[Path], out: Path
    ) -> Path:  # the real one draws for seconds; the test of all commands has it
        reported.append(runs)
        assert (runs[0] / "evaluation" / "scores.csv").is_file()
        out.write_text("page")
        return out

    monkeypatch.setattr(quickstart, "report", quick_report)
    page = quickstart.demo(tmp_path / "new" / "demo", seconds=0.5, num_times=24, size=64)
    assert page == tmp_path / "new" / "demo" / "report.html"
    assert reported == [[tmp_path / "new" / "demo" / "run"]]
    text = capsys.readouterr().err
    stages = [line.split("] ")[1] for line in text.splitlines() if line.startswith("[")]
    named = ("simulate", "check", "prepare", "train", "evaluate", "downscale", "report")
    assert stages == [f"{stage}: done" for stage in named]
    assert "16 x 16 -> 64 x 64, factor 4" in text
    assert re.search(r"  srgan's RMSE is .*(below|above|equal to) bi(linear|cubic)'s for t2m", text)
    assert "32 x 32 -> " in text and "128 x 128" in text
    with pytest.raises(RunError, match="is not empty; remove it, or choose another folder with --out"):
        quickstart.demo(tmp_path / "new" / "demo")


@pytest.mark.slow
def test_a_terminal_without_unicode_stops_no_command(tiny_run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "subgrid.cli", "evaluate", str(tiny_run), "--out", str(tmp_path / "scores")]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "rmse" in done.stdout
