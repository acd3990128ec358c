"""The published architectures against plain ones written anew from the study's description."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from test_models import of_recipe
from torch import Tensor, nn

from subgrid.models.blocks import ChannelAttention, MultiScale, ResidualBlock
from subgrid.models.resnet import ResNetEncoder
from subgrid.models.rrdb import RRDBNet
from subgrid.networks import systems

pytestmark = pytest.mark.usefixtures("one_thread")

COUNTS = {
    "published/gan": (3_806_018, 662_721),
    "published/cgan": (398_338, 664_769),
    "published/srgan": (946_189, 664_769),
    "published/esrgan": (2_409_154, 4_690_561),
    "published/srgan-losses": (946_189, 664_769),
    "published/srgan-attention": (950_285, 664_769),
    "published/srgan-multiscale": (1_298_701, 664_769),
    "published/srgan-fusion": (1_302_797, 664_769),
    "published/pregan": (3_503_362, 664_769),  # the study does not say; from the standard definition, see below
}


@pytest.mark.slow
def test_parameter_counts_are_the_studys() -> None:
    found = {row["name"]: (row["generator_parameters"], row["discriminator_parameters"]) for row in systems()}
    assert {name: count for name, count in found.items() if name.startswith("published/")} == COUNTS
    assert sum(p.numel() for p in RRDBNet(2, 2, features=64, blocks=8, growth=32).parameters()) == 7_860_354


class Block(nn.Module):
    """The study's residual block, written anew."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1),
            nn.BatchNorm2d(width),
            nn.PReLU(),
            nn.Conv2d(width, width, 3, 1, 1),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.path(x) + x


class Skip(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.path = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.path(x) + x


def study_generator(c: int = 2, f: int = 64) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(c, f, 9, 1, 4),
        nn.PReLU(),
        Skip(*(Block(f) for _ in range(8)), nn.Conv2d(f, f, 3, 1, 1), nn.BatchNorm2d(f)),
        nn.Conv2d(f, 4 * f, 3, 1, 1),
        nn.PixelShuffle(2),
        nn.PReLU(),
        nn.Conv2d(f, 4 * f, 3, 1, 1),
        nn.PixelShuffle(2),
        nn.PReLU(),
        nn.Conv2d(f, c, 9, 1, 4),
        nn.Tanh(),
    )


def study_discriminator(c: int = 2, f: int = 64) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2 * c, f, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(f, 2 * f, 4, 2, 1),
        nn.BatchNorm2d(2 * f),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * f, 4 * f, 4, 2, 1),
        nn.BatchNorm2d(4 * f),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4 * f, 1, 4, 1, 1),
        nn.Sigmoid(),
    )


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    mine, theirs = source.state_dict(), target.state_dict()
    assert [tuple(v.shape) for v in mine.values()] == [tuple(v.shape) for v in theirs.values()]
    target.load_state_dict(dict(zip(theirs, mine.values(), strict=True)))


@pytest.mark.parametrize("training", [True, False])
def test_published_srgan_is_the_studys(training: bool) -> None:
    made, judge = of_recipe("published/srgan", full=True)
    assert judge is not None
    plain, plain_judge = study_generator(), study_discriminator()
    torch.manual_seed(2)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    copy_weights(made, plain)
    copy_weights(judge, plain_judge)
    for module in (made, judge, plain, plain_judge):
        module.train(training)
    lr, field, condition = torch.randn(2, 2, 4, 4), torch.randn(2, 2, 32, 32), torch.randn(2, 2, 32, 32)
    torch.testing.assert_close(made(lr), plain(lr), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        judge(condition, field), plain_judge(torch.cat([condition, field], 1)), rtol=1e-5, atol=1e-6
    )


def study_unet(c: int = 2, f: int = 64) -> nn.Module:
    layers = [nn.Conv2d(c, f, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(f, 2 * f, 4, 2, 1), nn.BatchNorm2d(2 * f)]
    layers.append(nn.LeakyReLU(0.2))
    for wide in (2 * f, f, f):
        layers += [nn.ConvTranspose2d(wide, f, 4, 2, 1), nn.BatchNorm2d(f), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(f, c, 4, 2, 1), nn.Tanh())


def study_esrgan_judge(c: int = 2) -> nn.Module:
    widths = (2 * c, 64, 64, 128, 128, 256, 256, 512, 512)
    layers: list[nn.Module] = []
    for i in range(8):
        layers += [nn.Conv2d(widths[i], widths[i + 1], 3, (1, 2)[i % 2], 1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(512, 1, 3, 1, 1))


class StudyDense(nn.Module):
    """Its dense block: five convolutions of growth 32, a sixth back, .2 of it added."""

    def __init__(self, f: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(f + 32 * i, 32, 3, 1, 1) for i in range(5))
        self.last = nn.Conv2d(f + 160, f, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        everything = x
        for convolution in self.convolutions:
            everything = torch.cat([everything, F.leaky_relu(convolution(everything), 0.2)], 1)
        return self.last(everything) * 0.2 + x


class StudyRRDB(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 0.2 + x


def study_rrdbnet(c: int = 2, f: int = 32, b: int = 4) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(c, f, 3, 1, 1),
        Skip(*(StudyRRDB(*(StudyDense(f) for _ in range(3))) for _ in range(b)), nn.Conv2d(f, f, 3, 1, 1)),
        nn.Conv2d(f, 4 * f, 3, 1, 1),
        nn.PixelShuffle(2),
        nn.LeakyReLU(0.2),
        nn.Conv2d(f, 4 * f, 3, 1, 1),
        nn.PixelShuffle(2),
        nn.LeakyReLU(0.2),
        nn.Conv2d(f, c, 3, 1, 1),
    )


@pytest.mark.parametrize("training", [True, False])
def test_published_cgan_is_the_studys(training: bool) -> None:
    made, _ = of_recipe("published/cgan", full=True)
    plain = study_unet()
    copy_weights(made, plain)
    lr = torch.randn(2, 2, 16, 16)
    torch.testing.assert_close(made.train(training)(lr), plain.train(training)(lr), rtol=1e-4, atol=1e-5)


def test_published_esrgan_is_the_studys() -> None:
    made, judge = of_recipe("published/esrgan", full=True)
    assert judge is not None
    plain, plain_judge = study_rrdbnet(), study_esrgan_judge()
    copy_weights(made, plain)
    copy_weights(judge, plain_judge)
    lr, field, condition = torch.randn(1, 2, 6, 6), torch.randn(1, 2, 32, 32), torch.randn(1, 2, 32, 32)
    torch.testing.assert_close(made(lr), plain(lr), rtol=1e-4, atol=1e-5)
    both = torch.cat([condition, field], 1)
    torch.testing.assert_close(judge(condition, field), plain_judge(both), rtol=1e-4, atol=1e-6)


def resnet18_parameters(channels: int = 3, classes: int = 1000) -> dict[str, int]:
    """Parameters of each part of ResNet-18 by its definition (He et al. 2016, table 1): 3x3 pairs, BatchNorm with two each."""
    parts, width = {"stem": channels * 64 * 49 + 2 * 64}, 64
    for i, wide in enumerate((64, 128, 256, 512), 1):
        convolutions = 9 * wide * (width + wide) + 2 * 9 * wide * wide
        projection = width * wide + 2 * wide if wide != width else 0
        parts[f"layer{i}"], width = convolutions + 4 * 2 * wide + projection, wide
    return parts | {"fc": 512 * classes + classes}


def test_resnet_18_counts_as_its_definition() -> None:
    def count(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    parts = resnet18_parameters()
    assert sum(parts.values()) == 11_689_512
    assert count(ResNetEncoder(3)) + parts["layer4"] + parts["fc"] == 11_689_512
    encoder = ResNetEncoder(2)
    assert count(encoder) == sum(parts.values()) - parts["layer4"] - parts["fc"] - 64 * 49
    assert [count(getattr(encoder, name)) for name in ("layer1", "layer2", "layer3")] == [
        parts[name] for name in ("layer1", "layer2", "layer3")
    ]
    assert count(study_decoder()) + count(encoder) == COUNTS["published/pregan"][0]


class StudyBlock(nn.Module):
    """ResNet's basic block, written anew."""

    def __init__(self, a: int, b: int, s: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(a, b, 3, s, 1, bias=False),
            nn.BatchNorm2d(b),
            nn.ReLU(),
            nn.Conv2d(b, b, 3, 1, 1, bias=False),
            nn.BatchNorm2d(b),
        )
        self.side = nn.Sequential(nn.Conv2d(a, b, 1, s, bias=False), nn.BatchNorm2d(b)) if a != b else nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        return (self.path(x) + self.side(x)).relu()


def study_encoder(c: int = 2) -> nn.Sequential:
    stem = [nn.Conv2d(c, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    widths = ((64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1))
    return nn.Sequential(*stem, *(StudyBlock(*w) for w in widths))


def study_decoder(c: int = 2, f: int = 64) -> nn.Sequential:
    layers: list[nn.Module] = []
    for narrow, wide in ((256, 2 * f), (2 * f, f), (f, f)):
        layers += [nn.ConvTranspose2d(narrow, wide, 4, 2, 1), nn.BatchNorm2d(wide), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(f, c, 4, 2, 1), nn.Tanh())


@pytest.mark.parametrize("training", [True, False])
def test_published_pregan_is_the_studys(training: bool) -> None:
    made, judge = of_recipe("published/pregan", full=True)
    plain = nn.Sequential(study_encoder(), study_decoder())
    copy_weights(made, plain)
    lr = torch.randn(8, 2, 16, 16)
    expected = F.interpolate(plain.train(training)(lr), size=(64, 64), mode="bilinear", align_corners=False)
    torch.testing.assert_close(made.train(training)(lr), expected, rtol=1e-4, atol=1e-4)
    moved, theirs = made.state_dict(), plain.state_dict()  # the frozen BatchNorms take statistics all the same
    names = [name for name in moved if name.endswith("running_mean")]
    pairs = [(moved[a], theirs[b]) for a, b in zip(moved, theirs, strict=True) if a in names]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)
    assert plain[0](lr).shape == (8, 256, 1, 1)
    assert any(bool(a.any()) for a, _ in pairs) == training
    assert {n.split(".")[0] for n, p in made.named_parameters() if p.requires_grad} == {"up", "head"}
    assert judge is not None and not any(isinstance(m, nn.Sigmoid) for m in judge.modules())


def test_channel_attention_is_its_formula() -> None:
    made, x = ChannelAttention(64), torch.randn(3, 64, 5, 7)
    squeeze, excite = (p.flatten(1) for p in made.parameters())
    assert (squeeze.shape, excite.shape) == ((4, 64), (64, 4))  # reduction 16, no biases
    weights = torch.sigmoid(torch.relu(x.mean((2, 3)) @ squeeze.T) @ excite.T)
    torch.testing.assert_close(made(x), x * weights[:, :, None, None])
    block, plain = ResidualBlock(64, "batch", attention="se"), ResidualBlock(64, "batch")
    block.load_state_dict(plain.state_dict(), strict=False)
    torch.testing.assert_close(block.eval()(x), x + block.layers[-1](plain.eval()(x) - x))  # before the skip


def test_multi_scale_is_its_formula() -> None:
    made, x = MultiScale(8), torch.randn(2, 8, 9, 9)
    fused = 0
    for i, conv in enumerate(made.scales):
        side = 3 + 2 * i
        assert conv.weight.shape == (8, 8, side, side)
        wide = F.conv2d(x, conv.weight, conv.bias, padding=side // 2)
        fused = fused + F.conv2d(wide, made.fuse.weight[:, 8 * i : 8 * i + 8])
    assert made.fuse.bias is not None
    torch.testing.assert_close(made(x), x + fused + made.fuse.bias[:, None, None])


def test_dilated_block_is_its_formula() -> None:
    block, x = ResidualBlock(4, "none", dilation=2), torch.randn(1, 4, 8, 8)
    first, prelu, second = block.layers
    inner = F.prelu(F.conv2d(x, first.weight, first.bias, padding=2, dilation=2), prelu.weight)
    torch.testing.assert_close(block(x), x + F.conv2d(inner, second.weight, second.bias, padding=2, dilation=2))
