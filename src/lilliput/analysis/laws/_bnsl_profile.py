"""A smoothly broken law with one of its breaks held where it is not best."""

from __future__ import annotations

import itertools

import numpy as np

from lilliput.analysis.laws.curve import CurveFit
from lilliput.analysis.laws.levenberg import levenberg
from lilliput.analysis.laws.smoothly_broken import BnslProblem
from lilliput.core.arrays import FloatArray

_COARSE, _FINE, _NEAR = 121, 81, 0.05
_PROFILE_STEPS, _PROFILE_ROUNDS = 40, 4
_PROFILE_SHARPNESS = (0.03, 0.3, 1.5)


def bnsl_rss_at(
    x: FloatArray, y: FloatArray, fit: CurveFit, index: int
) -> tuple[FloatArray, FloatArray]:
    """Residual sums with one break held at each place it may take, all else fitted anew.

    Args:
        x: ln cost, shape (points,).
        y: ln loss, shape (points,).
        fit: The law fitted to them.
        index: Which break is held.

    Returns:
        Places in ln cost, ascending, finer near the estimate, and the sums there, shape (places,).
    """
    centre = float(x.mean())
    problem = BnslProblem(x - centre, y, int(fit.breaks.size))
    column = 4 + 3 * index
    estimate = float(np.log(fit.breaks[index])) - centre
    reach = problem.upper[column] - problem.lower[column]
    near = estimate + np.linspace(-_NEAR, _NEAR, _FINE) * reach
    every = np.linspace(problem.lower[column], problem.upper[column], _COARSE)
    grid = np.unique(np.clip(np.append(every, near), every[0], every[-1]))
    return grid + centre, _profiled(problem, problem.start_from(fit, centre)[0], index, grid)


def _profiled(problem: BnslProblem, theta: FloatArray, index: int, grid: FloatArray) -> FloatArray:
    """The lowest sums found with one break held at each value of the grid, shape (grid,).

    Each value starts from the estimate, from some offsets and sharpnesses with the rest by least
    squares, and then from what its neighbours found.
    """
    free = np.arange(theta.size) != 4 + 3 * index

    def residuals(part: FloatArray) -> tuple[FloatArray, FloatArray]:
        full = np.insert(part, 4 + 3 * index, grid, axis=1)
        residual, jacobian = problem.residuals(full)
        return residual, jacobian[:, :, free]

    best = np.repeat(theta[free][None, :], grid.size, axis=0)
    cost = np.full(grid.size, np.inf)

    def improve(starts: FloatArray) -> None:
        found, found_cost = levenberg(
            residuals,
            starts,
            iterations=_PROFILE_STEPS,
            lower=problem.lower[free],
            upper=problem.upper[free],
        )
        better = found_cost < cost
        best[better], cost[better] = found[better], found_cost[better]

    improve(best.copy())
    for offset, sharpness in itertools.product((theta[0], 0.0), _PROFILE_SHARPNESS):
        places, widths = theta[4::3].copy(), np.exp(theta[5::3])
        widths[index] = sharpness
        starts: list[list[float]] = []
        for place in grid.tolist():
            places[index] = place
            starts.append(problem.linear_start(offset, tuple(places), tuple(widths)))
        improve(np.array(starts)[:, free])
    for shift in (1, -1) * _PROFILE_ROUNDS:
        improve(np.roll(best, shift, axis=0))
    return cost
