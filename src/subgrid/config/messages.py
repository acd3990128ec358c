"""What is wrong with a configuration, in words: the key, what was found, what was expected, and the key that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from subgrid.config.files import RENAMED
from subgrid.errors import SYNONYMS, nearest

MEANT = {
    "coarse": "data.coarse_source",
    "data.coarse": "data.coarse_source",
    "data.lr": "data.coarse_source",
    "data.low_resolution": "data.coarse_source",
    "data.predictors": "data.coarse_source",
    "data.file": "data.source",
    "data.files": "data.source",
    "data.path": "data.source",
    "data.paths": "data.source",
    "data.fine": "data.source",
    "data.fine_source": "data.source",
    "data.hr": "data.source",
    "data.high_resolution": "data.source",
    "data.target": "data.variables",
    "data.targets": "data.variables",
    "data.level": "data.select",
    "data.levels": "data.select",
    "data.pressure_level": "data.select",
    "data.height": "data.select",
    "data.realization": "data.select",
    "data.member": "data.select",
    "data.number": "data.select",
    "data.upscale": "data.factor",
    "data.orography": "data.static",
    "data.elevation": "data.static",
    "data.covariates": "data.static",
    "data.validation": "data.valid",
    "data.val": "data.valid",
    "data.testing": "data.test",
    "data.training": "data.train",
    "data.split": "data.train",
    "data.splits": "data.train",
    "data.periods": "data.train",
    "data.method": "data.coarsen",
    "model": "generator",
    "network": "generator",
    "critic": "discriminator",
    "loss": "losses",
    "pretraining": "content",
    "pretrain": "content",
    "pixel_loss": "losses.l1.weight",
    "amp": "train.precision",
    "mixed_precision": "train.precision",
    "dtype": "train.precision",
    "gpu": "train.device",
    "cuda": "train.device",
    "accelerator": "train.device",
    "steps": "train.updates",
    "iterations": "train.updates",
    "max_steps": "train.updates",
    "max_epochs": "train.epochs",
    "scheduler": "train.schedule",
    "crop_size": "train.patch",
    "augment": "train.flips",
    "augmentation": "train.flips",
    "recipe": "system",
    "name": "system",
}
"""Keys that users of other programs write, and the setting with that meaning. A key without a dot stands for that word in
any table."""

_PATHS, _PERIOD = "a path, a glob or a list of them", 'two dates: ["2018-10-01", "2018-10-09"]'
_EXPECTED = {
    **dict.fromkeys(("data.source", "data.coarse_source", "data.static_source"), _PATHS),
    **dict.fromkeys(("data.train", "data.valid", "data.test"), _PERIOD),
    **dict.fromkeys(("data.variables", "data.static"), 'a list of names: ["t2m"]'),
    "data.gap": 'a length of time with its unit: "5d" or "12h"',
    **dict.fromkeys(("data.select", "data.coarse_select"), "one label for each dimension: { level = 850 }"),
}
_EXAMPLES = {
    "data": "a [data] table with source and variables",
    "data.variables": 'variables = ["t2m"] under [data]',
    "generator.name": 'such as name = "srresnet"; `subgrid settings generator` lists all',
    "discriminator.name": 'such as name = "patchgan"; `subgrid settings discriminator` lists all',
}


def explain(error: ValidationError, keys: Sequence[str]) -> str:
    """The first three problems of a validation, each with key, what was found and what was expected.

    Args:
        error: as pydantic raised it.
        keys: dotted keys of all settings.
    """
    lines: dict[str, str] = {}  # one problem for each key: each choice of a union has one of its own
    for item in error.errors():
        path = [str(part) for part in item["loc"]]
        key, found = ".".join(path), item["input"]
        plain = next((known for known in _EXPECTED if key == known or key.startswith(f"{known}.")), None)
        if plain and (key, item["type"]) != ("data.variables", "missing"):
            lines[plain] = f"{plain}: got {found!r}, expected {_EXPECTED[plain]}."
        elif item["type"] == "extra_forbidden":
            lines[key] = f"unknown key {key}.{suggest(key, keys)}"
        elif item["type"] == "missing":
            example = _EXAMPLES.get(
                key, "weight = 1.0, for example" if path[-1] == "weight" else "see `subgrid settings`"
            )
            lines[key] = f"{key} is missing: add it ({example})."
        elif item["type"] == "value_error":
            lines[key] = f"{key + ': ' if key else ''}{item['ctx']['error']}."
        elif item["type"] in {"model_type", "dict_type"}:
            lines[key] = f"{key}: got {found!r}, expected a table: [{key}]."
        else:
            lines[key] = f"{key}: got {found!r}; {item['msg'][0].lower() + item['msg'][1:]}."
    return " ".join(list(lines.values())[:3])


def suggest(key: str, keys: Sequence[str]) -> str:
    """The setting that an unknown key may mean, as the end of a message.

    An old name comes first, then a name with the same meaning in the same table, one that is spelt alike there, one that
    other programs use, the same name in another table, and any that is spelt alike.

    Args:
        key: dotted, as given.
        keys: dotted keys of all settings.

    Returns:
        `` Did you mean 'train.batch'?`` (with a leading space), or the valid keys of the table.
    """
    table, _, word = key.rpartition(".")
    own = {k.rpartition(".")[2]: k for k in keys if k.rpartition(".")[0] == table}
    # of equal names, the shortest key
    anywhere = {k.rpartition(".")[2]: k for k in sorted(keys, key=len, reverse=True)}
    words = (word, *SYNONYMS.get(word, ()))
    renamed = RENAMED.get(table, {}).get(word)
    choices = (
        f"{table}.{renamed}" if renamed else None,
        _first(words, own),
        MEANT.get(key),
        _similar(word, own, 0.8),
        MEANT.get(word),
        _first(words, anywhere),
        _similar(word, own, 0.6),
        _similar(word, anywhere, 0.8),
    )
    meant = next(filter(None, choices), None)
    return f" Did you mean {meant!r}?" if meant is not None else nearest(word, own)


def _first(words: Sequence[str], named: Mapping[str, str]) -> str | None:
    """The key of the first word that is a name."""
    return next((named[word] for word in words if word in named), None)


def _similar(word: str, named: Mapping[str, str], cutoff: float) -> str | None:
    """The key of the name that is spelt most like the word."""
    return _first(difflib.get_close_matches(word, named, n=1, cutoff=cutoff), named)
