"""Random numbers as a function of names, not of history."""

from __future__ import annotations

from typing import Any

import numpy as np
import xxhash

_LOW_32 = 0xFFFFFFFF


def stream_key(seed: int, *names: str | int) -> int:
    """Return a 64-bit key for the stream called `names` under `seed`; the same on every machine."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return xxhash.xxh3_64_intdigest(text.encode("utf-8"))


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a counter-based generator (Philox) for the stream called `names` under `seed`.

    Two calls with the same arguments give the same numbers, whatever ran in between, so that any
    piece of work can be repeated alone: `generator(seed, "masks", step)`.
    """
    return np.random.Generator(np.random.Philox(key=stream_key(seed, *names)))


def mix32(values: Any) -> Any:
    """Return 32 well-mixed bits for each 32-bit integer, as int64 in the same kind of array.

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
