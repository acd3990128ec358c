"""The built-in weather: its flow against analytic cases, its fields against what the docstrings claim."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subgrid.data.synthetic import simulate as module
from subgrid.data.synthetic import sqg
from subgrid.data.synthetic.simulate import METRES_PER_DEGREE, simulate
from subgrid.errors import SourceError

TINY: dict[str, Any] = {"num_times": 4, "num_latitudes": 24, "num_longitudes": 32}


@pytest.fixture(scope="module")
def tiny() -> xr.Dataset:
    return simulate(**TINY)


@pytest.fixture(scope="module")
def weather() -> xr.Dataset:
    """The default grid, a few times."""
    return simulate(num_times=12)


@pytest.fixture(scope="module")
def year() -> xr.Dataset:
    """A year and more; 78 hours a step take in four hours of the day."""
    return simulate(num_times=120, num_latitudes=48, num_longitudes=48, step_hours=78, spacing_degrees=0.5)


# The flow.


def random_theta(shape: tuple[int, int], seed: int) -> tuple[sqg.Complex, sqg.Modes]:
    modes = sqg.grid_modes(shape, 2.0, np.float64)
    values = np.random.default_rng(seed).standard_normal(shape)
    return sqg.to_modes(values, modes.k.shape[1]) * modes.keep, modes


@pytest.mark.parametrize(("num_x", "num_y"), [(3, 0), (0, 2), (2, -1)])
def test_one_mode_has_the_analytic_wind_and_stays(num_x: int, num_y: int) -> None:
    rows, columns, spacing = 24, 36, 5.0
    kx, ky = 2 * np.pi * num_x / (columns * spacing), 2 * np.pi * num_y / (rows * spacing)
    y, x = np.meshgrid(np.arange(rows) * spacing, np.arange(columns) * spacing, indexing="ij")
    phase, k = kx * x + ky * y, np.hypot(kx, ky)
    modes = sqg.grid_modes((rows, columns), spacing, np.float64)
    theta = sqg.to_modes(np.cos(phase), modes.k.shape[1])
    u, v = (sqg.to_grid(part, columns) for part in sqg.geostrophic(theta, modes))
    # psi = cos(phase) / k, u = -psi_y, v = psi_x.
    np.testing.assert_allclose(u, ky / k * np.sin(phase), atol=1e-12)
    np.testing.assert_allclose(v, -kx / k * np.sin(phase), atol=1e-12)
    later, gone = sqg.step(theta, modes, np.zeros_like(theta), 1.0)
    assert gone == 1.0
    np.testing.assert_allclose(later, theta, atol=1e-14)


def test_advection_is_minus_the_jacobian() -> None:
    # Two modes: J = psi_x theta_y - psi_y theta_x, written out.
    size, spacing = 32, 2 * np.pi / 32
    y, x = np.meshgrid(np.arange(size) * spacing, np.arange(size) * spacing, indexing="ij")
    theta = np.cos(2 * x) + np.sin(3 * y)
    jacobian = (-np.sin(2 * x)) * (3 * np.cos(3 * y)) - np.cos(3 * y) * (-2 * np.sin(2 * x))
    modes = sqg.grid_modes((size, size), spacing, np.float64)
    got, speed = sqg.advection(sqg.to_modes(theta, modes.k.shape[1]), modes)
    np.testing.assert_allclose(sqg.to_grid(got, size), -jacobian, atol=1e-12)
    assert speed == pytest.approx(np.hypot(np.sin(2 * x), np.cos(3 * y)).max())


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(12, 40), columns=st.integers(12, 40), seed=st.integers(0, 2**32 - 1))
def test_the_jacobian_keeps_variance_and_energy_and_the_wind_has_no_divergence(
    rows: int, columns: int, seed: int
) -> None:
    theta, modes = random_theta((rows, columns), seed)
    tendency, _ = sqg.advection(theta, modes)
    u, v = sqg.geostrophic(theta, modes)
    values, change = sqg.to_grid(theta, columns), sqg.to_grid(tendency, columns)
    psi = sqg.to_grid(theta * modes.keep / np.where(modes.k > 0, modes.k, 1), columns)
    for field in (values, psi):
        assert abs((field * change).sum()) < 1e-12 * np.linalg.norm(field) * np.linalg.norm(change)
    assert abs(modes.kx * u + modes.ky * v).max() < 1e-12 * abs(modes.k * u).max()
    # SQG: as much wind as theta, in wind units.
    wind = sqg.to_grid(np.stack([u, v]), columns)
    assert (wind**2).sum() == pytest.approx((values**2).sum())


def test_a_step_keeps_variance_and_is_exact_in_its_linear_terms() -> None:
    theta, modes = random_theta((32, 32), 0)
    theta *= np.exp(-((modes.k / modes.k_max * 3) ** 2))
    variance = sqg.to_grid(theta, 32).var()
    state, time = theta, 0.0
    while time < 5.0:
        state, gone = sqg.step(state, modes, np.zeros_like(theta), 0.05)
        time += gone
    assert sqg.to_grid(state, 32).var() == pytest.approx(variance, rel=1e-6)
    assert abs(state - theta).max() > 0.01 * abs(theta).max()
    linear = -0.3 + 0.2j * modes.kx
    faint, gone = sqg.step(1e-9 * theta, modes, linear, 10.0)
    np.testing.assert_allclose(faint, 1e-9 * theta * np.exp(linear * gone), atol=1e-9 * abs(theta).max() * 1e-6)


def test_a_step_is_cut_where_the_wind_is_strong() -> None:
    theta, modes = random_theta((32, 32), 1)
    _, speed = sqg.advection(100 * theta, modes)
    _, gone = sqg.step(100 * theta, modes, np.zeros_like(theta), 1000.0)
    assert 0 < gone <= sqg.STABLE / (speed * modes.k_max)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "degrees", "days"), [(0, 0.5, 60), (1, 0.5, 60), (2, 0.5, 60), (3, 0.05, 5), (4, 2.0, 60)]
)
def test_the_flow_stays_sane(seed: int, degrees: float, days: float) -> None:
    # 60 days of eddy time are a year of the calendar.
    flow = sqg.Flow((36, 32), degrees * METRES_PER_DEGREE, 1.5e-5, np.random.SeedSequence(seed))
    spreads = []
    for _ in range(10):
        flow.advance(days * 8640)
        spreads.append(flow.fields(0.0)[0].std())
    scale = min(sqg.STIRRING_WAVELENGTH, 16 * degrees * METRES_PER_DEGREE)
    expected = (sqg.CASCADE * max(scale, 6 * degrees * METRES_PER_DEGREE)) ** (1 / 3)
    assert 0.5 * expected < min(spreads) <= max(spreads) < 3 * expected


def test_stirring_and_gradient_are_what_they_say() -> None:
    spacing, gradient = 30_000.0, 1.5e-5
    flow = sqg.Flow((32, 36), spacing, gradient, np.random.SeedSequence(0))
    kicks = np.array([sqg.to_grid(flow._noise(600.0), 36) for _ in range(400)])
    assert (kicks**2).mean() == pytest.approx(2 * sqg.CASCADE * 600.0, rel=0.1)
    # Air from the south is warm: theta gains gamma v.
    level = sqg.Flow((32, 36), spacing, 0.0, np.random.SeedSequence(0))
    _, v = sqg.geostrophic(flow.theta, flow.modes)
    np.testing.assert_allclose((flow._linear - level._linear) * flow.theta, gradient * v, rtol=1e-3, atol=1e-9)


def test_the_drift_carries_the_pattern_east_and_round() -> None:
    spacing = 30_000.0
    flow = sqg.Flow((32, 36), spacing, 1.5e-5, np.random.SeedSequence(0))
    here = flow.fields(0.0)
    np.testing.assert_allclose(flow.fields(5 * spacing), np.roll(here, 5, axis=-1), atol=1e-4)
    np.testing.assert_allclose(flow.fields(36 * 1000 * spacing), here, atol=1e-3)


# The fields.


def power(fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hann-windowed radial spectrum: (cycles per cell, k times the mean power at k)."""
    size = fields.shape[-1]
    window = np.hanning(size + 1)[:-1]
    fields = fields.astype(np.float64) - fields.mean((-2, -1), keepdims=True, dtype=np.float64)
    two_d = (abs(np.fft.fft2(fields * window * window[:, None])) ** 2).reshape(-1, size, size).mean(0)
    number = np.fft.fftfreq(size, 1 / size)
    ring = np.rint(np.hypot(number, number[:, None])).astype(int).ravel()
    mean = np.bincount(ring, two_d.ravel()) / np.bincount(ring)
    k = np.arange(1, size // 2 + 1)
    return k / size, k * mean[k]


@pytest.mark.slow
def test_spectra_fall_as_weather_does_down_to_the_grid(weather: xr.Dataset) -> None:
    fields = {name: weather[name].values for name in ("t2m", "u10", "v10")}
    fields["at sea level"] = (weather.t2m + module.LAPSE_RATE * weather.orography).values
    for name, values in fields.items():
        k, spectrum = power(values)
        inertial = (k >= 1 / 32) & (k <= 1 / 6)
        slope = np.polyfit(np.log(k[inertial]), np.log(spectrum[inertial]), 1)[0]
        assert -4 < slope < -1.5, name
        edges = 0.5 * 2.0 ** (np.arange(-8, 1) / 4)  # quarter octaves, from 8 cells to 2
        bands = [spectrum[(k > low) & (k <= high)].mean() for low, high in itertools.pairwise(edges)]
        assert (np.diff(bands) < 0).all(), name
        # Something to learn below a coarse cell's reach at factor 4, but not most of it.
        assert 0.003 < spectrum[k > 1 / 8].sum() / spectrum.sum() < 0.2, name


def test_the_size_of_things_is_believable(weather: xr.Dataset) -> None:
    speed = np.hypot(weather.u10, weather.v10)
    assert 5 < float(np.sqrt((speed**2).mean())) < 9.5
    assert 15 < float(speed.max()) < 40
    eddies = weather.t2m - weather.t2m.mean("time")
    assert 3 < float(eddies.std()) < 6
    assert 1500 < float(weather.orography.max()) < 5500
    assert 0.2 < float(weather.land_fraction.mean()) < 0.8
    assert float(weather.land_fraction.min()) < 0.05 < 0.95 < float(weather.land_fraction.max()) <= 1
    assert float(weather.orography.min()) == 0
    north_south = float(weather.t2m.mean(("time", "longitude")).polyfit("latitude", 1).polyfit_coefficients[0])
    assert -1.2 < north_south < -0.2


@pytest.mark.slow
def test_lapse_rate_can_be_recovered(year: xr.Dataset) -> None:
    mean = year.t2m.mean("time")
    latitude = mean.latitude.broadcast_like(mean)
    columns = [np.ones(mean.size)] + [a.values.ravel() for a in (year.orography, latitude, year.land_fraction)]
    fit = np.linalg.lstsq(np.stack(columns, 1), mean.values.ravel(), rcond=None)[0]
    assert fit[1] * 1000 == pytest.approx(-6.5, abs=0.5)
    assert fit[2] == pytest.approx(-0.6, abs=0.1)


def amplitudes(year: xr.Dataset, where: np.ndarray) -> tuple[float, float]:
    """Annual and diurnal amplitude (K) over some cells, by regression on both cycles in local solar time."""
    days = (year.time.values - np.datetime64("2000-01-01")) / np.timedelta64(1, "D")
    hour = (24 * (days[:, None] % 1) + year.longitude.values / 15)[:, None, :]
    phases = [2 * np.pi * days[:, None, None] / 365.2425, 2 * np.pi * hour / 24]
    cycles = [wave(phase) for phase in phases for wave in (np.cos, np.sin)]
    shape = year.t2m.shape
    design = np.stack([np.ones(shape)] + [np.broadcast_to(cycle, shape) for cycle in cycles], -1)[:, where]
    values = (year.t2m - year.t2m.mean("time")).values[:, where]
    fit = np.linalg.lstsq(design.reshape(-1, 5), values.ravel(), rcond=None)[0]
    return float(np.hypot(*fit[1:3])), float(np.hypot(*fit[3:5]))


def test_year_and_day_can_be_recovered(year: xr.Dataset) -> None:
    land = year.land_fraction.values
    annual, diurnal = amplitudes(year, land > 0.98)
    assert annual == pytest.approx(9.0, abs=1.0)
    assert diurnal == pytest.approx(4.5, abs=1.0)
    annual, diurnal = amplitudes(year, land < 0.02)
    assert annual == pytest.approx(5.0, abs=1.0)
    assert diurnal < 1.4


def flat(land: float) -> module.Terrain:
    zero = np.zeros((1, 4))
    return module.Terrain(zero, zero + land, np.zeros((2, 1, 4)), zero)


def test_day_peaks_in_the_local_afternoon_and_more_in_summer() -> None:
    longitude = np.array([0.0, 90.0, 180.0, 270.0])

    def day(land: float, date: str) -> np.ndarray:
        first = (np.datetime64(date) - np.datetime64("2000-01-01")) / np.timedelta64(1, "D")
        zero, north = np.zeros((1, 4)), np.array([45.0])
        hours = [module.air_temperature(zero, flat(land), north, longitude, first + h / 48) for h in range(48)]
        return np.array(hours)[:, 0]

    summer, winter = day(1.0, "2021-07-20"), day(1.0, "2021-01-20")
    for column, west in enumerate([0, 12, 24, 36]):  # half hours earlier in UTC
        assert summer[:, column].argmax() == (29 - west) % 48
    assert np.ptp(summer, axis=0) == pytest.approx(13, abs=0.1)
    assert np.ptp(winter, axis=0) == pytest.approx(5, abs=0.1)
    assert np.ptp(day(0.0, "2021-07-20"), axis=0) == pytest.approx(0.8, abs=0.1)
    assert summer.mean() - winter.mean() == pytest.approx(18, abs=0.1)


def test_ground_slows_turns_speeds_up_and_blocks_the_wind() -> None:
    west = np.stack([np.full((1, 4), 10.0), np.zeros((1, 4))])
    for land, speed, angle in [(0.0, 7.5, 15), (1.0, 5.0, 30)]:
        u, v = module.wind_at_10m(west, flat(land))
        np.testing.assert_allclose(np.hypot(u, v), speed)
        np.testing.assert_allclose(np.degrees(np.arctan2(v, u)), angle)
    level = flat(1.0)
    ridge = module.Terrain(level.height, level.land, level.slope, level.exposure + 1000)
    np.testing.assert_allclose(np.hypot(*module.wind_at_10m(west, ridge)), 7.0)
    for axis in (0, 1):
        slope = np.zeros((2, 1, 4))
        slope[axis] = 0.02  # half of the most is lost across, nothing along
        wall = module.Terrain(level.height, level.land, slope, level.exposure)
        before, after = module.wind_at_10m(west, level), module.wind_at_10m(west, wall)
        np.testing.assert_allclose(after[axis], 0.65 * before[axis])
        np.testing.assert_allclose(after[1 - axis], before[1 - axis])


# The dataset and its arguments.


def test_it_looks_like_a_cf_file(tiny: xr.Dataset) -> None:
    expected = {
        "t2m": ("K", "air_temperature"),
        "u10": ("m s-1", "eastward_wind"),
        "v10": ("m s-1", "northward_wind"),
        "orography": ("m", "surface_altitude"),
        "land_fraction": ("1", "land_area_fraction"),
    }
    assert set(tiny.data_vars) == set(expected)
    for name, (units, standard_name) in expected.items():
        array = tiny[name]
        assert (array.attrs["units"], array.attrs["standard_name"]) == (units, standard_name)
        assert array.attrs["long_name"]
        assert array.dtype == np.float32
        assert bool(np.isfinite(array).all())
        static = name in ("orography", "land_fraction")
        assert array.dims == (("latitude", "longitude") if static else ("time", "latitude", "longitude"))
    assert tiny.sizes == {"time": 4, "latitude": 24, "longitude": 32}
    np.testing.assert_allclose(np.diff(tiny.latitude), -0.25)
    assert float(tiny.latitude.mean()) == pytest.approx(45)
    np.testing.assert_allclose(tiny.longitude, 0.25 * np.arange(32))
    assert tiny.time.values[[0, -1]].astype("datetime64[h]").astype(str).tolist() == [
        "2020-01-01T00",
        "2020-01-03T06",
    ]
    assert tiny.attrs["Conventions"] == "CF-1.11"
    assert "seed 0" in tiny.attrs["source"]
    assert tiny.attrs["title"]
    assert tiny.latitude.attrs["units"] == "degrees_north"
    assert tiny.longitude.attrs["units"] == "degrees_east"


def test_same_seed_same_weather_and_a_short_series_begins_a_long_one(tiny: xr.Dataset) -> None:
    xr.testing.assert_identical(simulate(**TINY), tiny)
    longer = simulate(**{**TINY, "num_times": 7})
    assert longer.sizes["time"] == 7
    xr.testing.assert_identical(longer.isel(time=slice(4)), tiny)


@pytest.mark.slow
def test_each_argument_bites(tiny: xr.Dataset) -> None:
    seeded = simulate(**TINY, seed=1)
    for name in tiny.data_vars:
        assert float(abs(seeded[name] - tiny[name]).max()) > 0.1, name
    assert "seed 1" in seeded.attrs["source"]

    hourly = simulate(**TINY, step_hours=1)
    np.testing.assert_array_equal(hourly.u10[0], tiny.u10[0])
    assert float(abs(hourly.u10 - tiny.u10.values)[1:].max()) > 1
    assert hourly.time.values[1] - hourly.time.values[0] == np.timedelta64(1, "h")
    change = [float(np.sqrt((ds.u10.diff("time") ** 2).mean())) for ds in (hourly, tiny)]
    assert change[0] < 0.5 * change[1]

    july = simulate(**TINY, start="2020-07-01T06:00")
    assert str(july.time.values[0])[:16] == "2020-07-01T06:00"
    assert float(july.t2m.mean() - tiny.t2m.mean()) > 6
    xr.testing.assert_identical(july.orography, tiny.orography)

    wide = simulate(**TINY, spacing_degrees=1.0)
    np.testing.assert_allclose(np.diff(wide.longitude), 1.0)
    assert float(wide.t2m.std()) > float(tiny.t2m.std())

    shape = simulate(num_times=1, num_latitudes=9, num_longitudes=45).t2m.shape
    assert shape == (1, 9, 45)

    calls: list[tuple[int, int]] = []
    simulate(**TINY, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_times": 0},
        {"num_times": 2.5},
        {"num_times": True},
        {"num_latitudes": 7},
        {"num_longitudes": 5000},
        {"step_hours": 0},
        {"seed": -1},
        {"seed": "a"},
        {"spacing_degrees": 0.0},
        {"spacing_degrees": float("nan")},
        {"spacing_degrees": "wide"},
        {"spacing_degrees": 1.0},  # 128 rows would reach past the pole
        {"start": "2020-13-01"},
        {"start": "yesterday"},
        {"start": "NaT"},
        {"start": 2020},
        {"start": "3000-01-01"},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_by_name(wrong: dict[str, Any]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(SourceError) as error:
        simulate(**wrong)
    message = str(error.value)
    assert message.startswith(f"simulate: {name} is {value!r}")
    assert "expected" in message
