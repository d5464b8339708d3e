"""Texts to token ids, fast: each distinct word is tokenized once.

Where no token can cross a single space between two words, the ids of a text are those of its pieces, cut
before such spaces, one after another. Pieces repeat, so a look-up replaces nearly all of the work. The
short cut is taken only for tokenizers that are known to be so built; all others are given whole texts.
Both ways give the same ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lilliput.tokenization.counting.scan import IntArray, spread_ids
from lilliput.tokenization.counting.table import Texts, WordTable
from lilliput.tokenization.symbols import describe, parts_named

# Remembered at once, about 100 MB.
_MOST_WORDS = 1_000_000
_MOST_BYTES = 32_000_000
_JOINED = 256  # Pieces in one call of the tokenizer.
_BEGIN = itemgetter(0)  # Of a token's offsets; faster than a generator.
_SAFE_TYPES = {
    "BertPreTokenizer": {},
    "ByteLevel": {"add_prefix_space": False, "use_regex": True},
    "Metaspace": {"replacement": "▁", "prepend_scheme": "always", "split": True},
    "Punctuation": {},
    "WhitespaceSplit": {},
}

IdArray = NDArray[Any]


def is_word_local(backend: Tokenizer) -> bool:
    """Return whether the ids of a text are surely those of its pieces between spaces, one after another."""
    return _is_word_local(describe(backend))


def ignores_first_space(backend: Tokenizer) -> bool:
    """Return whether a word surely has the same ids at the start of a text and after a space."""
    record = describe(backend)
    return _is_word_local(record) and not any(parts_named(record["pre_tokenizer"], "ByteLevel"))


def _is_word_local(record: dict[str, Any]) -> bool:
    pre_tokenizer = record["pre_tokenizer"]
    if record["normalizer"] is not None or pre_tokenizer is None:
        return False
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    cuts_at_spaces = parts[0]["type"] != "Punctuation"
    added = [t for t in record["added_tokens"] if not t["special"]]
    is_random = bool(record["model"].get("dropout"))
    return cuts_at_spaces and not added and not is_random and all(map(_is_safe, parts))


def _is_safe(part: dict[str, Any]) -> bool:
    wanted = _SAFE_TYPES.get(part["type"])
    return wanted is not None and all(part.get(key) == value for key, value in wanted.items())


@dataclass(frozen=True)
class JoinedPieces:
    """Distinct pieces put together into longer texts, since a call of a tokenizer costs far more than a word.

    They are joined at places where no token can cross, and a token's piece is found by the character at
    which it begins. Many tokenizers may encode the same ones.

    Attributes:
        texts: Runs of pieces.
        bases: Where each text begins, in characters of all texts.
        borders: Where each piece begins, and the end, shape (pieces + 1,).
    """

    texts: list[str]
    bases: IntArray
    borders: IntArray

    @classmethod
    def of(cls, pieces: Sequence[str]) -> JoinedPieces:
        """Join pieces as cut by `WordTable.number_pieces`, or words with a space before them."""
        texts = list(_joined(pieces))
        return cls(texts, np.cumsum([0, *map(len, texts)]), np.cumsum([0, *map(len, pieces)]))

    def encode(self, backend: Tokenizer, dtype: np.dtype[Any]) -> tuple[IdArray, IntArray]:
        """Return the ids of all pieces in one array, and the number of ids of each, shape (pieces,).

        Args:
            backend: A word-local tokenizer.
            dtype: Of the ids.
        """
        encodings = backend.encode_batch(self.texts, add_special_tokens=False)
        ids = [np.array(encoding.ids, dtype) for encoding in encodings]
        begins = [np.fromiter(map(_BEGIN, e.offsets), np.int64, len(e)) for e in encodings]
        places = [begin + base for begin, base in zip(begins, self.bases.tolist(), strict=False)]
        empty = np.zeros(0, np.int64)
        ends = np.searchsorted(np.concatenate([empty, *places]), self.borders)
        return np.concatenate([empty.astype(dtype), *ids]), np.diff(ends)


def _joined(pieces: Sequence[str]) -> Iterator[str]:
    """Return runs of pieces as one text each; a piece is joined to the one before if a lone space parts them."""
    run: list[str] = []
    for piece in pieces:
        is_open = bool(run) and len(run) < _JOINED and not run[-1][-1:].isspace()
        if not (is_open and piece[:1] == " " and len(piece) > 1 and not piece[1].isspace()):
            if run:
                yield "".join(run)
            run = []
        run.append(piece)
    if run:
        yield "".join(run)


class TextEncoder:
    """Encodes batches of texts without special tokens, remembering words.

    Args:
        backend: A tokenizer that takes the names of special tokens as text.
        dtype: Of the ids; every id must fit.
    """

    def __init__(self, backend: Tokenizer, dtype: np.dtype[Any] | None = None) -> None:
        self._backend = backend
        self._dtype = dtype or np.dtype(np.int64)
        self._is_word_local = is_word_local(backend)
        self._forget()

    def _forget(self) -> None:
        self._words = WordTable()
        self._ids: IdArray = np.zeros(0, self._dtype)
        self._ends: IntArray = np.zeros(1, np.int64)

    def encode(self, texts: Texts | Sequence[str]) -> tuple[IdArray, IntArray]:
        """Return the ids of all texts in one array, and the number of ids of each text, shape (texts,)."""
        column: Texts = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
        if self._is_word_local:
            return self._encode_by_piece(column)
        return self._encode_whole(column.fill_null("").to_pylist())

    def _encode_whole(self, texts: list[str]) -> tuple[IdArray, IntArray]:
        encodings = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        parts = [np.array(encoding.ids, self._dtype) for encoding in encodings]
        sizes = np.fromiter(map(len, parts), np.int64, len(parts))
        return np.concatenate([np.zeros(0, self._dtype), *parts]), sizes

    def _encode_by_piece(self, texts: Texts) -> tuple[IdArray, IntArray]:
        if self._words.size > _MOST_WORDS or self._words.nbytes > _MOST_BYTES:
            self._forget()
        pieces = self._words.number_pieces(texts)
        self._learn()
        lengths = np.diff(self._ends)
        ids = np.empty(int(lengths[pieces.numbers].sum()), self._dtype)
        sizes = np.empty(len(texts), np.int64)
        spread_ids(pieces.numbers, pieces.counts, self._ids, self._ends, ids, sizes)
        return ids, sizes

    def _learn(self) -> None:
        """Tokenize the words that are new in the table."""
        words = self._words.words(first=len(self._ends) - 1)
        if words:
            ids, sizes = JoinedPieces.of(words).encode(self._backend, self._dtype)
            self._ends = np.concatenate([self._ends, self._ends[-1] + np.cumsum(sizes)])
            self._ids = np.concatenate([self._ids, ids])
