"""Words counted and numbered by the compiled scanner, beside plain Python."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lilliput.tokenization.counting.table import WordTable
from lilliput.tokenization.counting.words import count_words

_PARTS = st.sampled_from(
    ["a", "the", "café", "’", "…", "x" * 20, " ", "  ", "\n", "\u00a0", "\u2009"]
)
_TEXT = st.one_of(st.lists(_PARTS, max_size=12).map("".join), st.text(max_size=20))
_TEXTS = st.lists(st.one_of(st.none(), _TEXT), max_size=6)


@settings(max_examples=300, deadline=None)
@given(batches=st.lists(_TEXTS, max_size=4))
def test_counts_are_those_of_str_split(batches: list[list[str | None]]) -> None:
    inside: Counter[str] = Counter()
    initial: Counter[str] = Counter()
    for text in (text or "" for texts in batches for text in texts):
        first, *rest = text.split() or [None]
        initial.update([first] if first else [])
        inside.update(rest)
    found = count_words((pa.array(texts, pa.string()) for texts in batches), max_types=1000)
    assert (found.inside, found.initial) == (dict(inside), dict(initial))
    assert found.documents == sum(map(len, batches))
    assert found.dropped == 0


def test_every_character_is_white_space_as_python_says() -> None:
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    texts = pa.array([f"a{c}b" for c in characters])
    counts = WordTable().number_words(texts).counts
    assert [c for c, n in zip(characters, counts.tolist(), strict=True) if n == 2] == [
        c for c in characters if c.isspace()
    ]


@settings(max_examples=300, deadline=None)
@given(texts=_TEXTS)
def test_pieces_together_are_the_text(texts: list[str | None]) -> None:
    table = WordTable()
    found = table.number_pieces(pa.array(texts, pa.string()))
    words = table.words()
    assert len(set(words)) == len(words)
    pieces = iter(words[number] for number in found.numbers.tolist())
    for text, count in zip(texts, found.counts.tolist(), strict=True):
        assert "".join(next(pieces) for _ in range(count)) == (text or "")


def test_a_table_grown_over_many_batches_keeps_its_numbers() -> None:
    words = [f"word{i}-{'y' * (i % 30)}" for i in range(200_000)]
    table = WordTable()
    for start in range(0, len(words), 30_000):
        table.number_words(pa.array(words[start : start + 30_000]))
    again = table.number_words(pa.array(words))
    assert table.words() == words
    np.testing.assert_array_equal(again.numbers, np.arange(len(words)))


def test_kept_words_are_found_under_their_new_numbers() -> None:
    table = WordTable()
    table.number_words(pa.array(["zero one two three four"]))
    table.keep(np.array([1, 4]))
    assert table.words() == ["one", "four"]
    assert table.number_words(pa.array(["four zero one"])).numbers.tolist() == [1, 2, 0]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_a_slice_of_a_column_is_read_from_its_place(kind: pa.DataType) -> None:
    column = pa.array(["the dog", None, "a cat", "", "the end"], kind)[1:4]
    found = count_words([column], max_types=10)
    assert (found.initial, found.inside, found.documents) == ({"a": 1}, {"cat": 1}, 3)


def test_the_bound_holds_over_many_batches_and_the_frequent_words_stay() -> None:
    batches = [pa.array([f"often often rare{i}a rare{i}b"]) for i in range(50)]
    found = count_words(batches, max_types=8)
    assert found.types()["often"] == 100
    assert len(found.types()) <= 8
    assert found.total + found.dropped == 200
