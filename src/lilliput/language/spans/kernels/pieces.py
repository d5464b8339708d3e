# pyright: reportUntypedFunctionDecorator=false, reportReturnType=false, reportArgumentType=false, reportCallIssue=false
"""Tabulate the pieces of a document, for rules that walk from piece to piece.

The table of `It's 5 big dogs.`, where `5` is not in the vocabulary (WORDS and MISSED are running totals):

    piece   START  END  WORDS  MISSED  SENTENCE_END
    It's        0    4      1       0             0
    5           5    6      2       1             0
    big         7   10      3       1             0
    dogs.      11   16      4       1             1
"""

from __future__ import annotations

import numba as nb
import numpy as np

from lilliput.language.spans.kernels.bits import below, count_ones, trailing_zeros
from lilliput.language.spans.kernels.characters import IntArray32
from lilliput.language.spans.kernels.keys import ByteArray, KeyArray
from lilliput.language.spans.kernels.scan import BEGINS, COUNTED, ENDS, UNKNOWN

# Columns of a row in the table of pieces.
START, END, WORDS, MISSED, SENTENCE_END = range(5)
COLUMNS = 5

_ONE, _ZERO = np.uint64(1), np.uint64(0)
_NEWLINE = 0x0A


@nb.njit(nogil=True, cache=True)
def ends_sentence(data: ByteArray, start: int, stop: int) -> bool:
    """Return whether the piece ends in `.`, `?` or `!`, closing quotes and brackets aside."""
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
def holds_newline(data: ByteArray, start: int, stop: int) -> bool:
    """Return whether a line ends among the bytes [start, stop)."""
    for i in range(start, stop):  # noqa: SIM110
        if data[i] == _NEWLINE:
            return True
    return False


@nb.njit(nogil=True, cache=True)
def tabulate(
    data: ByteArray,
    start: int,
    stop: int,
    blocks: int,
    single_space: bool,
    bitmaps: KeyArray,
    pieces: IntArray32,
) -> int:
    """Write a row for each piece of the document; the number of rows.

    START and END count from `start`; WORDS and MISSED are running totals up to and including the
    piece. The table must have a row for each byte and one more: pages that are not written take no
    memory.
    """
    rows, words, missed = 0, 0, 0
    begin_block, begins = 0, bitmaps[BEGINS, 0]
    for block in range(blocks):
        ends = bitmaps[ENDS, block]
        counted, unknown = bitmaps[COUNTED, block], bitmaps[UNKNOWN, block]
        while ends:
            bit = trailing_zeros(ends)
            ends &= ends - _ONE
            while begins == _ZERO:
                begin_block += 1
                begins = bitmaps[BEGINS, begin_block]
            first = 64 * begin_block + np.int64(trailing_zeros(begins))
            begins &= begins - _ONE
            last = 64 * block + np.int64(bit)
            pieces[rows, START], pieces[rows, END] = first, last
            pieces[rows, WORDS] = words + np.int64(count_ones(counted & below(bit)))
            pieces[rows, MISSED] = missed + np.int64(count_ones(unknown & below(bit)))
            closed = ends_sentence(data, start + first, start + last)
            if single_space and not closed:
                closed = holds_newline(data, start + first, start + last)
            pieces[rows, SENTENCE_END] = closed
            if rows > 0 and not single_space:
                gap = start + np.int64(pieces[rows - 1, END])
                pieces[rows - 1, SENTENCE_END] |= holds_newline(data, gap, start + first)
            rows += 1
        words += np.int64(count_ones(counted))
        missed += np.int64(count_ones(unknown))
    if rows > 0 and not single_space:
        gap = start + np.int64(pieces[rows - 1, END])
        pieces[rows - 1, SENTENCE_END] |= holds_newline(data, gap, stop)
    return rows
