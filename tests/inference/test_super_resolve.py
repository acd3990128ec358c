"""Whole fields through a generator: the seam of the globe, padding, batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from subgrid.inference import super_resolve as super_resolve_module
from subgrid.inference.super_resolve import pick_device, super_resolve
from subgrid.models.interpolation import Interpolation
from subgrid.models.protocols import Generator
from subgrid.models.srresnet import SRResNet
from subgrid.models.unet import UNet

pytestmark = pytest.mark.usefixtures("one_thread")


def network(num_static: int = 0, norm: str = "none") -> SRResNet:
    torch.manual_seed(0)
    return SRResNet(2, 2, features=8, blocks=1, norm=norm, head="linear", static_channels=num_static)


def fields(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


class Fours(nn.Module, Generator):
    """Needs rows and columns in fours: it halves the grid twice and says where each cell came from."""

    factor, size_multiple, halo_cells = 2, 4, 5

    def forward(self, lr: Tensor, static: Tensor | None = None) -> Tensor:
        assert lr.shape[-2] % 4 == 0 and lr.shape[-1] % 4 == 0, lr.shape
        coarse = nn.functional.avg_pool2d(lr, 4)
        fine = nn.functional.interpolate(lr, scale_factor=2, mode="nearest")
        return fine + 0 * nn.functional.interpolate(coarse, scale_factor=8, mode="nearest")


@pytest.mark.parametrize("shift", [1, 5, -3])
@pytest.mark.parametrize("width", [8, 20])  # narrower than the halo, and wider
def test_rolling_a_periodic_input_rolls_the_output(shift: int, width: int) -> None:
    made, lr = network(), fields(2, 2, 6, width)
    whole = super_resolve(made, lr, periodic=True)
    rolled = super_resolve(made, np.roll(lr, shift, -1), periodic=True)
    np.testing.assert_allclose(rolled, np.roll(whole, shift * 4, -1), atol=1e-5)
    open_edges = super_resolve(made, np.roll(lr, shift, -1))
    assert np.abs(open_edges - np.roll(whole, shift * 4, -1)).max() > 1e-3


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize("width", [8, 20])
def test_a_u_net_rolls_by_fours(width: int, skips: bool) -> None:
    torch.manual_seed(0)
    made, lr = (
        UNet(2, 2, features=8, norm="none", head="linear", residual="bicubic", skips=skips),
        fields(2, 2, 6, width),
    )
    torch.nn.init.normal_(made.head.weight)  # it starts from zero
    whole = super_resolve(made, lr, periodic=True)
    rolled = super_resolve(made, np.roll(lr, 4, -1), periodic=True)
    np.testing.assert_allclose(rolled, np.roll(whole, 16, -1), atol=1e-5)
    assert np.abs(super_resolve(made, np.roll(lr, 4, -1)) - rolled).max() > 1e-3


def test_static_fields_roll_along() -> None:
    made, lr, static = network(1), fields(1, 2, 6, 12), fields(1, 24, 48, seed=1)
    whole = super_resolve(made, lr, static, periodic=True)
    rolled = super_resolve(made, np.roll(lr, 3, -1), np.roll(static, 12, -1), periodic=True)
    np.testing.assert_allclose(rolled, np.roll(whole, 12, -1), atol=1e-5)
    left_behind = super_resolve(made, np.roll(lr, 3, -1), static, periodic=True)
    assert np.abs(left_behind - rolled).max() > 1e-3


def test_without_a_seam_it_is_the_plain_network() -> None:
    made, lr, static = network(1), fields(3, 2, 5, 7), fields(1, 20, 28, seed=1)
    expected = made(torch.from_numpy(lr), torch.from_numpy(static)[None].expand(3, -1, -1, -1)).detach().numpy()
    np.testing.assert_allclose(super_resolve(made, lr, static), expected, atol=1e-5)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("height, width", [(8, 8), (5, 7), (9, 18), (3, 2)])
def test_padding_to_a_multiple_is_cut_off_again(height: int, width: int, periodic: bool) -> None:
    lr = fields(2, 2, height, width)
    made = super_resolve(Fours(), lr, periodic=periodic)
    np.testing.assert_array_equal(made, lr.repeat(2, -1).repeat(2, -2))


def test_padding_continues_the_circle_or_repeats_the_edge() -> None:
    seen: list[np.ndarray] = []

    class Spy(Fours):
        def forward(self, lr: Tensor, static: Tensor | None = None) -> Tensor:
            seen.append(lr[0, 0, 0].numpy().copy())
            assert static is not None
            seen.append(static[0, 0, 0, ::2].numpy().copy())
            return super().forward(lr)

    lr = np.broadcast_to(np.arange(6, dtype=np.float32), (1, 1, 2, 6)).copy()
    static = lr[0].repeat(2, -1).repeat(2, -2)
    super_resolve(Spy(), lr, static, periodic=True)
    super_resolve(Spy(), lr, static)
    round_it = [4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3]
    assert [list(row) for row in seen] == [round_it, round_it, [0, 1, 2, 3, 4, 5, 5, 5], [0, 1, 2, 3, 4, 5, 5, 5]]


def test_batching_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made, lr = network(), fields(7, 2, 6, 6)
    whole = super_resolve(made, lr)
    monkeypatch.setattr(super_resolve_module, "CELLS_AT_ONCE", 2 * 36)
    np.testing.assert_allclose(super_resolve(made, lr), whole, atol=1e-6)
    monkeypatch.setattr(super_resolve_module, "CELLS_AT_ONCE", 1)
    np.testing.assert_allclose(super_resolve(made, lr), whole, atol=1e-6)


def test_the_network_is_left_as_it_was() -> None:
    made, lr = network(norm="batch").train(), 5 + fields(4, 2, 6, 6)
    before = {key: value.clone() for key, value in made.state_dict().items()}
    out = super_resolve(made, lr)
    assert out.dtype == np.float32
    assert made.training
    assert all(torch.equal(before[key], value) for key, value in made.state_dict().items())
    np.testing.assert_allclose(
        super_resolve(made, lr[:1])[0], out[0], atol=1e-5
    )  # statistics of training, not of the batch
    super_resolve(made.eval(), lr)
    assert not made.training


def test_interpolation_across_the_seam() -> None:
    lr = np.zeros((1, 1, 3, 6), dtype=np.float32)
    lr[..., 0] = 1.0
    for mode in ("bilinear", "bicubic"):
        made = super_resolve(Interpolation(1, 1, factor=4, mode=mode), lr, periodic=True)[0, 0]
        np.testing.assert_allclose(
            made, made[:, (3 - np.arange(24)) % 24], atol=1e-6
        )  # even about the middle of cell 0
        assert made[0, -1] > 0.2


def test_devices() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
