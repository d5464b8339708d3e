"""Sequences, and the rows that a global batch is packed into."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lilliput.tokenization import SpecialIds
from lilliput.training.data.packing import pack, row_width
from lilliput.training.data.sequences import cut_sequences, padded_ids


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


@given(lengths)
def test_packed_sequences_lie_in_their_rows_and_apart(sizes):
    array = np.array(sizes)
    width = row_width(max(sizes), 128)
    packing = pack(array, width)
    assert max(sizes) <= width <= 128
    taken = np.zeros((packing.rows, width), dtype=np.int64)
    for length, row, start in zip(sizes, packing.row_G, packing.start_G, strict=True):
        taken[row, start : start + length] += 1
    assert taken.max() == 1
    assert taken.sum() == array.sum()
    assert taken.any(1).all()
    # A row is begun only by what fits into no other, so that no two rows could be one.
    fullest = np.sort(taken.sum(1))
    assert len(fullest) == 1 or fullest[0] + fullest[1] > width


@given(lengths)
def test_packing_never_needs_more_rows_than_one_each(sizes):
    array = np.array(sizes)
    assert pack(array, 128).rows <= len(sizes)
    halves = pack(np.full(len(sizes), 64), 128)
    assert halves.rows == -(-len(sizes) // 2)
