"""What a table cannot carry in a plan is said or refused, and never a traceback."""

from __future__ import annotations

import numpy as np
import pytest
from tests.analysis.test_verbs import run_json

from lilliput.analysis import FitOptions, analyse_fit, analyse_plan, analyse_size, read_table
from lilliput.core.errors import InputError


def chinchilla(sizes: np.ndarray, tokens: np.ndarray, noise: float, seed: int = 0) -> np.ndarray:
    """Losses of L = 1.69 + 406.4 / N^0.34 + 410.7 / D^0.28, whose best size has exponent 0.4516."""
    rng = np.random.default_rng(seed)
    loss = 1.69 + 406.4 / sizes**0.34 + 410.7 / tokens**0.28
    return loss * np.exp(noise * rng.standard_normal(sizes.size))


def ladder(csv_file):
    sizes = np.geomspace(3e7, 3e9, 12)
    tokens = 20 * sizes
    return read_table(
        csv_file(
            {
                "run": [f"r{i}" for i in range(12)],
                "num_parameters": sizes,
                "tokens_seen": tokens,
                "flops": 6 * sizes * tokens,
                "loss": chinchilla(sizes, tokens, 0.005),
            }
        )
    )


def test_a_ladder_cannot_split_a_budget_and_says_so(csv_file):
    table = ladder(csv_file)
    options = FitOptions(law="parametric", resamples=20)
    with pytest.raises(InputError, match=r"collinear.*1\.000"):
        analyse_plan(table, budget=1e23, options=options)
    found = analyse_fit(table, options=options)
    assert any("alpha and beta cannot be separated" in warning for warning in found.warnings)
    plan = analyse_plan(table, budget=1e23, options=FitOptions(resamples=20))
    assert (plan.num_parameters.low, plan.num_parameters.high) == (None, None)
    assert any("move together" in warning for warning in plan.warnings)


def isoflop_table(csv_file, budgets: int, sizes: int, noise: float, seed: int = 0):
    rows = {"run": [], "num_parameters": [], "tokens_seen": [], "flops": []}
    for flops in np.geomspace(1e18, 1e21, budgets):
        best = 0.6 * flops**0.4516
        for size in best * np.geomspace(0.25, 4, sizes):
            rows["run"].append(f"b{flops:.2g}n{size:.2g}")
            rows["num_parameters"].append(size)
            rows["tokens_seen"].append(flops / 6 / size)
            rows["flops"].append(flops)
    loss = chinchilla(np.array(rows["num_parameters"]), np.array(rows["tokens_seen"]), noise, seed)
    return rows | {"loss": loss.tolist()}


@pytest.mark.parametrize(("budgets", "sizes", "noise"), [(4, 4, 0.001), (5, 5, 0.002)])
def test_isoflop_intervals_hold_the_exponent_and_are_narrow(csv_file, budgets, sizes, noise):
    held, widths = 0, []
    for seed in range(60):
        table = read_table(csv_file(isoflop_table(csv_file, budgets, sizes, noise, seed)))
        found = analyse_size(table, options=FitOptions(law="isoflop")).parameters["exponent"]
        held += found.low <= 0.4516 <= found.high
        widths.append(found.high - found.low)
    # 95 % of 60 is 57; three standard errors are 5.
    assert held >= 52
    assert np.median(widths) < 0.06


def test_a_budget_without_a_minimum_is_counted_and_named(csv_file):
    rows = isoflop_table(csv_file, 4, 5, 0.0)
    for i in range(15, 20):
        rows["loss"][i] = 3 - 0.1 * (i - 15) ** 2
    found = analyse_size(read_table(csv_file(rows)), options=FitOptions(law="isoflop"))
    assert (found.n, found.facts["refused"]) == (3, {"no minimum at the budget": 5})
    assert any("1e+21 FLOPs was left out: no minimum" in warning for warning in found.warnings)
    assert len(found.facts["points"]) == 15


def test_two_budgets_have_no_interval_and_the_result_says_why(csv_file):
    table = read_table(csv_file(isoflop_table(csv_file, 2, 5, 0.001)))
    found = analyse_size(table, options=FitOptions(law="isoflop"))
    assert found.parameters["exponent"].low is None
    assert any("add a third" in warning for warning in found.warnings)


def test_logarithms_of_flops_are_refused(csv_file):
    rows = {"run": list("abcd"), "flops": [17.8, 19.0, 21.5, 23.9], "loss": [4.2, 4, 3.5, 3]}
    with pytest.raises(InputError, match=r"look like logarithms.*17\.8 to 23\.9"):
        analyse_fit(read_table(csv_file(rows)), options=FitOptions(law="power", points="all"))


def test_a_law_of_size_and_tokens_needs_no_flops(csv_file):
    rows = isoflop_table(csv_file, 3, 5, 0.001)
    with_flops = analyse_fit(
        read_table(csv_file(rows)), options=FitOptions(law="parametric", resamples=0)
    )
    del rows["flops"]
    without = analyse_fit(
        read_table(csv_file(rows)), options=FitOptions(law="parametric", resamples=0)
    )
    assert without.parameters["alpha"].value == pytest.approx(with_flops.parameters["alpha"].value)
    assert any("6 x parameters x tokens" in warning for warning in without.warnings)


def test_a_plan_far_ahead_does_not_forget_the_floor(csv_file):
    """Twenty runs over two decades above a floor; the truth at ten times the largest cost is held."""
    held = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        flops = np.sort(10 ** rng.uniform(16, 18, 20))
        law = lambda c: 1.7 + 2.0 * (c / 10**16.5) ** -0.16  # noqa: E731
        loss = law(flops) * np.exp(0.01 * rng.standard_normal(20))
        rows = {"run": [f"r{i}" for i in range(20)], "flops": flops, "loss": loss}
        budget = float(flops.max()) * 10
        options = FitOptions(points="final", resamples=60, seed=seed)
        found = analyse_plan(read_table(csv_file(rows)), budget=budget, options=options)
        held += found.predicted_loss.low <= law(budget) <= found.predicted_loss.high
    assert held >= 7


def test_the_command_line_takes_sizes_without_flops_and_warns_of_a_ladder(csv_file):
    rows = isoflop_table(csv_file, 3, 5, 0.001)
    del rows["flops"]
    record = run_json(
        "fit", str(csv_file(rows)), "--law", "parametric", "--points", "all", "--resamples", "0"
    )
    assert record["flops_column"] == "flops_6nd"
    assert record["points"][0].keys() == {"run", "flops", "loss", "num_parameters", "tokens_seen"}
    assert record["points"][0]["num_parameters"] == pytest.approx(rows["num_parameters"][0])
    sizes = np.geomspace(3e7, 3e9, 12)
    steps = {
        "run": [f"r{i}" for i in range(12)],
        "num_parameters": sizes,
        "tokens_seen": 20 * sizes,
        "loss": chinchilla(sizes, 20 * sizes, 0.005),
    }
    said = run_json("fit", str(csv_file(steps)), "--law", "parametric", "--resamples", "0")
    assert any("alpha and beta cannot be separated" in line for line in said["warnings"])


def test_the_best_size_along_a_frontier_has_no_interval_and_says_why(paper):
    plan = analyse_plan(paper, budget=1e17, options=FitOptions(law="power", resamples=5))
    assert plan.num_parameters.value > 0
    assert plan.num_parameters.low is None
    assert any("the best split is not identified" in warning for warning in plan.warnings)
