"""Fills the page's template and writes the file: contents, scripts, images as large as the file's size allows."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from bokeh.document import Document
from bokeh.embed import components
from bokeh.resources import Resources
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from subgrid.errors import RunError
from subgrid.io.atomic import replacing
from subgrid.reporting.figures.fields import ROBUST_PERCENT
from subgrid.reporting.interactive import GroupFigures, SystemGroup, draw_group

MAX_BYTES = 6_000_000
FIELD_BYTES = 2_300_000  # of them for the fields of the maps
START_DPI = 96
LEAST_DPI = 40
_HEAD = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<"""  # of the template; earlier versions have no more that names their maker
NUM_GREYS = 32  # of the 256 colours in the image of a map, for its text and lines


def check_out(out: str | Path) -> Path:
    """Return the file to write.

    Raises:
        RunError: it is a directory, or a file that is no page of this program.
    """
    out = Path(out)
    if out.is_file() and not _is_page(out):
        raise RunError(f"{out} already exists and is no report of this program; choose another name (out, or --out).")
    if out.is_dir():
        raise RunError(f"{out} is a directory; expected the name of a file to write, e.g. {out / 'report.html'}.")
    return out


def _is_page(path: Path) -> bool:
    """Whether a file is a page that `write_page` wrote; also true of an empty file, as nothing is lost with it."""
    with path.open("rb") as file:
        return file.read(len(_HEAD)) in (_HEAD, b"")


def write_page(page: Mapping[str, Any], groups: Sequence[SystemGroup], out: Path) -> Path:
    """Fill the template and write the file whole.

    Args:
        page: what the template shows apart from the groups.
        groups: systems whose interactive figures the page holds.
        out: the file.
    """
    num_with_maps = sum(group.samples is not None for group in groups)
    drawn = [draw_group(group, max_bytes=FIELD_BYTES // max(num_with_maps, 1)) for group in groups]
    text = _render(dict(page) | {"contents": table_of_contents(page, drawn)}, drawn)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return out


def _render(page: Mapping[str, Any], groups: Sequence[GroupFigures]) -> str:
    """Fill the template, with images as sharp as the size allows (see `report`)."""
    environment = _environment()
    parts = {
        "groups": groups,
        **_bokeh_parts({name: plot for group in groups for name, plot in group.bokeh_figures().items()}),
        "style": Markup(_source(environment, "report.css")),
        "behaviour": Markup(_source(environment, "report.js")),
        "limits": f"limits: percentiles {ROBUST_PERCENT[0]:g} and {ROBUST_PERCENT[1]:g} of the truth",
        "several_seeds": any(len(tables) > 1 for one in groups for tables in one.group.histories.values()),
        "start_dpi": START_DPI,
        "max_megabytes": MAX_BYTES // 1_000_000,
    }
    template, dpi = environment.get_template("report.html.j2"), START_DPI
    has_images = any(section.pictures for run in page["runs"] for section in run["sections"])
    while True:
        text = template.render(page, **parts, dpi=dpi if has_images else None, png=partial(_data_uri, dpi=dpi))
        size = len(text.encode())
        if size < MAX_BYTES or dpi == LEAST_DPI or not has_images:
            return text
        # fields with cells larger than a dot shrink more slowly than the number of dots
        dpi = max(LEAST_DPI, int(dpi * min(0.85, (MAX_BYTES / size) ** 0.7)))


def _bokeh_parts(plots: Mapping[str, Any]) -> dict[str, Any]:
    """BokehJS, the script with the data of all figures, and the element of each; empty without figures."""
    if not plots:
        return {"library": "", "script": "", "divs": {}}
    document = Document()
    with document.models.freeze():  # without it, Bokeh goes through all models again for each figure
        for plot in plots.values():
            document.add_root(plot)
    script, divs = components(plots, wrap_plot_info=True)
    return {
        "library": Markup("".join(Resources(mode="inline", components=["bokeh"]).js_raw)),
        "script": Markup(script),
        "divs": {name: Markup(div) for name, div in divs.items()},
    }


def _environment() -> jinja2.Environment:
    loader = jinja2.PackageLoader("subgrid.reporting", "templates")
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _source(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def table_of_contents(page: Mapping[str, Any], groups: Sequence[GroupFigures]) -> list[tuple[str, str]]:
    """Links to the page's sections in their order, as (id, title)."""
    links = [("ranking", "Ranking")] if page["ranking"] else []
    links += [("arms", "Arms")] if page["study"] else []
    for figures in groups:
        key = figures.group.key
        if figures.group.label:
            links.append((key, figures.group.label))
            continue
        sections = {
            "maps": ("Maps", figures.maps),
            "trade": ("Distortion and realism", figures.trade_offs),
            "profiles": ("Profiles", figures.profiles),
            "spectra": ("Spectra", figures.spectra),
            "training": ("Training", figures.curves or figures.losses),
        }
        links += [(f"{key}-{section}", title) for section, (title, content) in sections.items() if content]
    links += [("scores", "Scores")] if page["scores"] else []
    if not page["single"]:
        return links + [(f"run{i + 1}", run["label"]) for i, run in enumerate(page["runs"])]
    for run in page["runs"]:
        links += [(f"run1-{section.slug}", section.title) for section in run["sections"]]
    return [*links, ("run1-settings", "Settings"), ("run1-provenance", "Provenance")]


def _data_uri(figure: Figure, *, dpi: int) -> str:
    """Draw a figure as PNG; one with maps in a palette of its colour maps and greys, which is a quarter of the size."""
    images = [image for ax in figure.axes for image in ax.get_images()]
    maps = {image.get_cmap().name: image.get_cmap() for image in images}
    buffer = io.BytesIO()
    fast = {"compress_level": 1} if maps else {}  # compressed again below
    figure.savefig(buffer, format="png", dpi=dpi, pil_kwargs=fast)
    if maps:
        levels = np.linspace(0.0, 1.0, (256 - NUM_GREYS) // len(maps))
        greys = np.linspace(0.0, 1.0, NUM_GREYS)[:, None].repeat(3, axis=1)
        colours = np.concatenate([greys, *(cmap(levels)[:, :3] for cmap in maps.values())])
        palette = Image.new("P", (1, 1))
        palette.putpalette(np.round(255 * colours).astype(np.uint8).tobytes())
        full, buffer = Image.open(buffer).convert("RGB"), io.BytesIO()
        full.quantize(palette=palette, dither=Image.Dither.NONE).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
