"""What a training is made of, and what is refused before a run directory is made for it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from subgrid.config import Config, LossConfig
from subgrid.data.grid import spatial_dims
from subgrid.data.patches import patch_shape
from subgrid.data.store import Store
from subgrid.errors import ConfigError, RunError, nearest
from subgrid.losses import ADVERSARIAL, GAME, LOSSES, Adversarial
from subgrid.losses.matching import FeatureMatching
from subgrid.pretrained import load_pretrained
from subgrid.run import build_discriminator, build_generator, unconditional
from subgrid.verify import score_parts
from subgrid.verify.unpaired import compare_sets

FEATURES = "feature_matching"
LARGER = " Use a larger train.patch, or a larger domain."
VALID_SCORES = ("psnr", "ssim", "rmse", "mae")
LOWER_RATE = (
    "What was saved before is kept. Start a new run with a lower train.learning_rate, or train.precision = '32'."
)


@dataclass(frozen=True)
class Game:
    """What the generator plays with the discriminator.

    Attributes:
        loss: both sides of the adversarial loss.
        weight: of the generator's side.
        matching: weight and term of the feature matching, where there is any.
    """

    loss: Adversarial
    weight: float
    matching: tuple[float, FeatureMatching] | None


def refuse_untrainable(config: Config) -> None:
    """Stop before any data are read."""
    if config.family == "baseline":
        raise ConfigError(
            f"system: {config.system} is a baseline with nothing to train; it stands beside every evaluation."
        )
    share = config.content.share
    content = content_terms(config.content.losses, "content.losses", config.data.variables)
    main = content_terms(config.losses, "losses", config.data.variables)
    if share > 0 and not content:
        raise ConfigError(
            "content.losses: none has a weight; give at least one, such as [content.losses.l1] weight = 1.0."
        )
    if share < 1 and not main and not config.adversarial:
        raise ConfigError("losses: none has a weight; give at least one, such as [losses.l1] with weight = 1.0.")
    if unconditional(config):
        _refuse_pairing(config)
    make_game(config)
    open_fabric(config)


def _refuse_pairing(config: Config) -> None:
    """A field drawn from noise is the likeness of no other, so nothing but a discriminator can judge it."""
    paired = [f"losses.{name}" for name, given in config.losses.items() if given.weight and name not in GAME]
    if paired or config.content.share > 0:
        raise ConfigError(
            f"{'content.share' if config.content.share > 0 else paired[0]}: {config.generator.name} draws fields from noise, "
            f"so there is no true field to compare one with; set {'it' if config.content.share > 0 else 'its weight'} to 0."
        )
    if config.train.training_fields:
        raise ConfigError(
            f"train.training_fields: {config.generator.name} draws fields from noise, so there is no true field to compare one "
            "with; set it to 0 (the columns valid_*_train of history.csv show how near training fields come as a set)."
        )
    if not config.adversarial:
        raise ConfigError(
            f"losses.adversarial: {config.generator.name} learns from the discriminator alone; give it a weight."
        )


def refuse_unfit(config: Config, store: Store) -> None:
    """Stop before a run directory is made: everything that an update and a validation do, once, on zeros."""
    if store.variables != list(config.data.variables) or store.factor != config.data.factor:
        raise RunError(
            f"{store.path} holds {', '.join(store.variables)} at factor {store.factor}, the configuration asks for "
            f"{', '.join(config.data.variables)} at factor {config.data.factor}; prepare a store for it."
        )
    num_static, factor = len(store.meta.get("static", {})), store.factor
    rows, columns = patch_shape(store.hr, config.train.patch, store.factor)
    count = min(2, config.train.batch)  # a batch of one is another thing to BatchNorm
    hr = torch.zeros(count, len(store.variables), rows, columns)
    lr, static = hr[..., ::factor, ::factor], torch.zeros(count, num_static, rows, columns)
    generator = build_generator(config, num_static, (rows, columns))
    if not any(p.requires_grad for p in generator.parameters()):
        raise ConfigError(f"generator.name: {config.generator.name} has nothing to train; choose another generator.")
    load_pretrained(generator)
    if unconditional(config):
        where = f"generator: {config.generator.name} on fields of {rows} x {columns} cells"
        noise = torch.zeros(count, int(generator.latent))  # type: ignore[arg-type]
        sr, condition = _rehearse(where, lambda: generator(noise)), hr[:, :0]
    else:
        _refuse_uneven(config, generator, lr)
        where = f"generator: {config.generator.name} on coarse patches of {lr.shape[2]} x {lr.shape[3]} cells"
        sr, condition = _rehearse(where, lambda: generator(lr, static if num_static else None)), hr
    if sr.shape != hr.shape:
        raise ConfigError(f"{where}: it made {tuple(sr.shape)}, expected {tuple(hr.shape)}.")
    if config.adversarial and config.discriminator is not None:
        _rehearse_discriminator(config, condition, sr)
    for key, losses in (("content.losses", config.content.losses), ("losses", config.losses)):
        for name, (_, term) in content_terms(losses, key, store.variables).items():
            where = f"{key}.{name} on fields of {rows} x {columns} cells"
            _rehearse(where, partial(term, sr, hr), LARGER if min(rows, columns) < getattr(term, "window", 0) else "")
    if unconditional(config):
        constant = np.zeros((2, rows, columns)) + np.arange(columns)  # no spectrum, and no score, of nothing
        compare_sets(constant, constant, factor=factor, names=["log_spectral_distance"])
        return
    whole = np.zeros((1, *(store.hr.sizes[d] for d in spatial_dims(store.hr))))
    score_parts(whole, whole, names=VALID_SCORES, data_range=1.0, factor=factor)


def _rehearse_discriminator(config: Config, condition: Tensor, field: Tensor) -> None:
    """One verdict, with the inner features where they are matched."""
    assert config.discriminator is not None
    name, (rows, columns) = config.discriminator.name, field.shape[-2:]
    discriminator = build_discriminator(config)
    if FEATURES in config.losses and config.losses[FEATURES].weight and not hasattr(discriminator, "listen"):
        raise ConfigError(
            f"losses.{FEATURES}: {name} has no method `listen` that gives its inner features; set its weight to 0."
        )
    _rehearse(
        f"train.patch: {name} on fields of {rows} x {columns} cells", lambda: discriminator(condition, field), LARGER
    )


def _refuse_uneven(config: Config, generator: nn.Module, lr: Tensor) -> None:
    """Patches must have the multiple of cells that the generator needs; whole fields are padded to it later."""
    if getattr(generator, "any_size", False):
        return
    multiple = int(getattr(generator, "multiple", 1))
    height, width = lr.shape[-2:]
    if height % multiple == 0 and width % multiple == 0:
        return
    fine = multiple * config.data.factor
    best = min(height, width) * config.data.factor // fine * fine
    fix = f"use train.patch = {best}" if best >= 8 else f"it needs a domain of at least {fine} x {fine} fine cells"
    raise ConfigError(
        f"train.patch: {config.generator.name} needs coarse patches of a multiple of {multiple} cells, those of this training "
        f"have {height} x {width}; {fix}."
    )


def _rehearse(where: str, compute: Callable[[], Tensor], fix: str = "") -> Tensor:
    """Compute, or say what does not work."""
    try:
        with torch.no_grad():
            return compute()
    except (RuntimeError, TypeError, ValueError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{where} does not work: {said.rstrip('.')}.{fix}") from error


def content_terms(
    losses: Mapping[str, LossConfig], where: str, variables: Sequence[str]
) -> dict[str, tuple[float, nn.Module]]:
    """Content losses with a weight, built by name; `variables`, the channels in their order, go to those that ask for them."""
    out = {}
    for name, given in losses.items():
        if name in GAME or given.weight == 0:
            continue
        if name not in LOSSES:
            raise ConfigError(f"{where}.{name}: no such loss.{nearest(name, [*LOSSES, *GAME])}")
        try:
            known = {"variables": list(variables)} if "variables" in inspect.signature(LOSSES[name]).parameters else {}
            out[name] = (given.weight, LOSSES[name](**known, **given.options))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{where}.{name}: it refuses its options {given.options}: {error}") from error
    return out


def make_game(config: Config) -> Game | None:
    """What is played with the discriminator; None where no stage has one."""
    if not config.adversarial:
        if FEATURES in config.losses and config.losses[FEATURES].weight and config.content.share < 1:
            raise ConfigError(
                f"losses.{FEATURES}: it compares what a trained discriminator sees; give losses.adversarial a weight too."
            )
        return None
    given = config.losses["adversarial"]
    options = given.options
    kind = options.pop("kind", "vanilla")
    if kind not in ADVERSARIAL:
        raise ConfigError(f"losses.adversarial.kind: got {kind!r}.{nearest(str(kind), ADVERSARIAL)}")
    made: Callable[..., Adversarial] = ADVERSARIAL[str(kind)]
    known = inspect.signature(made).parameters
    for option in options:
        if option not in known:
            raise ConfigError(
                f"losses.adversarial.{option}: {kind} has no such option.{nearest(option, ['kind', *known])}"
            )
    try:
        return Game(made(**options), given.weight, _matching(config))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"losses.adversarial: {kind} refuses its options {options}: {error}") from error


def _matching(config: Config) -> tuple[float, FeatureMatching] | None:
    """The feature-matching term, where it has a weight."""
    given = config.losses.get(FEATURES)
    if given is None or given.weight == 0:
        return None
    try:
        return given.weight, FeatureMatching(**given.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"losses.{FEATURES}: it refuses its options {given.options}: {error}") from error


def open_fabric(config: Config) -> Fabric:
    """Device and precision; bf16 where the processor computes it, which a plain CPU does not."""
    accelerator = config.train.device
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise ConfigError("train.device: got 'cuda', but torch sees no CUDA device; use 'auto' or 'cpu'.")
    precision = config.train.precision
    if precision == "auto":
        on_gpu = accelerator != "cpu" and torch.cuda.is_available()
        fast = torch.cuda.is_bf16_supported() if on_gpu else torch.cpu._is_avx512_bf16_supported()
        precision = "bf16" if fast else "32"
    accelerator = accelerator if accelerator != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)  # it tells of its precision on the user's screen
    try:
        return Fabric(accelerator=accelerator, devices=1, precision="bf16-mixed" if precision == "bf16" else "32-true")
    finally:
        logger.setLevel(level)
