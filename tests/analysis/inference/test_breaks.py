from __future__ import annotations

import numpy as np
import pytest
from benchmarks.analysis_coverage import claimed_breaks, claimed_in
from benchmarks.analysis_studies import TRUTHS, UNBROKEN, measurements, simulate, simulate_curves
from hypothesis import given, settings
from hypothesis import strategies as st

from lilliput.analysis import (
    FitOptions,
    LawForm,
    bootstrap_break_test,
    davies_p,
    fit_form,
    fit_measurements,
    frontier_rows,
    profile_interval,
)
from lilliput.analysis.inference.diagnostics import intraclass_correlation
from lilliput.analysis.laws.piecewise import aggregate, best_knot, every_combination, rss_at
from lilliput.analysis.laws.power import fit_power


def test_davies_on_the_documented_example():
    # piecewise-regression documentation: p = 5.1e-295 with ten locations of their choosing.
    random = np.random.RandomState(0)
    x = np.linspace(0, 20, 200)
    y = 100 - 4 * x + 2 * np.maximum(x - 7, 0) + random.normal(size=200)
    assert -300 < np.log10(davies_p(x, y)) < -290


def test_davies_is_not_too_eager_without_a_break():
    # 5 % level: of 400 sets at most 5 % + four standard errors may fall below it.
    rejected = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        x = np.sort(rng.uniform(0, 1, 40))
        rejected += davies_p(x, 1 - x + rng.normal(0, 0.1, 40)) < 0.05
    assert rejected / 400 < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 400)


def test_davies_says_nothing_on_four_points():
    assert davies_p(np.arange(4.0), np.arange(4.0)) == 1.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_elimination_equals_least_squares_for_every_combination(seed, k):
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.uniform(0, 1, 15)), rng.normal(size=(2, 15))
    data = aggregate(x, y[0])
    candidates = np.linspace(0.2, 0.8, 5)
    line = np.stack([np.ones_like(x), x], axis=1)
    found = every_combination(data, y, line, candidates, k, 1)
    for index in np.argwhere(np.isfinite(found[0])):
        hinges = np.maximum(x[:, None] - candidates[index], 0)
        design = np.concatenate([line, hinges], axis=1)
        for row in range(2):
            residual = y[row] - design @ np.linalg.lstsq(design, y[row], rcond=None)[0]
            assert found[(row, *index)] == pytest.approx(float(residual @ residual), rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(5, 30), st.integers(1, 3))
def test_the_exact_knot_is_no_worse_than_any_of_a_fine_grid(seed, n, min_points):
    rng = np.random.default_rng(seed)
    x = np.round(rng.uniform(30, 40, n), 1)  # Some abscissae repeat.
    data = aggregate(x, rng.normal(size=n) - 0.3 * np.maximum(x - 35, 0))
    knot, rss = best_knot(data, min_points)
    if data.x.size < 2 * min_points:
        assert rss == np.inf
        return
    grid = np.linspace(data.x[min_points - 1], data.x[-min_points], 401)[:-1]
    on_grid = rss_at(data, grid[:, None], min_points) + data.within
    assert rss <= on_grid.min() * (1 + 1e-9)
    own = rss_at(data, np.array([[knot]]), 1)[0] + data.within
    assert rss == pytest.approx(own, rel=1e-7)


def broken_points(seed: int, slope_change: float, runs: int = 20, each: int = 3):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(32, 40, runs * each))
    run = rng.permutation(np.repeat(np.arange(runs), each))
    y = 3 - 0.05 * x - slope_change * np.maximum(x - 36, 0)
    return x, y + 0.02 * rng.standard_normal(runs)[run] + 0.01 * rng.standard_normal(x.size), run


def test_a_break_is_seen_and_no_break_is_not_claimed():
    for slope_change, expected in ((0.1, True), (0.0, False)):
        found = 0
        for seed in range(20):
            x, y, run = broken_points(seed, slope_change)
            null = fit_form(LawForm("power"), np.exp(x), np.exp(y))
            test = bootstrap_break_test(x, y, run, null, simulations=100, seed=seed)
            found += test.p < 0.05
        assert found == 20 if expected else found <= 4


def test_noise_shared_by_a_run_is_not_taken_for_a_break():
    """Runs in cost order with a common error look like pieces; the test must know it."""
    claims = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        run = np.repeat(np.arange(12), 4)
        x = np.linspace(32, 40, 48)
        y = 3 - 0.1 * x + 0.03 * rng.standard_normal(12)[run] + 0.003 * rng.standard_normal(48)
        null = fit_form(LawForm("power"), np.exp(x), np.exp(y))
        claims += bootstrap_break_test(x, y, run, null, simulations=100, seed=seed).p < 0.05
    assert claims <= 6


def test_the_profile_interval_holds_the_break():
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = np.sort(rng.uniform(32, 40, 60))
        y = 3 - 0.05 * x - 0.1 * np.maximum(x - 36, 0) + rng.normal(0, 0.02, 60)
        fit = fit_form(LawForm("segmented", 1), np.exp(x), np.exp(y))
        low, high = profile_interval(x, y, fit, 0)
        assert low <= fit.breaks[0] <= high
        held += low <= np.exp(36) <= high
    # 95 % of 40 within three standard errors.
    assert held / 40 > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 40)


def test_intraclass_correlation_is_recovered():
    rng = np.random.default_rng(0)
    run = np.repeat(np.arange(500), 6)
    noise = 2 * rng.standard_normal(500)[run] + rng.standard_normal(3000)
    assert intraclass_correlation(noise, run) == pytest.approx(0.8, abs=0.03)
    assert intraclass_correlation(rng.standard_normal(3000), run) < 0.03
    assert intraclass_correlation(noise, np.arange(3000)) == 0.0


@pytest.mark.parametrize(
    "name", ["6 runs x 36 points, frontier", "42 runs x 36 points, frontier", "14 finished runs"]
)
def test_breaks_are_rarely_claimed_where_there_are_none(name):
    # 8 % of 40 studies and three standard errors of that share.
    claimed = sum(claimed_in(name, index) > 0 for index in range(40))
    assert claimed / 40 <= 0.08 + 3 * np.sqrt(0.08 * 0.92 / 40)


def test_one_run_that_deviates_is_no_break():
    """All the points past the bend belong to one run: only that run says that there is a bend."""
    rng = np.random.default_rng(0)
    x = np.linspace(32, 40, 48)
    y = 3 - 0.1 * x + 0.002 * rng.standard_normal(48) - 0.1 * np.maximum(x - x[31:33].mean(), 0)
    for last, is_claimed in ((8, False), (12, True)):
        run = np.minimum(np.arange(48) // 4, last)
        data = measurements(np.exp(x), np.exp(y), run, np.ones(48, dtype=bool))
        found = fit_measurements(data, FitOptions(points="all", resamples=0))
        assert (len(found.breaks) > 0) == is_claimed
        assert any("a break rests on run 8" in w for w in found.warnings) != is_claimed


def test_turning_runs_over_keeps_what_one_run_does():
    """Many points of few runs look like evidence to independent noise, not to whole runs."""
    told = {"p_noise": 0, "p": 0}
    for index in range(20):
        data = simulate_curves(index, runs=6, points=36)
        rows = frontier_rows(data.flops, data.loss)
        x, y, run = np.log(data.flops[rows]), np.log(data.loss[rows]), data.run[rows]
        null = fit_form(LawForm("power"), data.flops[rows], data.loss[rows])
        test = bootstrap_break_test(x, y, run, null, simulations=100, seed=index)
        told["p_noise"] += test.p_noise < 0.05
        told["p"] += test.p < 0.05
    assert told["p"] <= 2 < told["p_noise"]


def test_few_runs_cannot_show_a_break_and_the_tool_says_so():
    data = simulate(TRUTHS[1], 0, runs=5, points=8)
    found = fit_measurements(data, FitOptions(points="all", resamples=0))
    assert found.breaks == ()
    assert any("5 runs" in w and "accident of one run" in w for w in found.warnings)


def test_a_law_with_breaks_that_was_asked_for_is_doubted_in_words():
    data = simulate(TRUTHS[0], 0, runs=12, points=3)
    options = FitOptions(law="segmented", breaks=1, points="all", resamples=0)
    found = fit_measurements(data, options)
    assert len(found.breaks) == 1
    doubts = [w for w in found.warnings if "cannot show whether" in w]
    assert len(doubts) == 1
    assert doubts[0].startswith("The broken power law, joined (1 break) was asked for, but ")


def test_a_frontier_says_that_its_intervals_are_short():
    data = simulate_curves(0, runs=8, points=10)
    for points, is_said in (("frontier", True), ("final", False)):
        found = fit_measurements(data, FitOptions(law="power", points=points, resamples=5))
        assert any("Points of a frontier" in w for w in found.warnings) == is_said


def test_the_quick_way_to_count_claims_is_the_slow_one():
    make, points = UNBROKEN["12 runs x 36 points, frontier"]
    sets = [(simulate(TRUTHS[1], 0, runs=14), "all"), (make(0), points), (make(1), points)]
    for seed, (data, kind) in enumerate(sets):
        options = FitOptions(points=kind, resamples=0, seed=seed)
        slow = len(fit_measurements(data, options).breaks)
        assert claimed_breaks(data, kind, seed) == slow


def test_the_place_of_a_jump_is_nearly_all_of_its_gap():
    """Nothing tells where in its gap a clear jump lies: 95 % of the gap is the interval."""
    rng = np.random.default_rng(0)
    x = np.linspace(32, 40, 40)
    y = 3 - 0.1 * x - 0.5 * (x > 36) + 0.001 * rng.standard_normal(40)
    run = np.arange(40)
    data = measurements(np.exp(x), np.exp(y), run, np.ones(40, dtype=bool))
    options = FitOptions(law="segmented_jumps", breaks=1, points="all", resamples=400)
    found = fit_measurements(data, options).breaks[0]
    low, high = x[x <= 36].max(), x[x > 36].min()
    assert low < np.log(found.low) < np.log(found.high) < high
    share = (np.log(found.high) - np.log(found.low)) / (high - low)
    # The end points of 400 even draws lie within four standard errors of their place.
    assert share == pytest.approx(0.95, abs=4 * np.sqrt(2 * 0.025 * 0.975 / 400))


@pytest.mark.parametrize(
    ("turn", "gain", "noise", "turned"), [(0, -3.1, 335, 320), (0.1, 34.9, 0, 2)]
)
def test_the_example_of_the_break_test(turn, gain, noise, turned):
    """The two rows of the module's docstring: ten runs, 400 simulated sets of each kind."""
    x = np.arange(10.0)
    wobble = 0.01 * np.array([1, -1, -1, 1, 1, -1, 1, -1, -1, 1])
    y = 2 - 0.1 * x - turn * np.maximum(x - 5, 0) + wobble
    null = fit_power(np.exp(x), np.exp(y))
    test = bootstrap_break_test(x, y, np.arange(10), null, simulations=400, seed=0)
    assert test.statistic == pytest.approx(gain, abs=0.05)
    assert test.p_noise == pytest.approx((1 + noise) / 401)
    assert test.p_runs == pytest.approx((1 + turned) / 401)
