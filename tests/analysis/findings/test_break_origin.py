"""Break and exit of simulated families: where the break moves with the plateau, where it stays, and where nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest
from tests.analysis.findings.families import (
    ENTROPY,
    FLOPS,
    broken_at_one_cost,
    on_a_plateau_until,
    study,
)

from lilliput.analysis import Table, paper_table
from lilliput.analysis.findings.break_origin import (
    LEAST_SPREAD,
    BreakOrigin,
    families_of,
    find_break_origins,
)
from lilliput.analysis.findings.stored import from_stored, to_stored


def answer(table: Table, resamples: int = 60) -> BreakOrigin:
    return find_break_origins(table, [FLOPS], resamples)[0]


@pytest.fixture(scope="module")
def leaving() -> Table:
    """A family that leaves its plateau at 300 steps and one that does at 6,000."""
    return study(on_a_plateau_until, {"fast": 300, "slow": 6000})


@pytest.fixture(scope="module")
def fast_and_slow(leaving: Table) -> BreakOrigin:
    return answer(leaving)


def test_where_the_plateau_makes_the_break_it_moves_with_the_exit(fast_and_slow: BreakOrigin):
    found = fast_and_slow
    assert found.verdict == "moves", found.problem
    assert found.spread == pytest.approx(20, rel=0.3)
    assert found.slope.low < 1 < found.slope.high or found.slope.value == pytest.approx(1, abs=0.1)
    for family in found.families:
        assert 0.7 < family.ratio.value < 2.5, family
        assert (family.shapes, family.left, family.cheapest) == (6, 6, "a/1")
    fast, slow = found.families
    assert fast.fewest_steps == pytest.approx(300, rel=0.3)
    assert slow.fewest_steps == pytest.approx(6000, rel=0.3)
    assert slow.place.value / fast.place.value == pytest.approx(20, rel=0.6)


def test_where_scale_makes_the_break_it_stays_whatever_the_exit_does():
    found = answer(study(broken_at_one_cost, {"fast": 50, "slow": 2000}))
    assert found.verdict == "stays", found.problem
    assert found.spread > 10
    for family in found.families:
        assert family.place.value == pytest.approx(3e13, rel=0.4)
    assert found.slope.excludes(1)


def test_families_that_leave_at_about_the_same_compute_say_nothing():
    found = answer(study(on_a_plateau_until, {"one": 1000, "other": 1500}))
    assert found.spread < LEAST_SPREAD
    assert found.verdict == "unclear"
    assert "within a factor of 1." in found.problem


def test_a_family_that_never_left_is_named_and_not_compared():
    table = study(on_a_plateau_until, {"fast": 300, "never": 1e9})
    found = answer(table)
    assert found.verdict == "unclear"
    assert "only one has" in found.problem
    never = found.families[1]
    assert (never.group, never.left, never.exit.value) == ("never", 0, None)
    assert never.problem == "no shape left the plateau"
    assert len(never.frontier_flops) == len(never.frontier_loss) > 20  # It is drawn all the same.


def test_a_shape_has_left_when_all_of_its_seeds_have(leaving: Table):
    table = leaving
    stuck = table.text("run") == "fast a/1 1"
    loss = np.where(stuck, ENTROPY, table.number("loss"))
    found = answer(table.with_columns({"loss": loss}), resamples=10)
    fast = found.families[0]
    assert (fast.left, fast.cheapest) == (5, "b/1")


def test_exponents_are_compared_from_twice_the_break_on(fast_and_slow: BreakOrigin):
    assert [family.above.value for family in fast_and_slow.families] == pytest.approx(
        [0.08, 0.08], abs=0.01
    )
    (same,) = fast_and_slow.differences
    assert (same.one, same.other) == ("fast", "slow")
    assert same.difference.low < 0.01
    assert same.difference.high > -0.01

    def steeper(exit_at: float, size: float, step: float, cost: float) -> float:
        value = on_a_plateau_until(exit_at, size, step, cost)
        return value * (cost / 1e10) ** -0.1 if exit_at < 1000 else value

    different = answer(study(steeper, {"fast": 300, "slow": 3000}))
    assert different.share_one_exponent is False
    assert different.differences[0].difference.value == pytest.approx(0.1, abs=0.03)


def test_branches_of_one_trunk_are_one_trajectory(leaving: Table, fast_and_slow: BreakOrigin):
    table = leaving
    short = table.select(table.number("step") < 5000)
    short = short.with_columns({"run": np.char.add(short.text("run"), " short")})
    both = {
        name: np.concatenate([table.columns[name], short.columns[name]]) for name in table.columns
    }
    doubled = Table("with branches", both, np.arange(len(table) + len(short)))  # fmt: skip
    one, two = fast_and_slow, answer(doubled)
    for alone, branched in zip(one.families, two.families, strict=True):
        assert alone.exit.value == pytest.approx(branched.exit.value)
        assert alone.exit.low == pytest.approx(branched.exit.low)
        assert alone.shapes == branched.shapes == 6


def test_languages_are_not_families_and_tables_without_entropy_have_none(leaving: Table):
    table = leaving
    other = np.where(table.text("variant") == "slow", 5.5, ENTROPY)
    assert families_of(table.with_columns({"unigram_entropy": other})) == {}
    assert set(families_of(table)) == {"fast", "slow"}
    assert find_break_origins(paper_table(), ["flops_reference"]) == ()


def test_an_answer_is_kept_and_read_back_the_same():
    found = answer(study(on_a_plateau_until, {"fast": 300, "never": 1e9}), resamples=10)
    assert from_stored(BreakOrigin, to_stored(found)) == found
