# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Find near-duplicates among the spans that exact duplicates left: MinHash, the earlier span stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from lilliput.core.errors import ConfigurationError
from lilliput.core.extras import require
from lilliput.core.files import atomic_path
from lilliput.language.corpus.selection import Selection

_PERMUTATIONS = 128
_BANDS = 32  # 32 bands of 4 rows find nearly all pairs from a similarity of about 0.5 on.
_SHINGLE_WORDS = 5

# Each span takes 4.2 kB in memory (its MinHash and its place in 32 bands; measured with rensa over
# 20,000 spans), so that this many stay well under 1 GB.
MOST_SPANS = 150_000

PAIRS_SCHEMA = pa.schema(
    [
        ("kept_doc_id", pa.string()),
        ("kept_position", pa.int64()),
        ("dropped_doc_id", pa.string()),
        ("dropped_position", pa.int64()),
        ("similarity", pa.float64()),
    ]
)


@dataclass(frozen=True)
class _Kept:
    doc_id: str
    position: int
    minhash: Any


def drop_near_duplicates(
    tables: Sequence[Path], selection: Selection, threshold: float, out: Path
) -> int:
    """Unselect spans whose estimated Jaccard similarity to an earlier one reaches `threshold`.

    Args:
        tables: The passing spans, a file a shard.
        selection: Changed in place.
        threshold: Similarity of sets of 5-word shingles, estimated from 128 permutations.
        out: Where the pairs (kept, dropped, similarity) are recorded, as Parquet.

    Returns:
        The number of spans dropped.

    Raises:
        MissingExtraError: rensa is not installed.
        ConfigurationError: There are more than MOST_SPANS spans, more than memory should hold.
    """
    _require_few(sum(int(mask.sum()) for mask in selection.masks))
    rensa = require("rensa", "dedup")
    index = rensa.RMinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS, num_bands=_BANDS)
    kept: list[_Kept] = []
    pairs: list[dict[str, Any]] = []
    for shard, path in enumerate(tables):
        columns = parquet.read_table(path, columns=["text", "doc_id", "position"]).to_pylist()
        for row, span in enumerate(columns):
            if not selection.masks[shard][row]:
                continue
            minhash = rensa.RMinHash(num_perm=_PERMUTATIONS, seed=0)
            minhash.update(shingles(span["text"]))
            match, similarity = _nearest(index.query(minhash), minhash, kept)
            if match is not None and similarity >= threshold:
                selection.masks[shard][row] = False
                pairs.append(_pair(match, span, similarity))
            else:
                index.insert(len(kept), minhash)
                kept.append(_Kept(span["doc_id"], span["position"], minhash))
    with atomic_path(out) as temporary:
        parquet.write_table(pa.Table.from_pylist(pairs, schema=PAIRS_SCHEMA), temporary)
    return len(pairs)


def _require_few(spans: int) -> None:
    if spans > MOST_SPANS:
        raise ConfigurationError(
            f"near-duplicates are sought among at most {MOST_SPANS:,} spans, held in memory",
            got=f"{spans:,} spans",
            remedy="Build the sources apart, or leave near_duplicates out: exact duplicates have no limit.",
        )


def shingles(text: str) -> list[str]:
    """Return the distinct runs of five words of a text; the text itself when it is shorter."""
    words = text.lower().split()
    runs = {
        " ".join(words[i : i + _SHINGLE_WORDS])
        for i in range(max(1, len(words) - _SHINGLE_WORDS + 1))
    }
    return sorted(runs)


def _nearest(
    candidates: Sequence[int], minhash: Any, kept: Sequence[_Kept]
) -> tuple[_Kept | None, float]:
    """Return the most similar candidate, the earliest of equals."""
    best, similarity = None, -1.0
    for candidate in sorted(candidates):
        found = float(minhash.jaccard(kept[candidate].minhash))
        if found > similarity:
            best, similarity = kept[candidate], found
    return best, similarity


def _pair(match: _Kept, span: dict[str, Any], similarity: float) -> dict[str, Any]:
    return {
        "kept_doc_id": match.doc_id,
        "kept_position": match.position,
        "dropped_doc_id": span["doc_id"],
        "dropped_position": span["position"],
        "similarity": similarity,
    }
