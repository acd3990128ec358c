"""Peak memory of `subgrid.score` on 1,000 and on 10,000 times of 64 x 64 cells, made when they are read.

Each length runs in a process of its own, which reports the most memory it ever held. Fields stream past, parts go to disk, and
of a long series neighbours are averaged before the bootstrap, so that the peak stays flat.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time

LENGTHS = (1000, 10000)


def measure(num_times: int) -> None:
    """Score a lazy source and print seconds, then MB at the peak above what the imports take."""
    import dask.array as da
    import numpy as np
    import pandas as pd
    import xarray as xr

    import subgrid.evaluation.score_files

    coords = {
        "time": pd.date_range("2000-01-01", periods=num_times, freq="6h"),
        "latitude": ("latitude", 60 - np.arange(64) * 0.25, {"units": "degrees_north"}),
        "longitude": ("longitude", np.arange(64) * 0.25, {"units": "degrees_east"}),
    }

    def fields(seed: int, share: float) -> xr.Dataset:
        """White noise, in part that of seed 0."""
        common, own = (
            da.random.default_rng(s).normal(size=(num_times, 64, 64), chunks=(100, 64, 64)) for s in (0, seed)
        )
        values = (common + share * own).astype(np.float32)
        return xr.Dataset({"t": (("time", "latitude", "longitude"), values, {"units": "K"})}, coords)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        subgrid.evaluation.score_files.score(fields(1, 0.5), fields(2, 0.0), factor=4, out=folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{num_times} times: {time.perf_counter() - began:.1f} s, peak {peak / 1024:.0f} MB, "
        f"{(peak - before) / 1024:.0f} MB of it above the imports"
    )


def main() -> None:
    """Each length in a child."""
    for num_times in LENGTHS:
        subprocess.run([sys.executable, __file__, str(num_times)], check=True)


if __name__ == "__main__":
    measure(int(sys.argv[1])) if len(sys.argv) > 1 else main()
