# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Counts of a shard and of a corpus, per source and per reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from lilliput.language.spans.finder import FoundSpans, present
from lilliput.language.spans.verdicts import KEPT, REASONS


@dataclass
class SpanCounts:
    """Counts of what was read and what became of it; `spans` = passing + sum of `dropped`.

    Attributes:
        totals: documents, spans, passing, bytes_in, words_read, unknown_read.
        dropped: Spans by reason.
        sources: The same counts by source, with span_words, the words of all spans.
    """

    totals: Counter[str] = field(default_factory=Counter[str])
    dropped: Counter[str] = field(default_factory=Counter[str])
    sources: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])

    def add_batch(self, batch: pa.RecordBatch, found: FoundSpans) -> None:
        """Count a batch of documents and its spans."""
        there = present(batch.column("text"))
        texts = found.texts
        size = (
            int(
                np.diff(
                    np.frombuffer(texts.buffers()[1], np.int64)[
                        [texts.offset, texts.offset + len(texts)]
                    ]
                )[0]
            )
            if len(texts)
            else 0
        )
        passing = found.verdict == KEPT
        self.totals.update(
            documents=int(there.sum()),
            spans=found.verdict.size,
            passing=int(passing.sum()),
            bytes_in=size,
            words_read=found.words_read,
            unknown_read=found.unknown_read,
        )
        for code, reason in REASONS.items():
            if number := int((found.verdict == code).sum()):
                self.dropped[reason] += number
        self._add_sources(batch, found, there, passing)

    def _add_sources(
        self, batch: pa.RecordBatch, found: FoundSpans, there: Any, passing: Any
    ) -> None:
        encoded = batch.column("source").dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        of_span = codes[found.document]
        names = encoded.dictionary.to_pylist()
        columns = {
            "documents": np.bincount(codes[there], minlength=len(names)),
            "spans": np.bincount(of_span, minlength=len(names)),
            "passing": np.bincount(of_span[passing], minlength=len(names)),
            "span_words": np.bincount(of_span, found.words, minlength=len(names)),
        }
        for code, name in enumerate(names):
            counts = {key: int(values[code]) for key, values in columns.items()}
            self.sources.setdefault(name, Counter()).update(counts)

    def as_record(self) -> dict[str, Any]:
        """Return plain data, sources in order of name."""
        return {
            "counts": dict(self.totals),
            "dropped": dict(sorted(self.dropped.items())),
            "sources": {name: dict(c) for name, c in sorted(self.sources.items())},
        }


def sum_counts(records: Iterable[Mapping[str, Any]]) -> SpanCounts:
    """Return the counts of a whole corpus from those of its shards."""
    total = SpanCounts()
    for record in records:
        total.totals.update(record["counts"])
        total.dropped.update(record["dropped"])
        for name, counts in record["sources"].items():
            total.sources.setdefault(name, Counter()).update(counts)
    return total
