"""Below ten units of one point each, intervals are Student's."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.analysis_studies import measurements, simulate_finals
from scipy import stats

from lilliput.analysis import FitOptions, fit_measurements

FINAL = FitOptions(law="power", points="final", resamples=500)


def six_finals(seed: int, runs: int = 6):
    """Finished runs on L = 900 C^-0.16 with noise of 1 %."""
    rng = np.random.default_rng(seed)
    flops = np.geomspace(1e15, 1e18, runs)
    loss = 900 * flops**-0.16 * np.exp(0.01 * rng.standard_normal(runs))
    return measurements(flops, loss, np.arange(runs), np.ones(runs, dtype=bool))


@pytest.mark.parametrize("runs", [4, 6, 9])
def test_few_finished_runs_have_the_interval_of_students_t(runs):
    data = six_finals(0, runs)
    found = fit_measurements(data, FitOptions(law="power", points="final", resamples=4000))
    line = stats.linregress(np.log(data.flops), np.log(data.loss))
    half = stats.t.ppf(0.975, runs - 2) * line.stderr
    exponent = found.parameters["exponent"]
    # The quantile of 4,000 draws is known to about 4 % of the half width (9 % with two degrees of freedom).
    assert exponent.low == pytest.approx(-line.slope - half, abs=0.15 * half)
    assert exponent.high == pytest.approx(-line.slope + half, abs=0.15 * half)
    assert found.facts["resampled"] == "residual"
    assert any("Student's t" in warning for warning in found.warnings)


def test_intervals_of_six_finished_runs_hold_the_truth():
    held = 0
    for seed in range(200):
        options = FitOptions(law="power", points="final", resamples=200, seed=seed)
        exponent = fit_measurements(six_finals(seed), options).parameters["exponent"]
        held += exponent.low <= 0.16 <= exponent.high
    assert 0.90 <= held / 200 <= 0.99


def test_ten_runs_are_drawn_as_runs():
    found = fit_measurements(six_finals(0, 10), FINAL)
    assert found.facts["resampled"] == "run"


@pytest.mark.slow
@pytest.mark.parametrize("runs", [6, 8])
def test_intervals_of_the_slope_above_a_floor_hold_it(runs):
    """The floor is not told by so few runs; its interval must hold it."""
    held = 0
    for index in range(60):
        data = simulate_finals(index, runs, floor=1.5)
        options = FitOptions(law="power_offset", points="final", resamples=200, seed=index)
        offset = fit_measurements(data, options).parameters["offset"]
        held += offset.low <= 1.5 <= offset.high
    assert held >= 51
