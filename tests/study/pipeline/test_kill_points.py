"""A whole study, killed once before each of its changes to the file system."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.killing import kill_at_every_change
from tests.study.pipeline.test_run import contents, ids

from lilliput.core.verification import verify
from lilliput.study import load_recipe, run_study

_FOUR_RUNS = 'seeds = [0, 1]\nshapes = ["8/8/16/1/1", "8/16/32/2/1"]'
_MORE = """
[probes]
max_train_examples = 32
max_dev_examples = 40

[probes.fine_tuning]
learning_rates = [2e-3]
num_train_epochs = [1]
seeds = [0]
"""
# A checkpoint to resume from after every step.
_SHORT = ["training.max_steps=4", "training.save_interval_s=1e-6"]


def _run(folder: Path) -> None:
    run_study(
        load_recipe(str(folder.parent / "recipe.toml"), _SHORT), folder / "study", executor="inline"
    )


@pytest.mark.slow
def test_killed_before_each_of_its_changes_a_study_ends_the_same(
    recipe_file: Path, tmp_path: Path
) -> None:
    recipe = recipe_file.read_text().replace(_FOUR_RUNS, 'seeds = [0]\nshapes = ["8/8/16/1/1"]')
    (tmp_path / "recipe.toml").write_text(recipe + _MORE)
    _run(tmp_path / "whole")
    kills = kill_at_every_change(
        _run,
        tmp_path / "killed",
        ["numba", "lilliput.report"],
    )
    assert kills > 300
    whole, killed = tmp_path / "whole" / "study", tmp_path / "killed" / "study"
    assert contents(killed) == contents(whole)
    assert ids(killed) == ids(whole)
    assert verify(killed).mismatches == ()
    assert not list(killed.rglob("*.partial-*"))
