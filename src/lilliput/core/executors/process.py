"""Work in spawned processes of this machine, with the processor's threads divided among them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue
from types import FrameType
from typing import Any, TypeVar

from lilliput.core.devices import is_shared_by_mps, list_gpus, show_gpu
from lilliput.core.errors import LilliputError, SystemRefusalError
from lilliput.core.executors.base import (
    LOSSES_WITHOUT_PROGRESS,
    ClosingExecutor,
    ProgressMark,
    WorkerLossCounter,
)

T = TypeVar("T")
R = TypeVar("R")

# Read when numpy, numba, torch and tokenizers are first imported, hence set before the workers start.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                    "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")  # fmt: skip
GRACE_S, _ASK_AGAIN_S, _LOOK_UP_S = (
    10.0,
    0.2,
    0.3,
)  # Batch systems give a job about this long to end.


class WorkerLostError(LilliputError):
    """Raised when worker processes die again and again."""

    code = "worker_lost"
    exit_code = 3


class ProcessExecutor(ClosingExecutor):
    """A pool of spawned processes; work whose process died is tried again while anything gets done.

    Args:
        workers: Processes at once; one per processor when None.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._asked = workers
        self.workers = self._most_workers = workers or available_cpus()
        self._gpus: tuple[str, ...] = ()
        self._running: set[Future[Any]] = set()
        self._pool = self._new_pool()

    def __enter__(self) -> ProcessExecutor:
        return self

    def reserving(self, num_gpus: float, pieces: int | None = None) -> ProcessExecutor:
        """Use one worker for each GPU from here on, each seeing its own alone; without a GPU, no more workers than pieces.

        Work on processors that follows work on GPUs gets all workers back. Where NVIDIA's MPS runs, as many a GPU as shares of this size fit on it. A number of workers that was
        asked for stays, spread over the GPUs.
        """
        gpus = [gpu.index for gpu in list_gpus()] if num_gpus else []
        most = self._most_workers if self._gpus else self.workers
        workers = most if pieces is None else max(1, min(most, pieces))
        if gpus:
            workers = len(gpus) * (max(1, round(1 / num_gpus)) if is_shared_by_mps() else 1)
        workers = self._asked or workers
        if gpus or self._gpus or workers != self.workers:
            self.close()
            self._gpus, self.workers = tuple(gpus), workers
            self._pool = self._new_pool()
        return self

    def submit(self, function: Callable[..., R], /, *arguments: Any) -> Future[R]:
        """Start one piece of work; a dead worker raises BrokenProcessPool at its result."""
        future = self._pool.submit(_work, function, *arguments)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return future

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        /,
        progress: ProgressMark | None = None,
    ) -> Iterator[tuple[int, R]]:
        """Yield results as they are done; items whose worker died are run again in a new pool."""
        waiting = dict(enumerate(items))
        losses = WorkerLossCounter(progress)
        while True:
            futures = {self.submit(function, item): position for position, item in waiting.items()}
            try:
                for future in as_completed(futures):
                    result = future.result()
                    position = futures[future]
                    del waiting[position]
                    losses.clear()
                    yield position, result
                return
            except BrokenProcessPool:
                # A dead worker takes the whole pool down, innocents included.
                self.close()
                self._pool = self._new_pool()
                losses.count_one()
                if losses.are_too_many:
                    raise _given_up(len(waiting)) from None
            except BaseException:
                for future in futures:
                    future.cancel()
                raise

    def __exit__(self, *exception: object) -> None:
        if exception[0] is not None:
            _stop_children(list(self._running))
        self.close()

    def close(self) -> None:
        """Stop the workers; work not yet started is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        threads = threads_for(self.workers)
        context = multiprocessing.get_context("spawn")
        try:
            gpus = context.SimpleQueue() if self._gpus else None
            if gpus:
                for place in range(self.workers):
                    gpus.put(self._gpus[place % len(self._gpus)])
            return ProcessPoolExecutor(
                self.workers,
                mp_context=context,
                initializer=_start_worker,
                initargs=(threads, gpus),
            )
        except OSError as error:  # Semaphores are files in /dev/shm.
            raise SystemRefusalError(
                "worker processes need semaphores, which Linux keeps in /dev/shm",
                got=error.strerror,
                remedy="Give the machine or container a writable /dev/shm, or use: --executor inline",
            ) from None


def _given_up(waiting: int) -> WorkerLostError:
    return WorkerLostError(
        "worker processes must stay alive",
        got=f"{waiting} pieces of work that lost theirs {LOSSES_WITHOUT_PROGRESS} times without getting further",
        remedy="The system may have killed them for memory: use fewer workers.",
    )


def _stop_children(running: Collection[Future[Any]]) -> None:
    """Ask the workers to save and end, and end them when they have, or when their time is up.

    Asked once: a second signal would cut short what is being saved.
    """
    for future in running:
        future.cancel()
    for child in multiprocessing.active_children():
        child.terminate()
    wait(running, timeout=GRACE_S)
    for child in multiprocessing.active_children():
        child.kill()


class _Worker:
    """Hold the facts that a worker process knows about itself.

    An idle worker does not end at a signal, since a pool that loses one worker sends a signal to all others.
    """

    is_working = False
    is_stopping = False

    @classmethod
    def on_signal(cls, number: int, frame: FrameType | None) -> None:
        """End the work at hand, and take no other."""
        del number, frame
        cls.is_stopping = True
        if cls.is_working:
            raise KeyboardInterrupt


def _work(function: Callable[..., R], *arguments: Any) -> R:
    """Do one piece of work in a worker; one that was asked to end takes no other."""
    if _Worker.is_stopping:
        raise KeyboardInterrupt
    _Worker.is_working = True
    try:
        return function(*arguments)
    except KeyboardInterrupt:
        _Worker.is_stopping = True
        raise
    finally:
        _Worker.is_working = False


def _start_worker(threads: int, gpus: SimpleQueue[str] | None) -> None:
    """Limit the threads of a fresh worker, give it its GPU, leave Ctrl-C to the parent, and end when it does."""
    limit_threads(threads)
    if gpus:
        show_gpu(gpus.get())
    threading.Thread(target=_follow_parent, args=(os.getppid(),), daemon=True).start()
    signal.signal(signal.SIGTERM, _Worker.on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _follow_parent(parent: int) -> None:
    """End this worker when the process that started it was killed: the next one works in the same folders."""
    while os.getppid() == parent:
        time.sleep(_LOOK_UP_S)
    os._exit(1)


def limit_threads(threads: int) -> None:
    """Give this process so many threads; to be called before it loads anything that computes."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if threads == 1 else "true"


def available_cpus() -> int:
    """Return the number of processors that this process may use, which containers and batch systems limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_for(workers: int) -> int:
    """Return the number of threads that each of so many workers gets, at least one."""
    return max(1, available_cpus() // workers)
