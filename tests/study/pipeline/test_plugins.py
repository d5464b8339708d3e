"""A study trains with another package's objective, in its workers too, and its report shows the runs."""

from __future__ import annotations

import os
from pathlib import Path

from lilliput.core.files import read_json

from ..conftest import StudyCommand

PLUGIN = Path(__file__).parents[2] / "training" / "toy_plugin"
GRID = """
[[grid]]
languages = ["invented"]
shapes = ["8/8/16/1/1"]

[[grid]]
languages = ["invented"]
shapes = ["8/8/16/1/1"]
variant = "every third"
training = { objective = { name = "sparse_masked_lm", stride = 3 }, order = "backwards" }
"""


def test_a_study_with_a_toy_objective_reaches_its_report(recipe_file, tmp_path):
    recipe = tmp_path / "toy.toml"
    text = recipe_file.read_text()
    start, end = text.index("[[grid]]"), text.index("[analysis]")
    recipe.write_text(
        (text[:start] + GRID + text[end:]).replace("max_steps = 300", "max_steps = 20")
    )
    study = StudyCommand(recipe, tmp_path / "study")
    path = f"{PLUGIN}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    code, record = study.finish("--executor", "process", environment={"PYTHONPATH": path})
    assert (code, record["done"]) == (0, 2)
    trained = [read_json(file)["config"]["training"] for file in study.out.rglob("run.json")]
    assert {(one["objective"]["name"], one["order"]["name"]) for one in trained} == {
        ("auto", "shuffled"),
        ("sparse_masked_lm", "backwards"),
    }
    assert "every third" in Path(record["report"]).read_text(encoding="utf-8")
