"""Readers: every format gives the same documents, and damage is counted or stops."""

from __future__ import annotations

import errno
import gzip
import json
import os
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from lilliput.core import files
from lilliput.core.errors import DiskFullError, InputError
from lilliput.language import CorpusSettings, Document, Source, build_corpus, iter_documents
from lilliput.language.reading.documents import Damage
from lilliput.language.reading.files import find_files
from lilliput.language.reading.shards import plan_shards, read_shard

TEXTS = ["First one.", "Second, “quoted”\nwith a line", 'Third "x", y']


def write(folder: Path, kind: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"texts.{kind}"
    lines = "".join(
        json.dumps({"n": 1, "text": t, "id": f"i{k}"}) + "\n" for k, t in enumerate(TEXTS)
    )
    if kind == "jsonl":
        path.write_text(lines, encoding="utf-8")
    elif kind == "jsonl.gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif kind == "jsonl.zst":
        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write(lines.encode())
    elif kind == "csv":
        cells = ['"' + t.replace('"', '""') + '"' for t in TEXTS]
        rows = "".join(f"{cell},i{k}\n" for k, cell in enumerate(cells))
        path.write_text("text,id\n" + rows, encoding="utf-8")
    elif kind == "parquet":
        parquet.write_table(pa.table({"text": TEXTS, "id": ["i0", "i1", "i2"]}), path)
    return path


def rows_of(sources, **options) -> list[dict]:
    return [row for batch in iter_documents(sources, **options) for row in batch.to_pylist()]


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet"])
def test_every_format_gives_the_same_documents(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind)
    for given_path in (tmp_path, tmp_path / f"texts.{kind}", tmp_path / "*.*"):
        rows = rows_of([given_path])
        assert [row["text"] for row in rows] == TEXTS
        assert [row["doc_id"] for row in rows] == ["i0", "i1", "i2"]
        assert {row["source"] for row in rows} == {"texts"}


def test_a_text_file_is_a_document_or_its_lines_are(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n", encoding="utf-8")
    assert [row["text"] for row in rows_of([path])] == ["one\ntwo\n"]
    lines = rows_of([Source(path=str(path), text_unit="line", name="mine")])
    assert [(row["text"].strip(), row["source"]) for row in lines] == [
        ("one", "mine"),
        ("two", "mine"),
    ]


@settings(deadline=None)  # Files on a busy disk; the time is not what is tested.
@given(st.lists(st.text("ab é\u2019", max_size=40), max_size=30), st.integers(1, 60))
def test_byte_ranges_give_each_line_once(tmp_path_factory, lines: list[str], size: int) -> None:
    path = tmp_path_factory.mktemp("ranges") / "a.jsonl"
    path.write_text("".join(json.dumps({"text": x}) + "\n" for x in lines), encoding="utf-8")
    damage = Damage()
    shards = plan_shards(find_files([path]), 1 << 20, damage, shard_bytes=size)
    read = [row for s in shards for batch in read_shard(s, damage) for row in batch.to_pylist()]
    assert [row["text"] for row in read] == lines
    assert len({row["doc_id"] for row in read}) == len(lines)


def test_chunks_of_a_large_text_do_not_depend_on_the_shards(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.write_text("".join(f"line {i} of many\n" for i in range(180_000)), encoding="utf-8")
    found = []
    for size in (1 << 20, 2 << 20, 1 << 30):
        shards = plan_shards(find_files([path]), 16 << 20, Damage(), shard_bytes=size)
        found.append([r for s in shards for b in read_shard(s, Damage()) for r in b.to_pylist()])
    assert found[0] == found[1] == found[2]
    assert "".join(row["text"] for row in found[0]) == path.read_text(encoding="utf-8")
    assert len(found[0]) == 4


def test_the_text_column_is_named_or_the_choice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"left": ["a b"], "right": ["c d"]}), path)
    with pytest.raises(InputError, match="left, right"):
        rows_of([path])
    with pytest.raises(InputError, match="'middle'"):
        rows_of([Source(path=str(path), text_column="middle")])
    assert rows_of([Source(path=str(path), text_column="right")])[0]["text"] == "c d"


def damaged(folder: Path, kind: str) -> tuple[Path, str, int]:
    """A damaged file, the reason that is to be counted, and the documents that can be saved."""
    folder.mkdir(exist_ok=True)
    good = [json.dumps({"text": f"{t} {i}"}) + "\n" for i, t in enumerate(TEXTS * 500)]
    path = folder / "bad.jsonl"
    if kind == "utf8":
        path.write_bytes(good[0].encode() + b'{"text": "\xff\xfe"}\n' + good[1].encode())
        return path, "invalid_utf8", 2
    if kind == "json":
        path.write_text(good[0] + '{"text": "cut\n' + good[1])
        return path, "invalid_json", 2
    if kind == "long":
        path.write_text(good[0] + json.dumps({"text": "a " * 600_000}) + "\n" + good[1])
        return path, "too_long", 2
    if kind == "gzip":
        path = folder / "bad.jsonl.gz"
        whole = gzip.compress("".join(good).encode(), mtime=0)
        path.write_bytes(whole[: len(whole) // 2])
        return path, "unreadable_file", 1
    if kind == "parquet":
        path = folder / "bad.parquet"
        parquet.write_table(pa.table({"text": good}), path)
        path.write_bytes(path.read_bytes()[:-500])
        return path, "unreadable_file", 0
    path = folder / "bad.parquet"
    raw = pa.array([b"fine text", b"\xff\xfe", b"also fine"], pa.binary())
    parquet.write_table(pa.table({"text": raw.view(pa.string())}), path)
    return path, "invalid_utf8", 2


@pytest.mark.parametrize("kind", ["utf8", "json", "long", "gzip", "parquet", "parquet_utf8"])
def test_damage_stops_or_is_counted_and_the_rest_is_not_lost(tmp_path: Path, kind: str) -> None:
    path, reason, saved = damaged(tmp_path / "in", kind)
    with pytest.raises(InputError, match=r"bad\..*--on-error skip"):
        _read_all(path, Damage("stop"))
    damage = Damage("skip")
    rows = _read_all(path, damage)
    assert damage.counts[reason] == 1
    assert len(rows) >= saved
    assert all(row["text"] for row in rows if row["text"] is not None)


def _read_all(path: Path, damage: Damage) -> list[dict]:
    shards = plan_shards(find_files([path]), 1 << 20, damage)
    return [row for s in shards for batch in read_shard(s, damage) for row in batch.to_pylist()]


def test_an_empty_file_holds_no_document(tmp_path: Path) -> None:
    for name in ("a.txt", "b.jsonl"):
        (tmp_path / name).write_bytes(b"")
        assert rows_of([tmp_path / name]) == []


def test_a_line_of_200_megabytes_is_passed_over_without_being_held(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    good = json.dumps({"text": "fine"}).encode() + b"\n"
    with path.open("wb") as file:
        file.write(good)
        for _ in range(200):
            file.write(b"a" * 1_000_000)
        file.write(b"\n" + good)
    with pytest.raises(InputError, match="too long"):
        _read_all(path, Damage("stop"))
    damage = Damage("skip")
    tracemalloc.start()
    rows = _read_all(path, damage)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row["text"] for row in rows] == ["fine", "fine"]
    assert damage.counts == {"too_long": 1}
    assert peak < 10 << 20  # A document may have 1 MiB here, and is read with one copy or two.


@pytest.mark.parametrize(
    ("code", "said"), [("ENOSPC", "the disk is full"), ("EACCES", "permission was denied")]
)
@pytest.mark.parametrize("place", ["filtered", "shards", "statistics"])
def test_a_refusal_to_write_is_one_sentence_and_the_build_goes_on_after_it(
    tmp_path, monkeypatch, some_documents, small_vocabulary, code: str, said: str, place: str
) -> None:
    flush = files._flush_to_disk

    def refuse(path: Path) -> None:
        if place in str(path.relative_to(tmp_path)):
            raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))
        flush(path)

    settings = CorpusSettings(min_words=20)
    monkeypatch.setattr(files, "_flush_to_disk", refuse)
    with pytest.raises(DiskFullError, match=said):
        build_corpus(some_documents, small_vocabulary, tmp_path / "c", settings)
    monkeypatch.setattr(files, "_flush_to_disk", flush)
    assert build_corpus(some_documents, small_vocabulary, tmp_path / "c", settings)["written"] > 0


def test_the_network_is_refused_unless_it_is_allowed() -> None:
    with pytest.raises(InputError, match="Pass --hub"):
        rows_of(["hub:tinystories"])
    with pytest.raises(InputError, match="'nonsense'"):
        rows_of(["hub:nonsense"], hub=True)


@pytest.mark.parametrize(
    ("name", "folder", "kind"),
    [
        ("c4", "allenai/c4/en", "json.gz"),
        ("simple-wikipedia", "wikimedia/wikipedia/20231101.simple", "parquet"),
        ("tinystories", "roneneldan/TinyStories/data", "parquet"),
        ("fineweb", "HuggingFaceFW/fineweb/sample/10BT", "parquet"),
    ],
)
def test_hub_datasets_are_read_from_a_mirror_of_the_same_layout(
    tmp_path, monkeypatch, name: str, folder: str, kind: str
) -> None:
    stem = "c4-train.00000-of-01024" if name == "c4" else "train-00000"
    source = write(tmp_path / "made", "jsonl.gz" if kind == "json.gz" else kind)
    target = tmp_path / "mirror" / folder / f"{stem}.{kind}"
    target.parent.mkdir(parents=True)
    source.rename(target)
    monkeypatch.setenv("LILLIPUT_HUB_MIRROR", f"file://{tmp_path / 'mirror'}")
    assert [row["text"] for row in rows_of([f"hub:{name}"], hub=True)] == TEXTS


def test_documents_in_memory_come_as_they_are() -> None:
    document = Document("a text", "1", "s", "g")
    assert rows_of([document]) == [
        {"text": "a text", "doc_id": "1", "source": "s", "split_group": "g"}
    ]


@pytest.mark.parametrize(
    "name",
    [
        ".story.txt",
        "._story.txt",
        ".DS_Store",
        ".git/notes.txt",
        ".ipynb_checkpoints/story-checkpoint.txt",
        "deep/.cache/story.jsonl",
        "__MACOSX/story.txt",
        "~$story.txt",
    ],
)
def test_hidden_files_are_no_texts(tmp_path: Path, name: str) -> None:
    folder = tmp_path / ".kept" / "texts"  # A hidden folder that the user names is read.
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"\x00\x05\x16\x07\xff not a text")
    (folder / "story.txt").write_text("the cat")
    assert [file.name for file in find_files([folder])] == ["story.txt"]
    assert [Path(file.path).name for file in find_files([f"{folder}/*.txt"])] == ["story.txt"]
    assert [file.name for file in find_files([f"file://{folder}"])] == ["story.txt"]


def test_a_path_that_is_not_there_is_told_from_a_folder_without_texts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got .*stories, which is not there\. Check the path"):
        find_files([tmp_path / "stories"])
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(InputError, match=r"must name at least one file of a known kind: got photo"):
        find_files([tmp_path])
