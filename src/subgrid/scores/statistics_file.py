"""Statistics of scores on disk: written block by block while fields are read, read score by score afterwards.

One NetCDF file with groups REGION/VARIABLE and in each one array per score, (system, time, statistic). It is kept with the
scores, so that runs can be compared in pairs later without their fields.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import netCDF4
import numpy as np
from jaxtyping import Float64, Int

from subgrid.scores.checks import Statistics

Key = tuple[str, str, str]  # region, variable, score
FILE = "statistics.nc"
OLDER_FILE = "parts.nc"  # its name in evaluations of older versions
TIMES_AT_ONCE = 512  # read together
CLOCK = ("second", "month", "hour")  # of each time: seconds since 1970 of its own calendar, month 1 to 12, hour 0 to 23


def find_statistics(folder: Path) -> Path:
    """Path of the file in the folder of an evaluation, under its older name where that is the one there is."""
    return folder / (OLDER_FILE if (folder / OLDER_FILE).is_file() and not (folder / FILE).is_file() else FILE)


class StatisticsWriter:
    """Appends the statistics of blocks of times; only the current block is held in memory."""

    def __init__(self, path: Path, systems: Sequence[str]) -> None:
        """Begin an empty file, for systems in the order of their statistics; an existing one is replaced."""
        self._file = netCDF4.Dataset(path, "w", format="NETCDF4")
        self._file.systems = json.dumps(list(systems))
        self._file.createDimension("system", len(systems))
        self._file.createDimension("time", None)
        self._clock = [self._file.createVariable(name, "i8", ("time",), chunksizes=(4096,)) for name in CLOCK]
        self._systems = list(systems)
        self._count = 0

    def append(self, clock: Int[np.ndarray, "3 time"], statistics: Mapping[Key, Mapping[str, Statistics]]) -> None:
        """Add a block.

        Args:
            clock: the rows that `CLOCK` names.
            statistics: (region, variable, score) to system to statistics.
        """
        end = self._count + clock.shape[1]
        for held, values in zip(self._clock, clock, strict=True):
            held[self._count : end] = values
        for (region, variable, score), by_system in statistics.items():
            group = self._file.createGroup(f"{region}/{variable}")
            stacked = np.stack([by_system[name] for name in self._systems])
            if score not in group.variables:
                group.createDimension(f"{score}_statistic", stacked.shape[2])
                shape = (len(self._systems), max(1, 8192 // stacked.shape[2]), stacked.shape[2])
                created = group.createVariable(
                    score, "f8", ("system", "time", f"{score}_statistic"), chunksizes=shape, zlib=True, complevel=1
                )
                created.set_var_chunk_cache(size=8 * math.prod(shape))  # only the chunk that is being filled
            group.variables[score][:, self._count : end] = stacked
        self._count = end

    def close(self, dropped: Mapping[Key, str]) -> None:
        """End the file; a second call does nothing.

        Args:
            dropped: scores that could not be computed at every time, and why; their statistics are not to be read.
        """
        if self._file.isopen():
            self._file.dropped = json.dumps([[*key, reason] for key, reason in dropped.items()])
            self._file.close()


class StatisticsReader:
    """Reads the statistics of one score at a time."""

    def __init__(self, path: Path) -> None:
        """Open a file that `StatisticsWriter` closed."""
        self._file = netCDF4.Dataset(path)
        self.systems: list[str] = json.loads(self._file.systems)
        self.dropped: dict[Key, str] = {(a, v, s): why for a, v, s, why in json.loads(self._file.dropped)}

    def clock(self, name: str) -> Int[np.ndarray, " time"]:
        """One of the rows that `CLOCK` names."""
        return np.asarray(self._file.variables[name][:], dtype=np.int64)

    def all_keys(self) -> list[Key]:
        """Scores that were computed at every time, in the order of the jobs."""
        keys = [
            (region, variable, score)
            for region, inner in self._file.groups.items()
            for variable, group in inner.groups.items()
            for score in group.variables
        ]
        return [key for key in keys if key not in self.dropped]

    def read(self, key: Key) -> Float64[np.ndarray, "system time statistic"]:
        """All statistics of a score."""
        region, variable, score = key
        values = self._file.groups[region].groups[variable].variables[score][:]
        return np.ma.filled(values, np.nan).astype(np.float64)

    def read_units(
        self, key: Key, chosen: Int[np.ndarray, " chosen"], starts: Int[np.ndarray, " unit"]
    ) -> tuple[Float64[np.ndarray, "system unit statistic"], Float64[np.ndarray, "system statistic"]]:
        """Read means over units of neighbouring times, and over all chosen times.

        Args:
            key: (region, variable, score).
            chosen: indices of the times that count, ascending.
            starts: positions in `chosen` at which a unit begins, ascending from 0.
        """
        region, variable, score = key
        values = self._file.groups[region].groups[variable].variables[score]
        ends = np.append(starts[1:], chosen.size)
        units = np.empty((len(self.systems), starts.size, values.shape[2]))
        total = np.zeros((len(self.systems), values.shape[2]))
        first = 0
        while first < starts.size:
            last = int(np.searchsorted(ends, starts[first] + TIMES_AT_ONCE, side="right"))
            last = max(first + 1, last)
            inside = chosen[starts[first] : ends[last - 1]]
            held = np.ma.filled(values[:, inside[0] : inside[-1] + 1], np.nan)[:, inside - inside[0]]
            sums = np.add.reduceat(held, starts[first:last] - starts[first], axis=1)
            units[:, first:last] = sums / (ends[first:last] - starts[first:last])[:, None]
            total += sums.sum(axis=1)
            first = last
        return units, total / chosen.size

    def __enter__(self) -> StatisticsReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
