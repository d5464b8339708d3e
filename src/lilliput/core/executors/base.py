"""What an executor is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Handle(Protocol):
    """A submitted piece of work."""

    def result(self) -> Any:
        """Its record; raises what the work raised."""
        ...


class Executor(Protocol):
    """Runs module-level functions on small, picklable arguments."""

    workers: int

    def submit(self, function: Callable[..., R], /, *arguments: Any) -> Handle:
        """Start one piece of work."""
        ...

    def map(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[tuple[int, R]]:
        """Pairs of (position of the item, result), as they are done; stops at the first failure."""
        ...

    def wait(self, handles: Sequence[Handle], /) -> list[Any]:
        """The results in order."""
        ...

    def reserving(self, num_gpus: float) -> Executor:
        """The same workers, each piece of work with that share of a GPU where that can be had."""
        ...

    def close(self) -> None:
        """Give the workers back; work not yet started is dropped."""
        ...

    def __enter__(self) -> Executor: ...

    def __exit__(self, *exception: object) -> None: ...


class ClosingExecutor:
    """The part that all executors share: use as a context manager."""

    def close(self) -> None:
        """Nothing to give back."""

    def reserving(self, num_gpus: float) -> Self:
        """The executor itself: on one machine, every worker sees every device."""
        del num_gpus
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def wait(self, handles: Sequence[Handle], /) -> list[Any]:
        """The results in order."""
        return [handle.result() for handle in handles]
