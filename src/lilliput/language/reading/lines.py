# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Plain text and text tables, read line by line within a byte range."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from lilliput.core.wording import some
from lilliput.language.reading.columns import Columns
from lilliput.language.reading.documents import BatchMaker, Damage, Document
from lilliput.language.reading.fast_csv import FastRows, read_fast
from lilliput.language.reading.rows import STREAM_ERRORS, Row, TextTable, decode, iter_lines
from lilliput.language.reading.shard import Shard

TEXT_CHUNK_BYTES = 1 << 20
SECTION_BYTES = 4 << 10  # About two pages: enough sentences each, enough sections to divide.


def read_text(shard: Shard, damage: Damage) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a text file: the file, its lines, or chunks of whole lines."""
    maker = BatchMaker()
    unit = _unit(shard)
    for offset, where, raw in _units(shard, damage, unit):
        text = decode(raw, where, damage)
        if text is None or not text.strip():
            continue
        identity = shard.file.name if unit == 0 else f"{shard.file.name}@{offset}"
        batch = maker.add(Document(text, identity, shard.file.label))
        if batch is not None:
            yield batch
    if (batch := maker.flush()) is not None:
        yield batch


def _unit(shard: Shard) -> int:
    """Return the bytes after which a text document ends at the next line end; 0 for the whole file."""
    file = shard.file
    if file.source.text_unit == "line":
        return 1
    if file.source.text_unit == "section":
        return SECTION_BYTES
    small = not file.compression and file.size <= TEXT_CHUNK_BYTES
    return 0 if file.source.text_unit == "file" or small else TEXT_CHUNK_BYTES


def _units(shard: Shard, damage: Damage, unit: int) -> Iterator[tuple[int, str, bytes]]:
    """Yield (offset, place, bytes) of each document; chunk k holds the lines that begin in its `unit` bytes."""
    pending: list[bytes] = []
    size, begin, where = 0, 0, ""
    for line in iter_lines(shard, damage):
        starts_new = unit and pending and line.offset // unit != begin // unit
        if starts_new or size + len(line.raw) > shard.max_document_bytes:
            yield begin, where, b"".join(pending)
            pending, size = [], 0
        if not pending:
            begin, where = line.offset, line.where
        pending.append(line.raw)
        size += len(line.raw)
    if pending:
        yield begin, where, b"".join(pending)


def read_text_table(shard: Shard, damage: Damage) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a CSV, tab-separated or JSON Lines file, one a record."""
    columns = shard.columns
    if columns is None:  # The source holds no record, or none that could be read.
        for _ in TextTable(shard, damage):
            pass
        return
    # Of a damaged stream all that comes before the damage is read, and Arrow's blocks are too large for that.
    if shard.file.format == "jsonl" or shard.file.compression:
        yield from _documents(TextTable(shard, damage), columns, shard, damage)
        return
    fast = FastRows(0, None, [])
    try:
        with shard.file.open() as file:
            yield from read_fast(file, shard, columns, fast)
            if fast.rest is not None:
                table = TextTable(shard, damage, fast.rest if fast.names else None, fast.names)
                yield from _documents(table, columns, shard, damage, fast.rows)
    except STREAM_ERRORS as error:
        damage.report("unreadable_file", shard.file.path, error)


def _documents(
    table: TextTable, columns: Columns, shard: Shard, damage: Damage, before: int = 0
) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a table, of which `before` records have been read already."""
    maker = BatchMaker()
    is_json, label = shard.file.format == "jsonl", shard.file.label
    for number, row in enumerate(table, before):
        if not is_json and number == 0 and columns.text not in table.names:
            names = some(table.names)
            damage.report("no_text_column", shard.file.path, f"no {columns.text!r} among {names}")
            return
        text = _text(row, columns.text, shard, damage)
        if text is None:
            continue
        place = f"@{row.line.offset}" if is_json else f":{number}"
        document = Document(
            text,
            _name(row, columns.doc_id) or f"{shard.file.name}{place}",
            _name(row, columns.source) or label,
            _name(row, columns.split_group),
        )
        if (batch := maker.add(document)) is not None:
            yield batch
    if (batch := maker.flush()) is not None:
        yield batch


def _text(row: Row, column: str, shard: Shard, damage: Damage) -> str | None:
    """Return the text of a record; None, and a report, where it has none or one too long."""
    text = row.get(column)
    if not isinstance(text, str):
        got = f"{column} = {text!r}" if column in row.cells else f"no {column!r} among {some(row.cells)}"  # fmt: skip
        damage.report("no_text", row.line.where, got[:200])
        return None
    length = len(text.encode())
    if length > shard.max_document_bytes:
        damage.report("too_long", row.line.where, f"{length:,} bytes")
        return None
    return text


def _name(row: Row, column: str | None) -> str | None:
    value = None if column is None else row.get(column)
    return None if value is None else str(value)
