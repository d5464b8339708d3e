"""Small files that unpack to gigabytes, or break a reader: a sentence or a count, and bounded memory."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from lilliput.core.errors import InputError
from lilliput.language.reading.documents import Damage, Source
from lilliput.language.reading.files import find_files
from lilliput.language.reading.rows import MAX_COLUMNS
from lilliput.language.reading.shards import plan_shards, read_shard
from lilliput.language.tables import filter_table
from lilliput.language.words.vocabulary import Vocabulary

_LIMIT = 16 << 20


def read(path: Path, on_error: str = "skip") -> tuple[list[str], dict[str, int]]:
    """The texts of a file, and what was counted as damaged."""
    damage = Damage(on_error)  # type: ignore[arg-type]
    texts: list[str] = []
    for shard in plan_shards(find_files([path]), _LIMIT, damage):
        for batch in read_shard(shard, damage):
            texts += [text for text in batch.column("text").to_pylist() if text is not None]
    return texts, dict(damage.counts)


# Reads a file with at most so many MB of address space beyond what the imports took.
_CHILD = """
import resource, sys
from pathlib import Path
from tests.language.reading.test_bounds import _LIMIT
from lilliput.language.reading.documents import Damage, Source
from lilliput.language.reading.files import find_files
from lilliput.language.reading.shards import plan_shards, read_shard

damage = Damage("skip")
pages = int(Path("/proc/self/statm").read_text().split()[0])
most = pages * resource.getpagesize() + (int(sys.argv[2]) << 20)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
rows = 0
source = Source(path=sys.argv[1], text_column=sys.argv[3] or None)
for shard in plan_shards(find_files([source]), _LIMIT, damage):
    for batch in read_shard(shard, damage):
        rows += batch.num_rows
print(rows, dict(damage.counts))
"""


def read_within(path: Path, megabytes: int, column: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_CHILD), str(path), str(megabytes), column],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_a_long_value_named_often_is_unpacked_a_few_rows_at_a_time(tmp_path: Path) -> None:
    """One value of 4 MB, named by 256 rows: 1 GB unpacked."""
    path = tmp_path / "a.parquet"
    value = pa.array(["a" * (4 << 20)])
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 256, pa.int32()), value)
    parquet.write_table(
        pa.table({"text": texts}), path, compression="zstd",
        dictionary_pagesize_limit=8 << 20, store_schema=False,
    )  # fmt: skip
    assert path.stat().st_size < 2000
    assert read_within(path, 600) == "256 {}"


def test_a_list_beside_the_text_is_not_unpacked(tmp_path: Path) -> None:
    """A row whose list names one value of 4 MB 400 times: 1.6 GB, and none of it is text."""
    path = tmp_path / "a.parquet"
    value = pa.array(["a" * (4 << 20)])
    names = pa.DictionaryArray.from_arrays(pa.array([0] * 400, pa.int32()), value)
    lists = pa.ListArray.from_arrays(pa.array([0, 400], pa.int32()), names)
    inner = pa.StructArray.from_arrays([pa.array(["the text"]), lists], ["text", "more"])
    parquet.write_table(
        pa.table({"inner": inner, "n": [1]}), path, compression="zstd",
        dictionary_pagesize_limit=8 << 20, store_schema=False,
    )  # fmt: skip
    assert path.stat().st_size < 4000
    found = plan_shards(
        find_files([Source(path=str(path), text_column="inner.text")]), _LIMIT, Damage()
    )
    texts = [
        batch.column("text").to_pylist() for shard in found for batch in read_shard(shard, Damage())
    ]
    assert texts == [["the text"]]
    assert read_within(path, 900, "inner.text") == "1 {}"


@pytest.mark.slow
def test_the_bomb_goes_through_the_command_line_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = pa.DictionaryArray.from_arrays(
        pa.array([0] * 200, pa.int32()), pa.array(["word " * (800 << 10)])
    )
    parquet.write_table(
        pa.table({"text": texts}), path, compression="zstd",
        dictionary_pagesize_limit=8 << 20, store_schema=False,
    )  # fmt: skip
    words = ["vocabulary", "build", str(path), "--out", str(tmp_path / "v.csv"), "--json"]
    code = "import resource, sys; from lilliput.cli._frame import run_command; left = run_command(sys.argv[1:]); "
    code += (
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); sys.exit(left)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["tokens"] == 200 * (800 << 10)
    assert int(done.stderr.split()[-1]) < 1_300_000  # kB; the texts alone are 819 MB.


def test_parquet_in_batches_holds_the_same_rows(tmp_path: Path) -> None:
    from lilliput.language.reading.parquet import ParquetTable

    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "text": pa.array([None if i % 7 == 0 else f"{i % 900} " * 50 for i in range(9000)]),
            "raw": pa.array([bytes([i % 256]) for i in range(9000)], pa.large_binary()),
            "inner": [{"a": str(i % 5), "b": [str(i)] * (i % 3)} for i in range(9000)],
            "kind": pa.array(["x", "y", "z"] * 3000).dictionary_encode(),
        }
    )
    parquet.write_table(table, path, row_group_size=5000)
    with path.open("rb") as stream:
        opened = ParquetTable(stream)
        batches = [batch for group in range(2) for batch in opened.batches(group)]
        texts = list(opened.batches(1, ["text"]))
    assert pa.Table.from_batches(batches).equals(table)
    assert sum(batch.num_rows for batch in texts) == 4000
    assert len(batches) == 3
    assert max(batch.num_rows for batch in batches) <= 4096


def test_a_header_that_unpacks_to_half_a_gigabyte_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(32):
            file.write(b"a" * _LIMIT)
        file.write(b"\nwords,of,a\n" * 3)
    assert read_within(path, 200) == "0 {'too_long': 1, 'no_header': 1}"
    with pytest.raises(InputError, match="line 1 must be readable: too long"):
        read(path, "stop")


def test_a_header_of_too_many_columns_is_refused_by_its_commas(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    names = ",".join(f"c{i}" for i in range(10**6))
    path.write_text(f"{names}\n{names}\n")
    assert read_within(path, 100) == "0 {'no_header': 1}"
    with pytest.raises(InputError, match="1,000,000 columns, and at most 10,000") as caught:
        read(path, "stop")
    assert len(str(caught.value)) < 300


def test_as_many_columns_as_are_read_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    names = ["text", *(f"c{i}" for i in range(MAX_COLUMNS - 1))]
    path.write_text(f"{','.join(names)}\n{','.join(names)}\n")
    assert read(path) == (["text"], {})


@pytest.mark.parametrize("columns", [MAX_COLUMNS, 30])
def test_messages_name_a_few_columns_only(columns: int, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    names = ",".join(f"c{i}" for i in range(columns))
    path.write_text(f"{names}\n{names}\n")
    with pytest.raises(InputError, match=rf"c19, … \({columns - 20:,} more\)") as caught:
        read(path)
    assert len(str(caught.value)) < 500


def test_a_damaged_header_is_not_replaced_by_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"te\xffxt,b\ntext,y\nx,y\n")
    assert read(path) == ([], {"invalid_utf8": 1, "no_header": 1})
    with pytest.raises(InputError, match="line 1 must be readable: invalid utf8"):
        read(path, "stop")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"text": ' + "[" * 100_000, "nested too deep"),
        ('{"text": ' + '{"a":' * 100_000, "nested too deep"),
        ('{"text": "a \\ud800 b"}', "half a character"),
        ('{"text": "a", "id": "\\udfff"}', "half a character"),
        ('{"text": "a", "id": ' + "9" * 5000 + "}", "integer string conversion"),
        ("[1]", "not an object"),
    ],
)
def test_odd_lines_of_json_are_counted_or_one_sentence(
    line: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "b \\ud83d\\ude00", "score": NaN}}\n{line}\n{{"text": "c"}}\n')
    assert read(path) == (["b \N{GRINNING FACE}", "c"], {"invalid_json": 1})
    with pytest.raises(InputError, match=f"line 2 must be readable: invalid json: .*{words}"):
        read(path, "stop")
    with pytest.raises(InputError, match=words):
        filter_table(path, ["text"], Vocabulary(("b",), (1,)), "paper", tmp_path / "o.csv")


def test_a_file_with_nothing_but_damage_is_counted_and_not_silent(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{\n[\n")
    (tmp_path / "b.parquet").write_bytes(b"PAR1xxPAR1")
    (tmp_path / "c.feather").write_bytes(b"ARROW1\0\0" + bytes(200))
    assert read(tmp_path) == ([], {"invalid_json": 2, "unreadable_file": 2})


def test_offsets_that_lead_out_of_a_feather_file_are_found(tmp_path: Path) -> None:
    """Arrow itself reads there, and may end the process with signal 11."""
    path = tmp_path / "a.feather"
    texts = pa.array(["one", "two", "three"])
    feather.write_feather(pa.table({"text": texts}), str(path), compression="uncompressed")
    good = b"".join(n.to_bytes(4, "little") for n in (0, 3, 6, 11))
    bad = b"".join(n.to_bytes(4, "little") for n in (0, 2**30, 6, 11))
    content = path.read_bytes()
    assert content.count(good) == 1
    path.write_bytes(content.replace(good, bad))
    assert read(path) == ([], {"unreadable_row_group": 1})
