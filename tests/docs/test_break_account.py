"""The account of `break` is written from a study's tables: its numbers, its hashes, and what the published break corresponds to."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tests.analysis.findings.families import FLOPS, on_a_plateau_until, study

from lilliput.analysis import write_table

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_break", REPOSITORY / "results/break/make.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def written(make: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The account of two simulated families whose plateaus end at 300 and at 6,000 steps."""
    folder, out = (tmp_path_factory.mktemp(name) for name in ("study", "results"))
    table = study(on_a_plateau_until, {"fast": 300, "slow": 6000})
    more = {
        "flops_reference": 2 * table.number(FLOPS),
        "tokens_seen": 500 * table.number("step"),
        "wall_time_s": np.arange(len(table), dtype=np.float64),
    }
    (folder / "tables").mkdir()
    write_table(table.with_columns(more), folder / "tables" / "measurements.csv")
    make.make(folder, "afternoon", out, resamples=30)
    return out


def test_the_account_states_the_answer_and_the_hash_of_each_table(written: Path):
    text = (written / "account.md").read_text("utf-8")
    assert "**No: it moves with the end of the plateau.**" in text
    said = {name: digest for digest, name in re.findall(r"^ +(\w{64})  (\S+)$", text, re.M)}
    assert said == {
        f"tables/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (written / "tables").iterdir()
    }
    assert all((written / figure).is_file() for figure in re.findall(r"!\[.+?\]\((.+?)\)", text))
    assert (
        "wall_time_s" not in (written / "tables/measurements.csv").read_text("utf-8").split("\n")[0]
    )


def test_its_numbers_are_those_of_the_tables(written: Path):
    with (written / "tables/slopes.csv").open(newline="") as file:
        slopes = list(csv.DictReader(file))
    assert [row["flops"] for row in slopes] == [FLOPS, "flops_reference"]
    assert slopes[0]["verdict"] == "moves"
    assert float(slopes[0]["slope"]) == pytest.approx(1, abs=0.2)
    with (written / "tables/families.csv").open(newline="") as file:
        families = {(row["family"], row["flops"]): row for row in csv.DictReader(file)}
    fast, doubled = families["fast", FLOPS], families["fast", "flops_reference"]
    assert float(doubled["exit"]) == pytest.approx(2 * float(fast["exit"]), rel=1e-4)
    text = (written / "account.md").read_text("utf-8")
    assert re.search(r"\| fast \| 6 of 6 \| \d+ to \d+ \|", text)


def test_the_published_break_lies_where_the_first_published_runs_leave_their_plateau(
    make: ModuleType,
):
    rows = make.published_exits()
    left = [row for row in rows if row["exit_flops"] != ""]
    assert (len(rows), len(left)) == (42, 38)
    assert left[0]["exit_flops"] == pytest.approx(2.33e15, rel=0.01)
    assert left[0]["exit_flops"] / 2.2e15 == pytest.approx(1.06, abs=0.01)
    # The shapes that never leave are all of width 32 and one layer.
    stuck = {
        row["shape"].split("/")[1] + "/" + row["shape"].split("/")[4]
        for row in rows
        if row["exit_flops"] == ""
    }
    assert stuck == {"32/1"}
    heights = [row["loss_after_2000_steps"] for row in rows]
    assert np.median(heights) == pytest.approx(3.19, abs=0.005)
    assert sum(3.10 <= height <= 3.26 for height in heights) == 36
    first, second = make.published_sentences(rows)
    assert "The 21 with a width of 128 or more and two layers or more" in first
    assert "between 1,339 and 5,361 steps" in first
    assert "is 0.94 times the first exit" in second
