"""Surface quasi-geostrophic (SQG) turbulence on a doubly periodic f-plane, the flow behind `simulate`.

With theta the surface temperature anomaly in wind units (``g / (theta_0 N)`` times kelvin, m s-1) and K the
horizontal wavenumber::

    psi_hat = theta_hat / K                     u = -d psi/dy, v = d psi/dx        (non-divergent)
    d theta/dt + J(psi, theta) = gamma v + F - r theta - nu (-del^2)^4 theta

so that temperature and wind have one spectrum, near K^(-5/3) in the forward cascade. gamma is the background
meridional gradient in wind units; F forces a ring of large scales, white in time, and so sets the variance
that cascades. Pseudo-spectral, 2/3 rule, fourth-order Runge-Kutta; the linear terms are exact (integrating
factor).

Sources: Held, Pierrehumbert, Garner and Swanson (1995), J. Fluid Mech. 282, doi:10.1017/S0022112095000012
(SQG); Orszag (1971), J. Atmos. Sci. 28, 1074 (2/3 rule); Canuto et al. (2006), Spectral Methods (integrating
factor).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

Real = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]

CASCADE = 3.0e-4  # half the variance stirred in per time, m2 s-3
STIRRING_WAVELENGTH = 1.4e6  # m; at most half the domain
STABLE = 0.85 * 2.83  # of the Runge-Kutta limit for waves, k U dt


@dataclass(frozen=True)
class Modes:
    """Wavenumbers of a doubly periodic grid, in the columns that the 2/3 rule keeps.

    Attributes:
        shape: (rows, columns) of the grid; rows run from south to north.
        spacing: side of a cell, m.
        kx, ky: wavenumber components, rad m-1, shapes (1, m) and (rows, 1).
        k: their length, (rows, m).
        keep: 1 where the 2/3 rule keeps the mode, else 0; 0 for the mean.
        k_max: the largest kept wavenumber.
    """

    shape: tuple[int, int]
    spacing: float
    kx: Real
    ky: Real
    k: Real
    keep: Real
    k_max: float


def grid_modes(shape: tuple[int, int], spacing: float, dtype: npt.DTypeLike = np.float32) -> Modes:
    """Make the wavenumbers of a grid of square cells of side `spacing` (m)."""
    rows, columns = shape
    kx = 2 * np.pi * fft.rfftfreq(columns, spacing)[None, : columns // 3 + 1]
    ky = 2 * np.pi * fft.fftfreq(rows, spacing)[:, None]
    k = np.hypot(kx, ky)
    k_max = 2 / 3 * np.pi / spacing
    keep = (k > 0) & (k < k_max * (1 - 1e-9))
    kx, ky, k, keep = (part.astype(dtype) for part in (kx, ky, k, keep))
    return Modes(shape, spacing, kx, ky, k, keep, k_max)


def to_grid(modes_of: Complex, columns: int) -> Real:
    """Transform Fourier coefficients (..., rows, m) to values (..., rows, columns)."""
    field: Real = fft.irfft(fft.ifft(modes_of, axis=-2, norm="forward"), n=columns, axis=-1, norm="forward")
    return field


def to_modes(field: Real, num_kept: int) -> Complex:
    """Transform values (..., rows, columns) to Fourier coefficients (..., rows, num_kept); the mean is coefficient 0."""
    half = fft.rfft(field, axis=-1, norm="forward")[..., :num_kept]
    coefficients: Complex = fft.fft(half, axis=-2, norm="forward")
    return coefficients


def geostrophic(theta: Complex, modes: Modes) -> tuple[Complex, Complex]:
    """Wind (u, v) of theta in Fourier space: psi = theta / K, u = -psi_y, v = psi_x."""
    psi = theta * (modes.keep / np.where(modes.k > 0, modes.k, 1))
    return -1j * modes.ky * psi, 1j * modes.kx * psi


def advection(theta: Complex, modes: Modes) -> tuple[Complex, float]:
    """Compute -J(psi, theta) in Fourier space, dealiased, and the largest wind speed (m s-1)."""
    fields = to_grid(np.stack([*geostrophic(theta, modes), theta]), modes.shape[1])
    flux = to_modes(fields[:2] * fields[2], theta.shape[-1])
    speed = math.sqrt(float((fields[0] ** 2 + fields[1] ** 2).max()))
    return -1j * modes.keep * (modes.kx * flux[0] + modes.ky * flux[1]), speed


def step(theta: Complex, modes: Modes, linear: Complex, remaining: float) -> tuple[Complex, float]:
    """Take one stable Runge-Kutta step of at most `remaining` seconds, exact in the linear terms.

    Returns:
        The new theta and the length of the step in seconds.
    """
    first, speed = advection(theta, modes)
    length = remaining / max(1, math.ceil(remaining * speed * modes.k_max / STABLE))
    half = np.exp(linear * (length / 2))
    faded = half * theta
    second, _ = advection(faded + (length / 2) * half * first, modes)
    third, _ = advection(faded + (length / 2) * second, modes)
    fourth, _ = advection(half * (faded + length * third), modes)
    early = half * (theta + (length / 6) * first) + (length / 3) * (second + third)
    return half * early + (length / 6) * fourth, length


class Flow:
    """Forced SQG turbulence in a statistically steady state."""

    def __init__(self, shape: tuple[int, int], spacing: float, gradient: float, seed: np.random.SeedSequence) -> None:
        """Set up the flow and spin it up for four turnover times of the forced eddies.

        Args:
            shape: rows and columns of the periodic domain, at least 32 each.
            spacing: side of a cell, m.
            gradient: gamma, decrease of theta northward, s-1.
            seed: random seed of the first state and the forcing.
        """
        self.modes = modes = grid_modes(shape, spacing)
        self._rng = np.random.default_rng(seed)
        scale = max(min(STIRRING_WAVELENGTH, min(shape) * spacing / 2), 6 * spacing)
        eddy_rate = (CASCADE / scale**2) ** (1 / 3)
        small_rate = (CASCADE * modes.k_max**2) ** (1 / 3)
        safe_k = np.where(modes.k > 0, modes.k, 1)
        linear = 1j * gradient * modes.kx / safe_k - 0.5 * eddy_rate - 3 * small_rate * (modes.k / modes.k_max) ** 8
        self._linear: Complex = linear.astype(np.complex64)
        centre = 2 * np.pi / scale
        ring = (modes.keep > 0) & (abs(modes.k - centre) < 0.35 * centre)
        # One of each conjugate pair; `_noise` adds the other.
        self._ring = np.nonzero(ring & ((modes.kx > 0) | (modes.ky > 0)))
        red = modes.keep * np.where(modes.k > centre, (safe_k / centre) ** (-4 / 3), 1.0)
        noise = to_modes(self._rng.standard_normal(shape), modes.k.shape[1]) * red
        size = 2 * (CASCADE * scale) ** (1 / 3) / to_grid(noise, shape[1]).std()
        self.theta: Complex = (size * noise).astype(np.complex64)
        self.advance(4 / eddy_rate)

    def _noise(self, seconds: float) -> Complex:
        """Forcing over `seconds`, white in time: it adds 2 CASCADE `seconds` to the variance, on average."""
        count = self._ring[0].size
        draw = self._rng.standard_normal((2, count)) * math.sqrt(CASCADE * seconds / (2 * count))
        noise = np.zeros_like(self.theta)
        noise[self._ring] = draw[0] + 1j * draw[1]
        noise[1:, 0] += noise[:0:-1, 0].conj()
        return noise

    def advance(self, seconds: float) -> None:
        """Integrate the flow over `seconds` of eddy time."""
        while seconds > 1e-6:
            self.theta, elapsed = step(self.theta, self.modes, self._linear, seconds)
            self.theta += self._noise(elapsed)
            seconds -= elapsed

    def fields(self, drift: float) -> Real:
        """Theta, u and v (m s-1), shifted `drift` metres east: (3, rows, columns), rows from south to north."""
        # Whole turns round the domain are removed, so that the phase is exact after months of drift.
        turns = drift / (self.modes.shape[1] * self.modes.spacing) % 1
        phase = -2j * np.pi * turns * np.arange(self.theta.shape[1])
        shifted = self.theta * np.exp(phase).astype(np.complex64)
        return to_grid(np.stack([shifted, *geostrophic(shifted, self.modes)]), self.modes.shape[1])
