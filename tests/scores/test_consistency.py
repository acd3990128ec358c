"""Consistency against plain loops and the package's own coarsening."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import make_fields
from subgrid.data.grid import cell_area, coarsen
from subgrid.errors import GridError, SourceError
from subgrid.scores.consistency import (
    area_means,
    consistency_absolute_statistics,
    consistency_squared_statistics,
)

ALL = (consistency_squared_statistics, consistency_absolute_statistics)


@pytest.mark.parametrize("weights", [None, "rows", "cells"])
def test_parts_equal_plain_loops(weights):
    rng = np.random.default_rng(0)
    fine, coarse = rng.normal(size=(2, 6, 9)), rng.normal(size=(2, 2, 3))
    coarse[1, 0, 2] = np.nan
    fine[1, 0, 8] = np.nan
    area = {
        None: np.ones((6, 9)),
        "rows": np.outer(rng.uniform(1, 2, 6), np.ones(9)),
        "cells": rng.uniform(1, 2, (6, 9)),
    }
    given_weights = {None: None, "rows": area["rows"][:, 0], "cells": area["cells"]}[weights]
    found = [part(fine, coarse, factor=3, weights=given_weights) for part in ALL]
    for time in range(2):
        squares = absolutes = total = 0.0
        for y in range(2):
            for x in range(3):
                if np.isnan(coarse[time, y, x]):
                    continue
                cells = [(3 * y + i, 3 * x + j) for i in range(3) for j in range(3)]
                weight = sum(area[weights][cell] for cell in cells)
                mean = sum(area[weights][cell] * fine[(time, *cell)] for cell in cells) / weight
                difference = abs(mean - coarse[time, y, x])
                squares, absolutes = squares + weight * difference**2, absolutes + weight * difference
                total += weight
        assert found[0][time] == pytest.approx([squares / total], rel=1e-12)
        assert found[1][time] == pytest.approx([absolutes / total], rel=1e-12)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_the_package_own_coarse_fields_are_consistent(factor):
    fine = make_fields(4, latitudes=np.linspace(80, 10, 8))
    coarse = coarsen(fine, factor).t2m.values
    options = {"factor": factor, "weights": cell_area(fine)}
    assert consistency_squared_statistics(fine.t2m.values, coarse, **options).max() < (2e-5 * 273) ** 2
    np.testing.assert_allclose(area_means(fine.t2m.values, **options)[0], coarse, rtol=1e-6)


@given(st.integers(0, 2**31), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_detail_without_a_mean_costs_nothing_and_an_offset_costs_itself(seed, factor):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 2, 2 * factor)
    coarse = rng.normal(size=(3, 2, 3))
    fine = coarse.repeat(factor, axis=1).repeat(factor, axis=2)
    detail = rng.normal(size=fine.shape)
    means, _ = area_means(detail, factor=factor, weights=weights)
    detail -= means.repeat(factor, axis=1).repeat(factor, axis=2)
    for part, cost in zip(ALL, (0.25, 0.5), strict=True):
        assert part(fine + detail, coarse, factor=factor, weights=weights) == pytest.approx(0, abs=1e-12)
        assert part(fine + 0.5, coarse, factor=factor, weights=weights) == pytest.approx(cost)


def test_large_coarse_cells_count_more():
    fine, coarse = np.zeros((1, 4, 2)), np.array([[[1.0], [0.0]]])
    assert consistency_squared_statistics(fine, coarse, factor=2).item() == 0.5
    assert consistency_squared_statistics(fine, coarse, factor=2, weights=np.array([3, 3, 1, 1])).item() == 0.75


def test_what_does_not_fit_is_refused():
    fine, coarse = np.zeros((1, 4, 4)), np.zeros((1, 2, 2))
    for factor in (0, 3):
        with pytest.raises(GridError, match=f"factor is {factor}"):
            consistency_squared_statistics(fine, coarse, factor=factor)
    with pytest.raises(GridError, match="shape"):
        area_means(fine[0], factor=2)
    with pytest.raises(GridError, match=r"\(1, 4, 4\).*\(1, 2, 2\)"):
        consistency_squared_statistics(fine, coarse, factor=1)
    with pytest.raises(GridError, match="0 everywhere in a coarse cell"):
        consistency_squared_statistics(fine, coarse, factor=2, weights=np.array([1, 1, 0, 0]))
    fine[0, 1, 1] = np.nan
    for part in ALL:
        with pytest.raises(SourceError, match="prediction holds 1"):
            part(fine, coarse, factor=2)
        with pytest.raises(SourceError, match="prediction holds 1"):
            part(np.ma.masked_invalid(fine), coarse, factor=2, weights=np.ones(4))
