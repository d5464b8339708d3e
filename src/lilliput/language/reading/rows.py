'''One reader of text tables (CSV, tab-separated, JSON Lines), record by record and as it is written.

Sources of corpora, tables to filter, transcripts and task data are all read here. Every cell of CSV is
text: `007`, `NA`, `null` and `12:30` stay what they are. In tab-separated files quotes are plain
characters; in CSV a quoted cell may hold commas, quotes written twice, and line breaks:

    id,text            header
    1,"one,            a record of two lines: id `1`, text `one,` line break `two "x"`
    two ""x"""
    2,5" pipe          a quote inside a cell that does not begin with one is a plain character
    3,"never closed    a damaged row: the lines after it are read on their own
'''

from __future__ import annotations

import csv
import io
import re
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple, cast

import pyarrow as pa

from lilliput.core.files import parse_json
from lilliput.language.reading.columns import ColumnContent
from lilliput.language.reading.documents import Damage
from lilliput.language.reading.shard import Shard

# What a stream that ends early or holds garbage raises, by kind of compression.
STREAM_ERRORS = (EOFError, OSError, zlib.error, pa.ArrowException)

_SKIPPED_AT_ONCE = 1 << 20
_SAMPLED_RECORDS = 1000
# Tables of texts have a few dozen columns. A header of a million is no header, and would be held as a
# million names, and as a million cells a row.
MAX_COLUMNS = 10_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """Hold one line of a file.

    Attributes:
        raw: Its bytes, with the line break.
        offset: The place of its first byte in the decompressed file.
        file: Name of the file.
        number: Its number, counted from 1; 0 where reading began in the middle of the file.
    """

    raw: bytes
    offset: int
    file: str
    number: int

    @property
    def where(self) -> str:
        """Return the file and the place, for a message."""
        place = f"line {self.number}" if self.number else f"byte {self.offset}"
        return f"{self.file}, {place}"


class Row(NamedTuple):
    """Hold one record of a text table.

    Attributes:
        cells: Values by column; all of them strings in CSV.
        raw: The record's bytes as written, with its line breaks.
        line: Its first line.
    """

    cells: Mapping[str, Any]
    raw: bytes
    line: Line

    def get(self, column: str) -> Any:
        """Return the value of a column, or of a field `outer.inner` of it; None where there is none."""
        if column in self.cells:
            return self.cells[column]
        value: Any = self.cells
        for part in column.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


class Remainder(NamedTuple):
    """Hold the part of a file that another reader left.

    Attributes:
        stream: Its bytes.
        offset: The place of the first of them in the decompressed file.
        line: The number of line breaks before it.
    """

    stream: io.RawIOBase
    offset: int
    line: int


class TextTable:
    """Read the records of a CSV, tab-separated or JSON Lines file, in order.

    Args:
        shard: What to read; CSV is read whole.
        damage: Where damaged records are reported.
        rest: What is left to read of a CSV file, where its beginning has been read already.
        names: The columns, in that case.
    """

    def __init__(
        self,
        shard: Shard,
        damage: Damage,
        rest: Remainder | None = None,
        names: Sequence[str] = (),
    ) -> None:
        self._shard, self._damage, self._rest = shard, damage, rest
        self.names = list(names)
        # As written; empty for JSON Lines. It is known once reading has begun.
        self.header = b",".join(name.encode() for name in names)

    def __iter__(self) -> Iterator[Row]:
        if self._shard.file.format == "jsonl":
            return self._json()
        return self._delimited()

    def _json(self) -> Iterator[Row]:
        for line in iter_lines(self._shard, self._damage):
            text = decode(line.raw, line, self._damage)
            if text is None or not text.strip():
                continue
            try:
                record = parse_json(text, allow_nan=True)
            except ValueError as error:
                self._damage.report("invalid_json", line.where, error)
            else:
                if isinstance(record, dict):
                    yield Row(record, line.raw, line)
                else:
                    kind = f"{type(record).__name__}, not an object"
                    self._damage.report("invalid_json", line.where, kind)

    def _delimited(self) -> Iterator[Row]:
        lines = _Lines(self._shard, self._damage, self._rest)
        delimiter = delimiter_of(self._shard.file.name)
        damaged_before = self._damage.counts.total()
        for first in lines:
            if not self.header and not self._may_be_header(first, delimiter, damaged_before):
                return
            found = _read_record(first, lines, delimiter, self._damage)
            if found is None:
                continue
            cells, raw = found
            if not self.header:
                self.header, self.names = raw, cells
            elif len(cells) != len(self.names):
                counted = f"{len(cells)} cells under {len(self.names)} columns"
                self._damage.report("invalid_row", first.where, counted)
            else:
                row = dict(zip(self.names, cells, strict=True))
                yield Row(row, raw, first)

    def _may_be_header(self, first: Line, delimiter: str, damaged_before: int) -> bool:
        """Return whether a line can be the header; if not, the file has none and is passed over whole.

        A header that is damaged is not replaced by the first row: its cells are no names.
        """
        if self._damage.counts.total() > damaged_before:
            got = "a damaged first line"
        elif (columns := first.raw.count(delimiter.encode()) + 1) > MAX_COLUMNS:
            got = f"about {columns:,} columns, and at most {MAX_COLUMNS:,} are read"
        else:
            return True
        self._damage.report("no_header", self._shard.file.path, got)
        return False


def delimiter_of(name: str) -> str:
    """Return the sign between the cells of a file of this name."""
    return "\t" if ".tsv" in name.lower() else ","


class _Lines:
    """The lines of a file; lines that a broken record took too many can be put back."""

    def __init__(self, shard: Shard, damage: Damage, rest: Remainder | None) -> None:
        self.limit = shard.max_document_bytes
        self._lines = iter_lines(shard, damage, rest)
        self._returned: deque[Line] = deque()

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        return self._returned.popleft() if self._returned else next(self._lines)

    def put_back(self, lines: list[Line]) -> None:
        self._returned.extendleft(reversed(lines))


# A record of CSV that is well quoted, the same whose last cell is still open, and one cell of it.
_CELL = r'(?:"[^"]*(?:""[^"]*)*"|[^",\r\n]*)'
_WELL_QUOTED = re.compile(rf"{_CELL}(?:,{_CELL})*\r?\n?")
_STILL_OPEN = re.compile(rf'(?:{_CELL},)*"[^"]*(?:""[^"]*)*')
_CELLS = re.compile(r'(?:^|,)(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))')


def _read_record(
    first: Line, lines: _Lines, delimiter: str, damage: Damage
) -> tuple[list[str], bytes] | None:
    """Return the cells and bytes of the record that begins in `first`; None if it is blank or damaged."""
    text = decode(first.raw, first, damage)
    if text is None or not (bare := text.rstrip("\r\n")):
        return None
    if delimiter == "\t" or '"' not in text:
        return bare.split(delimiter), first.raw
    return _well_quoted(text, first, lines) or _badly_quoted(text, first, lines, damage)


def _well_quoted(text: str, first: Line, lines: _Lines) -> tuple[list[str], bytes] | None:
    """Return the cells and bytes of a record; None, and its lines put back, if a quote is out of place."""
    raw, taken = first.raw, [first.raw]
    if text.count('"') % 2:
        if not _STILL_OPEN.fullmatch(text):
            return None
        more: list[Line] = []
        size = len(raw)
        for line in lines:
            more.append(line)
            taken.append(line.raw)
            size += len(line.raw)
            if line.raw.count(b'"') % 2 or size > lines.limit:
                break
        raw = b"".join(taken)
        try:
            text = raw.removeprefix(_BYTE_ORDER_MARK).decode()
        except UnicodeDecodeError:
            lines.put_back(more)
            return None
        if not _WELL_QUOTED.fullmatch(text):
            lines.put_back(more)
            return None
    elif not _WELL_QUOTED.fullmatch(text):
        return None
    return [quoted.replace('""', '"') or plain for quoted, plain in _CELLS.findall(text)], raw


def _badly_quoted(
    text: str, first: Line, lines: _Lines, damage: Damage
) -> tuple[list[str], bytes] | None:
    """Return the cells and bytes of a record with stray quotes, as other programs read it; None if it is damaged."""
    bare, taken = text.rstrip("\r\n"), [first]

    def feed() -> Iterator[str]:
        yield text
        size = len(first.raw)
        for line in lines:
            taken.append(line)
            size += len(line.raw)
            if size > lines.limit:
                return
            yield line.raw.decode("utf-8", errors="surrogateescape")

    csv.field_size_limit(max(lines.limit, csv.field_size_limit()))
    try:
        cells = next(csv.reader(feed(), delimiter=","))
    except (csv.Error, StopIteration) as error:
        lines.put_back(taken[1:])
        damage.report("invalid_row", first.where, error)
        return None
    raw = b"".join(line.raw for line in taken)
    if _is_unbalanced(raw, several=len(taken) > 1):
        lines.put_back(taken[1:])
        damage.report("unbalanced_quote", first.where, repr(bare)[:200])
        return None
    if len(taken) > 1 and decode(raw, first, damage) is None:
        return None
    return cells, raw


def _is_unbalanced(raw: bytes, *, several: bool) -> bool:
    """Return whether a quote was never closed, or closed by one that opens a later cell.

    In a record of one line stray quotes do no harm, and are left as they are.
    """
    text = raw.decode("utf-8", errors="surrogateescape")
    if not several and text.count('"') % 2 == 0:
        return False
    lines = io.StringIO(text, newline="")
    try:
        rows = list(csv.reader(lines, strict=True))
    except csv.Error as error:
        return several or "end of data" in str(error)
    return len(rows) != 1


def decode(raw: bytes, where: str | Line, damage: Damage) -> str | None:
    """Return `raw` as text; None, and a report, if it is not UTF-8."""
    try:
        return raw.decode("utf-8-sig" if raw.startswith(_BYTE_ORDER_MARK) else "utf-8")
    except UnicodeDecodeError as error:
        place = where.where if isinstance(where, Line) else where
        damage.report("invalid_utf8", place, error)
        return None


def iter_lines(shard: Shard, damage: Damage, rest: Remainder | None = None) -> Iterator[Line]:
    """Yield each line that begins in the shard's byte range, or in what is left of it.

    Lines longer than `max_document_bytes` are reported and passed over without being held; a
    stream that ends early gives the lines before the damage.
    """
    try:
        if rest is not None:
            file = cast("IO[bytes]", io.BufferedReader(rest.stream))
            yield from _lines_from(file, shard, damage, rest.offset, rest.line)
            return
        with shard.file.open() as file:
            yield from _lines_in(file, shard, damage)
    except STREAM_ERRORS as error:
        damage.report("unreadable_file", shard.file.path, error)


def _lines_in(file: IO[bytes], shard: Shard, damage: Damage) -> Iterator[Line]:
    at = shard.first
    if at > 0:
        file.seek(at - 1)
        at += _skip_line(file) - 1  # The line that began before this shard.
    yield from _lines_from(file, shard, damage, at, 0)


def _lines_from(
    file: IO[bytes], shard: Shard, damage: Damage, at: int, number: int
) -> Iterator[Line]:
    """Yield the lines from byte `at` on, behind `number` others."""
    limit, name = shard.max_document_bytes, shard.file.name
    while shard.last < 0 or at < shard.last:
        line = file.readline(limit + 1)
        if not line:
            return
        number += 1
        found = Line(line, at, name, number if shard.first == 0 else 0)
        length = len(line)
        if length > limit and not line.endswith(b"\n"):
            length += _skip_line(file)
            damage.report("too_long", found.where, f"{length:,} bytes")
        else:
            yield found
        at += length


def _skip_line(file: IO[bytes]) -> int:
    """Pass over the rest of a line, and return the number of its bytes."""
    skipped = 0
    while part := file.readline(_SKIPPED_AT_ONCE):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped


def columns_of_text_table(shard: Shard) -> list[tuple[str, ColumnContent]]:
    """Return the columns of a text table by its first 1,000 records; none if it holds no record."""
    table = TextTable(shard, Damage("skip"))
    found: dict[str, ColumnContent] = {}
    for number, row in enumerate(table):
        for name, value in _fields(row.cells):
            found[name] = _seen(found.get(name, ColumnContent.NOTHING), value)
        if number + 1 >= _SAMPLED_RECORDS or len(found) > MAX_COLUMNS:
            break
    if table.header:
        return [(name, ColumnContent.STRINGS) for name in table.names]
    return list(found.items())


def _fields(record: Mapping[str, Any], outer: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        yield f"{outer}{name}", value
        if isinstance(value, Mapping):
            yield from _fields(value, f"{outer}{name}.")


def _seen(before: ColumnContent, value: Any) -> ColumnContent:
    if value is None or before is ColumnContent.OTHER:
        return before
    return ColumnContent.STRINGS if isinstance(value, str) else ColumnContent.OTHER
