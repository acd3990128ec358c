"""The command line."""

from subgrid.cli.commands import app, main

__all__ = ["app", "main"]
