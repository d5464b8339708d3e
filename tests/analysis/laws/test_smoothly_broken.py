from __future__ import annotations

import csv

import numpy as np
import pytest

from lilliput.analysis import FitOptions, LawForm, analyse_fit, fit_form, read_table
from lilliput.analysis.laws.smoothly_broken import BnslProblem

# arXiv 2210.14891, repository ethancaballero/broken_neural_scaling_laws: four-digit addition.
A, B, C0, C1, D1, F1 = 0.413884, 2.277273, 0.0550773, 5.66290, 612.5836, 0.0591930


def published_law(x: np.ndarray) -> np.ndarray:
    return A + B * x**-C0 * (1 + (x / D1) ** (1 / F1)) ** (-C1 * F1)


@pytest.fixture(scope="module")
def addition(golden):
    with (golden / "bnsl_addition.csv").open() as file:
        rows = list(csv.DictReader(file))
    points = [(float(r["training_examples"]), float(r["test_error"])) for r in rows]
    return np.array(points).T


def rmsle(predicted: np.ndarray, observed: np.ndarray) -> float:
    return float(np.sqrt(np.mean((np.log(predicted) - np.log(observed)) ** 2)))


def test_four_digit_addition_is_fitted_and_extrapolated(addition):
    x, y = addition
    fit = fit_form(LawForm("bnsl", 1), x[:14], y[:14])
    # Published in-sample error 0.000598; the optimum here may only be lower.
    assert rmsle(fit.predict(x[:14]), y[:14]) <= rmsle(published_law(x[:14]), y[:14])
    assert rmsle(fit.predict(x[:14]), y[:14]) == pytest.approx(0.000598, abs=1e-6)
    assert fit.breaks[0] == pytest.approx(D1, rel=2e-3)
    assert fit.parameters["c0"] == pytest.approx(C0, rel=5e-3)
    assert fit.parameters["f1"] == pytest.approx(F1, rel=5e-3)
    # On the three points left out the published constants err by 0.01092.
    assert rmsle(published_law(x[14:]), y[14:]) == pytest.approx(0.01092, abs=1e-5)
    assert rmsle(fit.predict(x[14:]), y[14:]) < 0.012


def test_noiseless_points_up_to_405_give_the_law_back(addition):
    x = np.arange(1.0, 406.0)
    fit = fit_form(LawForm("bnsl", 1), x, published_law(x))
    assert fit.breaks[0] == pytest.approx(D1, rel=1e-4)
    beyond = addition[0][14:]
    np.testing.assert_allclose(fit.predict(beyond), published_law(beyond), rtol=1e-3)


def test_points_up_to_390_fit_and_yet_do_not_tell(csv_file):
    # Known to fail to extrapolate: the fit is perfect to eight digits, its break extrapolated.
    x = np.arange(1.0, 391.0)
    columns = {"run": range(390), "flops_examples": x, "loss": published_law(x)}
    table = read_table(csv_file({name: list(v) for name, v in columns.items()}))
    options = FitOptions(law="bnsl", breaks=1, points="all", resamples=0)
    result = analyse_fit(table, options=options)
    assert result.curve.rss / result.n < 1e-16
    assert any("outside the points" in warning for warning in result.warnings)
    far = np.array([800.0, 928.0])
    assert np.abs(np.log(result.curve.predict(far) / published_law(far))).max() > 0.01


def test_the_jacobian_is_the_derivative():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-3, 3, 20))
    problem = BnslProblem(x, np.log(1 + np.exp(-x)), 2)
    theta = np.array([[0.2, 0.1, 0.3, 0.5, -1.0, -1.2, -0.4, 0.8, -0.5]])
    _, jacobian = problem.residuals(theta)
    for i in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[0, i] = 1e-6
        up, down = problem.residuals(theta + step)[0], problem.residuals(theta - step)[0]
        np.testing.assert_allclose(jacobian[0, :, i], (up - down)[0] / 2e-6, atol=1e-8)


def test_too_few_points_for_a_smooth_break_give_nothing():
    x = np.geomspace(1, 100, 6)
    assert fit_form(LawForm("bnsl", 1), x, 3 * x**-0.2) is None
