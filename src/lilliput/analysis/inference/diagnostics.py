"""Check the assumptions of a fit by its residuals."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lilliput.analysis.laws.curve import CurveFit, plain_number
from lilliput.core.arrays import FloatArray


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
