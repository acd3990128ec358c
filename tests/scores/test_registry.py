"""The registry: one entry per score, which plans, tables and documents follow."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from subgrid.errors import ConfigError
from subgrid.scores.registry import (
    CONSISTENCY_SCORES,
    ENSEMBLE_SCORES,
    FIELD_SET_SCORES,
    MAIN_SCORES,
    PUBLISHED_SCORES,
    REGISTRY,
    SCORES,
    TIED,
    WIND_SCORES,
    describe_score,
    find_score,
)
from subgrid.scores.score import NEEDS, Score
from subgrid.scores.score_table import update_names
from subgrid.scores.statistics_file import find_statistics

DOCUMENT = Path(__file__).parents[2] / "docs" / "verification.md"


def test_every_kind_of_score_is_registered() -> None:
    kinds = (SCORES, ENSEMBLE_SCORES, WIND_SCORES, CONSISTENCY_SCORES, PUBLISHED_SCORES, FIELD_SET_SCORES)
    assert set(REGISTRY) == set().union(*kinds)
    assert {name for kind in kinds[:-1] for name in kind} <= set(REGISTRY)
    assert sum(map(len, kinds[:-1])) == len(REGISTRY) - 1  # only one name is of field sets alone


@pytest.mark.parametrize("name", REGISTRY)
def test_an_entry_is_complete(name: str) -> None:
    score = describe_score(name)
    assert score.name == name
    assert 20 < len(score.convention) < 300
    assert score.needs is None or score.needs in NEEDS
    assert score.units_for("K") in {"K", "K per cell", "degrees", "dB", "1"}
    if score.higher_is_better is not None:
        assert np.isfinite(score.best)
    if isinstance(score, Score) and score.needs == "factor":
        assert "factor" in score.options


@pytest.mark.parametrize("name", [*REGISTRY, "fss_10_w5", "quantile_error_0.95"])
def test_bounds_fit_the_best_value(name: str) -> None:
    score = describe_score(name)
    lowest, highest = score.bounds
    assert lowest < highest and (math.isnan(score.best) or lowest <= score.best <= highest)
    if isinstance(score, Score) and score.higher_is_better is not None and name != "crps_fair":  # may be below 0
        assert (highest if score.higher_is_better else lowest) == score.best


def test_main_scores_are_those_that_say_so() -> None:
    assert set(MAIN_SCORES) == {name for name, score in REGISTRY.items() if score.main}
    assert {"rmse", "psnr", "crps", "vector_rmse", "consistency_rmse"} <= set(MAIN_SCORES)


def test_families_are_described_too() -> None:
    assert describe_score("fss_10_w5").best == 1.0
    assert describe_score("quantile_error_0.95").units == "field"
    assert not describe_score("quantile_error_0.95").main
    assert describe_score("quantile_error_0.99").main
    with pytest.raises(ConfigError, match=r"no score is called 'crsp'\. Did you mean 'crps'"):
        describe_score("crsp")
    with pytest.raises(ConfigError, match="no score is called 'crps'"):  # not of single fields
        find_score("crps")


def test_every_score_has_a_heading_in_the_document() -> None:
    headings = " ".join(re.findall(r"^###+ (.*)$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = set(re.findall(r"`([^`]+)`", headings))
    assert set(REGISTRY) - named == set()
    assert "fss_THRESHOLD_wWINDOW" in named
    families = {"fss_THRESHOLD_wWINDOW", "quantile_error_PROBABILITY"}
    assert named - families - set(REGISTRY) == set()  # nor a heading for what is no score


def test_tables_of_an_older_version_get_the_names_of_today() -> None:
    old = pd.DataFrame(
        {
            "standing": ["best", "not told apart", "worse", ""],
            "told_apart": ["yes", "no", "yes", ""],
            "verdict": ["better", "not told apart", "worse", ""],
            "convention": ["weights .0448 .2856", "mean of 0.5", "", "sigma 1.5."],
        }
    )
    new = update_names(old)
    assert list(new) == ["rank", "significant", "verdict", "convention"]
    assert list(new["rank"]) == ["best", TIED, "worse", ""]
    assert list(new["verdict"]) == ["better", TIED, "worse", ""]
    assert list(new["convention"]) == ["weights 0.0448 0.2856", "mean of 0.5", "", "sigma 1.5."]
    pd.testing.assert_frame_equal(update_names(new), new)


def test_statistics_are_found_under_their_older_name(tmp_path: Path) -> None:
    assert find_statistics(tmp_path).name == "statistics.nc"
    (tmp_path / "parts.nc").touch()
    assert find_statistics(tmp_path).name == "parts.nc"
    (tmp_path / "statistics.nc").touch()
    assert find_statistics(tmp_path).name == "statistics.nc"
