"""Which column of a table is read as the text."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from lilliput.core.errors import InputError
from lilliput.core.progress import SilentReporter
from lilliput.language import Source, build_vocabulary, iter_documents
from lilliput.language.reading.documents import Damage
from lilliput.language.reading.files import find_files
from lilliput.language.reading.shards import plan_shards

CASE = [
    {"text": None, "url": "one two three"},
    {"text": "the cat sat", "url": "one"},
    {"text": "a dog", "url": "two"},
]


def write_json(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def texts_of(source, **options) -> list[str]:
    return [t for b in iter_documents([source], **options) for t in b["text"].to_pylist() if t]


class Said(SilentReporter):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def chosen(path: Path) -> tuple[set[str | None], list[str]]:
    """The columns that the shards of a source read as text, and what the user is told."""
    said = Said()
    shards = plan_shards(find_files([path]), 1 << 20, Damage("skip"), 200, said)
    return {s.columns.text if s.columns else None for s in shards}, said.lines


def test_a_column_called_text_wins_though_its_first_value_is_null(tmp_path: Path) -> None:
    path = write_json(tmp_path / "texts.jsonl", CASE)
    words = build_vocabulary([path], on_error="skip")
    assert sorted(words.words) == ["a", "cat", "dog", "sat", "the"]
    with pytest.raises(InputError, match=r"texts\.jsonl, line 1 .*no text.*text = None"):
        build_vocabulary([path])


STRING_TYPES = [
    pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view(),
    pa.dictionary(pa.int32(), pa.string()), pa.dictionary(pa.int8(), pa.large_string()),
]  # fmt: skip


@pytest.mark.parametrize("kind", STRING_TYPES, ids=str)
@pytest.mark.parametrize("ending", ["parquet", "feather"])
@pytest.mark.parametrize("name", ["text", "content", "sentence", "utterance", "remark"])
def test_every_string_type_of_arrow_is_text(tmp_path: Path, kind, ending: str, name: str) -> None:
    values = ["the cat", "a dog"]
    plain = pa.array(values)
    column = plain.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else plain.cast(kind)  # fmt: skip
    table = pa.table({"url": ["one", "two"], name: column, "n": [1, 2]})
    path = tmp_path / f"t.{ending}"
    (parquet.write_table if ending == "parquet" else feather.write_feather)(table, str(path))
    assert texts_of(path) == values
    assert chosen(path)[0] == {name}


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "feather"])
def test_a_text_that_is_null_in_the_first_thousand_rows_is_still_the_text(
    tmp_path: Path, ending: str
) -> None:
    rows = [{"url": f"one {i}", "text": None} for i in range(1200)] + [{"url": "x", "text": "cat"}]
    path = tmp_path / f"t.{ending}"
    if ending == "jsonl":
        write_json(path, rows)
    elif ending == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=100)
    else:
        feather.write_feather(pa.Table.from_pylist(rows), str(path))
    assert texts_of(path, on_error="skip") == ["cat"]
    assert chosen(path)[0] == {"text"}


def test_a_table_of_nothing_but_nulls_holds_no_text_and_reads_no_other_column(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"text": pa.nulls(3), "comment": ["a", "b", "c"]}), path)
    assert texts_of(path, on_error="skip") == []


def test_a_guess_is_said_and_identifiers_are_never_guessed(tmp_path: Path) -> None:
    lone = write_json(tmp_path / "a.jsonl", [{"id": "x1", "remark": "the cat", "n": 1}])
    assert chosen(lone) == (
        {"remark"},
        ["a.jsonl: the column 'remark' is read as the text; name another with --text-column."],
    )
    named = write_json(tmp_path / "b.jsonl", [{"content": "the cat", "n": 1}])
    assert "'content'" in chosen(named)[1][0]
    plain = write_json(tmp_path / "c.jsonl", [{"text": "the cat", "content": "no"}])
    assert chosen(plain) == ({"text"}, [])
    for row in ({"url": "one two"}, {"id": "one two", "n": 1}, {"lang": "en", "comment": None}):
        with pytest.raises(InputError, match="--text-column"):
            chosen(write_json(tmp_path / "d.jsonl", [row]))


def test_two_strings_without_a_known_name_are_refused_with_their_names(tmp_path: Path) -> None:
    path = write_json(tmp_path / "p.jsonl", [{"sentence1": "a", "sentence2": "b"}])
    with pytest.raises(InputError, match="sentence1 or sentence2"):
        texts_of(path)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_text_inside_a_struct_is_named_with_a_dot(tmp_path: Path, ending: str) -> None:
    rows = [{"id": "i1", "data": {"text": "the cat"}}, {"id": "i2", "data": {"text": "a dog"}}]
    path = tmp_path / f"t.{ending}"
    if ending == "jsonl":
        write_json(path, rows)
    else:
        parquet.write_table(pa.Table.from_pylist(rows), path)
    with pytest.raises(InputError, match=r"data\.text"):
        texts_of(path)
    assert texts_of(Source(path=str(path), text_column="data.text")) == ["the cat", "a dog"]


def test_all_shards_of_a_source_read_the_same_column(tmp_path: Path) -> None:
    rows = [{"content": f"word{i}", "sentence": None} for i in range(30)]
    rows += [{"content": None, "sentence": f"word{i}"} for i in range(30)]
    columns, _ = chosen(write_json(tmp_path / "t.jsonl", rows))
    assert columns == {"content"}
    folder = tmp_path / "many"
    folder.mkdir()
    write_json(folder / "a.jsonl", [{"text": "the cat", "story": "no"}])
    write_json(folder / "b.jsonl", [{"story": "a dog"}])
    parquet.write_table(pa.table({"text": [1, 2]}), folder / "c.parquet")
    parquet.write_table(pa.table({"text": ["a hen"]}), folder / "d.parquet")
    (folder / "e.csv").write_text("story\nno\n")
    assert texts_of(folder, on_error="skip") == ["the cat", "a hen"]
    with pytest.raises(InputError, match=r"b\.jsonl, line 1 .*no 'text' among story"):
        texts_of(folder)
    (folder / "b.jsonl").unlink()
    with pytest.raises(InputError, match=r"c\.parquet .*no text column.*int64"):
        texts_of(folder)


def test_a_vocabulary_reads_one_column_of_all_files(tmp_path: Path) -> None:
    write_json(tmp_path / "a.jsonl", [{"text": "the cat", "story": "no"}])
    write_json(tmp_path / "b.jsonl", [{"story": "a dog"}])
    assert set(build_vocabulary([tmp_path], on_error="skip").words) == {"the", "cat"}


@pytest.mark.parametrize("name", ["Text", "TEXT"])
def test_the_case_of_a_name_does_not_matter(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.csv").write_text(f"id,remark,{name}\n1,no,the cat\n")
    assert texts_of(tmp_path / "t.csv") == ["the cat"]


def test_quotes_in_tab_separated_text_are_plain_characters(tmp_path: Path) -> None:
    path = tmp_path / "texts.tsv"
    path.write_text('id\ttext\n1\t"the cat\n2\tsat" down\n3\tsay "hi"\n4\tx"\n5\tthe end\n')
    assert texts_of(path) == ['"the cat', 'sat" down', 'say "hi"', 'x"', "the end"]


def test_an_unbalanced_quote_costs_one_row_of_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('id,text\n1,"never closed\n2,"the cat"\n3,5" pipe\n4,"two\nlines"\n5,"open\n')
    damage = Damage("skip")
    shards = plan_shards(find_files([path]), 1 << 20, damage)
    from lilliput.language.reading.shards import read_shard

    rows = [t for s in shards for b in read_shard(s, damage) for t in b["text"].to_pylist()]
    assert rows == ["the cat", '5" pipe', "two\nlines"]
    assert damage.counts == {"unbalanced_quote": 2}
    with pytest.raises(InputError, match="line 2 .*unbalanced quote"):
        texts_of(path)


def test_half_a_character_in_json_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"text": "\\ud800 a"}\n{"text": "fine"}\n' + '{"text": ' + "[" * 100_000 + "\n"
    )
    assert texts_of(path, on_error="skip") == ["fine"]
