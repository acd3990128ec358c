"""The command line: thin verbs over the functions of the same names.

Results go to standard output, progress and remarks to standard error. A user's mistake ends with one line and exit code 2.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from subgrid.errors import SubgridError

app = typer.Typer(
    help="GAN super-resolution of gridded weather and climate fields: from files to fine fields, with evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting; may be repeated.")
]
ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file, or the config.json of a run.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]
StorePath = Annotated[Path | None, typer.Option(help="The training store, where it is not the default one.")]
Which = Annotated[str, typer.Option(help="Which weights: last, best or content.")]
Blend = Annotated[
    float | None,
    typer.Option(metavar="0..1", help="Weights between those of the content stage (0) and the last ones (1)."),
]
Select = Annotated[
    list[str] | None, typer.Option("--select", metavar="DIM=LABEL", help="Pick a label along another dimension.")
]

By = Annotated[
    list[str] | None,
    typer.Option(metavar="season|hour|region", help="Scores of each beside those of all; may be repeated."),
]
Level = Annotated[float, typer.Option(help="Of the intervals.", min=0.5, max=0.999)]
BlockLength = Annotated[
    int | None, typer.Option(help="Times in a block of the bootstrap; estimated for each score by default.", min=1)
]
Every = Annotated[bool, typer.Option("--all", help="Show all scores and groups; the file has them anyway.")]


@app.command(epilog="Example: subgrid check era5_2019-*.nc --variables t2m,u10 --factor 4")
def check(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Files, globs or Zarr folders.")],
    variables: Annotated[str | None, typer.Option(help="Names, with commas between; all by default.")] = None,
    factor: Annotated[int, typer.Option(help="Fine cells per coarse cell along an axis.")] = 4,
    select: Select = None,
    start: Annotated[str | None, typer.Option(help="Time of the first field (.npy only).")] = None,
    step: Annotated[str | None, typer.Option(help="Time between fields, such as 1h (.npy only).")] = None,
) -> None:
    """Say what files hold, what is wrong with them for super-resolution, and what to do about it."""
    from subgrid.data.check import check as run_check
    from subgrid.io.console import tracker

    names = variables.split(",") if variables else None
    with tracker("check") as progress:
        found = run_check(
            sources if len(sources) > 1 else sources[0],
            variables=names,
            select=_labels(select),
            factor=factor,
            start=start,
            step=step,
            progress=progress,
        )
    for line in found.summary:
        typer.echo(line)
    for finding in found.findings:
        typer.echo(f"{finding.level.upper():8}{finding.text}")
        if finding.fix:
            typer.echo(f"        {finding.fix}")
    typer.echo("usable for training" if found.usable else "not usable for training as it is")
    if not found.usable:
        raise typer.Exit(1)


@app.command(epilog="Example: subgrid prepare examples/gfs_winds.toml --out winds.zarr")
def prepare(
    config: ConfigPath,
    out: Annotated[Path | None, typer.Option(help="The store to make; stores/<name>-<hash>.zarr by default.")] = None,
    overrides: Set = None,
) -> None:
    """Make a training store: paired coarse and fine fields, splits, statistics, provenance."""
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
    out: Annotated[Path | None, typer.Option(help="The run directory; runs/<name>-<system> by default.")] = None,
    store: StorePath = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was cut off.")] = False,
    overrides: Set = None,
) -> None:
    """Train a system; prepares its data first if need be. May be killed at any moment and resumed."""
    from subgrid.data.store import describe_store
    from subgrid.io.console import notify, tracker
    from subgrid.run import notes_of
    from subgrid.training.prepare import prepare as run_prepare
    from subgrid.training.train import plan_run
    from subgrid.training.train import train as run_train

    begun = plan_run(config, out=out, resume=resume, overrides=overrides or ())[2]
    if store is None and begun is None:
        with tracker("prepare") as progress:
            store = run_prepare(config, overrides=overrides or (), progress=progress)
        for line in describe_store(store):
            notify(f"  {line}")
    with tracker("train") as progress:
        run = run_train(config, out=out, store=store, resume=resume, overrides=overrides or (), progress=progress)
    for note in notes_of(run):
        notify(f"  note: {note}")
    typer.echo(run)


@app.command(epilog="Example: subgrid evaluate runs/winds")
def evaluate(
    run: RunPath,
    out: Annotated[Path | None, typer.Option(help="Folder for the scores; RUN/evaluation by default.")] = None,
    store: StorePath = None,
    weights: Which = "last",
    interpolate: Blend = None,
    by: By = None,
    level: Level = 0.95,
    block: BlockLength = None,
    every: Every = False,
) -> None:
    """Score a trained system on the test split, in physical units, beside bilinear and bicubic."""
    from subgrid.evaluation.evaluate import evaluate as run_evaluate
    from subgrid.io.console import notify, tracker
    from subgrid.reporting.terminal import show_scores

    with tracker("evaluate") as progress:
        scores = run_evaluate(
            run,
            out=out,
            store=store,
            weights=_weights(weights),
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
    prediction: Annotated[str, typer.Argument(metavar="PREDICTION", help="A file, a glob or a Zarr folder.")],
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="The truth, on the same grid.")],
    baseline: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Another prediction to rank; may be repeated.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the scores, or a .csv or .nc file for the table alone.")] = Path(
        "scores"
    ),
    variables: Annotated[
        str | None, typer.Option(help="Names, with commas between; all shared ones by default.")
    ] = None,
    scores: Annotated[str | None, typer.Option(help="Scores, with commas between; all by default.")] = None,
    by: By = None,
    factor: Annotated[
        int | None, typer.Option(help="Fine cells per coarse cell, for the scores that ask for it.")
    ] = None,
    coarse: Annotated[str | None, typer.Option(metavar="FILE", help="The coarse input, to be agreed with.")] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range", metavar="NAME=LOW,HIGH", help="For PSNR, SSIM and histograms; the reference's by default."
        ),
    ] = None,
    thresholds: Annotated[
        list[str] | None,
        typer.Option("--threshold", metavar="NAME=VALUE[,VALUE]", help="Of the fractions skill score, in its units."),
    ] = None,
    level: Level = 0.95,
    block: BlockLength = None,
    every: Every = False,
) -> None:
    """Score any two fields on the same grid, ours or anyone's, with intervals."""
    from subgrid.evaluation.score_files import score as run_score
    from subgrid.io.console import notify, tracker
    from subgrid.reporting.terminal import show_scores

    with tracker("score") as progress:
        table = run_score(
            prediction,
            reference,
            baselines=_baselines(baseline or []),
            out=out,
            variables=variables.split(",") if variables else None,
            by=by or (),
            names=scores.split(",") if scores else None,
            factor=factor,
            coarse=coarse,
            ranges={name: (values[0], values[1]) for name, values in _numbers(ranges, "--range", 2).items()},
            thresholds=_numbers(thresholds, "--threshold"),
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
    out: Annotated[Path, typer.Argument(metavar="OUT", help="What to write: .nc or .zarr.")],
    weights: Which = "last",
    interpolate: Blend = None,
    select: Select = None,
    static: Annotated[str | None, typer.Option(help="Static fields over the domain, where the run uses any.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Super-resolve a field or a series of any size."""
    from subgrid.inference.downscale import downscale as run_downscale
    from subgrid.io.console import notify, tracker

    with tracker("downscale") as progress:
        fine = run_downscale(
            run,
            source,
            out,
            weights=_weights(weights),
            interpolate=interpolate,
            select=_labels(select),
            static_source=static,
            overwrite=overwrite,
            progress=progress,
            notify=lambda text: notify(f"  note: {text}"),
        )
    typer.echo(f"{out}: {', '.join(f'{d} {n}' for d, n in fine.sizes.items())}")


@app.command(epilog="Example: subgrid sample runs/gan fields.nc --num 16")
def sample(
    run: RunPath,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="What to write: .nc or .zarr.")],
    num: Annotated[int, typer.Option(help="How many fields.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    weights: Which = "last",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Draw fields from noise by a system that takes no coarse input, such as gan."""
    from subgrid.inference.sample import sample as run_sample

    fields = run_sample(run, out, num=num, seed=seed, weights=_weights(weights), overwrite=overwrite)
    typer.echo(f"{out}: {', '.join(f'{d} {n}' for d, n in fields.sizes.items())}")


@app.command(epilog="Example: subgrid study studies/ablation.toml --out studies/ablation --workers 2")
def study(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A TOML file: base, seeds, budget and arms.")],
    out: Annotated[Path, typer.Option(help="Folder of its runs and results.")],
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the cores; one run after another by default.", min=1)
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="An existing Dask cluster that sees the same files.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Of each run; the cores shared out by default.", min=1)] = None,
    level: Level = 0.95,
    figures: Annotated[bool, typer.Option(help="Also write figures for papers and each run's plain arrays.")] = True,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of STUDY, such as budget.updates=200."),
    ] = None,
) -> None:
    """Train arms x seeds and compare them in pairs. May be killed at any moment; the same command goes on."""
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
    failed = results.attrs["failures"]
    for one in failed:
        typer.echo(f"failed: {one['arm']}, seed {one['seed']}: {one['error']}", err=True)
    if failed:
        raise typer.Exit(1)


@app.command(epilog="Example: subgrid report runs/winds --out winds.html")
def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Evaluated run directories, or the folder of one study.")
    ],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
) -> None:
    """Write one self-contained HTML page: ranking, linked maps, profiles, spectra, curves, settings."""
    from subgrid.studies.page import report as run_report

    typer.echo(run_report(runs, out))


@app.command(epilog="Example: subgrid systems --json")
def systems(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """List the systems that a configuration can name."""
    from subgrid.networks import systems as list_systems

    rows = list_systems()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("system", "generator", "discriminator", "what it is", box=None)
    for column in table.columns[:3]:  # names and counts whole; the text wraps
        column.no_wrap = True
    for row in rows:
        table.add_row(
            row["name"], _count(row["generator_parameters"]), _count(row["discriminator_parameters"]), row["summary"]
        )
    Console().print(table)


@app.command(epilog="Example: subgrid demo --out demo")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path("demo"),
    seconds: Annotated[float, typer.Option(help="Of training.", min=1)] = 75.0,
) -> None:
    """Run the whole road on built-in simulated weather, in a few minutes."""
    from subgrid.quickstart import demo as run_demo

    page = run_demo(out, seconds=seconds)
    typer.echo(f"report: {page}")


def _labels(pairs: list[str] | None) -> dict[str, Any]:
    """`level=850` as a label; numbers as numbers."""
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


def _baselines(files: list[str]) -> dict[str, str]:
    """Files by their stems."""
    out = {Path(file).name.split(".")[0]: file for file in files}
    if len(out) < len(files):
        raise typer.BadParameter("two files have the same name", param_hint="--baseline")
    return out


def _numbers(pairs: list[str] | None, option: str, count: int | None = None) -> dict[str, tuple[float, ...]]:
    """`t2m=250,310` as numbers by name."""
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


def _weights(name: str) -> Any:
    if name not in {"last", "best", "content"}:
        raise typer.BadParameter(f"{name!r}: expected last, best or content", param_hint="--weights")
    return name


def _count(number: int) -> str:
    return f"{number:,}" if number else "-"


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error."""
    try:
        code = app(args=sys.argv[1:] or ["--help"], prog_name="subgrid", standalone_mode=False)
    except (SubgridError, *FILE_ERRORS) as error:
        _fail(_plainly(error))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        if not hasattr(error, "format_message"):  # the one sign of a usage error that all versions of typer share
            raise
        command = getattr(getattr(error, "ctx", None), "command_path", "subgrid")
        _fail(f"{error.format_message()} Try `{command} --help`.")
    if code == INTERRUPTED:
        typer.echo(
            "subgrid: interrupted; what was written whole is kept, and `train --resume` goes on with it", err=True
        )
    sys.exit(code if isinstance(code, int) else 0)


INTERRUPTED = 130
FILE_ERRORS = (PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)


def _plainly(error: BaseException) -> str:
    """Our own messages as they are, the system's with the file they are about."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror or error}; give another path, or change its permissions."
    return str(error)


def _fail(message: str) -> NoReturn:
    """One line, whatever a library put into it; exit code 2."""
    typer.echo(f"subgrid: {' '.join(message.split())}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
