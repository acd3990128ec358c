"""The check of a configuration on its store: a dry run of an update and a validation on zeros."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from subgrid.config.schema import Config
from subgrid.data.grid import spatial_dims
from subgrid.data.patches import patch_shape
from subgrid.data.store import Store
from subgrid.errors import ConfigError, RunError
from subgrid.models.protocols import FeatureDiscriminator, Generator, NoiseGenerator
from subgrid.networks import build_discriminator, build_generator
from subgrid.pretrained import load_pretrained
from subgrid.scores import compute_statistics
from subgrid.scores.compute import compare_field_sets
from subgrid.training.objective import STAGES, adversarial_objective, content_losses, stage_losses
from subgrid.training.validate import VALID_SCORES

DEFINES_DATA = ("train", "valid", "test", "gap", "season", "coarsen", "select", "static")
"""Settings that decide what a store holds; paths may differ, as files move."""
LARGER = " Use a larger train.patch, or a larger domain."


def check_trainable(config: Config, store: Store) -> None:
    """Check that the configuration can be trained on a store, by a dry run of an update and of a validation.

    Raises:
        ConfigError: if a network, a loss or a score cannot be computed.
        RunError: if the store was prepared for other variables or another factor.
    """
    if store.variables != list(config.data.variables) or store.factor != config.data.factor:
        raise RunError(
            f"{store.path} holds {', '.join(store.variables)} at factor {store.factor}, but the configuration asks for "
            f"{', '.join(config.data.variables)} at factor {config.data.factor}; prepare a store for it."
        )
    _check_same_data(config, store)
    rows, columns = patch_shape(store.hr, config.train.patch, store.factor)
    count = min(2, config.train.batch)  # BatchNorm behaves differently for a batch of one
    hr = torch.zeros(count, len(store.variables), rows, columns)
    static = torch.zeros(count, len(store.meta.get("static", {})), rows, columns)
    sr, condition = _try_generator(config, hr, static)
    if config.adversarial:
        _try_discriminator(config, condition, sr)
    for stage, key in STAGES.items():
        for name, (_, loss) in content_losses(stage_losses(config, stage), key, store.variables).items():
            too_small = min(rows, columns) < loss.window
            where = f"{key}.{name} on fields of {rows} x {columns} cells"
            _try(where, partial(loss, sr, hr), LARGER if too_small else "")
    if config.conditional:
        whole = np.zeros((1, *(store.hr.sizes[d] for d in spatial_dims(store.hr))))
        compute_statistics(whole, whole, names=VALID_SCORES, data_range=1.0, factor=store.factor)
    else:
        constant = np.zeros((2, rows, columns)) + np.arange(columns)  # a field of zeros has no spectrum
        compare_field_sets(constant, constant, factor=store.factor, names=["log_spectral_distance"])


def _check_same_data(config: Config, store: Store) -> None:
    """Refuse a store that was prepared with other splits or fields than the run would record."""
    before, now = store.meta.get("data", {}), config.data.model_dump(mode="json")
    for key in DEFINES_DATA:
        if key in before and before[key] != now[key]:
            raise RunError(
                f"{store.path} was prepared with data.{key} = {before[key]!r}, but the configuration has {now[key]!r}; "
                "prepare a store for it, or change the configuration."
            )


def _try_generator(config: Config, hr: Tensor, static: Tensor) -> tuple[Tensor, Tensor]:
    """Compute fine fields (b, c, H, W) with a new generator; return them and the discriminator's condition."""
    name, (rows, columns) = config.generator.name, hr.shape[-2:]
    generator = build_generator(config, static.shape[1], (rows, columns))
    load_pretrained(generator)
    if config.conditional:
        factor = config.data.factor
        lr = hr[..., ::factor, ::factor]
        _check_multiple(config, generator, lr)
        where = f"generator: {name} on coarse patches of {lr.shape[2]} x {lr.shape[3]} cells"
        sr, condition = _try(where, lambda: generator(lr, static if static.shape[1] else None)), hr
    else:
        where = f"generator: {name} on fields of {rows} x {columns} cells"
        assert isinstance(generator, NoiseGenerator)
        noise = torch.zeros(len(hr), generator.latent)
        sr, condition = _try(where, lambda: generator(noise)), hr[:, :0]
    if sr.shape != hr.shape:
        raise ConfigError(f"{where}: its output has shape {tuple(sr.shape)}, expected {tuple(hr.shape)}.")
    return sr, condition


def _try_discriminator(config: Config, condition: Tensor, field: Tensor) -> None:
    """Compute the output of a new discriminator; check that it returns inner features if a loss needs them."""
    assert config.discriminator is not None
    name, (rows, columns) = config.discriminator.name, field.shape[-2:]
    discriminator = build_discriminator(config)
    objective = adversarial_objective(config)
    needs_features = objective is not None and objective.feature_matching is not None
    if needs_features and not isinstance(discriminator, FeatureDiscriminator):
        raise ConfigError(
            f"losses.feature_matching: {name} has no method `forward_features` that returns its features; set the weight "
            "of the loss to 0."
        )
    where = f"train.patch: {name} on fields of {rows} x {columns} cells"
    _try(where, lambda: discriminator(condition, field), LARGER)


def _check_multiple(config: Config, generator: nn.Module, lr: Tensor) -> None:
    """Check that patches have the multiple of cells that the generator needs; whole fields are padded to it."""
    assert isinstance(generator, Generator)
    if generator.pads_input:
        return
    multiple = generator.size_multiple
    height, width = lr.shape[-2:]
    if height % multiple == 0 and width % multiple == 0:
        return
    fine = multiple * config.data.factor
    best = min(height, width) * config.data.factor // fine * fine
    fix = f"use train.patch = {best}" if best >= 8 else f"use a domain of at least {fine} x {fine} fine cells"
    raise ConfigError(
        f"train.patch: {config.generator.name} needs coarse patches whose sides are a multiple of {multiple} cells, "
        f"but these have {height} x {width} cells; {fix}."
    )


def _try(where: str, compute: Callable[[], Tensor], fix: str = "") -> Tensor:
    """Compute without gradients; turn what PyTorch raises into an error that names the setting."""
    try:
        with torch.no_grad():
            return compute()
    except (RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{where} does not work: {reason.rstrip('.')}.{fix}") from error
