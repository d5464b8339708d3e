"""What a study will cost, before it costs anything: runs, tokens, FLOPs, hours, disk. No torch here."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lilliput.architecture import FLOPS_CONVENTIONS, training_flops
from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.progress import SILENT, Reporter
from lilliput.study.expand import PlannedRun, assumed_vocab_size, planned_runs
from lilliput.study.foretell import Estimate, foretell_disk, foretell_memory
from lilliput.study.hours import foretell_hours, measure_or_recall
from lilliput.study.layout import StudyLayout
from lilliput.study.packing import Packing, pack_runs
from lilliput.study.probe import cached_probe
from lilliput.study.recipe import Recipe
from lilliput.study.search import is_searched, sweep_recipe, with_found_rates
from lilliput.training.config import RunConfig

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

    def as_record(self) -> dict[str, Any]:
        """The keys of the command line's JSON contract."""
        record = asdict(self)
        flops = record.pop("flops")
        return record | {"disk_bytes": round(self.disk.value)} | flops


@dataclass(frozen=True)
class RunEstimate:
    """One run with what it will cost."""

    run: PlannedRun
    config: RunConfig
    tokens: float | None
    flops: Mapping[str, float]

    @property
    def shape(self) -> str:
        """E/H/I/A/L."""
        return self.run.shape

    @property
    def work(self) -> float:
        """Executed FLOPs; 0 while they are not known."""
        return self.flops.get("flops_executed_masked", 0.0)


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
    """
    layout = StudyLayout(out)
    search_runs = _search_runs(recipe, layout)
    recipe = with_found_rates(recipe, layout)
    estimates = [estimate_run(run, recipe, layout) for run in planned_runs(recipe)]
    records = _records(layout)
    states = {str(record["name"]): record["state"] for record in records}
    waiting = [one for one in estimates if states.get(one.run.name) != "done"]
    measured = measure_or_recall(waiting, workers, reporter if probe else None)
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
        disk=_summed(foretell_disk(one.config) for one in estimates),
        memory=_largest_memory(estimates, workers),
        flops=_summed_flops(estimates),
        by_family=dict(families),
        basis=basis,
        search_runs=search_runs,
        packing=pack_runs([one.config for one in estimates], workers) if pack else None,
    )


def _records(layout: StudyLayout) -> list[dict[str, Any]]:
    """What the runs of the study say of themselves; nothing, and no pyarrow, where there are none."""
    if not layout.runs.is_dir():
        return []
    from lilliput.study.index import index_records, run_index

    return index_records(run_index(layout.root))


def _search_runs(recipe: Recipe, layout: StudyLayout) -> int:
    if not is_searched(recipe) or is_artefact(layout.search):
        return 0
    return len(planned_runs(sweep_recipe(recipe)))


def _largest_memory(estimates: Sequence[RunEstimate], workers: int) -> Estimate:
    """What the hungriest run takes, as measured where it was."""
    found: list[Estimate] = []
    for config in {one.run.shape: one.config for one in estimates}.values():
        probe = cached_probe(config, workers)
        found.append(
            Estimate.within(probe.memory_bytes, _PROBE_SPREAD) if probe else foretell_memory(config)
        )
    return max(found, key=lambda estimate: estimate.value)


def _summed(estimates: Iterable[Estimate]) -> Estimate:
    columns = zip(*((e.value, e.low, e.high) for e in estimates), strict=True)
    return Estimate(*map(sum, columns))


def estimate_run(run: PlannedRun, recipe: Recipe, layout: StudyLayout) -> RunEstimate:
    """The cost of one run, from its token store when there is one, else from its budget in tokens."""
    store = layout.tokens(run.language)
    facts = read_manifest(store, "tokens").facts if is_artefact(store) else {}
    config = run.config(int(facts.get("vocab_size", assumed_vocab_size(recipe))))
    tokens = run_tokens(config, facts)
    flops = {} if tokens is None else run_flops(config, tokens)
    return RunEstimate(run, config, tokens, flops)


def run_tokens(config: RunConfig, facts: Mapping[str, Any]) -> float | None:
    """Input tokens of a run; None when that depends on a token store that is not there yet."""
    training = config.training
    if training.max_tokens is not None:
        return float(training.max_tokens)
    if not facts:
        if training.max_steps is None:
            return None
        # Before the texts are known: full sequences, which is the most that it can be.
        return float(training.max_steps * training.global_batch_size * training.max_seq_length)
    split = facts["splits"]["train"]
    text, documents = float(split["tokens"]), float(split["documents"])
    # Documents longer than a sequence are cut; each piece gets its own <s> and </s>.
    sequences = documents * math.ceil(text / documents / (training.max_seq_length - 2))
    tokens = text + 2 * sequences
    if training.max_steps is not None:
        return tokens / sequences * training.global_batch_size * training.max_steps
    return tokens * (training.num_train_epochs or 1.0)


def run_flops(config: RunConfig, tokens: float) -> dict[str, float]:
    """Training FLOPs under each convention for sequences of full length."""
    return training_flops(
        config.model,
        seq_length=config.training.max_seq_length,
        tokens=tokens,
        mlm_probability=config.training.mlm_probability,
    )


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _summed_flops(estimates: Sequence[RunEstimate]) -> dict[str, float]:
    if any(not one.flops for one in estimates):
        return {}
    return {name: sum(one.flops[name] for one in estimates) for name in FLOPS_CONVENTIONS}
