"""Work on a Ray cluster: plain Ray Core tasks, results by file, small records back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from lilliput.core.executors.base import ClosingExecutor
from lilliput.core.executors.process import available_cpus
from lilliput.core.extras import require

T = TypeVar("T")
R = TypeVar("R")

_OBJECT_STORE_BYTES = (
    150_000_000  # Only records travel through it; Ray's own default takes 30 % of memory.
)
_RETRIES = 3


@dataclass(frozen=True)
class _RayHandle:
    ray: Any
    reference: Any

    def result(self) -> Any:
        return self.ray.get(self.reference)


class RayExecutor(ClosingExecutor):
    """Ray Core tasks; a task whose worker or node died is run again elsewhere."""

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
        if self._owns_cluster:
            self._connect(workers, address)
        self.workers = workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._options = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_retries": _RETRIES}

    def _connect(self, workers: int | None, address: str | None) -> None:
        local = {} if address else {
            "num_cpus": workers or available_cpus(),
            "object_store_memory": _OBJECT_STORE_BYTES,
            "include_dashboard": False,
        }  # fmt: skip
        self._ray.init(address=address, log_to_driver=False, logging_level="ERROR", **local)

    def __enter__(self) -> RayExecutor:
        return self

    def submit(self, function: Callable[..., R], /, *arguments: Any) -> _RayHandle:
        """Start one task."""
        remote = self._ray.remote(**self._options)(function)
        return _RayHandle(self._ray, remote.remote(*arguments))

    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[tuple[int, R]]:
        """Results as they are done."""
        remote = self._ray.remote(**self._options)(function)
        positions = {remote.remote(item): position for position, item in enumerate(items)}
        while positions:
            done, _ = self._ray.wait(list(positions), num_returns=1)
            for reference in done:
                yield positions.pop(reference), self._ray.get(reference)

    def close(self) -> None:
        """Leave the cluster; a local one that was started here is stopped."""
        if self._owns_cluster and self._ray.is_initialized():
            self._ray.shutdown()
