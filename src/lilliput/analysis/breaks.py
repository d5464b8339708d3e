"""Are there breaks, how many, and where could they be?

A searched break has no chi-squared test: its location does not exist under the null. So the number is
judged by simulating the null (parametric bootstrap of the BIC difference, run effects included), a
change of slope by Davies' bound, and each location by its profile likelihood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lilliput.analysis._aggregate import Aggregated, aggregate
from lilliput.analysis._hinges import every_combination, hinge_design, knot_candidates, rss_at
from lilliput.analysis.curves import CurveFit, covariance_of, plain
from lilliput.analysis.diagnostics import intraclass_correlation
from lilliput.analysis.power import fit_power
from lilliput.analysis.segmented import MIN_POINTS
from lilliput.core.seeding import generator

FloatArray = NDArray[np.float64]
_NULL_SEARCH = 4_000
_TESTED_BREAKS = 3
_DAVIES_POINTS = 10
_PROFILE_ROUNDS = 4


@dataclass(frozen=True)
class BreakTest:
    """A null with fewer breaks against up to three more, by parametric bootstrap.

    Attributes:
        null: Law of the null and its number of breaks.
        statistic: BIC of the null minus the best BIC of the alternatives.
        p: Share of data simulated under the null with at least this statistic.
        simulations: Number of simulated data sets.
        intraclass_correlation: Of the simulated noise within a run.
    """

    null: str
    statistic: float
    p: float
    simulations: int
    intraclass_correlation: float

    def as_record(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return plain(vars(self))


def bootstrap_break_test(
    log_flops: FloatArray,
    log_loss: FloatArray,
    runs: NDArray[np.intp],
    null: CurveFit,
    *,
    simulations: int,
    seed: int,
) -> BreakTest:
    """Whether breaks beyond those of `null` are more than noise.

    Noise is simulated as a normal run effect plus a normal point effect; their ratio is that of the
    residuals of the null. Observed and simulated data are treated alike: the null is refitted on its
    tangent space, the alternatives add to it up to three hinges at any of a grid of locations.

    Args:
        log_flops: Shape (points,).
        log_loss: Shape (points,).
        runs: Run of each point, shape (points,).
        null: Fitted to these points.
        simulations: Data sets drawn under the null.
        seed: Of the draws.
    """
    share = intraclass_correlation(log_loss - null.fitted, runs)
    scale = math.sqrt(null.rss / null.n)
    rng = generator(seed, "break-test", null.law, null.breaks.size)
    codes = np.unique(runs, return_inverse=True)[1].reshape(-1)
    common = rng.standard_normal((simulations, int(codes.max()) + 1))[:, codes]
    own = rng.standard_normal((simulations, null.n))
    noise = scale * (math.sqrt(share) * common + math.sqrt(1 - share) * own)
    every = np.concatenate([log_loss[None, :], null.fitted + noise])
    basis = np.linalg.qr(null.tangent)[0]
    deviation = every - null.fitted
    null_rss = np.sum((deviation - (deviation @ basis) @ basis.T) ** 2, axis=1)
    gain = _bic(null_rss, null.n, null.n_free) - _best_bic(log_flops, every, null)
    exceeding = int(np.sum(gain[1:] >= gain[0]))
    return BreakTest(
        null=f"{null.law} with {null.breaks.size} breaks" if null.breaks.size else null.law,
        statistic=float(gain[0]),
        p=(1 + exceeding) / (1 + simulations),
        simulations=simulations,
        intraclass_correlation=share,
    )


def _best_bic(x: FloatArray, every: FloatArray, null: CurveFit) -> FloatArray:
    """Lowest BIC of each data set over the null with one, two or three more hinges."""
    distinct, first, codes = np.unique(x, return_index=True, return_inverse=True)
    weight = np.bincount(codes).astype(np.float64)
    means = np.stack([np.bincount(codes, weights=y) for y in every]) / weight
    within = np.sum((every - means[:, codes]) ** 2, axis=1)
    data = Aggregated(distinct, means[0], weight, 0.0)
    best = np.full(every.shape[0], np.inf)
    for more in range(1, _TESTED_BREAKS + 1):
        n_free = null.n_free + 2 * more
        if distinct.size < MIN_POINTS * (more + 1) or null.n <= n_free:
            break
        candidates = knot_candidates(distinct, more, _NULL_SEARCH)
        rss = every_combination(data, means, null.tangent[first], candidates, more, MIN_POINTS)
        lowest = rss.reshape(rss.shape[0], -1).min(axis=1) + within
        best = np.minimum(best, _bic(lowest, null.n, n_free))
    return best


def _bic(rss: FloatArray, n: int, n_free: int) -> FloatArray:
    return n * np.log(np.maximum(rss / n, 1e-16)) + n_free * math.log(n)


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
