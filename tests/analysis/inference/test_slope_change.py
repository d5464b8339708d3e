"""Profile-likelihood intervals of breaks: each against a plain search, and how often they hold."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import least_squares

from lilliput.analysis import FitOptions, LawForm, analyse_fit, fit_form, predict, profile_interval
from lilliput.analysis.laws.piecewise import aggregate, line_costs, rss_of_splits
from lilliput.analysis.laws.smoothly_broken import bnsl_rss_at


@pytest.mark.parametrize("index", [0, 1])
def test_the_sum_with_a_jump_in_each_gap_is_that_of_a_plain_search(index):
    rng = np.random.default_rng(0)
    data = aggregate(np.sort(rng.uniform(30, 40, 13)), rng.normal(size=13))
    cost, n = line_costs(data, 2), data.x.size
    found = rss_of_splits(data, 2, index, 2)
    for gap in range(n - 1):
        sums = [
            cost[0, a] + cost[a, b] + cost[b, n]
            for a, b in itertools.combinations(range(1, n), 2)
            if (a, b)[index] == gap + 1
        ]
        assert found[gap] == pytest.approx(min(sums, default=np.inf))


def smooth_points(seed: int, noise: float = 0.01, n: int = 40):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(32, 40, n))
    law = np.array([0.5, np.exp(3), 0.05, 0.3, 0.3, np.exp(36)])
    loss = predict("bnsl", ("a", "b", "c0", "c1", "f1"), law, np.exp(x))
    return x, np.log(loss) + noise * rng.standard_normal(n)


def test_the_sum_of_a_held_smooth_break_is_that_of_scipy():
    x, y = smooth_points(0)
    fit = fit_form(LawForm("bnsl", 1), np.exp(x), np.exp(y))
    grid, rss = bnsl_rss_at(x, y, fit, 0)
    p = fit.parameters
    start = np.array([p["a"], np.log(p["b"]), p["c0"], p["c1"], np.log(p["f1"])])
    bounds = (
        [0, -np.inf, -np.inf, -np.inf, np.log(1e-3)],
        [np.exp(y.min()), *[np.inf] * 3, np.log(5)],
    )
    inside = np.flatnonzero((grid > x[3]) & (grid < x[-4]))
    for i in inside[:: max(1, inside.size // 8)]:

        def residual(t: np.ndarray, place: float = grid[i]) -> np.ndarray:
            vector = np.array([t[0], np.exp(t[1]), t[2], t[3], np.exp(t[4]), np.exp(place)])
            return np.log(predict("bnsl", fit.names, vector, np.exp(x))) - y

        plain = least_squares(residual, start, bounds=bounds, x_scale="jac", max_nfev=2000)
        # Ours may only be lower; where scipy stops early it is.
        assert rss[i] <= 2 * plain.cost * (1 + 1e-3)
        assert rss[i] >= fit.rss * (1 - 1e-6)
    assert rss.min() == pytest.approx(fit.rss, rel=1e-3)


def jumping_points(seed: int):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(32, 40, 40))
    return x, 3 - 0.1 * x - 0.05 * (x > 36) + rng.normal(0, 0.02, 40)


@pytest.mark.parametrize(
    ("form", "points", "studies"),
    [(LawForm("segmented_jumps", 1), jumping_points, 40), (LawForm("bnsl", 1), smooth_points, 8)],
    ids=["jump", "smooth break"],
)
def test_the_profile_interval_holds_the_break(form, points, studies):
    held = 0
    for seed in range(studies):
        x, y = points(seed)
        fit = fit_form(form, np.exp(x), np.exp(y))
        low, high = profile_interval(x, y, fit, 0)
        assert low <= fit.breaks[0] <= high
        held += low <= np.exp(36) <= high
    # 95 % of the studies within three standard errors.
    assert held / studies > 0.95 - 3 * np.sqrt(0.95 * 0.05 / studies)


@pytest.mark.parametrize(("law", "breaks"), [("segmented_jumps", 3), ("bnsl", 1)])
def test_every_break_of_a_table_has_its_profile(paper, law, breaks):
    found = analyse_fit(paper, options=FitOptions(law=law, breaks=breaks, resamples=0)).breaks
    assert len(found) == breaks
    assert all(b.profile_low <= b.value <= b.profile_high for b in found)
    # The published jump lies between 2.63e15 and 2.93e15 FLOPs or beside it.
    assert all(b.profile_high / b.profile_low < 2 for b in found)
