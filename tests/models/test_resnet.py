"""PREGAN's generator: weights made elsewhere, what is frozen, fields of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from make_weights import resnet_tensors
from subgrid.config.schema import load_config
from subgrid.errors import ConfigError
from subgrid.evaluation.evaluate import evaluate
from subgrid.inference.downscale import downscale
from subgrid.inference.super_resolve import super_resolve
from subgrid.models.resnet import ResNet18
from subgrid.training.checkpoint import build_optimizer, new_training_state, update_average
from subgrid.training.objective import adversarial_objective
from subgrid.training.train import train
from tiny import SETTINGS, history, same_weights, weights

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

PREGAN = {k: v for k, v in SETTINGS.items() if not k.startswith(("generator.", "discriminator.", "content."))} | {
    "system": "pregan",
    "generator.features": 8,
    "discriminator.features": 8,
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a ResNet-18 for three colours."""
    path = tmp_path_factory.mktemp("resnet") / "resnet.safetensors"
    save_file(resnet_tensors(), path)
    return path


def encoder(file: Path, **options: Any) -> dict[str, torch.Tensor]:
    """The encoder's tensors after loading."""
    torch.manual_seed(0)
    made = ResNet18(2, 2, features=4, weights=str(file), **options)
    made.load_pretrained()
    return made.encoder.state_dict()


def test_keys_and_shapes_are_torchvisions() -> None:
    shapes = {k: tuple(v.shape) for k, v in ResNet18(3, 3, features=4).encoder.state_dict().items()}
    expected: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7)}

    def norm(name: str, width: int) -> None:
        parts = ("weight", "bias", "running_mean", "running_var")
        expected.update({f"{name}.{part}": (width,) for part in parts} | {f"{name}.num_batches_tracked": ()})

    norm("bn1", 64)
    for i, (narrow, wide) in enumerate(((64, 64), (64, 128), (128, 256)), 1):
        for j in range(2):
            given = wide if j else narrow
            for k, of in ((1, given), (2, wide)):
                expected[f"layer{i}.{j}.conv{k}.weight"] = (wide, of, 3, 3)
                norm(f"layer{i}.{j}.bn{k}", wide)
            if given != wide:
                expected[f"layer{i}.{j}.downsample.0.weight"] = (wide, given, 1, 1)
                norm(f"layer{i}.{j}.downsample.1", wide)
    assert shapes == expected


def test_building_reads_nothing_and_loading_does(tmp_path: Path) -> None:
    made = ResNet18(2, 2, features=4, weights=str(tmp_path / "gone.safetensors"))
    with pytest.raises(
        ConfigError, match=r"^generator\.weights: there is no file '.*gone\.safetensors'; .* or 'none' for random w"
    ):
        made.load_pretrained()


def test_stem_stays_random_or_is_adapted(file: Path) -> None:
    given = resnet_tensors()
    random, adapted = encoder(file, stem="random"), encoder(file, stem="adapted")
    for name, value in random.items():
        if name != "conv1.weight" and name in given:
            assert torch.equal(value, given[name]) and torch.equal(adapted[name], given[name])
    torch.manual_seed(0)
    assert torch.equal(random["conv1.weight"], ResNet18(2, 2, features=4).encoder.conv1.weight)  # as it was built
    rgb = given["conv1.weight"].double().numpy()
    expected = np.stack([rgb.mean(1) * 3 / 2] * 2, 1)
    np.testing.assert_allclose(adapted["conv1.weight"].numpy(), expected, rtol=1e-5, atol=1e-7)
    # a field that is the same in all channels is to it what a grey photograph was
    gray = torch.randn(1, 1, 32, 32)
    of_rgb = torch.nn.functional.conv2d(gray.expand(-1, 3, -1, -1), given["conv1.weight"], stride=2, padding=3)
    of_two = torch.nn.functional.conv2d(gray.expand(-1, 2, -1, -1), adapted["conv1.weight"], stride=2, padding=3)
    torch.testing.assert_close(of_rgb, of_two, rtol=1e-4, atol=1e-4)


def test_fresh_weights_are_he_s() -> None:
    torch.manual_seed(0)
    made = ResNet18(2, 2, features=4, weights="none")
    before = {k: v.clone() for k, v in made.state_dict().items()}
    made.load_pretrained()
    assert same_weights(before, dict(made.state_dict()))
    spread = float(made.encoder.layer3[1].conv2.weight.detach().std())
    assert spread == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)


@pytest.mark.parametrize("change, said", [("conv1.weight", "adapted"), ("layer3.1.bn2.weight", "random")])
def test_other_networks_weights_are_refused(change: str, said: str, tmp_path: Path) -> None:
    tensors = resnet_tensors()
    shape = tuple(tensors[change].shape)
    save_file(tensors | {change: torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError) as error:
        encoder(tmp_path / "w.safetensors", stem=said)
    assert f"w.safetensors: tensor {change}: got (2,), expected {shape}; give weights of" in str(error.value)
    del tensors[change]
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match="it is missing, expected"):
        encoder(tmp_path / "w.safetensors", stem=said)


@pytest.mark.parametrize("encoder_norm", ["batch", "fixed"])
def test_frozen_parameters_keep_their_values(file: Path, encoder_norm: str) -> None:
    given = {"generator.weights": str(file), "generator.encoder_norm": encoder_norm}
    config = load_config({**PREGAN, **given, "generator.frozen": True, "train.weight_decay": 0.1, "train.ema": 0.5})
    state = new_training_state(config, 0, (64, 64), torch.device("cpu"))
    assert state.average is not None
    before = {k: v.clone() for k, v in state.generator.state_dict().items()}
    assert same_weights(before, dict(state.average.state_dict()))
    assert torch.equal(before["encoder.bn1.weight"], resnet_tensors()["bn1.weight"])
    optimizer = build_optimizer(config, state.generator, 0.1)
    for step in range(2):  # the head starts at zero: the second step moves what stands before it
        optimizer.zero_grad()
        (state.generator(torch.randn(2, 2, 8, 8)) - 1).square().mean().backward()
        optimizer.step()
        update_average(state.average, state.generator, 0.5, step)
    moved = {k for k, v in state.generator.state_dict().items() if not torch.equal(v, before[k])}
    parameters = {name for name, _ in state.generator.named_parameters()}
    frozen = {name for name in parameters if name.startswith("encoder.")}
    assert moved & parameters == parameters - frozen
    assert {k for k in before if k not in parameters} & moved == (
        {k for k in before if k not in parameters} if encoder_norm == "batch" else set()
    )
    kept = state.average.state_dict()
    assert all(torch.equal(kept[name], before[name]) for name in frozen)
    assert all(not p.requires_grad for n, p in state.generator.named_parameters() if n in frozen)
    assert len(optimizer.param_groups[0]["params"]) == len(parameters - frozen)


def test_an_encoder_that_is_not_frozen_is_trained(file: Path) -> None:
    config = load_config({**PREGAN, "generator.weights": str(file)})
    state = new_training_state(config, 0, (64, 64), torch.device("cpu"))
    assert all(p.requires_grad for p in state.generator.parameters())
    left = new_training_state(config, 0, (64, 64), torch.device("cpu"), pretrained=False)
    assert not torch.equal(
        left.generator.state_dict()["encoder.bn1.weight"], state.generator.state_dict()["encoder.bn1.weight"]
    )


def test_fixed_statistics_stay_fixed() -> None:
    made = ResNet18(2, 2, features=4, encoder_norm="fixed", norm="none")
    assert not made.encoder.bn1.training  # from the first forward pass on
    lr = 3 + torch.randn(2, 2, 16, 16)
    torch.testing.assert_close(made.train()(lr), made.eval()(lr))
    assert made.train().training and not made.encoder.bn1.training
    assert ResNet18(2, 2, features=4).encoder.bn1.training


@pytest.mark.parametrize("height, width", [(16, 16), (20, 33), (3, 5)])
def test_the_coarse_form_pads_by_repeating_the_edge(height: int, width: int) -> None:
    torch.manual_seed(0)
    made, lr = ResNet18(2, 2, features=4).eval(), torch.randn(1, 2, height, width)
    below, right = -height % 16, -width % 16
    padded = torch.from_numpy(np.pad(lr.numpy(), ((0, 0), (0, 0), (0, below), (0, right)), mode="edge"))
    assert torch.equal(made(lr), made(padded)[..., : 4 * height, : 4 * width])
    assert made.pads_input and not ResNet18(2, 2, features=4, input_grid="fine").pads_input


@pytest.mark.parametrize("factor, multiple", [(2, 8), (3, 16), (4, 4), (8, 2), (16, 1)])
def test_multiple_of_the_fine_form(factor: int, multiple: int) -> None:
    made = ResNet18(1, 1, factor=factor, features=4, input_grid="fine")
    assert made.size_multiple == multiple
    assert made(torch.randn(2, 1, multiple, 2 * multiple)).shape == (2, 1, multiple * factor, 2 * multiple * factor)


def test_the_fine_form_sees_bilinear_interpolation_and_static_fields_beside_it() -> None:
    made = ResNet18(2, 2, static_channels=1, features=4, input_grid="fine").eval()
    lr, static = torch.randn(1, 2, 8, 8), torch.randn(1, 1, 32, 32)
    seen = made._encoder_input(lr, static)
    up = torch.nn.functional.interpolate(lr, size=(32, 32), mode="bilinear")
    torch.testing.assert_close(seen, torch.cat([up, static], 1))
    assert not torch.equal(made(lr, static), made(lr, static.flip(-1)))


@pytest.mark.parametrize("input_grid", ["coarse", "fine"])
def test_it_rolls_round_the_globe_by_its_multiple(input_grid: str) -> None:
    torch.manual_seed(0)
    made = ResNet18(1, 1, features=4, input_grid=input_grid, skips=True, head="linear").eval()
    lr = np.random.default_rng(0).normal(size=(1, 1, 4, 48)).astype(np.float32)
    whole = super_resolve(made, lr, periodic=True)
    rolled = super_resolve(made, np.roll(lr, made.size_multiple, -1), periodic=True)
    np.testing.assert_allclose(rolled, np.roll(whole, 4 * made.size_multiple, -1), atol=1e-5)


# a run


def test_a_missing_file_is_refused_before_a_run_is_made(tiny_store: Path, tmp_path: Path) -> None:
    given = PREGAN | {"generator.weights": str(tmp_path / "gone.pth")}
    with pytest.raises(ConfigError, match=r"^generator\.weights: there is no file '.*gone\.pth'; give the path"):
        train(given, store=tiny_store, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_only_a_fresh_run_needs_the_file(
    file: Path, tiny_store: Path, weather_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "w.safetensors"
    copy.write_bytes(file.read_bytes())
    given = {**PREGAN, "generator.weights": str(copy), "train.updates": 4, "content.share": 0.5}
    given |= {"data.source": str(weather_file)}
    unbroken = train(given, store=tiny_store, out=tmp_path / "unbroken")
    stop = RuntimeError("cut off")

    def cut(done: float, *rest: object) -> None:
        if done == 3:
            raise stop

    with pytest.raises(RuntimeError, match="cut off"):
        train(given, store=tiny_store, out=tmp_path / "run", progress=cut)
    copy.unlink()
    train(given, store=tiny_store, out=tmp_path / "run", resume=True)
    assert list(history(tmp_path / "run")["step"]) == [2, 4]
    assert same_weights(weights(tmp_path / "run"), weights(unbroken))
    assert np.isfinite(evaluate(tmp_path / "run").value).all()
    assert downscale(tmp_path / "run", weather_file, select={"time": "2020-01-01"})


# options of the relativistic loss, from a configuration


def test_options_of_the_adversarial_loss_come_from_the_configuration() -> None:
    objective: Any = adversarial_objective(load_config({"system": "published/pregan", "data.variables": ["a"]})).loss
    assert (objective.dims, objective.both) == ((0, 1, 2, 3), False)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"meen": "all"}, "losses.adversarial.meen: relativistic has no such option. Did you mean 'mean'?"),
        ({"mean": "al"}, "losses.adversarial: invalid options {'mean': 'al'} for relativistic: mean: got 'al'"),
        ({"kind": "hinge", "mean": "all"}, "losses.adversarial.mean: hinge has no such option. Valid: kind."),
    ],
)
def test_wrong_options_of_the_adversarial_loss_are_refused(options: dict[str, str], said: str) -> None:
    given = {"kind": "relativistic"} | options
    settings = {f"losses.adversarial.{key}": value for key, value in given.items()}
    with pytest.raises(ConfigError) as error:
        adversarial_objective(load_config({"system": "esrgan", "data.variables": ["a"], **settings}))
    assert str(error.value).startswith(said)


def test_another_kind_of_adversarial_loss_keeps_the_weight_alone() -> None:
    settings = {"system": "published/pregan", "data.variables": ["a"], "losses.adversarial.kind": "hinge"}
    loss = load_config(settings).losses["adversarial"]
    assert (loss.weight, loss.options) == (0.01, {"kind": "hinge"})
