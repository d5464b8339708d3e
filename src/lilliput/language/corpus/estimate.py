# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Estimate what a build would keep, how long it would take and how much disk, from a sample."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

from lilliput.core.errors import InputError
from lilliput.core.intervals import bootstrap_interval
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.seeding import generator
from lilliput.language.corpus.filtering import passing_spans
from lilliput.language.corpus.settings import CorpusSettings
from lilliput.language.reading.documents import Damage, Source
from lilliput.language.reading.files import InputFile, find_files, is_remote
from lilliput.language.reading.shard import Shard
from lilliput.language.reading.shards import plan_shards, read_shard
from lilliput.language.spans.finder import SpanFinder
from lilliput.language.words.vocabulary import Vocabulary

# Compressed text beside its plain size, where a file does not say (zstd and gzip on English).
_INFLATION = 2.7
# Parquet with zstd beside the bytes of the spans in it, measured on the corpora of the docs.
_STORED_SHARE = 0.45
_SAMPLE_PIECES = 32


@dataclass(frozen=True)
class _Piece:
    bytes_in: int
    words: int
    text_bytes: int
    seconds: float


def estimate_corpus(
    sources: Sequence[str | Path | Source],
    vocabulary: Vocabulary,
    settings: CorpusSettings | None = None,
    *,
    sample_bytes: int = 16_000_000,
    workers: int = 1,
    hub: bool = False,
    reporter: Reporter = SILENT,
) -> dict[str, Any]:
    """Return `kept` words, `hours` and `disk_bytes` of a build, each with a 95 % interval.

    Batches are read from shards drawn at random; the intervals resample shards, or batches where
    there are few shards. Duplicates are not estimated.

    Raises:
        InputError: The sample holds no text.
    """
    settings = settings or CorpusSettings()
    files = find_files(sources, hub=hub)
    shards = plan_shards(
        files,
        settings.max_document_bytes,
        Damage(settings.on_error),
        settings.shard_bytes,
        reporter,
    )
    pieces, labels = _sample(shards, SpanFinder(settings, vocabulary), settings, sample_bytes)
    if not pieces:
        raise InputError("the sample must hold text", got=f"{len(files)} files without any")
    total = sum(_plain_bytes(file) for file in files)
    values = np.array([[p.bytes_in, p.words, p.text_bytes, p.seconds] for p in pieces], float)
    columns = {
        "kept": (1, 1.0),
        "disk_bytes": (2, _STORED_SHARE),
        "hours": (3, 1 / 3600 / max(1, workers)),
    }
    record: dict[str, Any] = {
        key: _projected(values, column, factor * total, labels)
        for key, (column, factor) in columns.items()
    }
    sampled = int(values[:, 0].sum())
    return record | {"bytes_in": total, "sampled_bytes": sampled, "shards": len(shards)}


def _projected(
    values: NDArray[np.float64], column: int, total: float, labels: Sequence[int]
) -> dict[str, Any]:
    def rate(rows: NDArray[np.intp]) -> float:
        return float(values[rows, column].sum() / values[rows, 0].sum() * total)

    groups = labels if len(set(labels)) >= 8 else list(range(len(labels)))
    return bootstrap_interval(rate, groups, resamples=1000, unit="batches").as_record()


def _sample(
    shards: Sequence[Shard], finder: SpanFinder, settings: CorpusSettings, sample_bytes: int
) -> tuple[list[_Piece], list[int]]:
    order = generator(settings.seed, "estimate").permutation(len(shards)).tolist()
    chosen = order[:_SAMPLE_PIECES]
    share = sample_bytes / max(1, len(chosen))
    pieces: list[_Piece] = []
    labels: list[int] = []
    for index in chosen:
        read = 0
        batches = read_shard(shards[index], Damage(settings.on_error))
        started = time.perf_counter()
        for batch in batches:
            piece = _measure(batch, finder, settings, started)
            if piece.bytes_in:
                pieces.append(piece)
                labels.append(index)
            read += piece.bytes_in
            if read >= share:
                break
            started = time.perf_counter()
    return pieces, labels


def _measure(batch: Any, finder: SpanFinder, settings: CorpusSettings, started: float) -> _Piece:
    found = finder.find(batch.column("text"))
    spans = passing_spans(batch, found, settings)
    return _Piece(
        bytes_in=batch.column("text").nbytes,
        words=int(np.sum(spans.column("words").to_numpy())),
        text_bytes=spans.column("text").nbytes,
        seconds=time.perf_counter() - started,
    )


def _plain_bytes(file: InputFile) -> float:
    """Return the number of bytes of text in a file, decompressed; exact for plain files and for Parquet."""
    if file.format == "parquet" and not is_remote(file.path):
        metadata = parquet.read_metadata(file.path)
        return sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return file.size * (_INFLATION if file.compression else 1.0)
