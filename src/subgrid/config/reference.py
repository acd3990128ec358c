"""The reference of all settings, made from the descriptions of the configuration and the docstrings of networks and losses.

`subgrid settings` prints it; `python -m subgrid.config.reference > docs/settings.md` writes its page.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from subgrid.config.files import flatten, load_recipe
from subgrid.config.messages import suggest
from subgrid.config.schema import DEFAULT_SYSTEM, TABLES, LossConfig, PartConfig
from subgrid.errors import ConfigError

SUPPLIED = {
    "self",
    "channels_in",
    "channels_out",
    "channels_condition",
    "factor",
    "static_channels",
    "shape",
    "variables",
}
"""Arguments of constructors that follow from the data; they are no settings."""
RECIPES_ONLY = ("summary", "family")
_WORDS = {int: "integer", float: "number", bool: "true or false", str: "text"}
_PLURALS = {"integer": "integers", "number": "numbers", "text": "texts"}
_KIND = "Form of the adversarial loss; the other options of the table depend on it."
_TEXTS = {
    "generator": "The network that makes fine fields. `name` chooses it; each has options of its own.",
    "discriminator": "The network that tells generated from true fields. `name` chooses it; each has options of its own.",
    "losses": (
        "Losses of the adversarial stage, one table for each, such as `[losses.l1]`. Those of the content stage have the\n"
        "same names and options, under `[content.losses.NAME]`. `adversarial` and `feature_matching` need a discriminator\n"
        "and cannot be used there."
    ),
}
"""Tables whose other settings are the options of a network or loss, and what the page says of them."""
_INTRODUCTION = """\
A configuration is a TOML file. It needs a `[data]` table with `source` and `variables`. Every other setting has a value
from the recipe of the `system` that the file names, or else its default. Where the recipe of `srgan`, the system that is
used if none is named, sets another value than the default, that value is given below as well.

`subgrid init FILES > my.toml` writes a first configuration, `--set key=value` changes a setting for one command, and
`subgrid settings KEY` prints entries of this page.
"""


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: its dotted key, such as `train.batch`.
        type: type and range, in words.
        default: the default as TOML, "required", or empty where the description states it.
        description: meaning, unit and effect.
        owner: the network or loss whose option it is; empty where it is a setting of every configuration.
    """

    key: str
    type: str
    default: str
    description: str
    owner: str = ""

    @property
    def facts(self) -> str:
        """Type, default and the value in the default system, where that is another one."""
        recipe = flatten(load_recipe(DEFAULT_SYSTEM))
        parts = (recipe.get(f"{self.key.partition('.')[0]}.name"), recipe["losses.adversarial.kind"], "")
        facts = [self.type, f"default {self.default}" if self.default not in ("", "required") else self.default]
        if self.owner in parts and self.key in recipe and self.key not in RECIPES_ONLY:
            value = as_toml(recipe[self.key])
            facts.append(f"{DEFAULT_SYSTEM} sets {value}" if value != self.default else "")
        return "; ".join(fact for fact in facts if fact)


def settings(key: str = "") -> list[Setting]:
    """Look up settings: one, all options of a name, or all settings of a table.

    Args:
        key: dotted, such as `train`, `train.batch`, `generator.features`, `srresnet` or `losses.perceptual`; empty for all.

    Raises:
        ConfigError: if there is none, with a suggestion.
    """
    key = key.removeprefix("content.") if key.startswith("content.losses.") else key
    first = key.partition(".")[0]
    found = [setting for setting in fields() if _matches(setting, key)]
    if not found or first in _TEXTS or not key:
        found += [setting for setting in options() if _matches(setting, key)]
    if not found:
        keys = dict.fromkeys(setting.key for setting in [*fields(), *options()])
        raise ConfigError(f"there is no setting {key}.{suggest(key, list(keys))}")
    return found


def _matches(setting: Setting, key: str) -> bool:
    return not key or key in (setting.key, setting.owner) or setting.key.startswith(f"{key}.")


def fields() -> Iterator[Setting]:
    """The settings of every configuration, in the order of the configuration's tables."""
    for table, model in TABLES.items():
        for name, field in model.model_fields.items():
            if table or not _is_table(field):
                yield _field(f"{table}.{name}".lstrip("."), field)
    for table in ("generator", "discriminator"):
        yield _field(f"{table}.name", PartConfig.model_fields["name"])
    yield _field("losses.NAME.weight", LossConfig.model_fields["weight"])


def options() -> Iterator[Setting]:
    """The options of all networks and losses that have a name here."""
    for table, parts in _parts().items():
        for name, part in parts.items():
            prefix = f"{table}.{name}" if table == "losses" else table
            yield from _constructor_options(prefix, name, part)
    from subgrid.losses import ADVERSARIAL

    kinds = f"one of {', '.join(map(as_toml, ADVERSARIAL))}"
    yield Setting("losses.adversarial.kind", kinds, as_toml("vanilla"), _KIND, "adversarial")
    for name, loss in ADVERSARIAL.items():
        yield from _constructor_options("losses.adversarial", name, loss)


def _parts() -> dict[str, dict[str, Callable[..., Any]]]:
    """Networks and losses by the table that names them."""
    from subgrid.losses import LOSSES
    from subgrid.losses.feature_matching import FeatureMatching
    from subgrid.models import DISCRIMINATORS, GENERATORS

    return {
        "generator": dict(GENERATORS),
        "discriminator": dict(DISCRIMINATORS),
        "losses": {**LOSSES, "feature_matching": FeatureMatching},
    }


def _field(key: str, field: FieldInfo) -> Setting:
    kind = _type_in_words(Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation)
    default = "required" if field.is_required() else "" if field.default is None else as_toml(field.default)
    default = as_toml(DEFAULT_SYSTEM) if key == "system" else default
    return Setting(key, kind, default, " ".join((field.description or "").split()))


def _is_table(field: FieldInfo) -> bool:
    """Whether a field of the whole configuration is a table with settings of its own."""
    kinds = [field.annotation, *get_args(field.annotation)]
    return any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds)


def _constructor_options(prefix: str, owner: str, part: Callable[..., Any]) -> Iterator[Setting]:
    """The arguments of a constructor that a configuration may give."""
    described = argument_descriptions(part)
    hints = get_type_hints(vars(part).get("__init__", part), include_extras=True)
    for name, parameter in inspect.signature(part).parameters.items():
        if name not in SUPPLIED and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            default = "required" if parameter.default is parameter.empty else as_toml(parameter.default)
            kind = _type_in_words(hints.get(name, str))
            yield Setting(f"{prefix}.{name}", kind, default, described.get(name, ""), owner)


def argument_descriptions(part: Callable[..., Any]) -> dict[str, str]:
    """The descriptions of a constructor's arguments, from the Google-style docstring of the constructor or class."""
    found: dict[str, str] = {}
    for text in (inspect.getdoc(part), inspect.getdoc(vars(part).get("__init__"))):
        section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", text or "", re.MULTILINE)
        for entry in re.split(r"\n(?=\S)", textwrap.dedent(section[1])) if section else ():
            name, _, description = entry.partition(":")
            found[name.split("(")[0].strip()] = _sentence(" ".join(description.split()))
    return found


def _sentence(text: str) -> str:
    """A description as a sentence: arguments of functions are described without capital and full stop."""
    text = text if re.match(r"[A-Za-z]+[_(.\d]", text) else text[:1].upper() + text[1:]
    return text if not text or text.endswith((".", ")")) else f"{text}."


def _type_in_words(kind: Any) -> str:
    """A type with its range, such as "integer, at least 1"."""
    if get_origin(kind) is Annotated:
        base, *metadata = get_args(kind)
        return ", ".join([_type_in_words(base), *_limits(metadata)])
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(
            dict.fromkeys(_type_in_words(choice) for choice in get_args(kind) if choice is not type(None))
        )
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(as_toml, get_args(kind)))}"
    if isinstance(get_origin(kind), type) and issubclass(get_origin(kind), Mapping):
        return "table"
    if isinstance(get_origin(kind), type) and issubclass(get_origin(kind), Sequence):
        inside = [_type_in_words(choice) for choice in get_args(kind) if choice is not ...]
        many = _PLURALS.get(inside[0].partition(",")[0], "lists") + "".join(inside[0].partition(",")[1:])
        return f"{'two' if len(inside) == 2 else 'list of'} {many}"
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))


def _limits(metadata: Sequence[Any]) -> list[str]:
    """Ranges in words."""
    words = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}
    limits = [limit for item in metadata for limit in (item.metadata if isinstance(item, FieldInfo) else [item])]
    return [f"{text} {getattr(item, name):g}" for item in limits for name, text in words.items() if hasattr(item, name)]


def as_toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping) and value:
        return f"{{ {', '.join(f'{key} = {as_toml(item)}' for key, item in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    return str(value)


def as_text(settings: Sequence[Setting], width: int = 100) -> str:
    """Settings as plain text for the terminal."""
    blocks = []
    for setting in settings:
        name = f"{setting.key} ({setting.owner})" if setting.owner else setting.key
        text = textwrap.wrap(setting.description, width - 4, break_long_words=False)
        blocks.append("\n    ".join([name, *text, f"[{setting.facts}]"]))
    return "\n\n".join(blocks)


def page() -> str:
    """The page docs/settings.md."""
    from subgrid.losses import ADVERSARIAL

    out = ["# Settings\n", "<!-- Written by `python -m subgrid.config.reference`; do not edit. -->\n", _INTRODUCTION]
    every = list(fields())
    for table, model in TABLES.items():
        title, text = (f"[{table}]", model.__doc__) if table else ("Top level", "Settings outside any table.")
        chosen = [s for s in every if s.key.rpartition(".")[0] == table and s.key.partition(".")[0] not in _TEXTS]
        out += [f"## {title}\n", f"{text}\n", *map(_entry, chosen)]
    for table, parts in _parts().items():
        title = "losses.NAME" if table == "losses" else table
        out += [f"## [{title}]\n", f"{_TEXTS[table]}\n", *(_entry(s) for s in every if s.key.startswith(f"{table}."))]
        for name, part in parts.items():
            out += _section(f"[losses.{name}]" if table == "losses" else f'{table}.name = "{name}"', name, part)
    out += ["### [losses.adversarial]\n", "Trains generator and discriminator against each other.\n"]
    out += [_bullet(setting) + "\n" for setting in options() if setting.owner == "adversarial"]
    for name, loss in ADVERSARIAL.items():
        out += _section(f'losses.adversarial.kind = "{name}"', name, loss)
    return "\n".join(out).rstrip("\n") + "\n"


def _section(title: str, name: str, part: Callable[..., Any]) -> list[str]:
    """A network or loss: what it is, and its options."""
    text = (inspect.getdoc(part) or "").partition("\nArgs:")[0].strip()
    bullets = [_bullet(setting) for setting in options() if setting.owner == name]
    return [f"### {title}\n", f"{text}\n", *([*bullets, ""] if bullets else ["It has no options.\n"])]


def _entry(setting: Setting) -> str:
    return f"### {setting.key}\n\n{_fill(setting.description)}\n\n*Type: {setting.facts}.*\n"


def _bullet(setting: Setting) -> str:
    return _fill(f"- `{setting.key.rpartition('.')[2]}` ({setting.facts}): {setting.description}", indent="  ")


def _fill(text: str, indent: str = "") -> str:
    return textwrap.fill(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    sys.stdout.write(page())
