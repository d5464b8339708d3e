"""Sequences of one global batch grouped by length, so that little is computed on pads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUND_TO = 8


def length_buckets(
    lengths: NDArray[np.int64], *, max_rows: int, max_width: int, overhead_tokens: int
) -> list[tuple[NDArray[np.int64], int]]:
    """Groups of rows with the width they are padded to, at the least total cost.

    A group of r rows and width w costs r * w tokens and `overhead_tokens` for each of its
    ceil(r / max_rows) forward passes. Group borders are chosen by dynamic programming over the widths
    that occur, rounded up to multiples of 8.

    Args:
        lengths: Tokens of each sequence with special tokens, shape (G,).
        max_rows: Sequences in one forward pass at most.
        max_width: No width is larger.
        overhead_tokens: Fixed cost of a forward and backward pass, in tokens.

    Returns:
        (rows, width) of each forward pass; every row occurs once, in the stored order within a group.
    """
    rounded = np.minimum(-(-lengths // _ROUND_TO) * _ROUND_TO, max_width)
    widths, counts = np.unique(rounded, return_counts=True)
    groups: list[tuple[NDArray[np.int64], int]] = []
    low = 0
    for high in _cheapest_borders(widths, counts, max_rows, overhead_tokens):
        rows = np.flatnonzero((rounded > low) & (rounded <= high))
        # Equal parts: no forward pass is left with a few rows.
        parts = -(-len(rows) // max_rows)
        groups.extend((part, high) for part in np.array_split(rows, parts))
        low = high
    return groups


def _cheapest_borders(
    widths: NDArray[np.int64], counts: NDArray[np.int64], max_rows: int, overhead: int
) -> list[int]:
    """The widest width of each group, ascending."""
    n = len(widths)
    if n == 1:
        return [int(widths[0])]
    before = np.concatenate([[0], np.cumsum(counts)])
    cost = np.zeros(n + 1)
    choice = np.zeros(n + 1, dtype=np.int64)
    for end in range(1, n + 1):
        rows = before[end] - before[:end]
        totals = cost[:end] + rows * widths[end - 1] + -(-rows // max_rows) * overhead
        choice[end] = totals.argmin()
        cost[end] = totals[choice[end]]
    borders: list[int] = []
    end = n
    while end:
        borders.append(int(widths[end - 1]))
        end = int(choice[end])
    return borders[::-1]
