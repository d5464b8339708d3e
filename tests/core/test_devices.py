"""GPUs as the driver tells them, and workers that each see their own; the driver is a stand-in here."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from lilliput.core.devices import list_gpus
from lilliput.core.executors import ProcessExecutor

ANSWER = """\
0, GPU-aa, 81559, NVIDIA H100, 80GB
1, GPU-bb, 40960, NVIDIA A100
[N/A], GPU-cc, [N/A], broken
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with two GPUs and no MPS, as far as `nvidia-smi` says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{ANSWER}END\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path / "mps"))
    return tool


def seen(folder: str) -> str | None:
    """Which GPUs a worker sees; it waits for a second one, so that no worker does all the work."""
    (Path(folder) / str(os.getpid())).touch()
    until = time.monotonic() + 20
    while len(list(Path(folder).iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def die_once(path: str) -> str | None:
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.usefixtures("driver")
def test_the_drivers_answer_is_read_and_the_environment_limits_it(monkeypatch):
    assert [(gpu.index, gpu.name) for gpu in list_gpus()] == [
        ("0", "NVIDIA H100, 80GB"), ("1", "NVIDIA A100"),
    ]  # fmt: skip
    assert list_gpus()[1].memory_bytes == 40960 * 2**20
    for visible, indices in (("1", ["1"]), ("GPU-bb, 0", ["1", "0"]), ("", []), ("7", [])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert [gpu.index for gpu in list_gpus()] == indices


def test_a_driver_that_fails_has_no_gpus(driver):
    driver.write_text("#!/bin/sh\nexit 9\n")
    assert list_gpus() == []


@pytest.mark.usefixtures("driver")
def test_each_worker_sees_a_gpu_of_its_own(tmp_path):
    folder = tmp_path / "seen"
    folder.mkdir()
    with ProcessExecutor() as workers:
        assert workers.reserving(1.0) is workers
        assert workers.workers == 2
        assert {gpu for _, gpu in workers.map(seen, [str(folder)] * 2)} == {"0", "1"}
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.usefixtures("driver")
def test_a_new_worker_in_place_of_a_killed_one_sees_one_too(tmp_path):
    with ProcessExecutor(1) as workers:
        workers.reserving(1.0)
        assert list(workers.map(die_once, [str(tmp_path / "died")])) == [(0, "0")]


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    ("asked", "has_mps", "share", "expected"),
    [(None, False, 0.25, 2), (None, True, 0.25, 8), (3, True, 0.25, 3), (None, True, 1.0, 2)],
)
def test_mps_lets_more_workers_share_a_gpu(tmp_path, asked, has_mps, share, expected):
    if has_mps:
        (tmp_path / "mps").mkdir()
        (tmp_path / "mps" / "control").touch()
    with ProcessExecutor(asked) as workers:
        assert workers.reserving(share).workers == expected


def test_without_gpus_nothing_changes(driver):
    driver.write_text("#!/bin/sh\nexit 9\n")
    with ProcessExecutor(1) as workers:
        before = workers._pool
        assert workers.reserving(1.0)._pool is before
        assert list(workers.map(die_once, [str(driver)])) == [(0, None)]


@pytest.mark.usefixtures("driver")
def test_work_on_processors_after_work_on_gpus_gets_all_workers_back(monkeypatch):
    monkeypatch.setattr("lilliput.core.executors.process.available_cpus", lambda: 4)
    with ProcessExecutor() as pool:
        assert pool.reserving(1.0, 9).workers == 2
        scoring = pool.reserving(0.0, 9)
        assert scoring.workers == 4
        assert scoring.submit(visible_gpus, 0).result() is None


def visible_gpus(_: int) -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.usefixtures("driver")
def test_probes_take_the_gpus_in_turns():
    from lilliput.study.planning.probe import map_in_fresh_processes

    found = dict(map_in_fresh_processes(visible_gpus, [0, 1, 2], 8))
    assert sorted(map(str, found.values())) == ["0", "0", "1"]
