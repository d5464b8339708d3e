"""Search for breaks: the places where straight pieces in log-log meet, or where they jump.

Three exact searches over points gathered by their abscissa. `best_knot` finds the best single knot of a
joined line in closed form. `search_knots` tries every combination of candidate knots at once, and
`refine_knots` moves the best ones. `best_splits` cuts points into pieces with a line of their own.

With x = 0, 1, 2, 3, 4 and y = 4, 3, 2, 1.5, 1:
    one line          y = 3.8 - 0.75 x        RSS 0.175
    one knot          at x = 2, slopes -1 and -0.5, RSS 0: `best_knot` returns (2.0, 0.0)
    its hinge there   (x - 2)+ = 0, 0, 0, 1, 2; its coefficient is the change of slope, +0.5
    one jump          after x = 1 or x = 2 (two points on each side at least), RSS 0 in both places
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lilliput.core.arrays import FloatArray

_MOST_CANDIDATES = 200
_REFINE_STEPS = 25
_STEP_SHARES = np.array([1.0, 0.5, 0.2, 0.05])
# A hinge that the hinges before it explain up to rounding is not used.
_INDEPENDENCE = 1e-9
_CELLS_AT_ONCE = 400_000


@dataclass(frozen=True)
class AggregatedPoints:
    """Hold the distinct x in ascending order with counts and means of y.

    Attributes:
        x: Shape (distinct,).
        y: Mean of y at each x, shape (distinct,).
        weight: Number of points at each x, shape (distinct,).
        within: Sum of squares of y around those means, which no curve can explain.
    """

    x: FloatArray
    y: FloatArray
    weight: FloatArray
    within: float


def aggregate(x: FloatArray, y: FloatArray) -> AggregatedPoints:
    """Gather points that share an abscissa."""
    distinct, codes = np.unique(x, return_inverse=True)
    weight = np.bincount(codes).astype(np.float64)
    mean = np.bincount(codes, weights=y) / weight
    return AggregatedPoints(distinct, mean, weight, float(np.sum((y - mean[codes]) ** 2)))


def best_knot(data: AggregatedPoints, min_points: int) -> tuple[float, float]:
    """Return the knot with the lowest residual sum of squares, and that sum; infinite where none is allowed.

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
    """Return the sum of the values at and after each index."""
    return np.cumsum(values[::-1])[::-1]


def _in_gaps(
    moment: tuple[FloatArray, ...], norm: tuple[FloatArray, ...], low: FloatArray, high: FloatArray
) -> FloatArray:
    """Return both ends of each gap and the stationary point between them, shape (3, gaps)."""
    (a0, a1), (b0, b1, b2) = moment, norm
    bottom = a1 * b1 - 2 * a0 * b2
    flat = np.abs(bottom) <= np.finfo(np.float64).tiny
    still = np.where(flat, low, (a0 * b1 - 2 * a1 * b0) / np.where(flat, 1.0, bottom))
    return np.stack([low, high, np.clip(still, low, high)])


def _taken_off(
    moment: tuple[FloatArray, ...], norm: tuple[FloatArray, ...], k: FloatArray, scale: FloatArray
) -> FloatArray:
    """Return how much the hinge lowers the residual sum; minus infinity where the line already explains it."""
    product = moment[0] + moment[1] * k
    square = norm[0] + norm[1] * k + norm[2] * k**2
    own = square > _INDEPENDENCE * np.maximum(scale, 1e-300)
    return np.where(own, product**2 / np.where(own, square, 1.0), -np.inf)


def knot_candidates(x: FloatArray, k: int, budget: int) -> FloatArray:
    """Return points and mid-points between them, thinned evenly so that count^k stays within the budget."""
    every = np.sort(np.concatenate([x, (x[1:] + x[:-1]) / 2]))
    count = min(_MOST_CANDIDATES, max(k + 2, int(budget ** (1 / k))))
    if every.size <= count:
        return every
    return every[np.unique(np.linspace(0, every.size - 1, count).round().astype(int))]


def search_knots(
    data: AggregatedPoints, candidates: FloatArray, k: int, min_points: int, kept: int
) -> tuple[FloatArray, FloatArray]:
    """Return the best combinations of k candidate knots, the best first.

    Args:
        data: The points.
        candidates: Ascending, shape (candidates,).
        k: Number of knots, at least one.
        min_points: Distinct points that each segment must hold.
        kept: Combinations handed back.

    Returns:
        Knots, shape (combinations, k), and their residual sums of squares; empty where no
        combination leaves enough points in each segment.
    """
    line = np.stack([np.ones_like(data.x), data.x - data.x.mean()], axis=1)
    rss = every_combination(data, data.y[None, :], line, candidates, k, min_points)[0]
    order = np.argsort(rss, axis=None)[:kept]
    order = order[np.isfinite(rss.flat[order])]
    knots = candidates[np.stack(np.unravel_index(order, rss.shape), axis=1)]
    return knots, rss.flat[order] + data.within


def every_combination(
    data: AggregatedPoints,
    y: FloatArray,
    base: FloatArray,
    candidates: FloatArray,
    k: int,
    min_points: int,
) -> FloatArray:
    """Return the residual sum of squares of every ordered combination of k candidates, for many y at once.

    Args:
        data: The abscissae and weights; its own y is not used.
        y: Shape (sets, distinct).
        base: Columns that are in every fit beside the hinges, shape (distinct, columns).
        candidates: Ascending, shape (candidates,).
        k: Number of knots, at least one.
        min_points: Distinct points that each segment must hold.

    Returns:
        Shape (sets, candidates, …, candidates); infinite where a combination is not allowed.
    """
    root = np.sqrt(data.weight)
    basis = np.linalg.qr(base * root[:, None])[0]
    hinges = np.maximum(data.x[:, None] - candidates[None, :], 0.0) * root[:, None]
    floor = _INDEPENDENCE * np.maximum(np.sum(hinges**2, axis=0), 1e-300)
    hinges = hinges - basis @ (basis.T @ hinges)
    target = y * root
    target = target - (target @ basis) @ basis.T
    allowed = _allowed(data, candidates, min_points)
    moment, rss = target @ hinges, np.sum(target**2, axis=1)
    return _eliminate(hinges.T @ hinges, moment, rss, allowed, floor, k)


def _allowed(
    data: AggregatedPoints, candidates: FloatArray, min_points: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which candidate may come first, which may follow another, and which may come last."""
    below = np.searchsorted(data.x, candidates, side="right")
    first = below >= min_points
    following = below[None, :] - below[:, None] >= min_points
    last = data.x.size - below >= min_points
    return first, following, last


def _eliminate(
    gram: FloatArray,
    moment: FloatArray,
    rss: FloatArray,
    allowed: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]],
    floor: FloatArray,
    k: int,
) -> FloatArray:
    """Pivot on one hinge a level; each level adds an axis that says which hinge it was."""
    first, following, last = allowed
    diagonal = np.einsum("...jj->...j", gram)
    for level in range(k):
        pivot = np.where(diagonal > floor, diagonal, 1.0)
        usable = (diagonal > floor) & (following if level else first)
        if level == k - 1:
            usable = usable & last
        rss = np.where(usable, rss[..., None] - moment**2 / pivot, np.inf)
        if level < k - 1:
            column = gram / pivot[..., None]
            moment = moment[..., None, :] - column * moment[..., :, None]
            diagonal = diagonal[..., None, :] - column * gram
            if level < k - 2:  # The last level needs the diagonal alone.
                gram = gram[..., None, :, :] - column[..., :, :, None] * gram[..., :, None, :]
    return np.maximum(rss, 0.0)


def refine_knots(
    data: AggregatedPoints, starts: FloatArray, min_points: int
) -> tuple[FloatArray, float]:
    """Return the best knots reachable from the starts, and their residual sum of squares.

    Muggeo's iteration: the knots move by the ratio of the coefficients of a jump and a hinge at each;
    of several fractions of the move the best is taken, and only if it lowers the sum.

    Args:
        data: The points.
        starts: Shape (starts, k), ascending rows.
        min_points: Distinct points that each segment must keep.

    Source: Muggeo, "Estimating regression models with unknown break-points", Statistics in Medicine
        22 (2003).
    """
    knots = starts.copy()
    rss = rss_at(data, knots, min_points)
    for _ in range(_REFINE_STEPS):
        move = _muggeo_move(data, knots)
        trials = np.sort(knots[:, None, :] + _STEP_SHARES[None, :, None] * move[:, None, :], axis=2)
        flat = rss_at(data, trials.reshape(-1, knots.shape[1]), min_points)
        trial_rss = flat.reshape(knots.shape[0], -1)
        best = np.argmin(trial_rss, axis=1)
        rows = np.arange(knots.shape[0])
        better = trial_rss[rows, best] < rss * (1 - 1e-12)
        if not better.any():
            break
        knots[better] = trials[rows, best][better]
        rss[better] = trial_rss[rows, best][better]
    winner = int(np.argmin(rss))
    return knots[winner], float(rss[winner]) + data.within


def hinge_design(x: FloatArray, knots: FloatArray) -> FloatArray:
    """Return columns 1, x and one hinge for each knot: shapes (points,) and (..., k) to (..., points, 2 + k)."""
    hinges = np.maximum(x[:, None] - knots[..., None, :], 0.0)
    line = np.broadcast_to(np.stack([np.ones_like(x), x], axis=1), (*hinges.shape[:-1], 2))
    return np.concatenate([line, hinges], axis=-1)


def _solve(data: AggregatedPoints, design: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Solve weighted least squares for a batch of designs: return coefficients and residual sums."""
    root = np.sqrt(data.weight)
    weighted, y = design * root[:, None], data.y * root
    across = weighted.transpose(0, 2, 1)
    gram, moment = across @ weighted, across @ y
    diagonal = np.einsum("spp->sp", gram)
    diagonal += 1e-13 * diagonal + 1e-300
    coefficients: FloatArray = np.linalg.solve(gram, moment[:, :, None])[:, :, 0].astype(np.float64)
    residual = y - (weighted @ coefficients[:, :, None])[:, :, 0]
    return coefficients, np.sum(residual**2, axis=1)


def rss_at(data: AggregatedPoints, knots: FloatArray, min_points: int) -> FloatArray:
    """Return the residual sum at each row of knots; infinite where a segment holds too few points."""
    below = np.searchsorted(data.x, knots, side="right")
    edges = np.zeros((knots.shape[0], 1), dtype=below.dtype)
    counts = np.diff(np.concatenate([edges, below, edges + data.x.size], axis=1), axis=1)
    sound = np.flatnonzero((counts >= min_points).all(axis=1))
    rss = np.full(knots.shape[0], np.inf)
    at_once = max(1, _CELLS_AT_ONCE // data.x.size)
    for i in range(0, sound.size, at_once):
        rows = sound[i : i + at_once]
        rss[rows] = _solve(data, hinge_design(data.x, knots[rows]))[1]
    return rss


def _muggeo_move(data: AggregatedPoints, knots: FloatArray) -> FloatArray:
    k = knots.shape[1]
    jumps = -(data.x[:, None] > knots[:, None, :]).astype(np.float64)
    design = np.concatenate([hinge_design(data.x, knots), jumps], axis=2)
    coefficients = _solve(data, design)[0]
    hinge, jump = coefficients[:, 2 : 2 + k], coefficients[:, 2 + k :]
    safe = np.where(np.abs(hinge) > 1e-12, hinge, np.inf)
    reach = float(np.ptp(data.x)) / 4
    return np.clip(jump / safe, -reach, reach)


def best_splits(data: AggregatedPoints, breaks: int, min_points: int) -> NDArray[np.intp] | None:
    """Return the first index of each piece but the first, shape (breaks,); None where points are too few."""
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


def rss_of_splits(data: AggregatedPoints, breaks: int, index: int, min_points: int) -> FloatArray:
    """Return the residual sum with one break in each gap and the others where they fit best.

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


def line_costs(data: AggregatedPoints, min_points: int) -> FloatArray:
    """Return the residual sum of squares of a line through points i to j-1, shape (n + 1, n + 1).

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
    """Return the sum of values i to j-1 for all i and j."""
    prefix = np.concatenate([[0.0], np.cumsum(values)])
    return prefix[None, :] - prefix[:, None]
