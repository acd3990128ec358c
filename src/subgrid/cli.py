"""The command line: thin commands over the functions of the same names.

Results go to standard output, progress and remarks to standard error. A user's mistake ends with one line and exit code 2.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from subgrid import __version__
from subgrid.cli_options import (
    Blend,
    BlockLength,
    By,
    ConfigPath,
    Every,
    FieldsOut,
    Level,
    Names,
    Overwrite,
    RunPath,
    Select,
    Set,
    Sources,
    Start,
    Step,
    StorePath,
    Which,
    as_baselines,
    as_labels,
    as_names,
    as_numbers,
    as_weights,
)
from subgrid.errors import SubgridError

app = typer.Typer(
    help="GAN super-resolution of gridded weather and climate fields, from files to evaluated fine fields.",
    epilog="Begin with: subgrid demo, or subgrid init FILES > my.toml for your own data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"subgrid {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the program itself."""


@app.command(epilog="Example: subgrid check era5_2019-*.nc --variables t2m,u10 --factor 4")
def check(
    sources: Sources,
    variables: Names = None,
    factor: Annotated[
        int, typer.Option(metavar="N", help="Super-resolution factor: fine cells per coarse cell along an axis.")
    ] = 4,
    select: Select = None,
    start: Start = None,
    step: Step = None,
) -> None:
    """Check input files for training.

    Prints what the files hold, each problem that was found, and how to fix it. The exit code is 1 if the files cannot be used.
    """
    from subgrid.data.check import check as run_check
    from subgrid.io.console import tracker

    with tracker("check") as progress:
        found = run_check(
            sources if len(sources) > 1 else sources[0],
            variables=as_names(variables),
            select=as_labels(select),
            factor=factor,
            start=start,
            step=step,
            progress=progress,
        )
    for line in (*found.summary, *found.remarks):
        typer.echo(line)
    typer.echo("These files can be used for training." if found.usable else "These files cannot be used as they are.")
    if not found.usable:
        raise typer.Exit(1)


@app.command(epilog="Example: subgrid init era5_2019-*.nc --variables t2m,u10 > my.toml")
def init(
    sources: Sources,
    variables: Names = None,
    factor: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Super-resolution factor (default: 4, 2 or 8, the first that divides the grid).", min=2
        ),
    ] = None,
    select: Select = None,
    start: Start = None,
    step: Step = None,
) -> None:
    """Write a commented first configuration for your files.

    Checks the files and prints a TOML configuration for them; remarks on the files go to standard error.
    """
    from subgrid.io.console import notify, tracker
    from subgrid.starting_config import init as run_init

    with tracker("check") as progress:
        text = run_init(
            sources if len(sources) > 1 else sources[0],
            variables=as_names(variables),
            factor=factor,
            select=as_labels(select),
            start=start,
            step=step,
            progress=progress,
            notify=notify,
        )
    typer.echo(text, nl=False)


@app.command(epilog="Example: subgrid settings train.batch")
def settings(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="A setting or table, such as train or generator.features.")
    ] = "",
) -> None:
    """Describe all settings, or one."""
    import shutil

    from subgrid.settings_reference import as_text
    from subgrid.settings_reference import settings as find_settings

    typer.echo(as_text(find_settings(key), width=min(shutil.get_terminal_size((100, 24)).columns, 120)))


@app.command(epilog="Example: subgrid prepare examples/gfs_winds.toml --out winds.zarr")
def prepare(
    config: ConfigPath,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Store to write (default: stores/NAME-HASH.zarr, named after CONFIG)."),
    ] = None,
    overrides: Set = None,
) -> None:
    """Make the training store of a configuration.

    The store holds paired coarse and fine fields, the splits, statistics for scaling, and where the data came from. `train`
    makes it by itself if it does not exist.
    """
    from subgrid.data.store import describe_store
    from subgrid.io.console import notify, tracker
    from subgrid.training.prepare import prepare as run_prepare

    with tracker("prepare") as progress:
        path = run_prepare(config, out=out, overrides=overrides or (), progress=progress)
    for line in describe_store(path):
        notify(f"  {line}")
    typer.echo(path)


@app.command(epilog="Example: subgrid train examples/gfs_winds.toml --out runs/winds --set train.updates=2000")
def train(
    config: ConfigPath,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Run directory to make (default: runs/NAME-SYSTEM, named after CONFIG)."),
    ] = None,
    store: StorePath = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    overrides: Set = None,
) -> None:
    """Train a system; prepare its data first if needed.

    A training may be interrupted at any time; the same command with --resume continues from the last checkpoint.
    """
    from subgrid.io.console import notify, tracker
    from subgrid.run import notes_of
    from subgrid.training.train import train as run_train

    with tracker("train") as progress:
        run = run_train(
            config,
            out=out,
            store=store,
            resume=resume,
            overrides=overrides or (),
            progress=progress,
            notify=lambda text: notify(f"  {text}"),
        )
    for note in notes_of(run):
        notify(f"  note: {note}")
    typer.echo(run)


@app.command(epilog="Example: subgrid evaluate runs/winds")
def evaluate(
    run: RunPath,
    out: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Folder for the scores (default: RUN/evaluation).")
    ] = None,
    store: StorePath = None,
    weights: Which = "last",
    interpolate: Blend = None,
    by: By = None,
    level: Level = 0.95,
    block: BlockLength = None,
    every: Every = False,
) -> None:
    """Score a trained system on its test period.

    Scores are computed in physical units and compared with bilinear and bicubic interpolation.
    """
    from subgrid.evaluation.evaluate import evaluate as run_evaluate
    from subgrid.io.console import notify, tracker
    from subgrid.reporting.terminal import show_scores

    with tracker("evaluate") as progress:
        scores = run_evaluate(
            run,
            out=out,
            store=store,
            weights=as_weights(weights),
            interpolate=interpolate,
            by=by or (),
            level=level,
            block=block,
            progress=progress,
            notify=lambda text: notify(f"  note: {text}"),
        )
    show_scores(scores, every=every)
    typer.echo(f"{(out or run / 'evaluation') / 'scores.csv'}")


@app.command(epilog="Example: subgrid score fine.nc truth.nc --baseline bicubic.nc --by season")
def score(
    prediction: Annotated[
        str, typer.Argument(metavar="PREDICTION", help="Predicted fields: a file, a glob or a Zarr folder.")
    ],
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="True fields on the same grid.")],
    baseline: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Another prediction to compare with (repeatable).")
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            metavar="PATH", help="Folder for the scores, or a .csv or .nc file for the table of scores alone."
        ),
    ] = Path("scores"),
    variables: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Variables to score (default: all that both files hold).")
    ] = None,
    scores: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Scores to compute (default: all that apply).")
    ] = None,
    by: By = None,
    factor: Annotated[
        int | None, typer.Option(metavar="N", help="Super-resolution factor per axis; some scores need it.")
    ] = None,
    coarse: Annotated[
        str | None, typer.Option(metavar="FILE", help="Coarse input file; enables the consistency scores.")
    ] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            metavar="NAME=LOW,HIGH",
            help="Value range of a variable for PSNR, SSIM and histograms (default: range of REFERENCE; repeatable).",
        ),
    ] = None,
    thresholds: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold",
            metavar="NAME=VALUE[,VALUE]",
            help="Thresholds of the fractions skill score, in the units of the variable (repeatable).",
        ),
    ] = None,
    level: Level = 0.95,
    block: BlockLength = None,
    every: Every = False,
) -> None:
    """Score predicted fields against true fields.

    Any two files on the same grid can be compared, whichever program made them.
    """
    from subgrid.evaluation.score_files import score as run_score
    from subgrid.io.console import notify, tracker
    from subgrid.reporting.terminal import show_scores

    with tracker("score") as progress:
        table = run_score(
            prediction,
            reference,
            baselines=as_baselines(baseline or []),
            out=out,
            variables=as_names(variables),
            by=by or (),
            names=as_names(scores),
            factor=factor,
            coarse=coarse,
            ranges={name: (values[0], values[1]) for name, values in as_numbers(ranges, "--range", 2).items()},
            thresholds=as_numbers(thresholds, "--threshold"),
            level=level,
            block=block,
            progress=progress,
            notify=lambda text: notify(f"  note: {text}"),
        )
    show_scores(table, every=every or scores is not None)
    typer.echo(out if out.is_file() else out / "scores.csv")


@app.command(epilog="Example: subgrid downscale runs/winds coarse_2019.nc fine_2019.zarr")
def downscale(
    run: RunPath,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Coarse fields: a file, a glob or a Zarr folder.")],
    out: FieldsOut,
    weights: Which = "last",
    interpolate: Blend = None,
    select: Select = None,
    static: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Static fields over the domain, if the run was trained with any."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Make fine fields from coarse files with a trained system.

    The files may hold any number of times on a grid of any size.
    """
    from subgrid.inference.downscale import downscale as run_downscale
    from subgrid.io.console import notify, tracker

    with tracker("downscale") as progress:
        fine = run_downscale(
            run,
            source,
            out,
            weights=as_weights(weights),
            interpolate=interpolate,
            select=as_labels(select),
            static_source=static,
            overwrite=overwrite,
            progress=progress,
            notify=lambda text: notify(f"  note: {text}"),
        )
    typer.echo(f"{out}: {', '.join(f'{d} {n}' for d, n in fine.sizes.items())}")


@app.command(epilog="Example: subgrid sample runs/gan fields.nc --num 16")
def sample(
    run: RunPath,
    out: FieldsOut,
    num: Annotated[int, typer.Option(metavar="N", help="Number of fields.")] = 16,
    seed: Annotated[int, typer.Option(metavar="N", help="Random seed for the noise.")] = 0,
    weights: Which = "last",
    overwrite: Overwrite = False,
) -> None:
    """Generate fields from noise, without coarse input.

    For systems such as gan, whose only input is noise.
    """
    from subgrid.inference.sample import sample as run_sample

    fields = run_sample(run, out, num=num, seed=seed, weights=as_weights(weights), overwrite=overwrite)
    typer.echo(f"{out}: {', '.join(f'{d} {n}' for d, n in fields.sizes.items())}")


@app.command(epilog="Example: subgrid study studies/ablation.toml --out studies/ablation --workers 2")
def study(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A TOML file with base, seeds, budget and arms.")],
    out: Annotated[Path, typer.Option(metavar="PATH", help="Folder for the runs and results.")],
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Runs to train at the same time (default: one after another).", min=1),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address of a Dask cluster that sees the same files.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Torch threads per run (default: cores divided by workers).", min=1)
    ] = None,
    level: Level = 0.95,
    figures: Annotated[bool, typer.Option(help="Also write figures for papers and the arrays of each run.")] = True,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Set a key of STUDY, such as budget.updates, to VALUE (repeatable)."
        ),
    ] = None,
) -> None:
    """Compare configurations over several random seeds.

    Trains every arm of the study with every seed, and compares each arm with the reference arm in pairs of the same seed.
    A study may be interrupted at any time; the same command resumes it.
    """
    from subgrid.studies import load_study, show_results
    from subgrid.studies import study as run_study

    reference = load_study(study, overrides or ()).reference
    results = run_study(
        study,
        out=out,
        workers=workers,
        scheduler=scheduler,
        threads=threads,
        overrides=overrides or (),
        level=level,
        figures=figures,
        show=True,
    )
    show_results(results, reference)
    for name in ("results.csv", "report.html"):
        if (out / name).is_file():
            typer.echo(out / name)
    failures = results.attrs["failures"]
    for failure in failures:
        typer.echo(f"failed: {failure['arm']}, seed {failure['seed']}: {failure['error']}", err=True)
    if failures:
        raise typer.Exit(1)


@app.command(epilog="Example: subgrid report runs/winds --out winds.html")
def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Evaluated run directories, or the folder of one study.")
    ],
    out: Annotated[Path, typer.Option(metavar="PATH", help="HTML file to write.")] = Path("report.html"),
) -> None:
    """Write one HTML page with scores, maps and spectra.

    The page holds all it needs: the ranking, linked maps, profiles, spectra, training curves and settings of the runs.
    """
    from subgrid.studies.page import report as run_report

    typer.echo(run_report(runs, out))


@app.command(epilog="Example: subgrid systems --json")
def systems(as_json: Annotated[bool, typer.Option("--json", help="Output as JSON.")] = False) -> None:
    """List the systems that a configuration can name."""
    from subgrid.networks import systems as list_systems

    rows = list_systems()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("system", "generator", "discriminator", "description", box=None)
    for column in table.columns[:3]:  # names and numbers of parameters stay on one line; the text wraps
        column.no_wrap = True
    for row in rows:
        counts = [row[f"{part}_parameters"] for part in ("generator", "discriminator")]
        table.add_row(row["name"], *(f"{count:,}" if count else "-" for count in counts), row["summary"])
    Console().print(table)
    typer.echo("The columns generator and discriminator count parameters, for 2 variables and factor 4.")


@app.command(epilog="Example: subgrid demo --out demo")
def demo(
    out: Annotated[Path, typer.Option(metavar="PATH", help="Folder for all files of the demo.")] = Path("demo"),
    seconds: Annotated[float, typer.Option(metavar="NUMBER", help="Length of the training in seconds.", min=1)] = 75.0,
) -> None:
    """Run the full pipeline on simulated weather.

    Takes a few minutes and ends with an HTML report.
    """
    from subgrid.quickstart import demo as run_demo

    page = run_demo(out, seconds=seconds)
    typer.echo(f"report: {page}")


INTERRUPTED = 130
FILE_ERRORS = (PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error."""
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name="subgrid", standalone_mode=False)
    except (SubgridError, *FILE_ERRORS) as error:
        _fail(_message(error))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        if not hasattr(error, "format_message"):  # the one sign of a usage error that all versions of typer share
            raise
        command = getattr(getattr(error, "ctx", None), "command_path", "subgrid")
        _fail(f"{error.format_message()} Try `{command} --help`.")
    if code == INTERRUPTED:
        typer.echo("subgrid: interrupted. Completed checkpoints are kept; continue with train --resume.", err=True)
    sys.exit(code if isinstance(code, int) else 0)


def _message(error: BaseException) -> str:
    """The message of an error of ours, or that of the operating system with the file it is about."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror or error}; give another path, or change its permissions."
    return str(error)


def _fail(message: str) -> NoReturn:
    """Print a message as one line and exit with code 2."""
    typer.echo(f"subgrid: {' '.join(message.split())}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
