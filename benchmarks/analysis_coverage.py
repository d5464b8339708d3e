"""How often the 95 % intervals of fitted laws hold the truth, and how often breaks are claimed in vain.

Synthetic studies like the paper's: runs of many sizes, several points along each run, noise that
points of one run share. Three truths (no break, a break, a jump) are fitted to all points; the last
part fits a law to the frontier of whole training curves, which is a minimum over runs and no regular
statistic: its coverage is what it is.

    python benchmarks/analysis_coverage.py --sets 300
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lilliput.analysis import FitOptions, Measurements, fit_measurements
from lilliput.core.seeding import generator

RUNS, POINTS_PER_RUN, RESAMPLES = 42, 4, 200
RUN_NOISE, POINT_NOISE = 0.02, 0.01
LOWEST, HIGHEST = 1e14, 1e17
BREAK = 2.2e15
BELOW, ABOVE, JUMP = 0.03, 0.15, 0.25


@dataclass(frozen=True)
class Truth:
    """A law with the parameters that its intervals must hold."""

    name: str
    log_loss: Callable[[np.ndarray], np.ndarray]
    law: str
    breaks: int
    parameters: dict[str, float]


def _power(x: np.ndarray) -> np.ndarray:
    return np.log(900.0) - 0.16 * x


def _broken(x: np.ndarray) -> np.ndarray:
    past = np.maximum(x - np.log(BREAK), 0)
    return 2.2 - BELOW * x - (ABOVE - BELOW) * past


def _jumping(x: np.ndarray) -> np.ndarray:
    return _broken(x) - JUMP * (x > np.log(BREAK))


TRUTHS = (
    Truth("no break", _power, "power", 0, {"exponent": 0.16}),
    Truth(
        "one break",
        _broken,
        "segmented",
        1,
        {"exponent_1": BELOW, "exponent_2": ABOVE, "break": BREAK},
    ),
    Truth(
        "one jump",
        _jumping,
        "segmented_jumps",
        1,
        {"exponent_1": BELOW, "exponent_2": ABOVE, "break": BREAK},
    ),
)


def simulate(truth: Truth, index: int) -> Measurements:
    """One study: runs with costs spread over three decades, noise partly common to a run."""
    rng = generator(index, "coverage", truth.name)
    full = np.exp(rng.uniform(np.log(LOWEST * 4), np.log(HIGHEST), RUNS))
    shares = np.linspace(1 / POINTS_PER_RUN, 1, POINTS_PER_RUN)
    flops = (full[:, None] * shares).reshape(-1)
    run = np.repeat(np.arange(RUNS), POINTS_PER_RUN)
    noise = RUN_NOISE * rng.standard_normal(RUNS)[run] + POINT_NOISE * rng.standard_normal(run.size)
    loss = np.exp(truth.log_loss(np.log(flops)) + noise)
    return measurements(flops, loss, run, np.tile(shares == 1, RUNS))


def measurements(
    flops: np.ndarray, loss: np.ndarray, run: np.ndarray, is_final: np.ndarray
) -> Measurements:
    return Measurements(
        flops=flops,
        loss=loss,
        run=run,
        group=run,
        step=np.full(run.size, np.nan),
        is_final=is_final,
        lines=np.arange(run.size),
        run_names=tuple(map(str, range(int(run.max()) + 1))),
        flops_column="flops_simulated",
        loss_column="loss",
    )


def coverage(truth: Truth, sets: range, resamples: int = RESAMPLES) -> dict[str, float]:
    """Share of sets whose interval holds the truth, for each parameter."""
    hits = dict.fromkeys(truth.parameters, 0)
    for index in sets:
        options = FitOptions(
            law=truth.law,
            breaks=truth.breaks or None,
            points="all",
            resamples=resamples,
            seed=index,
        )
        found = fit_measurements(simulate(truth, index), options)
        for name, value in truth.parameters.items():
            estimate = found.breaks[0] if name == "break" else found.parameters[name]
            hits[name] += estimate.low <= value <= estimate.high
    return {name: count / len(sets) for name, count in hits.items()}


def claims(truth: Truth, sets: range) -> dict[int, float]:
    """Share of sets in which each number of breaks is claimed when the laws are compared."""
    counts: dict[int, int] = {}
    for index in sets:
        options = FitOptions(points="all", resamples=0, seed=index)
        found = len(fit_measurements(simulate(truth, index), options).breaks)
        counts[found] = counts.get(found, 0) + 1
    return {number: count / len(sets) for number, count in sorted(counts.items())}


def simulate_curves(index: int, points: int = 36) -> tuple[Measurements, float]:
    """Training curves L = (N^-a + D^-b form) whose frontier follows a known power law of cost."""
    rng = generator(index, "coverage-frontier")
    sizes = np.exp(rng.uniform(np.log(1e6), np.log(2e7), RUNS))
    shares = np.linspace(1 / points, 1, points)
    tokens = 1.1e9 * shares
    exponent = 0.3
    scale = np.exp(RUN_NOISE * rng.standard_normal(RUNS))
    loss = (scale[:, None] * (400 / sizes[:, None] ** exponent + 400 / tokens**exponent)).reshape(
        -1
    )
    loss *= np.exp(POINT_NOISE * rng.standard_normal(loss.size))
    flops = (6 * sizes[:, None] * tokens).reshape(-1)
    run = np.repeat(np.arange(RUNS), points)
    return measurements(flops, loss, run, np.tile(shares == 1, RUNS)), exponent / 2


def frontier_coverage(sets: range, resamples: int = RESAMPLES) -> dict[str, float]:
    """The same for the exponent of a power law fitted to a frontier over its interior."""
    hits, errors = 0, []
    for index in sets:
        data, truth = simulate_curves(index)
        options = FitOptions(law="power", resamples=resamples, seed=index)
        estimate = fit_measurements(data, options).parameters["exponent"]
        hits += estimate.low <= truth <= estimate.high
        errors.append(estimate.value - truth)
    return {"exponent": hits / len(sets), "mean_error": float(np.mean(errors))}


def study(sets: range) -> dict[str, dict]:
    """Everything, by name."""
    table: dict[str, dict] = {truth.name: coverage(truth, sets) for truth in TRUTHS}
    table["frontier"] = frontier_coverage(sets)
    table["claims"] = {truth.name: claims(truth, sets) for truth in TRUTHS}
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="first data set, to run in parts")
    parser.add_argument("--part", help="one part only, by name")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sets = range(arguments.first, arguments.first + arguments.sets)
    parts = {
        **{t.name: lambda t=t: coverage(t, sets) for t in TRUTHS},
        "frontier": lambda: frontier_coverage(sets),
        **{f"claims, {t.name}": lambda t=t: claims(t, sets) for t in TRUTHS},
    }
    chosen = [arguments.part] if arguments.part else list(parts)
    for name in chosen:
        result = parts[name]()
        print(json.dumps({name: result}) if arguments.json else f"{name}: {result}", flush=True)


if __name__ == "__main__":
    main()
