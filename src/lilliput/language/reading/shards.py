# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Cut the input into shards, and read one: the unit of work, of resuming and of output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from lilliput.core.hashing import content_id, file_hash
from lilliput.language.reading import lines, tables, transcripts
from lilliput.language.reading.documents import Damage
from lilliput.language.reading.files import InputFile, is_remote
from lilliput.language.reading.shard import WHOLE, Shard

# A multiple of the text chunk, so that chunks do not depend on where shards are cut.
SHARD_BYTES = 64 << 20


def plan_shards(
    files: Iterable[InputFile],
    max_document_bytes: int,
    damage: Damage,
    shard_bytes: int = SHARD_BYTES,
) -> list[Shard]:
    """The shards of all files, in order; unreadable files go to `damage`."""
    shards: list[Shard] = []
    for file in files:
        for first, last in _ranges(file, damage, shard_bytes):
            shards.append(Shard(len(shards), file, first, last, max_document_bytes))
    return shards


def _ranges(file: InputFile, damage: Damage, shard_bytes: int) -> Iterable[tuple[int, int]]:
    if file.format == "parquet":
        return tables.row_group_ranges(file, damage, shard_bytes)
    splittable = file.format == "jsonl" or (
        file.format == "text" and file.source.text_unit != "file"
    )
    if file.compression or not splittable or file.size <= shard_bytes:
        return [(0, WHOLE)]
    return [(at, min(at + shard_bytes, file.size)) for at in range(0, file.size, shard_bytes)]


def read_shard(shard: Shard, damage: Damage) -> Iterator[pa.RecordBatch]:
    """The documents of a shard as record batches (see documents.BATCH_SCHEMA), streamed."""
    readers: dict[str, Any] = {
        "text": lines.read_text,
        "jsonl": lines.read_json_lines,
        "csv": tables.read_csv,
        "parquet": tables.read_parquet,
        "transcript": transcripts.read_transcript,
    }
    return readers[shard.file.format](shard, damage)


def identify(files: Iterable[InputFile]) -> str:
    """A name for the input: contents of local files, names and sizes of remote ones."""
    return content_id(
        [
            [
                file.name,
                file.source.model_dump(exclude={"path"}),
                file.size if is_remote(file.path) else file_hash(Path(file.path)),
            ]
            for file in files
        ]
    )
