"""Runs the jobs of a study: one after another in this process, on a local cluster, or on an existing one."""

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
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_threads(workers: int, threads: int | None, cores: int | None = None) -> int:
    """Choose the number of threads per worker, so that workers times threads never exceeds the cores.

    Args:
        workers: number of processes.
        threads: requested threads per worker; None divides all cores among the workers.
        cores: number of cores; by default those that this process may use.

    Raises:
        ConfigError: more workers than cores, or more threads in total than cores.
    """
    cores = count_cores() if cores is None else cores
    if workers < 1:
        raise ConfigError(f"workers: got {workers}, expected 1 or more.")
    if workers > cores:
        raise ConfigError(f"workers: got {workers}, expected at most the number of cores, {cores}.")
    if threads is None:
        return cores // workers
    if not 1 <= threads * workers <= cores:
        raise ConfigError(
            f"threads: got {threads} for each of {workers} workers on {cores} cores, expected 1 to {cores // workers}."
        )
    return threads


def run_here(jobs: Sequence[Job], refresh: Callable[[], None]) -> None:
    """Run one job after another in this process, and call `refresh` at each progress of a job."""
    for job in jobs:
        refresh()
        run_job(job, lambda *_: refresh())
    refresh()


def run_on(client: Client, jobs: Sequence[Job], refresh: Callable[[], None]) -> None:
    """Run jobs on the workers of a cluster, and call `refresh` every second."""
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
        error = future.exception()  # errors of a training are recorded by the job: the worker died
        if job.error is None and not job.done:
            record_error(job, error or RunError(f"the job did not finish on its worker: {future.status}"))


@contextmanager
def local_client(workers: int, threads: int) -> Iterator[Client]:
    """Start worker processes on this machine, without a dashboard and unreachable from other machines."""
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
            memory_limit=0,  # no limit: a worker above its limit would be paused or killed during training
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def remote_client(address: str) -> Iterator[Client]:
    """Connect to an existing cluster, whose workers see the same files.

    Raises:
        RunError: the scheduler does not answer or has no workers.
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
    """Raise RunError if the package distributed is not installed."""
    if importlib.util.find_spec("distributed") is None:
        raise RunError(
            "workers and scheduler need the package distributed, which is not installed. Install it with "
            '`pip install "subgrid[cluster]"`, or run the study without them.'
        )


def count_threads(client: Client) -> int:
    """Count the threads of the smallest worker of a cluster."""
    return min(int(count) for count in client.nthreads().values())
