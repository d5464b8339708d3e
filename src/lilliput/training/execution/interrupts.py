"""Ctrl-C and SIGTERM as a request that the loop answers between two micro-batches of a step or an evaluation."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class InterruptedWork(Exception):  # noqa: N818 - a request answered, no error
    """The work at hand was cut short at the request of an interrupt."""


class Interrupts:
    """While the block runs, interrupts are noted instead of raised; a second Ctrl-C is raised at once.

    A second SIGTERM is not: a batch system sends one to every process of a job, and the parent of a worker sends it
    once more. Outside the main thread, where signals cannot be caught, nothing is changed; nor for a signal that the process ignores:
    Ctrl-C reaches a worker too, but its parent then sends it the signal to end.
    """

    def __init__(self) -> None:
        self.requested = False
        self._is_held = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            heard = [n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
            self._previous = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Cut the work at hand short if an interrupt was noted.

        Raises:
            InterruptedWork: One was.
        """
        if self.requested and not self._is_held:
            raise InterruptedWork

    @contextmanager
    def held(self) -> Generator[None]:
        """Let no `check` cut the block short; the first one after it does."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
