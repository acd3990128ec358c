"""Networks: every entry of the tables, every recipe, every option."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jaxtyping import TypeCheckError
from torch import nn

from subgrid.config.files import recipe_names
from subgrid.config.schema import load_config
from subgrid.errors import ConfigError
from subgrid.io.tensors import load_tensors, save_tensors
from subgrid.models import DISCRIMINATORS, GENERATORS, build
from subgrid.models.blocks import resize
from subgrid.models.protocols import FeatureDiscriminator, Generator, complete_generator
from subgrid.models.rrdb import DenseBlock
from subgrid.models.srresnet import SRResNet
from subgrid.models.unet import UNet
from subgrid.networks import build_discriminator, build_generator

pytestmark = pytest.mark.usefixtures("one_thread")

REFINING = [name for name in recipe_names() if name.split("/")[-1] != "gan"]
"""Systems with a coarse input; test_gan has the others."""
CONDITIONAL = [name for name, network in GENERATORS.items() if network.conditional]
SMALL = {"features": 8, "blocks": 1}


def small(factory: Callable[..., nn.Module]) -> dict[str, int]:
    """Those size options that a constructor has."""
    return {key: value for key, value in SMALL.items() if key in inspect.signature(factory).parameters}


def even(made: nn.Module, *sides: int) -> list[int]:
    """Sides, each brought up to the multiple that a generator needs."""
    multiple = made.size_multiple
    return [-(-side // multiple) * multiple for side in sides]


def generator(name: str, factor: int = 4, channels: int = 2, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    given = {"channels_in": channels, "channels_out": channels, "factor": factor}
    made = build(GENERATORS, "generator", name, small(GENERATORS[name]) | options, **given)
    return made.eval()


def discriminator(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    options = small(DISCRIMINATORS[name]) | options
    return build(DISCRIMINATORS, "discriminator", name, options, channels_in=2, channels_condition=2)


def of_recipe(system: str, *, num_static: int = 0, full: bool = False) -> tuple[nn.Module, nn.Module | None]:
    """Generator and discriminator of a shipped recipe at two channels."""
    torch.manual_seed(0)
    config = load_config({"system": system, "data": {"variables": ["a", "b"]}})
    parts = {}
    for kind, table in (("generator", GENERATORS), ("discriminator", DISCRIMINATORS)):
        part = getattr(config, kind)
        if part is not None and not full:
            sizes = small(table[part.name])
            if part.options.get("attention") == "se":  # of 8 features, attention makes one, which may never fire
                sizes["features"] = 64
            parts |= {f"{kind}.{key}": value for key, value in sizes.items()}
    config = load_config({"system": system, "data.variables": ["a", "b"], **parts})
    critic = build_discriminator(config) if config.discriminator is not None else None
    return build_generator(config, num_static), critic


def randomised(module: nn.Module) -> nn.Module:
    """Weights and BatchNorm statistics with no zeros in them."""
    torch.manual_seed(1)
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) * 0.2 + 0.01)
    return module


@pytest.mark.parametrize("name", CONDITIONAL)
@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("height, width", [(8, 8), (5, 7), (1, 3)])
def test_generator_shape(name: str, factor: int, height: int, width: int) -> None:
    made = generator(name, factor)
    height, width = even(made, height, width)
    sr = made(torch.randn(2, 2, height, width))
    assert sr.shape == (2, 2, height * factor, width * factor)
    assert sr.dtype == torch.float32
    assert torch.isfinite(sr).all()


OUTPUT_SIDES: dict[str, Callable[[int], int]] = {
    "patchgan": lambda cells: cells // 8 - 1,
    "vgg": lambda cells: -(-cells // 16),
}
"""Outputs along a side of so many cells."""


@pytest.mark.parametrize("name", DISCRIMINATORS)
@pytest.mark.parametrize("height, width", [(16, 16), (64, 64), (24, 40), (33, 17)])
def test_discriminator_shape(name: str, height: int, width: int) -> None:
    out = discriminator(name)(torch.randn(2, 2, height, width), torch.randn(2, 2, height, width))
    assert tuple(out.shape[2:]) == (OUTPUT_SIDES[name](height), OUTPUT_SIDES[name](width))
    assert out.shape[:2] == (2, 1)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("name", DISCRIMINATORS)
@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
def test_features_of_a_discriminator(name: str, norm: str) -> None:
    made = discriminator(name, norm=norm).eval()  # in training, spectral normalisation moves with each call
    fields = torch.randn(2, 2, 16, 16), torch.randn(2, 2, 16, 16)
    out, features = made.forward_features(*fields)
    assert torch.equal(out, made(*fields))
    assert len(features) == {"patchgan": 3, "vgg": 8}[name]
    # the last of them, activated and passed through what comes after, is the output
    layers = list(made.layers)  # type: ignore[arg-type]
    rest = next(i for i in reversed(range(len(layers))) if isinstance(layers[i], nn.LeakyReLU))
    assert torch.allclose(nn.Sequential(*layers[rest:])(features[-1]), out)


def test_a_discriminator_without_condition() -> None:
    torch.manual_seed(0)
    made = build(DISCRIMINATORS, "d", "patchgan", {"features": 8}, channels_in=2, channels_condition=0)
    field = torch.randn(2, 2, 16, 16)
    assert made(field[:, :0], field).shape == (2, 1, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("num_static", [0, 1])
@pytest.mark.parametrize("system", REFINING)
def test_gradient_reaches_every_parameter(system: str, num_static: int) -> None:
    made, critic = of_recipe(system, num_static=num_static)
    parameters = [p for p in made.parameters() if p.requires_grad]
    family = load_config({"system": system, "data": {"variables": ["a"]}}).family
    assert bool(parameters) == (family != "baseline")
    if not parameters:
        return
    lr, hr = torch.randn(2, 2, 4, 4), torch.randn(2, 2, 16, 16)
    static = torch.randn(2, num_static, 16, 16) if num_static else None
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    for _ in range(2):  # a last convolution that starts at zero lets no gradient through before the first step
        optimizer.zero_grad()
        F.mse_loss(made(lr, static), hr).backward()
        optimizer.step()
    moving = [(name, p) for name, p in made.named_parameters() if p.requires_grad]
    missing = [name for name, p in moving if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []
    if critic is not None:
        # a square: a sum would be blind to what stands before a BatchNorm
        critic(hr, torch.randn(2, 2, 16, 16)).square().mean().backward()
        missing = [name for name, p in critic.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        assert missing == []


@pytest.mark.slow
@pytest.mark.parametrize("system", REFINING)
def test_save_and_load_gives_the_same_network(system: str, tmp_path: Path) -> None:
    for i, part in enumerate(of_recipe(system)):
        if part is None:
            continue
        fresh = of_recipe(system)[i]
        assert fresh is not None
        randomised(part).eval()
        save_tensors(tmp_path / "w.safetensors", part.state_dict(), {"step": 3})
        tensors, facts = load_tensors(tmp_path / "w.safetensors")
        assert facts == {"step": 3}
        fresh.load_state_dict(tensors)
        fresh.eval()
        given = [torch.randn(2, 2, 16, 16)] if i == 0 else [torch.randn(2, 2, 16, 16), torch.randn(2, 2, 16, 16)]
        assert torch.equal(part(*given), fresh(*given))


CHANGED: dict[str, dict[str, Any]] = {
    "srresnet": {
        "features": 4,
        "blocks": 2,
        "norm": "none",
        "head": "linear",
        "residual": "bicubic",
        "attention": "se",
        "multiscale": True,
        "dilation": 2,
        "head_kernel": 3,
    },
    "rrdbnet": {"features": 4, "blocks": 2, "growth": 8, "head": "tanh", "residual": "bicubic", "init_scale": 0.1},
    "unet": {"features": 4, "norm": "none", "head": "linear", "residual": "bicubic", "skips": True},
    "resnet18": {
        "features": 4,
        "encoder_norm": "fixed",
        "input_grid": "fine",
        "skips": True,
        "norm": "none",
        "head": "linear",
        "residual": "bicubic",
    },
    "interpolation": {"mode": "bilinear"},
    "patchgan": {"features": 4, "norm": "spectral", "output": "logits"},
    "vgg": {"features": 4, "norm": "spectral", "output": "sigmoid"},
}
ELSEWHERE = {"resnet18": {"weights", "stem", "frozen"}}  # they change what is loaded and trained: tests/test_resnet.py
GIVEN = {"channels_in", "channels_out", "channels_condition", "factor", "static_channels"}


@pytest.mark.parametrize("name", [*CONDITIONAL, *DISCRIMINATORS])
def test_every_option_is_tested(name: str) -> None:
    factory = {**GENERATORS, **DISCRIMINATORS}[name]
    assert set(inspect.signature(factory).parameters) - GIVEN == set(CHANGED[name]) | ELSEWHERE.get(name, set())


@pytest.mark.slow
@pytest.mark.parametrize("name, option", [(name, option) for name, options in CHANGED.items() for option in options])
def test_every_option_bites(name: str, option: str) -> None:
    make = generator if name in GENERATORS else discriminator
    fields = [torch.randn(2, 2, 16, 16)] * (1 if name in GENERATORS else 2)
    plain, changed = make(name).train(), make(name, **{option: CHANGED[name][option]}).train()
    assert not torch.allclose(plain(*fields), changed(*fields))


@pytest.mark.parametrize(
    "kind, name, options, message",
    [
        ("generator", "srresnet", {"norm": "layer"}, "norm: got 'layer', expected one of batch, none"),
        ("generator", "srresnet", {"head": "relu"}, "head: got 'relu', expected one of tanh, linear"),
        (
            "generator",
            "srresnet",
            {"residual": "cubic"},
            "residual: got 'cubic', expected one of none, bilinear, bicubic",
        ),
        ("generator", "srresnet", {"features": 0}, "features must be at least 1 and blocks at least 0: got 0 and 8"),
        ("generator", "srresnet", {"blocks": -1}, "features must be at least 1 and blocks at least 0: got 64 and -1"),
        ("generator", "interpolation", {"mode": "cubic"}, "mode: got 'cubic', expected one of bilinear, bicubic"),
        ("discriminator", "patchgan", {"norm": "b"}, "norm: got 'b', expected one of batch, spectral, none"),
        ("discriminator", "patchgan", {"output": "l"}, "output: got 'l', expected one of logits, sigmoid"),
        ("discriminator", "patchgan", {"features": 0}, "features: got 0, expected at least 1"),
        ("discriminator", "vgg", {"features": 0}, "features: got 0, expected at least 1"),
        ("discriminator", "vgg", {"norm": "b"}, "norm: got 'b', expected one of batch, spectral, none"),
        ("generator", "srresnet", {"attention": "s"}, "attention: got 's', expected one of none, se"),
        ("generator", "srresnet", {"head_kernel": 4}, "head_kernel: got 4, expected an odd number"),
        ("generator", "unet", {"norm": "layer"}, "norm: got 'layer', expected one of batch, none"),
        ("generator", "rrdbnet", {"head": "relu"}, "head: got 'relu', expected one of tanh, linear"),
        ("generator", "resnet18", {"stem": "new"}, "stem: got 'new', expected one of random, adapted"),
        ("generator", "resnet18", {"input_grid": "all"}, "input_grid: got 'all', expected one of coarse, fine"),
        ("generator", "resnet18", {"encoder_norm": "no"}, "encoder_norm: got 'no', expected one of batch, fixed"),
        (
            "generator",
            "resnet18",
            {"features": 0},
            "factor must be at least 2 and features at least 1: got 4 and 0",
        ),
    ],
)
def test_wrong_values_are_refused(kind: str, name: str, options: dict[str, Any], message: str) -> None:
    table = {"generator": GENERATORS, "discriminator": DISCRIMINATORS}[kind]
    given = {"channels_in": 2, "channels_out" if kind == "generator" else "channels_condition": 2}
    with pytest.raises(ConfigError) as error:
        build(table, kind, name, options, **given)
    assert str(error.value) == f"{kind}: {name} refuses its options {options}: {message}"


def test_text_for_a_number_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^generator: srresnet refuses its options \{'features': 'many'\}: "):
        build(GENERATORS, "generator", "srresnet", {"features": "many"}, channels_in=1, channels_out=1)


def test_unknown_option_and_name_are_refused() -> None:
    with pytest.raises(ConfigError) as error:
        build(GENERATORS, "generator", "srresnet", {"feature": 3}, channels_in=1, channels_out=1)
    assert str(error.value) == "generator.feature: srresnet has no such option. Did you mean 'features'?"
    with pytest.raises(ConfigError) as error:
        build(GENERATORS, "generator", "srresnett", {})
    assert str(error.value) == "generator.name: no generator called 'srresnett'. Did you mean 'srresnet'?"
    with pytest.raises(ConfigError, match=r"^generator.factor: srresnet has no such option\."):
        build(GENERATORS, "generator", "srresnet", {"factor": 3}, channels_in=1, channels_out=1, factor=4)


def test_a_class_of_the_users_own() -> None:
    made = build({}, "generator", "subgrid.models.srresnet:SRResNet", {"features": 3}, channels_in=1, channels_out=1)
    assert isinstance(made, SRResNet)
    with pytest.raises(ConfigError, match=r"^generator.name: cannot import 'nowhere:Net': No module named 'nowhere'\."):
        build({}, "generator", "nowhere:Net", {})
    with pytest.raises(ConfigError, match=r"cannot import 'subgrid\.models\.srresnet:Net'.*Is its package installed"):
        build({}, "generator", "subgrid.models.srresnet:Net", {})


def test_tables_keep_the_protocols() -> None:
    for name in CONDITIONAL:
        assert isinstance(generator(name), Generator)
    assert [name for name in GENERATORS if name != "dcgan"] == CONDITIONAL
    assert all(isinstance(discriminator(name), FeatureDiscriminator) for name in DISCRIMINATORS)


def test_a_generator_that_states_nothing_gets_the_defaults() -> None:
    made = complete_generator(nn.Conv2d(1, 1, 1), "mine:Net", 4)
    assert isinstance(made, Generator)
    assert (made.factor, made.size_multiple, made.halo_cells, made.pads_input) == (4, 1, 32, False)


def test_a_generator_keeps_what_it_states() -> None:
    stated = UNet(1, 1, factor=2, features=2)
    made = complete_generator(stated, "mine:Net", 4)
    assert made is stated and (made.factor, made.size_multiple, made.halo_cells) == (2, 4, 10)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("halo_cells", -1, "states halo_cells = -1, expected a whole number of at least 0."),
        ("size_multiple", 2.5, "states size_multiple = 2.5, expected a whole number of at least 1."),
        ("multiple", 4, "states `multiple`, which is now called `size_multiple`; rename it."),
    ],
)
def test_impossible_properties_are_refused(key: str, value: Any, message: str) -> None:
    network = nn.Conv2d(1, 1, 1)
    setattr(network, key, value)
    with pytest.raises(ConfigError) as error:
        complete_generator(network, "mine:Net", 4)
    assert str(error.value) == f"generator: mine:Net {message}"


def test_an_old_option_is_refused_with_its_new_name() -> None:
    settings = {"system": "srgan", "data.variables": ["a"], "generator.base": "none"}
    with pytest.raises(ConfigError, match=r"^generator\.base: this option is now called generator\.residual\.$"):
        build_generator(load_config(settings), 0)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^generator\.name: builtins:dict returns a dict, expected a torch\.nn\.Module\.$"
    ):
        build({"builtins:dict": lambda: {}}, "generator", "builtins:dict", {})


def test_shapes_are_checked() -> None:
    lr = torch.zeros(1, 2, 4, 4)
    with pytest.raises(TypeCheckError, match="'static'"):
        generator("srresnet")(lr, torch.zeros(1, 1, 8, 8))  # factor 4 needs 16 x 16
    with pytest.raises(TypeCheckError, match="'field'"):
        discriminator("patchgan")(torch.zeros(1, 2, 16, 16), torch.zeros(1, 2, 16, 17))


@pytest.mark.parametrize("factor", [1, 3, 6])
def test_factors_that_do_not_double_are_refused(factor: int) -> None:
    message = f"factor: got {factor}, this generator doubles the grid and needs 2, 4, 8, ...$"
    with pytest.raises(ValueError, match=message):
        SRResNet(1, 1, factor=factor)


def test_channels_that_cannot_be_added_are_refused() -> None:
    with pytest.raises(ValueError, match="residual 'bicubic' adds the input to the output: got 2 channels in, 1 out"):
        SRResNet(2, 1, residual="bicubic")
    with pytest.raises(ValueError, match="interpolation keeps its channels: got 2 in, 1 out"):
        GENERATORS["interpolation"](2, 1)


@pytest.mark.parametrize("name", [name for name in CONDITIONAL if name != "interpolation"])
def test_static_fields_change_the_output_and_get_a_gradient(name: str) -> None:
    without, options = generator(name), small(GENERATORS[name])
    torch.manual_seed(0)
    made = build(GENERATORS, "g", name, options, channels_in=2, channels_out=2, static_channels=1).eval()
    assert sum(p.numel() for p in without.parameters()) < sum(p.numel() for p in made.parameters())
    lr, static = torch.randn(1, 2, 8, 8), torch.randn(1, 1, 32, 32, requires_grad=True)
    sr = made(lr, static)
    assert not torch.allclose(sr, made(lr, static + 1))
    sr.square().sum().backward()
    assert static.grad is not None
    assert (static.grad != 0).all()  # each fine cell, none averaged away before


def reach(made: nn.Module) -> int:
    """How many coarse cells away from a cell that is not a number the output is none, for each place among the multiple."""
    multiple, factor = made.size_multiple, made.factor
    (side,) = even(made, 2 * made.halo_cells + 7)
    found = []
    for middle in range(side // 2, side // 2 + multiple):
        lr = torch.rand(1, 1, multiple, side)
        lr[0, 0, 0, middle] = torch.nan  # a changed number is lost in rounding on its way through deep networks
        with torch.no_grad():
            changed = made(lr).isnan()[0, 0].any(0).nonzero().flatten() // factor
        found.append(int((changed - middle).abs().max()))
    return max(found)


HALOS: list[tuple[str, dict[str, Any]]] = [
    ("srresnet", {"blocks": 0}),
    ("srresnet", {"blocks": 2}),
    ("srresnet", {"blocks": 0, "head_kernel": 3}),
    ("srresnet", {"blocks": 1, "multiscale": True}),
    ("srresnet", {"blocks": 2, "dilation": 2}),
    ("rrdbnet", {"blocks": 1, "growth": 2}),
    ("unet", {}),
    ("unet", {"skips": True}),
    ("resnet18", {"input_grid": "coarse"}),
    ("resnet18", {"input_grid": "fine", "skips": True}),
]


@pytest.mark.slow
@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("residual", ["none", "bicubic"])
@pytest.mark.parametrize("name, options", HALOS, ids=[f"{name}-{options}" for name, options in HALOS])
def test_halo_is_true(name: str, options: dict[str, Any], factor: int, residual: str) -> None:
    options = options | {"features": 4, "head": "linear", "residual": residual}
    made = randomised(GENERATORS[name](1, 1, factor=factor, **options)).eval()
    measured, stated = reach(made), made.halo_cells
    assert stated - 3 <= measured <= stated  # and no wider than it need be


def test_attention_sees_the_whole_field() -> None:
    made = randomised(SRResNet(1, 1, features=4, blocks=1, head="linear", attention="se")).eval()
    assert reach(made) > made.halo_cells  # which is that of the convolutions, as its docstring says


def test_start_of_rrdbs_is_scaled_kaiming() -> None:
    big, little = generator("rrdbnet", init_scale=2.0), generator("rrdbnet", init_scale=0.1)
    blocks = [[m for m in made.modules() if isinstance(m, DenseBlock)] for made in (big, little)]
    assert len(blocks[0]) == len(blocks[1]) == 3
    for one, other in zip(*blocks, strict=True):
        for conv, small_conv in zip([*one.grow, one.shrink], [*other.grow, other.shrink], strict=True):
            torch.testing.assert_close(small_conv.weight, conv.weight * 0.05)
            gain = (2 / (1 + 0.2**2)) ** 0.5  # Kaiming's, for LeakyReLU with slope .2
            assert float(small_conv.weight.detach().std()) == pytest.approx(
                0.1 * gain / conv.weight[0].numel() ** 0.5, rel=0.1
            )
            assert not small_conv.bias.any()
    lr = torch.randn(1, 2, 6, 6)
    features = [made.stem(lr) for made in (big, little)]
    with torch.no_grad():
        dense = [made.body[0].blocks[0] for made in (big, little)]
        moved = [float((f(x) - x).norm() / x.norm()) for f, x in zip(dense, features, strict=True)]
    assert moved[1] < 0.05 < moved[0]  # a dense block starts near the identity


@pytest.mark.parametrize("mode, cells", [("bilinear", 1), ("bicubic", 2)])
def test_halo_of_interpolation_is_true(mode: str, cells: int) -> None:
    made = generator("interpolation", 4, 1, mode=mode)
    assert reach(made) == cells
    assert cells <= made.halo_cells


def test_tanh_bounds_the_output_and_linear_does_not() -> None:
    lr = 50 * torch.randn(1, 2, 6, 6)
    assert generator("srresnet", head="tanh")(lr).abs().max() <= 1.0
    assert generator("srresnet", head="linear")(lr).abs().max() > 1.0


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_training_starts_from_the_interpolation(mode: str, factor: int) -> None:
    lr = torch.randn(2, 2, 5, 7)
    expected = F.interpolate(lr, scale_factor=factor, mode=mode, align_corners=False)
    for head in ("tanh", "linear"):
        assert torch.equal(generator("srresnet", factor, residual=mode, head=head)(lr), expected)
        assert torch.equal(generator("rrdbnet", factor, residual=mode, head=head)(lr), expected)
        fours = F.interpolate(lr[..., :4, :4], scale_factor=factor, mode=mode, align_corners=False)
        assert torch.equal(generator("unet", factor, residual=mode, head=head)(lr[..., :4, :4]), fours)
        assert torch.equal(generator("resnet18", factor, residual=mode, head=head)(lr), expected)
    assert torch.equal(generator("interpolation", factor, mode=mode)(lr), expected)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_interpolation_of_a_ramp(factor: int) -> None:
    rows, columns = np.arange(9) + 0.5, np.arange(11) + 0.5
    fine_rows, fine_columns = (np.arange(9 * factor) + 0.5) / factor, (np.arange(11 * factor) + 0.5) / factor
    lr = torch.tensor(3 * rows[:, None] - 2 * columns + 7, dtype=torch.float32)[None, None]
    expected = 3 * fine_rows[:, None] - 2 * fine_columns + 7
    inside = (slice(2 * factor, -2 * factor),) * 2
    bilinear, bicubic = (resize(lr, factor, mode)[0, 0].numpy() for mode in ("bilinear", "bicubic"))
    np.testing.assert_allclose(bilinear[inside], expected[inside], atol=1e-4)
    # Keys' kernel keeps a ramp only with a = -0.5; torch's a = -0.75 is off by up to 0.048 of a cell's step an axis
    assert 0.01 < np.abs(bicubic - expected)[inside].max() < 0.0481 * (3 + 2)
    means = (bicubic - expected)[inside].reshape(5, factor, 7, factor).mean((1, 3))
    np.testing.assert_allclose(means, 0, atol=1e-4)


def keys(distance: float, a: float = -0.75) -> float:
    """Keys 1981, equation 4, for any a."""
    d = abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def test_bicubic_is_keys_convolution() -> None:
    lr = np.random.default_rng(0).normal(size=12)
    factor, expected = 4, []
    for j in range(12 * factor):
        place = (j + 0.5) / factor - 0.5
        cells = range(int(np.floor(place)) - 1, int(np.floor(place)) + 3)
        expected.append(sum(lr[min(max(i, 0), 11)] * keys(place - i) for i in cells))
    field = torch.tensor(lr, dtype=torch.float32).repeat(3, 1)[None, None]
    np.testing.assert_allclose(resize(field, factor, "bicubic")[0, 0, 5], expected, atol=1e-5)


@pytest.mark.parametrize("system", REFINING)
def test_samples_of_a_batch_do_not_mix(system: str) -> None:
    made = randomised(of_recipe(system)[0]).eval()
    lr, order = torch.randn(3, 2, *even(made, 5, 5)), [2, 0, 1]
    torch.testing.assert_close(made(lr[order]), made(lr)[order])


def test_discriminator_outputs_and_norms() -> None:
    condition, field = torch.randn(2, 2, 32, 32), 30 * torch.randn(2, 2, 32, 32)
    sigmoid, logits = (
        discriminator("patchgan", output=o, norm="none")(condition, field) for o in ("sigmoid", "logits")
    )
    torch.testing.assert_close(sigmoid, torch.sigmoid(logits))
    assert not torch.allclose(
        discriminator("patchgan")(condition, field), discriminator("patchgan")(condition.flip(-1), field)
    )
    critic = discriminator("patchgan", norm="spectral")
    for _ in range(30):  # the power iteration goes on with each forward pass in training
        critic(condition, field)
    convolutions = [m for m in critic.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 4
    for conv in convolutions:
        assert float(torch.linalg.matrix_norm(conv.weight.detach().flatten(1), 2)) == pytest.approx(1.0, abs=0.1)
