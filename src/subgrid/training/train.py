"""Training: one flat loop over updates, in two stages, that can be killed at any moment and resumed.

Order of an update in the adversarial stage: generator forward, discriminator's update on real and made fields,
generator's update through the updated discriminator, running average. Batches depend on the seed and the update alone,
and the state is written whole at each validation, so a resumed run repeats the unbroken one bit for bit on one machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from subgrid.config import DESCRIPTIONS, Config, load_config
from subgrid.config_files import flatten
from subgrid.data.patches import Batch, PatchSampler, patch_shape
from subgrid.data.store import Store, describe_store, open_store
from subgrid.errors import RunError
from subgrid.io.atomic import write_json
from subgrid.io.console import Notify, Progress, silent
from subgrid.io.lock import locked
from subgrid.io.tensors import save_tensors
from subgrid.losses.base import ContentLoss
from subgrid.models import count_parameters
from subgrid.run import Run, create_run, load_run, refuse_existing, store_of
from subgrid.training.checkpoint import State, adam, fresh_state, keep, restore, update_average
from subgrid.training.dry_run import refuse_unfit, refuse_untrainable
from subgrid.training.objective import content_terms, make_game, open_fabric
from subgrid.training.prepare import prepare
from subgrid.training.step import update
from subgrid.training.validate import validator

STAGE_LOSSES = {"content": "content.losses", "main": "losses"}


def train(
    config: str | Path | Mapping[str, Any] | Config,
    *,
    out: str | Path | None = None,
    source: xr.Dataset | None = None,
    store: str | Path | None = None,
    resume: bool = False,
    overrides: Iterable[str] = (),
    progress: Progress = silent,
    notify: Notify = silent,
) -> Path:
    """Train a system; prepare its data first if need be.

    Args:
        config: a TOML file, settings, or a `Config`.
        out: the run directory; `runs/<name>-<system>` by default.
        source: an open Dataset in place of `data.source`.
        store: a training store made by `prepare`, in place of the default one.
        resume: go on with a run that was cut off.
        overrides: settings `key=value`.
        progress: called with (done, total, note).
        notify: called with each line on the data that were prepared.

    Returns:
        The run directory.

    Raises:
        SubgridError: for what the user can mend; RunError also when the loss is no longer finite, and where another process
            is training in the same run directory.
    """
    resolved, path, run = plan_run(config, out=out, resume=resume, overrides=overrides)
    if (path / "finished.json").is_file():
        return path
    with locked(path):
        if run is None:
            if store is None:
                target = path.with_name(path.name + ".store.zarr") if source is not None else None
                report = partial(_preparing, progress)
                store = prepare(config, out=target, source=source, overrides=overrides, progress=report)
                for line in describe_store(store):
                    notify(line)
            opened = open_store(store)
            refuse_unfit(resolved, opened)
            run = create_run(path, resolved, opened)
        _loop(run, store_of(run, store), progress)
    return path


def _preparing(progress: Progress, done: float, total: float, note: str = "") -> None:
    """Show the preparation of the data as the first part of a training."""
    progress(done, total, note or "preparing data")


def plan_run(
    config: str | Path | Mapping[str, Any] | Config,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    overrides: Iterable[str] = (),
) -> tuple[Config, Path, Run | None]:
    """Settle what needs no data, so that what will be refused is refused before minutes of preparation.

    Args:
        config: see `train`.
        out: see `train`.
        resume: see `train`; where there is no run yet, one is begun.
        overrides: see `train`.

    Returns:
        The resolved configuration, the run directory, and the run to go on with if there is one.

    Raises:
        SubgridError: for a configuration that cannot be trained, a run directory that is taken or does not fit.
    """
    resolved = load_config(config, overrides)
    stem = Path(config).stem if isinstance(config, str | Path) else "data"
    path = Path(out) if out is not None else Path("runs") / f"{stem}-{resolved.system.replace('/', '-')}"
    refuse_untrainable(resolved)
    if resume and (path / "config.json").is_file():
        return resolved, path, _same_run(path, resolved)
    refuse_existing(path)
    return resolved, path, None


def _loop(run: Run, store: Store, progress: Progress) -> None:
    """All updates of one run."""
    config, train_ = run.config, run.config.train
    sampler = _sampler(config, store)
    fabric = open_fabric(config)
    total = _total_updates(config, sampler)
    torch.manual_seed(config.seed)
    begun = (run.path / "state.safetensors").is_file()  # holds all weights: those made elsewhere may be gone
    shape = patch_shape(store.hr, train_.patch, store.factor)
    state = fresh_state(config, len(store.meta.get("static", {})), shape, fabric.device, pretrained=not begun)
    terms = {stage: _terms(config, key, fabric.device) for stage, key in STAGE_LOSSES.items()}
    game = make_game(config)
    validate = validator(run, store)
    restore(run, state)
    sums: dict[str, float] = {}
    while (done := _progress(state, total, train_.seconds)) < 1.0:
        _enter_stage(run, state, done)
        began = time.perf_counter()
        rate = _set_rates(config, state, done)
        batch = [torch.from_numpy(part).to(fabric.device) for part in sampler.draw(state.step)]
        losses = update(fabric, state, terms[state.stage], game, Batch(*batch), config)  # type: ignore[arg-type]
        if state.average is not None:
            update_average(state.average, state.generator, train_.ema, state.step)
        state.step += 1
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value
        state.elapsed += time.perf_counter() - began
        end = config.content.share if state.stage == "content" else 1.0  # of the stage; no row mixes two
        if state.step % train_.validate_every == 0 or _progress(state, total, train_.seconds) >= end:
            count = state.step - (state.rows[-1]["step"] if state.rows else 0)
            row = {"step": state.step, "stage": state.stage, "learning_rate": rate}
            row |= {name: value / count for name, value in sums.items()} | validate(state.evaluated)
            state.rows.append(row)
            sums = {}
            keep(run, state)
        progress(*_position(state, total, train_.seconds), _note(state))
    _finish(run, state, _remarks(run, state, terms, shape))


def _terms(config: Config, key: str, device: torch.device) -> dict[str, tuple[float, ContentLoss]]:
    """The content losses of a stage, where it is computed."""
    losses = config.content.losses if key == "content.losses" else config.losses
    built = content_terms(losses, key, config.data.variables)
    return {name: (weight, term.to(device)) for name, (weight, term) in built.items()}


def _enter_stage(run: Run, state: State, done: float) -> None:
    """Hand over from the content stage to the adversarial one: keep the content weights, go on from their average."""
    if state.stage != "content" or done < run.config.content.share:
        return
    save_tensors(run.path / "weights" / "content.safetensors", state.evaluated.state_dict(), {"step": state.step})
    state.generator.load_state_dict(state.evaluated.state_dict())
    state.optimizers["generator"] = adam(run.config, state.generator, run.config.train.learning_rate)
    state.stage, state.stage_start, state.best = "main", done, math.inf


def _set_rates(config: Config, state: State, done: float) -> float:
    """Set the learning rates of this update; returns the generator's."""
    t = config.train
    share = config.content.share
    begin, end = (0.0, share) if state.stage == "content" else (state.stage_start, 1.0)
    local = min(1.0, (done - begin) / max(end - begin, 1e-12))
    shape = 0.5 * (1 + math.cos(math.pi * local)) if t.schedule == "cosine" else 1.0
    if t.warmup > 0:
        shape *= min(1.0, (local + 1e-3) / t.warmup)
    base = (config.content.learning_rate or t.learning_rate) if state.stage == "content" else t.learning_rate
    rates = {"generator": base, "discriminator": t.discriminator_learning_rate or t.learning_rate}
    for name, optimizer in state.optimizers.items():
        for group in optimizer.param_groups:
            group["lr"] = rates[name] * shape
    return base * shape


def _finish(run: Run, state: State, notes: list[str]) -> None:
    """Say that the run is complete, what it took, and what its user should know."""
    facts = {
        "updates": state.step,
        "seconds_in_updates": round(state.elapsed, 1),
        "stage": state.stage,
        "generator_parameters": count_parameters(state.generator),
        "discriminator_parameters": count_parameters(state.discriminator),
        "notes": notes,
    }
    write_json(run.path / "finished.json", facts)


def _remarks(
    run: Run, state: State, terms: dict[str, dict[str, tuple[float, ContentLoss]]], patch: tuple[int, int]
) -> list[str]:
    """Whether the content stage did its job, and what the losses did with patches of this size."""
    handed, out = state.handed_over, []
    if not run.config.conditional and run.config.data.static:
        out.append("static fields play no part: this generator has no input but noise.")
    if handed is not None and handed > 1:
        out.append(
            f"the content stage handed over at a validation RMSE of {handed:.3f} of bilinear's: it had not yet learned what "
            "interpolation knows. Give it longer (train.updates, content.share) or another content.learning_rate."
        )
    for stage, key in STAGE_LOSSES.items():
        for name, (_, term) in terms[stage].items():
            description = term.describe(*patch)
            out += [f"{key}.{name}: {description}"] if description else []
    return out


def _sampler(config: Config, store: Store) -> PatchSampler:
    t = config.train
    vectors = store.meta.get("vectors", {})
    return PatchSampler(store, "train", patch=t.patch, batch=t.batch, seed=config.seed, flips=t.flips, vectors=vectors)


def _total_updates(config: Config, sampler: PatchSampler) -> int | None:
    """Updates in all; None where the length is in seconds."""
    t = config.train
    if t.epochs is not None:
        return math.ceil(t.epochs * sampler.patches_per_epoch / t.batch)
    return t.updates


def _progress(state: State, total: int | None, seconds: float | None) -> float:
    return state.step / total if total is not None else state.elapsed / (seconds or 1.0)


def _position(state: State, total: int | None, seconds: float | None) -> tuple[float, float]:
    return (state.step, total) if total is not None else (min(state.elapsed, seconds or 0.0), seconds or 0.0)


def _note(state: State) -> str:
    """Live scores for the progress bar."""
    if not state.rows:
        return state.stage
    row = state.rows[-1]
    if "valid_rmse" not in row:
        name = "valid_log_spectral_distance"
        return (
            f"{state.stage}: spectra {row[name]:.2f} dB from the truth's (training fields {row[f'{name}_train']:.2f})"
        )
    against = row["valid_rmse"] / row["valid_rmse_bilinear"]
    handed = state.handed_over
    warning = f" (handed over at {handed:.3f})" if handed is not None and handed > 1 else ""
    return f"{state.stage}: valid PSNR {row['valid_psnr']:.2f} dB, RMSE {against:.3f} of bilinear{warning}"


def _same_run(path: Path, config: Config) -> Run:
    """The run to go on with, if its configuration is the same."""
    run = load_run(path)
    old, new = (flatten(c.model_dump(mode="json")) for c in (run.config, config))
    changed = [key for key in {**old, **new} if key not in DESCRIPTIONS and old.get(key) != new.get(key)]
    if changed:
        key = changed[0]
        raise RunError(
            f"{path} was begun with another configuration: {key} was {old.get(key)!r}, is now {new.get(key)!r}. "
            "Resume with the same settings, or start a new run with another --out."
        )
    return run
