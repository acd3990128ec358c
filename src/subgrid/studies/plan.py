"""Reads a study file: a base configuration, arms that state only their differences, seeds and one budget.

All arms are checked before anything is trained.

base = "../examples/gfs_winds.toml"     # relative to the study file; or an inline table [base]
seeds = [0, 1, 2]
reference = "sound"                     # the arm that the others are compared with; the first by default

[budget]
updates = 1200                          # or seconds; the same for all arms

[common]                                # settings of all arms, which override the base
train.validate_every = 200

[arms.sound]

[arms.tanh]
text = "clips values beyond one standard deviation"
generator.head = "tanh"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from subgrid.config.files import LENGTHS, Table, expand_keys, flatten, merge, read_override, read_settings
from subgrid.config.schema import Config, load_config
from subgrid.errors import ConfigError, SubgridError, nearest
from subgrid.scores.registry import BASELINES
from subgrid.training.check_config import check_config

NAMING = {"system", "summary", "family", "seed"}  # names and descriptions do not change what a system computes
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*")


class Budget(BaseModel):
    """Length of each training: exactly one of the two."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    updates: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Budget:
        if (self.updates is None) == (self.seconds is None):
            raise ValueError("expected exactly one of updates, seconds")
        return self


class ArmFile(BaseModel):
    """An arm as written in the file; all keys but these two are settings."""

    model_config = ConfigDict(extra="allow", frozen=True)
    text: str = ""
    confounded: bool = False


class StudyFile(BaseModel):
    """A study as written in the file."""

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
        key: the setting, with dots.
        reference: its value in the reference arm; None where the reference arm does not have it.
        value: its value in the arm, likewise.
        stated: whether the arm states it.
    """

    key: str
    reference: Any
    value: Any
    stated: bool


@dataclass(frozen=True)
class Arm:
    """One arm: a configuration that the study compares, named after the arms of a clinical trial.

    Attributes:
        name: name of the arm.
        text: a description in one line.
        config: the resolved configuration, with the first seed.
        differences: all settings in which it differs from the reference arm.
        confounded: whether it may differ in more settings than it states.
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
        arms: the arms in the order of the file.
        seeds: the random seeds of each arm.
        reference: name of the arm that the others are compared with.
        budget: the training length, `updates` or `seconds`.
        text: a description in one line.
    """

    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    reference: str
    budget: dict[str, float]
    text: str


def load_study(study: str | Path | Mapping[str, Any], overrides: Iterable[str] = ()) -> Plan:
    """Read a study and check everything that needs no data.

    Args:
        study: a TOML file, or a mapping of the same form, in which a `base` path is relative to the working directory.
        overrides: `key=value` for keys of the study, such as `budget.updates=200` or `common.train.batch=4`.

    Raises:
        ConfigError: an unknown key; an arm that cannot be trained, is equal to the reference arm, or differs from it in
            a setting that it does not state.
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
    _check_budget(written.common, f"{where}: common")
    base = merge(base, expand_keys(written.common))
    configs = {name: _resolve(base, arm, written, f"{where}: arms.{name}") for name, arm in written.arms.items()}
    reference = written.reference or next(iter(written.arms))
    arms = []
    for name, arm in written.arms.items():
        changed = differences(configs[name], configs[reference], _settings(arm))
        if name != reference:
            _check_stated(changed, arm, f"{where}: arms.{name}", reference)
        arms.append(Arm(name, arm.text, configs[name], changed, arm.confounded))
    budget = written.budget.model_dump(exclude_none=True)
    return Plan(tuple(arms), tuple(written.seeds), reference, budget, written.text)


def differences(config: Config, reference: Config, stated: Mapping[str, Any]) -> tuple[Difference, ...]:
    """List all settings in which two resolved configurations differ, except names and seed.

    A setting counts as stated if the arm gives it. If the arm gives another `name` or `kind` for a part, the options that
    only one of the two parts has count as stated too.

    Args:
        config: configuration of the arm.
        reference: configuration of the reference arm.
        stated: the settings that the arm gives, nested.
    """
    ours, theirs = (flatten(one.model_dump(mode="json")) for one in (config, reference))
    keys = set(flatten(stated))
    out = []
    for key in sorted({*ours, *theirs}):
        value, before = ours.get(key), theirs.get(key)
        if key in NAMING or value == before:
            continue
        replaced = {f"{key.rpartition('.')[0]}.{choice}" for choice in ("name", "kind")} & keys
        out.append(Difference(key, before, value, key in keys or (bool(replaced) and None in (value, before))))
    return tuple(out)


def _read_toml(path: Path) -> Table:
    if path.suffix == ".json":
        raise ConfigError(f"{path}: expected a TOML file of a study.")
    return read_settings(path)


def _check_names(written: StudyFile, where: str) -> None:
    """Check that arms and seeds can name folders, and that the reference arm exists."""
    for name in written.arms:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{where}: arms.{name}: expected a name of letters, digits, _, + and -.")
        if name in BASELINES:
            raise ConfigError(f"{where}: arms.{name}: every study has a baseline of this name; rename the arm.")
    if written.reference is not None and written.reference not in written.arms:
        known = nearest(written.reference, written.arms)
        raise ConfigError(f"{where}: reference: there is no arm {written.reference!r}.{known}")
    if len(set(written.seeds)) < len(written.seeds):
        raise ConfigError(f"{where}: seeds: got {written.seeds}, expected each seed once.")


def _base(base: str | Table, folder: Path) -> Table:
    if not isinstance(base, str):
        return expand_keys(base)
    path = folder / base
    if path.suffix != ".toml":
        raise ConfigError(f"base: got {base!r}, expected a TOML file of a configuration, or a table [base].")
    return expand_keys(read_settings(path))


def _settings(arm: ArmFile) -> Table:
    return expand_keys(arm.model_extra or {})


def _resolve(base: Table, arm: ArmFile, written: StudyFile, where: str) -> Config:
    """Resolve the configuration of an arm, and check that it can be trained."""
    settings = _settings(arm)
    _check_budget(settings, where)
    if "seed" in settings:
        raise ConfigError(f"{where}.seed: all arms have the seeds of the study; remove this key.")
    raw = merge(base, settings)
    train = {key: value for key, value in raw.get("train", {}).items() if key not in LENGTHS}
    budget = written.budget.model_dump(exclude_none=True)
    try:
        config = load_config({**raw, "train": {**train, **budget}, "seed": written.seeds[0]})
        check_config(config)
    except SubgridError as error:
        raise ConfigError(f"{where}: {str(error).removeprefix('the given settings: ')}") from error
    return config


def _check_budget(settings: Mapping[str, Any], where: str) -> None:
    """Refuse settings of the training length: the budget is the same for all arms."""
    stated = [key for key in flatten(expand_keys(settings)) if key in {f"train.{name}" for name in LENGTHS}]
    if stated:
        raise ConfigError(f"{where}.{stated[0]}: the budget is the same for all arms; set it under [budget].")


def _check_stated(changed: tuple[Difference, ...], arm: ArmFile, where: str, reference: str) -> None:
    """Refuse differences that an arm does not state, unless `confounded = true`."""
    if not changed:
        raise ConfigError(f"{where}: no setting differs from {reference}; change a setting, or remove the arm.")
    unstated = ", ".join(f"{one.key} ({one.reference!r} -> {one.value!r})" for one in changed if not one.stated)
    if unstated and not arm.confounded:
        raise ConfigError(
            f"{where}: settings differ from {reference} that the arm does not state: {unstated}. State them, or set "
            "confounded = true."
        )


def _explain(error: ValidationError) -> str:
    """Describe the first problem: the key, what was found and what was expected."""
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
