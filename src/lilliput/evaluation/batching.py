"""Plan an epoch in batches of like length by index arithmetic: the same shapes for every seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lilliput.core.seeding import generator

Rows = NDArray[np.intp]
_BATCHES_PER_BUCKET = 4
"""Batches among which examples are shuffled: padding stays under a few percent, batches stay mixed."""


def training_batches(
    lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[Rows]:
    """Return the rows of each batch of one epoch, in order; every example once.

    Examples are sorted by length and cut into buckets of a few batches. Each seed shuffles inside its
    buckets; the order of the batches is the same for all seeds, so that step k has like shapes in all
    of them and seeds can be stacked.

    Args:
        lengths: Tokens of each example, shape (examples,).
        batch_size: Examples per batch; the last one of the longest examples may be smaller.
        seed: Of the examples in each batch.
        epoch: Number of the pass.
    """
    by_length = np.argsort(lengths, kind="stable")
    shuffle = generator(seed, "examples", epoch)
    bucket = batch_size * _BATCHES_PER_BUCKET
    for start in range(0, len(by_length), bucket):
        part = by_length[start : start + bucket]
        by_length[start : start + bucket] = shuffle.permutation(part)
    batches = [by_length[i : i + batch_size] for i in range(0, len(by_length), batch_size)]
    order = generator(0, "batch-order", epoch).permutation(len(batches))
    return [batches[i] for i in order]


def prediction_batches(lengths: NDArray[np.int64], max_tokens: int) -> Iterator[Rows]:
    """Yield rows sorted by length, as many a batch as stay within `max_tokens` with padding."""
    by_length = np.argsort(lengths, kind="stable")
    sizes = lengths[by_length]
    start = 0
    while start < len(by_length):
        # Lengths rise, so the padded size of a batch is its last length times its rows.
        padded = sizes[start:] * np.arange(1, len(sizes) - start + 1)
        count = max(1, int(np.searchsorted(padded, max_tokens, side="right")))
        yield by_length[start : start + count]
        start += count
