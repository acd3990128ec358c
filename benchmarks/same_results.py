"""Check that a refactor changes no result: seeded training of every system, its history and its scores.

    python benchmarks/same_results.py record before      # with the version to compare against
    python benchmarks/same_results.py record after       # with the version under test
    python benchmarks/same_results.py compare before after

`record` trains every shipped system for a few seeded updates on simulated weather, evaluates it, scores plain files, and keeps
the SHA-256 of all weights, `history.csv` and `scores.csv`. `compare` requires equal digests and equal numbers; columns may
have other names, but not another order. Both versions must run on one machine with the same number of threads.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

NUM_UPDATES = 50
OFFLINE = {"generator.weights": "none"}
TEXT_COLUMNS = {"convention", "standing", "rank"}  # sentences and names may change, numbers may not


def record(folder: Path, num_updates: int) -> None:
    """Train, evaluate and score; keep what must not change in `folder`."""
    import subgrid

    folder.mkdir(parents=True)
    weather = subgrid.simulate(num_times=80, num_latitudes=64, num_longitudes=64)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        for row in subgrid.systems():
            if row["trained"]:
                began = time.perf_counter()
                _record_system(row["name"], weather, work, folder, num_updates)
                print(f"{row['name']}: {time.perf_counter() - began:.0f} s", flush=True)
        _record_score(weather, work, folder)


def _record_system(system: str, weather: Any, work: Path, folder: Path, num_updates: int) -> None:
    import subgrid

    unconditional = system.endswith("/gan") or system == "gan"
    settings: dict[str, Any] = {
        "system": system,
        "data.variables": ["t2m", "u10", "v10"],
        "data.static": [] if unconditional else ["orography", "sin_latitude"],
        "train.updates": num_updates,
        "train.batch": 4,
        "train.patch": 64 if "pregan" in system else 32,
        "train.validate_every": 25,
        "train.validation_fields": 4,
        "seed": 7,
    }
    if "pregan" in system:
        settings |= OFFLINE
    source = weather.to_netcdf(work / "weather.nc") if not (work / "weather.nc").is_file() else None
    del source
    settings |= {"data.source": str(work / "weather.nc"), "data.static_source": str(work / "weather.nc")}
    store = subgrid.prepare(settings, out=work / f"{'noise' if unconditional else 'pairs'}.zarr")
    name = system.replace("/", "-")
    run = Path(subgrid.train(settings, store=store, out=work / name))
    subgrid.evaluate(run, **({} if unconditional else {"by": ["season", "region"]}))
    kept = folder / name
    kept.mkdir()
    digests = {file.stem: _digest(file) for file in sorted((run / "weights").glob("*.safetensors"))}
    (kept / "weights.json").write_text(json.dumps(digests, indent=2), encoding="utf-8")
    shutil.copy(run / "history.csv", kept)
    shutil.copy(run / "evaluation" / "scores.csv", kept)
    if unconditional:
        fields = subgrid.sample(run, num=2, seed=3)
    else:
        fields = subgrid.downscale(run, _coarse(weather))
    digest = hashlib.sha256()
    for variable in sorted(map(str, fields.data_vars)):
        digest.update(np.ascontiguousarray(fields[variable].values).tobytes())
    (kept / "fields.json").write_text(json.dumps({"fields": digest.hexdigest()}), encoding="utf-8")


def _coarse(weather: Any) -> Any:
    """The last few times on cells four times wider."""
    fields = weather[["t2m", "u10", "v10"]].isel({weather["t2m"].dims[0]: slice(-3, None)})
    y, x = weather["t2m"].dims[-2:]
    return fields.coarsen({y: 4, x: 4}).mean()


def _record_score(weather: Any, work: Path, folder: Path) -> None:
    """Scores of plain files: an ensemble of shifted fields against the truth."""
    import xarray as xr

    import subgrid

    truth = weather[["t2m", "u10", "v10"]].isel({weather["t2m"].dims[0]: slice(0, 40)})
    members = [truth + np.float32(0.1 * k) * (1 + truth.roll({truth["t2m"].dims[-1]: k})) / 10 for k in range(1, 4)]
    single = members[0]
    for name, made in (
        ("single", single),
        ("ensemble", xr.concat(members, xr.Variable("realization", np.arange(3)))),
    ):
        for key in made.data_vars:
            made[key].attrs = dict(truth[key].attrs)
        out = work / f"score-{name}"
        subgrid.score(made, truth, out=out, factor=4, by=["hour"])
        (folder / f"score-{name}").mkdir()
        shutil.copy(out / "scores.csv", folder / f"score-{name}")


def _digest(file: Path) -> str:
    """SHA-256 over names and bytes of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name, values in sorted(load_file(file).items()):
        digest.update(name.encode() + str(values.dtype).encode() + str(values.shape).encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def compare(before: Path, after: Path) -> int:
    """Print what differs; the number of differences."""
    differences = 0
    folders = sorted({p.name for p in before.iterdir()} | {p.name for p in after.iterdir()})
    for name in folders:
        found = []
        for file in ("weights.json", "fields.json", "history.csv", "scores.csv"):
            one, other = before / name / file, after / name / file
            if not one.is_file() and not other.is_file():
                continue
            if one.is_file() != other.is_file():
                found.append(f"{file} is missing on one side")
            elif file.endswith(".json"):
                if json.loads(one.read_text("utf-8")) != json.loads(other.read_text("utf-8")):
                    found.append(f"{file} differs")
            else:
                found += _table_differences(pd.read_csv(one), pd.read_csv(other), file)
        differences += len(found)
        print(f"{name}: {'; '.join(found) or 'equal'}")
    print(f"{differences} differences in {len(folders)} folders")
    return differences


def _table_differences(one: pd.DataFrame, other: pd.DataFrame, file: str) -> list[str]:
    if one.shape != other.shape:
        return [f"{file} has {one.shape} and {other.shape} cells"]
    found = []
    for old, new in zip(one.columns, other.columns, strict=True):
        if old in TEXT_COLUMNS or new in TEXT_COLUMNS:
            continue
        a, b = one[old], other[new]
        same = (a == b) | (a.isna() & b.isna())
        if not same.all():
            row = int((~same).to_numpy().argmax())
            found.append(f"{file}, {old}: {int((~same).sum())} values differ, first {a[row]!r} and {b[row]!r}")
    return found


def main() -> None:
    """Record results, or compare two records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    recording = actions.add_parser("record")
    recording.add_argument("folder", type=Path)
    recording.add_argument("--updates", type=int, default=NUM_UPDATES)
    comparing = actions.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    args = parser.parse_args()
    if args.action == "record":
        record(args.folder, args.updates)
    else:
        sys.exit(1 if compare(args.before, args.after) else 0)


if __name__ == "__main__":
    main()
