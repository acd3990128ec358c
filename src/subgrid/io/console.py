"""Progress and messages of a running command, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich import progress as rich_progress
from rich.console import Console

console = Console(stderr=True, highlight=False)

PLAIN_SECONDS = 20.0  # between two lines of progress where standard error is not a terminal


class Progress(Protocol):
    """A function that shows how much of a task is done."""

    def __call__(self, done: float, total: float, note: str = "", /) -> None:
        """Show that `done` of `total` is done, and a short note such as the latest scores."""


Notify = Callable[[str], None]
"""A function that shows one message to the user."""


def silent(*_: object) -> None:
    """Show nothing: the default for every argument of type `Progress` or `Notify`."""


def notify(text: str) -> None:
    """Print one line for the user on standard error; results go to standard output."""
    console.print(text, markup=False, soft_wrap=True)


@contextmanager
def tracker(title: str, enabled: bool = True) -> Iterator[Progress]:
    """Show the progress of one task: a bar on a terminal, otherwise a line every 20 seconds for the log.

    Args:
        title: name of the task, shown with the bar.
        enabled: whether to show anything.

    Yields:
        The function to call with the progress.
    """
    if not enabled:
        yield silent
    elif console.is_terminal:
        columns = (
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeElapsedColumn(),
            rich_progress.TimeRemainingColumn(),
            rich_progress.TextColumn("{task.fields[note]}"),
        )
        with rich_progress.Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(title, total=None, note="")

            def update(done: float, total: float, note: str = "", /) -> None:
                bar.update(task, completed=done, total=total)
                if note:
                    bar.update(task, note=note)

            yield update
    else:
        yield _plain_tracker(title)


def _plain_tracker(title: str) -> Progress:
    """Return a function that prints the progress as lines of a log."""
    last = time.monotonic()

    def show(done: float, total: float, note: str = "", /) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_SECONDS:
            last = time.monotonic()
            print(f"{title}: {done:.0f} of {total:.0f} {note}".rstrip(), file=sys.stderr, flush=True)  # noqa: T201

    return show
