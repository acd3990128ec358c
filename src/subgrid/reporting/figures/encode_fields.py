"""Encodes fields for a page: rounded to equal steps, differenced, deflated, in base64.

A page of a dozen systems holds millions of values, which would need ten times the space as decimal numbers. A value is
`low + (q - 1) * step`; q is 0 where a value is missing. Stored is the residual of q from a prediction by its neighbours
(left + upper - upper left, exact on a plane), folded to be positive (0, -1, 1, -2 become 0, 1, 2, 3), with all low bytes before
all high bytes, so that the second half is nearly all zeros.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np

from subgrid.reporting.figures.style import Array

LEVELS = 4000  # of a field's range: finer than any colour, and than most instruments
MOST_LEVELS = 65534


@dataclass(frozen=True)
class Steps:
    """The rounding that several fields share.

    Attributes:
        low: the value of q = 1, in the fields' units.
        step: difference between the values of one q and the next.
    """

    low: float
    step: float


def steps_for(fields: Array, levels: int = LEVELS) -> Steps:
    """Equal steps that span all finite values.

    Args:
        fields: values of any shape.
        levels: number of steps, at most 65,534.
    """
    finite = fields[np.isfinite(fields)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return Steps(low, (high - low) / min(levels, MOST_LEVELS) or 1.0)


def encode_field(field: Array, steps: Steps) -> str:
    """Write a field as text; values that are not finite are decoded as NaN.

    Args:
        field: (y, x).
        steps: their rounding, see `steps_for`.

    Returns:
        ASCII text, which `decode_field` and the page's script read. Values are rounded by at most half a step.
    """
    rounded = np.zeros(field.shape, np.int64)
    finite = np.isfinite(field)
    rounded[finite] = np.rint((field[finite].astype(np.float64) - steps.low) / steps.step).astype(np.int64) + 1
    residual = np.diff(np.diff(rounded, axis=0, prepend=0), axis=1, prepend=0)
    residual = (residual + 2**15) % 2**16 - 2**15
    folded = np.where(residual < 0, -2 * residual - 1, 2 * residual).astype(np.uint16)
    planes = (folded & 255).astype(np.uint8).tobytes() + (folded >> 8).astype(np.uint8).tobytes()
    return base64.b64encode(zlib.compress(planes, 9)).decode("ascii")


def decode_field(text: str, shape: tuple[int, int], steps: Steps) -> Array:
    """Read what `encode_field` wrote.

    Args:
        text: as `encode_field` returned it.
        shape: (y, x) of the field.
        steps: as given to `encode_field`.
    """
    low, high = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(2, *shape).astype(np.int64)
    folded = low + 256 * high
    residual = np.where(folded % 2, -(folded + 1) // 2, folded // 2)
    rounded = residual.cumsum(axis=0).cumsum(axis=1) % 2**16
    return np.where(rounded > 0, steps.low + (rounded - 1) * steps.step, np.nan)
