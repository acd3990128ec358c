"""Scores with intervals from statistics on disk, in bins of season, hour and region, and the rank of each system."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64, Int

from subgrid.errors import ConfigError, nearest
from subgrid.scores.block_length import merge_times
from subgrid.scores.bootstrap import Interval, intervals, paired
from subgrid.scores.plan import ScoreJob
from subgrid.scores.registry import ALL, BEST, TIED, UNRANKED, WORSE
from subgrid.scores.score import Score
from subgrid.scores.statistics_file import Key, StatisticsReader

COLUMNS = ("system", "variable", "score", "value", "lower", "upper", "units", "group", "rank", "convention")
BINNINGS = ("season", "hour", "region")
SEASONS = {"DJF": (12, 1, 2), "MAM": (3, 4, 5), "JJA": (6, 7, 8), "SON": (9, 10, 11)}
NUM_RESAMPLES = 1000
MOST_UNITS = 2000  # of times that an interval is drawn from; in longer series neighbours are averaged first
Times = Int[np.ndarray, " chosen"]  # positions of the times in a bin


def score_table(
    reader: StatisticsReader,
    jobs: Mapping[Key, ScoreJob],
    *,
    by: Iterable[str] = (),
    level: float = 0.95,
    block: int | None = None,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Compute all scores of a comparison.

    Args:
        reader: the statistics of the comparison.
        jobs: (region, variable, score) to the job that computed them.
        by: any of `season`, `hour`, `region`: rows for each of them, in addition to those of all times and cells.
        level: confidence level of the intervals.
        block: length of the blocks of the bootstrap, in times; None estimates it for each score.
        num_resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        One row per system, variable, score and group: value, lower, upper, units; group `all`, `season DJF`, `hour 06` or
        `region tropics`; rank `best`, `no significant difference` (from the best, paired, at this level), `worse`, or empty
        where the score has no best value or the times do not allow a comparison; convention. The attribute `notes` states
        where there are no intervals, and why.

    Raises:
        ConfigError: an unknown binning.
    """
    by = check_binnings(by)
    options = {"level": level, "block": block, "num_resamples": num_resamples, "seed": seed}
    rows: list[tuple[object, ...]] = []
    counts: dict[str, int] = {}
    for key in reader.all_keys():
        region = key[0]
        if region != ALL and "region" not in by:
            continue
        every = np.arange(reader.clock("second").size)
        bins = _bins(reader, by) if region == ALL else [(f"region {region}", every)]
        for label, times in bins:
            of_bin, reasons = _rows(reader, key, jobs[key], label, times, options)
            rows += of_bin
            for reason in reasons:
                counts[reason] = counts.get(reason, 0) + 1
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table.attrs["notes"] = [f"no interval for {count} of {len(rows)} scores: {why}" for why, count in counts.items()]
    return table


def check_binnings(by: Iterable[str]) -> list[str]:
    """List the binnings that are asked for.

    Raises:
        ConfigError: an unknown one.
    """
    names = [by] if isinstance(by, str) else list(by)
    for name in names:
        if name not in BINNINGS:
            raise ConfigError(f"by: got {name!r}, expected some of {', '.join(BINNINGS)}.{nearest(name, BINNINGS)}")
    return names


def _bins(reader: StatisticsReader, by: Sequence[str]) -> Iterator[tuple[str, Times]]:
    """All times, then those of each season and hour that occur."""
    yield ALL, np.arange(reader.clock("second").size)
    if "season" in by:
        months = reader.clock("month")
        for name, of_season in SEASONS.items():
            if (times := np.nonzero(np.isin(months, of_season))[0]).size:
                yield f"season {name}", times
    if "hour" in by:
        hours = reader.clock("hour")
        for hour in np.unique(hours):
            yield f"hour {hour:02d}", np.nonzero(hours == hour)[0]


def _rows(
    reader: StatisticsReader, key: Key, job: ScoreJob, label: str, times: Times, options: Mapping[str, Any]
) -> tuple[list[tuple[object, ...]], list[str]]:
    """One row per system for one score in one bin, and why intervals are missing."""
    score, block, num_times = job.score, options["block"], times.size
    starts, breaks, size = merge_times(reader.clock("second")[times], MOST_UNITS)
    units, means = reader.read_units(key, times, starts)
    if block is not None and block > max(1, num_times // 3):  # short enough for all times, too long for this bin
        reason = f"blocks of {block} times need {3 * block} or more, {label} has {num_times}"
        of_systems = [Interval(math.nan, math.nan, math.nan, 0, reason)] * len(units)
        ranks = [UNRANKED] * len(units)
    else:
        options = {**options, "block": None if block is None else max(1, round(block / size)), "breaks": breaks}
        options["weights"] = np.diff(starts, append=num_times)
        of_systems = [intervals(each, score.from_means, bounds=score.bounds, **options) for each in units]
        ranks = _ranks(units, of_systems, score, options)
    rows: list[tuple[object, ...]] = []
    for system, interval, rank, mean in zip(reader.systems, of_systems, ranks, means, strict=True):
        value = float(score.from_means(mean))  # of all times; that of the interval differs by rounding alone
        numbers = (value, min(interval.lower, value), max(interval.upper, value))
        rows.append((system, job.variable, score.name, *numbers, job.units, label, rank, job.convention))
    return rows, [interval.reason for interval in of_systems if interval.reason]


def _ranks(
    units: Float64[np.ndarray, "system unit statistic"],
    of_systems: Sequence[Interval],
    score: Score,
    options: Mapping[str, Any],
) -> list[str]:
    """The rank of each system, from paired comparisons with the best one."""
    distances = [abs(interval.value - score.best) for interval in of_systems]
    if math.isnan(score.best) or len(distances) < 2 or not np.isfinite(distances).all():
        return [UNRANKED] * len(distances)
    first = int(np.argmin(distances))
    ranks = [BEST] * len(of_systems)
    for i in set(range(len(of_systems))) - {first}:
        gap = paired(units[i], units[first], score.from_means, best=score.best, **options)
        ranks[i] = WORSE if gap.lower > 0 else TIED if not math.isnan(gap.lower) else UNRANKED
    compared = any(rank != UNRANKED for i, rank in enumerate(ranks) if i != first)
    return ranks if compared else [UNRANKED] * len(ranks)


def update_names(table: pd.DataFrame) -> pd.DataFrame:
    """Give a table that an older version wrote (`scores.csv`, or a table of a study) the names of today."""
    table = table.rename(columns={"standing": "rank", "told_apart": "significant"})
    words = [name for name in ("rank", "verdict", "all_seeds") if name in table]
    table[words] = table[words].replace("not told apart", TIED)
    if "convention" in table:  # of MS-SSIM, whose weights had no leading zero
        table["convention"] = table["convention"].astype(object).str.replace(r"(?<=\s)\.(?=\d)", "0.", regex=True)
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
    of_kinds = kinds.to_xarray().reindex({name: ordered[name] for name in ("variable", "score")})
    texts = {"rank": cube["rank"], "units": of_kinds.units, "convention": of_kinds.convention}
    return cube.assign({name: field.fillna("").astype(str) for name, field in texts.items()})


def cycles(reader: StatisticsReader, jobs: Mapping[Key, ScoreJob]) -> xr.Dataset:
    """Compute RMSE and bias by hour of the day and by season, of the whole grid.

    Returns:
        `V_rmse_hour`, `V_bias_hour` (system, hour) where the times have more than one hour of the day, `V_rmse_season`,
        `V_bias_season` (system, season) where they have more than one season; empty where neither.
    """
    out = xr.Dataset(coords={"system": reader.systems})
    binnings = {kind: list(_bins(reader, [kind]))[1:] for kind in ("hour", "season")}
    for key in reader.all_keys():
        region, variable, name = key
        if region != ALL or name not in ("rmse", "bias"):
            continue
        statistics, job = reader.read(key), jobs[key]
        for kind, bins in binnings.items():
            if len(bins) > 1:
                means = (statistics[:, times].mean(axis=1) for _, times in bins)
                values = np.stack([job.score.from_means(mean) for mean in means], axis=1)
                labels = [label.split()[1] for label, _ in bins]
                out = out.assign_coords({kind: [int(label) for label in labels] if kind == "hour" else labels})
                out[f"{variable}_{name}_{kind}"] = (("system", kind), values, {"units": job.units})
    return out


def ranks(reader: StatisticsReader) -> xr.Dataset:
    """Compute how often the truth has each rank among the members, (system, rank); empty where there is no ensemble."""
    out = xr.Dataset(coords={"system": reader.systems})
    for key in reader.all_keys():
        if key[0] == ALL and key[2] == "rank_histogram_flatness":
            out[key[1]] = (("system", "rank"), reader.read(key).mean(axis=1), {"units": "1"})
    return out
