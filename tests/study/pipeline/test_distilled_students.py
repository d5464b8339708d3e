"""Students in a study: their teachers come first, and what they are is in the students' ids."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lilliput.core.errors import ConfigurationError
from lilliput.core.files import read_json
from lilliput.study import load_recipe, plan_study, run_study
from lilliput.study.recipe.expansion import expand_recipe
from lilliput.study.recipe.needed_runs import in_levels
from lilliput.study.store.runs import read_runs

ARMS = """
[variants.teacher.training]
max_steps = 30

[variants.distilled.training]
objective = { name = "distillation", teacher = "run:teacher 8/16/32/2/1" }

[variants.random.training]
objective = { name = "distillation", teacher = "run:teacher 8/16/32/2/1", teacher_weights = "untrained" }

[variants.self.training]
objective = { name = "distillation", teacher = "self" }

[variants.both.training]
objective = { name = "distillation", teacher = ["run:teacher 8/16/32/2/1", "run:distilled 8/8/16/1/1"] }

[[grid]]
seeds = [0, 1]
shapes = ["8/8/16/1/1"]
variants = ["distilled", "", "random", "self", "both"]

[[grid]]
seeds = [0]
shapes = ["8/16/32/2/1"]
variants = ["teacher"]
"""


def arms_of(text: str, folder: Path, arms: str = ARMS) -> Path:
    """The recipe of `text` with a plain run, its students and one teacher for both seeds."""
    before, after = text.split("[[grid]]")
    text = before.replace("max_steps = 300", "max_steps = 20") + arms
    path = folder / "arms.toml"
    path.write_text(text + after[after.index("[analysis]") :], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def study(recipe_file, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("arms")
    path = arms_of(recipe_file.read_text(), folder)
    run_study(load_recipe(str(path)), folder / "study", executor="inline")
    return folder / "study"


def by_name(study: Path):
    return {run.name.removeprefix("invented corrected "): run for run in read_runs(study)}


def test_teachers_come_first_and_their_ids_are_in_those_of_their_students(study):
    runs = by_name(study)
    assert {run.state for run in runs.values()} == {"done"}
    teacher = runs["teacher 8/16/32/2/1 seed 0"]
    started = {name: (run.folder / "run.json").stat().st_mtime_ns for name, run in runs.items()}
    for seed in (0, 1):
        plain, distilled = (runs[f"{v}8/8/16/1/1 seed {seed}"] for v in ("", "distilled "))
        settings = distilled.config["training"]["objective"]
        assert settings["teacher"] == [teacher.run_id]
        assert runs[f"self 8/8/16/1/1 seed {seed}"].config["training"]["objective"]["teacher"] == [plain.run_id]  # fmt: skip
        both = runs[f"both 8/8/16/1/1 seed {seed}"].config["training"]["objective"]["teacher"]
        assert both == [teacher.run_id, distilled.run_id]
        manifest = (teacher.folder / "manifest.json").stat().st_mtime_ns
        assert manifest < started[f"distilled 8/8/16/1/1 seed {seed}"]
        losses = {runs[f"{v}8/8/16/1/1 seed {seed}"].result["loss"] for v in ("", "distilled ", "random ", "self ", "both ")}  # fmt: skip
        assert len(losses) == 5


def test_a_second_call_recognises_every_run_and_another_teacher_makes_other_students(
    study, recipe_file, tmp_path
):
    path = arms_of(recipe_file.read_text(), tmp_path)
    assert run_study(load_recipe(str(path)), study, executor="inline").skipped == 11
    longer = expand_recipe(load_recipe(str(path), ["variants.teacher.training.max_steps=31"]))
    plain = expand_recipe(load_recipe(str(path)))
    assert [run.needs for run in longer.runs] == [run.needs for run in plain.runs]
    assert [len(level) for level in in_levels(plain.runs)] == [3, 6, 2]


def test_the_plan_counts_the_teachers_forward_passes(study, recipe_file, tmp_path):
    path = arms_of(recipe_file.read_text(), tmp_path)
    plan = plan_study(load_recipe(str(path)), tmp_path / "new")
    assert plan.runs == 11
    runs = by_name(study)
    plain, distilled = (runs[f"{v}8/8/16/1/1 seed 0"].result for v in ("", "distilled "))
    assert distilled["flops_executed_masked"] > plain["flops_executed_masked"]
    assert distilled["tokens_seen"] == plain["tokens_seen"]


def test_a_finished_student_can_be_read_without_its_teacher_and_verifies(study, tmp_path):
    import shutil

    from lilliput.core.verification import verify
    from lilliput.training import load_model, read_run_config

    student = by_name(study)["distilled 8/8/16/1/1 seed 0"]
    shutil.copytree(student.folder, tmp_path / "alone")
    assert load_model(tmp_path / "alone").decoder_weight.shape[0] == 300
    assert read_run_config(tmp_path / "alone").objective().name == "distillation"
    assert not verify(study).mismatches
    columns = json.loads((study / "tables" / "manifest.json").read_text())
    assert columns["kind"] == "tables"
    assert read_json(student.folder / "run.json")["info"]["variant"] == "distilled"


def test_the_tables_say_who_taught_and_what_the_teachers_cost(study):
    from lilliput.analysis import read_table

    table, runs = read_table(study / "tables" / "measurements.csv"), by_name(study)
    names = [str(name).removeprefix("invented corrected ") for name in table.text("name")]
    last = {name: row for row, name in enumerate(names)}
    cost = "flops_executed_masked"

    def cells(name: str) -> dict[str, float]:
        columns = (cost, f"{cost}_and_teacher", f"{cost}_and_shared_teacher", "epochs")
        return {column: float(table.number(column)[last[name]]) for column in columns}

    teacher = runs["teacher 8/16/32/2/1 seed 0"].result[cost]
    plain, student = cells("8/8/16/1/1 seed 0"), cells("distilled 8/8/16/1/1 seed 0")
    assert plain[f"{cost}_and_teacher"] == plain[cost]
    assert student[f"{cost}_and_teacher"] == pytest.approx(student[cost] + teacher)
    # Two students of `distilled` and two of `both` learn from it; those of its untrained weights owe it nothing.
    assert student[f"{cost}_and_shared_teacher"] == pytest.approx(student[cost] + teacher / 4)
    random = cells("random 8/8/16/1/1 seed 0")
    assert random[f"{cost}_and_teacher"] == random[cost]
    both = cells("both 8/8/16/1/1 seed 0")
    # A teacher that was taught brings its own teacher's cost along.
    assert both[f"{cost}_and_teacher"] == pytest.approx(both[cost] + 2 * teacher + student[cost])
    assert 0 < plain["epochs"] == pytest.approx(student["epochs"])
    weights = {table.text("teacher_weights")[last[n]] for n in ("distilled 8/8/16/1/1 seed 0", "random 8/8/16/1/1 seed 0", "8/8/16/1/1 seed 0")}  # fmt: skip
    assert weights == {"trained", "untrained", ""}


def test_the_cost_of_teachers_can_be_the_axis_where_there_are_teachers(
    study, recipe_file, tmp_path
):
    from lilliput.analysis.findings.findings import flops_columns
    from lilliput.report.reading.evidence import read_evidence

    total = "flops_executed_masked_and_teacher"
    asked = [f"analysis.flops={total}"]
    path = arms_of(recipe_file.read_text(), tmp_path)
    assert run_study(load_recipe(str(path), asked), study, executor="inline").skipped == 11
    assert flops_columns(read_evidence(study))[0] == total
    with pytest.raises(ConfigurationError, match="no run has one"):
        expand_recipe(load_recipe(str(recipe_file), asked))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("run:teacher 8/16", "run:professor 8/16", "must be one run of the grid: professor 8/16"),
        ('teacher = "self"', 'teacher = "run:self 8/8/16/1/1"', "in a circle"),
        ('"distilled", "", "random"', '"distilled", "random"', "trained without a teacher"),
        ('teacher = "self" }', 'teacher = "self", weight = 2.0 }', "less than or equal to 1: got 2.0"),
        ("max_steps = 30", 'max_steps = 30\nobjective = { name = "distillation", teacher = "run:distilled 8/8/16/1/1" }', "in a circle"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_built(
    old, new, message, recipe_file, tmp_path
):
    path = arms_of(recipe_file.read_text(), tmp_path, ARMS.replace(old, new))
    with pytest.raises(ConfigurationError, match=message):
        expand_recipe(load_recipe(str(path)))
