# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""The statistics of a corpus: words, types, Zipf curve, coverage, unknown words and ages of first use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from lilliput.language.corpus.counts import SpanCounts
from lilliput.language.corpus.settings import CorpusSettings
from lilliput.language.words.vocabulary import Vocabulary

LISTED_WORDS = 100
_ZIPF_RANKS = tuple(10**k * m for k in range(7) for m in (1, 2, 5))
_CURVE_SIZES = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)


def corpus_statistics(
    types: Counter[str],
    written: Sequence[Mapping[str, Any]],
    read: SpanCounts,
    vocabulary: Vocabulary | None,
    settings: CorpusSettings,
) -> dict[str, Any]:
    """Return the statistics of the spans that were written.

    Args:
        types: Occurrences of each word in them.
        written: The records of the shards.
        read: What was read.
        vocabulary: Admitted words; None admits all.
        settings: The rules.
    """
    ranked = sorted(types.items(), key=lambda item: (-item[1], item[0]))
    total = sum(types.values())
    result: dict[str, Any] = {
        "word_tokens": total,
        "word_types": len(types),
        "most_frequent": ranked[:50],
        "zipf": [[rank, ranked[rank - 1][1]] for rank in _ZIPF_RANKS if rank <= len(ranked)],
        "unknown_share_of_input": read.totals["unknown_read"] / max(1, read.totals["words_read"]),
    }
    if ages := sum_ages(record["ages"] for record in written):
        result["mean_age_of_first_use_months"] = ages
    if vocabulary is not None and total:
        admitted = vocabulary.looked_up(settings.profile)
        result["vocabulary_words_used"] = len(admitted & types.keys())
        sizes = [size for size in _CURVE_SIZES if size < len(vocabulary)] + [len(vocabulary)]
        result["coverage_by_size"] = vocabulary.coverage_curve(types, sizes)
    return result


def sum_unknown(paths: Iterable[Path]) -> pa.Table:
    """Return a table with the columns `word`, `occurrences` and `gained` over all shards (see spans.words_to_add)."""
    total: pa.Table | None = None
    for path in paths:
        parts = [parquet.read_table(path)] if total is None else [total, parquet.read_table(path)]
        grouped = pa.concat_tables(parts).group_by("word")
        sums = grouped.aggregate([("occurrences", "sum"), ("gained", "sum")])
        total = sums.select(["word", "occurrences_sum", "gained_sum"]).rename_columns(
            ["word", "occurrences", "gained"]
        )
    assert total is not None, "a build has at least one shard"
    return total


def unknown_statistics(unknown: pa.Table, unknown_share: float) -> dict[str, Any]:
    """Return what a dataset card says about unknown words.

    Returns:
        `unknown_types`; `unknown_words`, the most frequent with their occurrences; `words_to_add`,
        those that would keep most spans, with the spans that each would keep if it alone were
        admitted; and, where no unknown word is allowed, `spans_gained_at_least` by all of them:
        no span lacks two single words, so gains add up.
    """
    to_add = [row for row in _highest(unknown, "gained") if row[1]]
    result: dict[str, Any] = {
        "unknown_types": unknown.num_rows,
        "unknown_words": _highest(unknown, "occurrences"),
        "words_to_add": to_add,
    }
    if unknown_share == 0:
        result["spans_gained_at_least"] = sum(gained for _, gained in to_add)
    return result


def _highest(unknown: pa.Table, column: str) -> list[list[Any]]:
    ordered = unknown.sort_by([(column, "descending"), ("word", "ascending")])
    rows = ordered.slice(0, LISTED_WORDS).select(["word", column]).to_pylist()
    return [[row["word"], row[column]] for row in rows]


class AgeStatistics:
    """Collects the mean ages of spans, in months, as sums and a histogram of whole months."""

    def __init__(self) -> None:
        self._spans = 0
        self._sum = self._squares = 0.0
        self._months: Counter[int] = Counter()

    def add(self, means: NDArray[np.float64]) -> None:
        """Take in one mean a span; NaN for a span without a word of known age."""
        known = means[~np.isnan(means)]
        self._spans += known.size
        self._sum += float(known.sum())
        self._squares += float((known**2).sum())
        self._months.update(np.floor(known).astype(int).tolist())

    def as_record(self) -> dict[str, Any]:
        """Return plain data for the shard's record."""
        months = {str(month): n for month, n in sorted(self._months.items())}
        return {
            "spans": self._spans,
            "sum": self._sum,
            "squares": self._squares,
            "by_month": months,
        }


def sum_ages(records: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Number of spans, mean and standard deviation of their mean ages, spans by whole month.

    None where no span holds a word of known age.
    """
    spans, total, squares = 0, 0.0, 0.0
    months: Counter[int] = Counter()
    for record in records:
        spans += record["spans"]
        total += record["sum"]
        squares += record["squares"]
        months.update({int(month): n for month, n in record["by_month"].items()})
    if not spans:
        return None
    mean = total / spans
    variance = max(0.0, squares / spans - mean**2)
    by_month = [[month, months[month]] for month in sorted(months)]
    return {"spans": spans, "mean": mean, "sd": sqrt(variance), "by_month": by_month}
