"""Loads a finished study: its tables, and the histories, sample fields and spectra of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from subgrid.errors import RunError
from subgrid.io.atomic import read_json
from subgrid.reporting.merge_runs import merge_systems
from subgrid.scores.registry import BASELINES, TRUTH
from subgrid.scores.score_table import update_names
from subgrid.studies.jobs import FACTS, STUDY_FILE, check_evaluation
from subgrid.studies.results import fill_texts

TABLES = ("results", "differences", "costs", "failures")
OPTIONAL = ("single_seeds",)  # studies of the first versions do not have it


@dataclass(frozen=True)
class FinishedStudy:
    """The folder of a finished study.

    Attributes:
        folder: the folder.
        facts: the contents of `study.json`.
        tables: `results`, `single_seeds` (if there is one), `differences`, `costs` and `failures`, as `subgrid study` writes
            them, with the column names and verdicts of this version.
        runs: folder of each finished run by arm and seed, in the order of the study.
    """

    folder: Path
    facts: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    runs: Mapping[str, Mapping[int, Path]]

    @property
    def results(self) -> pd.DataFrame:
        """`results.csv`: one row for each arm, variable and score."""
        return self.tables["results"]

    @property
    def reference(self) -> str:
        """Name of the arm that the others are compared with."""
        return str(self.facts["reference"])

    def histories(self) -> dict[str, dict[int, pd.DataFrame]]:
        """Read `history.csv` of each finished run, by arm and seed."""
        return {
            arm: {seed: pd.read_csv(path / "history.csv") for seed, path in runs.items()}
            for arm, runs in self.runs.items()
        }

    def samples(self) -> xr.Dataset | None:
        """Read the sample fields of truth, baselines and the first finished seed of each arm.

        Returns:
            `V(system, valid_time, y, x)` and `V_coarse(valid_time, y_coarse, x_coarse)`, as an evaluation writes them. Coarse
            fields and baselines come from the reference arm. An arm with another truth is left out. None where no run has
            fields that can be compared.
        """
        return self._merged("samples.nc", slice(1))

    def spectra(self) -> xr.Dataset | None:
        """Read the spectra of truth, baselines and arms, averaged over the seeds of an arm: `V(system, wavelength)`."""
        return self._merged("spectra.nc", slice(None))

    def _merged(self, name: str, which: slice) -> xr.Dataset | None:
        """Join one file of the chosen runs of each arm along `system`; the truth is that of the reference arm."""
        by_arm = {
            arm: [fields for path in self.runs[arm].values() if (fields := _read(path, name)) is not None][which]
            for arm in sorted(self.runs, key=lambda arm: arm != self.reference)
        }
        joined = merge_systems(by_arm)
        if joined is None:
            return None
        order = [name for name in (TRUTH, *BASELINES, *self.runs) if name in joined["system"].values]
        return joined.sel(system=order)


def load_finished(folder: str | Path) -> FinishedStudy:
    """Load the folder of a finished study.

    Raises:
        RunError: the folder is not that of a finished study, none of its runs is finished, or the scores of a run are of
            other weights than the last ones.
    """
    folder = Path(folder)
    missing = [name for name in (STUDY_FILE, *(f"{table}.csv" for table in TABLES)) if not (folder / name).is_file()]
    if missing:
        raise RunError(
            f"{folder} is not the folder of a finished study: it has no {', '.join(missing)}. Run `subgrid study` first."
        )
    facts = read_json(folder / STUDY_FILE, "Run the study again in another folder.")
    names = [name for name in (*TABLES, *OPTIONAL) if (folder / f"{name}.csv").is_file()]
    read = {name: pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""]) for name in names}
    tables = {name: fill_texts(update_names(table)) for name, table in read.items()}
    runs = {arm: _finished_runs(folder, arm, facts["seeds"]) for arm in facts["arms"]}
    for path in (path for paths in runs.values() for path in paths.values()):
        check_evaluation(path)
    if not any(runs.values()):
        raise RunError(f"{folder}: no run of this study is finished; failures.csv lists the errors.")
    return FinishedStudy(folder, facts, tables, runs)


def _finished_runs(folder: Path, arm: str, seeds: Sequence[int]) -> dict[int, Path]:
    paths = {seed: folder / "runs" / f"{arm}-seed{seed}" for seed in seeds}
    return {seed: path for seed, path in paths.items() if (path / FACTS).is_file()}


def _read(run: Path, name: str) -> xr.Dataset | None:
    path = run / "evaluation" / name
    if not path.is_file():
        return None
    with xr.open_dataset(path) as dataset:
        return None if "realization" in dataset.dims else dataset.load()  # unconditional samples have no time
