"""Training: one flat loop over updates, in two stages, that can be killed at any moment and resumed.

An update of the adversarial stage is: generator forward, update of the discriminator on true and generated fields,
update of the generator through the updated discriminator, running average. Batches depend on the seed and the number of
the update alone, and each validation saves a checkpoint, so a resumed run gives the same weights as one that was never
interrupted, bit for bit on one machine.
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

from subgrid.config.files import flatten
from subgrid.config.schema import DESCRIPTIONS, Config
from subgrid.data.patches import Batch, PatchSampler, patch_shape
from subgrid.data.store import Store, describe_store, open_store
from subgrid.errors import RunError
from subgrid.io.atomic import write_json
from subgrid.io.console import Notify, Progress, silent
from subgrid.io.lock import locked
from subgrid.io.tensors import save_tensors
from subgrid.models import count_parameters
from subgrid.run import Run, check_new_run, create_run, load_run, store_of
from subgrid.training.check_config import load_checked
from subgrid.training.checkpoint import (
    TrainingState,
    build_optimizer,
    has_checkpoint,
    load_checkpoint,
    new_training_state,
    rmse_ratio,
    save_checkpoint,
    update_average,
)
from subgrid.training.device import open_fabric
from subgrid.training.dry_run import check_trainable
from subgrid.training.objective import STAGES, Objective, build_objective
from subgrid.training.prepare import prepare
from subgrid.training.schedule import set_learning_rates, training_length
from subgrid.training.step import update
from subgrid.training.validate import build_validator


def train(
    config: str | Path | Mapping[str, Any] | Config,
    *,
    out: str | Path | None = None,
    source: xr.Dataset | None = None,
    store: str | Path | None = None,
    resume: bool = False,
    overrides: Iterable[str] = (),
    trust: bool = False,
    progress: Progress = silent,
    notify: Notify = silent,
) -> Path:
    """Train a system; prepare its data first if necessary.

    Args:
        config: a TOML file, settings, or a `Config`.
        out: the run directory; `runs/<name>-<system>` by default.
        source: an open Dataset to use instead of `data.source`.
        store: a training store made by `prepare`, instead of the default one.
        resume: continue an interrupted run; start it if there is none.
        overrides: settings `key=value`.
        trust: whether the config.json of a run may name networks of another package, whose code is then run. A TOML file or
            settings are the caller's own and may always do so.
        progress: called with (done, total, note), in updates or in seconds; while the data are prepared, in times.
        notify: called with each line that describes the prepared data.

    Returns:
        The run directory.

    Raises:
        SubgridError: for what the user can fix; RunError also if the loss is not finite, or if another process is
            training in the same run directory.
    """
    resolved, path, run = _plan(config, out, resume, overrides, trust)
    if (path / "finished.json").is_file():
        return path
    with locked(path):
        if run is None:
            if store is None:
                target = path.with_name(path.name + ".store.zarr") if source is not None else None
                report = partial(_preparing, progress)
                store = prepare(config, out=target, source=source, overrides=overrides, progress=report, notify=notify)
                for line in describe_store(store):
                    notify(line)
            opened = open_store(store)
            check_trainable(resolved, opened)
            run = create_run(path, resolved, opened)
        _run_updates(run, store_of(run, store), progress)
    return path


def _preparing(progress: Progress, done: float, total: float, note: str = "") -> None:
    """Show the preparation of the data as the first part of a training."""
    progress(done, total, note or "preparing data")


def _plan(
    config: str | Path | Mapping[str, Any] | Config,
    out: str | Path | None,
    resume: bool,
    overrides: Iterable[str],
    trust: bool,
) -> tuple[Config, Path, Run | None]:
    """Check everything that needs no data, so that mistakes are reported before the data are prepared.

    Returns:
        The resolved configuration, the run directory, and the run to continue if there is one.
    """
    resolved = load_checked(config, overrides, trust)
    stem = Path(config).stem if isinstance(config, str | Path) else "data"
    path = Path(out) if out is not None else Path("runs") / f"{stem}-{resolved.system.replace('/', '-')}"
    if resume and (path / "config.json").is_file():
        return resolved, path, _load_same_run(path, resolved)
    check_new_run(path)
    return resolved, path, None


def _load_same_run(path: Path, config: Config) -> Run:
    """Open the run to continue; refuse it if its configuration is different."""
    run = load_run(path)
    old, new = (flatten(c.model_dump(mode="json")) for c in (run.config, config))
    changed = [key for key in {**old, **new} if key not in DESCRIPTIONS and old.get(key) != new.get(key)]
    if changed:
        key = changed[0]
        raise RunError(
            f"{path} was started with another configuration: {key} was {old.get(key)!r} and is now {new.get(key)!r}. "
            "Resume with the same settings, or start a new run with another out (--out)."
        )
    return run


def _run_updates(run: Run, store: Store, progress: Progress) -> None:
    """Run all updates that are left, with validations and checkpoints, then finish the run."""
    config, settings = run.config, run.config.train
    sampler = _sampler(config, store)
    length = training_length(config, sampler)
    fabric = open_fabric(config)
    patch = patch_shape(store.hr, settings.patch, store.factor)
    num_static, resuming = len(store.meta.get("static", {})), has_checkpoint(run)
    torch.manual_seed(config.seed)
    state = new_training_state(config, num_static, patch, fabric.device, pretrained=not resuming)
    objectives = {stage: build_objective(config, stage, fabric.device) for stage in STAGES}
    validator = build_validator(run, store)
    if resuming:
        load_checkpoint(run, state)
    sums: dict[str, float] = {}  # of the logged values since the last validation
    while (fraction := length.fraction(state)) < 1.0:
        _start_main_stage(run, state, fraction)
        start = time.perf_counter()
        rate = set_learning_rates(config, state, fraction)
        batch = [torch.from_numpy(part).to(fabric.device) for part in sampler.draw(state.step)]
        logged = update(fabric, state, objectives[state.stage], Batch(*batch), config)  # type: ignore[arg-type]
        if state.average is not None:
            update_average(state.average, state.generator, settings.ema, state.step)
        state.step += 1
        state.elapsed += time.perf_counter() - start
        for name, value in logged.items():
            sums[name] = sums.get(name, 0.0) + value
        stage_end = config.content.share if state.stage == "content" else 1.0
        if state.step % settings.validate_every == 0 or length.fraction(state) >= stage_end:
            count = state.step - (state.rows[-1]["step"] if state.rows else 0)
            row = {"step": state.step, "stage": state.stage, "learning_rate": rate}
            row |= {name: total / count for name, total in sums.items()}
            state.rows.append(row | validator.score(state.saved_generator))
            save_checkpoint(run, state)
            sums = {}
        progress(*length.position(state), _latest_scores(state))
    _finish(run, state, _notes(run, state, objectives, patch))


def _sampler(config: Config, store: Store) -> PatchSampler:
    t, vectors = config.train, store.meta.get("vectors", {})
    return PatchSampler(store, "train", patch=t.patch, batch=t.batch, seed=config.seed, flips=t.flips, vectors=vectors)


def _start_main_stage(run: Run, state: TrainingState, fraction: float) -> None:
    """After the content stage, save its weights and continue from their running average with a new optimiser."""
    if state.stage != "content" or fraction < run.config.content.share:
        return
    weights = state.saved_generator.state_dict()
    save_tensors(run.path / "weights" / "content.safetensors", weights, {"step": state.step})
    state.generator.load_state_dict(weights)
    state.optimizers["generator"] = build_optimizer(run.config, state.generator, run.config.train.learning_rate)
    state.stage, state.stage_start, state.best = "main", fraction, math.inf


def _latest_scores(state: TrainingState) -> str:
    """Return the stage and the scores of the last validation, for the progress bar."""
    if not state.rows:
        return state.stage
    row, ratio = state.rows[-1], state.content_rmse_ratio
    if "valid_rmse" not in row:
        distance, training = (row[f"valid_log_spectral_distance{suffix}"] for suffix in ("", "_train"))
        return f"{state.stage}: log spectral distance {distance:.2f} dB (training fields {training:.2f} dB)"
    relative = rmse_ratio(row)
    error = "bilinear has no error" if relative is None else f"RMSE {relative:.3f} times bilinear"
    warning = f" (content stage ended at {ratio:.3f})" if ratio is not None and ratio > 1 else ""
    return f"{state.stage}: valid PSNR {row['valid_psnr']:.2f} dB, {error}{warning}"


def _notes(run: Run, state: TrainingState, objectives: Mapping[str, Objective], patch: tuple[int, int]) -> list[str]:
    """Return notes for the user: settings without effect, a content stage that was too short, what losses computed."""
    notes, ratio = [], state.content_rmse_ratio
    if not run.config.conditional and run.config.data.static:
        notes.append("data.static has no effect: this generator's only input is noise.")
    if ratio is not None and ratio > 1:
        notes.append(
            f"when the content stage ended, validation RMSE was {ratio:.3f} times that of bilinear interpolation: it "
            "had not converged. Make it longer (train.updates, content.share), or change content.learning_rate."
        )
    for stage, key in STAGES.items():
        for name, (_, loss) in objectives[stage].content.items():
            if description := loss.describe(*patch):
                notes.append(f"{key}.{name}: {description}")
    return notes


def _finish(run: Run, state: TrainingState, notes: list[str]) -> None:
    """Mark the run as finished, with what it took."""
    facts = {
        "updates": state.step,
        "seconds_in_updates": round(state.elapsed, 1),
        "stage": state.stage,
        "generator_parameters": count_parameters(state.generator),
        "discriminator_parameters": count_parameters(state.discriminator),
        "notes": notes,
    }
    write_json(run.path / "finished.json", facts)
