"""The rule that picks, and the reasons it gives."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.core.errors import InputError
from lilliput.tokenization import choose_tokenizer


@dataclass(frozen=True)
class Row:
    name: str
    vocab_size: int
    word_split_ratio_in_context: float
    boundary_f1: float


def test_the_smallest_within_tolerance_wins_and_each_loser_hears_why() -> None:
    rows = [
        Row("tiny", 1000, 1.50, 0.6),
        Row("small-blind", 2000, 1.04, 0.2),
        Row("small", 2000, 1.05, 0.4),
        Row("large", 4000, 1.00, 0.5),
    ]
    pick = choose_tokenizer(rows, 0.05)
    assert pick.name == "small"
    assert "1.500 tokens, above 1.050" in pick.lost["tiny"]
    assert "0.200 is beaten by 0.400 of small" in pick.lost["small-blind"]
    assert "4,000 ids where small does with 2,000" in pick.lost["large"]
    assert pick.pareto == ("tiny", "small-blind", "small", "large")


def test_nothing_to_pick_from_is_refused() -> None:
    with pytest.raises(InputError, match="at least one tokenizer to pick from: got 0"):
        choose_tokenizer([], 0.05)


_rows = st.lists(
    st.tuples(st.integers(300, 310), st.floats(1, 3), st.floats(0, 1)), min_size=1, max_size=8
).map(lambda values: [Row(f"t{i}", *value) for i, value in enumerate(values)])


@given(rows=_rows, tolerance=st.floats(0, 1))
def test_the_pick_obeys_its_rule(rows: list[Row], tolerance: float) -> None:
    pick = choose_tokenizer(rows, tolerance)
    chosen = next(row for row in rows if row.name == pick.name)
    bound = min(row.word_split_ratio_in_context for row in rows) * (1 + tolerance)
    near = [row for row in rows if row.word_split_ratio_in_context <= bound]
    assert chosen in near
    assert all(row.vocab_size >= chosen.vocab_size for row in near)
    rivals = [row for row in near if row.vocab_size == chosen.vocab_size]
    assert chosen.boundary_f1 == max(row.boundary_f1 for row in rivals)
    assert pick.lost.keys() == {row.name for row in rows} - {pick.name}
