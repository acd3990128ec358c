"""The run directory: all that evaluation, downscaling and reports need, and all that a rerun needs.

    config.json        the resolved configuration
    provenance.json    versions, git revision, command, seed, data fingerprint, notes
    statistics.json    scaling and range of each variable, from the training split
    grid.nc            the fine and coarse grids, and the static fields
    history.csv        losses and validation scores over updates
    weights/           last, best, content (.safetensors; the averaged weights where there is an average)
    state.safetensors  everything that a resumed training needs
    finished.json      what the training took, and notes for its user

Every file is replaced whole, so a reader, or a resumed run, never sees half of one.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from subgrid.config import Config, load_config
from subgrid.data.grid import spatial_dims
from subgrid.data.patches import patch_shape
from subgrid.data.scaling import Field, Scaling, scaling_of, static_channel
from subgrid.data.store import Store, open_store
from subgrid.errors import RunError, nearest
from subgrid.io.atomic import write_json, write_netcdf
from subgrid.io.lock import LOCK

FACTS = ("config.json", "provenance.json", "statistics.json", "grid.nc")
VERSIONS = ("subgrid", "torch", "numpy", "xarray", "zarr", "lightning-fabric")


@dataclass(frozen=True)
class Run:
    """An opened run directory.

    Attributes:
        path: the folder.
        config: the resolved configuration.
        provenance: where the run came from.
        statistics: mean, std, min, max, units and names of each variable.
        grid: coordinates of the fine and (suffix `_coarse`) the coarse grid, and static fields, loaded.
    """

    path: Path
    config: Config
    provenance: dict[str, Any]
    statistics: dict[str, dict[str, Any]]
    grid: xr.Dataset

    @property
    def variables(self) -> list[str]:
        """Variables in channel order."""
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
        """Static fields as scaled channels (s, y, x); those of the training grid unless others are given."""
        source = self.grid if fields is None else fields
        channels = [static_channel(source[name].values, scale) for name, scale in self.static_scale.items()]
        shape = (0, 0, 0)
        return np.stack(channels) if channels else np.zeros(shape, dtype=np.float32)


def create_run(out: Path, config: Config, store: Store) -> Run:
    """Make a run directory for a training from `store`.

    Raises:
        RunError: if `out` exists and holds anything.
    """
    refuse_existing(out)
    (out / "weights").mkdir(parents=True, exist_ok=True)
    meta = store.meta
    provenance = {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": config.seed,
        "versions": {name: metadata.version(name) for name in VERSIONS} | {"python": platform.python_version()},
        "git_revision": git_revision(),
        "platform": f"{platform.system()} {platform.machine()}",
        "store": str(store.path.resolve()),
        "fingerprint": meta["fingerprint"],
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
    write_json(
        out / "config.json", config.model_dump(mode="json", exclude_none=True)
    )  # last: it makes the folder a run
    return load_run(out)


def refuse_existing(out: Path) -> None:
    """Refuse a folder that holds anything but the beginnings of a run that was cut off while it was made.

    Raises:
        RunError: if it does.
    """
    if out.is_dir():
        begun = {"weights", LOCK, *FACTS[1:]}
        held = {p.name for p in out.iterdir() if not p.name.endswith(".tmp")}
        if held <= begun and not any((out / "weights").glob("*.safetensors")):
            return
    if (out / "config.json").is_file():
        raise RunError(f"{out} exists already; go on with it by --resume, or choose another --out.")
    if out.exists():
        raise RunError(f"{out} exists already and is no run directory; choose another --out.")


def load_run(path: str | Path) -> Run:
    """Open a run directory.

    Raises:
        RunError: if it is none, or incomplete, naming what is missing.
    """
    path = Path(path)
    if not path.is_dir():
        near = (
            nearest(path.name, (p.parent.name for p in path.parent.glob("*/config.json")))
            if path.parent.is_dir()
            else ""
        )
        raise RunError(f"no run directory {path}.{near}")
    missing = [name for name in FACTS if not (path / name).is_file()]
    if missing:
        raise RunError(
            f"{path} is not a run directory: {', '.join(missing)} missing. `subgrid train CONFIG --out {path}` makes one."
        )
    documents = [json.loads((path / name).read_text(encoding="utf-8")) for name in FACTS[1:3]]
    with xr.open_dataset(path / "grid.nc", engine="netcdf4") as grid:
        return Run(path, load_config(path / "config.json"), documents[0], documents[1], grid.load())


def store_of(run: Run, path: str | Path | None = None) -> Store:
    """Open the training store of a run, the one it remembers unless another place is given.

    Raises:
        RunError: if it is gone, or is not the one that the run was trained on.
    """
    path = Path(path) if path is not None else Path(run.provenance["store"])
    if not path.exists():
        raise RunError(
            f"the training store {path} of {run.path} is gone; make it again with "
            f"`subgrid prepare {run.path / 'config.json'} --out STORE` and give it by --store."
        )
    store = open_store(path)
    if store.meta["fingerprint"] != run.provenance["fingerprint"]:
        raise RunError(
            f"{path} holds other data than {run.path} was trained on (fingerprints differ); give its own by --store."
        )
    # The fingerprint is of the fine fields alone: the same fields cut or coarsened otherwise would make other scores.
    data = run.config.data
    asked = {"factor": data.factor, "method": data.coarsen, "variables": run.variables}
    for key, was in {**asked, **{key: run.provenance[key] for key in ("periods", "num_times", "static")}}.items():
        if store.meta.get(key, {}) != was:
            raise RunError(
                f"{path} is not the store that {run.path} was trained on: {key} was {was!r}, is {store.meta.get(key)!r}; "
                "give its own by --store."
            )
    return store


def _grid(store: Store) -> xr.Dataset:
    """Coordinates of both grids, and the static fields."""
    y, x = spatial_dims(store.hr)
    grid = xr.Dataset(coords={d: store.hr[d] for d in (y, x)})
    grid = grid.assign_coords({f"{d}_coarse": (f"{d}_coarse", store.lr[d].values, store.lr[d].attrs) for d in (y, x)})
    if store.static is not None:
        grid = grid.assign({name: store.static[name].load() for name in store.meta["static"]})
    return grid


def notes_of(path: str | Path) -> list[str]:
    """What a finished training has to say to its user."""
    file = Path(path) / "finished.json"
    return list(json.loads(file.read_text(encoding="utf-8")).get("notes", [])) if file.is_file() else []


def git_revision() -> str:
    """The revision of the working directory's repository, with `-dirty` where it has changes; empty outside one."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
