# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Read the texts of CSV and tab-separated files with Arrow's reader, as far as it is sure to read what `rows` reads.

The file is read in blocks of whole records. A block is looked at first: where all quotes stand where they belong, all
bytes are text and no line break is odd, Arrow's reader and the exact one give the same cells, and Arrow's is several
times as fast. At the first block of which that is not known the exact reader takes over, to the end of the file.

    id,text
    1,"a ""b"" c"     quotes: the 1st opens behind a comma, the 2nd and 3rd are a pair, …, the last closes before a break
    2,5" pipe         a quote behind a letter: not sure, the exact reader goes on from this block
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from lilliput.language.reading.columns import Columns
from lilliput.language.reading.documents import BATCH_DOCUMENTS, BATCH_SCHEMA, Damage
from lilliput.language.reading.rows import Remainder, TextTable, delimiter_of
from lilliput.language.reading.shard import Shard

_BLOCK = 4 << 20
_QUOTE, _BREAK, _COMMA, _RETURN = b'"\n,\r'
_ODD = (b"\xef\xbb\xbf", b"\0")  # A byte order mark that may begin a line, and what is no text.


@dataclass
class FastRows:
    """The records at the beginning of a table that Arrow may read.

    Attributes:
        rows: Records read so far.
        rest: Where the exact reader goes on; None where the whole file was read.
        names: The columns.
    """

    rows: int
    rest: Remainder | None
    names: list[str]


def read_fast(
    file: IO[bytes], shard: Shard, columns: Columns, progress: FastRows
) -> Iterator[pa.RecordBatch]:
    """Yield the documents that Arrow may read, and leave in `progress` where the exact reader has to go on.

    Args:
        file: The opened file, at its beginning.
        shard: What is read.
        columns: The columns to read.
        progress: Filled in: its values are right when the iterator ends.
    """
    names, header = _header(shard)
    delimiter = delimiter_of(shard.file.name)
    block = file.read(_BLOCK)
    offset = line = 0
    if _may_begin(names, columns) and header and block.startswith(header):
        progress.names = names
        offset, line = len(header), header.count(b"\n")
        block = block[offset:]
        while True:
            more = file.read(_BLOCK)
            end = _end_of_records(block, delimiter) if more else len(block)
            records = block[:end]
            if more and not end:  # One record is longer than a block, or a quote was never closed.
                block += more
                break
            found = _parse(records, names, columns, delimiter, shard.max_document_bytes)
            if found is None:
                block += more
                break
            yield from _as_documents(found, columns, shard, progress)
            offset, line = offset + end, line + records.count(b"\n")
            block = block[end:] + more
            if not block:
                return
    progress.rest = Remainder(_Joined(block, file), offset, line)


def _header(shard: Shard) -> tuple[list[str], bytes]:
    """Return the names of the columns and the bytes of the header; empty where anything is wrong with it."""
    damage = Damage("skip")
    table = TextTable(shard, damage)
    next(iter(table), None)
    return ([], b"") if damage.counts else (table.names, table.header)


def _may_begin(names: list[str], columns: Columns) -> bool:
    return len(set(names)) == len(names) and columns.text in names and names != [""]


def _end_of_records(block: bytes, delimiter: str) -> int:
    """Return the end of the last record that ends in the block; 0 where there is none."""
    if delimiter == "\t":
        return block.rfind(b"\n") + 1
    data = np.frombuffer(block, np.uint8)
    outside = _ends(data, np.flatnonzero(data == _QUOTE))
    return int(outside[-1]) + 1 if outside.size else 0


def _parse(
    block: bytes, names: list[str], columns: Columns, delimiter: str, limit: int
) -> pa.Table | None:
    """Return the columns of the block's records; None where another reader might read them otherwise."""
    if not _is_plain(block, delimiter, limit):
        return None
    wanted = [name for name in columns.names() if name in names]
    if not block.strip(b"\r\n"):
        return pa.table({name: pa.array([], pa.large_string()) for name in wanted})
    try:
        return csv.read_csv(
            pa.BufferReader(block),
            csv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1),
            csv.ParseOptions(
                delimiter=delimiter,
                quote_char=False if delimiter == "\t" else '"',
                newlines_in_values=True,
            ),
            csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.large_string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None


def _is_plain(block: bytes, delimiter: str, limit: int) -> bool:
    """Return whether all readers agree on the records of the block, but for the number of cells."""
    if not block or any(odd in block for odd in _ODD):
        return not block
    if block.count(b"\r") != block.count(b"\r\n"):
        return False
    try:
        str(block, "utf-8")
    except UnicodeDecodeError:
        return False
    data = np.frombuffer(block, np.uint8)
    quotes = np.flatnonzero(data == _QUOTE) if delimiter == "," else np.zeros(0, np.int64)
    return _are_paired(data, quotes) and _longest(data, quotes) <= limit


def _are_paired(data: NDArray[np.uint8], quotes: NDArray[np.int64]) -> bool:
    """Return whether each quote opens a cell, closes one, or is one of two in the middle of one."""
    if quotes.size % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    before = np.concatenate([[np.uint8(_BREAK)], data])[opening]
    after = np.concatenate([data, [np.uint8(_BREAK)]])[closing + 1]
    doubled = closing[:-1] + 1 == opening[1:]
    opens = (before == _COMMA) | (before == _BREAK)
    closes = (after == _COMMA) | (after == _BREAK) | (after == _RETURN)
    opens[1:] |= doubled
    closes[:-1] |= doubled
    return bool(np.all(opens) and np.all(closes))


def _longest(data: NDArray[np.uint8], quotes: NDArray[np.int64]) -> int:
    """Return the bytes of the longest record."""
    edges = np.concatenate([[-1], _ends(data, quotes), [data.size]])
    return int(np.diff(edges).max())


def _ends(data: NDArray[np.uint8], quotes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of the line breaks outside of quoted cells."""
    breaks = np.flatnonzero(data == _BREAK)
    return breaks[np.searchsorted(quotes, breaks) % 2 == 0]


def _as_documents(
    found: pa.Table, columns: Columns, shard: Shard, progress: FastRows
) -> Iterator[pa.RecordBatch]:
    file = shard.file
    for batch in found.combine_chunks().to_batches(BATCH_DOCUMENTS):
        first, count = progress.rows, batch.num_rows
        numbers = pa.array([f"{file.name}:{number}" for number in range(first, first + count)])
        groups = _values(batch, columns.split_group)
        yield pa.RecordBatch.from_arrays(
            [
                batch.column(columns.text),
                _filled(_values(batch, columns.doc_id), numbers),
                _filled(
                    _values(batch, columns.source), pa.array([file.label] * count, pa.string())
                ),
                pa.nulls(count, pa.string()) if groups is None else groups,
            ],
            schema=BATCH_SCHEMA,
        )
        progress.rows += count


def _values(batch: pa.RecordBatch, name: str | None) -> pa.Array | None:
    is_there = name is not None and name in batch.schema.names
    return batch.column(name).cast(pa.string()) if is_there else None


def _filled(values: pa.Array | None, others: pa.Array) -> pa.Array:
    """Return `values`, with one of `others` in place of each that is empty."""
    return others if values is None else pc.if_else(pc.equal(values, ""), others, values)


class _Joined(io.RawIOBase):
    """Read the bytes of a block, then those of a file."""

    def __init__(self, block: bytes, file: IO[bytes]) -> None:
        self._block, self._file = io.BytesIO(block), file

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, and return how many bytes were read."""
        data = self._block.read(len(buffer)) or self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
