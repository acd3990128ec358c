"""Configuration: what is refused and how, what takes precedence, and that a resolved configuration stays what it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from subgrid.config import files as config_files
from subgrid.config.files import flatten, load_recipe, recipe_names
from subgrid.config.messages import MEANT
from subgrid.config.schema import Config, defaults, known_keys, load_config
from subgrid.errors import SYNONYMS, ConfigError, SubgridError, nearest

DATA = {"source": "fields.nc", "variables": ["u10", "v10"]}
BASE: dict[str, Any] = {"system": "srgan", "data": DATA}


def refused(text: str) -> Any:
    return pytest.raises(ConfigError, match=f"^{re.escape(text)}$")


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# --- What is refused ---


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        # Unknown keys.
        ({"trian.updates": 5}, "unknown key trian. Did you mean 'train'?"),
        ({"data.sorce": "x"}, "unknown key data.sorce. Did you mean 'data.source'?"),
        ({"train.learnig_rate": 1.0}, "unknown key train.learnig_rate. Did you mean 'train.learning_rate'?"),
        ({"content.looses": {}}, "unknown key content.looses. Did you mean 'content.losses'?"),
        ({"content.qq": 1}, "unknown key content.qq. Valid: learning_rate, losses, share."),
        # Wrong types.
        ({"train": 3}, "train: got 3, expected a table: [train]."),
        ({"generator": "unet"}, "generator: got 'unet', expected a table: [generator]."),
        ({"losses.l1": 1.0}, "losses.l1: got 1.0, expected a table: [losses.l1]."),
        ({"losses": 1.0}, "losses: got 1.0, expected a table: [losses]."),
        ({"data.source": 3}, "data.source: got 3, expected a path, a glob or a list of them."),
        ({"data.source": ["a", 3]}, "data.source: got 3, expected a path, a glob or a list of them."),
        ({"data.variables": "t2m"}, "data.variables: got 't2m', expected a list of names: [\"t2m\"]."),
        ({"data.variables": []}, 'data.variables: got [], expected a list of names: ["t2m"].'),
        ({"data.static": "orog"}, "data.static: got 'orog', expected a list of names: [\"t2m\"]."),
        ({"data.train": ["2018"]}, 'data.train: got [\'2018\'], expected two dates: ["2018-10-01", "2018-10-09"].'),
        ({"data.test": [2018, "2019"]}, 'data.test: got 2018, expected two dates: ["2018-10-01", "2018-10-09"].'),
        (
            {"data.select": {"level": [1, 2]}},
            "data.select: got [1, 2], expected one label for each dimension: { level = 850 }.",
        ),
        (
            {"train.learning_rate": "fast"},
            ("train.learning_rate: got 'fast'; input should be a valid number, unable to parse string as a number."),
        ),
        (
            {"data.factor": 2.5},
            "data.factor: got 2.5; input should be a valid integer, got a number with a fractional part.",
        ),
        # Values out of range.
        ({"data.factor": 1}, "data.factor: got 1; input should be greater than or equal to 2."),
        ({"train.batch": 0}, "train.batch: got 0; input should be greater than or equal to 1."),
        ({"train.betas": [0.9, 1.0]}, "train.betas.1: got 1.0; input should be less than 1."),
        ({"train.schedule": "linear"}, "train.schedule: got 'linear'; input should be 'constant' or 'cosine'."),
        ({"data.season": "summer"}, "data.season: got 'summer'; input should be 'MAM', 'JJA', 'SON' or 'DJF'."),
        ({"losses.l1.weight": -1.0}, "losses.l1.weight: got -1.0; input should be greater than or equal to 0."),
        # What does not fit together.
        (
            {"train.updates": 5, "train.epochs": 2},
            ("train: got updates and epochs, expected exactly one of updates, epochs, seconds."),
        ),
        ({"data.factor": 3}, "train.patch: 64 is not a multiple of data.factor (3); use 63."),
        ({"data.factor": 5, "train.patch": 8}, "train.patch: 8 is not a multiple of data.factor (5); use 10."),
        (
            {"content": {"losses": {"adversarial": {"weight": 1.0}}}},
            ("content.losses.adversarial: the content stage has no discriminator; put it under [losses]."),
        ),
        ({"system": "bicubic", "content.share": 0.5}, "content.losses: a content stage needs at least one loss."),
        (
            {"system": "bicubic", "losses.adversarial.weight": 1.0},
            "discriminator: the adversarial loss needs one; add a [discriminator] table.",
        ),
        ({"losses.l2": {}}, "losses.l2.weight is missing: add it (weight = 1.0, for example)."),
        ({"system": 3}, f"system: got 3, expected a name. Valid: {', '.join(sorted(recipe_names()))}."),
    ],
)
def test_what_cannot_be_used_is_named_with_what_was_found(settings: dict[str, Any], text: str) -> None:
    with refused(f"the given settings: {text}"):
        load_config(BASE | settings)


def test_missing_variables_and_data_are_asked_for_with_an_example() -> None:
    with refused('the given settings: data.variables is missing: add it (variables = ["t2m"] under [data]).'):
        load_config({"data": {"source": "a.nc"}})
    with refused("the given settings: data is missing: add it (a [data] table with source and variables)."):
        load_config({})


def test_several_problems_are_told_at_once_but_not_more_than_three() -> None:
    wrong = {"train.batch": 0, "train.bach": 1, "seed": -1, "sead": 1}
    with pytest.raises(ConfigError) as caught:
        load_config(BASE | wrong)
    assert str(caught.value) == (
        "the given settings: seed: got -1; input should be greater than or equal to 0. train.batch: got 0; input should be "
        "greater than or equal to 1. unknown key train.bach. Did you mean 'train.batch'?"
    )


def test_an_unknown_system_is_refused() -> None:
    with refused("system: there is no recipe called 'srgna'. Did you mean 'srgan'?"):
        load_config(BASE | {"system": "srgna"})
    with refused("there is no recipe file nowhere/own.toml."):
        load_config(BASE | {"system": "nowhere/own.toml"})


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "winds.toml", "")
    with refused(f"there is no configuration file {tmp_path / 'wind.toml'}. Did you mean 'winds.toml'?"):
        load_config(tmp_path / "wind.toml")
    with refused(f"there is no configuration file {tmp_path / 'no' / 'wind.toml'}."):
        load_config(tmp_path / "no" / "wind.toml")
    with refused(f"{tmp_path} is a folder; give the TOML file of a configuration (for a run, its config.json)."):
        load_config(tmp_path)
    bad = write(tmp_path / "bad.toml", "[data\n")
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(bad))} is not valid TOML: .*line 1"):
        load_config(bad)
    bad.write_bytes(b'system = "\xff"')
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(bad))} is not valid TOML: "):
        load_config(bad)
    with pytest.raises(ConfigError, match=r"bad\.json is not valid JSON: "):
        load_config(write(tmp_path / "bad.json", "{"))
    with refused(f"{tmp_path / 'list.json'} holds a list, expected the config.json of a run."):
        load_config(write(tmp_path / "list.json", "[1]"))


@pytest.mark.parametrize("text", ["train.updates", "=5", " = 5", ""])
def test_an_override_must_be_key_and_value(text: str) -> None:
    with refused(f"--set {text}: expected key=value, such as train.updates=500."):
        load_config(BASE, [text])


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("data.coarse", "data.coarse_source"),
        ("data.files", "data.source"),
        ("content.loss", "content.losses"),
        ("data.level", "data.select"),
        ("data.validation", "data.valid"),
        ("train.lr", "train.learning_rate"),
        ("train.batch_size", "train.batch"),
        ("train.steps", "train.updates"),
        ("train.amp", "train.precision"),
        ("train.factor", "data.factor"),
        ("train.base", "generator.residual"),
        ("train.losses", "losses"),
        ("lr", "train.learning_rate"),
        ("epochs", "train.epochs"),
        ("factor", "data.factor"),
        ("features", "generator.features"),
        ("train.channels", "generator.features"),
        ("model", "generator"),
        ("network", "generator"),
        ("critic", "discriminator"),
        ("loss", "losses"),
        ("variabels", "data.variables"),
    ],
)
def test_an_unknown_key_is_understood_by_its_meaning(key: str, meant: str) -> None:
    with refused(f"the given settings: unknown key {key}. Did you mean {meant!r}?"):
        load_config({"data": DATA}, [f"{key}=1"])


def test_suggestions_are_settings() -> None:
    keys = set(known_keys())
    assert set(MEANT.values()) <= keys
    assert {word for words in SYNONYMS.values() for word in words} <= {key.rpartition(".")[2] for key in keys}
    assert not set(MEANT) & keys


def test_an_old_name_is_read_from_a_run_and_suggested_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(config_files.RENAMED, "train", {"minibatch": "batch"})
    monkeypatch.setitem(config_files.RENAMED, "generator", {"width": "features"})
    monkeypatch.setitem(config_files.RENAMED, "losses", {"factor": "weight"})
    config = load_config(BASE)
    old = config.model_dump(mode="json", exclude_none=True)
    old["train"]["minibatch"] = old["train"].pop("batch")
    old["generator"]["width"] = old["generator"].pop("features")
    for losses in (old["losses"], old["content"]["losses"]):
        losses["l1"]["factor"] = losses["l1"].pop("weight")
    assert load_config(write(tmp_path / "config.json", json.dumps(old))) == config
    with refused("the given settings: unknown key train.minibatch. Did you mean 'train.batch'?"):
        load_config(BASE | {"train.minibatch": 3})


# --- What takes precedence ---


def test_the_recipe_yields_to_the_file_and_the_file_to_overrides(tmp_path: Path) -> None:
    file = write(
        tmp_path / "c.toml",
        '[data]\nsource = "a.nc"\nvariables = ["t2m"]\n[train]\nbatch = 5\nlearning_rate = 2e-4\n[losses.l1]\nweight = 3.0\n',
    )
    recipe, plain = load_recipe("srgan"), load_config(file)
    assert plain.system == "srgan"
    assert plain.train.updates == recipe["train"]["updates"]
    assert (plain.train.batch, plain.train.learning_rate, plain.losses["l1"].weight) == (5, 2e-4, 3.0)
    assert set(plain.losses) == set(recipe["losses"])
    over = load_config(file, ["train.batch=7", "losses.l1.weight = 4", "train.batch=8"])
    assert (over.train.batch, over.train.learning_rate, over.losses["l1"].weight) == (8, 2e-4, 4.0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('data.variables=["a", "b"]', ["a", "b"]),
        ("data.gap=2d", "2d"),
        ("data.source=/some/where.nc", "/some/where.nc"),
        ("data.source = a b", "a b"),
        ("train.flips=true", True),
        ("train.learning_rate=1e-3", 1e-3),
        ("data.start=2020-01-01", "2020-01-01"),
        ("data.train=[2020-01-01, 2020-02-01]", ("2020-01-01", "2020-02-01")),
        ("data.select.level=850", 850),
        ("data.select={level = 850}", {"level": 850}),
    ],
)
def test_an_override_is_read_as_toml_else_as_text(text: str, value: Any) -> None:
    found: Any = load_config(BASE, [text])
    for key in text.partition("=")[0].strip().split("."):
        found = found[key] if isinstance(found, dict) else getattr(found, key)
    assert found == value


def test_dates_without_quotes_are_read(tmp_path: Path) -> None:
    file = write(
        tmp_path / "c.toml",
        "[data]\nvariables = ['a']\ntrain = [2018-01-01, 2018-02-01T06:00:00]\nselect = {at = 2018-01-02}\n",
    )
    data = load_config(file).data
    assert data.train == ("2018-01-01", "2018-02-01T06:00:00")
    assert data.select == {"at": "2018-01-02"}


def test_keys_may_be_dotted() -> None:
    dotted = {"system": "srgan", "data.source": "fields.nc", "data": {"variables": ["u10", "v10"]}, "train.batch": 3}
    assert load_config(dotted) == load_config(BASE | {"train": {"batch": 3}})
    assert load_config({**BASE, "data": {**DATA, "select.level": 850}}).data.select == {"level": 850}


@pytest.mark.parametrize("length", ["updates", "epochs", "seconds"])
def test_a_training_length_takes_the_place_of_another(tmp_path: Path, length: str) -> None:
    def lengths(config: Config) -> dict[str, Any]:
        return {k: v for k, v in config.train if k in ("updates", "epochs", "seconds") and v is not None}

    for system in ("srgan", "published/srgan"):
        assert lengths(load_config(BASE | {"system": system, f"train.{length}": 7})) == {length: 7}
        assert lengths(load_config(BASE | {"system": system, "train.epochs": 9}, [f"train.{length}=7"])) == {length: 7}
        resolved = load_config(BASE | {"system": system})
        assert lengths(load_config(resolved, [f"train.{length}=7"])) == {length: 7}


def test_another_model_does_not_inherit_the_options_of_the_recipes() -> None:
    other = load_config(BASE | {"generator": {"name": "interpolation", "mode": "bilinear"}})
    assert other.generator.options == {"mode": "bilinear"}
    assert other.discriminator == load_config(BASE).discriminator
    more = load_config(BASE | {"generator": {"blocks": 2}})
    assert (more.generator.name, more.generator.options["blocks"]) == ("srresnet", 2)
    assert more.generator.options["features"] == load_recipe("srgan")["generator"]["features"]
    same = load_config(BASE | {"generator": {"name": "srresnet", "blocks": 2}})
    assert same == more


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    own = write(tmp_path / "own.toml", '[generator]\nname = "interpolation"\n[train]\nupdates = 3\n')
    config = load_config({"system": str(own), "data": DATA})
    assert (config.system, config.generator.name, config.train.updates) == (str(own), "interpolation", 3)
    # What is resolved needs the recipe no more.
    file = write(tmp_path / "config.json", json.dumps(config.model_dump(mode="json", exclude_none=True)))
    own.unlink()
    assert load_config(file) == config
    assert load_config(config) == config


# --- What is resolved stays so ---


@pytest.mark.parametrize("system", recipe_names())
def test_every_recipe_comes_back_from_its_config_json(tmp_path: Path, system: str) -> None:
    config = load_config(
        BASE | {"system": system, "data": {**DATA, "train": ["2018", "2019"], "select": {"level": 850}}}
    )
    file = write(tmp_path / "config.json", json.dumps(config.model_dump(mode="json", exclude_none=True)))
    assert load_config(file) == config
    assert load_config(config) == config
    assert load_config(file, ["train.batch=3"]).train.batch == 3
    assert config.summary
    assert config.system == system


def test_a_resolved_configuration_stays_of_its_system(tmp_path: Path) -> None:
    config = load_config(BASE)
    file = write(tmp_path / "config.json", json.dumps(config.model_dump(mode="json", exclude_none=True)))
    assert load_config(file, ["system=srgan"]) == config
    with refused(
        f"{file}: this configuration is already resolved for the system 'srgan'; to change the system, "
        "start from a TOML file."
    ):
        load_config(file, ["system=bicubic"])


@pytest.mark.parametrize(
    ("settings", "adversarial"),
    [
        ({}, True),
        ({"losses.adversarial.weight": 0.0}, False),
        ({"content.share": 1.0}, False),
        ({"system": "bicubic"}, False),
    ],
)
def test_whether_a_discriminator_is_trained(settings: dict[str, Any], adversarial: bool) -> None:
    config = load_config(BASE | settings)
    assert config.adversarial is adversarial
    if "adversarial" in config.losses:
        assert config.losses["adversarial"].options == {"kind": "vanilla"}


# --- Words ---


@pytest.mark.parametrize(
    ("word", "choices", "text"),
    [
        ("bilnear", ["bilinear", "bicubic"], " Did you mean 'bilinear'?"),
        ("x", ["b", "a"], " Valid: a, b."),
        ("x", [], ""),
    ],
)
def test_the_nearest_choice_is_suggested(word: str, choices: list[str], text: str) -> None:
    assert nearest(word, choices) == text
    assert issubclass(ConfigError, SubgridError)


def test_defaults_are_what_is_not_given() -> None:
    given: dict[str, Any] = {
        "system": "x",
        "data": {"variables": ["t2m"]},
        "generator": {"name": "unet"},
        "train": {"updates": 5},
    }
    whole = Config.model_validate(given).model_dump(mode="json", exclude_none=True)
    assert flatten(whole) == flatten(defaults()) | flatten(given)
    assert not set(flatten(defaults())) & set(flatten(given))
