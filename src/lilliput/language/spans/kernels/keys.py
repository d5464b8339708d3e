# pyright: reportUntypedFunctionDecorator=false, reportReturnType=false, reportArgumentType=false, reportCallIssue=false
"""Words as 128-bit keys, and a set of them by cuckoo hashing, compiled by numba.

    dogs                 low 0x73676f64 (the bytes d o g s), high 0
    congratulations      low: `congratu`, high: `lations`
    internationalisation low and high: its first 16 bytes, mixed with the four that follow

A key is the word's own bytes in UTF-8 up to 16 of them, and a hash beyond. A zero byte would not
show in it, so it counts as 0xFF, which no UTF-8 holds; hence (0, 0) is free to mean an empty slot.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba as nb
import numpy as np
from numpy.typing import NDArray

ByteArray = NDArray[np.uint8]
KeyArray = NDArray[np.uint64]

_MIX = np.uint64(0x9E3779B97F4A7C15)
_LONG_LOW = np.uint64(0x100000001B3)
_LONG_HIGH = np.uint64(0xC2B2AE3D27D4EB4F)
_ZERO, _HALF = np.uint64(0), np.uint64(32)
_SLOTS_PER_WORD = 2
_MOST_MOVES = 500


@nb.njit(nogil=True, cache=True)
def push_byte(
    low: np.uint64, high: np.uint64, count: int, byte: int
) -> tuple[np.uint64, np.uint64]:
    """Return the key of a word with one more byte, the one at position `count`."""
    b = np.uint64(byte if byte != 0 else 0xFF)
    if count < 8:
        return low | (b << np.uint64(8 * count)), high
    if count < 16:
        return low, high | (b << np.uint64(8 * (count - 8)))
    return (low ^ b) * _LONG_LOW, (high ^ b) * _LONG_HIGH


@nb.njit(nogil=True, cache=True)
def push_code(
    low: np.uint64, high: np.uint64, count: int, code: int
) -> tuple[np.uint64, np.uint64, int]:
    """Return the key of a word with one more code point, and its new number of bytes."""
    if code < 0x80:
        low, high = push_byte(low, high, count, code)
        return low, high, count + 1
    if code < 0x800:
        low, high = push_byte(low, high, count, 0xC0 | (code >> 6))
        low, high = push_byte(low, high, count + 1, 0x80 | (code & 0x3F))
        return low, high, count + 2
    if code < 0x10000:
        low, high = push_byte(low, high, count, 0xE0 | (code >> 12))
        low, high = push_byte(low, high, count + 1, 0x80 | ((code >> 6) & 0x3F))
        low, high = push_byte(low, high, count + 2, 0x80 | (code & 0x3F))
        return low, high, count + 3
    low, high = push_byte(low, high, count, 0xF0 | (code >> 18))
    low, high = push_byte(low, high, count + 1, 0x80 | ((code >> 12) & 0x3F))
    low, high = push_byte(low, high, count + 2, 0x80 | ((code >> 6) & 0x3F))
    low, high = push_byte(low, high, count + 3, 0x80 | (code & 0x3F))
    return low, high, count + 4


@nb.njit(nogil=True, cache=True)
def slots_of(low: np.uint64, high: np.uint64, last: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return the two rows where a key may stand in a table of `last` + 1 rows, a power of two."""
    mixed = (low ^ (high * _LONG_HIGH)) * _MIX
    again = (mixed ^ (mixed >> _HALF)) * _LONG_HIGH
    return (mixed >> _HALF) & last, (again >> _HALF) & last


@nb.njit(nogil=True, cache=True)
def is_known(table: KeyArray, low: np.uint64, high: np.uint64) -> bool:
    """Return whether a key is in the table: two rows are compared, without a branch that the processor must predict."""
    here, there = slots_of(low, high, np.uint64(table.shape[0] - 1))
    differs = (table[here, 0] ^ low) | (table[here, 1] ^ high)
    differs_too = (table[there, 0] ^ low) | (table[there, 1] ^ high)
    return (differs == _ZERO) | (differs_too == _ZERO)


@nb.njit(nogil=True, cache=True)
def _insert(table: KeyArray, low: np.uint64, high: np.uint64) -> bool:
    """Put a key into its first row, the key found there into its other row, and so on (cuckoo hashing); return whether all found a place."""
    if is_known(table, low, high):
        return True
    last = np.uint64(table.shape[0] - 1)
    slot, _ = slots_of(low, high, last)
    for _ in range(_MOST_MOVES):
        low, table[slot, 0] = table[slot, 0], low
        high, table[slot, 1] = table[slot, 1], high
        if low == _ZERO and high == _ZERO:
            return True
        here, there = slots_of(low, high, last)
        slot = there if slot == here else here
    return False


@nb.njit(nogil=True, cache=True)
def _insert_all(data: ByteArray, ends: NDArray[np.int64], table: KeyArray) -> bool:
    i = 0
    for end in ends:
        low, high = _ZERO, _ZERO
        for count in range(end - i):
            low, high = push_byte(low, high, count, np.int64(data[i + count]))
        if not _insert(table, low, high):
            return False
        i = end
    return True


def key_table(words: Sequence[str]) -> KeyArray:
    """Return the keys of `words` as a table of shape (slots, 2), at most half of it used; uint64."""
    encoded = [word.encode("utf-8") for word in words if word]
    ends = np.cumsum([len(word) for word in encoded], dtype=np.int64)
    data = np.frombuffer(b"".join(encoded), np.uint8)
    slots = 1 << max(4, (_SLOTS_PER_WORD * len(words)).bit_length())
    while True:
        table = np.zeros((slots, 2), np.uint64)
        if _insert_all(data, ends, table):
            return table
        slots *= 2
