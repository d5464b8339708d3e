"""A corpus as counted words: small, exact enough to train on, and quick to measure on.

No token of the kinds in this room crosses a space, so what a tokenizer does to a text follows from
what it does to each distinct word. A word that follows a space and one that begins a document are
counted apart, since byte-level tokenizers see the space.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lilliput.core.errors import EmptyCorpusError
from lilliput.core.progress import SILENT, Reporter
from lilliput.tokenization.counting.scan import IntArray
from lilliput.tokenization.counting.table import NumberedWords, Texts, WordTable
from lilliput.tokenization.counting.texts import columns_of

_LEAST_WORD_TYPES = 2
_ROOM = 1.25  # The table may outgrow its bound by this factor before the rarest are dropped.


@dataclass(frozen=True)
class WordCounts:
    """Occurrences of each distinct whitespace-separated word of one split.

    Attributes:
        inside: Words that follow another word.
        initial: Words that begin a document.
        documents: Rows read.
        dropped: Occurrences of words too rare for the table's bound.
    """

    inside: Mapping[str, int]
    initial: Mapping[str, int]
    documents: int
    dropped: int = 0

    @property
    def total(self) -> int:
        """Return the number of word occurrences in the table."""
        return sum(self.inside.values()) + sum(self.initial.values())

    def types(self) -> dict[str, int]:
        """Return the occurrences of each word, wherever it stands."""
        merged = Counter(self.inside)
        merged.update(self.initial)
        return merged


def count_corpus(
    corpus: Path, split: str, max_types: int, *, reporter: Reporter = SILENT
) -> WordCounts:
    """Return the counted words of one split of a corpus.

    Raises:
        EmptyCorpusError: Fewer than two distinct words are there.
    """
    with reporter.task(f"count the words of {split}", unit="documents") as task:

        def batches() -> Iterator[Texts]:
            for texts in columns_of(corpus, split):
                yield texts
                task.advance(len(texts))

        counts = count_words(batches(), max_types)
    found = len(counts.inside.keys() | counts.initial.keys())
    if found < _LEAST_WORD_TYPES:
        raise EmptyCorpusError(
            f"the {split} split must hold at least {_LEAST_WORD_TYPES} distinct words",
            got=f"{found} in {counts.documents} documents",
            remedy="Build a larger corpus.",
        )
    return counts


def count_words(batches: Iterable[Texts], max_types: int) -> WordCounts:
    """Count words, dropping the rarest whenever the table outgrows `max_types`.

    The same texts in the same order give the same table.
    """
    counter = _Counter(max_types)
    for texts in batches:
        counter.add(texts)
    return counter.result()


class _Counter:
    """Occurrences by a word's number, of words inside documents and of those that begin one."""

    def __init__(self, max_types: int) -> None:
        self._most = max_types
        self._table = WordTable()
        self._inside: IntArray = np.zeros(0, np.int64)
        self._initial: IntArray = np.zeros(0, np.int64)
        self._documents = self._dropped = 0

    def add(self, texts: Texts) -> None:
        found = self._table.number_words(texts)
        self._documents += len(texts)
        everywhere = np.bincount(found.numbers, minlength=self._table.size)
        initial = np.bincount(_first_of_each(found), minlength=self._table.size)
        self._initial = _padded(self._initial, self._table.size) + initial
        self._inside = _padded(self._inside, self._table.size) + everywhere - initial
        if self._table.size > _ROOM * self._most:
            self._drop_rarest()

    def result(self) -> WordCounts:
        self._drop_rarest()
        words = self._table.words()
        return WordCounts(
            inside=_positive(words, self._inside),
            initial=_positive(words, self._initial),
            documents=self._documents,
            dropped=self._dropped,
        )

    def _drop_rarest(self) -> None:
        """Leave at most `_most` words in the table; all words of one count go or stay together."""
        if self._table.size <= self._most:
            return
        counts = self._inside + self._initial
        least = np.partition(counts, -self._most - 1)[-self._most - 1]
        kept = np.flatnonzero(counts > least)
        self._dropped += int(counts.sum() - counts[kept].sum())
        self._table.keep(kept)
        self._inside, self._initial = self._inside[kept], self._initial[kept]


def _first_of_each(found: NumberedWords) -> IntArray:
    """Return the number of each text's first word; texts without words have none."""
    starts = np.cumsum(found.counts) - found.counts
    return found.numbers[starts[found.counts > 0]].astype(np.int64)


def _padded(counts: IntArray, size: int) -> IntArray:
    return np.pad(counts, (0, size - len(counts)))


def _positive(words: list[str], counts: IntArray) -> dict[str, int]:
    return {w: n for w, n in zip(words, counts.tolist(), strict=True) if n}
