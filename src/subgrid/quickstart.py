"""The demo: all steps on simulated weather, from the check of the data to the report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from subgrid.data.check import check
from subgrid.data.grid import coarsen
from subgrid.data.sources.open_source import open_source
from subgrid.data.store import describe_store
from subgrid.data.synthetic.simulate import simulate
from subgrid.errors import RunError
from subgrid.evaluation.evaluate import evaluate
from subgrid.inference.downscale import downscale
from subgrid.io.console import Progress, notify, tracker
from subgrid.reporting import report, verdict_of
from subgrid.training.prepare import prepare
from subgrid.training.train import train

SETTINGS: dict[str, Any] = {
    "system": "srgan",
    "data.variables": ["t2m", "u10", "v10"],
    "data.factor": 4,
    "data.static": ["orography", "land_fraction"],
    "generator.features": 32,
    "generator.blocks": 4,
    "discriminator.features": 32,
    "train.seconds": 75.0,
    "train.batch": 8,
    "train.validate_every": 100,
}
"""A system that is small enough to train for a minute on two cores."""


def demo(out: str | Path = "demo", *, seconds: float = 75.0, num_times: int = 480, size: int = 128) -> Path:
    """Run all steps on simulated weather: simulate, check, prepare, train, evaluate, downscale and report.

    Args:
        out: folder for all files; it must be empty or not exist.
        seconds: length of the training.
        num_times: number of simulated times.
        size: number of rows, and of columns, of the simulated fields.

    Returns:
        The path of the HTML report.

    Raises:
        RunError: if `out` is not empty.
    """
    folder = Path(out)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise RunError(
            f"{folder} is {'a file' if folder.is_file() else 'not empty'}; remove it, or choose another folder with --out."
        )
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    weather, run = folder / "weather.nc", folder / "run"

    with _stage("simulate", began) as progress:
        simulate(num_times=num_times, num_latitudes=size, num_longitudes=size, progress=progress).to_netcdf(weather)
    with _stage("check", began) as progress:
        summary = check(weather, variables=SETTINGS["data.variables"], progress=progress)
    for line in summary.summary:
        notify(f"  {line}")
    files = {"data.source": str(weather), "data.static_source": str(weather)}
    settings = SETTINGS | files | {"train.seconds": seconds}
    with _stage("prepare", began) as progress:
        store = prepare(settings, out=folder / "store.zarr", progress=progress)
    for line in describe_store(store):
        notify(f"  {line}")
    with _stage("train", began) as progress:
        train(settings, store=store, out=run, progress=progress)
    with _stage("evaluate", began) as progress:
        evaluate(run, progress=progress)
    notify(f"  {verdict_of(run)}")
    coarse = folder / "larger_coarse.nc"
    with _stage("downscale", began) as progress:
        _larger(weather).to_netcdf(coarse)
        fine = downscale(run, coarse, folder / "larger_fine.nc", progress=progress)
    notify(f"  {coarse} {_shape(xr.open_dataset(coarse))} -> {folder / 'larger_fine.nc'} {_shape(fine)}")
    with _stage("report", began):
        return report([run], folder / "report.html")


def _larger(weather: Path) -> xr.Dataset:
    """The last simulated fields coarsened by 2 instead of 4: a grid with four times the cells of the training."""
    fields = open_source(weather, variables=SETTINGS["data.variables"]).isel(valid_time=slice(-4, None))
    return coarsen(fields.load(), 2).drop_attrs(deep=False)


def _shape(fields: xr.Dataset) -> str:
    first = next(iter(fields.data_vars.values()))
    return " x ".join(str(n) for n in first.shape[-2:])


@contextmanager
def _stage(title: str, began: float) -> Iterator[Progress]:
    """Show the progress of a stage, and the time since `began` (s, monotonic clock) when it is done."""
    with tracker(title) as progress:
        yield progress
    notify(f"[{time.monotonic() - began:5.0f} s] {title}: done")
