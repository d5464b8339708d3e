"""Plain progress: what a log of long work says."""

from __future__ import annotations

import pytest

from lilliput.core import progress
from lilliput.core.progress import PlainReporter


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
        "encode: 2 of 4 shards, about 10 s left a.parquet",
        "encode: 4 of 4 shards, about 0 s left a.parquet",
        "encode: done in 60 s",
    ]


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
