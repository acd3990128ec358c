"""What is scored in a comparison: each variable, the wind of two of them, the ensemble, the consistency with the input.

A job is one score of one quantity. The jobs of a comparison are listed once, from the registry; every block of times then
runs through them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from subgrid.errors import ConfigError, nearest
from subgrid.scores import wind
from subgrid.scores.checks import Statistics
from subgrid.scores.registry import (
    CONSISTENCY_SCORES,
    ENSEMBLE_SCORES,
    REGISTRY,
    SCORES,
    WIND_SCORES,
    canonical_name,
    find_score,
    is_of_family,
)
from subgrid.scores.score import NEEDS, Score

Array = NDArray[Any]
Members = Mapping[str, Array]  # variable to (time, member, y, x)
Truth = Mapping[str, Array]  # variable to (time, y, x)
Compute = Callable[[Members, Truth, Truth], Statistics]  # of prediction, truth and coarse input

FLOWS = {"divergence": "s-1", "vorticity": "s-1"}
SPEED_SCORES = ("rmse", "mae", "bias", "wasserstein", "quantile_error_0.99")
FLOW_SCORES = ("log_spectral_distance", "high_wavenumber_power_ratio")
LEAST_FLOW_CELLS = 4
FSS_WINDOWS = (1, 5, 17)
DEVIATIONS = (1.0, 2.0)  # default FSS thresholds, in standard deviations above the mean of the truth


@dataclass(frozen=True)
class Variable:
    """A variable and what its scores need to know about it.

    Attributes:
        name: of the variable.
        units: of the variable.
        low: minimum of the training truth, or of the whole reference.
        high: maximum of the same.
        mean: of the same.
        std: standard deviation of the same.
        thresholds: of the fractions skill score, in the variable's units; by default mean + 1 and mean + 2 std, rounded.
    """

    name: str
    units: str
    low: float
    high: float
    mean: float
    std: float
    thresholds: tuple[float, ...] = ()

    @property
    def data_range(self) -> float:
        """Maximum minus minimum."""
        return self.high - self.low

    @property
    def fss_thresholds(self) -> tuple[float, ...]:
        """As given, or the default ones, rounded to a tenth of the standard deviation or finer."""
        digits = 1 - math.floor(math.log10(self.std)) if self.std > 0 else 0
        default = (round(self.mean + count * self.std, digits) for count in DEVIATIONS)
        return self.thresholds or tuple(default)


@dataclass(frozen=True)
class Region:
    """A part of the grid, or all of it.

    Attributes:
        name: such as `all` or `tropics`.
        rows: indices of its rows.
        columns: indices of its columns.
        weights: relative areas (y,) or (y, x) of its cells; None where all have the same weight.
        y: coordinate of its rows: degrees north, or metres; None where unknown.
        x: coordinate of its columns.
        geometry: `sphere` for degrees, `plane` for metres, None where neither is known.
        periodic_x: whether its columns close around the globe.
    """

    name: str
    rows: Int[np.ndarray, " y"]
    columns: Int[np.ndarray, " x"]
    weights: Array | None = None
    y: Array | None = None
    x: Array | None = None
    geometry: Literal["sphere", "plane"] | None = None
    periodic_x: bool = False

    def select(self, fields: Array) -> Array:
        """The region's cells of fields (..., y, x)."""
        cells: Array = fields[..., self.rows[:, None], self.columns]
        return cells

    @property
    def has_flow(self) -> bool:
        """Whether divergence and vorticity, and their spectra, can be computed."""
        return self.geometry is not None and min(self.rows.size, self.columns.size) >= LEAST_FLOW_CELLS


@dataclass(frozen=True)
class ScoringRequest:
    """What is compared, apart from the grid.

    Attributes:
        variables: to be scored.
        factor: fine cells per coarse cell; None where there are no coarse cells.
        num_members: members of the largest ensemble among the systems; 1 for single fields.
        has_input: whether the coarse input is given, for the scores of consistency.
        winds: eastward and northward component among the variables, if any.
        names: the scores to compute, also of families (``fss_10_w5``); None for all that can be computed.
    """

    variables: tuple[Variable, ...]
    factor: int | None = None
    num_members: int = 1
    has_input: bool = False
    winds: tuple[str, str] | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ScoreJob:
    """One score of one quantity.

    Attributes:
        variable: a variable, or a derived quantity: `wind`, `wind_speed`, `divergence`, `vorticity`.
        units: of the score.
        score: its registry entry.
        convention: of the score, with the options it is computed with.
        compute: (members, truth, input) to statistics.
    """

    variable: str
    units: str
    score: Score
    convention: str
    compute: Compute = field(repr=False)


def list_jobs(request: ScoringRequest, region: Region) -> list[ScoreJob]:
    """List all jobs of a comparison in a region.

    Raises:
        ConfigError: a score that is asked for and unknown, or that cannot be computed here.
    """
    asked = None if request.names is None else [canonical_name(name) for name in request.names]
    jobs: list[ScoreJob] = []
    for variable in request.variables:
        jobs += _field_jobs(variable, _names_for(variable, asked or ()), request, region)
        if request.num_members > 1:
            jobs += _jobs(variable.name, variable.units, ENSEMBLE_SCORES.values(), _of_members, variable.name, region)
        if request.has_input and request.factor is not None:
            jobs += _consistency_jobs(variable, request.factor, region)
    if request.winds is not None:
        jobs += _wind_jobs(request.winds, request, region)
    return jobs if asked is None else _choose(jobs, asked)


def _choose(jobs: Sequence[ScoreJob], names: Iterable[str]) -> list[ScoreJob]:
    """The jobs of the scores that are asked for."""
    known = {job.score.name for job in jobs}
    for name in names:
        need = REGISTRY[name].needs if name in REGISTRY else None
        if need is not None and name not in known:
            raise ConfigError(f"the score {name} needs {NEEDS[need]}; give it, or leave the score out.")
        if name not in known:
            raise ConfigError(f"no score here is called {name!r}.{nearest(name, known)}")
    return [job for job in jobs if job.score.name in set(names)]


def _names_for(variable: Variable, asked: Iterable[str]) -> list[str]:
    """All scores of a field, the fractions skill score at the variable's thresholds, and those asked for of families."""
    fss = [f"fss_{threshold:.15g}_w{window}" for threshold in variable.fss_thresholds for window in FSS_WINDOWS]
    return list(dict.fromkeys([*SCORES, *fss, *filter(is_of_family, asked)]))


def _field_jobs(variable: Variable, names: Iterable[str], request: ScoringRequest, region: Region) -> list[ScoreJob]:
    """Scores of single fields; of an ensemble its mean, or each member where the score is of texture or values."""
    options: dict[str, Any] = {
        "data_range": variable.data_range,
        "factor": request.factor,
        "weights": region.weights,
        "low": variable.low,
        "high": variable.high,
        "periodic_x": region.periodic_x,
    }
    jobs = []
    for score in map(find_score, names):
        if "factor" in score.options and request.factor is None:
            continue
        own: dict[str, Any] = {option: options[option] for option in score.options}
        compute = partial(_of_each_member if score.each_member else _of_mean, score, own, variable.name)
        convention = score.describe(**options)
        if request.num_members > 1:
            convention += "; of each member, averaged" if score.each_member else "; of the ensemble's mean"
        jobs.append(ScoreJob(variable.name, score.units_for(variable.units), score, convention, compute))
    return jobs


def _of_mean(
    score: Score, options: Mapping[str, Any], name: str, members: Members, truth: Truth, _: Truth
) -> Statistics:
    return score.statistics(_mean(members[name]), truth[name], **options)


def _mean(members: Array) -> Array:
    """(time, member, y, x) to (time, y, x); a single field as it is."""
    mean: Array = members[:, 0] if members.shape[1] == 1 else members.mean(axis=1)
    return mean


def _of_each_member(
    score: Score, options: Mapping[str, Any], name: str, members: Members, truth: Truth, _: Truth
) -> Statistics:
    fields = members[name]
    statistics = [score.statistics(fields[:, m], truth[name], **options) for m in range(fields.shape[1])]
    return statistics[0] if len(statistics) == 1 else np.mean(statistics, axis=0)


def _jobs(
    variable: str, units: str, scores: Iterable[Score], compute: Callable[..., Statistics], names: Any, region: Region
) -> list[ScoreJob]:
    """Jobs of scores whose one option is the weights; `names` are the variables that `compute` takes."""
    return [
        ScoreJob(
            variable,
            score.units_for(units),
            score,
            score.describe(weights=region.weights),
            partial(compute, score, names, region.weights),
        )
        for score in scores
    ]


def _of_members(score: Score, name: str, weights: Array | None, members: Members, truth: Truth, _: Truth) -> Statistics:
    return score.statistics(members[name], truth[name], weights=weights)


def _consistency_jobs(variable: Variable, factor: int, region: Region) -> list[ScoreJob]:
    """Consistency of the coarsened prediction with its input, of each member and averaged."""

    def compute(score: Score, members: Members, _: Truth, coarse: Truth) -> Statistics:
        fields, given = members[variable.name], coarse[variable.name]
        options = {"factor": factor, "weights": region.weights}
        statistics = [score.statistics(fields[:, m], given, **options) for m in range(fields.shape[1])]
        return np.asarray(np.mean(statistics, axis=0), dtype=np.float64)

    return [
        ScoreJob(variable.name, variable.units, score, score.describe(factor=factor), partial(compute, score))
        for score in CONSISTENCY_SCORES.values()
    ]


def _of_wind(
    score: Score, names: tuple[str, str], weights: Array | None, members: Members, truth: Truth, _: Truth
) -> Statistics:
    means = [_mean(members[name]) for name in names]
    return score.statistics(*means, *(truth[name] for name in names), weights=weights)


def _wind_jobs(winds: tuple[str, str], request: ScoringRequest, region: Region) -> list[ScoreJob]:
    """Vector error and direction of the ensemble's mean wind; scores of speed, divergence and vorticity."""
    by_name = {variable.name: variable for variable in request.variables}
    units = by_name[winds[0]].units
    jobs = _jobs("wind", units, WIND_SCORES.values(), _of_wind, winds, region)
    if "wind_speed" not in by_name:
        most = [max(abs(by_name[name].low), abs(by_name[name].high)) for name in winds]
        derived = Variable("wind_speed", units, 0.0, float(np.hypot(most[0], most[1])), 0.0, 1.0)
        jobs += _field_jobs(derived, SPEED_SCORES, request, region)
    if region.has_flow:
        for name in (flow for flow in FLOWS if flow not in by_name):
            jobs += _field_jobs(Variable(name, FLOWS[name], -1.0, 1.0, 0.0, 1.0), FLOW_SCORES, request, region)
    return jobs


def with_winds(fields: Members | Truth, winds: tuple[str, str] | None, region: Region) -> dict[str, Array]:
    """Add wind speed, and divergence and vorticity where the geometry is known; variables of these names stay as given.

    Args:
        fields: each (time, y, x) or (time, member, y, x), already of the region.
        winds: names of the eastward and the northward component; None adds nothing.
        region: where the fields lie.
    """
    out = dict(fields)
    if winds is None:
        return out
    u, v = (np.asarray(fields[name], dtype=np.float64) for name in winds)
    out.setdefault("wind_speed", np.hypot(u, v))
    if region.has_flow:
        assert region.y is not None and region.x is not None and region.geometry is not None
        flat_u, flat_v = (part.reshape(-1, *part.shape[-2:]) for part in (u, v))
        derived = wind.derive(
            flat_u, flat_v, region.y, region.x, geometry=region.geometry, periodic_x=region.periodic_x
        )
        out = {name: derived[name].reshape(u.shape) for name in FLOWS} | out
    return out
