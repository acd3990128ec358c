"""Series too long to hold: neighbouring times are put together for the intervals, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from subgrid.scores import score_table
from subgrid.scores.block_length import find_breaks, merge_times
from subgrid.scores.plan import ScoreJob
from subgrid.scores.registry import ALL, SCORES
from subgrid.scores.statistics_file import StatisticsReader, StatisticsWriter

DAY = 86_400


def clock(seconds: np.ndarray) -> np.ndarray:
    when = pd.to_datetime(seconds, unit="s")
    return np.stack([seconds, when.month, when.hour]).astype(np.int64)


def archive(path: Path, seconds: np.ndarray, parts: dict[str, np.ndarray]) -> Path:
    """Parts of RMSE of two systems, written in uneven blocks."""
    writer = StatisticsWriter(path, list(parts))
    edges = [0, 7, *range(300, seconds.size, 300), seconds.size]
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        block = {name: values[a:b, None] for name, values in parts.items()}
        writer.append(clock(seconds[a:b]), {(ALL, "t2m", "rmse"): block})
    writer.close({})
    return path


def jobs() -> dict[tuple[str, str, str], ScoreJob]:
    job = ScoreJob("t2m", "K", SCORES["rmse"], "", lambda members, truth, coarse: np.zeros((0, 1)))
    return {(ALL, "t2m", "rmse"): job}


def noise(num: int, rho: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = np.empty(num)
    out[0] = rng.standard_normal()
    for i in range(1, num):
        out[i] = rho * out[i - 1] + np.sqrt(1 - rho**2) * rng.standard_normal()
    return out


@pytest.mark.parametrize("most", [1, 3, 10, 39, 40, 100])
def test_units_are_whole_runs_of_neighbours(most: int) -> None:
    times = np.array([*range(17), *range(30, 41), *range(100, 112)]) * DAY  # 40 times in three runs
    starts, breaks, size = merge_times(times, most)
    assert size == -(-40 // most)
    ends = [*starts[1:], 40]
    units = [set(range(a, b)) for a, b in zip(starts, ends, strict=True)]
    assert sorted(i for unit in units for i in unit) == list(range(40))
    assert all(1 <= len(unit) <= size for unit in units)
    gaps = find_breaks(times)
    assert all(not {gap - 1, gap} <= unit for gap in gaps for unit in units)
    assert [starts[i] for i in breaks] == list(gaps)
    if most >= 40:
        assert list(starts) == list(range(40)) and size == 1


@pytest.mark.parametrize("chosen", [np.arange(1000), np.arange(3, 1000, 7), np.arange(400, 950)])
def test_units_read_in_pieces_are_the_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: np.ndarray
) -> None:
    monkeypatch.setattr("subgrid.scores.statistics_file.TIMES_AT_ONCE", 64)
    seconds = np.arange(1000) * DAY
    made = {"one": noise(1000, 0.5, 1) ** 2, "two": noise(1000, 0.5, 2) ** 2}
    with StatisticsReader(archive(tmp_path / "statistics.nc", seconds, made)) as reader:
        starts = np.arange(0, chosen.size, 6)
        units, mean = reader.read_units((ALL, "t2m", "rmse"), chosen, starts)
        whole = reader.read((ALL, "t2m", "rmse"))
    for i, values in enumerate(made.values()):
        expected = [values[chosen[a : a + 6]].mean() for a in starts]
        np.testing.assert_allclose(units[i, :, 0], expected, rtol=1e-12)
        np.testing.assert_allclose(mean[i, 0], values[chosen].mean(), rtol=1e-12)
        np.testing.assert_array_equal(whole[i, :, 0], values)


def test_intervals_of_a_long_series_hardly_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    num = 3001
    seconds = np.arange(num) * DAY
    common = noise(num, 0.8, 3)
    made = {"near": (1 + common) ** 2, "far": (1.05 + common) ** 2, "same": (1 + common) ** 2}
    path = archive(tmp_path / "statistics.nc", seconds, made)
    tables = []
    for most in (num, 600):
        monkeypatch.setattr(score_table, "MOST_UNITS", most)
        with StatisticsReader(path) as reader:
            tables.append(score_table.score_table(reader, jobs(), by=["season"], num_resamples=400))
    every, merged = (table.set_index(["system", "group"]) for table in tables)
    assert list(every.index) == list(merged.index)
    np.testing.assert_allclose(merged.value, every.value, rtol=1e-12)  # the value is of all times, whatever the units
    widths = [table.upper - table.lower for table in (every, merged)]
    assert (widths[1] / widths[0]).loc[(slice(None), "all")].between(0.75, 1.35).all()
    assert (merged.lower < merged.value).all() and (merged.value < merged.upper).all()
    assert list(merged.xs("all", level="group")["rank"]) == list(every.xs("all", level="group")["rank"])
    assert list(merged.xs("all", level="group")["rank"]) == ["best", "worse", "no significant difference"]


def test_a_given_block_is_in_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_table, "MOST_UNITS", 100)
    asked: list[int | None] = []
    real = score_table.intervals
    monkeypatch.setattr(
        score_table, "intervals", lambda *given, **options: asked.append(options["block"]) or real(*given, **options)
    )
    path = archive(tmp_path / "statistics.nc", np.arange(1000) * DAY, {"one": noise(1000, 0.5, 1) ** 2})
    with StatisticsReader(path) as reader:
        score_table.score_table(reader, jobs(), block=40, num_resamples=100)
        score_table.score_table(reader, jobs(), block=3, num_resamples=100)
        score_table.score_table(reader, jobs(), num_resamples=100)
    assert asked == [4, 1, None]


def test_units_of_few_times_count_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Runs of 11 days with gaps between them. Units of 10 leave one day of each run over, and that day is unlike the others.
    day = np.arange(110 * 11)
    seconds = (day + 30 * (day // 11)) * DAY
    made = {name: (1 + noise(day.size, 0.3, seed)) ** 2 / 100 for seed, name in enumerate(["near", "far"])}
    for values in made.values():
        values[10::11] += 1.0
    path, given = archive(tmp_path / "statistics.nc", seconds, made), []
    real = score_table.intervals
    monkeypatch.setattr(score_table, "intervals", lambda *a, **k: given.append(real(*a, **k)) or given[-1])
    tables = []
    for most in (day.size, 121):
        monkeypatch.setattr(score_table, "MOST_UNITS", most)
        with StatisticsReader(path) as reader:
            tables.append(score_table.score_table(reader, jobs(), num_resamples=400))
    every, merged = tables
    np.testing.assert_allclose([interval.value for interval in given], [*every.value, *merged.value], rtol=1e-12)
    assert (merged.lower < every.value).all() and (every.value < merged.upper).all()
    # The odd day is in every run, so that means of runs vary less than days do.
    of_runs = real(made["near"].reshape(-1, 11).mean(axis=1)[:, None], SCORES["rmse"].from_means)
    assert 0.7 < (merged.upper[0] - merged.lower[0]) / (of_runs.upper - of_runs.lower) < 2.0
    assert list(merged["rank"]) == list(every["rank"])


def test_an_interval_of_a_correlation_stays_below_one(tmp_path: Path) -> None:
    # Statistics of a correlation: means of prediction, reference, their squares and their product.
    rng = np.random.default_rng(0)
    reference = rng.normal(size=40) * 10
    prediction = np.where(np.arange(40) % 15 == 7, -reference, reference)
    pair = [field[:, None, None] * np.array([[1.0, -1.0]]) for field in (prediction, reference)]
    key = (ALL, "t2m", "correlation")
    writer = StatisticsWriter(tmp_path / "statistics.nc", ["one"])
    writer.append(clock(np.arange(40) * DAY), {key: {"one": SCORES["correlation"].statistics(*pair)}})
    writer.close({})
    job = ScoreJob("t2m", "1", SCORES["correlation"], "", lambda members, truth, coarse: np.zeros((0, 1)))
    with StatisticsReader(tmp_path / "statistics.nc") as reader:
        row = score_table.score_table(reader, {key: job}).iloc[0]
    assert row.lower < row.value < row.upper <= 1.0
