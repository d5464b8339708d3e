"""Continuous broken lines: every combination of candidate knots at once, then the best ones refined.

The exhaustive search eliminates one hinge after another from the normal equations (a pivot of
Gauss-Jordan), for all hinges in parallel, so that K nested loops become K array operations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.laws._aggregate import Aggregated
from lilliput.core.arrays import FloatArray

_MOST_CANDIDATES = 200
_REFINE_STEPS = 25
_STEP_SHARES = np.array([1.0, 0.5, 0.2, 0.05])
# A hinge that the ones before it explain up to rounding cannot be told from them.
_INDEPENDENCE = 1e-9
_CELLS_AT_ONCE = 400_000


def knot_candidates(x: FloatArray, k: int, budget: int) -> FloatArray:
    """Points and mid-points between them, thinned evenly so that G to the power k stays in budget."""
    every = np.sort(np.concatenate([x, (x[1:] + x[:-1]) / 2]))
    count = min(_MOST_CANDIDATES, max(k + 2, int(budget ** (1 / k))))
    if every.size <= count:
        return every
    return every[np.unique(np.linspace(0, every.size - 1, count).round().astype(int))]


def search_knots(
    data: Aggregated, candidates: FloatArray, k: int, min_points: int, kept: int
) -> tuple[FloatArray, FloatArray]:
    """The best combinations of k candidate knots, best first.

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
    data: Aggregated,
    y: FloatArray,
    base: FloatArray,
    candidates: FloatArray,
    k: int,
    min_points: int,
) -> FloatArray:
    """Residual sum of squares of every ordered combination of k candidates, for many y at once.

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
    data: Aggregated, candidates: FloatArray, min_points: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which candidate may come first, follow another, and come last."""
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
    for level in range(k):
        diagonal = np.einsum("...jj->...j", gram)
        pivot = np.where(diagonal > floor, diagonal, 1.0)
        usable = (diagonal > floor) & (following if level else first)
        if level == k - 1:
            usable = usable & last
        rss = np.where(usable, rss[..., None] - moment**2 / pivot, np.inf)
        if level < k - 1:
            column = gram / pivot[..., None]
            moment = moment[..., None, :] - column * moment[..., :, None]
            gram = gram[..., None, :, :] - column[..., :, :, None] * gram[..., :, None, :]
    return np.maximum(rss, 0.0)


def refine_knots(data: Aggregated, starts: FloatArray, min_points: int) -> tuple[FloatArray, float]:
    """The best knots reachable from the starts, and their residual sum of squares.

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
    """Columns 1, x and one hinge a knot: shapes (points,) and (..., k) to (..., points, 2 + k)."""
    hinges = np.maximum(x[:, None] - knots[..., None, :], 0.0)
    line = np.broadcast_to(np.stack([np.ones_like(x), x], axis=1), (*hinges.shape[:-1], 2))
    return np.concatenate([line, hinges], axis=-1)


def _solve(data: Aggregated, design: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted least squares for a batch of designs: coefficients and residual sums."""
    root = np.sqrt(data.weight)
    weighted, y = design * root[:, None], data.y * root
    across = weighted.transpose(0, 2, 1)
    gram, moment = across @ weighted, across @ y
    diagonal = np.einsum("spp->sp", gram)
    diagonal += 1e-13 * diagonal + 1e-300
    coefficients: FloatArray = np.linalg.solve(gram, moment[:, :, None])[:, :, 0].astype(np.float64)
    residual = y - (weighted @ coefficients[:, :, None])[:, :, 0]
    return coefficients, np.sum(residual**2, axis=1)


def rss_at(data: Aggregated, knots: FloatArray, min_points: int) -> FloatArray:
    """Residual sums at each row of knots; infinite where a segment holds too few points."""
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


def _muggeo_move(data: Aggregated, knots: FloatArray) -> FloatArray:
    k = knots.shape[1]
    jumps = -(data.x[:, None] > knots[:, None, :]).astype(np.float64)
    design = np.concatenate([hinge_design(data.x, knots), jumps], axis=2)
    coefficients = _solve(data, design)[0]
    hinge, jump = coefficients[:, 2 : 2 + k], coefficients[:, 2 + k :]
    safe = np.where(np.abs(hinge) > 1e-12, hinge, np.inf)
    reach = float(np.ptp(data.x)) / 4
    return np.clip(jump / safe, -reach, reach)
