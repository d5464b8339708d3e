"""Form the worker groups of the training stage, as an earlier start wrote them down or as they are formed now.

The grouping is part of the execution plan: what is once written beside runs or in the study's `groups.json` is
followed from then on, since how products are batched decides their rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import is_artefact
from lilliput.core.files import write_json
from lilliput.core.reader import read_record
from lilliput.core.settings import parse_settings
from lilliput.study.planning.worker_groups import (
    StackKey,
    WorkerGroup,
    group_by_trunk,
    group_in_stacks,
)
from lilliput.training import RunConfig
from lilliput.training.execution.plan import read_plan
from lilliput.training.run_config import PLAN
from lilliput.training.trunks import decay_share


@dataclass(frozen=True)
class RunTask:
    """One run as its worker needs it: plain data and paths.

    Attributes:
        name: What people call the run.
        config: The resolved configuration.
        tokens: Folder of the token store.
        out: Folder of the run.
        info: What stands beside the configuration.
        flops: Executed FLOPs that the run will take, from which the time left is estimated.
        level: 0 for a run that needs no other, else one more than the highest level of those that it needs.
    """

    name: str
    config: Mapping[str, Any]
    tokens: Path
    out: Path
    info: Mapping[str, Any]
    flops: float
    level: int = 0

    @property
    def label(self) -> str:
        """Its name, with what distinguishes it within its family in front, since the end may be cut."""
        family = str(self.info.get("family", ""))
        return f"{self.name.removeprefix(family)} {family}".strip()

    @property
    def is_done(self) -> bool:
        """Return whether the finished run lies there."""
        return is_artefact(self.out)

    @property
    def run_config(self) -> RunConfig:
        """Return the parsed configuration."""
        return self._parsed

    @cached_property
    def _parsed(self) -> RunConfig:
        return parse_settings(RunConfig, self.config)

    @property
    def data(self) -> Path:
        """Return the token store: runs of one group learn the same tokens."""
        return self.tokens


TaskGroup = WorkerGroup[RunTask]


def is_group_done(group: TaskGroup) -> bool:
    """Return whether all runs of the group are done."""
    return all(task.is_done for task in group.runs)


def group_flops(group: TaskGroup) -> float:
    """Return the executed FLOPs of the steps that will be taken; of a branch those of its decay."""
    return sum(task.flops * _trained_share(group, task) for task in group.runs if not task.is_done)


def _trained_share(group: TaskGroup, task: RunTask) -> float:
    is_branch = group.is_trunk and task is not group.runs[-1]
    return decay_share(task.run_config) if is_branch else 1.0


def task_groups(
    tasks: Sequence[RunTask],
    sizes: Mapping[StackKey, int] | None = None,
    recorded: Sequence[Sequence[str]] = (),
) -> list[TaskGroup]:
    """Return the worker groups of the runs.

    Stacks that were begun, then those recorded, stay as they are; the other runs are grouped anew:
    trunks with their branches first, then runs that were begun alone, then new stacks.

    Args:
        tasks: All runs.
        sizes: Most runs in a stack, where the recipe leaves it to measurements; 1 where absent.
        recorded: Run ids of each group that an earlier start wrote down.
    """
    waiting = {task.out.name: task for task in tasks}
    groups = [TaskGroup(fleet) for fleet in _take_fleets(waiting, _begun_fleets(tasks))]
    groups += [TaskGroup(fleet) for fleet in _take_fleets(waiting, _whole(recorded, waiting))]
    trunks = group_by_trunk(list(waiting.values()))
    for task in (task for trunk in trunks for task in trunk.runs):
        del waiting[task.out.name]
    lone = [TaskGroup((task,)) for task in _take_lone(waiting, recorded)]
    return [*groups, *trunks, *lone, *group_in_stacks(list(waiting.values()), sizes)]


def _begun_fleets(tasks: Sequence[RunTask]) -> Iterator[tuple[str, ...]]:
    """Yield the fleets that the plans beside the runs name."""
    for task in tasks:
        fleet = _fleet_in_plan(task)
        if fleet:
            yield fleet


def _fleet_in_plan(task: RunTask) -> tuple[str, ...] | None:
    """Return the fleet in the plan beside the run, empty for one begun alone; None where it has no plan."""
    path = task.out / PLAN
    return read_plan(path).fleet if path.is_file() else None


def _whole(
    recorded: Sequence[Sequence[str]], waiting: Mapping[str, RunTask]
) -> Iterator[tuple[str, ...]]:
    """Yield the recorded fleets of which no member was begun alone."""
    for group in recorded:
        members = [waiting[name] for name in group if name in waiting]
        if len(group) > 1 and all(_fleet_in_plan(task) is None for task in members):
            yield tuple(group)


def _take_fleets(
    waiting: dict[str, RunTask], fleets: Iterator[tuple[str, ...]]
) -> Iterator[tuple[RunTask, ...]]:
    for fleet in fleets:
        if all(name in waiting for name in fleet):
            yield tuple(waiting.pop(name) for name in fleet)


def _take_lone(waiting: dict[str, RunTask], recorded: Sequence[Sequence[str]]) -> Iterator[RunTask]:
    """Yield the runs that were begun alone, or shall be as an earlier start wrote down."""
    lone = {name for group in recorded if len(group) == 1 for name in group}
    for name, task in list(waiting.items()):
        if name in lone or _fleet_in_plan(task) is not None:
            yield waiting.pop(name)


def read_groups(path: Path) -> list[list[str]]:
    """Return the run ids of each group that an earlier start wrote to `path`; none before the first."""
    return read_record(path, dict[str, list[list[str]]], absent={"groups": []})["groups"]


def write_groups(path: Path, groups: Sequence[TaskGroup]) -> None:
    """Write the ids of the runs of every group, trunks left out: those follow from the runs."""
    ids = [[task.out.name for task in group.runs] for group in groups if not group.is_trunk]
    if not path.is_file() or sorted(read_groups(path)) != sorted(ids):
        write_json(path, {"groups": ids})
