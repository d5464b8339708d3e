# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Parquet and Feather, read in batches straight into Arrow arrays."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from lilliput.core.wording import some
from lilliput.language.reading.columns import ColumnContent, Columns
from lilliput.language.reading.documents import BATCH_SCHEMA, Damage
from lilliput.language.reading.files import InputFile
from lilliput.language.reading.parquet import ParquetTable
from lilliput.language.reading.rows import Line, Row, TextTable, columns_of_text_table, decode
from lilliput.language.reading.shard import WHOLE, Shard

_ROWS = 4096
_LARGEST_UNPACKED = 1 << 30  # Bytes of a compressed Feather file, which is unpacked in memory.
_LONGEST_HEAD = 1 << 20  # Bytes of a record that is read for the columns alone.
FILE_ERRORS = (OSError, pa.ArrowException)


def row_group_ranges(file: InputFile, damage: Damage, shard_bytes: int) -> list[tuple[int, int]]:
    """Return ranges of row groups of about `shard_bytes` decompressed bytes each."""
    try:
        with file.open() as stream, parquet.ParquetFile(stream) as opened:
            sizes = [
                opened.metadata.row_group(i).total_byte_size
                for i in range(opened.metadata.num_row_groups)
            ]
    except FILE_ERRORS as error:
        damage.report("unreadable_file", file.path, error)
        return []
    ranges: list[tuple[int, int]] = []
    first = held = 0
    for i, size in enumerate(sizes):
        if held and held + size > shard_bytes:
            ranges.append((first, i))
            first, held = i, 0
        held += size
    return [*ranges, (first, len(sizes))]


def columns_of_arrow_table(file: InputFile) -> list[tuple[str, ColumnContent]]:
    """Return the columns of a Parquet or Feather file by their types; fields of structs as `outer.inner`.

    Raises:
        OSError, ArrowException: The file cannot be read.
    """
    with open_arrow(file) as opened:
        return list(_fields(opened.schema))


def _fields(fields: Any, outer: str = "") -> Iterator[tuple[str, ColumnContent]]:
    for f in fields:
        yield f"{outer}{f.name}", _holds(f.type)
        if pa.types.is_struct(f.type):
            yield from _fields(list(f.type), f"{outer}{f.name}.")


def _holds(kind: pa.DataType) -> ColumnContent:
    """Return what a column of this type holds: every kind of string Arrow has counts as text."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _holds(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _holds(kind.storage_type)
    if pa.types.is_null(kind):
        return ColumnContent.NOTHING
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view,
             pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)  # fmt: skip
    return ColumnContent.STRINGS if any(is_text(kind) for is_text in texts) else ColumnContent.OTHER


class ArrowTable:
    """Read an opened Feather file.

    Attributes:
        schema: Its columns.
        groups: The number of its batches.
    """

    def __init__(self, opened: Any) -> None:
        self.schema, self.groups, self._opened = opened.schema, opened.num_record_batches, opened

    def rows_before(self, group: int) -> int:
        """Return 0: the rows are numbered through a shard, and a Feather file is one."""
        del group
        return 0

    def batches(self, group: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the batches of one group, with the columns asked for or all."""
        batch = self._opened.get_batch(group)
        _require_sound(batch)
        for first in range(0, batch.num_rows, _ROWS):
            part = batch.slice(first, _ROWS)
            if columns is None:
                yield part
            else:
                yield part.select(list(dict.fromkeys(_outer(n, self.schema) for n in columns)))


def _require_sound(batch: pa.RecordBatch) -> None:
    """Raise ArrowInvalid where offsets lead out of the data: Arrow itself would read there, and die.

    Strings are taken for bytes here; what is no UTF-8 is found a cell at a time.
    """
    as_bytes = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
    for column in batch.columns:
        column.validate()
        column.view(as_bytes.get(column.type, column.type)).validate(full=True)


@contextmanager
def open_arrow(file: InputFile) -> Generator[ArrowTable | ParquetTable]:
    """Open a Parquet or Feather file."""
    with file.open() as stream:
        if file.format == "parquet":
            yield ParquetTable(stream)
        else:
            plain = _unpacked(stream) if file.compression else pa.PythonFile(stream)
            try:
                opened = pa.ipc.open_file(plain)
            except (
                pa.ArrowInvalid
            ):  # The other of Arrow's two formats, of batches one after another.
                plain.seek(0)
                opened = _Streamed(pa.ipc.open_stream(plain))
            yield ArrowTable(opened)


def _unpacked(stream: IO[bytes]) -> pa.BufferReader:
    """Return a compressed Feather file in memory, where Arrow can go back and forth in it."""
    content = stream.read(_LARGEST_UNPACKED + 1)
    if len(content) > _LARGEST_UNPACKED:
        raise pa.ArrowInvalid(f"it unpacks to more than {_LARGEST_UNPACKED:,} bytes")
    return pa.BufferReader(content)


class _Streamed:
    """The batches of Arrow's streaming format, as a file of Arrow's other format gives them."""

    def __init__(self, reader: Any) -> None:
        self.schema = reader.schema
        self._batches = list(reader)
        self.num_record_batches = len(self._batches)

    def get_batch(self, group: int) -> pa.RecordBatch:
        return self._batches[group]


def read_arrow_table(shard: Shard, damage: Damage) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a Parquet or Feather file; a damaged row group is passed over alone."""
    columns = shard.columns
    try:
        with open_arrow(shard.file) as table:
            if columns is None:  # No file of the source has a row, or none could be read.
                return
            known = dict(_fields(table.schema))
            if known.get(columns.text, ColumnContent.OTHER) is ColumnContent.OTHER:
                got = f"{columns.text} among {some(f'{f.name} ({f.type})' for f in table.schema)}"
                damage.report("no_text_column", shard.file.path, got)
                return
            columns = _present(columns, known)
            needed = columns.names()
            last = table.groups if shard.last == WHOLE else shard.last
            for group in range(shard.first, last):
                row = table.rows_before(group)
                try:
                    for batch in table.batches(group, needed):
                        yield _as_documents(batch, columns, shard, damage, row)
                        row += batch.num_rows
                except FILE_ERRORS as error:
                    where = f"{shard.file.path}, group {group}"
                    damage.report("unreadable_row_group", where, error)
    except FILE_ERRORS as error:
        damage.report("unreadable_file", shard.file.path, error)


def _present(columns: Columns, known: dict[str, ColumnContent]) -> Columns:
    """Return the columns without those that this file of the source lacks."""

    def if_there(name: str | None) -> str | None:
        return name if name in known else None

    return Columns(
        columns.text,
        if_there(columns.doc_id),
        if_there(columns.source),
        if_there(columns.split_group),
    )


def _outer(name: str, schema: pa.Schema) -> str:
    return name if name in schema.names else name.split(".", maxsplit=1)[0]


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return a column, or the field `outer.inner` of one."""
    if name in batch.schema.names:
        return batch.column(name)
    outer, *inner = name.split(".")
    return pc.struct_field(batch.column(outer), inner)


def _as_documents(
    batch: pa.RecordBatch, columns: Columns, shard: Shard, damage: Damage, first_row: int
) -> pa.RecordBatch:
    """Return the batch in the common form; damaged and over-long texts become null."""
    texts = _as_strings(_column(batch, columns.text))
    where = f"{shard.file.name}, rows from {first_row}"
    for row in np.flatnonzero(np.asarray(texts.is_null())).tolist():
        place = f"{shard.file.name}, row {first_row + row + 1}"
        damage.report("no_text", place, f"{columns.text} = None")
    texts = _without_invalid(texts, damage, where)
    texts = _without_long(texts, shard.max_document_bytes, damage, where)
    rows = np.arange(first_row, first_row + batch.num_rows)
    identities = _names(batch, columns.doc_id)
    if identities is None:
        identities = pa.array([f"{shard.file.name}:{row}" for row in rows], pa.string())
    sources = _names(batch, columns.source)
    groups = _names(batch, columns.split_group)
    label = pa.scalar(shard.file.label)
    return pa.RecordBatch.from_arrays(
        [
            texts,
            identities,
            pa.repeat(label, batch.num_rows) if sources is None else pc.fill_null(sources, label),
            pa.nulls(batch.num_rows, pa.string()) if groups is None else groups,
        ],
        schema=BATCH_SCHEMA,
    )


def _as_strings(column: pa.Array) -> pa.Array:
    """Return a column of any kind of string as large strings; bytes are checked by the next step."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_binary_view(column.type) or pa.types.is_binary(column.type):
        column = column.cast(pa.large_binary())
    if pa.types.is_large_binary(column.type):
        return column.view(pa.large_string())
    return column.cast(pa.large_string())


def _names(batch: pa.RecordBatch, column: str | None) -> pa.Array | None:
    if column is None:
        return None
    values = _column(batch, column)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values.cast(pa.string())


def _without_invalid(texts: pa.Array, damage: Damage, where: str) -> pa.Array:
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        raw = texts.cast(pa.large_binary()).to_pylist()
        return pa.array([_valid_or_none(cell, damage, where) for cell in raw], pa.large_string())
    return texts


def _valid_or_none(cell: bytes | None, damage: Damage, where: str) -> str | None:
    return None if cell is None else decode(cell, where, damage)


def _without_long(texts: pa.Array, limit: int, damage: Damage, where: str) -> pa.Array:
    lengths = pc.fill_null(pc.binary_length(texts), 0)
    too_long = pc.greater(lengths, limit)
    for length in pc.filter(lengths, too_long).to_pylist():
        damage.report("too_long", where, f"{length:,} bytes")
    if pc.any(too_long).as_py():
        return pc.if_else(too_long, pa.scalar(None, pa.large_string()), texts)
    return texts


def rows_of(file: InputFile, limit: int, damage: Damage) -> Iterator[Row]:
    """Yield the records of any table with all their columns; no record is longer than `limit` bytes."""
    if file.format in {"jsonl", "csv"}:
        yield from TextTable(Shard(0, file, 0, WHOLE, limit), damage)
        return
    try:
        with open_arrow(file) as table:
            for group in range(table.groups):
                for batch in table.batches(group):
                    for cells in batch.to_pylist():
                        yield Row(cells, b"", Line(b"", 0, file.name, 0))
    except FILE_ERRORS as error:
        damage.report("unreadable_file", file.path, error)


def column_names(file: InputFile) -> list[str]:
    """Return the names of a table's columns; none if it cannot be read, which its reader reports."""
    if file.format in {"jsonl", "csv"}:
        found = columns_of_text_table(Shard(0, file, 0, WHOLE, _LONGEST_HEAD))
    else:
        try:
            found = columns_of_arrow_table(file)
        except FILE_ERRORS:
            return []
    return [name for name, _ in found]
