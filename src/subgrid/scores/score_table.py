"""Scores with intervals out of parts on disk, by season, hour and area, and which systems cannot be told apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from subgrid.errors import ConfigError, nearest
from subgrid.scores.block_length import IntArray, merge_times
from subgrid.scores.bootstrap import Interval, intervals, paired
from subgrid.scores.checks import FloatArray
from subgrid.scores.plan import ScoreJob
from subgrid.scores.registry import ALL, BEST, TIED, UNRANKED, WORSE
from subgrid.scores.score import Score
from subgrid.scores.statistics_file import Key, StatisticsReader

COLUMNS = ("system", "variable", "score", "value", "lower", "upper", "units", "group", "rank", "convention")
BY = ("season", "hour", "region")
SEASONS = {"DJF": (12, 1, 2), "MAM": (3, 4, 5), "JJA": (6, 7, 8), "SON": (9, 10, 11)}
NUM_RESAMPLES = 1000
MOST_UNITS = 2000  # of times that an interval is drawn from; in longer series neighbours are averaged first


def score_table(
    reader: StatisticsReader,
    tasks: Mapping[Key, ScoreJob],
    *,
    by: Iterable[str] = (),
    level: float = 0.95,
    block: int | None = None,
    num_resamples: int = NUM_RESAMPLES,
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
        `region tropics`; rank `best`, `no significant difference` (from the best, in pairs, at this level), `worse`,
        or empty where there is nothing to rank by or the times do not allow a comparison; convention. Its attribute `notes`
        says where there are no intervals, and why.

    Raises:
        ConfigError: an unknown grouping.
    """
    by = check_groupings(by)
    options = {"level": level, "block": block, "num_resamples": num_resamples, "seed": seed}
    rows: list[tuple[object, ...]] = []
    refused: dict[str, int] = {}
    for key in reader.all_keys():
        area = key[0]
        if area != ALL and "region" not in by:
            continue
        every = np.arange(reader.clock("second").size)
        groups = _groups(reader, by) if area == ALL else [(f"region {area}", every)]
        for group, chosen in groups:
            found, reasons = _rows(reader, key, tasks[key], group, chosen, options)
            rows += found
            for reason in reasons:
                refused[reason] = refused.get(reason, 0) + 1
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table.attrs["notes"] = [f"no interval for {count} of {len(rows)} scores: {why}" for why, count in refused.items()]
    return table


def check_groupings(by: Iterable[str]) -> list[str]:
    """The groupings asked for.

    Raises:
        ConfigError: an unknown one.
    """
    names = [by] if isinstance(by, str) else list(by)
    for name in names:
        if name not in BY:
            raise ConfigError(f"by: got {name!r}, expected some of {', '.join(BY)}.{nearest(name, BY)}")
    return names


def _groups(reader: StatisticsReader, by: Sequence[str]) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """All times, then those of each season and hour that occur."""
    yield ALL, np.arange(reader.clock("second").size)
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
    reader: StatisticsReader,
    key: Key,
    task: ScoreJob,
    group: str,
    chosen: NDArray[np.intp],
    options: Mapping[str, Any],
) -> tuple[list[tuple[object, ...]], list[str]]:
    """A row a system for one score in one group, and why intervals are missing."""
    score, block, num_times = task.score, options["block"], chosen.size
    starts, breaks, size = merge_times(reader.clock("second")[chosen], MOST_UNITS)
    parts, mean = reader.read_units(key, chosen, starts)
    if block is not None and block > max(1, num_times // 3):  # long enough for all times, too long for this group
        reason = f"blocks of {block} times take {3 * block} or more, {group} has {num_times}"
        found = [Interval(math.nan, math.nan, math.nan, 0, reason)] * len(parts)
        ranks = [UNRANKED] * len(found)
    else:
        options = {**options, "block": None if block is None else max(1, round(block / size))}
        found = [intervals(one, score.from_means, breaks=breaks, **options) for one in parts]
        ranks = _ranks(parts, found, score, breaks, options)
    task_of = (task.variable, task.score.name)
    rows: list[tuple[object, ...]] = [
        (system, *task_of, float(score.from_means(all_of_it)), one.lower, one.upper, task.units, group, rank, task.said)
        for system, one, rank, all_of_it in zip(reader.systems, found, ranks, mean, strict=True)
    ]
    return rows, [one.reason for one in found if one.reason]


def _ranks(
    parts: FloatArray,
    found: Sequence[Interval],
    score: Score,
    breaks: IntArray,
    options: Mapping[str, Any],
) -> list[str]:
    """The best system, and whether each other one can be told apart from it in pairs."""
    off = [abs(one.value - score.best) for one in found]
    if math.isnan(score.best) or len(off) < 2 or not np.isfinite(off).all():
        return [UNRANKED] * len(off)
    first = int(np.argmin(off))
    out = [BEST] * len(found)
    for i in set(range(len(found))) - {first}:
        gap = paired(parts[i], parts[first], score.from_means, best=score.best, breaks=breaks, **options)
        out[i] = WORSE if gap.lower > 0 else TIED if not math.isnan(gap.lower) else UNRANKED
    compared = any(rank != UNRANKED for i, rank in enumerate(out) if i != first)
    return out if compared else [UNRANKED] * len(out)


def update_names(table: pd.DataFrame) -> pd.DataFrame:
    """Give a table that an older version wrote (`scores.csv`, or the tables of a study) the column and rank names of today."""
    table = table.rename(columns={"standing": "rank", "told_apart": "significant"})
    words = [name for name in ("rank", "verdict", "all_seeds") if name in table]
    table[words] = table[words].replace("not told apart", TIED)
    return table


def as_dataset(table: pd.DataFrame) -> xr.Dataset:
    """The same table as arrays.

    Returns:
        `value`, `lower`, `upper` (NaN where there is none) and `rank` over (system, variable, score, group); `units` and
        `convention` over (variable, score).
    """
    index = ["system", "variable", "score", "group"]
    ordered = {name: list(dict.fromkeys(table[name])) for name in index}
    cube = table.set_index(index)[["value", "lower", "upper", "rank"]].to_xarray().reindex(ordered)
    kinds = table.drop_duplicates(["variable", "score"]).set_index(["variable", "score"])[["units", "convention"]]
    said = kinds.to_xarray().reindex({name: ordered[name] for name in ("variable", "score")})
    texts = {"rank": cube["rank"], "units": said.units, "convention": said.convention}
    return cube.assign({name: field.fillna("").astype(str) for name, field in texts.items()})


def cycles(reader: StatisticsReader, tasks: Mapping[Key, ScoreJob]) -> xr.Dataset:
    """RMSE and bias by hour of the day and by season, of the whole grid.

    Returns:
        `V_rmse_hour`, `V_bias_hour` (system, hour) where the times have more than one hour of the day, `V_rmse_season`,
        `V_bias_season` (system, season) where they have more than one season; empty where neither.
    """
    out = xr.Dataset(coords={"system": reader.systems})
    by = {kind: [one for one in _groups(reader, [kind]) if one[0] != ALL] for kind in ("hour", "season")}
    for key in reader.all_keys():
        area, variable, score = key
        if area != ALL or score not in ("rmse", "bias"):
            continue
        parts, task = reader.read(key), tasks[key]
        for kind, groups in by.items():
            if len(groups) > 1:
                values = np.stack(
                    [task.score.from_means(parts[:, chosen].mean(axis=1)) for _, chosen in groups], axis=1
                )
                labels = [group.split()[1] for group, _ in groups]
                out = out.assign_coords({kind: [int(label) for label in labels] if kind == "hour" else labels})
                out[f"{variable}_{score}_{kind}"] = (("system", kind), values, {"units": task.units})
    return out


def ranks(reader: StatisticsReader) -> xr.Dataset:
    """How often the truth takes each rank among the members, (system, rank); empty where there is no ensemble."""
    out = xr.Dataset(coords={"system": reader.systems})
    for key in reader.all_keys():
        if key[0] == ALL and key[2] == "rank_histogram_flatness":
            out[key[1]] = (("system", "rank"), reader.read(key).mean(axis=1), {"units": "1"})
    return out
