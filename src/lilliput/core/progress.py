"""Report progress to people on standard error: live on a terminal, in plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

_PLAIN_INTERVAL_S = 5.0
_WIDTH_FOR_BARS, _BAR_WIDTH = 100, 16  # In characters.
_LEAST_SHARE = 0.03  # Of the work; before that no time left is shown.


class Task(Protocol):
    """One piece of work with a known or unknown amount."""

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Report `amount` more units done; `note` replaces the short text beside the bar."""
        ...

    def found(self, amount: float) -> None:
        """Report, first of all, `amount` units that an earlier call did: they say nothing about the speed."""
        ...


class Reporter(Protocol):
    """A receiver of progress. Rooms take one as an argument and never print."""

    @contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Generator[Task]:
        """Show the work called `name` until the block ends."""
        ...

    @contextmanager
    def detail(self, name: str, total: float, unit: str = "") -> Generator[Task]:
        """Show a part of the work at hand on a line of its own, where the display is live; elsewhere nothing."""
        ...

    def say(self, text: str) -> None:
        """Print one line above the live display."""
        ...


class _SilentTask:
    def advance(self, amount: float = 1.0, note: str = "") -> None:
        del amount, note

    def found(self, amount: float) -> None:
        del amount


class SilentReporter:
    """Says nothing: the default of every public function."""

    @contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Generator[Task]:
        """Show nothing."""
        del name, total, unit
        yield _SilentTask()

    @contextmanager
    def detail(self, name: str, total: float, unit: str = "") -> Generator[Task]:
        """Show nothing."""
        del name, total, unit
        yield _SilentTask()

    def say(self, text: str) -> None:
        """Print nothing."""
        del text


SILENT: Reporter = SilentReporter()


class Pace:
    """Estimates the time that is left of one piece of work.

    The clock starts at the first report of progress, so that starting workers and compiling is not taken
    for slow work, and nothing is said before 3 % of the whole are done after it: the first steps of a
    stage say little. For example, 100 units, the first at 20 s and the fourth at 23 s: one unit a second,
    96 s left; counted from the start it would be 552 s.
    """

    def __init__(self, total: float | None) -> None:
        self._total = total
        self.done = 0.0
        self._first: tuple[float, float] | None = None
        self._last = 0.0

    def found(self, amount: float) -> None:
        """Count what an earlier call did; it says nothing about the speed."""
        self.done = amount

    def advance(self, amount: float) -> None:
        """Count units that were done just now."""
        self.done += amount
        self._last = time.monotonic()
        if self._first is None and amount > 0:
            self._first = (self._last, self.done)

    def seconds_left(self) -> float | None:
        """Return the time left; None while too little is done to say, or where the end is not known."""
        if not self._total or self._first is None:
            return None
        started, before = self._first
        done = self.done - before
        if done < _LEAST_SHARE * self._total:
            return None
        left = (self._total - self.done) * (self._last - started) / done
        return max(0.0, left - (time.monotonic() - self._last))


class _PlainTask:
    def __init__(self, name: str, total: float | None, unit: str) -> None:
        self._name, self._total, self._unit = name, total, unit
        self._pace = Pace(total)
        self._note = ""
        self._started = self._shown = time.monotonic()
        self._last = ""

    def found(self, amount: float) -> None:
        self._pace.found(amount)

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self._pace.advance(amount)
        self._note = note or self._note
        now = time.monotonic()
        # Long work speaks less often, so that a night's log can be read.
        if now - self._shown >= _PLAIN_INTERVAL_S + 0.01 * (now - self._started):
            self._shown = now
            line = self.line()
            if line != self._last:
                self._last = line
                _print_line(line)

    def line(self) -> str:
        done = f"{self._pace.done:,.0f}"
        if not self._total:
            return f"{self._name}: {done} {self._unit} {self._note}".rstrip()
        share = f"{done} of {self._total:,.0f} {self._unit}".rstrip()
        return f"{self._name}: {share}{self._time_left()} {self._note}".rstrip()

    def _time_left(self) -> str:
        left = self._pace.seconds_left()
        return "" if left is None else f", about {_duration(left)} left"


def _print_line(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    if whole < 5400:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class PlainReporter:
    """Print one line every few seconds, for logs and batch systems."""

    @contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Generator[Task]:
        """Print the state of the work every few seconds, and once at its end."""
        started = time.monotonic()
        yield _PlainTask(name, total, unit)
        self.say(f"{name}: done in {_duration(time.monotonic() - started)}")

    @contextmanager
    def detail(self, name: str, total: float, unit: str = "") -> Generator[Task]:
        """Print nothing: a log has room for the whole alone."""
        del name, total, unit
        yield _SilentTask()

    def say(self, text: str) -> None:
        """Print one line."""
        _print_line(text)


class _LiveTask:
    def __init__(self, progress: _Progress, task_id: object, pace: Pace) -> None:
        self._progress, self._task_id, self._pace = progress, task_id, pace

    def found(self, amount: float) -> None:
        self._pace.found(amount)
        # `update` would take this for work done in no time at all.
        self._progress.reset(self._task_id, completed=amount)

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self._pace.advance(amount)
        if note:
            self._progress.update(self._task_id, advance=amount, note=note)
        else:
            self._progress.update(self._task_id, advance=amount)


class _Progress(Protocol):
    def update(self, task_id: object, **fields: object) -> None: ...

    def reset(self, task_id: object, **fields: object) -> None: ...


def _count(done: float, total: float | None, unit: str) -> str:
    """Return what is done, and of how much where that is known."""
    if unit == "%":
        return f"{done:.0f} %"
    if not (total or unit or done):
        return ""
    count = f"{done:,.0f}" if total is None else f"{done:,.0f} of {total:,.0f}"
    return f"{count} {unit}".rstrip()


def _times(elapsed: float | None, left: float | None) -> str:
    """Return the time taken and, where it is known, the time left; both in seconds."""
    taken = str(timedelta(seconds=int(elapsed or 0)))
    return f"{taken}, about {timedelta(seconds=int(left))} left" if left else taken


class LiveReporter:
    """Show bars with the time taken and the time left, on a terminal (rich)."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn
        from rich.progress import Task as Shown
        from rich.table import Column
        from rich.text import Text

        class Words(ProgressColumn):
            """Text of a task; where the line is too narrow, what `is_whole` stays and the others share the rest."""

            def __init__(self, words: Callable[[Shown], str], *, is_whole: bool) -> None:
                super().__init__(Column(no_wrap=is_whole))
                self._words = words

            def render(self, task: Shown) -> Text:
                return Text(self._words(task), no_wrap=True, overflow="ellipsis")

        self._console = Console(stderr=True)
        columns: list[ProgressColumn] = [
            Words(lambda task: task.description, is_whole=False),
            Words(lambda t: _count(t.completed, t.total, t.fields["unit"]), is_whole=True),
            Words(lambda task: task.fields["note"], is_whole=False),
            Words(
                lambda task: _times(task.elapsed, task.fields["pace"].seconds_left()), is_whole=True
            ),
        ]
        if self._console.width >= _WIDTH_FOR_BARS:
            columns.insert(1, BarColumn(_BAR_WIDTH, table_column=Column(no_wrap=True)))
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._depth = 0

    @contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Generator[Task]:
        """Show a bar until the block ends; nested tasks share one display."""
        if self._depth == 0:
            self._progress.start()
        self._depth += 1
        pace = Pace(total)
        task_id = self._progress.add_task(name, total=total, note="", unit=unit, pace=pace)
        try:
            yield _LiveTask(self._progress, task_id, pace)  # pyright: ignore[reportArgumentType]
        finally:
            self._progress.remove_task(task_id)
            self._depth -= 1
            if self._depth == 0:
                self._progress.stop()

    @contextmanager
    def detail(self, name: str, total: float, unit: str = "") -> Generator[Task]:
        """Show a bar beneath the others until the block ends."""
        with self.task(name, total, unit) as task:
            yield task

    def say(self, text: str) -> None:
        """Print one line above the bars."""
        self._console.print(text, markup=False, highlight=False)


def reporter_for_terminal() -> Reporter:
    """Return the live display where standard error is a terminal, plain lines elsewhere."""
    return LiveReporter() if sys.stderr.isatty() else PlainReporter()
