"""How often rank correlations come about by chance, and which of several are left when that is allowed for."""

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


def rank_chance(rho: float, n: int) -> float:
    """Share of the orders of n models without ties whose Spearman's rho is at least as far from zero.

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
    """Spearman's rho of every order of n models, shape (n!,)."""
    orders = np.array(list(itertools.permutations(range(n))), dtype=np.float64)
    squares = ((orders - np.arange(n)) ** 2).sum(axis=1)
    return 1 - 6 * squares / (n * (n**2 - 1))


def holm(chances: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which findings are left when the chance of any false one among all of them is at most `level`.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
        Statistics 6, 1979.
    """
    order = sorted(range(len(chances)), key=lambda i: chances[i])
    left = [False] * len(chances)
    for place, i in enumerate(order):
        if chances[i] > level / (len(chances) - place):
            break
        left[i] = True
    return left
