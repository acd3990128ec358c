"""The perceptual loss against convolutions written anew; its options; what a run does with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from subgrid.config.schema import load_config
from subgrid.errors import ConfigError
from subgrid.losses.perceptual import LAYERS, Perceptual, vgg19_to
from subgrid.training.objective import content_losses
from subgrid.training.train import train
from tiny import SETTINGS, history

pytestmark = pytest.mark.usefixtures("one_thread")

Make = Callable[..., Perceptual]


@pytest.fixture
def make(vgg_file: Path) -> Make:
    """The loss on two variables, with a small part of the network."""
    small = {"inputs": ["a", "b", "a"], "layer": "conv2_1", "weights": str(vgg_file)}
    return lambda **options: Perceptual(["a", "b"], **{**small, **options})


def pair(size: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    x = torch.randn(2, 2, size, size)
    return x, x + 0.5 * torch.randn_like(x)


def test_keys_and_shapes_are_torchvisions() -> None:
    widths = [64, 64, 128, 128, *[256] * 4, *[512] * 8]
    numbers = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    expected = {}
    for number, wide, narrow in zip(numbers, widths, [3, *widths[:-1]], strict=True):
        expected |= {f"{number}.weight": (wide, narrow, 3, 3), f"{number}.bias": (wide,)}
    network = vgg19_to("conv5_4")
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == expected
    assert sum(p.numel() for p in network.parameters()) == 20_024_384
    assert len(LAYERS) == 16 and len(network) == 35 and len(vgg19_to("conv5_4", "after")) == 36
    assert [type(m).__name__ for m in network[:5]] == ["Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d"]
    assert [i for i, m in enumerate(network) if isinstance(m, torch.nn.MaxPool2d)] == [4, 9, 18, 27]


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """3x3 convolution with a border of zeros, by numpy."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), (1, 2))
    out: np.ndarray = np.einsum("chwij,ocij->ohw", windows, weight) + bias[:, None, None]
    return out


@pytest.mark.parametrize("activation", ["before", "after"])
@pytest.mark.parametrize("distance", ["l1", "mse"])
def test_it_is_its_formula(make: Make, vgg_file: Path, activation: str, distance: str) -> None:
    ranges = [[-3, 3], [-1, 2], [-4, 0]]
    w = {key: value.double().numpy() for key, value in load_file(vgg_file).items()}
    found = []
    for field in pair(5):
        colours = np.stack([field[0, c].double().numpy() for c in (0, 1, 0)])
        for i, (low, high) in enumerate(ranges):
            mean, std = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))[i]
            colours[i] = ((colours[i] - low) / (high - low) - mean) / std
        for name in ("features.0", "features.2"):
            colours = np.maximum(convolved(colours, w[f"{name}.weight"], w[f"{name}.bias"]), 0)
        pooled = colours[:, :4, :4].reshape(64, 2, 2, 2, 2).max((2, 4))
        out = convolved(pooled, w["features.5.weight"], w["features.5.bias"])
        found.append(np.maximum(out, 0) if activation == "after" else out)
    difference = found[0] - found[1]
    expected = np.abs(difference).mean() if distance == "l1" else (difference**2).mean()
    loss = make(ranges=ranges, activation=activation, distance=distance)
    x, y = (field[:1] for field in pair(5))
    assert float(loss(x, y)) == pytest.approx(expected, rel=1e-4)


CHANGES: list[dict[str, Any]] = [
    {"inputs": ["b", "b", "a"]},
    {"layer": "conv1_2"},
    {"activation": "after"},
    {"ranges": [[-3, 3], [-3, 3], [-3, 4]]},
    {"ranges": [[-2, 3], [-3, 3], [-3, 3]]},
    {"distance": "mse"},
]


@pytest.mark.parametrize("change", CHANGES, ids=[f"{next(iter(change))}" for change in CHANGES])
def test_every_option_bites(make: Make, change: dict[str, Any]) -> None:
    assert float(make(**change)(*pair())) != pytest.approx(float(make()(*pair())), rel=1e-3)


def test_weights_bite(make: Make, vgg_file: Path, tmp_path: Path) -> None:
    save_file({key: 2 * value for key, value in load_file(vgg_file).items()}, tmp_path / "w.safetensors")
    other = make(weights=str(tmp_path / "w.safetensors"))
    assert float(other(*pair())) != pytest.approx(float(make()(*pair())), rel=1e-2)


def test_equal_fields_cost_nothing_and_the_gradient_is_the_generators_alone(make: Make) -> None:
    loss = make()
    x, y = (field.requires_grad_() for field in pair())
    assert float(loss(x, x).detach()) == 0
    loss(x, y).backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    assert y.grad is None
    assert all(not p.requires_grad and p.grad is None for p in loss.parameters())
    assert not loss.vgg.training


def test_values_beyond_the_range_are_not_clipped(make: Make) -> None:
    x = torch.full((1, 2, 8, 8), 5.0, requires_grad=True)
    make()(x, torch.zeros(1, 2, 8, 8)).backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


@given(st.permutations([0, 1, 2]))
def test_the_order_of_the_channels_is_told_by_name(vgg_file: Path, order: list[int]) -> None:
    torch.manual_seed(0)
    x, y, names = torch.randn(1, 3, 6, 6), torch.randn(1, 3, 6, 6), ["a", "b", "c"]
    options: dict[str, Any] = {"inputs": ["c", "a", "b"], "layer": "conv1_1", "weights": str(vgg_file)}
    plain = Perceptual(names, **options)(x, y)
    mixed = Perceptual([names[i] for i in order], **options)(x[:, order], y[:, order])
    torch.testing.assert_close(mixed, plain)


@pytest.mark.parametrize("layer, window", [("conv1_1", 1), ("conv2_1", 2)])
def test_smallest_field(make: Make, layer: str, window: int) -> None:
    loss = make(layer=layer)
    assert loss.window == window
    assert loss.features(torch.zeros(1, 2, window, window)).shape[-2:] == (1, 1)
    if window > 1:
        with pytest.raises(ValueError, match="fields of 1 x 8 cells are smaller than its window of 2 cells"):
            loss(torch.zeros(1, 2, 1, 8), torch.zeros(1, 2, 1, 8))


def test_halving_at_each_stage() -> None:
    x = torch.zeros(1, 3, 64, 80)
    for stage in range(1, 4):
        assert F.adaptive_avg_pool2d(vgg19_to(f"conv{stage}_2")(x), 1).shape[1] == 64 * 2 ** (stage - 1)
        assert vgg19_to(f"conv{stage}_2")(x).shape[-2:] == (64 >> (stage - 1), 80 >> (stage - 1))


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"inputs": ["a", "b"]},
        r"inputs: got \['a', 'b'\], expected three of a, b, for red, green and blue",
    ),
    ({"inputs": "aba"}, "inputs: got 'aba', expected three of a, b"),
    ({"inputs": ["a", "b", "t2m"]}, "inputs: no variable 't2m'. Valid: a, b."),
    ({"layer": "conv5_5"}, "layer: got 'conv5_5'. Did you mean 'conv5_"),
    ({"activation": "behind"}, "activation: got 'behind', expected one of before, after"),
    ({"distance": "l3"}, "distance: got 'l3', expected one of l1, mse"),
    ({"ranges": [[-3, 3], [3, -3], [0, 1]]}, r"ranges: got \[\[-3, 3\], \[3, -3\], \[0, 1\]\], expected three pairs"),
    ({"ranges": [[-3, 3]]}, r"ranges: got \[\[-3, 3\]\], expected three pairs"),
    ({"weights": "none"}, "weights: the loss needs a trained network; give a path or 'official'"),
]


@pytest.mark.parametrize("options, said", WRONG)
def test_wrong_options_are_refused(make: Make, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make(**options)


def test_weights_of_another_network_are_refused(make: Make) -> None:
    with pytest.raises(ConfigError) as error:
        make(layer="conv2_2")
    said = str(error.value)
    assert (
        said.startswith("losses.perceptual.weights: ") and "tensor features.7.weight: it is missing, expected" in said
    )


# in a training


def settings(vgg_file: Path, **options: Any) -> dict[str, Any]:
    """A short training whose content stage has the loss."""
    chosen = {"weight": 0.1, "weights": str(vgg_file), "layer": "conv2_1", "inputs": ["u10", "t2m", "u10"], **options}
    return SETTINGS | {"train.updates": 4} | {f"content.losses.perceptual.{k}": v for k, v in chosen.items()}


def test_channels_come_from_the_configuration(vgg_file: Path) -> None:
    config = load_config(settings(vgg_file))
    weight, term = content_losses(config.content.losses, "content.losses", config.data.variables)["perceptual"]
    assert (weight, term.channels) == (0.1, [1, 0, 1])


def test_a_run_says_what_it_compared(vgg_file: Path, tiny_store: Path, tmp_path: Path) -> None:
    run = train(settings(vgg_file), store=tiny_store, out=tmp_path / "run")
    assert (history(run)["loss_perceptual"].dropna() > 0).all()
    notes = json.loads((run / "finished.json").read_text())["notes"]
    (said,) = [note for note in notes if "perceptual" in note]
    assert said.startswith("content.losses.perceptual: VGG19 vgg.safetensors (SHA-256 ")
    assert said.endswith(
        "conv2_1 before its activation: 8 x 8 features of 16 x 16 cells, u10 for red, t2m for green, u10 for blue"
    )
    for file in (run / "state.safetensors", run / "weights" / "last.safetensors"):
        assert not [name for name in load_file(file) if "vgg" in name or "features" in name]


@pytest.mark.parametrize(
    "options, said",
    [
        (
            {"inputs": ["u10", "t2", "u10"]},
            r"^content\.losses\.perceptual: invalid options .* no variable 't2'. Did you mean 't2m'",
        ),
        ({"weights": "gone.pth"}, r"^losses\.perceptual\.weights: there is no file 'gone\.pth'"),
        ({"variables": ["a"]}, r"^content\.losses\.perceptual: invalid options .*multiple values"),
    ],
)
def test_it_is_refused_before_a_run_is_made(
    options: dict[str, Any], said: str, vgg_file: Path, tiny_store: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        train(settings(vgg_file, **options), store=tiny_store, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
