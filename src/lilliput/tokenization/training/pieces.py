"""The training text: pieces of words with their counts, within the alphabet and within the bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from lilliput.core.errors import EmptyCorpusError
from lilliput.tokenization.counting.words import WordCounts
from lilliput.tokenization.encoding.cut import CutWords
from lilliput.tokenization.settings import TrainingTextSettings
from lilliput.tokenization.training.kinds import TokenizerKind

_FEED = 4096  # Pieces in one string given to the trainer.


@dataclass(frozen=True)
class Pieces:
    """The text that a trainer is given, as counted pieces.

    Attributes:
        counts: Pieces with their occurrences, most frequent first, then by code point.
        alphabet: Characters that a vocabulary must hold, sorted.
        scale: Share of the occurrences that `counts` stands for; below 1 when bounded.
    """

    counts: Mapping[str, int]
    alphabet: tuple[str, ...]
    scale: float

    def feed(self) -> Iterator[str]:
        """Yield every piece as often as it is counted, joined by spaces, in strings of bounded length."""
        parts: list[str] = []
        room = _FEED
        for piece, count in self.counts.items():
            left = count
            while left:
                now = min(left, room)
                parts.append(f"{piece} " * now)
                left -= now
                room -= now
                if not room:
                    yield "".join(parts)
                    parts, room = [], _FEED
        if parts:
            yield "".join(parts)


def make_pieces(words: WordCounts, kind: TokenizerKind, settings: TrainingTextSettings) -> Pieces:
    """Cut counted words into the pieces of `kind`.

    Raises:
        EmptyCorpusError: Nothing is left.
    """
    raw = _cut(words, kind.pre_tokenizer())
    if kind.scheme == "bytes":
        from tokenizers.pre_tokenizers import ByteLevel

        alphabet = sorted(ByteLevel.alphabet())
    else:
        alphabet = _covering_alphabet(raw, settings.character_coverage)
        allowed = set(alphabet)
        raw = {piece: n for piece, n in raw.items() if allowed.issuperset(piece)}
    scale = min(1.0, settings.max_words / max(1, sum(raw.values())))
    scaled = {piece: round(n * scale) for piece, n in raw.items()}
    counts = {p: n for p, n in sorted(scaled.items(), key=lambda item: (-item[1], item[0])) if n}
    if not counts:
        raise EmptyCorpusError("the train split must hold words", got="none within the alphabet")
    return Pieces(counts, tuple(alphabet), scale)


def _cut(words: WordCounts, pre_tokenizer: Any) -> dict[str, int]:
    spaced = (f" {word}" for word in words.inside)
    cut = CutWords.of(chain(spaced, words.initial), pre_tokenizer)
    occurrences = np.fromiter(chain(words.inside.values(), words.initial.values()), np.int64)
    counts = np.zeros(len(cut.pieces), np.int64)
    np.add.at(counts, cut.numbers, np.repeat(occurrences, cut.counts))
    return dict(zip(cut.pieces, counts.tolist(), strict=True))


def _covering_alphabet(pieces: Mapping[str, int], coverage: float) -> list[str]:
    """Return the fewest characters, most frequent first, that make up `coverage` of the text."""
    characters: Counter[str] = Counter()
    for piece, count in pieces.items():
        for character in piece:
            characters[character] += count
    needed = coverage * characters.total()
    chosen: list[str] = []
    reached = 0
    for character, count in sorted(characters.items(), key=lambda item: (-item[1], item[0])):
        if reached >= needed:
            break
        chosen.append(character)
        reached += count
    return sorted(chosen)
