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
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
import xarray as xr
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from subgrid.config import Config, load_config
from subgrid.data.grid import spatial_dims
from subgrid.data.patches import Field, Scaling, patch_shape, scaling_of, static_channel
from subgrid.data.store import Store, open_store
from subgrid.errors import RunError, nearest
from subgrid.files import replacing
from subgrid.locking import LOCK
from subgrid.models import DISCRIMINATORS, GENERATORS, SAMPLERS, build

Weights = Literal["last", "best", "content"]
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
    _grid(store).to_netcdf(out / "grid.nc", engine="h5netcdf")
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
    with xr.open_dataset(path / "grid.nc", engine="h5netcdf") as grid:
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


def unconditional(config: Config) -> bool:
    """Whether the generator draws fields from noise instead of refining coarse ones."""
    return config.generator.name in SAMPLERS


def build_generator(config: Config, num_static: int, shape: tuple[int, int] | None = None) -> nn.Module:
    """The generator of a configuration, with fresh weights.

    Args:
        config: the resolved configuration.
        num_static: static fields beside the coarse input.
        shape: fine cells (rows, columns) of a training patch, which an unconditional generator is built for; by default a whole
            patch as configured.
    """
    n, part = len(config.data.variables), config.generator
    if unconditional(config):
        patch = config.train.patch
        return build(SAMPLERS, "generator", part.name, part.options, channels_out=n, shape=shape or (patch, patch))
    given = {"channels_in": n, "channels_out": n, "factor": config.data.factor, "static_channels": num_static}
    table = {**GENERATORS, **SAMPLERS}  # so that a misspelt name finds its neighbour
    return build(table, "generator", part.name, part.options, **given)


def build_discriminator(config: Config) -> nn.Module:
    """The discriminator of a configuration, with fresh weights; without condition where the generator has none."""
    assert config.discriminator is not None
    n = len(config.data.variables)
    part, condition = config.discriminator, 0 if unconditional(config) else n
    return build(DISCRIMINATORS, "discriminator", part.name, part.options, channels_in=n, channels_condition=condition)


def load_generator(run: Run, weights: Weights = "last", interpolate: float | None = None) -> nn.Module:
    """The run's generator with trained weights, ready for inference.

    Args:
        run: an opened run.
        weights: which ones.
        interpolate: a number a from 0 to 1, in place of `weights`: (1 - a) times the content weights plus a times the last
            ones, parameters and BatchNorm statistics alike (Wang et al. 2018, arXiv:1809.00219, section 3.4).

    Raises:
        RunError: if those weights are not there, or `interpolate` is out of range or given beside other weights.
    """
    generator = build_generator(run.config, len(run.static_scale), run.patch_shape)
    generator.load_state_dict(_weights(run, weights) if interpolate is None else _between(run, weights, interpolate))
    return generator.eval()


def _between(run: Run, weights: Weights, share: float) -> dict[str, Tensor]:
    """Tensors between those of the content stage and the last ones; both ends exact."""
    if weights != "last":
        raise RunError(f"interpolate goes from the content weights to the last ones; leave weights {weights!r} away.")
    if not 0 <= share <= 1:
        raise RunError(f"interpolate: got {share:g}, expected a number from 0 (content weights) to 1 (last weights).")
    if not (run.path / "weights" / "content.safetensors").is_file():
        raise RunError(
            f"{run.path} has no content weights to interpolate from: it was trained in one stage, or has not reached its "
            "second. Train with content.share between 0 and 1."
        )
    content, last = _weights(run, "content"), _weights(run, "last")
    counters = content if share < 0.5 else last  # whole numbers, such as BatchNorm's count of batches
    return {
        name: torch.lerp(start, last[name], share) if start.is_floating_point() else counters[name]
        for name, start in content.items()
    }


def _weights(run: Run, weights: Weights) -> dict[str, Tensor]:
    """Read one file of weights."""
    file = run.path / "weights" / f"{weights}.safetensors"
    if not file.is_file():
        have = sorted(p.stem for p in (run.path / "weights").glob("*.safetensors"))
        raise RunError(
            f"{run.path} has no weights {weights!r}; there are: {', '.join(have) or 'none yet'}. "
            + ("Choose one of them." if have else "Train first, or go on with `subgrid train ... --resume`.")
        )
    return load_file(file)


def describe_weights(weights: str, interpolate: float | None) -> str:
    """Which weights, in words."""
    return f"{weights} weights" if interpolate is None else f"weights {interpolate:g} of the way from content to last"


def notes_of(path: str | Path) -> list[str]:
    """What a finished training has to say to its user."""
    file = Path(path) / "finished.json"
    return list(json.loads(file.read_text(encoding="utf-8")).get("notes", [])) if file.is_file() else []


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts as safetensors, replacing the file whole."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(plain, temporary, metadata={"subgrid": json.dumps(dict(facts))})
        temporary.chmod(0o666 & ~_umask())  # safetensors writes for the owner alone


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote."""
    with safe_open(path, framework="pt") as file:
        facts = json.loads((file.metadata() or {}).get("subgrid", "{}"))
        return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON document, replacing the file whole."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the history, replacing the file whole; floats in full precision."""
    with replacing(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


def git_revision() -> str:
    """The revision of the working directory's repository, with `-dirty` where it has changes; empty outside one."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
