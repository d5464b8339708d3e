from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.core.intervals import (
    bootstrap_interval,
    mean_interval,
    percentile_bounds,
    proportion_interval,
    two_way_bootstrap_interval,
)


def test_student_interval_by_hand() -> None:
    # Mean 2, standard deviation 1, n 3: 2 +- 4.302653 / sqrt(3).
    interval = mean_interval([1.0, 2.0, 3.0])
    assert interval.low == pytest.approx(2 - 4.302653 / np.sqrt(3), abs=1e-6)
    assert interval.n == 3


def test_one_observation_is_marked_single() -> None:
    interval = mean_interval([0.7])
    assert interval.is_single
    assert not interval.excludes(0.0)


def test_wilson_interval_by_hand() -> None:
    # Wilson 1927 for 8 of 10 at z = 1.959964: (0.4902, 0.9433), Newcombe 1998.
    interval = proportion_interval(8, 10)
    assert (interval.low, interval.high) == pytest.approx((0.4902, 0.9433), abs=5e-5)


def test_student_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = (
        sum(not mean_interval(rng.normal(5.0, 2.0, 4)).excludes(5.0) for _ in range(2000)) / 2000
    )
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 2000)


def test_clustered_bootstrap_is_wider_than_one_over_points() -> None:
    # Ten runs of fifty identical points hold ten facts, not five hundred.
    rng = np.random.default_rng(1)
    values = np.repeat(rng.normal(size=10), 50)
    runs = np.repeat(np.arange(10), 50)
    by_run = bootstrap_interval(lambda i: float(values[i].mean()), runs)
    by_point = bootstrap_interval(lambda i: float(values[i].mean()), np.arange(500))
    assert by_run.low is not None
    assert by_run.high is not None
    assert by_point.low is not None
    assert by_point.high is not None
    ratio = (by_run.high - by_run.low) / (by_point.high - by_point.low)
    assert ratio == pytest.approx(np.sqrt(50), rel=0.2)  # 2000 resamples: a few per cent


def test_one_cluster_gives_no_bounds() -> None:
    assert bootstrap_interval(lambda i: float(i.mean()), [0, 0, 0]).is_single


def test_two_way_bootstrap_counts_both_sources_of_noise() -> None:
    # Scores = seed effect + example effect, each of standard deviation 1.
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(8, 1)) + rng.normal(size=(1, 200))
    interval = two_way_bootstrap_interval(lambda s, e: float(scores[np.ix_(s, e)].mean()), 8, 200)
    assert interval.low is not None
    assert interval.high is not None
    expected = 2 * 1.96 * np.sqrt(scores.mean(1).var() / 8 + scores.mean(0).var() / 200)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.1)


@given(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=50))
def test_percentile_bounds_lie_within_the_draws(draws: list[float]) -> None:
    low, high = percentile_bounds(draws, 0.9)
    assert low is not None
    assert high is not None
    assert min(draws) <= low <= high <= max(draws)


def test_mostly_infinite_draws_give_no_bounds() -> None:
    assert percentile_bounds([1.0, np.inf, np.nan, np.inf], 0.95) == (None, None)
