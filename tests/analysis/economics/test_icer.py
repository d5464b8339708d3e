from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.analysis import (
    acceptability,
    analyse_factors,
    analyse_icer,
    icer,
    icer_with_seeds,
    net_benefit,
    read_table,
)
from lilliput.core.errors import InputError


@pytest.fixture(scope="module")
def cases(golden):
    return json.loads((golden / "icer_cases.json").read_text())


@pytest.mark.parametrize("case", ["va_herc", "hiv_screening"])
def test_worked_cases(cases, case):
    # DARTH-git/dampack unit test (VA HERC example); Paltiel et al. 2006.
    data = cases[case]
    found = icer(data["strategies"], np.array(data["cost"], float), np.array(data["effect"], float))
    assert {s.name for s in found} == set(data["expected"])
    for strategy in found:
        status, ratio = data["expected"][strategy.name]
        assert strategy.status == status
        assert strategy.icer == (None if ratio is None else pytest.approx(ratio, rel=1e-6))


def test_increments_of_the_va_case(cases):
    data = cases["va_herc"]
    found = icer(data["strategies"], np.array(data["cost"], float), np.array(data["effect"], float))
    frontier = [s for s in found if s.status == "ND"]
    assert [s.name for s in frontier] == ["UC", "B", "D", "E"]
    assert [s.incremental_cost for s in frontier] == [None, 5000, 25000, 20000]
    assert [s.incremental_effect for s in frontier] == [None, 1, 2, 1]


def test_a_tie_in_effect_goes_to_the_cheaper(cases):
    data = cases["zero_benefit_tie"]
    found = icer(data["strategies"], np.array(data["cost"]), np.array(data["effect"]))
    assert [s.name for s in found if s.status == "ND"] == data["expected_frontier"]


def test_a_single_strategy_has_no_ratio():
    (only,) = icer(["one"], np.array([3.0]), np.array([1.0]))
    assert (only.status, only.icer) == ("ND", None)


def test_the_42_shapes(paper):
    # Derived from the authors' runs: cost in GFLOPs per training sequence, effect test perplexity.
    found = analyse_icer(paper, cost="sequence_flops_reference", effect="test_perplexity_reference")
    assert found.direction == "lower"
    statuses = [s.status for s in found.strategies]
    assert (statuses.count("ND"), statuses.count("ED"), statuses.count("D")) == (7, 11, 24)
    expected = [
        (0.9440, 22.434, None),
        (0.9593, 16.573, 0.0026),
        (1.7350, 8.897, 0.1011),
        (3.4181, 6.832, 0.8149),
        (3.8208, 6.568, 1.5279),
        (9.3244, 5.308, 4.3658),
        (12.1582, 4.673, 4.4646),
    ]
    for strategy, (cost, effect, ratio) in zip(found.frontier, expected, strict=True):
        assert strategy.cost / 1e9 == pytest.approx(cost, abs=6e-5)
        assert strategy.effect == pytest.approx(effect, abs=6e-4)
        assert strategy.icer == (None if ratio is None else pytest.approx(ratio * 1e9, abs=6e4))


def test_one_factor_at_a_time(paper):
    ladders = analyse_factors(
        paper, cost="sequence_flops_reference", effect="test_perplexity_reference"
    )
    found = {
        factor: [s.icer / 1e9 for s in result.frontier if s.icer is not None]
        for factor, result in ladders.items()
    }
    expected = {
        "hidden_size": [0.335, 1.210, 4.171],
        "num_hidden_layers": [0.381, 1.468, 4.788],
        "embedding_size": [1.615, 4.814, 6.073],
        "intermediate_size": [2.448, 5.075],
        "num_attention_heads": [0.019],
    }
    assert found.keys() == expected.keys()
    for factor, ratios in expected.items():
        np.testing.assert_allclose(found[factor], ratios, atol=6e-4)
    heads = {s.name: s.status for s in ladders["num_attention_heads"].strategies}
    assert list(heads.values()).count("ND") == 2


numbers = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=14)


@given(numbers)
def test_the_frontier_is_the_lower_hull(pairs):
    cost = np.array([p[0] for p in pairs], float)
    effect = np.array([p[1] for p in pairs], float)
    names = [str(i) for i in range(len(pairs))]
    frontier = [s for s in icer(names, cost, effect) if s.status == "ND"]
    ratios = [s.icer for s in frontier if s.icer is not None]
    assert ratios == sorted(ratios)
    # At any price the strategy with the highest net benefit costs no more than the hull's best.
    for price in (0.0, 0.1, 0.5, 1.0, 2.0, 10.0, 100.0):
        best = net_benefit(cost, effect, np.array([price])).max()
        mine = max(price * s.effect - s.cost for s in frontier)
        assert mine == pytest.approx(best)


@given(numbers, st.randoms(use_true_random=False))
def test_the_order_of_the_strategies_does_not_matter(pairs, random):
    rows = [(f"s{i}", *pair) for i, pair in enumerate(dict.fromkeys(pairs))]
    shuffled = random.sample(rows, len(rows))

    def statuses(these):
        names, cost, effect = zip(*these, strict=True)
        return {s.name: s.status for s in icer(list(names), np.array(cost), np.array(effect))}

    assert statuses(rows) == statuses(shuffled)


@given(numbers)
def test_turning_the_effect_round_changes_nothing(pairs):
    cost, effect = (np.array(v, float) for v in zip(*pairs, strict=True))
    names = [str(i) for i in range(len(pairs))]
    up = icer(names, cost, effect)
    down = icer(names, cost, -effect, direction="lower")
    assert [(s.name, s.status, s.icer) for s in up] == [(s.name, s.status, s.icer) for s in down]


def test_seeds_give_acceptability():
    rng = np.random.default_rng(0)
    names = [name for name in ("small", "middle", "large") for _ in range(5)]
    cost = np.repeat([1.0, 2.0, 4.0], 5)
    effect = np.repeat([0.0, 1.0, 1.2], 5) + rng.normal(0, 0.05, 15)
    strategies, uncertain = icer_with_seeds(names, cost, effect, resamples=400)
    assert {s.replicates for s in strategies} == {5}
    assert uncertain is not None
    np.testing.assert_allclose(uncertain.ceac.sum(axis=1), 1)
    assert (uncertain.evpi >= -1e-12).all()
    # Nothing is worth paying at a price of zero; effect alone decides at a very high one.
    assert uncertain.names[uncertain.optimal[0]] == "small"
    assert uncertain.names[uncertain.optimal[-1]] == "large"
    assert uncertain.ceaf[0] == 1.0


def test_perfect_information_is_worth_nothing_without_noise():
    names = ["a", "a", "b", "b"]
    _, uncertain = icer_with_seeds(names, np.array([1.0, 1, 2, 2]), np.array([0.0, 0, 1, 1]))
    np.testing.assert_allclose(uncertain.evpi, 0, atol=1e-12)


def test_default_columns_are_name_cost_effect(csv_file):
    path = csv_file({"name": ["x", "y"], "cost": [1, 2], "effect": [3, 5]})
    found = analyse_icer(read_table(path))
    assert found.direction == "higher"
    assert [s.icer for s in found.strategies] == [None, 0.5]
    assert any("one measurement" in w for w in found.warnings)


def test_bad_input_is_named(csv_file):
    with pytest.raises(InputError, match="twice"):
        icer(["twice", "twice"], np.array([1.0, 2]), np.array([1.0, 2]))
    with pytest.raises(InputError, match="nan for b"):
        icer(["a", "b"], np.array([1.0, np.nan]), np.array([1.0, 2]))
    with pytest.raises(InputError, match="nowhere"):
        analyse_icer(
            read_table(csv_file({"name": ["x"], "cost": [1], "effect": [3]})), cost="nowhere"
        )


def test_measurements_along_a_run_are_no_replicates(csv_file):
    """Without `is_final` the costliest row of each run stands for it; equal costs are repetitions."""
    rows = {"run": list("aaabbb"), "flops_x": [1e9, 2e9, 4e9, 2e9, 4e9, 8e9]}
    curves = read_table(csv_file(rows | {"loss": [5, 4, 3.5, 4, 3, 2.5]}))
    found = analyse_icer(curves)
    assert [(s.name, s.cost, s.effect) for s in found.strategies] == [
        ("a", 4e9, 3.5),
        ("b", 8e9, 2.5),
    ]
    assert any("one measurement" in w for w in found.warnings)
    same = {"run": list("aabb"), "flops_x": [1e9, 1e9, 2e9, 2e9], "loss": [4, 4.2, 3, 3.1]}
    assert [s.replicates for s in analyse_icer(read_table(csv_file(same))).strategies] == [2, 2]


def test_one_cost_and_swapped_columns_are_told(csv_file):
    one = {"run": list("ab"), "flops_x": [1e12, 1e12], "loss": [3, 2]}
    assert any("same flops_x" in w for w in analyse_icer(read_table(csv_file(one))).warnings)
    swapped = {"run": list("ab"), "flops_x": [3, 2], "loss": [1e12, 2e12]}
    with pytest.raises(InputError, match="swapped"):
        analyse_icer(read_table(csv_file(swapped)))


def test_the_example_of_the_docs():
    """The four shapes of the docstring and of docs/explanations/icer.md."""
    cost, loss = np.array([10.0, 20, 30, 40]), np.array([4.0, 3.9, 3.0, 3.2])
    found = {s.name: s for s in icer(list("ABCD"), cost, loss, direction="lower")}
    assert "".join(found) == "ACBD"
    assert [found[name].status for name in "ABCD"] == ["ND", "ED", "ND", "D"]
    assert found["C"].icer == pytest.approx(20)


def test_the_example_of_acceptability():
    """Two strategies in two draws, as the docstring works them out."""
    cost, effect = np.array([[10.0, 20], [10, 20]]), np.array([[1.0, 3], [1, 1]])
    found = acceptability(["first", "second"], cost, effect, np.array([8.0]))
    assert found.ceac.tolist() == [[0.5, 0.5]]
    assert found.mean_net_benefit.tolist() == [[-2, -4]]
    assert (found.optimal.tolist(), found.evpi.tolist()) == ([0], [3])
