"""What the user reads when a command was stopped, by Ctrl-C or by the file system: what is kept, and how to continue."""

from __future__ import annotations

import errno
from collections.abc import Sequence

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_OTHER = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EIO, errno.ENOTEMPTY)
FILE_ERRORS = (*_FULL, *_REFUSED, *_OTHER)
"""Errors of the operating system that a user can put right, by number."""

_KEPT = {
    "prepare": "The blocks that were written are kept; the same command continues after them.",
    "train": "Completed checkpoints are kept; continue with the same command and --resume.",
    "study": "Finished runs and completed checkpoints are kept; the same command continues.",
    "evaluate": "Earlier scores are kept as they were; run the same command again.",
    "score": "Earlier scores are kept as they were; run the same command again.",
    "downscale": "No incomplete output is left, and an earlier one is kept as it was; run the same command again.",
    "sample": "No incomplete output is left, and an earlier one is kept as it was; run the same command again.",
    "report": "An earlier page is kept as it was; run the same command again.",
    "demo": "Its folder holds what was finished; remove it, and run the same command again.",
}


def what_is_kept(arguments: Sequence[str]) -> str:
    """Say what a stopped command leaves and how to continue; empty for one that writes nothing.

    Args:
        arguments: the words of the command line, the program first.
    """
    return _KEPT.get(next((word for word in arguments[1:] if not word.startswith("-")), ""), "")


def describe_file_error(error: OSError, arguments: Sequence[str]) -> str:
    """Say which file could not be written or read, why, what is kept, and what to do.

    Args:
        error: one of `FILE_ERRORS`.
        arguments: the words of the command line, the program first.
    """
    from subgrid.io.atomic import final_names

    name = error.filename.decode(errors="replace") if isinstance(error.filename, bytes) else error.filename
    where = final_names(str(name)) if name is not None else "a file cannot be written"
    if error.errno in _FULL:
        advice = "Make room, or write to another disk."
    elif error.errno in _REFUSED:
        advice = "Give another path, or change its permissions."
    else:
        advice = "Give another path."
    return f"{where}: {error.strerror or error}. {advice} {what_is_kept(arguments)}"
