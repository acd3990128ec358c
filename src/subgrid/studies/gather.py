"""What a study's finished runs have to show, arm by arm: histories, sample fields, spectra."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from subgrid.errors import RunError
from subgrid.evaluation import BASELINES
from subgrid.figures import TRUTH
from subgrid.studies.jobs import FACTS, STUDY_FILE

TABLES = ("results", "differences", "costs", "failures")


@dataclass(frozen=True)
class Gathered:
    """A study's folder, read.

    Attributes:
        folder: of the study.
        facts: `study.json`.
        tables: `results`, `differences`, `costs` and `failures`, as `subgrid study` writes them.
        runs: folder of each finished run by arm and seed, in the study's order.
    """

    folder: Path
    facts: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    runs: Mapping[str, Mapping[int, Path]]

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
        """Sample fields of the arms, each by its first finished seed, beside those of truth and baselines.

        Returns:
            `V(system, valid_time, y, x)` and `V_coarse(valid_time, y_coarse, x_coarse)` as an evaluation writes them, systems
            being truth, baselines, and arms. Coarse fields and baselines are the reference arm's. An arm of another truth is
            left out. None where no run has fields that can be compared.
        """
        return self._side_by_side("samples.nc", first=True)

    def spectra(self) -> xr.Dataset | None:
        """Mean spectra of the arms, the mean over their seeds: `V(system, wavelength)` as an evaluation writes them."""
        return self._side_by_side("spectra.nc", first=False)

    def _side_by_side(self, name: str, *, first: bool) -> xr.Dataset | None:
        """Join one file of all runs along `system`."""
        common: xr.Dataset | None = None
        parts: list[xr.Dataset] = []
        for arm in sorted(self.runs, key=lambda one: one != self.reference):  # the reference's truth is the measure
            read = [_read(path, name) for path in self.runs[arm].values()][: 1 if first else None]
            found = [one for one in read if one is not None]
            if not found:
                continue
            if common is None:
                common = found[0].sel(system=[s for s in found[0]["system"].values if s in (TRUTH, *BASELINES)])
            mine = [_own(one, arm) for one in found if _same(one, common)]
            if mine:
                parts.append(mine[0] if first else sum(mine[1:], mine[0]) / len(mine))
        if common is None or not parts:
            return None
        order = [TRUTH, *BASELINES, *self.runs]
        joined = xr.concat([common, *parts], dim="system", data_vars="minimal", coords="minimal", compat="override")
        joined = joined.sel(system=[one for one in order if one in joined["system"].values])
        for key, field in common.data_vars.items():
            joined[key].attrs.update(field.attrs)
        return joined.assign_attrs(common.attrs)


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
    tables = {name: pd.read_csv(folder / f"{name}.csv", keep_default_na=name == "results") for name in TABLES}
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
        return dataset.load()


def _own(dataset: xr.Dataset, arm: str) -> xr.Dataset:
    """The trained system's fields, under the arm's name."""
    (system,) = [one for one in dataset["system"].values if one not in (TRUTH, *BASELINES)]
    fields = [name for name, field in dataset.data_vars.items() if "system" in field.dims]
    return dataset[fields].sel(system=[system]).assign_coords(system=[arm])


def _same(one: xr.Dataset, common: xr.Dataset) -> bool:
    """Whether the truth is the same; coarse fields may be another's, as where an arm is about coarsening."""
    if dict(one.sizes) != dict(common.sizes) | {"system": one.sizes["system"]} or TRUTH not in one["system"].values:
        return False
    names = [name for name, field in common.data_vars.items() if "system" in field.dims]
    return all(
        name in one and np.allclose(one[name].sel(system=TRUTH), common[name].sel(system=TRUTH), equal_nan=True)
        for name in names
    )
