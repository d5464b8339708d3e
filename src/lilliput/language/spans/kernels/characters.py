# pyright: reportUntypedFunctionDecorator=false, reportReturnType=false, reportArgumentType=false, reportCallIssue=false
"""Read characters and words one by one: the scanner's general and slower way, compiled by numba."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from lilliput.language.spans.kernels.codes import (
    APOSTROPHE,
    BEFORE_LINK,
    BEYOND,
    DIGIT,
    LEAST,
    LETTER,
    LINK_KNOWN,
    LOOKED_UP,
    NUMBER,
    NUMBER_KNOWN,
    NUMERALS,
    PASSES,
    REPLACES_LINKS,
    SPACE,
)
from lilliput.language.spans.kernels.keys import ByteArray, KeyArray, is_known, push_code

IntArray = NDArray[np.int64]
IntArray32 = NDArray[np.int32]

_ZERO = np.uint64(0)


@nb.njit(nogil=True, cache=True)
def decode(data: ByteArray, i: int, stop: int) -> tuple[int, int]:
    """Return the code point at byte `i` of valid UTF-8, and the number of its bytes."""
    first = np.int64(data[i])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return ((first & 0x1F) << 6) | (data[min(i + 1, stop - 1)] & 0x3F), 2
    second = np.int64(data[min(i + 1, stop - 1)] & 0x3F)
    third = np.int64(data[min(i + 2, stop - 1)] & 0x3F)
    if first < 0xF0:
        return ((first & 0x0F) << 12) | (second << 6) | third, 3
    fourth = np.int64(data[min(i + 3, stop - 1)] & 0x3F)
    return ((first & 0x07) << 18) | (second << 12) | (third << 6) | fourth, 4


@nb.njit(nogil=True, cache=True)
def class_of(code: int, classes: ByteArray, switches: IntArray) -> int:
    """Return the class of a code point."""
    return np.int64(classes[code]) if code < classes.size else switches[BEYOND]


@nb.njit(nogil=True, cache=True)
def is_http(data: ByteArray, i: int, stop: int) -> bool:
    """Return whether `http` in any case begins at byte `i`."""
    if i + 4 > stop:
        return False
    return (
        (data[i] | 0x20) == 0x68
        and (data[i + 1] | 0x20) == 0x74
        and (data[i + 2] | 0x20) == 0x74
        and (data[i + 3] | 0x20) == 0x70
    )


@nb.njit(nogil=True, cache=True)
def skip_digits(data: ByteArray, i: int, stop: int, classes: ByteArray, switches: IntArray) -> int:
    """Return the end of the run of digits that begins at byte `i`."""
    while i < stop:
        code, width = decode(data, i, stop)
        if class_of(code, classes, switches) != DIGIT:
            break
        i += width
    return i


@nb.njit(nogil=True, cache=True)
def skip_link(data: ByteArray, i: int, stop: int, classes: ByteArray, switches: IntArray) -> int:
    """Return the end of the link that begins at byte `i`.

    It ends before a space or a hyphen (which was a space before links were replaced), and after
    digits that begin a word (which were followed by a space).
    """
    in_word = True
    while i < stop:
        code, width = decode(data, i, stop)
        kind = class_of(code, classes, switches)
        if kind == SPACE or code == 0x2D:
            return i
        if kind == DIGIT and not in_word:
            return skip_digits(data, i, stop, classes, switches)
        in_word = kind in (LETTER, DIGIT)
        i += width
    return i


@nb.njit(nogil=True, cache=True)
def read_word(
    data: ByteArray,
    i: int,
    stop: int,
    classes: ByteArray,
    lower: IntArray32,
    switches: IntArray,
) -> tuple[int, np.uint64, np.uint64, int, int]:
    """Return the end, the key, the length in characters and the kind of the word that begins at byte `i`.

    Kinds: LOOKED_UP, NUMBER, PASSES, BEFORE_LINK (the word ends where a link begins).
    """
    numerals, replaces_links = switches[NUMERALS], switches[REPLACES_LINKS] != 0
    low, high, count, length = _ZERO, _ZERO, 0, 0
    code, width = decode(data, i, stop)
    if numerals != LOOKED_UP and class_of(code, classes, switches) == DIGIT:
        return skip_digits(data, i, stop, classes, switches), low, high, 0, numerals
    while i < stop:
        code, width = decode(data, i, stop)
        kind = class_of(code, classes, switches)
        if kind == APOSTROPHE:
            if i + width >= stop:
                break
            after, _ = decode(data, i + width, stop)
            if class_of(after, classes, switches) != LETTER:
                break
        elif kind == LETTER or (kind == DIGIT and numerals != PASSES):
            if replaces_links and is_http(data, i, stop):
                return i, low, high, length, BEFORE_LINK
            low, high, count = push_code(
                low, high, count, np.int64(lower[code]) if code < lower.size else code
            )
            length += 1
        else:
            break
        i += width
    return i, low, high, length, LOOKED_UP


@nb.njit(nogil=True, cache=True)
def mark(bits: KeyArray, position: int) -> None:
    """Set the bit of a byte."""
    at = np.uint64(position)
    bits[at >> np.uint64(6)] |= np.uint64(1) << (at & np.uint64(63))


@nb.njit(nogil=True, cache=True)
def read_odd_run(
    data: ByteArray,
    start: int,
    i: int,
    stop: int,
    classes: ByteArray,
    lower: IntArray32,
    switches: IntArray,
    table: KeyArray,
    counted: KeyArray,
    unknown: KeyArray,
) -> int:
    """Mark the words of the run of word characters at byte `i`, and a link behind it.

    Each word is marked at its first byte, counted from `start`, in `counted` and, where it is not
    in the vocabulary, in `unknown`. The end comes back.
    """
    while i < stop:
        code, width = decode(data, i, stop)
        kind = class_of(code, classes, switches)
        if kind == APOSTROPHE:
            i += width
        elif kind in (LETTER, DIGIT):
            first = i
            i, low, high, length, outcome = read_word(data, i, stop, classes, lower, switches)
            if outcome in (NUMBER, PASSES):
                is_word, is_missed = True, outcome == NUMBER and switches[NUMBER_KNOWN] == 0
            else:
                is_word = length >= switches[LEAST]
                is_missed = is_word and not is_known(table, low, high)
            if is_word:
                mark(counted, first - start)
            if is_missed:
                mark(unknown, first - start)
            if outcome == BEFORE_LINK:
                mark(counted, i - start)
                if switches[LINK_KNOWN] == 0:
                    mark(unknown, i - start)
                i = skip_link(data, i, stop, classes, switches)
        else:
            break
    return i
