"""Chance of rank correlations, and what is left of several."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lilliput.analysis import Correlation, CorrelationResult
from lilliput.report.chance import beyond_chance, holm, rank_chance
from lilliput.report.correlations import TaskCorrelation
from lilliput.report.pages.answers_scores import answer_correlation


@pytest.mark.parametrize("n", [4, 6, 8])
def test_chance_of_an_order_is_that_of_a_permutation_test(n: int):
    x, y = np.arange(n), np.random.default_rng(n).permutation(n)
    rho = float(np.corrcoef(x, y)[0, 1])

    def statistic(order: np.ndarray) -> float:
        return float(np.corrcoef(x, order)[0, 1])

    exact = stats.permutation_test(
        (y,), statistic, permutation_type="pairings", n_resamples=100_000, vectorized=False
    )
    assert rank_chance(rho, n) == pytest.approx(exact.pvalue, rel=1e-6)


def test_chance_goes_on_smoothly_from_counting_to_student():
    counted, student = rank_chance(0.6, 8), rank_chance(0.6, 9)
    assert student < counted < 1.5 * student
    assert rank_chance(1.0, 5) == pytest.approx(2 / 120)
    assert rank_chance(1.0, 10) == pytest.approx(2 / 3628800)


def test_holm_steps_down():
    # 0.01 <= 0.05 / 4 and 0.016 <= 0.05 / 3, but 0.03 > 0.05 / 2, and with it all above fall.
    assert holm([0.03, 0.01, 0.016, 0.031]) == [False, True, True, False]
    assert holm([]) == []


def correlation(task: str, rho: float, low: float | None, high: float | None, n: int):
    one = Correlation(rho, low, high, n)
    return TaskCorrelation("constrained", task, CorrelationResult(one, one, one, "loss", "score"))


STRONG = correlation("strong", -0.98, -1.0, -0.8, 12)
# What a newcomer saw: one of six intervals, barely beyond zero, from eight models.
WEAK = [
    correlation("one", -0.83, -1.0, -0.02, 8),
    *(correlation(f"other {i}", 0.1 * i, -0.8, 0.9, 8) for i in range(5)),
]


def test_one_of_six_by_chance_is_no_yes_in_part():
    said = answer_correlation(tuple(WEAK), frozenset())
    assert beyond_chance(WEAK) == [False] * 6
    assert (said.verdict, said.label) == ("unclear", "Cannot tell")
    text = " ".join(said.paragraphs)
    assert "Of 6 comparisons 1 has an interval beyond zero" in text
    assert "Holm's correction" in text
    assert "0 are left" in text
    assert "taken alone, the lower the loss, the higher the score" in text


def test_a_strong_one_among_six_is_left():
    said = answer_correlation((STRONG, *WEAK[1:]), frozenset())
    assert (said.verdict, said.label) == ("yes", "Yes, in part")
    assert "1 is left" in " ".join(said.paragraphs)


def test_no_foretelling_by_models_that_learned_nothing():
    said = answer_correlation((STRONG,), frozenset({"constrained"}))
    assert said.verdict == "unclear"
    assert "learned more than how frequent each token is" in " ".join(said.paragraphs)
