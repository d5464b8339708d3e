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

import pyarrow.parquet as pq

from lilliput.core.artefacts import is_artefact
from lilliput.core.errors import EmptyCorpusError, InputError
from lilliput.core.progress import SILENT, Reporter

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
        """Word occurrences in the table."""
        return sum(self.inside.values()) + sum(self.initial.values())

    def types(self) -> dict[str, int]:
        """Occurrences of each word, wherever it stands."""
        merged = Counter(self.inside)
        merged.update(self.initial)
        return merged


def find_corpus(folder: Path) -> Path:
    """`folder`, or the constrained corpus in it when it holds a pair of corpora."""
    pair = folder / "constrained"
    return pair if not is_artefact(folder) and is_artefact(pair) else folder


def shard_paths(corpus: Path) -> list[Path]:
    """The shards of a corpus, in order.

    Raises:
        InputError: There are none.
    """
    paths = sorted((corpus / "shards").glob("*.parquet"))
    if not paths:
        raise InputError(
            "a corpus must hold shards/*.parquet",
            got=corpus,
            remedy="Make one with: lilliput corpus build",
        )
    return paths


def texts_of_shard(shard: Path, split: str) -> Iterator[list[str]]:
    """The texts of one split in one shard, a list for each row group at most."""
    file = pq.ParquetFile(shard)
    for batch in file.iter_batches(columns=["text", "split"], batch_size=8192):
        keep = [name == split for name in batch.column("split").to_pylist()]
        texts = batch.column("text").to_pylist()
        yield [text or "" for text, kept in zip(texts, keep, strict=True) if kept]


def texts_of(corpus: Path, split: str) -> Iterator[list[str]]:
    """The texts of one split of a corpus, in order."""
    for shard in shard_paths(corpus):
        yield from texts_of_shard(shard, split)


def count_corpus(
    corpus: Path, split: str, max_types: int, *, reporter: Reporter = SILENT
) -> WordCounts:
    """The words of one split of a corpus.

    Raises:
        EmptyCorpusError: Fewer than two distinct words are there.
    """
    with reporter.task(f"count the words of {split}", unit="documents") as task:

        def batches() -> Iterator[list[str]]:
            for texts in texts_of(corpus, split):
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


def count_words(batches: Iterable[list[str]], max_types: int) -> WordCounts:
    """Count words, dropping the rarest whenever the table outgrows `max_types`.

    The same texts in the same order give the same table.
    """
    inside: Counter[str] = Counter()
    initial: Counter[str] = Counter()
    documents = dropped = 0
    for texts in batches:
        documents += len(texts)
        for text in texts:
            words = text.split()
            if words:
                initial[words[0]] += 1
                inside.update(words[1:])
        for table in (inside, initial):
            if len(table) > _ROOM * max_types:
                dropped += _drop_rarest(table, max_types)
    for table in (inside, initial):
        dropped += _drop_rarest(table, max_types)
    return WordCounts(inside, initial, documents, dropped)


def _drop_rarest(table: Counter[str], keep: int) -> int:
    """Leave at most `keep` words in `table`; all words of one count go or stay together."""
    if len(table) <= keep:
        return 0
    least = sorted(table.values(), reverse=True)[keep]
    rare = [word for word, count in table.items() if count <= least]
    return sum(table.pop(word) for word in rare)
