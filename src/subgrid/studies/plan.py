"""What a study compares: a base, arms that state only their difference, seeds, one budget; checked before anything is trained.

base = "../examples/gfs_winds.toml"     # beside the study's file; or an inline table [base]
seeds = [0, 1, 2]
reference = "sound"                     # the arm that the others are paired with; the first by default

[budget]
updates = 1200                          # or seconds; the same for all

[common]                                # settings of every arm, over the base's
train.validate_every = 200

[arms.sound]

[arms.tanh]
text = "clips what lies beyond one standard deviation"
generator.head = "tanh"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from subgrid.config import Config, load_config
from subgrid.config_files import LENGTHS, Table, expand_keys, flatten, merge, read_override, read_settings
from subgrid.errors import ConfigError, SubgridError, nearest
from subgrid.scores.registry import BASELINES
from subgrid.training.dry_run import check_config

NAMING = {"system", "summary", "family", "seed"}  # what a system is called is no difference in what it does
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*")


class Budget(BaseModel):
    """Length of every training: exactly one of the two."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    updates: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Budget:
        if (self.updates is None) == (self.seconds is None):
            raise ValueError("expected exactly one of updates, seconds")
        return self


class ArmFile(BaseModel):
    """An arm as written: its settings are what is left beside these two."""

    model_config = ConfigDict(extra="allow", frozen=True)
    text: str = ""
    confounded: bool = False


class StudyFile(BaseModel):
    """A study as written."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    base: str | dict[str, Any]
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    budget: Budget
    arms: Annotated[dict[str, ArmFile], Field(min_length=1)]
    common: dict[str, Any] = {}
    reference: str | None = None
    text: str = ""


@dataclass(frozen=True)
class Difference:
    """One setting in which an arm differs from the reference arm.

    Attributes:
        key: dotted.
        reference: its value there; None where there is none.
        value: its value in the arm.
        stated: whether the arm says so itself.
    """

    key: str
    reference: Any
    value: Any
    stated: bool


@dataclass(frozen=True)
class Arm:
    """One arm, resolved.

    Attributes:
        name: as in the study.
        text: one line for the reader.
        config: the resolved configuration, with the first seed.
        differences: from the reference arm.
        confounded: the study admits that more than one thing differs.
    """

    name: str
    text: str
    config: Config
    differences: tuple[Difference, ...]
    confounded: bool


@dataclass(frozen=True)
class Plan:
    """A study, resolved and checked.

    Attributes:
        arms: in the study's order.
        seeds: of every arm.
        reference: name of the arm that others are paired with.
        budget: the training length, `updates` or `seconds`.
        text: one line for the reader.
    """

    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    reference: str
    budget: dict[str, float]
    text: str


def load_study(study: str | Path | Mapping[str, Any], overrides: Iterable[str] = ()) -> Plan:
    """Read a study and check all that needs no data.

    Args:
        study: a TOML file, or a mapping of the same form; then a `base` path is relative to the working directory.
        overrides: `key=value` over the study's own keys, such as `budget.updates=200` or `common.train.batch=4`.

    Raises:
        ConfigError: an unknown key, an arm that cannot be trained, that is another's twin, or that differs from the
            reference in more than it states.
    """
    where = "the given study" if isinstance(study, Mapping) else str(study)
    raw = expand_keys(study if isinstance(study, Mapping) else _read_toml(Path(study)))
    for text in overrides:
        raw = merge(raw, read_override(text))
    try:
        written = StudyFile.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_explain(error)}") from None
    _check_names(written, where)
    base = _base(written.base, Path.cwd() if isinstance(study, Mapping) else Path(study).parent)
    _refuse_budget(written.common, f"{where}: common")
    base = merge(base, expand_keys(written.common))
    configs = {name: _resolve(base, arm, written, f"{where}: arms.{name}") for name, arm in written.arms.items()}
    reference = written.reference or next(iter(written.arms))
    arms = []
    for name, arm in written.arms.items():
        found = differences(configs[name], configs[reference], _settings(arm))
        if name != reference:
            _refuse_unstated(found, arm, f"{where}: arms.{name}", reference)
        arms.append(Arm(name, arm.text, configs[name], found, arm.confounded))
    budget = {key: value for key, value in written.budget.model_dump().items() if value is not None}
    return Plan(tuple(arms), tuple(written.seeds), reference, budget, written.text)


def differences(config: Config, reference: Config, stated: Mapping[str, Any]) -> tuple[Difference, ...]:
    """All settings in which two resolved configurations differ, but for names and seed.

    A setting counts as stated where the arm gives it; and, where the arm states that a part has another `name` or `kind`, the
    options which only one of the two parts has.

    Args:
        config: of the arm.
        reference: of the reference arm.
        stated: the arm's own settings, nested.
    """
    ours, theirs = (flatten(one.model_dump(mode="json")) for one in (config, reference))
    given = set(flatten(stated))
    out = []
    for key in sorted({*ours, *theirs}):
        value, before = ours.get(key), theirs.get(key)
        if key in NAMING or value == before:
            continue
        replaced = {f"{key.rpartition('.')[0]}.{choice}" for choice in ("name", "kind")} & given
        out.append(Difference(key, before, value, key in given or (bool(replaced) and None in (value, before))))
    return tuple(out)


def _read_toml(path: Path) -> Table:
    if path.suffix == ".json":
        raise ConfigError(f"{path}: expected a study's TOML file.")
    return read_settings(path)


def _check_names(written: StudyFile, where: str) -> None:
    """Names of arms and seeds that can name folders, and a reference that exists."""
    for name in written.arms:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{where}: arms.{name}: a name of letters, digits, _, + and - is expected.")
        if name in BASELINES:
            raise ConfigError(f"{where}: arms.{name}: the baseline of that name is in every study; rename the arm.")
    if written.reference is not None and written.reference not in written.arms:
        known = nearest(written.reference, written.arms)
        raise ConfigError(f"{where}: reference: no arm is called {written.reference!r}.{known}")
    if len(set(written.seeds)) < len(written.seeds):
        raise ConfigError(f"{where}: seeds: got {written.seeds}, expected each once.")


def _base(base: str | Table, folder: Path) -> Table:
    if not isinstance(base, str):
        return expand_keys(base)
    path = folder / base
    if path.suffix != ".toml":
        raise ConfigError(f"base: got {base!r}, expected a configuration's TOML file or a table [base].")
    return expand_keys(read_settings(path))


def _settings(arm: ArmFile) -> Table:
    return expand_keys(arm.model_extra or {})


def _resolve(base: Table, arm: ArmFile, written: StudyFile, where: str) -> Config:
    """The arm's configuration; refused where it cannot be trained."""
    settings = _settings(arm)
    _refuse_budget(settings, where)
    if "seed" in settings:
        raise ConfigError(f"{where}.seed: every arm has the seeds of the study; leave it away.")
    raw = merge(base, settings)
    train = {key: value for key, value in raw.get("train", {}).items() if key not in LENGTHS}
    budget = {key: value for key, value in written.budget.model_dump().items() if value is not None}
    try:
        config = load_config({**raw, "train": {**train, **budget}, "seed": written.seeds[0]})
        check_config(config)
    except SubgridError as error:
        raise ConfigError(f"{where}: {str(error).removeprefix('the given settings: ')}") from error
    return config


def _refuse_budget(settings: Mapping[str, Any], where: str) -> None:
    """The budget is the same for all."""
    stated = [key for key in flatten(expand_keys(settings)) if key in {f"train.{name}" for name in LENGTHS}]
    if stated:
        raise ConfigError(f"{where}.{stated[0]}: the budget is the same for all arms; set it under [budget].")


def _refuse_unstated(found: tuple[Difference, ...], arm: ArmFile, where: str, reference: str) -> None:
    """An arm differs in what it says and in nothing else, unless it owns up."""
    if not found:
        raise ConfigError(f"{where}: it differs in nothing from {reference}; state a difference, or leave it out.")
    unstated = [d for d in found if not d.stated]
    if unstated and not arm.confounded:
        said = ", ".join(f"{d.key} ({d.reference!r} -> {d.value!r})" for d in unstated)
        raise ConfigError(
            f"{where}: it differs from {reference} in more than it states: {said}. State these too, or confounded = true."
        )


def _explain(error: ValidationError) -> str:
    """The first problem, with key, what was found and what was expected."""
    tables: dict[str, type[BaseModel]] = {"": StudyFile, "budget": Budget}
    item = error.errors()[0]
    path = [str(part) for part in item["loc"] if part not in ("str", "dict[str,any]")]
    key = ".".join(path)
    if item["type"] == "extra_forbidden":
        return f"unknown key {key}.{nearest(path[-1], tables['.'.join(path[:-1])].model_fields)}"
    if item["type"] == "missing":
        return f"{key} is missing; a study has base, seeds, [budget] and [arms.NAME]."
    if item["type"] == "value_error":
        return f"{key}: got {item['input']!r}, {item['ctx']['error']}."
    return f"{key}: got {item['input']!r}; {item['msg'][0].lower() + item['msg'][1:]}."
