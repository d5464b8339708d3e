"""Where a break could be: the locations that the likelihood does not reject, for each law with breaks."""

from __future__ import annotations

import numpy as np
from scipy import stats

from lilliput.analysis.laws._aggregate import Aggregated, aggregate
from lilliput.analysis.laws._bnsl_profile import bnsl_rss_at
from lilliput.analysis.laws._hinges import rss_at
from lilliput.analysis.laws._jumps import rss_of_splits
from lilliput.analysis.laws.curve import CurveFit
from lilliput.analysis.laws.segmented import MIN_POINTS
from lilliput.core.arrays import FloatArray

_ROUNDS = 4


def profile_interval(
    log_flops: FloatArray, log_loss: FloatArray, fit: CurveFit, index: int, level: float = 0.95
) -> tuple[float, float]:
    """Break locations that the likelihood does not reject, in units of the cost.

    Everything else is fitted anew at every location of this break; a location stays while twice the
    log-likelihood it loses is below the chi-squared quantile with one degree of freedom, scaled for
    the estimated variance. Points count as independent.

    Args:
        log_flops: Shape (points,).
        log_loss: Shape (points,).
        fit: A law with breaks on these points: joined, with jumps, or smooth.
        index: Which break.
        level: Coverage.

    Returns:
        Lowest and highest location kept. A jump keeps whole gaps between points, as nothing tells where
        in its gap it lies; a smooth break is looked for as far outside the points as its law allows.
    """
    room = fit.n - fit.n_free + 1
    place = float(fit.breaks[index])
    if room <= 0:
        return place, place
    limit = fit.rss * (1 + float(stats.f.ppf(level, 1, room)) / room)
    low, high, rss = _PROFILES[fit.law](log_flops, log_loss, fit, index)
    kept = rss <= limit
    edges = [place, *np.exp(low[kept]).tolist(), *np.exp(high[kept]).tolist()]
    return min(edges), max(edges)


_Profile = tuple[FloatArray, FloatArray, FloatArray]


def _jump(x: FloatArray, y: FloatArray, fit: CurveFit, index: int) -> _Profile:
    """The gaps between points, and the residual sum with the jump in each."""
    data = aggregate(x, y)
    rss = rss_of_splits(data, fit.breaks.size, index, MIN_POINTS) + data.within
    return data.x[:-1], data.x[1:], rss


def _smooth(x: FloatArray, y: FloatArray, fit: CurveFit, index: int) -> _Profile:
    grid, rss = bnsl_rss_at(x, y, fit, index)
    return grid, grid, rss


def _joined(x: FloatArray, y: FloatArray, fit: CurveFit, index: int) -> _Profile:
    centre = float(x.mean())
    data = aggregate(x - centre, y)
    knots = np.log(fit.breaks) - centre
    grid = _grid(data.x, knots[index])
    return grid + centre, grid + centre, _profiled_rss(data, knots, index, grid)


_PROFILES = {"segmented": _joined, "segmented_jumps": _jump, "bnsl": _smooth}


def _grid(x: FloatArray, estimate: float) -> FloatArray:
    """Locations between the first and last points, fine near the estimate."""
    inside = x[1:-1]
    coarse = np.linspace(inside[0], inside[-1], 121)
    near = estimate + np.linspace(-0.05, 0.05, 81) * np.ptp(x)
    grid = np.unique(np.concatenate([coarse, near]))
    return grid[(grid >= inside[0]) & (grid <= inside[-1])]


def _profiled_rss(data: Aggregated, knots: FloatArray, index: int, grid: FloatArray) -> FloatArray:
    """Residual sum with one knot at each value of the grid, shape (grid,).

    The other knots move one at a time, over ever finer steps.
    """
    trials = np.repeat(knots[None, :], grid.size, axis=0)
    trials[:, index] = grid
    best = _rss(data, trials)
    reach = float(np.ptp(data.x)) / 8
    others = [other for other in range(knots.size) if other != index]
    for _ in range(_ROUNDS):
        for other in others:
            offsets = np.linspace(-reach, reach, 21)
            shifted = np.repeat(trials[:, None, :], offsets.size, axis=1)
            shifted[:, :, other] += offsets
            values = _rss(data, shifted.reshape(-1, knots.size)).reshape(grid.size, -1)
            chosen = np.argmin(values, axis=1)
            rows = np.arange(grid.size)
            better = values[rows, chosen] < best
            best[better] = values[rows, chosen][better]
            trials[better] = shifted[rows, chosen][better]
        reach /= 4
    return best


def _rss(data: Aggregated, knots: FloatArray) -> FloatArray:
    return rss_at(data, np.sort(knots, axis=1), MIN_POINTS) + data.within
