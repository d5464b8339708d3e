"""`lilliput vocabulary` and `lilliput corpus`: the keys of the contract, and damaged input."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.language.conftest import WORDS, make_documents

from lilliput.cli import main

BUILD_KEYS = {
    "documents", "spans", "kept", "written", "duplicates", "dropped", "words", "bytes_in", "mb_per_s",
}  # fmt: skip


@pytest.fixture
def lilliput(monkeypatch, capsys):
    """Run a command with --json: its exit code and the one object on standard output."""

    def run(*arguments: object) -> tuple[int, dict]:
        monkeypatch.setattr(sys, "argv", ["lilliput", *map(str, arguments), "--json"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.csv"
    path.write_text("word,frequency\n" + "".join(f"{word},3\n" for word in WORDS))
    return path


def write_texts(folder: Path, count: int = 120) -> Path:
    folder.mkdir()
    documents = make_documents(count)
    columns = {name: [getattr(d, name) for d in documents] for name in ("text", "doc_id", "source")}
    parquet.write_table(pa.table(columns), folder / "texts.parquet")
    return folder


def test_vocabulary_build(tmp_path: Path, lilliput) -> None:
    texts = write_texts(tmp_path / "in", 20)
    code, record = lilliput("vocabulary", "build", texts, "--size", 10, "--out", tmp_path / "v")
    assert code == 0
    assert (record["words"], record["tokens"]) == (10, 20 * 300)
    assert (tmp_path / "v" / "manifest.json").exists()


def test_corpus_build(tmp_path: Path, lilliput, words: Path) -> None:
    texts, out = write_texts(tmp_path / "in"), tmp_path / "out"
    arguments = ["corpus", "build", texts, "--vocabulary", words, "--word-profile", "modern",
                 "--set", "validation_share=0.1", "--set", "test_share=0.1", "--out", out]  # fmt: skip
    code, record = lilliput(*arguments)
    assert code == 0
    assert record.keys() >= BUILD_KEYS | {"words_to_add", "unconstrained"}
    assert record["unconstrained"].keys() >= BUILD_KEYS
    assert record["spans"] == record["kept"] + sum(record["dropped"].values())
    assert record["kept"] == record["written"] + record["duplicates"]
    assert lilliput(*arguments) == (code, record)


def test_corpus_estimate_encloses_what_the_build_keeps(tmp_path: Path, lilliput, words) -> None:
    texts = write_texts(tmp_path / "in", 400)
    shared = [texts, "--vocabulary", words, "--set", "min_words=20"]
    code, record = lilliput("corpus", "estimate", *shared)
    assert code == 0
    for key in ("kept", "hours", "disk_bytes"):
        assert record[key].keys() >= {"value", "low", "high"}
        assert record[key]["value"] > 0
    _, built = lilliput("corpus", "build", *shared, "--no-unconstrained", "--out", tmp_path / "c")
    # All of the text is in the sample; what Parquet adds to it is under 2 % here.
    assert record["kept"]["value"] == pytest.approx(built["words"], rel=0.02)
    assert built["duplicates"] == 0


def test_corpus_estimate_counts_the_text_of_a_file_and_not_its_headers_and_other_columns(
    tmp_path: Path, lilliput, words: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    heads = "@Participants:\tCHI Target_Child , MOT Mother\n@ID:\teng|H|CHI|2;|female|||Target_Child|||\n"
    for number, document in enumerate(make_documents(20)):
        said = f"*MOT:\t{document.text} .\n*CHI:\t{document.text} .\n"
        (folder / f"{number}.cha").write_text(f"@UTF8\n@Begin\n{heads}{said}@End\n")
    rows = [f"{'x' * 4000},{document.text}\n" for document in make_documents(20, seed=1)]
    (folder / "rows.csv").write_text("note,text\n" + "".join(rows))
    shared = [folder, "--vocabulary", words, "--set", "min_words=20"]
    _, estimated = lilliput("corpus", "estimate", *shared)
    _, built = lilliput("corpus", "build", *shared, "--no-unconstrained", "--out", tmp_path / "c")
    assert built["duplicates"] == 0
    # Everything was read, so that nothing is left to chance.
    assert estimated["kept"]["value"] == pytest.approx(built["words"])
    assert estimated["dropped"] == built["dropped"]


def test_corpus_filter(tmp_path: Path, lilliput, words: Path) -> None:
    table = tmp_path / "t.jsonl"
    table.write_text(f'{{"s": "{WORDS[0]} {WORDS[1]}"}}\n{{"s": "odd {WORDS[0]}"}}\n')
    code, record = lilliput("corpus", "filter", table, "--columns", "s", "--vocabulary", words,
                            "--word-profile", "modern", "--out", tmp_path / "kept.jsonl")  # fmt: skip
    assert (code, record["rows"], record["kept"]) == (0, 2, 1)


def damage(folder: Path) -> None:
    good = "".join(json.dumps({"text": d.text}) + "\n" for d in make_documents(40, seed=1))
    whole = gzip.compress(good.encode(), mtime=0)
    (folder / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "bytes.jsonl").write_bytes(b'{"text": "\xff\xfe"}\n' + good.encode())
    parquet.write_table(pa.table({"text": [good]}), folder / "whole.parquet")
    (folder / "short.parquet").write_bytes((folder / "whole.parquet").read_bytes()[:-400])
    (folder / "whole.parquet").unlink()
    (folder / "long.jsonl").write_bytes(b'{"text": "' + b"a " * 9_000_000 + b'"}\n' + good.encode())
    (folder / "empty.txt").write_bytes(b"")


def test_damaged_input_stops_or_is_counted_and_the_rest_is_built(
    tmp_path: Path, lilliput, words: Path
) -> None:
    texts = write_texts(tmp_path / "in")
    damage(texts)
    shared = ["corpus", "build", texts, "--vocabulary", words, "--no-unconstrained"]
    code, record = lilliput(*shared, "--out", tmp_path / "stopped")
    assert code == 2
    assert "--on-error skip" in record["error"]["try"]
    code, record = lilliput(*shared, "--on-error", "skip", "--out", tmp_path / "c")
    assert code == 0
    assert record["damaged"] == {"invalid_utf8": 1, "too_long": 1, "unreadable_file": 2}
    assert record["documents"] >= 120 + 40 + 40
