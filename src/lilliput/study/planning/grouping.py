"""What a worker will take at a time: a run, a trunk with its branches, or a stack. No torch here.

`stages.groups` decides it when training begins; this foretells it, from shapes and cached trials alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lilliput.core.progress import Reporter
from lilliput.study.planning.estimates import RunEstimate
from lilliput.study.planning.probe import Measured, probe_key
from lilliput.study.planning.stacking import Stack, best_stack, make_missing_trials
from lilliput.training.fleet import fleet_key


@dataclass(frozen=True)
class Turns:
    """How runs are shared out among workers.

    Attributes:
        groups: Runs that one worker trains as one.
        stacks: Shape to the stack of its runs that pays.
        measured: By `probe_key`, of a shape that is stacked its share of the stack.
    """

    groups: Sequence[Sequence[RunEstimate]]
    stacks: Mapping[str, Stack]
    measured: Mapping[str, Measured]


def foretell_turns(
    waiting: Sequence[RunEstimate],
    measured: Mapping[str, Measured],
    workers: int,
    reporter: Reporter | None = None,
) -> Turns:
    """The turns of the runs, by trials of stacks in the cache or, with a reporter, made now.

    Args:
        waiting: Runs that are not done.
        measured: What is known of runs alone, by `probe_key`.
        workers: Groups that are trained at once.
        reporter: Where the progress of trials goes.
    """
    groups, stackable = _sorted_out(waiting)
    free = [members for members in stackable if _fleet_size(members) == "auto"]
    if reporter is not None:
        shapes = [(members[0].config, len(members)) for members in free]
        make_missing_trials(shapes, workers, reporter)
    stacks: dict[str, Stack] = {}
    shared: dict[str, Measured] = {}
    for members in stackable:
        size, config = _fleet_size(members), members[0].config
        if size == "auto":
            stack = best_stack(config, len(members), workers)
            size = stack.size if stack else 1
            if stack:
                stacks[members[0].shape] = stack
                shared[probe_key(config, workers)] = stack.as_measured()
        groups += _dealt(members, size)
    return Turns(groups, stacks, {**measured, **shared})


def _sorted_out(
    waiting: Sequence[RunEstimate],
) -> tuple[list[Sequence[RunEstimate]], list[Sequence[RunEstimate]]]:
    """Trunks and runs that must be trained alone; then those that may share a stack, together."""
    groups: list[Sequence[RunEstimate]] = []
    trunks: dict[str, list[RunEstimate]] = defaultdict(list)
    by_key: dict[tuple[str, str], list[RunEstimate]] = defaultdict(list)
    for one in waiting:
        if one.trunk:
            trunks[one.trunk].append(one)
        elif key := fleet_key(one.config):
            by_key[one.run.language, key].append(one)
        else:
            groups.append([one])
    return [*groups, *trunks.values()], list(by_key.values())


def _fleet_size(members: Sequence[RunEstimate]) -> int | Literal["auto"]:
    """As the recipe has it; one for all that may share a stack."""
    return members[0].config.training.fleet_size


def _dealt(members: Sequence[RunEstimate], size: int) -> Iterator[Sequence[RunEstimate]]:
    """The runs in as many parts as stacks of `size` make, about equal."""
    parts = -(-len(members) // size)
    each = -(-len(members) // parts)
    for start in range(0, len(members), each):
        yield members[start : start + each]
