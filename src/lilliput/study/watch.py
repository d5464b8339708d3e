"""Live progress of runs that other processes train, read from their curves on disk."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from lilliput.core.files import read_json_lines
from lilliput.core.progress import Reporter, Task

_INTERVAL_S = 1.0
_BLOCKS = "▁▂▃▄▅▆▇█"
_PER_CENT = 100.0


class WatchedRun(Protocol):
    """What the watcher must know of a run."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def out(self) -> Path:
        """Its folder."""
        ...

    @property
    def flops(self) -> float:
        """Executed FLOPs it will take."""
        ...


@contextmanager
def watching(reporter: Reporter, runs: Sequence[WatchedRun]) -> Generator[None]:
    """Show the share of all work done, the run that moved last with its losses, the speed, the time left."""
    if not runs:
        yield
        return
    stop = threading.Event()
    with reporter.task("training", total=_PER_CENT, unit="%") as task:
        watcher = threading.Thread(target=_watch, args=(task, runs, stop), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()


def sparkline(losses: Sequence[float], width: int = 12) -> str:
    """The course of a loss as a line of blocks, from the highest at the top to the lowest."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite:
        return ""
    places = min(width, len(finite))
    shown = [finite[round(i * (len(finite) - 1) / max(1, places - 1))] for i in range(places)]
    low, span = min(shown), (max(shown) - min(shown)) or 1.0
    return "".join(_BLOCKS[round((loss - low) / span * (len(_BLOCKS) - 1))] for loss in shown)


def _watch(task: Task, runs: Sequence[WatchedRun], stop: threading.Event) -> None:
    total = sum(run.flops for run in runs) or 1.0
    curves = {run.out: _Curve(run.out / "metrics.jsonl") for run in runs}
    started, shown = time.monotonic(), 0.0
    before: int | None = None
    while not stop.wait(_INTERVAL_S):
        moved = [run for run in runs if curves[run.out].has_moved()]
        points = [curve.points[-1] for curve in curves.values() if curve.points]
        tokens = sum(point["tokens_seen"] for point in points)
        before = tokens if before is None else before  # What an earlier call did is not our speed.
        rate = (tokens - before) / (time.monotonic() - started)
        note = _note(moved[-1].name, curves[moved[-1].out].losses(), rate) if moved else ""
        done = sum(point["flops_executed_masked"] for point in points)
        share = min(_PER_CENT, _PER_CENT * done / total)
        task.advance(max(0.0, share - shown), note=note and f"{len(points)}/{len(runs)} {note}")
        shown = max(shown, share)


def _note(name: str, losses: Sequence[float], tokens_per_s: float) -> str:
    """The run that has a new evaluation point, its losses, and the speed of all runs together."""
    return f"{name} {sparkline(losses)} {losses[-1]:.2f}  {tokens_per_s:,.0f} tok/s"


class _Curve:
    """A run's evaluation points; its file is read again only when it has changed."""

    def __init__(self, path: Path) -> None:
        self.points: list[dict[str, Any]] = []
        self._path = path
        self._changed = 0

    def has_moved(self) -> bool:
        """Whether there is a new point since the last call."""
        try:
            changed = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        if changed == self._changed:
            return False
        self._changed, count = changed, len(self.points)
        self.points = read_json_lines(self._path)
        return len(self.points) > count

    def losses(self) -> list[float]:
        """Of each point, in order."""
        return [float(point["loss"]) for point in self.points]
