"""Live progress of runs that other processes train, read from their curves on disk."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from lilliput.core.files import read_json_lines
from lilliput.core.progress import Reporter, Task

_INTERVAL_S = 1.0
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
    """Show the share of all work done, the run that moved last, its loss and the time left."""
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


def _watch(task: Task, runs: Sequence[WatchedRun], stop: threading.Event) -> None:
    total = sum(run.flops for run in runs) or 1.0
    steps: dict[Path, int] = {}
    shown = 0.0
    while not stop.wait(_INTERVAL_S):
        points = [read_json_lines(run.out / "metrics.jsonl") for run in runs]
        done = sum(p[-1]["flops_executed_masked"] for p in points if p)
        note = _note_of_last_move(runs, points, steps)
        share = min(_PER_CENT, _PER_CENT * done / total)
        task.advance(max(0.0, share - shown), note=note)
        shown = max(shown, share)


def _note_of_last_move(
    runs: Sequence[WatchedRun], points: Sequence[list[dict[str, Any]]], steps: dict[Path, int]
) -> str:
    """The run that has a new evaluation point, with its losses from the first to the last."""
    started = sum(1 for p in points if p)
    note = ""
    for run, curve in zip(runs, points, strict=True):
        if curve and steps.get(run.out) != curve[-1]["step"]:
            steps[run.out] = curve[-1]["step"]
            note = f"{run.name}: loss {curve[0]['loss']:.2f} to {curve[-1]['loss']:.2f}"
    return f"run {started} of {len(runs)}  {note}" if note else ""
