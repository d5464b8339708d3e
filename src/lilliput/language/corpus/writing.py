# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""The last pass writes the spans that are left, one output shard for each input shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from lilliput.core.files import atomic_path, read_json, write_json
from lilliput.language.corpus.filtering import ROW_GROUP_ROWS
from lilliput.language.corpus.statistics import AgeStatistics
from lilliput.language.spans.counter import WordCounter
from lilliput.language.words.profiles import WordProfile

CORPUS_SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("position", pa.int64()),
    ]
)


@dataclass(frozen=True)
class WriteTask:
    """The task of writing one output shard, with all that a worker needs for it.

    Attributes:
        filtered: The shard's passing spans.
        mask: Saved array that says which of them to write.
        out: The output shard.
        record: Where its counts go.
        profile: What a word is, for the counts.
        ages: Age of first use of words, in months; empty where the vocabulary knows none.
    """

    filtered: Path
    mask: Path
    out: Path
    record: Path
    profile: WordProfile
    ages: Mapping[str, float]


def write_shard(task: WriteTask) -> dict[str, Any]:
    """Write one output shard; its counts by source and split, and the ages of its words.

    The words themselves go into the file of the record only: those of all shards together would
    fill the memory (see `count_types`).
    """
    if task.record.exists() and task.out.exists():
        return _without_types(read_json(task.record))
    mask = np.load(task.mask)
    counts: Counter[tuple[str, str]] = Counter()
    words: Counter[tuple[str, str]] = Counter()
    counter = WordCounter(task.profile, task.ages)
    ages = AgeStatistics()
    with (
        atomic_path(task.out) as temporary,
        parquet.ParquetWriter(temporary, CORPUS_SCHEMA, compression="zstd") as writer,
        parquet.ParquetFile(task.filtered) as filtered,
    ):
        row = 0
        for batch in filtered.iter_batches(ROW_GROUP_ROWS):
            kept = batch.filter(pa.array(mask[row : row + batch.num_rows]))
            row += batch.num_rows
            if kept.num_rows:
                writer.write_batch(kept.select(CORPUS_SCHEMA.names))
            groups = zip(kept["source"].to_pylist(), kept["split"].to_pylist(), strict=True)
            for group, number in zip(groups, kept["words"].to_pylist(), strict=True):
                counts[group] += 1
                words[group] += number
            ages.add(counter.add(kept["text"]))
    record = {
        "written": [[*group, n, words[group]] for group, n in sorted(counts.items())],
        "types": dict(sorted(counter.counts.items())),
        "ages": ages.as_record(),
    }
    write_json(task.record, record)
    return _without_types(record)


def _without_types(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "types"}


def count_types(records: Iterable[Path]) -> Counter[str]:
    """Return the occurrences of each word over all shards, whose records are read one by one."""
    types: Counter[str] = Counter()
    for path in records:
        types.update(read_json(path)["types"])
    return types
