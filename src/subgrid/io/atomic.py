"""Files that are replaced whole: a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file beside its place and move it there when it is complete.

    Args:
        path: the file to make or replace.

    Yields:
        The path to write to, in the same folder; removed again if the writing fails.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON document, replacing the file whole."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
