"""Commands that are stopped at any moment: by SIGKILL, a full disk or damaged files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from conftest import make_fields
from subgrid.data.store import open_store
from subgrid.errors import RunError, SubgridError
from subgrid.evaluation import evaluate as evaluate_module
from subgrid.evaluation import score_files
from subgrid.evaluation.evaluate import evaluate
from subgrid.evaluation.score_files import score
from subgrid.inference import downscale as downscale_module
from subgrid.inference.downscale import downscale
from subgrid.io.atomic import partial_path, write_text
from subgrid.io.output import open_fields
from subgrid.run import load_run
from subgrid.training.prepare import prepare
from subgrid.training.train import train
from tiny import SETTINGS, train_tiny, weights

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that share what is imported"),
]


PREPARE = """
import json, os, signal, sys
from subgrid.data import write_store
from subgrid.training.prepare import prepare
write_store.BLOCK_BYTES = 4 * 64 * 8
calls = 0
def progress(*_):
    global calls
    calls += 1
    if calls == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
prepare(json.loads(sys.argv[1]), out=sys.argv[2], progress=progress)
"""


LIMITED = """
import resource
from subgrid.cli.commands import main
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
main()
"""


def in_child(work: Callable[[], None]) -> int:
    """Do the work in a copy of this process; return minus the signal that ended it, or 99.

    Only for work on open Datasets: the threads that dask keeps for reading files are not in the copy.
    """
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of Python 3.12, on threads, which a killed process may have
        child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def dying(after: int) -> Callable[..., None]:
    """A function for `progress` that kills its process at its call number `after`."""
    calls = 0

    def progress(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == after:
            os.kill(os.getpid(), signal.SIGKILL)

    return progress


def left(folder: Path) -> list[str]:
    """Names of what is incomplete or locked."""
    return [path.name for path in folder.rglob("*") if path.suffix in (".tmp", ".lock", ".partial")]


@pytest.fixture
def coarse() -> xr.Dataset:
    """Eight coarse times in the variables of `tiny_run`."""
    fields = make_fields(8, names=("t2m", "u10"))
    fields["u10"].attrs["units"] = "m s-1"
    fields["u10"] = fields["u10"] - 273.0
    return fields


@pytest.mark.parametrize("after", [1, 4])
@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_a_killed_downscale_leaves_the_old_output_and_the_next_one_cleans_up(
    tiny_run: Path, coarse: xr.Dataset, tmp_path: Path, ending: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downscale_module, "CELLS_AT_ONCE", 64)
    target = tmp_path / f"fine.{ending}"
    old = downscale(tiny_run, coarse.isel(valid_time=[0]), target).load()
    killed = in_child(
        lambda: downscale(tiny_run, coarse, target, overwrite=True, progress=dying(after)) and None  # type: ignore[func-returns-value]
    )
    assert killed == -signal.SIGKILL
    assert len([name for name in left(tmp_path) if name.endswith(".tmp")]) == 1
    with open_fields(target) as kept:
        xr.testing.assert_identical(kept.load(), old)
    made = downscale(tiny_run, coarse, target, overwrite=True).load()
    xr.testing.assert_equal(made, downscale(tiny_run, coarse))
    assert list(tmp_path.iterdir()) == [target]


def test_a_killed_score_or_evaluation_leaves_the_old_results(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = make_fields(8)
    guess = truth + np.float32(0.5)
    guess["t2m"].attrs = truth["t2m"].attrs
    monkeypatch.setattr(score_files, "BLOCK_CELLS", 64)
    monkeypatch.setattr(evaluate_module, "BLOCK_CELLS", 32 * 32)
    out, of_run = tmp_path / "scores", tmp_path / "evaluation"

    def score_again(progress: Callable[..., None]) -> None:
        score(guess, truth, out=out, overwrite=True, names=["rmse"], progress=progress)

    def evaluate_again(progress: Callable[..., None]) -> None:
        evaluate(tiny_run, out=of_run, progress=progress)

    for folder, again in ((out, score_again), (of_run, evaluate_again)):
        again(lambda *_: None)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert in_child(lambda again=again: again(dying(1))) == -signal.SIGKILL  # type: ignore[misc]
        assert len(left(folder)) >= 1
        assert {name: (folder / name).read_bytes() for name in before} == before
        again(lambda *_: None)
        assert left(folder) == [] and {path.name for path in folder.iterdir()} == set(before)


def test_a_killed_preparation_and_training_continue(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subgrid.data.write_store.BLOCK_BYTES", 4 * 64 * 8)
    config = {"data": {"variables": ["t2m"], "factor": 4, "source": str(tmp_path / "weather.nc")}}
    make_fields(64).to_netcdf(tmp_path / "weather.nc")
    whole = prepare(config, out=tmp_path / "whole.zarr")
    for after in (1, 2):
        out = tmp_path / f"{after}.zarr"
        # a process of its own: the threads that dask keeps for reading are not in a forked one
        words = [sys.executable, "-c", PREPARE, json.dumps(config), str(out), str(after)]
        assert subprocess.run(words, check=False, timeout=120).returncode == -signal.SIGKILL
        assert not out.exists()
        with open_store(prepare(config, out=out)).hr as made, open_store(whole).hr as expected:
            xr.testing.assert_identical(made.load(), expected.load())
    uninterrupted = train_tiny(tiny_store, tmp_path / "whole")
    run = tmp_path / "run"

    for after in (3, 2):
        assert (
            in_child(
                lambda n=after: train(SETTINGS, store=tiny_store, out=run, resume=True, progress=dying(n)) and None
            )
            < 0
        )  # type: ignore[misc]
    train(SETTINGS, store=tiny_store, out=run, resume=True)
    assert all((a == b).all() for a, b in zip(weights(run).values(), weights(uninterrupted).values(), strict=True))
    assert left(tmp_path) == []


def test_incomplete_files_of_living_processes_and_other_machines_stay(tmp_path: Path) -> None:
    file = tmp_path / "history.csv"
    living = partial_path(file)
    living.touch()
    name = living.name
    other = living.with_name(name.replace(f".{os.getpid()}@", ".999999999@").replace("@", "@00000000-")[:-5] + ".tmp")
    foreign = tmp_path / ".history.csv.notes.tmp"
    dead = living.with_name(name.replace(f".{os.getpid()}@", ".999999999@"))
    for path in (other, foreign, dead):
        path.touch()
    write_text(file, "step\n")
    assert {path.name for path in tmp_path.iterdir()} == {"history.csv", name, other.name, foreign.name}


@pytest.mark.skipif(sys.platform == "win32", reason="no limits there")
@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_a_full_disk_is_one_line_and_keeps_the_old_output(
    tiny_run: Path, coarse: xr.Dataset, tmp_path: Path, ending: str
) -> None:
    target = tmp_path / f"fine.{ending}"
    old = downscale(tiny_run, coarse.isel(valid_time=[0]), target).load()
    coarse.to_netcdf(tmp_path / "coarse.nc")
    words = ["downscale", str(tiny_run), str(tmp_path / "coarse.nc"), str(target), "--overwrite"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *words], check=False, timeout=120, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert "Traceback" not in "".join(lines)
    assert lines[-1].startswith("subgrid: ") and "kept" in lines[-1] and ".tmp" not in lines[-1]
    with open_fields(target) as kept:
        xr.testing.assert_identical(kept.load(), old)
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["config.json", "provenance.json", "statistics.json", "grid.nc", "weights/last.safetensors"]
)
def test_a_damaged_file_of_a_run_is_named(tiny_run: Path, coarse: xr.Dataset, tmp_path: Path, name: str) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    file = run / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    with pytest.raises(SubgridError, match=rf"{name} is (damaged|not valid JSON)"):
        downscale(run, coarse)


def test_facts_that_are_no_facts_are_named(tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "provenance.json").write_text("[]")
    with pytest.raises(RunError, match=r"provenance\.json is damaged: it holds no JSON object"):
        load_run(run)
    (run / "provenance.json").write_text("{}")
    with pytest.raises(RunError, match=r"is damaged: there is no store in provenance\.json, no fingerprint in"):
        load_run(run)


def test_a_damaged_store_is_named(tiny_store: Path, tmp_path: Path) -> None:
    for name in ("store.json", "hr/zarr.json"):
        store = shutil.copytree(tiny_store, tmp_path / name.replace("/", "_"))
        (store / name).write_text('{"zarr_format": 3, "attr')
        with pytest.raises(RunError, match=r"is damaged.*make it again \(`subgrid prepare`\)\.$"):
            open_store(store)
