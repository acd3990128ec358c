"""Scaling between physical units and the standardised values that networks work on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]


class Scaling(NamedTuple):
    """Standardisation with the statistics of the training split: (x - mean) / std.

    Attributes:
        mean: (c,) mean of each variable, in its units.
        std: (c,) standard deviation of each variable, in its units.
    """

    mean: Field
    std: Field

    def scale(self, fields: Field) -> Field:
        """Standardise fields (..., c, y, x) in physical units."""
        return ((fields - self.mean[:, None, None]) / self.std[:, None, None]).astype(np.float32)

    def unscale(self, fields: Field) -> Field:
        """Convert standardised fields (..., c, y, x) to physical units."""
        return (fields * self.std[:, None, None] + self.mean[:, None, None]).astype(np.float32)


def scaling_of(statistics: Mapping[str, Mapping[str, float]], variables: list[str]) -> Scaling:
    """Make the scaling of some variables, in their order, from the statistics of each."""
    pick = [[statistics[v][key] for v in variables] for key in ("mean", "std")]
    return Scaling(np.array(pick[0], dtype=np.float32), np.array(pick[1], dtype=np.float32))


def static_channel(values: npt.ArrayLike, scale: Mapping[str, float]) -> Field:
    """Standardise one static field with its mean and standard deviation over the training domain."""
    return ((np.asarray(values, dtype=np.float64) - scale["mean"]) / scale["std"]).astype(np.float32)
