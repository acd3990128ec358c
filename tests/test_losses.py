"""Losses against formulas written anew, and what each does to a generator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from subgrid.losses import ADVERSARIAL, LOSSES
from subgrid.losses.adversarial import Vanilla
from subgrid.losses.structure import BoxSSIM
from subgrid.models.discriminators import PatchGAN
from subgrid.models.srresnet import SRResNet

pytestmark = pytest.mark.usefixtures("one_thread")


def pair(seed: int = 0, shape: tuple[int, ...] = (2, 2, 5, 6)) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(x + rng.normal(size=shape), dtype=torch.float32)


def ssim_by_loops(x: np.ndarray, y: np.ndarray, c1: float, c2: float) -> float:
    """SSIM of 3 x 3 windows, cell by cell; zeros beyond the edge count in the mean."""
    values = []
    for a, b in zip(x.reshape(-1, *x.shape[-2:]), y.reshape(-1, *y.shape[-2:]), strict=True):
        a, b = np.pad(a, 1), np.pad(b, 1)
        for i in range(a.shape[0] - 2):
            for j in range(a.shape[1] - 2):
                u, v = a[i : i + 3, j : j + 3], b[i : i + 3, j : j + 3]
                mu, mv = u.mean(), v.mean()
                cov = (u * v).mean() - mu * mv
                top = (2 * mu * mv + c1) * (2 * cov + c2)
                values.append(top / ((mu**2 + mv**2 + c1) * (u.var() + v.var() + c2)))
    return float(np.mean(values))


@pytest.mark.parametrize("c1, c2", [(0.01**2, 0.03**2), (0.5, 0.2)])
def test_box_ssim_is_its_formula(c1: float, c2: float) -> None:
    x, y = pair()
    expected = 1 - ssim_by_loops(x.double().numpy(), y.double().numpy(), c1, c2)
    assert float(BoxSSIM(c1=c1, c2=c2)(x, y)) == pytest.approx(expected, abs=1e-5)


def test_box_ssim_options_bite() -> None:
    x, y = pair()
    plain = float(BoxSSIM()(x, y))
    assert float(BoxSSIM(c1=0.1)(x, y)) != pytest.approx(plain, abs=1e-4)
    assert float(BoxSSIM(c2=0.1)(x, y)) != pytest.approx(plain, abs=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_equal_fields_cost_nothing_and_others_something(name: str) -> None:
    x, y = pair()
    assert float(LOSSES[name]()(x, x)) == pytest.approx(0.0, abs=1e-5)
    assert float(LOSSES[name]()(x, y)) > 0.1


def test_pixel_losses_are_their_formulas() -> None:
    x, y = pair()
    difference = x.double().numpy() - y.double().numpy()
    assert float(LOSSES["l1"]()(x, y)) == pytest.approx(np.abs(difference).mean(), rel=1e-6)
    assert float(LOSSES["mse"]()(x, y)) == pytest.approx((difference**2).mean(), rel=1e-6)


def test_vanilla_is_binary_cross_entropy() -> None:
    real, fake = torch.tensor([[1.5, -0.3]]), torch.tensor([[0.2, -2.0]])

    def chance(logit: float) -> float:
        return 1 / (1 + math.exp(-logit))

    of_real = -np.mean([math.log(chance(1.5)), math.log(chance(-0.3))])
    of_fake = -np.mean([math.log(1 - chance(0.2)), math.log(1 - chance(-2.0))])
    fooled = -np.mean([math.log(chance(0.2)), math.log(chance(-2.0))])
    assert float(Vanilla().discriminator(real, fake)) == pytest.approx((of_real + of_fake) / 2, rel=1e-6)
    assert float(Vanilla().generator(real, fake)) == pytest.approx(fooled, rel=1e-6)


@pytest.mark.parametrize("name", [*LOSSES, *(f"adversarial {kind}" for kind in ADVERSARIAL)])
def test_each_term_alone_reaches_every_parameter_of_the_generator(name: str) -> None:
    torch.manual_seed(0)
    generator = SRResNet(2, 2, features=8, blocks=1, norm="none", head="linear")
    lr, hr = torch.randn(2, 2, 4, 4), torch.randn(2, 2, 16, 16)
    sr = generator(lr)
    if name in LOSSES:
        loss = LOSSES[name]()(sr, hr)
    else:
        judge = PatchGAN(2, 2, features=8, norm="spectral", output="logits")
        loss = ADVERSARIAL[name.split()[1]]().generator(judge(hr, hr), judge(hr, sr))
    loss.backward()
    missing = [key for key, p in generator.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []
    gradient = torch.cat([p.grad.flatten() for p in generator.parameters() if p.grad is not None])
    with torch.no_grad():
        for p in generator.parameters():
            p -= 1e-3 * p.grad / gradient.norm()  # type: ignore[operator]
        sr = generator(lr)
        after = LOSSES[name]()(sr, hr) if name in LOSSES else Vanilla().generator(judge(hr, hr), judge(hr, sr))
    assert after.item() < loss.item()


def lowest_discriminator_loss(output: str) -> float:
    """What a discriminator reaches on two fields that are easy to tell apart."""
    torch.manual_seed(0)
    judge = PatchGAN(1, 1, features=8, norm="none", output=output)
    optimizer = torch.optim.Adam(judge.parameters(), lr=5e-3)
    real, fake, condition = torch.ones(1, 1, 16, 16), -torch.ones(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    lowest = math.inf
    for _ in range(60):
        loss = Vanilla().discriminator(judge(condition, real), judge(condition, fake))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        lowest = min(lowest, loss.item())
    return lowest


def test_two_sigmoids_stop_the_discriminator_at_one_half() -> None:
    floor = 0.5 * (math.log1p(math.exp(-1)) + math.log(2))  # outputs 1 for real, 0 for made fields
    assert floor == pytest.approx(0.503, abs=5e-4)
    reached = lowest_discriminator_loss("sigmoid")
    assert floor <= reached < 0.55  # it got there: it is no weak discriminator
    assert lowest_discriminator_loss("logits") < 0.1
