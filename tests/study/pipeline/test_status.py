"""What `study status` reads from a folder: the stage, whether a process is at work, whose study it is."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.study.planning.test_growth import ONE_MORE_SEED
from typer.testing import CliRunner

from lilliput.cli._frame import build_app
from lilliput.core.artefacts import BUILDING, MANIFEST
from lilliput.core.files import write_json
from lilliput.study import Recipe, load_recipe
from lilliput.study.pipeline.stages.scoring import ScoringTask, score_one
from lilliput.study.pipeline.status import read_status
from lilliput.study.planning.growth import study_identity


@pytest.fixture
def study(finished_study: Path, tmp_path: Path) -> Path:
    """A finished study of one's own."""
    return Path(shutil.copytree(finished_study, tmp_path / "study"))


@pytest.fixture
def recipe(recipe_file: Path) -> Recipe:
    return load_recipe(str(recipe_file))


@pytest.fixture
def status(recipe_file: Path) -> Callable[..., str]:
    """What `lilliput study status` says of a folder, in one line."""

    def say(folder: Path, *more: str) -> str:
        words = ["study", "status", str(recipe_file), "--out", str(folder), *more]
        done = CliRunner().invoke(build_app(), words)
        assert done.exit_code == 0, done.output
        return " ".join(done.stdout.split())

    return say


def open_again(study: Path, recipe: Recipe) -> None:
    """Make the study one that is being built."""
    (study / MANIFEST).unlink()
    write_json(study / BUILDING, {"kind": "study", "id": study_identity(recipe)})
    write_json(study / "study.json", recipe.model_dump(mode="json"))


def test_a_folder_without_a_study_is_called_so(
    recipe: Recipe, tmp_path: Path, status: Callable[..., str]
) -> None:
    found = read_status(recipe, tmp_path / "study")
    assert (found.stage, found.is_running, found.report) == ("", False, None)
    said = status(tmp_path / "study")
    assert f"No study lies in {tmp_path / 'study'} yet." in said
    assert "Next: lilliput study run" in said
    assert "0 of 4" not in said


def test_a_finished_study_names_its_report(
    study: Path, recipe: Recipe, status: Callable[..., str]
) -> None:
    found = read_status(recipe, study)
    assert (found.stage, found.is_running, found.differs, found.adds) == ("done", False, "", "")
    assert found.as_record()["report"] == str(study / "report.html")
    said = status(study)
    assert "4 of 4 runs done, 0 failed. Every stage is done." in said
    assert f"Report: {study / 'report.html'}" in said


@pytest.mark.parametrize(
    ("lost", "stage", "done", "parts"),
    [
        ("vocabulary", "vocabulary", 0, 1),
        ("corpora/invented", "corpora", 0, 1),
        ("tokenizers/invented/comparison", "tokenizers", 0, 1),
        ("tokens/invented", "tokens", 0, 1),
        ("runs/*", "runs", 3, 4),
        ("analysis", "analysis", 1, 2),
        ("", "report", 0, 1),
    ],
)
def test_the_stage_is_the_first_that_is_not_whole(
    lost: str, stage: str, done: int, parts: int, study: Path, recipe: Recipe
) -> None:
    open_again(study, recipe)
    if lost:
        next(study.glob(f"{lost}/{MANIFEST}")).unlink()
    found = read_status(recipe, study)
    assert (found.stage, found.stage_done, found.stage_parts) == (stage, done, parts)


def test_scores_come_after_runs(study: Path, recipe_file: Path) -> None:
    probed = load_recipe(str(recipe_file), ["probes={}"])
    open_again(study, probed)
    assert read_status(probed, study).stage == "tasks"
    write_json(study / "probes" / "invented" / MANIFEST, {})
    first = min((study / "runs").glob("*/run.json")).parent.name
    write_json(study / "evaluations" / first / "probes" / MANIFEST, {})
    found = read_status(probed, study)
    assert (found.stage, found.stage_done, found.stage_parts) == ("scores", 1, 4)


def test_scores_that_failed_are_told_until_they_are_there(
    study: Path, recipe_file: Path, status: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scoring that raises what nobody foresaw: the others go on, and `status` tells from the files."""

    class Failing(ScoringTask):
        def made(self, recorded: object) -> bool:
            return False

        def score(self) -> None:
            raise RuntimeError("no such luck")

    probed = load_recipe(str(recipe_file), ["probes={}"])
    open_again(study, probed)
    write_json(study / "probes" / "invented" / MANIFEST, {})
    first = min((study / "runs").glob("*/run.json")).parent
    scores = study / "evaluations" / first.name / "probes"
    said = score_one(Failing("it", first, study, scores, ()))
    assert "scoring a run must not raise: got RuntimeError: no such luck (test_status.py" in said
    (found,) = read_status(probed, study).failed_scores
    assert (found["suite"], found["error"]["code"]) == ("probes", "run_raised")
    said = status(study, "--set", "probes={}")
    assert "probes: scoring a run must not raise" in said
    assert "0 failed, 1 score failed." in said
    monkeypatch.setattr(Failing, "score", lambda _: None)
    assert score_one(Failing("it", first, study, scores, ())) == ""
    assert read_status(probed, study).failed_scores == ()


def test_a_run_that_nobody_trains_has_stopped(
    study: Path, recipe: Recipe, status: Callable[..., str]
) -> None:
    open_again(study, recipe)
    next(study.glob(f"runs/*/{MANIFEST}")).unlink()
    said = status(study)
    assert "stopped invented" in said
    assert "No process is at work; stage: runs (3 of 4 done)." in said
    with (study / ".driver").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = status(study)
    assert "started invented" in said
    assert "A process is at work; stage: runs (3 of 4 done)." in said


def test_the_study_of_another_recipe_is_not_taken_for_this_one(
    study: Path, status: Callable[..., str]
) -> None:
    said = status(study, "--set", "training.max_steps=400")
    assert f"{study} holds the study of another recipe" in said
    assert "max_steps = 400, not 300" in said
    said = status(study, "--set", ONE_MORE_SEED)
    assert "Not begun, and added when it is run again: 2 runs (" in said
    assert "4 of 6 runs done" in said


def test_the_settings_that_made_the_folder_hold_without_being_given_again(
    study: Path, recipe_file: Path, status: Callable[..., str]
) -> None:
    recipe = load_recipe(str(recipe_file), ["training.max_steps=200"])
    write_json(study / "study.json", recipe.model_dump(mode="json"))
    open_again(study, recipe)
    assert "holds the study of another recipe" in status(study)
    command = study / ".command"
    command.write_text(
        f"lilliput study run {recipe_file} --out '{study}' --set training.max_steps=200\n"
    )
    said = status(study)
    assert "another recipe" not in said
    assert "--set training.max_steps=200" in said  # In the command that goes on with it.
    assert "another recipe" in status(study, "--set", "training.max_steps=300")
    command.write_bytes(b"lilliput 'study run\xff")
    assert "another recipe" in status(study)
