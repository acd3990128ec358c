"""Tensors with JSON facts as safetensors: written whole, read without pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from subgrid.io.atomic import replacing


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
