"""Corpora for the benchmarks of tokenization, made of Parquet files with a column `text`."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lilliput.core.artefacts import building, is_artefact

_SPAN = 110  # Words of a row, as in the paper's corpora.
_ROW_GROUP = 1 << 15  # Rows, as `lilliput corpus build` writes them.


def make_corpus(sources: list[Path], out: Path, words: int, shards: int) -> Path:
    """Lower-cased spans of 110 words, one of fifty held out for validation; found again where it lies."""
    if is_artefact(out):
        return out
    spans: list[str] = []
    for source in sources:
        for text in pq.read_table(source, columns=["text"])["text"].to_pylist():
            found = text.lower().split()
            spans += [" ".join(found[i : i + _SPAN]) for i in range(0, len(found), _SPAN)]
            if len(spans) * _SPAN >= words:
                break
    with building(out, "corpus", 1, {"words": words, "spans": len(spans)}) as build:
        for shard in range(shards):
            rows = spans[shard::shards]
            columns = {
                "text": rows,
                "doc_id": [f"{shard}-{i}" for i in range(len(rows))],
                "source": ["benchmark"] * len(rows),
                "split": ["validation" if i % 50 == 0 else "train" for i in range(len(rows))],
                "position": pa.array([0] * len(rows), pa.int64()),
            }
            path = build.path(f"shards/{shard:05d}.parquet")
            pq.write_table(pa.table(columns), path, row_group_size=_ROW_GROUP)
    return out


def versions() -> str:
    """Of the libraries compared."""
    names = ("lilliput", "tokenizers", "transformers", "datasets")
    return ", ".join(f"{name} {version(name)}" for name in names)
