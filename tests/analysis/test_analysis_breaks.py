from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lilliput.analysis import (
    Form,
    bootstrap_break_test,
    davies_p,
    fit_form,
    profile_interval,
)
from lilliput.analysis._aggregate import aggregate
from lilliput.analysis._hinges import every_combination
from lilliput.analysis.diagnostics import intraclass_correlation


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
            null = fit_form(Form("power"), np.exp(x), np.exp(y))
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
        null = fit_form(Form("power"), np.exp(x), np.exp(y))
        claims += bootstrap_break_test(x, y, run, null, simulations=100, seed=seed).p < 0.05
    assert claims <= 6


def test_the_profile_interval_holds_the_break():
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = np.sort(rng.uniform(32, 40, 60))
        y = 3 - 0.05 * x - 0.1 * np.maximum(x - 36, 0) + rng.normal(0, 0.02, 60)
        fit = fit_form(Form("segmented", 1), np.exp(x), np.exp(y))
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
