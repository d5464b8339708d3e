# pyright: reportUntypedFunctionDecorator=false, reportReturnType=false, reportArgumentType=false, reportCallIssue=false
"""Scan a document into bitmaps of its pieces, its words and its unknown words.

A bitmap has a bit for each byte of the document and one for the end. Under the profile `modern`, with a
vocabulary of `its`, `big` and `dogs`, the scanner fills for the text `It's 5 big dogs.`:

    bytes     I t ' s _ 5 _ b i g _ d o g s .
    LETTERS   1 1 0 1 0 1 0 1 1 1 0 1 1 1 1 0 0   digits are letters like others here
    ODD       0 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0   bytes of words that are no ASCII letters
    BEGINS    1 0 0 0 0 1 0 1 0 0 0 1 0 0 0 0 0   first bytes of pieces
    ENDS      0 0 0 0 1 0 1 0 0 0 1 0 0 0 0 0 1   bytes after pieces
    COUNTED   1 0 0 0 0 1 0 1 0 0 0 1 0 0 0 0 0   first bytes of words
    UNKNOWN   0 0 0 0 0 1 0 0 0 0 0 0 0 0 0 0 0   `5` is not in the vocabulary

Strings are never made, no byte is copied. Runs of ASCII letters, nearly all words of English, are looked
up straight from two loads of eight bytes; all other words are read by `characters`, one character after
another.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from lilliput.language.spans.kernels.bits import (
    apostrophes_in,
    blanks_in,
    greek_in,
    high_in,
    latin_in,
    letters_in,
    load_block,
    load_eight,
    signs_in,
    soft_in,
    trailing_zeros,
)
from lilliput.language.spans.kernels.characters import (
    IntArray,
    IntArray32,
    class_of,
    decode,
    mark,
    read_odd_run,
)
from lilliput.language.spans.kernels.codes import (
    LEAST,
    LETTER,
    OTHER,
    REPLACES_LINKS,
    SINGLE_SPACE,
    SPACE,
)
from lilliput.language.spans.kernels.keys import ByteArray, KeyArray, is_known

# Rows of the bitmaps of a document: ASCII letters; other bytes of words; first bytes of pieces;
# bytes after pieces; first bytes of counted words; of unknown ones; bytes that need a closer look.
LETTERS, ODD, BEGINS, ENDS, COUNTED, UNKNOWN, RARE = range(7)
BITMAPS = 7

_CASE = np.uint64(0x2020202020202020)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ZERO, _ONE, _LAST = np.uint64(0), np.uint64(1), np.uint64(63)
_BLOCK, _BYTE, _SEVEN_BYTES = np.uint64(64), np.uint64(8), np.uint64(56)
_LONGEST = np.uint64(16)

_HTTP = np.uint64(int.from_bytes(b"http", "little"))
_LAST_SIGN, _APOSTROPHE = 0x2F, 0x27

# Masks of the first n of 16 bytes, the first eight and the last eight of them.
_FIRST = np.array([(1 << (8 * min(n, 8))) - 1 for n in range(17)], np.uint64)
_SECOND = np.array([(1 << (8 * max(n - 8, 0))) - 1 for n in range(17)], np.uint64)


@nb.njit(nogil=True, cache=True)
def longest_document(offsets: IntArray) -> int:
    """Return the number of bytes of the longest document of a batch."""
    longest = np.int64(0)
    for document in range(offsets.size - 1):
        longest = max(longest, offsets[document + 1] - offsets[document])
    return longest


@nb.njit(nogil=True, cache=True)
def scan_document(
    data: ByteArray,
    start: int,
    stop: int,
    classes: ByteArray,
    lower: IntArray32,
    switches: IntArray,
    table: KeyArray,
    bitmaps: KeyArray,
) -> int:
    """Fill `bitmaps` for the document in bytes [start, stop); the number of blocks of 64 bits used.

    Args:
        data: The Arrow buffer, valid UTF-8.
        start: First byte.
        stop: Byte after the last.
        classes: Class of each code point.
        lower: Lower-case code point of each.
        switches: See `codes`.
        table: Keys of the vocabulary.
        bitmaps: Shape (BITMAPS, at least (stop - start) // 64 + 2).
    """
    blocks = (stop - start) // 64 + 1
    bitmaps[:, : blocks + 1] = _ZERO
    compare_bytes(data, start, stop, blocks, bitmaps)
    look_closer(data, start, stop, blocks, classes, lower, switches, bitmaps)
    bound_pieces(stop - start, blocks, switches[SINGLE_SPACE] != 0, bitmaps)
    read_runs(data, start, stop, blocks, classes, lower, switches, table, bitmaps)
    return blocks


@nb.njit(nogil=True, cache=True)
def compare_block(data: ByteArray, at: int) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Return the letters, blanks, and signs that belong to no word under any profile, among 64 bytes."""
    block = load_block(data, at)
    return letters_in(block), blanks_in(block), signs_in(block) & ~apostrophes_in(block)


@nb.njit(nogil=True, cache=True)
def compare_bytes(data: ByteArray, start: int, stop: int, blocks: int, bitmaps: KeyArray) -> None:
    """Fill LETTERS, ENDS (blanks, for the time being) and RARE."""
    for block in range(blocks):
        at = start + 64 * block
        inside = _ALL if at + 64 <= stop else (_ONE << np.uint64(stop - at)) - _ONE
        if at + 64 <= data.size:
            letters, blanks, signs = compare_block(data, at)
        else:  # Nothing beyond the buffer may be read.
            edge = np.zeros(64, np.uint8)
            edge[: stop - at] = data[at:stop]
            letters, blanks, signs = compare_block(edge, 0)
        bitmaps[LETTERS, block] = letters & inside
        bitmaps[ENDS, block] = blanks & inside
        bitmaps[RARE, block] = ~(letters | blanks | signs) & inside


@nb.njit(nogil=True, cache=True)
def joins(data: ByteArray, i: int, start: int, stop: int) -> bool:
    """Return whether the apostrophe at byte `i` may stand inside a word: no blank or sign is beside it."""
    if i == start or i + 1 == stop:
        return False
    return data[i - 1] > _LAST_SIGN and data[i + 1] > _LAST_SIGN


@nb.njit(nogil=True, cache=True)
def look_closer(
    data: ByteArray,
    start: int,
    stop: int,
    blocks: int,
    classes: ByteArray,
    lower: IntArray32,
    switches: IntArray,
    bitmaps: KeyArray,
) -> None:
    """Mark the rare characters that belong to words in ODD, and white space among the blanks."""
    done = start
    for block in range(blocks):
        rare = bitmaps[RARE, block]
        while rare:
            i = start + 64 * block + np.int64(trailing_zeros(rare))
            rare &= rare - _ONE
            if i < done:
                continue
            code, width = decode(data, i, stop)
            kind = class_of(code, classes, switches)
            done = min(i + width, stop)
            if kind == OTHER or (kind == SPACE and switches[SINGLE_SPACE] != 0):
                continue
            row = ODD
            if kind == SPACE:
                row = ENDS
            elif kind == LETTER and code < 0x80 and (code | 0x20) == lower[code]:
                row = LETTERS  # Digits, where they are letters like others.
            elif code == 0x27 and not joins(data, i, start, stop):
                continue
            for byte in range(i, done):
                mark(bitmaps[row], byte - start)


@nb.njit(nogil=True, cache=True)
def bound_pieces(length: int, blocks: int, single_space: bool, bitmaps: KeyArray) -> None:
    """Turn the blanks in ENDS into BEGINS and ENDS; the text's end is as good as a blank."""
    last = np.uint64(length) & _LAST
    bitmaps[ENDS, blocks - 1] |= (_ONE if single_space else _ALL) << last
    carry = _ONE
    for block in range(blocks):
        blanks = bitmaps[ENDS, block]
        after = (blanks << _ONE) | carry
        carry = blanks >> _LAST
        if single_space:
            bitmaps[BEGINS, block] = after
        else:
            bitmaps[BEGINS, block] = after & ~blanks
            bitmaps[ENDS, block] = blanks & ~after


@nb.njit(nogil=True, cache=True)
def holds_context_dependent(data: ByteArray, start: int, stop: int) -> bool:
    """Return whether `İ` or `Σ`, whose lower-case form depends on more than itself, is among the bytes."""
    for at in range(start, stop, 64):
        leads = _ALL
        if at + 64 <= data.size:
            block = load_block(data, at)
            leads = latin_in(block) | greek_in(block)
        while leads:
            i = at + np.int64(trailing_zeros(leads))
            leads &= leads - _ONE
            if i + 1 >= stop:
                break
            if (data[i] == 0xC4 and data[i + 1] == 0xB0) or (  # İ
                data[i] == 0xCE and data[i + 1] == 0xA3  # Σ
            ):
                return True
    return False


@nb.njit(nogil=True, cache=True)
def may_change_when_composed(data: ByteArray, start: int, stop: int) -> bool:
    """Return whether the bytes may hold a character that composing changes (see words.text_form).

    No is certain. Characters below U+0300 compose with nothing before them, and of those only the soft
    hyphen is left out; of the general punctuation (U+2000 to U+203F) only the first two change.
    """
    for at in range(start, stop, 64):
        leads = _ALL
        if at + 64 <= data.size:
            block = load_block(data, at)
            leads = soft_in(block) | high_in(block)
        while leads:
            i = at + np.int64(trailing_zeros(leads))
            leads &= leads - _ONE
            if i >= stop:
                break
            first = data[i]
            second = data[i + 1] if i + 1 < stop else np.uint8(0)
            if first == 0xC2:
                if second == 0xAD:
                    return True
            elif first == 0xE2 and second == 0x80 and i + 2 < stop:
                if data[i + 2] <= 0x81:
                    return True
            elif first >= 0xCC:
                return True
    return False


@nb.njit(nogil=True, cache=True)
def documents_to_compose(
    data: ByteArray, offsets: IntArray, present: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which documents of a batch may change when their characters are composed."""
    marked = np.zeros(offsets.size - 1, np.bool_)
    for document in range(offsets.size - 1):
        if present[document]:
            start, stop = np.int64(offsets[document]), np.int64(offsets[document + 1])
            marked[document] = may_change_when_composed(data, start, stop)
    return marked


@nb.njit(nogil=True, cache=True)
def holds_http(data: ByteArray, start: int, length: np.uint64) -> bool:
    """Return whether `http` in any case is among `length` letters; 8 bytes beyond them can be read."""
    found = False
    for i in range(start, start + np.int64(length) - 3):
        found |= ((load_eight(data, i) | _CASE) & _FIRST[4]) == _HTTP
    return found


@nb.njit(nogil=True, cache=True)
def is_contraction(
    data: ByteArray, at: int, length: np.uint64, place: np.uint64, odd_inside: np.uint64
) -> bool:
    """Return whether a run of at most 16 bytes is letters but for one apostrophe, at `place`."""
    if length > _LONGEST or odd_inside & (odd_inside - _ONE) != _ZERO:
        return False
    return data[at + np.int64(place)] == _APOSTROPHE and place > _ZERO and place + _ONE < length


@nb.njit(nogil=True, cache=True)
def contraction_key(
    data: ByteArray, at: int, length: np.uint64, place: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Return the key of such a run without its apostrophe."""
    low = (load_eight(data, at) | _CASE) & _FIRST[length]
    high = (load_eight(data, at + 8) | _CASE) & _SECOND[length]
    moved_low, moved_high = (low >> _BYTE) | (high << _SEVEN_BYTES), high >> _BYTE
    first, second = _FIRST[place], _SECOND[place]
    return (low & first) | (moved_low & ~first), (high & second) | (moved_high & ~second)


@nb.njit(nogil=True, cache=True)
def read_runs(
    data: ByteArray,
    start: int,
    stop: int,
    blocks: int,
    classes: ByteArray,
    lower: IntArray32,
    switches: IntArray,
    table: KeyArray,
    bitmaps: KeyArray,
) -> None:
    """Fill COUNTED and UNKNOWN from the runs of bits in LETTERS and ODD."""
    least, replaces_links = np.uint64(switches[LEAST]), switches[REPLACES_LINKS] != 0
    read_to = start
    safe = data.size - 16
    odd, runs, carry = bitmaps[ODD, 0], bitmaps[LETTERS, 0] | bitmaps[ODD, 0], _ZERO
    for block in range(blocks):
        odd_next = bitmaps[ODD, block + 1]
        runs_next = bitmaps[LETTERS, block + 1] | odd_next
        firsts = runs & ~((runs << _ONE) | carry)
        counted, unknown = _ZERO, _ZERO
        while firsts:
            bit = trailing_zeros(firsts)
            firsts &= firsts - _ONE
            back = _LAST - bit
            length = trailing_zeros(~((runs >> bit) | ((runs_next << _ONE) << back)))
            at = start + 64 * block + np.int64(bit)
            odd_ahead = (odd >> bit) | ((odd_next << _ONE) << back)
            odd_inside = odd_ahead << ((_BLOCK - length) & _LAST)
            if (length > _LONGEST) | (odd_inside != _ZERO) | (at > safe) | (at < read_to):
                if at < read_to:
                    continue
                place = trailing_zeros(odd_ahead)
                if at > safe or not is_contraction(data, at, length, place, odd_inside):
                    read_to = read_odd_run(
                        data, start, at, stop, classes, lower, switches, table,
                        bitmaps[COUNTED], bitmaps[UNKNOWN],
                    )  # fmt: skip
                    continue
                low, high = contraction_key(data, at, length, place)
            else:
                low = (load_eight(data, at) | _CASE) & _FIRST[length]
                high = (load_eight(data, at + 8) | _CASE) & _SECOND[length]
            is_long = np.uint64(length >= least)
            missed = np.uint64(not is_known(table, low, high)) & is_long
            if replaces_links and missed != _ZERO and holds_http(data, at, length):
                read_to = read_odd_run(
                    data, start, at, stop, classes, lower, switches, table,
                    bitmaps[COUNTED], bitmaps[UNKNOWN],
                )  # fmt: skip
                continue
            counted |= is_long << bit
            unknown |= missed << bit
        bitmaps[COUNTED, block] |= counted
        bitmaps[UNKNOWN, block] |= unknown
        carry = runs >> _LAST
        odd, runs = odd_next, runs_next
