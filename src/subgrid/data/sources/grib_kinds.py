"""Refuse a GRIB variable that is given in several kinds, naming the key that chooses among them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.sources.fields import Part
from subgrid.data.sources.grib_cubes import CHOICES
from subgrid.errors import SourceError


def require_one_kind(pieces: Sequence[tuple[Part, xr.Dataset]], where: str) -> None:
    """Raise SourceError where a GRIB file holds a variable in several kinds and none is selected."""
    by_name: dict[tuple[str, Any], list[xr.Dataset]] = {}
    for part, ds in pieces:
        for name in ds.data_vars:
            by_name.setdefault((str(name), part.path), []).append(part.ds)
    repeated = {name: kinds for (name, path), kinds in by_name.items() if path is not None and len(kinds) > 1}
    if not repeated:
        return
    name, kinds = next(iter(repeated.items()))
    single = sorted({name for name, _ in by_name} - set(repeated))
    rest = f" Of one kind only: {', '.join(single)}." if single else ""
    keys, first = _telling_keys(kinds)
    described = [", ".join(_describe_kind(ds, key) for key in keys) for ds in kinds]
    choice = ", ".join(f"{key} = {json.dumps(value)}" for key, value in zip(keys, first, strict=True))
    raise SourceError(
        f"{where}: the variable {name!r} is given in {len(kinds)} kinds, by {' and '.join(keys)}: {'; '.join(described)}. "
        f"Choose the variables and the kind, e.g. select = {{{choice}}}.{rest}"
    )


def _telling_keys(kinds: Sequence[xr.Dataset]) -> tuple[list[str], list[Any]]:
    """Give the key that has another value in each data set, else two that differ; give also their first values."""
    labels = {key: [ds.coords[key].item() if key in ds.coords else None for ds in kinds] for key in CHOICES}
    different = [key for key, values in labels.items() if len(set(values) - {None}) > 1]
    telling = [key for key in different if len(set(labels[key])) == len(kinds)]
    keys = telling[:1] or different[:2] or ["typeOfLevel"]
    return keys, [labels[key][0] for key in keys]


def _describe_kind(ds: xr.Dataset, key: str) -> str:
    """Describe what keeps a GRIB data set apart: the value of a key, a kind of level with its levels."""
    kind = str(ds.coords[key].item()) if key in ds.coords else "none"
    if key != "typeOfLevel" or kind not in ds.coords:
        return kind
    values = np.atleast_1d(ds[kind].values)
    return f"{kind} ({', '.join(f'{v:g}' for v in values[:4])}{', ...' if values.size > 4 else ''})"
