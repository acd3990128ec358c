"""Score parts on disk: appended block by block while fields stream past, read score by score afterwards.

One NetCDF file: groups AREA/VARIABLE, in each one array a score, (system, time, part). Kept beside the scores, it lets two
runs be compared in pairs later without their fields.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import netCDF4
import numpy as np
from numpy.typing import NDArray

from subgrid.scores.checks import FloatArray

Key = tuple[str, str, str]  # area, variable, score
TIMES_AT_ONCE = 512  # read together
CLOCK = ("second", "month", "hour")  # of each time: seconds since 1970 of its own calendar, month 1 to 12, hour 0 to 23


class StatisticsWriter:
    """Appends the parts of blocks of times; nothing but the current block is held."""

    def __init__(self, path: Path, systems: Sequence[str]) -> None:
        """Begin an empty file.

        Args:
            path: to write; replaced if there.
            systems: in the order of their parts.
        """
        self._file = netCDF4.Dataset(path, "w", format="NETCDF4")
        self._file.systems = json.dumps(list(systems))
        self._file.createDimension("system", len(systems))
        self._file.createDimension("time", None)
        self._clock = [self._file.createVariable(name, "i8", ("time",), chunksizes=(4096,)) for name in CLOCK]
        self._systems = list(systems)
        self._count = 0

    def append(self, clock: NDArray[np.int64], parts: Mapping[Key, Mapping[str, FloatArray]]) -> None:
        """Add a block.

        Args:
            clock: (3, time): what `CLOCK` names.
            parts: (area, variable, score) to system to (time, num_statistics).
        """
        end = self._count + clock.shape[1]
        for held, values in zip(self._clock, clock, strict=True):
            held[self._count : end] = values
        for (area, variable, score), by_system in parts.items():
            group = self._file.createGroup(f"{area}/{variable}")
            stacked = np.stack([by_system[name] for name in self._systems])
            if score not in group.variables:
                group.createDimension(f"{score}_part", stacked.shape[2])
                shape = (len(self._systems), max(1, 8192 // stacked.shape[2]), stacked.shape[2])
                made = group.createVariable(
                    score, "f8", ("system", "time", f"{score}_part"), chunksizes=shape, zlib=True, complevel=1
                )
                made.set_var_chunk_cache(size=8 * math.prod(shape))  # the chunk that is being filled, and no more
            group.variables[score][:, self._count : end] = stacked
        self._count = end

    def close(self, dropped: Mapping[Key, str]) -> None:
        """End the file; a second time does nothing.

        Args:
            dropped: scores that could not be taken at every time, and why; their parts are not to be read.
        """
        if self._file.isopen():
            self._file.dropped = json.dumps([[*key, reason] for key, reason in dropped.items()])
            self._file.close()


class StatisticsReader:
    """Reads one score's parts at a time."""

    def __init__(self, path: Path) -> None:
        """Open a file that `StatisticsWriter` closed."""
        self._file = netCDF4.Dataset(path)
        self.systems: list[str] = json.loads(self._file.systems)
        self.dropped: dict[Key, str] = {(a, v, s): why for a, v, s, why in json.loads(self._file.dropped)}

    def clock(self, name: str) -> NDArray[np.int64]:
        """(time,) of what `CLOCK` names."""
        return np.asarray(self._file.variables[name][:], dtype=np.int64)

    def all_keys(self) -> list[Key]:
        """Scores that were taken at every time, in the order in which they were asked for."""
        found = [
            (area, variable, score)
            for area, inner in self._file.groups.items()
            for variable, group in inner.groups.items()
            for score in group.variables
        ]
        return [key for key in found if key not in self.dropped]

    def read(self, key: Key) -> FloatArray:
        """(system, time, num_statistics)."""
        area, variable, score = key
        values = self._file.groups[area].groups[variable].variables[score][:]
        return np.ma.filled(values, np.nan).astype(np.float64)

    def read_units(self, key: Key, chosen: NDArray[np.intp], starts: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
        """Means over units of neighbouring times, read a few at a time.

        Args:
            key: (area, variable, score).
            chosen: indices of the times that count, ascending.
            starts: positions in `chosen` at which a unit begins, ascending from 0.

        Returns:
            Mean parts of each unit (system, num_units, num_statistics), and of all chosen times (system, num_statistics).
        """
        area, variable, score = key
        values = self._file.groups[area].groups[variable].variables[score]
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
