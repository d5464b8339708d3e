"""Find where the slope could change: Davies' bound, the places that the likelihood keeps, and every cut.

`break_test` judges how many breaks there are. Here are Davies' bound for one change of slope anywhere, the
locations of a break that the likelihood does not reject, and the exponents on either side of every cut.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from lilliput.analysis.laws.curve import CurveFit, covariance_of
from lilliput.analysis.laws.piecewise import hinge_design
from lilliput.analysis.laws.power import fit_power
from lilliput.analysis.laws.registry import cost_law
from lilliput.core.arrays import FloatArray

_DAVIES_POINTS = 10


def davies_p(log_flops: FloatArray, log_loss: FloatArray, points: int = _DAVIES_POINTS) -> float:
    """Return an upper bound of the p-value of "one straight line" against one change of slope anywhere.

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


def exponent_against_cut(
    flops: FloatArray, loss: FloatArray, min_points: int = 3
) -> tuple[dict[str, float | None], ...]:
    """Return the exponents of two separate power laws below and above every possible cut.

    Args:
        flops: Shape (points,).
        loss: Shape (points,).
        min_points: Distinct costs that each side must hold.

    Returns:
        One record for each cut: `cut` (geometric middle of its gap), and for each side `exponent`, `se`, `r2`
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


def profile_interval(
    log_flops: FloatArray, log_loss: FloatArray, fit: CurveFit, index: int, level: float = 0.95
) -> tuple[float, float] | tuple[None, None]:
    """Return the lowest and highest break location that the likelihood does not reject, in units of the cost.

    Everything else is fitted again at every location of this break; a location stays while twice the
    log-likelihood it loses is below the chi-squared quantile with one degree of freedom, scaled for
    the estimated variance. Points count as independent.

    Args:
        log_flops: Shape (points,).
        log_loss: Shape (points,).
        fit: A law with breaks on these points: joined, with jumps, or smooth.
        index: Which break.
        level: Coverage.

    Returns:
        Lowest and highest location kept. A jump keeps whole gaps between points, since the data do not show
        where in its gap it lies; a smooth break is searched as far outside the points as its law allows.
    """
    room = fit.n - fit.n_free + 1
    place = float(fit.breaks[index])
    if room <= 0:
        return place, place
    limit = fit.rss * (1 + float(stats.f.ppf(level, 1, room)) / room)
    profile = cost_law(fit.law).profile(log_flops, log_loss, fit, index)
    if profile is None:
        return None, None
    kept = profile.rss <= limit
    edges = [place, *np.exp(profile.low[kept]).tolist(), *np.exp(profile.high[kept]).tolist()]
    return min(edges), max(edges)
