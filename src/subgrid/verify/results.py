"""Scores with intervals out of parts on disk, by season, hour and area, and which systems cannot be told apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from subgrid.errors import ConfigError, nearest
from subgrid.verify.archive import Key, PartsReader
from subgrid.verify.blocks import find_breaks
from subgrid.verify.bootstrap import Interval, intervals, paired
from subgrid.verify.checks import FloatArray
from subgrid.verify.tasks import Task

COLUMNS = ("system", "variable", "score", "value", "lower", "upper", "units", "group", "standing", "convention")
ALL = "all"
BY = ("season", "hour", "region")
SEASONS = {"DJF": (12, 1, 2), "MAM": (3, 4, 5), "JJA": (6, 7, 8), "SON": (9, 10, 11)}
BEST, TIED, WORSE, OPEN = "best", "not told apart", "worse", ""


def score_table(
    reader: PartsReader,
    tasks: Mapping[Key, Task],
    *,
    by: Iterable[str] = (),
    level: float = 0.95,
    block: int | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Finish all scores.

    Args:
        reader: the parts of a comparison.
        tasks: (area, variable, score) to the task that made them.
        by: any of `season`, `hour`, `region`: rows for each beside those of all times and cells.
        level: of the intervals.
        block: length of the bootstrap's blocks, in times; None estimates it for each score.
        num_resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        One row a system, variable, score and group: value, lower, upper, units; group `all`, `season DJF`, `hour 06` or
        `region tropics`; standing `best`, `not told apart` (from the best, in pairs, at this level), `worse`, or empty where
        there is nothing to rank by; convention.

    Raises:
        ConfigError: an unknown grouping.
    """
    by = list(by)
    for name in by:
        if name not in BY:
            raise ConfigError(f"by: got {name!r}, expected some of {', '.join(BY)}.{nearest(name, BY)}")
    options = {"level": level, "block": block, "num_resamples": num_resamples, "seed": seed}
    rows = []
    for key in reader.all_keys():
        area = key[0]
        if area != ALL and "region" not in by:
            continue
        parts, task = reader.read(key), tasks[key]
        groups = _groups(reader, by) if area == ALL else [(f"region {area}", slice(None))]
        for group, chosen in groups:
            rows += _rows(parts[:, chosen], task, reader, group, chosen, options)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _groups(reader: PartsReader, by: Sequence[str]) -> Iterator[tuple[str, slice | NDArray[np.intp]]]:
    """All times, then those of each season and hour that occur."""
    yield ALL, slice(None)
    if "season" in by:
        months = reader.clock("month")
        for name, of_season in SEASONS.items():
            if (chosen := np.nonzero(np.isin(months, of_season))[0]).size:
                yield f"season {name}", chosen
    if "hour" in by:
        hours = reader.clock("hour")
        for hour in np.unique(hours):
            yield f"hour {hour:02d}", np.nonzero(hours == hour)[0]


def _rows(
    parts: FloatArray,
    task: Task,
    reader: PartsReader,
    group: str,
    chosen: slice | NDArray[np.intp],
    options: Mapping[str, object],
) -> list[tuple[object, ...]]:
    """A row a system for one score in one group."""
    breaks = find_breaks(reader.clock("second")[chosen])
    found = [intervals(one, task.score.finish, breaks=breaks, **options) for one in parts]  # type: ignore[arg-type]
    standings = _standings(parts, found, task.score.finish, task.score.best, breaks, options)
    return [
        (
            system,
            task.variable,
            task.score.name,
            one.value,
            one.lower,
            one.upper,
            task.units,
            group,
            standing,
            task.said,
        )
        for system, one, standing in zip(reader.systems, found, standings, strict=True)
    ]


def _standings(
    parts: FloatArray,
    found: Sequence[Interval],
    finish: object,
    best: float,
    breaks: object,
    options: Mapping[str, object],
) -> list[str]:
    """The best system, and whether each other one can be told apart from it in pairs."""
    off = [abs(one.value - best) for one in found]
    if math.isnan(best) or len(off) < 2 or not np.isfinite(off).all():
        return [OPEN] * len(off)
    first = int(np.argmin(off))
    out = []
    for i, one in enumerate(found):
        if i == first:
            out.append(BEST)
        elif math.isnan(one.lower):
            out.append(OPEN)
        else:
            gap = paired(parts[i], parts[first], finish, best=best, breaks=breaks, **options)  # type: ignore[arg-type]
            out.append(WORSE if gap.lower > 0 else TIED if not math.isnan(gap.lower) else OPEN)
    return out


def as_dataset(table: pd.DataFrame) -> xr.Dataset:
    """The same numbers as arrays: `value`, `lower`, `upper` over (system, variable, score, group)."""
    index = ["system", "variable", "score", "group"]
    ordered = {name: list(dict.fromkeys(table[name])) for name in index}
    cube = table.set_index(index)[["value", "lower", "upper"]].to_xarray()
    cube = cube.reindex(ordered)
    said = table.drop_duplicates(["variable", "score"]).set_index(["variable", "score"])["units"].to_xarray()
    return cube.assign(units=said.reindex(variable=ordered["variable"], score=ordered["score"]).fillna(""))
