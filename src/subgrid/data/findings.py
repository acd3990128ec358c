"""What is wrong with the values of a source, in the same words for every command that reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from subgrid.data.sources.stored_values import VALID
from subgrid.data.sources.times import describe_time
from subgrid.data.value_statistics import HUGE, ValueCounts
from subgrid.errors import SourceError


@dataclass(frozen=True)
class Finding:
    """One fact about a source that a user should know.

    Attributes:
        level: "error" prevents training, "warning" spoils it, "note" is good to know.
        what: the fact, a sentence.
        where: the variables or the axes; empty where the sentence names the source.
        fix: what to do about it; empty where the sentence says so.
    """

    level: Literal["error", "warning", "note"]
    what: str
    where: str
    fix: str

    @property
    def text(self) -> str:
        """The fact and where it is, in one line."""
        return f"{self.where}: {self.what}" if self.where else self.what


def value_findings(
    name: str,
    values: ValueCounts,
    attrs: Mapping[Any, Any],
    times: Sequence[Any] | np.ndarray | None = None,
    *,
    gaps: bool = False,
    so_far: bool = False,
) -> Iterator[Finding]:
    """Yield an error for each kind of value that no training can use: missing, infinite, and undeclared fill values.

    Args:
        name: of the variable.
        values: counts of its values.
        attrs: of the variable; one whose file states what is valid has no undeclared fill value.
        times: of the fields that were counted, to name the first of the faulty ones.
        gaps: missing values are allowed.
        so_far: only a part of the values has been read.
    """
    total = f"{values.count} values{' read so far' if so_far else ''}"
    if values.missing and not gaps:
        pattern = (
            "the same cells at every time, as under a land mask" if values.fixed_mask else "not the same at every time"
        )
        mask = f"; {pattern}" if values.times > 1 else ""
        yield Finding(
            "error",
            f"{_some(values.missing, total)} missing ({percent(values.missing / values.count)}{mask})"
            f"{'' if values.fixed_mask else _first(values.first_missing, times)}. Complete fields are needed.",
            name,
            "Fill the gaps (`cdo fillmiss2`, `ds.interpolate_na`), or choose a region, period or variable without gaps.",
        )
    if values.infinite:
        yield Finding(
            "error",
            f"{_some(values.infinite, total)} infinite{_first(values.first_infinite, times)}.",
            name,
            "Replace them (`ds.where(np.isfinite(ds))`), then fill the gaps. The usual cause is a division by zero.",
        )
    if values.huge:
        yield Finding(
            "error",
            f"{_some(values.huge, total)} larger than {HUGE:g}: this is a fill value that the file does not declare.",
            name,
            "Declare it as _FillValue (`ncatted -a _FillValue,VARIABLE,o,f,1e20`, `cdo setmissval`), then fill the gaps.",
        )
    if VALID not in attrs:
        yield from _fill_values(name, values, total)


def _fill_values(name: str, values: ValueCounts, total: str) -> Iterator[Finding]:
    found, range_of_others = values.extremes.fill_values()
    for value, count in found.items():
        others = "there are no others"
        if range_of_others is not None:
            others = f"all others lie from {range_of_others[0]:g} to {range_of_others[1]:g}"
        yield Finding(
            "error",
            f"{_some(count, total)} {value:g} while {others}: this is a fill value that the file does not declare.",
            name,
            f"Declare it as _FillValue (`ncatted -a _FillValue,{name},o,f,{value:g}`), then fill the gaps. If it is a "
            "value, state what is valid (attribute valid_range).",
        )


class ValueCheck:
    """Refuses values that no command can use, block by block, in the words of `check`."""

    def __init__(self, *, gaps: bool = False, kind: str = "") -> None:
        """Start without values.

        Args:
            gaps: missing values are allowed.
            kind: words that precede the names of the variables, such as "coarse ".
        """
        self.gaps, self.kind = gaps, kind
        self.counts: dict[str, ValueCounts] = {}
        self.times: list[Any] = []

    def add(self, fields: Mapping[Any, Any], attrs: Mapping[Any, Mapping[Any, Any]], times: Iterable[Any] = ()) -> None:
        """Add one block of each variable, as arrays (time, ..., y, x).

        Raises:
            SourceError: for the first value that cannot be used.
        """
        self.times.extend(times)
        for name, block in fields.items():
            counts = self.counts.setdefault(str(name), ValueCounts())
            counts.add(np.asarray(block, dtype=np.float32))
            known = self.times if len(self.times) == counts.times else None
            for finding in value_findings(str(name), counts, attrs[name], known, gaps=self.gaps, so_far=True):
                raise SourceError(f"{self.kind}{finding.text} {finding.fix}")


def _first(position: int, times: Sequence[Any] | np.ndarray | None) -> str:
    return "" if times is None or position < 0 else f", first at {describe_time(times[position])}"


def _some(count: int, total: str) -> str:
    return f"{count} of {total} {'is' if count == 1 else 'are'}"


def percent(share: float) -> str:
    """Write a share in percent."""
    return f"{100 * share:.2f} %" if share >= 1e-4 else "less than 0.01 %"
