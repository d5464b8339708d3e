"""The live view: the whole, and a line for each run under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lilliput.core.files import write_json, write_json_lines
from lilliput.core.progress import LiveReporter, PlainReporter, Task
from lilliput.study.pipeline import live_progress as watch
from lilliput.study.pipeline.stages.groups import RunTask
from lilliput.study.store.failures import FAILURE
from lilliput.study.store.runs import RUN_FILE


@dataclass
class Line:
    """What stands on one line of the display."""

    done: float = 0.0
    done_before: float = 0.0
    note: str = ""

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.done += amount
        self.note = note or self.note

    def found(self, amount: float) -> None:
        self.done = self.done_before = amount


@dataclass
class Screen:
    """A display that remembers which lines stand on it."""

    lines: dict[str, Line] = field(default_factory=dict)

    @contextmanager
    def task(self, name: str, total: float | None = None, unit: str = "") -> Generator[Task]:
        del total, unit
        self.lines[name] = Line()
        try:
            yield self.lines[name]
        finally:
            del self.lines[name]

    @contextmanager
    def detail(self, name: str, total: float, unit: str = "") -> Generator[Task]:
        with self.task(name, total, unit) as task:
            yield task

    def say(self, text: str) -> None:
        del text


@dataclass(frozen=True)
class Run:
    name: str
    out: Path
    flops: float = 1000.0

    @property
    def label(self) -> str:
        return self.name

    def reach(self, *losses: float) -> None:
        """Leave an evaluation point for each loss, a tenth of the run apart."""
        points = [
            {"step": i, "loss": loss, "tokens_seen": 10 * i, "flops_executed_masked": 100.0 * i}
            for i, loss in enumerate(losses)
        ]
        write_json_lines(self.out / "metrics.jsonl", points)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    monkeypatch.setattr(watch, "_INTERVAL_S", 0.005)
    return [Run(f"run {i}", tmp_path / str(i)) for i in range(20)]


def soon(holds: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_each_run_under_way_has_a_line_with_its_losses(runs: list[Run]) -> None:
    screen = Screen()
    with watch.watching(screen, runs[:3]):
        runs[0].reach(6.0, 5.0, 4.0)
        runs[1].reach(6.0)
        soon(lambda: {"training", "run 0", "run 1"} <= screen.lines.keys())
        soon(lambda: screen.lines["run 0"].note == "loss 4.00 █▅▁")
        assert screen.lines["run 0"].done == pytest.approx(20.0)
        runs[0].reach(6.0, 5.0, 4.0, 3.0)
        soon(lambda: screen.lines["run 0"].done == pytest.approx(30.0))
        write_json(runs[0].out / "manifest.json", {})
        soon(lambda: "1 of 3 done" in screen.lines["training"].note)
        write_json(runs[1].out / FAILURE, {})
        soon(lambda: screen.lines.keys() == {"training"})
    assert screen.lines == {}


def test_there_are_never_more_lines_than_a_screen_has_room_for(runs: list[Run]) -> None:
    screen = Screen()
    with watch.watching(screen, runs, done_before=5):
        for run in runs:
            run.reach(6.0)
        soon(lambda: len(screen.lines) == 1 + watch._MOST_LINES)
        # Runs that were begun are not counted as done; those of an earlier call are.
        soon(lambda: "5 of 25 done" in screen.lines["training"].note)
        assert len(screen.lines) == 1 + watch._MOST_LINES


def test_a_run_that_goes_back_to_its_checkpoint_does_not_run_backwards(runs: list[Run]) -> None:
    runs[0].reach(6.0, 5.0, 4.0)
    screen = Screen()
    with watch.watching(screen, runs[:1]):
        soon(lambda: "loss 4.00" in screen.lines["training"].note)
        runs[0].reach(6.0, 5.0)
        soon(lambda: "0 of 1 done, 0 tok/s" in screen.lines["training"].note)
        time.sleep(0.05)
        assert "0 of 1 done, 0 tok/s" in screen.lines["training"].note


def test_between_two_points_a_checkpoint_tells_how_far_a_run_is(runs: list[Run]) -> None:
    runs[0].reach(6.0, 5.0, 4.0)
    screen = Screen()
    with watch.watching(screen, runs[:1]):
        soon(lambda: screen.lines["training"].done == pytest.approx(20.0))
        (runs[0].out / "checkpoints" / "resume-6").mkdir(parents=True)
        soon(lambda: screen.lines["training"].done == pytest.approx(60.0))
        assert screen.lines["run 0"].done == pytest.approx(60.0)
        assert screen.lines["run 0"].note.startswith("loss 4.00")
        runs[0].reach(6.0, 5.0, 4.0, 3.5, 3.2, 3.1, 3.0, 2.9)
        soon(lambda: screen.lines["training"].done == pytest.approx(70.0))


def test_what_an_earlier_call_did_tells_nothing_of_the_time_left(runs: list[Run]) -> None:
    runs[0].reach(6.0, 5.0, 4.0)
    screen = Screen()
    with watch.watching(screen, runs[:2]):
        soon(lambda: "loss 4.00" in screen.lines["training"].note)
        runs[0].reach(6.0, 5.0, 4.0, 3.0)
        soon(lambda: screen.lines["training"].done == pytest.approx(15.0))
        assert screen.lines["training"].done_before == pytest.approx(10.0)
        assert screen.lines["run 0"].done_before == pytest.approx(20.0)


def test_a_log_has_the_whole_alone(runs: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    with watch.watching(PlainReporter(), runs[:1]):
        runs[0].reach(6.0, 5.0)
        time.sleep(0.05)
    assert capsys.readouterr().err == "training: done in 0 s\n"


def test_runs_begun_before_say_where_they_go_on(runs: list[Run]) -> None:
    assert watch.resumed_runs(runs) == ""
    for run in runs[:2]:
        write_json(run.out / RUN_FILE, {})
    for name in ("resume-90", "resume-1200", "resume-1300.partial-7", "initial"):
        (runs[1].out / "checkpoints" / name).mkdir(parents=True)
    said = "2 runs go on: run 0 from its beginning, run 1 from step 1,200"
    assert watch.resumed_runs(runs) == said


def test_a_line_that_is_cut_loses_the_family_first() -> None:
    task = RunTask(
        name="constrained corrected 128/128/384/4/2 seed 1",
        config={},
        tokens=Path(),
        out=Path(),
        info={"family": "constrained corrected"},
        flops=1.0,
    )
    assert task.label == "128/128/384/4/2 seed 1 constrained corrected"


def test_the_terminals_display_takes_lines_from_another_thread() -> None:
    reporter = LiveReporter()
    with reporter.task("whole", 1.0):

        def part() -> None:
            with reporter.detail("part", 1.0) as task:
                task.advance(1.0, note="half")
                shown.append([one.description for one in reporter._progress.tasks])

        shown: list[list[str]] = []
        thread = threading.Thread(target=part)
        thread.start()
        thread.join()
        assert shown == [["whole", "part"]]
        assert [one.description for one in reporter._progress.tasks] == ["whole"]
