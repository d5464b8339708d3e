"""Live progress of runs that other processes train, read from their curves and checkpoints on disk.

A live display has a line for the whole and one for each run under way, with its losses; a log has the whole alone.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

from lilliput.core.artefacts import is_artefact
from lilliput.core.progress import Reporter, Task
from lilliput.core.reader import MetricsLine, read_records
from lilliput.core.wording import plural
from lilliput.study.store.failures import FAILURE
from lilliput.study.store.runs import RUN_FILE

_INTERVAL_S = 1.0
_BLOCKS = "▁▂▃▄▅▆▇█"
_PER_CENT = 100.0
_MOST_LINES = 12  # A fleet of 64 would fill the screen.
_MOST_NAMED = 4  # In a sentence.


class WatchedRun(Protocol):
    """Says what the display must know of a run."""

    @property
    def name(self) -> str:
        """Return what people call it."""
        ...

    @property
    def label(self) -> str:
        """Return the same, with what distinguishes it within its family in front."""
        ...

    @property
    def out(self) -> Path:
        """Return the folder of the run."""
        ...

    @property
    def flops(self) -> float:
        """Executed FLOPs it will take."""
        ...


@contextmanager
def watching(
    reporter: Reporter, runs: Sequence[WatchedRun], done_before: int = 0
) -> Generator[None]:
    """Show the share of their work done, how many runs are done, the speed, the run that moved last, the time left.

    Args:
        reporter: Where it is shown.
        runs: Those to be trained.
        done_before: Runs of the study that are done already, which are counted and not watched.
    """
    if not runs:
        yield
        return
    stop = threading.Event()
    with reporter.task("training", total=_PER_CENT, unit="%") as task:
        arguments = (task, reporter, runs, done_before, stop)
        watcher = threading.Thread(target=_watch, args=arguments, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()


def sparkline(losses: Sequence[float], width: int = 12) -> str:
    """Return a loss over time as a line of blocks, from the highest at the top to the lowest."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite:
        return ""
    places = min(width, len(finite))
    shown = [finite[round(i * (len(finite) - 1) / max(1, places - 1))] for i in range(places)]
    low, span = min(shown), (max(shown) - min(shown)) or 1.0
    return "".join(_BLOCKS[round((loss - low) / span * (len(_BLOCKS) - 1))] for loss in shown)


def resumed_runs(runs: Sequence[WatchedRun]) -> str:
    """Return where each run that was begun before goes on, in one line; empty where none was."""
    begun = [run for run in runs if (run.out / RUN_FILE).is_file()]
    places = [f"{run.name} from {_place(run.out)}" for run in begun[:_MOST_NAMED]]
    places += ["…"] if len(begun) > _MOST_NAMED else []
    verb = "goes" if len(begun) == 1 else "go"
    return f"{plural(len(begun), 'run')} {verb} on: {', '.join(places)}" if begun else ""


def _place(run: Path) -> str:
    saved = _saved_step(run)
    return f"step {saved:,}" if saved else "its beginning"


def _saved_step(run: Path) -> int:
    """Return the step of the newest checkpoint to resume from; 0 where there is none."""
    saved = [path.name.removeprefix("resume-") for path in run.glob("checkpoints/resume-*")]
    return max((int(step) for step in saved if step.isdigit()), default=0)


def _watch(
    task: Task,
    reporter: Reporter,
    runs: Sequence[WatchedRun],
    done_before: int,
    stop: threading.Event,
) -> None:
    with _RunLines(reporter) as lines:
        _watch_lines(task, lines, runs, done_before, stop)


def _watch_lines(
    task: Task,
    lines: _RunLines,
    runs: Sequence[WatchedRun],
    done_before: int,
    stop: threading.Event,
) -> None:
    total = sum(run.flops for run in runs) or 1.0
    curves = {run.out: _Curve(run.out) for run in runs}
    started = time.monotonic()
    shown: float | None = None
    before: float | None = None
    last = ""
    waiting = list(runs)
    while not stop.wait(_INTERVAL_S):
        moved = [run for run in runs if curves[run.out].read_news()]
        for run in moved:
            lines.show(run, curves[run.out])
        lines.drop_finished()
        waiting = [run for run in waiting if not is_artefact(run.out)]
        begun = [curve for curve in curves.values() if curve.points]
        tokens = sum(curve.reached("tokens_seen") for curve in begun)
        # What an earlier call did is not our speed, nor is what a resumed run takes back.
        before = tokens if before is None else min(before, tokens)
        rate = (tokens - before) / (time.monotonic() - started)
        if moved:
            last = f", {moved[-1].label} {_last_loss(curves[moved[-1].out].losses())}"
        count = done_before + len(runs) - len(waiting)
        note = f"{count} of {done_before + len(runs)} done, {rate:,.0f} tok/s{last}"
        flops = sum(curve.reached("flops_executed_masked") for curve in begun)
        share = min(_PER_CENT, _PER_CENT * flops / total)
        if shown is None:
            task.found(share)
            shown = share
        task.advance(max(0.0, share - shown), note=note if begun else "")
        shown = max(shown, share)


class _RunLines:
    """A line of the display for each run under way."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._open: dict[Path, tuple[ExitStack, Task]] = {}
        self._shown: dict[Path, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for run in list(self._open):
            self._close(run)

    def show(self, run: WatchedRun, curve: _Curve) -> None:
        """Bring the run's line up to where it is known to be; a new one if there is room."""
        if run.out not in self._open:
            if len(self._open) == _MOST_LINES:
                return
            stack = ExitStack()
            line = stack.enter_context(self._reporter.detail(run.label, _PER_CENT, "%"))
            self._open[run.out] = stack, line
        flops = curve.reached("flops_executed_masked")
        share = min(_PER_CENT, _PER_CENT * flops / (run.flops or 1.0))
        _, line = self._open[run.out]
        if run.out not in self._shown:
            line.found(share)
        before = self._shown.get(run.out, share)
        line.advance(max(0.0, share - before), note=_last_loss(curve.losses()))
        self._shown[run.out] = max(share, before)

    def drop_finished(self) -> None:
        """Take away the lines of runs that are done or failed."""
        for run in list(self._open):
            if is_artefact(run) or (run / FAILURE).exists():
                self._close(run)

    def _close(self, run: Path) -> None:
        stack, _ = self._open.pop(run)
        stack.close()
        self._shown.pop(run, None)


def _last_loss(losses: Sequence[float]) -> str:
    """Return the last loss, and the way there as a line of blocks."""
    return f"loss {losses[-1]:.2f} {sparkline(losses)}"


class _Curve:
    """A run's evaluation points, read again only when they have changed, and its newest checkpoint."""

    def __init__(self, run: Path) -> None:
        self.points: list[dict[str, Any]] = []
        self._run = run
        self._changed = self._saved = 0

    def read_news(self) -> bool:
        """Read what was written since the last call; return whether there was a new point or checkpoint."""
        before = len(self.points), self._saved
        path = self._run / "metrics.jsonl"
        try:
            changed = path.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        if changed != self._changed:
            self._changed, self.points = changed, read_records(path, MetricsLine)
        # Points lie further and further apart, and a long run would seem to stand still between them.
        self._saved = max(self._saved, _saved_step(self._run))
        return len(self.points) > before[0] or self._saved > before[1]

    def reached(self, quantity: str) -> float:
        """Return a quantity that grows with the steps: at the last point, or carried on to the newest checkpoint."""
        last = self.points[-1]
        return last[quantity] * max(1.0, self._saved / max(1, last["step"]))

    def losses(self) -> list[float]:
        """Return the loss of each point, in order."""
        return [float(point["loss"]) for point in self.points]
