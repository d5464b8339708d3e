# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Cut the input into shards, and read one: the unit of work, of resuming and of output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from lilliput.core.hashing import content_id, file_hash
from lilliput.core.progress import SILENT, Reporter
from lilliput.language.reading import lines, tables, transcripts
from lilliput.language.reading.columns import ColumnContent, Columns, choose_columns
from lilliput.language.reading.documents import Damage, Source
from lilliput.language.reading.files import InputFile, is_remote
from lilliput.language.reading.rows import columns_of_text_table
from lilliput.language.reading.shard import WHOLE, Shard

# A multiple of the text chunk, so that chunks do not depend on where shards are cut.
SHARD_BYTES = 64 << 20


def plan_shards(
    files: Iterable[InputFile],
    max_document_bytes: int,
    damage: Damage,
    shard_bytes: int = SHARD_BYTES,
    reporter: Reporter = SILENT,
) -> list[Shard]:
    """Return the shards of all files, in order; unreadable files go to `damage`.

    The columns of tables are chosen here, once for all files of a source. The reporter says which
    text column was found by anything but the user's word or the name `text`.

    Raises:
        InputError: The text column of a source is not clear.
    """
    shards: list[Shard] = []
    chosen: dict[str, Columns] = {}
    for file in files:
        source = _key(file.source)
        if file.format in _TABLES and source not in chosen:
            columns = _columns(file, max_document_bytes)
            if columns is not None:
                chosen[source] = columns
                if columns.is_guess:
                    reporter.say(
                        f"{file.name}: the column {columns.text!r} is read as the text; name another with --text-column."
                    )
        for first, last in _ranges(file, damage, shard_bytes):
            columns = chosen.get(source) if file.format in _TABLES else None
            shards.append(Shard(len(shards), file, first, last, max_document_bytes, columns))
    return shards


_TABLES = {"jsonl", "csv", "parquet", "feather"}


def _key(source: Source) -> str:
    return source.model_dump_json()


def _columns(file: InputFile, max_document_bytes: int) -> Columns | None:
    """Return the columns to read of the source that the file belongs to; None if it holds no record."""
    return (
        choose_columns(found, file.source, file.path)
        if (found := columns_of(file, max_document_bytes))
        else None
    )


def columns_of(file: InputFile, max_document_bytes: int) -> list[tuple[str, ColumnContent]]:
    """Return the columns of a table with what they hold; none if it is empty or cannot be read.

    What is wrong with a file is reported when it is read.
    """
    if file.format in {"jsonl", "csv"}:
        return columns_of_text_table(Shard(0, file, 0, WHOLE, max_document_bytes))
    try:
        return tables.columns_of_arrow_table(file)
    except tables.FILE_ERRORS:
        return []


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
    """Yield the documents of a shard as record batches (see documents.BATCH_SCHEMA)."""
    readers: dict[str, Any] = {
        "text": lines.read_text,
        "jsonl": lines.read_text_table,
        "csv": lines.read_text_table,
        "parquet": tables.read_arrow_table,
        "feather": tables.read_arrow_table,
        "transcript": transcripts.read_transcript,
    }
    return readers[shard.file.format](shard, damage)


def identify(files: Iterable[InputFile]) -> str:
    """Return a name for the input: from the contents of local files, from names and sizes of remote ones."""
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
