"""The whole line on real text, interrupted in every stage and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lilliput.core.artefacts import MANIFEST, read_manifest
from lilliput.core.hashing import file_hash
from lilliput.core.verification import verify

DEADLINE_S = 600
# Wall time and speed stand in these; everything else must be the same bytes.
TIMED = {"result.json", "metrics.jsonl", "plan.json", "study.json"}


def command(out: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "lilliput", "quickstart", "--out", str(out), "--set", "scale=tiny", "--json", *more,
    ]  # fmt: skip


def finish(out: Path) -> dict[str, object]:
    done = subprocess.run(
        command(out), capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def kill_when(out: Path, reached: Callable[[], bool], number: int) -> int:
    """Start the study and send `number` to its whole process group once `reached`; its exit code."""
    process = subprocess.Popen(
        command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    until = time.monotonic() + DEADLINE_S
    while not reached():
        assert process.poll() is None, "the study ended before the stage was reached"
        assert time.monotonic() < until
        time.sleep(0.02)
    os.killpg(process.pid, number)
    return process.wait(DEADLINE_S)


def contents(study: Path) -> dict[str, str]:
    """Path of every file that must not depend on what was interrupted, to its hash."""
    found: dict[str, str] = {}
    for part in ("vocabulary", "corpora", "tokens", "probes", "runs", "evaluations"):
        for path in sorted((study / part).rglob("*")):
            # Hidden files, such as the index of the runs, are no content.
            if path.is_file() and path.name not in TIMED | {MANIFEST} and path.name[0] != ".":
                found[str(path.relative_to(study))] = file_hash(path)
    for path in sorted((study / "tokenizers").glob("*/byte-bpe-*/tokenizer.json")):
        found[str(path.relative_to(study))] = file_hash(path)
    return found


def ids(study: Path) -> dict[str, str]:
    """Folder of every artefact that does not descend from a tokenizer trained anew, to its id."""
    folders = [path.parent for path in study.rglob(MANIFEST)]
    free = ("tables", "analysis", "comparison")
    return {
        str(folder.relative_to(study)): read_manifest(folder).id
        for folder in folders
        if folder.name not in free
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "study"
    record = finish(out)
    assert record["runs"] == record["done"] == 8
    assert record["skipped"] == 0
    return out


def test_a_study_leaves_what_it_promises(undisturbed: Path) -> None:
    page = (undisturbed / "report.html").read_text(encoding="utf-8")
    assert "lilliput quickstart" in page
    assert verify(undisturbed).mismatches == ()
    header = (undisturbed / "tables" / "measurements.csv").read_text().splitlines()[0]
    assert '"flops_executed_masked"' in header


def test_no_path_of_this_machine_is_in_a_study(undisturbed: Path) -> None:
    for path in undisturbed.rglob("*.json"):
        assert str(undisturbed) not in path.read_text(encoding="utf-8"), path


def test_a_second_call_recognises_everything(undisturbed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*.safetensors")}
    record = finish(undisturbed)
    assert record["skipped"] == record["runs"] == 8
    assert before == {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*.safetensors")}


def test_killed_in_every_stage_it_ends_with_the_same_content(
    undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "study"

    def exists(pattern: str) -> Callable[[], bool]:
        return lambda: any(out.glob(pattern))

    stages = [
        exists("corpora/constrained/building.json"),
        exists("tokenizers/constrained/byte-bpe-*/manifest.json"),
        exists("tokens/constrained/building.json"),
        exists("runs/*/metrics.jsonl"),
        exists("evaluations/*/*/building.json"),
        exists("analysis/building.json"),
    ]
    for reached in stages:
        assert kill_when(out, reached, signal.SIGKILL) == -signal.SIGKILL
    finish(out)
    assert contents(out) == contents(undisturbed)
    assert ids(out) == ids(undisturbed)


def test_terminated_it_leaves_with_130(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    code = kill_when(out, lambda: any(out.glob("runs/*/run.json")), signal.SIGTERM)
    assert code == 130
    assert not (out / MANIFEST).exists()


def test_another_study_in_the_folder_is_left_alone(undisturbed: Path) -> None:
    done = subprocess.run(
        command(undisturbed, "--set", "training.learning_rate=1e-4"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "occupied_folder"
    assert (undisturbed / "report.html").exists()


def test_a_study_can_be_moved(undisturbed: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    undisturbed.rename(moved)
    try:
        assert finish(moved)["skipped"] == 8
        assert verify(moved).mismatches == ()
    finally:
        moved.rename(undisturbed)
