"""The plan of a study, before anything is run: runs, tokens, FLOPs, hours, memory and disk. No torch here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lilliput.architecture import FLOPS_CONVENTIONS
from lilliput.core.executors.process import threads_for
from lilliput.core.progress import SILENT, Reporter
from lilliput.study.planning.estimates import RunEstimate, estimate_runs
from lilliput.study.planning.growth import growth_in
from lilliput.study.planning.hours import estimate_hours, measure_or_recall
from lilliput.study.planning.learning_rates import key_of, read_rates, trial_grid, with_found_rates
from lilliput.study.planning.packing import DeviceSharing, pack_runs
from lilliput.study.planning.plateau import PlateauForecast, forecast_plateaus
from lilliput.study.planning.probe import cached_probe, probe_key
from lilliput.study.planning.resources import ResourceEstimate, estimate_disk, estimate_memory
from lilliput.study.planning.worker_groups import PlannedGroups, plan_groups
from lilliput.study.recipe.expansion import StudyGrid, expand_recipe
from lilliput.study.recipe.schema import Recipe
from lilliput.study.recipe.sources import remarks_on_size, require_sources
from lilliput.study.store.layout import SearchLayout, StudyLayout

_PROBE_SPREAD = 1.25  # Of memory, from a second's run to a whole one.


@dataclass(frozen=True)
class StudyPlan:
    """Estimates what a study will need.

    Attributes:
        runs: Runs of the grid.
        done: Those whose finished folder lies in the study.
        failed: Those that failed before.
        tokens: Input tokens of all runs; None while a run's budget is in epochs of an unbuilt corpus.
        hours: Wall-clock hours of training for the runs not done, without their scoring; None for the same reason.
        disk: Bytes that the runs will take.
        memory: Most bytes that one worker will hold.
        flops: Training FLOPs of all runs under each convention; empty when tokens are not known.
        by_family: Runs of each family.
        basis: What the hours rest on, in words.
        search_runs: Short runs of the learning-rate search, which tokens, hours, disk and FLOPs count too; 0
            when it is done.
        packing: How many runs share a device; None unless asked for.
        branches: Runs that start from the state of a longer one; only their decay is trained.
        stacks: Of each shape that trials found to pay as a stack, how many runs one holds at most.
        plateau: Whether the longest runs of each family will leave the plateau of token frequencies.
        remarks: Sentences on what may disappoint, such as a corpus that is too small.
    """

    runs: int
    done: int
    failed: int
    tokens: float | None
    hours: ResourceEstimate | None
    disk: ResourceEstimate
    memory: ResourceEstimate
    flops: Mapping[str, float]
    by_family: Mapping[str, int] = field(default_factory=dict[str, int])
    basis: str = ""
    search_runs: int = 0
    packing: DeviceSharing | None = None
    branches: int = 0
    stacks: Mapping[str, int] = field(default_factory=dict[str, int])
    plateau: tuple[PlateauForecast, ...] = ()
    remarks: Sequence[str] = ()

    def as_record(self) -> dict[str, Any]:
        """Return the keys of the command line's JSON contract."""
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
    """Estimate the study that `recipe` makes in the folder `out`.

    Args:
        recipe: Checked recipe.
        out: Folder of the study; it need not exist.
        workers: Runs that are trained at once.
        probe: Measure each shape for about a second where no measurement is in the user's cache.
        pack: Say how many runs share a device.
        reporter: Where the progress of probes goes.

    Raises:
        OccupiedFolderError: Another recipe's study lies in `out`, which this one would change or drop.
        InputError: A folder of texts is not there, or holds none.
    """
    grid, layout = expand_recipe(recipe), StudyLayout(out)
    require_sources(recipe, layout)
    plan = plan_grid(grid, out, workers, probe=probe, pack=pack, reporter=reporter)
    return replace(plan, remarks=remarks_on_size(recipe, layout))


def plan_grid(
    grid: StudyGrid,
    out: Path,
    workers: int = 1,
    *,
    probe: bool = False,
    pack: bool = False,
    reporter: Reporter = SILENT,
) -> StudyPlan:
    """Return the plan of a study whose grid is expanded; its texts need not be there.

    The arguments are those of `plan_study`.

    Raises:
        OccupiedFolderError: Another recipe's study lies in `out`, which this one would change or drop.
    """
    layout = StudyLayout(out)
    growth_in(layout, grid)
    trials = _trials(grid, out)
    estimates = estimate_runs(with_found_rates(grid, layout), layout)
    tried, records = _records(SearchLayout(out)), _records(layout)
    states = _states(records)
    searching, waiting = _waiting(trials, _states(tried)), _waiting(estimates, states)
    prober = reporter if probe else None
    measured = measure_or_recall([*searching, *waiting], workers, prober)
    # The search ends before any run begins.
    search, training = (
        plan_groups(runs, measured, workers, prober) for runs in (searching, waiting)
    )
    hours, basis = estimate_hours([search, training], [*tried, *records], workers)
    everything = [*trials, *estimates]
    families: dict[str, int] = defaultdict(int)
    for one in estimates:
        families[one.run.family] += 1
    return StudyPlan(
        runs=len(estimates),
        done=len(estimates) - len(waiting),
        failed=sum(states.get(one.run.name) == "failed" for one in waiting),
        tokens=_total([one.tokens for one in everything]),
        hours=hours,
        disk=_summed(estimate_disk(one.run_config, one.kept_states) for one in everything),
        memory=_largest_memory([(trials, search), (estimates, training)], workers),
        flops=_summed_flops(everything),
        by_family=dict(families),
        basis=basis,
        search_runs=len(trials),
        packing=pack_runs([one.run_config for one in estimates], workers) if pack else None,
        branches=sum(one.trained_share < 1 for one in estimates),
        stacks={shape: stack.size for shape, stack in training.stacks.items()},
        plateau=forecast_plateaus(estimates, layout),
    )


def _records(layout: StudyLayout) -> list[dict[str, Any]]:
    """Return the records of the study's runs; none, and pyarrow is not loaded, where there are no runs."""
    if not layout.runs.is_dir():
        return []
    from lilliput.study.store.index import index_records, run_index

    return index_records(run_index(layout.runs.parent))


def _trials(grid: StudyGrid, out: Path) -> list[RunEstimate]:
    """Return the short runs that a search still needs, with their costs."""
    if not grid.searched:
        return []
    found = read_rates(StudyLayout(out))
    trials = estimate_runs(trial_grid(grid), SearchLayout(out))
    return [one for one in trials if key_of(one.run) not in found]


def _states(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {str(record["name"]): str(record["state"]) for record in records}


def _waiting(estimates: Iterable[RunEstimate], states: Mapping[str, str]) -> list[RunEstimate]:
    """Return the runs that are not done."""
    return [one for one in estimates if states.get(one.run.name) != "done"]


def _largest_memory(
    phases: Sequence[tuple[Sequence[RunEstimate], PlannedGroups]], workers: int
) -> ResourceEstimate:
    """Return the memory of the largest run or stack, as measured where it was."""
    found: list[ResourceEstimate] = []
    for estimates, planned in phases:
        for config in {one.run.shape: one.run_config for one in estimates}.values():
            probe = planned.measured.get(probe_key(config, workers)) or cached_probe(
                config, workers
            )
            found.append(
                ResourceEstimate.within(probe.memory_bytes, _PROBE_SPREAD)
                if probe
                else estimate_memory(config, threads_for(workers))
            )
    return max(found, key=lambda estimate: estimate.value)


def _summed(estimates: Iterable[ResourceEstimate]) -> ResourceEstimate:
    columns = zip(*((e.value, e.low, e.high) for e in estimates), strict=True)
    return ResourceEstimate(*map(sum, columns))


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _summed_flops(estimates: Sequence[RunEstimate]) -> dict[str, float]:
    if any(not one.flops for one in estimates):
        return {}
    return {name: sum(one.flops[name] for one in estimates) for name in FLOPS_CONVENTIONS}
