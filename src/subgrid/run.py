"""The run directory, which holds all that evaluation, inference, reports and resuming need.

    config.json        the resolved configuration
    provenance.json    versions, git revision, command, seed, digest of the data, notes
    statistics.json    mean, standard deviation and range of each variable, from the training split
    grid.nc            the fine and the coarse grid, and the static fields
    history.csv        losses and validation scores, one row per validation
    weights/           last, best, content (.safetensors; the running average if there is one)
    state.safetensors  the checkpoint from which training resumes
    finished.json      written when training has finished: its length, and notes for the user

Every file is replaced whole, so that a reader or a resumed run never sees a part of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subgrid.config.schema import Config, load_config
from subgrid.data.grid import spatial_dims
from subgrid.data.identity import data_difference
from subgrid.data.patches import patch_shape
from subgrid.data.scaling import Field, Scaling, scaling_of, static_channel
from subgrid.data.store import Store, open_store
from subgrid.errors import RunError, nearest
from subgrid.io.atomic import read_json, write_json, write_netcdf
from subgrid.io.lock import LOCK
from subgrid.io.provenance import describe_process

AGAIN = "Train the run again, or copy the file from a backup."
USED_FACTS = ("store", "fingerprint", "static", "periods", "num_times")
REQUIRED = ("config.json", "provenance.json", "statistics.json", "grid.nc")


@dataclass(frozen=True)
class Run:
    """An opened run directory.

    Attributes:
        path: the directory.
        config: the resolved configuration.
        provenance: origin of the run and of its data.
        statistics: mean, std, min, max, units and names of each variable.
        grid: coordinates of the fine and (suffix `_coarse`) the coarse grid, and static fields, in memory.
    """

    path: Path
    config: Config
    provenance: dict[str, Any]
    statistics: dict[str, dict[str, Any]]
    grid: xr.Dataset

    @property
    def variables(self) -> list[str]:
        """Names of the variables in channel order."""
        return list(self.config.data.variables)

    @property
    def scaling(self) -> Scaling:
        """The standardisation of the variables."""
        return scaling_of(self.statistics, self.variables)

    @property
    def patch_shape(self) -> tuple[int, int]:
        """Fine cells (rows, columns) of a training patch."""
        return patch_shape(self.grid, self.config.train.patch, self.config.data.factor)

    @property
    def static_scale(self) -> dict[str, dict[str, float]]:
        """Mean and standard deviation of each static field, in channel order."""
        return dict(self.provenance["static"])

    def static_channels(self, fields: xr.Dataset | None = None) -> Field:
        """Return static fields as standardised channels (s, y, x), by default those of the training grid."""
        source = self.grid if fields is None else fields
        channels = [static_channel(source[name].values, scale) for name, scale in self.static_scale.items()]
        return np.stack(channels) if channels else np.zeros((0, 0, 0), dtype=np.float32)


def create_run(out: Path, config: Config, store: Store) -> Run:
    """Create the run directory of a training.

    Args:
        out: the directory; must not hold anything.
        config: the resolved configuration.
        store: the training store.

    Raises:
        RunError: if `out` exists and holds anything.
    """
    check_new_run(out)
    (out / "weights").mkdir(parents=True, exist_ok=True)
    meta = store.meta
    provenance = {
        **describe_process(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": config.seed,
        "store": str(store.path.resolve()),
        "fingerprint": meta["fingerprint"],
        "digest": meta.get("digest"),
        "source": meta.get("source_text", ""),
        "num_times": meta["num_times"],
        "periods": meta["periods"],
        "periodic": meta["periodic"],
        "static": meta.get("static", {}),
        "notes": meta.get("notes", []),
    }
    write_netcdf(out / "grid.nc", _grid(store))
    write_json(out / "statistics.json", meta["statistics"])
    write_json(out / "provenance.json", provenance)
    # The configuration comes last, because its presence marks a complete run directory.
    write_json(out / "config.json", config.model_dump(mode="json", exclude_none=True))
    return load_run(out)


def check_new_run(out: Path) -> None:
    """Check that a run directory can be created; one whose creation was interrupted may be written again.

    Raises:
        RunError: if the directory holds anything else.
    """
    if out.is_dir():
        incomplete = {"weights", LOCK, *REQUIRED[1:]}
        names = {path.name for path in out.iterdir() if not path.name.endswith(".tmp")}
        if names <= incomplete and not any((out / "weights").glob("*.safetensors")):
            return
    if (out / "config.json").is_file():
        raise RunError(f"{out} already exists; continue it with resume=True (--resume), or choose another out (--out).")
    if out.exists():
        raise RunError(f"{out} already exists and is not a run directory; choose another out (--out).")


def load_run(path: str | Path) -> Run:
    """Open a run directory.

    Raises:
        RunError: if it does not exist or is incomplete.
    """
    path = Path(path)
    if not path.is_dir():
        siblings = [file.parent.name for file in path.parent.glob("*/config.json")] if path.parent.is_dir() else []
        raise RunError(f"there is no run directory {path}.{nearest(path.name, siblings)}")
    missing = [name for name in REQUIRED if not (path / name).is_file()]
    if missing:
        raise RunError(
            f"{path} is not a run directory: it has no {', '.join(missing)}. Create one with "
            f"`subgrid train CONFIG --out {path}`."
        )
    config = load_config(path / "config.json")
    provenance, statistics = (read_json(path / name, AGAIN) for name in REQUIRED[1:3])
    absent = [f"{key} in provenance.json" for key in USED_FACTS if key not in provenance]
    absent += [f"{name} in statistics.json" for name in config.data.variables if name not in statistics]
    if absent:
        raise RunError(f"{path} is damaged: there is no {', no '.join(absent)}. {AGAIN}")
    try:
        with xr.open_dataset(path / "grid.nc", engine="netcdf4") as grid:
            return Run(path, config, provenance, statistics, grid.load())
    except (OSError, RuntimeError) as error:  # the NetCDF library raises both
        raise RunError(f"{path / 'grid.nc'} is damaged ({error}). {AGAIN}") from None


def store_of(run: Run, path: str | Path | None = None) -> Store:
    """Open the training store of a run.

    Args:
        run: an opened run.
        path: the store, if it is not where it was when the run was trained.

    Raises:
        RunError: if it does not exist, or is not the one that the run was trained on.
    """
    path = Path(path) if path is not None else Path(run.provenance["store"])
    if not path.exists():
        raise RunError(
            f"the training store {path} of {run.path} does not exist; prepare it again with `subgrid prepare "
            f"{run.path / 'config.json'} --out STORE` and pass it as store (--store)."
        )
    store = open_store(path)
    data = run.config.data
    asked = {"factor": data.factor, "method": data.coarsen, "variables": run.variables}
    difference = data_difference(store.meta, run.provenance | asked)
    if difference is not None:
        raise RunError(
            f"{path} is not the store that {run.path} was trained on: {difference}; pass the matching store (--store)."
        )
    return store


def _grid(store: Store) -> xr.Dataset:
    """Return the coordinates of both grids, and the static fields."""
    y, x = spatial_dims(store.hr)
    grid = xr.Dataset(coords={d: store.hr[d] for d in (y, x)})
    grid = grid.assign_coords({f"{d}_coarse": (f"{d}_coarse", store.lr[d].values, store.lr[d].attrs) for d in (y, x)})
    if store.static is not None:
        grid = grid.assign({name: store.static[name].load() for name in store.meta["static"]})
    return grid


def notes_of(path: str | Path) -> list[str]:
    """Return the notes for the user that a finished training left; empty if it has not finished."""
    file = Path(path) / "finished.json"
    return list(read_json(file, AGAIN).get("notes", [])) if file.is_file() else []
