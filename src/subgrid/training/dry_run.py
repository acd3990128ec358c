"""What a training is made of, and what is refused before a run directory is made for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from subgrid.config import Config
from subgrid.data.grid import spatial_dims
from subgrid.data.patches import patch_shape
from subgrid.data.store import Store
from subgrid.errors import ConfigError, RunError
from subgrid.losses import DISCRIMINATOR_LOSSES
from subgrid.models.protocols import FeatureDiscriminator, Generator, NoiseGenerator
from subgrid.networks import build_discriminator, build_generator
from subgrid.pretrained import load_pretrained
from subgrid.scores import compute_statistics
from subgrid.scores.field_sets import compare_sets
from subgrid.training.objective import FEATURES, content_terms, make_game, open_fabric

LARGER = " Use a larger train.patch, or a larger domain."
VALID_SCORES = ("psnr", "ssim", "rmse", "mae")


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
    if not config.conditional:
        _refuse_pairing(config)
    make_game(config)
    open_fabric(config)


def _refuse_pairing(config: Config) -> None:
    """A field drawn from noise is the likeness of no other, so nothing but a discriminator can judge it."""
    paired = [
        f"losses.{name}" for name, given in config.losses.items() if given.weight and name not in DISCRIMINATOR_LOSSES
    ]
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
    if not config.conditional:
        where = f"generator: {config.generator.name} on fields of {rows} x {columns} cells"
        assert isinstance(generator, NoiseGenerator)
        noise = torch.zeros(count, generator.latent)
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
            _rehearse(where, partial(term, sr, hr), LARGER if min(rows, columns) < term.window else "")
    if not config.conditional:
        constant = np.zeros((2, rows, columns)) + np.arange(columns)  # no spectrum, and no score, of nothing
        compare_sets(constant, constant, factor=factor, names=["log_spectral_distance"])
        return
    whole = np.zeros((1, *(store.hr.sizes[d] for d in spatial_dims(store.hr))))
    compute_statistics(whole, whole, names=VALID_SCORES, data_range=1.0, factor=factor)


def _rehearse_discriminator(config: Config, condition: Tensor, field: Tensor) -> None:
    """One verdict, with the inner features where they are matched."""
    assert config.discriminator is not None
    name, (rows, columns) = config.discriminator.name, field.shape[-2:]
    discriminator = build_discriminator(config)
    if (
        FEATURES in config.losses
        and config.losses[FEATURES].weight
        and not isinstance(discriminator, FeatureDiscriminator)
    ):
        raise ConfigError(
            f"losses.{FEATURES}: {name} has no method `forward_features` that returns its features; set its weight to 0."
        )
    _rehearse(
        f"train.patch: {name} on fields of {rows} x {columns} cells", lambda: discriminator(condition, field), LARGER
    )


def _refuse_uneven(config: Config, generator: nn.Module, lr: Tensor) -> None:
    """Patches must have the multiple of cells that the generator needs; whole fields are padded to it later."""
    assert isinstance(generator, Generator)
    if generator.pads_input:
        return
    multiple = generator.size_multiple
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
