"""A study may gain runs and scores in its folder; what is there stays, and is not done again."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.study.conftest import StudyCommand
from tests.study.pipeline.test_faults import wait_for, wait_for_end
from tests.study.pipeline.test_run import contents

from lilliput.core.artefacts import folder_holds
from lilliput.core.errors import ConfigurationError, OccupiedFolderError
from lilliput.core.files import read_json
from lilliput.core.settings import parse_settings
from lilliput.core.verification import verify
from lilliput.recipes import shipped_recipes
from lilliput.study import Recipe, load_recipe
from lilliput.study.planning.growth import StudyGrowth, growth_of
from lilliput.study.recipe.expansion import expand_recipe

ONE_MORE_SEED = "grid=[{languages=['invented'],seeds=[0,1,2],shapes=['8/8/16/1/1','8/16/32/2/1']}]"


def grown(out: Path, before: Recipe, after: Recipe) -> StudyGrowth:
    return growth_of(out, expand_recipe(before), expand_recipe(after))


def changed(recipe_file: Path, *assignments: str) -> Recipe:
    return load_recipe(str(recipe_file), assignments)


def test_seeds_are_added_in_place(
    command: StudyCommand, finished_study: Path, recipe_file: Path
) -> None:
    shutil.copytree(finished_study, command.out)
    code, record = command.finish("--set", ONE_MORE_SEED, "--executor", "inline")
    assert (code, record["runs"], record["done"], record["skipped"]) == (0, 6, 6, 4)
    before, after = contents(finished_study), contents(command.out)
    assert before.items() <= after.items()
    added = {path.split("/")[1] for path in after.keys() - before.keys()}
    configs = [read_json(command.out / "runs" / run / "run.json")["config"] for run in added]
    assert [config["seed"] for config in configs] == [2, 2]
    assert verify(command.out).mismatches == ()
    assert "seed 2" in (command.out / "tables" / "measurements.csv").read_text()
    # The smaller recipe would now drop runs.
    code, record = command.finish("--executor", "inline")
    assert (code, record["error"]["code"]) == (2, "occupied_folder")
    assert "2 runs that the recipe does not have" in record["error"]["got"]


def test_a_study_killed_while_it_grows_goes_on(command: StudyCommand, finished_study: Path) -> None:
    shutil.copytree(finished_study, command.out)
    process = command.start("--set", ONE_MORE_SEED, "--executor", "inline")
    wait_for(lambda: len(list(command.out.glob("runs/*/run.json"))) > 4, process)
    os.kill(process.pid, signal.SIGKILL)
    wait_for_end(process)
    code, record = command.finish("--set", ONE_MORE_SEED, "--executor", "inline")
    assert (code, record["done"]) == (0, 6)
    assert contents(finished_study).items() <= contents(command.out).items()
    assert verify(command.out).mismatches == ()


@pytest.mark.parametrize(
    ("change", "runs", "scores"),
    [
        (ONE_MORE_SEED, 2, ()),
        ("grid=[{languages=['invented'],seeds=[1,0],shapes=['8/16/32/2/1','8/8/16/1/1']}]", 0, ()),
        ("grid=[{languages=['invented'],seeds=[0,1],shapes=['8/8/16/1/1','8/16/32/2/1','8/8/8/1/1']}]", 2, ()),
        ("analysis.resamples=50", 0, ()),
        ("training.threads=2", 0, ()),
        ("probes={}", 0, ("probes",)),
    ],
)  # fmt: skip
def test_what_leaves_all_that_is_there_alone_is_let_in(recipe_file, tmp_path, change, runs, scores):
    growth = grown(tmp_path, changed(recipe_file), changed(recipe_file, change))
    assert growth.sentence().startswith(
        "added to the study" if runs or scores else "the recipe has"
    )
    assert (len(growth.runs), growth.scores) == (runs, scores)


@pytest.mark.parametrize(
    ("change", "got"),
    [
        ("name=other", "another name"),
        ("seed=1", "another seed"),
        ("tokenizers.vocab_sizes=[300,400]", "another tokenizers"),
        ("languages.invented.corpus.test_share=0.2", "another languages"),
        ("training.learning_rate=1e-2", "8/8/16/1/1 seed 0 with training.learning_rate = 0.01, not 0.0005"),
        ("training.max_steps=400", "training.max_steps = 400, not 300"),
        ("model.layout=electra", "model."),
        ("grid=[{languages=['invented'],seeds=[0],shapes=['8/8/16/1/1','8/16/32/2/1']}]", "2 runs that the recipe does not have, the first: invented corrected 8/8/16/1/1 seed 1"),
        ("grid=[{languages=['invented'],seeds=[0,1],learning_rates=[5e-4,1e-3],shapes=['8/8/16/1/1','8/16/32/2/1']}]", "4 runs that"),
    ],
)  # fmt: skip
def test_what_changes_or_drops_something_is_refused_by_name(recipe_file, tmp_path, change, got):
    with pytest.raises(OccupiedFolderError) as caught:
        grown(tmp_path, changed(recipe_file), changed(recipe_file, change))
    assert got in caught.value.got
    assert str(tmp_path) in caught.value.rule


def test_scores_may_be_added_and_not_changed(recipe_file: Path, tmp_path: Path) -> None:
    probed = changed(recipe_file, "probes={}")
    with pytest.raises(OccupiedFolderError, match="other probes"):
        grown(tmp_path, probed, changed(recipe_file))


def search_recipe(recipe_file: Path, shapes: list[str], **search: Any) -> Recipe:
    grid = f"grid=[{{languages=['invented'],seeds=[0],learning_rates='search',shapes={shapes}}}]"
    found = {"learning_rates": [1e-4, 1e-3, 1e-2], "max_steps": 20, **search}
    return changed(recipe_file, grid, *(f"search.{key}={value}" for key, value in found.items()))


def test_a_shape_added_to_a_searched_block_is_searched_and_the_others_keep_their_rates(
    recipe_file: Path, tmp_path: Path
) -> None:
    from lilliput.study import plan_study, run_study

    out, first, second = tmp_path / "study", "8/8/16/1/1", "8/16/32/2/1"
    small, large = (search_recipe(recipe_file, shapes) for shapes in ([first], [first, second]))
    run_study(small, out, executor="inline")
    before = read_json(out / "search" / "found.json")
    trials = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("search/runs/*/manifest.json")}
    plan = plan_study(large, out)
    assert (plan.runs, plan.done, plan.search_runs) == (2, 1, 3)
    result = run_study(large, out, executor="inline")
    assert (result.skipped, result.plan.done) == (1, 2)
    after = read_json(out / "search" / "found.json")
    assert before["rates"][0] in after["rates"]
    assert len(after["rates"]) == 2
    again = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("search/runs/*/manifest.json")}
    assert trials.items() <= again.items()
    assert len(again) == 6
    assert verify(out).mismatches == ()


def test_another_search_is_refused(recipe_file: Path, tmp_path: Path) -> None:
    before = search_recipe(recipe_file, ["8/8/16/1/1"])
    for after, got in (
        (search_recipe(recipe_file, ["8/8/16/1/1"], max_steps=30), "another search"),
        (changed(recipe_file, ONE_MORE_SEED), "searched in one and given in the other"),
    ):
        with pytest.raises(OccupiedFolderError, match=got):
            grown(tmp_path, before, after)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_read_back_from_a_study_has_the_same_runs(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    stored = parse_settings(Recipe, json.loads(json.dumps(recipe.model_dump(mode="json"))))
    assert grown(tmp_path, stored, recipe).runs == ()
    assert grown(tmp_path, recipe, stored).runs == ()


def test_runs_that_differ_must_differ_in_name(recipe_file: Path) -> None:
    block = "{languages=['invented'],shapes=['8/8/16/1/1'],learning_rates=[%s]}"
    recipe = changed(recipe_file, f"grid=[{block % '1e-3'},{block % '2e-3'}]")
    with pytest.raises(ConfigurationError, match=r"differ in name.*8/8/16/1/1 seed 0.*variant"):
        expand_recipe(recipe)


def test_a_folder_that_is_no_study_is_left_alone(recipe_file: Path, tmp_path: Path) -> None:
    out = StudyCommand(recipe_file, tmp_path / "study")
    out.out.mkdir()
    (out.out / "thesis.txt").write_text("mine")
    code, record = out.finish("--executor", "inline")
    assert (code, record["error"]["code"]) == (2, "occupied_folder")
    assert folder_holds(out.out) == "files that lilliput did not make"
