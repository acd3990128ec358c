"""The folder of an evaluation: one writer at a time, all files replaced together, none that is not of an evaluation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from subgrid.errors import RunError
from subgrid.io.atomic import partial_path, remove, sync_folder, sync_tree
from subgrid.io.interrupts import interrupts_held
from subgrid.io.lock import locked, locked_output
from subgrid.scores.statistics_file import FILE, OLDER_FILE

DESCRIPTION = "evaluation.json"  # of an evaluation of a run; scores of files have none
TABLE = "scores.csv"
_HEAD = b"system,variable,score,value"  # of a table
SCORE_FILES = (TABLE, "scores.nc", FILE, "cells.nc", "quantiles.nc", "cycles.nc", "ranks.nc", OLDER_FILE)
OF_RUNS = ("spectra.nc", "samples.nc", "histograms.nc")
# Files are replaced in this order. Those that say whose a folder is come first, so that it is known as ours even if the process
# ends in between; the description comes last, because without it nobody reads files of which some are of an earlier evaluation.
RUN_FILES = (*OF_RUNS, *SCORE_FILES, DESCRIPTION)


@contextmanager
def run_results(folder: Path, own: bool) -> Iterator[Path]:
    """Hold the folder of an evaluation of a run, and replace the files of an earlier one when all are complete.

    Args:
        folder: created if it does not exist.
        own: whether it is the one in the run directory, in which nobody else writes.

    Yields:
        An empty folder to write the files to; it is removed if an error is raised.

    Raises:
        RunError: if the folder is being written, or holds files of these names that are of no evaluation.
    """
    taken = _taken(folder, RUN_FILES)
    if taken and not own and not {*OF_RUNS, DESCRIPTION} & set(taken):
        raise RunError(
            f"{folder} holds {taken[0]}, which is of no evaluation of a run; choose another folder (out, or --out)."
        )
    with locked(folder), _replaced_together(folder, RUN_FILES) as partial:
        yield partial


@contextmanager
def file_results(folder: Path, overwrite: bool) -> Iterator[Path]:
    """Hold the folder of scores of files, and replace earlier ones when all files are complete.

    Args:
        folder: created if it does not exist.
        overwrite: whether it may hold earlier scores.

    Yields:
        An empty folder to write the files to; it is removed if an error is raised.

    Raises:
        RunError: if the folder is being written, holds scores and `overwrite` is false, or holds files of these names that
            are not of `score`.
    """
    with locked(folder):
        taken, of_run = _taken(folder, SCORE_FILES), (folder / DESCRIPTION).is_file()
        if of_run or (taken and not _is_table(folder / TABLE)):
            what = "the evaluation of a run" if of_run else f"{taken[0]}, which `score` did not write"
            raise RunError(f"{folder} holds {what}; choose another folder (out, or --out).")
        if taken and not overwrite:
            raise RunError(
                f"{folder} already holds scores; choose another folder (out, or --out), or pass overwrite=True (--overwrite)."
            )
        with _replaced_together(folder, SCORE_FILES) as partial:
            yield partial


@contextmanager
def table_result(path: Path, overwrite: bool) -> Iterator[Path]:
    """Hold a file for the table of scores alone, and write or replace it when the table is complete.

    Args:
        path: `.csv` or `.nc`.
        overwrite: whether it may be an earlier table of scores.

    Yields:
        An empty folder to write the files to, which is removed at the end.

    Raises:
        RunError: if the file is being written, exists and `overwrite` is false, or is no table of scores.
    """
    with locked_output(path):
        if path.exists() and not _is_table(path):
            raise RunError(f"{path} already exists and is no table of scores; choose another name (out, or --out).")
        if path.exists() and not overwrite:
            raise RunError(
                f"{path} already exists; choose another name (out, or --out), or pass overwrite=True (--overwrite)."
            )
        partial = partial_path(path)
        partial.mkdir()
        try:
            yield partial
            sync_tree(partial)
            os.replace(partial / f"scores{path.suffix}", path)
            sync_folder(path.absolute().parent)
        finally:
            remove(partial)


def _is_table(path: Path) -> bool:
    """Whether a file is a table of scores that this program wrote; also true of an empty file, as nothing is lost with it."""
    if not path.is_file():
        return False
    if path.stat().st_size == 0:
        return True
    if path.suffix == ".csv":
        with path.open("rb") as file:
            return file.read(len(_HEAD)) == _HEAD
    import netCDF4

    try:
        with netCDF4.Dataset(path) as opened:
            return bool({"system", "variable", "score", "value"} <= set(opened.variables))
    except (OSError, RuntimeError):
        return False


def _taken(folder: Path, names: Sequence[str]) -> list[str]:
    """Which of these files the folder already holds."""
    return [name for name in names if (folder / name).exists()]


@contextmanager
def _replaced_together(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield a new folder, whose files replace those of an earlier evaluation when the block ends without an error."""
    partial = partial_path(folder / "results")
    partial.mkdir()
    try:
        yield partial
        with interrupts_held():
            sync_tree(partial)
            (folder / DESCRIPTION).unlink(missing_ok=True)
            for name in names:
                if (partial / name).exists():
                    os.replace(partial / name, folder / name)
                else:
                    (folder / name).unlink(missing_ok=True)
            sync_folder(folder)
    finally:
        remove(partial)
