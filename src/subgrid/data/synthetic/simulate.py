"""Simulated surface weather, for use without data files: turbulence over artificial mountains, with a day and a year.

The flow is surface quasi-geostrophic turbulence (`subgrid.data.synthetic.sqg`; Held et al. 1995,
doi:10.1017/S0022112095000012): eddies, fronts and filaments whose temperature and wind share one spectrum,
near K^(-5/3). To it are added a meridional gradient, a lapse rate over ridges, a sea, a yearly and a daily cycle by local
solar time, and near the ground friction, turning, and flow over and along the ridges.

Simplifications: cells are square, the whole flow drifts with a constant steering wind, eddies age
at `PACE` times the speed of the calendar (so that a year takes seconds to simulate), and the terrain shapes the fields near the
ground but does not act back on the flow.
"""

from __future__ import annotations

import contextlib
import math
import operator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import fft

from subgrid.data.synthetic.sqg import Flow, Real
from subgrid.errors import SourceError
from subgrid.io.console import Progress, silent

Times = npt.NDArray[np.datetime64]

METRES_PER_DEGREE = 111_195.0  # along a meridian
WIND_PER_KELVIN = 9.81 / (285.0 * 0.012)  # g / (theta_0 N), m s-1 K-1
PACE = 1 / 6  # eddy time per calendar time
STEERING = 9.0  # m s-1, carries the pattern east
WESTERLY = 5.0  # m s-1, mean geostrophic wind at the surface
GRADIENT = 0.6  # K per degree, colder poleward
LAPSE_RATE = 6.5e-3  # K m-1, the standard atmosphere's
CENTRE_LATITUDE = 45.0
YEAR_DAYS = 365.2425
DESCRIBED = (  # name, units, standard_name, long_name
    ("t2m", "K", "air_temperature", "air temperature at 2 m"),
    ("u10", "m s-1", "eastward_wind", "eastward wind at 10 m"),
    ("v10", "m s-1", "northward_wind", "northward wind at 10 m"),
    ("orography", "m", "surface_altitude", "height of the ground above sea level"),
    ("land_fraction", "1", "land_area_fraction", "fraction of the cell that is land"),
)


@dataclass(frozen=True)
class Terrain:
    """Artificial terrain, arrays (rows, columns) with rows from south to north.

    Attributes:
        height: m, zero at sea.
        land: fraction of the cell that is land.
        slope: gradient of height, (2, rows, columns): eastward, northward.
        exposure: height above the mean of the surroundings (150 km), m.
    """

    height: Real
    land: Real
    slope: Real
    exposure: Real

    def window(self, rows: int, columns: int) -> Terrain:
        """Cut out the southwestern corner."""
        parts = (self.height, self.land, self.slope, self.exposure)
        return Terrain(*(part[..., :rows, :columns] for part in parts))


def make_terrain(shape: tuple[int, int], spacing: float, seed: np.random.SeedSequence) -> Terrain:
    """Make continents with mountain ranges, the crests of `1 - |red noise|`, elongated along a random direction.

    Args:
        shape: rows and columns of the periodic domain.
        spacing: side of a cell, m.
        seed: random seed.
    """
    rng = np.random.default_rng(seed)
    kx = 2 * np.pi * fft.rfftfreq(shape[1], spacing)[None, :]
    ky = 2 * np.pi * fft.fftfreq(shape[0], spacing)[:, None]
    size = min(shape) * spacing

    def smooth(field: Real, length: float) -> Real:
        low: Real = fft.irfft2(fft.rfft2(field) * np.exp(-0.5 * (kx**2 + ky**2) * length**2), s=shape)
        return low

    def red(wavelength: float, power: float, stretch: float = 1.0, angle: float = 0.0) -> Real:
        along, across = kx * np.cos(angle) + ky * np.sin(angle), ky * np.cos(angle) - kx * np.sin(angle)
        ratio = np.hypot(along * stretch, across) * min(wavelength, size / 2) / (2 * np.pi)
        white = fft.rfft2(rng.standard_normal(shape))
        white[0, 0] = 0
        field: Real = fft.irfft2(white * (1 + ratio**2) ** (-power / 2), s=shape)
        field /= field.std()
        return field

    continent = red(2.4e6, 2.6)
    crest = np.clip(1 - abs(red(1.3e6, 2.3, stretch=2.5, angle=rng.uniform(0, np.pi))), 0, None) ** 1.5
    range_mask = 1 / (1 + np.exp(-3 * (red(1.5e6, 4.0) + continent - 0.4)))
    raw = 250 * (continent + 0.3) + 2200 * range_mask * crest * (1 + 0.3 * red(3e5, 2.1)) - 50
    raw = smooth(raw, 0.4 * spacing)
    height = smooth(np.clip(raw, 0, None), 0.4 * spacing).clip(0)
    dx = (np.roll(height, -1, 1) - np.roll(height, 1, 1)) / (2 * spacing)
    dy = (np.roll(height, -1, 0) - np.roll(height, 1, 0)) / (2 * spacing)
    land = 1 / (1 + np.exp(-np.clip(raw / 30, -30, 30)))
    return Terrain(height, land, np.stack([dx, dy]), height - smooth(height, 1.5e5))


def season(days: float) -> float:
    """Yearly cycle: 1 in midwinter (20 January), -1 in midsummer; `days` since 1 January 2000."""
    return math.cos(2 * np.pi * (days - 19) / YEAR_DAYS)


def air_temperature(anomaly: Real, terrain: Terrain, latitude: Real, longitude: Real, days: float) -> Real:
    """Temperature at 2 m, K: gradient, lapse rate, year, day by local solar time, and anomaly of the eddies.

    Args:
        anomaly: temperature anomaly of the eddies, K, (rows, columns).
        terrain: terrain of the same shape.
        latitude: degrees, (rows,).
        longitude: degrees, (columns,).
        days: UTC days since 1 January 2000.
    """
    land, winter = terrain.land, season(days)
    # The yearly cycle of the sea is a month later and half as large; its daily cycle is almost flat.
    year = -9.0 * land * winter - 5.0 * (1 - land) * season(days - 30)
    hour = 24 * (days % 1) + longitude / 15
    day = (land * (4.5 - 2 * winter) + 0.4 * (1 - land)) * np.cos(2 * np.pi * (hour - 14.5) / 24)
    background = 284.0 - GRADIENT * (latitude[:, None] - CENTRE_LATITUDE)
    total: Real = background - LAPSE_RATE * terrain.height + year + day + anomaly
    return total


def wind_at_10m(wind: Real, terrain: Terrain) -> Real:
    """Convert geostrophic wind (2, rows, columns) to wind near the ground, m s-1, by four simple rules.

    1. Friction reduces the speed to 0.75 over sea and 0.5 over land.
    2. Friction turns the wind left, toward low pressure, by 15 degrees over sea and 30 over land.
    3. The speed changes with the height above the surroundings, as over hills (after Jackson and Hunt 1975,
       doi:10.1002/qj.49710143015), by 1 / 2500 per metre, between 0.7 and 1.5.
    4. The component across steep slopes is reduced by up to 0.7, so that wind flows along ranges: the share removed
       is 0.7 q / (1 + q), q = (slope / 0.02)^2.

    Friction and turning are rounded textbook values (Wallace and Hobbs 2006, Atmospheric Science, chapter 7);
    rule 4 only mimics blocking.
    """
    u, v = wind
    angle = np.radians(15 + 15 * terrain.land)
    factor = (0.75 - 0.25 * terrain.land) * np.clip(1 + terrain.exposure / 2500, 0.7, 1.5)
    u, v = factor * (u * np.cos(angle) - v * np.sin(angle)), factor * (u * np.sin(angle) + v * np.cos(angle))
    across, along = terrain.slope
    # 0.7 q / (1 + q) times the projection on the direction of the slope, without dividing by a slope of zero.
    reduction = 0.7 * (u * across + v * along) / (0.02**2 + across**2 + along**2)
    return np.stack([u - reduction * across, v - reduction * along])


def _check_integer(name: str, value: object, low: int, high: int) -> int:
    """Convert an argument to an integer; raise SourceError outside its range."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = low - 1
    if isinstance(value, bool) or not low <= number <= high:
        raise SourceError(f"simulate: {name} is {value!r}; expected a whole number from {low} to {high}.")
    return number


def _spacing(spacing_degrees: float, num_latitudes: int, num_longitudes: int) -> float:
    """Check that the grid lies between 5 and 85 N and within 360 degrees of longitude; raise SourceError otherwise."""
    try:
        spacing = float(spacing_degrees)
    except (TypeError, ValueError):
        spacing = math.nan
    most = min(5.0, 80 / num_latitudes, 360 / num_longitudes)
    if not 0.01 <= spacing <= most:
        raise SourceError(
            f"simulate: spacing_degrees is {spacing_degrees!r}; expected 0.01 to {most:.4g} degrees, so that "
            f"{num_latitudes} x {num_longitudes} cells fit between 5 and 85 N. Use fewer or finer cells."
        )
    return spacing


def _times(start: str, num_times: int, step_hours: int) -> Times:
    """Make times as datetime64[ns]; raise SourceError outside their range."""
    first: np.datetime64 = np.datetime64("NaT", "s")
    if isinstance(start, str):
        with contextlib.suppress(ValueError):
            first = np.datetime64(start, "s")
    last = first + np.timedelta64((num_times - 1) * step_hours, "h")
    if not (np.datetime64("1700", "s") <= first and last <= np.datetime64("2200", "s")):
        raise SourceError(
            f"simulate: start is {start!r}, with {num_times} times {step_hours} hours apart; expected a date "
            "such as '2020-01-01' or '2020-01-01T06:00' (UTC), and all times between the years 1700 and 2200."
        )
    return (first + np.arange(num_times) * np.timedelta64(step_hours, "h")).astype("datetime64[ns]")


def _domain(num_cells: int) -> int:
    """Cells of the periodic domain around a window of `num_cells`: at least 32, a fast length for the FFT."""
    return int(fft.next_fast_len(max(num_cells, 32), True))


def _dataset(fields: Real, terrain: Terrain, times: Times, latitude: Real, longitude: Real, seed: int) -> xr.Dataset:
    """Make a CF dataset, north first, from fields (3, time, rows, columns) and terrain with rows from south to north."""
    plane = ("latitude", "longitude")
    values_of = (*fields, terrain.height, terrain.land)
    variables = {}
    for (name, units, standard_name, long_name), values in zip(DESCRIBED, values_of, strict=True):
        attrs = {"units": units, "standard_name": standard_name, "long_name": long_name}
        dims = plane if values.ndim == 2 else ("time", *plane)
        north_first = np.ascontiguousarray(values[..., ::-1, :], dtype=np.float32)
        variables[name] = xr.Variable(dims, north_first, attrs)
    north = {"units": "degrees_north", "standard_name": "latitude", "long_name": "latitude"}
    east = {"units": "degrees_east", "standard_name": "longitude", "long_name": "longitude"}
    coords = {
        "time": xr.Variable("time", times, {"standard_name": "time", "long_name": "time"}),
        "latitude": xr.Variable("latitude", latitude[::-1], north),
        "longitude": xr.Variable("longitude", longitude, east),
    }
    attrs = {
        "title": "Simulated surface weather: quasi-geostrophic turbulence over made-up mountains",
        "Conventions": "CF-1.11",
        "source": "subgrid.data.synthetic.simulate: surface quasi-geostrophic turbulence (Held et al. 1995) over "
        f"made-up terrain, lapse rate 6.5 K km-1, with a day and a year; seed {seed}",
    }
    return xr.Dataset(variables, coords, attrs)


def simulate(
    *,
    num_times: int = 480,
    num_latitudes: int = 128,
    num_longitudes: int = 128,
    step_hours: int = 18,
    start: str = "2020-01-01",
    spacing_degrees: float = 0.25,
    seed: int = 0,
    progress: Progress = silent,
) -> xr.Dataset:
    """Simulate surface weather. The same arguments give the same arrays on one machine.

    Args:
        num_times: number of times. A shorter series is the beginning of a longer one.
        num_latitudes: rows, north first, centred at 45 N.
        num_longitudes: columns, eastward from 0 E.
        step_hours: hours between times; with 18, the times are at four hours of the day.
        start: first time, UTC, ISO 8601.
        spacing_degrees: side of a cell in latitude and longitude, degrees.
        seed: random seed of flow and terrain.
        progress: called with (times done, times in all).

    Returns:
        Dataset, as if from a file: `t2m` (K), `u10`, `v10` (m s-1) with dims (time, latitude, longitude), and
        static `orography` (m), `land_fraction` (1) with dims (latitude, longitude); float32.

    Raises:
        SourceError: for an argument outside its range.
    """
    num_times = _check_integer("num_times", num_times, 1, 1_000_000)
    step_hours = _check_integer("step_hours", step_hours, 1, 8784)
    rows = _check_integer("num_latitudes", num_latitudes, 8, 4096)
    columns = _check_integer("num_longitudes", num_longitudes, 8, 4096)
    seed = _check_integer("seed", seed, 0, 2**63 - 1)
    spacing = _spacing(spacing_degrees, rows, columns)
    times = _times(start, num_times, step_hours)
    latitude = CENTRE_LATITUDE + spacing * (np.arange(rows) - (rows - 1) / 2)
    longitude = spacing * np.arange(columns)
    terrain, flow = _terrain_and_flow(rows, columns, spacing * METRES_PER_DEGREE, seed)
    fields = np.empty((3, num_times, rows, columns), np.float32)
    days = (times - np.datetime64("2000-01-01", "ns")) / np.timedelta64(1, "D")
    for index, day in enumerate(days):
        if index:
            flow.advance(PACE * 3600.0 * step_hours)
        eddies = flow.fields(STEERING * 3600.0 * step_hours * index)[:, :rows, :columns]
        fields[:, index] = _surface_fields(eddies, terrain, latitude, longitude, day)
        progress(index + 1, num_times)
    return _dataset(fields, terrain, times, latitude, longitude, seed)


def _terrain_and_flow(rows: int, columns: int, spacing: float, seed: int) -> tuple[Terrain, Flow]:
    """Make the terrain of a window and the flow of the larger periodic domain, cells of side `spacing` (m)."""
    domain = _domain(rows), _domain(columns)
    seeds = np.random.SeedSequence(seed).spawn(2)
    terrain = make_terrain(domain, spacing, seeds[0]).window(rows, columns)
    return terrain, Flow(domain, spacing, WIND_PER_KELVIN * GRADIENT / METRES_PER_DEGREE, seeds[1])


def _surface_fields(eddies: Real, terrain: Terrain, latitude: Real, longitude: Real, days: float) -> Real:
    """Temperature (K) and wind (m s-1) at one time, (3, rows, columns), from theta and wind of the flow (m s-1)."""
    eddies = (1 + 0.2 * season(days)) * eddies  # storms are stronger in winter
    temperature = air_temperature(eddies[0] / WIND_PER_KELVIN, terrain, latitude, longitude, days)
    eddies[1] += WESTERLY
    return np.concatenate([temperature[None], wind_at_10m(eddies[1:], terrain)])
