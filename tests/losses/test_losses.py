"""Losses against formulas written anew, and what each does to a generator."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pytorch_msssim
import torch
from jaxtyping import TypeCheckError
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from make_weights import loss_options
from subgrid.losses import ADVERSARIAL, LOSSES
from subgrid.losses.adversarial import Hinge, Minimax, RelativisticAverage, Vanilla
from subgrid.losses.feature_matching import FeatureMatching
from subgrid.losses.structure import BoxSSIM, GaussianSSIM, MultiScaleSSIM, ssim_and_contrast
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


@pytest.fixture
def make(vgg_file: Path) -> Callable[[str], nn.Module]:
    """A content loss of two channels by name."""

    def made(name: str) -> nn.Module:
        given = {"variables": ["a", "b"]} if "variables" in inspect.signature(LOSSES[name]).parameters else {}
        return LOSSES[name](**given, **loss_options(name, vgg_file))

    return made


@pytest.mark.parametrize("name", LOSSES)
def test_equal_fields_cost_nothing_and_others_something(name: str, make: Callable[[str], nn.Module]) -> None:
    x, y = pair(shape=(2, 2, 24, 25))
    floor = 1e-3 if name == "charbonnier" else 0.0  # its eps
    assert float(make(name)(x, x)) == pytest.approx(floor, abs=1e-5)
    assert float(make(name)(x, y)) > 0.1


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
def test_each_term_alone_reaches_every_parameter_of_the_generator(name: str, make: Callable[[str], nn.Module]) -> None:
    term = make(name) if name in LOSSES else None
    torch.manual_seed(0)
    generator = SRResNet(2, 2, features=8, blocks=1, norm="none", head="linear")
    lr, hr = torch.randn(2, 2, 8, 8), torch.randn(2, 2, 32, 32)
    judge = PatchGAN(2, 2, features=8, norm="none", output="logits")

    def cost() -> Tensor:
        sr = generator(lr)
        if term is not None:
            loss: Tensor = term(sr, hr)
            return loss
        return ADVERSARIAL[name.split()[1]]().generator(judge(hr, hr), judge(hr, sr))

    loss = cost()
    loss.backward()
    missing = [key for key, p in generator.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []
    gradient = torch.cat([p.grad.flatten() for p in generator.parameters() if p.grad is not None])
    with torch.no_grad():
        for p in generator.parameters():
            p -= 1e-3 * p.grad / gradient.norm()  # type: ignore[operator]
        after = cost()
    assert after.item() < loss.item()


def smooth_pair(*shape: int, noise: float = 0.3) -> tuple[Tensor, Tensor]:
    """Correlated fields of standardised size, as a generator and the truth would be."""
    torch.manual_seed(0)
    x = torch.nn.functional.interpolate(torch.randn(*shape[:2], 8, 8), size=shape[2:], mode="bicubic")
    return x, x + noise * torch.randn(*shape)


def test_gaussian_ssim_is_scikit_images_and_pytorch_msssims() -> None:
    x, y = smooth_pair(2, 2, 40, 33)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 6.0}
    pairs = zip(x.double().numpy().reshape(-1, 40, 33), y.double().numpy().reshape(-1, 40, 33), strict=True)
    expected = np.mean([structural_similarity(a, b, **options) for a, b in pairs])
    assert 0.2 < expected < 0.95
    assert float(GaussianSSIM()(x, y)) == pytest.approx(1 - expected, abs=1e-5)
    assert float(GaussianSSIM()(x, y)) == pytest.approx(1 - float(pytorch_msssim.ssim(x, y, data_range=6.0)), abs=1e-5)


@pytest.mark.parametrize("height, width", [(176, 192), (192, 176)])
def test_ms_ssim_is_pytorch_msssims(height: int, width: int) -> None:
    x, y = smooth_pair(2, 2, height, width)
    expected = float(pytorch_msssim.ms_ssim(x, y, data_range=6.0))
    assert 0.2 < expected < 0.95
    assert float(MultiScaleSSIM()(x, y)) == pytest.approx(1 - expected, abs=1e-5)


@pytest.mark.parametrize("height, width, scales", [(64, 64, 3), (11, 90, 1), (22, 22, 2), (175, 300, 4), (176, 300, 5)])
def test_ms_ssim_takes_the_scales_that_fit(height: int, width: int, scales: int) -> None:
    made = MultiScaleSSIM()
    weights = made.scale_weights(height, width)
    assert len(weights) == scales
    assert sum(weights) == pytest.approx(1.0)
    published = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    np.testing.assert_allclose(np.divide(weights, published[:scales]), 1 / sum(published[:scales]))


def test_ms_ssim_at_64_cells_is_its_formula() -> None:
    x, y = smooth_pair(1, 1, 64, 64)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 6.0}
    product = 1.0
    for i, weight in enumerate((0.0448 / 0.6305, 0.2856 / 0.6305, 0.3001 / 0.6305)):
        a, b = (torch.nn.functional.avg_pool2d(f, 2**i).double().numpy()[0, 0] for f in (x, y))
        if i == 2:
            term = structural_similarity(a, b, **options)
        else:  # with means taken away cell by cell there would be no luminance term: C1 without bound does the same
            term = structural_similarity(a, b, K1=1e6, **options)
        product *= term**weight
    assert float(MultiScaleSSIM()(x, y)) == pytest.approx(1 - product, abs=1e-5)
    said = "3 of 5 scales fit 64 x 64 cells, with weights 0.071, 0.453, 0.476"
    assert MultiScaleSSIM().describe(64, 64) == said


def test_ms_ssim_stays_finite_where_fields_are_opposed() -> None:
    x = torch.randn(1, 1, 64, 64)
    y = (-x).requires_grad_()
    contrast = ssim_and_contrast(x, -x, MultiScaleSSIM().kernel, 6.0)[1]
    assert contrast.mean() < 0  # whose power is no number
    loss = MultiScaleSSIM()(y, x)
    loss.backward()
    assert 0.9 < float(loss.detach()) <= 1  # finite, then
    assert y.grad is not None and torch.isfinite(y.grad).all()


@pytest.mark.parametrize("loss", [GaussianSSIM, MultiScaleSSIM])
def test_similarities_refuse_fields_smaller_than_their_window(loss: type[torch.nn.Module]) -> None:
    with pytest.raises(ValueError, match="fields of 8 x 16 cells are smaller than its window of 11 cells"):
        loss()(torch.zeros(1, 1, 8, 16), torch.zeros(1, 1, 8, 16))


OPTIONS = [
    ("ssim", {"data_range": 2.0}),
    ("ssim", {"sigma": 3.0}),
    ("ssim", {"window": 7}),
    ("ms_ssim", {"data_range": 2.0}),
    ("ms_ssim", {"sigma": 3.0}),
    ("ms_ssim", {"window": 7}),
    ("charbonnier", {"eps": 0.5}),
    ("ssim_box", {"c1": 0.1}),
    ("ssim_box", {"c2": 0.1}),
]


@pytest.mark.parametrize("name, options", OPTIONS, ids=[f"{name}-{next(iter(given))}" for name, given in OPTIONS])
def test_options_of_losses_bite(name: str, options: dict[str, float]) -> None:
    x, y = smooth_pair(1, 2, 32, 32)
    assert float(LOSSES[name](**options)(x, y)) != pytest.approx(float(LOSSES[name]()(x, y)), abs=1e-4)


def test_every_option_of_the_losses_is_tested() -> None:
    known = {(name, option) for name, loss in LOSSES.items() for option in inspect.signature(loss).parameters}
    elsewhere = {name for name, _ in known if name == "perceptual"}  # tests/test_perceptual.py
    known = {(name, option) for name, option in known if option not in {"args", "kwargs"} and name not in elsewhere}
    assert known == {(name, option) for name, options in OPTIONS for option in options}


@pytest.mark.parametrize("eps", [1e-3, 0.5])
def test_charbonnier_by_loops(eps: float) -> None:
    x, y = pair()
    flat = zip(x.flatten().tolist(), y.flatten().tolist(), strict=True)
    expected = [math.sqrt((a - b) ** 2 + eps**2) for a, b in flat]
    assert float(LOSSES["charbonnier"](eps=eps)(x, y)) == pytest.approx(sum(expected) / len(expected), rel=1e-5)


def test_gradient_difference_by_loops() -> None:
    x, y = pair()
    rows, columns = [], []
    for a, b in zip(x.numpy().reshape(-1, 5, 6), y.numpy().reshape(-1, 5, 6), strict=True):
        for i in range(5):
            for j in range(6):
                if i < 4:
                    rows.append(abs(abs(a[i + 1, j] - a[i, j]) - abs(b[i + 1, j] - b[i, j])))
                if j < 5:
                    columns.append(abs(abs(a[i, j + 1] - a[i, j]) - abs(b[i, j + 1] - b[i, j])))
    assert float(LOSSES["gradient"]()(x, y)) == pytest.approx(float(np.mean(rows) + np.mean(columns)), rel=1e-5)


def judged() -> tuple[Tensor, Tensor]:
    """What a judge of patches says of a batch of three, real and made."""
    rng = np.random.default_rng(5)
    real, made = rng.normal(0.5, 2, (3, 1, 2, 2)), rng.normal(-0.5, 2, (3, 1, 2, 2))
    return torch.tensor(real, dtype=torch.float32), torch.tensor(made, dtype=torch.float32)


def test_relativistic_average_is_its_formula() -> None:
    real, fake = judged()
    r, f = real.double().numpy(), fake.double().numpy()

    def chance(logit: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-logit))

    of_real, of_fake = chance(r - f.mean(0)), chance(f - r.mean(0))
    judge = -np.mean(np.log(of_real)) - np.mean(np.log(1 - of_fake))
    maker = -np.mean(np.log(1 - of_real)) - np.mean(np.log(of_fake))
    game = RelativisticAverage()
    assert float(game.discriminator(real, fake)) == pytest.approx(judge / 2, rel=1e-5)
    assert float(game.generator(real, fake)) == pytest.approx(maker / 2, rel=1e-5)
    assert game.needs_real


def test_the_studys_relativistic_game_is_its_formula() -> None:
    real, fake = judged()
    fake.requires_grad_()
    r, f = real.double().numpy(), fake.detach().double().numpy()
    game = RelativisticAverage(mean="all", generator_halves="fake")
    of_real, of_fake = (1 / (1 + np.exp(-logit)) for logit in (r - f.mean(), f - r.mean()))
    judge = -np.mean(np.log(of_real)) - np.mean(np.log(1 - of_fake))
    assert float(game.discriminator(real, fake).detach()) == pytest.approx(judge / 2, rel=1e-5)
    loss = game.generator(real, fake)
    assert float(loss.detach()) == pytest.approx(-np.mean(np.log(of_fake)), rel=1e-5)
    loss.backward()
    assert fake.grad is not None
    np.testing.assert_allclose(fake.grad.numpy(), (of_fake - 1) / f.size, rtol=1e-4)  # nothing comes through mean(fake)


@pytest.mark.parametrize("options", [{"mean": "all"}, {"generator_halves": "fake"}])
def test_options_of_the_relativistic_game_bite(options: dict[str, str]) -> None:
    plain, changed = (game.generator(*judged()) for game in (RelativisticAverage(), RelativisticAverage(**options)))
    assert float(changed) != pytest.approx(float(plain), abs=1e-3)
    (option,) = options
    with pytest.raises(ValueError, match=f"^{option}: got 'x', expected one of "):
        RelativisticAverage(**{option: "x"})


def test_both_halves_of_the_relativistic_game_move_the_generator() -> None:
    real, fake = judged()
    fake.requires_grad_()
    RelativisticAverage().generator(real, fake).backward()
    r, f = real.double().numpy(), fake.detach().double().numpy()
    chance = lambda logit: 1 / (1 + np.exp(-logit))  # noqa: E731
    through_mean = -np.broadcast_to(chance(r - f.mean(0)).sum(0, keepdims=True) / 3, f.shape)
    own = chance(f - r.mean(0)) - 1
    assert fake.grad is not None
    np.testing.assert_allclose(fake.grad.numpy(), (through_mean + own) / (2 * f.size), rtol=1e-4)


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_the_generators_step_holds_the_word_on_real_fields_fixed(kind: str) -> None:
    real, fake = (part.requires_grad_() for part in judged())
    ADVERSARIAL[kind]().generator(real, fake).backward()
    assert real.grad is None
    assert fake.grad is not None and fake.grad.abs().sum() > 0
    fake.grad = None
    ADVERSARIAL[kind]().discriminator(real, fake).backward()
    assert real.grad is not None and real.grad.abs().sum() > 0  # D is moved by both
    assert fake.grad is not None and fake.grad.abs().sum() > 0


def test_feature_matching_by_a_plain_loop() -> None:
    torch.manual_seed(0)
    fake = [torch.randn(2, 3, 5, 4, requires_grad=True), torch.randn(2, 4, 2, 2, requires_grad=True)]
    real = [torch.randn(2, 3, 5, 4, requires_grad=True), torch.randn(2, 4, 2, 2, requires_grad=True)]

    def leaky(value: float) -> float:
        return value if value > 0 else 0.2 * value

    for activation, seen in (("before", float), ("after", leaky)):
        layers = []
        for made, true in zip(fake, real, strict=True):
            pairs = zip(made.detach().flatten().tolist(), true.detach().flatten().tolist(), strict=True)
            distances = [abs(seen(a) - seen(b)) for a, b in pairs]
            layers.append(sum(distances) / len(distances))
        loss = FeatureMatching(activation)(fake, real)
        assert float(loss.detach()) == pytest.approx(sum(layers) / 2, rel=1e-6)
    loss.backward()
    assert all(part.grad is not None for part in fake)
    assert all(part.grad is None for part in real)
    assert float(FeatureMatching()(real, real)) == 0


def test_hinge_by_hand() -> None:
    real, fake = torch.tensor([[1.5, -0.3, 0.2]]), torch.tensor([[0.2, -2.0, -0.5]])
    expected = ((0 + 1.3 + 0.8) / 3 + (1.2 + 0 + 0.5) / 3) / 2
    assert float(Hinge().discriminator(real, fake)) == pytest.approx(expected, rel=1e-6)
    assert float(Hinge().generator(real, fake)) == pytest.approx((2.0 + 0.5 - 0.2) / 3, rel=1e-6)


def test_minimax_by_hand_saturates_where_vanilla_does_not() -> None:
    fake = torch.tensor([[0.2, -2.0]])
    expected = np.mean([math.log(1 - 1 / (1 + math.exp(-logit))) for logit in (0.2, -2.0)])
    assert float(Minimax().generator(fake, fake)) == pytest.approx(expected, rel=1e-6)
    assert float(Minimax().discriminator(fake, fake)) == float(Vanilla().discriminator(fake, fake))
    slopes = []
    for game in (Minimax(), Vanilla()):
        lost = torch.tensor([-10.0], requires_grad=True)  # D is sure that it is made
        game.generator(lost, lost).backward()
        assert lost.grad is not None
        slopes.append(float(lost.grad))
    assert -1e-4 < slopes[0] < 0
    assert slopes[1] == pytest.approx(-1, abs=1e-3)


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


def test_shapes_are_checked() -> None:
    with pytest.raises(TypeCheckError, match=r"'hr'.*\n.*f32\[1,2,8,9\]"):
        LOSSES["l1"]()(torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 9))
