"""Work on a Ray cluster: plain Ray Core tasks, results by file, small records back."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeVar

from lilliput.core.errors import InputError
from lilliput.core.executors.base import ClosingExecutor, ProgressMark, WorkerLossCounter
from lilliput.core.executors.process import (
    GRACE_S,
    WorkerLostError,
    available_cpus,
    limit_threads,
)
from lilliput.core.extras import require

T = TypeVar("T")
R = TypeVar("R")

_OBJECT_STORE_BYTES = (
    150_000_000  # Only records travel through it; Ray's own default takes 30 % of memory.
)
_RETRIES = 3
_CONNECT_S = 10.0


@dataclass(frozen=True)
class _RayHandle:
    executor: RayExecutor
    reference: Any

    def result(self) -> Any:
        return self.executor.result_of(self.reference)


class RayExecutor(ClosingExecutor):
    """Ray Core tasks; a task whose worker or node died is run again elsewhere.

    Args:
        workers: Processors of a local cluster; of a running one, what `workers` reports.
        address: Of a running cluster ("auto" finds it); None starts a local one.
        num_cpus: Processors that a task reserves.
        num_gpus: Share of a GPU that a task reserves; it is admission, not a limit of memory.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: No cluster answers at `address`.
        WorkerLostError: A local cluster does not start.
    """

    def __init__(
        self,
        workers: int | None = None,
        address: str | None = None,
        *,
        num_cpus: float = 1,
        num_gpus: float = 0,
    ) -> None:
        self._ray = require("ray", "cluster")
        self._owns_cluster = not self._ray.is_initialized()
        if self._owns_cluster and address:
            self._connect(address)
        elif self._owns_cluster:
            self._start_cluster(workers or available_cpus())
        self.workers = workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._num_cpus = num_cpus
        self._remote = self._make_remote(num_gpus)
        self._running: set[Any] = set()
        kinds = self._ray.exceptions
        self._lost = (kinds.WorkerCrashedError, kinds.OutOfMemoryError, kinds.NodeDiedError)

    def _connect(self, address: str) -> None:
        try:
            _require_listener(address)
            self._init(address=address)
        except (ConnectionError, TimeoutError, socket.gaierror) as error:
            raise InputError(
                "a Ray cluster must answer at the address",
                got=f"{address!r}: {_first_line(error)}",
                remedy="Start one with: ray start --head; or leave --address out for a local one.",
            ) from None

    def _start_cluster(self, cpus: int) -> None:
        """Start a cluster on this machine; Ray waits half a minute for its parts, which a busy machine may need twice."""
        for last in (False, True):
            try:
                # "local": without it Ray joins whatever cluster the machine has seen last.
                self._init(
                    address="local",
                    num_cpus=cpus,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    include_dashboard=False,
                )
            except Exception as error:  # Ray raises bare exceptions here.
                self._ray.shutdown()
                if last:
                    raise WorkerLostError(
                        "a Ray cluster must start on this machine",
                        got=f"two failures, the last: {_first_line(error)}",
                        remedy="Try when the machine is less busy, or use --executor process.",
                    ) from error
            else:
                return

    def _init(self, **options: Any) -> None:
        with _own_signals():
            self._ray.init(log_to_driver=False, logging_level="ERROR", **options)

    def _make_remote(self, num_gpus: float) -> Any:
        # A cluster without GPUs would let work wait for one for ever.
        share = num_gpus if self._ray.cluster_resources().get("GPU") else 0
        options = {"num_cpus": self._num_cpus, "num_gpus": share, "max_retries": _RETRIES}
        return self._ray.remote(**options)(_work)

    def reserving(self, num_gpus: float, pieces: int | None = None) -> RayExecutor:
        """Return the same cluster, each task with that share of a GPU if the cluster has any, and `workers` as that allows."""
        del pieces  # What a task may reserve is what one node has, and nodes differ.
        twin = copy(self)
        twin._owns_cluster = False
        twin._remote = self._make_remote(num_gpus)
        gpus = self._ray.cluster_resources().get("GPU", 0)
        if gpus and num_gpus:
            twin.workers = max(1, min(self.workers, int(gpus / num_gpus)))
        return twin

    def __enter__(self) -> RayExecutor:
        return self

    def submit(self, function: Callable[..., R], /, *arguments: Any) -> _RayHandle:
        """Start one task."""
        reference = self._remote.remote(max(1, int(self._num_cpus)), function, *arguments)
        self._running.add(reference)
        return _RayHandle(self, reference)

    def result_of(self, reference: Any) -> Any:
        """Return the record of one task; raises what the task raised, as it was raised there."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        finally:
            self._running.discard(reference)

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        /,
        progress: ProgressMark | None = None,
    ) -> Iterator[tuple[int, R]]:
        """Yield results as they are done; items whose workers died more often than Ray retries go again."""
        waiting = dict(enumerate(items))
        positions = {self.submit(function, item).reference: p for p, item in waiting.items()}
        losses = WorkerLossCounter(progress)
        while positions:
            done, _ = self._ray.wait(list(positions), num_returns=1)
            position = positions.pop(done[0])
            try:
                result = self.result_of(done[0])
            except self._lost as error:
                losses.count_one()
                if losses.are_too_many:
                    raise _given_up(len(waiting), error) from None
                positions[self.submit(function, waiting[position]).reference] = position
                continue
            losses.clear()
            del waiting[position]
            yield position, result

    def __exit__(self, *exception: object) -> None:
        if exception[0] is not None:
            self._stop_tasks()
        self.close()

    def _stop_tasks(self) -> None:
        """Ask tasks to save and end, as Ctrl-C would, and end those that do not.

        Asked once: a second interrupt ends a task at once, before it has saved.
        """
        with suppress(Exception):  # The cluster may be what has just died.
            for reference in self._running:
                self._ray.cancel(reference, force=False)
            running = list(self._running)
            _, late = self._ray.wait(running, num_returns=len(running), timeout=GRACE_S)
            for reference in late:
                self._ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster; a local one that was started here is stopped."""
        if self._owns_cluster and self._ray.is_initialized():
            self._ray.shutdown()


def _work(threads: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Do one task in a worker of the cluster, within its share of the processor."""
    limit_threads(threads)
    return function(*arguments)


def _require_listener(address: str | None) -> None:
    """Raise ConnectionError where nothing listens at HOST:PORT; Ray itself would try for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()


@contextmanager
def _own_signals() -> Generator[None]:
    """Take back SIGTERM, which Ray sets to leave at once, so that an interrupt means what it did."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _given_up(waiting: int, error: Exception) -> WorkerLostError:
    return WorkerLostError(
        "workers of the cluster must stay alive",
        got=f"{waiting} pieces of work left, and the last loss was {type(error).__name__}",
        remedy="The system may have killed them for memory: use fewer workers a machine.",
    )
