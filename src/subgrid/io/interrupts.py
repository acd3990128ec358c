"""Ctrl-C while files are written: held back until no library is in the middle of one.

Python raises KeyboardInterrupt between any two instructions. Where that is inside xarray's or Zarr's own locking, the lock
stays taken, and closing the file then waits for it without end.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Hold:
    """A handler of Ctrl-C that remembers it; at the second one, or where it is allowed, it interrupts at once."""

    def __init__(self) -> None:
        self.pending = self.allowed = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.pending or self.allowed:
            raise KeyboardInterrupt
        self.pending = True


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back inside this block, except inside `interrupts_allowed`, and raise KeyboardInterrupt at its end.

    Does nothing in other threads than the main one, and where a program has its own handler.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    hold = _Hold()
    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hold.pending:
        raise KeyboardInterrupt


@contextmanager
def interrupts_allowed() -> Iterator[None]:
    """Let Ctrl-C interrupt inside this block, where no file is being written; at once if it was held back before."""
    hold = signal.getsignal(signal.SIGINT)
    if not isinstance(hold, _Hold):
        yield
        return
    if hold.pending:
        raise KeyboardInterrupt
    hold.allowed = True
    try:
        yield
    finally:
        hold.allowed = False
