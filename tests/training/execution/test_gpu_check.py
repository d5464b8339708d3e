"""The check that is run wherever a GPU is at hand, rehearsed on the processor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "gpu_check.py"


@pytest.mark.slow
def test_every_part_of_the_gpu_check_runs_on_a_processor(tmp_path):
    out = tmp_path / "found.json"
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--quick", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=500)
    found = json.loads(out.read_text())
    assert len(found) >= 12
    parts = {name: record for name, record in found.items() if name != "messages"}
    assert {name: r["error"] for name, r in parts.items() if "error" in r} == {}
    assert found["agreement"]["result"]["float32"]["apart_from_processor"]["eager"]["loss"] == 0.0
