"""Find values that stand for "missing" although the file does not say so, in one pass over blocks of values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

_USUAL = "-99 -99.9 -99.99 -999 -999.9 -999.99 -9999 -9999.9 -32767 -32768 999 9999 99999 32767 65535"
USUAL = tuple(np.float32(value) for value in _USUAL.split())
"""Values that files use for "missing" without declaring them."""
KEPT = 6  # distinct values at each end of the range
MOST = 3  # distinct fill values at each end of the range
DISTANCE = 3.0  # of a fill value from all other values, in the range of those
USUAL_DISTANCE = 1.0  # the same for one of `USUAL`
DISTINCT = 50  # other values that are needed: fewer distinct ones, such as classes, lie apart by chance


@dataclass
class Extremes:
    """The smallest and the largest distinct values of a variable, and how often each occurs.

    Attributes:
        low, high: number of cells by value, at most `KEPT` values, those at the end of the range first.
        distinct: distinct values in the block and the sample that has most of them, a lower bound.
    """

    low: dict[float, int] = field(default_factory=dict)
    high: dict[float, int] = field(default_factory=dict)
    distinct: int = 0

    def add(self, values: np.ndarray) -> None:
        """Add finite float32 values of any shape."""
        flat = values.ravel()
        if not flat.size:
            return
        sample = np.unique(flat[:: max(1, flat.size // 4096)])
        self.distinct = max(self.distinct, sample.size)
        self.low = _merge(self.low, _smallest(flat, sample), 1.0)
        self.high = _merge(self.high, {-value: count for value, count in _smallest(-flat, -sample[::-1]).items()}, -1.0)

    def fill_values(self) -> tuple[dict[float, int], tuple[float, float] | None]:
        """Find the fill values: number of cells by value, and the range of all other values (None without others).

        A fill value is repeated exactly (one of `USUAL` need not be) and lies farther from all other values than
        `DISTANCE` times their range (`USUAL_DISTANCE` times for one of `USUAL`).
        """
        low, high = list(self.low), list(self.high)
        if self.low.keys() == self.high.keys() and len(low) == 1:  # one value alone
            return (dict(self.low), None) if np.float32(low[0]) in USUAL else ({}, (low[0], low[0]))
        for below, above in _numbers_of_fill_values(len(low), len(high)):
            inner = low[below], high[above]
            if inner[0] <= inner[1] and self._lie_apart({*low[:below]}, {*high[:above]}, *inner):
                return {
                    value: self.low.get(value) or self.high[value] for value in (*low[:below], *high[:above])
                }, inner
        return {}, (low[0], high[0]) if low else None

    def _number(self, value: float) -> int:
        """Number of cells with one of the extreme values."""
        return self.low.get(value) or self.high[value]

    def _lie_apart(self, below: set[float], above: set[float], low: float, high: float) -> bool:
        """Whether each value is a fill value if all others lie from `low` to `high`."""
        # Equal values have a range too: that of rounding.
        reach = max(high - low, 1e-6 * max(abs(low), abs(high), 1e-30))
        for value in below | above:
            distance = low - value if value in below else value - high
            if np.float32(value) in USUAL:
                if distance <= USUAL_DISTANCE * reach:
                    return False
            elif distance <= DISTANCE * reach or self.distinct < DISTINCT or self._number(value) < 2:
                return False
        return True


def _numbers_of_fill_values(low: int, high: int) -> Iterator[tuple[int, int]]:
    """Give how many values at both ends may be fill values, most first, so that the others lie close together."""
    pairs = ((a, b) for a in range(min(MOST, low - 1) + 1) for b in range(min(MOST, high - 1) + 1))
    return iter(sorted((pair for pair in pairs if sum(pair)), key=sum, reverse=True))


def _smallest(flat: np.ndarray, sample: np.ndarray) -> dict[float, int]:
    """Count the `KEPT` smallest distinct values; the sorted sample of them saves most of the work."""
    value = flat.min()
    counts = {
        float(value): int(np.count_nonzero(flat == value))
    }  # many cells may hold the smallest one, as dry ones do
    rest = flat[(flat > value) & (flat <= sample[KEPT])] if sample.size > KEPT else flat[flat > value]
    while rest.size and len(counts) < KEPT:
        value = rest.min()
        larger = rest[rest > value]
        counts[float(value)] = rest.size - larger.size
        rest = larger
    return counts


def _merge(known: dict[float, int], more: dict[float, int], sign: float) -> dict[float, int]:
    """Add counts, and keep the smallest values (the largest for sign -1)."""
    values = sorted(known.keys() | more.keys(), key=lambda value: sign * value)[:KEPT]
    return {value: known.get(value, 0) + more.get(value, 0) for value in values}
