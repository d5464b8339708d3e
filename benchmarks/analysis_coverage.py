"""How often the 95 % intervals of fitted laws hold the truth, and how often breaks are claimed in vain.

Three truths (no break, a break, a jump) are fitted to all points of synthetic studies; a further part
fits a law to the frontier of whole training curves, which is a minimum over runs and no regular
statistic: its coverage is what it is. Breaks are looked for in large and small studies that have none,
and in studies that have one.

    python -m benchmarks.analysis_coverage --sets 300 --workers 2
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
from benchmarks.analysis_studies import (
    BROKEN,
    CURVE_EXPONENT,
    EXPONENT,
    TRUTHS,
    UNBROKEN,
    Truth,
    simulate,
    simulate_curves,
    simulate_shapes,
)

from lilliput.analysis import FitOptions, Measurements, fit_form, fit_measurements
from lilliput.analysis.inference.choice import judge_unbroken
from lilliput.analysis.inference.sample import FitSample
from lilliput.analysis.laws.forms import forms_for

RESAMPLES = 200
SETS_WITH_A_BREAK = 60


def held(truth: Truth, index: int, resamples: int = RESAMPLES) -> dict[str, bool]:
    """Whether the interval of each parameter holds the truth in one study."""
    options = FitOptions(
        law=truth.law, breaks=truth.breaks or None, points="all", resamples=resamples, seed=index
    )
    found = fit_measurements(simulate(truth, index), options)
    return {
        name: _holds(found.breaks[0] if name == "break" else found.parameters[name], value)
        for name, value in truth.parameters.items()
    }


def held_on_frontier(index: int, resamples: int = RESAMPLES) -> dict[str, float]:
    """The same for the exponent of a power law fitted to a frontier, and its error."""
    options = FitOptions(law="power", resamples=resamples, seed=index)
    estimate = fit_measurements(simulate_curves(index), options).parameters["exponent"]
    truth = CURVE_EXPONENT / 2
    return {"exponent": float(_holds(estimate, truth)), "error": estimate.value - truth}


def _holds(estimate: Any, value: float) -> bool:
    return estimate.low <= value <= estimate.high


def claimed_breaks(data: Measurements, points: str, seed: int) -> int:
    """Breaks claimed when the laws are compared: those of `fit_measurements`, found sooner.

    Where the first test does not exclude a law without breaks none can be claimed, whatever the slow
    laws would say.
    """
    options = FitOptions(points=points, resamples=0, seed=seed)
    sample = FitSample.of(data, options)
    n_points = np.unique(sample.flops).size
    forms = [form for form in forms_for("auto", None, n_points) if not form.n_breaks]
    fits = [fit_form(form, sample.flops, sample.loss) for form in forms]
    _, is_excluded = judge_unbroken([fit for fit in fits if fit is not None], sample, seed)
    return len(fit_measurements(data, options).breaks) if is_excluded else 0


def claimed_in(name: str, index: int) -> int:
    """Breaks claimed in one study that has none."""
    make, points = UNBROKEN[name]
    return claimed_breaks(make(index), points, index)


def claimed_of(truth: Truth, index: int) -> int:
    """Breaks claimed in one study of a truth."""
    return claimed_breaks(simulate(truth, index), "all", index)


def over(work: Callable[[int], Any], sets: range, workers: int = 1) -> Iterator[Any]:
    """The work on each data set, in order, by one process or several."""
    if workers == 1:
        yield from map(work, sets)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, sets, chunksize=max(1, len(sets) // (4 * workers)))


def means(records: Iterator[dict[str, Any]]) -> dict[str, float]:
    """Mean of each key over the data sets."""
    every = list(records)
    return {name: float(np.mean([record[name] for record in every])) for name in every[0]}


def coverage(truth: Truth, sets: range, workers: int = 1, resamples: int = RESAMPLES):
    """Share of sets whose interval holds the truth, for each parameter."""
    return means(over(partial(_held, truth.name, resamples), sets, workers))


def _held(name: str, resamples: int, index: int) -> dict[str, bool]:
    """`held` by the name of the truth, which can be sent to another process."""
    return held(_truth(name), index, resamples)


def frontier_coverage(sets: range, workers: int = 1) -> dict[str, float]:
    """Share of frontiers whose interval holds the truth, and the mean error."""
    return means(over(held_on_frontier, sets, workers))


def false_breaks(name: str, sets: range, workers: int = 1) -> float:
    """Share of the studies without a break in which one is claimed."""
    return float(np.mean([n > 0 for n in over(partial(claimed_in, name), sets, workers)]))


def claimed_in_broken(name: str, index: int) -> int:
    """Breaks claimed in one study that has one."""
    return claimed_breaks(BROKEN[name](index), "all", index)


def power(name: str, sets: range, workers: int = 1) -> float:
    """Share of the studies with a break in which one is claimed."""
    return float(np.mean([n > 0 for n in over(partial(claimed_in_broken, name), sets, workers)]))


def claims(truth: Truth, sets: range, workers: int = 1) -> dict[int, float]:
    """Share of the studies of a truth in which each number of breaks is claimed."""
    counts = list(over(partial(_claimed, truth.name), sets, workers))
    return {number: counts.count(number) / len(counts) for number in sorted(set(counts))}


def _claimed(name: str, index: int) -> int:
    return claimed_of(_truth(name), index)


def _truth(name: str) -> Truth:
    return next(truth for truth in TRUTHS if truth.name == name)


def held_by_shapes(shapes: int, seeds: int, way: Any, index: int) -> dict[str, bool]:
    """Say whether the interval of the exponent holds the truth where seeds share a shape."""
    options = FitOptions(law="power", points="all", resamples=300, resample=way, seed=index)
    found = fit_measurements(simulate_shapes(index, shapes, seeds), options)
    return {"exponent": _holds(found.parameters["exponent"], EXPONENT)}


def shapes_coverage(
    shapes: int, seeds: int, way: str, sets: range, workers: int
) -> dict[str, float]:
    """Share of studies of several seeds a shape whose interval holds the exponent."""
    return means(over(partial(held_by_shapes, shapes, seeds, way), sets, workers))


def main() -> None:
    """Print one JSON object a part as it is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="first data set, to run in parts")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--part", help="parts whose name contains this")
    arguments = parser.parse_args()
    workers = arguments.workers
    sets = range(arguments.first, arguments.first + arguments.sets)
    few = sets[:SETS_WITH_A_BREAK]
    parts: dict[str, Callable[[], Any]] = {
        **{f"coverage, {t.name}": partial(coverage, t, sets, workers) for t in TRUTHS},
        **{
            f"coverage, {shapes} shapes x 2 seeds, {way}": partial(
                shapes_coverage, shapes, 2, way, sets, workers
            )
            for shapes in (12, 20)
            for way in ("unit", "run", "both")
        },
        "coverage, frontier": partial(frontier_coverage, sets, workers),
        **{
            f"false breaks, {name}": partial(false_breaks, name, sets, workers) for name in UNBROKEN
        },
        **{f"claims, {name}": partial(power, name, few, workers) for name in BROKEN},
        **{f"claims, {t.name}": partial(claims, t, few, workers) for t in TRUTHS[1:]},
    }
    for name, part in parts.items():
        if not arguments.part or arguments.part in name:
            print(
                json.dumps({name: part(), "sets": len(few if "claims" in name else sets)}),
                flush=True,
            )


if __name__ == "__main__":
    main()
