# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Count the words of many texts at once, with the scanner that also finds spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lilliput.language.spans.finder import buffers, prepared, present
from lilliput.language.spans.kernels.codes import APOSTROPHE
from lilliput.language.spans.rules import ScannerRules, compile_rules
from lilliput.language.words.profiles import WordProfile
from lilliput.language.words.splitting import LINK, NUMBER

FIRST_ROWS = 1 << 10


@dataclass
class RankTable:
    """Hold distinct words, each with a rank, in the arrays that the compiled code fills.

    Attributes:
        words: The words by rank.
        keys: Rows of a table that is found by key; shape (rows, 2), uint64.
        ranks: Rank of the word in each row, -1 where it is free; int32.
    """

    words: list[str] = field(default_factory=list[str])
    keys: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((FIRST_ROWS, 2), np.uint64))
    ranks: NDArray[np.int32] = field(default_factory=lambda: np.full(FIRST_ROWS, -1, np.int32))

    def name(
        self, texts: pa.LargeStringArray, places: NDArray[np.int64], rules: ScannerRules
    ) -> None:
        """Read the words that a batch brought, from where each stood first."""
        _, data = buffers(texts)
        for first, last, kind in places.tolist():
            self.words.append((_form(bytes(data[first:last]).decode(), rules), NUMBER, LINK)[kind])


def _form(raw: str, rules: ScannerRules) -> str:
    """Return a word as it is looked up: apostrophes removed, in lower case."""
    if raw.isascii() and raw.isalpha():
        return raw.lower()
    codes = [ord(character) for character in raw]
    kept = [c for c in codes if c >= rules.classes.size or rules.classes[c] != APOSTROPHE]
    return "".join(chr(rules.lower[c] if c < rules.lower.size else c) for c in kept)


class WordCounter:
    """Occurrences of each word of the texts it was given.

    Args:
        profile: What a word is.
        values: A number for some words, of which `add` gives the mean of each text.
    """

    def __init__(self, profile: WordProfile, values: Mapping[str, float] | None = None) -> None:
        self._profile = profile
        self._rules = compile_rules(profile, [])
        self._table = RankTable()
        self._counts = np.zeros((FIRST_ROWS, 1), np.int64)
        self._values = np.zeros(0)
        if values:
            self.add(pa.array([" ".join(values)], pa.large_string()))
            self._values = np.array([values.get(word, np.nan) for word in self._table.words])
            self._counts[:] = 0

    def add(self, texts: pa.Array) -> NDArray[np.float64]:
        """Count the words of each text; the mean value of each, NaN where no word has one."""
        from lilliput.language.spans.kernels.words import count_in_batch

        texts = prepared(texts, self._profile)
        offsets, data = buffers(texts)
        rules, table = self._rules, self._table
        sums, valued = np.zeros(len(texts)), np.zeros(len(texts), np.int64)
        known = len(table.words)
        table.keys, table.ranks, used, self._counts, places = count_in_batch(
            data, offsets, present(texts), rules.classes, rules.lower, rules.switches, rules.table,
            table.keys, table.ranks, known, self._counts, self._values, sums, valued,
        )  # fmt: skip
        table.name(texts, places[known:used], rules)
        return np.divide(sums, valued, out=np.full(len(texts), np.nan), where=valued > 0)

    @property
    def counts(self) -> Counter[str]:
        """Return the occurrences, words that did not occur left out."""
        found = self._counts[: len(self._table.words), 0].tolist()
        return Counter({w: n for w, n in zip(self._table.words, found, strict=True) if n})
