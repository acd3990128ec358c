"""Open GRIB files by ecCodes: every message becomes part of exactly one variable, or is named in an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from subgrid.data.sources.grib_cubes import APART, FURTHER, open_cube, section
from subgrid.data.sources.grib_grids import GribGrid, read_grid
from subgrid.data.sources.grib_messages import LOCK, Message, import_eccodes, open_field, read_index, select_messages
from subgrid.errors import GridError, SourceError


def open_grib(path: Path, variables: Sequence[str] | None, select: Mapping[str, Any]) -> list[xr.Dataset]:
    """Open a GRIB file lazily, as one data set for each variable on one kind of level, grid and interval of time.

    Args:
        path: the file.
        variables: names of the variables wanted; all if None.
        select: values of ecCodes keys and of dimensions; those that were applied are named in the attribute
            ``subgrid_selected`` of a data set.

    Raises:
        SourceError: a file that is damaged, or that holds two messages for one field.
        GridError: a grid without two axes.
    """
    codes = import_eccodes(path)
    messages = read_index(path)
    asked = [m for m in messages if variables is None or m.name in variables]
    kept, applied = select_messages(asked or messages, select)
    grids, grid_of, refused = _read_grids(codes, path, kept)
    kept = [m for m in kept if section(m) in grids]
    if refused and asked:
        rest = ", ".join(sorted({m.name for m in kept}))
        raise GridError(
            f"{next(iter(refused.values()))}{f' Or choose variables of other grids: {rest}.' if rest else ''}"
        )
    parts = _arrange(kept, grid_of, path.name)
    return [
        open_cube(codes, path, part, label, grids).assign_attrs(
            subgrid_selected=sorted(set.intersection(*(applied[id(m)] for m in part)))
        )
        for part, label in parts
    ]


def _arrange(
    messages: Sequence[Message], grid_of: Mapping[str, int], where: str
) -> list[tuple[list[Message], str | None]]:
    """Put each message into a variable; give the messages of each, with the name of their intervals if split by them.

    Raises:
        SourceError: a message that fits no variable, or two that nothing keeps apart.
    """
    cubes: dict[tuple[Any, ...], list[Message]] = {}
    for message in messages:
        cubes.setdefault((*_kind(message), grid_of[section(message)]), []).append(message)
    parts = [part for cube in cubes.values() for part in _split(cube, where)]
    used = {id(message) for part, _ in parts for message in part}
    lost = [message for message in messages if id(message) not in used]
    if lost:
        raise SourceError(
            f"{where}: {len(lost)} of {len(messages)} GRIB messages fit no variable, the first is {lost[0].name!r} at "
            f"{lost[0].time + lost[0].step}. Copy the messages wanted to a file of their own with `grib_copy -w`."
        )
    return parts


def _kind(message: Message) -> tuple[Any, ...]:
    """What the messages of one variable have in common, besides their grid."""
    parameter = message.keys.get("paramId") or message.keys["parameter"]
    return (message.name, parameter, *(message.keys.get(key) for key in APART), message.number is not None)


def _read_grids(
    codes: Any, path: Path, messages: Sequence[Message]
) -> tuple[dict[str, GribGrid], dict[str, int], dict[str, GridError]]:
    """Read the grid of each grid section.

    Returns:
        By grid section: the grids; a number, the same for the same places; the errors of grids without two axes.
    """
    grids: dict[str, GribGrid] = {}
    numbers: dict[str, int] = {}
    refused: dict[str, GridError] = {}
    with path.open("rb") as file:
        for message in messages:
            name = section(message)
            if name in grids or name in refused:
                continue
            with LOCK:
                handle = open_field(codes, path, file, message)
                try:
                    grid = read_grid(codes, handle, f"{path.name}: {message.name!r}")
                except GridError as error:
                    refused[name] = error
                    continue
                finally:
                    codes.codes_release(handle)
            same = [numbers[other] for other, known in grids.items() if known.same_axes(grid)]
            numbers[name] = same[0] if same else len(grids)
            grids[name] = grid
    return grids, numbers, refused


def _place(message: Message) -> tuple[Any, ...]:
    return message.time, message.step, message.number, message.level


def _split(messages: list[Message], where: str) -> list[tuple[list[Message], str | None]]:
    """Split a cube in which two messages have one place; give each part with the name of its intervals, if split by them.

    Raises:
        SourceError: two messages that nothing keeps apart.
    """
    places = Counter(map(_place, messages))
    crowded = [m for m in messages if places[_place(m)] > 1]
    if not crowded:
        return [(messages, None)]
    lengths = {(*_place(m), m.length) for m in crowded}
    if len(lengths) > len({_place(m) for m in crowded}):
        return _split_by_interval(messages, crowded, where)
    for key in FURTHER:
        groups: dict[Any, list[Message]] = {}
        for m in messages:
            groups.setdefault(m.keys.get(key), []).append(m)
        if len(groups) > 1:
            return [part for group in groups.values() for part in _split(group, where)]
    first, second = [m for m in crowded if _place(m) == _place(crowded[0])][:2]
    raise SourceError(
        f"{where}: two GRIB messages hold {first.name!r} at {first.time + first.step} on level {first.level:g}, from byte "
        f"{first.offset} and {second.offset}, and no key that is known here differs. Copy the ones wanted to a file of "
        "their own (`grib_ls`, `grib_copy -w`)."
    )


def _split_by_interval(
    messages: Sequence[Message], crowded: Sequence[Message], where: str
) -> list[tuple[list[Message], str | None]]:
    """Split accumulations and means over several intervals that end at one time.

    The interval from the start to the first step belongs to two series: those from the start, and those of its length.
    """
    names = dict.fromkeys(m.ranges[0] for m in crowded if m.ranges)
    names |= dict.fromkeys(m.ranges[-1] for m in messages if m.ranges and not set(m.ranges) & set(names))
    series = [(name, [m for m in messages if name in m.ranges]) for name in names]
    return [(part, name) for name, members in series for part, _ in _split(members, where)]
