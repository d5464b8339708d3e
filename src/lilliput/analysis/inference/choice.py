"""Which of the fitted laws is claimed: the best one whose breaks the data can tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.inference.break_test import (
    FEWEST_RUNS,
    SIGNIFICANCE,
    BreakTest,
    bootstrap_break_test,
)
from lilliput.analysis.laws.curve import CurveFit
from lilliput.analysis.laws.power import fit_power, fit_power_offset
from lilliput.core.arrays import FloatArray

SIMULATIONS = 400
_RUNS_ON_A_SIDE = 2


def choose_law(
    fits: list[CurveFit],
    flops: FloatArray,
    loss: FloatArray,
    runs: NDArray[np.intp],
    seed: int,
) -> tuple[CurveFit, list[BreakTest]]:
    """The fit of lowest BIC among those with no more breaks than the data can tell, and the tests.

    A number of breaks is no candidate where, in the best law with so many, one run alone lies on a
    side of a break. First of all, data without any break must be excluded. Then the number of breaks
    is sought from above: the largest whose last break is told from fewer. (Sought from below, a law
    with one break where there are three fits so badly that its own misfit hides the other two.)

    Args:
        fits: All candidates.
        flops: Shape (points,).
        loss: Shape (points,).
        runs: Run of each point, shape (points,).
        seed: Of the simulations.
    """
    fewest = min(int(fit.breaks.size) for fit in fits)
    best_of = {int(fit.breaks.size): fit for fit in sorted(fits, key=lambda fit: -fit.bic)}
    sound = {k for k, fit in best_of.items() if stands_on_runs(fit, flops, runs)} | {fewest}
    fits = [fit for fit in fits if int(fit.breaks.size) in sound]
    best = min(fits, key=lambda fit: fit.bic)
    tests: list[BreakTest] = []

    def is_told(breaks: int) -> bool:
        """Whether the last of so many breaks is told from the best law with fewer."""
        null = min((f for f in fits if f.breaks.size < breaks), key=lambda fit: fit.bic)
        tests.append(break_test_against(null, flops, loss, runs, seed))
        return tests[-1].p < SIGNIFICANCE

    most = int(best.breaks.size)
    if most == fewest or np.unique(runs).size < FEWEST_RUNS or not is_told(fewest + 1):
        allowed = fewest
    else:
        allowed = next(
            (k for k in range(most, fewest + 1, -1) if k in sound and is_told(k)), fewest + 1
        )
    return min((f for f in fits if f.breaks.size <= allowed), key=lambda fit: fit.bic), tests


def stands_on_runs(fit: CurveFit, flops: FloatArray, runs: NDArray[np.intp]) -> bool:
    """Whether each break has points of two runs or more on either side: one run may just be odd."""
    sides = [side for place in fit.breaks for side in (flops <= place, flops > place)]
    return all(np.unique(runs[side]).size >= _RUNS_ON_A_SIDE for side in sides)


def check_asked_breaks(
    chosen: CurveFit, flops: FloatArray, loss: FloatArray, runs: NDArray[np.intp], seed: int
) -> list[BreakTest]:
    """Whether a law without breaks is excluded, for a broken law that the user asked for."""
    if chosen.breaks.size == 0 or np.unique(runs).size < FEWEST_RUNS:
        return []
    fits = (fit_power(flops, loss), fit_power_offset(flops, loss))
    return [break_test_against(min(fits, key=lambda fit: fit.bic), flops, loss, runs, seed)]


def break_test_against(
    null: CurveFit, flops: FloatArray, loss: FloatArray, runs: NDArray[np.intp], seed: int
) -> BreakTest:
    """The break test at the number of simulations that choices rest on."""
    return bootstrap_break_test(
        np.log(flops), np.log(loss), runs, null, simulations=SIMULATIONS, seed=seed
    )
