"""The invertible way between physical units and what networks see: standardisation by the training split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]


class Scaling(NamedTuple):
    """Standardisation by the training split: (x - mean) / std, one value a variable."""

    mean: Field
    std: Field

    def scale(self, fields: Field) -> Field:
        """Physical units to standardised, channels on the third axis from the end."""
        return ((fields - self.mean[:, None, None]) / self.std[:, None, None]).astype(np.float32)

    def unscale(self, fields: Field) -> Field:
        """Standardised to physical units."""
        return (fields * self.std[:, None, None] + self.mean[:, None, None]).astype(np.float32)


def scaling_of(statistics: Mapping[str, Mapping[str, float]], variables: list[str]) -> Scaling:
    """The scaling of the given variables, in their order."""
    pick = [[statistics[v][key] for v in variables] for key in ("mean", "std")]
    return Scaling(np.array(pick[0], dtype=np.float32), np.array(pick[1], dtype=np.float32))


def static_channel(values: npt.ArrayLike, scale: Mapping[str, float]) -> Field:
    """One static field, (value - mean) / std with the training domain's figures."""
    return ((np.asarray(values, dtype=np.float64) - scale["mean"]) / scale["std"]).astype(np.float32)
