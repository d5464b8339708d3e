"""Simulated families of runs: where the end of the plateau makes the break, and where scale does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from lilliput.analysis import Table

FLOPS = "flops_executed_masked"
ENTROPY = 6.0
SIZES = {"a/1": 4e4, "b/1": 8e4, "c/2": 1.3e5, "d/2": 2.5e5, "e/2": 5e5, "f/3": 1e6}
TOKENS_A_STEP = 500
# Loss of a run of `size` parameters after `step` steps that cost `cost`, in a family that leaves after `exit` steps.
Loss = Callable[[float, float, float, float], float]


def on_a_plateau_until(exit_at: float, size: float, step: float, cost: float) -> float:
    """Nothing but frequencies until `exit_at` steps, whatever the size; then a power law of the cost."""
    del size
    plateau = ENTROPY + 0.05 + math.exp(-step / 40)
    share = 1 / (1 + (exit_at / step) ** 6)
    return (1 - share) * plateau + share * min(plateau, 5.0 * (cost / 1e10) ** -0.08)


def broken_at_one_cost(exit_at: float, size: float, step: float, cost: float) -> float:
    """Leaves the plateau early and gently at `exit_at` steps, but falls by a fifth at the same cost in every family."""
    del size
    gentle = ENTROPY - 0.5 * (step / exit_at) ** 0.2
    return gentle * (0.8 * (cost / 3e13) ** -0.1 if cost > 3e13 else 1.0)


def study(
    loss: Loss,
    exits: Mapping[str, float],
    *,
    seeds: int = 2,
    steps: int = 40_000,
    draw: int = 5,
    noise: float = 1.0,
) -> Table:
    """Families of six shapes with two seeds, 40 measurements each; runs deviate by 0.5 %, measurements by 0.2 %, times `noise`."""
    rng = np.random.default_rng(draw)
    rows: list[tuple[str | float, ...]] = []
    for family, exit_at in exits.items():
        for shape, size in SIZES.items():
            for seed in range(seeds):
                deviation = rng.normal(0, 0.005 * noise)
                delay = math.exp(rng.normal(0, 0.1 * noise))
                for step in np.geomspace(30, steps, 40).round():
                    cost = 6 * size * TOKENS_A_STEP * step
                    value = loss(exit_at * delay, size, step, cost)
                    value *= math.exp(deviation + rng.normal(0, 0.002 * noise))
                    rows.append(
                        (
                            f"{family} {shape} {seed}",
                            family,
                            shape,
                            str(seed),
                            step,
                            cost,
                            value,
                            ENTROPY,
                        )
                    )
    names = ("run", "variant", "shape", "seed", "step", FLOPS, "loss", "unigram_entropy")
    columns = {
        name: np.array(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)
    }
    return Table("simulated families", columns, np.arange(1, len(rows) + 1))  # fmt: skip
