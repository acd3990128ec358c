"""One job of a study: train one arm with one seed, score it, say what it took; kept when done, recorded when it fails."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from subgrid.config import Config
from subgrid.errors import SubgridError
from subgrid.evaluation.evaluate import evaluate
from subgrid.io.atomic import write_json, write_text
from subgrid.io.console import Progress, silent
from subgrid.training.train import train

ERROR = "error.txt"
FACTS = "job.json"
STUDY_FILE = "study.json"
_ALONE = threading.Lock()  # torch's generator belongs to the process: two trainings in one would draw from each other's


@dataclass(frozen=True)
class Job:
    """An arm and a seed.

    Attributes:
        arm: name of the arm.
        seed: of the run.
        config: resolved, as plain values.
        out: the run directory, absolute.
        store: the training store, absolute.
        threads: of torch.
    """

    arm: str
    seed: int
    config: Mapping[str, Any]
    out: str
    store: str
    threads: int

    @property
    def name(self) -> str:
        """Arm and seed, as the run's folder is called."""
        return Path(self.out).name

    @property
    def done(self) -> bool:
        """Trained and scored."""
        return (Path(self.out) / FACTS).is_file()

    @property
    def error(self) -> str | None:
        """The first line of what went wrong, if anything did."""
        file = Path(self.out) / ERROR
        return (file.read_text(encoding="utf-8").splitlines() or [""])[0] if file.is_file() else None


def run_job(job: Job, progress: Progress = silent) -> None:
    """Train and score, going on from whatever is there; an error is written to the run's folder and goes no further."""
    if job.done:
        return
    out = Path(job.out)
    (out / ERROR).unlink(missing_ok=True)
    with _ALONE:
        threads = torch.get_num_threads()
        torch.set_num_threads(job.threads)
        try:
            _work(job, out, progress)
        except Exception as error:  # whatever it is, the other arms can do without this one
            record_error(job, error)
        finally:
            torch.set_num_threads(threads)


def _work(job: Job, out: Path, progress: Progress) -> None:
    """What the runs of the user's own hands do."""
    _forget_peak()
    train(Config.model_validate(dict(job.config)), out=out, store=job.store, resume=True, progress=progress)
    evaluate(out, store=job.store, progress=progress)
    write_json(out / FACTS, {"arm": job.arm, "seed": job.seed, "threads": job.threads, "peak_memory_mib": _peak()})


def record_error(job: Job, error: BaseException) -> None:
    """Leave one line that names the error in the run's folder, and for a bug of ours its traceback."""
    out = Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    said = " ".join(f"{type(error).__name__}: {error}".split())
    trace = "" if isinstance(error, SubgridError) else "".join(traceback.format_exception(error))
    write_text(out / ERROR, f"{said}\n{trace}")


def read_facts(job: Job) -> dict[str, Any]:
    """What a finished job took: `finished.json`, `evaluation.json` and `job.json` together."""
    out = Path(job.out)
    found: dict[str, Any] = {}
    for path in (out / "finished.json", out / "evaluation" / "evaluation.json", out / FACTS):
        found |= json.loads(path.read_text(encoding="utf-8"))
    return found


def _forget_peak() -> None:
    """Begin to measure the peak of this job's memory, where Linux lets us; elsewhere it is that of the whole process."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _peak() -> float | None:
    """Largest resident memory of this process since then, in MiB; None where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
