"""Power spectra: how much of a field's variance lies at which wavelength.

Wavenumbers are in cycles per fine cell of the grid as it is: a cell has the length 1 along y and along x, whatever its
size on the earth. See `subgrid.scores` for arguments, shapes and errors.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy import fft

from subgrid.errors import GridError
from subgrid.scores.checks import (
    FieldArray,
    Fields,
    Means,
    Statistics,
    Valid,
    Values,
    check_complete,
    check_fields,
    check_pair,
)
from subgrid.scores.score import ratio

MINIMUM_CELLS = 4
NYQUIST = 0.5
_ROUNDING = 1e-9


def power_spectrum(
    fields: Fields, *, periodic_x: bool = False
) -> tuple[Float64[np.ndarray, " ring"], Float64[np.ndarray, "time ring"]]:
    """Power spectral density of 2-D fields, averaged over direction.

    Each field has its mean f0 removed and is tapered by a Hann window w along the directions that are not
    periodic. With F the discrete Fourier transform of ``w (f - f0)``, the density at wavenumbers ``(k_y,
    k_x)`` is::

        S(k_y, k_x) = |F(k_y, k_x)|^2 / (num_y num_x mean(w^2))

    so that S summed over all modes times their spacing ``1 / (num_y num_x)`` is the (tapered) variance. The
    result is the mean of S over all modes whose ``k = sqrt(k_y^2 + k_x^2)`` lies in a ring. Rings have the
    width of the coarser of the two axes' spacings, ``1 / min(num_y, num_x)``, and centres at its multiples,
    up to the Nyquist wavenumber 0.5. The modes in the corners beyond 0.5 are left out and, on a long domain, so are
    waves longer than twice its short side. White noise of variance v has density v at every wavenumber, on
    any grid. The density E(k) per unit of *scalar* wavenumber, in which much of the literature states slopes,
    is ``2 pi k`` times this: a ``k^-3`` law for E is ``k^-4`` here.

    Args:
        fields: (time, y, x), at least 4 cells along y and x.
        periodic_x: whether x closes on itself, as longitudes around the globe do; then x is not tapered.

    Returns:
        Wavenumber (n,), cycles per cell, ascending and without zero, ``n = min(num_y, num_x) // 2``; its
        inverse is the wavelength in cells. Power (time, n), units of the field squared per (cycle per
        cell)^2.

    Raises:
        GridError: not (time, y, x), or fewer than 4 cells along y or x.
        SourceError: values that are not finite.

    References:
        Skamarock (2004), Monthly Weather Review 132, 3019-3032, doi:10.1175/MWR2830.1 (spectra as a test of
        what a model resolves). Durran, Weyn and Menchaca (2017), Monthly Weather Review 145, 3901-3910,
        doi:10.1175/MWR-D-17-0056.1 (normalisation by Parseval; rings, and why to average in them instead of
        summing). Welch (1967), IEEE Transactions on Audio and Electroacoustics 15, 70-73,
        doi:10.1109/TAU.1967.1161901 (the power of a window).
    """
    fields = check_fields("fields", fields)
    wavenumber, variance = _mode_variances(fields, periodic_x=periodic_x)
    num_y, num_x = fields.shape[1:]
    spacing = 1.0 / min(num_y, num_x)
    num_rings = min(num_y, num_x) // 2
    ring = np.floor(wavenumber / spacing + 0.5 + _ROUNDING).astype(np.intp)
    ring[(wavenumber > NYQUIST + _ROUNDING) | (ring > num_rings)] = 0
    counts = np.bincount(ring.ravel(), _multiplicity(num_y, num_x).ravel(), num_rings + 1)[1:]
    sums = np.stack([np.bincount(ring.ravel(), row.ravel(), num_rings + 1)[1:] for row in variance])
    return spacing * np.arange(1, num_rings + 1), sums * (num_y * num_x) / counts


def high_wavenumber_power_statistics(
    prediction: Fields, reference: Fields, *, factor: int, periodic_x: bool = False
) -> Statistics:
    """Variance at wavelengths shorter than ``2 factor`` fine cells, of prediction and of reference.

    The coarse grid cannot represent them: its own shortest wave is two coarse cells long. The variance is the sum of the
    density of `power_spectrum` over all modes with ``k > 1 / (2 factor)``, corners included; `factor` is 2 or more. With
    `ratio` the score is the quotient of the two, each averaged over times: best 1; below 1 the prediction is too smooth,
    above 1 too rough. It does not depend on the place of the detail.

    References:
        Skamarock (2004), Monthly Weather Review 132, 3019-3032, doi:10.1175/MWR2830.1.
    """
    prediction, reference = check_pair(prediction, reference)
    if factor < 2:
        raise GridError(
            f"factor is {factor}; expected 2 or more fine cells per coarse cell: at 1 the coarse grid "
            "represents every wave that the fine one does."
        )
    powers = []
    for fields in (prediction, reference):
        wavenumber, variance = _mode_variances(fields, periodic_x=periodic_x)
        short = wavenumber > 1.0 / (2 * factor) + _ROUNDING
        powers.append(variance[:, short].sum(axis=1))
    return np.stack(powers, axis=1)


def ring_power_statistics(prediction: Fields, reference: Fields, *, periodic_x: bool = False) -> Statistics:
    """Power in the rings of `power_spectrum`, of the prediction and then of the reference, for `log_spectral_distance`."""
    both = check_pair(prediction, reference)
    return np.concatenate([power_spectrum(fields, periodic_x=periodic_x)[1] for fields in both], axis=1)


def log_spectral_distance(mean: Means) -> Values:
    """Root mean square over rings of the difference in dB between two mean spectra: (..., 2 n) -> (...), dB.

    With P the power of the prediction and R that of the reference in ring k, each averaged over times::

        sqrt(mean over k of (10 log10(P_k / R_k))^2)

    Best 0. 3 dB is a factor of two in power at every wavelength. Every ring counts the same, and most rings are short waves,
    so it is mainly a test of detail. It does not depend on the place of the detail: noise of the right spectrum has the
    distance 0. A ring without power in both counts as equal; if only one has none, the distance is infinite.

    References:
        Rabiner and Juang (1993), Fundamentals of Speech Recognition, section 4.5.1 (the distance). Harris et al. (2022),
        Journal of Advances in Modeling Earth Systems 14, doi:10.1029/2022MS003120 (its use for downscaled rain).
    """
    half = mean.shape[-1] // 2
    quotient = ratio(np.stack([mean[..., :half], mean[..., half:]], axis=-1))
    with np.errstate(divide="ignore"):
        return np.asarray(np.sqrt(np.mean((10.0 * np.log10(quotient)) ** 2, axis=-1)), np.float64)


def check_whole_fields(valid: Valid) -> None:
    """Refuse fields that have no spectrum.

    Raises:
        GridError: fewer than 4 cells along y or x.
        SourceError: a missing cell.
    """
    _check_size(valid.shape[1:])
    check_complete(valid)


def _mode_variances(
    fields: FieldArray, *, periodic_x: bool
) -> tuple[Float64[np.ndarray, "y x//2+1"], Float64[np.ndarray, "time y x//2+1"]]:
    """Variance of each mode of the half-spectrum; x is not tapered where it is periodic.

    Returns:
        Wavenumber, cycles per cell; variance, units of the field squared, a mode and its mirror image counted together, so
        that the sum over all is the variance of the tapered fields.
    """
    num_y, num_x = fields.shape[1:]
    _check_size((num_y, num_x))
    # The first cell is subtracted before the mean, so that a constant field leaves zero and not rounding.
    anomalies = fields - fields[:, :1, :1]
    anomalies -= anomalies.mean(axis=(1, 2), keepdims=True)
    window = _hann(num_y)[:, None] * (np.ones(num_x) if periodic_x else _hann(num_x))
    transform = fft.rfft2(anomalies * window)
    variance = (transform.real**2 + transform.imag**2) * _multiplicity(num_y, num_x)
    variance /= (num_y * num_x) ** 2 * np.mean(window**2)
    return np.hypot(fft.fftfreq(num_y)[:, None], fft.rfftfreq(num_x)), variance


def _check_size(shape: tuple[int, ...]) -> None:
    if min(shape) < MINIMUM_CELLS:
        raise GridError(
            f"a spectrum needs at least {MINIMUM_CELLS} x {MINIMUM_CELLS} cells; these fields have "
            f"{shape[0]} x {shape[1]}. Score a larger area."
        )


def _hann(num_cells: int) -> Float64[np.ndarray, " {num_cells}"]:
    """Hann window at cell centres: zero at the outer edges, so no cell is lost."""
    return np.sin(np.pi * (np.arange(num_cells) + 0.5) / num_cells) ** 2


def _multiplicity(num_y: int, num_x: int) -> Float64[np.ndarray, "{num_y} {num_x}//2+1"]:
    """Number of modes that each entry of the half-spectrum represents."""
    counts = np.full((num_y, num_x // 2 + 1), 2.0)
    counts[:, 0] = 1.0
    if num_x % 2 == 0:
        counts[:, -1] = 1.0
    return counts
