"""What a study's finished runs have to show, arm by arm: histories, sample fields, spectra."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from subgrid.errors import RunError
from subgrid.reporting.merge_runs import merge_systems
from subgrid.scores.registry import BASELINES, TRUTH
from subgrid.scores.score_table import update_names
from subgrid.studies.jobs import FACTS, STUDY_FILE
from subgrid.studies.results import fill_texts

TABLES = ("results", "differences", "costs", "failures")
LATER = ("single_seeds",)  # a study of an older subgrid has none


@dataclass(frozen=True)
class Gathered:
    """A study's folder, read.

    Attributes:
        folder: of the study.
        facts: `study.json`.
        tables: `results`, `single_seeds` (where there is one), `differences`, `costs` and `failures`, as `subgrid study`
            writes them.
        runs: folder of each finished run by arm and seed, in the study's order.
    """

    folder: Path
    facts: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    runs: Mapping[str, Mapping[int, Path]]

    @property
    def results(self) -> pd.DataFrame:
        """`results.csv`, one row an arm, variable and score."""
        return self.tables["results"]

    @property
    def reference(self) -> str:
        """Name of the arm that the others are paired with."""
        return str(self.facts["reference"])

    def histories(self) -> dict[str, dict[int, pd.DataFrame]]:
        """`history.csv` of each finished run, by arm and seed."""
        return {
            arm: {seed: pd.read_csv(path / "history.csv") for seed, path in runs.items()}
            for arm, runs in self.runs.items()
        }

    def samples(self) -> xr.Dataset | None:
        """Sample fields of truth, baselines and arms, each arm by its first finished seed.

        Returns:
            `V(system, valid_time, y, x)` and `V_coarse(valid_time, y_coarse, x_coarse)`, as an evaluation writes them. Coarse
            fields and baselines are the reference arm's. An arm of another truth is left out. None where no run has fields
            that can be compared.
        """
        return self._side_by_side("samples.nc", first=True)

    def spectra(self) -> xr.Dataset | None:
        """Mean spectra of truth, baselines and arms, the mean over an arm's seeds: `V(system, wavelength)`."""
        return self._side_by_side("spectra.nc", first=False)

    def _side_by_side(self, name: str, *, first: bool) -> xr.Dataset | None:
        """Join one file of all runs along `system`; the reference's truth is the measure."""
        read = {
            arm: [found for path in self.runs[arm].values() if (found := _read(path, name)) is not None][
                : 1 if first else None
            ]
            for arm in sorted(self.runs, key=lambda one: one != self.reference)
        }
        joined = merge_systems(read)
        if joined is None:
            return None
        order = [one for one in (TRUTH, *BASELINES, *self.runs) if one in joined["system"].values]
        return joined.sel(system=order)


def gather(folder: str | Path) -> Gathered:
    """Read a study's folder.

    Raises:
        RunError: where it is none, or nothing is finished there.
    """
    folder = Path(folder)
    missing = [name for name in (STUDY_FILE, *(f"{table}.csv" for table in TABLES)) if not (folder / name).is_file()]
    if missing:
        raise RunError(
            f"{folder} has no {', '.join(missing)}: it is no finished study; run `subgrid study` with it as --out."
        )
    facts = json.loads((folder / STUDY_FILE).read_text(encoding="utf-8"))
    there = [name for name in (*TABLES, *LATER) if (folder / f"{name}.csv").is_file()]
    read = {name: pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""]) for name in there}
    tables = {name: fill_texts(update_names(table)) for name, table in read.items()}
    runs = {
        arm: {
            seed: path for seed in facts["seeds"] if ((path := folder / "runs" / f"{arm}-seed{seed}") / FACTS).is_file()
        }
        for arm in facts["arms"]
    }
    if not any(runs.values()):
        raise RunError(f"{folder}: none of its runs is finished; failures.csv says why.")
    return Gathered(folder, facts, tables, runs)


def _read(run: Path, name: str) -> xr.Dataset | None:
    path = run / "evaluation" / name
    if not path.is_file():
        return None
    with xr.open_dataset(path) as dataset:
        return None if "realization" in dataset.dims else dataset.load()  # fields drawn from noise belong to no time
