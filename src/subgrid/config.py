"""Configuration: one TOML of a dozen lines over a recipe, checked at the door.

A user's file names a system and a data set; `recipes/<system>.toml` supplies the rest; what the file or `--set key=value` says
wins. Unknown keys and wrong types are refused with the key, what was found and the nearest valid choice.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, time
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from subgrid.errors import ConfigError, nearest

Table = dict[str, Any]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
LENGTHS = ("updates", "epochs", "seconds")
DESCRIPTIONS = frozenset({"summary"})  # settings that have no effect; another version may word them differently


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False, frozen=True, validate_default=True)


class DataConfig(_Strict):
    """What to read, how to pair it, how to split it."""

    source: str | list[str] | None = None
    variables: list[str] = Field(min_length=1)
    factor: Annotated[int, Field(ge=2, le=64)] = 4
    coarsen: Literal["mean", "bilinear"] = "mean"
    coarse_source: str | list[str] | None = None
    train: tuple[str, str] | None = None
    valid: tuple[str, str] | None = None
    test: tuple[str, str] | None = None
    gap: str = "0h"
    season: Literal["MAM", "JJA", "SON", "DJF"] | None = None
    select: dict[str, str | int | float] = {}
    static: list[str] = []
    static_source: str | list[str] | None = None
    start: str | None = None
    step: str | None = None


class PartConfig(BaseModel):
    """A model by name, with the options of its constructor."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @property
    def options(self) -> Table:
        """Everything but the name."""
        return dict(self.model_extra or {})


class LossConfig(BaseModel):
    """A loss term's weight, with the options of its constructor."""

    model_config = ConfigDict(extra="allow", frozen=True)
    weight: Annotated[float, Field(ge=0.0)]

    @property
    def options(self) -> Table:
        """Everything but the weight."""
        return dict(self.model_extra or {})


class ContentConfig(_Strict):
    """The content-only stage before the discriminator comes in; `share` of the training length, 0 for none, 1 for all."""

    share: Share = 0.0
    learning_rate: Positive | None = None
    losses: dict[str, LossConfig] = {}


class TrainConfig(_Strict):
    """Length, optimiser, schedule, validation."""

    updates: Count | None = None
    epochs: Positive | None = None
    seconds: Positive | None = None
    batch: Count = 16
    patch: Annotated[int, Field(ge=8)] = 64
    learning_rate: Positive = 1e-4
    discriminator_learning_rate: Positive | None = None
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    clip_norm: Annotated[float, Field(ge=0.0)] = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: Share = 0.0
    ema: Decay = 0.0
    flips: bool = False
    validate_every: Count = 100
    validation_fields: Count = 8
    training_fields: Annotated[int, Field(ge=0)] = 0
    precision: Literal["auto", "32", "bf16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        given = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"got {' and '.join(given) or 'no training length'}, expected exactly one of {', '.join(LENGTHS)}"
            )
        return self


class Config(_Strict):
    """Everything that a run depends on."""

    system: str
    summary: str = ""
    family: str = ""
    seed: Annotated[int, Field(ge=0)] = 0
    data: DataConfig
    generator: PartConfig
    discriminator: PartConfig | None = None
    content: ContentConfig = ContentConfig()
    losses: dict[str, LossConfig] = {}
    train: TrainConfig = TrainConfig(updates=1000)

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if self.content.share > 0 and not self.content.losses:
            raise ValueError("content.losses: a content stage needs at least one loss")
        for name in ("adversarial", "feature_matching"):
            if name in self.content.losses:
                raise ValueError(
                    f"content.losses.{name}: the content stage has no discriminator; put it under [losses]"
                )
        if self.train.patch % self.data.factor:
            patch, factor = self.train.patch, self.data.factor
            best = max(-(-8 // factor), round(patch / factor)) * factor
            raise ValueError(f"train.patch: {patch} is no multiple of data.factor {factor}; take {best}")
        if self.adversarial and self.discriminator is None:
            raise ValueError("discriminator: the adversarial loss needs one; add a [discriminator] table")
        return self

    @property
    def adversarial(self) -> bool:
        """Whether any stage trains a discriminator."""
        return self.content.share < 1 and "adversarial" in self.losses and self.losses["adversarial"].weight > 0

    @property
    def conditional(self) -> bool:
        """Whether the generator refines coarse fields; False where noise is its only input."""
        from subgrid.models import SAMPLERS  # here, so that reading a configuration does not import torch

        return self.generator.name not in SAMPLERS


_TABLES: dict[str, type[BaseModel]] = {"data": DataConfig, "train": TrainConfig, "content": ContentConfig}


def defaults() -> Table:
    """The values of settings that are not given, as plain values; what then has no value is left out."""
    plain: Table = {"mode": "json", "exclude_none": True}
    tables = {name: model.model_construct().model_dump(**plain) for name, model in _TABLES.items()}
    return Config.model_construct().model_dump(exclude=set(_TABLES), **plain) | tables


def recipe_names() -> list[str]:
    """Names of the shipped systems, those of the study as `published/NAME`."""
    root = resources.files("subgrid") / "recipes"
    top = [p.name.removesuffix(".toml") for p in root.iterdir() if p.name.endswith(".toml")]
    published = [
        f"published/{p.name.removesuffix('.toml')}" for p in (root / "published").iterdir() if p.name.endswith(".toml")
    ]
    return sorted(top) + sorted(published)


def load_recipe(system: str) -> Table:
    """The settings that a system's recipe file supplies.

    Args:
        system: a shipped name, or the path of a TOML file of the same form.

    Raises:
        ConfigError: if there is no such recipe.
    """
    if system.endswith(".toml"):
        return _read_toml(Path(system))
    if system not in recipe_names():
        raise ConfigError(f"system: no recipe called {system!r}.{nearest(system, recipe_names())}")
    file: Traversable = resources.files("subgrid") / "recipes" / f"{system}.toml"
    return _parse(file.read_text(encoding="utf-8"))


def load_config(config: str | Path | Mapping[str, Any] | Config, overrides: Iterable[str] = ()) -> Config:
    """Read, complete and check a configuration.

    Args:
        config: a TOML file, the `config.json` of a run, a mapping of the same form (keys may be dotted), or a `Config`.
            The second and the last are resolved: they need no recipe any more.
        overrides: settings of the form `key=value` with a dotted key; the value is read as TOML, else as text.

    Returns:
        The resolved configuration; relative source paths stay relative to the working directory.

    Raises:
        ConfigError: for a missing file, a syntax error, an unknown key, a wrong type or value.
    """
    if isinstance(config, Config):
        raw, where = config.model_dump(mode="json", exclude_none=True), "the given configuration"
    elif isinstance(config, Mapping):
        raw, where = expand_keys(config), "the given settings"
    else:
        raw, where = read_settings(Path(config)), str(config)
    resolved = isinstance(config, Config) or (isinstance(config, str | Path) and Path(config).suffix == ".json")
    over: Table = {}
    for text in overrides:
        over = merge(over, read_override(text))
    if resolved and over.get("system", raw.get("system")) != raw.get("system"):
        raise ConfigError(f"{where}: system: it is resolved for {raw.get('system')!r}; start another from a TOML file.")
    raw = _settle(raw, over)
    try:
        return Config.model_validate(raw if resolved else _settle(_recipe(raw, where), raw))
    except ValidationError as error:
        raise ConfigError(f"{where}: {_explain(error)}") from None


def _recipe(raw: Table, where: str) -> Table:
    """The recipe of the system that the settings name."""
    system = raw.get("system", "srgan")
    if not isinstance(system, str):
        raise ConfigError(f"{where}: system: got {system!r}, expected a name.{nearest(str(system), recipe_names())}")
    return {**load_recipe(system), "system": system}


def _settle(base: Table, over: Table) -> Table:
    """`over` wins; a training length given there takes the place of any other."""
    train, given = base.get("train"), over.get("train")
    if isinstance(train, Mapping) and isinstance(given, Mapping) and any(name in given for name in LENGTHS):
        base = {**base, "train": {k: v for k, v in train.items() if k not in LENGTHS}}
    return merge(base, over)


def read_settings(path: Path) -> Table:
    """Read the settings of a TOML file, or the `config.json` of a run, unchecked.

    Raises:
        ConfigError: for a file that is not there or cannot be read.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; give the TOML file of a configuration (for a run, its config.json).")
    if not path.is_file():
        near = nearest(path.name, (p.name for p in path.parent.glob("*.toml"))) if path.parent.is_dir() else ""
        raise ConfigError(f"no configuration file {path}.{near}")
    if path.suffix == ".json":
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(f"{path} is not readable JSON: {error}") from None
        if not isinstance(table, dict):
            raise ConfigError(f"{path} holds a {type(table).__name__}, expected the config.json of a run.")
        return table
    return _read_toml(path)


def _read_toml(path: Path) -> Table:
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no recipe file {path}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not readable TOML: {error}") from None


def _parse(text: str) -> Table:
    """Read TOML; dates without quotes are meant as text."""
    table: Table = _dates_as_text(tomllib.loads(text))
    return table


def _dates_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _dates_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(item) for item in value]
    return value.isoformat() if isinstance(value, date | time) else value


def read_override(text: str) -> Table:
    """`a.b=1` as a nested table; the value is read as TOML, else as text.

    Raises:
        ConfigError: where there is no key or no sign.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ConfigError(f"--set {text}: expected key=value, such as train.updates=500.")
    try:
        parsed = _parse(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return expand_keys({key.strip(): parsed})


def expand_keys(settings: Mapping[str, Any]) -> Table:
    """Dotted keys as nested tables."""
    out: Table = {}
    for key, value in settings.items():
        nested: Any = expand_keys(value) if isinstance(value, Mapping) else value
        for part in reversed(str(key).split(".")):
            nested = {part: nested}
        out = merge(out, nested)
    return out


def flatten(table: Mapping[str, Any], prefix: str = "") -> Table:
    """Nested tables as dotted keys."""
    out: Table = {}
    for key, value in table.items():
        out |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return out


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Table:
    """`over` wins; tables are merged, everything else is replaced."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        nested = isinstance(value, Mapping) and isinstance(old, Mapping)
        out[key] = merge(_kept(old, value), value) if nested and isinstance(old, Mapping) else value
    return out


def _kept(old: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stays of a table: a part of another name keeps no option of the old one, a loss of another kind its weight."""
    if over.get("name", old.get("name")) != old.get("name"):
        return {}
    same = over.get("kind", old.get("kind")) == old.get("kind")
    return old if same else {"weight": old["weight"]} if "weight" in old else {}


_PATHS, _PERIOD = "a path, a glob or a list of them", 'two dates: ["2018-10-01", "2018-10-09"]'
_EXPECTED = {
    **dict.fromkeys(("data.source", "data.coarse_source", "data.static_source"), _PATHS),
    **dict.fromkeys(("data.train", "data.valid", "data.test"), _PERIOD),
    **dict.fromkeys(("data.variables", "data.static"), 'a list of names: ["t2m"]'),
    "data.select": "one label a dimension: { level = 850 }",
}


def _explain(error: ValidationError) -> str:
    """The first problems of a validation, each with key, what was found and what was expected."""
    lines: dict[str, str] = {}  # a problem a key: each choice of a union brings one of its own
    for item in error.errors():
        path = [str(part) for part in item["loc"]]
        key, found = ".".join(path), item["input"]
        plain = next((known for known in _EXPECTED if key == known or key.startswith(f"{known}.")), None)
        if plain and (key, item["type"]) != ("data.variables", "missing"):
            lines[plain] = f"{plain}: got {found!r}, expected {_EXPECTED[plain]}."
        elif item["type"] == "extra_forbidden":
            lines[key] = f"unknown key {key}.{nearest(path[-1], _keys(path[:-1]))}"
        elif item["type"] == "missing":
            lines[key] = f"{key} is missing: add it ({_describe(path)})."
        elif item["type"] == "value_error":
            lines[key] = f"{key + ': ' if key else ''}{item['ctx']['error']}."
        elif item["type"] in {"model_type", "dict_type"}:
            lines[key] = f"{key}: got {found!r}, expected a table: [{key}]."
        else:
            lines[key] = f"{key}: got {found!r}; {item['msg'][0].lower() + item['msg'][1:]}."
    return " ".join(list(lines.values())[:3])


def _model_at(path: list[str]) -> type[BaseModel] | None:
    """The model that checks the table at a path."""
    model: type[BaseModel] | None = Config
    for part in path:
        model = _TABLES.get(part) if model is Config else None
    return model


def _keys(path: list[str]) -> list[str]:
    model = _model_at(path)
    return sorted(model.model_fields) if model else []


def _describe(path: list[str]) -> str:
    """An example of a key that is missing."""
    examples = {"data": "[data] with source and variables", "data.variables": 'variables = ["t2m"]'}
    return examples.get(".".join(path), "see the example configurations")
