"""Errors that a user can act on: what is wrong, where, what was found, what was expected, and the fix.

Every error of these types ends a command with one line and exit code 2. Anything else is a bug of ours and keeps
its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SubgridError(Exception):
    """Something the user can mend; the message says how."""


class ConfigError(SubgridError):
    """A configuration that cannot be used: unknown key, wrong type, value out of range."""


class SourceError(SubgridError):
    """A data source that cannot be used as it is."""


class GridError(SubgridError):
    """A horizontal grid, or a pair of grids, that super-resolution cannot work on."""


class RunError(SubgridError):
    """A run directory or training store that is missing, incomplete or does not fit."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """Say which valid choice a wrong word most resembles.

    Args:
        word: what was given.
        choices: what would have been valid.

    Returns:
        `` Did you mean 'x'?`` (with a leading space) or, where nothing is close, `` Valid: a, b, c.``
    """
    names = sorted(str(choice) for choice in choices)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Valid: {', '.join(names)}." if names else ""
