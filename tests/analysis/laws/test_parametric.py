from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy.optimize import minimize

from lilliput.analysis import (
    FitOptions,
    Table,
    analyse_fit,
    analyse_plan,
    fit_likelihood,
    fit_parametric,
    isoflop_allocation,
    isoflop_profiles,
    likelihood_ratio_p,
    log_likelihood_at,
    measurements_of,
    minimum_over_curves,
    read_table,
)
from lilliput.analysis.laws.parametric import (
    Constraints,
    ParametricProblem,
    _nonnegative,  # pyright: ignore[reportPrivateUsage]
    starts_grid,
)
from lilliput.analysis.table.sized import sized_measurements
from lilliput.core.errors import InputError

# Hoffmann et al., arXiv 2203.15556: rounded as printed, and less rounded.
ROUNDED = np.array([1.69, 406.4, 410.7, 0.34, 0.28])
UNROUNDED = np.array([*np.exp([0.5267228, 6.0073404, 6.0179186]), 0.33917084, 0.2849083])


@pytest.fixture(scope="module")
def points(golden):
    """245 points read off the figure of Hoffmann et al.: epoch-research/analyzing-chinchilla."""
    with (golden / "chinchilla_points.csv").open() as file:
        rows = list(csv.DictReader(file))
    n, c, loss = np.array(
        [[float(r[k]) for k in ("num_parameters", "flops", "loss")] for r in rows]
    ).T
    return n, c / (6 * n), loss


@pytest.fixture(scope="module")
def without_outliers(points):
    keep = np.argsort(points[2])[:-5]
    return tuple(values[keep] for values in points)


@pytest.fixture(scope="module")
def refit(without_outliers):
    return fit_parametric(*without_outliers)


def test_the_starts_are_the_published_grid():
    assert starts_grid().shape == (4500, 5)


def test_the_refit_of_besiroglu(refit):
    # arXiv 2404.10102, data and procedure; the global minimum was verified independently.
    assert abs(refit.objective - 0.0010182740) < 1e-8
    assert pytest.approx(1.81722, abs=1e-3) == refit.E
    assert refit.alpha == pytest.approx(0.34731, abs=2e-3)
    assert refit.beta == pytest.approx(0.36717, abs=2e-3)
    assert pytest.approx(477.83, rel=0.02) == refit.A
    assert pytest.approx(2143.4, rel=0.05) == refit.B
    assert refit.size_exponent == pytest.approx(0.5139, abs=2e-3)


def test_the_objective_at_the_published_constants(without_outliers):
    problem = ParametricProblem(*without_outliers)
    for values, expected in ((ROUNDED, 0.0041210), (UNROUNDED, 0.0012312)):
        theta = np.array([*np.log(values[[1, 2, 0]]), *values[3:]])
        objective = problem.objective(problem.centred(theta), 1e-3)[0]
        assert objective == pytest.approx(expected, abs=6e-8)


def test_five_outliers_change_the_exponent_of_the_tokens(points, refit):
    every = fit_parametric(*points)
    assert every.objective == pytest.approx(0.0018260, abs=6e-8)
    assert pytest.approx(1.8913, abs=1e-3) == every.E
    assert every.beta == pytest.approx(0.4530, abs=2e-3)
    assert every.beta - refit.beta > 0.08


def test_the_likelihood_form(without_outliers, refit):
    # arXiv 2404.10102, table 1 with standard errors; log-likelihood and scale of their notebook.
    best = fit_likelihood(*without_outliers, start=refit)
    published = [(1.8172, 0.026), (482.01, 124.5), (2085.43, 1293.3), (0.3478, 0.015)]
    published += [(0.3658, 0.021)]
    for value, (expected, se) in zip(best.fit.values, published, strict=True):
        assert abs(value - expected) < 0.02 * se
    assert best.log_likelihood == pytest.approx(879.77, abs=0.006)
    assert best.log_scale == pytest.approx(-12.267, abs=6e-4)
    assert log_likelihood_at(ROUNDED, *without_outliers) == pytest.approx(562.25, abs=0.006)
    unrounded = log_likelihood_at(UNROUNDED, *without_outliers)
    assert unrounded == pytest.approx(837.78, abs=0.006)
    statistic, p = likelihood_ratio_p(best, unrounded)
    assert statistic == pytest.approx(84.0, abs=0.06)
    assert p == pytest.approx(1.2e-16, rel=0.05)


def test_the_gradient_is_the_derivative(without_outliers):
    problem = ParametricProblem(*without_outliers)
    theta = problem.centred(np.array([5.0, 6.5, 0.4, 0.3, 0.33]))
    gradient = problem.objective(theta, 1e-3)[1]
    for i in range(5):
        step = np.zeros(5)
        step[i] = 1e-6
        up, down = (
            problem.objective(theta + step, 1e-3)[0],
            problem.objective(theta - step, 1e-3)[0],
        )
        assert gradient[i] == pytest.approx((up - down) / 2e-6, rel=1e-4, abs=1e-9)


def grid_study(noise: float = 0.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    n, d = (
        v.reshape(-1) for v in np.meshgrid(np.geomspace(1e6, 1e9, 9), np.geomspace(1e8, 1e11, 8))
    )
    loss = 1.8 + 400 / n**0.34 + 2000 / d**0.36
    return n, d, loss * np.exp(noise * rng.standard_normal(n.size))


def test_exact_points_give_the_constants_back():
    n, d, loss = grid_study()
    fit = fit_parametric(n, d, loss)
    np.testing.assert_allclose(fit.values, [1.8, 400, 2000, 0.34, 0.36], rtol=1e-3)
    size, tokens = fit.optimum(1e20)
    assert 6 * size * tokens == pytest.approx(1e20)
    best = minimize(
        lambda t: float(fit.predict(np.exp(t[0]), 1e20 / 6 / np.exp(t[0]))), [np.log(1e9)]
    )
    assert size == pytest.approx(np.exp(best.x[0]), rel=1e-2)


def test_the_law_of_a_table_and_its_plan(csv_file):
    n, d, loss = grid_study(noise=0.005)
    columns = {
        "run": range(n.size),
        "num_parameters": n.round(),
        "tokens_seen": d.round(),
        "flops_kaplan_6n": 6 * n * d,
        "loss": loss,
    }
    table = read_table(csv_file({name: list(v) for name, v in columns.items()}))
    options = FitOptions(law="parametric", resamples=60)
    fit = analyse_fit(table, options=options)
    for name, truth in (("E", 1.8), ("alpha", 0.34), ("beta", 0.36), ("size_exponent", 0.514)):
        estimate = fit.parameters[name]
        assert estimate.low < truth < estimate.high
    plan = analyse_plan(table, budget=1e20, options=options)
    assert plan.num_parameters.low < plan.num_parameters.value < plan.num_parameters.high
    assert 6 * plan.num_parameters.value * plan.tokens.value == pytest.approx(1e20, rel=1e-6)
    at_optimum = 1.8 + 400 / plan.num_parameters.value**0.34 + 2000 / plan.tokens.value**0.36
    assert plan.predicted_loss.value == pytest.approx(at_optimum, rel=5e-3)


def test_too_few_points_and_sizes_are_refused_with_the_number():
    n, d, loss = grid_study()
    with pytest.raises(InputError, match="got 5"):
        fit_parametric(n[:5], d[:5], loss[:5])
    with pytest.raises(InputError, match="parameters: got 1"):
        fit_parametric(np.full(8, 1e6), d[:8], loss[:8])


def test_a_table_without_sizes_is_refused(csv_file):
    path = csv_file({"flops_x": [1e14, 2e14, 4e14], "loss": [3, 2.5, 2]})
    with pytest.raises(InputError, match="num_parameters"):
        analyse_fit(read_table(path), options=FitOptions(law="parametric"))


def test_isoflop_parabolas_find_the_allocation():
    budgets = np.geomspace(1e18, 1e21, 6)
    best = 0.3 * budgets**0.48
    c, k = np.meshgrid(budgets, np.linspace(-1.5, 1.5, 9), indexing="ij")
    n = best[:, None] * np.exp(k)
    loss = 2 + 0.05 * k**2 + (c / 1e18) ** -0.05
    flat = [v.reshape(-1) for v in (c, n, loss)]
    profiles = isoflop_profiles(*flat)
    np.testing.assert_allclose([p.num_parameters for p in profiles], best, rtol=1e-6)
    assert all(p.inside and p.n == 9 for p in profiles)
    found = isoflop_allocation(profiles)
    assert found.exponent == pytest.approx(0.48, abs=1e-9)
    assert found.size(1e22) == pytest.approx(0.3 * 1e22**0.48, rel=1e-6)
    with pytest.raises(InputError, match="got 1"):
        isoflop_allocation(profiles[:1])


def test_minima_outside_the_sizes_are_told():
    k = np.linspace(0.5, 2, 6)
    c = np.repeat([1e18, 1e19], 6)
    n = np.tile(1e7 * np.exp(k), 2)
    found = isoflop_allocation(isoflop_profiles(c, n, np.tile(2 + 0.1 * k**2, 2)))
    assert any("2 of 2 minima" in warning for warning in found.warnings)


def test_minimum_over_curves_recovers_the_allocation():
    sizes = np.geomspace(1e6, 1e9, 60)
    tokens = np.geomspace(1e7, 1e12, 80)
    n, d = np.meshgrid(sizes, tokens, indexing="ij")
    loss = 1.8 + 400 / n**0.34 + 2000 / d**0.36
    run = np.repeat(np.arange(sizes.size), tokens.size)
    inside = [v.reshape(-1) for v in (6 * n * d, n, loss)]
    keep = (inside[0] > 1e16) & (inside[0] < 1e20)
    found = minimum_over_curves(run[keep], *(v[keep] for v in inside))
    assert found.exponent == pytest.approx(0.36 / 0.70, abs=0.01)


def test_a_law_without_an_irreducible_loss_has_intervals_and_says_so():
    """Losses that would need a floor below zero have none, and its logarithm does not hold up the search."""
    n, d = (
        v.reshape(-1) for v in np.meshgrid(np.geomspace(1e6, 1e9, 6), np.geomspace(1e8, 1e11, 6))
    )
    noise = np.exp(np.random.default_rng(0).normal(0, 1e-3, n.size))
    columns = {
        "run": np.array([f"r{i}" for i in range(n.size)]),
        "num_parameters": n,
        "tokens_seen": d,
        "loss": (60 / n**0.25 + 150 / d**0.25 - 0.05) * noise,
    }
    table = Table("bare.csv", columns, np.arange(n.size))
    for resamples in (0, 5):
        found = analyse_fit(table, options=FitOptions(law="parametric", resamples=resamples))
        assert found.parameters["E"].value < 1e-3
        assert any(
            "cannot separate the irreducible loss from zero" in warning
            for warning in found.warnings
        )
        assert (found.parameters["alpha"].low is None) == (resamples == 0)


def test_the_search_over_exponents_finds_what_the_published_grid_misses(paper):
    """On the paper's runs the 4,500 starts end with no irreducible loss, at a higher objective than 0.062 nats."""
    data = measurements_of(paper)
    sized = sized_measurements(paper, data, "frontier")
    points = sized.parameters, sized.tokens, data.loss
    found = fit_parametric(*points)
    assert pytest.approx(0.0617, abs=1e-3) == found.E
    assert found.objective == pytest.approx(0.12982248, abs=1e-8)
    bare = fit_parametric(*points, constraints=Constraints(offset=1e-6))
    assert found.objective < bare.objective - 1e-6


def test_weights_count_points_as_repetitions_do(without_outliers):
    n, d, loss = (values[:60] for values in without_outliers)
    twice = np.arange(60) < 20
    repeated = [np.concatenate([values, values[twice]]) for values in (n, d, loss)]
    weighted = fit_parametric(n, d, loss, weights=np.where(twice, 2.0, 1.0))
    plain = fit_parametric(*repeated)
    assert weighted.objective == pytest.approx(plain.objective, rel=1e-9)
    assert weighted.alpha == pytest.approx(plain.alpha, rel=1e-5)


def test_nonnegative_least_squares_is_scipys():
    from scipy.optimize import nnls

    rng = np.random.default_rng(3)
    columns, target = rng.normal(size=(40, 3, 9)), rng.normal(size=9)
    found = _nonnegative(columns, target, np.ones(9))
    for row, solution in zip(columns, found, strict=True):
        np.testing.assert_allclose(solution, nnls(row.T, target)[0], atol=1e-9)


def test_standard_errors_of_the_loss_weigh_the_points():
    n, d = (
        v.reshape(-1) for v in np.meshgrid(np.geomspace(1e6, 1e9, 5), np.geomspace(1e8, 1e11, 5))
    )
    loss = 1.7 + 60 / n**0.25 + 150 / d**0.25
    spoilt = np.arange(n.size) % 3 == 0
    columns = {
        "num_parameters": n,
        "tokens_seen": d,
        "loss": np.where(spoilt, loss * 1.05, loss),
        "loss_se": np.where(spoilt, 1.0, 1e-3),
    }
    table = Table("weighed.csv", columns, np.arange(n.size))
    options = FitOptions(law="parametric", points="all", resamples=0)
    found = analyse_fit(table, options=options)
    assert found.parameters["alpha"].value == pytest.approx(0.25, abs=1e-3)
    assert any("loss_se" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (FitOptions(law="power", delta=1e-2), "--delta is a setting"),
        (FitOptions(law="repeated", offset=1.7), "--offset is a setting"),
        (FitOptions(law="parametric", offset=-1.0), "--offset must be above zero"),
    ],
)
def test_settings_of_another_law_are_refused(paper, options, said):
    with pytest.raises(InputError, match=said):
        analyse_fit(paper, options=options)


def test_a_run_that_went_wrong_is_the_most_influential():
    cost = np.geomspace(1e14, 1e17, 12)
    loss = 40 * cost**-0.1
    loss[-1] *= 1.3
    columns = {"run": np.array([f"r{i}" for i in range(12)]), "flops_x": cost, "loss": loss}
    table = Table("one.csv", columns, np.arange(12))
    found = analyse_fit(table, options=FitOptions(law="power", points="final", resamples=0))
    first = found.facts["influence"][0]
    assert (first["unit"], first["parameter"]) == ("run r11", "exponent")
    without = analyse_fit(
        table.select(np.arange(11)), options=FitOptions(law="power", points="final", resamples=0)
    )
    change = without.parameters["exponent"].value - found.parameters["exponent"].value
    assert first["change"] == pytest.approx(change)
