"""Fields from noise: the generator, its training, its samples, and how they are judged."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from scipy import stats

from subgrid.cli import app
from subgrid.data.store import open_store
from subgrid.errors import ConfigError, GridError, RunError, SourceError, SubgridError
from subgrid.evaluation.evaluate import evaluate
from subgrid.evaluation.field_sets import NUM_FIELDS
from subgrid.inference.downscale import downscale
from subgrid.inference.sample import sample
from subgrid.inference.super_resolve import draw_fields, draw_noise
from subgrid.models import GENERATORS, build
from subgrid.networks import load_generator
from subgrid.reporting import report
from subgrid.run import load_run, notes_of
from subgrid.scores.compute import compare_field_sets
from subgrid.scores.registry import FIELD_SET_SCORES
from subgrid.training.train import train
from tiny import SETTINGS, Cut, assert_same_run, cut_at, history, same_weights, weights

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

GAN: dict[str, Any] = {key: value for key, value in SETTINGS.items() if key.startswith(("data.", "train."))} | {
    "system": "gan",
    "generator.features": 8,
    "generator.latent": 8,
    "discriminator.features": 8,
}


@pytest.fixture(scope="module")
def gan_run(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on patches smaller than the domain."""
    return train(GAN, store=tiny_store, out=tmp_path_factory.mktemp("gan") / "run")


@pytest.fixture(scope="module")
def whole_run(tiny_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on patches of the whole domain."""
    return train(GAN | {"train.patch": 64}, store=tiny_store, out=tmp_path_factory.mktemp("gan") / "whole")


# the generator


def dcgan(shape: tuple[int, int] = (16, 16), channels: int = 2, **options: Any) -> Any:
    torch.manual_seed(0)
    given = {"latent": 8, "features": 4} | options
    return build(GENERATORS, "generator", "dcgan", given, channels_out=channels, shape=shape)


@pytest.mark.parametrize("shape", [(64, 64), (16, 16), (32, 48), (20, 33), (8, 8), (1, 5)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_of_field(shape: tuple[int, int], channels: int) -> None:
    fields = dcgan(shape, channels)(torch.randn(2, 8))
    assert fields.shape == (2, channels, *shape)
    assert fields.dtype == torch.float32
    assert torch.isfinite(fields).all()


def test_gradient_reaches_every_parameter_and_every_noise() -> None:
    made, noise = dcgan(), torch.randn(3, 8, requires_grad=True)
    made(noise).square().mean().backward()
    # a bias before a BatchNorm is taken out again with the mean
    missing = [name for name, p in made.named_parameters() if not p.grad.abs().sum() > 1e-9]
    assert all(name.endswith("bias") for name in missing)
    assert noise.grad is not None and (noise.grad.abs() > 0).all()


CHANGED = {"latent": 16, "features": 8, "norm": "none", "head": "linear"}


def test_every_option_bites() -> None:
    assert set(inspect.signature(GENERATORS["dcgan"]).parameters) - {"channels_out", "shape"} == set(CHANGED)
    plain = dcgan().train()(draw_noise(2, 8, (0,)))
    for option, value in CHANGED.items():
        made = dcgan(**{option: value}).train()
        assert not torch.allclose(plain, made(draw_noise(2, made.latent, (0,)))), option
    assert plain.abs().max() <= 1
    assert (dcgan(head="linear").train()(100 * draw_noise(2, 8, (0,)))).abs().max() > 0.5


@pytest.mark.parametrize(
    "options, message",
    [
        ({"latent": 0}, "shape, latent and features must be positive"),
        ({"norm": "layer"}, "norm: got 'layer', expected one of batch, none"),
        ({"head": "relu"}, "head: got 'relu', expected one of tanh, linear"),
    ],
)
def test_wrong_values_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dcgan(**options)


def test_draws() -> None:
    made = dcgan().train()
    few, many = draw_fields(made, 3, (1,)), draw_fields(made, 5, (1,))
    assert made.training
    assert np.array_equal(few, many[:3])
    assert not np.array_equal(few, draw_fields(made, 3, (2,)))
    assert not np.array_equal(few[0], few[1])
    made.eval()
    with torch.no_grad():
        np.testing.assert_allclose(few, made(draw_noise(3, 8, (1,))).numpy(), rtol=1e-5, atol=1e-6)


def test_draws_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    made = dcgan()
    whole = draw_fields(made, 5, (1,))
    monkeypatch.setattr("subgrid.inference.super_resolve.FINE_CELLS_AT_ONCE", 2 * 16 * 16)
    np.testing.assert_allclose(draw_fields(made, 5, (1,)), whole, rtol=1e-5, atol=1e-6)


# training


def test_it_trains_and_measures_sets(gan_run: Path) -> None:
    rows = history(gan_run)
    assert list(rows.step) == [2, 4, 6, 8]
    assert set(rows.stage) == {"main"}
    assert not any("rmse" in name or "psnr" in name for name in rows)
    for name in ("valid_log_spectral_distance", "valid_wasserstein", "valid_spread_ratio"):
        assert np.isfinite(rows[name]).all()
        assert rows[f"{name}_train"].nunique() == 1
    assert rows.valid_log_spectral_distance.nunique() == 4
    assert {"discriminator_real", "discriminator_fake", "loss_adversarial"} <= set(rows)
    least = rows.valid_log_spectral_distance.idxmin()
    assert (least == 3) == same_weights(weights(gan_run, "best"), weights(gan_run))


@pytest.mark.parametrize("update", [1, 4, 5])
def test_cut_off_and_resumed_is_the_unbroken_run(gan_run: Path, tiny_store: Path, tmp_path: Path, update: int) -> None:
    with pytest.raises(Cut):
        train(GAN, store=tiny_store, out=tmp_path / "run", progress=cut_at(update))
    train(GAN, store=tiny_store, out=tmp_path / "run", resume=True)
    assert_same_run(gan_run, tmp_path / "run")


def test_the_progress_line_shows_the_spectral_distance(tiny_store: Path, tmp_path: Path) -> None:
    said: list[str] = []
    train(GAN, store=tiny_store, out=tmp_path / "run", progress=lambda done, total, note: said.append(note))
    assert said[0] == "main"
    assert said[-1].startswith("main: log spectral distance ") and "(training fields " in said[-1]


@pytest.mark.parametrize(
    "changes",
    [
        {"losses.adversarial.kind": "minimax"},
        {"losses.adversarial.kind": "relativistic"},
        {"losses.feature_matching.weight": 1.0},
        {"train.ema": 0.0},
        {"seed": 1},
        {"generator.latent": 4},
        {"train.batch": 3},
    ],
)
def test_options_move_the_weights(gan_run: Path, tiny_store: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    other = train(GAN | changes, store=tiny_store, out=tmp_path / "run")
    assert not same_weights(weights(gan_run), weights(other))


@pytest.mark.parametrize("system", ["gan", "published/gan"])
def test_the_shipped_forms_take_the_whole_road(system: str, tiny_store: Path, tmp_path: Path) -> None:
    settings = GAN | {"system": system, "train.updates": 2}
    run = train(settings, store=tiny_store, out=tmp_path / "run")
    assert np.isfinite(evaluate(run).value).all()
    assert dict(sample(run, num=2).sizes) == {"realization": 2, "row": 16, "column": 16}
    assert report([run], tmp_path / "page.html").stat().st_size > 10_000


UNFIT = [
    ({"losses.l1.weight": 1.0}, r"^losses\.l1: dcgan draws fields from noise, .* set its weight to 0\.$"),
    (
        {"content.share": 0.5, "content.losses.l1.weight": 1.0},
        r"^content\.share: dcgan draws fields from noise, .* set it to 0\.$",
    ),
    (
        {"train.training_fields": 2},
        r"^train\.training_fields: dcgan draws fields from noise, .* set it to 0\. The columns",
    ),
    ({"losses.adversarial.weight": 0.0}, r"^losses: no loss has a weight"),
    ({"generator.widths": 3}, r"^generator\.widths: dcgan has no such option"),
    ({"train.patch": 8}, r"^train\.patch: patchgan on fields of 8 x 8 cells does not work: "),
]


@pytest.mark.parametrize("changes, message", UNFIT, ids=[next(iter(changes)) for changes, _ in UNFIT])
def test_what_cannot_train_is_refused(tiny_store: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SubgridError, match=message):
        train(GAN | changes, store=tiny_store, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_misspelt_name_finds_its_neighbour(tiny_store: Path, tmp_path: Path) -> None:
    settings = {key: value for key, value in GAN.items() if not key.startswith("generator")}
    with pytest.raises(ConfigError, match=r"no generator called 'dcgann'\. Did you mean 'dcgan'\?"):
        train(settings | {"generator.name": "dcgann"}, store=tiny_store, out=tmp_path / "run")


def test_static_fields_without_effect_are_reported(static_run: Path, tmp_path: Path) -> None:
    static = load_run(static_run).config.data
    settings = GAN | {"data.static": static.static, "data.static_source": static.static_source}
    run = train(settings, store=load_run(static_run).provenance["store"], out=tmp_path / "run")
    assert notes_of(run) == ["data.static has no effect: this generator's only input is noise."]


# samples


def test_samples_are_the_generators_fields(gan_run: Path, tmp_path: Path) -> None:
    fields = sample(gan_run, tmp_path / "fields.nc", num=3, seed=5)
    run = load_run(gan_run)
    drawn = run.scaling.unscale(draw_fields(load_generator(run), 3, (5,)))
    for i, name in enumerate(("t2m", "u10")):
        np.testing.assert_array_equal(fields[name], drawn[:, i])
        assert fields[name].attrs["units"] == {"t2m": "K", "u10": "m s-1"}[name]
    assert "row" not in fields.coords
    with xr.open_dataset(tmp_path / "fields.nc") as read:
        xr.testing.assert_equal(read.load(), fields)
        assert read.attrs["Conventions"] == "CF-1.11"
        assert "3 fields drawn from noise of seed 5 by gan (last weights" in read.attrs["history"]
        assert read.realization.attrs["standard_name"] == "realization"


def test_samples_of_the_whole_domain_have_its_coordinates(whole_run: Path, tiny_store: Path) -> None:
    fields, truth = sample(whole_run, num=2), open_store(tiny_store).hr
    assert dict(fields["t2m"].sizes) == {"realization": 2, "latitude": 32, "longitude": 32}
    for axis in ("latitude", "longitude"):
        np.testing.assert_array_equal(fields[axis], truth[axis])
        assert fields[axis].attrs["units"] == truth[axis].attrs["units"]


def test_a_longer_draw_begins_with_the_shorter(gan_run: Path) -> None:
    xr.testing.assert_equal(sample(gan_run, num=2), sample(gan_run, num=4).isel(realization=slice(2)))
    assert not sample(gan_run, num=2)["t2m"].equals(sample(gan_run, num=2, seed=1)["t2m"])
    assert not sample(gan_run, num=2)["t2m"].equals(sample(gan_run, num=2, weights="best")["t2m"]) or same_weights(
        weights(gan_run), weights(gan_run, "best")
    )


def test_sample_on_the_command_line(gan_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "fields.zarr")
    app(args=["sample", str(gan_run), out, "--num", "5", "--seed", "2"], standalone_mode=False)
    assert capsys.readouterr().out == f"{out}: realization 5, row 16, column 16\n"
    with xr.open_zarr(out, consolidated=False) as read:
        xr.testing.assert_equal(read.load(), sample(gan_run, num=5, seed=2))
    with pytest.raises(RunError, match=r"already exists; choose another name, or pass overwrite=True"):
        app(args=["sample", str(gan_run), out], standalone_mode=False)
    app(args=["sample", str(gan_run), out, "--num", "1", "--overwrite"], standalone_mode=False)
    with xr.open_zarr(out, consolidated=False) as read:
        assert read.sizes["realization"] == 1


def test_what_cannot_be_sampled_or_refined(gan_run: Path, tiny_run: Path, weather: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is a srgan system, which refines coarse fields; use subgrid\.downscale"):
        sample(tiny_run)
    with pytest.raises(
        RunError,
        match=r"is a gan system, which draws fields from noise .*use subgrid\.sample",
    ):
        downscale(gan_run, weather)
    with pytest.raises(RunError, match=r"^num: got 0, expected at least 1 field\.$"):
        sample(gan_run, num=0)
    with pytest.raises(RunError, match=r"^seed: got -1, expected 0 or more\.$"):
        sample(gan_run, seed=-1)
    with pytest.raises(RunError, match=r"cannot write '\.grib'"):
        sample(gan_run, tmp_path / "fields.grib")


# judged as sets


def test_evaluation_compares_sets(gan_run: Path, tmp_path: Path) -> None:
    scores = evaluate(gan_run, out=tmp_path)
    assert list(scores.system.unique()) == ["gan", "training fields"]
    assert set(scores.score) == set(FIELD_SET_SCORES)
    assert len(scores) == 2 * 2 * len(FIELD_SET_SCORES)
    assert np.isfinite(scores.value).all()
    assert f"({NUM_FIELDS} fields of 16 x 16 cells each)" in scores.convention[0]
    values = scores.set_index(["system", "variable", "score"]).value
    assert values["training fields", "t2m", "spread_ratio"] == pytest.approx(1, abs=0.3)
    for name in ("log_spectral_distance", "wasserstein"):  # 8 updates: not there yet
        assert values["gan", "t2m", name] > values["training fields", "t2m", name]
    with xr.open_dataset(tmp_path / "histograms.nc") as densities, xr.open_dataset(tmp_path / "spectra.nc") as spectra:
        assert list(densities.system.values) == list(spectra.system.values) == ["truth", "gan", "training fields"]
        width = float(densities.t2m_bin[1] - densities.t2m_bin[0])
        assert float(densities.t2m.sel(system="truth").sum()) * width == pytest.approx(1)
    about = json.loads((tmp_path / "evaluation.json").read_text())
    assert about["unpaired"] and about["weights"] == "last"


@pytest.mark.parametrize("options, named", [({"by": ["season"]}, "by"), ({"block": 4}, "block")])
def test_sets_have_no_groups_and_no_blocks(gan_run: Path, tmp_path: Path, options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{named}: gan generates fields from noise alone, .* omit --{named}\.$"):
        evaluate(gan_run, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_the_screen_shows_all_scores_of_sets(gan_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app(args=["evaluate", str(gan_run), "--out", str(tmp_path)], standalone_mode=False)
    said = capsys.readouterr().out
    assert all(name in said for name in FIELD_SET_SCORES) and "more rows" not in said


def test_the_report_shows_sets(gan_run: Path, tiny_run: Path, tmp_path: Path) -> None:
    evaluate(gan_run)
    page = report([gan_run], tmp_path / "page.html").read_text()
    for text in (
        "The mean spectrum of gan&#39;s fields differs from the truth&#39;s by",
        "run1-samples",
        "run1-histograms",
    ):
        assert text in page
    body = page.partition("</head>")[2]
    assert "s1-maps" not in body and "s1-spectra" in body and "bicubic" not in body.split("run1-settings")[0]
    evaluate(tiny_run)
    both = report([gan_run, tiny_run], tmp_path / "both.html").read_text()
    assert "run1-samples" in both and "s2-maps" in both and "These runs were evaluated on different" in both


def waves(num: int, seed: int, slope: float = 1.5, cells: int = 32) -> np.ndarray:
    """Random fields whose amplitude falls with the wavenumber."""
    rng = np.random.default_rng(seed)
    wave = np.hypot(np.fft.fftfreq(cells)[:, None], np.fft.rfftfreq(cells))
    wave[0, 0] = np.inf
    return np.fft.irfft2(np.fft.rfft2(rng.standard_normal((num, cells, cells))) * wave**-slope, s=(cells, cells))


@pytest.mark.parametrize("name", FIELD_SET_SCORES)
def test_equal_sets_are_best_in_any_order(name: str) -> None:
    fields = waves(12, 0)
    mixed = fields[np.random.default_rng(1).permutation(12)]
    for prediction in (fields, mixed):
        value = compare_field_sets(prediction, fields, factor=4, names=[name])[name]
        assert value == pytest.approx(FIELD_SET_SCORES[name].best, abs=1e-9)


def test_what_each_score_sees() -> None:
    true = waves(64, 0)
    score = lambda fields: compare_field_sets(fields, true, factor=4)  # noqa: E731
    fair, smooth, loud = score(waves(64, 1)), score(waves(64, 2, slope=2.5)), score(3 * waves(64, 1))
    assert fair["log_spectral_distance"] < 1 < smooth["log_spectral_distance"]
    assert smooth["high_wavenumber_power_ratio"] != pytest.approx(1, abs=0.5)
    assert loud["log_spectral_distance"] == pytest.approx(20 * np.log10(3), abs=0.5)  # decibels of power
    assert loud["high_wavenumber_power_ratio"] == pytest.approx(9 * fair["high_wavenumber_power_ratio"])
    assert loud["spread_ratio"] == pytest.approx(3 * fair["spread_ratio"])
    one = np.repeat(waves(1, 3), 64, axis=0)
    assert score(one)["spread_ratio"] == pytest.approx(0, abs=1e-12)
    assert score(one)["log_spectral_distance"] < 6  # the collapse is not seen in the spectrum


def test_formulas_against_others() -> None:
    made, true = waves(5, 1) * 1.7 + 0.3, waves(8, 2)
    found = compare_field_sets(made, true, factor=4)
    sets = sorted(made.ravel()), sorted(true.ravel())
    shares = (np.arange(made.size * 8) + 0.5) / (made.size * 8)  # both inverse distribution functions on one fine grid
    picked = [np.asarray(values)[(shares * len(values)).astype(int)] for values in sets]
    assert found["wasserstein"] == pytest.approx(np.abs(picked[0] - picked[1]).mean(), rel=1e-6)
    assert found["wasserstein"] == pytest.approx(stats.wasserstein_distance(*sets), rel=1e-9)
    spread = [
        np.sqrt(np.mean([[np.std([f[y, x] for f in fields], ddof=1) ** 2 for x in range(32)] for y in range(32)]))
        for fields in (made, true)
    ]
    assert found["spread_ratio"] == pytest.approx(spread[0] / spread[1], rel=1e-9)
    assert compare_field_sets(10 ** (3 / 20) * true, true, factor=4)["log_spectral_distance"] == pytest.approx(
        3, rel=1e-9
    )


def test_bad_sets_are_refused() -> None:
    fields = waves(3, 0)
    with pytest.raises(
        ConfigError, match=r"no score of field sets is called 'wasserstien'\. Did you mean 'wasserstein'\?"
    ):
        compare_field_sets(fields, fields, factor=4, names=["wasserstien"])
    with pytest.raises(GridError, match=r"prediction has fields of \(32, 32\) cells, reference of \(32, 31\)"):
        compare_field_sets(fields, fields[:, :, :-1], factor=4)
    with pytest.raises(SourceError):
        compare_field_sets(np.where(fields > 1, np.nan, fields), fields, factor=4)
    with pytest.raises(GridError, match=r"^spread_ratio: got 1 and 3 fields, expected at least 2 each"):
        compare_field_sets(fields[:1], fields, factor=4, names=["spread_ratio"])
    with pytest.raises(GridError, match=r"^spread_ratio: the reference fields are all the same"):
        compare_field_sets(fields, np.repeat(fields[:1], 3, 0), factor=4, names=["spread_ratio"])
    with pytest.raises(GridError, match=r"^log_spectral_distance: the reference fields are constant"):
        compare_field_sets(fields, np.ones((3, 32, 32)), factor=4, names=["log_spectral_distance"])
    assert compare_field_sets(fields, np.ones((3, 32, 32)), factor=4, names=["high_wavenumber_power_ratio"]) == {
        "high_wavenumber_power_ratio": np.inf
    }
