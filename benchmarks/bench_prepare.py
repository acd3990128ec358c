"""Time of `prepare`, of its reading alone, and of plain xarray reading the same file, with bytes read and peak memory.

Each measurement runs in a process of its own, one after another, on a file that was just read (in the cache of the
system), so that processors and not disks are compared. Bytes read are those that the process asked the system for
(`/proc/self/io`, Linux only).

    python benchmarks/bench_prepare.py [NUM_TIMES ...]
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import xarray as xr

CELLS = 128
NAMES = ("t2m", "u10", "v10")
KINDS = ("plain", "reading", "prepare")


def make_file(path: Path, num_times: int) -> None:
    """Write three packed and compressed variables, as reanalyses are distributed."""
    rng = np.random.default_rng(0)
    shape = (num_times, CELLS, CELLS)
    smooth = np.cumsum(np.cumsum(rng.normal(size=(8, CELLS, CELLS)), axis=1), axis=2)
    dims = ("time", "latitude", "longitude")
    fields = xr.Dataset(
        {name: (dims, np.resize(smooth, shape).astype(np.float32), {"units": "1"}) for name in NAMES},
        coords={
            "time": pd.date_range("2000-01-01", periods=num_times, freq="h"),
            "latitude": ("latitude", np.linspace(60, 30, CELLS), {"units": "degrees_north"}),
            "longitude": ("longitude", np.linspace(0, 30, CELLS), {"units": "degrees_east"}),
        },
    )
    packing = {"dtype": "int16", "scale_factor": 0.1, "_FillValue": -32768, "zlib": True, "complevel": 1}
    fields.to_netcdf(path, encoding={key: {**packing, "chunksizes": (24, CELLS, CELLS)} for key in NAMES})


def read_plainly(path: Path) -> None:
    """Read all variables with xarray, block after block of the length that `prepare` uses."""
    with xr.open_dataset(path, cache=False) as fields:
        for start in range(0, fields.sizes["time"], 168):
            fields.isel(time=slice(start, start + 168)).astype(np.float32).load()


def read_blockwise(path: Path) -> None:
    """Read as `prepare` does, and do nothing with the fields."""
    from subgrid.data.blocks import read_blocks
    from subgrid.data.sources.open_source import open_source
    from subgrid.data.write_store import _blocks

    fields = open_source(path)
    for _ in read_blocks(fields, _blocks(fields)):
        pass


def measure(kind: str, path: Path) -> None:
    """Run one kind and print seconds, bytes read in MB and peak memory in MB."""
    import subgrid.training.prepare

    before = _bytes_read()
    start = time.perf_counter()
    if kind == "plain":
        read_plainly(path)
    elif kind == "reading":
        read_blockwise(path)
    else:
        settings = {"system": "srgan", "data": {"source": str(path), "variables": list(NAMES), "factor": 4}}
        subgrid.training.prepare.prepare(settings, out=path.with_suffix(".zarr"))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(seconds, (_bytes_read() - before) / 1e6, peak)


def _bytes_read() -> int:
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["rchar"])


def main() -> None:
    """Print a table for each length."""
    print("times  kind       seconds  of plain speed  MB read  peak MB")
    for num_times in [int(number) for number in sys.argv[1:]] or [2000, 8000]:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "fields.nc"
            # In a process of its own, because the peak of a process includes that of the one it comes from.
            subprocess.run([sys.executable, __file__, "--make", str(num_times), str(path)], check=True)
            seconds: dict[str, float] = {}
            for kind in KINDS:
                command = [sys.executable, __file__, "--measure", kind, str(path)]
                ran = subprocess.run(command, check=True, capture_output=True, text=True)
                seconds[kind], read, peak = map(float, ran.stdout.split())
                share = seconds["plain"] / seconds[kind]
                print(f"{num_times:5d}  {kind:9s}  {seconds[kind]:7.1f}  {share:14.2f}  {read:7.0f}  {peak:7.0f}")
            shutil.rmtree(path.with_suffix(".zarr"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
    elif sys.argv[1:2] == ["--make"]:
        make_file(Path(sys.argv[3]), int(sys.argv[2]))
    else:
        main()
