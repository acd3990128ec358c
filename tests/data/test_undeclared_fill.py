"""Values that stand for "missing" although the file does not say so: found, and refused alike by every command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from subgrid.data.check import check
from subgrid.data.findings import Finding
from subgrid.data.undeclared_fill import Extremes
from subgrid.errors import SourceError
from subgrid.evaluation.score_files import score
from subgrid.inference.downscale import downscale
from subgrid.run import load_run
from subgrid.training.prepare import prepare

RNG = np.random.default_rng(0)
KELVIN = RNG.normal(280, 8, 40_000).astype(np.float32)
RAIN = np.maximum(RNG.gamma(0.3, 4, 40_000) - 1, 0).astype(np.float32)


def found(values: Any, *blocks: Any) -> dict[float, int]:
    extremes = Extremes()
    for block in (values, *blocks):
        extremes.add(np.asarray(block, dtype=np.float32))
    return extremes.fill_values()[0]


def with_values(fields: np.ndarray, *values: float) -> np.ndarray:
    fields = fields.copy()
    fields[RNG.choice(fields.size, len(values), replace=False)] = values
    return fields


@pytest.mark.parametrize(
    "values",
    [
        (-9999,),
        (-9999,) * 9,
        (0, 0),
        (-8888.5,) * 3,
        (1000, 1000),
        (-9999, 9999),
        (-9999, -9999, -8888, -8888),
        (32767,),
    ],
)
def test_values_far_outside_all_others(values: tuple[float, ...]) -> None:
    expected = {float(np.float32(value)): values.count(value) for value in values}
    fields = with_values(KELVIN, *values)
    assert found(fields) == expected
    assert found(*np.array_split(fields, 7)) == expected
    extremes = Extremes()
    extremes.add(fields)
    assert extremes.fill_values()[1] == (KELVIN[np.isin(fields, KELVIN)].min(), KELVIN[np.isin(fields, KELVIN)].max())


@pytest.mark.parametrize(
    "values",
    [
        KELVIN,
        KELVIN - np.float32(273.15),
        RAIN,
        np.round(RAIN, 1),
        np.zeros(40_000),
        np.full(40_000, 280.0),
        np.repeat([0.0, 1.0], 20_000),  # a mask
        np.repeat([0.0, 0.1, 5.0], 9_000),  # a nearly dry, coarsely packed series
        np.repeat(np.arange(4.0) ** 9, 9),  # classes
        with_values(KELVIN, 1000.0),  # far outside, but not repeated
        with_values(RAIN, 90.0, 90.0),  # heavy rain
        np.linspace(-12000, 12000, 40_000),  # -9999 is one of many
    ],
)
def test_values_that_are_data(values: np.ndarray) -> None:
    assert found(values) == {}


def test_one_fill_value_alone() -> None:
    assert found(np.full(100, -9999.0)) == {-9999.0: 100}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.5, -2.0, 3.25, 7.0, 8.0, -9.0, 11.0, 20.0]), min_size=1), st.integers(1, 4))
def test_blocks_change_nothing(values: list[float], blocks: int) -> None:
    whole, parts = Extremes(), Extremes()
    whole.add(np.asarray(values, dtype=np.float32))
    for block in np.array_split(np.asarray(values, dtype=np.float32), blocks):
        parts.add(block)
    assert (whole.low, whole.high) == (parts.low, parts.high)
    assert list(whole.low.items()) == sorted((v, values.count(v)) for v in set(values))[:6]


# --- the same words in every command ----------------------------------------------------------------------------


def weather(**attrs: float) -> xr.Dataset:
    """Two variables, 40 times, 16 x 16 cells."""
    coords = {
        "time": np.datetime64("2020-01-01", "ns") + np.arange(40) * np.timedelta64(6, "h"),
        "lat": ("lat", np.arange(50.0, 58.0, 0.5), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(0.0, 8.0, 0.5), {"units": "degrees_east"}),
    }
    values = np.random.default_rng(1).normal(10, 3, (2, 40, 16, 16)).astype(np.float32)
    named = zip(("u10", "v10"), values, strict=True)
    return xr.Dataset({n: (("time", "lat", "lon"), v, {"units": "m s-1", **attrs}) for n, v in named}, coords)


def refusal(run: Callable[[], Any]) -> str:
    with pytest.raises(SourceError) as caught:
        run()
    return str(caught.value)


def same_words(finding: Finding, text: str, kind: str = "") -> bool:
    """Whether a message says what `check` does, for the values that have been read so far."""
    start, _, rest = text.partition(" values read so far ")
    expected = f"{finding.text} {finding.fix}".partition(" values ")
    return start.split(" of ")[0] == f"{kind}{expected[0]}".split(" of ")[0] and rest == expected[2]


@pytest.mark.parametrize("value", [-9999.0, 1e20, np.inf, -777.0])
def test_every_command_refuses_in_the_words_of_check(tmp_path: Path, value: float) -> None:
    bad = weather()
    bad["v10"].values[3, 2, 2:5] = value
    finding = check(bad).findings[0]
    assert (finding.level, finding.where) == ("error", "v10")
    settings = {"data.variables": ["u10", "v10"], "data.factor": 4}
    out = {"out": tmp_path / "out.zarr"}
    assert same_words(finding, refusal(lambda: prepare(settings, source=bad, **out)))
    if np.isfinite(value):  # an infinite reference has a message of its own
        assert same_words(finding, refusal(lambda: score(weather(), bad, out=tmp_path / "scores")), "reference: ")
        assert same_words(finding, refusal(lambda: score(bad, weather(), out=tmp_path / "scores")), "prediction: ")
    assert not (tmp_path / "out.zarr").exists()


def test_downscale_refuses_in_the_words_of_check(tiny_run: Path, tmp_path: Path) -> None:
    run = load_run(tiny_run)
    names = run.variables
    fields = xr.Dataset({n: weather()["u10"].assign_attrs(units=run.statistics[n]["units"]) for n in names})
    bad = fields.copy(deep=True)
    bad[names[0]].values[3, 2, 2:5] = -9999.0
    finding = check(bad).findings[0]
    assert same_words(finding, refusal(lambda: downscale(tiny_run, bad, tmp_path / "fine.nc", force=True)))
    assert not (tmp_path / "fine.nc").exists()


def test_a_stated_range_makes_it_a_value() -> None:
    fields = weather(valid_min=-1e4, valid_max=1e4)
    fields["v10"].values[3, 2, 2:5] = -9999.0
    assert check(fields).usable
