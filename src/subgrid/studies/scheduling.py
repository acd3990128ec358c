"""Where the jobs of a study run: one after another here, on a local cluster, or on an existing one."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from subgrid.errors import ConfigError, RunError
from subgrid.studies.jobs import Job, record_error, run_job

if TYPE_CHECKING:
    from distributed import Client

POLL_SECONDS = 1.0
CONNECT_SECONDS = 20
_LIBRARIES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_threads(workers: int, threads: int | None, cores: int | None = None) -> int:
    """Threads of each worker, such that all together are at most the cores.

    Args:
        workers: processes.
        threads: as asked for; None shares all cores out.
        cores: there are; by default those that this process may use.

    Raises:
        ConfigError: more workers, or threads of all of them, than cores.
    """
    cores = count_cores() if cores is None else cores
    if workers < 1:
        raise ConfigError(f"workers: got {workers}, expected 1 or more.")
    if workers > cores:
        raise ConfigError(f"workers: got {workers}, there are {cores} cores; take {cores} or fewer.")
    if threads is None:
        return cores // workers
    if not 1 <= threads * workers <= cores:
        raise ConfigError(
            f"threads: {workers} workers of {threads} threads, there are {cores} cores; take 1 to {cores // workers}."
        )
    return threads


def run_here(jobs: Sequence[Job], refresh: Callable[[], None]) -> None:
    """One job after another in this process; `refresh` is called now and then."""
    for job in jobs:
        refresh()
        run_job(job, lambda *_: refresh())
    refresh()


def run_on(client: Client, jobs: Sequence[Job], refresh: Callable[[], None]) -> None:
    """Jobs on the workers of a cluster; `refresh` is called every second."""
    from distributed import wait

    futures = {client.submit(run_job, job, pure=False): job for job in jobs}
    left = list(futures)
    while left:
        with suppress(TimeoutError):
            left = list(wait(left, timeout=POLL_SECONDS, return_when="FIRST_COMPLETED").not_done)
        refresh()
    for future, job in futures.items():
        if future.status == "finished":
            continue
        error = future.exception()  # not of the training, which keeps its own: the worker died
        if job.error is None and not job.done:
            record_error(job, error or RunError(f"the worker gave up: {future.status}"))


@contextmanager
def local_client(workers: int, threads: int) -> Iterator[Client]:
    """Processes on this machine that listen to nobody outside it, and have no dashboard."""
    import dask
    from distributed import Client, LocalCluster

    settings: dict[str, Any] = {f"distributed.nanny.pre-spawn-environ.{name}": threads for name in _LIBRARIES}
    settings |= {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=0,  # a worker over its share would be paused or killed, and a training cannot give memory back
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def remote_client(address: str) -> Iterator[Client]:
    """An existing cluster, whose workers see the same files.

    Raises:
        RunError: where nothing answers, or it has no workers.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_SECONDS)
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise RunError(f"scheduler: no workers at {address}: {' '.join(str(error).split())}") from None
    with client:
        yield client


def require_distributed() -> None:
    """Raise RunError where the package distributed is not installed."""
    if importlib.util.find_spec("distributed") is None:
        raise RunError(
            "workers and scheduler need the package distributed, which is not installed. Install it with "
            '`pip install "subgrid[cluster]"`, or run the study without them.'
        )


def threads_of(client: Client) -> int:
    """What the smallest worker of a cluster has."""
    return min(int(count) for count in client.nthreads().values())
