# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""The words that spans were dropped for, and how many spans each would keep were it admitted.

A word gains a span where a span was dropped for unknown words and the rule, applied at the same
start with that one word admitted too, keeps one. Spans dropped for lack of several words count for
none of them, so the gain of several words together is at least the sum of their gains as long as
no unknown word is allowed.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lilliput.language.spans.counter import FIRST_ROWS, RankTable
from lilliput.language.spans.finder import FoundSpans, SpanFinder, buffers, present


class WordsToAdd:
    """Tallies the unknown words of what a finder found."""

    def __init__(self, finder: SpanFinder) -> None:
        self._finder = finder
        self._table = RankTable()
        self._tallies = np.zeros((FIRST_ROWS, 2), np.int64)

    def add(self, found: FoundSpans) -> None:
        """Take in the spans of one batch."""
        from lilliput.language.spans.kernels.words_to_add import count_gains

        finder, table = self._finder, self._table
        rules, known = finder.rules, len(table.words)
        offsets, data = buffers(found.texts)
        spans = np.column_stack(
            [found.document, found.start, found.stop, found.first_word, found.last_word,
             found.words, found.verdict]
        )  # fmt: skip
        table.keys, table.ranks, used, self._tallies, places = count_gains(
            data, offsets, present(found.texts), *finder.limits,
            rules.classes, rules.lower, rules.switches, rules.table,
            spans, table.keys, table.ranks, known, self._tallies,
        )  # fmt: skip
        table.name(found.texts, places[known:used], rules)

    def as_table(self) -> pa.Table:
        """Return a table with the columns `word`, `occurrences` and `gained` (spans), a row for each unknown word."""
        words = self._table.words
        occurrences, gained = self._tallies[: len(words)].T
        columns = [pa.array(words, pa.string()), pa.array(occurrences), pa.array(gained)]
        return pa.Table.from_arrays(columns, names=["word", "occurrences", "gained"])
