"""The p-value of a rank correlation, and which of several correlations are significant together.

Example: five models, ordered by loss exactly as by score. Of the 120 possible orders 2 are as strict as that (this one
and its reverse), so the p-value is 2/120 = 0.017. Among six tasks the smallest p-value must be at most 0.05/6 = 0.0083,
so this one alone shows nothing there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

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
