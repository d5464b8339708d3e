"""The stage that trains a study's runs, where they are budgets of one trunk."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.study.conftest import StudyCommand
from tests.training.conftest import tiny_model, write_store

from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.files import read_json, read_json_lines
from lilliput.core.hashing import file_hash
from lilliput.core.verification import verify
from lilliput.study import load_recipe, plan_study
from lilliput.study.pipeline.stages.groups import RunTask, TaskGroup, group_flops, task_groups
from lilliput.study.pipeline.stages.training import train_group
from lilliput.study.store.failures import FAILURE
from lilliput.training import RunConfig, run_identity
from lilliput.training.execution.engine import Engine

BUDGETS = (8, 24, 16)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "tokens")


def tasks_in(folder: Path, tokens: Path, **changes: Any) -> list[RunTask]:
    """A task for each budget and two seeds."""
    tasks: list[RunTask] = []
    for seed in (0, 1):
        for budget in BUDGETS:
            training: dict[str, Any] = {
                "max_seq_length": 32, "global_batch_size": 16, "max_steps": budget, "eval_sequences": 16,
                "lr_scheduler_type": "warmup_stable_decay", "warmup_steps": 2, "decay_ratio": 0.25,
                "threads": 1, "dtype": "float32", "device": "cpu", **changes,
            }  # fmt: skip
            config = RunConfig(model=tiny_model(), training=training, seed=seed)  # pyright: ignore[reportArgumentType]
            out = folder / run_identity(config, read_manifest(tokens))
            record = config.model_dump(mode="json")
            info = {"name": f"{seed}/{budget}"}
            tasks.append(RunTask(info["name"], record, tokens, out, info, float(budget)))
    return tasks


def remains(run: Path) -> tuple[dict[str, str], list[Mapping[str, Any]]]:
    """What a run must leave whichever way it was trained: its weights and its curve."""
    weights = {
        which: file_hash(run / "checkpoints" / which / "model.safetensors")
        for which in ("initial", "final")
    }
    curve = read_json_lines(run / "metrics.jsonl")
    return weights, [{k: v for k, v in point.items() if k != "wall_time_s"} for point in curve]


@pytest.fixture(scope="module")
def alone(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each run leaves when it is trained by itself."""
    tasks = tasks_in(tmp_path_factory.mktemp("alone"), tokens)
    for task in tasks:
        assert train_group(TaskGroup((task,))) == []
    return {task.name: remains(task.out) for task in tasks}


def test_budgets_of_one_seed_are_one_group_with_the_longest_last(tokens, tmp_path):
    groups = task_groups(tasks_in(tmp_path, tokens))
    assert [group.is_trunk for group in groups] == [True, True]
    assert [task.name for task in groups[0].runs] == ["0/8", "0/16", "0/24"]
    assert group_flops(groups[0]) == 24 + 16 * 0.25 + 8 * 0.25  # The trunk, and two decays.


@pytest.mark.parametrize(
    "change", [{"lr_scheduler_type": "cosine"}, {"warmup_steps": None}, {"decay_ratio": 1.0}]
)
def test_budgets_without_a_common_stretch_are_runs_of_their_own(tokens, tmp_path, change):
    groups = task_groups(tasks_in(tmp_path, tokens, **change))
    assert [len(group.runs) for group in groups] == [1] * 6


def test_a_trunk_is_trained_once_and_every_run_is_what_it_would_be_alone(
    tokens, tmp_path, monkeypatch, alone
):
    steps: list[int] = []
    step_of_engine = Engine.step

    def counted(self, batch, learning_rate, step):
        steps.append(step)
        return step_of_engine(self, batch, learning_rate, step)

    monkeypatch.setattr(Engine, "step", counted)
    tasks = tasks_in(tmp_path, tokens)
    for group in task_groups(tasks):
        assert train_group(group) == []
    assert len(steps) == 2 * (24 + 4 + 2)
    assert {task.name: remains(task.out) for task in tasks} == alone
    for task in tasks:
        assert read_json(task.out / "run.json")["info"] == task.info
        assert verify(task.out).mismatches == ()


def test_a_trunk_and_a_branch_that_were_killed_go_on_bitwise(tokens, tmp_path, alone):
    tasks = tasks_in(tmp_path, tokens, save_interval_s=1e-9)[:3]
    (group,) = task_groups(tasks)
    trunk, branch = group.runs[-1], group.runs[-2]
    for run in (trunk.out, branch.out):
        process = multiprocessing.get_context("spawn").Process(target=train_group, args=(group,))
        process.start()
        while not any(run.glob("checkpoints/resume-1?")):
            assert process.is_alive()
            time.sleep(0.002)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert is_artefact(trunk.out)
    assert not is_artefact(branch.out)
    assert train_group(group) == []
    assert all(remains(task.out) == alone[task.name] for task in tasks)


def test_a_trunk_that_diverges_late_keeps_its_branches(tokens, tmp_path, monkeypatch):
    step_of_engine = Engine.step

    def spoiled(self, batch, learning_rate, step):
        loss = step_of_engine(self, batch, learning_rate, step)
        return loss * float("nan") if step == 20 else loss

    monkeypatch.setattr(Engine, "step", spoiled)
    (group,) = task_groups(tasks_in(tmp_path, tokens)[:3])
    assert [name for name, _ in train_group(group)] == ["0/24"]
    assert [is_artefact(task.out) for task in group.runs] == [True, True, False]
    assert "step 20" in read_json(group.runs[-1].out / FAILURE)["rule"]


def test_a_study_with_budgets_trains_one_trunk_and_its_plan_says_so(
    recipe_file: Path, tmp_path: Path
) -> None:
    text = recipe_file.read_text().replace("seeds = [0, 1]", "seeds = [0]\nbudgets = [40, 80]")
    text = text.replace(
        "max_steps = 300",
        'max_steps = 80\nlr_scheduler_type = "warmup_stable_decay"\nwarmup_steps = 4',
    )
    path = tmp_path / "budgets.toml"
    path.write_text(text)
    study = StudyCommand(path, tmp_path / "study")
    assert plan_study(load_recipe(str(path)), study.out).branches == 2
    code, record = study.finish("--executor", "inline")
    assert (code, record["runs"], record["done"]) == (0, 4, 4)
    states = [p.parents[1].name for p in study.out.glob("runs/*/checkpoints/state-32")]
    budgets = {
        p.parent.name: read_json(p)["config"]["training"]["max_steps"]
        for p in study.out.glob("runs/*/run.json")
    }
    assert sorted(budgets[name] for name in states) == [80, 80]
    code, record = study.finish("--executor", "inline")
    assert (code, record["skipped"]) == (0, 4)
