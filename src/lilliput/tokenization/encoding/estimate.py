"""Estimate how large a token store will be, before the work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lilliput.core.artefacts import read_manifest
from lilliput.core.intervals import Interval, mean_interval
from lilliput.language.corpus.reading import recorded_text_form
from lilliput.language.corpus.span_ids import names_spans
from lilliput.tokenization.counting.texts import shard_paths
from lilliput.tokenization.encoding.encoder import TextEncoder
from lilliput.tokenization.folder import load_tokenizer
from lilliput.tokenization.store import token_dtype

_SAMPLED_SHARDS = 8
_SAMPLED_ROWS = 512  # Of each sampled shard.
_OFFSET_BYTES = _SPAN_ID_BYTES = 8


@dataclass(frozen=True)
class StoreEstimate:
    """Hold the estimated size of an encoded corpus.

    Attributes:
        documents: Rows, exact.
        tokens: Estimated from a sample of rows, with a 95 % interval.
        disk_bytes: Bytes of the finished store, with such an interval; while it is built, twice as much is in use.
    """

    documents: int
    tokens: Interval
    disk_bytes: Interval

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "documents": self.documents,
            "tokens": self.tokens.as_record(),
            "disk_bytes": self.disk_bytes.as_record(),
        }


def estimate_store(
    corpus: Path, tokenizer: Path, *, vocab_size: int | None = None
) -> StoreEstimate:
    """Estimate the store of a corpus from the first rows of shards spread over it.

    Args:
        corpus: A corpus folder.
        tokenizer: A tokenizer folder.
        vocab_size: Rows of the store's vocabulary, when more than the tokenizer's ids.
    """
    text_form = recorded_text_form(read_manifest(corpus, "corpus"))
    loaded = load_tokenizer(tokenizer, text_form, is_corpus_text=True)
    rows = vocab_size or loaded.vocab_size
    shards = shard_paths(corpus)
    documents = sum(pq.read_metadata(shard).num_rows for shard in shards)
    chosen = np.unique(np.linspace(0, len(shards) - 1, _SAMPLED_SHARDS).round().astype(int))
    encoder = TextEncoder(loaded.backend)
    sizes = np.concatenate([encoder.encode(_first_texts(shards[i]))[1] for i in chosen])
    per_document = mean_interval(sizes if len(sizes) else [0.0], unit="documents")
    tokens = _scaled(per_document, documents, 0.0)
    per_row = _OFFSET_BYTES + _SPAN_ID_BYTES * all(map(names_spans, shards))
    fixed = documents * per_row + rows * 5
    return StoreEstimate(documents, tokens, _scaled(tokens, token_dtype(rows).itemsize, fixed))


def _first_texts(shard: Path) -> list[str]:
    for batch in pq.ParquetFile(shard).iter_batches(columns=["text"], batch_size=_SAMPLED_ROWS):
        return [text or "" for text in batch.column("text").to_pylist()]
    return []


def _scaled(interval: Interval, factor: float, offset: float) -> Interval:
    def scale(bound: float | None) -> float | None:
        return None if bound is None else max(0.0, bound) * factor + offset

    return Interval(
        interval.value * factor + offset,
        scale(interval.low),
        scale(interval.high),
        interval.n,
        interval.level,
        interval.method,
        interval.unit,
    )
