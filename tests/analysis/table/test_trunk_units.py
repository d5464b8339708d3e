"""Branches of one trunk are no independent units; runs of one shape at several budgets of their own are."""

from __future__ import annotations

import numpy as np

from lilliput.analysis import Table, measurements_of


def budgets_of_shapes(*, trunk: bool) -> Table:
    """Six shapes, two seeds, three budgets; with a trunk, all budgets of a seed have the same losses until they end."""
    rows: list[tuple[str | float, ...]] = []
    for shape in range(6):
        for seed in range(2):
            for budget in (200, 1000, 5000):
                rng = np.random.default_rng([shape, seed, 0 if trunk else budget])
                for step in np.geomspace(10, 5000, 12).round():
                    loss = 6 - 0.3 * np.log10(step) + rng.normal(0, 0.01)
                    if step <= budget:
                        cost = 1e6 * (shape + 1) * step
                        name = f"{shape} {seed} {budget}"
                        rows.append((name, f"s{shape}", str(seed), step, cost, loss))
    names = ("run", "shape", "seed", "step", "flops_reference", "loss")
    columns = {
        name: np.array(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)
    }
    return Table("budgets", columns, np.arange(1, len(rows) + 1))


def test_branches_of_one_trunk_count_as_their_shape():
    data = measurements_of(budgets_of_shapes(trunk=True))
    assert (data.unit, np.unique(data.group).size) == ("shape", 6)


def test_budgets_of_their_own_are_units_of_their_own():
    data = measurements_of(budgets_of_shapes(trunk=False))
    assert (data.unit, np.unique(data.group).size) == ("shape", 18)
