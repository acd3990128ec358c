"""The progress of all runs of a study on one screen, read from their folders, wherever they are computed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.live import Live
from rich.table import Table

from subgrid.io.console import PLAIN_SECONDS, console, notify
from subgrid.studies.jobs import Job

WAITING, TRAINING, SCORING, DONE, FAILED = "waiting", "training", "scoring", "done", "failed"
REFRESH_SECONDS = 1.0
State = tuple[str, str]  # of a job: one of the words above, and a note


def job_state(job: Job) -> State:
    """Read the state of a job, with a note such as the last update or the error."""
    out = Path(job.out)
    if (error := job.error) is not None:
        return FAILED, error
    row = last_row(out / "history.csv")
    if job.done:
        return DONE, _note(row)
    if (out / "finished.json").is_file():
        return SCORING, _note(row)
    if (out / "config.json").is_file():
        return TRAINING, _note(row) or "started"
    return WAITING, ""


def last_row(path: Path) -> dict[str, str]:
    """Read the last row of a history, by column; empty where there is none yet."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(zip(lines[0].split(","), lines[-1].split(","), strict=True)) if len(lines) > 1 else {}


class StudyProgress:
    """The state of every run: a table on a terminal, otherwise a line for each change."""

    def __init__(self, jobs: Sequence[Job], live: Live | None, enabled: bool) -> None:
        """Start with all jobs waiting.

        Args:
            jobs: all jobs of the study.
            live: the table on the terminal, or None for lines.
            enabled: whether to show anything.
        """
        self._jobs, self._live, self._enabled = jobs, live, enabled
        self._last_refresh = self._last_line = -PLAIN_SECONDS
        self._states: dict[str, str] = {job.name: WAITING for job in jobs}

    def refresh(self, *, now: bool = False) -> None:
        """Show the current states, at most once a second unless `now`."""
        moment = time.monotonic()
        if not self._enabled or (moment - self._last_refresh < REFRESH_SECONDS and not now):
            return
        self._last_refresh = moment
        states = {job.name: job_state(job) for job in self._jobs}
        if self._live is None:
            self._print_lines(states, moment)
        else:
            self._live.update(state_table(states), refresh=True)

    def _print_lines(self, states: Mapping[str, State], moment: float) -> None:
        """Print the jobs whose state changed; after `PLAIN_SECONDS` without a line, those that are running."""
        changed = [name for name, (state, _) in states.items() if state != self._states[name]]
        running = [name for name, (state, _) in states.items() if state in (TRAINING, SCORING)]
        late = moment - self._last_line >= PLAIN_SECONDS
        for name in changed or (running if late else []):
            notify(f"  {name}: {' '.join(states[name])}".rstrip())
        if changed or late:
            self._last_line = moment
        self._states = {name: state for name, (state, _) in states.items()}


def state_table(states: Mapping[str, State]) -> Table:
    """Make a table with a row for each run, and a title that says how many are done."""
    done = sum(state == DONE for state, _ in states.values())
    failed = sum(state == FAILED for state, _ in states.values())
    title = f"{done} of {len(states)} runs done" + (f", {failed} failed" if failed else "")
    table = Table("run", "", "", title=title, title_justify="left", box=None)
    colours = {DONE: "green", FAILED: "red", TRAINING: "bold", SCORING: "bold"}
    for name, (state, note) in states.items():
        table.add_row(name, f"[{colours.get(state, 'dim')}]{state}", note.replace("[", r"\["))
    return table


@contextmanager
def show_progress(jobs: Sequence[Job], enabled: bool = True) -> Iterator[StudyProgress]:
    """Show the progress of the jobs while they run.

    Args:
        jobs: all jobs of the study.
        enabled: whether to show anything.
    """
    with Live(console=console, auto_refresh=False) if enabled and console.is_terminal else nullcontext() as live:
        progress = StudyProgress(jobs, live, enabled)
        yield progress
        progress.refresh(now=True)


def _note(row: Mapping[str, str]) -> str:
    """Write update, stage and validation PSNR of a history's last row."""
    if not row:
        return ""
    score = f", valid PSNR {float(row['valid_psnr']):.2f} dB" if row.get("valid_psnr") else ""
    return f"update {row['step']}, {row['stage']}{score}"
