"""Index the messages of a GRIB file by ecCodes: what each one holds, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
from xarray.backends.locks import SerializableLock

from subgrid.errors import SourceError

LOCK = SerializableLock()
"""Held while ecCodes is called: it keeps one state for all threads."""

# WMO GRIB2 code table 4.4, GRIB1 code table 4: seconds in a unit of time.
_SECONDS = {0: 60, 1: 3600, 2: 86400, 10: 10800, 11: 21600, 12: 43200, 13: 1, 14: 900, 15: 1800}
_HOUR = 3600

_KEYS = (
    "shortName", "cfVarName", "paramId", "typeOfLevel", "gridType", "md5GridSection", "stepType", "stepRange", "dataType",
    "stream", "expver", "percentileValue", "centreDescription",
)  # fmt: skip


@dataclass(frozen=True)
class Message:
    """One field of a GRIB file.

    Attributes:
        offset: first byte of the message.
        position: number of fields before it in the same message (u and v are often in one).
        name: name of the variable, as cfgrib gives it.
        time: start of the forecast, or time of the analysis.
        step: time from there to the end of the interval that the field holds for.
        length: length of that interval; 0 for an instant.
        number: member of an ensemble, None without one.
        level: value of the vertical coordinate.
        keys: further ecCodes keys, those that the message has of `_KEYS`, with `parameter` and `numberOfPoints`.
    """

    offset: int
    position: int
    name: str
    time: np.datetime64
    step: np.timedelta64
    length: np.timedelta64
    number: int | None
    level: float
    keys: Mapping[str, Any]

    @property
    def ranges(self) -> list[str]:
        """Names of the series of intervals that the field belongs to: from the start, and of its own length."""
        if self.keys.get("stepType", "instant") == "instant":
            return []
        hours = f"{self.length / np.timedelta64(1, 'h'):g}"
        return [*(["0-N"] if self.length == self.step else []), *([f"(N-{hours})-N"] if self.length else [])]


def import_eccodes(path: Path) -> ModuleType:
    """Import ecCodes, or raise SourceError with what to install."""
    try:
        import eccodes
    except Exception as error:  # RuntimeError where the library itself is missing
        raise SourceError(
            f'{path.name}: reading GRIB needs ecCodes. Install it: pip install "subgrid[grib]".'
        ) from error
    module: ModuleType = eccodes
    return module


def read_index(path: Path) -> list[Message]:
    """Read the headers of all messages, in the order of the file.

    Raises:
        SourceError: without ecCodes; a file that is cut off or damaged, or whose times cannot be read.
    """
    codes = import_eccodes(path)
    messages: list[Message] = []
    with LOCK, path.open("rb") as file, _multi_field(codes):
        while True:
            try:
                handle = codes.codes_grib_new_from_file(file, headers_only=True)
                if handle is None:
                    return messages
                try:
                    messages.append(_read_message(codes, handle, messages[-1] if messages else None))
                finally:
                    codes.codes_release(handle)
            except (codes.CodesInternalError, ValueError) as error:
                raise SourceError(
                    f"{path.name}: GRIB message {len(messages) + 1} could not be read ({error}): the file is cut off or "
                    "damaged there. Download it again, or copy the complete messages to a new file with `grib_copy`."
                ) from error


@contextmanager
def _multi_field(codes: ModuleType) -> Iterator[None]:
    """Let ecCodes give each field of a message that holds several."""
    codes.codes_grib_multi_support_on()
    try:
        yield
    finally:
        codes.codes_grib_multi_support_off()


def open_field(codes: ModuleType, path: Path, file: BinaryIO, message: Message) -> Any:
    """Load one field; the caller holds `LOCK` and releases the handle."""
    try:
        with _multi_field(codes):
            codes.codes_grib_multi_support_reset_file(file)
            file.seek(message.offset)
            for _ in range(message.position):
                codes.codes_release(codes.codes_grib_new_from_file(file))
            return codes.codes_grib_new_from_file(file)
    except codes.CodesInternalError as error:
        raise SourceError(
            f"{path.name}: {message.name!r} at {message.time + message.step} could not be read ({error}). The file has "
            "changed or is damaged: download it again."
        ) from error


def get(codes: ModuleType, handle: Any, *names: str) -> Any:
    """The value of the first key that the message has; None without one."""
    for name in names:
        try:
            if not codes.codes_is_missing(handle, name):
                return codes.codes_get(handle, name)
        except codes.CodesInternalError:
            continue
    return None


def _read_message(codes: ModuleType, handle: Any, before: Message | None) -> Message:
    """Describe one message."""
    keys = {name: value for name in _KEYS if (value := get(codes, handle, name)) not in (None, "unknown", "undef")}
    keys["numberOfPoints"] = get(codes, handle, "numberOfDataPoints", "numberOfPoints")
    keys["parameter"] = ".".join(
        str(get(codes, handle, *names))
        for names in (
            ("discipline", "table2Version"),
            ("parameterCategory", "indicatorOfParameter"),
            ("parameterNumber",),
        )
        if get(codes, handle, *names) is not None
    )
    offset = codes.codes_get_long(handle, "offset")
    number = get(codes, handle, "number")
    if number is None and keys.get("dataType") == "cf":
        number = 0  # the control forecast
    unit = _SECONDS.get(codes.codes_get_long(handle, "stepUnits"), _HOUR)
    start, end = (codes.codes_get_long(handle, key) * unit for key in ("startStep", "endStep"))
    date = f"{codes.codes_get_long(handle, 'dataDate'):08d}"
    clock = ":".join(f"{get(codes, handle, key) or 0:02d}" for key in ("hour", "minute", "second"))
    return Message(
        offset=offset,
        position=before.position + 1 if before is not None and before.offset == offset else 0,
        name=str(keys.get("cfVarName") or keys.get("shortName") or "unknown"),
        time=np.datetime64(f"{date[:-4]}-{date[-4:-2]}-{date[-2:]}T{clock}", "s"),
        step=np.timedelta64(end, "s"),
        length=np.timedelta64(end - start, "s"),
        number=number,
        level=_level(codes, handle),
        keys=keys,
    )


def _level(codes: ModuleType, handle: Any) -> float:
    """The vertical coordinate; 0 where the message has none."""
    return float(codes.codes_get_double(handle, "level")) if get(codes, handle, "level") is not None else 0.0


def select_messages(
    messages: Sequence[Message], select: Mapping[str, Any]
) -> tuple[list[Message], dict[int, set[str]]]:
    """Keep the messages that a selection names.

    A key of select applies to the messages that have it, and is left to the caller where none has the value.

    Args:
        messages: of one file.
        select: ecCodes keys, or names of dimensions: `step` in hours, `time` (the start), `number`, the kind of level.

    Returns:
        The messages, and by `id` of a message the keys that were applied to it.
    """
    kept, applied = list(messages), {id(message): set[str]() for message in messages}
    for key, wanted in select.items():
        choices = wanted if isinstance(wanted, list | tuple) else [wanted]
        verdicts = {id(m): _matches(m, key, choices) for m in kept}
        if any(verdicts.values()):
            for identity, verdict in verdicts.items():
                applied[identity] |= {key} if verdict else set()
            kept = [m for m in kept if verdicts[id(m)] is not False]
    return kept, applied


def _matches(message: Message, key: str, choices: Sequence[Any]) -> bool | None:
    """Whether the key has one of the values; None where the message has no such key."""
    if key in ("number", "realization"):
        value: Any = message.number
    elif key in ("step", "time"):
        value = getattr(message, key)
    elif key == "level" or key == message.keys.get("typeOfLevel"):
        value = message.level
    elif key == "stepRange":
        return any(str(choice) in (message.keys.get(key), *message.ranges) for choice in choices)
    else:
        value = message.keys.get(key)
    return None if value is None else any(_equal(value, choice) for choice in choices)


def _equal(value: Any, choice: Any) -> bool:
    """Whether a value of a message is the one that a user wrote."""
    try:
        if isinstance(value, np.timedelta64):
            hours = isinstance(choice, int | float)
            return bool(value == (pd.Timedelta(choice, "h") if hours else pd.Timedelta(choice)).to_timedelta64())
        if isinstance(value, np.datetime64):
            return bool(value == np.datetime64(choice))
        if isinstance(value, int | float):
            return bool(np.isclose(value, float(choice), rtol=1e-6, atol=1e-9))
    except (TypeError, ValueError):
        return False
    return str(value) == str(choice)
