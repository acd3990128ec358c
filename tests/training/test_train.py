"""Training: the loop, its options, and that it can be cut off at any moment."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from lightning_fabric import Fabric

from make_weights import loss_options
from subgrid.config.schema import TrainConfig, load_config
from subgrid.data.patches import Batch, PatchSampler
from subgrid.data.store import open_store
from subgrid.errors import ConfigError, GridError, RunError, SubgridError
from subgrid.io.tensors import load_tensors
from subgrid.losses import ADVERSARIAL, DISCRIMINATOR_LOSSES, LOSSES
from subgrid.losses.base import ContentLoss
from subgrid.models import GENERATORS
from subgrid.run import load_run, notes_of
from subgrid.training import step as step_module
from subgrid.training import train as train_module
from subgrid.training.checkpoint import new_training_state, update_average
from subgrid.training.objective import build_objective
from subgrid.training.prepare import prepare
from subgrid.training.train import train
from tiny import PUBLISHED, SETTINGS, Cut, assert_same_run, cut_at, history, same_weights, train_tiny, weights

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def base(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unbroken run with both stages."""
    return train_tiny(tiny_store, tmp_path_factory.mktemp("base") / "run")


@pytest.fixture(scope="module")
def base_published(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unbroken run with BatchNorm, in one stage."""
    return train_tiny(tiny_store, tmp_path_factory.mktemp("base") / "published", PUBLISHED)


# cutting off


@pytest.mark.parametrize("update", [1, 3, 4, 5, 7, 8])
def test_cut_off_and_resumed_is_the_unbroken_run(base: Path, tiny_store: Path, tmp_path: Path, update: int) -> None:
    out = tmp_path / "run"
    with pytest.raises(Cut):
        train(SETTINGS, store=tiny_store, out=out, progress=cut_at(update))
    assert not (out / "finished.json").exists()
    train(SETTINGS, store=tiny_store, out=out, resume=True)
    assert_same_run(base, out)


@pytest.mark.parametrize("update", [3, 6])
def test_batchnorm_is_resumed_too(base_published: Path, tiny_store: Path, tmp_path: Path, update: int) -> None:
    with pytest.raises(Cut):
        train(PUBLISHED, store=tiny_store, out=tmp_path / "run", progress=cut_at(update))
    train(PUBLISHED, store=tiny_store, out=tmp_path / "run", resume=True)
    assert_same_run(base_published, tmp_path / "run")


def test_cut_off_again_and_again(base: Path, tiny_store: Path, tmp_path: Path) -> None:
    for update in (1, 2, 3, 5, 6, 7):
        with pytest.raises(Cut):
            train(SETTINGS, store=tiny_store, out=tmp_path / "run", resume=True, progress=cut_at(update))
    train(SETTINGS, store=tiny_store, out=tmp_path / "run", resume=True)
    assert_same_run(base, tmp_path / "run")


def wait_for(condition: Any, process: subprocess.Popen[bytes]) -> None:
    for _ in range(6000):
        if condition():
            return
        assert process.poll() is None, process.stderr.read()  # type: ignore[union-attr]
        time.sleep(0.005)
    raise AssertionError("waited in vain")


def test_killed_for_real_and_resumed(tiny_store: Path, tmp_path: Path) -> None:
    settings = SETTINGS | {"train.updates": 120, "train.validate_every": 5}
    (tmp_path / "tiny.json").write_text(load_config(settings).model_dump_json(exclude_none=True))
    command = [sys.executable, "-m", "subgrid.cli", "train", "tiny.json", "--out", "cut", "--store", str(tiny_store)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    file = tmp_path / "cut" / "history.csv"
    for stage in ("content", "main"):
        process = subprocess.Popen(
            [*command, "--resume"], cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment
        )
        wait_for(lambda stage=stage: file.exists() and f",{stage}," in file.read_text(), process)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.stderr.close()  # type: ignore[union-attr]
        assert not (tmp_path / "cut" / "finished.json").exists()
    assert len(history(tmp_path / "cut")) < 24
    train(tmp_path / "tiny.json", store=tiny_store, out=tmp_path / "cut", resume=True)
    train(tmp_path / "tiny.json", store=tiny_store, out=tmp_path / "whole")
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_run_cut_off_while_it_was_made_is_no_obstacle(base: Path, tiny_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    (out / "weights").mkdir(parents=True)
    for name in ("grid.nc", "statistics.json", ".config.json.77.tmp"):
        (out / name).write_bytes(b"half")
    train(SETTINGS, store=tiny_store, out=out)
    assert_same_run(base, out)


def test_resume_without_a_run_begins_one(base: Path, tiny_store: Path, tmp_path: Path) -> None:
    assert train(SETTINGS, store=tiny_store, out=tmp_path / "run", resume=True) == tmp_path / "run"
    assert_same_run(base, tmp_path / "run")


def test_a_finished_run_resumed_is_left_alone(base: Path, tiny_store: Path) -> None:
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in base.rglob("*") if p.is_file()}
    train(SETTINGS, store=tiny_store, out=base, resume=True)
    train(SETTINGS, out=base, resume=True)
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in base.rglob("*") if p.is_file()} == before


# refusals


def test_existing_run_is_refused_before_anything_is_read(base: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError) as error:
        train(SETTINGS, store="nowhere.zarr", out=base)
    assert (
        str(error.value)
        == f"{base} already exists; continue it with resume=True (--resume), or choose another out (--out)."
    )
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"already exists and is not a run directory; choose another out \(--out\)\.$"):
        train(SETTINGS, store="nowhere.zarr", out=tmp_path, resume=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_existing_runs_store_survives_another_training(weather: xr.Dataset, tmp_path: Path) -> None:
    first = train(SETTINGS | {"train.updates": 2}, source=weather, out=tmp_path / "run")
    fingerprint = open_store(tmp_path / "run.store.zarr").meta["fingerprint"]
    with pytest.raises(RunError, match="already exists"):
        train(SETTINGS, source=weather + 1, out=first)
    assert open_store(tmp_path / "run.store.zarr").meta["fingerprint"] == fingerprint


@pytest.mark.parametrize(
    "key, value, said",
    [
        ("train.batch", 3, "train.batch was 2 and is now 3"),
        ("seed", 7, "seed was 0 and is now 7"),
        ("losses.mse.weight", 0.5, "losses.mse.weight was None and is now 0.5"),
        ("generator.blocks", 2, "generator.blocks was 1 and is now 2"),
    ],
)
def test_resume_with_other_settings_is_refused(base: Path, key: str, value: Any, said: str) -> None:
    with pytest.raises(RunError) as error:
        train(SETTINGS | {key: value}, out=base, resume=True)
    assert str(error.value) == (
        f"{base} was started with another configuration: {said}. "
        "Resume with the same settings, or start a new run with another out (--out)."
    )


def test_resume_accepts_a_reworded_summary(base: Path) -> None:
    assert train(SETTINGS | {"summary": "The same system, described in other words"}, out=base, resume=True) == base


@pytest.fixture
def cut_run(tiny_store: Path, tmp_path: Path) -> Path:
    with pytest.raises(Cut):
        train(SETTINGS, store=tiny_store, out=tmp_path / "cut", progress=cut_at(3))
    return tmp_path / "cut"


def test_a_store_of_other_data_is_refused(cut_run: Path, weather: xr.Dataset, tmp_path: Path) -> None:
    other = prepare(SETTINGS, source=weather + 1, out=tmp_path / "other.zarr")
    with pytest.raises(RunError) as error:
        train(SETTINGS, store=other, out=cut_run, resume=True)
    assert str(error.value) == (
        f"{other} is not the store that {cut_run} was trained on: its fine fields have other values; pass the matching store "
        "(--store)."
    )


@pytest.mark.parametrize(
    "key, value, said", [("data.coarsen", "bilinear", "its method is 'bilinear', expected 'mean'")]
)
def test_a_store_made_otherwise_is_refused(
    cut_run: Path, weather: xr.Dataset, tmp_path: Path, key: str, value: Any, said: str
) -> None:
    other = prepare(SETTINGS | {key: value}, source=weather, out=tmp_path / "other.zarr")
    with pytest.raises(RunError, match=said):
        train(SETTINGS, store=other, out=cut_run, resume=True)


def test_a_store_split_otherwise_is_refused(cut_run: Path, weather: xr.Dataset, tmp_path: Path) -> None:
    times = [str(t)[:19] for t in weather.time.values]
    periods = {"train": (times[0], times[19]), "valid": (times[20], times[29]), "test": (times[30], times[39])}
    settings = SETTINGS | {f"data.{name}": period for name, period in periods.items()}
    other = prepare(settings, source=weather, out=tmp_path / "other.zarr")
    with pytest.raises(RunError, match=r"is not the store that .* was trained on: its periods is "):
        train(SETTINGS, store=other, out=cut_run, resume=True)


def test_a_store_that_is_gone(cut_run: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"^the training store .*gone\.zarr of .* does not exist; prepare it again with `subgrid prep"
    ):
        train(SETTINGS, store=tmp_path / "gone.zarr", out=cut_run, resume=True)


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"system": "bicubic"}, r"^system: bicubic is a baseline with nothing to train"),
    ({"losses.ll1.weight": 1.0}, r"^losses.ll1: there is no such loss\. Did you mean 'l1'\?$"),
    ({"content.losses.ll1.weight": 1.0}, r"^content.losses.ll1: there is no such loss\. Did you mean 'l1'\?$"),
    ({"losses.l1.power": 1}, r"^losses.l1: invalid options \{'power': 1\}"),
    ({"losses.ssim_box.weight": 1.0, "losses.ssim_box.c1": "x"}, r"^losses.ssim_box"),
    (
        {"losses.ms_ssim.weight": 1.0, "losses.ms_ssim.window": 17},
        r"^losses\.ms_ssim on fields of 16 x 16 cells does not work: .*smaller than its window of 17 .* larger train\.patch",
    ),
    ({"losses.ms_ssim.weight": 1.0, "losses.ms_ssim.windw": 7}, r"^losses.ms_ssim: invalid options"),
    (
        {"generator.name": "unet", "train.patch": 24},
        r"^train\.patch: unet needs .* a multiple of 4 cells, but these have 6 x 6 cells; use train\.patch = 16\.$",
    ),
    (
        {"system": "published/cgan", "train.batch": 1},
        r"^generator: unet on coarse patches of 4 x 4 cells does not work: Expected more than 1 value per channel",
    ),
    ({"losses.adversarial.kind": "vanila"}, r"^losses.adversarial.kind: got 'vanila'\. Did you mean 'vanilla'\?$"),
    ({"losses.adversarial.knd": "x"}, r"^losses.adversarial.knd: vanilla has no such option\. Did you mean 'kind'\?$"),
    (
        {"losses.feature_matching.weight": 1.0, "losses.feature_matching.activation": "b"},
        r"^losses\.feature_matching: invalid options .*expected one of before, after",
    ),
    (
        {"losses.feature_matching.weight": 1.0, "losses.adversarial.weight": 0.0},
        r"^losses\.feature_matching: it compares features of the discriminator, .* set losses\.adversarial\.weight above 0\.",
    ),
    (
        {"losses.feature_matching.weight": 1.0, "discriminator.name": "tiny:WithoutFeatures"},
        r"^losses\.feature_matching: tiny:WithoutFeatures has no method `forward_features`",
    ),
    (
        {"content.losses.feature_matching.weight": 1.0},
        r"content\.losses\.feature_matching: the content stage has no discriminator",
    ),
    ({"content.losses.l1.weight": 0.0}, r"^content.losses: no loss has a weight"),
    ({"losses.l1.weight": 0.0, "losses.adversarial.weight": 0.0}, r"^losses: no loss has a weight"),
    ({"generator.widths": 3}, r"^generator.widths: srresnet has no such option"),
    ({"generator.name": "interpolation"}, r"^generator.name: interpolation has nothing to train"),
    (
        {"generator.name": "tiny:Keeps"},
        r"^generator: tiny:Keeps on coarse patches of 4 x 4 cells: its output has shape \(2, 2, 4, 4\), exp",
    ),
    ({"discriminator.norm": "layer"}, r"^discriminator: patchgan refuses its options"),
    ({"train.patch": 8}, r"^train.patch: patchgan on fields of 8 x 8 cells does not work: "),
    ({"data.factor": 2}, r"holds t2m, u10 at factor 4, but the configuration asks for t2m, u10 at factor 2"),
    ({"data.variables": ["t2m"]}, r"holds t2m, u10 at factor 4, but the configuration asks for t2m at factor 4"),
]


@pytest.mark.parametrize("changes, message", UNFIT, ids=[next(iter(changes)) for changes, _ in UNFIT])
def test_what_cannot_train_is_refused_before_a_run_is_made(
    tiny_store: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    settings: dict[str, Any] = SETTINGS
    if {"bicubic", "published/cgan"} & {changes.get("system")} or {"tiny:Keeps", "unet", "tiny:WithoutFeatures"} & {
        changes.get("generator.name"),
        changes.get("discriminator.name"),
    }:
        settings = {k: v for k, v in SETTINGS.items() if not k.startswith(("generator", "discriminator", "content"))}
    with pytest.raises(SubgridError, match=message):
        train(settings | changes, store=tiny_store, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none(tiny_store: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^train.device: got 'cuda', but torch finds no CUDA device; use 'auto' or 'cpu'"
    ):
        train_tiny(tiny_store, tmp_path / "run", train__device="cuda")
    assert not (tmp_path / "run").exists()


def test_a_domain_too_small_to_score_is_refused(weather: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^train.patch: patchgan .* 8 x 8 cells does not work: .*Use a larger train\.patch"
    ):
        train(SETTINGS | {"train.patch": 8}, source=weather.isel(latitude=slice(8)), out=tmp_path / "run")
    with pytest.raises(GridError):
        train(
            SETTINGS | {"train.patch": 8, "content.share": 1.0},
            source=weather.isel(latitude=slice(8)),
            out=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


# options


def test_same_seed_same_curve_other_seed_another(base: Path, tiny_store: Path, tmp_path: Path) -> None:
    torch.manual_seed(123)  # whatever was drawn before
    assert_same_run(base, train_tiny(tiny_store, tmp_path / "same"))
    other = train_tiny(tiny_store, tmp_path / "other", seed=1)
    assert not np.allclose(history(base)["loss_l1"], history(other)["loss_l1"])


MOVES: list[tuple[str, Any]] = [
    ("train.updates", 6),
    ("train.epochs", 1.0),
    ("train.batch", 3),
    ("train.patch", 32),
    ("train.learning_rate", 3e-3),
    ("train.discriminator_learning_rate", 1e-2),
    ("train.betas", [0.5, 0.99]),
    ("train.weight_decay", 0.1),
    ("train.schedule", "constant"),
    ("train.warmup", 0.5),
    ("train.clip_norm", 1e-3),
    ("train.ema", 0.0),
    ("train.flips", True),
    ("content.share", 0.25),
    ("content.learning_rate", 3e-3),
    ("content.losses.l1.weight", 0.5),
    ("content.losses.mse.weight", 1.0),
    ("losses.l1.weight", 0.1),
    ("losses.mse.weight", 1.0),
    ("losses.ssim_box.weight", 1.0),
    ("losses.charbonnier.weight", 1.0),
    ("losses.ssim.weight", 1.0),
    ("losses.ms_ssim.weight", 1.0),
    ("losses.gradient.weight", 1.0),
    *(("losses.adversarial.kind", kind) for kind in ADVERSARIAL if kind != "vanilla"),
    ("losses.adversarial.weight", 1.0),
    ("losses.feature_matching.weight", 1.0),
    ("generator.norm", "batch"),
    ("discriminator.features", 4),
    ("discriminator.norm", "none"),
    ("discriminator.output", "sigmoid"),
]
WATCHES: list[tuple[str, Any]] = [
    ("train.validate_every", 1),
    ("train.validation_fields", 3),
    ("train.training_fields", 2),
]
ELSEWHERE = {"train.seconds", "train.precision", "train.device"}


def test_every_training_option_is_tested() -> None:
    tested = {key for key, _ in [*MOVES, *WATCHES] if key.startswith("train.")} | ELSEWHERE
    assert tested == {f"train.{name}" for name in TrainConfig.model_fields}
    told = {key.split(".")[1] for key, _ in MOVES if key.startswith("losses.")}
    assert told | {"perceptual"} == {*LOSSES, *DISCRIMINATOR_LOSSES}  # it needs options: tests/test_perceptual.py


@pytest.mark.parametrize("key, value", MOVES, ids=[f"{key}={value}" for key, value in MOVES])
def test_every_option_moves_the_weights(base: Path, tiny_store: Path, tmp_path: Path, key: str, value: Any) -> None:
    settings = SETTINGS | {key: value}
    if key == "train.epochs":
        del settings["train.updates"]
    other = weights(train(settings, store=tiny_store, out=tmp_path / "run"))
    assert not same_weights(weights(base), other)


def test_ssim_constants_move_the_weights(tiny_store: Path, tmp_path: Path) -> None:
    runs = [
        train_tiny(tiny_store, tmp_path / name, losses__ssim_box={"weight": 1.0, **options})
        for name, options in (("plain", {}), ("c1", {"c1": 0.1}), ("c2", {"c2": 0.1}))
    ]
    assert not same_weights(weights(runs[0]), weights(runs[1]))
    assert not same_weights(weights(runs[0]), weights(runs[2]))


@pytest.mark.parametrize("key, value", WATCHES, ids=[key for key, _ in WATCHES])
def test_validation_watches_and_does_not_touch(
    base: Path, tiny_store: Path, tmp_path: Path, key: str, value: Any
) -> None:
    other = train(SETTINGS | {key: value}, store=tiny_store, out=tmp_path / "run")
    assert not history(base).equals(history(other))
    assert same_weights(weights(base), weights(other))
    if key == "train.validate_every":
        assert list(history(other)["step"]) == list(range(1, 9))


def test_precision(base: Path, tiny_store: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    half = train_tiny(tiny_store, tmp_path / "half", train__precision="bf16")
    assert not same_weights(weights(base), weights(half))
    np.testing.assert_allclose(history(base)["valid_rmse"], history(half)["valid_rmse"], rtol=0.02)
    assert "AMP" not in "".join(capfd.readouterr())  # lightning's own lines are no use to the user
    auto = train_tiny(tiny_store, tmp_path / "auto", train__precision="auto", train__device="cpu")
    expected = half if torch.cpu._is_avx512_bf16_supported() else base
    assert same_weights(weights(auto), weights(expected))


# lengths and stages


def test_lengths(tiny_store: Path, tmp_path: Path) -> None:
    assert list(history(train_tiny(tiny_store, tmp_path / "u", train__updates=3))["step"]) == [2, 3]
    settings = {k: v for k, v in SETTINGS.items() if k != "train.updates"}
    epochs = train(settings | {"train.epochs": 0.1}, store=tiny_store, out=tmp_path / "e")
    patches = 28 * (32 / 16) ** 2  # training times, and places of a patch in a field
    assert history(epochs)["step"].iloc[-1] == math.ceil(0.1 * patches / 2)
    seconds = train(settings | {"train.seconds": 0.3}, store=tiny_store, out=tmp_path / "s")
    took = json.loads((seconds / "finished.json").read_text())
    assert 0.3 <= took["seconds_in_updates"] < 2.0
    assert set(history(seconds)["stage"]) == {"content", "main"}


def test_progress_counts_to_the_end(tiny_store: Path, tmp_path: Path) -> None:
    calls: list[tuple[Any, ...]] = []
    train(SETTINGS, store=tiny_store, out=tmp_path / "run", progress=lambda *given: calls.append(given))
    assert [call[:2] for call in calls] == [(i, 8) for i in range(1, 9)]
    assert calls[0][2] == "content"
    assert calls[-1][2].startswith("main: valid PSNR ")


def test_history_holds_what_the_contract_says(base: Path) -> None:
    found = history(base)
    assert list(found["step"]) == [2, 4, 6, 8]
    assert list(found["stage"]) == ["content"] * 2 + ["main"] * 2
    scores = [f"valid_{name}" for name in ("psnr", "ssim", "rmse", "mae", "rmse_bilinear")]
    game = ["loss_adversarial", "discriminator_loss", "discriminator_real", "discriminator_fake"]
    assert set(found) == {"step", "stage", "learning_rate", "loss_l1", *scores, *game}
    assert found[[*scores, "loss_l1"]].notna().all(axis=None)
    assert found[game].isna().all(axis=1).tolist() == [True, True, False, False]
    assert found["valid_rmse_bilinear"].nunique() == 1


def test_the_end_says_how_large_the_networks_are(base: Path, tiny_store: Path, tmp_path: Path) -> None:
    def counts(run: Path) -> tuple[int, int]:
        facts = json.loads((run / "finished.json").read_text())
        return facts["generator_parameters"], facts["discriminator_parameters"]

    state = load_tensors(base / "state.safetensors")[0]
    moments = {name: [v for k, v in state.items() if k.startswith(f"adam_{name}.") and k.endswith(".exp_avg")]
               for name in ("generator", "discriminator")}  # fmt: skip
    assert counts(base) == tuple(sum(v.numel() for v in moments[name]) for name in ("generator", "discriminator"))
    assert counts(train_tiny(tiny_store, tmp_path / "run", content__share=1.0)) == (counts(base)[0], 0)


def test_no_row_mixes_two_stages(base: Path, tiny_store: Path, tmp_path: Path) -> None:
    run = train_tiny(tiny_store, tmp_path / "run", train__validate_every=3)
    found = history(run)
    assert list(found["step"]) == [3, 4, 6, 8]  # the end of the content stage is a row
    assert list(found["stage"]) == ["content", "content", "main", "main"]
    each = history(train_tiny(tiny_store, tmp_path / "each", train__validate_every=1))
    for name in ("loss_l1", "loss_adversarial", "discriminator_loss"):
        assert found[name].iloc[-1] == pytest.approx(each[name].iloc[6:8].mean(), rel=1e-12)
        assert found[name].iloc[2] == pytest.approx(each[name].iloc[4:6].mean(), rel=1e-12)


def test_the_adversarial_stage_goes_on_from_the_content_weights(base: Path, tiny_store: Path, tmp_path: Path) -> None:
    content = train_tiny(tiny_store, tmp_path / "run", content__share=1.0)
    assert not (content / "weights" / "content.safetensors").exists()
    assert set(history(content)["stage"]) == {"content"}
    assert "discriminator_loss" not in history(content)
    assert load_tensors(base / "weights" / "content.safetensors")[1] == {"step": 4}
    first = train_tiny(tiny_store, tmp_path / "first", train__validate_every=1)
    state = load_tensors(first / "state.safetensors")[0]
    assert any(key.startswith("discriminator.") for key in state)
    with pytest.raises(Cut):
        train(SETTINGS, store=tiny_store, out=tmp_path / "cut", progress=cut_at(4))
    assert same_weights(weights(tmp_path / "cut"), weights(base, "content"))


def test_the_handover(base: Path, tmp_path: Path) -> None:
    run = load_run(shutil.copytree(base, tmp_path / "run"))
    state = new_training_state(run.config, 0, (16, 16), torch.device("cpu"))
    state.best, state.step = 0.01, 4
    first = state.optimizers["generator"]
    train_module._start_main_stage(run, state, 0.49)
    assert state.stage == "content" and state.optimizers["generator"] is first
    assert state.average is not None
    with torch.no_grad():
        for p in state.average.parameters():
            p += 1.0
    train_module._start_main_stage(run, state, 0.5)
    assert (state.stage, state.stage_start, state.best) == ("main", 0.5, math.inf)
    average = state.average.state_dict()
    assert same_weights(average, state.generator.state_dict())  # it goes on from the average
    assert same_weights(average, weights(run.path, "content"))
    fresh = state.optimizers["generator"]
    assert fresh is not first and not fresh.state  # moments of another loss are of no use
    assert fresh.param_groups[0]["params"][0] is next(state.generator.parameters())


def test_a_content_stage_that_did_not_do_its_job_is_told_of(base: Path, tiny_store: Path, tmp_path: Path) -> None:
    assert notes_of(base) == []
    calls: list[str] = []
    settings = SETTINGS | {"content.learning_rate": 0.3, "train.schedule": "constant", "train.clip_norm": 0.0}
    run = train(settings, store=tiny_store, out=tmp_path / "run", progress=lambda *given: calls.append(given[2]))
    found = history(run)
    last = found[found["stage"] == "content"].iloc[-1]
    against = f"{last['valid_rmse'] / last['valid_rmse_bilinear']:.3f}"
    assert float(against) > 1
    (note,) = notes_of(run)
    assert note.startswith(f"when the content stage ended, validation RMSE was {against} times that of bilinear ")
    assert "content.learning_rate" in note
    assert calls[-1].endswith(f"times bilinear (content stage ended at {against})")
    assert "content stage ended" not in "".join(calls[:4])
    assert notes_of(tmp_path) == []


def test_losses_say_what_they_did_with_small_patches(tiny_store: Path, tmp_path: Path) -> None:
    run = train_tiny(tiny_store, tmp_path / "run", losses__ms_ssim__weight=0.1, train__updates=2)
    assert notes_of(run)[-1] == "losses.ms_ssim: 1 of 5 scales fit 16 x 16 cells, with weights 1.000"


def test_an_infinite_gradient_is_an_error_and_not_a_standstill(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Steep(ContentLoss):
        """A finite loss whose gradients are finite too, and their norm is not."""

        def forward(self, sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
            return ((sr - hr) * 1e30).mean()

    monkeypatch.setitem(LOSSES, "l1", Steep)
    with pytest.raises(RunError, match=r"^the gradient is no longer finite at update 1\. The last checkpoint is kept"):
        train_tiny(tiny_store, tmp_path / "run")


def test_best_weights_are_those_of_the_best_row_of_the_last_stage(tiny_store: Path, tmp_path: Path) -> None:
    seen: dict[int, dict[str, torch.Tensor]] = {}
    out = tmp_path / "run"

    def remember(done: float, *_: object) -> None:
        seen[int(done)] = weights(out)

    settings = SETTINGS | {
        "train.validate_every": 1,
        "train.learning_rate": 0.02,
        "train.ema": 0.0,
        "train.updates": 12,
    }
    train(settings, store=tiny_store, out=out, progress=remember)
    main = history(out).query("stage == 'main'")
    step = int(main.loc[main["valid_rmse"].idxmin(), "step"])
    assert load_tensors(out / "weights" / "best.safetensors")[1] == {"step": step}
    assert same_weights(weights(out, "best"), seen[step])
    assert main["valid_rmse"].nunique() > 1


def test_learning_rates_follow_their_formula(tiny_store: Path, tmp_path: Path) -> None:
    run = train_tiny(
        tiny_store,
        tmp_path / "run",
        train__validate_every=1,
        train__warmup=0.3,
        train__learning_rate=1e-4,
        train__updates=10,
    )
    expected = []
    for step in range(10):
        base, local = (1e-3, step / 10 / 0.5) if step < 5 else (1e-4, (step / 10 - 0.5) / 0.5)
        expected.append(base * 0.5 * (1 + math.cos(math.pi * local)) * min(1.0, (local + 1e-3) / 0.3))
    np.testing.assert_allclose(history(run)["learning_rate"], expected, rtol=1e-9)
    constant = train_tiny(
        tiny_store, tmp_path / "c", train__schedule="constant", train__warmup=0.0, train__learning_rate=2e-4
    )
    np.testing.assert_allclose(history(constant)["learning_rate"], [1e-3, 1e-3, 2e-4, 2e-4])


# parts of an update


def test_running_average_by_hand() -> None:
    def network() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))

    average, moving = network(), network()
    average.load_state_dict(moving.state_dict())
    expected = moving[0].weight.detach().double().clone()
    for step in range(40):
        with torch.no_grad():
            for p in moving.parameters():
                p += 0.1 * torch.randn_like(p)
            moving[1].running_mean += 1
        update_average(average, moving, 0.7, step)
        kept = min(0.7, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * moving[0].weight.detach().double()
    torch.testing.assert_close(average[0].weight.detach().double(), expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(average[1].running_mean, moving[1].running_mean)
    assert int(average[1].num_batches_tracked) == int(moving[1].num_batches_tracked)


def one_update(settings: dict[str, Any], **changes: Any) -> Any:
    """The state before and after one update of the main stage, and what was logged."""
    given = {key.replace("__", "."): value for key, value in changes.items()}
    config = load_config(settings | given)
    torch.manual_seed(0)
    state = new_training_state(config, 0, (16, 16), torch.device("cpu"))
    state.stage = "main"
    with torch.no_grad():
        for p in state.generator.parameters():
            p += 0.02 * torch.randn_like(p)  # not at a start from zero, through which no gradient comes
    networks = [state.generator, *([state.discriminator] if state.discriminator else [])]
    before = [[p.detach().clone() for p in network.parameters()] for network in networks]
    batch = Batch(*(torch.randn(2, c, n, n) for c, n in ((2, 4), (2, 16), (0, 16))))  # type: ignore[arg-type]
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    logged = step_module.update(fabric, state, build_objective(config, "main", fabric.device), batch, config)
    return state, before, logged


@pytest.mark.parametrize("term", [*LOSSES, *(f"adversarial {kind}" for kind in ADVERSARIAL)])
@pytest.mark.parametrize("settings", [SETTINGS, PUBLISHED], ids=["sound", "published"])
def test_each_term_alone_moves_the_whole_generator(settings: dict[str, Any], term: str, vgg_file: Path) -> None:
    name, _, kind = term.partition(" ")
    losses = {"losses.l1.weight": 0.0, "losses.adversarial.weight": 0.0, "losses.ssim_box.weight": 0.0}
    given = losses | {f"losses.{name}.weight": 1.0} | ({"losses.adversarial.kind": kind} if kind else {})
    given |= {f"losses.{name}.{k}": v for k, v in loss_options(name, vgg_file, ("t2m", "u10")).items()}
    state, before, logged = one_update(settings | {"train.weight_decay": 0.0} | given)
    still = [
        key for (key, p), old in zip(state.generator.named_parameters(), before[0], strict=True) if torch.equal(p, old)
    ]
    assert still == []
    assert [key for key in logged if key.startswith("loss_")] == [f"loss_{name}"]


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_the_generators_step_leaves_the_discriminator_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    after_its_own: list[list[torch.Tensor]] = []
    own = step_module._update_discriminator

    def watch(fabric: Any, state: Any, *rest: Any) -> Any:
        logged = own(fabric, state, *rest)
        after_its_own.append([p.detach().clone() for p in state.discriminator.parameters()])
        return logged

    monkeypatch.setattr(step_module, "_update_discriminator", watch)
    state, before, _ = one_update(SETTINGS, losses__adversarial__kind=kind)
    judge = list(state.discriminator.parameters())
    assert all(p.requires_grad for p in judge)
    assert all(torch.equal(p, q) for p, q in zip(judge, after_its_own[0], strict=True))
    names = [name for name, _ in state.discriminator.named_parameters()]
    still = {name for name, p, q in zip(names, judge, before[1], strict=True) if torch.equal(p, q)}
    # a shift of all verdicts alike is nothing to a difference of two, nor to the hinge while all are inside its margin
    last_bias = {name for name in names if name.endswith("bias")} - {n for n in names[:-2] if n.endswith("bias")}
    assert still == (last_bias if kind in {"relativistic", "hinge"} else set())
    # and what its own step used was of its own loss alone: the same without the generator's adversarial term
    monkeypatch.setattr(step_module, "_update_discriminator", own)
    monkeypatch.setattr(ADVERSARIAL[kind], "generator", lambda self, real, fake: fake.sum() * 0)
    other, _, _ = one_update(SETTINGS, losses__adversarial__kind=kind)
    assert all(torch.equal(p, q) for p, q in zip(judge, other.discriminator.parameters(), strict=True))


@pytest.mark.parametrize("judge", ["patchgan", "vgg"])
def test_feature_matching_moves_the_whole_generator_and_not_the_discriminator(judge: str) -> None:
    settings = {key: value for key, value in SETTINGS.items() if not key.startswith("discriminator")}
    settings |= {
        "discriminator.name": judge,
        "discriminator.features": 8,
        "losses.l1.weight": 0.0,
        "train.clip_norm": 0.0,
    }
    settings |= {"losses.adversarial.weight": 1e-30}  # the game goes on, its pull is nothing
    plain, before, _ = one_update(settings)
    state, _, logged = one_update(settings, losses__feature_matching__weight=1.0)
    pairs = zip(state.generator.named_parameters(), before[0], strict=True)
    assert [key for (key, p), old in pairs if torch.equal(p, old)] == []
    pairs = zip(state.discriminator.parameters(), plain.discriminator.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs)
    assert logged["loss_feature_matching"] > 0
    after, _, _ = one_update(
        settings, losses__feature_matching__weight=1.0, losses__feature_matching__activation="after"
    )
    kinds = [state.generator.state_dict(), after.generator.state_dict()]
    assert not same_weights(*kinds)


# bad numbers


def test_a_loss_that_is_not_finite_stops_and_loses_nothing(
    base: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = PatchSampler.draw

    def spoilt(self: PatchSampler, step: int) -> Batch:
        batch = draw(self, step)
        return batch._replace(hr=batch.hr * np.float32("nan")) if step == 4 else batch

    monkeypatch.setattr(PatchSampler, "draw", spoilt)
    with pytest.raises(RunError) as error:
        train(SETTINGS, store=tiny_store, out=tmp_path / "run")
    said = str(error.value)
    assert said.startswith("the loss is no longer finite at update 5 (discriminator_loss nan, ")
    assert said.endswith("Start a new run with a lower train.learning_rate, or with train.precision = '32'.")
    assert list(history(tmp_path / "run")["step"]) == [2, 4]
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path / "run").values())
    monkeypatch.undo()
    train(SETTINGS, store=tiny_store, out=tmp_path / "run", resume=True)
    assert_same_run(base, tmp_path / "run")


def test_weights_that_blow_up_are_not_kept(tiny_store: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no longer finite.*Start a new run with a lower train\.learning_rate"):
        train_tiny(tiny_store, tmp_path / "run", content__learning_rate=1e30, train__schedule="constant")
    for file in (tmp_path / "run" / "weights").glob("*.safetensors"):
        assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path / "run", file.stem).values())


def test_static_fields_reach_the_generator(static_run: Path, tiny_run: Path) -> None:
    wide, narrow = weights(static_run)["stem.0.weight"], weights(tiny_run)["stem.0.weight"]
    assert wide.shape[1] == narrow.shape[1] + 2 * 4**2
    assert not same_weights({"w": wide[:, :2]}, {"w": narrow})
    assert (wide[:, 2:] != 0).all()
    assert "srresnet" in GENERATORS
