"""Tensors and JSON facts in safetensors files, which are replaced whole and read without pickle."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from subgrid.errors import RunError
from subgrid.io.atomic import replacing


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and JSON facts to a safetensors file, replacing it whole.

    Raises:
        OSError: if the file cannot be written, as on a full disk; the old one is then kept.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(plain, temporary, metadata={"subgrid": json.dumps(dict(facts))})
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None
        temporary.chmod(0o666 & ~_umask())  # safetensors makes files that only their owner can read


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and the facts that `save_tensors` wrote.

    Raises:
        RunError: if the file is damaged, such as one that was cut off while it was copied.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("subgrid", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise RunError(
            f"{path} is damaged ({error}); copy it again if it is a copy. The other weights of the run (--weights last, best "
            "or content) may be whole; a run that cannot be resumed has to be trained again."
        ) from None
