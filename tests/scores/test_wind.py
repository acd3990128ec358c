"""Wind scores against plain loops, and derivatives against closed forms on the sphere and the plane."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subgrid.errors import ConfigError, GridError, SourceError
from subgrid.scores.score import root
from subgrid.scores.spectra import high_wavenumber_power_statistics, power_spectrum, ratio
from subgrid.scores.wind import (
    EARTH_RADIUS,
    derive,
    direction,
    direction_error,
    direction_error_statistics,
    speed,
    vector_error_statistics,
)


def winds(shape=(3, 5, 4), seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) * 2 for _ in range(4)]


def wind_from(degrees, strength=5.0):
    """Components of a wind that comes from there."""
    angle = np.deg2rad(np.reshape(degrees, (1, 1, -1)).astype(np.float64))
    return -strength * np.sin(angle), -strength * np.cos(angle)


def error_of(predicted, true):
    return float(direction_error(direction_error_statistics(*wind_from([predicted]), *wind_from([true])).mean(axis=0)))


# --- Speed, direction, vectors ---


def test_direction_says_where_the_wind_comes_from():
    u, v = (np.array(part, np.float64).reshape(1, 1, -1) for part in ([0, -1, 0, 1, 1, 0], [-1, 0, 1, 0, 1, 0]))
    assert direction(u, v).ravel().tolist()[:5] == [0, 90, 180, 270, 225]
    assert np.isnan(direction(u, v).ravel()[5])
    assert direction(np.full((1, 1, 1), 1e-30), np.full((1, 1, 1), -1.0)).item() == 0.0


@given(st.floats(0, 359.99), st.floats(0.1, 50))
def test_direction_and_speed_give_back_the_wind(degrees, strength):
    u, v = wind_from([degrees], strength)
    assert speed(u, v).item() == pytest.approx(strength)
    assert (direction(u, v).item() - degrees + 180) % 360 == pytest.approx(180, abs=1e-9)


def test_direction_error_goes_round_the_short_way():
    assert error_of(10, 350) == pytest.approx(20)
    assert error_of(350, 10) == pytest.approx(20)
    assert error_of(90, 270) == pytest.approx(180)
    assert error_of(45, 45) == 0


@given(st.floats(0, 360), st.floats(0, 360), st.floats(0, 360))
def test_direction_error_is_symmetric_and_turns_with_the_compass(predicted, true, turn):
    expected = min(abs(predicted - true), 360 - abs(predicted - true))
    assert error_of(predicted, true) == pytest.approx(expected, abs=1e-6)
    assert error_of(true, predicted) == pytest.approx(expected, abs=1e-6)
    assert error_of(predicted + turn, true + turn) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("threshold", [0.0, 1.0, 2.5])
def test_parts_equal_plain_loops_with_weights_and_gaps(threshold):
    u, v, u_r, v_r = winds()
    u[0, 0, 0] = v[0, 0, 0] = 0.0
    u_r[0, 0, 0] = 9.0
    u_r[1, 2, 3] = v_r[2, 0, 0] = np.nan
    v[1, 2, 3] = u[2, 0, 0] = np.nan
    weights = np.random.default_rng(1).uniform(size=5)
    angles, vectors = (
        direction_error_statistics(u, v, u_r, v_r, threshold=threshold, weights=weights),
        vector_error_statistics(u, v, u_r, v_r, weights=weights),
    )
    for time in range(3):
        total = turned = strong = squares = 0.0
        for y in range(5):
            for x in range(4):
                a, b, c, d = (float(part[time, y, x]) for part in (u, v, u_r, v_r))
                if math.isnan(c + d):
                    continue
                total += weights[y]
                squares += weights[y] * ((a - c) ** 2 + (b - d) ** 2)
                if math.sqrt(c * c + d * d) <= threshold:
                    continue
                strong += weights[y]
                cosine = (a * c + b * d) / math.hypot(a, b) / math.hypot(c, d) if a or b else 0.0
                turned += weights[y] * math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
        assert angles[time] == pytest.approx([turned / total, strong / total], rel=1e-9)
        assert vectors[time] == pytest.approx([squares / total], rel=1e-12)


def test_pooled_direction_error_counts_winds_and_not_times():
    u, v = (np.concatenate(parts) for parts in zip(wind_from([30] * 4), wind_from([10] * 4), strict=True))
    u_r, v_r = np.zeros((2, 1, 4)), np.full((2, 1, 4), -3.0)
    v_r[1, 0, 1:] = -0.5
    mean = direction_error_statistics(u, v, u_r, v_r).mean(axis=0)
    assert direction_error(mean) == pytest.approx((4 * 30 + 10) / 5)


def test_only_strong_winds_have_a_direction():
    u, v = np.ones((1, 1, 2)), np.zeros((1, 1, 2))
    assert np.isnan(direction_error(direction_error_statistics(u, v, u, v).mean(axis=0)))
    assert direction_error(direction_error_statistics(u, v, u, v, threshold=0.9).mean(axis=0)) == 0


def test_vector_rmse_is_that_of_both_components():
    u, v, u_r, v_r = winds()
    expected = math.sqrt(((u - u_r) ** 2).mean() + ((v - v_r) ** 2).mean())
    assert float(root(vector_error_statistics(u, v, u_r, v_r).mean(axis=0))) == pytest.approx(expected)
    assert vector_error_statistics(u, v, u, v).max() == 0


# --- Divergence and vorticity ---


@pytest.mark.parametrize("north_first", [True, False])
@pytest.mark.parametrize("longitudes", [np.arange(0, 360, 5.0), np.array([3.0, 4, 7, 9]), np.arange(40, -30, -4.0)])
def test_solid_rotation_on_the_sphere(longitudes, north_first):
    latitude = np.array([-88.0, -60, -41, -20, 0, 7, 33, 71, 89])
    latitude = latitude[::-1] if north_first else latitude
    omega = 7.292e-5
    u = np.broadcast_to((omega * EARTH_RADIUS * np.cos(np.deg2rad(latitude)))[:, None], (9, len(longitudes)))[None]
    for periodic in {len(longitudes) == 72, False}:
        found = derive(u, 0 * u, latitude, longitudes, geometry="sphere", periodic_x=periodic)
        expected = 2 * omega * np.sin(np.deg2rad(latitude))[:, None] + 0 * u
        np.testing.assert_allclose(found["vorticity"], expected, atol=1e-15)
        np.testing.assert_allclose(found["divergence"], 0, atol=1e-15)
        np.testing.assert_array_equal(found["wind_speed"], u)


def test_a_potential_flow_on_the_sphere_converges_at_second_order():
    # chi = a cos^2(p) cos(2 l): its Laplacian is -6 / a^2 times it, its wind without vorticity; psi likewise.
    errors = []
    for cells in (36, 72):
        latitude = np.linspace(70, -70, cells)
        longitude = np.arange(cells) * 360 / cells
        p, lam = np.deg2rad(latitude)[:, None], np.deg2rad(longitude)
        east, north = -2 * np.cos(p) * np.sin(2 * lam), -2 * np.cos(p) * np.sin(p) * np.cos(2 * lam)
        expected = -6 / EARTH_RADIUS * np.cos(p) ** 2 * np.cos(2 * lam)
        options = {"geometry": "sphere", "periodic_x": True}
        flow = derive(east[None], north[None], latitude, longitude, **options)
        turned = derive(-north[None], east[None], latitude, longitude, **options)
        scale = np.abs(expected).max()
        errors.append(np.abs(flow["divergence"][0] - expected).max() / scale)
        np.testing.assert_allclose(turned["vorticity"], flow["divergence"], atol=1e-18)
        np.testing.assert_allclose(turned["divergence"], -flow["vorticity"], atol=1e-18)
        assert np.abs(flow["vorticity"]).max() / scale < 0.05
    assert errors[1] < 0.3 * errors[0] < 0.03


@given(st.lists(st.floats(-1e-3, 1e-3), min_size=4, max_size=4), st.booleans(), st.integers(3, 7))
@settings(max_examples=25, deadline=None)
def test_linear_winds_on_the_plane_are_exact(slopes, north_first, cells):
    rng = np.random.default_rng(cells)
    y, x = 1e4 * np.cumsum(rng.uniform(0.5, 1.5, cells)), 1e4 * np.arange(5.0)
    y = y[::-1] if north_first else y
    ux, uy, vx, vy = slopes
    u = (ux * x + uy * y[:, None] + 3)[None]
    v = (vx * x + vy * y[:, None] - 8)[None]
    found = derive(u, v, y, x, geometry="plane")
    np.testing.assert_allclose(found["divergence"], ux + vy, atol=1e-13)
    np.testing.assert_allclose(found["vorticity"], vx - uy, atol=1e-13)


def test_a_periodic_plane_has_no_edge():
    x, y = 2e3 * np.arange(32), 1e3 * np.arange(8.0)
    wave = 2 * np.pi / (32 * 2e3)
    u = np.broadcast_to(np.sin(wave * x), (1, 8, 32))
    found = derive(u, 2 * u, y, x, geometry="plane", periodic_x=True)
    # A centred difference sees sin(k h) / h for k.
    expected = np.sin(wave * 2e3) / 2e3 * np.cos(wave * x)
    np.testing.assert_allclose(found["divergence"], np.broadcast_to(expected, (1, 8, 32)), atol=1e-15)
    np.testing.assert_allclose(found["vorticity"], np.broadcast_to(2 * expected, (1, 8, 32)), atol=1e-15)
    rolled = derive(np.roll(u, 5, axis=2), 2 * u, y, x, geometry="plane", periodic_x=True)
    np.testing.assert_allclose(rolled["divergence"], np.roll(found["divergence"], 5, axis=2), atol=1e-15)
    open_ended = derive(u, 2 * u, y, x, geometry="plane")
    assert not np.allclose(open_ended["divergence"][..., 0], found["divergence"][..., 0], rtol=1e-3)


def test_spectra_of_divergence_tell_rough_winds_from_right_ones():
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(2, 4, 16, 16))
    y = x = 1e4 * np.arange(16.0)
    truth, half = derive(u, v, y, x, geometry="plane"), derive(0.5 * u, 0.5 * v, y, x, geometry="plane")
    for name in ("divergence", "vorticity"):
        parts = high_wavenumber_power_statistics(half[name], truth[name], factor=2)
        assert ratio(parts.mean(axis=0)) == pytest.approx(0.25)
        np.testing.assert_allclose(power_spectrum(half[name])[1], 0.25 * power_spectrum(truth[name])[1])


def test_gaps_spread_to_neighbours_and_no_further():
    u, v = np.ones((2, 1, 7, 7))
    u[0, 3, 3] = np.nan
    found = derive(u, np.ma.masked_greater(v, 2), np.arange(7.0), np.arange(7.0), geometry="plane")
    assert np.isnan(found["divergence"]).sum() == 2
    assert np.isnan(found["vorticity"]).sum() == 2
    assert np.isnan(found["wind_speed"]).sum() == 1


# --- What is refused ---


def test_what_does_not_fit_is_refused():
    u, v, u_r, v_r = winds()
    y, x = np.arange(5.0), np.arange(4.0)
    with pytest.raises(GridError, match=r"u has shape \(3, 5, 4\) and v \(2, 5, 4\)"):
        speed(u, v[:2])
    with pytest.raises(GridError, match="same times and grid"):
        vector_error_statistics(u, v, u_r[:2], v_r[:2])
    with pytest.raises(ConfigError, match="threshold is -1"):
        direction_error_statistics(u, v, u_r, v_r, threshold=-1)
    with pytest.raises(ConfigError, match="geometry is 'cube'"):
        derive(u, v, y, x, geometry="cube")
    with pytest.raises(GridError, match="none on a pole"):
        derive(u, v, np.linspace(90, 80, 5), x, geometry="sphere")
    for bad in (x[:3], np.array([0, 1, 1, 2]), np.array([358, 359, 0, 1])):
        with pytest.raises(GridError, match="x has shape"):
            derive(u, v, y, bad, geometry="sphere")
    with pytest.raises(GridError, match="expected 3 numbers"):
        derive(u[:, :2], v[:, :2], y[:2], x, geometry="plane")


def test_a_gap_in_the_prediction_is_refused():
    u, v, u_r, v_r = winds()
    v[1, 0, 0] = np.nan
    for parts in (direction_error_statistics, vector_error_statistics):
        with pytest.raises(SourceError, match="prediction holds 1"):
            parts(u, v, u_r, v_r)
    u_r[2] = np.nan
    v[1, 0, 0] = 0
    with pytest.raises(SourceError, match="no value at all"):
        vector_error_statistics(u, v, u_r, v_r)
