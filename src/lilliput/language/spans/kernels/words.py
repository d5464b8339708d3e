# pyright: reportUntypedFunctionDecorator=false, reportReturnType=false, reportArgumentType=false, reportCallIssue=false
"""Words by number: each distinct word that the scanner marked gets a rank, compiled by numba.

    text      the cat saw the dog
    ranks     0   1   2   0   3        counts of ranks 0 to 3: 2, 1, 1, 1
    places    where ranks 0, 1, 2 and 3 stood first: bytes 0, 4, 8, 16

The table of words grows as it fills; its rows are found by the keys of `keys`. Where a word stood
first is remembered, so that its letters can be read once the batch is done.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from lilliput.language.spans.kernels.bits import load_eight, trailing_zeros
from lilliput.language.spans.kernels.characters import IntArray, IntArray32, is_http, read_word
from lilliput.language.spans.kernels.codes import NUMBER, PASSES, REPLACES_LINKS
from lilliput.language.spans.kernels.keys import ByteArray, KeyArray, push_byte, slots_of
from lilliput.language.spans.kernels.scan import (
    BITMAPS,
    COUNTED,
    LETTERS,
    ODD,
    holds_http,
    longest_document,
    scan_document,
)

# What stands where a word was first seen.
ITSELF, A_NUMBER, A_LINK = range(3)
# Columns of the table of first places.
FIRST, LAST, KIND = range(3)

_ZERO, _ONE, _LAST_BIT = np.uint64(0), np.uint64(1), np.uint64(63)
_CASE = np.uint64(0x2020202020202020)
_LONGEST = np.uint64(16)
_NUMBER_KEY = np.uint64(int.from_bytes(b"number", "little"))
_LINK_KEY = np.uint64(int.from_bytes(b"hlink", "little"))
_FIRST = np.array([(1 << (8 * min(n, 8))) - 1 for n in range(17)], np.uint64)
_SECOND = np.array([(1 << (8 * max(n - 8, 0))) - 1 for n in range(17)], np.uint64)


@nb.njit(nogil=True, cache=True)
def bits_from(bits: KeyArray, position: np.uint64) -> np.uint64:
    """Return the 64 bits of a bitmap from bit `position` on."""
    block, bit = position >> np.uint64(6), position & _LAST_BIT
    return (bits[block] >> bit) | ((bits[block + _ONE] << _ONE) << (_LAST_BIT - bit))


@nb.njit(nogil=True, cache=True)
def key_at(
    data: ByteArray,
    start: int,
    i: int,
    stop: int,
    classes: ByteArray,
    lower: IntArray32,
    switches: IntArray,
    bitmaps: KeyArray,
) -> tuple[np.uint64, np.uint64, int, int]:
    """Return the key, the end and the kind of the word that was marked at byte `i`."""
    replaces_links = switches[REPLACES_LINKS] != 0
    position = np.uint64(i - start)
    length = trailing_zeros(~bits_from(bitmaps[LETTERS], position))
    if _ZERO < length <= _LONGEST and i + 16 <= data.size:
        is_plain = bits_from(bitmaps[ODD], position) >> length & _ONE == _ZERO
        if is_plain and not (replaces_links and holds_http(data, i, length)):
            low = (load_eight(data, i) | _CASE) & _FIRST[length]
            high = (load_eight(data, i + 8) | _CASE) & _SECOND[length]
            return low, high, i + np.int64(length), ITSELF
    if replaces_links and is_http(data, i, stop):
        return _LINK_KEY, _ZERO, i + 4, A_LINK
    end, low, high, _, outcome = read_word(data, i, stop, classes, lower, switches)
    if outcome == NUMBER:
        return _NUMBER_KEY, _ZERO, end, A_NUMBER
    if outcome == PASSES:
        for count in range(end - i):
            low, high = push_byte(low, high, count, np.int64(data[i + count]))
    return low, high, end, ITSELF


@nb.njit(nogil=True, cache=True)
def row_of(keys: KeyArray, ranks: IntArray32, low: np.uint64, high: np.uint64) -> np.uint64:
    """Return the row of a key, or the free row (rank -1) where it belongs."""
    last = np.uint64(keys.shape[0] - 1)
    row, _ = slots_of(low, high, last)
    while ranks[row] >= 0 and (keys[row, 0] != low or keys[row, 1] != high):
        row = (row + _ONE) & last
    return row


@nb.njit(nogil=True, cache=True)
def grown(keys: KeyArray, ranks: IntArray32) -> tuple[KeyArray, IntArray32]:
    """Return the same table with twice the rows."""
    new_keys = np.zeros((2 * keys.shape[0], 2), np.uint64)
    new_ranks = np.full(2 * keys.shape[0], -1, np.int32)
    for old in range(keys.shape[0]):
        if ranks[old] >= 0:
            row = row_of(new_keys, new_ranks, keys[old, 0], keys[old, 1])
            new_keys[row, 0], new_keys[row, 1] = keys[old, 0], keys[old, 1]
            new_ranks[row] = ranks[old]
    return new_keys, new_ranks


@nb.njit(nogil=True, cache=True)
def longer(array: IntArray) -> IntArray:
    """Return an array of twice the rows that begins with the same ones, zeros beyond."""
    result = np.zeros((2 * array.shape[0], array.shape[1]), array.dtype)
    result[: array.shape[0]] = array
    return result


@nb.njit(nogil=True, cache=True)
def rank_marked(
    data: ByteArray,
    start: int,
    stop: int,
    blocks: int,
    row_of_bitmaps: int,
    classes: ByteArray,
    lower: IntArray32,
    switches: IntArray,
    bitmaps: KeyArray,
    keys: KeyArray,
    ranks: IntArray32,
    places: IntArray,
    used: int,
    found: IntArray32,
    found_at: IntArray32,
) -> tuple[KeyArray, IntArray32, IntArray, int, int]:
    """Rank the words marked in one row of `bitmaps`: the table, the places, words used, words found.

    Ranks go to `found`, in order, and first bytes, counted from `start`, to `found_at`.
    """
    number = 0
    for block in range(blocks):
        marks = bitmaps[row_of_bitmaps, block]
        while marks:
            at = start + 64 * block + np.int64(trailing_zeros(marks))
            marks &= marks - _ONE
            low, high, end, kind = key_at(data, start, at, stop, classes, lower, switches, bitmaps)
            row = row_of(keys, ranks, low, high)
            if ranks[row] < 0:
                keys[row, 0], keys[row, 1], ranks[row] = low, high, used
                if used == places.shape[0]:
                    places = longer(places)
                places[used, FIRST], places[used, LAST], places[used, KIND] = at, end, kind
                used += 1
            found[number], found_at[number] = ranks[row], at - start
            number += 1
            if 2 * used > keys.shape[0]:
                keys, ranks = grown(keys, ranks)
    return keys, ranks, places, used, number


@nb.njit(nogil=True, cache=True)
def count_in_batch(
    data: ByteArray,
    offsets: IntArray,
    present: NDArray[np.bool_],
    classes: ByteArray,
    lower: IntArray32,
    switches: IntArray,
    no_words: KeyArray,
    keys: KeyArray,
    ranks: IntArray32,
    used: int,
    counts: IntArray,
    values: NDArray[np.float64],
    sums: NDArray[np.float64],
    valued: IntArray,
) -> tuple[KeyArray, IntArray32, int, IntArray, IntArray]:
    """Count the words of a batch; for each document the sum of its words' values and their number.

    `counts` has a column 0 and grows; words ranked beyond `values`, or whose value is not a
    number, have none. The places come last.
    """
    longest = longest_document(offsets)
    bitmaps = np.empty((BITMAPS, longest // 64 + 2), np.uint64)
    found, found_at = np.empty(longest + 1, np.int32), np.empty(longest + 1, np.int32)
    places = np.zeros((counts.shape[0], 3), np.int64)
    for document in range(offsets.size - 1):
        if not present[document]:
            continue
        start, stop = np.int64(offsets[document]), np.int64(offsets[document + 1])
        blocks = scan_document(data, start, stop, classes, lower, switches, no_words, bitmaps)
        keys, ranks, places, used, number = rank_marked(
            data, start, stop, blocks, COUNTED, classes, lower, switches, bitmaps,
            keys, ranks, places, used, found, found_at,
        )  # fmt: skip
        while counts.shape[0] < places.shape[0]:
            counts = longer(counts)
        for rank in found[:number]:
            counts[rank, 0] += 1
            if rank < values.size and not np.isnan(values[rank]):
                sums[document] += values[rank]
                valued[document] += 1
    return keys, ranks, used, counts, places
