"""Count and summarise the values of a variable in one pass over blocks of times, with bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from subgrid.data.blocks import time_blocks
from subgrid.data.sources import times
from subgrid.data.undeclared_fill import Extremes

HUGE = 1e15  # no field in sensible units holds larger values


@dataclass
class ValueCounts:
    """Running counts of the values of one variable that no training can use.

    Attributes:
        count: all values.
        missing: values that are NaN.
        infinite: infinite values.
        huge: finite values of size above `HUGE`.
        times: fields so far.
        first_missing, first_infinite: positions of the first fields with such values, -1 without any.
        always_missing: (..., y, x), cells that are missing at every time so far.
        extremes: smallest and largest other values, among them undeclared fill values.
    """

    count: int = 0
    missing: int = 0
    infinite: int = 0
    huge: int = 0
    times: int = 0
    first_missing: int = -1
    first_infinite: int = -1
    always_missing: np.ndarray | None = None
    extremes: Extremes = field(default_factory=Extremes)

    def add(self, block: np.ndarray) -> np.ndarray:
        """Add one block (time, ..., y, x), float32; return its usable values in one dimension."""
        self.count += block.size
        usable = block.ravel()
        # An extreme of values of which one is NaN is NaN: most blocks need no more than these two passes.
        sound = bool(block.size) and block.min() >= -HUGE and block.max() <= HUGE
        if not sound:
            missing = np.isnan(block)
            infinite = np.isinf(block)
            huge = np.abs(block) > HUGE
            self.missing += int(missing.sum())
            self.infinite += int(infinite.sum())
            self.huge += int(huge.sum()) - int(infinite.sum())
            self.first_missing = self._first(missing, self.first_missing)
            self.first_infinite = self._first(infinite, self.first_infinite)
            usable = block[~(missing | huge)]
        in_block = np.zeros(block.shape[1:], dtype=bool) if sound else np.isnan(block).all(axis=0)
        self.always_missing = in_block if self.always_missing is None else self.always_missing & in_block
        self.extremes.add(usable)
        self.times += len(block)
        return usable

    def _first(self, bad: np.ndarray, known: int) -> int:
        """Give the position of the first field with a bad value, unless one is known."""
        if known >= 0 or not bad.any():
            return known
        return self.times + int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))

    @property
    def fixed_mask(self) -> bool:
        """Whether the same cells are missing at every time, as under a land mask."""
        always = 0 if self.always_missing is None else int(self.always_missing.sum())
        return self.times != 1 and self.missing == self.times * always


@dataclass
class ValueStatistics(ValueCounts):
    """Running counts and moments of one variable. They need the memory of one block and one field.

    Attributes:
        usable: values that are neither missing nor infinite nor huge.
        usable_mean: their mean.
        squares: sum of their squared deviations from it.
        repeats: positions of the times whose field equals the field before.
        last: the last field.
    """

    usable: int = 0
    usable_mean: float = 0.0
    squares: float = 0.0
    repeats: list[int] = field(default_factory=list)
    last: np.ndarray | None = None

    def add(self, block: np.ndarray) -> np.ndarray:
        """Add one block (time, ..., y, x), float32; return its usable values in one dimension."""
        self._add_repeats(block)
        usable = super().add(block)
        values = usable.astype(np.float64)
        if values.size:
            mean = float(values.mean())
            self._merge(values.size, mean, float(((values - mean) ** 2).sum()))
        return usable

    def _add_repeats(self, block: np.ndarray) -> None:
        for offset, now in enumerate(block):
            # A field of zeros (rain) may well follow another; one with structure does not.
            structured = np.nanmin(now, initial=np.inf) < np.nanmax(now, initial=-np.inf)
            if self.last is not None and structured and np.array_equal(now, self.last, equal_nan=True):
                self.repeats.append(self.times + offset)
            self.last = now
        self.last = None if self.last is None else self.last.copy()

    def _merge(self, count: int, mean: float, squares: float) -> None:
        """Merge the moments of a block; Chan, Golub and LeVeque (1983), doi:10.1080/00031305.1983.10483115."""
        total, shift = self.usable + count, mean - self.usable_mean
        self.squares += squares + shift**2 * self.usable * count / total
        self.usable_mean += shift * count / total
        self.usable = total

    def _without_fill_values(self) -> tuple[int, float, float]:
        """Take the undeclared fill values out of the moments: count, mean and sum of squared deviations of the others."""
        count, mean, squares = self.usable, self.usable_mean, self.squares
        for value, number in self.extremes.fill_values()[0].items():
            rest = count - number
            if rest <= 0:
                return 0, 0.0, 0.0
            shift = value - (mean * count - value * number) / rest
            mean, squares = value - shift, squares - shift**2 * rest * number / count
            count = rest
        return count, mean, max(squares, 0.0)

    @property
    def regular(self) -> int:
        """Number of values that are none of the kinds that no training can use."""
        return self._without_fill_values()[0]

    @property
    def mean(self) -> float:
        """Mean of the regular values."""
        return self._without_fill_values()[1]

    @property
    def std(self) -> float:
        """Standard deviation of the regular values."""
        count, _, squares = self._without_fill_values()
        return float(np.sqrt(squares / count)) if count else 0.0

    @property
    def low(self) -> float:
        """The smallest regular value, infinite without any."""
        others = self.extremes.fill_values()[1]
        return others[0] if others else np.inf

    @property
    def high(self) -> float:
        """The largest regular value, negative infinity without any."""
        others = self.extremes.fill_values()[1]
        return others[1] if others else -np.inf


def variable_blocks(variable: xr.DataArray) -> Iterator[slice]:
    """Divide the times of a variable into the blocks of the file, or smaller ones where those are large."""
    if "valid_time" not in variable.dims:
        yield slice(None)
        return
    per_time = variable.size // variable.sizes["valid_time"]
    chunks = dict(zip(variable.dims, variable.chunks or [(variable.sizes["valid_time"],)], strict=False))
    limit = min(times.BLOCK_VALUES, chunks["valid_time"][0] * per_time)
    yield from time_blocks(variable.sizes["valid_time"], per_time, limit)
