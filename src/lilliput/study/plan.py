"""What a study will cost, before it costs anything: runs, tokens, FLOPs, hours, disk. No torch here."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lilliput.architecture import FLOPS_CONVENTIONS, count_parameters, training_flops
from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.study.expand import PlannedRun, assumed_vocab_size, planned_runs
from lilliput.study.layout import StudyLayout
from lilliput.study.recipe import Recipe
from lilliput.training.config import RunConfig

_SECONDS_PER_HOUR = 3600.0
# Executed FLOP/s of one worker where nothing was measured: from a busy old core to a whole GPU.
_UNMEASURED_RATE = (2e9, 2e10, 2e11)
# Spread of a rate that was measured for this shape, and for another shape of the same study.
_MEASURED_SPREAD, _NEIGHBOUR_SPREAD = 1.3, 3.0
_BYTES_PER_PARAMETER = 4
_WEIGHT_FILES_PER_RUN = 2  # The untrained and the trained weights are kept.
_OTHER_BYTES_PER_RUN = 200_000


@dataclass(frozen=True)
class Estimate:
    """A foretold number with the range that it may come out in."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class StudyPlan:
    """What is to be done.

    Attributes:
        runs: Runs of the grid.
        done: Those whose finished folder lies in the study.
        failed: Those that failed before.
        tokens: Input tokens of all runs; None while a run's budget is in epochs of an unbuilt corpus.
        hours: Wall-clock hours of training for the runs not done; None likewise.
        disk_bytes: Bytes that the runs will take.
        flops: Training FLOPs of all runs under each convention; empty when tokens are not known.
        by_family: Runs of each family.
        basis: What the hours rest on, in words.
    """

    runs: int
    done: int
    failed: int
    tokens: float | None
    hours: Estimate | None
    disk_bytes: int
    flops: Mapping[str, float]
    by_family: Mapping[str, int] = field(default_factory=dict[str, int])
    basis: str = ""

    def as_record(self) -> dict[str, Any]:
        """The keys of the command line's JSON contract."""
        record = asdict(self)
        flops = record.pop("flops")
        return record | flops


@dataclass(frozen=True)
class RunEstimate:
    """One run with what it will cost."""

    run: PlannedRun
    config: RunConfig
    tokens: float | None
    flops: Mapping[str, float]


def plan_study(recipe: Recipe, out: Path, workers: int = 1) -> StudyPlan:
    """Foretell the study that `recipe` makes in the folder `out`.

    Args:
        recipe: Checked recipe.
        out: Folder of the study; it need not exist.
        workers: Runs that are trained at once.
    """
    layout = StudyLayout(out)
    estimates = [estimate_run(run, recipe, layout) for run in planned_runs(recipe)]
    records = _records(layout)
    states = {str(record["name"]): record["state"] for record in records}
    waiting = [one for one in estimates if states.get(one.run.name) != "done"]
    hours, basis = _hours(waiting, records, workers)
    families: dict[str, int] = defaultdict(int)
    for one in estimates:
        families[one.run.family] += 1
    return StudyPlan(
        runs=len(estimates),
        done=len(estimates) - len(waiting),
        failed=sum(states.get(one.run.name) == "failed" for one in waiting),
        tokens=_total([one.tokens for one in estimates]),
        hours=hours,
        disk_bytes=sum(map(_disk_bytes, estimates)),
        flops=_summed_flops(estimates),
        by_family=dict(families),
        basis=basis,
    )


def _records(layout: StudyLayout) -> list[dict[str, Any]]:
    """What the runs of the study say of themselves; nothing, and no pyarrow, where there are none."""
    if not layout.runs.is_dir():
        return []
    from lilliput.study.index import index_records, run_index

    return index_records(run_index(layout.root))


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


def _disk_bytes(one: RunEstimate) -> int:
    weights = count_parameters(one.config.model).total * _BYTES_PER_PARAMETER
    return weights * _WEIGHT_FILES_PER_RUN + _OTHER_BYTES_PER_RUN


def _hours(
    waiting: Sequence[RunEstimate], records: Sequence[Mapping[str, Any]], workers: int
) -> tuple[Estimate | None, str]:
    """Hours for the waiting runs, from the rates of finished ones where there are any."""
    if any(one.tokens is None for one in waiting):
        return None, "the token stores are not built yet, and budgets are in epochs"
    done = [record for record in records if record["state"] == "done"]
    rates = {str(r["shape"]): float(r["tokens_per_s"]) for r in done}
    efforts = [r["flops_executed_masked"] / r["tokens_seen"] * r["tokens_per_s"] for r in done]
    seconds = [_seconds(one, rates, efforts) for one in waiting]
    low, value, high = (
        (sum(column) for column in zip(*seconds, strict=True)) if seconds else (0,) * 3
    )
    scale = workers * _SECONDS_PER_HOUR
    basis = f"{len(rates)} shapes measured in this study" if rates else "FLOPs alone: a wide guess"
    return Estimate(value / scale, low / scale, high / scale), basis


def _seconds(
    one: RunEstimate, rates: Mapping[str, float], efforts: Sequence[float]
) -> tuple[float, float, float]:
    tokens = one.tokens or 0.0
    if one.run.shape in rates:
        seconds = tokens / rates[one.run.shape]
        return seconds / _MEASURED_SPREAD, seconds, seconds * _MEASURED_SPREAD
    work = one.flops["flops_executed_masked"]
    if efforts:
        seconds = work / math.exp(sum(map(math.log, efforts)) / len(efforts))
        return seconds / _NEIGHBOUR_SPREAD, seconds, seconds * _NEIGHBOUR_SPREAD
    slow, usual, fast = _UNMEASURED_RATE
    return work / fast, work / usual, work / slow
