# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""The unknown words of a whole corpus: the most frequent, and those that would keep most spans."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

LISTED_WORDS = 100


def sum_unknown(paths: Iterable[Path]) -> pa.Table:
    """Columns `word`, `occurrences` and `gained` over all shards (see spans.lacking)."""
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
    """What a dataset card says about unknown words.

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
