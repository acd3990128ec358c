"""Weights that others trained: found, checked, read as tensors alone, and put into a network of ours.

They come as `.safetensors` or, as torchvision publishes them, as `.pth`; see docs/adr/0004-weights-made-elsewhere.md.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from subgrid.errors import ConfigError

OFFICIAL = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "vgg19": "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
}
"""torchvision's files of networks trained on ImageNet; the 8 digits begin the file's SHA-256."""
ENDINGS = (".safetensors", ".pth", ".pt")
DIGEST = re.compile(r"-([0-9a-f]{8})\.")


def load_pretrained(network: nn.Module) -> None:
    """Put weights made elsewhere into a network that asks for some; others are left as they are.

    Args:
        network: where it has a method `load_pretrained`, that is called.

    Raises:
        ConfigError: if the weights are not there, or are not what the network needs.
    """
    load = getattr(network, "load_pretrained", None)
    if callable(load):
        load()


def find_weights(weights: str, network: str, where: str, otherwise: str = "") -> Path:
    """The file of some weights, downloaded to torch hub's cache for `official` unless it is there.

    Args:
        weights: a path, or `official`.
        network: an entry of `OFFICIAL`.
        where: the setting that asks for them, for messages, such as `generator.weights`.
        otherwise: what else that setting can be, for messages.

    Returns:
        The file. A digest in its name (`-` and 8 hexadecimal digits) is that of its SHA-256.

    Raises:
        ConfigError: for a file that is not there, cannot be fetched, has another ending, or another digest than its name.
    """
    path = _official(network, where, otherwise) if weights == "official" else Path(weights)
    if not path.is_file():
        raise ConfigError(
            f"{where}: no file {weights!r}; give the path of a {' or '.join(ENDINGS)} file with {network}'s state dict, "
            f"or 'official' for torchvision's{otherwise}."
        )
    if path.suffix not in ENDINGS:
        raise ConfigError(f"{where}: got {path.name!r}, expected a file ending in {', '.join(ENDINGS)}.")
    named = DIGEST.search(path.name)
    if named and not sha256(path).startswith(named[1]):
        raise ConfigError(
            f"{where}: {path} is not what its name says: its SHA-256 begins with {sha256(path)[:8]}, expected {named[1]}; "
            "delete it and fetch it again, or rename it if the digits mean something else."
        )
    return path


def _official(network: str, where: str, otherwise: str) -> Path:
    """Torchvision's file in torch hub's cache."""
    url = OFFICIAL[network]
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if path.is_file():
        return path
    named = DIGEST.search(path.name)
    assert named is not None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=named[1], progress=sys.stderr.isatty())
    except (OSError, RuntimeError) as error:  # no network, no room on the disk; another hash than the name's
        raise ConfigError(
            f"{where}: cannot download {url} to {path.parent}: {error}. Fetch it where there is a network, and give its path "
            f"here in place of 'official'{otherwise}."
        ) from error
    return path


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal digits; computed again only where the file has changed."""
    facts = path.stat()
    return _sha256(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=16)
def _sha256(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_weights(path: Path, where: str) -> dict[str, Tensor]:
    """Read a state dict, on the CPU; nothing in the file is executed.

    Args:
        path: a `.safetensors`, `.pth` or `.pt` file.
        where: the setting that asks for it, for messages.

    Raises:
        ConfigError: for a damaged file, one that holds more than tensors, or one that holds no state dict.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        held = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # whatever a foreign file makes a reader say
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"{where}: {path} cannot be read as tensors alone ({said.rstrip('.')}); give a state dict as {ENDINGS[0]}, or as "
            "torch.save(model.state_dict(), file) writes it."
        ) from error
    other = _other_than_tensors(held)
    if other:
        raise ConfigError(
            f"{where}: {path} holds {other}, expected a state dict of names and tensors; save that alone, with "
            "torch.save(model.state_dict(), file)."
        )
    return dict(held)


def _other_than_tensors(held: object) -> str:
    """What a file holds besides named tensors, in words; empty where it holds nothing else."""
    if not isinstance(held, Mapping):
        return f"a {type(held).__name__}"
    return next((f"a {type(v).__name__} called {k!r}" for k, v in held.items() if not isinstance(v, Tensor)), "")


@torch.no_grad()
def fill(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy tensors into a network by name; those that it does not have are passed over.

    Args:
        network: every parameter and buffer of it is filled, but for BatchNorm's count of batches where a file has none.
        tensors: a state dict.
        where: the setting and file they come from, for messages.

    Raises:
        ConfigError: for the first tensor that is missing or has another shape.
    """
    for name, target in network.state_dict().items():
        found = tensors.get(name)
        if found is None and name.endswith("num_batches_tracked"):
            continue
        if found is None or found.shape != target.shape:
            got = "it is missing" if found is None else f"got {tuple(found.shape)}"
            raise ConfigError(
                f"{where}: tensor {name}: {got}, expected {tuple(target.shape)}; give the weights of the same architecture."
            )
        target.copy_(found)
