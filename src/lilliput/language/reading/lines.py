# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Plain text and JSON Lines, read line by line within a byte range."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa

from lilliput.language.reading.columns import choose_columns
from lilliput.language.reading.documents import BatchMaker, Damage, Document
from lilliput.language.reading.shard import Shard

TEXT_CHUNK_BYTES = 1 << 20
SECTION_BYTES = 4 << 10  # About two pages: enough sentences each, enough sections to divide.

# What a stream that ends early or holds garbage raises, by kind of compression.
STREAM_ERRORS = (EOFError, OSError, zlib.error, pa.ArrowException)


def read_text(shard: Shard, damage: Damage) -> Iterator[pa.RecordBatch]:
    """Documents of a text file: the file, its lines, or chunks of whole lines."""
    maker = BatchMaker()
    unit = _unit(shard)
    for offset, raw in _units(shard, damage, unit):
        text = decode(raw, f"{shard.file.name} at byte {offset}", damage)
        if text is None or not text.strip():
            continue
        identity = shard.file.name if unit == 0 else f"{shard.file.name}@{offset}"
        batch = maker.add(Document(text, identity, shard.file.label))
        if batch is not None:
            yield batch
    if (batch := maker.flush()) is not None:
        yield batch


def _unit(shard: Shard) -> int:
    """Bytes after which a text document ends at the next line end; 0 for the whole file."""
    file = shard.file
    if file.source.text_unit == "line":
        return 1
    if file.source.text_unit == "section":
        return SECTION_BYTES
    small = not file.compression and file.size <= TEXT_CHUNK_BYTES
    return 0 if file.source.text_unit == "file" or small else TEXT_CHUNK_BYTES


def _units(shard: Shard, damage: Damage, unit: int) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of each document; chunk k holds the lines that begin in its `unit` bytes."""
    pending: list[bytes] = []
    size, begin = 0, 0
    for offset, line in iter_lines(shard, damage):
        starts_new = unit and pending and offset // unit != begin // unit
        if starts_new or size + len(line) > shard.max_document_bytes:
            yield begin, b"".join(pending)
            pending, size = [], 0
        if not pending:
            begin = offset
        pending.append(line)
        size += len(line)
    if pending:
        yield begin, b"".join(pending)


def read_json_lines(shard: Shard, damage: Damage) -> Iterator[pa.RecordBatch]:
    """One document a line; the text is found or named as in tables."""
    maker = BatchMaker()
    columns = None
    for offset, line in iter_lines(shard, damage):
        where = f"{shard.file.name} at byte {offset}"
        record = _parse_record(line, where, damage)
        if record is None:
            continue
        columns = columns or choose_columns(_texts_first(record), shard.file)
        text = record.get(columns.text)
        if not isinstance(text, str):
            damage.report("no_text", where, f"{columns.text} = {text!r}"[:200])
            continue
        document = Document(
            text,
            _name(record, columns.doc_id, f"{shard.file.name}@{offset}"),
            _name(record, columns.source, shard.file.label),
            _name(record, columns.split_group, None),
        )
        if (batch := maker.add(document)) is not None:
            yield batch
    if (batch := maker.flush()) is not None:
        yield batch


def _texts_first(record: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(name, isinstance(value, str)) for name, value in record.items()]


def _name(record: dict[str, Any], column: str | None, otherwise: Any) -> Any:
    value = None if column is None else record.get(column)
    return otherwise if value is None else str(value)


def _parse_record(line: bytes, where: str, damage: Damage) -> dict[str, Any] | None:
    text = decode(line, where, damage)
    if text is None or not text.strip():
        return None
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        damage.report("invalid_json", where, error)
        return None
    if not isinstance(record, dict):
        damage.report("invalid_json", where, f"{type(record).__name__}, not an object")
        return None
    return record


def decode(raw: bytes, where: str, damage: Damage) -> str | None:
    """`raw` as text; None, and a report, if it is not UTF-8."""
    try:
        return raw.decode("utf-8-sig" if raw.startswith(b"\xef\xbb\xbf") else "utf-8")
    except UnicodeDecodeError as error:
        damage.report("invalid_utf8", where, error)
        return None


def iter_lines(shard: Shard, damage: Damage) -> Iterator[tuple[int, bytes]]:
    """(offset, line) of each line that begins in the shard's byte range.

    Lines longer than `max_document_bytes` are reported and passed over without being held; a
    stream that ends early gives the lines before the damage.
    """
    try:
        with shard.file.open() as file:
            yield from _lines_in(file, shard, damage)
    except STREAM_ERRORS as error:
        damage.report("unreadable_file", shard.file.path, error)


def _lines_in(file: IO[bytes], shard: Shard, damage: Damage) -> Iterator[tuple[int, bytes]]:
    at = shard.first
    if at > 0:
        file.seek(at - 1)
        at += _skip_line(file) - 1  # The line that began before this shard.
    limit = shard.max_document_bytes
    while shard.last < 0 or at < shard.last:
        line = file.readline(limit + 1)
        if not line:
            return
        length = len(line)
        if length > limit and not line.endswith(b"\n"):
            length += _skip_line(file)
            damage.report("too_long", f"{shard.file.name} at byte {at}", f"{length:,} bytes")
        else:
            yield at, line
        at += length


def _skip_line(file: IO[bytes]) -> int:
    """Pass over the rest of a line; the number of its bytes."""
    skipped = 0
    while part := file.readline(TEXT_CHUNK_BYTES):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped
