# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""The first pass turns input shards into their passing spans and counts; small ones share a task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray
from pyarrow import parquet

from lilliput.core.files import atomic_path, read_json, write_json
from lilliput.core.seeding import stream_key
from lilliput.language.corpus.counts import SpanCounts
from lilliput.language.corpus.settings import CorpusSettings
from lilliput.language.reading.documents import Damage
from lilliput.language.reading.shard import Shard
from lilliput.language.reading.shards import read_shard
from lilliput.language.spans.finder import FoundSpans, SpanFinder, buffers
from lilliput.language.spans.verdicts import KEPT, REASONS
from lilliput.language.spans.words_to_add import WordsToAdd
from lilliput.language.words.vocabulary import Vocabulary

FILTERED_SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("position", pa.int64()),
        ("words", pa.int32()),
        ("hash_high", pa.uint64()),
        ("hash_low", pa.uint64()),
    ]
)
ROW_GROUP_ROWS = 1 << 15
_SAMPLES_PER_REASON = 5
_KEYS = 1 << 64


@dataclass(frozen=True)
class FilterTask:
    """The task of filtering one shard or several small ones, with all that a worker needs for it.

    Attributes:
        index: Rank among all tasks; the name of its output.
        shards: What to read, in order.
        vocabulary: Admitted words; None admits all.
        settings: The rules.
        folder: Where the results go.
        rates: Share of the passing spans of each source to write, chosen by hash; all when None.
    """

    index: int
    shards: Sequence[Shard]
    vocabulary: Vocabulary | None
    settings: CorpusSettings
    folder: Path
    rates: Mapping[str, float] | None = None

    @property
    def table_path(self) -> Path:
        """Return where the passing spans go."""
        return self.folder / f"{self.index:05d}.parquet"

    @property
    def words_to_add_path(self) -> Path:
        """Return where the unknown words go, with the spans that each would keep."""
        return self.folder / f"{self.index:05d}.words.parquet"

    @property
    def record_path(self) -> Path:
        """Return where the counts go; they are written last, so that they say that the shard is done."""
        return self.folder / f"{self.index:05d}.json"


def filter_shard(task: FilterTask) -> dict[str, Any]:
    """Filter the shards of a task, and return its record: their counts, damage and samples of dropped spans.

    The passing spans are written to `task.table_path`. A task that is done is not read again.
    """
    if task.record_path.exists():
        return read_json(task.record_path)
    finder = SpanFinder(task.settings, task.vocabulary)
    damage = Damage(task.settings.on_error)
    counts = SpanCounts()
    samples: list[dict[str, Any]] = []
    words_to_add = WordsToAdd(finder)
    with atomic_path(task.table_path) as temporary, _RowGroups(temporary) as rows:
        for shard in task.shards:
            dropped = _Samples()
            for batch in read_shard(shard, damage):
                found = finder.find(batch.column("text"))
                counts.add_batch(batch, found)
                dropped.add(batch, found)
                if task.vocabulary is not None:
                    words_to_add.add(found)
                rows.add(passing_spans(batch, found, task.settings, task.rates))
            samples += dropped.rows
    with atomic_path(task.words_to_add_path) as temporary:
        parquet.write_table(words_to_add.as_table(), temporary, compression="zstd")
    record = counts.as_record() | {"damage": damage.as_record(), "samples": samples}
    write_json(task.record_path, record)
    return record


class _RowGroups:
    """Writes record batches as row groups of even size."""

    def __init__(self, path: Path) -> None:
        self._writer = parquet.ParquetWriter(path, FILTERED_SCHEMA, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0

    def __enter__(self) -> _RowGroups:
        return self

    def add(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._rows += batch.num_rows
        if self._rows >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_batches(self._waiting))
        self._waiting, self._rows = [], 0

    def __exit__(self, *exception: object) -> None:
        if exception[0] is None:
            self._flush()
        self._writer.close()


class _Samples:
    """Collect the first dropped spans of a shard, one a document for each reason."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._taken: Counter[str] = Counter()

    def add(self, batch: pa.RecordBatch, found: FoundSpans) -> None:
        for code, reason in REASONS.items():
            if self._taken[reason] >= _SAMPLES_PER_REASON:
                continue
            rows = np.flatnonzero(found.verdict == code)
            _, first = np.unique(found.document[rows], return_index=True)
            for row in rows[first][: _SAMPLES_PER_REASON - self._taken[reason]]:
                self.rows.append(_sample(batch, found, int(row), reason))
                self._taken[reason] += 1


def _sample(batch: pa.RecordBatch, found: FoundSpans, row: int, reason: str) -> dict[str, Any]:
    document = int(found.document[row])
    return {
        "text": next(_texts(found, np.array([row]))).decode(),
        "doc_id": batch.column("doc_id")[document].as_py(),
        "source": batch.column("source")[document].as_py(),
        "position": int(found.first_word[row]),
        "reason": reason,
    }


def _texts(found: FoundSpans, rows: NDArray[np.intp]) -> Iterator[bytes]:
    _, data = buffers(found.texts)
    view = data.data
    for start, stop in zip(found.start[rows].tolist(), found.stop[rows].tolist(), strict=True):
        yield bytes(view[start:stop])


def passing_spans(
    batch: pa.RecordBatch,
    found: FoundSpans,
    settings: CorpusSettings,
    rates: Mapping[str, float] | None = None,
) -> pa.RecordBatch:
    """Return the kept spans of a batch in the form of FILTERED_SCHEMA."""
    rows = np.flatnonzero(found.verdict == KEPT)
    texts = list(_texts(found, rows))
    if settings.profile.lower_case:  # The rest of the text form was applied before the scan.
        texts = [text.decode().lower().encode() for text in texts]
    hashes = np.frombuffer(b"".join(map(xxhash.xxh3_128_digest, texts)), ">u8").reshape(-1, 2)
    high, low = (hashes[:, i].astype(np.uint64) for i in (0, 1))
    document = found.document[rows]
    table = pa.RecordBatch.from_arrays(
        [
            pa.array(texts, pa.binary()).cast(pa.string()),
            batch.column("doc_id").take(pa.array(document)),
            batch.column("source").take(pa.array(document)),
            _splits(batch, document, high, settings),
            pa.array(found.first_word[rows]),
            pa.array((found.last_word - found.first_word)[rows].astype(np.int32)),
            pa.array(high),
            pa.array(low),
        ],
        schema=FILTERED_SCHEMA,
    )
    return table if rates is None else _thinned(table, rates, settings.seed)


def _splits(
    batch: pa.RecordBatch,
    document: NDArray[np.int64],
    high: NDArray[np.uint64],
    settings: CorpusSettings,
) -> pa.Array:
    if settings.split_by == "span":
        return pa.array([split_of(f"{key:016x}", settings) for key in high.tolist()], pa.string())
    unique, position = np.unique(document, return_inverse=True)
    named = batch.select(["source", "doc_id", "split_group"]).take(pa.array(unique)).to_pylist()
    splits = [split_of(group_key(**names), settings) for names in named]
    return pa.array(splits, pa.string()).take(pa.array(position))


def split_of(key: str, settings: CorpusSettings) -> str:
    """Return the split of everything called `key` (a split group, a document, or a span's hash)."""
    position = stream_key(settings.seed, "split", key) / _KEYS
    if position < settings.validation_share:
        return "validation"
    if position < settings.validation_share + settings.test_share:
        return "test"
    return "train"


def group_key(source: str, doc_id: str, split_group: str | None) -> str:
    """Return the name for which the split of a document is drawn."""
    return f"group\x1f{split_group}" if split_group is not None else f"{source}\x1f{doc_id}"


def selection_keys(low: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Return a number for each span by which quotas and matched samples choose: lowest first."""
    mixed = (low ^ np.uint64(stream_key(seed, "selection"))) * np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ (mixed >> np.uint64(32))


def _thinned(table: pa.RecordBatch, rates: Mapping[str, float], seed: int) -> pa.RecordBatch:
    keys = selection_keys(table.column("hash_low").to_numpy(), seed)
    shares = np.array([rates.get(name, 0.0) for name in table.column("source").to_pylist()])
    return table.filter(pa.array(keys.astype(np.float64) < shares * _KEYS))
