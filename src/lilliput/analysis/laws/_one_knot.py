"""The best single knot of a continuous broken line, exactly and at once for all gaps between points.

With the knot k in a gap, the hinge (x - k)+ less its projection on the straight line has with y an inner
product that is linear in k and a squared norm that is quadratic in k. Their ratio, which is what the
hinge takes off the residual sum, has one stationary point in closed form.
"""

from __future__ import annotations

import numpy as np

from lilliput.analysis.laws._aggregate import Aggregated
from lilliput.core.arrays import FloatArray

# A hinge that the straight line explains up to rounding cannot be told from it.
_INDEPENDENCE = 1e-9


def best_knot(data: Aggregated, min_points: int) -> tuple[float, float]:
    """The knot with the lowest residual sum of squares, and that sum; infinite where none is allowed.

    Args:
        data: The points.
        min_points: Distinct points that each side must hold, at least one.
    """
    n = data.x.size
    above = np.arange(min_points, n - min_points + 1)
    if above.size == 0:
        return 0.0, np.inf
    w = data.weight
    centre = float(np.average(data.x, weights=w))
    x = data.x - centre
    y = data.y - np.average(data.y, weights=w)
    sxx, sxy, syy = (float(np.sum(w * term)) for term in (x * x, x * y, y * y))
    s0, s1, s2, sy, sxy_above = (
        _from(w * term)[above] for term in (np.ones_like(x), x, x * x, y, x * y)
    )
    # Inner products of the hinge with x, 1 and itself are polynomials in k; see above.
    moment = (sxy_above - s2 * sxy / sxx, s1 * sxy / sxx - sy)
    norm = (
        s2 - s1**2 / w.sum() - s2**2 / sxx,
        -2 * s1 + 2 * s0 * s1 / w.sum() + 2 * s1 * s2 / sxx,
        s0 - s0**2 / w.sum() - s1**2 / sxx,
    )
    knots = _in_gaps(moment, norm, x[above - 1], x[above])
    taken = _taken_off(moment, norm, knots, s2)
    place = np.unravel_index(int(np.argmax(taken)), taken.shape)
    return float(knots[place]) + centre, syy - sxy**2 / sxx - float(taken[place]) + data.within


def _from(values: FloatArray) -> FloatArray:
    """Sum of the values at and after each index."""
    return np.cumsum(values[::-1])[::-1]


def _in_gaps(
    moment: tuple[FloatArray, ...], norm: tuple[FloatArray, ...], low: FloatArray, high: FloatArray
) -> FloatArray:
    """Both ends of each gap and the stationary point between them, shape (3, gaps)."""
    (a0, a1), (b0, b1, b2) = moment, norm
    bottom = a1 * b1 - 2 * a0 * b2
    flat = np.abs(bottom) <= np.finfo(np.float64).tiny
    still = np.where(flat, low, (a0 * b1 - 2 * a1 * b0) / np.where(flat, 1.0, bottom))
    return np.stack([low, high, np.clip(still, low, high)])


def _taken_off(
    moment: tuple[FloatArray, ...], norm: tuple[FloatArray, ...], k: FloatArray, scale: FloatArray
) -> FloatArray:
    """What the hinge takes off the residual sum; nothing where it is no hinge of its own."""
    product = moment[0] + moment[1] * k
    square = norm[0] + norm[1] * k + norm[2] * k**2
    own = square > _INDEPENDENCE * np.maximum(scale, 1e-300)
    return np.where(own, product**2 / np.where(own, square, 1.0), -np.inf)
