"""The files that a source is read from, so that no output is written over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from subgrid.data.sources.readers import find_paths
from subgrid.errors import SourceError


def input_paths(source: str | Path | Sequence[str | Path] | xr.Dataset | None) -> list[Path]:
    """Return the files and folders of a source; empty where there is none, or where it does not exist.

    Those of an open Dataset are known as far as xarray recorded them.
    """
    if source is None:
        return []
    if isinstance(source, xr.Dataset):
        encodings = [source.encoding, *(variable.encoding for variable in source.variables.values())]
        names = {str(encoding["source"]) for encoding in encodings if encoding.get("source")}
        return [Path(name) for name in sorted(names) if Path(name).exists()]
    try:
        return find_paths(source)
    except SourceError:  # which whoever opens it reports
        return []
