"""Tables under the vocabulary, and the paper's own rule for GLUE."""

from __future__ import annotations

import csv
import json
import re
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv as arrow_csv
from pyarrow import feather, parquet
from pyarrow import json as arrow_json

from lilliput.core.errors import InputError
from lilliput.language import filter_table, from_counts, read_vocabulary
from lilliput.language.tables import glue_paper_words

# Source: GLUE under the 21,037-word list with `w != w.lower()`; the share of CoLA is that of arXiv 2305.17266's code.
GOLDEN = {
    "cola": (["sentence"], 10_657, 6_593),
    "rte": (["sentence1", "sentence2"], 5_767, 366),
    "mrpc": (["sentence1", "sentence2"], 5_801, 590),
    "wnli": (["sentence1", "sentence2"], 852, 356),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("task", GOLDEN)
def test_the_papers_glue_rule_keeps_the_published_counts(
    tmp_path, data_folder: Path, task: str
) -> None:
    columns, rows, kept = GOLDEN[task]
    vocabulary = read_vocabulary(data_folder / "vocab" / "aochildes_word_frequency.csv")
    record = filter_table(
        data_folder / "glue" / task, columns, vocabulary, "glue-paper", tmp_path / task
    )
    assert (record["rows"], record["kept"]) == (rows, kept)
    written = sum(parquet.read_metadata(p).num_rows for p in (tmp_path / task).glob("*.parquet"))
    assert written == kept


def test_the_papers_rule_word_by_word() -> None:
    text = "The Cat wasn't in  Paris 3 times, don't it's “here”"
    assert glue_paper_words(text) == ["the", "wasnt", "in", "times", "dont", "its", "here"]


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_kept_rows_are_unchanged_in_every_format(tmp_path: Path, ending: str) -> None:
    table = pa.table(
        {"a": ["the cat", "the dog", "Cat's"], "b": ["the", "the", "the"], "n": [1, 2, 3]}
    )
    source = tmp_path / "in.parquet"
    parquet.write_table(table, source)
    out = tmp_path / f"out.{ending}"
    vocabulary = from_counts({"the": 2, "cat": 1, "cats": 1})
    record = filter_table(source, ["a", "b"], vocabulary, "modern", out)
    assert (record["rows"], record["kept"], record["unknown"]) == (3, 2, [("dog", 1)])
    readers = {
        "parquet": parquet.read_table,
        "csv": arrow_csv.read_csv,
        "jsonl": arrow_json.read_json,
    }
    assert readers[ending](out).to_pydict() == {
        "a": ["the cat", "Cat's"],
        "b": ["the", "the"],
        "n": [1, 3],
    }
    again = filter_table(out, ["a", "b"], vocabulary, "modern", tmp_path / f"again.{ending}")
    assert again["kept"] == again["rows"] == 2


def test_unknown_words_may_be_allowed(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"s": "the odd thing"}\n{"s": "the odd"}\n')
    record = filter_table(
        source, ["s"], from_counts({"the": 1}), "modern", tmp_path / "o.jsonl", max_unknown=1
    )
    assert record["kept"] == 1


def test_wrong_tables_are_named(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"s": "a"}\n')
    vocabulary = from_counts({"a": 1})
    with pytest.raises(InputError, match="the columns s"):
        filter_table(source, ["t"], vocabulary, "modern", tmp_path / "o.jsonl")
    with pytest.raises(InputError, match="nothing\\.csv"):
        filter_table(tmp_path / "nothing.csv", ["t"], vocabulary, "modern", tmp_path / "o.csv")
    with pytest.raises(InputError, match="in\\.xls"):
        filter_table(tmp_path / "in.xls", ["t"], vocabulary, "modern", tmp_path / "o.csv")


def keep_everything(source: Path, columns: list[str], out: Path) -> dict:
    return filter_table(source, columns, from_counts({"a": 1}), "modern", out, max_unknown=10**9)


CELLS = st.text(
    alphabet=st.one_of(
        st.sampled_from("ab \",\n\t\r'\\;|é\u2028\x85\x0b0nul:-"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
    ),
    max_size=12,
)
ODD = ["007", "NA", "null", "nan", "None", "12:30", "2026-11-30", "", " ", "1e5", "TRUE", "'x'"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(CELLS, CELLS | st.sampled_from(ODD)), min_size=1, max_size=6))
def test_csv_comes_back_byte_for_byte(tmp_path_factory, rows: list[tuple[str, str]]) -> None:
    folder = tmp_path_factory.mktemp("csv")
    source, out = folder / "in.csv", folder / "out.csv"
    with source.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([("text", "n"), *rows])
    assert keep_everything(source, ["text"], out)["kept"] == len(rows)
    assert out.read_bytes() == source.read_bytes()
    keep_everything(source, ["text"], folder / "out.jsonl")
    lines = (folder / "out.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert [tuple(json.loads(line).values()) for line in lines] == rows
    keep_everything(source, ["text"], folder / "out.parquet")
    back = parquet.read_table(folder / "out.parquet").to_pydict()
    assert list(zip(back["text"], back["n"], strict=True)) == rows


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(CELLS, CELLS | st.sampled_from(ODD)), min_size=1, max_size=6))
def test_tabs_come_back_byte_for_byte(tmp_path_factory, rows: list[tuple[str, str]]) -> None:
    folder = tmp_path_factory.mktemp("tsv")
    source, out = folder / "in.tsv", folder / "out.tsv"
    plain = [[re.sub(r"[\t\r\n]", " ", cell) for cell in row] for row in rows]
    source.write_text("".join("\t".join(row) + "\n" for row in [["text", "n"], *plain]), "utf-8")
    assert keep_everything(source, ["text"], out)["kept"] == len(rows)
    assert out.read_bytes() == source.read_bytes()


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**12), 10**12), CELLS, st.lists(CELLS, max_size=2),
    st.dictionaries(st.sampled_from("xy"), CELLS, max_size=2),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.lists(st.dictionaries(st.sampled_from(["text", "n", "more"]), VALUES), max_size=5))
def test_json_lines_come_back_byte_for_byte(tmp_path_factory, rows: list[dict]) -> None:
    folder = tmp_path_factory.mktemp("jsonl")
    source, out = folder / "in.jsonl", folder / "out.jsonl"
    records = [{"text": "a"}, *rows]
    source.write_text("".join(json.dumps(row) + "\n" for row in records), "utf-8")
    assert keep_everything(source, ["text"], out)["kept"] == len(records)
    assert out.read_bytes() == source.read_bytes()


def test_parquet_keeps_types_and_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["null", "nan", None], pa.large_string()),
            "view": pa.array(["a", None, "b"], pa.string_view()),
            "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
            "day": pa.array([date(2026, 11, 30), None, date(1, 1, 1)]),
            "span": pa.array([{"from": 1, "to": [2.5]}, None, {"from": 3, "to": []}]),
            "raw": pa.array([b"\xff", b"", None]),
            "small": pa.array([1, None, 3], pa.int8()),
        }
    ).replace_schema_metadata({"made": "by hand"})
    parquet.write_table(table, tmp_path / "in.parquet")
    keep_everything(tmp_path / "in.parquet", ["text"], tmp_path / "out.parquet")
    back = parquet.read_table(tmp_path / "out.parquet")
    assert back.equals(parquet.read_table(tmp_path / "in.parquet"))
    assert back.schema.metadata[b"made"] == b"by hand"
    feather.write_feather(table, str(tmp_path / "in.feather"))
    keep_everything(tmp_path / "in.feather", ["text"], tmp_path / "out.feather")
    assert feather.read_table(str(tmp_path / "out.feather")).equals(table)


def test_words_that_other_readers_take_for_nothing_are_words(tmp_path: Path) -> None:
    rows = ["null", "nan", "NA", "n/a", "none", "TRUE", "inf"]
    (tmp_path / "in.csv").write_text(
        "id,text\n" + "".join(f"0{k},{w}\n" for k, w in enumerate(rows))
    )
    vocabulary = from_counts({"null": 1, "nan": 1, "true": 1})
    out = tmp_path / "out.csv"
    record = filter_table(tmp_path / "in.csv", ["text"], vocabulary, "modern", out)
    assert (record["rows"], record["kept"]) == (7, 3)
    assert out.read_text() == "id,text\n00,null\n01,nan\n05,TRUE\n"


def test_a_long_csv_with_line_breaks_in_cells_is_read_whole(tmp_path: Path) -> None:
    source = tmp_path / "multi.csv"
    with source.open("w", newline="") as stream:
        stream.write("id,sentence\n")
        stream.writelines(f'{k},"the cat\nsat"\n' for k in range(40_000))
    vocabulary = from_counts({"the": 1, "cat": 1, "sat": 1})
    record = filter_table(source, ["sentence"], vocabulary, "modern", tmp_path / "kept.csv")
    assert (record["rows"], record["kept"]) == (40_000, 40_000)


def test_a_broken_row_is_named_with_its_line(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text('id,text\n1,"fine"\n2,"never closed\n3,fine\n')
    with pytest.raises(InputError, match=r"in\.csv, line 3 .*unbalanced quote"):
        keep_everything(source, ["text"], tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    source.write_text("id,text\n1,fine\n2,one,two\n")
    with pytest.raises(InputError, match="line 3 .*invalid row"):
        keep_everything(source, ["text"], tmp_path / "out.csv")


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(b"\xef\xbb\xbftext,n\r\nthe cat,1\r\n")
    keep_everything(source, ["text"], tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == source.read_bytes()


def test_a_field_of_a_struct_can_be_named(tmp_path: Path) -> None:
    rows = [{"data": {"text": "the cat"}}, {"data": {"text": "the dog"}}, {"data": None}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    vocabulary = from_counts({"the": 1, "cat": 1})
    for name in ("in.parquet", "in.jsonl"):
        out = tmp_path / f"out_{name}"
        record = filter_table(tmp_path / name, ["data.text"], vocabulary, "modern", out)
        assert (record["rows"], record["kept"], record["unknown"]) == (3, 2, [("dog", 1)])


def test_files_of_a_folder_keep_their_names_and_formats(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "train.csv").write_text("label,s\n01,a\n")
    (folder / "dev.tsv").write_text('label\ts\n01\t"a\n')
    (folder / "._dev.tsv").write_bytes(b"\x00\xff")
    record = filter_table(folder, ["s"], from_counts({"a": 1}), "modern", tmp_path / "out")
    assert record["splits"].keys() == {"train", "dev"}
    assert (tmp_path / "out" / "train.csv").read_text() == "label,s\n01,a\n"
    assert (tmp_path / "out" / "dev.tsv").read_text() == 'label\ts\n01\t"a\n'
