"""Runs a study: checks all arms, trains and scores the missing runs, and compares the arms."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from subgrid.config.files import flatten, rename_old_keys
from subgrid.config.schema import DESCRIPTIONS, defaults
from subgrid.data.store import open_store
from subgrid.errors import ConfigError, RunError, SubgridError
from subgrid.io.atomic import read_json, write_csv, write_json
from subgrid.io.console import tracker
from subgrid.io.lock import LOCK, locked
from subgrid.io.provenance import PACKAGES, describe_process
from subgrid.run import load_run, store_of
from subgrid.scores.bootstrap import check_options
from subgrid.scores.score_table import NUM_RESAMPLES
from subgrid.studies.jobs import ERROR, STUDY_FILE, Job, check_evaluation
from subgrid.studies.load import load_finished
from subgrid.studies.plan import Arm, Plan, load_study
from subgrid.studies.progress import show_progress
from subgrid.studies.results import collect, costs, failures, setting_differences
from subgrid.studies.scheduling import (
    count_threads,
    local_client,
    remote_client,
    require_distributed,
    run_here,
    run_on,
    share_threads,
)
from subgrid.studies.single_seed import collect_single
from subgrid.training.dry_run import check_trainable
from subgrid.training.prepare import prepare


def study(
    study: str | Path | Mapping[str, Any],
    *,
    out: str | Path,
    workers: int | None = None,
    scheduler: str | None = None,
    threads: int | None = None,
    overrides: Iterable[str] = (),
    level: float = 0.95,
    figures: bool = True,
    show: bool = False,
) -> pd.DataFrame:
    """Train each arm with each seed, score the runs, and compare each arm with the reference arm in pairs.

    The call may be interrupted at any time; the same call resumes the study and keeps the finished runs. Arms and seeds may be
    added. A run that fails is recorded, does not stop the others, and is tried again by the next call.

    Args:
        study: a TOML file, or a mapping of the same form; see `subgrid.studies.plan`.
        out: folder of the study: `runs/ARM-seedN/`, `stores/`, `study.json`, `results.csv`, `single_seeds.csv`,
            `differences.csv`, `costs.csv`, `failures.csv`, `report.html`, `figures/`, `outputs/`.
        workers: number of processes of a local cluster; by default the runs are computed one after another in this process.
            A script that uses workers needs ``if __name__ == "__main__":``, because Dask starts new interpreters.
        scheduler: address of an existing Dask cluster, whose workers have subgrid installed and see the same files.
        threads: torch threads of each run; by default those with which the study was started, or the cores divided by the
            number of workers.
        overrides: `key=value` for keys of the study, such as `budget.updates=200`.
        level: confidence level of the intervals.
        figures: whether to write `figures/` (PNG and PDF for papers) and `outputs/` (plain arrays of each run).
        show: whether to show the progress of all runs on standard error.

    Returns:
        The results, see `subgrid.studies.results.collect`. The attribute `failures` lists arm, seed and error of each run that
        failed.

    Raises:
        SubgridError: the study cannot be run; raised before any training starts. In particular RunError, if another
            process is writing to `out`.
    """
    check_options(level, None, NUM_RESAMPLES, 0)
    plan, folder = load_study(study, overrides), Path(out).absolute()
    if workers is not None and scheduler is not None:
        raise ConfigError("workers and scheduler: give only one of them; a scheduler has its own workers.")
    if workers is not None or scheduler is not None:
        require_distributed()
    _read_earlier(folder, plan)  # before the lock, which writes to the folder: it may belong to something else
    with locked(folder):
        return _run_study(plan, folder, _Options(workers, scheduler, threads, level, figures, show))


@dataclass(frozen=True)
class _Options:
    """How a study is run; see the arguments of `study`."""

    workers: int | None
    scheduler: str | None
    threads: int | None
    level: float
    figures: bool
    show: bool


def _run_study(plan: Plan, folder: Path, options: _Options) -> pd.DataFrame:
    """Run the study in a folder that is locked for it."""
    earlier, workers, show = _read_earlier(folder, plan), options.workers, options.show
    with remote_client(options.scheduler) if options.scheduler else nullcontext() as client:
        if client is None:
            threads = _choose_threads(earlier, workers or 1, options.threads)
        else:
            threads = options.threads or count_threads(client)
        jobs = _jobs(plan, folder, _stores(plan, folder, show), threads)
        _check_runs(jobs)
        _write_facts(folder, plan, earlier, threads, workers)
        write_csv(folder / "differences.csv", setting_differences(plan))
        _run_jobs(jobs, client, workers, show)
    table = collect(plan, jobs, level=options.level)
    failed = failures(jobs)
    single = collect_single(plan, jobs, table, level=options.level)
    for name, part in (("results", table), ("single_seeds", single), ("costs", costs(jobs)), ("failures", failed)):
        write_csv(folder / f"{name}.csv", part)
    if any(job.done for job in jobs):
        _write_pages(folder, options.figures, workers or 1)
    table.attrs["failures"] = failed.to_dict("records")
    return table


def _write_pages(folder: Path, figures: bool, workers: int) -> None:
    """Write page, figures and arrays; their libraries are imported here, because workers do not need them."""
    from subgrid.studies.page import study_page

    if not figures or workers == 1:
        study_page(folder)
        if figures:
            _write_files(folder)
        return
    # the workers have finished, so their cores are free
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        files = pool.submit(_write_files, folder)
        study_page(folder)
        files.result()


def _write_files(folder: Path) -> None:
    """Write figures for papers and plain arrays."""
    from subgrid.studies.export_arrays import write_outputs
    from subgrid.studies.paper_figures import write_figures

    finished = load_finished(folder)
    write_figures(finished)
    write_outputs(finished)


def _run_jobs(jobs: Sequence[Job], client: Any, workers: int | None, show: bool) -> None:
    """Run the jobs that are not done, in this process, on a cluster or on local workers."""
    missing = [job for job in jobs if not job.done]
    for job in missing:
        (Path(job.out) / ERROR).unlink(missing_ok=True)
    with show_progress(jobs, enabled=show) as progress:
        if client is not None:
            run_on(client, missing, progress.refresh)
        elif workers is None or not missing:
            run_here(missing, progress.refresh)
        else:
            with local_client(min(workers, len(missing)), missing[0].threads) as cluster:
                run_on(cluster, missing, progress.refresh)


def _choose_threads(earlier: Mapping[str, Any] | None, workers: int, threads: int | None) -> int:
    """Choose the threads as requested, else as the study was started (they change last digits), else by the cores."""
    before = None if earlier is None else int(earlier["threads"])
    try:
        return share_threads(workers, threads if threads is not None else before)
    except ConfigError as error:
        if threads is None and before is not None:
            raise ConfigError(
                f"{error} The study was started with {before} threads per run; another number (--threads) changes the last "
                "digits of the results."
            ) from None
        raise


def _stores(plan: Plan, folder: Path, show: bool) -> dict[str, str]:
    """Prepare the store of each arm (arms with equal data settings share one), and check that the arm can be trained on it."""
    out: dict[str, str] = {}
    for arm in plan.arms:
        path = folder / "stores" / f"{_digest(arm)}.zarr"
        try:
            if str(path) not in out.values():
                with tracker("prepare", enabled=show) as progress:
                    prepare(arm.config, out=path, progress=progress)
            check_trainable(arm.config, open_store(path))
        except SubgridError as error:
            raise ConfigError(f"arms.{arm.name}: {error}") from error
        out[arm.name] = str(path)
    return out


def _check_runs(jobs: Sequence[Job]) -> None:
    """Check the runs that an earlier call made: they were trained on the data of this one, and scored with their last weights.

    Raises:
        RunError: for the first run that is of other data or other weights.
    """
    for job in jobs:
        if (Path(job.out) / "config.json").is_file():
            store_of(load_run(job.out), job.store)
        if job.done:
            check_evaluation(Path(job.out))


def _digest(arm: Arm) -> str:
    settings = json.dumps(arm.config.data.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()[:8]


def _jobs(plan: Plan, folder: Path, stores: Mapping[str, str], threads: int) -> list[Job]:
    """List the jobs seed by seed, so that an interrupted study has all arms with the first seeds."""
    return [
        Job(
            arm.name,
            seed,
            arm.config.model_copy(update={"seed": seed}).model_dump(mode="json", exclude_none=True),
            str(folder / "runs" / f"{arm.name}-seed{seed}"),
            stores[arm.name],
            threads,
        )
        for seed in plan.seeds
        for arm in plan.arms
    ]


def _read_earlier(folder: Path, plan: Plan) -> dict[str, Any] | None:
    """Read `study.json` of an earlier call, if any; refuse changes other than added arms and seeds."""
    file = folder / STUDY_FILE
    if not file.is_file():
        if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - {"stores", LOCK}):
            raise RunError(f"{folder} exists and is not the folder of a study; choose another --out.")
        return None
    earlier = read_json(file, "Choose another --out.")
    changes = list(_changes(earlier, _describe(plan)))
    if changes:
        raise RunError(
            f"{folder} contains another study: {'; '.join(changes[:3])}. Only arms and seeds may be added; give the same study "
            "as before, or another --out."
        )
    return earlier


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[str]:
    """List what has changed; a setting that an older version did not know had its default value."""
    unstated = flatten(defaults())
    if old["reference"] != new["reference"]:
        yield f"reference was {old['reference']!r}, is now {new['reference']!r}"
    for seed in old["seeds"]:
        if seed not in new["seeds"]:
            yield f"seed {seed} was removed"
    for name, arm in old["arms"].items():
        if name not in new["arms"]:
            yield f"arms.{name} was removed"
            continue
        was, now = (unstated | flatten(rename_old_keys(one["config"])) for one in (arm, new["arms"][name]))
        for key in sorted({*was, *now} - {"seed", *DESCRIPTIONS}):
            if was.get(key) != now.get(key):
                yield f"arms.{name}: {key} was {was.get(key)!r}, is now {now.get(key)!r}"


def _describe(plan: Plan) -> dict[str, Any]:
    """Describe the plan as plain values."""
    arms = {
        arm.name: {
            "text": arm.text,
            "confounded": arm.confounded,
            "differences": [asdict(one) for one in arm.differences],
            "config": arm.config.model_dump(mode="json", exclude_none=True),
        }
        for arm in plan.arms
    }
    described = {"text": plan.text, "reference": plan.reference, "seeds": list(plan.seeds), "budget": plan.budget}
    plain: dict[str, Any] = json.loads(json.dumps({**described, "arms": arms}))
    return plain


def _write_facts(
    folder: Path, plan: Plan, earlier: Mapping[str, Any] | None, threads: int, workers: int | None
) -> None:
    """Write `study.json`: the plan, and how it is run."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {
        **describe_process((*PACKAGES, "distributed")),
        "started": now if earlier is None else earlier["started"],
        "resumed": [] if earlier is None else [*earlier["resumed"], now],
        "threads": threads,
        "workers": workers,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / STUDY_FILE, _describe(plan) | facts)
