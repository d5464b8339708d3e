"""`lilliput analyse emergence` on tables with a known answer."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lilliput.analysis import load_table
from lilliput.analysis.emergence.table import analyse_emergence
from lilliput.cli._frame import build_app
from lilliput.core.errors import InputError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two families of twelve shapes and two seeds: a score with a threshold at loss 4, and a straight one."""
    rng = np.random.default_rng(0)
    path = tmp_path / "runs.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["run", "family", "shape", "seed", "loss", "num_parameters", "score_x"])
        for family in ("bent", "straight"):
            for i in range(12):
                for seed in (0, 1):
                    loss = 5.0 - 0.2 * i + rng.normal(0, 0.01)
                    rise = max(4.0 - loss, 0) * 0.3 if family == "bent" else (5.0 - loss) * 0.2
                    score = 0.25 + rise + rng.normal(0, 0.01)
                    name = f"{family}-{i}-{seed}"
                    rows.writerow(
                        [name, family, f"8/8/{i + 8}/1/1", seed, loss, 10_000 * 2**i, score]
                    )
    return path


def test_each_family_has_its_verdict(table: Path):
    found = analyse_emergence(load_table(str(table)), score="score_x", resamples=100)
    by_group = {one.group: one.found for one in found}
    assert by_group["bent"].verdict == "threshold"
    assert by_group["bent"].place == pytest.approx(-4.0, abs=0.1)
    assert by_group["straight"].verdict == "smooth"


def test_the_verb_gives_verdicts_in_words_and_as_json(table: Path):
    words = ["analyse", "emergence", str(table), "--score", "score_x", "--resamples", "50"]
    done = CliRunner().invoke(build_app(), words)
    assert done.exit_code == 0, done.output
    assert "bent: threshold, 24 runs" in done.stdout
    record = json.loads(CliRunner().invoke(build_app(), [*words, "--json"]).stdout)
    assert [one["verdict"] for one in record["verdicts"]] == ["threshold", "smooth"]
    sized = CliRunner().invoke(build_app(), [*words, "--against", "size"])
    assert sized.exit_code == 0, sized.output


def test_a_table_without_the_score_is_refused(table: Path):
    with pytest.raises(InputError, match="the columns score_y and loss"):
        analyse_emergence(load_table(str(table)), score="score_y")
