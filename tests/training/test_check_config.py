"""Settings are checked before any work: nothing is opened, prepared or imported for the data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import make_fields
from subgrid.errors import SubgridError
from subgrid.training.check_config import load_checked
from subgrid.training.train import train

SLOW = ("xarray", "zarr", "scipy", "pandas", "lightning_fabric", "torch._dynamo")
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"generator.name": "unett"}, r"^generator\.name: no generator called 'unett'\. Did you mean 'unet'\?$"),
    ({"generator.widths": 3}, r"^generator\.widths: srresnet has no such option"),
    ({"generator.head": "x"}, r"^generator: srresnet refuses its options"),
    ({"discriminator.name": "patch"}, r"^discriminator\.name: no discriminator called 'patch'"),
    ({"discriminator.norms": "x"}, r"^discriminator\.norms: patchgan has no such option. Did you mean 'norm'\?$"),
    ({"discriminator.norm": "layer"}, r"^discriminator: patchgan refuses its options"),
    ({"data.factor": 6, "train.patch": 24}, r"^generator: srresnet refuses .*factor"),
    ({"losses.ll1.weight": 0.0}, r"^losses\.ll1: there is no such loss\. Did you mean 'l1'\?$"),
]


@pytest.mark.parametrize("changes, message", REFUSED, ids=[next(iter(changes)) for changes, _ in REFUSED])
def test_a_mistake_is_refused_before_a_store_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make_fields(12).to_netcdf("fields.nc")
    settings = {"data.source": "fields.nc", "data.variables": ["t2m"], "data.factor": 2, "train.patch": 8}
    with pytest.raises(SubgridError, match=message):
        train(settings | changes)
    assert [path.name for path in tmp_path.iterdir()] == ["fields.nc"]


def test_a_refusal_waits_for_no_library_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('[data]\nsource = "f.nc"\nvariables = ["t2m"]\n[generator]\nname = "unett"\n')
    code = f"""
import sys
from subgrid.cli.commands import main
sys.argv = ["subgrid", "train", "bad.toml"]
try:
    main()
finally:
    print(*[name for name in {SLOW} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert done.returncode == 2
    assert done.stderr == "subgrid: generator.name: no generator called 'unett'. Did you mean 'unet'?\n"
    assert done.stdout.split() == []


def test_the_check_draws_no_random_numbers() -> None:
    torch.manual_seed(1)
    load_checked({"data.variables": ["t2m"]})
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1))
