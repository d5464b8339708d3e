"""Which runs a worker trains as one: a trunk with its branches, a fleet, or a single run.

The grouping is part of the execution plan: what is once written beside runs or in the study's `groups.json` is
obeyed ever after, since how products are batched decides their rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import is_artefact
from lilliput.core.files import read_json, write_json
from lilliput.core.settings import parse_settings
from lilliput.training import RunConfig
from lilliput.training.config import PLAN
from lilliput.training.fleet import fleet_key, group_fleets
from lilliput.training.trunks import decay_share, group_trunks

# Token store and `fleet_key`: runs with the same may share a stack.
StackKey = tuple[Path, str]


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
    def label(self) -> str:
        """Its name with what tells runs of a family apart in front, for where the end may be cut."""
        family = str(self.info.get("family", ""))
        return f"{self.name.removeprefix(family)} {family}".strip()

    @property
    def is_done(self) -> bool:
        """Whether the finished run lies there."""
        return is_artefact(self.out)

    @cached_property
    def run_config(self) -> RunConfig:
        """The configuration, parsed."""
        return parse_settings(RunConfig, self.config)

    @property
    def stack_key(self) -> StackKey | None:
        """Equal for runs that may share a stack; None for one that must be trained alone."""
        key = fleet_key(self.run_config)
        return None if key is None else (self.tokens, key)


@dataclass(frozen=True)
class TaskGroup:
    """Runs that one worker trains as one; `is_trunk` says that the last is the trunk of the others."""

    tasks: tuple[RunTask, ...]
    is_trunk: bool = False

    @property
    def flops(self) -> float:
        """Executed FLOPs of the updates that will be taken; of a branch those of its decay."""
        return sum(task.flops * self._share(task) for task in self.tasks if not task.is_done)

    @property
    def is_done(self) -> bool:
        """Whether all its runs are."""
        return all(task.is_done for task in self.tasks)

    def _share(self, task: RunTask) -> float:
        if not self.is_trunk or task is self.tasks[-1]:
            return 1.0
        return decay_share(task.run_config)


def task_groups(
    tasks: Sequence[RunTask],
    sizes: Mapping[StackKey, int] | None = None,
    recorded: Sequence[Sequence[str]] = (),
) -> list[TaskGroup]:
    """The runs as workers take them.

    Fleets that were begun, then those recorded, stay as they are; runs that differ in budget alone become
    a trunk with its branches; the others are dealt into new fleets.

    Args:
        tasks: All runs.
        sizes: Runs in a fleet at most, where the recipe leaves it to measurements; 1 where absent.
        recorded: Run ids of each group that an earlier start wrote down.
    """
    waiting = {task.out.name: task for task in tasks}
    groups = [TaskGroup(fleet) for fleet in _take_fleets(waiting, _begun_fleets(tasks))]
    groups += [TaskGroup(fleet) for fleet in _take_fleets(waiting, _whole(recorded, waiting))]
    groups += [TaskGroup(trunk, is_trunk=True) for trunk in _take_trunks(waiting)]
    groups += [TaskGroup((task,)) for task in _take_lone(waiting, recorded)]
    free: dict[tuple[Path, int], list[RunTask]] = {}
    for task in waiting.values():
        free.setdefault((task.tokens, _fleet_size(task, sizes or {})), []).append(task)
    for (_, size), members in free.items():
        parts = group_fleets([task.run_config for task in members], size)
        groups += [TaskGroup(tuple(members[i] for i in part)) for part in parts]
    return groups


def _begun_fleets(tasks: Sequence[RunTask]) -> Iterator[tuple[str, ...]]:
    """The fleets that the plans beside the runs name."""
    for task in tasks:
        fleet = _fleet_in_plan(task)
        if fleet:
            yield fleet


def _fleet_in_plan(task: RunTask) -> tuple[str, ...] | None:
    """The fleet in the plan beside the run, empty for one begun alone; None where it has no plan."""
    path = task.out / PLAN
    return tuple(read_json(path).get("fleet", ())) if path.is_file() else None


def _whole(
    recorded: Sequence[Sequence[str]], waiting: Mapping[str, RunTask]
) -> Iterator[tuple[str, ...]]:
    """The recorded fleets of which no member was begun alone."""
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


def _take_trunks(waiting: dict[str, RunTask]) -> Iterator[tuple[RunTask, ...]]:
    by_store: dict[Path, list[RunTask]] = {}
    for task in waiting.values():
        by_store.setdefault(task.tokens, []).append(task)
    for members in by_store.values():
        for group in group_trunks([task.run_config for task in members]):
            yield tuple(waiting.pop(members[position].out.name) for position in group)


def _take_lone(waiting: dict[str, RunTask], recorded: Sequence[Sequence[str]]) -> Iterator[RunTask]:
    """The runs that were begun alone, or shall be as an earlier start wrote down."""
    lone = {name for group in recorded if len(group) == 1 for name in group}
    for name, task in list(waiting.items()):
        if name in lone or _fleet_in_plan(task) is not None:
            yield waiting.pop(name)


def _fleet_size(task: RunTask, sizes: Mapping[StackKey, int]) -> int:
    size = task.run_config.training.fleet_size
    if size != "auto":
        return size
    key = task.stack_key
    return 1 if key is None else sizes.get(key, 1)


def read_groups(path: Path) -> list[list[str]]:
    """Run ids of each group that an earlier start wrote to `path`; none before the first."""
    return read_json(path)["groups"] if path.is_file() else []


def write_groups(path: Path, groups: Sequence[TaskGroup]) -> None:
    """Write the ids of the runs of every group, trunks left out: those follow from the runs."""
    ids = [[task.out.name for task in group.tasks] for group in groups if not group.is_trunk]
    if not path.is_file() or sorted(read_groups(path)) != sorted(ids):
        write_json(path, {"groups": ids})
