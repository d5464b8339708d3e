"""The span rule in plain Python: slow, short, and what the fast scanner must agree with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lilliput.language.spans.settings import SpanSettings
from lilliput.language.spans.verdicts import KEPT, OVERLAP, TOO_SHORT, UNKNOWN_WORDS
from lilliput.language.words.splitting import passes_unseen, split_pieces, split_words
from lilliput.language.words.text_form import composed

_SENTENCE_END = re.compile(r"[.?!][\"')\]”’]*$")
_PIECE_AND_GAP = re.compile(r"(\S+)(\s*)")


@dataclass(frozen=True)
class PlainSpan:
    """Describe a span by the ranks of its pieces in the document."""

    first: int
    last: int
    words: int
    verdict: int


@dataclass(frozen=True)
class _PlainPiece:
    words: int
    unknown: int
    ends_sentence: bool


def find_plain(text: str, settings: SpanSettings, words: frozenset[str] | None) -> list[PlainSpan]:
    """Return the spans of one document.

    Args:
        text: The document.
        settings: The rule.
        words: The forms admitted; None admits all.
    """
    pieces = _pieces(text, settings, words)
    if settings.shape == "windows":
        return _windows(pieces, settings)
    return _chunks(pieces, settings)


def _pieces(
    text: str, settings: SpanSettings, admitted: frozenset[str] | None
) -> list[_PlainPiece]:
    profile = settings.profile
    if profile.characters == "composed":
        text = composed(text, folds_case=True)
    if profile.lower_case and profile.letters == "python_word":
        text = text.lower()
    pieces = split_pieces(text, profile)
    result: list[_PlainPiece] = []
    for piece, ends in zip(pieces, _sentence_ends(text, pieces, settings), strict=True):
        words = split_words(piece, profile)
        unknown = [
            word
            for word in words
            if admitted is not None and word not in admitted and not passes_unseen(word, profile)
        ]
        result.append(_PlainPiece(len(words), len(unknown), ends))
    return result


def _sentence_ends(text: str, pieces: list[str], settings: SpanSettings) -> list[bool]:
    if settings.profile.pieces == "single_space":
        return ["\n" in piece or bool(_SENTENCE_END.search(piece)) for piece in pieces]
    return [
        "\n" in gap or bool(_SENTENCE_END.search(piece))
        for piece, gap in _PIECE_AND_GAP.findall(text)
    ]


def _counts(pieces: Sequence[_PlainPiece]) -> tuple[int, int]:
    return sum(p.words for p in pieces), sum(p.unknown for p in pieces)


def _too_many_unknown(pieces: Sequence[_PlainPiece], settings: SpanSettings) -> bool:
    words, unknown = _counts(pieces)
    return unknown > settings.unknown_share * max(words, settings.least_words)


def _windows(pieces: list[_PlainPiece], settings: SpanSettings) -> list[PlainSpan]:
    spans: list[PlainSpan] = []
    free_from = 0
    for first in range(0, len(pieces), settings.stride_words):
        inside = pieces[first : first + settings.span_words]
        words, _ = _counts(inside)
        verdict = KEPT if words >= settings.least_words else TOO_SHORT
        if _too_many_unknown(inside, settings):
            verdict = UNKNOWN_WORDS
        elif verdict == KEPT and settings.overlap == "remove" and first < free_from:
            verdict = OVERLAP
        if verdict == KEPT:
            free_from = first + len(inside)
        spans.append(PlainSpan(first, first + len(inside), words, verdict))
    return spans


def _chunks(pieces: list[_PlainPiece], settings: SpanSettings) -> list[PlainSpan]:
    spans: list[PlainSpan] = []
    first = 0
    while first < len(pieces):
        span = _chunk(pieces, first, settings)
        spans.append(span)
        first = span.last
        while first < len(pieces) and not pieces[first - 1].ends_sentence:
            first += 1
    return spans


def _chunk(pieces: list[_PlainPiece], first: int, settings: SpanSettings) -> PlainSpan:
    """Return the chunk that begins at `first`; a dropped one reaches to the word that broke it."""
    limit = min(len(pieces), first + settings.span_words)
    fitting = [
        last
        for last in range(first, limit)
        if not _too_many_unknown(pieces[first : last + 1], settings)
    ]
    broken_at = next((i for i, last in enumerate(range(first, limit)) if last not in fitting), None)
    last = limit if broken_at is None else first + broken_at
    sentence_ends = [
        end for end in range(first + 1, last + 1)
        if pieces[end - 1].ends_sentence or end == len(pieces)
    ]  # fmt: skip
    end = last
    if settings.shape == "sentences" or broken_at is None:
        end = sentence_ends[-1] if sentence_ends else (last if broken_at is None else first)
    words, _ = _counts(pieces[first:end])
    if words >= settings.least_words and end > first:
        return PlainSpan(first, end, words, KEPT)
    if broken_at is None:
        return PlainSpan(first, end, words, TOO_SHORT)
    reached = pieces[first : last + 1]
    return PlainSpan(first, first + len(reached), _counts(reached)[0], UNKNOWN_WORDS)
