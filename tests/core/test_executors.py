from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from lilliput.core.errors import ConfigurationError, InputError
from lilliput.core.executors import InlineExecutor, ProcessExecutor, make_executor, process
from lilliput.core.executors.process import WorkerLostError
from lilliput.core.files import names_below


def square(x: int) -> int:
    return x * x


def refuse(x: int) -> int:
    raise InputError("numbers must be small", got=x, remedy="Use 1.")


def die_once(path: str) -> str:
    """Killed at the first attempt, done at the second."""
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def die_always(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_map_gives_every_result_once_with_its_position(executor: str) -> None:
    with make_executor(executor, workers=2) as workers:
        assert sorted(workers.map(square, range(7))) == [(i, i * i) for i in range(7)]


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_an_error_of_ours_crosses_the_border_whole(executor: str) -> None:
    with (
        make_executor(executor, workers=1) as workers,
        pytest.raises(InputError, match="numbers must be small: got 7. Use 1.") as caught,
    ):
        list(workers.map(refuse, [7]))
    assert caught.value.as_record()["got"] == "7"


def test_work_whose_process_was_killed_is_done_again(tmp_path: Path) -> None:
    items = [str(tmp_path / name) for name in ("a", "b", "c")]
    with ProcessExecutor(2) as workers:
        assert sorted(workers.map(die_once, items)) == [(0, "done"), (1, "done"), (2, "done")]


def test_work_that_kills_every_worker_is_given_up() -> None:
    with (
        ProcessExecutor(1) as workers,
        pytest.raises(WorkerLostError, match="lost theirs 5 times without getting further"),
    ):
        list(workers.map(die_always, [0]))


def die_before_the_next_of_eight(folder: str) -> int:
    """Work in eight steps that is killed after each."""
    step = len(list(Path(folder).iterdir()))
    if step < 8:
        (Path(folder) / f"step-{step}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return step


def test_work_that_gets_further_each_time_is_not_given_up(tmp_path: Path) -> None:
    progress = partial(names_below, tmp_path)
    with ProcessExecutor(1) as workers:
        found = list(workers.map(die_before_the_next_of_eight, [str(tmp_path)], progress))
    assert found == [(0, 8)]


def threads_here(_: int) -> str:
    return os.environ["OMP_NUM_THREADS"]


def test_few_pieces_of_work_share_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "available_cpus", lambda: 4)
    with ProcessExecutor() as workers:
        assert (workers.workers, list(workers.map(threads_here, [0]))) == (4, [(0, "1")])
        few = workers.reserving(0.0, 2)
        assert (few.workers, list(few.map(threads_here, [0]))) == (2, [(0, "2")])
        assert few.reserving(0.0, 9).workers == 2
    with ProcessExecutor(3) as asked:
        assert asked.reserving(0.0, 1).workers == 3


def test_submit_and_wait_keep_the_order() -> None:
    with InlineExecutor() as workers:
        assert workers.wait([workers.submit(square, x) for x in (3, 1, 2)]) == [9, 1, 4]


def test_an_unknown_executor_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'slurm'. Use one of: inline, process, ray"):
        make_executor("slurm")


def sleep_and_tell(folder: str) -> None:
    """Work that would take an hour, and saves when it is asked to end."""

    signals: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: signals.append(number))
    (Path(folder) / f"started-{os.getpid()}").touch()
    while not signals:
        time.sleep(0.05)
    time.sleep(2)
    if len(signals) == 1:  # A second one would have cut the saving short.
        (Path(folder) / f"saved-{os.getpid()}").touch()
    raise KeyboardInterrupt


def test_an_interrupt_lets_workers_save_and_waits_for_none(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), ProcessExecutor(2) as workers:
        for _ in range(4):
            workers.submit(sleep_and_tell, str(tmp_path))
        while len(list(tmp_path.glob("started-*"))) < 2:
            time.sleep(0.05)
        raise KeyboardInterrupt
    assert len(list(tmp_path.glob("saved-*"))) == 2
    assert time.monotonic() - began < 3600 / 2


def orphan(folder: str) -> None:
    """Work that goes on until its worker is ended."""
    (Path(folder) / f"working-{os.getpid()}").touch()
    time.sleep(3600)


def test_workers_end_when_whoever_started_them_is_killed(tmp_path: Path) -> None:
    code = (
        "from lilliput.core.executors import ProcessExecutor\n"
        "from tests.core.test_executors import orphan\n"
        "if __name__ == '__main__':\n"
        f"    ProcessExecutor(1).submit(orphan, {str(tmp_path)!r}).result()\n"
    )
    script = tmp_path / "driver.py"
    script.write_text(code)
    path = os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH"))))
    driver = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": path})
    until = time.monotonic() + 120
    while not (found := list(tmp_path.glob("working-*"))) and time.monotonic() < until:
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    worker = Path("/proc") / found[0].name.removeprefix("working-")
    while worker.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not worker.exists()
