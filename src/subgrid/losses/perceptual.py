"""Perceptual loss: the distance between two fields in the features of a network that was trained on photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from subgrid.errors import nearest
from subgrid.losses.base import ContentLoss, Fields, Scalar
from subgrid.losses.structure import check_size
from subgrid.pretrained import fill, find_weights, read_weights, sha256

STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and number of convolutions of VGG19's stages; each ends with a 2x2 max-pool."""
LAYERS = tuple(f"conv{i}_{j}" for i, (_, count) in enumerate(STAGES, 1) for j in range(1, count + 1))
ACTIVATIONS = ("before", "after")
DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": F.l1_loss, "mse": F.mse_loss}
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
COLOURS = ("red", "green", "blue")


def vgg19_to(layer: str, activation: str = "before") -> nn.Sequential:
    """Return VGG19's convolutional part up to a layer (Simonyan and Zisserman 2015, arXiv:1409.1556).

    Args:
        layer: `conv{stage}_{index}`, both counted from 1; `conv5_4` is the last one.
        activation: end `before` the layer's ReLU or `after` it.

    Returns:
        A network from (b, 3, h, w) to (b, c, h / 2^(stage-1), w / 2^(stage-1)), rounded down at each stage. Layers are
        numbered as in torchvision.

    Raises:
        ValueError: for an unknown layer.
    """
    layers: list[nn.Module] = []
    channels = 3
    for i, (width, count) in enumerate(STAGES, 1):
        for j in range(1, count + 1):
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            if layer != f"conv{i}_{j}" or activation == "after":
                layers.append(nn.ReLU())
            if layer == f"conv{i}_{j}":
                return nn.Sequential(*layers)
            channels = width
        layers.append(nn.MaxPool2d(2))
    raise ValueError(f"layer: got {layer!r}.{nearest(layer, LAYERS)}")


class Perceptual(ContentLoss):
    """Distance between VGG19 features of `sr` and `hr` (Johnson et al. 2016, arXiv:1603.08155).

    ESRGAN (Wang et al. 2018, arXiv:1809.00219, section 3.3) uses the features of `conv5_4` before the activation, and
    L1. Three variables take the place of red, green and blue. Standardised values from `low` to `high` are mapped to 0
    to 1 without clipping, then normalised with ImageNet's mean and standard deviation. The network is not trained.

    Args:
        variables: names of the fields' channels, in their order.
        inputs: three variables, for red, green and blue, such as `["t2m", "u10", "v10"]`; a variable may be
            repeated.
        weights: `official` (torchvision's VGG19, trained on ImageNet), or the path of such a file.
        layer: the layer whose features are compared, `conv{stage}_{index}`, from `conv1_1` to `conv5_4`.
            A field needs at least 2^(stage - 1) cells along each side.
        activation: compare features `before` or `after` that layer's ReLU.
        ranges: [low, high] of each input, in standard deviations.
        distance: `l1` or `mse`, the mean over all features.

    Raises:
        ValueError: for an unknown variable, layer or choice, or a range whose low end is not below its high end.
        ConfigError: if the weights are missing or are not VGG19's.
    """

    def __init__(
        self,
        variables: Sequence[str],
        inputs: Sequence[str],
        weights: str = "official",
        layer: str = "conv5_4",
        activation: str = "before",
        ranges: Sequence[Sequence[float]] = ((-3.0, 3.0), (-3.0, 3.0), (-3.0, 3.0)),
        distance: str = "l1",
    ) -> None:
        super().__init__()
        for option, value, choices in (("activation", activation, ACTIVATIONS), ("distance", distance, DISTANCES)):
            if value not in choices:
                raise ValueError(f"{option}: got {value!r}, expected one of {', '.join(choices)}")
        self.channels = _channels(inputs, variables)
        low, high = _limits(ranges)
        self.inputs, self.layer, self.activation = list(inputs), layer, activation
        self.distance = DISTANCES[distance]
        self.vgg = vgg19_to(layer, activation)
        self.window = 2 ** (int(layer[4]) - 1)
        if weights == "none":
            raise ValueError("weights: the loss needs a trained network; give a path or 'official'")
        where = "losses.perceptual.weights"
        path = find_weights(weights, "vgg19", where)
        fill(nn.ModuleDict({"features": self.vgg}), read_weights(path, where), f"{where}: {path}")
        self.vgg.requires_grad_(False).eval()
        self.source = f"{path.name} (SHA-256 {sha256(path)[:8]})"
        mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
        self.scale: Tensor
        self.offset: Tensor
        self.register_buffer("scale", (1 / ((high - low) * std)).view(3, 1, 1), persistent=False)
        self.register_buffer("offset", ((-low / (high - low) - mean) / std).view(3, 1, 1), persistent=False)

    def describe(self, height: int, width: int) -> str:
        """Say which features are compared."""
        listed = ", ".join(f"{name} for {colour}" for name, colour in zip(self.inputs, COLOURS, strict=True))
        return (
            f"VGG19 {self.source}, {self.layer} {self.activation} its activation: {height // self.window} x "
            f"{width // self.window} features of {height} x {width} cells, {listed}"
        )

    def features(self, fields: Fields) -> Float[Tensor, "b f h w"]:
        """Return the features, (b, f, H / 2^(stage-1), W / 2^(stage-1)), of standardised fields."""
        out: Tensor = self.vgg(fields.float()[:, self.channels] * self.scale + self.offset)
        return out

    def forward(self, sr: Fields, hr: Fields) -> Scalar:
        """Return the loss; H and W must be at least `window`."""
        check_size(sr, self.window)
        with torch.no_grad():
            target = self.features(hr)
        return self.distance(self.features(sr), target)


def _channels(inputs: Sequence[str], variables: Sequence[str]) -> list[int]:
    """Return the channel of each of the three inputs."""
    if isinstance(inputs, str) or len(inputs) != 3:
        raise ValueError(
            f"inputs: got {inputs!r}, expected three of {', '.join(variables)}, for red, green and blue (repeats allowed)"
        )
    for name in inputs:
        if name not in variables:
            raise ValueError(f"inputs: no variable {name!r}.{nearest(str(name), variables)}")
    return [list(variables).index(name) for name in inputs]


def _limits(ranges: Sequence[Sequence[float]]) -> tuple[Tensor, Tensor]:
    """Return the low and the high ends, (3,) each."""
    ends = [list(pair) for pair in ranges]
    if len(ends) != 3 or any(len(pair) != 2 or not pair[0] < pair[1] for pair in ends):
        raise ValueError(
            f"ranges: got {ends}, expected three pairs [low, high] with low below high, in standard deviations"
        )
    low, high = torch.tensor(ends, dtype=torch.float32).unbind(1)
    return low, high
