"""Facts on a run as rows of text: its evaluation, its settings and its provenance."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from subgrid.reporting.evaluated_run import EvaluatedRun
from subgrid.reporting.format_numbers import name_with_units


def evaluation_facts(run: EvaluatedRun) -> list[tuple[str, str]]:
    """Facts on the evaluation, as (term, text)."""
    about = run.evaluation
    # to the minute: a datetime64 is written with nanoseconds
    first, last = (re.sub(r"^(\d+-\d\d-\d\d)[T ](\d\d:\d\d)\S*$", r"\1 \2", str(t)) for t in about["period"])
    return [
        ("System", f"{run.system}, weights “{about['weights']}”{_interpolation(about)}"),
        ("Generator", f"{about['parameters']:,} parameters"),
        ("Factor", f"{about['factor']} fine cells per coarse cell, along each axis"),
        ("Variables", ", ".join(name_with_units(name, str(unit or "")) for name, unit in about["units"].items())),
        ("Test times", f"{about['num_times']:,}, {first} to {last}"),
        *([("Fields compared", f"{about['num_fields']} of each set")] if about.get("unpaired") else []),
    ]


def _interpolation(about: Mapping[str, Any]) -> str:
    """Share of the final weights in interpolated ones; evaluations of earlier versions do not record it."""
    share = about.get("interpolate")
    return "" if share is None else f", interpolated {share:g} of the way from the content-stage weights"


def setting_groups(config: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Flatten a nested config to one table per section, inner keys joined by dots."""
    plain = [(key, _text(value)) for key, value in config.items() if not isinstance(value, Mapping)]
    groups = {key: list(_rows(value)) for key, value in config.items() if isinstance(value, Mapping)}
    return {"general": plain, **groups} if plain else groups


def _rows(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from _rows(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "not set"
    if value in ({}, []):
        return "none"
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(str(item) for item in value)
    return json.dumps(value, ensure_ascii=False)


def _provenance(key: str, value: Any) -> dict[str, Any]:
    """One entry, under the form in which the page shows it: `rows`, `items`, `code` or `text`."""
    if key == "command":
        return {"code": value if isinstance(value, str) else shlex.join(map(str, value))}
    if value in ("", [], {}, None):
        return {"text": "none"}
    if isinstance(value, Mapping):
        return {"rows": list(_rows(value))}
    if isinstance(value, list):
        return {"items": [_text(item) for item in value]}
    return {"text": _text(value)}


def provenance_entries(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts on the origin of a run or study, each under the form in which the page shows it."""
    return {key.replace("_", " "): _provenance(key, value) for key, value in facts.items()}
