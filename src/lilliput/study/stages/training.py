"""Stage: every run of the grid, on the executor's workers, each with its own failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.errors import LilliputError
from lilliput.core.files import read_json, write_json
from lilliput.core.settings import parse_settings
from lilliput.study.context import StudyContext
from lilliput.study.expand import planned_runs
from lilliput.study.plan import run_flops, run_tokens
from lilliput.study.runs import FAILURE
from lilliput.study.watch import watching
from lilliput.tokenization import open_store
from lilliput.training import RunConfig, run_identity
from lilliput.training.config import PLAN
from lilliput.training.fleet import group_fleets


@dataclass(frozen=True)
class RunTask:
    """One run as its worker needs it: plain data and paths.

    Attributes:
        name: What people call the run.
        config: The resolved configuration.
        tokens: Folder of the token store.
        out: Folder of the run.
        info: What stands beside the configuration.
        flops: Executed FLOPs that the run will take, for foretelling the time left.
    """

    name: str
    config: Mapping[str, Any]
    tokens: Path
    out: Path
    info: Mapping[str, Any]
    flops: float

    @property
    def is_done(self) -> bool:
        """Whether the finished run lies there."""
        return is_artefact(self.out)


@dataclass(frozen=True)
class TrainedRuns:
    """What the stage leaves: the folders of finished runs, those recognised, and the failures."""

    done: tuple[Path, ...]
    skipped: int
    failures: tuple[tuple[str, str], ...]


def train_runs(context: StudyContext) -> TrainedRuns:
    """Train every run of the grid that is not done yet; a failing run does not stop the others."""
    tasks = run_tasks(context)
    waiting = [task for task in tasks if not task.is_done]
    groups = [
        group for group in task_groups(tasks) if not all(task.is_done for task in group.tasks)
    ]
    # The largest first, so that no worker is left alone with one at the end.
    groups.sort(key=lambda group: -group.flops)
    failures: list[tuple[str, str]] = []
    with watching(context.reporter, waiting):
        for _, failed in context.executor.map(train_group, groups):
            for name, message in failed:
                failures.append((name, message))
                context.reporter.say(f"failed: {name}: {message}")
    done = tuple(task.out for task in tasks if task.is_done)
    return TrainedRuns(done, len(tasks) - len(waiting), tuple(failures))


@dataclass(frozen=True)
class TaskGroup:
    """Runs that one worker trains as one: a fleet, or a single run."""

    tasks: tuple[RunTask, ...]

    @property
    def flops(self) -> float:
        """Executed FLOPs of the runs that are not done."""
        return sum(task.flops for task in self.tasks if not task.is_done)


def task_groups(tasks: Sequence[RunTask]) -> list[TaskGroup]:
    """The runs as workers take them; those begun as a fleet stay the fleet that their plan names.

    New fleets hold at most `training.fleet_size` runs of one shape on one token store.
    """
    by_id = {task.out.name: task for task in tasks}
    groups: list[TaskGroup] = []
    free: dict[tuple[Path, int], list[RunTask]] = {}
    taken: set[str] = set()
    for name, task in by_id.items():
        fleet = _begun_fleet(task)
        if name in taken:
            continue
        if fleet and all(member in by_id for member in fleet):
            taken.update(fleet)
            groups.append(TaskGroup(tuple(by_id[member] for member in fleet)))
        else:
            # What was begun alone stays alone.
            size = 1 if fleet is not None else int(task.config["training"]["fleet_size"])
            free.setdefault((task.tokens, size), []).append(task)
    for (_, size), members in free.items():
        rest = [task for task in members if task.out.name not in taken]
        configs = [parse_settings(RunConfig, task.config) for task in rest]
        groups += [TaskGroup(tuple(rest[i] for i in part)) for part in group_fleets(configs, size)]
    return groups


def _begun_fleet(task: RunTask) -> tuple[str, ...] | None:
    """The fleet in the plan beside the run, empty for one begun alone; None where it has no plan."""
    path = task.out / PLAN
    return tuple(read_json(path).get("fleet", ())) if path.is_file() else None


def train_group(group: TaskGroup) -> list[tuple[str, str]]:
    """Train a group in this process; name and message of each run that failed."""
    for task in group.tasks:
        (task.out / FAILURE).unlink(missing_ok=True)
    failed = _train_alone(group.tasks[0]) if len(group.tasks) == 1 else _train_together(group.tasks)
    for task, error in failed:
        write_json(task.out / FAILURE, error.as_record())
    return [(task.name, str(error)) for task, error in failed]


def _train_alone(task: RunTask) -> list[tuple[RunTask, LilliputError]]:
    from lilliput.training import train

    try:
        train(parse_settings(RunConfig, task.config), task.tokens, task.out, info=task.info)
    except LilliputError as error:
        return [(task, error)]
    return []


def _train_together(tasks: Sequence[RunTask]) -> list[tuple[RunTask, LilliputError]]:
    from lilliput.training.fleet import FleetMember, train_fleet

    members = [
        FleetMember(parse_settings(RunConfig, task.config), task.out, task.info) for task in tasks
    ]
    try:
        results = train_fleet(members, tasks[0].tokens)
    except LilliputError as error:
        return [(task, error) for task in tasks if not task.is_done]
    return [
        (task, result)
        for task, result in zip(tasks, results, strict=True)
        if isinstance(result, LilliputError)
    ]


def run_tasks(context: StudyContext) -> list[RunTask]:
    """The runs of the grid with their ids, which follow from the token stores."""
    runs = planned_runs(context.recipe)
    stores = {run.language: context.layout.tokens(run.language) for run in runs}
    manifests = {language: read_manifest(store, "tokens") for language, store in stores.items()}
    vocab_sizes = {language: open_store(store).vocab_size for language, store in stores.items()}
    tasks: list[RunTask] = []
    for run in runs:
        config = run.config(vocab_sizes[run.language])
        folder = context.layout.run(run_identity(config, manifests[run.language]))
        tokens = run_tokens(config, manifests[run.language].facts) or 0.0
        tasks.append(
            RunTask(
                name=run.name,
                config=config.model_dump(mode="json"),
                tokens=stores[run.language],
                out=folder,
                info=run.info(),
                flops=run_flops(config, tokens)["flops_executed_masked"],
            )
        )
    return tasks
