"""Rules of acceptance, on tables that people have published (facts transcribed from their threads)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lilliput.analysis import against_target, compare_means
from lilliput.core.errors import InputError

# openai/parameter-golf, PR 1967 (four values) against PR 1855 (mean 1.060755, sd 0.000933, n 6).
SIX = 1.060755 + 0.000933 * np.array([-1, -1, -1, 1, 1, 1]) * math.sqrt(5 / 6)


def test_welch_follows_its_formula() -> None:
    four = np.array([1.0571, 1.0585, 1.0592, 1.0574])
    found = compare_means(SIX, four, rule="welch")
    se = math.sqrt(SIX.var(ddof=1) / 6 + four.var(ddof=1) / 4)
    assert SIX.std(ddof=1) == pytest.approx(0.000933)
    assert found.statistic == pytest.approx((four.mean() - 1.060755) / se)
    assert found.accepted
    from scipy import stats

    oracle = stats.ttest_ind(four, SIX, equal_var=False, alternative="less")
    assert found.p == pytest.approx(float(oracle.pvalue))
    assert found.degrees == pytest.approx(float(oracle.df))


def test_the_paired_test_removes_what_seeds_share() -> None:
    shared = np.array([0.0, 0.3, -0.2, 0.1, 0.4])
    a, b = 3 + shared, 2.99 + shared + np.array([1, -1, 1, -1, 0]) * 1e-3
    assert compare_means(a, b, rule="paired-t").accepted
    assert not compare_means(a, b, rule="welch").accepted


@pytest.mark.parametrize(("n", "accepted"), [(3, False), (4, True)])
def test_the_speedrun_rule_grows_with_the_root_of_runs(n: int, accepted: bool) -> None:
    found = against_target(np.full(n, 3.27799), 3.28, rule="speedrun")
    assert found.statistic == pytest.approx(0.00201 * math.sqrt(n))
    assert found.accepted is accepted


def test_against_a_target_is_students_t() -> None:
    losses = np.array([3.2791, 3.2785, 3.2799, 3.2788])
    found = against_target(losses, 3.28)
    expected = (losses.mean() - 3.28) / (losses.std(ddof=1) / 2)
    assert found.statistic == pytest.approx(expected)


@pytest.mark.parametrize(
    ("a", "b", "rule", "words"),
    [
        ([1.0, 2.0], [1.0], "paired-t", "same two or more runs"),
        ([1.0], [1.0, 2.0], "welch", "two runs on each side"),
        ([1.0], [1.0], "dice", "known name"),
    ],
)  # fmt: skip
def test_what_a_rule_cannot_judge_is_refused(
    a: list[float], b: list[float], rule: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        compare_means(np.array(a), np.array(b), rule=rule)
