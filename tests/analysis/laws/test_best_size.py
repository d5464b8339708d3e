from __future__ import annotations

import numpy as np
import pytest
from tests.analysis.test_verbs import run_json

from lilliput.analysis import FitOptions, analyse_fit, analyse_plan, analyse_size, read_table
from lilliput.core.errors import InputError

# L = E + A / N^0.34 + B / D^0.28: the best size grows with C^(0.28 / 0.62).
ALPHA, BETA = 0.34, 0.28
EXPONENT = BETA / (ALPHA + BETA)


def loss_of(n: float, d: float) -> float:
    return 1.7 + 400 / n**ALPHA + 410 / d**BETA


def grid_table(csv_file):
    """Seven sizes around the best one at each of five budgets, one finished run each."""
    rows = {"run": [], "flops_hoffmann": [], "num_parameters": [], "loss": []}
    rng = np.random.default_rng(0)
    for budget in np.geomspace(1e15, 1e18, 5):
        best = 0.6 * (budget / 6) ** EXPONENT
        for n in best * np.geomspace(0.25, 4, 7):
            rows["run"].append(f"run{len(rows['run'])}")
            rows["flops_hoffmann"].append(budget)
            rows["num_parameters"].append(n)
            rows["loss"].append(loss_of(n, budget / (6 * n)) * np.exp(0.001 * rng.normal()))
    return csv_file(rows)


def curves_table(csv_file):
    rows = {"run": [], "flops_hoffmann": [], "num_parameters": [], "loss": []}
    for n in np.geomspace(1e6, 1e9, 25):
        for d in np.geomspace(1e7, 1e11, 60):
            rows["run"].append(f"{n:.0f}")
            rows["flops_hoffmann"].append(6 * n * d)
            rows["num_parameters"].append(n)
            rows["loss"].append(loss_of(n, d))
    return csv_file(rows)


def test_parabolas_regain_the_exponent_with_an_interval(csv_file):
    found = analyse_size(
        read_table(grid_table(csv_file)), options=FitOptions(law="isoflop", resamples=100)
    )
    exponent = found.parameters["exponent"]
    assert found.n == 5
    assert exponent.value == pytest.approx(EXPONENT, abs=0.02)
    assert exponent.low < EXPONENT < exponent.high


def test_the_minimum_over_curves_regains_the_exponent(csv_file):
    found = analyse_size(
        read_table(curves_table(csv_file)), options=FitOptions(law="minimum", resamples=10)
    )
    # Sizes come in steps of a third, and the smallest and the largest bound the envelope.
    assert found.parameters["exponent"].value == pytest.approx(EXPONENT, abs=0.05)
    assert any("not independent" in warning for warning in found.warnings)


def test_the_command_line_speaks_as_every_fit_does(csv_file):
    path = str(grid_table(csv_file))
    record = run_json("fit", path, "--law", "isoflop", "--resamples", "20")
    assert {"law", "parameters", "r2", "bic", "n", "breaks", "candidates", "warnings"} <= set(
        record
    )
    assert {"value", "low", "high", "se"} == record["parameters"]["exponent"].keys()
    assert len(record["best_sizes"]) == 5


def test_without_sizes_or_budgets_it_is_refused(csv_file, paper):
    with pytest.raises(InputError, match="num_parameters"):
        path = csv_file({"run": "ab", "flops_x": [1e9, 2e9], "loss": [3, 2]})
        analyse_size(read_table(path), options=FitOptions(law="minimum"))
    with pytest.raises(InputError, match="got 1"):
        analyse_size(paper, options=FitOptions(law="isoflop"))


def test_a_law_of_size_is_no_law_of_loss(paper):
    for analyse in (
        analyse_fit,
        lambda table, options: analyse_plan(table, budget=1e17, options=options),
    ):
        with pytest.raises(InputError, match="isoflop"):
            analyse(paper, options=FitOptions(law="isoflop"))


def test_a_law_of_size_returns_what_every_law_does(csv_file):
    record = run_json("fit", str(grid_table(csv_file)), "--law", "isoflop", "--resamples", "20")
    assert len(record["points"]) == 35
    assert record["refused"] == {}
    assert record["covariance_of"] == ["ln coefficient", "exponent"]
    # A steeper law through the same sizes starts lower.
    assert record["covariance"][0][1] < 0
    assert np.sqrt(record["covariance"][1][1]) == pytest.approx(isoflop_se(csv_file), rel=1e-6)
    assert record["diagnostics"]["residual_sd"] > 0
    assert record["aicc"] > record["bic"]  # Five budgets leave little room for three parameters.


def isoflop_se(csv_file) -> float:
    options = FitOptions(law="isoflop", resamples=0)
    return analyse_size(read_table(grid_table(csv_file)), options=options).allocation.se
