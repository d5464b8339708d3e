# pyright: reportUntypedFunctionDecorator=false, reportReturnType=false, reportArgumentType=false, reportCallIssue=false
"""The scanner: cuts texts into words and numbers them, compiled by numba; strings are never made.

Two ways to cut. At white space, as `str.split` does: the words of people, for counting. Before single
spaces between two other characters: the pieces that tokenizers of this room take one by one, each with
its space, so that their bytes together are the text; for encoding.

Numbers come from a table of all words met so far (see `word_table`): equal bytes, equal number.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

ByteArray = NDArray[np.uint8]
IntArray = NDArray[np.int64]
NumberArray = NDArray[np.int32]
KeyArray = NDArray[np.uint64]

_SPACE = 0x20
_DELETE = 0x7F
# FNV-1a; the table compares bytes, so that the keys only need to spread well.
_BASIS = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_FOLD = np.uint64(32)


@nb.njit(nogil=True, cache=True)
def white_bytes(data: ByteArray, i: int, stop: int) -> int:
    """Return the number of bytes of the white-space character (as in `str.isspace`) that begins at byte `i`; 0 if none."""
    first = data[i]
    if first <= _SPACE:
        return 1 if first == 0x20 or 0x09 <= first <= 0x0D or 0x1C <= first <= 0x1F else 0
    if first < 0xC2 or first > 0xE3 or i + 1 >= stop:
        return 0
    second = data[i + 1]
    if first == 0xC2:
        return 2 if second in {0x85, 0xA0} else 0
    if i + 2 >= stop:
        return 0
    third = data[i + 2]
    if first == 0xE1:
        white = second == 0x9A and third == 0x80
    elif first == 0xE2 and second == 0x80:
        white = third <= 0x8A or third in {0xA8, 0xA9, 0xAF}
    elif first == 0xE2:
        white = second == 0x81 and third == 0x9F
    else:
        white = first == 0xE3 and second == 0x80 and third == 0x80
    return 3 if white else 0


@nb.njit(nogil=True, cache=True)
def stands_alone(data: ByteArray, i: int, start: int, stop: int) -> bool:
    """Return whether the space at byte `i` has a character that is not white space on either side."""
    if i == start or i + 1 == stop:
        return False
    before, after = data[i - 1], data[i + 1]
    if _SPACE < before < _DELETE and _SPACE < after < _DELETE:
        return True
    if white_bytes(data, i + 1, stop) or white_bytes(data, i - 1, i):
        return False
    if i - 2 >= start and white_bytes(data, i - 2, i) == 2:
        return False
    return not (i - 3 >= start and white_bytes(data, i - 3, i) == 3)


@nb.njit(nogil=True, cache=True)
def number_of(
    data: ByteArray,
    start: int,
    stop: int,
    key: np.uint64,
    slots: NumberArray,
    keys: KeyArray,
    held: ByteArray,
    ends: IntArray,
    size: int,
) -> int:
    """Return the number of the word data[start:stop]; `size`, the next one, where it is new and now held."""
    mask = slots.size - 1
    slot = np.int64((key ^ (key >> _FOLD)) & np.uint64(mask))
    while True:
        number = slots[slot] - 1
        if number < 0:
            base = ends[size]
            for i in range(stop - start):
                held[base + i] = data[start + i]
            ends[size + 1] = base + stop - start
            keys[size] = key
            slots[slot] = size + 1
            return size
        if keys[number] == key and ends[number + 1] - ends[number] == stop - start:
            base, same = ends[number], True
            for i in range(stop - start):
                if held[base + i] != data[start + i]:
                    same = False
                    break
            if same:
                return number
        slot = (slot + 1) & mask


@nb.njit(nogil=True, cache=True)
def number_pieces(
    data: ByteArray,
    offsets: IntArray,
    slots: NumberArray,
    keys: KeyArray,
    held: ByteArray,
    ends: IntArray,
    size: int,
    numbers: NumberArray,
    counts: IntArray,
) -> tuple[int, int]:
    """Number the pieces of each text, cut before spaces that stand alone; an empty text has none.

    Writes `numbers`, one text after another, and `counts`, the pieces of each text.

    Returns:
        Pieces written, and words in the table now.
    """
    written = 0
    for text in range(offsets.size - 1):
        start, stop = offsets[text], offsets[text + 1]
        before, first, key = written, start, _BASIS
        for i in range(start, stop):
            byte = data[i]
            if byte == _SPACE and stands_alone(data, i, start, stop):
                number = number_of(data, first, i, key, slots, keys, held, ends, size)
                size += number == size
                numbers[written] = number
                written += 1
                first, key = i, _BASIS
            key = (key ^ np.uint64(byte)) * _PRIME
        if stop > start:
            number = number_of(data, first, stop, key, slots, keys, held, ends, size)
            size += number == size
            numbers[written] = number
            written += 1
        counts[text] = written - before
    return written, size


@nb.njit(nogil=True, cache=True)
def number_words(
    data: ByteArray,
    offsets: IntArray,
    slots: NumberArray,
    keys: KeyArray,
    held: ByteArray,
    ends: IntArray,
    size: int,
    numbers: NumberArray,
    counts: IntArray,
) -> tuple[int, int]:
    """Number the words of each text, cut at white space; the rest is as in `number_pieces`."""
    written = 0
    for text in range(offsets.size - 1):
        i, stop = offsets[text], offsets[text + 1]
        before = written
        while i < stop:
            white = white_bytes(data, i, stop)
            if white:
                i += white
                continue
            first, key = i, _BASIS
            while i < stop and white_bytes(data, i, stop) == 0:
                key = (key ^ np.uint64(data[i])) * _PRIME
                i += 1
            number = number_of(data, first, i, key, slots, keys, held, ends, size)
            size += number == size
            numbers[written] = number
            written += 1
        counts[text] = written - before
    return written, size


@nb.njit(nogil=True, cache=True)
def fill_slots(slots: NumberArray, keys: KeyArray, size: int) -> None:
    """Enter the words numbered below `size` into empty slots."""
    mask = slots.size - 1
    for number in range(size):
        key = keys[number]
        slot = np.int64((key ^ (key >> _FOLD)) & np.uint64(mask))
        while slots[slot]:
            slot = (slot + 1) & mask
        slots[slot] = number + 1


@nb.njit(nogil=True, cache=True)
def keep_words(held: ByteArray, ends: IntArray, keys: KeyArray, kept: IntArray) -> None:
    """Move the words with the numbers `kept`, in rising order, to the front of the table."""
    end = 0
    for number in range(kept.size):
        start, stop = ends[kept[number]], ends[kept[number] + 1]
        keys[number] = keys[kept[number]]
        for i in range(start, stop):
            held[end + i - start] = held[i]
        end += stop - start
        ends[number + 1] = end


@nb.njit(nogil=True, cache=True)
def spread_ids(
    numbers: NumberArray, counts: IntArray, ids: NDArray[np.generic], id_ends: IntArray,
    out: NDArray[np.generic], sizes: IntArray,
) -> None:  # fmt: skip
    """Write the ids of each numbered piece after another, and how many each text has."""
    piece = end = 0
    for text in range(counts.size):
        before = end
        for _ in range(counts[text]):
            number = numbers[piece]
            piece += 1
            for i in range(id_ends[number], id_ends[number + 1]):
                out[end] = ids[i]
                end += 1
        sizes[text] = end - before
