"""Whether runs are stacked is decided by trials, once, and obeyed ever after."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.study.pipeline.test_fleets import _unwatched, sizes, tasks_in
from tests.training.conftest import write_store

from lilliput.core.errors import DiskFullError
from lilliput.core.executors import InlineExecutor
from lilliput.core.files import read_json, write_json
from lilliput.core.progress import SILENT
from lilliput.study import load_recipe, plan_study
from lilliput.study.pipeline.stages import training as stage
from lilliput.study.pipeline.stages.groups import RunTask, TaskGroup
from lilliput.study.planning import stacking
from lilliput.study.planning.probe import MeasuredSpeed, probe_key
from lilliput.study.planning.stacking import (
    MeasuredStack,
    best_stack,
    measure_stack,
    missing_trials,
)
from lilliput.study.recipe.expansion import expand_recipe
from lilliput.training import RunConfig

SEEDS = [{"seed": seed} for seed in range(5)]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "tokens")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def tried(config: RunConfig, count: int, workers: int, **speedups: float) -> None:
    """Put trials into the cache: `of_4=2.0` says that four together are twice as fast."""
    for dump, size in missing_trials(config, count, workers):
        stack = MeasuredStack(
            size, speedups[f"of_{size}"] * 1000.0, speedups[f"of_{size}"], 5e8, 0.0
        )
        run: RunConfig = RunConfig(**dump)
        write_json(stacking._path(run, size, workers), asdict(stack))


def context_of(tmp_path: Path, workers: int = 1) -> Any:
    executor = InlineExecutor()
    executor.workers = workers
    layout = SimpleNamespace(groups=tmp_path / "groups.json")
    return SimpleNamespace(executor=executor, reporter=SILENT, layout=layout)


def planned(tmp_path: Path, tasks: list[RunTask], workers: int = 1) -> list[TaskGroup]:
    return stage._planned_groups(context_of(tmp_path, workers), tasks)


@pytest.mark.parametrize(
    ("speedups", "expected"),
    [({"of_4": 2.0, "of_5": 1.5}, 4), ({"of_4": 1.2, "of_5": 1.5}, 5), ({"of_4": 1.1, "of_5": 0.5}, None)],
)  # fmt: skip
def test_the_fastest_stack_is_taken_where_it_pays(tokens, tmp_path, speedups, expected):
    config = tasks_in(tmp_path, tokens, SEEDS, "auto")[0].run_config
    assert best_stack(config, 5, 1) is None
    tried(config, 5, 1, **speedups)
    stack = best_stack(config, 5, 1)
    assert (stack and stack.size) == expected
    assert missing_trials(config, 5, 1) == []


def test_no_stack_leaves_a_worker_idle(tokens, tmp_path):
    config = tasks_in(tmp_path, tokens, SEEDS, "auto")[0].run_config
    assert [size for _, size in missing_trials(config, 16, 2)] == [4, 8]
    assert [size for _, size in missing_trials(config, 400, 2)] == [4, 16, 64]
    assert [size for _, size in missing_trials(config, 4, 2)] == [2]
    assert missing_trials(config, 2, 2) == []


def test_what_a_first_start_decided_is_obeyed_whatever_later_trials_say(tokens, tmp_path):
    tasks = tasks_in(tmp_path, tokens, SEEDS, "auto")
    assert sizes(planned(tmp_path / "untried", tasks)) == [1] * 5
    tried(tasks[0].run_config, 5, 1, of_4=2.0, of_5=1.5)
    assert sizes(planned(tmp_path / "untried", tasks)) == [1] * 5
    first = planned(tmp_path / "tried", tasks)
    assert sizes(first) == [2, 3]
    ids = [[task.out.name for task in group.runs] for group in first]
    assert read_json(tmp_path / "tried" / "groups.json") == {"groups": ids}
    stack = stacking._path(tasks[0].run_config, 4, 1)
    write_json(stack, asdict(replace(MeasuredStack(**read_json(stack)), speedup=0.5)))
    again = planned(tmp_path / "tried", tasks)
    assert [[task.out.name for task in group.runs] for group in again] == ids


def test_runs_that_came_since_are_groups_of_their_own(tokens, tmp_path):
    tasks = tasks_in(tmp_path, tokens, [*SEEDS, {"seed": 5}, {"seed": 6}], "auto")
    tried(tasks[0].run_config, 5, 1, of_4=2.0, of_5=3.0)
    tried(tasks[0].run_config, 2, 1, of_2=2.0)
    before = planned(tmp_path, tasks[:5])
    after = planned(tmp_path, tasks)
    assert sizes(before) == [5]
    assert sizes(after) == [2, 5]
    assert before[0].runs == after[0].runs


def test_long_work_is_tried_first_and_short_work_is_not(tokens, tmp_path, monkeypatch, cache):
    tasks = tasks_in(tmp_path, tokens, SEEDS[:2], "auto")
    monkeypatch.setattr(stage, "watching", _unwatched)
    monkeypatch.setattr(stage, "run_tasks", lambda _: tasks)
    monkeypatch.setattr(stacking, "_MOST_STEPS", 3)
    planned(tmp_path / "short", tasks)
    assert not (cache / "lilliput" / "stacks").exists()
    long = [replace(task, flops=1e15) for task in tasks]
    planned(tmp_path / "long", long)
    (path,) = (cache / "lilliput" / "stacks").glob("*.json")
    found = MeasuredStack(**read_json(path))
    assert found.size == 2
    assert found.tokens_per_s > 0
    assert found.speedup > 0
    assert found.memory_bytes > 1e8  # An interpreter with torch.
    # Either way the runs are what they would be: the stage ends well.
    trained = stage.train_runs(context_of(tmp_path / "long"))
    assert (len(trained.done), trained.failures) == (2, ())


def test_a_cache_that_cannot_be_written_stops_nothing(tokens, tmp_path, monkeypatch):
    def refuse(path: Path, _: object) -> None:
        raise DiskFullError(f"{path} must be writable")

    monkeypatch.setattr(stacking, "_MOST_STEPS", 3)
    monkeypatch.setattr(stacking, "write_json", refuse)
    tasks = [replace(t, flops=1e15) for t in tasks_in(tmp_path, tokens, SEEDS[:2], "auto")]
    assert sizes(planned(tmp_path, tasks)) == [1, 1]


def test_a_stack_that_does_not_fit_does_not_pay(tokens, tmp_path, monkeypatch):
    from lilliput.training import fleet

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(fleet.run, "train_fleet", full)
    monkeypatch.setattr(stacking, "_MOST_STEPS", 3)
    config = tasks_in(tmp_path, tokens, SEEDS, "auto")[0].run_config
    assert MeasuredStack(**measure_stack((config.model_dump(mode="json"), 4))).speedup == 0.0


def test_updates_longer_than_a_trial_are_not_stacked(tokens, tmp_path, monkeypatch):
    from lilliput.training import fleet

    monkeypatch.setattr(fleet.run, "train_fleet", None)
    monkeypatch.setattr(stacking, "_TRIAL_S", 1e-9)
    config = tasks_in(tmp_path, tokens, SEEDS, "auto")[0].run_config
    assert MeasuredStack(**measure_stack((config.model_dump(mode="json"), 4))).speedup == 1.0


def test_a_plan_estimates_the_stacks_and_their_hours(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(
        str(recipe_file), ["grid=[{languages=['invented'],seeds=[0,1,2,3],shapes=['8/8/16/1/1']}]"]
    )
    config = expand_recipe(recipe).runs[0].config(300)
    probe = tmp_path / "cache" / "lilliput" / "probes" / f"{probe_key(config, 1)}.json"
    write_json(probe, asdict(MeasuredSpeed(1000.0, 4e8, 0.0)))
    alone = plan_study(recipe, tmp_path / "none")
    tried(config, 4, 1, of_4=2.0)
    stacked = plan_study(recipe, tmp_path / "none")
    assert (alone.stacks, stacked.stacks) == ({}, {"8/8/16/1/1": 4})
    assert alone.hours is not None
    assert stacked.hours is not None
    assert stacked.hours.value == pytest.approx(alone.hours.value / 2)
    assert stacked.memory.value == 5e8
