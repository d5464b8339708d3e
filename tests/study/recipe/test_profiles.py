"""Both training profiles in one study, to its end."""

from __future__ import annotations

from pathlib import Path

from tests.study.conftest import StudyCommand

from lilliput.analysis import read_table
from lilliput.core.artefacts import read_manifest
from lilliput.study import load_recipe, run_study
from lilliput.study.store.runs import read_runs

BOTH = "grid=[{languages=['invented'],profiles=['reference','corrected'],shapes=['8/8/16/1/1']}]"

PROBES = """
[probes]
max_train_examples = 32
max_dev_examples = 40

[probes.fine_tuning]
num_train_epochs = [1]
seeds = [0]
regression = "linear"
"""


def test_both_profiles_stand_in_one_report(command: StudyCommand) -> None:
    code, record = command.finish(
        "--set", BOTH, "--set", "training.max_steps=40", "--executor", "inline"
    )
    assert (code, record["done"]) == (0, 2)
    assert (command.out / "report.html").is_file()
    table = read_table(command.out / "tables" / "measurements.csv")
    # The reference scores its pads; elsewhere its loss counts them as zero.
    imputed = table.columns["loss_reference_imputed"]
    assert (imputed == (table.text("profile") == "corrected")).all()
    assert set(imputed.tolist()) == {True, False}


def test_runs_are_fine_tuned_as_their_profile_says(recipe_file: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_file.read_text() + PROBES)
    recipe = load_recipe(str(tmp_path / "recipe.toml"), [BOTH, "training.max_steps=4"])
    out = tmp_path / "study"
    run_study(recipe, out, executor="inline")
    ways = {}
    for run in read_runs(out):
        scores = read_manifest(out / "evaluations" / run.run_id / "probes")
        settings = scores.settings["fine_tuning"]
        ways[run.info["profile"]] = [settings[key] for key in ("pooling", "regression", "seeds")]
    assert ways == {
        "reference": ["positions", "linear", [0]],  # The recipe says "linear" itself.
        "corrected": ["mean", "linear", [0]],
    }
    before = {path: path.stat().st_mtime_ns for path in (out / "evaluations").rglob("*")}
    run_study(recipe, out, executor="inline")
    assert before == {path: path.stat().st_mtime_ns for path in (out / "evaluations").rglob("*")}
