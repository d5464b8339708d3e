"""Sequences laid side by side in rows of one width, so that little is computed on pads.

Each sequence sees itself alone: the attention mask and the places say which tokens are one text. Besides
saving pads, micro-batches then have one of a few shapes, and a library that prepares each shape of a product once
(oneDNN, in bfloat16) is asked for few: on short runs with a new shape in each micro-batch, preparing them took
half of the time and three quarters of the memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROUND_TO = 32


@dataclass(frozen=True)
class Packing:
    """Say where each sequence of a global batch lies.

    Attributes:
        width: Tokens of a row.
        rows: Rows.
        row_G: Row of each sequence, int64.
        start_G: Column of its first token, int64.
    """

    width: int
    rows: int
    row_G: NDArray[np.int64]
    start_G: NDArray[np.int64]


def one_a_row(count: int, width: int) -> Packing:
    """Return every sequence in a row of its own."""
    return Packing(width, count, np.arange(count), np.zeros(count, dtype=np.int64))


def row_width(longest: int, most: int) -> int:
    """Return the width for sequences of which the longest has `longest` tokens: few widths, none above `most`."""
    return min(most, -(-longest // _ROUND_TO) * _ROUND_TO)


def pack(lengths_G: NDArray[np.int64], width: int) -> Packing:
    """Return few rows that hold all sequences: each, the longest first, goes where it leaves the least room.

    Lengths 5, 3, 6, 2, 4 in rows of 8, the longest first:

        6  opens row 0          2 left
        5  opens row 1          3 left
        4  opens row 2          4 left
        3  fits row 1 exactly   0 left
        2  fits row 0 exactly   0 left

    Three rows of 8 hold the 20 tokens; one sequence a row would take five.

    Args:
        lengths_G: Tokens of each sequence with special ones, none above `width`.
        width: Tokens of a row.
    """
    rows = 0
    row_G, start_G = np.empty_like(lengths_G), np.empty_like(lengths_G)
    open_rows: list[list[int]] = [[] for _ in range(width + 1)]  # By the room that is left.
    for sequence in np.argsort(-lengths_G, kind="stable").tolist():
        length = int(lengths_G[sequence])
        room = next((r for r in range(length, width + 1) if open_rows[r]), None)
        if room is None:
            row, room, rows = rows, width, rows + 1
        else:
            row = open_rows[room].pop()
        row_G[sequence], start_G[sequence] = row, width - room
        open_rows[room - length].append(row)
    return Packing(width, rows, row_G, start_G)
