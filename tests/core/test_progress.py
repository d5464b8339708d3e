"""Progress: what a log of long work says, and what stands on a terminal."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rich.console import Console

from lilliput.core import progress
from lilliput.core.progress import LiveReporter, Pace, PlainReporter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_says_what_is_done_and_what_is_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with PlainReporter().task("encode", total=4, unit="shards") as task:
        task.advance(1)  # Too soon to speak.
        clock[0] += 10
        task.advance(1, note="a.parquet")
        clock[0] += 50
        task.advance(2)
    assert capsys.readouterr().err.splitlines() == [
        # One shard in ten seconds: what came before the first is not known to be work.
        "encode: 2 of 4 shards, about 20 s left a.parquet",
        "encode: 4 of 4 shards, about 0 s left a.parquet",
        "encode: done in 60 s",
    ]


def test_what_an_earlier_call_did_counts_as_done_and_not_as_speed(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with PlainReporter().task("train", total=100, unit="steps") as task:
        task.found(60)
        clock[0] += 10
        task.advance(0)
        clock[0] += 10
        task.advance(10)
        clock[0] += 20
        task.advance(10)
    assert capsys.readouterr().err.splitlines()[:3] == [
        "train: 60 of 100 steps",
        "train: 70 of 100 steps",
        "train: 80 of 100 steps, about 40 s left",
    ]


def test_nothing_is_said_of_the_time_left_before_three_percent_and_then_it_is_right(
    clock: list[float],
) -> None:
    """Twenty seconds of start-up, then one unit a second: the estimate never holds the start-up."""
    pace = Pace(100)
    clock[0] += 20
    for done in range(1, 101):
        clock[0] += 1
        pace.advance(1)
        left = pace.seconds_left()
        if done < 4:
            assert left is None
        else:
            assert left == pytest.approx(100 - done)
    clock[0] += 5
    assert pace.seconds_left() == 0.0


def test_the_time_left_goes_down_while_a_unit_is_at_work(clock: list[float]) -> None:
    pace = Pace(10)
    for _ in range(2):
        clock[0] += 60
        pace.advance(1)
    assert pace.seconds_left() == 480
    clock[0] += 30
    assert pace.seconds_left() == 450


def test_without_an_end_nothing_is_left_to_tell(clock: list[float]) -> None:
    pace = Pace(None)
    pace.advance(5)
    clock[0] += 5
    pace.advance(5)
    assert pace.seconds_left() is None


def test_a_bar_that_goes_on_knows_its_speed_by_its_own_work(
    clock: list[float], display: Callable[[int], tuple[LiveReporter, Callable[[], list[str]]]]
) -> None:
    reporter, lines = display(80)
    with reporter.task("train", total=100, unit="steps") as task:
        clock[0] += 1
        task.found(60)
        for _ in range(3):
            clock[0] += 2
            task.advance(5)
        assert "75 of 100 steps" in lines()[0]
        assert "about 0:00:10 left" in lines()[0]


def test_nothing_new_is_not_said_again_and_long_work_speaks_less_often(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with PlainReporter().task("train", total=100_000, unit="steps") as task:
        for _ in range(10):
            clock[0] += 10
            task.advance(0)
        assert capsys.readouterr().err.splitlines() == ["train: 0 of 100,000 steps"]
        for _ in range(3600):
            clock[0] += 10
            task.advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert 150 < len(lines) < 500
    assert " h " in lines[-2]  # 3,600 steps took ten hours.


@pytest.fixture
def display(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], tuple[LiveReporter, Callable[[], list[str]]]]:
    """A live reporter for a terminal of that width, and what stands on it."""

    def make(width: int) -> tuple[LiveReporter, Callable[[], list[str]]]:
        monkeypatch.setenv("COLUMNS", str(width))
        reporter = LiveReporter()
        reporter._progress.get_time = lambda: clock[0]
        monkeypatch.setattr(reporter._progress, "start", lambda: None)
        monkeypatch.setattr(reporter._progress, "stop", lambda: None)

        def lines() -> list[str]:
            console = Console(width=width)
            with console.capture() as shown:
                console.print(reporter._progress.get_renderable())
            return [line.rstrip() for line in shown.get().splitlines() if line.strip()]

        return reporter, lines

    return make


def test_a_bar_says_which_time_was_taken_and_which_is_left(
    clock: list[float], display: Callable[[int], tuple[LiveReporter, Callable[[], list[str]]]]
) -> None:
    reporter, lines = display(80)
    with reporter.task("count words", unit="documents") as task:
        clock[0] += 30
        task.advance(1200)
        assert lines() == ["count words 1,200 documents  0:00:30"]
    with reporter.task("report"):
        assert lines()[0].split() == ["report", "0:00:00"]
    with reporter.task("scoring", total=15, unit="runs") as task:
        clock[0] += 89
        assert lines() == ["scoring 0 of 15 runs  0:01:29"]
        for _ in range(5):
            clock[0] += 10
            task.advance()
        assert lines() == ["scoring 5 of 15 runs  0:02:19, about 0:01:40 left"]


def test_a_narrow_terminal_cuts_the_end_of_a_name_and_of_a_note_alone(
    clock: list[float], display: Callable[[int], tuple[LiveReporter, Callable[[], list[str]]]]
) -> None:
    reporter, lines = display(80)
    name = "128/128/384/4/2 seed 1 constrained corrected"
    with (
        reporter.task("training", total=100, unit="%") as whole,
        reporter.detail(name, total=100, unit="%") as part,
    ):
        for _ in range(3):
            clock[0] += 10
            whole.advance(4, note=f"2 of 12 done, 9,000 tok/s, {name} loss 6.54 ████▂▁")
            part.advance(10, note="loss 6.54 ████▂▁")
        first, second = lines()
    assert first.startswith("training")
    assert "12 % 2 of 12 done, 9,000 to" in first
    assert first.endswith("left")
    assert second.startswith("128/128/384/4/2 seed 1")
    assert "30 % loss 6.54 ████▂▁" in second
