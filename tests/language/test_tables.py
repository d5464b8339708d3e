"""Tables under the vocabulary, and the paper's own rule for GLUE."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from lilliput.core.errors import InputError
from lilliput.language import filter_table, from_counts, read_vocabulary
from lilliput.language.tables import glue_paper_words, read_table

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
    assert read_table(out).to_pydict() == {
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
