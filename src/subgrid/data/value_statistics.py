"""Count and summarise the values of a variable in one pass over blocks of times, with bounded memory."""

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
class ValueStatistics:
    """Running counts and moments of one variable. They need the memory of one block and one field.

    Attributes:
        count: all values.
        regular: values that are none of the following; the moments are theirs.
        missing: values that are NaN.
        infinite: infinite values.
        huge: finite values of size above `HUGE`.
        suspects: number of values that equal each of the usual undeclared fill values.
        times: fields so far.
        mean: mean of the regular values.
        squares: sum of the squared deviations from it.
        low, high: smallest and largest regular value.
        always_missing: (..., y, x), cells that are missing at every time so far.
        repeats: positions of the times whose field equals the field before.
        last: the last field.
    """

    count: int = 0
    regular: int = 0
    missing: int = 0
    infinite: int = 0
    huge: int = 0
    times: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = np.inf
    high: float = -np.inf
    suspects: dict[float, int] = field(default_factory=dict)
    repeats: list[int] = field(default_factory=list)
    always_missing: np.ndarray | None = None
    last: np.ndarray | None = None

    def add(self, values: np.ndarray, timed: bool) -> None:
        """Add one block, (time, ..., y, x) if timed, else (..., y, x)."""
        block = values if timed else values[None]
        missing = np.isnan(block)
        not_finite = missing | np.isinf(block)
        huge = ~not_finite & (np.abs(block) > HUGE)
        self.count += block.size
        self.missing += int(missing.sum())
        self.infinite += int(not_finite.sum() - missing.sum())
        self.huge += int(huge.sum())
        excluded = not_finite | huge
        for value in _FILL_SUSPECTS:
            equal = block == np.float32(value)
            if equal.any():
                self.suspects[value] = self.suspects.get(value, 0) + int(equal.sum())
                excluded |= equal
        self._add_moments(block[~excluded].astype(np.float64))
        in_block = missing.all(axis=0)
        self.always_missing = in_block if self.always_missing is None else self.always_missing & in_block
        self._add_repeats(block)
        self.times += len(block)

    def _add_repeats(self, block: np.ndarray) -> None:
        for offset, now in enumerate(block):
            # A field of zeros (rain) may well follow another; one with structure does not.
            structured = np.nanmin(now, initial=np.inf) < np.nanmax(now, initial=-np.inf)
            if self.last is not None and structured and np.array_equal(now, self.last, equal_nan=True):
                self.repeats.append(self.times + offset)
            self.last = now
        self.last = None if self.last is None else self.last.copy()

    def _add_moments(self, regular: np.ndarray) -> None:
        """Merge the moments of a block; Chan, Golub and LeVeque (1983), doi:10.1080/00031305.1983.10483115."""
        if not regular.size:
            return
        mean, total = float(regular.mean()), self.regular + regular.size
        shift = mean - self.mean
        self.squares += float(((regular - mean) ** 2).sum()) + shift**2 * self.regular * regular.size / total
        self.mean += shift * regular.size / total
        self.regular = total
        self.low, self.high = min(self.low, float(regular.min())), max(self.high, float(regular.max()))

    @property
    def std(self) -> float:
        """Standard deviation of the regular values."""
        return float(np.sqrt(self.squares / self.regular)) if self.regular else 0.0

    @property
    def fixed_mask(self) -> bool:
        """Whether the same cells are missing at every time, as under a land mask."""
        return self.always_missing is not None and self.missing == int(self.always_missing.sum()) * self.times


def variable_blocks(variable: xr.DataArray) -> Iterator[slice]:
    """Divide the times of a variable into the blocks of the file, or smaller ones where those are large."""
    if "valid_time" not in variable.dims:
        yield slice(None)
        return
    per_time = variable.size // variable.sizes["valid_time"]
    chunks = dict(zip(variable.dims, variable.chunks or [(variable.sizes["valid_time"],)], strict=False))
    limit = min(times.BLOCK_VALUES, chunks["valid_time"][0] * per_time)
    yield from time_blocks(variable.sizes["valid_time"], per_time, limit)
