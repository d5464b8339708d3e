# pyright: reportUntypedFunctionDecorator=false, reportReturnType=false, reportArgumentType=false, reportCallIssue=false
"""Choose the runs of pieces that are spans, and judge each, by arithmetic on bitmaps and pieces.

Windows of three pieces, one every two, no unknown word allowed, at least two words:

    pieces     we saw ZEBRAS at the zoo .      unknown: zebras
    [0, 3)     we saw ZEBRAS                   dropped, unknown words: 1 of 3
    [2, 5)     ZEBRAS at the                   dropped, unknown words: 1 of 3
    [4, 7)     the zoo .                       kept: 2 words, none unknown
    [6, 7)     .                               dropped, too short: no word

The counts of a window are differences of running totals at its two ends, so its length costs nothing.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from lilliput.language.spans.kernels.bits import below, count_ones, nth_one
from lilliput.language.spans.kernels.characters import IntArray, IntArray32
from lilliput.language.spans.kernels.codes import SINGLE_SPACE
from lilliput.language.spans.kernels.keys import ByteArray, KeyArray
from lilliput.language.spans.kernels.pieces import (
    COLUMNS,
    END,
    MISSED,
    SENTENCE_END,
    START,
    WORDS,
    tabulate,
)
from lilliput.language.spans.kernels.scan import (
    BEGINS,
    BITMAPS,
    COUNTED,
    ENDS,
    UNKNOWN,
    longest_document,
    scan_document,
)
from lilliput.language.spans.verdicts import KEPT, OVERLAP, TOO_SHORT, UNKNOWN_WORDS

# Columns of a row in the table of spans.
DOCUMENT, FIRST_BYTE, LAST_BYTE, FIRST_PIECE, LAST_PIECE, SPAN_WORDS, VERDICT = range(7)
SPAN_COLUMNS = 7


@nb.njit(nogil=True, cache=True)
def total(pieces: IntArray32, column: int, first: int, last: int) -> int:
    """Return the sum of a running column over the pieces [first, last)."""
    if last <= first:
        return np.int64(0)
    before = np.int64(pieces[first - 1, column]) if first > 0 else np.int64(0)
    return np.int64(pieces[last - 1, column]) - before


@nb.njit(nogil=True, cache=True)
def judge(words: int, unknown: int, least: int, share: float) -> int:
    """Return the verdict on a span by its counts; the share is of at least `least` words."""
    if unknown > share * max(words, least):
        return UNKNOWN_WORDS
    return KEPT if words >= least else TOO_SHORT


@nb.njit(nogil=True, cache=True)
def with_room(spans: IntArray, count: int) -> IntArray:
    """Return the table of spans, larger if it is full."""
    if count < spans.shape[0]:
        return spans
    larger = np.empty((2 * count, SPAN_COLUMNS), np.int64)
    larger[:count] = spans
    return larger


@nb.njit(nogil=True, cache=True)
def add_span(
    spans: IntArray,
    count: int,
    document: int,
    pieces: IntArray32,
    first: int,
    last: int,
    verdict: int,
) -> tuple[IntArray, int]:
    """Append the span of the pieces [first, last)."""
    spans = with_room(spans, count)
    row = spans[count]
    row[DOCUMENT], row[FIRST_PIECE], row[LAST_PIECE], row[VERDICT] = document, first, last, verdict
    row[FIRST_BYTE], row[LAST_BYTE] = pieces[first, START], pieces[last - 1, END]
    row[SPAN_WORDS] = total(pieces, WORDS, first, last)
    return spans, count + 1


@nb.njit(nogil=True, cache=True)
def seek(
    marks: KeyArray, counted: KeyArray, unknown: KeyArray, cursor: IntArray, mark: int
) -> tuple[int, int, int]:
    """Return the byte of the mark of this rank, and the words and unknown words that begin before it.

    `cursor` (block, and marks, words and unknown words before it) only ever moves forward.
    """
    block = cursor[0]
    while True:
        here = np.int64(count_ones(marks[block]))
        if cursor[1] + here > mark:
            break
        cursor[1] += here
        cursor[2] += np.int64(count_ones(counted[block]))
        cursor[3] += np.int64(count_ones(unknown[block]))
        block += 1
    cursor[0] = block
    bit = nth_one(marks[block], np.uint64(mark - cursor[1]))
    words = cursor[2] + np.int64(count_ones(counted[block] & below(bit)))
    return (
        64 * block + np.int64(bit),
        words,
        cursor[3] + np.int64(count_ones(unknown[block] & below(bit))),
    )


@nb.njit(nogil=True, cache=True)
def select_windows(
    bitmaps: KeyArray,
    rows: int,
    limits: IntArray,
    share: float,
    document: int,
    spans: IntArray,
    count: int,
) -> tuple[IntArray, int]:
    """Add windows of `span_words` pieces to the spans, one every `stride_words`, up to the end of the document."""
    span_words, stride, least, removes_overlap = limits[0], limits[1], limits[2], limits[3]
    counted, unknown = bitmaps[COUNTED], bitmaps[UNKNOWN]
    begin_cursor, end_cursor = np.zeros(4, np.int64), np.zeros(4, np.int64)
    free_from = 0
    for first in range(0, rows, stride):
        last = min(first + span_words, rows)
        start, words_before, missed_before = seek(
            bitmaps[BEGINS], counted, unknown, begin_cursor, first
        )
        stop, words, missed = seek(bitmaps[ENDS], counted, unknown, end_cursor, last - 1)
        words -= words_before
        verdict = judge(words, missed - missed_before, least, share)
        if verdict == KEPT and removes_overlap and first < free_from:
            verdict = OVERLAP
        if verdict == KEPT:
            free_from = last
        spans = with_room(spans, count)
        row = spans[count]
        row[DOCUMENT], row[FIRST_PIECE], row[LAST_PIECE] = document, first, last
        row[FIRST_BYTE], row[LAST_BYTE] = start, stop
        row[SPAN_WORDS], row[VERDICT] = words, verdict
        count += 1
    return spans, count


@nb.njit(nogil=True, cache=True)
def extend_chunk(
    pieces: IntArray32, rows: int, first: int, span_words: int, least: int, share: float
) -> tuple[int, int, bool]:
    """Return how far a chunk from `first` reaches: its end, its last sentence end, and whether it broke."""
    last, sentence_end = first, -1
    while last < rows and last - first < span_words:
        words = total(pieces, WORDS, first, last + 1)
        if total(pieces, MISSED, first, last + 1) > share * max(words, least):
            return last, sentence_end, True
        if pieces[last, SENTENCE_END] or last + 1 == rows:
            sentence_end = last + 1
        last += 1
    return last, sentence_end, False


@nb.njit(nogil=True, cache=True)
def next_sentence(pieces: IntArray32, rows: int, at: int) -> int:
    """Return the first sentence start at or after piece `at`."""
    while at < rows and at > 0 and not pieces[at - 1, SENTENCE_END]:
        at += 1
    return at


@nb.njit(nogil=True, cache=True)
def chunk_end(
    pieces: IntArray32, rows: int, first: int, limits: IntArray, share: float, whole: bool
) -> tuple[int, int, bool, bool]:
    """Return the end of the chunk from piece `first`, how far it was read, whether it broke, and whether it is kept."""
    span_words, least = limits[0], limits[2]
    last, sentence_end, broke = extend_chunk(pieces, rows, first, span_words, least, share)
    end = last
    if sentence_end > 0 and (whole or not broke):
        end = sentence_end
    elif whole and broke:
        end = first
    return end, last, broke, end > first and total(pieces, WORDS, first, end) >= least


@nb.njit(nogil=True, cache=True)
def select_chunks(
    pieces: IntArray32,
    rows: int,
    limits: IntArray,
    share: float,
    whole: bool,
    document: int,
    spans: IntArray,
    count: int,
) -> tuple[IntArray, int]:
    """Add chunks from sentence starts to the spans: whole sentences, or as far as the vocabulary admits."""
    first = 0
    while first < rows:
        end, last, broke, kept = chunk_end(pieces, rows, first, limits, share, whole)
        verdict = KEPT if kept else (UNKNOWN_WORDS if broke else TOO_SHORT)
        reached = min(last + 1, rows) if broke and not kept else end
        spans, count = add_span(spans, count, document, pieces, first, reached, verdict)
        first = next_sentence(pieces, rows, reached)
    return spans, count


@nb.njit(nogil=True, cache=True)
def count_bits(bits: KeyArray, blocks: int) -> int:
    """Return the number of one bits in the first `blocks` of a bitmap."""
    ones = np.uint64(0)
    for block in range(blocks):
        ones += count_ones(bits[block])
    return np.int64(ones)


@nb.njit(nogil=True, cache=True)
def find_in_batch(
    data: ByteArray,
    offsets: IntArray,
    present: NDArray[np.bool_],
    shape: int,
    limits: IntArray,
    share: float,
    classes: ByteArray,
    lower: IntArray32,
    switches: IntArray,
    table: KeyArray,
) -> tuple[IntArray, int, int]:
    """Return all spans of all documents of a batch, and the numbers of words and unknown words read."""
    longest = longest_document(offsets)
    bitmaps = np.empty((BITMAPS, longest // 64 + 2), np.uint64)
    pieces = np.empty((longest + 1 if shape != 0 else 1, COLUMNS), np.int32)
    spans = np.empty((1 << 12, SPAN_COLUMNS), np.int64)
    single_space = switches[SINGLE_SPACE] != 0
    count, words, unknown = 0, 0, 0
    for document in range(offsets.size - 1):
        if not present[document]:
            continue
        start, stop = np.int64(offsets[document]), np.int64(offsets[document + 1])
        blocks = scan_document(data, start, stop, classes, lower, switches, table, bitmaps)
        words += count_bits(bitmaps[COUNTED], blocks)
        unknown += count_bits(bitmaps[UNKNOWN], blocks)
        before = count
        if shape == 0:
            rows = count_bits(bitmaps[ENDS], blocks)
            spans, count = select_windows(bitmaps, rows, limits, share, document, spans, count)
        else:
            rows = tabulate(data, start, stop, blocks, single_space, bitmaps, pieces)
            spans, count = select_chunks(
                pieces, rows, limits, share, shape == 1, document, spans, count
            )
        spans[before:count, FIRST_BYTE : LAST_BYTE + 1] += start
    return spans[:count], words, unknown
