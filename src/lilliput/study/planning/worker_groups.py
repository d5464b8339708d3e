"""Worker groups: the runs that one worker trains as one. No torch here.

A worker group is a single run, a trunk with its branches, or a stack of runs of one shape (a fleet). Both the
plan and the training stage form their groups here. For example, ten runs of one shape that may share stacks of
at most 4 become stacks of 3, 3 and 4: as many as are needed, of about equal size.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

from lilliput.core.progress import Reporter
from lilliput.study.planning.estimates import RunEstimate
from lilliput.study.planning.probe import MeasuredSpeed, probe_key
from lilliput.study.planning.stacking import MeasuredStack, best_stack, make_missing_trials
from lilliput.training.fleet import fleet_key
from lilliput.training.run_config import RunConfig
from lilliput.training.trunks import group_trunks


class GroupedRun(Protocol):
    """Says what must be known of a run to put it into a group."""

    @property
    def run_config(self) -> RunConfig:
        """Return the whole configuration of the run."""
        ...

    @property
    def data(self) -> Hashable:
        """Return what it learns: only runs that learn the same tokens share a group."""
        ...


R = TypeVar("R", bound=GroupedRun)

# What a run learns and its `fleet_key`: runs that have the same may share a stack.
StackKey = tuple[Hashable, str]


@dataclass(frozen=True)
class WorkerGroup(Generic[R]):
    """Runs that one worker trains as one.

    Attributes:
        runs: The runs; of a trunk with its branches, the trunk is the last.
        is_trunk: Whether they are a trunk with its branches.
    """

    runs: tuple[R, ...]
    is_trunk: bool = False


def stack_key(run: GroupedRun) -> StackKey | None:
    """Return a key that is equal for runs that may share a stack; None for a run that must be trained alone."""
    key = fleet_key(run.run_config)
    return None if key is None else (run.data, key)


def group_runs(
    runs: Sequence[R], stack_sizes: Mapping[StackKey, int] | None = None
) -> list[WorkerGroup[R]]:
    """Group the runs for workers: trunks with their branches, then single runs and stacks.

    Args:
        runs: The runs, none of which is in a group yet.
        stack_sizes: Most runs in a stack, where the recipe leaves it to measurements; 1 where absent.
    """
    trunks = group_by_trunk(runs)
    in_trunks = {id(run) for trunk in trunks for run in trunk.runs}
    others = [run for run in runs if id(run) not in in_trunks]
    return [*trunks, *group_in_stacks(others, stack_sizes)]


def group_by_trunk(runs: Sequence[R]) -> list[WorkerGroup[R]]:
    """Group the runs that differ in budget alone, the longest of each group last; the others are left out."""
    by_data: dict[Hashable, list[R]] = {}
    for run in runs:
        by_data.setdefault(run.data, []).append(run)
    return [
        WorkerGroup(tuple(members[position] for position in positions), is_trunk=True)
        for members in by_data.values()
        for positions in group_trunks([run.run_config for run in members])
    ]


def group_in_stacks(
    runs: Sequence[R], stack_sizes: Mapping[StackKey, int] | None = None
) -> list[WorkerGroup[R]]:
    """Group the runs that may share a stack; a run that must be trained alone is a group of one.

    Args:
        runs: The runs, none of which is in a group yet.
        stack_sizes: Most runs in a stack, where the recipe leaves it to measurements; 1 where absent.
    """
    groups: list[WorkerGroup[R]] = []
    by_key: dict[StackKey, list[R]] = {}
    for run in runs:
        key = stack_key(run)
        if key is None:
            groups.append(WorkerGroup((run,)))
        else:
            by_key.setdefault(key, []).append(run)
    for key, members in by_key.items():
        size = _size(key, members, stack_sizes or {})
        groups += [WorkerGroup(part) for part in _in_stacks(members, size)]
    return groups


def _size(key: StackKey, members: Sequence[GroupedRun], sizes: Mapping[StackKey, int]) -> int:
    """Return how many runs a stack holds at most: as the recipe has it, or as was measured."""
    asked = members[0].run_config.training.fleet_size
    return sizes.get(key, 1) if asked == "auto" else asked


def _in_stacks(members: Sequence[R], size: int) -> Iterator[tuple[R, ...]]:
    """Yield the runs in their order, in as few parts as stacks of `size` make, about equal in size."""
    parts = -(-len(members) // size)
    borders = [len(members) * part // parts for part in range(parts + 1)]
    for low, high in pairwise(borders):
        yield tuple(members[low:high])


@dataclass(frozen=True)
class PlannedGroups:
    """Says how waiting runs will be shared out among workers.

    Attributes:
        groups: The worker groups.
        stacks: The stack that pays, for each shape that has one.
        measured: Measurements by `probe_key`; of a shape that is stacked, its share of the stack.
    """

    groups: Sequence[WorkerGroup[RunEstimate]]
    stacks: Mapping[str, MeasuredStack]
    measured: Mapping[str, MeasuredSpeed]


def plan_groups(
    waiting: Sequence[RunEstimate],
    measured: Mapping[str, MeasuredSpeed],
    workers: int,
    reporter: Reporter | None = None,
) -> PlannedGroups:
    """Return the groups of the waiting runs, by trials of stacks in the cache or, with a reporter, made now.

    Args:
        waiting: Runs that are not done.
        measured: What is known of runs alone, by `probe_key`.
        workers: Groups that are trained at once.
        reporter: Where the progress of trials goes.
    """
    free: dict[StackKey, list[RunEstimate]] = {}
    for group in group_runs(waiting):
        (first, *others), key = group.runs, stack_key(group.runs[0])
        if key and not others and first.run_config.training.fleet_size == "auto":
            free.setdefault(key, []).append(first)
    if reporter is not None:
        shapes = [(members[0].run_config, len(members)) for members in free.values()]
        make_missing_trials(shapes, workers, reporter)
    sizes: dict[StackKey, int] = {}
    stacks: dict[str, MeasuredStack] = {}
    shared: dict[str, MeasuredSpeed] = {}
    for key, members in free.items():
        config = members[0].run_config
        if stack := best_stack(config, len(members), workers):
            sizes[key] = stack.size
            stacks[members[0].shape] = stack
            shared[probe_key(config, workers)] = stack.as_measured()
    return PlannedGroups(group_runs(waiting, sizes), stacks, {**measured, **shared})
