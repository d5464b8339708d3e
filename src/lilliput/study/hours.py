"""How long the waiting runs of a study will take: from measurements where there are any, else from FLOPs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from lilliput.core.progress import Reporter
from lilliput.study.foretell import Estimate
from lilliput.study.probe import Measured, cached_probe, probe_key, probe_shapes
from lilliput.training.config import RunConfig

_SECONDS_PER_HOUR = 3600.0
# Executed FLOP/s of one worker where nothing was measured: from a busy old core to a whole GPU.
_UNMEASURED_RATE = (2e9, 2e10, 2e11)
# Spread of a rate that was measured in this study for this shape, in a probe of a second, and for another
# shape of the same study.
_MEASURED_SPREAD, _PROBED_SPREAD, _NEIGHBOUR_SPREAD = 1.3, 1.6, 3.0


class WaitingRun(Protocol):
    """What must be known of a run to foretell its time."""

    @property
    def shape(self) -> str:
        """E/H/I/A/L."""
        ...

    @property
    def config(self) -> RunConfig:
        """Its whole configuration."""
        ...

    @property
    def trained_tokens(self) -> float | None:
        """Input tokens that are read for it."""
        ...

    @property
    def work(self) -> float:
        """Executed FLOPs it will take."""
        ...


def measure_or_recall(
    waiting: Sequence[WaitingRun], workers: int, reporter: Reporter | None
) -> dict[str, Measured]:
    """Measurements by `probe_key`: those in the cache, and with a reporter those missing too, made now."""
    configs = {probe_key(run.config, workers): run.config for run in waiting}
    if reporter is not None:
        return probe_shapes(list(configs.values()), workers, reporter=reporter)
    return {key: found for key, c in configs.items() if (found := cached_probe(c, workers))}


def foretell_hours(
    waiting: Sequence[WaitingRun],
    records: Sequence[Mapping[str, Any]],
    measured: Mapping[str, Measured],
    workers: int,
) -> tuple[Estimate | None, str]:
    """Wall-clock hours for the waiting runs, and in words what they rest on."""
    if any(run.trained_tokens is None for run in waiting):
        return None, "the token stores are not built yet, and budgets are in epochs"
    done = [record for record in records if record["state"] == "done"]
    rates = {str(r["shape"]): float(r["tokens_per_s"]) for r in done}
    efforts = [r["flops_executed_masked"] / r["tokens_seen"] * r["tokens_per_s"] for r in done]
    totals = [0.0, 0.0, 0.0]
    for run in waiting:
        probe = measured.get(probe_key(run.config, workers))
        for place, seconds in enumerate(_seconds(run, rates, probe, efforts)):
            totals[place] += seconds
    low, value, high = (total / (workers * _SECONDS_PER_HOUR) for total in totals)
    return Estimate(value, low, high), _basis(len(rates), len(measured))


def _basis(shapes: int, probes: int) -> str:
    parts = [f"{shapes} shapes measured in this study"] if shapes else []
    parts += [f"{probes} probes on this machine"] if probes else []
    return " and ".join(parts) or "FLOPs alone: a wide guess"


def _seconds(
    run: WaitingRun, rates: Mapping[str, float], probe: Measured | None, efforts: Sequence[float]
) -> tuple[float, float, float]:
    tokens = run.trained_tokens or 0.0
    if run.shape in rates:
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
