"""Settings as plain tables: read from TOML files, recipes and `key=value` texts, and merged; nothing is checked here."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from datetime import date, time
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from subgrid.errors import ConfigError, nearest

Table = dict[str, Any]
LENGTHS = ("updates", "epochs", "seconds")
"""Settings of [train] that state the length of a training; exactly one is given."""

RENAMED: dict[str, dict[str, str]] = {"generator": {"base": "residual", "sees": "input_grid"}}
"""Options that have another name today: old name to new name, by table (`generator`, `discriminator`, `losses`, `train`, ...).
Run directories and studies that were written with the old names are read with the new ones."""


def recipe_names() -> list[str]:
    """Names of the shipped systems; those that reproduce a paper are called `published/NAME`."""
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
        raise ConfigError(f"system: there is no recipe called {system!r}.{nearest(system, recipe_names())}")
    file: Traversable = resources.files("subgrid") / "recipes" / f"{system}.toml"
    return _parse(file.read_text(encoding="utf-8"))


def read_settings(path: Path) -> Table:
    """Read the settings of a TOML file, or the `config.json` of a run, unchecked; old names in the latter are replaced.

    Raises:
        ConfigError: for a file that does not exist or cannot be read.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; give the TOML file of a configuration (for a run, its config.json).")
    if not path.is_file():
        near = nearest(path.name, (p.name for p in path.parent.glob("*.toml"))) if path.parent.is_dir() else ""
        raise ConfigError(f"there is no configuration file {path}.{near}")
    if path.suffix == ".json":
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(f"{path} is not valid JSON: {error}") from None
        if not isinstance(table, dict):
            raise ConfigError(f"{path} holds a {type(table).__name__}, expected the config.json of a run.")
        return rename_old_keys(table)
    return _read_toml(path)


def rename_old_keys(table: Mapping[str, Any], renamed: Mapping[str, Mapping[str, str]] | None = None) -> Table:
    """Settings written by an earlier version, with today's names.

    Args:
        table: nested settings, as in a run's config.json.
        renamed: old and new names by table; `RENAMED` by default. Those of `losses` hold for each loss in both stages.
    """
    renamed = RENAMED if renamed is None else renamed
    out: Table = {}
    for key, value in table.items():
        names = renamed.get(key, {})
        if key == "content" and isinstance(value, Mapping):
            out[key] = rename_old_keys(value, renamed)
        elif key == "losses" and isinstance(value, Mapping):
            out[key] = {loss: _rename(options, names) for loss, options in value.items()}
        else:
            out[key] = _rename(value, names)
    return out


def _rename(value: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(value, Mapping) or ":" in str(
        value.get("name")
    ):  # a class of the user's own has options of its own
        return value
    return {names.get(key, key): item for key, item in value.items()}


def _read_toml(path: Path) -> Table:
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no recipe file {path}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def _parse(text: str) -> Table:
    """Read TOML; dates without quotes are taken as text."""
    table: Table = _dates_as_text(tomllib.loads(text))
    return table


def _dates_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _dates_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(item) for item in value]
    return value.isoformat() if isinstance(value, date | time) else value


def read_override(text: str) -> Table:
    """`a.b=1` as a nested table; the value is read as TOML and, where it is not TOML, taken as text.

    Raises:
        ConfigError: where the key or the equals sign is missing.
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
    """Merge two nested tables; where both have a value, that of `over` is taken."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        nested = isinstance(value, Mapping) and isinstance(old, Mapping)
        out[key] = merge(_compatible(old, value), value) if nested and isinstance(old, Mapping) else value
    return out


def _compatible(old: Mapping[str, Any], over: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options that stay: none where the name of the model changes, the weight where the kind of the loss changes."""
    if over.get("name", old.get("name")) != old.get("name"):
        return {}
    same = over.get("kind", old.get("kind")) == old.get("kind")
    return old if same else {"weight": old["weight"]} if "weight" in old else {}


def override(base: Table, over: Table) -> Table:
    """Merge settings; a training length in `over` replaces any other length in `base`."""
    train, given = base.get("train"), over.get("train")
    if isinstance(train, Mapping) and isinstance(given, Mapping) and any(name in given for name in LENGTHS):
        base = {**base, "train": {k: v for k, v in train.items() if k not in LENGTHS}}
    return merge(base, over)
