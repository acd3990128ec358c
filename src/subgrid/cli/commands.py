"""The command line: thin commands over the functions of the same names.

Results go to standard output, progress and remarks to standard error. A user's mistake ends with one line and exit code 2.
"""

from __future__ import annotations

import json
import sys
import warnings
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from subgrid import __version__
from subgrid.cli import options as option
from subgrid.cli.stopped import FILE_ERRORS, describe_file_error, what_is_kept
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


def _note(text: str) -> None:
    """Show a remark on standard error."""
    from subgrid.io.console import notify

    notify(f"  note: {text}")


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the program itself."""


@app.command(epilog="Example: subgrid check era5_2019-*.nc --variables t2m,u10 --factor 4")
def check(
    sources: option.Sources,
    variables: option.Names = None,
    factor: option.Factor = 4,
    select: option.Select = None,
    start: option.Start = None,
    step: option.Step = None,
) -> None:
    """Check input files for training.

    Prints what the files hold, each problem that was found, and how to fix it. The exit code is 0 if the files can be used, 1
    if they can be used but there are warnings, and 2 if they cannot be used.
    """
    from subgrid.data.check import check as run_check
    from subgrid.io.console import tracker

    with tracker("check") as progress:
        found = run_check(
            sources if len(sources) > 1 else sources[0],
            variables=option.as_names(variables),
            select=option.as_labels(select),
            factor=factor,
            start=start,
            step=step,
            progress=progress,
        )
    for line in (*found.summary, *found.remarks):
        typer.echo(line)
    typer.echo(found.verdict)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


@app.command(epilog="Example: subgrid init era5_2019-*.nc --variables t2m,u10 > my.toml")
def init(
    sources: option.Sources,
    variables: option.Names = None,
    factor: option.FittingFactor = None,
    select: option.Select = None,
    start: option.Start = None,
    step: option.Step = None,
) -> None:
    """Write a commented first configuration for your files.

    Checks the files and prints a TOML configuration for them; remarks on the files go to standard error.
    """
    from subgrid.config.starting import init as run_init
    from subgrid.io.console import notify, tracker

    with tracker("check") as progress:
        text = run_init(
            sources if len(sources) > 1 else sources[0],
            variables=option.as_names(variables),
            factor=factor,
            select=option.as_labels(select),
            start=start,
            step=step,
            progress=progress,
            notify=notify,
        )
    typer.echo(text, nl=False)


@app.command(epilog="Example: subgrid settings train.batch")
def settings(
    key: option.Key = "",
) -> None:
    """Describe all settings, or one."""
    import shutil

    from subgrid.config.reference import as_text
    from subgrid.config.reference import settings as find_settings

    typer.echo(as_text(find_settings(key), width=min(shutil.get_terminal_size((100, 24)).columns, 120)))


@app.command(epilog="Example: subgrid prepare examples/gfs_winds.toml --out winds.zarr")
def prepare(
    config: option.ConfigPath,
    out: option.StoreOut = None,
    overwrite: option.OverwriteStore = False,
    overrides: option.Set = None,
) -> None:
    """Make the training store of a configuration.

    The store holds paired coarse and fine fields, the splits, statistics for scaling, and where the data came from. `train`
    makes it by itself if it does not exist.
    """
    from subgrid.data.store import describe_store
    from subgrid.io.console import notify, tracker
    from subgrid.training.prepare import prepare as run_prepare

    with tracker("prepare") as progress:
        path = run_prepare(
            config, out=out, overrides=overrides or (), overwrite=overwrite, progress=progress, notify=_note
        )
    for line in describe_store(path):
        notify(f"  {line}")
    typer.echo(path)


@app.command(epilog="Example: subgrid train examples/gfs_winds.toml --out runs/winds --set train.updates=2000")
def train(
    config: option.ConfigPath,
    out: option.RunOut = None,
    store: option.StorePath = None,
    resume: option.Resume = False,
    trust: option.Trust = False,
    overrides: option.Set = None,
) -> None:
    """Train a system; prepare its data first if needed.

    A training may be interrupted at any time; the same command with --resume continues from the last checkpoint.
    """
    from subgrid.training.check_config import load_checked

    load_checked(config, overrides or (), trust)  # before the slow imports below, so that a mistake is reported at once

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
            trust=trust,
            progress=progress,
            notify=lambda text: notify(f"  {text}"),
        )
    for note in notes_of(run):
        _note(note)
    typer.echo(run)


@app.command(epilog="Example: subgrid evaluate runs/winds")
def evaluate(
    run: option.RunPath,
    out: option.ScoresOut = None,
    store: option.StorePath = None,
    weights: option.Which = "last",
    interpolate: option.Blend = None,
    by: option.By = None,
    level: option.Level = 0.95,
    block: option.BlockLength = None,
    every: option.Every = False,
    trust: option.Trust = False,
) -> None:
    """Score a trained system on its test period.

    Scores are computed in physical units and compared with bilinear and bicubic interpolation.
    """
    from subgrid.evaluation.evaluate import evaluate as run_evaluate
    from subgrid.evaluation.evaluate import evaluation_folder
    from subgrid.io.console import tracker
    from subgrid.reporting.terminal import show_scores

    with tracker("evaluate") as progress:
        scores = run_evaluate(
            run,
            out=out,
            store=store,
            weights=option.as_weights(weights),
            interpolate=interpolate,
            by=by or (),
            level=level,
            block=block,
            trust=trust,
            progress=progress,
            notify=_note,
        )
    show_scores(scores, every=every)
    typer.echo((out or evaluation_folder(run, weights, interpolate)) / "scores.csv")


@app.command(epilog="Example: subgrid score fine.nc truth.nc --baseline bicubic.nc --by season")
def score(
    prediction: option.Prediction,
    reference: option.Reference,
    baseline: option.Baselines = None,
    out: option.TableOut = Path("scores"),
    variables: option.SharedNames = None,
    scores: option.Scores = None,
    by: option.By = None,
    factor: option.AnyFactor = None,
    coarse: option.Coarse = None,
    ranges: option.Ranges = None,
    thresholds: option.Thresholds = None,
    level: option.Level = 0.95,
    block: option.BlockLength = None,
    overwrite: option.OverwriteScores = False,
    every: option.Every = False,
) -> None:
    """Score predicted fields against true fields.

    Any two files on the same grid can be compared, whichever program made them.
    """
    from subgrid.evaluation.score_files import score as run_score
    from subgrid.io.console import tracker
    from subgrid.reporting.terminal import show_scores

    with tracker("score") as progress:
        table = run_score(
            prediction,
            reference,
            baselines=option.as_baselines(baseline or []),
            out=out,
            variables=option.as_names(variables),
            by=by or (),
            names=option.as_names(scores),
            factor=factor,
            coarse=coarse,
            ranges={name: (values[0], values[1]) for name, values in option.as_numbers(ranges, "--range", 2).items()},
            thresholds=option.as_numbers(thresholds, "--threshold"),
            level=level,
            block=block,
            overwrite=overwrite,
            progress=progress,
            notify=_note,
        )
    show_scores(table, every=every or scores is not None)
    typer.echo(out if out.is_file() else out / "scores.csv")


@app.command(epilog="Example: subgrid downscale runs/winds coarse_2019.nc fine_2019.zarr")
def downscale(
    run: option.RunPath,
    source: option.CoarseFields,
    out: option.FieldsOut,
    weights: option.Which = "last",
    interpolate: option.Blend = None,
    select: option.Select = None,
    static: option.Static = None,
    overwrite: option.Overwrite = False,
    force: option.Force = False,
    trust: option.Trust = False,
) -> None:
    """Make fine fields from coarse files with a trained system.

    The files may hold any number of times on a grid of any size. Values in other units than those of the training data are
    converted, and the fine fields are written in the units of the files. Before anything is computed, the mean over up to 16
    evenly spaced times is compared with the training data: more than 6 standard deviations are refused without --force.
    """
    from subgrid.inference.downscale import downscale as run_downscale
    from subgrid.io.console import tracker

    with tracker("downscale") as progress:
        fine = run_downscale(
            run,
            source,
            out,
            weights=option.as_weights(weights),
            interpolate=interpolate,
            select=option.as_labels(select),
            static_source=static,
            overwrite=overwrite,
            force=force,
            trust=trust,
            progress=progress,
            notify=_note,
        )
    typer.echo(f"{out}: {_sizes(fine)}")


@app.command(epilog="Example: subgrid sample runs/gan fields.nc --num 16")
def sample(
    run: option.RunPath,
    out: option.FieldsOut,
    num: option.Count = 16,
    seed: option.NoiseSeed = 0,
    weights: option.Which = "last",
    overwrite: option.Overwrite = False,
    trust: option.Trust = False,
) -> None:
    """Generate fields from noise, without coarse input.

    For systems such as gan, whose only input is noise.
    """
    from subgrid.inference.sample import sample as run_sample

    fields = run_sample(
        run, out, num=num, seed=seed, weights=option.as_weights(weights), overwrite=overwrite, trust=trust
    )
    typer.echo(f"{out}: {_sizes(fields)}")


@app.command(epilog="Example: subgrid study studies/ablation.toml --out studies/ablation --workers 2")
def study(
    study: option.StudyFile,
    out: option.StudyOut,
    workers: option.Workers = None,
    scheduler: option.Scheduler = None,
    threads: option.Threads = None,
    level: option.Level = 0.95,
    figures: option.Figures = True,
    overrides: option.StudySet = None,
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
    runs: option.Runs,
    out: option.PageOut = Path("report.html"),
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
    out: option.DemoOut = Path("demo"),
    seconds: option.Seconds = 75.0,
) -> None:
    """Run the full pipeline on simulated weather.

    Takes a few minutes and ends with an HTML report.
    """
    from subgrid.quickstart import demo as run_demo

    page = run_demo(out, seconds=seconds)
    typer.echo(f"report: {page}")


INTERRUPTED = 130


def _sizes(fields: Any) -> str:
    """The sizes of the fields, without the two ends of cell bounds."""
    return ", ".join(f"{dim} {size}" for dim, size in fields.sizes.items() if dim != "bnds")


def main() -> None:
    """Run the command line; what a user can put right is one line on standard error, with exit code 2 (Ctrl-C: 130)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no ⁻ must not stop a command
    warnings.filterwarnings("ignore", message="Unable to decode time axis")  # dates past 2262 become cftime
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name="subgrid", standalone_mode=False)
    except SubgridError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno not in FILE_ERRORS:
            raise
        _fail(describe_file_error(error, sys.argv))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        if not hasattr(error, "format_message"):  # the one sign of a usage error that all versions of typer share
            raise
        command = getattr(getattr(error, "ctx", None), "command_path", "subgrid")
        _fail(f"{error.format_message()} Try `{command} --help`.")
    if code == INTERRUPTED:
        typer.echo(f"subgrid: interrupted. {what_is_kept(sys.argv)}".rstrip(), err=True)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> NoReturn:
    """Print a message as one line and exit with code 2."""
    typer.echo(f"subgrid: {' '.join(message.split())}", err=True)
    sys.exit(2)
