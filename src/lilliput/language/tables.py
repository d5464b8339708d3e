# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Keep the rows of any table whose texts stay within a vocabulary: GLUE, BLiMP, one's own.

Rows come back as they were written. From CSV, tab-separated text or JSON Lines to the same format the
bytes of each kept record are copied; from Parquet to Parquet values and types are kept:

    id,text,seen            words: the, cat         id,text,seen
    007,"the cat",12:30     ───────────────►        007,"the cat",12:30
    008,the dog,NA
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import feather, parquet

from lilliput.core.errors import InputError
from lilliput.core.files import atomic_path, require_file
from lilliput.core.intervals import proportion_interval
from lilliput.core.wording import some
from lilliput.language.reading.documents import Damage
from lilliput.language.reading.files import InputFile, find_files
from lilliput.language.reading.parquet import ParquetTable
from lilliput.language.reading.rows import Line, Row, TextTable, delimiter_of
from lilliput.language.reading.shard import WHOLE, Shard
from lilliput.language.reading.tables import FILE_ERRORS, ArrowTable, open_arrow
from lilliput.language.words.profiles import word_profile
from lilliput.language.words.splitting import passes_unseen, split_words
from lilliput.language.words.vocabulary import Vocabulary

# The rule by which the paper filtered GLUE; it is for sentences, not a word profile for corpora.
GLUE_PAPER = "glue-paper"

# arXiv 2305.17266; text-machine-lab/mini_bert, utils.py, lines 17-71.
_GLUE_STRIPPED = str.maketrans("", "", "0123456789!:&“”—-_,@#$?;’.'()\"")
_GLUE_CLITICS = frozenset({"", "nt", "s", "re", "t", "d", "ll"})

UnknownWords = Callable[[str], list[str]]

_LARGEST_RECORD = 64 << 20  # Bytes; one record of a table to filter may be so long.
_TEXT_ENDINGS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".ndjson": "jsonl",
}
_ARROW_ENDINGS = (".parquet", ".feather")


@dataclass
class _Counts:
    rows: int = 0
    kept: int = 0

    def as_record(self) -> dict[str, Any]:
        share = proportion_interval(self.kept, self.rows).as_record() if self.rows else None
        return {"rows": self.rows, "kept": self.kept, "share": share}


def glue_paper_words(text: str) -> list[str]:
    """Return the words that the paper's GLUE rule looks up in a row whose texts are joined by a space.

    Words with a capital letter are left out, the first word of the row excepted; digits and most
    punctuation are deleted, and so are the remains of contractions.

    Source: text-machine-lab/mini_bert, utils.py, lines 17-71.
    """
    pieces = text.split(" ")
    checked = [pieces[0], *(word for word in pieces[1:] if word == word.lower())]
    stripped = (word.lower().translate(_GLUE_STRIPPED) for word in checked)
    return [word for word in stripped if word not in _GLUE_CLITICS]


def unknown_words(vocabulary: Vocabulary, profile: str) -> UnknownWords:
    """Return a function from a text to its words that are not in `vocabulary`, repetitions included.

    Args:
        vocabulary: The words admitted.
        profile: A word profile, or GLUE_PAPER.
    """
    if profile == GLUE_PAPER:
        members = frozenset(vocabulary.words)
        return lambda text: [word for word in glue_paper_words(text) if word not in members]
    rule = word_profile(profile)
    admitted = vocabulary.looked_up(rule)
    return lambda text: [
        word
        for word in split_words(text, rule)
        if word not in admitted and not passes_unseen(word, rule)
    ]


def filter_table(
    table: Path,
    columns: Sequence[str],
    vocabulary: Vocabulary,
    profile: str,
    out: Path,
    *,
    max_unknown: int = 0,
) -> dict[str, Any]:
    """Write the rows whose texts hold at most `max_unknown` unknown words.

    Args:
        table: A Parquet, Feather, CSV, tab-separated or JSON Lines file, or a folder with one file a split.
        columns: The text columns, joined by a space in this order; a field of a struct as `outer.inner`.
        vocabulary: The words admitted.
        profile: A word profile, or `glue-paper`.
        out: Where the kept rows go: a file, whose ending says the format, or for a folder a folder, in
            which each file keeps its name and format.
        max_unknown: Unknown words allowed in a row.

    Returns:
        `rows`, `kept`, `share` (with Wilson's interval), the same by split, and the most frequent
        `unknown` words.

    Raises:
        InputError: A column is not there, or a record cannot be read.
    """
    check = _Check(unknown_words(vocabulary, profile), tuple(columns), max_unknown)
    splits: dict[str, Any] = {}
    total = _Counts()
    for file in _tables(table):
        name = Path(file.name).name.removesuffix(".gz").removesuffix(".zst")
        target = out / name if table.is_dir() else out
        check.counts = _Counts()
        _filter_one(file, check, target)
        splits[Path(name).stem] = check.counts.as_record()
        total.rows += check.counts.rows
        total.kept += check.counts.kept
    most = sorted(check.seen.items(), key=lambda item: (-item[1], item[0]))[:50]
    return total.as_record() | {"splits": splits, "unknown": most, "profile": profile}


@dataclass
class _Check:
    """Decides on rows, and counts them and their unknown words."""

    unknown: UnknownWords
    columns: tuple[str, ...]
    max_unknown: int
    seen: Counter[str] = field(default_factory=Counter[str])
    counts: _Counts = field(default_factory=_Counts)

    def keeps(self, texts: Iterable[Any]) -> bool:
        found = self.unknown(" ".join(str(text) for text in texts if text is not None))
        self.seen.update(found)
        kept = len(found) <= self.max_unknown
        self.counts.rows += 1
        self.counts.kept += kept
        return kept

    def require(self, path: str, names: Sequence[str]) -> None:
        """Raise InputError unless the table has the columns."""
        outer = {name.split(".", maxsplit=1)[0] for name in self.columns if name not in names}
        if not self.columns or not outer <= set(names):
            raise InputError(
                f"{path} must have the columns {', '.join(self.columns) or '(none named)'}",
                got=f"the columns {some(names) or '(none)'}",
            )


def _tables(table: Path) -> list[InputFile]:
    if not table.is_dir():
        require_file(table, "the table")
        if table.suffix.lower() not in {*_TEXT_ENDINGS, *_ARROW_ENDINGS, ".gz", ".zst", ".arrow"}:
            raise InputError(
                "the table's ending must be known",
                got=table,
                remedy=f"Use one of: {', '.join((*_TEXT_ENDINGS, *_ARROW_ENDINGS))}.",
            )
        return find_files([table])
    found = [
        file
        for file in find_files([table])
        if file.format not in {"text", "transcript"} and "/" not in file.name
    ]
    if not found:
        endings = ", ".join((*_TEXT_ENDINGS, *_ARROW_ENDINGS))
        raise InputError(f"{table} must hold tables", got="none", remedy=f"Endings: {endings}.")
    return found


def _filter_one(file: InputFile, check: _Check, out: Path) -> None:
    ending = out.suffix.lower()
    if ending not in {*_TEXT_ENDINGS, *_ARROW_ENDINGS}:
        raise InputError(
            "the ending of the output must be known",
            got=out,
            remedy=f"Use one of: {', '.join((*_TEXT_ENDINGS, *_ARROW_ENDINGS))}.",
        )
    try:
        if file.format in {"parquet", "feather"}:
            _filter_arrow(file, check, out)
        else:
            _filter_text(file, check, out)
    except FILE_ERRORS as error:
        raise InputError(f"{file.path} must be a readable table", got=error) from None


def _filter_text(file: InputFile, check: _Check, out: Path) -> None:
    """Filter CSV, tab-separated text or JSON Lines."""
    table = TextTable(Shard(0, file, 0, WHOLE, _LARGEST_RECORD), Damage("stop"))
    kept = _kept_rows(table, file, check)
    same = _TEXT_ENDINGS.get(out.suffix.lower()) == file.format
    if same and (file.format == "jsonl" or delimiter_of(out.name) == delimiter_of(file.name)):
        with atomic_path(out) as temporary, temporary.open("wb") as stream:
            is_first = True
            for row in kept:
                if is_first:  # The header is known once a row has been read.
                    stream.write(_ended(table.header))
                is_first = False
                stream.write(_ended(row.raw))
            if is_first:
                stream.write(_ended(table.header))
    else:
        _write([dict(row.cells) for row in kept], table.names, out)


def _ended(record: bytes) -> bytes:
    """Return a record with a line break behind it, which the last of a file may lack."""
    return record if not record or record.endswith(b"\n") else record + b"\n"


def _kept_rows(table: TextTable, file: InputFile, check: _Check) -> Iterator[Row]:
    names: dict[str, None] = {}
    for row in table:
        names.update(dict.fromkeys(row.cells))
        if table.names and check.counts.rows == 0:
            check.require(file.path, table.names)
        if check.keeps(row.get(name) for name in check.columns):
            yield row
    check.require(file.path, list(names) or table.names)


def _filter_arrow(file: InputFile, check: _Check, out: Path) -> None:
    """Filter Parquet or Feather, batch by batch."""
    with open_arrow(file) as table:
        check.require(file.path, table.schema.names)
        kept = (_kept_of_group(table, group, check) for group in range(table.groups))
        if out.suffix.lower() == ".parquet":
            with (
                atomic_path(out) as temporary,
                parquet.ParquetWriter(temporary, table.schema) as writer,
            ):
                for part in kept:
                    writer.write_table(part)
        elif out.suffix.lower() == ".feather":
            empty = table.schema.empty_table()
            _write_feather(pa.concat_tables([empty, *kept]), out)
        else:
            rows = [row for part in kept for row in part.to_pylist()]
            _write(rows, table.schema.names, out)


def _kept_of_group(table: ArrowTable | ParquetTable, group: int, check: _Check) -> pa.Table:
    """Return the kept rows of one group, as slices: Arrow cannot select rows of every type it can hold."""
    slices: list[pa.RecordBatch] = []
    for batch in table.batches(group):
        kept = [check.keeps(texts) for texts in _texts(batch, check.columns)]
        first = 0
        for keeps, run in groupby(kept):
            length = len(list(run))
            if keeps:
                slices.append(batch.slice(first, length))
            first += length
    return pa.Table.from_batches(slices, table.schema)


def _texts(batch: pa.RecordBatch, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    outer = [
        name if name in batch.schema.names else name.split(".", maxsplit=1)[0] for name in columns
    ]
    for values in zip(*(batch.column(name).to_pylist() for name in outer), strict=True):
        row = Row(dict(zip(outer, values, strict=True)), b"", Line(b"", 0, "", 0))
        yield tuple(row.get(name) for name in columns)


def _write(rows: Sequence[Mapping[str, Any]], names: Sequence[str], out: Path) -> None:
    """Write rows in another format than they came in; columns are those of all rows, in order."""
    columns = list(dict.fromkeys([*names, *(name for row in rows for name in row)]))
    ending = out.suffix.lower()
    if ending in _ARROW_ENDINGS:
        table = pa.table([_array(name, rows, out) for name in columns], names=columns)
        if ending == ".feather":
            _write_feather(table, out)
        else:
            with atomic_path(out) as temporary:
                parquet.write_table(table, temporary)
        return
    with atomic_path(out) as temporary, temporary.open("wb") as stream:
        if _TEXT_ENDINGS[ending] == "jsonl":
            for row in rows:
                stream.write((json.dumps(row, ensure_ascii=False, default=str) + "\n").encode())
        else:
            _write_delimited(rows, columns, delimiter_of(out.name), stream)


def _write_feather(table: pa.Table, out: Path) -> None:
    with atomic_path(out) as temporary:
        feather.write_feather(table, str(temporary))


def _array(name: str, rows: Sequence[Mapping[str, Any]], out: Path) -> pa.Array:
    try:
        return pa.array([row.get(name) for row in rows])
    except pa.ArrowException as error:
        raise InputError(
            f"{out}: a column must hold values of one type to be written in this format",
            got=f"column {name!r}: {error}",
            remedy="Write JSON Lines: an output that ends in .jsonl.",
        ) from None


def _write_delimited(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], delimiter: str, stream: BinaryIO
) -> None:
    """Write CSV, or text separated by tabs, whose cells can hold neither tabs nor line breaks."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    if delimiter == ",":
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    else:
        for cells in (list(columns), *([_cell(row.get(n)) for n in columns] for row in rows)):
            if any(sign in cell for cell in cells for sign in "\t\r\n"):
                raise InputError(
                    "cells of tab-separated text must hold no tab and no line break",
                    got=repr(cells)[:200],
                    remedy="Write CSV: an output that ends in .csv.",
                )
            text.write("\t".join(cells) + "\n")
    text.detach()


def _cell(value: Any) -> str:
    """Return a value as a cell; nothing is an empty cell, lists and structs are JSON."""
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
