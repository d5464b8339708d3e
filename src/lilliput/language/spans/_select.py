# pyright: reportUntypedFunctionDecorator=false, reportReturnType=false, reportArgumentType=false
"""Which runs of pieces are spans, and what becomes of each: arithmetic on the table of pieces."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from lilliput.language.spans._scan import (
    COLUMNS,
    END,
    RECENT_SLOTS,
    SENTENCE_END,
    START,
    UNKNOWN,
    WORDS,
    IntArray,
    IntArray32,
    KeyArray,
    scan_document,
)
from lilliput.language.spans.rules import ByteArray
from lilliput.language.spans.verdicts import KEPT, OVERLAP, TOO_SHORT, UNKNOWN_WORDS

# Columns of a row in the table of spans.
DOCUMENT, FIRST_BYTE, LAST_BYTE, FIRST_PIECE, LAST_PIECE, SPAN_WORDS, VERDICT = range(7)
SPAN_COLUMNS = 7


@nb.njit(nogil=True, cache=True)
def total(pieces: IntArray32, column: int, first: int, last: int) -> int:
    """Sum of a running column over the pieces [first, last)."""
    if last <= first:
        return np.int64(0)
    before = np.int64(pieces[first - 1, column]) if first > 0 else np.int64(0)
    return np.int64(pieces[last - 1, column]) - before


@nb.njit(nogil=True, cache=True)
def judge(words: int, unknown: int, least: int, share: float) -> int:
    """The verdict on a span by its counts; the share is of at least `least` words."""
    if unknown > share * max(words, least):
        return UNKNOWN_WORDS
    return KEPT if words >= least else TOO_SHORT


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
    """Append one row, in a larger table if it is full."""
    if count == spans.shape[0]:
        larger = np.empty((2 * count, SPAN_COLUMNS), np.int64)
        larger[:count] = spans
        spans = larger
    row = spans[count]
    row[DOCUMENT], row[FIRST_PIECE], row[LAST_PIECE], row[VERDICT] = document, first, last, verdict
    row[FIRST_BYTE], row[LAST_BYTE] = pieces[first, START], pieces[last - 1, END]
    row[SPAN_WORDS] = total(pieces, WORDS, first, last)
    return spans, count + 1


@nb.njit(nogil=True, cache=True)
def select_windows(
    pieces: IntArray32,
    rows: int,
    limits: IntArray,
    share: float,
    document: int,
    spans: IntArray,
    count: int,
) -> tuple[IntArray, int]:
    """Windows of `span_words` pieces, one every `stride_words`, up to the end of the document."""
    span_words, stride, least, removes_overlap = limits[0], limits[1], limits[2], limits[3]
    free_from = 0
    for first in range(0, rows, stride):
        last = min(first + span_words, rows)
        words = total(pieces, WORDS, first, last)
        verdict = judge(words, total(pieces, UNKNOWN, first, last), least, share)
        if verdict == KEPT and removes_overlap and first < free_from:
            verdict = OVERLAP
        if verdict == KEPT:
            free_from = last
        spans, count = add_span(spans, count, document, pieces, first, last, verdict)
    return spans, count


@nb.njit(nogil=True, cache=True)
def extend_chunk(
    pieces: IntArray32, rows: int, first: int, span_words: int, least: int, share: float
) -> tuple[int, int, bool]:
    """How far a chunk from `first` reaches: its end, its last sentence end, and whether it broke."""
    last, sentence_end = first, -1
    while last < rows and last - first < span_words:
        words = total(pieces, WORDS, first, last + 1)
        if total(pieces, UNKNOWN, first, last + 1) > share * max(words, least):
            return last, sentence_end, True
        if pieces[last, SENTENCE_END] or last + 1 == rows:
            sentence_end = last + 1
        last += 1
    return last, sentence_end, False


@nb.njit(nogil=True, cache=True)
def next_sentence(pieces: IntArray32, rows: int, at: int) -> int:
    """The first sentence start at or after piece `at`."""
    while at < rows and at > 0 and not pieces[at - 1, SENTENCE_END]:
        at += 1
    return at


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
    """Chunks from sentence starts: whole sentences, or as far as the vocabulary admits."""
    span_words, least = limits[0], limits[2]
    first = 0
    while first < rows:
        last, sentence_end, broke = extend_chunk(pieces, rows, first, span_words, least, share)
        end = last
        if sentence_end > 0 and (whole or not broke):
            end = sentence_end
        elif whole and broke:
            end = first
        if total(pieces, WORDS, first, end) >= least and end > first:
            spans, count = add_span(spans, count, document, pieces, first, end, KEPT)
            first = next_sentence(pieces, rows, end)
        else:
            verdict = UNKNOWN_WORDS if broke else TOO_SHORT
            reached = min(last + 1, rows) if broke else end
            spans, count = add_span(spans, count, document, pieces, first, reached, verdict)
            first = next_sentence(pieces, rows, reached)
    return spans, count


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
    plain_end: ByteArray,
    beyond: int,
    switches: IntArray,
    table: KeyArray,
    number_known: bool,
    link_known: bool,
) -> tuple[IntArray, int, int]:
    """All spans of all documents of a batch, and the numbers of words and unknown words read."""
    longest = np.int64(0)
    for document in range(offsets.size - 1):
        longest = max(longest, offsets[document + 1] - offsets[document])
    pieces = np.empty((longest + 1, COLUMNS), np.int32)
    recent = np.zeros((RECENT_SLOTS, 2), np.uint64)
    spans = np.empty((1 << 12, SPAN_COLUMNS), np.int64)
    count, words, unknown = 0, 0, 0
    for document in range(offsets.size - 1):
        if not present[document]:
            continue
        start, stop = np.int64(offsets[document]), np.int64(offsets[document + 1])
        rows = scan_document(
            data, start, stop, classes, lower, plain_end, beyond, switches,
            table, recent, number_known, link_known, pieces,
        )  # fmt: skip
        words += total(pieces, WORDS, 0, rows)
        unknown += total(pieces, UNKNOWN, 0, rows)
        before = count
        if shape == 0:
            spans, count = select_windows(pieces, rows, limits, share, document, spans, count)
        else:
            spans, count = select_chunks(
                pieces, rows, limits, share, shape == 1, document, spans, count
            )
        spans[before:count, FIRST_BYTE : LAST_BYTE + 1] += start
    return spans[:count], words, unknown
