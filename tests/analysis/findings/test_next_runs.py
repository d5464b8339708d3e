"""What a table says about runs that were not made: known laws are recovered, and what cannot be said is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lilliput.analysis import Table, load_table, optimum
from lilliput.analysis.findings.next_runs import find_next_runs
from lilliput.analysis.findings.stored import from_stored, to_stored

E, A, B, ALPHA, BETA = 1.7, 40.0, 60.0, 0.3, 0.3


def loss(n: float, d: float) -> float:
    return E + A / n**ALPHA + B / d**BETA


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A grid of sizes and tokens under a known law, with noise of 0.2 %."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("grid") / "grid.csv"
    lines = ["run,num_parameters,tokens_seen,loss"]
    for n in np.geomspace(1e5, 1e7, 6):
        for d in np.geomspace(1e6, 1e9, 5):
            noisy = loss(n, d) * np.exp(rng.normal(0, 0.002))
            lines.append(f"r{len(lines)},{n:.0f},{d:.0f},{noisy:.6f}")
    path.write_text("\n".join(lines) + "\n")
    return load_table(str(path))


def test_lines_of_equal_loss_have_that_loss_under_the_true_law(table: Table):
    (found,) = find_next_runs(table, [], (), 40)
    assert found.sized is not None
    assert len(found.iso_losses) >= 4
    for line in found.iso_losses:
        true = [loss(n, d) for n, d in zip(line.num_parameters, line.tokens, strict=True)]
        # Noise of 0.2 % over 30 points: the fitted surface lies within 1 % of the true one on their range.
        assert true == pytest.approx([line.loss] * len(true), rel=0.01)


def test_the_costliest_runs_are_predicted_without_them(table: Table):
    (found,) = find_next_runs(table, [], (), 40)
    assert len(found.held_out) == 7  # A quarter of 30 runs.
    costs = sorted(table.number("num_parameters") * table.number("tokens_seen") * 6)
    assert sorted(point.flops for point in found.held_out) == pytest.approx(costs[-7:], rel=1e-6)
    for point in found.held_out:
        assert point.predicted == pytest.approx(point.loss, rel=0.03)


def test_the_plan_is_the_best_split_of_the_budget(table: Table):
    (found,) = find_next_runs(table, [], (), 40, budget=1e18)
    assert found.plan is not None
    assert found.plan.budget == 1e18
    # alpha = beta and A / B = 2 / 3: N = (alpha A / beta B)^(1 / 0.6) (C / 6)^0.5.
    expected = (A / B) ** (1 / (ALPHA + BETA)) * (1e18 / 6) ** 0.5
    assert found.plan.num_parameters is not None
    assert found.plan.num_parameters.value == pytest.approx(expected, rel=0.5)


def test_a_ladder_says_why_it_has_no_law_of_both(tmp_path: Path):
    lines = ["run,num_parameters,tokens_seen,loss"]
    lines += [f"r{i},{10**5 * 2**i},{20 * 10**5 * 2**i},{4 - 0.2 * i}" for i in range(8)]
    path = tmp_path / "ladder.csv"
    path.write_text("\n".join(lines) + "\n")
    (found,) = find_next_runs(load_table(str(path)), [], (), 10)
    assert found.sized is None
    assert "move together" in found.sized_problem
    assert found.iso_losses == ()


def test_runs_of_one_number_of_tokens_have_no_law_of_both(tmp_path: Path):
    lines = ["run,step,is_final,num_parameters,tokens_seen,loss"]
    for n in np.geomspace(1e5, 1e7, 12):
        for step in range(1, 6):
            d = 1e6 * 4.0**step
            lines.append(f"n{n:.0f},{step},{step == 5},{n:.0f},{d:.0f},{loss(n, d):.6f}")
    path = tmp_path / "one.csv"
    path.write_text("\n".join(lines) + "\n")
    (found,) = find_next_runs(load_table(str(path)), [], (), 10)
    assert found.sized is None
    assert "as many tokens each" in found.sized_problem


def test_what_was_found_can_be_kept_and_read_again(table: Table):
    found = find_next_runs(table, [], (), 10)
    again = from_stored(tuple[type(found[0]), ...], to_stored(found))
    assert again[0].iso_losses == found[0].iso_losses
    assert again[0].held_out == found[0].held_out


def test_a_draw_without_a_term_of_tokens_has_no_best_split():
    for b in (3.7e-300, 0.0):
        assert np.isnan(optimum(np.array([0.7, 37.0, b, 0.18, 0.1]), 5e14, 6.0)).all()
