"""Where could a break be, does the slope change at all, and what does the place of a cut decide?

The number of breaks is judged by `break_test`; here are Davies' bound for a change of slope, the profile
likelihood of each location, and the exponents on either side of every cut.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lilliput.analysis._aggregate import Aggregated, aggregate
from lilliput.analysis._hinges import hinge_design, rss_at
from lilliput.analysis.curves import CurveFit, covariance_of
from lilliput.analysis.power import fit_power
from lilliput.analysis.segmented import MIN_POINTS

FloatArray = NDArray[np.float64]
_DAVIES_POINTS = 10
_PROFILE_ROUNDS = 4


def davies_p(log_flops: FloatArray, log_loss: FloatArray, points: int = _DAVIES_POINTS) -> float:
    """Upper bound of the p-value of "one straight line" against one change of slope anywhere.

    The bound treats points as independent, as Davies does; with runs of many points it is too small,
    and the bootstrap test is the one to trust.

    Args:
        log_flops: Shape (points,).
        log_loss: Shape (points,).
        points: Locations at which the change is tested, evenly spaced inside the data.

    Source: Davies, Biometrika 74 (1987), in the Wald form of Muggeo, R News 8/1 (2008).
    """
    ordered = np.sort(log_flops)
    if np.unique(ordered).size < 5 or log_flops.size < 5:
        return 1.0
    low, high = ordered[1], ordered[-2]
    locations = np.linspace(low, high, points)
    t = np.array([_slope_change_t(log_flops, log_loss, location) for location in locations])
    largest = float(np.abs(t).max())
    variation = float(np.abs(np.diff(t)).sum())
    bound = stats.norm.cdf(-largest) + variation * math.exp(-(largest**2) / 2) / math.sqrt(
        8 * math.pi
    )
    return min(1.0, 2 * float(bound))


def _slope_change_t(x: FloatArray, y: FloatArray, location: float) -> float:
    design = hinge_design(x, np.array([location]))
    basis, triangle = np.linalg.qr(design)
    moment = basis.T @ y
    residual = y - basis @ moment
    variance = float(residual @ residual) / (x.size - 3)
    if variance == 0 or triangle[2, 2] == 0:
        return 0.0
    return float(moment[2] * np.sign(triangle[2, 2]) / math.sqrt(variance))


def profile_interval(
    log_flops: FloatArray, log_loss: FloatArray, fit: CurveFit, index: int, level: float = 0.95
) -> tuple[float, float]:
    """Break locations that the likelihood does not reject, in units of the cost.

    The other breaks are fitted anew at every location of this one; a location stays while twice the
    log-likelihood it loses is below the chi-squared quantile with one degree of freedom, scaled for
    the estimated variance. Points count as independent.

    Args:
        log_flops: Shape (points,).
        log_loss: Shape (points,).
        fit: A continuous broken power law on these points.
        index: Which break.
        level: Coverage.
    """
    centre = float(log_flops.mean())
    data = aggregate(log_flops - centre, log_loss)
    knots = np.log(fit.breaks) - centre
    grid = _profile_grid(data.x, knots[index])
    rss = _profiled_rss(data, knots, index, grid)
    room = fit.n - fit.n_free + 1
    if room <= 0:
        return float(fit.breaks[index]), float(fit.breaks[index])
    limit = fit.rss * (1 + float(stats.f.ppf(level, 1, room)) / room)
    kept = np.append(grid[rss <= limit], knots[index])
    return float(np.exp(kept.min() + centre)), float(np.exp(kept.max() + centre))


def _profile_grid(x: FloatArray, estimate: float) -> FloatArray:
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
    for _ in range(_PROFILE_ROUNDS):
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


def exponent_against_cut(
    flops: FloatArray, loss: FloatArray, min_points: int = 3
) -> tuple[dict[str, float | None], ...]:
    """Exponents of the two separate power laws below and above every possible cut.

    Args:
        flops: Shape (points,).
        loss: Shape (points,).
        min_points: Distinct costs that each side must hold.

    Returns:
        One record a cut: `cut` (geometric middle of its gap), and for each side `exponent`, `se`, `r2`
        and `n`, prefixed `below_` and `above_`.
    """
    distinct = np.unique(flops)
    records: list[dict[str, float | None]] = []
    for i in range(min_points, distinct.size - min_points + 1):
        cut = math.sqrt(distinct[i - 1] * distinct[i])
        record: dict[str, float | None] = {"cut": cut}
        for side, rows in (("below", flops < cut), ("above", flops >= cut)):
            line = fit_power(flops[rows], loss[rows])
            covariance = covariance_of(line)
            record |= {
                f"{side}_exponent": line.parameters["exponent"],
                f"{side}_se": None if covariance is None else math.sqrt(covariance[1, 1]),
                f"{side}_r2": line.r2,
                f"{side}_n": line.n,
            }
        records.append(record)
    return tuple(records)
