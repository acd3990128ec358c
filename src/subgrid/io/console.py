"""What a person sees while a command works: one line per stage, and a bar that moves."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False)

Report = Callable[..., None]
"""Called with (done, total) and, where there is more to say, a note."""

PLAIN_SECONDS = 20.0  # between lines where the output is no terminal


def say(text: str) -> None:
    """Print one line for the user, on standard error; results go to standard output."""
    console.print(text, markup=False, soft_wrap=True)


@contextmanager
def tracker(title: str, enabled: bool = True) -> Iterator[Report]:
    """Show the progress of one stage.

    On a terminal it is a bar; elsewhere a line every now and then, so that a log shows that it lives.

    Args:
        title: of the stage.
        enabled: False makes a tracker that shows nothing.

    Yields:
        A function to call with (done, total, note).
    """
    if not enabled:
        yield lambda done, total, note="": None
    elif console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=console, transient=True) as bar:
            task = bar.add_task(title, total=None, note="")

            def move(done: float, total: float, note: str = "") -> None:
                bar.update(task, completed=done, total=total)
                if note:
                    bar.update(task, note=note)

            yield move
    else:
        yield _plain_tracker(title)


def _plain_tracker(title: str) -> Report:
    """A tracker for logs."""
    last = time.monotonic()

    def line(done: float, total: float, note: str = "") -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_SECONDS:
            last = time.monotonic()
            print(f"{title}: {done:.0f} of {total:.0f} {note}".rstrip(), file=sys.stderr, flush=True)  # noqa: T201

    return line
