"""A real Ray cluster on this machine: two processors, one declared GPU, a small object store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.core.test_executors import (
    die_always,
    die_before_the_next_of_eight,
    die_once,
    refuse,
    square,
)

from lilliput.core.errors import InputError
from lilliput.core.executors.process import WorkerLostError
from lilliput.core.executors.ray import RayExecutor
from lilliput.core.files import names_below

pytestmark = pytest.mark.ray
STORE_BYTES = 80_000_000


@pytest.fixture(scope="module")
def cluster() -> Generator[Any]:
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    ray.init(
        address="local", num_cpus=2, num_gpus=1, object_store_memory=STORE_BYTES, include_dashboard=False,
        log_to_driver=False, logging_level="ERROR",
    )  # fmt: skip
    signal.signal(signal.SIGTERM, handler)
    yield ray
    ray.shutdown()


@pytest.fixture
def workers(cluster: Any) -> RayExecutor:
    return RayExecutor()


def test_map_gives_every_result_once_with_its_position(workers: RayExecutor) -> None:
    assert workers.workers == 2
    assert sorted(workers.map(square, range(7))) == [(i, i * i) for i in range(7)]
    assert workers.wait([workers.submit(square, x) for x in (3, 1, 2)]) == [9, 1, 4]


def test_an_error_of_ours_crosses_the_border_whole(workers: RayExecutor) -> None:
    with pytest.raises(InputError, match="numbers must be small: got 7. Use 1.") as caught:
        list(workers.map(refuse, [7]))
    assert type(caught.value) is InputError
    assert caught.value.as_record()["got"] == "7"


def test_work_whose_process_was_killed_is_done_again(workers: RayExecutor, tmp_path: Path) -> None:
    items = [str(tmp_path / name) for name in ("a", "b", "c")]
    assert sorted(workers.map(die_once, items)) == [(0, "done"), (1, "done"), (2, "done")]


def test_work_that_kills_every_worker_is_given_up(workers: RayExecutor) -> None:
    with pytest.raises(WorkerLostError, match="1 pieces of work left.*WorkerCrashedError"):
        list(workers.map(die_always, [0]))


def test_work_that_gets_further_each_time_is_not_given_up(
    workers: RayExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lilliput.core.executors.ray._RETRIES", 0)
    each = workers.reserving(0)
    progress = partial(names_below, tmp_path)
    assert list(each.map(die_before_the_next_of_eight, [str(tmp_path)], progress)) == [(0, 8)]


def hold_a_share(folder: str) -> str:
    """Stay until four others are here too; the device that Ray gave."""
    Path(folder, str(os.getpid())).touch()
    until = time.monotonic() + 60
    while len(list(Path(folder).iterdir())) < 4 and time.monotonic() < until:
        time.sleep(0.02)
    return os.environ["CUDA_VISIBLE_DEVICES"]


def test_four_runs_share_one_device(cluster: Any, tmp_path: Path) -> None:
    packed = RayExecutor(num_cpus=0.25, num_gpus=0.25)
    assert [device for _, device in packed.map(hold_a_share, [str(tmp_path)] * 4)] == ["0"] * 4
    assert len(list(tmp_path.iterdir())) == 4


def test_as_many_work_at_once_as_shares_of_the_device_allow(workers: RayExecutor) -> None:
    assert [workers.reserving(share).workers for share in (0, 0.25, 0.5, 1)] == [2, 2, 2, 1]


def sleep_and_save(folder: str) -> None:
    """Work that would take an hour, and takes two seconds to save when it is interrupted."""
    Path(folder, f"started-{os.getpid()}").touch()
    try:
        for _ in range(36_000):
            time.sleep(0.1)  # Ray's interrupt waits for Python to be at work again.
    except KeyboardInterrupt:
        time.sleep(2)
        Path(folder, f"saved-{os.getpid()}").touch()
        raise


def test_an_interrupt_lets_workers_save_and_waits_for_none(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), RayExecutor() as workers:
        for _ in range(4):
            workers.submit(sleep_and_save, str(tmp_path))
        while len(list(tmp_path.glob("started-*"))) < 2:
            time.sleep(0.05)
        raise KeyboardInterrupt
    saved = {path.name.removeprefix("saved-") for path in tmp_path.glob("saved-*")}
    assert len(saved) == 2
    assert sorted(RayExecutor().map(square, [5])) == [(0, 25)]  # The cluster is as it was.


def test_a_local_cluster_is_started_beside_one_that_the_machine_has(cluster: Any) -> None:
    code = "from lilliput.core.executors.ray import RayExecutor as R\nwith R(workers=1) as w: print(w.workers)"
    there = {"RAY_ADDRESS": cluster.get_runtime_context().gcs_address}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | there,
    )
    assert done.stdout == "1\n", done.stderr[-2000:]


def test_a_cluster_that_is_not_there_is_named(cluster: Any) -> None:
    cluster.shutdown()
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InputError, match="127.0.0.1:1.*ray start --head"):
        RayExecutor(address="127.0.0.1:1")
    assert signal.getsignal(signal.SIGTERM) is before


class SlowRay:
    """Ray on a machine so busy that its parts do not find each other the first times."""

    def __init__(self, failures: int) -> None:
        import ray

        self.exceptions: Any = ray.exceptions
        self.failures = failures

    def is_initialized(self) -> bool:
        return False

    def init(self, **_: object) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise Exception("The current node timed out during startup.\nLong story.")

    def shutdown(self) -> None: ...

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def remote(self, **_: object) -> type[staticmethod[..., Any]]:
        return staticmethod


def test_a_cluster_that_starts_at_the_second_try_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowRay(failures=1)

    def require(*_: str) -> SlowRay:
        return slow

    monkeypatch.setattr("lilliput.core.executors.ray.require", require)
    assert RayExecutor(workers=2).workers == 2
    slow.failures = 2
    with pytest.raises(WorkerLostError, match="timed out during startup.*--executor process"):
        RayExecutor(workers=2)
