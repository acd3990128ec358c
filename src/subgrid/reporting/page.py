"""Lays the report out: figures with their texts, the template, the file."""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from subgrid import figures
from subgrid.errors import RunError
from subgrid.files import replacing
from subgrid.reporting.load import Run, load_run
from subgrid.reporting.numbers import run_labels, summary, verdict
from subgrid.reporting.pictures import curves_of, sections_of
from subgrid.reporting.tables import score_tables

MAX_BYTES = 5_000_000
START_DPI = 96
LEAST_DPI = 40
GREYS = 32  # of the 256 colours in the image of a map, for its text and lines


def verdict_of(run: str | Path) -> str:
    """One sentence on an evaluated run: its RMSE beside the better baseline's, variable by variable."""
    return verdict(load_run(Path(run))).text


def report(runs: Sequence[str | Path], out: str | Path) -> Path:
    """Write one HTML file that shows how well runs did, and what they were.

    The file holds its figures and needs no network. Its size stays under `MAX_BYTES`: figures are drawn at
    `START_DPI` dots per inch, and where that makes the file too large with fewer, in proportion to the excess,
    down to `LEAST_DPI`.

    Args:
        runs: run directories, each evaluated.
        out: the HTML file; its folder is made if need be, an existing file replaced in one step.

    Returns:
        `out` as a path.

    Raises:
        RunError: no run given, one given twice, a directory missing or incomplete, a run not evaluated, or
            `out` is a directory.
    """
    out = Path(out)
    if out.is_dir():
        raise RunError(f"{out} is a directory; expected the name of a file to write, e.g. {out / 'report.html'}.")
    if not runs:
        raise RunError("a report needs at least one run directory; got none.")
    paths = [Path(path) for path in runs]
    for i, path in enumerate(paths):
        if path.resolve() in [other.resolve() for other in paths[:i]]:
            raise RunError(f"{path} is given twice; name each run once.")
    text = _render(_page([load_run(path) for path in paths]))
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return out


def _render(page: dict[str, Any]) -> str:
    """Fill the template, the images as sharp as the size allows (see `report`)."""
    template, dpi = _template(), START_DPI
    while True:
        text = template.render(page, dpi=dpi, png=partial(_data_uri, dpi=dpi))
        size = len(text.encode())
        if size < MAX_BYTES or dpi == LEAST_DPI:
            return text
        # fields with cells larger than a dot shrink more slowly than the number of dots
        dpi = max(LEAST_DPI, int(dpi * min(0.85, (MAX_BYTES / size) ** 0.7)))


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("subgrid", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2")


def _data_uri(figure: Figure, *, dpi: int) -> str:
    """Draw a figure as PNG; one with maps in a palette of its colour maps and greys, a quarter of the size."""
    images = [image for ax in figure.axes for image in ax.get_images()]
    maps = {image.get_cmap().name: image.get_cmap() for image in images}
    buffer = io.BytesIO()
    quick = {"compress_level": 1} if maps else {}  # to be packed again below
    figure.savefig(buffer, format="png", dpi=dpi, pil_kwargs=quick)
    if maps:
        levels = np.linspace(0.0, 1.0, (256 - GREYS) // len(maps))
        greys = np.linspace(0.0, 1.0, GREYS)[:, None].repeat(3, axis=1)
        colours = np.concatenate([greys, *(cmap(levels)[:, :3] for cmap in maps.values())])
        palette = Image.new("P", (1, 1))
        palette.putpalette(np.round(255 * colours).astype(np.uint8).tobytes())
        full, buffer = Image.open(buffer).convert("RGB"), io.BytesIO()
        full.quantize(palette=palette, dither=Image.Dither.NONE).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _page(runs: Sequence[Run]) -> dict[str, Any]:
    """Everything the template shows, figures not yet encoded."""
    labels = run_labels([run.path for run in runs])
    one = len(runs) == 1
    title = f"{runs[0].system}: super-resolution report" if one else f"Super-resolution report on {len(runs)} runs"
    return {
        "title": title,
        "verdict": verdict(runs[0]) if one else summary(runs, labels),
        "scores": score_tables(runs, labels),
        "runs": [_section(run, label) for run, label in zip(runs, labels, strict=True)],
        "start_dpi": START_DPI,
        "max_megabytes": MAX_BYTES // 1_000_000,
    }


def _section(run: Run, label: str) -> dict[str, Any]:
    return {
        "label": label,
        "system": run.system,
        "verdict": verdict(run),
        "facts": _facts(run),
        "paired": run.histograms is None,
        "sections": sections_of(run),
        "curves": curves_of(run),
        "settings": _groups(run.config),
        "provenance": {key.replace("_", " "): _provenance(key, value) for key, value in run.provenance.items()},
    }


def _facts(run: Run) -> list[tuple[str, str]]:
    """The evaluation in a few words: term and text."""
    about = run.evaluation
    units = {name: figures.pretty_units(str(unit or "")) for name, unit in about["units"].items()}
    # to the minute: a datetime64 has nanoseconds, which nobody reads
    first, last = (re.sub(r"^(\d+-\d\d-\d\d)[T ](\d\d:\d\d)\S*$", r"\1 \2", str(t)) for t in about["period"])
    return [
        ("System", f"{run.system}, weights “{about['weights']}”{_between(about)}"),
        ("Generator", f"{about['parameters']:,} parameters"),
        ("Factor", f"{about['factor']} fine cells per coarse cell, along each axis"),
        ("Variables", ", ".join(f"{name} ({unit})" if unit else name for name, unit in units.items())),
        ("Test times", f"{about['num_times']:,}, {first} to {last}"),
        *([("Fields compared", f"{about['num_fields']} of each set")] if about.get("unpaired") else []),
    ]


def _between(about: dict[str, Any]) -> str:
    """How far interpolated weights are from those of the content stage; older evaluations do not say."""
    share = about.get("interpolate")
    return "" if share is None else f", {share:g} of the way there from “content”"


def _groups(config: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
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
    """One entry, by how it is best shown: `rows`, `items`, `code` or `text`."""
    if key == "command":
        return {"code": value if isinstance(value, str) else shlex.join(map(str, value))}
    if value in ("", [], {}, None):
        return {"text": "none"}
    if isinstance(value, Mapping):
        return {"rows": list(_rows(value))}
    if isinstance(value, list):
        return {"items": [_text(item) for item in value]}
    return {"text": _text(value)}
