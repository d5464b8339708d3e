"""The GPU path traced on fake CUDA tensors: no GPU is needed, and nothing is computed but shapes.

It shows that no tensor is on the wrong device and that nothing in a captured step waits for the device. It cannot
show what a real capture, the choice of an attention kernel or the numbers do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .fake_cuda import load

RUN = Path(__file__).parent / "fake_cuda" / "run.py"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The device that does nothing, compiled."""
    if reason := load.why_not():
        pytest.skip(f"cannot build the fake device: {reason}")
    path = tmp_path_factory.mktemp("device") / "device.so"
    load.build(path)
    return path


def traced(library: Path, store: Path, *more: str) -> dict[str, dict[str, dict[str, Any]]]:
    command = [sys.executable, str(RUN), str(library), str(store), *more]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def traces(library: Path, tokens: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """What `run.py` found."""
    return traced(library, tokens)


def test_a_captured_step_never_waits_and_stays_on_the_device(traces):
    for name, case in traces["captured"].items():
        assert case["faults"] == [], name
        assert case["operations"] > 300, name


def test_an_eager_step_copies_its_batch_and_does_not_wait(traces):
    for name, case in traces["eager"].items():
        assert [f for f in case["faults"] if "_to_copy joins host and device" not in f] == [], name


def test_every_planted_fault_is_found(traces):
    planted = traces["planted"]
    assert len(planted) >= 10
    assert [name for name, case in planted.items() if not case["faults"]] == []


@pytest.mark.slow
def test_a_fleet_of_64_is_captured_without_a_fault(library, tokens):
    for case in traced(library, tokens, "slow")["captured"].values():
        assert case["faults"] == []
