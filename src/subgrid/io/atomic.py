"""Writing whole files: a reader sees the old file or the new one, never a part of one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a temporary file in the same folder and rename it to its final name when it is complete.

    Args:
        path: the file to create or replace.

    Yields:
        The temporary path to write to. It is removed if writing fails.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, replacing it whole."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON document, replacing the file whole."""
    write_text(path, json.dumps(content, indent=2))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index, floats in full precision, replacing the file whole."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def write_netcdf(path: Path, fields: xr.Dataset, encoding: Mapping[str, Any] | None = None) -> None:
    """Write a Dataset as NetCDF 4, replacing the file whole; `encoding` as for xarray's `to_netcdf`."""
    with replacing(path) as temporary:
        fields.to_netcdf(temporary, engine="netcdf4", encoding=encoding)
