"""The unconditional generator: noise to fields (Radford et al. 2016, arXiv:1511.06434)."""

from __future__ import annotations

from torch import Tensor, nn

from subgrid.models.blocks import norm_layers, squasher

DOUBLINGS = 4
WIDEST = 8  # times the finest grid's channels


class DCGAN(nn.Module):
    """A noise vector to a field: projected to a sixteenth of the sides, then doubled four times by transposed convolutions.

    Its only input is noise, and its fields have the size it was built for: the projection knows where in the field a cell lies,
    and one draw cannot be extended. A side that is no multiple of 16 is cut from the next larger one.
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
        """Build.

        Args:
            channels_out: variables of the fields.
            shape: rows and columns of the fields.
            latent: length of the noise vector.
            features: channels of the finest inner grid; each coarser one has twice as many, to eight times.
            norm: `batch` or `none`.
            head: `tanh` or `linear`.
        """
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
        layers += [nn.ConvTranspose2d(widths[-1], channels_out, 4, stride=2, padding=1), squasher(head)]
        self.layers = nn.Sequential(*layers)

    def forward(self, noise: Tensor) -> Tensor:
        """(b, latent) to (b, c, rows, columns) float32, standardised."""
        out: Tensor = self.layers(noise[:, :, None, None])
        return out[..., : self.shape[0], : self.shape[1]].float()
