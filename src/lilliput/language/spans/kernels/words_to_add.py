# pyright: reportUntypedFunctionDecorator=false, reportReturnType=false, reportArgumentType=false, reportCallIssue=false
"""Find the one word whose admission alone would keep a dropped span, by applying the rule again with it.

dropped span    we saw the zebra at the zoo       unknown: zebra
rule again      we saw the ZEBRA at the zoo       kept, so `zebra` gains one span
dropped span    a zebra and a tapir came by       unknown: zebra, tapir; neither gains
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from lilliput.language.spans.kernels.characters import IntArray, IntArray32
from lilliput.language.spans.kernels.codes import SINGLE_SPACE
from lilliput.language.spans.kernels.keys import ByteArray, KeyArray
from lilliput.language.spans.kernels.pieces import COLUMNS, END, MISSED, tabulate
from lilliput.language.spans.kernels.scan import BITMAPS, UNKNOWN, longest_document, scan_document
from lilliput.language.spans.kernels.select import (
    DOCUMENT,
    FIRST_BYTE,
    FIRST_PIECE,
    LAST_BYTE,
    SPAN_WORDS,
    VERDICT,
    chunk_end,
    judge,
)
from lilliput.language.spans.kernels.words import longer, rank_marked
from lilliput.language.spans.verdicts import KEPT, UNKNOWN_WORDS

# Columns of the tally of a word: how often it was met, and how many spans it would keep.
OCCURRENCES, GAINED = range(2)


@nb.njit(nogil=True, cache=True)
def is_kept_chunk(
    pieces: IntArray32,
    rows: int,
    first: int,
    limits: IntArray,
    share: float,
    whole: bool,
    found: IntArray32,
    found_at: IntArray32,
    begin: int,
    number: int,
    rank: int,
) -> bool:
    """Return whether the chunk from piece `first` is kept with the word of this rank admitted.

    The running total of unknown words is lowered by the word's occurrences, and restored.
    """
    until = min(rows, first + limits[0])
    before = pieces[first:until, MISSED].copy()
    k, occurrences = begin, 0
    for piece in range(first, until):
        while k < number and found_at[k] < pieces[piece, END]:
            occurrences += found[k] == rank
            k += 1
        pieces[piece, MISSED] -= occurrences
    _, _, _, kept = chunk_end(pieces, rows, first, limits, share, whole)
    pieces[first:until, MISSED] = before
    return kept


@nb.njit(nogil=True, cache=True)
def credit_words(
    spans: IntArray,
    at: int,
    start: int,
    shape: int,
    limits: IntArray,
    share: float,
    pieces: IntArray32,
    rows: int,
    found: IntArray32,
    found_at: IntArray32,
    begin: int,
    number: int,
    tallies: IntArray,
) -> None:
    """Credit each word whose admission alone would keep the dropped span in row `at`.

    All but `share` of its unknown words must be that word, so it is among the first few.
    """
    words, least = spans[at, SPAN_WORDS], limits[2]
    end = begin
    while end < number and found_at[end] < spans[at, LAST_BYTE] - start:
        end += 1
    few = np.int64(share * max(words, least)) + 1
    for k in range(begin, min(end, begin + few)):
        rank = found[k]
        if np.any(found[begin:k] == rank):
            continue
        if shape == 0:
            left = np.int64(np.sum(found[begin:end] != rank))
            kept = judge(words, left, least, share) == KEPT
        else:
            kept = is_kept_chunk(
                pieces, rows, spans[at, FIRST_PIECE], limits, share, shape == 1,
                found, found_at, begin, number, rank,
            )  # fmt: skip
        tallies[rank, GAINED] += kept


@nb.njit(nogil=True, cache=True)
def count_gains(
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
    spans: IntArray,
    keys: KeyArray,
    ranks: IntArray32,
    used: int,
    tallies: IntArray,
) -> tuple[KeyArray, IntArray32, int, IntArray, IntArray]:
    """Add the unknown words of a batch to `tallies`, by the spans found in it; places come last."""
    longest = longest_document(offsets)
    bitmaps = np.empty((BITMAPS, longest // 64 + 2), np.uint64)
    found, found_at = np.empty(longest + 1, np.int32), np.empty(longest + 1, np.int32)
    pieces = np.empty((longest + 1 if shape != 0 else 1, COLUMNS), np.int32)
    places = np.zeros((tallies.shape[0], 3), np.int64)
    at = rows = 0
    for document in range(offsets.size - 1):
        if not present[document]:
            continue
        start, stop = np.int64(offsets[document]), np.int64(offsets[document + 1])
        blocks = scan_document(data, start, stop, classes, lower, switches, table, bitmaps)
        keys, ranks, places, used, number = rank_marked(
            data, start, stop, blocks, UNKNOWN, classes, lower, switches, bitmaps,
            keys, ranks, places, used, found, found_at,
        )  # fmt: skip
        while tallies.shape[0] < places.shape[0]:
            tallies = longer(tallies)
        for rank in found[:number]:
            tallies[rank, OCCURRENCES] += 1
        if shape != 0:
            rows = tabulate(data, start, stop, blocks, switches[SINGLE_SPACE] != 0, bitmaps, pieces)
        begin = 0
        while at < spans.shape[0] and spans[at, DOCUMENT] == document:
            while begin < number and found_at[begin] < spans[at, FIRST_BYTE] - start:
                begin += 1
            if spans[at, VERDICT] == UNKNOWN_WORDS:
                credit_words(
                    spans, at, start, shape, limits, share, pieces, rows,
                    found, found_at, begin, number, tallies,
                )  # fmt: skip
            at += 1
    return keys, ranks, used, tallies, places
