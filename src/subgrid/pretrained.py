"""Weights trained elsewhere: found, checked, read as tensors only, and copied into a network.

They are `.safetensors` files or, as torchvision publishes them, `.pth` files; see
docs/adr/0004-weights-made-elsewhere.md.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from subgrid.errors import ConfigError

OFFICIAL = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "vgg19": "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
}
"""torchvision's files of networks trained on ImageNet; 8 digits in each name begin its SHA-256."""
ENDINGS = (".safetensors", ".pth", ".pt")
DIGEST = re.compile(r"-([0-9a-f]{8})\.")


@runtime_checkable
class Pretrained(Protocol):
    """A network that starts from weights trained elsewhere."""

    def load_pretrained(self) -> None:
        """Load these weights; called once, when a training starts."""
        ...


def load_pretrained(network: nn.Module) -> None:
    """Load the weights trained elsewhere that a network asks for, if it asks for any.

    Raises:
        ConfigError: if the weights are missing, or are not those of the network.
    """
    if isinstance(network, Pretrained):
        network.load_pretrained()


def find_weights(weights: str, network: str, where: str, otherwise: str = "") -> Path:
    """Return the file of some weights; for `official` it is downloaded to torch hub's cache unless it is there.

    Args:
        weights: a path, or `official`.
        network: an entry of `OFFICIAL`.
        where: the setting that asks for them, for messages, such as `generator.weights`.
        otherwise: further values of that setting, for messages.

    Returns:
        The file. Where its name holds a digest (`-` and 8 hexadecimal digits), its SHA-256 was compared with it.

    Raises:
        ConfigError: if the file is missing, cannot be downloaded, has another ending, or another digest than its name.
    """
    path = _official(network, where, otherwise) if weights == "official" else Path(weights)
    if not path.is_file():
        raise ConfigError(
            f"{where}: there is no file {weights!r}; give the path of a {' or '.join(ENDINGS)} file with {network}'s state "
            f"dict, or 'official' for torchvision's{otherwise}."
        )
    if path.suffix not in ENDINGS:
        raise ConfigError(f"{where}: got {path.name!r}, expected a file ending in {', '.join(ENDINGS)}.")
    named = DIGEST.search(path.name)
    if named and not sha256(path).startswith(named[1]):
        raise ConfigError(
            f"{where}: the SHA-256 of {path} begins with {sha256(path)[:8]}, expected {named[1]} as in its name; delete "
            "the file and download it again, or rename it if the digits mean something else."
        )
    return path


def _official(network: str, where: str, otherwise: str) -> Path:
    """Return torchvision's file in torch hub's cache."""
    url = OFFICIAL[network]
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if path.is_file():
        return path
    named = DIGEST.search(path.name)
    assert named is not None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=named[1], progress=sys.stderr.isatty())
    except (OSError, RuntimeError) as error:  # no network, a full disk, or another hash than the name's
        raise ConfigError(
            f"{where}: cannot download {url} to {path.parent}: {error}. Download it where there is a network, and "
            f"give its path in place of 'official'{otherwise}."
        ) from error
    return path


def sha256(path: Path) -> str:
    """Return the file's SHA-256 in hexadecimal digits; it is computed again only where the file has changed."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


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
        content = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # readers raise many kinds of errors for damaged files
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"{where}: {path} cannot be read as tensors only ({cause.rstrip('.')}); give a state dict as {ENDINGS[0]}, "
            "or one written by torch.save(model.state_dict(), file)."
        ) from error
    other = _other_than_tensors(content)
    if other:
        raise ConfigError(
            f"{where}: {path} holds {other}, expected a state dict of names and tensors; write it with "
            "torch.save(model.state_dict(), file)."
        )
    return dict(content)


def _other_than_tensors(content: object) -> str:
    """Describe the first thing in a file that is not a named tensor; empty where there is none."""
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    return next((f"a {type(v).__name__} called {k!r}" for k, v in content.items() if not isinstance(v, Tensor)), "")


@torch.no_grad()
def fill(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy tensors into a network by name; tensors that it does not have are ignored.

    Args:
        network: all its parameters and buffers are filled, except BatchNorm's number of batches where a file has none.
        tensors: a state dict.
        where: the setting and file they come from, for messages.

    Raises:
        ConfigError: for the first tensor that is missing or has another shape.
    """
    for name, target in network.state_dict().items():
        source = tensors.get(name)
        if source is None and name.endswith("num_batches_tracked"):
            continue
        if source is None or source.shape != target.shape:
            got = "it is missing" if source is None else f"got {tuple(source.shape)}"
            raise ConfigError(
                f"{where}: tensor {name}: {got}, expected {tuple(target.shape)}; give weights of the same architecture."
            )
        target.copy_(source)
