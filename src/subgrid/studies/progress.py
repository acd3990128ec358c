"""How far all runs of a study are, on one screen; read from their folders, wherever they run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.live import Live
from rich.table import Table

from subgrid.io.console import PLAIN_SECONDS, console, notify
from subgrid.studies.jobs import Job

WAITING, TRAINING, SCORING, DONE, FAILED = "waiting", "training", "scoring", "done", "failed"
LOOK_SECONDS = 1.0


def look_at(job: Job) -> tuple[str, str]:
    """State of a job, and what there is to say of it."""
    out = Path(job.out)
    if (error := job.error) is not None:
        return FAILED, error
    row = last_row(out / "history.csv")
    if job.done:
        return DONE, _note(row)
    if (out / "finished.json").is_file():
        return SCORING, _note(row)
    if (out / "config.json").is_file():
        return TRAINING, _note(row) or "begun"
    return WAITING, ""


def last_row(path: Path) -> dict[str, str]:
    """The last line of a history by column; empty where there is none yet."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return dict(zip(lines[0].split(","), lines[-1].split(","), strict=True)) if len(lines) > 1 else {}


class Board:
    """The state of every run; a table on a terminal, a line for each change elsewhere."""

    def __init__(self, jobs: Sequence[Job], live: Live | None, shown: bool) -> None:
        """Begin.

        Args:
            jobs: of the study.
            live: a table that is drawn anew, or None for lines.
            shown: False shows nothing.
        """
        self._jobs, self._live, self._shown = jobs, live, shown
        self._last = self._said = -PLAIN_SECONDS
        self._states: dict[str, str] = {job.name: WAITING for job in jobs}

    def refresh(self, *, now: bool = False) -> None:
        """Show what is new, at most once a second unless `now`."""
        moment = time.monotonic()
        if not self._shown or (moment - self._last < LOOK_SECONDS and not now):
            return
        self._last = moment
        found = {job.name: look_at(job) for job in self._jobs}
        if self._live is not None:
            self._live.update(draw(found), refresh=True)
            return
        for name, (state, note) in found.items():
            if state != self._states[name]:
                notify(f"  {name}: {state} {note}".rstrip())
                self._states[name], self._said = state, moment
        if moment - self._said >= PLAIN_SECONDS:
            self._said = moment
            for name, (state, note) in found.items():
                if state in (TRAINING, SCORING):
                    notify(f"  {name}: {state} {note}".rstrip())


def draw(found: Mapping[str, tuple[str, str]]) -> Table:
    """A line a run, and how many are done."""
    done = sum(state == DONE for state, _ in found.values())
    failed = sum(state == FAILED for state, _ in found.values())
    title = f"{done} of {len(found)} runs done" + (f", {failed} failed" if failed else "")
    table = Table("run", "", "", title=title, title_justify="left", box=None)
    colours = {DONE: "green", FAILED: "red", TRAINING: "bold", SCORING: "bold"}
    for name, (state, note) in found.items():
        table.add_row(name, f"[{colours.get(state, 'dim')}]{state}", note.replace("[", r"\["))
    return table


@contextmanager
def board(jobs: Sequence[Job], shown: bool = True) -> Iterator[Board]:
    """Watch the jobs while they run.

    Args:
        jobs: of the study.
        shown: False shows nothing.
    """
    if not (shown and console.is_terminal):
        made = Board(jobs, None, shown)
        yield made
        made.refresh(now=True)
        return
    with Live(console=console, auto_refresh=False) as live:
        made = Board(jobs, live, shown)
        yield made
        made.refresh(now=True)


def _note(row: Mapping[str, str]) -> str:
    """Update, stage and validation PSNR of a history's last row."""
    if not row:
        return ""
    score = f", valid PSNR {float(row['valid_psnr']):.2f} dB" if row.get("valid_psnr") else ""
    return f"update {row['step']}, {row['stage']}{score}"
