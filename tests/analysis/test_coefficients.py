"""Chance of rank correlations, and which of several findings are left."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lilliput.analysis.coefficients import holm, rank_p_value


@pytest.mark.parametrize("n", [4, 6, 8])
def test_chance_of_an_order_is_that_of_a_permutation_test(n: int):
    x, y = np.arange(n), np.random.default_rng(n).permutation(n)
    rho = float(np.corrcoef(x, y)[0, 1])

    def statistic(order: np.ndarray) -> float:
        return float(np.corrcoef(x, order)[0, 1])

    exact = stats.permutation_test(
        (y,), statistic, permutation_type="pairings", n_resamples=100_000, vectorized=False
    )
    assert rank_p_value(rho, n) == pytest.approx(exact.pvalue, rel=1e-6)


def test_chance_goes_on_smoothly_from_counting_to_student():
    counted, student = rank_p_value(0.6, 8), rank_p_value(0.6, 9)
    assert student < counted < 1.5 * student
    assert rank_p_value(1.0, 5) == pytest.approx(2 / 120)
    assert rank_p_value(1.0, 10) == pytest.approx(2 / 3628800)


def test_holm_steps_down():
    # 0.01 <= 0.05 / 4 and 0.016 <= 0.05 / 3, but 0.03 > 0.05 / 2, and with it all above fall.
    assert holm([0.03, 0.01, 0.016, 0.031]) == [False, True, True, False]
    assert holm([]) == []
