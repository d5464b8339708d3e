"""Compute coefficients of association, and say which rank correlations are significant.

Coefficients are Pearson's, Spearman's and Kendall's, partial ones, and one corrected for noise.

Example of a p-value: five models, ordered by loss exactly as by score. Of the 120 possible orders 2 are as
strict as that (this one and its reverse), so the p-value is 2/120 = 0.017. Among six tasks the smallest p-value
must be at most 0.05/6 = 0.0083, so this one alone shows nothing there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
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


LEVEL = 0.05
_EXACT_UP_TO = 8
_ROUNDING = 1e-9


def rank_p_value(rho: float, n: int) -> float:
    """Return the share of the orders of n models without ties whose Spearman's rho is at least as far from zero.

    All orders are counted up to 8 models; above, Student's t with n - 2 degrees of freedom stands in.
    """
    if n < 3:
        return 1.0
    if n <= _EXACT_UP_TO:
        return float(np.mean(np.abs(_all_coefficients(n)) >= abs(rho) - _ROUNDING))
    if abs(rho) >= 1:
        return 2 / math.factorial(n)
    t = abs(rho) * math.sqrt((n - 2) / (1 - rho**2))
    return float(2 * stats.t.sf(t, n - 2))


@cache
def _all_coefficients(n: int) -> NDArray[np.float64]:
    """Return Spearman's rho of every order of n models, shape (n!,)."""
    orders = np.array(list(itertools.permutations(range(n))), dtype=np.float64)
    squares = ((orders - np.arange(n)) ** 2).sum(axis=1)
    return 1 - 6 * squares / (n * (n**2 - 1))


def holm(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Return which findings are significant, so that the risk of any false one among all is at most `level`.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
        Statistics 6, 1979.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    significant = [False] * len(p_values)
    for place, i in enumerate(order):
        if p_values[i] > level / (len(p_values) - place):
            break
        significant[i] = True
    return significant
