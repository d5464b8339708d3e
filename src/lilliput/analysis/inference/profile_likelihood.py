"""Find where a break could be: the locations that the likelihood does not reject."""

from __future__ import annotations

import numpy as np
from scipy import stats

from lilliput.analysis.laws.curve import CurveFit
from lilliput.analysis.laws.registry import cost_law
from lilliput.core.arrays import FloatArray


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
