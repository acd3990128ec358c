"""The generator from noise to fields (Radford et al. 2016, arXiv:1511.06434)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from subgrid.models.blocks import norm_layers, output_activation
from subgrid.models.protocols import Fields, NoiseGenerator

DOUBLINGS = 4
WIDEST = 8  # times the finest grid's channels


class DCGAN(nn.Module, NoiseGenerator):
    """A noise vector projected to a sixteenth of the field's sides, then doubled four times by transposed convolutions.

    Its fields have the size that it was built for: the projection depends on where in the field a cell lies, so a field
    cannot be extended. A side that is not a multiple of 16 is cropped from the next larger one.

    Args:
        latent: length of the noise vector, at least 1. A longer one can describe more different fields.
        features: channels of the finest hidden grid, at least 1; each coarser grid has twice as many, up to eight
            times. Time and memory grow with its square.
        norm: `batch` (as published) for BatchNorm after each layer, or `none`.
        head: activation of the output: `tanh` (as published) limits values to one standard deviation;
            `linear` does not.
    """

    def __init__(
        self,
        channels_out: int,
        shape: tuple[int, int],
        latent: int = 128,
        features: int = 64,
        norm: str = "batch",
        head: str = "tanh",
    ) -> None:
        super().__init__()
        if min(*shape, latent, features) < 1:
            raise ValueError(
                f"shape, latent and features must be positive: got {tuple(shape)}, {latent} and {features}"
            )
        self.shape, self.latent = (int(shape[0]), int(shape[1])), latent
        start = (-(-self.shape[0] // 2**DOUBLINGS), -(-self.shape[1] // 2**DOUBLINGS))
        widths = [min(WIDEST, 2**i) * features for i in reversed(range(DOUBLINGS))]
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent, widths[0], start),
            *norm_layers(norm, widths[0]),
            nn.ReLU(),
        ]
        for wide, narrow in zip(widths[:-1], widths[1:], strict=True):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1), *norm_layers(norm, narrow), nn.ReLU()]
        layers += [nn.ConvTranspose2d(widths[-1], channels_out, 4, stride=2, padding=1), output_activation(head)]
        self.layers = nn.Sequential(*layers)

    def forward(self, noise: Float[Tensor, "b {self.latent}"]) -> Fields:
        """Return standardised fields (b, c, rows, columns), float32."""
        out: Tensor = self.layers(noise[:, :, None, None])
        return out[..., : self.shape[0], : self.shape[1]].float()
