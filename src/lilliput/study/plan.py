"""What a study will cost, before it costs anything: runs, tokens, FLOPs, hours, disk. No torch here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lilliput.architecture import FLOPS_CONVENTIONS
from lilliput.core.executors.process import threads_for
from lilliput.core.progress import SILENT, Reporter
from lilliput.study.estimates import RunEstimate, estimate_runs
from lilliput.study.expand import planned_runs
from lilliput.study.foretell import Estimate, foretell_disk, foretell_memory
from lilliput.study.growth import growth_in
from lilliput.study.hours import foretell_hours, measure_or_recall
from lilliput.study.layout import StudyLayout
from lilliput.study.packing import Packing, pack_runs
from lilliput.study.probe import Measured, cached_probe, probe_key
from lilliput.study.recipe import Recipe
from lilliput.study.search import (
    is_searched,
    key_of,
    read_rates,
    sweep_recipe,
    with_found_rates,
)
from lilliput.study.stacking import Stack, best_stack, make_missing_trials
from lilliput.training.config import RunConfig
from lilliput.training.fleet import fleet_key

_PROBE_SPREAD = 1.25  # Of memory, from a second's run to a whole one.


@dataclass(frozen=True)
class StudyPlan:
    """What is to be done.

    Attributes:
        runs: Runs of the grid.
        done: Those whose finished folder lies in the study.
        failed: Those that failed before.
        tokens: Input tokens of all runs; None while a run's budget is in epochs of an unbuilt corpus.
        hours: Wall-clock hours of training for the runs not done; None likewise.
        disk: Bytes that the runs will take.
        memory: Most bytes that one worker will hold.
        flops: Training FLOPs of all runs under each convention; empty when tokens are not known.
        by_family: Runs of each family.
        basis: What the hours rest on, in words.
        search_runs: Short runs of the learning-rate search, which come on top; 0 when it is done.
        packing: How many runs share a device; None unless asked for.
        branches: Runs that start from the state of a longer one; only their decay is trained.
        stacks: Of each shape that trials found to pay as a stack, how many runs one holds at most.
    """

    runs: int
    done: int
    failed: int
    tokens: float | None
    hours: Estimate | None
    disk: Estimate
    memory: Estimate
    flops: Mapping[str, float]
    by_family: Mapping[str, int] = field(default_factory=dict[str, int])
    basis: str = ""
    search_runs: int = 0
    packing: Packing | None = None
    branches: int = 0
    stacks: Mapping[str, int] = field(default_factory=dict[str, int])

    def as_record(self) -> dict[str, Any]:
        """The keys of the command line's JSON contract."""
        record = asdict(self)
        flops = record.pop("flops")
        return record | {"disk_bytes": round(self.disk.value)} | flops


def plan_study(
    recipe: Recipe,
    out: Path,
    workers: int = 1,
    *,
    probe: bool = False,
    pack: bool = False,
    reporter: Reporter = SILENT,
) -> StudyPlan:
    """Foretell the study that `recipe` makes in the folder `out`.

    Args:
        recipe: Checked recipe.
        out: Folder of the study; it need not exist.
        workers: Runs that are trained at once.
        probe: Measure each shape for about a second where no measurement is in the user's cache.
        pack: Say how many runs share a device.
        reporter: Where the progress of probes goes.

    Raises:
        OccupiedFolderError: Another recipe's study lies in `out`, which this one would change or drop.
    """
    layout = StudyLayout(out)
    growth_in(layout, recipe)
    search_runs = _search_runs(recipe, layout)
    recipe = with_found_rates(recipe, layout)
    estimates = estimate_runs(recipe, layout)
    records = _records(layout)
    states = {str(record["name"]): record["state"] for record in records}
    waiting = [one for one in estimates if states.get(one.run.name) != "done"]
    measured = measure_or_recall(waiting, workers, reporter if probe else None)
    stacks = _stacks(waiting, workers, reporter if probe else None)
    for config, stack in stacks.values():
        measured[probe_key(config, workers)] = stack.as_measured()
    hours, basis = foretell_hours(waiting, records, measured, workers)
    families: dict[str, int] = defaultdict(int)
    for one in estimates:
        families[one.run.family] += 1
    return StudyPlan(
        runs=len(estimates),
        done=len(estimates) - len(waiting),
        failed=sum(states.get(one.run.name) == "failed" for one in waiting),
        tokens=_total([one.tokens for one in estimates]),
        hours=hours,
        disk=_summed(foretell_disk(one.config, one.kept_states) for one in estimates),
        memory=_largest_memory(estimates, measured, workers),
        flops=_summed_flops(estimates),
        by_family=dict(families),
        basis=basis,
        search_runs=search_runs,
        packing=pack_runs([one.config for one in estimates], workers) if pack else None,
        branches=sum(one.trained_share < 1 for one in estimates),
        stacks={shape: stack.size for shape, (_, stack) in stacks.items()},
    )


def _stacks(
    waiting: Sequence[RunEstimate], workers: int, reporter: Reporter | None
) -> dict[str, tuple[RunConfig, Stack]]:
    """Shape to one of its runs and the stack that pays, from trials in the cache or, with a reporter, made now."""
    by_key: dict[tuple[str, str], list[RunEstimate]] = defaultdict(list)
    for one in waiting:
        key = fleet_key(one.config) if one.config.training.fleet_size == "auto" else None
        if key is not None and not one.is_in_trunk:
            by_key[one.run.language, key].append(one)
    if reporter is not None:
        make_missing_trials(
            [(members[0].config, len(members)) for members in by_key.values()], workers, reporter
        )
    found: dict[str, tuple[RunConfig, Stack]] = {}
    for members in by_key.values():
        stack = best_stack(members[0].config, len(members), workers)
        if stack:
            found[members[0].shape] = members[0].config, stack
    return found


def _records(layout: StudyLayout) -> list[dict[str, Any]]:
    """What the runs of the study say of themselves; nothing, and no pyarrow, where there are none."""
    if not layout.runs.is_dir():
        return []
    from lilliput.study.index import index_records, run_index

    return index_records(run_index(layout.root))


def _search_runs(recipe: Recipe, layout: StudyLayout) -> int:
    if not is_searched(recipe):
        return 0
    found = read_rates(layout)
    return sum(key_of(run) not in found for run in planned_runs(sweep_recipe(recipe)))


def _largest_memory(
    estimates: Sequence[RunEstimate], measured: Mapping[str, Measured], workers: int
) -> Estimate:
    """What the hungriest run or stack takes, as measured where it was."""
    found: list[Estimate] = []
    for config in {one.run.shape: one.config for one in estimates}.values():
        probe = measured.get(probe_key(config, workers)) or cached_probe(config, workers)
        found.append(
            Estimate.within(probe.memory_bytes, _PROBE_SPREAD)
            if probe
            else foretell_memory(config, threads_for(workers))
        )
    return max(found, key=lambda estimate: estimate.value)


def _summed(estimates: Iterable[Estimate]) -> Estimate:
    columns = zip(*((e.value, e.low, e.high) for e in estimates), strict=True)
    return Estimate(*map(sum, columns))


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _summed_flops(estimates: Sequence[RunEstimate]) -> dict[str, float]:
    if any(not one.flops for one in estimates):
        return {}
    return {name: sum(one.flops[name] for one in estimates) for name in FLOPS_CONVENTIONS}
