"""The reference of settings: complete, current and found by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from subgrid.config.reference import argument_descriptions, as_toml, fields, options, page, settings
from subgrid.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "setting", [*fields(), *options()], ids=lambda setting: f"{setting.key} {setting.owner}".strip()
)
def test_every_setting_is_described(setting: Any) -> None:
    assert len(setting.description) > 20, "describe it in config.py, or under Args of the constructor's docstring"
    assert setting.description[0].isupper() or not setting.description[0].isalpha()
    assert setting.type and "<" not in setting.type


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == page(), (
        "run: python -m subgrid.config.reference > docs/settings.md"
    )


@pytest.mark.parametrize(
    ("key", "first", "count"),
    [
        ("train.batch", "train.batch", 1),
        ("losses.perceptual.layer", "losses.perceptual.layer", 1),
        ("content.losses.perceptual.layer", "losses.perceptual.layer", 1),
        ("content", "content.share", 3),
        ("data", "data.source", 17),
        ("relativistic", "losses.adversarial.mean", 2),
    ],
)
def test_settings_are_found_by_key_table_and_owner(key: str, first: str, count: int) -> None:
    found = settings(key)
    assert (found[0].key, len(found)) == (first, count)


def test_an_option_is_found_in_every_network_that_has_it() -> None:
    assert {setting.owner for setting in settings("generator.features")} >= {"srresnet", "unet", "rrdbnet"}
    assert {setting.key for setting in settings("srresnet")} > {"generator.features", "generator.blocks"}
    assert len(settings()) == len([*fields(), *options()])


def test_a_key_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^there is no setting train\.batch_size\. Did you mean 'train\.batch'\?$"):
        settings("train.batch_size")
    with pytest.raises(
        ConfigError, match=r"^there is no setting generator\.blokcs\. Did you mean 'generator\.blocks'\?$"
    ):
        settings("generator.blokcs")


def test_facts() -> None:
    facts = {setting.key: setting.facts for setting in settings("train")}
    assert facts["train.betas"] == "two numbers, at least 0, less than 1; default [0.9, 0.999]; srgan sets [0.9, 0.99]"
    assert facts["train.device"] == 'one of "auto", "cpu", "cuda"; default "auto"'
    assert facts["train.updates"] == "integer, at least 1; srgan sets 3000"
    assert settings("data.variables")[0].facts == "list of texts; required"


def test_descriptions_come_from_google_docstrings() -> None:
    class Layer:
        """A layer.

        Args:
            width (int): cells along
                each axis.
            mode: `a` or
                `b`.

        Raises:
            ValueError: never.
        """

        def __init__(self, width: int, mode: Literal["a", "b"] = "a") -> None: ...

    assert argument_descriptions(Layer) == {"width": "Cells along each axis.", "mode": "`a` or `b`."}


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), ("a", '"a"'), ((1, 2.5), "[1, 2.5]"), ({"level": 850}, "{ level = 850 }"), ({}, "{}")],
)
def test_values_are_written_as_toml(value: Any, text: str) -> None:
    assert as_toml(value) == text
