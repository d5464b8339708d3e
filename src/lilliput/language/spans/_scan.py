# pyright: reportUntypedFunctionDecorator=false, reportReturnType=false, reportArgumentType=false, reportCallIssue=false
"""The scanner: pieces of a document with counts of words and unknown words, compiled by numba.

One function reads bytes once, left to right, and writes one row a piece. Strings are never made.
Positions are byte offsets into the Arrow buffer that was handed in.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from lilliput.language.spans._bits import leading_letters, load_eight
from lilliput.language.spans.rules import APOSTROPHE, DIGIT, LETTER, SPACE, ByteArray

IntArray = NDArray[np.int64]
IntArray32 = NDArray[np.int32]
KeyArray = NDArray[np.uint64]

_MIX = np.uint64(0x9E3779B97F4A7C15)
_LONG_LOW = np.uint64(0x100000001B3)
_LONG_HIGH = np.uint64(0xC2B2AE3D27D4EB4F)
_ZERO = np.uint64(0)

# Keys of the last words found, 16 kB: most words of a text are among few.
RECENT_SLOTS = 1024
_RECENT_MASK = np.uint64(RECENT_SLOTS - 1)

# Columns of a row in the table of pieces.
START, END, WORDS, UNKNOWN, SENTENCE_END = range(5)
COLUMNS = 5

# What a word turned out to be; the first three are also the values of the switch `numerals`.
LOOKED_UP, NUMBER, PASSES, BEFORE_LINK = range(4)


@nb.njit(nogil=True, cache=True)
def decode(data: ByteArray, i: int, stop: int) -> tuple[int, int]:
    """The code point at byte `i` of valid UTF-8, and the number of its bytes."""
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
def class_of(code: int, classes: ByteArray, beyond: int) -> int:
    """The class of a code point."""
    return np.int64(classes[code]) if code < classes.size else np.int64(beyond)


@nb.njit(nogil=True, cache=True)
def push_byte(
    low: np.uint64, high: np.uint64, count: int, byte: int
) -> tuple[np.uint64, np.uint64]:
    """The key of a word with one more byte (see rules.word_key)."""
    b = np.uint64(byte)
    if count < 8:
        return low | (b << np.uint64(8 * count)), high
    if count < 16:
        return low, high | (b << np.uint64(8 * (count - 8)))
    return (low ^ b) * _LONG_LOW, (high ^ b) * _LONG_HIGH


@nb.njit(nogil=True, cache=True)
def push_code(
    low: np.uint64, high: np.uint64, count: int, code: int
) -> tuple[np.uint64, np.uint64, int]:
    """The key of a word with one more code point, and its new number of bytes."""
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
def is_known(table: KeyArray, recent: KeyArray, low: np.uint64, high: np.uint64) -> bool:
    """Whether a key is in the table; `recent` remembers hits where the first cache level holds them."""
    mixed = ((low ^ (high * _LONG_HIGH)) * _MIX) >> np.uint64(32)
    near = mixed & _RECENT_MASK
    if recent[near, 0] == low and recent[near, 1] == high:
        return True
    mask = np.uint64(table.shape[0] - 1)
    slot = mixed & mask
    while True:
        found_low, found_high = table[slot, 0], table[slot, 1]
        if found_low == low and found_high == high:
            recent[near, 0], recent[near, 1] = low, high
            return True
        if found_low == _ZERO and found_high == _ZERO:
            return False
        slot = (slot + np.uint64(1)) & mask


@nb.njit(nogil=True, cache=True)
def is_http(data: ByteArray, i: int, stop: int) -> bool:
    """Whether `http` in any case begins at byte `i`."""
    if i + 4 > stop:
        return False
    return (
        (data[i] | 0x20) == 0x68
        and (data[i + 1] | 0x20) == 0x74
        and (data[i + 2] | 0x20) == 0x74
        and (data[i + 3] | 0x20) == 0x70
    )


@nb.njit(nogil=True, cache=True)
def skip_digits(data: ByteArray, i: int, stop: int, classes: ByteArray, beyond: int) -> int:
    """The end of the run of digits that begins at byte `i`."""
    while i < stop:
        code, width = decode(data, i, stop)
        if class_of(code, classes, beyond) != DIGIT:
            break
        i += width
    return i


@nb.njit(nogil=True, cache=True)
def skip_link(data: ByteArray, i: int, stop: int, classes: ByteArray, beyond: int) -> int:
    """The end of the link that begins at byte `i`.

    It ends before a space or a hyphen (which was a space before links were replaced), and after
    digits that begin a word (which were followed by a space).
    """
    in_word = True
    while i < stop:
        code, width = decode(data, i, stop)
        kind = class_of(code, classes, beyond)
        if kind == SPACE or code == 0x2D:
            return i
        if kind == DIGIT and not in_word:
            return skip_digits(data, i, stop, classes, beyond)
        in_word = kind == LETTER or kind == DIGIT  # noqa: PLR1714
        i += width
    return i


@nb.njit(nogil=True, cache=True)
def read_word(
    data: ByteArray,
    i: int,
    stop: int,
    classes: ByteArray,
    lower: IntArray32,
    beyond: int,
    numerals: int,
    replaces_links: bool,
) -> tuple[int, np.uint64, np.uint64, int, int]:
    """The word that begins at byte `i`: its end, key, length in characters, and kind.

    Kinds: LOOKED_UP, NUMBER, PASSES, BEFORE_LINK (the word ends where a link begins).
    """
    low, high, count, length = _ZERO, _ZERO, 0, 0
    code, width = decode(data, i, stop)
    starts_with_digit = class_of(code, classes, beyond) == DIGIT
    if numerals != 0 and starts_with_digit:
        return skip_digits(data, i, stop, classes, beyond), low, high, 0, numerals
    while i < stop:
        code, width = decode(data, i, stop)
        kind = class_of(code, classes, beyond)
        if kind == APOSTROPHE:
            if i + width >= stop:
                break
            after, _ = decode(data, i + width, stop)
            if class_of(after, classes, beyond) != LETTER:
                break
        elif kind == LETTER or (kind == DIGIT and numerals != 2):
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
def read_plain_word(
    data: ByteArray, i: int, plain_end: ByteArray
) -> tuple[int, np.uint64, np.uint64]:
    """The length and key of a word of at most 15 ASCII letters at byte `i`; length 0 for any other.

    It must end at a byte that ends words under the profile, whatever follows, and at least 16
    bytes must be left in the buffer.
    """
    count, low = leading_letters(load_eight(data, i))
    high = _ZERO
    if count == 8:
        more, high = leading_letters(load_eight(data, i + 8))
        count += more
    if count == 16 or not plain_end[data[i + count]]:
        return 0, _ZERO, _ZERO
    return count, low, high


@nb.njit(nogil=True, cache=True)
def ends_sentence(data: ByteArray, start: int, stop: int) -> bool:
    """Whether the piece ends in `.`, `?` or `!`, closing quotes and brackets aside."""
    i = stop - 1
    while i >= start:
        byte = data[i]
        if byte == 0x22 or byte == 0x27 or byte == 0x29 or byte == 0x5D:  # noqa: PLR1714
            i -= 1
        elif byte == 0x9D or byte == 0x99:  # noqa: PLR1714  The last byte of a typographic quote.
            if i - 2 < start or data[i - 1] != 0x80 or data[i - 2] != 0xE2:
                return False
            i -= 3
        else:
            return byte == 0x2E or byte == 0x3F or byte == 0x21  # noqa: PLR1714
    return False


@nb.njit(nogil=True, cache=True)
def close_piece(
    data: ByteArray,
    pieces: IntArray32,
    rows: int,
    base: int,
    start: int,
    stop: int,
    words: int,
    unknown: int,
    broken: bool,
) -> None:
    """Write the piece in bytes [start, stop) into row `rows`."""
    pieces[rows, START], pieces[rows, END] = start - base, stop - base
    pieces[rows, WORDS], pieces[rows, UNKNOWN] = words, unknown
    pieces[rows, SENTENCE_END] = broken or ends_sentence(data, start, stop)


@nb.njit(nogil=True, cache=True)
def read_plain_pieces(
    data: ByteArray,
    i: int,
    stop: int,
    plain_end: ByteArray,
    table: KeyArray,
    recent: KeyArray,
    least: int,
    replaces_links: bool,
    pieces: IntArray32,
    rows: int,
    base: int,
    words: int,
    unknown: int,
) -> tuple[int, int, int, int, int]:
    """Read on from byte `i`, where a piece begins, while pieces are plain words before a space.

    Returns:
        Where it stopped, where the piece begun there starts, the number of rows, and the running
        totals.
    """
    start = i
    while i + 16 < stop:
        length, low, high = read_plain_word(data, i, plain_end)
        if length == 0:
            break
        known = length < least or is_known(table, recent, low, high)
        if replaces_links and not known:
            break  # It may hold a link, which only the slow way sees.
        words += length >= least
        unknown += not known
        i += length
        if data[i] != 0x20:
            break
        pieces[rows, START], pieces[rows, END] = start - base, i - base
        pieces[rows, WORDS], pieces[rows, UNKNOWN] = words, unknown
        pieces[rows, SENTENCE_END] = 0
        rows += 1
        i += 1
        start = i
    return i, start, rows, words, unknown


@nb.njit(nogil=True, cache=True)
def read_counted_word(
    data: ByteArray,
    i: int,
    stop: int,
    classes: ByteArray,
    lower: IntArray32,
    beyond: int,
    numerals: int,
    replaces_links: bool,
    table: KeyArray,
    recent: KeyArray,
    least: int,
    number_known: bool,
    link_known: bool,
) -> tuple[int, int, int]:
    """Any word at byte `i`, and a link behind it: its end, words counted, words unknown."""
    i, low, high, length, outcome = read_word(
        data, i, stop, classes, lower, beyond, numerals, replaces_links
    )
    words, unknown = 0, 0
    if outcome == NUMBER:
        words, unknown = 1, int(not number_known)
    elif outcome == PASSES:
        words = 1
    elif length >= least:
        words, unknown = 1, int(not is_known(table, recent, low, high))
    if outcome == BEFORE_LINK:
        i = skip_link(data, i, stop, classes, beyond)
        words += 1
        unknown += not link_known
    return i, words, unknown


@nb.njit(nogil=True, cache=True)
def scan_document(
    data: ByteArray,
    start: int,
    stop: int,
    classes: ByteArray,
    lower: IntArray32,
    plain_end: ByteArray,
    beyond: int,
    switches: IntArray,
    table: KeyArray,
    recent: KeyArray,
    number_known: bool,
    link_known: bool,
    pieces: IntArray32,
) -> int:
    """Write the pieces of the document in bytes [start, stop) into `pieces`, a row for each.

    The table must have a row for each byte and one more: growing it here would cost more than
    the reading, and pages that are not written take no memory.

    Returns:
        The number of rows. START and END count from `start`; WORDS and UNKNOWN are running totals
        up to and including the piece.
    """
    numerals, replaces_links = switches[0], switches[1] != 0
    least, single_space = switches[2], switches[3] != 0
    rows, words, unknown = 0, 0, 0
    i = piece_start = start
    broken = False
    while i <= stop:
        if i == piece_start:
            i, piece_start, rows, words, unknown = read_plain_pieces(
                data, i, stop, plain_end, table, recent, least, replaces_links,
                pieces, rows, start, words, unknown,
            )  # fmt: skip
        kind, code, width = np.int64(SPACE), np.int64(0x20), 1
        if i < stop:
            code, width = decode(data, i, stop)
            kind = class_of(code, classes, beyond)
        if i == stop or (code == 0x20 if single_space else kind == SPACE):
            if single_space or i > piece_start:
                close_piece(data, pieces, rows, start, piece_start, i, words, unknown, broken)
                rows += 1
                broken = False
            if code == 0x0A and rows > 0:
                pieces[rows - 1, SENTENCE_END] = 1
            i += width
            piece_start = i
        elif kind != LETTER and kind != DIGIT:  # noqa: PLR1714
            broken |= code == 0x0A
            i += width
        else:
            i, counted, missed = read_counted_word(
                data, i, stop, classes, lower, beyond, numerals, replaces_links,
                table, recent, least, number_known, link_known,
            )  # fmt: skip
            words += counted
            unknown += missed
    return rows
