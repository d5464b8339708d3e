"""Arrow's reader of CSV gives what the exact reader gives, to the last document and the last report of damage."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lilliput.language.reading import fast_csv
from lilliput.language.reading.columns import Columns
from lilliput.language.reading.documents import BATCH_SCHEMA, Damage, Source
from lilliput.language.reading.files import find_files
from lilliput.language.reading.lines import _documents, read_text_table
from lilliput.language.reading.rows import TextTable
from lilliput.language.reading.shard import WHOLE, Shard

PIECES = st.sampled_from(
    [b"a", b"the cat", b",", b",", b"\n", b"\n", b"\r\n", b"\r", b'"', b'""', b'"a, b"', b'"x\ny"', b'"x""y"', b'"",',
     b"\t", b"007", b"NA", b"null", b" ", "é".encode(), "\u2028".encode(), b"\xff", b"\0", b"\xef\xbb\xbf", b"\\"],
)  # fmt: skip
CELLS = st.sampled_from(
    ["a", "", "NA", "1,5", 'say "hi"', "two\nlines", "é", " x ", "\\", "'", "\u2028", "a\tb"]
)


def quoted(cell: str, always: bool) -> str:
    if always or any(mark in cell for mark in ',"\n\r'):
        return '"' + cell.replace('"', '""') + '"'
    return cell


ROWS = st.tuples(
    st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=30),
    st.booleans(),
    st.sampled_from(["\n", "\r\n"]),
)
WELL = ROWS.map(
    lambda drawn: "".join(
        ",".join(quoted(cell, drawn[1]) for cell in row) + drawn[2] for row in drawn[0]
    ).encode()
)
BODIES = st.one_of(
    st.lists(PIECES, max_size=40).map(b"".join),
    WELL,
    st.tuples(WELL, st.lists(PIECES, max_size=6).map(b"".join), WELL).map(b"".join),
)


def shard_of(path: Path, limit: int) -> Shard:
    (file,) = find_files([Source(path=str(path))])
    columns = Columns("text", "id", "source", "split_group")
    return Shard(0, file, 0, WHOLE, limit, columns)


def result(batches, damage: Damage) -> tuple[list, dict]:
    return pa.Table.from_batches(list(batches), BATCH_SCHEMA).to_pylist(), damage.as_record()


def both(path: Path, limit: int) -> tuple[tuple[list, dict], tuple[list, dict]]:
    shard = shard_of(path, limit)
    fast, exact = Damage("skip"), Damage("skip")
    plain = _documents(TextTable(shard, exact), shard.columns, shard, exact)
    return result(read_text_table(shard, fast), fast), result(plain, exact)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(
        [
            b"id,text,source\n",
            b"text,id,split_group\r\n",
            b'"text",id,source\n',
            b"text\n",
            b"id,text,text\n",
            b"\n\ntext,id,source\n",
            b"",
        ]
    ),
    BODIES,
    st.sampled_from([8, 40, 4 << 20]),
    st.sampled_from([12, 1 << 20]),
    st.sampled_from([".csv", ".tsv"]),
)
@example(b"text\n", b'""\n\n"a"\n', 8, 1 << 20, ".csv")
@example(b"text,id,source\n", b'a,b,c\n"x\n' * 9, 8, 12, ".csv")
def test_both_readers_give_the_same(tmp_path_factory, head, body, block, limit, ending) -> None:
    path = tmp_path_factory.mktemp("csv") / f"table{ending}"
    if ending == ".tsv":
        head, body = head.replace(b",", b"\t"), body.replace(b",", b"\t")
    path.write_bytes(head + body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_csv, "_BLOCK", block)
        fast, exact = both(path, limit)
    assert fast == exact


def test_well_quoted_tables_are_read_by_arrow_alone(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "table.csv"
    rows = [f'{n},"line {n},\nand ""more"" of it",s\n' for n in range(500)]
    path.write_text("id,text,source\n" + "".join(rows))
    monkeypatch.setattr(fast_csv, "_BLOCK", 1000)
    monkeypatch.setattr(TextTable, "_delimited", _first_only)
    shard = shard_of(path, 1 << 20)
    found, damage = result(read_text_table(shard, Damage()), Damage())
    assert [row["text"] for row in found] == [f'line {n},\nand "more" of it' for n in range(500)]
    assert (found[3]["doc_id"], found[3]["source"], damage["counts"]) == ("3", "s", {})


_DELIMITED = TextTable._delimited


def _first_only(table: TextTable):
    """The exact reader, which may look at the header and the first record alone."""
    yield next(_DELIMITED(table))
    pytest.fail("the exact reader went on")
