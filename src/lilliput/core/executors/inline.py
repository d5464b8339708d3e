"""Work done here and now, one piece after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from lilliput.core.executors.base import ClosingExecutor, ProgressMark

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class _Done:
    value: Any

    def result(self) -> Any:
        return self.value


class InlineExecutor(ClosingExecutor):
    """Runs everything in the calling process: for debugging, tests and one core."""

    workers = 1

    def __enter__(self) -> InlineExecutor:
        return self

    def submit(self, function: Callable[..., R], /, *arguments: Any) -> _Done:
        """Run the work at once."""
        return _Done(function(*arguments))

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        /,
        progress: ProgressMark | None = None,
    ) -> Iterator[tuple[int, R]]:
        """Run each item when its result is asked for; there is no worker to lose."""
        del progress
        for position, item in enumerate(items):
            yield position, function(item)
