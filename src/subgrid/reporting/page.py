"""Lays the page out: what it shows of runs, the template, the file."""

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
import pandas as pd
from bokeh.embed import components
from bokeh.resources import Resources
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from subgrid.errors import RunError
from subgrid.io.atomic import write_text
from subgrid.reporting import figures
from subgrid.reporting.evaluated_run import Run, load_run
from subgrid.reporting.figures.fields import ROBUST_PERCENT
from subgrid.reporting.figures.interactive_points import Point
from subgrid.reporting.format_numbers import name_with_units
from subgrid.reporting.interactive import Shown, Subject, better, points_of, show
from subgrid.reporting.merge_runs import side_by_side
from subgrid.reporting.ranking import rank
from subgrid.reporting.score_columns import columns_of
from subgrid.reporting.score_tables import score_tables
from subgrid.reporting.static_figures import sections_of
from subgrid.reporting.verdict import run_labels, summary, verdict
from subgrid.scores.registry import BASELINES

MAX_BYTES = 6_000_000
FIELD_BYTES = 2_300_000  # of them for the fields of the maps
START_DPI = 96
LEAST_DPI = 40
GREYS = 32  # of the 256 colours in the image of a map, for its text and lines


def verdict_of(run: str | Path) -> str:
    """One sentence on an evaluated run: its RMSE beside the better baseline's, variable by variable."""
    return verdict(load_run(Path(run))).text


def report(runs: Sequence[str | Path], out: str | Path) -> Path:
    """Write one HTML file that shows how well runs did, and what they were.

    The file holds its figures and the library that moves them, and needs no network. Its size stays under `MAX_BYTES`: the maps
    hold as many times, levels and cells as fit into `FIELD_BYTES`, and pictures are drawn at `START_DPI` dots per inch, or
    fewer where that makes the file too large, down to `LEAST_DPI`. Runs of one truth share their maps and lines.

    Args:
        runs: run directories, each evaluated.
        out: the HTML file; its folder is made if need be, an existing file replaced in one step.

    Returns:
        `out` as a path.

    Raises:
        RunError: no run given, one given twice, a directory missing or incomplete, a run not evaluated, or
            `out` is a directory.
    """
    out = check_out(out)
    if not runs:
        raise RunError("a report needs at least one run directory; got none.")
    paths = [Path(path) for path in runs]
    for i, path in enumerate(paths):
        if path.resolve() in [other.resolve() for other in paths[:i]]:
            raise RunError(f"{path} is given twice; name each run once.")
    read = [load_run(path) for path in paths]
    labels = run_labels(paths)
    return write_page(_page(read, labels), _subjects(read, labels), out)


def check_out(out: str | Path) -> Path:
    """The file to write; refused where it is a folder."""
    out = Path(out)
    if out.is_dir():
        raise RunError(f"{out} is a directory; expected the name of a file to write, e.g. {out / 'report.html'}.")
    return out


def write_page(page: Mapping[str, Any], subjects: Sequence[Subject], out: Path) -> Path:
    """Fill the template and write the file whole.

    Args:
        page: what the template shows beside the subjects.
        subjects: systems whose figures the page draws.
        out: the file.
    """
    paired = sum(subject.samples is not None for subject in subjects)
    shown = [show(subject, max_bytes=FIELD_BYTES // max(paired, 1)) for subject in subjects]
    text = _render(dict(page) | {"contents": _contents(page, shown)}, shown)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, text)
    return out


def _render(page: Mapping[str, Any], shown: Sequence[Shown]) -> str:
    """Fill the template, the pictures as sharp as the size allows (see `report`)."""
    environment = _environment()
    models = {name: model for one in shown for name, model in one.models().items()}
    script, divs = components(models, wrap_plot_info=True) if models else ("", {})
    library = "".join(Resources(mode="inline", components=["bokeh"]).js_raw) if models else ""
    parts = {
        "subjects": shown,
        "script": Markup(script),
        "divs": {name: Markup(div) for name, div in divs.items()},
        "library": Markup(library),
        "style": Markup(_source(environment, "report.css")),
        "behaviour": Markup(_source(environment, "report.js")),
        "limits": f"limits: {ROBUST_PERCENT[0]:g} to {ROBUST_PERCENT[1]:g} % of the truth's values",
        "several_seeds": any(len(tables) > 1 for one in shown for tables in one.subject.histories.values()),
        "start_dpi": START_DPI,
        "max_megabytes": MAX_BYTES // 1_000_000,
    }
    template, dpi = environment.get_template("report.html.j2"), START_DPI
    drawn = any(section.pictures for run in page["runs"] for section in run["sections"])
    while True:
        text = template.render(page, **parts, dpi=dpi if drawn else None, png=partial(_data_uri, dpi=dpi))
        size = len(text.encode())
        if size < MAX_BYTES or dpi == LEAST_DPI or not drawn:
            return text
        # fields with cells larger than a dot shrink more slowly than the number of dots
        dpi = max(LEAST_DPI, int(dpi * min(0.85, (MAX_BYTES / size) ** 0.7)))


def _environment() -> jinja2.Environment:
    loader = jinja2.PackageLoader("subgrid.reporting", "templates")
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _source(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _contents(page: Mapping[str, Any], shown: Sequence[Shown]) -> list[tuple[str, str]]:
    """Links of the page's parts, in their order."""
    out = [("ranking", "Ranking")] if page["ranking"] else []
    out += [("arms", "Arms")] if page["study"] else []
    for one in shown:
        key = one.subject.key
        if one.subject.label:
            out.append((key, one.subject.label))
            continue
        parts = {
            "maps": ("Maps", one.maps),
            "trade": ("Distortion and realism", one.trade_offs),
            "profiles": ("Profiles", one.profiles),
            "spectra": ("Spectra", one.spectra),
            "training": ("Training", one.curves or one.losses),
        }
        out += [(f"{key}-{part}", title) for part, (title, there) in parts.items() if there]
    out += [("scores", "Scores")] if page["scores"] else []
    if not page["single"]:
        return out + [(f"run{i + 1}", run["label"]) for i, run in enumerate(page["runs"])]
    for run in page["runs"]:
        out += [(f"run1-{part.slug}", part.title) for part in run["sections"]]
    return [*out, ("run1-settings", "Settings"), ("run1-provenance", "Provenance")]


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


def _page(runs: Sequence[Run], labels: Sequence[str]) -> dict[str, Any]:
    """What the template shows beside the subjects, pictures not yet encoded."""
    one = len(runs) == 1
    paired = runs[0].histograms is None
    title = f"{runs[0].system}: super-resolution report" if one else f"Super-resolution report on {len(runs)} runs"
    single = (
        "RMSE over all test times, against the better of the two interpolations for each variable."
        if paired
        else "Fields drawn from noise are no forecast of any time, so no field is compared with another: the sets are."
    )
    return {
        "title": title,
        "verdict": verdict(runs[0]) if one else summary(runs, labels),
        "subtitle": single if one else "",
        "about": _facts(runs[0]) if one else [],
        "ranking": _ranking(runs, labels),
        "study": None,
        "scores": score_tables(runs, labels),
        "single": one,
        "runs": [_section(run, label) for run, label in zip(runs, labels, strict=True)],
    }


def _ranking(runs: Sequence[Run], labels: Sequence[str]) -> dict[str, Any] | None:
    """The ranked tables; None where the runs cannot be compared, or there is nothing to rank."""
    columns, comparable = columns_of(runs, labels)
    rows = [row for run in runs for row in run.overall.to_dict("records")]
    units = {(str(row["variable"]), str(row["score"])): str(row["units"]) for row in rows}
    tables = rank(columns, units, marked=len(runs) == 1) if comparable else []
    if not tables:
        return None
    known = any(cell.interval for table in tables for row in table.rows for cell in row.cells)
    brackets = "In brackets: intervals over the test times. " if known else ""
    intro = f"Best first, by the first score. {brackets}Scores tells what each is."
    return {"tables": tables, "intro": intro, "notes": []}


def _subjects(runs: Sequence[Run], labels: Sequence[str]) -> list[Subject]:
    """One for all runs of one truth; otherwise one each."""
    columns, comparable = columns_of(runs, labels)
    if len(runs) > 1 and comparable and all(run.histograms is None for run in runs):
        own = {column.label: column.name for column in columns if column.name not in BASELINES}
        named = {own[label]: run for run, label in zip(runs, labels, strict=True) if label in own}
        samples = side_by_side({name: [run.samples] for name, run in named.items()})
        spectra = side_by_side({name: [run.spectra] for name, run in named.items()})
        if samples is not None and len(named) == len(runs) and set(named) <= set(samples["system"].values):
            histories = {name: [run.history] for name, run in named.items()}
            first, second = list(named)[:2]
            return [Subject("all", "", samples, spectra, histories, _joint_points(named), (first, second))]
    single = len(runs) == 1
    return [
        _subject(run, f"s{i + 1}", "" if single else f"Figures of {label}")
        for i, (run, label) in enumerate(zip(runs, labels, strict=True))
    ]


def _subject(run: Run, key: str, label: str) -> Subject:
    """One run beside its baselines."""
    paired = run.histograms is None
    histories = {run.system: [run.history]}
    if not paired:
        return Subject(key, label, None, run.spectra, histories, {}, ("", ""))
    rmse = figures.rmse_at(run.samples, run.variables[0], 0)
    return Subject(key, label, run.samples, run.spectra, histories, points_of(run.overall), (better(rmse), run.system))


def _joint_points(named: Mapping[str, Run]) -> dict[tuple[str, str], list[Point]]:
    """Distortion and realism of all runs' systems, under the columns' names, baselines once."""
    tables = []
    for i, (name, run) in enumerate(named.items()):
        rows = run.overall
        keep = rows["system"] == run.system if i else rows["system"].notna()
        tables.append(rows[keep].replace({"system": {run.system: name}}))
    return points_of(pd.concat(tables))


def _section(run: Run, label: str) -> dict[str, Any]:
    return {
        "label": label,
        "verdict": verdict(run),
        "facts": _facts(run),
        "sections": sections_of(run),
        "settings": setting_groups(run.config),
        "provenance": provenance_entries(run.provenance),
    }


def provenance_entries(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts on how something was made, each by how it is best shown."""
    return {key.replace("_", " "): _provenance(key, value) for key, value in facts.items()}


def _facts(run: Run) -> list[tuple[str, str]]:
    """The evaluation in a few words: term and text."""
    about = run.evaluation
    # to the minute: a datetime64 has nanoseconds, which nobody reads
    first, last = (re.sub(r"^(\d+-\d\d-\d\d)[T ](\d\d:\d\d)\S*$", r"\1 \2", str(t)) for t in about["period"])
    return [
        ("System", f"{run.system}, weights “{about['weights']}”{_between(about)}"),
        ("Generator", f"{about['parameters']:,} parameters"),
        ("Factor", f"{about['factor']} fine cells per coarse cell, along each axis"),
        ("Variables", ", ".join(name_with_units(name, str(unit or "")) for name, unit in about["units"].items())),
        ("Test times", f"{about['num_times']:,}, {first} to {last}"),
        *([("Fields compared", f"{about['num_fields']} of each set")] if about.get("unpaired") else []),
    ]


def _between(about: dict[str, Any]) -> str:
    """How far interpolated weights are from those of the content stage; older evaluations do not say."""
    share = about.get("interpolate")
    return "" if share is None else f", {share:g} of the way there from “content”"


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
