"""A study from its file to its numbers: check everything, train what is missing, compare."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd

from subgrid.config import DESCRIPTIONS, defaults
from subgrid.config_files import flatten, rename_old_keys
from subgrid.data.store import open_store
from subgrid.errors import ConfigError, RunError, SubgridError
from subgrid.io.atomic import write_csv, write_json
from subgrid.io.console import tracker
from subgrid.io.lock import LOCK, locked
from subgrid.io.provenance import PACKAGES, describe_process
from subgrid.scores.bootstrap import check_options
from subgrid.scores.score_table import NUM_RESAMPLES
from subgrid.studies.jobs import STUDY_FILE, Job
from subgrid.studies.load import gather
from subgrid.studies.plan import Arm, Plan, load_study
from subgrid.studies.progress import board
from subgrid.studies.results import collect, costs, failures, setting_differences
from subgrid.studies.scheduling import (
    local_client,
    remote_client,
    require_distributed,
    run_here,
    run_on,
    share_threads,
    threads_of,
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
    """Train arms x seeds, score them, and compare each arm with the reference arm in pairs.

    May be killed at any moment; the same call goes on, and keeps what is finished. Arms and seeds may be added. A run that
    fails is recorded, does not sink the others, and is tried again by the next call.

    Args:
        study: a TOML file, or a mapping of the same form; see `subgrid.studies.plan`.
        out: folder of everything: `runs/ARM-seedN/`, `stores/`, `study.json`, `results.csv`, `single_seeds.csv`,
            `differences.csv`, `costs.csv`, `failures.csv`, `report.html`, `figures/`, `outputs/`.
        workers: processes of a local cluster; by default the runs follow one another in this process. A script that asks for
            them needs the usual ``if __name__ == "__main__":``, as Dask starts fresh interpreters.
        scheduler: address of an existing Dask cluster, whose workers have subgrid and see the same files.
        threads: of each run; by default the cores shared out among the workers, or what the study was begun with.
        overrides: `key=value` over the study's own keys, such as `budget.updates=200`.
        level: of the intervals.
        figures: also write `figures/` (PNG and PDF for papers) and `outputs/` (plain arrays of each run).
        show: the state of all runs, on standard error.

    Returns:
        The results, see `subgrid.studies.results.collect`; its attribute `failures` lists arm, seed and error of each
        run that failed.

    Raises:
        SubgridError: for a study that cannot be run, before any training starts; RunError also where another process is
            at work in `out`.
    """
    check_options(level, None, NUM_RESAMPLES, 0)
    plan, folder = load_study(study, overrides), Path(out).absolute()
    if workers is not None and scheduler is not None:
        raise ConfigError("workers and scheduler: give one of them; a scheduler brings its own workers.")
    if workers is not None or scheduler is not None:
        require_distributed()
    _begun(folder, plan)  # before the lock, which writes: there may be something else
    with locked(folder):
        return _study(plan, folder, workers, scheduler, threads, level, figures, show)


def _study(
    plan: Plan,
    folder: Path,
    workers: int | None,
    scheduler: str | None,
    threads: int | None,
    level: float,
    figures: bool,
    show: bool,
) -> pd.DataFrame:
    """All that writes."""
    begun = _begun(folder, plan)
    with remote_client(scheduler) if scheduler else nullcontext() as client:
        shared = _threads(begun, workers or 1, threads) if client is None else threads or threads_of(client)
        jobs = _jobs(plan, folder, _stores(plan, folder, show), shared)
        _write_facts(folder, plan, begun, shared, workers)
        write_csv(folder / "differences.csv", setting_differences(plan))
        _run(jobs, client, workers, shared, show)
    table = collect(plan, jobs, level=level)
    failed = failures(jobs)
    alone = collect_single(plan, jobs, table, level=level)
    for name, part in (("results", table), ("single_seeds", alone), ("costs", costs(jobs)), ("failures", failed)):
        write_csv(folder / f"{name}.csv", part)
    if any(job.done for job in jobs):
        _show(folder, figures, workers or 1)
    table.attrs["failures"] = failed.to_dict("records")
    return table


def _show(folder: Path, figures: bool, workers: int) -> None:
    """Write what people read; its libraries are loaded here, as the workers of a cluster do without them."""
    from subgrid.studies.page import study_page

    if not figures or workers == 1:
        study_page(folder)
        if figures:
            _write_files(folder)
        return
    # the cores of the workers are free by now
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        files = pool.submit(_write_files, folder)
        study_page(folder)
        files.result()


def _write_files(folder: Path) -> None:
    """Figures for papers and plain arrays."""
    from subgrid.studies.export_arrays import write_outputs
    from subgrid.studies.paper_figures import write_figures

    found = gather(folder)
    write_figures(found)
    write_outputs(found)


def _run(jobs: Sequence[Job], client: Any, workers: int | None, threads: int, show: bool) -> None:
    """What is not done yet, wherever it shall run."""
    left = [job for job in jobs if not job.done]
    for job in left:
        (Path(job.out) / "error.txt").unlink(missing_ok=True)
    with board(jobs, shown=show) as seen:
        if client is not None:
            run_on(client, left, seen.refresh)
        elif workers is None or not left:
            run_here(left, seen.refresh)
        else:
            with local_client(min(workers, len(left)), threads) as cluster:
                run_on(cluster, left, seen.refresh)


def _threads(begun: Mapping[str, Any] | None, workers: int, threads: int | None) -> int:
    """As asked for, else as the study was begun with (they change last digits), else the cores shared out."""
    before = None if begun is None else int(begun["threads"])
    try:
        return share_threads(workers, threads if threads is not None else before)
    except ConfigError as error:
        if threads is None and before is not None:
            raise ConfigError(
                f"{error} The study was begun with {before} threads a run; --threads with another number changes last digits."
            ) from None
        raise


def _stores(plan: Plan, folder: Path, show: bool) -> dict[str, str]:
    """Prepare the store of each arm, one for all with equal data settings, and see that the arm can be trained on it."""
    out: dict[str, str] = {}
    made: set[Path] = set()
    for arm in plan.arms:
        path = folder / "stores" / f"{_digest(arm)}.zarr"
        try:
            if path not in made:
                with tracker("prepare", enabled=show) as progress:
                    prepare(arm.config, out=path, progress=progress)
                made.add(path)
            check_trainable(arm.config, open_store(path))
        except SubgridError as error:
            raise ConfigError(f"arms.{arm.name}: {error}") from error
        out[arm.name] = str(path)
    return out


def _digest(arm: Arm) -> str:
    settings = json.dumps(arm.config.data.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()[:8]


def _jobs(plan: Plan, folder: Path, stores: Mapping[str, str], threads: int) -> list[Job]:
    """Seed by seed, so that a study that is cut off has compared all arms with some."""
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


def _begun(folder: Path, plan: Plan) -> dict[str, Any] | None:
    """What an earlier call wrote; refused where the study has changed in more than arms and seeds that were added."""
    file = folder / STUDY_FILE
    if not file.is_file():
        if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - {"stores", LOCK}):
            raise RunError(f"{folder} exists already and is no study's folder; choose another --out.")
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    changes = list(_changes(found, _described(plan)))
    if changes:
        raise RunError(
            f"{folder} was begun with another study: {'; '.join(changes[:3])}. Arms and seeds may be added, nothing else; "
            "give the old study, or another --out."
        )
    return found


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[str]:
    """What is not as it was; a setting that the subgrid of then did not know was at its default."""
    unstated = flatten(defaults())
    if old["reference"] != new["reference"]:
        yield f"reference was {old['reference']!r}, is now {new['reference']!r}"
    for seed in old["seeds"]:
        if seed not in new["seeds"]:
            yield f"seed {seed} is gone"
    for name, arm in old["arms"].items():
        if name not in new["arms"]:
            yield f"arms.{name} is gone"
            continue
        was, now = (unstated | flatten(rename_old_keys(one["config"])) for one in (arm, new["arms"][name]))
        for key in sorted({*was, *now} - {"seed", *DESCRIPTIONS}):
            if was.get(key) != now.get(key):
                yield f"arms.{name}: {key} was {was.get(key)!r}, is now {now.get(key)!r}"


def _described(plan: Plan) -> dict[str, Any]:
    """The plan as plain values."""
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


def _write_facts(folder: Path, plan: Plan, begun: Mapping[str, Any] | None, threads: int, workers: int | None) -> None:
    """`study.json`: the plan, and how it was run."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {
        **describe_process((*PACKAGES, "distributed")),
        "started": now if begun is None else begun["started"],
        "resumed": [] if begun is None else [*begun["resumed"], now],
        "threads": threads,
        "workers": workers,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / STUDY_FILE, _described(plan) | facts)
