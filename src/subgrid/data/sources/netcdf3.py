"""Whether a classic NetCDF file is as long as its header says; the C library reads zeros where it is cut off."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO

from subgrid.errors import SourceError

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}  # bytes of one value, by type
_UNLIMITED = 0


def require_complete(path: Path) -> None:
    """Compare the length of a classic NetCDF file (CDF-1, CDF-2 or CDF-5) with what its header describes.

    The format is that of the NetCDF User's Guide, "File format specifications".

    Raises:
        SourceError: for a file that ends before the last value of its last variable.
    """
    try:
        with path.open("rb") as file:
            needed = _Header(file).needed()
    except (struct.error, LookupError, OSError, ValueError):
        raise SourceError(f"{path.name}: the header of the NetCDF file is damaged. Download the file again.") from None
    size = path.stat().st_size
    if size < needed:
        raise SourceError(
            f"{path.name}: the file is shorter than its header says ({size} of {needed} bytes). Its last part is missing: "
            "download the file again."
        )


class _Header:
    """Reads the header of an open file, item by item."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        version = file.read(4)[3]
        self.count = "q" if version == 5 else "i"  # numbers of items and sizes
        self.offset = "i" if version == 1 else "q"

    def needed(self) -> int:
        """Give the number of bytes up to the last value, without the padding at the end."""
        records = self._number(self.count)
        self._number("i")
        lengths = [self._dimension() for _ in range(self._number(self.count))]
        self._skip_attributes()
        self._number("i")
        variables = [self._variable(lengths) for _ in range(self._number(self.count))]
        record_sizes = [size for _, size, varies in variables if varies]
        # Records are padded to four bytes, unless there is a single variable in them.
        record = sum(_padded(size) for size in record_sizes) if len(record_sizes) > 1 else sum(record_sizes)
        ends = [begin + size for begin, size, varies in variables if not varies]
        if records > 0:  # -1: the number of records follows from the length of the file
            ends += [begin + (records - 1) * record + size for begin, size, varies in variables if varies]
        return max(ends, default=self.file.tell())

    def _variable(self, lengths: list[int]) -> tuple[int, int, bool]:
        """Give where a variable begins, its bytes (of one record where it has records), and whether it has records."""
        self._skip(self._number(self.count))
        own = [lengths[self._number(self.count)] for _ in range(self._number(self.count))]
        self._skip_attributes()
        size = _SIZES[self._number("i")]
        self._number(self.count)
        begin = self._number(self.offset)
        varies = bool(own) and own[0] == _UNLIMITED
        return begin, size * math.prod(own[1:] if varies else own), varies

    def _dimension(self) -> int:
        self._skip(self._number(self.count))
        return self._number(self.count)

    def _skip_attributes(self) -> None:
        self._number("i")
        for _ in range(self._number(self.count)):
            self._skip(self._number(self.count))
            size = _SIZES[self._number("i")]
            self._skip(size * self._number(self.count))

    def _number(self, code: str) -> int:
        return int(struct.unpack(f">{code}", self.file.read(struct.calcsize(code)))[0])

    def _skip(self, size: int) -> None:
        self.file.seek(_padded(size), 1)


def _padded(size: int) -> int:
    return -(-size // 4) * 4
