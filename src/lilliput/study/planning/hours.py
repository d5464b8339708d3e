"""Estimate hours of training of the waiting runs from measurements where there are any, else from FLOPs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lilliput.core.progress import Reporter
from lilliput.study.planning.estimates import RunEstimate
from lilliput.study.planning.probe import MeasuredSpeed, cached_probe, probe_key, probe_shapes
from lilliput.study.planning.resources import ResourceEstimate
from lilliput.study.planning.worker_groups import PlannedGroups

_SECONDS_PER_HOUR = 3600.0
# Executed FLOP/s of one worker where nothing was measured: from a busy old core to a whole GPU.
_UNMEASURED_RATE = (2e9, 2e10, 2e11)
# Spread of a rate that was measured in this study for this shape, in a probe of a second, and for another
# shape of the same study.
_MEASURED_SPREAD, _PROBED_SPREAD, _NEIGHBOUR_SPREAD = 1.3, 1.6, 3.0


def measure_or_recall(
    waiting: Sequence[RunEstimate], workers: int, reporter: Reporter | None
) -> dict[str, MeasuredSpeed]:
    """Return measurements by `probe_key`: those in the cache, and with a reporter those missing too, made now."""
    configs = {probe_key(run.run_config, workers): run.run_config for run in waiting}
    if reporter is not None:
        return probe_shapes(list(configs.values()), workers, reporter=reporter)
    return {key: found for key, c in configs.items() if (found := cached_probe(c, workers))}


def estimate_hours(
    phases: Sequence[PlannedGroups], records: Sequence[Mapping[str, Any]], workers: int
) -> tuple[ResourceEstimate | None, str]:
    """Return wall-clock hours of training, and in words what they rest on.

    Args:
        phases: Waiting runs; a phase begins when the one before it is done.
        records: Runs of the study so far.
        workers: Groups of runs that are trained at once.
    """
    runs = [run for planned in phases for group in planned.groups for run in group.runs]
    if any(run.trained_tokens is None for run in runs):
        return None, "the token stores are not built yet, and budgets are in epochs"
    done = [record for record in records if record["state"] == "done"]
    rates = {str(r["shape"]): float(r["tokens_per_s"]) for r in done}
    efforts = [r["flops_executed_masked"] / r["tokens_seen"] * r["tokens_per_s"] for r in done]
    totals = [0.0, 0.0, 0.0]
    for planned in phases:
        groups: list[list[float]] = []
        for group in planned.groups:
            probes = [
                planned.measured.get(probe_key(run.run_config, workers)) for run in group.runs
            ]
            pairs = zip(group.runs, probes, strict=True)
            each = [_seconds(run, rates, probe, efforts) for run, probe in pairs]
            groups.append([sum(bounds) for bounds in zip(*each, strict=True)])
        for place, seconds in enumerate(zip(*groups, strict=True)):
            # No group is shared by two workers.
            totals[place] += max(sum(seconds) / workers, *seconds)
    low, value, high = (total / _SECONDS_PER_HOUR for total in totals)
    known = {key for planned in phases for key in planned.measured}
    return ResourceEstimate(value, low, high), _basis(len(rates), len(known))


def _basis(shapes: int, probes: int) -> str:
    parts = [f"{shapes} shapes measured in this study"] if shapes else []
    parts += [f"{probes} probes on this machine"] if probes else []
    return " and ".join(parts) or "FLOPs alone: a wide guess"


def _seconds(
    run: RunEstimate,
    rates: Mapping[str, float],
    probe: MeasuredSpeed | None,
    efforts: Sequence[float],
) -> tuple[float, float, float]:
    tokens = run.trained_tokens or 0.0
    # Runs that need others, as students need teachers, are slower than the plain ones of their shape.
    if run.shape in rates and not run.run.needs:
        return _around(tokens / rates[run.shape], _MEASURED_SPREAD)
    if probe:
        return _around(tokens / probe.tokens_per_s, _PROBED_SPREAD)
    if efforts:
        usual = math.exp(sum(map(math.log, efforts)) / len(efforts))
        return _around(run.work / usual, _NEIGHBOUR_SPREAD)
    slow, usual, fast = _UNMEASURED_RATE
    return run.work / fast, run.work / usual, run.work / slow


def _around(seconds: float, spread: float) -> tuple[float, float, float]:
    return seconds / spread, seconds, seconds * spread
