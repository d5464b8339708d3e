"""Each fault that a study must outlive, on a real study: afterwards nothing is lost and nothing done twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest
from tests.study.conftest import DEADLINE_S, StudyCommand
from tests.study.pipeline.test_run import contents

from lilliput.core.artefacts import MANIFEST
from lilliput.core.verification import verify

GRACE_S = 10.0

# Loaded by every Python process of a study: a full disk while a file says so, and a clock set back.
INJECTED = """
import errno, os, time
_fsync, _time = os.fsync, time.time

def fsync(fd):
    path = os.readlink(f"/proc/self/fd/{fd if isinstance(fd, int) else fd.fileno()}")
    if os.path.exists(os.environ["FULL_DISK"]) and "/runs/" in path:
        raise OSError(errno.ENOSPC, "No space left on device")
    return _fsync(fd)

os.fsync = fsync
if "YEARS_BACK" in os.environ:
    time.time = lambda: _time() - 365.25 * 86400 * float(os.environ["YEARS_BACK"])
    time.time_ns = lambda: int(time.time() * 1e9)
"""


@pytest.fixture
def injected(tmp_path: Path) -> dict[str, str]:
    """Environment under which the disk is full while `full` exists beside the study."""
    folder = tmp_path / "injected"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(INJECTED)
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "FULL_DISK": str(tmp_path / "full")}


def wait_for(reached: Callable[[], object], process: Popen[str]) -> None:
    until = time.monotonic() + DEADLINE_S
    while not reached():
        if process.poll() is not None:
            pytest.fail(
                f"the study ended before the moment was reached: {process.communicate()[0]}"
            )
        assert time.monotonic() < until
        time.sleep(0.01)


def is_training(out: Path) -> Callable[[], bool]:
    """Whether some run has saved itself and is not done."""
    return lambda: any(out.glob("runs/*/checkpoints/resume-*"))


def processes_below(pid: int) -> Iterator[tuple[int, str]]:
    """Process ids and command lines of all that descend from `pid`."""
    parents: dict[int, int] = {}
    lines: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            lines[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
            parents[int(folder.name)] = int(stat[1])
        except (OSError, IndexError):
            continue  # It ended while we looked.
    for child, line in lines.items():
        above = parents.get(child, 0)
        while above not in (pid, 0, 1):
            above = parents.get(above, 0)
        if above == pid:
            yield child, line


def kill_one(process: Popen[str], marks: tuple[str, ...]) -> None:
    """Kill -9 one descendant whose command line holds one of `marks`."""
    found = [pid for pid, line in processes_below(process.pid) if any(m in line for m in marks)]
    assert found, [line for _, line in processes_below(process.pid)]
    os.kill(found[0], signal.SIGKILL)


def wait_for_end(process: Popen[str]) -> None:
    """Wait for a driver that says no more; what it started may still hold its pipe."""
    process.wait(DEADLINE_S)
    assert process.stdout is not None
    process.stdout.close()


def assert_whole(out: Path, finished: Path) -> None:
    assert contents(out) == contents(finished)
    assert verify(out).mismatches == ()
    assert not list(out.rglob("*.partial-*"))


WORKERS = {"process": ("spawn_main",), "ray": ("ray::_work",)}
EXECUTORS = ["process", pytest.param("ray", marks=pytest.mark.ray)]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_killed_worker_costs_its_run_some_time(
    executor: str, command: StudyCommand, finished_study: Path
) -> None:
    process = command.start("--executor", executor, "--workers", "2")
    wait_for(is_training(command.out), process)
    kill_one(process, WORKERS[executor])
    printed, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, printed
    assert json.loads(printed)["done"] == 4
    assert_whole(command.out, finished_study)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_killed_driver_leaves_a_study_that_goes_on(
    executor: str, command: StudyCommand, finished_study: Path
) -> None:
    process = command.start("--executor", executor, "--workers", "2")
    wait_for(is_training(command.out), process)
    os.kill(process.pid, signal.SIGKILL)
    wait_for_end(process)
    code, record = command.finish("--executor", "process", "--workers", "2")
    assert (code, record["done"]) == (0, 4)
    assert_whole(command.out, finished_study)


@pytest.mark.ray
def test_a_killed_ray_head_leaves_a_study_that_goes_on(
    command: StudyCommand, finished_study: Path
) -> None:
    process = command.start("--executor", "ray", "--workers", "2")
    wait_for(is_training(command.out), process)
    kill_one(process, ("gcs_server",))
    kill_one(process, ("raylet/raylet",))
    wait_for_end(process)
    assert process.returncode != 0
    command.stop()
    code, record = command.finish("--executor", "inline")
    assert (code, record["done"]) == (0, 4)
    assert_whole(command.out, finished_study)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_sigterm_saves_within_ten_seconds_and_leaves_with_130(
    executor: str, command: StudyCommand, finished_study: Path
) -> None:
    process = command.start("--executor", executor, "--workers", "2")
    wait_for(is_training(command.out), process)
    before = {path.name for path in command.out.glob("runs/*/checkpoints/resume-*")}
    sent = time.time()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    states = list(command.out.glob("runs/*/checkpoints/resume-*/state.json"))
    unfinished = [p for p in states if not (p.parents[2] / MANIFEST).exists()]
    assert unfinished
    assert all(path.stat().st_mtime - sent < GRACE_S for path in unfinished)
    assert {path.parent.name for path in unfinished} != before
    code, record = command.finish("--executor", "inline")
    assert (code, record["done"]) == (0, 4)
    assert_whole(command.out, finished_study)


def test_sigterm_to_every_process_of_a_job_saves_too(command: StudyCommand) -> None:
    """A worker hears it twice, from the batch system and from its parent, in the middle of a step."""
    slow = [f"training.{key}" for key in ("global_batch_size=4096", "save_interval_s=3600")]
    process = command.start("--workers", "2", *(part for key in slow for part in ("--set", key)))
    wait_for(lambda: len(list(command.out.glob("runs/*/checkpoints/initial"))) >= 2, process)
    time.sleep(1)
    assert not list(command.out.glob("runs/*/checkpoints/resume-*"))
    sent = time.time()
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    saved = list(command.out.glob("runs/*/checkpoints/resume-*/state.json"))
    assert len(saved) == 2
    assert all(path.stat().st_mtime - sent < GRACE_S for path in saved)


def test_a_run_that_fails_leaves_the_others_alone(
    command: StudyCommand, finished_study: Path
) -> None:
    blocked = sorted((finished_study / "runs").glob("*/run.json"))[0].parent.name
    (command.out / "runs" / blocked).mkdir(parents=True)
    (command.out / "runs" / blocked / "stray.txt").write_text("not ours")
    (command.out / "building.json").write_bytes(_claim(finished_study))
    code, record = command.finish("--executor", "inline")
    assert code == 3
    assert record["error"]["code"] == "runs_failed"
    code, record = command.finish(verb="status")
    assert (code, record["done"]) == (0, 3)
    shutil.rmtree(command.out / "runs" / blocked)
    code, record = command.finish("--executor", "inline", verb="retry")
    assert (code, record["done"], record["skipped"]) == (0, 4, 3)
    assert_whole(command.out, finished_study)


def _claim(finished: Path) -> bytes:
    """What marks a folder as this study's, half done."""
    manifest = json.loads((finished / MANIFEST).read_text())
    return json.dumps({"kind": manifest["kind"], "id": manifest["id"]}).encode()


def test_a_diverging_run_leaves_the_others_alone(
    command: StudyCommand, recipe_file: Path, tmp_path: Path, finished_study: Path
) -> None:
    hot = '\n[[grid]]\nvariant = "hot"\nlanguages = ["invented"]\nshapes = ["8/8/16/1/1"]\ntraining = { learning_rate = 1e30 }\n'
    recipe = tmp_path / "hot.toml"
    recipe.write_text(recipe_file.read_text().replace("\n[analysis]", f"{hot}\n[analysis]"))
    study = StudyCommand(recipe, tmp_path / "hot")
    code, record = study.finish("--executor", "inline")
    assert code == 3
    assert "learning rate" in record["error"]["got"]
    code, record = study.finish(verb="status")
    assert (record["done"], record["failed"]) == (4, 1)
    trained = {k: v for k, v in contents(finished_study).items() if k.startswith("runs/")}
    assert trained.items() <= contents(study.out).items()


def test_a_full_disk_is_survived(
    command: StudyCommand, injected: dict[str, str], finished_study: Path
) -> None:
    process = command.start("--executor", "process", "--workers", "2", environment=injected)
    wait_for(is_training(command.out), process)
    Path(injected["FULL_DISK"]).touch()
    printed, _ = process.communicate(timeout=DEADLINE_S)
    # The run cannot even note its failure: the study ends there, naming the file.
    assert process.returncode in {2, 3}
    assert "the disk is full" in printed
    Path(injected["FULL_DISK"]).unlink()
    code, record = command.finish(verb="retry", environment=injected)
    assert (code, record["done"]) == (0, 4)
    assert_whole(command.out, finished_study)


def test_a_clock_set_back_changes_nothing(
    command: StudyCommand, injected: dict[str, str], finished_study: Path
) -> None:
    process = command.start("--executor", "inline", environment=injected)
    wait_for(is_training(command.out), process)
    process.kill()
    wait_for_end(process)
    back = injected | {"YEARS_BACK": "30"}
    code, record = command.finish("--executor", "process", environment=back)
    assert (code, record["done"]) == (0, 4)
    assert command.finish(verb="status", environment=back)[1]["done"] == 4
    assert_whole(command.out, finished_study)


def test_a_half_written_shard_is_written_again(command: StudyCommand, finished_study: Path) -> None:
    shutil.copytree(finished_study, command.out)
    for folder in (command.out, command.out / "tokens" / "invented"):
        manifest = json.loads((folder / MANIFEST).read_text())
        (folder / "building.json").write_text(
            json.dumps({"kind": manifest["kind"], "id": manifest["id"]})
        )
        (folder / MANIFEST).unlink()
    half = command.out / "tokens" / "invented" / "train.tokens.npy"
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    half.with_name("test.tokens.npy.partial-1-ab").write_bytes(b"cut short")
    code, record = command.finish("--executor", "inline")
    assert (code, record["skipped"]) == (0, 4)
    assert_whole(command.out, finished_study)


def test_two_drivers_do_not_share_a_folder(command: StudyCommand, finished_study: Path) -> None:
    process = command.start("--executor", "process", "--workers", "2")
    wait_for(is_training(command.out), process)
    # Nothing of the first moves on, however slow this machine.
    os.killpg(process.pid, signal.SIGSTOP)
    code, record = command.finish("--executor", "inline")
    seen, status = command.finish(verb="status")
    finished = len(list(command.out.glob("runs/*/manifest.json")))
    os.killpg(process.pid, signal.SIGCONT)
    # From another terminal the status is what lies in the files.
    assert (seen, status["runs"], status["done"], status["failed"]) == (0, 4, finished, 0)
    assert finished < 4
    assert code == 2
    assert record["error"]["code"] == "occupied_folder"
    assert "study status" in record["error"]["try"]
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert_whole(command.out, finished_study)


def test_a_changed_recipe_is_refused_by_a_study_half_done(
    command: StudyCommand, finished_study: Path
) -> None:
    process = command.start("--executor", "process", "--workers", "2")
    wait_for(is_training(command.out), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=DEADLINE_S)  # Until no worker holds the pipe.
    left = everything_in(command.out)
    assert not (command.out / MANIFEST).exists()
    for verb in ("plan", "run"):
        code, record = command.finish("--set", "training.learning_rate=1e-2", verb=verb)
        assert (code, record["error"]["code"]) == (2, "occupied_folder")
        assert "training.learning_rate = 0.01, not 0.0005" in record["error"]["got"]
        assert everything_in(command.out) == left
    code, record = command.finish("--executor", "inline")
    assert (code, record["done"]) == (0, 4)
    assert_whole(command.out, finished_study)


def everything_in(out: Path) -> dict[str, bytes]:
    """Every file by its path, those of unfinished runs too; hidden ones, such as locks, left out."""
    files = (path for path in out.rglob("*") if path.is_file() and path.name[0] != ".")
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def test_a_changed_recipe_is_refused_and_the_study_left_alone(
    command: StudyCommand, finished_study: Path
) -> None:
    shutil.copytree(finished_study, command.out)
    for verb in ("plan", "run"):
        code, record = command.finish("--set", "training.learning_rate=1e-2", verb=verb)
        assert (code, record["error"]["code"]) == (2, "occupied_folder")
    assert_whole(command.out, finished_study)
