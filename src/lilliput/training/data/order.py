"""The order of the data as a function: sequence number i of the run is `order.sequences_at(i)`.

No shuffled list is stored and nothing has to be skipped on resume: a keyed bijection of `range(size)`
(a Feistel network over a mixed-radix pair) says which sequence stands at which place of each epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.core.seeding import stream_key

_ROUNDS = 6
_LOW_32 = 0xFFFFFFFF


def mix32(values: Any) -> Any:
    """32 well-mixed bits for each 32-bit integer, as int64 in the same kind of array.

    Only operators are used, so that NumPy arrays and torch tensors on any device give the same bits.
    Multiplications may overflow 64 bits; the low 32 bits, which are kept, are right all the same.

    Source: the "lowbias32" finaliser (two multiplications, bias 0.17) of C. Wellons' hash-prospector.
    """
    values = values & _LOW_32
    values = values ^ (values >> 16)
    values = (values * 0x7FEB352D) & _LOW_32
    values = values ^ (values >> 15)
    values = (values * 0x846CA68B) & _LOW_32
    return values ^ (values >> 16)


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
        """The elements at `places`, int64 of the same shape."""
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


@dataclass(frozen=True)
class DataOrder:
    """Which sequence stands at which place of the endless stream of a run.

    Attributes:
        size: Sequences in the split; one epoch.
        seed: Of the run.
        shuffle: A fresh permutation per epoch; otherwise the stored order, every epoch.
    """

    size: int
    seed: int
    shuffle: bool = True

    def sequences_at(self, first: int, count: int) -> NDArray[np.int64]:
        """The sequences at places `first` to `first + count - 1`, counted from the run's start."""
        places = np.arange(first, first + count, dtype=np.int64)
        epochs, within = places // self.size, places % self.size
        if not self.shuffle:
            return within
        for epoch in range(int(epochs[0]), int(epochs[-1]) + 1):
            here = epochs == epoch
            within[here] = Permutation(self.size, stream_key(self.seed, "order", epoch))(
                within[here]
            )
        return within
