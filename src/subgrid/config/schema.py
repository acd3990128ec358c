"""The configuration: every setting with its type, range, default and description, and `load_config`.

A user's file names a system and a data set; `recipes/<system>.toml` supplies the rest; values in the file and then those of
`--set key=value` take precedence. `docs/settings.md` and `subgrid settings` are made from the descriptions here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from subgrid.config.files import (
    LENGTHS,
    Table,
    expand_keys,
    flatten,
    load_recipe,
    merge,
    override,
    read_override,
    read_settings,
    recipe_names,
)
from subgrid.config.messages import explain
from subgrid.errors import ConfigError, nearest

DEFAULT_SYSTEM = "srgan"

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]
DESCRIPTIONS = frozenset({"summary"})  # settings that have no effect; another version may word them differently


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=False, frozen=True, validate_default=True, use_attribute_docstrings=True
    )


class DataConfig(_Strict):
    """Which fields to read, how coarse and fine fields are paired, and how times are split."""

    source: str | list[str] | None = None
    """Fine fields to learn from: a file, a Zarr folder, a glob, or a list of these (NetCDF, Zarr, GRIB or .npy).
    Relative paths start at the working directory; `~` and `${VARIABLE}` are filled in. Required, unless an open Dataset
    is passed in Python."""
    variables: Annotated[list[str], Field(min_length=1)]
    """Variables to super-resolve, by their names in the source, such as ["u10", "v10"]. All are predicted together,
    each as one channel, in this order."""
    factor: Annotated[int, Field(ge=2, le=64)] = 4
    """Fine cells per coarse cell along each axis. With 4, each coarse cell covers 16 fine cells. Most generators need a
    power of two. Rows and columns that do not fill a coarse cell are cropped."""
    coarsen: Literal["mean", "bilinear"] = "mean"
    """How the coarse fields are made from the fine ones: `mean` is the area-weighted mean of the fine cells; `bilinear`
    interpolates at the centre of the coarse cell, without antialiasing, as some papers do. Not used with
    `coarse_source`."""
    coarse_source: str | list[str] | None = None
    """Coarse fields from a source of their own, such as a coarser model, in place of coarsened fine fields. Given as
    `source` is; it must hold the same variables on a grid that the fine grid nests in. Times that only one of the two
    sources holds are left out. Values in other units are converted to those of `source`."""
    coarse_select: dict[str, str | int | float] | None = None
    """The labels for `coarse_source`, such as { plev = 85000 }, where its dimensions are not those of `source`; {} selects
    nothing. Default: those of `select`."""
    train: tuple[str, str] | None = None
    """First and last time of the training period, both included, such as ["2018-09-14", "2018-10-10"]; a date without a
    time of day covers the whole day. Without any periods, the first 70 % of the times train, the next 15 % validate,
    the rest test."""
    valid: tuple[str, str] | None = None
    """First and last time of the validation period, whose scores choose the best weights. Where only `train` and `test`
    are given, the last tenth of the training period."""
    test: tuple[str, str] | None = None
    """First and last time of the test period, which only `evaluate` reads. Required if `train` is given."""
    gap: str = "0h"
    """Least time between two splits, a number with a unit such as `12h` or `2d`. Closer times of the earlier split are
    left out, so that training and test do not share a weather situation."""
    season: Literal["MAM", "JJA", "SON", "DJF"] | None = None
    """Use the times of one season only, named by the initials of its months. Default: all times."""
    select: dict[str, str | int | float] = {}
    """One label for each further dimension, such as { level = 850 }: a pressure level, height, forecast step (hours) or
    ensemble member (`realization`). Required where the variables have such a dimension. `group` names the group of a
    NetCDF4 file or Zarr store, such as { group = "forecast/surface" }; a file's only group with fields needs none."""
    vectors: dict[str, Literal["x", "y", "rotation", "none"]] = {}
    """Variables whose sign changes when `train.flips` mirrors a patch: components of vectors along `x` (eastward) or `y`
    (northward), and `rotation` for vorticity, stream functions and helicity. They are recognised by standard names, names
    and units, and `prepare` prints which; set only those that are not, or `none` for a scalar, such as
    { vt = "none" }. `x` and `y` in m s-1 also give the scores of winds."""
    static: list[str] = []
    """Fields that do not change in time, given to the generator on the fine grid: `sin_latitude` and `cos_latitude` are
    computed; others, such as orography, are read from `static_source`."""
    static_source: str | list[str] | None = None
    """Where the static fields are read, given as `source` is. Fields on another grid are interpolated bilinearly and
    must cover the domain."""
    start: str | None = None
    """Time of the first field, such as "2020-01-01T00:00". Required for sources that hold no dates: .npy files, and
    climatologies whose time axis has units such as `days`. Dates that a file holds are kept."""
    step: str | None = None
    """Time between fields, such as `1h` or `1 month`. Required with `start`."""

    @model_validator(mode="after")
    def _coarse_source_to_select_from(self) -> DataConfig:
        if self.coarse_select is not None and self.coarse_source is None:
            raise ValueError("coarse_select: there is no coarse_source. Name one, or use select for the source.")
        return self

    @model_validator(mode="after")
    def _known_vectors(self) -> DataConfig:
        for name in self.vectors:
            if name not in self.variables:
                raise ValueError(f"vectors: {name!r} is not in data.variables.{nearest(name, self.variables)}")
        return self


class PartConfig(BaseModel):
    """A generator or discriminator by name, with the options of its constructor."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    name: str
    """The architecture, by name, or `package.module:Class` for a class of your own. The other settings of the table are
    the options of its constructor."""

    @property
    def options(self) -> Table:
        """Everything but the name."""
        return dict(self.model_extra or {})


class LossConfig(BaseModel):
    """A loss with its weight and the options of its constructor."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    weight: NotNegative
    """Factor of the loss in the sum that the generator minimises. Losses are computed on standardised fields and have
    no unit. 0 switches the loss off."""

    @property
    def options(self) -> Table:
        """Everything but the weight."""
        return dict(self.model_extra or {})


class ContentConfig(_Strict):
    """The content stage: the first part of a training, in which the generator is trained without a discriminator."""

    share: Share = 0.0
    """Share of the training length for the content stage, from 0 (no content stage) to 1 (no discriminator at all). Its
    last weights are saved as `content`."""
    learning_rate: Positive | None = None
    """Learning rate of the generator in the content stage. Default: `train.learning_rate`."""
    losses: dict[str, LossConfig] = {}
    """Losses of the content stage, one table each; all losses but those that need a discriminator."""


class TrainConfig(_Strict):
    """Length of the training, optimiser, learning-rate schedule, validation and device."""

    updates: Count | None = None
    """Length of the training in updates of the generator. Give exactly one of `updates`, `epochs`, `seconds`."""
    epochs: Positive | None = None
    """Length of the training in passes over the training split; one epoch is as many patches as cover every training
    field once. Fractions are allowed."""
    seconds: Positive | None = None
    """Length of the training in seconds spent on updates; validation is not counted. The number of updates then depends
    on the machine."""
    batch: Count = 16
    """Patches per update. More need more memory and give smoother gradients."""
    patch: Annotated[int, Field(ge=8)] = 64
    """Side of the square training patches in fine cells; a multiple of `data.factor`. On smaller domains, the domain.
    Larger patches show the discriminator larger structures and take more memory and time."""
    learning_rate: Positive = 1e-4
    """Step size of the Adam optimiser, at its largest in the schedule."""
    discriminator_learning_rate: Positive | None = None
    """Learning rate of the discriminator. Default: `learning_rate`."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay rates of Adam's running means of the gradient and of its square. A smaller first value, such as 0.5, damps
    oscillations between generator and discriminator."""
    weight_decay: NotNegative = 0.0
    """L2 penalty that Adam adds to the gradients. It pulls all weights towards zero; 0 switches it off."""
    clip_norm: NotNegative = 0.0
    """Largest norm of the generator's gradient; longer gradients are scaled down to it. 0 clips nothing."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate within each stage: `constant`, or `cosine`, which falls to zero at its end."""
    warmup: Share = 0.0
    """Share of each stage over which the learning rate rises linearly from near zero to its full value."""
    ema: Decay = 0.0
    """Decay per update of the running average of the generator's weights, which is then validated and saved in place of
    the weights themselves; 0.99 averages about the last 100 updates. 0 uses no average."""
    flips: bool = False
    """Mirror half of the patches east-west and half north-south at random; wind components across the mirror and
    vorticity change sign (see `data.vectors`). Adds variety to small data sets, but weather is not mirror-symmetric."""
    validate_every: Count = 100
    """Updates between two validations. Each adds a row to history.csv and saves a checkpoint."""
    validation_fields: Count = 8
    """Whole fields of the validation split that are scored at each validation, evenly spaced in time."""
    training_fields: Annotated[int, Field(ge=0)] = 0
    """Whole fields of the training split to score at each validation as well, for comparison: a growing distance
    between the two shows overfitting. 0 scores none."""
    precision: Literal["auto", "32", "bf16"] = "auto"
    """Arithmetic of the networks: `32` is single precision, `bf16` mixed precision, which is faster where the processor
    supports it; `auto` takes bf16 there and 32 elsewhere."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train: `cpu`, `cuda` (one GPU), or `auto` for a GPU if there is one."""

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        given = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"got {' and '.join(given) or 'no training length'}, expected exactly one of {', '.join(LENGTHS)}"
            )
        return self


class Config(_Strict):
    """All settings that a run depends on."""

    system: str
    """System to train: a name that `subgrid systems` lists, or the path of a TOML file of the same form as the shipped
    recipes. Its recipe supplies every setting that is not given."""
    summary: str = ""
    """What the system is, in one line, for `subgrid systems`. Set by recipes."""
    family: str = ""
    """Kind of system: `baseline` (nothing to train), `sound`, or `published` (reproduces a paper, including its
    errors). Set by recipes."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of all random numbers: first weights, patches, flips and noise. Two trainings with the same settings, data
    and seed on one machine give the same weights."""
    data: DataConfig
    """The data; a table, see [data]."""
    generator: PartConfig
    """The network that makes fine fields; a table, see [generator]."""
    discriminator: PartConfig | None = None
    """The network that tells generated from true fields; a table, see [discriminator]. Default: none."""
    content: ContentConfig = ContentConfig()
    """The content stage; a table, see [content]."""
    losses: dict[str, LossConfig] = {}
    """Losses of the adversarial stage, one table each, see [losses.NAME]."""
    train: TrainConfig = TrainConfig(updates=1000)
    """Length, optimiser and validation; a table, see [train]."""

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if self.content.share > 0 and not self.content.losses:
            raise ValueError("content.losses: a content stage needs at least one loss")
        for name in ("adversarial", "feature_matching"):
            if name in self.content.losses:
                raise ValueError(
                    f"content.losses.{name}: the content stage has no discriminator; put it under [losses]"
                )
        if self.train.patch % self.data.factor:
            patch, factor = self.train.patch, self.data.factor
            best = max(-(-8 // factor), round(patch / factor)) * factor
            raise ValueError(f"train.patch: {patch} is not a multiple of data.factor ({factor}); use {best}")
        if self.adversarial and self.discriminator is None:
            raise ValueError("discriminator: the adversarial loss needs one; add a [discriminator] table")
        return self

    @property
    def adversarial(self) -> bool:
        """Whether any stage trains a discriminator."""
        return self.content.share < 1 and "adversarial" in self.losses and self.losses["adversarial"].weight > 0

    @property
    def conditional(self) -> bool:
        """Whether the generator refines coarse fields; False where noise is its only input."""
        from subgrid.models import GENERATORS  # here, so that reading a configuration does not import torch

        network = GENERATORS.get(self.generator.name)
        return network is None or network.conditional  # a class of the user's own has a coarse input


TABLES: dict[str, type[BaseModel]] = {
    "": Config,
    "data": DataConfig,
    "content": ContentConfig,
    "train": TrainConfig,
}


def defaults() -> Table:
    """The values of settings that are not given, as plain values; settings whose default is None are left out."""
    plain: Table = {"mode": "json", "exclude_none": True}
    tables = {name: model.model_construct().model_dump(**plain) for name, model in TABLES.items() if name}
    return Config.model_construct().model_dump(exclude=set(tables), **plain) | tables


def load_config(config: str | Path | Mapping[str, Any] | Config, overrides: Iterable[str] = ()) -> Config:
    """Read, complete and check a configuration.

    Args:
        config: a TOML file, the `config.json` of a run, a mapping of the same form (keys may be dotted), or a `Config`.
            The second and the last are resolved: they need no recipe any more.
        overrides: settings of the form `key=value` with a dotted key; the value is read as TOML, else as text.

    Returns:
        The resolved configuration; relative source paths stay relative to the working directory.

    Raises:
        ConfigError: for a missing file, a syntax error, an unknown key, a wrong type or value.
    """
    if isinstance(config, Config):
        raw, where = config.model_dump(mode="json", exclude_none=True), "the given configuration"
    elif isinstance(config, Mapping):
        raw, where = expand_keys(config), "the given settings"
    else:
        raw, where = read_settings(Path(config)), str(config)
    resolved = isinstance(config, Config) or (isinstance(config, str | Path) and Path(config).suffix == ".json")
    over: Table = {}
    for text in overrides:
        over = merge(over, read_override(text))
    if resolved and over.get("system", raw.get("system")) != raw.get("system"):
        raise ConfigError(
            f"{where}: this configuration is already resolved for the system {raw.get('system')!r}; to change the system, "
            "start from a TOML file."
        )
    raw = override(raw, over)
    try:
        return Config.model_validate(raw if resolved else override(_recipe(raw, where), raw))
    except ValidationError as error:
        raise ConfigError(f"{where}: {explain(error, known_keys())}") from None


def _recipe(raw: Table, where: str) -> Table:
    """The recipe of the system that the settings name."""
    system = raw.get("system", DEFAULT_SYSTEM)
    if not isinstance(system, str):
        raise ConfigError(f"{where}: system: got {system!r}, expected a name.{nearest(str(system), recipe_names())}")
    return {**load_recipe(system), "system": system}


def known_keys() -> list[str]:
    """Dotted keys of all settings that are checked here, with those of the networks' options that recipes set."""
    fields = [f"{table}.{name}".lstrip(".") for table, model in TABLES.items() for name in model.model_fields]
    parts = ("generator.", "discriminator.", "losses.")
    options = [key for name in recipe_names() for key in flatten(load_recipe(name)) if key.startswith(parts)]
    return list(dict.fromkeys([*fields, *options]))
