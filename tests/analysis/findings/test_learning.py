"""The end of the plateau."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.analysis.findings.learning import (
    PLATEAU_EXIT_NATS,
    plateau_crossing,
    plateau_exit_index,
)


@pytest.mark.parametrize(
    ("losses", "index"),
    [
        ([9.0, 6.4, 6.0, 5.5, 5.4], 3),
        ([9.0, 5.4, 6.4, 5.5, 5.4], 3),  # Once is no escape.
        ([9.0, 6.4, 5.4], None),  # Nor is the last point alone.
        ([9.0, 6.4, 6.3], None),
        ([5.5, 5.5], 0),  # The limit itself counts.
        ([], None),
    ],
)
def test_escape_is_the_first_of_two_points_half_a_nat_below(losses, index):
    assert plateau_exit_index(losses, 6.0) == index


losses = st.lists(st.floats(0, 10), max_size=30)


@given(losses, st.floats(0, 10))
def test_nothing_before_the_escape_qualifies(values, entropy):
    found = plateau_exit_index(values, entropy)
    limit = entropy - PLATEAU_EXIT_NATS
    end = len(values) - 1 if found is None else found
    assert not any(values[i] <= limit and values[i + 1] <= limit for i in range(max(0, end)))
    if found is not None:
        assert max(values[found : found + 2]) <= limit


def test_the_crossing_lies_between_the_evaluations_that_show_it_in_the_logarithm_of_the_cost():
    losses = [6.2, 5.6, 5.4, 5.0]
    assert plateau_crossing([100, 1000, 4000, 9000], losses, 6.0) == pytest.approx(2000)
    assert plateau_crossing([100, 1000, 4000, 9000], [6.2, 5.6, 5.4, 5.6], 6.0) is None
    assert plateau_crossing([100, 1000], [5.0, 4.9], 6.0) == 100
    assert plateau_crossing([0, 1000, 2000], [6.2, 5.0, 4.9], 6.0) == 1000
