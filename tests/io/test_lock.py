"""One writer at a time in a study's folder and in a run directory."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import filelock
import pytest

import subgrid
from subgrid.errors import RunError
from subgrid.io.lock import LOCK, locked
from subgrid.training.train import train
from tiny import SETTINGS

HOLD = """
import sys, time
from pathlib import Path
from subgrid.io.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(120)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_another_process_is_named_and_its_death_frees_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    process = holder(folder)
    try:
        said = (
            rf"^{folder} is being written by another process \({process.pid} on .*, since 2.*\+00:00\); wait for it to"
        )
        with pytest.raises(RunError, match=said), locked(folder):
            raise AssertionError("held twice")
        assert str(process.pid) in (folder / LOCK).read_text()  # the refused one changed nothing
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert (folder / LOCK).exists()
    with locked(folder):
        assert (folder / LOCK).read_text().startswith(f"{os.getpid()} on ")
        (folder / "kept").touch()
    assert [path.name for path in folder.iterdir()] == ["kept"]


def test_once_in_a_process_too_and_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):  # noqa: PT012
        with pytest.raises(RunError, match=rf"another process \({os.getpid()} on "), locked(tmp_path):
            raise AssertionError("held twice")
        raise KeyError
    assert tmp_path.is_dir() and not any(tmp_path.iterdir())  # it was there before
    with locked(tmp_path / "new" / "run"):
        pass
    assert not (tmp_path / "new").exists()
    (tmp_path / "runs").mkdir()
    with locked(tmp_path / "runs" / "run"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["runs"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe"])
def test_a_holder_that_cannot_be_read_is_not_named(tmp_path: Path, content: bytes) -> None:
    with filelock.FileLock(tmp_path / LOCK):
        (tmp_path / LOCK).write_bytes(content)
        with pytest.raises(RunError, match=r"written by another process; wait for it"), locked(tmp_path):
            raise AssertionError("held twice")


@pytest.mark.skipif(sys.platform == "win32", reason="flock is not Windows's")
def test_a_file_system_without_locks_still_has_one_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr("fcntl.flock", missing)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="flock not supported")
        with locked(tmp_path), pytest.raises(RunError, match="by another process"), locked(tmp_path):
            raise AssertionError("held twice")
    assert not any(tmp_path.iterdir())


def test_a_study_in_use_is_refused_before_anything_is_written(weather_file: Path, tmp_path: Path) -> None:
    base = {key: value for key, value in SETTINGS.items() if key != "train.updates"}
    base |= {"data.source": str(weather_file), "data.variables": ["t2m"]}
    study = {"base": base, "seeds": [0], "budget": {"updates": 2}, "arms": {"a": {}, "b": {"train.ema": 0.5}}}
    out = tmp_path / "study"
    process = holder(out)
    try:
        with pytest.raises(RunError, match=rf"^{out} is being written by another process \({process.pid} on "):
            subgrid.study(study, out=out)
        assert [path.name for path in out.iterdir()] == [LOCK]
    finally:
        process.kill()
        process.communicate()
    with pytest.raises(RunError, match="is not the folder of a study"):
        subgrid.study(study, out=weather_file.parent)
    assert not (weather_file.parent / LOCK).exists()  # nothing is left in what is not ours


def test_a_run_in_use_is_refused_and_goes_on_afterwards(one_thread: None, tiny_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    settings = SETTINGS | {"train.updates": 2}
    process = holder(out)
    try:
        for resume in (False, True):
            with pytest.raises(RunError, match=rf"^{out} is being written by another process \({process.pid} on "):
                train(settings, store=tiny_store, out=out, resume=resume)
        assert [path.name for path in out.iterdir()] == [LOCK]
    finally:
        process.kill()
        process.communicate()
    train(settings, store=tiny_store, out=out)
    assert (out / "finished.json").is_file() and not (out / LOCK).exists()
