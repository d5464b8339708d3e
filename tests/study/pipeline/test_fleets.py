"""The stage that trains a study's runs, where the recipe asks for fleets."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.training.conftest import tiny_model, write_store

from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.executors import InlineExecutor, ProcessExecutor
from lilliput.core.files import read_json
from lilliput.core.progress import SILENT
from lilliput.study.pipeline.stages import training as stage
from lilliput.study.pipeline.stages.groups import RunTask, group_flops, task_groups
from lilliput.study.pipeline.stages.training import train_group, train_runs
from lilliput.study.store.failures import FAILURE
from lilliput.training import RunConfig, run_identity
from lilliput.training.execution.engine import Engine
from lilliput.training.fleet.stack import Stack


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "tokens")


def tasks_in(
    folder: Path, tokens: Path, runs: list[dict[str, Any]], size: int | str
) -> list[RunTask]:
    """A task for each run, given by what it has of its own."""
    tasks: list[RunTask] = []
    for number, own in enumerate(runs):
        training = {
            "max_seq_length": 32, "global_batch_size": 16, "max_steps": 3, "eval_sequences": 16,
            "threads": 1, "dtype": "float32", "device": "cpu", "fleet_size": size,
            **{key: value for key, value in own.items() if key not in {"seed", "width"}},
        }  # fmt: skip
        model = tiny_model(intermediate_size=own.get("width", 32))
        config = RunConfig(model=model, training=training, seed=own.get("seed", 0))  # pyright: ignore[reportArgumentType]
        out = folder / run_identity(config, read_manifest(tokens))
        record = config.model_dump(mode="json")
        info = {"name": str(number), "shape": "tiny"}
        tasks.append(RunTask(f"run {number}", record, tokens, out, info, 1.0))
    return tasks


RUNS = [
    {"seed": 0}, {"seed": 1}, {"seed": 2}, {"seed": 0, "width": 64}, {"seed": 1, "width": 64},
    {"seed": 0, "switches": {"dropout": 0.1}}, {"seed": 0, "learning_rate": 2e-3},
]  # fmt: skip


def sizes(groups) -> list[int]:
    return sorted(len(group.runs) for group in groups)


def test_runs_of_one_shape_are_grouped_up_to_the_recipes_size(tokens, tmp_path):
    for size, expected in ((1, [1] * 7), (2, [1, 2, 2, 2]), (8, [1, 2, 4])):
        groups = task_groups(tasks_in(tmp_path, tokens, RUNS, size))
        assert sizes(groups) == expected
        assert sum(group_flops(group) for group in groups) == 7.0


def test_what_was_begun_keeps_its_grouping(tokens, tmp_path, monkeypatch):
    """Both a fleet, whatever size is asked for now, and a run that was begun alone."""
    tasks = tasks_in(tmp_path, tokens, RUNS[:3], 8)

    class StopError(BaseException):  # As a kill: nothing is noted of it.
        pass

    def stop(*_: object) -> None:
        raise StopError

    with monkeypatch.context() as patch:
        patch.setattr(Stack, "step", stop)
        with pytest.raises(StopError):
            train_group(task_groups(tasks)[0])
    assert sizes(task_groups(tasks_in(tmp_path, tokens, RUNS[:3], 1))) == [3]
    alone = tasks_in(tmp_path / "alone", tokens, RUNS[:3], 1)
    train_group(task_groups(alone[:1])[0])
    assert sizes(task_groups(tasks_in(tmp_path / "alone", tokens, RUNS[:3], 8))) == [1, 2]


@pytest.mark.parametrize("size", [1, 2])
def test_a_run_that_raises_is_marked_and_told_where(tokens, tmp_path, monkeypatch, size):
    """Alone or in a fleet; an error of torch or Python is not the end of the study."""
    tasks = tasks_in(tmp_path, tokens, RUNS[:2], size)

    def burst(*_: object) -> None:
        raise RuntimeError("CUDA error: out of memory")

    groups = task_groups(tasks)
    with monkeypatch.context() as patch:
        patch.setattr(Stack, "step", burst)
        patch.setattr(Engine, "step", burst)
        failed = [name for group in groups for name, _ in train_group(group)]
    assert sorted(failed) == ["run 0", "run 1"]
    record = read_json(tasks[0].out / FAILURE)
    assert record["code"] == "run_raised"
    assert record["got"].startswith(
        "RuntimeError: CUDA error: out of memory (test_fleets.py, line "
    )
    assert [train_group(group) for group in groups] == [[]] * len(groups)
    assert all(is_artefact(task.out) and not (task.out / FAILURE).exists() for task in tasks)


@contextmanager
def _unwatched(*_: object):
    yield


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_a_study_trains_fleets_and_tells_who_failed(tokens, tmp_path, monkeypatch, executor):
    wild = {"seed": 1, "learning_rate": 1e30, "switches": {"max_grad_norm": 0.0}}
    calm = [{"seed": s, "switches": {"max_grad_norm": 0.0}} for s in (0, 2)]
    tasks = tasks_in(tmp_path, tokens, [calm[0], wild, calm[1]], 3)
    assert sizes(task_groups(tasks)) == [3]
    monkeypatch.setattr(stage, "run_tasks", lambda _: tasks)
    monkeypatch.setattr(stage, "watching", _unwatched)
    with InlineExecutor() if executor == "inline" else ProcessExecutor(1) as pool:
        layout = SimpleNamespace(groups=tmp_path / "groups.json")
        context: Any = SimpleNamespace(executor=pool, reporter=SILENT, layout=layout)
        trained = train_runs(context)
        assert [name for name, _ in trained.failures] == ["run 1"]
        assert trained.done == (tasks[0].out, tasks[2].out)
        record = read_json(tasks[1].out / FAILURE)
        assert "learning rate 1e+30" in record["rule"]
        assert not is_artefact(tasks[1].out)
        again = train_runs(context)
    assert (again.skipped, len(again.failures)) == (2, 1)
    assert read_json(tasks[0].out / "plan.json")["fleet"] == [task.out.name for task in tasks]
