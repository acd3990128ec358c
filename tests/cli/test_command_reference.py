"""The page of commands: current and complete."""

from __future__ import annotations

from pathlib import Path

import pytest

import subgrid
from subgrid.cli.reference import commands, page, summary

ROOT = Path(__file__).parents[2]


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == page(), (
        "run: python -m subgrid.cli.reference > docs/commands.md"
    )


@pytest.mark.parametrize("name", commands())
def test_every_command_is_described(name: str) -> None:
    command = commands()[name]
    assert 20 <= len(summary(command)) <= 60
    assert command.epilog.startswith(f"Example: subgrid {name}")
    assert all(len(parameter.help or "") >= 15 for parameter in command.params)


@pytest.mark.parametrize("name", commands())
def test_every_command_is_a_function_too(name: str) -> None:
    assert callable(getattr(subgrid, name))
