"""Sequences cut from the token store, and the padded arrays a model reads.

A document of n tokens gives ceil(n / (max_seq_length - 2)) sequences; each becomes
`<s>` tokens `</s>`. Shapes: B sequences, L their common width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.tokenization import SpecialIds

SPECIAL_PER_SEQUENCE = 2


@dataclass(frozen=True)
class Sequences:
    """Hold all sequences of one split.

    Attributes:
        tokens: The split's tokens, 1-D, memory-mapped or in memory.
        starts: First token of each sequence, int64 of shape (N,).
        lengths: Tokens of each sequence without `<s>` and `</s>`, int64 of shape (N,).
        documents: Document of the split that each sequence is cut from, int64 of shape (N,).
    """

    tokens: NDArray[Any]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    documents: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def input_tokens(self) -> int:
        """Return tokens a model reads in one epoch: the text's and two special ones per sequence."""
        return int(self.lengths.sum()) + SPECIAL_PER_SEQUENCE * len(self)


def cut_sequences(
    tokens: NDArray[Any], offsets: NDArray[np.int64], max_seq_length: int
) -> Sequences:
    """Cut documents into pieces of at most `max_seq_length - 2` tokens; empty documents give none.

    Args:
        tokens: All tokens of the split, 1-D.
        offsets: Where each document begins, and the end: int64 of shape (documents + 1,).
        max_seq_length: Tokens of a sequence with `<s>` and `</s>`.
    """
    room = max_seq_length - SPECIAL_PER_SEQUENCE
    sizes = np.diff(offsets)
    pieces = -(-sizes // room)
    document = np.repeat(np.arange(len(sizes)), pieces)
    first_piece = np.cumsum(pieces) - pieces
    within = (np.arange(len(document)) - first_piece[document]) * room
    return Sequences(
        tokens,
        np.asarray(offsets)[document] + within,
        np.minimum(sizes[document] - within, room),
        document,
    )


def padded_ids(
    sequences: Sequences, chosen: NDArray[np.int64], width: int, special: SpecialIds
) -> NDArray[np.int64]:
    """Return `<s>` tokens `</s>` `<pad>`… of the `chosen` sequences, int64 of shape (B, width)."""
    lengths = sequences.lengths[chosen, None]
    columns = np.arange(width, dtype=np.int64)
    places = sequences.starts[chosen, None] + np.minimum(np.maximum(columns - 1, 0), lengths - 1)
    ids = np.asarray(sequences.tokens[places], dtype=np.int64)
    ids[:, 0] = special.bos
    ids[np.arange(len(chosen)), lengths[:, 0] + 1] = special.eos
    ids[columns > lengths + 1] = special.pad
    return ids
