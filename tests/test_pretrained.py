"""Weights made elsewhere: found, checked, read as tensors only."""

from __future__ import annotations

import ast
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from subgrid import pretrained
from subgrid.errors import ConfigError
from subgrid.pretrained import OFFICIAL, fill, find_weights, load_pretrained, read_weights, sha256

TENSORS = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2)}
WHERE = "generator.weights"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch hub's folder, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "hub" / "checkpoints"


def published(folder: Path, monkeypatch: pytest.MonkeyPatch, digits: str = "") -> Path:
    """A file on a server, under the beginning of its SHA-256 or under other digits."""
    torch.save(TENSORS, folder / "plain.pth")
    digits = digits or hashlib.sha256((folder / "plain.pth").read_bytes()).hexdigest()[:8]
    path = (folder / "plain.pth").rename(folder / f"resnet18-{digits}.pth")
    monkeypatch.setitem(OFFICIAL, "resnet18", path.as_uri())
    return path


def test_official_addresses_name_their_digests() -> None:
    assert set(OFFICIAL) == {"resnet18", "vgg19"}
    assert all(pretrained.DIGEST.search(url) and url.startswith("https://") for url in OFFICIAL.values())


def test_official_weights_are_fetched_once(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = published(tmp_path, monkeypatch)
    path = find_weights("official", "resnet18", WHERE)
    assert path == hub / source.name
    source.unlink()
    assert find_weights("official", "resnet18", WHERE) == path  # from the cache
    read = read_weights(path, WHERE)
    assert read.keys() == TENSORS.keys() and all(torch.equal(read[key], TENSORS[key]) for key in read)


def test_a_download_with_another_digest_is_refused(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(tmp_path, monkeypatch, digits="00000000")
    with pytest.raises(
        ConfigError, match=r"^generator\.weights: cannot download file:.*invalid hash value.*give its path"
    ):
        find_weights("official", "resnet18", WHERE)
    assert not list(hub.iterdir())


def test_without_a_network_the_message_says_how_to_give_a_path(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OFFICIAL, "vgg19", (tmp_path / "gone" / "vgg19-01234567.pth").as_uri())
    with pytest.raises(ConfigError) as error:
        find_weights("official", "vgg19", WHERE)
    said = str(error.value)
    assert "cannot download" in said and "\n" not in said
    assert said.endswith("Download it where there is a network, and give its path in place of 'official'.")


def test_a_damaged_cache_is_refused(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hub / published(tmp_path, monkeypatch).name
    find_weights("official", "resnet18", WHERE)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(ConfigError, match=rf"the SHA-256 of .* begins with {sha256(path)[:8]}, exp"):
        find_weights("official", "resnet18", WHERE)


def test_the_digest_in_a_name_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_file(TENSORS, path)
    assert find_weights(str(path), "resnet18", WHERE) == path
    digits = sha256(path)[:8]
    right, wrong = (path.with_name(f"mine-{d}.safetensors") for d in (digits, "deadbeef"))
    for copy in (right, wrong):
        copy.write_bytes(path.read_bytes())
    assert find_weights(str(right), "resnet18", WHERE) == right
    with pytest.raises(
        ConfigError, match=rf"the SHA-256 of .* begins with {digits}, expected deadbeef as in its name; delete"
    ):
        find_weights(str(wrong), "resnet18", WHERE)


def test_sha256_sees_a_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"one", b"three"):
        path.write_bytes(content)
        assert sha256(path) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "name, said",
    [
        (
            "gone.pth",
            r"^generator\.weights: there is no file '.*gone\.pth'; give the path .* or 'official' for torchvision's\.$",
        ),
        ("", r"^generator\.weights: there is no file '.*'; give the path"),
        (
            "there.bin",
            r"^generator\.weights: got 'there\.bin', expected a file ending in \.safetensors, \.pth, \.pt\.$",
        ),
    ],
)
def test_wrong_paths_are_refused(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "there.bin").touch()
    with pytest.raises(ConfigError, match=said):
        find_weights(str(tmp_path / name), "resnet18", WHERE)


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".pt"])
def test_every_ending_is_read(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"w{ending}"
    (save_file if ending == ".safetensors" else torch.save)(TENSORS, path)
    read = read_weights(path, WHERE)
    assert read.keys() == TENSORS.keys() and all(torch.equal(read[key], TENSORS[key]) for key in read)


def test_the_format_of_older_torch_is_read(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "w.pth", _use_new_zipfile_serialization=False)  # VGG19's official file is of 2017
    assert torch.equal(read_weights(tmp_path / "w.pth", WHERE)["weight"], TENSORS["weight"])


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


def test_a_file_that_would_run_code_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    torch.save(TENSORS | {"trap": Trap(tmp_path / "sprung")}, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match=r"^generator\.weights: .*w\.pth cannot be read as tensors only \(") as error:
        read_weights(tmp_path / "w.pth", WHERE)
    assert not (tmp_path / "sprung").exists()
    assert "\n" not in str(error.value)
    torch.load(tmp_path / "w.pth", weights_only=False)
    assert (tmp_path / "sprung").exists()  # the trap was a trap


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_a_damaged_file_is_refused(ending: str, tmp_path: Path) -> None:
    (tmp_path / f"w{ending}").write_bytes(b"not weights")
    with pytest.raises(ConfigError, match="cannot be read as tensors only"):
        read_weights(tmp_path / f"w{ending}", WHERE)


@pytest.mark.parametrize(
    "held, said",
    [
        ([1, 2], "holds a list, expected a state dict"),
        ({"epoch": 3, "state_dict": TENSORS}, "holds a int called 'epoch', expected a state dict"),
    ],
)
def test_more_than_tensors_is_refused(held: Any, said: str, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match=said):
        read_weights(tmp_path / "w.pth", WHERE)


def test_fill_copies_by_name_and_passes_over_others() -> None:
    network = nn.Linear(3, 2)
    fill(network, TENSORS | {"other": torch.ones(5)}, WHERE)
    assert torch.equal(network.weight, TENSORS["weight"]) and torch.equal(network.bias, TENSORS["bias"])
    batch = nn.BatchNorm1d(2)
    parts = {"weight": torch.full((2,), 3.0), "bias": torch.ones(2), "running_mean": torch.ones(2)}
    fill(batch, parts | {"running_var": torch.full((2,), 4.0)}, WHERE)  # older files have no count of batches
    assert batch.running_var is not None and batch.running_var.tolist() == [4, 4]
    with pytest.raises(
        ConfigError, match=r"^here: tensor running_var: it is missing, expected \(2,\); give weights of"
    ):
        fill(batch, parts, "here")


def test_fill_names_the_first_tensor_that_does_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"^here: tensor weight: got \(2, 3\), expected \(2, 4\); give weights of"):
        fill(nn.Linear(4, 2), TENSORS, "here")


def test_networks_that_ask_for_nothing_are_left_alone() -> None:
    load_pretrained(nn.Linear(1, 1))


def test_torch_load_reads_tensors_alone() -> None:
    """The one call that the house rules let pass."""
    tree = ast.parse(Path(pretrained.__file__).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"]
    assert len(calls) == 1
    (given,) = [word.value for word in calls[0].keywords if word.arg == "weights_only"]
    assert isinstance(given, ast.Constant) and given.value is True
