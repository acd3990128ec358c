"""Grids against plain loops and torch: coarsening, refining, areas, nesting."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import make_fields, real_file
from subgrid.data.grid import (
    axis_weights,
    cell_area,
    cell_edges,
    check_nesting,
    coarsen,
    crop_to_multiple,
    is_periodic,
    refine_coords,
    same_axis,
    spatial_dims,
)
from subgrid.data.sources.open_source import open_source
from subgrid.errors import GridError


def grid(latitudes: Any, longitudes: Any = tuple(range(8)), **options: Any) -> xr.Dataset:
    return make_fields(2, latitudes, longitudes, **options).astype(np.float64)


def exactly(text: str) -> str:
    return f"^{re.escape(text)}$"


@st.composite
def grids(draw: st.DrawFn) -> tuple[xr.Dataset, int]:
    """Fine fields with uneven latitudes in either order, and a factor that divides them."""
    factor = draw(st.integers(2, 5))
    rows, columns = (factor * draw(st.integers(1, 5)) for _ in range(2))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    steps = rng.uniform(0.5, 1.5, rows + 1).cumsum()
    lat = (
        90 - 180 * steps[:-1] / steps[-1] if draw(st.booleans()) else draw(st.floats(-40, 89)) - np.arange(rows) * 0.25
    )
    lon = draw(st.floats(-180, 180)) + np.arange(columns) * draw(st.sampled_from([0.1, 1.0, 2.5]))
    order = draw(st.sampled_from([1, -1]))
    return grid(lat[::order], lon, mean=draw(st.sampled_from([0.0, 273.0])), seed=rows), factor


# --- Coarsening ---


def looped_mean(fields: xr.Dataset, factor: int) -> np.ndarray:
    """The integral of cos(latitude) over each cell, written out, cell by cell."""
    lat, lon, values = fields.latitude.values, fields.longitude.values, fields["t2m"].values
    bounds = [[float(e) for e in cell_edges(axis)] for axis in (lat, lon)]
    out = np.zeros((values.shape[0], lat.size // factor, lon.size // factor))
    for t in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                total = weight = 0.0
                for r in range(i * factor, (i + 1) * factor):
                    for c in range(j * factor, (j + 1) * factor):
                        # sin a - sin b = 2 cos((a + b) / 2) sin((a - b) / 2)
                        a, b = (np.radians(np.clip(bounds[0][k], -90, 90)) for k in (r, r + 1))
                        area = abs(2 * np.cos((a + b) / 2) * np.sin((a - b) / 2) * (bounds[1][c + 1] - bounds[1][c]))
                        total += area * values[t, r, c]
                        weight += area
                out[t, i, j] = total / weight
    return out


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_the_mean_equals_a_plain_loop(factor: int) -> None:
    fields = grid(90 - np.arange(12) * 1.7, np.arange(12) * 2.0, mean=3.0)
    got = coarsen(fields, factor)["t2m"]
    np.testing.assert_allclose(got.values, looped_mean(fields, factor), rtol=0, atol=1e-12)
    # Off the equator, the weights matter.
    plain = fields["t2m"].coarsen(latitude=factor, longitude=factor).mean()
    assert abs(got.values - plain.values).max() > 1e-3


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(grids())
def test_the_global_mean_is_conserved(case: tuple[xr.Dataset, int]) -> None:
    fields, factor = case
    out = coarsen(fields, factor)
    fine_area = cell_area(fields)
    area = fine_area.reshape(out.latitude.size, factor, out.longitude.size, factor).sum((1, 3))
    for before, after in zip(fields["t2m"].values, out["t2m"].values, strict=True):
        assert np.average(after, weights=area) == pytest.approx(
            np.average(before, weights=fine_area), rel=1e-12, abs=1e-12
        )


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_bilinear_equals_torch_without_antialiasing(factor: int) -> None:
    fields = grid(60 - np.arange(24) * 0.5, np.arange(48) * 0.5, mean=0.0, names=("u", "v"))
    got = coarsen(fields, factor, "bilinear")
    x = torch.from_numpy(np.stack([fields["u"].values, fields["v"].values], 1))
    expected = torch.nn.functional.interpolate(
        x, scale_factor=1 / factor, mode="bilinear", align_corners=False, antialias=False
    )
    np.testing.assert_allclose(np.stack([got["u"].values, got["v"].values], 1), expected.numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", ["mean", "bilinear"])
def test_a_missing_value_spreads_to_its_coarse_cell_alone(method: Any) -> None:
    fields = grid(np.arange(8) * -1.0)
    whole = coarsen(fields, 2, method)["t2m"].values
    fields["t2m"][1, 4, 3] = np.nan
    got = coarsen(fields, 2, method)["t2m"].values
    assert np.argwhere(np.isnan(got)).tolist() == [[1, 2, 1]]
    np.testing.assert_array_equal(got[~np.isnan(got)], whole[~np.isnan(got)])


def test_coarse_fields_keep_attributes_dtype_order_and_stay_lazy() -> None:
    fields = make_fields(4).chunk(valid_time=2).assign_attrs(source="here")
    out = coarsen(fields, 4)
    assert out["t2m"].chunks is not None
    assert (out["t2m"].dims, out["t2m"].dtype) == (("valid_time", "latitude", "longitude"), np.float32)
    assert out["t2m"].attrs == {"units": "K", "long_name": "t2m"}
    assert out.attrs == {"source": "here"}
    assert out.latitude.values.tolist() == [2.0, -2.0]
    assert out.latitude.attrs["units"] == "degrees_north"


@pytest.mark.parametrize(
    ("factor", "method", "text"),
    [
        (3, "mean", "latitude has 8 cells, not a multiple of factor 3; call crop_to_multiple first."),
        (1, "mean", "factor must be a whole number of at least 2, got 1."),
        (2.0, "mean", "factor must be a whole number of at least 2, got 2.0."),
        (2, "max", "unknown coarsening method 'max'. Valid: 'mean' (area-weighted), 'bilinear' (at the cell centre)."),
    ],
)
def test_what_cannot_be_coarsened_is_refused(factor: Any, method: Any, text: str) -> None:
    with pytest.raises(GridError, match=exactly(text)):
        coarsen(make_fields(1), factor, method)


def test_fields_without_a_known_grid_are_refused() -> None:
    with pytest.raises(
        GridError, match=r"^no horizontal grid: got dimensions lat, lon, expected one of \(latitude, long"
    ):
        spatial_dims(xr.Dataset({"a": (("lat", "lon"), np.zeros((2, 2)))}))


# --- Refining and areas ---


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    factor=st.integers(2, 8),
    cells=st.integers(2, 12),
    step=st.sampled_from([0.05, 0.1, 0.25, 0.3, 1 / 3, 0.5, 1.0, 1.125]),
    north=st.sampled_from([90.0, 89.875, 45.3, 0.0]),
)
def test_refining_gives_the_fine_coordinates_back(factor: int, cells: int, step: float, north: float) -> None:
    lat = north - np.arange(cells * factor) * step
    lon = 5.0 + np.arange(cells * factor) * step
    for rows in (lat, -lat[::-1]):  # from one pole, to the other
        fine = refine_coords(coarsen(grid(rows, lon), factor), factor)
        np.testing.assert_allclose(fine["latitude"].values, rows, rtol=0, atol=1e-12)
        np.testing.assert_allclose(fine["longitude"].values, lon, rtol=0, atol=1e-12)
        assert abs(fine["latitude"].values).max() <= 90.0


def test_coordinates_of_binary_fractions_come_back_exactly() -> None:
    fields = grid(90 - np.arange(720) * 0.25, np.arange(1440) * 0.25).isel(valid_time=0)
    fine = refine_coords(coarsen(fields, 4), 4)
    np.testing.assert_array_equal(fine["latitude"].values, fields.latitude.values)
    np.testing.assert_array_equal(fine["longitude"].values, fields.longitude.values)
    assert fine["latitude"].attrs == fields.latitude.attrs


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_global_grid_with_rows_on_the_poles_is_refined_up_to_them(factor: int) -> None:
    lat = refine_coords(grid(90 - np.arange(181.0), np.arange(360.0)).isel(valid_time=0), factor)["latitude"].values
    lon = refine_coords(grid(90 - np.arange(181.0), np.arange(360.0)).isel(valid_time=0), factor)["longitude"].values
    assert (lat.size, lon.size) == (181 * factor, 360 * factor)
    assert (np.diff(lat) < 0).all()
    np.testing.assert_allclose(lat, -lat[::-1], atol=1e-12)
    # The polar row reaches from 90 to 89.5 and is split evenly; the others keep the fine step.
    np.testing.assert_allclose(lat[:factor], 90 - 0.5 * (np.arange(factor) + 0.5) / factor, atol=1e-12)
    np.testing.assert_allclose(np.diff(lat[factor:-factor]), -1 / factor, atol=1e-12)
    np.testing.assert_allclose(np.diff(lon), 1 / factor, atol=1e-12)


@pytest.mark.parametrize("north", [90.0 - 0.5 / 4, 41.0])
def test_areas_of_fine_cells_add_up_to_that_of_the_coarse_cell(north: float) -> None:
    fine = grid(north - np.arange(40) * 0.25, np.arange(16) * 0.25)
    coarse = coarsen(fine, 4)
    summed = axis_weights(fine.latitude).reshape(-1, 4).sum(1)
    np.testing.assert_allclose(axis_weights(coarse.latitude), summed, rtol=1e-12)
    np.testing.assert_allclose(axis_weights(coarse.longitude), axis_weights(fine.longitude).reshape(-1, 4).sum(1))


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_the_sphere_is_covered_once(factor: int) -> None:
    fields = grid(90 - np.arange(181.0), np.arange(360.0)).isel(valid_time=0)
    fine = xr.Dataset(coords=refine_coords(fields, factor) if factor > 1 else fields.coords)
    # Between sin -90 and sin 90 lies 2, round the circle 360 degrees.
    assert axis_weights(fine.latitude).sum() == pytest.approx(2.0, rel=1e-12)
    assert axis_weights(fine.longitude).sum() == pytest.approx(360.0, rel=1e-12)
    assert cell_area(fine).mean() == pytest.approx(1.0)
    assert cell_area(fine).shape == (fine.sizes["latitude"], fine.sizes["longitude"])


def test_projected_cells_weigh_alike_and_one_cell_has_a_width() -> None:
    axes = {"projection_y_coordinate": [2e6, 1e6, 0.0], "projection_x_coordinate": [0.0, 1e6]}
    np.testing.assert_allclose(cell_area(xr.Dataset(coords=axes)), np.ones((3, 2)))
    assert cell_edges([7.0]).tolist() == [6.5, 7.5]
    assert cell_edges([3.0, 1.0, 0.0]).tolist() == [4.0, 2.0, 0.5, -0.5]


# --- Round the circle ---

GAUSSIAN = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(96)[0]))[::-1]


@pytest.mark.parametrize(
    ("longitudes", "closes"),
    [
        (np.arange(360.0), True),
        (np.arange(-180.0, 180.0), True),
        ((np.arange(144) * 2.5).astype(np.float32), True),
        ((np.arange(512) * (360 / 512)).astype(np.float32) + np.float32(1e-5), True),
        (np.arange(192) * 1.875, True),
        (np.arange(359.0), False),
        (np.arange(361.0), False),
        (np.arange(10.0, 60.0), False),
        ([0.0], False),
    ],
)
def test_whether_longitudes_close_the_circle(longitudes: Any, closes: bool) -> None:
    assert is_periodic(grid(GAUSSIAN, longitudes).isel(valid_time=0)) is closes


def test_projected_axes_never_close_a_circle() -> None:
    fields = grid([1.0, 0.0], np.arange(360.0))
    fields = fields.rename(latitude="projection_y_coordinate", longitude="projection_x_coordinate")
    assert not is_periodic(fields)


# --- Cropping ---


def test_rows_are_cropped_at_the_south() -> None:
    fields = grid(90 - np.arange(181.0), np.arange(360.0)).isel(valid_time=[0])
    out, said = crop_to_multiple(fields, 4)
    assert out.sizes["latitude"] == 180
    assert (out.latitude.values[0], out.latitude.values[-1]) == (90.0, -89.0)
    assert said == (
        "181 x 360 cells are not a multiple of factor 4: dropped 1 row(s) at the southern edge and 0 column(s) at the "
        "eastern edge, 180 x 360 remain"
    )
    again, nothing = crop_to_multiple(out, 4)
    assert nothing is None
    assert again is out


def test_columns_cropped_from_the_globe_open_the_circle() -> None:
    out, said = crop_to_multiple(grid(np.arange(8) * -1.0, np.arange(360.0)), 7)
    assert out.longitude.values[-1] == 356.0
    assert said is not None
    assert said.endswith("7 x 357 remain; the longitudes no longer go round the globe")
    assert not is_periodic(out)
    regional = crop_to_multiple(grid(np.arange(8) * -1.0, np.arange(10.0)), 7)[1]
    assert regional is not None
    assert regional.endswith("7 x 7 remain")


def test_a_domain_below_one_coarse_cell_is_refused() -> None:
    text = "latitude has 3 cells, fewer than one coarse cell of factor 4; use a smaller factor or a larger domain."
    with pytest.raises(GridError, match=exactly(text)):
        crop_to_multiple(grid([2.0, 1.0, 0.0]), 4)


# --- Nesting ---


def pair() -> tuple[xr.Dataset, xr.Dataset]:
    fine = make_fields(1)
    return coarsen(fine, 2), fine


def test_a_coarsened_grid_nests() -> None:
    coarse, fine = pair()
    check_nesting(coarse, fine, 2)
    # Float32 noise in one of them does no harm.
    check_nesting(coarse.assign_coords(longitude=coarse.longitude + 1e-4), fine, 2)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda coarse: coarse.assign_coords(longitude=coarse.longitude.values + np.eye(4)[2] / 2),
            (
                "longitude: coarse and fine cells do not nest; coarse cell 2 is centred on 15.5, its 2 fine cells on 15. "
                "Put both on one domain, or let subgrid coarsen the fine fields."
            ),
        ),
        (
            lambda coarse: coarse.isel(latitude=slice(0, 3)),
            (
                "latitude: 8 fine cells do not nest in 3 coarse cells at factor 2 (expected 6); crop both to the same domain "
                "or change the factor."
            ),
        ),
        (
            lambda coarse: coarse.rename(latitude="grid_latitude", longitude="grid_longitude"),
            (
                "the coarse grid is ('grid_latitude', 'grid_longitude'), the fine grid ('latitude', 'longitude'). Regrid one "
                "of them to the kind of the other."
            ),
        ),
    ],
)
def test_what_does_not_nest_is_refused(change: Any, text: str) -> None:
    coarse, fine = pair()
    with pytest.raises(GridError, match=exactly(text)):
        check_nesting(change(coarse), fine, 2)


def test_axes_are_the_same_to_a_hundredth_of_a_cell() -> None:
    assert same_axis([0.0, 1.0], [0.009, 1.0])
    assert not same_axis([0.0, 1.0], [0.011, 1.0])
    assert not same_axis([0.0, 1.0], [0.0, 1.0, 2.0])
    assert same_axis([5.0], [5.0])


@pytest.mark.realdata
def test_the_real_pair_nests_and_a_shifted_one_does_not() -> None:
    coarse, fine = (open_source(real_file(f"static_pair/orog_{m}_rectilinear_grid_2D.nc")) for m in ("mod2", "mod3"))
    y, x = spatial_dims(coarse)
    assert (y, x) == ("grid_latitude", "grid_longitude")
    assert (coarse.sizes[y], coarse.sizes[x]) == (201, 194)
    assert (fine.sizes[y], fine.sizes[x]) == (402, 388)
    check_nesting(coarse, fine, 2)
    with pytest.raises(GridError, match=r"^grid_longitude: coarse and fine cells do not nest; coarse cell"):
        check_nesting(coarse, fine.assign_coords({x: fine[x] + 0.22}), 2)
    with pytest.raises(GridError, match=r"^grid_latitude: 402 fine cells .* at factor 4 \(expected 804\)"):
        check_nesting(coarse, fine, 4)
