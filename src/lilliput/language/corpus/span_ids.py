# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Ids of spans: 64 bits that follow from a span's source, document and position, and from nothing else.

Whatever is known about a span (a score, its place in a token store) is found by this id, never by the row
in which it stands: rows move when shards or workers change.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray
from pyarrow import parquet

SPAN_ID_COLUMNS = ("source", "doc_id", "position")


def span_id(source: str, doc_id: str, position: int) -> int:
    """Return the id of the span that begins at word `position` of a document."""
    text = f"{source}\x1f{doc_id}\x1f{position}"
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


def span_ids(spans: Any) -> NDArray[np.uint64]:
    """Return the ids of the rows of a record batch or table, uint64 of shape (rows,).

    Args:
        spans: Arrow data with the columns `source`, `doc_id` and `position`.
    """
    columns = [spans.column(name).to_pylist() for name in SPAN_ID_COLUMNS]
    found = (span_id(*row) for row in zip(*columns, strict=True))
    return np.fromiter(found, np.uint64, count=spans.num_rows)


def names_spans(shard: Path) -> bool:
    """Return whether the rows of a shard have ids: corpora that were made by hand may have text and split alone."""
    return {*SPAN_ID_COLUMNS} <= set(parquet.read_schema(shard).names)
