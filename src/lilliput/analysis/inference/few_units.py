"""Intervals from fewer than ten units of one point each: new residuals are drawn, as drawing units is too rough.

Six finished runs drawn with repetition leave about four different ones in a draw, so that intervals were more
than twice as wide as Student's t makes them. Here the costs stay, and each draw adds normal noise to the fitted
curve and is fitted anew. The noise of each draw has a size of its own, as the six residuals say only roughly how
large it is: for a straight line the draws follow Student's t exactly.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from lilliput.analysis.inference.options import FitOptions, Rows, drawn_unit, pick_points
from lilliput.analysis.laws.curve import CurveFit
from lilliput.analysis.table.measurements import Measurements
from lilliput.core.arrays import FloatArray
from lilliput.core.seeding import generator

FEW_UNITS = 10
# Draws that hold Student's tails themselves are read at the level itself, as from so many units.
_MANY = 10**9


def draws_residuals(data: Measurements, law: CurveFit, options: FitOptions) -> bool:
    """Say whether a law without breaks rests on fewer than ten units of one point each, off a frontier."""
    if options.points == "frontier" or law.breaks.size or options.resample not in ("unit", "run"):
        return False
    rows = _rows(data, options)
    units = drawn_unit(data, options)[1][rows]
    is_single = np.unique(units).size == rows.size
    return is_single and rows.size < FEW_UNITS and rows.size == law.n and _room(law) >= 1


def units_behind(data: Measurements, law: CurveFit, options: FitOptions) -> int:
    """Return as from how many units draws of a law are read; a huge number where residuals were drawn."""
    if draws_residuals(data, law, options):
        return _MANY
    return int(np.unique(drawn_unit(data, options)[1]).size)


def simulated_losses(law: CurveFit, draws: int, seed: int) -> FloatArray:
    """Return losses on the curve with new noise, shape (draws, points).

    The noise has the standard deviation of the residuals, divided in each draw by the root of a chi-squared
    variate over its degrees of freedom. These are spread evenly over their distribution, and all noise is used
    with both signs, so that a few hundred draws reach the tails on both sides alike.
    """
    rng = generator(seed, "few-units", law.law)
    half = -(-draws // 2)
    even = rng.permutation((np.arange(half) + 0.5) / max(half, 1))
    size = np.sqrt(law.rss / stats.chi2.ppf(even, _room(law)))
    noise = size[:, None] * rng.standard_normal((half, law.n))
    return np.exp(law.fitted + np.concatenate([noise, -noise])[:draws])


def _room(law: CurveFit) -> int:
    """Return the degrees of freedom of the residuals; the noise variance counts among `n_free`."""
    return law.n - law.n_free + 1


def _rows(data: Measurements, options: FitOptions) -> Rows:
    return pick_points(data, np.arange(len(data)), options)
