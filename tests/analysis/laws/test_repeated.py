"""The law of repeated data: its golden numbers, its recovery, its best split, its door."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from tests.analysis.test_verbs import run_json, run_text

from lilliput.analysis import (
    MUENNIGHOFF,
    FitOptions,
    RepeatedDataLaw,
    analyse_fit,
    analyse_plan,
    fit_repeated,
    fit_repetition,
    read_table,
)
from lilliput.analysis.laws.repeated_fit import RepeatedProblem
from lilliput.core.errors import InputError

TRUTH = RepeatedDataLaw(1.8, 500, 1500, 0.35, 0.33, repeat_tokens=25, repeat_parameters=8)


def test_repeated_data_golden_numbers():
    # Derived from the constants of arXiv 2305.16264, appendix A, with a billion unique tokens.
    law = MUENNIGHOFF
    assert law.effective_tokens(4e9, 1e9) == pytest.approx(3.725673e9, rel=1e-6)
    assert law.effective_tokens(16e9, 1e9) == pytest.approx(1.0582457e10, rel=1e-6)
    assert law.effective_parameters(1e9, 1e9) == pytest.approx(3.135810e8, rel=1e-6)
    assert law.matched_parameters(1e9) / 1e9 == pytest.approx(0.050987, rel=1e-4)
    assert law.predict(1e7, 1e9, 1e9) == pytest.approx(4.636301, abs=1e-6)
    assert law.predict(1e7, 4e9, 1e9) == pytest.approx(4.266377, abs=1e-6)
    assert law.predict(1e9, 16e9, 1e9) == pytest.approx(2.828165, abs=1e-6)


def test_fresh_tokens_are_worth_themselves_and_repeats_saturate():
    law = MUENNIGHOFF
    assert law.effective_tokens(5e8, 1e9) == 5e8
    worth = law.effective_tokens(np.geomspace(1e9, 1e13, 30), 1e9)
    assert (np.diff(worth) >= 0).all()
    assert worth[-1] == pytest.approx(1e9 * (1 + law.repeat_tokens))


def test_a_corpus_larger_than_what_was_read_changes_nothing():
    assert MUENNIGHOFF.predict(1e9, 1e8, 1e9) == MUENNIGHOFF.predict(1e9, 1e8, 1e8)


def grid(noise: float = 0.0):
    """Parameters, tokens of every pass, unique tokens and losses of 90 runs, 50 with repetition."""
    n, d, u = (
        v.reshape(-1)
        for v in np.meshgrid(
            np.geomspace(1e7, 1e9, 5), np.geomspace(1e9, 1e11, 6), [5e8, 3e9, 1e11]
        )
    )
    random = np.random.default_rng(0).standard_normal(n.size)
    return n, d, u, TRUTH.predict(n, d, u) * np.exp(noise * random)


def test_repetition_rates_are_recovered():
    n, d, u, loss = grid()
    start = RepeatedDataLaw(*TRUTH.values[:5].tolist(), repeat_tokens=1, repeat_parameters=1)
    found = fit_repetition(start, n, d, u, loss)
    assert found.repeat_tokens == pytest.approx(25, rel=1e-3)
    assert found.repeat_parameters == pytest.approx(8, rel=1e-3)
    with pytest.raises(InputError, match="0 with repeated data"):
        fit_repetition(start, n, d, d, loss)


def test_all_seven_constants_are_recovered():
    np.testing.assert_allclose(fit_repeated(*grid()).values, TRUTH.values, rtol=1e-4)


def test_the_tangent_is_the_derivative():
    n, d, u, loss = grid()
    tangent = RepeatedProblem(n, d, u, loss).tangent(TRUTH)
    logs = np.array([1, 1, 1, 0, 0, 1, 1], dtype=bool)
    values = TRUTH.values[[1, 2, 0, 3, 4, 5, 6]]
    for i in range(7):
        step = np.zeros(7)
        step[i] = 1e-6
        up, down = (
            RepeatedDataLaw(*np.where(logs, values * np.exp(s), values + s)[[2, 0, 1, 3, 4, 5, 6]])
            for s in (step, -step)
        )
        slope = (np.log(up.predict(n, d, u)) - np.log(down.predict(n, d, u))) / 2e-6
        np.testing.assert_allclose(tangent[:, i], slope, atol=1e-7)


@pytest.mark.parametrize("flops", [1e17, 1e19, 1e21])
def test_the_best_split_is_the_lowest_loss_at_its_cost(flops):
    size, tokens = MUENNIGHOFF.best_split(flops, unique_tokens=1e9)
    assert 6 * size * tokens == pytest.approx(flops)

    def loss(log_n: float) -> float:
        n = np.exp(log_n)
        return float(MUENNIGHOFF.predict(n, flops / 6 / n, 1e9))

    centre = float(np.log(size))
    best = minimize_scalar(loss, bounds=(centre - 3, centre + 3), method="bounded")
    assert loss(centre) <= best.fun + 1e-9


def test_plentiful_data_are_split_as_if_nothing_repeated():
    # arXiv 2203.15556: N_opt = G (C / 6)^a; with too much data for any repeat the law is that one.
    law = MUENNIGHOFF
    size, tokens = law.best_split(np.array([1e18, 1e20]), unique_tokens=1e15)
    ratio = (law.A / law.B) ** (1 / (2 * law.alpha))
    np.testing.assert_allclose(size, ratio * np.sqrt(np.array([1e18, 1e20]) / 6), rtol=1e-6)
    assert (tokens < 1e15).all()


def repeated_csv(csv_file, noise: float = 0.003):
    n, d, u, loss = grid(noise)
    columns = {
        "run": range(n.size),
        "num_parameters": n.round(),
        "tokens_seen": d.round(),
        "unique_tokens": u,
        "flops_kaplan_6n": 6 * n * d,
        "loss": loss,
    }
    return csv_file({name: list(values) for name, values in columns.items()})


def test_a_table_of_repeated_runs_gives_the_law_with_intervals(csv_file):
    table = read_table(repeated_csv(csv_file))
    found = analyse_fit(table, options=FitOptions(law="repeated", resamples=60))
    for name, truth in (("E", 1.8), ("alpha", 0.35), ("beta", 0.33), ("repeat_tokens", 25)):
        estimate = found.parameters[name]
        assert estimate.low < truth < estimate.high, name
    assert found.n == 90
    assert found.parameters["unique_tokens"].value == 1e11
    assert np.sqrt(np.diag(found.covariance)).shape == (7,)
    # The model's own standard error and the bootstrap's are of one size where noise is even.
    model = np.sqrt(found.covariance[3, 3])
    assert 0.4 < model / found.parameters["alpha"].se < 2.5


def test_a_plan_over_a_small_corpus(csv_file):
    table = read_table(repeated_csv(csv_file))
    plan = analyse_plan(table, budget=1e22, options=FitOptions(law="repeated", resamples=20))
    assert plan.num_parameters.low < plan.num_parameters.value < plan.num_parameters.high
    assert 6 * plan.num_parameters.value * plan.tokens.value == pytest.approx(1e22, rel=1e-6)
    law = RepeatedDataLaw(*plan.fit.curve.values[:7])
    at_best = law.predict(plan.num_parameters.value, plan.tokens.value, 1e11)
    assert plan.predicted_loss.value == pytest.approx(float(at_best), rel=1e-6)
    assert plan.more_runs_to_halve is None


def test_the_command_line_has_a_door(csv_file):
    path = str(repeated_csv(csv_file))
    record = run_json("fit", path, "--law", "repeated", "--resamples", "10")
    assert {"repeat_tokens", "repeat_parameters"} <= record["parameters"].keys()
    assert record["covariance_of"][-1] == "ln repeat_parameters"
    assert (record["n"], record["n_repeated"], record["breaks"]) == (90, 50, [])


def test_bad_tables_are_named(csv_file, paper):
    with pytest.raises(InputError, match="unique_tokens"):
        analyse_fit(paper, options=FitOptions(law="repeated"))
    n, d, _, loss = grid()
    with pytest.raises(InputError, match="at least 6 points without repetition: got 0"):
        fit_repeated(n, d, d / 2, loss)
    with pytest.raises(InputError, match="0 with repeated data"):
        fit_repeated(n, d, d, loss)
    with pytest.raises(InputError, match="law repeated has no breaks: got 2"):
        analyse_fit(paper, options=FitOptions(law="repeated", breaks=2))


def test_a_law_without_an_irreducible_loss_is_fitted():
    n, d, u, _ = grid()
    truth = RepeatedDataLaw(1e-12, *TRUTH.values[1:].tolist())
    found = fit_repeated(n, d, u, truth.predict(n, d, u))
    assert found.E < 0.02
    np.testing.assert_allclose(found.predict(n, d, u), truth.predict(n, d, u), rtol=1e-3)


def test_a_rate_at_the_bound_of_its_search_is_marked_and_has_no_value(csv_file):
    """Excess parameters that are worth as much as any: the rate is beyond every bound."""
    n, d, u, _ = grid()
    truth = RepeatedDataLaw(*TRUTH.values[:6].tolist(), repeat_parameters=1e9)
    noise = np.exp(0.003 * np.random.default_rng(1).standard_normal(n.size))
    columns = {
        "run": range(n.size), "num_parameters": n.round(), "tokens_seen": d.round(),
        "unique_tokens": u, "flops": 6 * n * d, "loss": truth.predict(n, d, u) * noise,
    }  # fmt: skip
    path = csv_file({name: list(values) for name, values in columns.items()})
    record = run_json("fit", str(path), "--law", "repeated", "--resamples", "20")
    rate = record["parameters"]["repeat_parameters"]
    assert rate["at_bound"] == "highest"
    assert (rate["value"], rate["high"], rate["se"]) == (None, None, None)
    assert rate["low"] > 8
    assert "at_bound" not in record["parameters"]["repeat_tokens"]
    assert any("repeat_parameters is not identified" in said for said in record["warnings"])
    text = run_text("fit", str(path), "--law", "repeated", "--resamples", "20")
    assert "not identified" in text
    assert "1.628e+05 (" not in text


def test_the_points_of_a_fit_hold_what_it_was_fitted_to(csv_file):
    record = run_json("fit", str(repeated_csv(csv_file)), "--law", "repeated", "--resamples", "0")
    point = record["points"][0]
    assert point.keys() == {
        "run", "flops", "loss", "num_parameters", "tokens_seen", "unique_tokens",
    }  # fmt: skip
    columns = ("num_parameters", "tokens_seen", "unique_tokens", "loss")
    arrays = (np.array([point[name] for point in record["points"]]) for name in columns)
    again = fit_repeated(*arrays)
    assert again.alpha == pytest.approx(record["parameters"]["alpha"]["value"])
