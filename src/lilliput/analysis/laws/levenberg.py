"""Solve many least-squares problems at once: Levenberg-Marquardt over a batch of starts.

It screens grids of starts and refits bootstrap draws; scipy polishes what is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lilliput.core.arrays import FloatArray

# (starts, parameters) to residuals (starts, points) and their Jacobian (starts, points, parameters).
Residuals = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
_FIRST_DAMPING, _LESS, _MORE = 1e-2, 0.2, 5.0


def levenberg(
    residuals: Residuals,
    starts: FloatArray,
    *,
    iterations: int,
    lower: FloatArray | None = None,
    upper: FloatArray | None = None,
    huber: float = math.inf,
    counts: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return parameters and costs after some damped Gauss-Newton steps from each start.

    Args:
        residuals: The problem; one call serves all starts.
        starts: Shape (starts, parameters).
        iterations: Steps tried; each is kept only where it lowers the cost.
        lower: Bounds, shape (parameters,); steps are clipped to them.
        upper: Likewise.
        huber: Residual from which the loss grows linearly; by default never (least squares). Steps
            then reweight the points, which never raises the cost.
        counts: Times each point counts, shape (starts, points) or (points,); a bootstrap draw.

    Returns:
        Parameters, shape (starts, parameters), and twice the sum of Huber losses (which is the sum of
        squares by default), shape (starts,); infinite where the problem is undefined.
    """
    theta = starts.copy()
    damping = np.full(theta.shape[0], _FIRST_DAMPING)
    with np.errstate(all="ignore"):
        residual, jacobian = residuals(theta)
        cost = _cost(residual, huber, counts)
        for _ in range(iterations):
            weights = _weights(residual, huber, counts)
            trial = _clipped(theta + _step(residual, jacobian, weights, damping), lower, upper)
            new_residual, new_jacobian = residuals(trial)
            new_cost = _cost(new_residual, huber, counts)
            better = new_cost < cost
            theta[better], cost[better] = trial[better], new_cost[better]
            residual[better], jacobian[better] = new_residual[better], new_jacobian[better]
            damping = np.where(better, damping * _LESS, damping * _MORE)
    return theta, cost


def _cost(residual: FloatArray, huber: float, counts: FloatArray | None) -> FloatArray:
    size = np.abs(residual)
    each = (
        size**2
        if math.isinf(huber)
        else np.where(size <= huber, size**2, 2 * huber * size - huber**2)
    )
    cost = np.sum(each if counts is None else each * counts, axis=1)
    return np.where(np.isfinite(cost), cost, np.inf)


def _weights(residual: FloatArray, huber: float, counts: FloatArray | None) -> FloatArray | None:
    """Return the weights under which the squares touch the Huber loss (iteratively reweighted least squares)."""
    if math.isinf(huber):
        return counts
    weights = huber / np.maximum(np.abs(residual), huber)
    return weights if counts is None else weights * counts


def _step(
    residual: FloatArray, jacobian: FloatArray, weights: FloatArray | None, damping: FloatArray
) -> FloatArray:
    """Return Marquardt's step, damped along the diagonal; zero where the system is not finite."""
    weighted = jacobian if weights is None else jacobian * weights[..., None]
    gram = jacobian.transpose(0, 2, 1) @ weighted
    gradient = np.einsum("snp,sn->sp", weighted, residual)
    sound = np.isfinite(gram).all(axis=(1, 2)) & np.isfinite(gradient).all(axis=1)
    gram[~sound], gradient[~sound] = np.eye(gram.shape[1]), 0.0
    diagonal = np.einsum("spp->sp", gram)
    floor = 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-300
    diagonal += damping[:, None] * diagonal + floor
    return -np.linalg.solve(gram, gradient[:, :, None])[:, :, 0]


def _clipped(theta: FloatArray, lower: FloatArray | None, upper: FloatArray | None) -> FloatArray:
    if lower is None and upper is None:
        return theta
    return np.clip(theta, lower, upper)
