"""Random numbers as a function of names, not of history."""

from __future__ import annotations

import numpy as np
import xxhash


def stream_key(seed: int, *names: str | int) -> int:
    """A 64-bit key for the stream called `names` under `seed`; the same on every machine."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return xxhash.xxh3_64_intdigest(text.encode("utf-8"))


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """A counter-based generator (Philox) for the stream called `names` under `seed`.

    Two calls with the same arguments give the same numbers, whatever ran in between, so that any
    piece of work can be repeated alone: `generator(seed, "masks", step)`.
    """
    return np.random.Generator(np.random.Philox(key=stream_key(seed, *names)))
