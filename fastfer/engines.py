"""Where shards are made: in processes of this machine, or as tasks of a Ray cluster.

Both run the same pure function, with one thread for each task, and give its results as they come. Jobs are handed out
a few at a time, so that a plan of a million rows is not copied into a queue.
"""

import ctypes
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import forkserver, get_context, parent_process
from typing import Any, Final, TypeVar

from pipelines.errors import InputError

Job = TypeVar("Job")
Result = TypeVar("Result")
Engine = Callable[[Callable[[Job], Result], Sequence[Job], int], Iterator[tuple[Job, Result]]]

JOBS_AHEAD: Final = 2
"""Jobs handed out beyond those being worked on."""
RETRIES: Final = 3
M_MMAP_THRESHOLD: Final = -3
"""`mallopt`'s name for it, from glibc's malloc.h."""
LARGE_BUFFER_BYTES: Final = 12_000_000
ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""What OpenMP, MKL and OpenBLAS read when a library brings them in."""
REACHED_WITHIN_S: Final = 10.0


def run_local(make: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Result]]:
    """Yield (job, result) as jobs are finished by processes of this machine; stopped, it ends after the jobs in hand.

    Raises:
        InputError: a process was killed, most often for want of memory.
    """
    if not jobs:
        return
    todo = iter(jobs)
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)),
        mp_context=get_context("forkserver"),
        initializer=_start_worker,
        initargs=(dict(os.environ),),
    )
    try:
        waiting = {pool.submit(make, job): job for job in islice(todo, workers + JOBS_AHEAD)}
        while waiting:
            done: set[Future[Result]] = wait(waiting, return_when=FIRST_COMPLETED).done
            for future in done:
                job = waiting.pop(future)
                waiting |= {pool.submit(make, job): job for job in islice(todo, 1)}
                yield job, future.result()
    except BrokenProcessPool:
        raise InputError(
            "a worker process was killed (by the system, for want of memory?): the same command goes on from the "
            "finished shards, and WORKERS=1 takes less memory"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def get_ready(engine: str, modules: Sequence[str]) -> None:
    """Begin what takes the engine seconds, while the caller still has other work.

    Local processes are forked from a clean one, which imports here, once, the `modules` that their jobs need. Only the
    first call in a process counts; what is missing then a worker imports itself.
    """
    if engine == "local":
        get_context("forkserver").set_forkserver_preload(list(modules))
        forkserver.ensure_running()


def _start_worker(environment: dict[str, str]) -> None:
    os.environ.clear()  # the server may have been started under another one
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone answers Ctrl-C, after the shards in hand
    threading.Thread(target=_end_with_parent, daemon=True).start()
    use_one_thread()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def use_one_thread() -> None:
    """Keep the numeric libraries of this process to one thread: bytes then depend on no number of cores.

    And keep its memory flat, where the C library is GNU's: large buffers go back to the system. By default the heap
    learns to keep them, falls into pieces, and grew by half over 4,000 images (1.2 to 1.8 GiB).
    """
    import cv2

    cv2.setNumThreads(1)
    os.environ.update(ONE_THREAD)  # for libraries that are imported later
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BUFFER_BYTES)


def run_ray(make: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Result]]:
    """Yield (job, result) as jobs are finished by Ray: on the cluster at `RAY_ADDRESS`, else one of this machine.

    A task whose worker died is run again elsewhere.

    Raises:
        InputError: Ray is not installed, or the cluster cannot be reached.
    """
    if not jobs:
        return
    ray = _started_ray(workers)
    try:
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(_with_one_thread)
        todo = iter(jobs)
        at_once = int(ray.cluster_resources().get("CPU", workers)) + JOBS_AHEAD
        waiting = {task.remote(make, job): job for job in islice(todo, at_once)}
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(done)
            waiting |= {task.remote(make, job): job for job in islice(todo, 1)}
            yield job, ray.get(done)
    finally:
        ray.shutdown()


def _started_ray(workers: int) -> Any:
    try:
        import ray
    except ImportError:
        raise InputError("ENGINE=ray needs the package ray: make setup installs it, or take ENGINE=local") from None
    address = os.environ.get("RAY_ADDRESS")
    here = {} if address else {"num_cpus": workers, "include_dashboard": False}
    try:
        _reach(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, TimeoutError, socket.gaierror) as error:
        raise InputError(f"no Ray cluster at {address} ({error}): start it, or leave RAY_ADDRESS away") from None
    return ray


def _reach(address: str | None) -> None:
    """Raise OSError if nothing listens at `host:port`: Ray itself would try for many minutes."""
    host, _, port = (address or "").rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), REACHED_WITHIN_S).close()


def _with_one_thread(make: Callable[[Job], Result], job: Job) -> Result:
    use_one_thread()
    return make(job)


ENGINES: Final[dict[str, Engine[Any, Any]]] = {"local": run_local, "ray": run_ray}
