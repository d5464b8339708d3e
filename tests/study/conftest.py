"""A whole study on invented text that takes seconds: for faults, executors and the run store."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from tests.invented import write_recipe

DEADLINE_S = 300
TRAINING = """max_steps = 300
eval_points_per_decade = 2
save_interval_s = 0.2
"""


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe with four runs, beside the text it names."""
    return write_recipe(tmp_path_factory.mktemp("recipe"), "small", TRAINING)


@dataclass(frozen=True)
class StudyCommand:
    """`lilliput study VERB RECIPE --out FOLDER --json` in a process of its own."""

    recipe: Path
    out: Path
    _started: list[Popen[str]] = field(default_factory=list[Popen[str]])

    def line(self, *more: str, verb: str = "run") -> list[str]:
        """The command line."""
        return [
            sys.executable, "-m", "lilliput", "study", verb, str(self.recipe), "--out", str(self.out),
            "--json", *more,
        ]  # fmt: skip

    def start(self, *more: str, environment: Mapping[str, str] | None = None) -> Popen[str]:
        """Start `run`, in a process group of its own."""
        process = subprocess.Popen(
            self.line(*more), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True, env=os.environ | (environment or {}),
        )  # fmt: skip
        self._started.append(process)
        return process

    def stop(self) -> None:
        """End whatever is left of what was started."""
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE_S)
            assert process.stdout is not None
            process.stdout.close()

    def finish(
        self, *more: str, verb: str = "run", environment: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Exit code and JSON of a whole call."""
        done = subprocess.run(
            self.line(*more, verb=verb), capture_output=True, text=True, timeout=DEADLINE_S,
            check=False, env=os.environ | (environment or {}),
        )  # fmt: skip
        assert done.stdout, done.stderr[-2000:]
        return done.returncode, json.loads(done.stdout)


@pytest.fixture
def command(recipe_file: Path, tmp_path: Path) -> Iterator[StudyCommand]:
    """The small study in a fresh folder; nothing of it outlives a test that fails."""
    study = StudyCommand(recipe_file, tmp_path / "study")
    yield study
    study.stop()


@pytest.fixture(scope="session")
def finished_study(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, undisturbed; tests that change it copy it first."""
    out = tmp_path_factory.mktemp("finished") / "study"
    code, record = StudyCommand(recipe_file, out).finish("--executor", "inline")
    assert (code, record["runs"], record["done"]) == (0, 4, 4)
    return out
