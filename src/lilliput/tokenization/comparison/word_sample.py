"""The words on which tokenizers are measured: counted, sampled and indexed once for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lilliput.core.errors import EmptyCorpusError, InputError
from lilliput.core.files import require_file
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.seeding import generator
from lilliput.language.reading.documents import Damage
from lilliput.language.reading.files import find_files
from lilliput.language.reading.tables import rows_of
from lilliput.tokenization.comparison.measures import IdArray, WordIds
from lilliput.tokenization.counting.texts import texts_of
from lilliput.tokenization.counting.words import count_corpus
from lilliput.tokenization.settings import CompareSettings, TrainingTextSettings

_SPEED_TEXT_BYTES = 250_000
_LONGEST_RECORD = 64 << 20  # Bytes of one record of task data.


@dataclass(frozen=True)
class WordSample:
    """Words of the train split (frequencies) and of the measured split (occurrences, documents).

    Attributes:
        train_words: Distinct words of the train split, sorted.
        train_counts: Their occurrences, shape (train words,).
        train_plain: Which of them are letters and digits only, bool of shape (train words,).
        train_index: Word to its place in `train_words`.
        words: Distinct words of the measured split, sorted.
        counts: Their occurrences, shape (words,).
        counts_in_train: Their occurrences in the train split.
        document_words: Places in `words` of the sampled documents' words, one after another.
        document_starts: Where each sampled document begins in it.
        texts: Sampled texts, a quarter of a megabyte, for the measure of speed.
    """

    train_words: list[str]
    train_counts: IdArray
    train_plain: NDArray[np.bool_]
    train_index: Mapping[str, int]
    words: list[str]
    counts: IdArray
    counts_in_train: IdArray
    document_words: IdArray
    document_starts: IdArray
    texts: tuple[str, ...]

    @property
    def sampled_documents(self) -> int:
        """Return the number of documents with at least one word in the sample."""
        return len(self.document_starts)

    @property
    def bytes_total(self) -> int:
        """Return the number of UTF-8 bytes of the measured split, one space a word."""
        return int(self._weigh([len(word.encode()) + 1 for word in self.words]))

    @property
    def characters_total(self) -> int:
        """Return the number of characters of the measured split, one space a word."""
        return int(self._weigh([len(word) + 1 for word in self.words]))

    def _weigh(self, values: list[int]) -> int:
        return int((np.array(values, np.int64) * self.counts).sum())

    def per_document(self, of_word: IdArray) -> IdArray:
        """Return the sum over each sampled document of a value that each word of `words` has."""
        return np.add.reduceat(of_word[self.document_words], self.document_starts)

    def share_of(self, token: int, measured: WordIds) -> float:
        """Return the share of one id among all tokens of the measured split."""
        weights = np.repeat(self.counts, measured.sizes)
        return float(weights[measured.ids == token].sum() / max(1, weights.sum()))


def sample_words(
    corpus: Path, settings: CompareSettings, *, reporter: Reporter = SILENT
) -> WordSample:
    """Count both splits and draw the sample of documents.

    Raises:
        EmptyCorpusError: One of the splits has fewer than two distinct words.
    """
    limit = int(TrainingTextSettings().max_word_types)
    train = count_corpus(corpus, "train", limit, reporter=reporter)
    measured = count_corpus(corpus, settings.split, limit, reporter=reporter)
    train_types, types = train.types(), measured.types()
    train_words, words = sorted(train_types), sorted(types)
    index = {word: place for place, word in enumerate(words)}
    chosen = _sampled_texts(corpus, settings, measured.documents)
    document_words, starts = _index_documents(chosen, index)
    return WordSample(
        train_words=train_words,
        train_counts=_array(train_types[word] for word in train_words),
        train_plain=np.array([word.isalnum() for word in train_words]),
        train_index={word: place for place, word in enumerate(train_words)},
        words=words,
        counts=_array(types[word] for word in words),
        counts_in_train=_array(train_types.get(word, 0) for word in words),
        document_words=document_words,
        document_starts=starts,
        texts=tuple(_up_to(chosen, _SPEED_TEXT_BYTES)),
    )


def _array(values: Iterator[int]) -> IdArray:
    return np.fromiter(values, np.int64)


def _sampled_texts(corpus: Path, settings: CompareSettings, documents: int) -> list[str]:
    """Return a sample without replacement, in the order of the corpus."""
    size = min(settings.sample_documents, documents)
    drawn = generator(settings.seed, "documents").choice(documents, size, replace=False)
    wanted = np.zeros(documents, np.bool_)
    wanted[drawn] = True
    texts: list[str] = []
    place = 0
    for batch in texts_of(corpus, settings.split):
        texts.extend(batch[i] for i in np.flatnonzero(wanted[place : place + len(batch)]).tolist())
        place += len(batch)
    return texts


def _index_documents(
    texts: list[str], index: Mapping[str, int]
) -> tuple[IdArray, NDArray[np.int64]]:
    places: list[int] = []
    starts: list[int] = []
    for text in texts:
        found = [index[word] for word in text.split() if word in index]
        if found:
            starts.append(len(places))
            places.extend(found)
    if not starts:
        raise EmptyCorpusError("the sampled documents must hold words", got="none")
    return np.array(places, np.int64), np.array(starts, np.int64)


def _up_to(texts: list[str], most: int) -> Iterator[str]:
    total = 0
    for text in texts:
        total += len(text.encode())
        yield text
        if total >= most:
            return


def read_task_texts(path: Path) -> list[str]:
    """Return all texts of a table (its columns of strings), or the lines of a text file.

    Raises:
        InputError: The file is absent or holds no text.
    """
    require_file(path, "the task data")
    (file,) = find_files([path])
    if file.format == "text":
        return _some(path.read_text(encoding="utf-8-sig").split("\n"), path)
    columns: dict[str, list[str]] = {}
    for row in rows_of(file, _LONGEST_RECORD, Damage("stop")):
        for name, value in row.cells.items():
            if isinstance(value, str) and value:
                columns.setdefault(name, []).append(value)
    texts = [values for values in columns.values() if not all(map(_is_number, values))]
    return _some([text for values in texts for text in values], path)


def _is_number(text: str) -> bool:
    """Return whether a cell of CSV, where all is text, holds a number: a label or an id, no language."""
    return re.fullmatch(r"[-+]?\d+([.,]\d+)?", text.strip()) is not None


def _some(texts: list[str], path: Path) -> list[str]:
    if not texts:
        raise InputError("task data must hold text", got=f"none in {path}")
    return texts
