"""What is scored of a comparison: each variable, the wind that two of them make, the ensemble, the agreement with the input.

A task is one score of one quantity. The tasks of a comparison are listed once; every block of times then runs through them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from subgrid.errors import ConfigError, nearest
from subgrid.scores import ensemble, wind
from subgrid.scores.checks import FloatArray
from subgrid.scores.consistency import consistency_absolute_statistics, consistency_squared_statistics
from subgrid.scores.registry import SCORES, canonical_name, find_score
from subgrid.scores.score import Score, only_statistic, root

Array = NDArray[Any]
Members = Mapping[str, Array]  # variable to (time, member, y, x)
Truth = Mapping[str, Array]  # variable to (time, y, x)

# A mean of members is smooth whatever they are: these ask for texture or values, and are taken of each member and averaged.
OF_MEMBERS = ("high_wavenumber_power_ratio", "log_spectral_distance", "histogram_overlap", "wasserstein")
OF_MEMBERS_FAMILIES = ("gradient_magnitude", "quantile_error")
FAMILIES = ("fss_", "quantile_error_")
ENSEMBLE = ("crps", "crps_fair", "spread", "skill", "spread_skill_ratio", "rank_histogram_flatness")
FLOWS = {"divergence": "s-1", "vorticity": "s-1"}
SPEED_SCORES = ("rmse", "mae", "bias", "wasserstein", "quantile_error_0.99")
FLOW_SCORES = ("log_spectral_distance", "high_wavenumber_power_ratio")
FSS_WINDOWS = (1, 5, 17)
DEVIATIONS = (1.0, 2.0)  # default FSS thresholds, in standard deviations above the mean of the truth
_WITH_FACTOR = "the factor (fine cells per coarse cell)"
_WITH_INPUT = "the coarse input and the factor"
WHAT_IT_TAKES = {
    "high_wavenumber_power_ratio": _WITH_FACTOR,
    **dict.fromkeys(("consistency_rmse", "consistency_mae"), _WITH_INPUT),
    **dict.fromkeys(("vector_rmse", "direction_error"), "both components of a wind in m s-1"),
    **dict.fromkeys(ENSEMBLE, "members along realization"),
}


@dataclass(frozen=True)
class Variable:
    """One variable and what its scores are told.

    Attributes:
        name: of the variable.
        units: of the variable.
        low: minimum of the training truth, or of the whole reference.
        high: maximum of the same.
        mean: of the same.
        std: of the same.
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
class Area:
    """A part of the grid, or all of it.

    Attributes:
        name: such as `all` or `tropics`.
        rows: indices of its rows.
        columns: indices of its columns.
        weights: relative cell areas (y,) or (y, x) of its cells; None where all count the same.
        y: coordinate of its rows: degrees north, or metres; None where unknown.
        x: coordinate of its columns.
        geometry: `sphere` for degrees, `plane` for metres, None where neither is known.
        periodic_x: its columns close the circle.
    """

    name: str
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    weights: FloatArray | None = None
    y: FloatArray | None = None
    x: FloatArray | None = None
    geometry: Literal["sphere", "plane"] | None = None
    periodic_x: bool = False

    def cut(self, fields: Array) -> Array:
        """The area's cells of fields (..., y, x)."""
        cells: Array = fields[..., self.rows[:, None], self.columns]
        return cells


@dataclass(frozen=True)
class ScoringRequest:
    """What is compared, beside the grid.

    Attributes:
        variables: to be scored.
        factor: fine cells per coarse cell; None where there are no coarse cells.
        num_members: members of the largest ensemble among the systems; 1 for single fields.
        has_input: whether the coarse input is there to be agreed with.
        winds: eastward and northward component among the variables, if any.
        names: the scores to take, also of families (``fss_10_w5``); None takes all that can be taken.
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
        variable: what it is of, also of what is derived: `wind`, `wind_speed`, `divergence`, `vorticity`.
        units: of the score.
        score: name, finish, best value, convention.
        said: the convention with its options.
        compute: (members, truth, input) to parts (time, num_statistics).
        needs_input: left out where the area is not the whole grid.
    """

    variable: str
    units: str
    score: Score
    said: str
    compute: Callable[[Members, Truth, Truth], FloatArray] = field(repr=False)
    needs_input: bool = False


def list_jobs(question: ScoringRequest, area: Area) -> list[ScoreJob]:
    """All tasks of a comparison in an area.

    Raises:
        ConfigError: a score that is asked for and unknown, or cannot be taken here.
    """
    asked = None if question.names is None else [canonical_name(name) for name in question.names]
    tasks: list[ScoreJob] = []
    for variable in question.variables:
        tasks += _of_fields(variable, variable.units, _names_for(variable, asked or ()), question, area)
        if question.num_members > 1:
            tasks += _of_ensemble(variable, area)
        if question.has_input and question.factor is not None:
            tasks += _of_input(variable, question.factor, area)
    if question.winds is not None:
        tasks += _of_wind(question, area)
    return tasks if asked is None else _chosen(tasks, asked)


def _chosen(tasks: list[ScoreJob], names: Iterable[str]) -> list[ScoreJob]:
    """The tasks of the scores that are asked for."""
    known = {task.score.name for task in tasks}
    for name in names:
        if name in WHAT_IT_TAKES and name not in known:
            raise ConfigError(f"the score {name} takes {WHAT_IT_TAKES[name]}; give it, or leave the score out.")
        if name not in known:
            raise ConfigError(f"no score here is called {name!r}.{nearest(name, known)}")
    return [task for task in tasks if task.score.name in set(names)]


def _names_for(variable: Variable, asked: Iterable[str]) -> list[str]:
    """All scores of a field, with the fractions skill score at the variable's thresholds, and members of families asked for."""
    fss = [f"fss_{threshold:.15g}_w{window}" for threshold in variable.fss_thresholds for window in FSS_WINDOWS]
    families = [name for name in asked if name.startswith(FAMILIES)]
    return list(dict.fromkeys([*SCORES, *fss, *families]))


def _of_fields(
    variable: Variable, units: str, names: Iterable[str], question: ScoringRequest, area: Area
) -> list[ScoreJob]:
    """Scores of single fields; of an ensemble its mean, or each member where the score asks for texture or values."""
    given: dict[str, Any] = {
        "data_range": variable.data_range,
        "factor": question.factor,
        "weights": area.weights,
        "low": variable.low,
        "high": variable.high,
        "periodic_x": area.periodic_x,
    }
    out = []
    for name in names:
        score = find_score(name)
        if "factor" in score.options and question.factor is None:
            continue
        options: dict[str, Any] = {option: given[option] for option in score.options}
        each = name in OF_MEMBERS or name.startswith(OF_MEMBERS_FAMILIES)
        compute = partial(_each_member if each else _mean_of_members, score, options, variable.name)
        said = score.describe(**given)
        if question.num_members > 1:
            said += "; of each member, averaged" if each else "; of the ensemble's mean"
        out.append(ScoreJob(variable.name, score.units_for(units), score, said, compute))
    return out


def _mean_of_members(
    score: Score, options: Mapping[str, Any], name: str, made: Members, truth: Truth, _: Truth
) -> FloatArray:
    return score.statistics(_mean(made[name]), truth[name], **options)


def _mean(members: Array) -> Array:
    """(time, member, y, x) to (time, y, x); a single field as it is."""
    mean: Array = members[:, 0] if members.shape[1] == 1 else members.mean(axis=1)
    return mean


def _each_member(
    score: Score, options: Mapping[str, Any], name: str, made: Members, truth: Truth, _: Truth
) -> FloatArray:
    members = made[name]
    parts = [score.statistics(members[:, m], truth[name], **options) for m in range(members.shape[1])]
    return parts[0] if len(parts) == 1 else np.mean(parts, axis=0)


def _of_ensemble(variable: Variable, area: Area) -> list[ScoreJob]:
    """CRPS, spread, skill, ranks."""

    def compute(score: Score, made: Members, truth: Truth, _: Truth) -> FloatArray:
        return score.statistics(made[variable.name], truth[variable.name], weights=area.weights)

    return [
        ScoreJob(variable.name, score.units_for(variable.units), score, _describe(score, area), partial(compute, score))
        for score in ensemble.ENSEMBLE_SCORES.values()
    ]


def _describe(score: Score, area: Area) -> str:
    return score.describe(data_range=1.0, factor=None, weights=area.weights)


def _of_input(variable: Variable, factor: int, area: Area) -> list[ScoreJob]:
    """Agreement of the coarsened prediction with its input."""
    about = f"the prediction, averaged over {factor} x {factor} cells by area, minus its coarse input"
    kinds = (
        Score(
            "consistency_rmse",
            consistency_squared_statistics,
            root,
            "field",
            0.0,
            False,
            f"Root mean square of {about}",
        ),
        Score(
            "consistency_mae",
            consistency_absolute_statistics,
            only_statistic,
            "field",
            0.0,
            False,
            f"Mean absolute value of {about}",
        ),
    )

    def compute(score: Score, made: Members, _: Truth, coarse: Truth) -> FloatArray:
        members, given = made[variable.name], coarse[variable.name]
        parts = [
            score.statistics(members[:, m], given, factor=factor, weights=area.weights) for m in range(members.shape[1])
        ]
        return np.asarray(np.mean(parts, axis=0), dtype=np.float64)

    return [
        ScoreJob(variable.name, variable.units, score, score.convention, partial(compute, score), needs_input=True)
        for score in kinds
    ]


def _of_wind(question: ScoringRequest, area: Area) -> list[ScoreJob]:
    """Vector error and direction of the ensemble's mean wind; scores of speed, divergence and vorticity."""
    assert question.winds is not None  # asked for only then
    u, v = question.winds
    by_name = {variable.name: variable for variable in question.variables}
    units = by_name[u].units
    most = [max(abs(by_name[name].low), abs(by_name[name].high)) for name in (u, v)]
    strongest = float(np.hypot(most[0], most[1]))
    kinds = (
        Score(
            "vector_rmse", wind.vector_error_statistics, root, "field", 0.0, False,
            "Root mean square length of the error vector",
        ),
        Score(
            "direction_error", wind.direction_error_statistics, wind.direction_error, "1", 0.0, False,
            f"Mean angle between predicted and true direction where the true wind exceeds 1 {units}",
        ),
    )  # fmt: skip

    def compute(score: Score, made: Members, truth: Truth, _: Truth) -> FloatArray:
        means = [_mean(made[name]) for name in (u, v)]
        return score.statistics(*means, truth[u], truth[v], weights=area.weights)

    tasks = [
        ScoreJob(
            "wind",
            "degrees" if score.name == "direction_error" else units,
            score,
            score.convention,
            partial(compute, score),
        )
        for score in kinds
    ]
    if "wind_speed" not in by_name:
        derived = Variable("wind_speed", units, 0.0, strongest, 0.0, 1.0)
        tasks += _of_fields(derived, units, SPEED_SCORES, question, area)
    if _has_flow(area):
        for name in (flow for flow in FLOWS if flow not in by_name):
            flow = Variable(name, FLOWS[name], -1.0, 1.0, 0.0, 1.0)
            tasks += _of_fields(flow, FLOWS[name], FLOW_SCORES, question, area)
    return tasks


def _has_flow(area: Area) -> bool:
    """Whether divergence and vorticity can be taken, and their spectra."""
    return area.geometry is not None and min(area.rows.size, area.columns.size) >= 4


def with_winds(fields: Members | Truth, winds: tuple[str, str] | None, area: Area) -> dict[str, Array]:
    """Add wind speed, and divergence and vorticity where the grid's geometry is known; what is there already stays.

    Args:
        fields: each (time, y, x) or (time, member, y, x), already of the area.
        winds: names of the eastward and the northward component.
        area: where.
    """
    out = dict(fields)
    if winds is None:
        return out
    u, v = (np.asarray(fields[name], dtype=np.float64) for name in winds)
    out.setdefault("wind_speed", np.hypot(u, v))
    if _has_flow(area):
        assert area.y is not None and area.x is not None and area.geometry is not None
        flat_u, flat_v = (part.reshape(-1, *part.shape[-2:]) for part in (u, v))
        made = wind.derive(flat_u, flat_v, area.y, area.x, geometry=area.geometry, periodic_x=area.periodic_x)
        out = {name: made[name].reshape(u.shape) for name in FLOWS} | out
    return out
