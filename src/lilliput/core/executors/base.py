"""The methods that every executor has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")


# What differs once unfinished work has got further, such as the names of its checkpoints.
ProgressMark = Callable[[], object]
LOSSES_WITHOUT_PROGRESS = 5


class WorkerLossCounter:
    """Counts the workers that died since the work last got further.

    Args:
        progress: How far unfinished work is; where None, only finished pieces are progress.
    """

    def __init__(self, progress: ProgressMark | None) -> None:
        self._progress = progress or (lambda: None)
        self._last_progress = self._progress()
        self._count = 0

    def clear(self) -> None:
        """Take note that a piece of work was finished."""
        self._count = 0

    def count_one(self) -> None:
        """Count one more worker that died; from the first again where the work got further in between."""
        progress = self._progress()
        if progress != self._last_progress:
            self._last_progress = progress
            self._count = 0
        self._count += 1

    @property
    def are_too_many(self) -> bool:
        """Return whether so many died in a row that the work will never get further."""
        return self._count >= LOSSES_WITHOUT_PROGRESS


class Handle(Protocol):
    """A submitted piece of work."""

    def result(self) -> Any:
        """Return the record of the work, or raise what the work raised."""
        ...


class Executor(Protocol):
    """Runs module-level functions on small, picklable arguments."""

    workers: int

    def submit(self, function: Callable[..., R], /, *arguments: Any) -> Handle:
        """Start one piece of work."""
        ...

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        /,
        progress: ProgressMark | None = None,
    ) -> Iterator[tuple[int, R]]:
        """Yield pairs of (position of the item, result) as they are done; it stops at the first failure.

        Work whose worker died is done again while anything gets further: finished pieces, or `progress`.
        """
        ...

    def wait(self, handles: Sequence[Handle], /) -> list[Any]:
        """Return the results in order."""
        ...

    def reserving(self, num_gpus: float, pieces: int | None = None) -> Executor:
        """Return the same workers, each piece of work with that share of a GPU where that can be had.

        Where there are fewer `pieces` than workers, each has more of the processor's threads.
        """
        ...

    def close(self) -> None:
        """Give the workers back; work not yet started is dropped."""
        ...

    def __enter__(self) -> Executor: ...

    def __exit__(self, *exception: object) -> None: ...


class ClosingExecutor:
    """The part that all executors share: use as a context manager."""

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def reserving(self, num_gpus: float, pieces: int | None = None) -> Self:
        """Return the executor itself: its one worker sees every device, and has all threads."""
        del num_gpus, pieces
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def wait(self, handles: Sequence[Handle], /) -> list[Any]:
        """Return the results in order."""
        return [handle.result() for handle in handles]
