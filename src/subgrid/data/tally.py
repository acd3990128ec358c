"""Count and measure the values of a variable in one pass over blocks of times, with flat memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from subgrid.data.blocks import time_blocks
from subgrid.data.sources import times

HUGE = 1e15  # no field in sensible units holds larger values
# Values that files use for "missing" without declaring them.
_FILL_SUSPECTS = (-999.0, -9999.0, -32768.0, -32767.0, 9999.0, 99999.0)


@dataclass
class Tally:
    """Running counts and moments of one variable; needs one block of memory and one field.

    Attributes:
        always: cells missing at every time so far.
        stuck: positions of times whose field equals the one before.
    """

    count: int = 0
    finite: int = 0
    nan: int = 0
    infinite: int = 0
    huge: int = 0
    times: int = 0
    mean: float = 0.0
    squares: float = 0.0  # sum of squared deviations from the mean
    low: float = np.inf
    high: float = -np.inf
    suspects: dict[float, int] = field(default_factory=dict)
    stuck: list[int] = field(default_factory=list)
    always: np.ndarray | None = None
    last: np.ndarray | None = None

    def add(self, values: np.ndarray, timed: bool) -> None:
        """Take in one block, (time, ..., y, x) if timed, else (..., y, x)."""
        block = values if timed else values[None]
        missing = np.isnan(block)
        odd = missing | np.isinf(block)
        huge = ~odd & (np.abs(block) > HUGE)
        self.count += block.size
        self.nan += int(missing.sum())
        self.infinite += int(odd.sum() - missing.sum())
        self.huge += int(huge.sum())
        apart = odd | huge
        for value in _FILL_SUSPECTS:
            equal = block == np.float32(value)
            if equal.any():
                self.suspects[value] = self.suspects.get(value, 0) + int(equal.sum())
                apart |= equal
        self._moments(block[~apart].astype(np.float64))
        common = missing.all(axis=0)
        self.always = common if self.always is None else self.always & common
        for offset, now in enumerate(block):
            # A field of zeros (rain) may well follow another; one with structure does not.
            structured = np.nanmin(now, initial=np.inf) < np.nanmax(now, initial=-np.inf)
            if self.last is not None and structured and np.array_equal(now, self.last, equal_nan=True):
                self.stuck.append(self.times + offset)
            self.last = now
        self.last = None if self.last is None else self.last.copy()
        self.times += len(block)

    def _moments(self, good: np.ndarray) -> None:
        """Merge the moments of a block; Chan, Golub and LeVeque (1983), doi:10.1080/00031305.1983.10483115."""
        if not good.size:
            return
        mean, total = float(good.mean()), self.finite + good.size
        shift = mean - self.mean
        self.squares += float(((good - mean) ** 2).sum()) + shift**2 * self.finite * good.size / total
        self.mean += shift * good.size / total
        self.finite = total
        self.low, self.high = min(self.low, float(good.min())), max(self.high, float(good.max()))

    @property
    def std(self) -> float:
        """Standard deviation of the values that are not missing, infinite, huge or suspect."""
        return float(np.sqrt(self.squares / self.finite)) if self.finite else 0.0


def blocks_of(variable: xr.DataArray) -> Iterator[slice]:
    """Cut the times into the stored blocks, or smaller ones where those are large."""
    if "valid_time" not in variable.dims:
        yield slice(None)
        return
    per_time = variable.size // variable.sizes["valid_time"]
    chunks = dict(zip(variable.dims, variable.chunks or [(variable.sizes["valid_time"],)], strict=False))
    limit = min(times.BLOCK_VALUES, chunks["valid_time"][0] * per_time)
    yield from time_blocks(variable.sizes["valid_time"], per_time, limit)
