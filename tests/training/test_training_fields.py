"""Scores of training fields beside those of validation fields, and that measuring them changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from subgrid.data.store import Store, open_store
from subgrid.errors import ConfigError, RunError
from subgrid.inference.super_resolve import super_resolve
from subgrid.io.tensors import load_tensors
from subgrid.networks import load_generator
from subgrid.run import Run, load_run
from subgrid.training.train import train
from subgrid.training.validate import VALID_SCORES, build_validator
from tiny import SETTINGS, Keeps, history, same_weights, train_tiny, weights

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

MEASURED = [f"train_{name}" for name in VALID_SCORES]


class Draws(Keeps):
    """A generator of the user's that adds noise, as much when it is scored."""

    factor, halo_cells = 4, 0

    def forward(self, lr: torch.Tensor, static: torch.Tensor | None = None) -> torch.Tensor:
        """(b, c, h, w) to (b, c, 4 h, 4 w)."""
        return torch.nn.functional.interpolate(self.layer(lr + 0.1 * torch.randn_like(lr)), scale_factor=4)


@pytest.fixture(scope="module")
def measured(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that looked at three training fields."""
    return train_tiny(tiny_store, tmp_path_factory.mktemp("fields") / "run", train__training_fields=3)


def looking_at(path: Path, num: int) -> Run:
    """A run with so many training fields asked for."""
    run = load_run(path)
    settings = run.config.train.model_copy(update={"training_fields": num})
    return replace(run, config=run.config.model_copy(update={"train": settings}))


@pytest.mark.parametrize("num", [1, 3, 100])
def test_scores_are_those_of_fields_spread_over_the_training_split(measured: Path, tiny_store: Path, num: int) -> None:
    run, store = looking_at(measured, num), open_store(tiny_store)
    generator = load_generator(run)
    found = build_validator(run, store).score(generator)
    of_split = np.flatnonzero(store.hr["split"].values == 1)
    places = {1: of_split[:1], 3: of_split[[0, round((of_split.size - 1) / 2), -1]], 100: of_split}[num]
    errors: dict[str, list[Any]] = {name: [] for name in run.variables}
    for place in places:
        fields = []
        for name in run.variables:
            mean, std = (run.statistics[name][key] for key in ("mean", "std"))
            lr, hr = ((part[name].values[place].astype(np.float64) - mean) / std for part in (store.lr, store.hr))
            fields.append((lr, hr))
        coarse = np.stack([lr for lr, _ in fields]).astype(np.float32)
        made = super_resolve(generator, coarse[None], run.static_channels(), periodic=store.periodic)[0]
        for i, name in enumerate(run.variables):
            errors[name].append(made[i] - fields[i][1])
    squares = [np.mean(np.square(errors[name])) for name in run.variables]
    assert found["train_rmse"] == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-4)
    assert found["train_mae"] == pytest.approx(np.mean([np.mean(np.abs(e)) for e in errors.values()]), rel=1e-4)


def test_they_follow_the_rules_of_validation_scores(
    measured: Path, tiny_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both are asked of the same fields, both say the same."""
    run, store = looking_at(measured, 2), open_store(tiny_store)
    positions = store.positions("valid")
    monkeypatch.setattr(Store, "positions", lambda self, split: positions)
    found = build_validator(run, store).score(load_generator(run))
    assert list(found) == [*(f"valid_{name}" for name in VALID_SCORES), "valid_rmse_bilinear", *MEASURED]
    for name in VALID_SCORES:
        assert found[f"train_{name}"] == found[f"valid_{name}"]


def test_history_has_them_and_everything_else_is_as_without(measured: Path, tiny_store: Path, tmp_path: Path) -> None:
    without = train_tiny(tiny_store, tmp_path / "run")
    columns = list(history(without))
    assert not set(MEASURED) & set(columns)
    assert history(measured)[MEASURED].notna().all(axis=None)
    assert history(measured)[columns].equals(history(without))
    for which in ("last", "best", "content"):
        assert same_weights(weights(measured, which), weights(without, which))
    states = [load_tensors(run / "state.safetensors")[0] for run in (measured, without)]
    assert same_weights(*states)


def test_a_generator_that_draws_at_random_draws_the_same(tiny_store: Path, tmp_path: Path) -> None:
    settings = {key: value for key, value in SETTINGS.items() if not key.startswith("generator")}
    settings |= {"generator.name": "test_training_fields:Draws", "train.updates": 4}
    runs = [
        train(settings | {"train.training_fields": num}, store=tiny_store, out=tmp_path / str(num)) for num in (0, 2)
    ]
    assert same_weights(*(weights(run) for run in runs))
    assert same_weights(*(load_tensors(run / "state.safetensors")[0] for run in runs))  # torch's generator is in it
    other = train(settings | {"train.validate_every": 1}, store=tiny_store, out=tmp_path / "other")
    assert not same_weights(weights(runs[0]), weights(other))  # what a validation draws, the next updates miss


class Cut(Exception):
    """In place of a power cut."""


def test_resumed_it_is_the_unbroken_run(measured: Path, tiny_store: Path, tmp_path: Path) -> None:
    def cut(done: float, *_: object) -> None:
        if done >= 5:
            raise Cut

    settings = SETTINGS | {"train.training_fields": 3}
    with pytest.raises(Cut):
        train(settings, store=tiny_store, out=tmp_path / "run", progress=cut)
    with pytest.raises(RunError, match=r"train\.training_fields was 3 and is now 0"):
        train(SETTINGS, store=tiny_store, out=tmp_path / "run", resume=True)
    train(settings, store=tiny_store, out=tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "history.csv").read_bytes() == (measured / "history.csv").read_bytes()
    assert same_weights(weights(tmp_path / "run"), weights(measured))


def test_a_run_begun_before_there_was_the_setting_goes_on(tiny_store: Path, tmp_path: Path) -> None:
    def cut(done: float, *_: object) -> None:
        if done >= 5:
            raise Cut

    with pytest.raises(Cut):
        train(SETTINGS, store=tiny_store, out=tmp_path / "run", progress=cut)
    file = tmp_path / "run" / "config.json"
    old = json.loads(file.read_text())
    del old["train"]["training_fields"]
    file.write_text(json.dumps(old))
    train(SETTINGS, store=tiny_store, out=tmp_path / "run", resume=True)
    assert list(history(tmp_path / "run")["step"]) == [2, 4, 6, 8]


def test_what_cannot_be_scored_is_refused(measured: Path, tiny_store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.training_fields: got -1; "):
        train_tiny(tiny_store, tmp_path / "run", train__training_fields=-1)
    run, store = load_run(measured), open_store(tiny_store)
    score, generator = build_validator(run, store).score, load_generator(run)
    generator.register_forward_hook(_breaks_at_call(2))  # the first is of validation fields
    with pytest.raises(RunError, match=r"^the generator's output on training fields is no longer finite\."):
        score(generator)


def _breaks_at_call(number: int) -> Any:
    calls: list[int] = []

    def hook(_: torch.nn.Module, __: Any, out: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return out * float("nan") if len(calls) == number else out

    return hook
