"""Files that are replaced whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from subgrid.io.atomic import replacing, write_csv, write_json, write_netcdf, write_text


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")

    def half(temporary: Path) -> None:
        temporary.write_text("ne")
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"), replacing(file) as temporary:
        half(temporary)
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_each_kind_replaces_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    fields = xr.Dataset({"t2m": ("x", np.float32([280.5, np.nan]))})
    for name in ("a.txt", "b.json", "c.csv", "d.nc"):
        (tmp_path / name).write_text("old")
    write_text(tmp_path / "a.txt", "Größe\n")
    write_json(tmp_path / "b.json", {"best": 0.1 + 0.2})
    write_csv(tmp_path / "c.csv", pd.DataFrame({"step": [1]}))
    write_netcdf(tmp_path / "d.nc", fields)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "Größe\n"
    assert json.loads((tmp_path / "b.json").read_text()) == {"best": 0.1 + 0.2}
    assert (tmp_path / "c.csv").read_text() == "step\n1\n"
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "d.nc"), fields)
    assert len(list(tmp_path.iterdir())) == 4


def test_csv_keeps_every_digit(tmp_path: Path) -> None:
    rows = [{"step": 1, "loss_l1": 0.1 + 0.2}, {"step": 2, "loss_l1": 1 / 3, "discriminator_loss": 1e-17}]
    write_csv(tmp_path / "h.csv", pd.DataFrame(rows))
    found = pd.read_csv(tmp_path / "h.csv")
    assert list(found["loss_l1"]) == [0.1 + 0.2, 1 / 3]
    assert np.isnan(found["discriminator_loss"][0])
