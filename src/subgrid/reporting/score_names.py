"""Scores in words: titles, and which values are better."""

from __future__ import annotations

import math
import re

from subgrid.errors import ConfigError
from subgrid.scores.registry import describe_score

PUBLISHED = "published_"  # prefix of scores by the conventions of the published study
_TITLES = {
    "ms_ssim": "MS-SSIM",
    "wasserstein": "Wasserstein distance",
    **{name: name.upper() for name in ("psnr", "ssim", "rmse", "mae", "crps")},
}
_VARIABLES = {
    "all": "all variables",
    "wind_speed": "wind speed",
}  # entries of score tables that are no variable of the run


def variable_title(variable: str) -> str:
    """Write a variable's name for a heading."""
    return _VARIABLES.get(variable, variable)


def title_of(score: str) -> str:
    """Write a score's name as print does, e.g. ``quantile error 0.99`` or ``FSS above 10, window of 5 cells``."""
    name = score.removeprefix(PUBLISHED)
    if match := re.fullmatch(r"fss_(.+)_w(\d+)", name):
        return f"FSS above {match[1].replace('-', '−')}, window of {match[2]} {'cell' if match[2] == '1' else 'cells'}"
    return _TITLES.get(name) or " ".join(_TITLES.get(word, word) for word in name.split("_"))


def meaning_of(score: str) -> tuple[float, bool | None]:
    """The best value, NaN where there is none, and whether higher is better (None: neither higher nor lower)."""
    try:
        known = describe_score(score)
    except ConfigError:  # a score of the user's own
        return math.nan, None
    return known.best, known.higher_is_better


def hint_of(score: str) -> str:
    """Which values are better, in words; empty where that is unknown."""
    best, higher = meaning_of(score)
    if higher is not None:
        return "higher is better" if higher else "lower is better"
    return "" if math.isnan(best) else f"best: {best:g}"
