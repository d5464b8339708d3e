"""Sequences, and the forward passes that a global batch is cut into."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lilliput.tokenization import SpecialIds
from lilliput.training.buckets import length_buckets
from lilliput.training.sequences import cut_sequences, padded_ids


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=40).filter(any),
    st.integers(4, 30),
)
def test_cutting_loses_and_repeats_no_token(sizes, max_seq_length):
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    tokens = 5 + np.arange(offsets[-1])
    cut = cut_sequences(tokens, offsets, max_seq_length)
    pieces = [tokens[s : s + n] for s, n in zip(cut.starts, cut.lengths, strict=True)]
    assert np.array_equal(np.concatenate(pieces), tokens)
    assert cut.lengths.min() >= 1
    assert cut.lengths.max() <= max_seq_length - 2
    # Pieces never run across a border between documents.
    document = np.searchsorted(offsets, cut.starts, side="right")
    last = np.searchsorted(offsets, cut.starts + cut.lengths - 1, side="right")
    assert np.array_equal(document, last)
    assert cut.input_tokens == len(tokens) + 2 * len(cut)


def test_padded_rows_read_as_a_model_expects():
    tokens = np.arange(100, 111, dtype=np.uint16)
    cut = cut_sequences(tokens, np.array([0, 2, 2, 11]), 6)
    ids = padded_ids(cut, np.array([0, 1, 3]), 6, SpecialIds())
    assert ids.tolist() == [
        [0, 100, 101, 2, 1, 1],
        [0, 102, 103, 104, 105, 2],
        [0, 110, 2, 1, 1, 1],
    ]


lengths = st.lists(st.integers(3, 128), min_size=1, max_size=300)


@given(lengths, st.integers(1, 64), st.integers(0, 3000))
def test_every_row_is_in_one_group_that_is_wide_enough(sizes, max_rows, overhead):
    array = np.array(sizes)
    groups = length_buckets(array, max_rows=max_rows, max_width=128, overhead_tokens=overhead)
    rows = np.concatenate([rows for rows, _ in groups])
    assert np.array_equal(np.sort(rows), np.arange(len(array)))
    for rows, width in groups:
        assert 0 < len(rows) <= max_rows
        assert array[rows].max() <= width <= 128


def test_groups_cost_least():
    """Against all 2^(d-1) ways to cut d widths."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        array = rng.integers(3, 65, 50)
        overhead = int(rng.integers(0, 500))

        def cost(groups, overhead=overhead):
            return sum(len(rows) * width + overhead for rows, width in groups)

        got = cost(length_buckets(array, max_rows=50, max_width=64, overhead_tokens=overhead))
        rounded = -(-array // 8) * 8
        widths = np.unique(rounded)
        best = np.inf
        for cuts in range(2 ** (len(widths) - 1)):
            borders = [w for i, w in enumerate(widths[:-1]) if cuts >> i & 1] + [widths[-1]]
            total, low = 0, 0
            for border in borders:
                total += ((rounded > low) & (rounded <= border)).sum() * border + overhead
                low = border
            best = min(best, total)
        assert got == best


def test_free_passes_waste_less_than_eight_columns_a_row():
    array = np.random.default_rng(1).integers(3, 129, 200)
    groups = length_buckets(array, max_rows=200, max_width=128, overhead_tokens=0)
    assert all((width - array[rows]).max() < 8 for rows, width in groups)
