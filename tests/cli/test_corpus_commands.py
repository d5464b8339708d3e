"""`lilliput vocabulary` and `lilliput corpus`: the keys of the contract, and damaged input."""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.language.conftest import WORDS, make_documents

from lilliput.cli import main
from lilliput.core.errors import EmptyCorpusError
from lilliput.language import CorpusSettings
from lilliput.language.corpus.facts import require_text

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


def test_damaged_files_are_named_and_words_to_add_are_printed(
    tmp_path: Path, capsys, monkeypatch
) -> None:
    texts, words = write_texts(tmp_path / "in"), tmp_path / "few.csv"
    (texts / "broken.txt").write_bytes(b"\xff\xfe\xff a")
    words.write_text("word,frequency\n" + "".join(f"{word},3\n" for word in WORDS[1:]))

    def said(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["lilliput", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 0
        return capsys.readouterr().out

    skip = ("--on-error", "skip", "--set", "min_words=3")
    built = said(
        "corpus",
        "build",
        texts,
        "--vocabulary",
        words,
        "--out",
        tmp_path / "out",
        *skip,
        "--no-unconstrained",
    )
    assert re.search(r"damaged, invalid utf8: 1\n    \S*broken.txt[^\n]*: invalid utf8\n", built)
    assert f"Words that would keep more spans, each alone: {WORDS[0]} (" in built
    listed = said(
        "vocabulary", "build", texts, "--on-error", "skip", "--size", 1, "--out", tmp_path / "v.csv"
    )
    assert "1 word covers" in listed
    assert "broken.txt" in listed
    assert "broken.txt" in said("corpus", "estimate", texts, "--vocabulary", words, *skip)
    every = said(
        "corpus",
        "estimate",
        texts,
        "--vocabulary",
        words,
        "--on-error",
        "skip",
        "--word-profile",
        "all",
    )
    for profile in ("paper", "cpp", "modern"):
        assert f"\n{profile:<7} words kept" in f"\n{every}"
    assert every.count("dropped in the sample: ") == 3


def test_what_a_command_writes_or_reads_otherwise_is_no_text_of_it(
    tmp_path: Path, lilliput
) -> None:
    texts = write_texts(tmp_path / "in", 120)
    first = lilliput("vocabulary", "build", texts, "--out", texts / "v.csv")
    assert lilliput("vocabulary", "build", texts, "--out", texts / "v.csv") == first
    build = (
        "corpus",
        "build",
        texts,
        "--vocabulary",
        texts / "v.csv",
        "--out",
        texts / "out",
        "--set",
        "min_words=3",
    )
    code, record = lilliput(*build)
    assert (code, record["documents"]) == (0, 120)
    assert record["unconstrained"]["documents"] == 120
    assert lilliput(*build) == (code, record)


@pytest.mark.parametrize("name", ["frequency", "Count", "freq", "occurrences"])
def test_a_list_with_counts_is_ranked_by_them(tmp_path: Path, lilliput, name: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"word,{name}\ndog,2\ncat,7\nfox,1\n")
    code, record = lilliput("vocabulary", "build", path, "--size", 2, "--out", tmp_path / "v.csv")
    assert (code, record["tokens"]) == (0, 10)
    assert (tmp_path / "v.csv").read_text() == "word,frequency\ncat,7\ndog,2\n"


def test_a_list_without_known_counts_is_not_ranked_in_silence(tmp_path: Path, lilliput) -> None:
    path = tmp_path / "list.csv"
    path.write_text("word,zipf\ndog,2\ncat,7\nfox,1\n")
    code, record = lilliput("vocabulary", "build", path, "--size", 2, "--out", tmp_path / "v.csv")
    assert code == 2
    assert "Name the column of the numbers frequency, freq, count" in record["error"]["try"]
    assert "zipf" in record["error"]["got"]


def test_a_corpus_that_keeps_nothing_says_which_words_are_missing() -> None:
    facts = {
        "splits": {key: {"spans": 0} for key in ("train", "validation", "test")},
        "written": 0, "documents": 9, "dropped": {"unknown_words": 40}, "words_read": 90_000,
        "words_to_add": [["zebra", 7], ["tapir", 2]],
    }  # fmt: skip
    said = (
        r"Use a larger vocabulary \('zebra' and 'tapir' would each keep spans\), raise max_unknown"
    )
    with pytest.raises(EmptyCorpusError, match=said):
        require_text(facts, CorpusSettings())


def test_a_refused_tokenizer_leaves_no_folder(tmp_path: Path, lilliput, words: Path) -> None:
    texts = write_texts(tmp_path / "in")
    code, _ = lilliput(
        "corpus",
        "build",
        texts,
        "--vocabulary",
        words,
        "--out",
        tmp_path / "c",
        "--no-unconstrained",
    )
    assert code == 0
    out = tmp_path / "tokenizers"
    train = ("tokenizer", "train", tmp_path / "c" / "constrained", "--out", out)
    code, record = lilliput(*train, "--vocab-size", 7)
    assert (code, out.exists()) == (2, False), record
    out.mkdir()
    assert lilliput(*train, "--vocab-size", 7)[0] == 2
    assert list(out.iterdir()) == []
