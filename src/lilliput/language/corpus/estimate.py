# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Estimate what a build would keep, how long it would take and how much disk, from a sample."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from lilliput.core.errors import InputError
from lilliput.core.intervals import bootstrap_interval
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.seeding import generator
from lilliput.core.wording import plural
from lilliput.language.corpus.filtering import passing_spans
from lilliput.language.corpus.settings import CorpusSettings
from lilliput.language.reading.documents import Damage, Source
from lilliput.language.reading.files import InputFile, find_files, is_remote
from lilliput.language.reading.shard import WHOLE, Shard
from lilliput.language.reading.shards import plan_shards, read_shard
from lilliput.language.spans.finder import SpanFinder
from lilliput.language.spans.verdicts import REASONS
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


@dataclass
class _Sample:
    """Hold what was read of the shards that were drawn.

    Attributes:
        pieces: Measurements, one a batch.
        labels: The shard of each piece.
        dropped: Spans that did not pass, by reason.
        damaged: Documents and files that could not be read, by reason.
        damaged_places: Some of them.
        read_whole: By format and compression, bytes of text and bytes of file of the shards read to their end.
    """

    pieces: list[_Piece] = field(default_factory=list[_Piece])
    labels: list[int] = field(default_factory=list[int])
    dropped: Counter[str] = field(default_factory=Counter[str])
    damaged: Counter[str] = field(default_factory=Counter[str])
    damaged_places: list[str] = field(default_factory=list[str])
    read_whole: defaultdict[tuple[str, str], list[float]] = field(
        default_factory=lambda: defaultdict(lambda: [0.0, 0.0])
    )

    def text_share(self, file: InputFile) -> float:
        """Return the bytes of text in a byte of a file like `file`; 1 where no such shard was read whole."""
        text, plain = self.read_whole[file.format, file.compression]
        return text / plain if plain else 1.0


def estimate_corpus(
    sources: Sequence[str | Path | Source],
    vocabulary: Vocabulary,
    settings: CorpusSettings | None = None,
    *,
    sample_bytes: int = 16_000_000,
    workers: int = 1,
    hub: bool = False,
    leave_out: Sequence[Path] = (),
    reporter: Reporter = SILENT,
) -> dict[str, Any]:
    """Return `kept` words, `hours` and `disk_bytes` of a build, each with a 95 % interval.

    Batches are read from shards drawn at random; the intervals resample shards, or batches where
    there are few shards. Duplicates are not estimated. `dropped` and `damaged` count the sample alone.

    A file holds more than its text: headers and children's speech in a transcript, other columns in a
    table. How much of it is text is measured on the shards that were read to their end.

    Raises:
        InputError: The sample holds no text.
    """
    settings = settings or CorpusSettings()
    files = find_files(sources, hub=hub, leave_out=leave_out)
    shards = plan_shards(
        files,
        settings.max_document_bytes,
        Damage(settings.on_error),
        settings.shard_bytes,
        reporter,
    )
    finder = SpanFinder(settings, vocabulary)
    finder.find(pa.array(["warm up"], pa.large_string()))  # Compilation is not part of the pace.
    sample = _sample(shards, finder, settings, sample_bytes)
    pieces, labels = sample.pieces, sample.labels
    if not pieces:
        raise InputError(
            "the sample must hold text", got=f"{plural(len(files), 'file')} without any"
        )
    total = sum(_plain_bytes(file) * sample.text_share(file) for file in files)
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
    return record | {
        "bytes_in": total,
        "sampled_bytes": int(values[:, 0].sum()),
        "shards": len(shards),
        "dropped": dict(sorted(sample.dropped.items())),
        "damaged": dict(sorted(sample.damaged.items())),
        "damaged_places": sample.damaged_places,
    }


def _projected(
    values: NDArray[np.float64], column: int, total: float, labels: Sequence[int]
) -> dict[str, Any]:
    def rate(rows: NDArray[np.intp]) -> float:
        return float(values[rows, column].sum() / values[rows, 0].sum() * total)

    groups = labels if len(set(labels)) >= 8 else list(range(len(labels)))
    return bootstrap_interval(rate, groups, resamples=1000, unit="batches").as_record()


def _sample(
    shards: Sequence[Shard], finder: SpanFinder, settings: CorpusSettings, sample_bytes: int
) -> _Sample:
    order = generator(settings.seed, "estimate").permutation(len(shards)).tolist()
    chosen = order[:_SAMPLE_PIECES]
    share = sample_bytes / max(1, len(chosen))
    sample = _Sample()
    for index in chosen:
        _read(shards[index], share, finder, settings, sample)
    return sample


def _read(
    shard: Shard, enough: float, finder: SpanFinder, settings: CorpusSettings, sample: _Sample
) -> None:
    """Measure a shard's batches until `enough` bytes of text have been read."""
    read = 0
    damage = Damage(settings.on_error)
    started = time.perf_counter()
    for batch in read_shard(shard, damage):
        piece = _measure(batch, finder, settings, started, sample.dropped)
        if piece.bytes_in:
            sample.pieces.append(piece)
            sample.labels.append(shard.index)
        read += piece.bytes_in
        if read >= enough:
            break
        started = time.perf_counter()
    else:
        whole = sample.read_whole[shard.file.format, shard.file.compression]
        whole[0] += read
        whole[1] += _plain_bytes(shard.file, shard.first, shard.last)
    sample.damaged.update(damage.counts)
    sample.damaged_places += damage.examples


def _measure(
    batch: Any, finder: SpanFinder, settings: CorpusSettings, started: float, dropped: Counter[str]
) -> _Piece:
    found = finder.find(batch.column("text"))
    spans = passing_spans(batch, found, settings)
    for code, reason in REASONS.items():
        if number := int(np.count_nonzero(found.verdict == code)):
            dropped[reason] += number
    return _Piece(
        bytes_in=batch.column("text").nbytes,
        words=int(np.sum(spans.column("words").to_numpy())),
        text_bytes=spans.column("text").nbytes,
        seconds=time.perf_counter() - started,
    )


def _plain_bytes(file: InputFile, first: int = 0, last: int = WHOLE) -> float:
    """Return the decompressed bytes of a file, or of a part of it as in a shard; a guess for compressed files."""
    if file.format == "parquet" and not is_remote(file.path):
        metadata = parquet.read_metadata(file.path)
        stop = metadata.num_row_groups if last == WHOLE else last
        return sum(metadata.row_group(i).total_byte_size for i in range(first, stop))
    size = file.size if last == WHOLE else last - first
    return size * (_INFLATION if file.compression else 1.0)
