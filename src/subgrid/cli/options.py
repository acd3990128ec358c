"""Arguments and options of the commands, and how their values are read."""

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
Start = Annotated[
    str | None, typer.Option(metavar="TIME", help="Time of the first field, for files without dates such as .npy.")
]
Step = Annotated[str | None, typer.Option(metavar="LENGTH", help="Time step, such as 1h or 1 month; needs --start.")]
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
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists and is an earlier output.")]
Force = Annotated[
    bool,
    typer.Option("--force", help="Also accept values far outside the training data."),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Let the config.json of a run name networks of other packages (module:Class), whose code is then run.",
    ),
]
OverwriteScores = Annotated[bool, typer.Option("--overwrite", help="Replace earlier scores at PATH.")]
FieldsOut = Annotated[Path, typer.Argument(metavar="OUT", help="File to write: .nc (NetCDF) or .zarr (Zarr).")]
Sources = Annotated[
    list[str], typer.Argument(metavar="FILE", help="NetCDF, GRIB or .npy files, globs or Zarr folders.")
]

Factor = Annotated[
    int, typer.Option(metavar="N", help="Super-resolution factor: fine cells per coarse cell along an axis.")
]
FittingFactor = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Super-resolution factor (default: 4, 2 or 8, the first that divides the grid).", min=2
    ),
]
Key = Annotated[str, typer.Argument(metavar="KEY", help="A setting or table, such as train or generator.features.")]
OverwriteStore = Annotated[
    bool, typer.Option("--overwrite", help="Replace a store at PATH that was made for another request.")
]
StoreOut = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Store to write (default: stores/NAME-HASH.zarr, named after CONFIG)."),
]
RunOut = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Run directory to make (default: runs/NAME-SYSTEM, named after CONFIG)."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")]
ScoresOut = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH", help="Folder for the scores (default: RUN/evaluation; for other weights RUN/evaluation-NAME)."
    ),
]
Prediction = Annotated[
    str, typer.Argument(metavar="PREDICTION", help="Predicted fields: a file, a glob or a Zarr folder.")
]
Reference = Annotated[str, typer.Argument(metavar="REFERENCE", help="True fields on the same grid.")]
Baselines = Annotated[
    list[str] | None, typer.Option(metavar="FILE", help="Another prediction to compare with (repeatable).")
]
TableOut = Annotated[
    Path,
    typer.Option(metavar="PATH", help="Folder for the scores, or a .csv or .nc file for the table of scores alone."),
]
SharedNames = Annotated[
    str | None, typer.Option(metavar="NAME,...", help="Variables to score (default: all that both files hold).")
]
Scores = Annotated[str | None, typer.Option(metavar="NAME,...", help="Scores to compute (default: all that apply).")]
AnyFactor = Annotated[
    int | None, typer.Option(metavar="N", help="Super-resolution factor per axis; some scores need it.")
]
Coarse = Annotated[str | None, typer.Option(metavar="FILE", help="Coarse input file; enables the consistency scores.")]
Ranges = Annotated[
    list[str] | None,
    typer.Option(
        "--range",
        metavar="NAME=LOW,HIGH",
        help="Value range of a variable for PSNR, SSIM and histograms (default: range of REFERENCE; repeatable).",
    ),
]
Thresholds = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold",
        metavar="NAME=VALUE[,VALUE]",
        help="Thresholds of the fractions skill score, in the units of the variable (repeatable).",
    ),
]
CoarseFields = Annotated[str, typer.Argument(metavar="SOURCE", help="Coarse fields: a file, a glob or a Zarr folder.")]
Static = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Static fields over the domain, if the run was trained with any."),
]
Count = Annotated[int, typer.Option(metavar="N", help="Number of fields.")]
NoiseSeed = Annotated[int, typer.Option(metavar="N", help="Random seed for the noise.")]
StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="A TOML file with base, seeds, budget and arms.")]
StudyOut = Annotated[Path, typer.Option(metavar="PATH", help="Folder for the runs and results.")]
Workers = Annotated[
    int | None,
    typer.Option(metavar="N", help="Runs to train at the same time (default: one after another).", min=1),
]
Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address of a Dask cluster that sees the same files.")
]
Threads = Annotated[
    int | None, typer.Option(metavar="N", help="Torch threads per run (default: cores divided by workers).", min=1)
]
Figures = Annotated[bool, typer.Option(help="Also write figures for papers and the arrays of each run.")]
StudySet = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set a key of STUDY, such as budget.updates, to VALUE (repeatable)."
    ),
]
Runs = Annotated[
    list[Path], typer.Argument(metavar="RUN", help="Evaluated run directories, or the folder of one study.")
]
PageOut = Annotated[Path, typer.Option(metavar="PATH", help="HTML file to write.")]
DemoOut = Annotated[Path, typer.Option(metavar="PATH", help="Folder for all files of the demo.")]
Seconds = Annotated[float, typer.Option(metavar="NUMBER", help="Length of the training in seconds.", min=1)]


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
