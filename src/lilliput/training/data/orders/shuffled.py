"""The shuffled order: each epoch reads every sequence once, in an order of its own.

No shuffled list is stored and nothing has to be skipped on resume: a keyed bijection of `range(size)`
(a Feistel network over a mixed-radix pair) says which sequence stands at which place of each epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lilliput.core.seeding import mix32, stream_key
from lilliput.training.data.orders.base import SHUFFLED, DataOrder, register_order

_ROUNDS = 6
_LOW_32 = 0xFFFFFFFF


@dataclass(frozen=True)
class Permutation:
    """A keyed bijection of `range(size)` that maps any places without computing the others.

    Attributes:
        size: Number of elements, at least 1.
        key: 64 bits; another key, another permutation.
    """

    size: int
    key: int

    def __call__(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the elements at `places`, int64 of the same shape."""
        # The grid rows x columns holds at most 2 sqrt(size) cells too many. Values that land on one
        # of those are sent round again, which ends inside the range since the network is a bijection.
        columns = max(1, math.isqrt(self.size))
        rows = -(-self.size // columns)
        values = self._network(places, rows, columns)
        outside = values >= self.size
        while outside.any():
            values[outside] = self._network(values[outside], rows, columns)
            outside = values >= self.size
        return values

    def _network(self, values: NDArray[np.int64], rows: int, columns: int) -> NDArray[np.int64]:
        left, right = values // columns, values % columns
        for round_number in range(_ROUNDS):
            key = stream_key(self.key, "round", round_number) & _LOW_32
            if round_number % 2 == 0:
                left = (left + mix32(right ^ key)) % rows
            else:
                right = (right + mix32(left ^ key)) % columns
        return left * columns + right


def places_in_epochs(
    size: int, seed: int, first: int, count: int, *, shuffle: bool = True
) -> NDArray[np.int64]:
    """Return the elements of `range(size)` at places `first` to `first + count - 1` of an endless stream.

    Each epoch of `size` places has a permutation of its own, or the stored order without `shuffle`: with
    size 3, the places 0 to 5 may hold 2, 0, 1, 1, 2, 0.
    """
    places = np.arange(first, first + count, dtype=np.int64)
    epochs, within = places // size, places % size
    if not shuffle:
        return within
    for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
        here = epochs == epoch
        within[here] = Permutation(size, stream_key(seed, "order", epoch))(within[here])
    return within


@register_order
class Shuffled(DataOrder):
    """A fresh permutation of the sequences each epoch, or the stored order where the switch says so."""

    name = SHUFFLED
    description = "A fresh permutation each epoch."

    def sequences_at(self, step: int, first: int, count: int) -> NDArray[np.int64]:
        """Return what stands at these places of the stream; the number of the step does not matter."""
        del step
        context = self.context
        return places_in_epochs(
            len(context.sequences), context.seed, first, count, shuffle=context.shuffle
        )

    def sequences_of_steps(
        self, step: int, first: int, count: int, steps: int
    ) -> NDArray[np.int64]:
        """Return what stands at the places of all these steps, which follow one another in the stream."""
        return self.sequences_at(step, first, steps * count).reshape(steps, count)
