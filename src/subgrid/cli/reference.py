"""The page docs/commands.md, made from the commands: `python -m subgrid.cli.reference > docs/commands.md`."""

from __future__ import annotations

import sys
import textwrap
from typing import Any

import typer.main

from subgrid.cli.commands import app

_EXIT_CODES = """\
Results go to standard output, progress and remarks to standard error. The exit code is 0 for success, 1 if `check` has
warnings or if runs of a study failed, 2 for a mistake in the arguments, the configuration or the data, which is explained
in one line, and 130 after an interruption. `subgrid --version` prints the version, and `subgrid COMMAND --help` the text
below.
"""


def commands() -> dict[str, Any]:
    """All commands by name, as typer builds them."""
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def page() -> str:
    """All commands with usage, arguments, options, defaults and an example."""
    out = ["# Commands\n", "<!-- Written by `python -m subgrid.cli.reference`; do not edit. -->\n", _EXIT_CODES]
    out += ["| Command | What it does |\n| --- | --- |"]
    out += [f"| [`{name}`](#{name}) | {summary(command)} |" for name, command in commands().items()]
    for name, command in commands().items():
        context = command.make_context(f"subgrid {name}", [], resilient_parsing=True)
        paragraphs = [_fill(text) for text in command.help.split("\n\n")]
        usage = command.get_usage(context).removeprefix("Usage: ")
        entries = [parameter.get_help_record(context) for parameter in command.params]
        out += [f"\n## {name}\n", "\n\n".join(paragraphs), f"\n```text\n{usage}\n```\n"]
        out += [_fill(f"- `{term.partition(' <')[0]}`: {text}", "  ") for term, text in filter(None, entries)]
        out += [f"\n```bash\n{command.epilog.removeprefix('Example: ')}\n```"]
    return "\n".join(out) + "\n"


def summary(command: Any) -> str:
    """The first line of a command's help."""
    return str(command.help.partition("\n")[0])


def _fill(text: str, indent: str = "") -> str:
    return textwrap.fill(" ".join(text.split()), 118, subsequent_indent=indent, break_on_hyphens=False)


if __name__ == "__main__":
    sys.stdout.write(page())
