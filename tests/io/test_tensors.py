"""Tensors with facts in one file."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from subgrid.io.tensors import load_tensors, save_tensors


def test_tensors_survive_the_file(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "b": torch.tensor(7),
        "c": torch.randn(3, 4).t(),
        "d": torch.zeros(0, dtype=torch.uint8),
    }
    facts = {"step": 1, "best": float("inf"), "rows": [{"x": 0.1}]}
    mask = os.umask(0o022)
    try:
        save_tensors(tmp_path / "t.safetensors", tensors, facts)
    finally:
        os.umask(mask)
    loaded, loaded_facts = load_tensors(tmp_path / "t.safetensors")
    assert loaded_facts == facts
    assert {key: value.dtype for key, value in loaded.items()} == {key: value.dtype for key, value in tensors.items()}
    assert all(torch.equal(loaded[key], tensors[key]) for key in tensors)
    assert (tmp_path / "t.safetensors").stat().st_mode & 0o777 == 0o644  # others may read a run
    assert [p.name for p in tmp_path.iterdir()] == ["t.safetensors"]
