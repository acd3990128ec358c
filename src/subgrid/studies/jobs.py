"""One job of a study: train one arm with one seed and score it. Finished jobs are kept, errors recorded."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from subgrid.config.schema import Config
from subgrid.errors import RunError, SubgridError
from subgrid.evaluation.evaluate import evaluate
from subgrid.io.atomic import read_json, write_json, write_text
from subgrid.io.console import Progress, silent
from subgrid.networks import describe_weights
from subgrid.training.train import train

ERROR = "error.txt"
FACTS = "job.json"
STUDY_FILE = "study.json"
_ONE_AT_A_TIME = (
    threading.Lock()
)  # torch's random generator belongs to the process: two trainings would share its draws


@dataclass(frozen=True)
class Job:
    """One arm with one seed.

    Attributes:
        arm: name of the arm.
        seed: random seed of the run.
        config: the resolved configuration, as plain values.
        out: absolute path of the run directory.
        store: absolute path of the training store.
        threads: number of torch threads.
    """

    arm: str
    seed: int
    config: Mapping[str, Any]
    out: str
    store: str
    threads: int

    @property
    def name(self) -> str:
        """Name of the run's folder, ``ARM-seedN``."""
        return Path(self.out).name

    @property
    def done(self) -> bool:
        """Whether the run is trained and scored."""
        return (Path(self.out) / FACTS).is_file()

    @property
    def error(self) -> str | None:
        """The first line of the recorded error, or None."""
        file = Path(self.out) / ERROR
        return (file.read_text(encoding="utf-8").splitlines() or [""])[0] if file.is_file() else None


def run_job(job: Job, progress: Progress = silent) -> None:
    """Train and score, or resume; an error is recorded in the run's folder and not raised."""
    if job.done:
        return
    out = Path(job.out)
    (out / ERROR).unlink(missing_ok=True)
    with _ONE_AT_A_TIME:
        threads = torch.get_num_threads()
        torch.set_num_threads(job.threads)
        try:
            _train_and_evaluate(job, out, progress)
        except Exception as error:  # any error: the other runs do not need this one
            record_error(job, error)
        finally:
            torch.set_num_threads(threads)


def _train_and_evaluate(job: Job, out: Path, progress: Progress) -> None:
    """Train and evaluate, as the commands do."""
    _reset_peak_memory()
    train(Config.model_validate(dict(job.config)), out=out, store=job.store, resume=True, progress=progress)
    # the run that was just trained or resumed has the configuration of the job, which is the user's own
    evaluate(out, store=job.store, trust=True, progress=progress)
    write_json(
        out / FACTS, {"arm": job.arm, "seed": job.seed, "threads": job.threads, "peak_memory_mib": _peak_memory()}
    )


def record_error(job: Job, error: BaseException) -> None:
    """Write the error into the run's folder: one line, followed by the traceback if it is not a user's error."""
    out = Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    line = " ".join(f"{type(error).__name__}: {error}".split())
    trace = "" if isinstance(error, SubgridError) else "".join(traceback.format_exception(error))
    write_text(out / ERROR, f"{line}\n{trace}")


def check_evaluation(out: Path) -> None:
    """Check that the scores of a finished run are those of its last weights, which a study compares.

    Raises:
        RunError: if they are of other weights, or incomplete.
    """
    file, remedy = out / "evaluation" / "evaluation.json", f"evaluate it again with `subgrid evaluate {out}`."
    if not file.is_file():
        raise RunError(f"{out} has no complete evaluation, as {file.name} is missing; {remedy}")
    about = read_json(file, f"E{remedy[1:]}")
    which = describe_weights(about.get("weights", "last"), about.get("interpolate"))
    if which != describe_weights("last", None):
        raise RunError(f"{file.parent} holds scores of the {which}, but a study compares the last weights; {remedy}")


def read_facts(job: Job) -> dict[str, Any]:
    """Read what a finished job recorded: `finished.json`, `evaluation.json` and `job.json` together."""
    out = Path(job.out)
    facts: dict[str, Any] = {}
    for path in (out / "finished.json", out / "evaluation" / "evaluation.json", out / FACTS):
        facts |= read_json(path, f"Remove the run {out}, and run the study again.")
    return facts


def _reset_peak_memory() -> None:
    """Start to measure the peak memory of this job, where Linux allows it; elsewhere the peak is that of the process."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _peak_memory() -> float | None:
    """Read the largest resident memory since then, in MiB; None where the system does not report it."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
