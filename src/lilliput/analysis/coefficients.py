"""Compute coefficients of association: Pearson, Spearman, Kendall, partial ones, and a correction for noise."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from lilliput.core.arrays import FloatArray

_MANY_POINTS = 150


def pearson(x: FloatArray, y: FloatArray) -> float:
    """Return Pearson's coefficient of linear association; NaN where one side is constant."""
    dx, dy = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(dx @ dx) * float(dy @ dy))
    return float(dx @ dy) / scale if scale > 0 else math.nan


def spearman(x: FloatArray, y: FloatArray) -> float:
    """Return Spearman's rank coefficient, ties at their mean rank."""
    return pearson(stats.rankdata(x), stats.rankdata(y))


def kendall(x: FloatArray, y: FloatArray) -> float:
    """Return Kendall's tau-b."""
    if x.size > _MANY_POINTS:
        # Sorting beats all pairs from here on.
        return float(np.asarray(stats.kendalltau(x, y), dtype=np.float64)[0])
    sign_x, sign_y = (np.sign(v[:, None] - v[None, :]) for v in (x, y))
    scale = math.sqrt(float(np.sum(sign_x**2)) * float(np.sum(sign_y**2)))
    return float(np.sum(sign_x * sign_y)) / scale if scale > 0 else math.nan


def partial_correlation(
    x: FloatArray, y: FloatArray, given: FloatArray, *, ranks: bool = False
) -> float:
    """Return the correlation of the residuals of x and y after a linear regression on `given`.

    Args:
        x: Shape (points,).
        y: Shape (points,).
        given: Shape (points, columns).
        ranks: Whether to take ranks first (partial Spearman).
    """
    if ranks:
        x, y = stats.rankdata(x), stats.rankdata(y)
        given = stats.rankdata(given, axis=0)
    design = np.column_stack([np.ones(x.size), given - given.mean(axis=0)])
    basis = np.linalg.qr(design)[0]
    rest_x, rest_y = x - basis @ (basis.T @ x), y - basis @ (basis.T @ y)
    rounding = 1e-12 * (np.linalg.norm(x) * np.linalg.norm(y))
    if np.linalg.norm(rest_x) * np.linalg.norm(rest_y) <= rounding:
        return math.nan
    return float(rest_x @ rest_y / (np.linalg.norm(rest_x) * np.linalg.norm(rest_y)))


def reliability(y: FloatArray, noise_sd: float) -> float:
    """Return the share of the variance of y that is not measurement noise; NaN where noise explains it all."""
    variance = float(np.var(y, ddof=1))
    share = 1 - noise_sd**2 / variance if variance > 0 else math.nan
    return share if share > 0 else math.nan
