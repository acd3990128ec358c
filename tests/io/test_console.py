"""Progress and messages on standard error."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from subgrid.io import console


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(console.console, "_force_terminal", False)
    with console.tracker("prepare") as progress:
        for done in range(5):
            progress(done, 5, "so far")
            now[0] += 0.6 * console.PLAIN_SECONDS
    with console.tracker("silent", enabled=False) as progress:
        now[0] += 1e9
        progress(1, 5)
    console.notify("[done] in [bold]")
    assert capsys.readouterr().err.splitlines() == [
        "prepare: 2 of 5 so far",
        "prepare: 4 of 5 so far",
        "[done] in [bold]",
    ]


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(force_terminal=True, record=True, width=120, file=io.StringIO())
    monkeypatch.setattr(console, "console", terminal)
    with console.tracker("train") as progress:
        progress(3, 10, "valid PSNR 30 dB")
        progress(4, 10)
    shown = terminal.export_text()
    assert "train" in shown and "4/10" in shown and "valid PSNR 30 dB" in shown
