"""Arguments and options that several commands share, and how their values are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set KEY, such as train.updates, to VALUE (repeatable)."),
]
ConfigPath = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A TOML configuration file, or the config.json of a run.")
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, as train makes it.")]
StorePath = Annotated[Path | None, typer.Option(metavar="PATH", help="Path to the training store, if not the default.")]
Which = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Weights to use: last, best (lowest validation error), or content (end of the content stage).",
    ),
]
Blend = Annotated[
    float | None,
    typer.Option(metavar="0..1", help="Blend content-stage weights (0) with final weights (1)."),
]
Select = Annotated[
    list[str] | None,
    typer.Option("--select", metavar="DIM=LABEL", help="Choose one label of a further dimension (repeatable)."),
]
Names = Annotated[str | None, typer.Option(metavar="NAME,...", help="Variables to use (default: all).")]
Start = Annotated[str | None, typer.Option(metavar="TIME", help="Time of the first field; .npy files only.")]
Step = Annotated[str | None, typer.Option(metavar="LENGTH", help="Time step, such as 1h; .npy files only.")]
By = Annotated[
    list[str] | None,
    typer.Option(metavar="season|hour|region", help="Also report scores per season, hour or region (repeatable)."),
]
Level = Annotated[float, typer.Option(metavar="NUMBER", help="Confidence level of the intervals.", min=0.5, max=0.999)]
BlockLength = Annotated[
    int | None,
    typer.Option(metavar="TIMES", help="Block length of the bootstrap (default: estimated for each score).", min=1),
]
Every = Annotated[bool, typer.Option("--all", help="Print all scores and groups (scores.csv always has them).")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")]
FieldsOut = Annotated[Path, typer.Argument(metavar="OUT", help="File to write: .nc (NetCDF) or .zarr (Zarr).")]
Sources = Annotated[
    list[str], typer.Argument(metavar="FILE", help="NetCDF, GRIB or .npy files, globs or Zarr folders.")
]


def as_names(text: str | None) -> list[str] | None:
    """`t2m,u10` as a list."""
    return [name.strip() for name in text.split(",")] if text else None


def as_labels(pairs: list[str] | None) -> dict[str, Any]:
    """`level=850` as a label by dimension; numbers are read as numbers."""
    out: dict[str, Any] = {}
    for pair in pairs or []:
        key, sign, value = pair.partition("=")
        if not sign:
            raise typer.BadParameter(f"{pair!r}: expected DIM=LABEL, such as level=850", param_hint="--select")
        try:
            out[key] = float(value) if not value.lstrip("-").isdigit() else int(value)
        except ValueError:
            out[key] = value
    return out


def as_baselines(files: list[str]) -> dict[str, str]:
    """Files by their names without suffix."""
    out = {Path(file).name.split(".")[0]: file for file in files}
    if len(out) < len(files):
        raise typer.BadParameter("two files have the same name", param_hint="--baseline")
    return out


def as_numbers(pairs: list[str] | None, option: str, count: int | None = None) -> dict[str, tuple[float, ...]]:
    """`t2m=250,310` as numbers by name; `count` of them, where it is given."""
    out: dict[str, tuple[float, ...]] = {}
    for pair in pairs or []:
        name, sign, text = pair.partition("=")
        try:
            values = tuple(float(value) for value in text.split(","))
        except ValueError:
            values = ()
        if not sign or not values or (count is not None and len(values) != count):
            raise typer.BadParameter(f"{pair!r}: expected NAME=NUMBER,NUMBER, such as t2m=250,310", param_hint=option)
        out[name] = out.get(name, ()) + values if count is None else values
    return out


def as_weights(name: str) -> Any:
    """The name of saved weights, checked."""
    if name not in {"last", "best", "content"}:
        raise typer.BadParameter(f"{name!r}: expected last, best or content", param_hint="--weights")
    return name
