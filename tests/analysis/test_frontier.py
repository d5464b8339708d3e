from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.analysis import frontier, frontier_rows, paper_edges
from lilliput.core.errors import InputError


def test_the_34_published_points_are_found_exactly(paper_frontier, golden):
    # history of text-machine-lab/mini_bert, COMPUTE_OPTIMAL_RESULTS_13Jan2023.csv
    with (golden / "paper_frontier.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = [(p.run, p.step, p.flops, p.loss) for p in paper_frontier.points]
    expected = [
        (r["run"], int(r["updates"]), float(r["flops_reference"]), float(r["eval_loss"]))
        for r in rows
    ]
    assert found == expected
    assert len(found) == 34


def test_the_published_bin_edges(paper):
    # The same notebook prints these edges in units of 1e14; 44 distinct ones with zero.
    edges = paper_edges(paper.number("flops_reference"))
    assert edges.size == 44
    published = [0, 0.2417, 0.4833, 2.4165, 3.9244, 17.495, 20.075, 30.393, 43.741, 702.51, 1256.97]
    for value in published:
        assert np.isclose(edges / 1e14, value, rtol=5e-5, atol=5e-5).any(), value


costs = st.lists(st.floats(1e9, 1e18), min_size=1, max_size=60)


@given(costs, st.randoms(use_true_random=False))
def test_the_envelope_is_what_no_cheaper_point_beats(flops, random):
    x = np.array(flops)
    y = np.array([random.choice([1.0, 2.0, 3.0, 4.0, 5.0]) for _ in flops])
    kept = frontier_rows(x, y, "envelope")
    for i in range(x.size):
        beaten = any(
            (x[j] < x[i] and y[j] <= y[i]) or (x[j] == x[i] and y[j] < y[i]) for j in range(x.size)
        )
        same = [k for k in kept if x[k] == x[i] and y[k] == y[i]]
        assert bool(same) is not beaten


@given(costs, st.sampled_from(["paper", "log"]))
def test_binned_frontiers_are_ordered_and_hold_the_best_point(flops, method):
    x = np.array(flops)
    y = 1e3 * x**-0.1
    kept = frontier_rows(x, y, method)
    assert (np.diff(x[kept]) >= 0).all()
    assert y[kept].min() == y.min()


def test_bins_are_closed_on_the_right():
    # Log edges stand at whole tenths of a decade: 1e15 belongs to the bin that ends there.
    x, y = np.array([9e14, 1e15, 1.1e15]), np.array([3.0, 2.0, 1.0])
    assert frontier_rows(x, y, "log").tolist() == [1, 2]


def test_finished_only_takes_the_last_point_of_each_run(paper):
    found = frontier(paper, finished_only=True, method="envelope")
    assert found.n_measurements == 42
    assert all(point.is_final for point in found.points)
    losses = [point.loss for point in found.points]
    assert losses == sorted(losses, reverse=True)
    assert set(found.runs) <= set(paper.text("run").tolist())


def test_an_unknown_flops_column_is_refused_by_name(paper):
    with pytest.raises(InputError, match="nonsense"):
        frontier(paper, flops="nonsense")
