# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Row groups of Parquet in batches that are bounded by bytes, not by rows alone.

A column of strings may hold one value of 4 MB once, in its dictionary, and name it 4,096 times: 654 bytes
on disk, 17 GB unpacked. No row of such a page is longer than the whole dictionary, whose size stands before
it in the file, and so many rows are unpacked at a time that even the worst case fits:

    dictionary of 4 MB (one value)      64 MiB ──► 16 rows at a time, each batch is full after 16 rows
    dictionary of 1 MB (many values)           ──► 64 rows at a time, joined until a batch has 4,096
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

_ROWS = 4096
_BYTES = 64 << 20
_LONGEST_NUMBER = 10  # Bytes of a number in Thrift's compact form.


class ParquetTable:
    """Read an opened Parquet file.

    Attributes:
        schema: Its columns.
        groups: The number of its row groups.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._opened: Any = parquet.ParquetFile(stream)
        self.schema: pa.Schema = self._opened.schema_arrow
        self.groups: int = self._opened.metadata.num_row_groups

    def rows_before(self, group: int) -> int:
        """Return the rows in the groups before one."""
        return sum(self._opened.metadata.row_group(i).num_rows for i in range(group))

    def batches(self, group: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the batches of one group, with the columns asked for or all.

        Of a struct only the fields asked for are unpacked, as in `outer.inner`: a list of strings beside them may
        name one long value any number of times in a single row.
        """
        names = self.schema.names if columns is None else columns
        rows = self._rows_at_once(group, names)
        return _joined(self._opened.iter_batches(rows, [group], columns))

    def _rows_at_once(self, group: int, names: Sequence[str]) -> int:
        found = self._opened.metadata.row_group(group)
        every = (found.column(i) for i in range(found.num_columns))
        chosen = (
            one for one in every
            if any(f"{one.path_in_schema}.".startswith(f"{name}.") for name in names)
        )  # fmt: skip
        worst = sum(
            self._dictionary_bytes(column)
            for column in chosen
            if column.physical_type in {"BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"}
        )
        return int(np.clip(_BYTES // max(worst, 1), 1, _ROWS))

    def _dictionary_bytes(self, column: Any) -> int:
        """Return the unpacked size of a column's dictionary; 0 where it has none.

        A page begins with a Thrift record: field 1 is its kind, field 2 its unpacked size.
        """
        if not column.has_dictionary_page:
            return 0
        self._stream.seek(column.dictionary_page_offset)
        head = self._stream.read(2 * (1 + _LONGEST_NUMBER))
        _, at = _number(head, 1)
        size, _ = _number(head, at + 1)
        return max(size, 0)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a place in Thrift's compact form, and the place behind it."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if byte < 0x80:
            break
    return (value >> 1) ^ -(value & 1), at


def _joined(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in batches of up to 4,096, or fewer where they take 64 MiB."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if held and (rows + batch.num_rows > _ROWS or size + batch.nbytes > _BYTES):
            yield pa.concat_batches(held)
            held, rows, size = [], 0, 0
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
    if held:
        yield pa.concat_batches(held)
