"""Studies as they are written: what is read, what differs, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from subgrid.config.schema import load_config
from subgrid.errors import ConfigError
from subgrid.studies.plan import differences, load_study
from tiny import SETTINGS

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "studies").glob("*.toml"))
BASE = {key: value for key, value in SETTINGS.items() if key != "train.updates"}


def make(arms: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A study as a mapping."""
    return {"base": BASE, "seeds": [0, 1], "budget": {"updates": 4}, "arms": arms} | changes


def test_arms_state_their_difference_dotted_or_nested() -> None:
    arms = {"sound": {}, "a": {"train.ema": 0.5, "text": "shorter"}, "b": {"train": {"ema": 0.5}}}
    plan = load_study(make(arms))
    assert [arm.name for arm in plan.arms] == ["sound", "a", "b"]
    assert (plan.reference, plan.seeds, plan.budget) == ("sound", (0, 1), {"updates": 4})
    assert plan.arms[1].config == plan.arms[2].config
    assert plan.arms[1].text == "shorter"
    found = plan.arms[1].differences
    assert [(d.key, d.reference, d.value, d.stated) for d in found] == [("train.ema", 0.99, 0.5, True)]
    assert plan.arms[0].differences == ()


def test_the_budget_and_the_common_settings_are_in_every_arm() -> None:
    common = {"train.batch": 4, "train": {"flips": True}}
    plan = load_study(make({"one": {}, "two": {"train.ema": 0.0}}, common=common, budget={"seconds": 9}))
    for arm in plan.arms:
        assert (arm.config.train.seconds, arm.config.train.updates) == (9, None)
        assert (arm.config.train.batch, arm.config.train.flips) == (4, True)


def test_the_base_is_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base.toml").write_text('[data]\nvariables = ["t2m"]\n[train]\nupdates = 7000\n')
    folder = tmp_path / "studies"
    folder.mkdir()
    study = 'base = "../base.toml"\nseeds = [3]\nbudget.updates = 5\n[arms.a]\n[arms.b]\ngenerator.features = 8\n'
    (folder / "study.toml").write_text(study)
    monkeypatch.chdir(folder.parent.parent)
    plan = load_study(folder / "study.toml", ["budget.updates=6", "arms.b.generator.features=16"])
    assert plan.arms[0].config.train.updates == 6
    assert plan.arms[1].config.generator.options["features"] == 16
    assert plan.arms[0].config.seed == 3


SYSTEM = "srgan-attention"


def test_a_system_that_changes_more_than_the_arm_says_is_refused() -> None:
    arms: dict[str, Any] = {"plain": {}, "attention": {"system": SYSTEM}}
    said = r"settings differ from plain that the arm does not state: generator.attention \(None -> 'se'\). State them"
    with pytest.raises(ConfigError, match=f"^the given study: arms.attention: {said}"):
        load_study(make(arms))
    stated = load_study(make({"plain": {}, "attention": {"system": SYSTEM, "generator.attention": "se"}}))
    assert stated.arms[1].differences[0].stated
    confounded = load_study(make({"plain": {}, "attention": {"system": SYSTEM, "confounded": True}}))
    assert confounded.arms[1].confounded
    assert [(d.key, d.stated) for d in confounded.arms[1].differences] == [("generator.attention", False)]


def test_what_the_reference_states_alone_is_a_difference_too() -> None:
    arms = {"a": {"train.ema": 0.5}, "b": {"train.clip_norm": 2.0}}
    with pytest.raises(
        ConfigError, match=r"arms.b: settings differ from a that the arm does not state: train.ema \(0.5 -> 0.99\)"
    ):
        load_study(make(arms))
    assert load_study(make({**arms, "b": {**arms["b"], "train.ema": 0.99}}), ["reference=a"]).reference == "a"


def test_options_that_only_one_part_has_come_with_its_name() -> None:
    reference = load_config(BASE)
    unet = {"generator": {"name": "unet", "features": 8, "skips": True}}
    found = {d.key: d.stated for d in differences(load_config({**BASE, **unet}), reference, unet)}
    assert found["generator.name"] and found["generator.skips"] and found["generator.blocks"]
    without = {d.key: d.stated for d in differences(load_config({**BASE, **unet}), reference, {})}
    assert not any(without.values())


PROBLEMS: list[tuple[dict[str, Any], str]] = [
    (make({"a": {}}, seed=[1]), r"unknown key seed. Did you mean 'seeds'\?"),
    (make({"a": {}}, budget={"update": 3}), r"unknown key budget.update. Did you mean 'updates'\?"),
    (make({"a": {}}, budget={}), r"budget: got \{\}, expected exactly one of updates, seconds."),
    (make({"a": {}}, budget={"updates": 1, "seconds": 1}), r"expected exactly one of updates, seconds."),
    ({"base": BASE, "seeds": [0], "budget": {"updates": 3}}, "arms is missing; a study has base, seeds"),
    (make({}), r"arms: got \{\}; dictionary should have at least 1 item"),
    (make({"a": {}}, seeds=[]), "seeds: got "),
    (make({"a": {}}, seeds=[1, 1]), r"seeds: got \[1, 1\], expected each seed once."),
    (make({"a": {}}, seeds=["x"]), "seeds.0: got 'x'; input should be a valid integer"),
    (make({"a": {}}, base=3), "base: got 3; "),
    (make({"a b": {}}), "arms.a b: expected a name of letters, digits, _, [+] and -."),
    (make({"bicubic": {}}), "arms.bicubic: every study has a baseline of this name; rename the arm."),
    (make({"sound": {}}, reference="sund"), r"reference: there is no arm 'sund'. Did you mean 'sound'\?"),
    (make({"a": {}, "b": {}}), "arms.b: no setting differs from a; change a setting, or remove the arm."),
    (make({"a": {"train.updates": 3}}), "arms.a.train.updates: the budget is the same for all arms; set it under"),
    (make({"a": {}}, common={"train": {"epochs": 3}}), "common.train.epochs: the budget is the same for all arms"),
    (make({"a": {"seed": 3}}), "arms.a.seed: all arms have the seeds of the study; remove this key."),
    (make({"a": {"train.emma": 3}}), r"arms.a: unknown key train.emma. Did you mean 'train.ema'\?"),
    (
        make({"a": {}}, base={"system": "bicubic", "data.variables": ["t2m"]}),
        "arms.a: system: bicubic is a baseline with nothing to train",
    ),
    (make({"a": {}, "b": {"losses.adversarial.kind": "hing"}}), "arms.b: losses.adversarial.kind: got 'hing'"),
    (
        make({"a": {}}, base="runs/one/config.json"),
        "base: got 'runs/one/config.json', expected a TOML file of a configuration",
    ),
    (make({"a": {}}, base="nowhere.toml"), "no configuration file "),
]


@pytest.mark.parametrize("study, said", PROBLEMS)
def test_problems_are_refused(study: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_study(study)


def test_a_run_s_configuration_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config.json: expected a TOML file of a study.$"):
        load_study(tmp_path / "config.json")


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_shipped_studies_pass_their_own_check(path: Path) -> None:
    plan = load_study(path)
    assert len(plan.seeds) >= 3
    assert plan.text
    others = [arm for arm in plan.arms if arm.name != plan.reference]
    assert len(others) >= 4 and all(arm.differences for arm in others)
    if path.stem in {"ablation", "confounds"}:
        assert not any(arm.confounded for arm in plan.arms)


def test_each_confound_is_switched_alone() -> None:
    plan = load_study(ROOT / "studies" / "confounds.toml")
    keys = {arm.name: [d.key for d in arm.differences] for arm in plan.arms}
    assert {name for name, found in keys.items() if len(found) != 1} == {"sound", "tanh-no-base"}
    assert set(keys["tanh-no-base"]) == {*keys["tanh"], *keys["no-base"]}
    assert {"generator.norm", "discriminator.output", "data.coarsen"} <= {
        key for found in keys.values() for key in found
    }


def test_the_ablation_is_the_systems_of_the_same_names() -> None:
    def built(config: Any) -> dict[str, Any]:
        plain = config.model_dump(mode="json", include={"generator", "discriminator", "content", "losses"})
        for losses in (plain["losses"], plain["content"]["losses"]):
            for name in [name for name, term in losses.items() if term["weight"] == 0]:
                del losses[name]
        return dict(plain)

    for arm in load_study(ROOT / "studies" / "ablation.toml").arms:
        system = "srgan" if arm.name == "srgan" else f"srgan-{arm.name}"
        assert built(arm.config) == built(load_config({"system": system, "data.variables": ["t2m"]})), arm.name
