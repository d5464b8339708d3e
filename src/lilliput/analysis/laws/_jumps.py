"""The exact best split of points into pieces with a line of their own, by dynamic programming."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.laws._aggregate import Aggregated
from lilliput.core.arrays import FloatArray


def best_splits(data: Aggregated, breaks: int, min_points: int) -> NDArray[np.intp] | None:
    """First index of each piece but the first, shape (breaks,); None where points are too few."""
    n = data.x.size
    if n < min_points * (breaks + 1):
        return None
    cost = line_costs(data, min_points)
    total = cost[0].copy()
    came_from = np.zeros((breaks, n + 1), dtype=np.intp)
    for level in range(breaks):
        joined = total[:, None] + cost
        came_from[level] = np.argmin(joined, axis=0)
        total = joined[came_from[level], np.arange(n + 1)]
    splits = np.empty(breaks, dtype=np.intp)
    end = n
    for level in reversed(range(breaks)):
        end = splits[level] = came_from[level, end]
    return splits


def rss_of_splits(data: Aggregated, breaks: int, index: int, min_points: int) -> FloatArray:
    """Residual sum with one break in each gap and the others where they are best.

    Args:
        data: The points.
        breaks: How many there are.
        index: Which one is placed.
        min_points: Distinct points that each piece must hold.

    Returns:
        Shape (points - 1,), infinite where a piece would hold too few points.
    """
    cost = line_costs(data, min_points)
    below, above = cost[0], cost[:, -1]
    for _ in range(index):
        below = (below[:, None] + cost).min(axis=0)
    for _ in range(breaks - 1 - index):
        above = (cost + above[None, :]).min(axis=1)
    return (below + above)[1:-1]


def line_costs(data: Aggregated, min_points: int) -> FloatArray:
    """Residual sum of squares of a line through points i to j-1, shape (n + 1, n + 1).

    Infinite where j - i is below `min_points`. Prefix sums of centred values keep cancellation small.
    """
    w, x, y = data.weight, data.x - data.x.mean(), data.y - np.average(data.y, weights=data.weight)
    sums = [_between(w * term) for term in (np.ones_like(x), x, y, x * x, x * y, y * y)]
    weight, sx, sy, sxx, sxy, syy = sums
    n = x.size
    index = np.arange(n + 1)
    enough = index[None, :] - index[:, None] >= max(min_points, 2)
    weight = np.where(enough, weight, 1.0)
    var_x = np.where(enough, sxx - sx**2 / weight, 1.0)
    covariance = sxy - sx * sy / weight
    cost = syy - sy**2 / weight - covariance**2 / var_x
    return np.where(enough, np.maximum(cost, 0.0), np.inf)


def _between(values: FloatArray) -> FloatArray:
    """Sum of values i to j-1 for all i and j."""
    prefix = np.concatenate([[0.0], np.cumsum(values)])
    return prefix[None, :] - prefix[:, None]
