"""Words cut into pieces by a pre-tokenizer: few pieces make up many words, and no token crosses their borders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer, pre_tokenizers

from lilliput.tokenization.counting.scan import IntArray, NumberArray, spread_ids
from lilliput.tokenization.counting.table import NumberedWords, WordTable
from lilliput.tokenization.encoding.encoder import JoinedPieces

_BATCH = 50_000


@dataclass(frozen=True)
class CutWords:
    """Hold words as sequences of numbers, where each number stands for a distinct piece.

    Attributes:
        pieces: Distinct pieces, as the pre-tokenizer writes them.
        numbers: The numbers of the pieces of all words, one word after another.
        counts: Pieces of each word, shape (words,).
    """

    pieces: list[str]
    numbers: NumberArray
    counts: IntArray

    @classmethod
    def of(cls, words: Iterable[str], pre_tokenizer: Any) -> CutWords:
        """Cut words that hold no white space but a first space."""
        table = WordTable()
        cut = pre_tokenizer.pre_tokenize_str
        parts: list[NumberedWords] = []
        rest = iter(words)
        while batch := list(islice(rest, _BATCH)):
            texts = [" ".join([piece for piece, _ in cut(word)]) for word in batch]
            parts.append(table.number_words(pa.array(texts, pa.large_string())))
        numbers = np.concatenate([np.zeros(0, np.int32), *(part.numbers for part in parts)])
        counts = np.concatenate([np.zeros(0, np.int64), *(part.counts for part in parts)])
        return cls(table.words(), numbers, counts)

    @cached_property
    def _joined(self) -> JoinedPieces:
        return JoinedPieces.of([f" {piece}" for piece in self.pieces])

    def encode(self, backend: Tokenizer) -> tuple[NDArray[np.int64], IntArray]:
        """Return the ids of all words in one array, and the number of ids of each, shape (words,).

        Args:
            backend: A tokenizer with this pre-tokenizer that does nothing else to a text.
        """
        bare = Tokenizer(backend.model)
        bare.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        of_pieces, lengths = self._joined.encode(bare, np.dtype(np.int64))
        ids = np.empty(int(lengths[self.numbers].sum()), np.int64)
        sizes = np.empty(len(self.counts), np.int64)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        spread_ids(self.numbers, self.counts, of_pieces, ends, ids, sizes)
        return ids, sizes
