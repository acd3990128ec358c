"""A first configuration for a user's files: what `check` finds in them, written as commented TOML."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subgrid.config.files import flatten, load_recipe
from subgrid.config.reference import as_toml, fields
from subgrid.data.check import SourceReport, check
from subgrid.data.grid import spatial_dims
from subgrid.data.sources.open_source import open_source
from subgrid.data.sources.readers import find_paths
from subgrid.data.splits import SHARES, SPLITS, split_times
from subgrid.errors import ConfigError, SourceError
from subgrid.io.console import Notify, Progress, silent

SYSTEM = "srgan"
FACTORS = (4, 2, 8)  # in order of preference; powers of two, as the generator of the system needs
MIN_CELLS = 16  # along each axis; the smallest field that the discriminator of the system accepts
GAPS = ("5d", "3d", "2d", "1d", "12h", "6h")
GAP_SHARE = 0.05  # the gap takes at most this share of the time that the source covers
ALIGNED_DAYS = 20  # sources that cover at least as many days are split at the beginning of a day
_OFFERED = {
    "": ("seed",),
    "data": ("static", "static_source", "coarse_source", "season", "coarsen"),
    "train": ("updates", "batch", "patch", "learning_rate", "validate_every", "ema", "device"),
}
"""Settings that are written as comments, with their descriptions and values."""
_EXAMPLES = {
    "data.static": ["sin_latitude", "cos_latitude"],
    "data.static_source": "static.nc",
    "data.coarse_source": "coarse.nc",
    "data.season": "DJF",
}


def init(
    source: str | Path | Sequence[str | Path],
    *,
    variables: Sequence[str] | None = None,
    factor: int | None = None,
    select: Mapping[str, Any] | None = None,
    start: str | None = None,
    step: str | None = None,
    progress: Progress = silent,
    notify: Notify = silent,
) -> str:
    """Check files and write a first configuration for them, with comments.

    The configuration takes all variables that can be used, the first label of each further dimension, three periods with a gap
    between them, and a factor that divides the grid. Variables without a time axis become static fields.

    Args:
        source: a file, a Zarr folder, a glob, or a list of these.
        variables: names to use; all by default.
        factor: fine cells per coarse cell along an axis, a power of two; by default 4, 2 or 8, the first that divides the grid.
        select: labels of further dimensions; by default the first label of each.
        start: time of the first field, for files that hold no dates, such as .npy.
        step: time between their fields, such as "1h" or "1 month".
        progress: called with (blocks checked, blocks in all).
        notify: called with each remark on the files.

    Returns:
        The text of a TOML file that `train` accepts.

    Raises:
        ConfigError: for a factor that the system of the configuration cannot be built with.
        SourceError: if the files hold nothing to train on.
    """
    if factor is not None and (factor < 2 or factor & (factor - 1)):
        raise ConfigError(f"factor: got {factor}, but the generator of {SYSTEM} needs a power of two: 2, 4, 8, ...")
    with open_source(source, variables=variables, select=select, start=start, step=step) as fine:
        chosen, unlabelled = _labels(fine)
        chosen = {**(select or {}), **chosen}
        names = [str(name) for name, field in fine.items() if not unlabelled & set(map(str, field.dims))]
        factor = factor or _fitting_factor(fine)
        report = check(source, variables=names, select=chosen, factor=factor, start=start, step=step, progress=progress)
        taken = _choices(fine, {dim: label for dim, label in chosen.items() if dim not in (select or {})})
        for line in (*report.remarks, *taken):
            notify(line)
        usable = _usable(names, report)
        settings = _data_settings(fine, usable, source if isinstance(source, str) else _paths(source))
        settings |= {"data.factor": factor, "data.select": chosen, "data.start": start, "data.step": step}
        described = [_describe(fine[name]) for name in settings["data.variables"]]
        notes = {"data.variables": described, "data.select": _choices(fine, chosen)}
    return _toml_text({key: value for key, value in settings.items() if value}, notes, report.summary[-2:])


def _data_settings(fine: xr.Dataset, usable: Sequence[str], paths: str | list[str]) -> dict[str, Any]:
    """Variables, static fields and periods."""
    timed = [name for name in usable if "valid_time" in fine[name].dims]
    if not timed:
        raise SourceError("no variable can be used for training; the remarks say why.")
    static = [name for name in usable if name not in timed]
    holder = _static_holder(paths, static) if static else None
    return {
        "data.source": paths,
        "data.variables": timed,
        "data.static": static if holder else None,
        "data.static_source": holder,
        **_periods(fine["valid_time"]),
    }


def _static_holder(paths: str | list[str], static: Sequence[str]) -> str | list[str] | None:
    """The source of the static fields: all paths, or the first file with all fields where each file repeats them."""
    for candidate in (paths, *map(str, find_paths(paths))):
        try:
            open_source(candidate, variables=static).close()
        except SourceError:
            continue
        return candidate
    return None


def _usable(names: Sequence[str], report: SourceReport) -> list[str]:
    """The variables without an error; an error of the grid or the times is raised."""
    errors = [finding for finding in report.findings if finding.level == "error"]
    faulty = {name for finding in errors for name in finding.where.split(", ")}
    if not faulty <= set(names):
        raise SourceError(f"{errors[0].text} {errors[0].fix}".strip())
    return [name for name in names if name not in faulty]


def _paths(source: Path | Sequence[str | Path]) -> str | list[str]:
    """Paths as a configuration writes them."""
    paths = [str(source)] if isinstance(source, Path) else [str(path) for path in source]
    return paths[0] if len(paths) == 1 else paths


def _labels(fine: xr.Dataset) -> tuple[dict[str, Any], set[str]]:
    """The first label of each further dimension, and the dimensions without labels to choose from."""
    select: dict[str, Any] = {}
    unlabelled = set()
    for dim in (str(d) for d in fine.dims if d not in ("valid_time", *spatial_dims(fine))):
        label = fine[dim].values[0].item() if dim in fine.coords else 0
        if label != label:
            unlabelled.add(dim)
        else:
            select[dim] = label if isinstance(label, int | float | str) else str(label)
    return select, unlabelled


def _choices(fine: xr.Dataset, select: Mapping[str, Any]) -> list[str]:
    """All labels of the further dimensions."""
    lines = []
    for dim in (dim for dim in select if dim in fine.dims):
        labels = [str(label) for label in fine[dim].values.tolist()]
        more = ", ..." if len(labels) > 20 else ""
        lines.append(f"{dim}: {', '.join(labels[:20])}{more}; {select[dim]} is selected")
    return lines


def _fitting_factor(fine: xr.Dataset) -> int:
    """The first of `FACTORS` that divides both axes; 4, or 2 on very small grids, where none does."""
    sizes = [fine.sizes[dim] for dim in spatial_dims(fine)]
    fitting = [factor for factor in FACTORS if all(size % factor == 0 and size >= 2 * factor for size in sizes)]
    return fitting[0] if fitting else 4 if min(sizes) >= MIN_CELLS else 2


def _periods(valid_time: xr.DataArray) -> dict[str, Any]:
    """Three periods in the order of time, and a gap between them that leaves each of them enough times."""
    count = valid_time.size
    if count < len(SPLITS):
        times = f"{count} time{'s' if count > 1 else ''}"
        raise SourceError(f"the source holds {times}; training, validation and test need at least {len(SPLITS)}.")
    texts = [str(text) for text in valid_time.dt.strftime("%Y-%m-%dT%H:%M").values]
    days = _days(valid_time.values[-1] - valid_time.values[0])
    cuts = _cuts(texts, days)
    ends = [*(cut - 1 for cut in cuts[1:]), count - 1]
    length = 10 if all(texts[end][:10] < texts[end + 1][:10] for end in ends[:-1]) else None  # whole days
    periods = {
        name: (texts[first][:length], texts[last][:length])
        for name, first, last in zip(SPLITS, cuts, ends, strict=True)
    }
    gap = _fitting_gap(valid_time, periods, days)
    return {f"data.{name}": list(period) for name, period in periods.items()} | ({"data.gap": gap} if gap else {})


def _cuts(texts: Sequence[str], days: float) -> list[int]:
    """Where each period begins; of long series with several times a day, at the first time of a day."""
    count = len(texts)
    cuts = [0, min(max(int(SHARES[0] * count), 1), count - 2)]
    cuts.append(min(max(int(SHARES[1] * count), cuts[1] + 1), count - 1))
    if days >= ALIGNED_DAYS and days / (count - 1) < 1:
        cuts = [next(i for i in range(count) if texts[i][:10] == texts[cut][:10]) for cut in cuts]
    return cuts


def _fitting_gap(valid_time: xr.DataArray, periods: Mapping[str, tuple[str, str]], days: float) -> str | None:
    """The first of `GAPS` that is at least one step, a small share of the series, and leaves each period its times."""
    step = days / (valid_time.size - 1)
    for gap in GAPS:
        length = _days(np.timedelta64(int(gap[:-1]), "D" if gap[-1] == "d" else "h"))
        if step <= length <= GAP_SHARE * days:
            with suppress(ConfigError):
                split_times(valid_time, periods, gap=gap)
                return gap
    return None


def _days(duration: Any) -> float:
    """A length of time, of numpy or of the standard library, in days."""
    return float(
        duration / np.timedelta64(1, "D") if isinstance(duration, np.timedelta64) else duration.total_seconds() / 86400
    )


def _describe(variable: xr.DataArray) -> str:
    units = variable.attrs.get("units", "no units")
    return f"{variable.name}: {variable.attrs.get('long_name', variable.attrs.get('standard_name', 'no long name'))}, {units}"


def _toml_text(settings: Mapping[str, Any], notes: Mapping[str, Sequence[str]], summary: Sequence[str]) -> str:
    """The settings table by table, with descriptions; those that are only offered are comments themselves."""
    described = {setting.key: setting for setting in fields()}
    recipe = flatten(load_recipe(SYSTEM))
    out = [
        "# A first configuration, written by `subgrid init`. Train with it: subgrid train FILE",
        "# A setting that is written as #key = value has this value already, or is an example; remove the # to change it.",
        "# `subgrid settings` describes all settings, `subgrid systems` all systems.",
        *(f"# {line}" for line in summary),
        "",
        f"system = {as_toml(SYSTEM)}",
    ]
    for table, offered in _OFFERED.items():
        chosen = [key for key in described if key in settings and key.rpartition(".")[0] == table]
        more = [key for key in (f"{table}.{name}".lstrip(".") for name in offered) if key not in settings]
        out += ["", f"[{table}]"] if table else []
        for key in (*chosen, *more):
            value = settings.get(key, recipe.get(key, _EXAMPLES.get(key)))
            text = described[key].default if value is None else as_toml(value)
            mark = "" if key in settings else "#"
            out += ["", *_comment(described[key].description), *(f"#   {note}" for note in notes.get(key, ()))]
            out.append(f"{mark}{key.rpartition('.')[2]} = {text}")
    return "\n".join(out) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 118, initial_indent="# ", subsequent_indent="# ", break_long_words=False)
