# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Parquet and CSV, read in batches straight into Arrow arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from lilliput.core.errors import LilliputError
from lilliput.language.reading.columns import Columns, choose_columns
from lilliput.language.reading.documents import BATCH_SCHEMA, Damage
from lilliput.language.reading.files import InputFile
from lilliput.language.reading.lines import STREAM_ERRORS, decode
from lilliput.language.reading.shard import Shard

_ROWS = 4096
_CSV_BLOCK_BYTES = 8 << 20
_FILE_ERRORS = (OSError, pa.ArrowException)


def row_group_ranges(file: InputFile, damage: Damage, shard_bytes: int) -> list[tuple[int, int]]:
    """Ranges of row groups of about `shard_bytes` decompressed bytes each."""
    try:
        with file.open() as stream, parquet.ParquetFile(stream) as opened:
            sizes = [
                opened.metadata.row_group(i).total_byte_size
                for i in range(opened.metadata.num_row_groups)
            ]
    except _FILE_ERRORS as error:
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


def read_parquet(shard: Shard, damage: Damage) -> Iterator[pa.RecordBatch]:
    """The documents of a range of row groups; a damaged one is passed over alone."""
    with shard.file.open() as stream, parquet.ParquetFile(stream) as opened:
        columns = choose_columns(_string_columns(opened.schema_arrow), shard.file)
        for group in range(shard.first, shard.last):
            row = sum(opened.metadata.row_group(i).num_rows for i in range(group))
            try:
                for batch in opened.iter_batches(_ROWS, [group], columns.names()):
                    yield _as_documents(batch, columns, shard, damage, row)
                    row += batch.num_rows
            except _FILE_ERRORS as error:
                damage.report("unreadable_row_group", f"{shard.file.path}, group {group}", error)


def read_csv(shard: Shard, damage: Damage) -> Iterator[pa.RecordBatch]:
    """The documents of a CSV or tab-separated file; every cell is text."""

    def on_bad_row(row: csv.InvalidRow) -> str:
        # Errors cannot cross Arrow's border, so the policy is applied after the read.
        bad_rows.append(row.text[:200])
        return "skip"

    bad_rows: list[str] = []
    row = 0
    try:
        with shard.file.open() as stream:
            for batch in _csv_batches(stream, shard.file, on_bad_row):
                columns = choose_columns(_string_columns(batch.schema), shard.file)
                yield _as_documents(batch.select(columns.names()), columns, shard, damage, row)
                row += batch.num_rows
    except LilliputError:
        raise
    except STREAM_ERRORS as error:
        damage.report("unreadable_file", shard.file.path, error)
    for text in bad_rows:
        damage.report("invalid_row", shard.file.path, repr(text))


def _csv_batches(stream: Any, file: InputFile, on_bad_row: Any) -> Iterator[pa.RecordBatch]:
    delimiter = "\t" if ".tsv" in file.name.lower() else ","
    header = stream.readline().decode("utf-8-sig").rstrip("\r\n")
    names = next(iter(_csv_cells(header, delimiter)), [])
    options = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.large_string()), strings_can_be_null=False
    )
    reader = csv.open_csv(
        stream,
        csv.ReadOptions(column_names=names, block_size=_CSV_BLOCK_BYTES),
        csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=on_bad_row
        ),
        options,
    )
    yield from reader


def _csv_cells(line: str, delimiter: str) -> Iterator[list[str]]:
    import csv as plain_csv

    return iter(plain_csv.reader([line], delimiter=delimiter))


def _string_columns(schema: pa.Schema) -> list[tuple[str, bool]]:
    return [
        (f.name, pa.types.is_string(f.type) or pa.types.is_large_string(f.type)) for f in schema
    ]


def _as_documents(
    batch: pa.RecordBatch, columns: Columns, shard: Shard, damage: Damage, first_row: int
) -> pa.RecordBatch:
    """The batch in the common form; damaged and over-long texts become null."""
    texts = batch.column(columns.text).cast(pa.large_string())
    where = f"{shard.file.name}, rows from {first_row}"
    texts = _without_invalid(texts, damage, where)
    texts = _without_long(texts, shard.max_document_bytes, damage, where)
    rows = np.arange(first_row, first_row + batch.num_rows)
    identities = _strings(batch, columns.doc_id)
    if identities is None:
        identities = pa.array([f"{shard.file.name}:{row}" for row in rows])
    sources = _strings(batch, columns.source)
    groups = _strings(batch, columns.split_group)
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


def _strings(batch: pa.RecordBatch, column: str | None) -> pa.Array | None:
    return None if column is None else batch.column(column).cast(pa.string())


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
