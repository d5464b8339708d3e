"""Synthetic studies with a known law, for the coverage of intervals and the rate of false breaks.

Noise is partly common to a run, as in the paper's data. A frontier comes from whole training curves
L = A / N^a + B / D^a whose lower envelope is a power law of the cost wherever sizes are dense.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from lilliput.analysis import Measurements
from lilliput.core.seeding import generator

RUNS, POINTS_PER_RUN = 42, 4
RUN_NOISE, POINT_NOISE = 0.02, 0.01
LOWEST, HIGHEST = 1e14, 1e17
BREAK = 2.2e15
BELOW, ABOVE, JUMP = 0.03, 0.15, 0.25
EXPONENT, COEFFICIENT = 0.16, 900.0
CURVE_EXPONENT, CURVE_COEFFICIENT, CURVE_TOKENS = 0.3, 400.0, 1.1e9


@dataclass(frozen=True)
class Truth:
    """A law with the parameters that its intervals must hold."""

    name: str
    log_loss: Callable[[np.ndarray], np.ndarray]
    law: str
    breaks: int
    parameters: dict[str, float]


def _power(x: np.ndarray) -> np.ndarray:
    return np.log(COEFFICIENT) - EXPONENT * x


def _broken(x: np.ndarray) -> np.ndarray:
    past = np.maximum(x - np.log(BREAK), 0)
    return 2.2 - BELOW * x - (ABOVE - BELOW) * past


def _jumping(x: np.ndarray) -> np.ndarray:
    return _broken(x) - JUMP * (x > np.log(BREAK))


_TWO_PIECES = {"exponent_1": BELOW, "exponent_2": ABOVE, "break": BREAK}
TRUTHS = (
    Truth("no break", _power, "power", 0, {"exponent": EXPONENT}),
    Truth("one break", _broken, "segmented", 1, _TWO_PIECES),
    Truth("one jump", _jumping, "segmented_jumps", 1, _TWO_PIECES),
)


def simulate(
    truth: Truth, index: int, runs: int = RUNS, points: int = POINTS_PER_RUN
) -> Measurements:
    """One study: runs with costs spread over three decades, noise partly common to a run."""
    rng = generator(index, "coverage", truth.name)
    full = np.exp(rng.uniform(np.log(LOWEST * 4), np.log(HIGHEST), runs))
    shares = np.linspace(1 / points, 1, points)
    flops = (full[:, None] * shares).reshape(-1)
    run = np.repeat(np.arange(runs), points)
    noise = RUN_NOISE * rng.standard_normal(runs)[run] + POINT_NOISE * rng.standard_normal(run.size)
    loss = np.exp(truth.log_loss(np.log(flops)) + noise)
    return measurements(flops, loss, run, np.tile(shares == 1, runs))


def simulate_finals(index: int, runs: int, floor: float = 0.0) -> Measurements:
    """Finished runs only, one point each, along a power law above a floor."""
    rng = generator(index, "coverage-finals", runs)
    flops = np.exp(np.sort(rng.uniform(np.log(LOWEST), np.log(HIGHEST / 3), runs)))
    noise = np.exp(RUN_NOISE * rng.standard_normal(runs))
    loss = (floor + np.exp(_power(np.log(flops)))) * noise
    return measurements(flops, loss, np.arange(runs), np.ones(runs, dtype=bool))


def simulate_curves(index: int, runs: int = RUNS, points: int = 36) -> Measurements:
    """Whole training curves whose frontier follows a power law of exponent `CURVE_EXPONENT` / 2."""
    rng = generator(index, "coverage-frontier")
    sizes = np.exp(rng.uniform(np.log(1e6), np.log(2e7), runs))
    shares = np.linspace(1 / points, 1, points)
    tokens = CURVE_TOKENS * shares
    scale = np.exp(RUN_NOISE * rng.standard_normal(runs))[:, None]
    terms = 1 / sizes[:, None] ** CURVE_EXPONENT + 1 / tokens**CURVE_EXPONENT
    loss = (scale * CURVE_COEFFICIENT * terms).reshape(-1)
    loss *= np.exp(POINT_NOISE * rng.standard_normal(loss.size))
    flops = (6 * sizes[:, None] * tokens).reshape(-1)
    run = np.repeat(np.arange(runs), points)
    return measurements(flops, loss, run, np.tile(shares == 1, runs))


def simulate_shapes(
    index: int, shapes: int, seeds: int, *, turn: float = 0.0, shape_noise: float = 0.03
) -> Measurements:
    """Finished runs of several seeds a shape, which share the deviation of their shape from the law.

    Args:
        index: Seed of the study.
        shapes: Number of shapes.
        seeds: Seeds of each.
        turn: Change of the exponent at `BREAK`; zero for no break.
        shape_noise: Standard deviation of ln loss between shapes; that between seeds is 0.004.
    """
    rng = generator(index, "coverage-shapes", shapes, seeds)
    x = np.repeat(np.sort(rng.uniform(np.log(LOWEST * 2), np.log(HIGHEST), shapes)), seeds)
    shape = np.repeat(np.arange(shapes), seeds)
    noise = shape_noise * rng.standard_normal(shapes)[shape] + 0.004 * rng.standard_normal(x.size)
    log_loss = _power(x) - turn * np.maximum(x - np.log(BREAK), 0)
    run = np.arange(x.size)
    return measurements(np.exp(x), np.exp(log_loss + noise), run, run >= 0, group=shape)


def simulate_diverged(index: int, places: tuple[int, ...], runs: int = 20) -> Measurements:
    """Finished runs on a power law with 1 % noise, some of which ended 20 to 40 % too high.

    Args:
        index: Seed of the study.
        places: Which runs diverged, in order of cost; -1 is the costliest.
        runs: How many there are.
    """
    rng = generator(index, "coverage-diverged", runs)
    x = np.sort(rng.uniform(np.log(LOWEST * 2), np.log(HIGHEST), runs))
    log_loss = _power(x) + 0.01 * rng.standard_normal(runs)
    log_loss[list(places)] += np.log(1 + rng.uniform(0.2, 0.4, len(places)))
    run = np.arange(runs)
    return measurements(np.exp(x), np.exp(log_loss), run, run >= 0)


def simulate_curved(index: int, bend: float, runs: int = 40, noise: float = 0.005) -> Measurements:
    """Finished runs on a law that bends everywhere and breaks nowhere.

    Args:
        index: Seed of the study.
        bend: Coefficient of the square of log10 cost in ln loss; below zero it grows steeper.
        runs: How many there are.
        noise: Standard deviation of ln loss.
    """
    rng = generator(index, "coverage-curved", runs)
    z = np.sort(rng.uniform(-2, 2, runs))
    log_loss = 1.6 - 0.12 * z + bend * z**2 + noise * rng.standard_normal(runs)
    run = np.arange(runs)
    return measurements(10 ** (16 + z), np.exp(log_loss), run, run >= 0)


def simulate_broken_finals(index: int, runs: int, jump: float = 0.0) -> Measurements:
    """Finished runs with 1 % noise whose exponent turns from 0.03 to 0.15 at `BREAK`."""
    rng = generator(index, "coverage-broken-finals", runs)
    x = np.sort(rng.uniform(np.log(LOWEST * 2), np.log(HIGHEST), runs))
    log_loss = _broken(x) - jump * (x > np.log(BREAK)) + 0.01 * rng.standard_normal(runs)
    run = np.arange(runs)
    return measurements(np.exp(x), np.exp(log_loss), run, run >= 0)


def measurements(
    flops: np.ndarray,
    loss: np.ndarray,
    run: np.ndarray,
    is_final: np.ndarray,
    group: np.ndarray | None = None,
) -> Measurements:
    """Simulated points as the analysis reads them from a table; `group` holds the shape of each."""
    return Measurements(
        flops=flops,
        loss=loss,
        run=run,
        group=run if group is None else group,
        step=np.full(run.size, np.nan),
        is_final=is_final,
        is_early=np.zeros(run.size, dtype=bool),
        lines=np.arange(run.size),
        run_names=tuple(map(str, range(int(run.max()) + 1))),
        flops_column="flops_simulated",
        loss_column="loss",
        unit="run" if group is None else "shape",
    )


# Studies without a break: name to a maker of one data set and the points that enter the fit.
UNBROKEN: dict[str, tuple[Callable[[int], Measurements], str]] = {
    "42 runs x 4 points, all": (partial(simulate, TRUTHS[0]), "all"),
    "4 runs x 5 points, all": (partial(simulate, TRUTHS[0], runs=4, points=5), "all"),
    "8 runs x 5 points, all": (partial(simulate, TRUTHS[0], runs=8, points=5), "all"),
    "8 finished runs": (partial(simulate_finals, runs=8), "all"),
    "14 finished runs": (partial(simulate_finals, runs=14), "all"),
    "20 finished runs": (partial(simulate_finals, runs=20), "all"),
    "20 finished runs above a floor": (partial(simulate_finals, runs=20, floor=1.5), "all"),
    "4 runs x 20 points, frontier": (partial(simulate_curves, runs=4, points=20), "frontier"),
    "6 runs x 10 points, frontier": (partial(simulate_curves, runs=6, points=10), "frontier"),
    "6 runs x 36 points, frontier": (partial(simulate_curves, runs=6), "frontier"),
    "12 runs x 36 points, frontier": (partial(simulate_curves, runs=12), "frontier"),
    "42 runs x 36 points, frontier": (partial(simulate_curves), "frontier"),
    "12 shapes x 2 seeds": (partial(simulate_shapes, shapes=12, seeds=2), "all"),
    "20 shapes x 2 seeds": (partial(simulate_shapes, shapes=20, seeds=2), "all"),
    "14 shapes x 3 seeds": (partial(simulate_shapes, shapes=14, seeds=3), "all"),
    "8 shapes x 5 seeds": (partial(simulate_shapes, shapes=8, seeds=5), "all"),
    "costliest of 20 diverged": (partial(simulate_diverged, places=(-1,)), "all"),
    "costliest of 14 diverged": (partial(simulate_diverged, places=(-1,), runs=14), "all"),
    "cheapest of 20 diverged": (partial(simulate_diverged, places=(0,)), "all"),
    "two costliest of 20 diverged": (partial(simulate_diverged, places=(-1, -2)), "all"),
    "two cheapest of 20 diverged": (partial(simulate_diverged, places=(0, 1)), "all"),
    "both ends of 20 diverged": (partial(simulate_diverged, places=(0, -1)), "all"),
    "40 runs that bend down": (partial(simulate_curved, bend=-0.02), "all"),
    "40 runs that bend down much": (partial(simulate_curved, bend=-0.05), "all"),
    "20 runs that bend down": (partial(simulate_curved, bend=-0.02, runs=20), "all"),
    "40 runs that bend up": (partial(simulate_curved, bend=0.02), "all"),
}

# Studies with a break: the power of the test beside its false claims.
BROKEN: dict[str, Callable[[int], Measurements]] = {
    "14 finished runs": partial(simulate_broken_finals, runs=14),
    "20 finished runs": partial(simulate_broken_finals, runs=20),
    "20 finished runs, jump": partial(simulate_broken_finals, runs=20, jump=JUMP),
    "40 finished runs": partial(simulate_broken_finals, runs=40),
    "12 shapes x 2 seeds, 1 %": partial(
        simulate_shapes, shapes=12, seeds=2, turn=0.12, shape_noise=0.01
    ),
    "20 shapes x 2 seeds, 1 %": partial(
        simulate_shapes, shapes=20, seeds=2, turn=0.12, shape_noise=0.01
    ),
}
