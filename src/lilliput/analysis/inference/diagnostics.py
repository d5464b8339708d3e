"""Check the assumptions of a fit by its residuals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lilliput.analysis.laws.curve import CurveFit, plain_number
from lilliput.core.arrays import FloatArray

_FEWEST_UNITS, _SHOWN_UNITS = 4, 3


def intraclass_correlation(residuals: FloatArray, clusters: NDArray[np.intp]) -> float:
    """Return the share of the residual variance that points of one cluster have in common, from 0 to 1.

    The one-way analysis-of-variance estimator; zero where no cluster has two points.
    """
    codes = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(codes).astype(np.float64)
    n, k = residuals.size, sizes.size
    if k < 2 or n == k:
        return 0.0
    means = np.bincount(codes, weights=residuals) / sizes
    within = float(np.sum((residuals - means[codes]) ** 2)) / (n - k)
    between = float(np.sum(sizes * (means - residuals.mean()) ** 2)) / (k - 1)
    typical = (n - float(np.sum(sizes**2)) / n) / (k - 1)
    total = between + (typical - 1) * within
    return min(max((between - within) / total, 0.0), 1.0) if total > 0 else 0.0


def residual_diagnostics(
    fit: CurveFit, log_flops: FloatArray, log_loss: FloatArray, clusters: NDArray[np.intp]
) -> dict[str, float | None]:
    """Return spread, normality, order and clustering of the residuals of ln loss.

    Returns:
        `residual_sd` (relative error of the loss), `largest` (in residual_sd), `shapiro_p` (normality),
        `durbin_watson` (2 when neighbours along the cost are independent), `intraclass_correlation`.
    """
    residuals = (log_loss - fit.fitted)[np.argsort(log_flops, kind="stable")]
    room = fit.n - fit.n_free + 1
    spread = math.sqrt(fit.rss / room) if room > 0 else math.nan
    varied = residuals.size >= 3 and float(np.ptp(residuals)) > 0
    steps = float(np.sum(np.diff(residuals) ** 2))
    return {
        "residual_sd": plain_number(spread),
        "largest": plain_number(float(np.abs(residuals).max()) / spread) if spread > 0 else None,
        "shapiro_p": plain_number(float(stats.shapiro(residuals).pvalue)) if varied else None,
        "durbin_watson": plain_number(steps / fit.rss) if fit.rss > 0 else None,
        "intraclass_correlation": intraclass_correlation(log_loss - fit.fitted, clusters),
    }


def influence_of(
    fit: CurveFit, log_loss: FloatArray, units: NDArray[np.intp], delta: float = math.inf
) -> list[dict[str, Any]]:
    """Return the units whose removal moves the fit most, each with the constant that it moves most.

    The fit without a unit is found to first order, on the tangent of the curve; points whose residual exceeds
    `delta` count as the Huber loss counts them.

    Args:
        fit: The law.
        log_loss: ln loss of the points, shape (points,).
        units: Independent unit of each point, shape (points,).
        delta: Where the Huber loss turns linear; by default never (least squares).

    Returns:
        The first three, the most influential first: `unit` (its index), `parameter` (as a covariance knows it),
        `change` without the unit, and `standard_errors` (the change in the spread of these changes).
    """
    residual = log_loss - fit.fitted
    root = np.sqrt(np.minimum(1.0, delta / np.maximum(np.abs(residual), 1e-300)))
    design, target = fit.tangent * root[:, None], residual * root
    codes = np.unique(units)
    if codes.size < _FEWEST_UNITS or fit.n <= len(fit.free):
        return []
    every = np.linalg.lstsq(design, target, rcond=None)[0]
    changes = np.zeros((codes.size, len(fit.free)))
    for i, code in enumerate(codes.tolist()):
        kept = units != code
        if np.linalg.matrix_rank(design[kept]) == len(fit.free):
            changes[i] = np.linalg.lstsq(design[kept], target[kept], rcond=None)[0] - every
    # The jackknife: their spread times the root of (k - 1)^2 / k is a standard error.
    se = changes.std(axis=0) * (codes.size - 1) / math.sqrt(codes.size)
    size = np.abs(changes) / np.where(se > 0, se, np.inf)
    found: list[dict[str, Any]] = []
    for i in np.argsort(size.max(axis=1))[::-1][:_SHOWN_UNITS].tolist():
        column = int(np.argmax(size[i]))
        found.append(
            {
                "unit": int(codes[i]),
                "parameter": fit.free[column],
                "change": float(changes[i, column]),
                "standard_errors": float(size[i, column]),
            }
        )
    return found
