"""The compiled scanner equals the plain rule on any text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lilliput.language import from_counts, split_words
from lilliput.language.spans.finder import SpanFinder
from lilliput.language.spans.oracle import find_plain
from lilliput.language.spans.settings import SpanSettings
from lilliput.language.spans.verdicts import KEPT

WORDS = [
    "a",
    "number",
    "hlink",
    "don",
    "dont",
    "t",
    "be",
    "naïve",
    "the",
    "whatsoeverlongword",
    "12",
]
CHARACTERS = st.one_of(
    st.sampled_from(WORDS).map(lambda word: f" {word}"),
    st.sampled_from([" ", "  ", "\n", ". ", "! ", '." ', "?” ", "'", "’", "-", "http", "://", "5", "_", "É", "Σ", "İ", "\u0301", "\u00ad", "J\u030c", "\u2060", "\u2000", "\x1c", "\xa0", "\u3000"]),
    st.characters(exclude_categories=["Cs"]),
)  # fmt: skip
TEXTS = st.lists(CHARACTERS, max_size=60).map("".join)
# Only windows overlap: stride and overlap are refused beside the other shapes.
SHAPES = st.one_of(
    st.fixed_dictionaries(
        {
            "span_shape": st.just("windows"),
            "stride_words": st.integers(1, 4),
            "overlap": st.sampled_from(["keep", "remove"]),
        }
    ).filter(lambda shape: shape["stride_words"] < 3 or shape["overlap"] == "keep"),
    st.fixed_dictionaries({"span_shape": st.sampled_from(["sentences", "runs"])}),
)
RULES = st.builds(
    lambda shape, **values: SpanSettings(**shape, **values),
    SHAPES,
    word_profile=st.sampled_from(["paper", "cpp", "modern"]),
    span_words=st.integers(3, 9),
    min_words=st.integers(0, 3),
    max_unknown_share=st.sampled_from([0.0, 0.2, 0.5]),
)


def found_by_finder(texts: list[str | None], rule: SpanSettings, vocabulary) -> list[list[tuple]]:
    found = SpanFinder(rule, vocabulary).find(pa.array(texts, pa.string()))
    rows: list[list[tuple]] = [[] for _ in texts]
    columns = (found.document, found.first_word, found.last_word, found.words, found.verdict)
    for document, *span in zip(*(column.tolist() for column in columns), strict=True):
        rows[document].append(tuple(span))
    return rows


def found_plainly(text: str, rule: SpanSettings, vocabulary) -> list[tuple]:
    words = None if vocabulary is None else vocabulary.looked_up(rule.profile)
    return [(s.first, s.last, s.words, s.verdict) for s in find_plain(text, rule, words)]


@settings(max_examples=400, deadline=None)
@given(st.lists(TEXTS, max_size=3), RULES)
def test_finder_equals_oracle(texts: list[str], rule: SpanSettings) -> None:
    vocabulary = from_counts(dict.fromkeys(WORDS, 1))
    expected = [found_plainly(text, rule, vocabulary) for text in texts]
    assert found_by_finder(texts, rule, vocabulary) == expected


@settings(max_examples=100, deadline=None)
@given(TEXTS, RULES, st.data())
def test_finder_equals_oracle_on_a_vocabulary_of_the_text(text, rule, data) -> None:
    own = sorted(set(split_words(text, rule.profile)) | {"x"})
    chosen = data.draw(st.lists(st.sampled_from(own), min_size=1))
    vocabulary = from_counts(dict.fromkeys(chosen, 1))
    assert found_by_finder([text], rule, vocabulary) == [found_plainly(text, rule, vocabulary)]


@pytest.mark.parametrize("profile", ["paper", "cpp", "modern"])
def test_every_character_alone_is_read_as_the_oracle_reads_it(profile: str) -> None:
    rule = SpanSettings(word_profile=profile, span_shape="windows", min_words=0, span_words=9)
    vocabulary = from_counts({"xy": 1})
    codes = [*range(0x10000), *range(0x1F000, 0x20000), 0x323AF, 0x32400, 0xE0100, 0x10FFFF]
    texts = [f"xy{chr(c)}xy xy" for c in codes if not 0xD800 <= c < 0xE000]
    got = found_by_finder(texts, rule, vocabulary)
    wrong = [
        text for text, spans in zip(texts, got, strict=True)
        if spans != found_plainly(text, rule, vocabulary)
    ]  # fmt: skip
    assert wrong == []


@settings(max_examples=100, deadline=None)
@given(TEXTS, RULES)
def test_a_larger_vocabulary_never_drops_more_windows(text: str, rule: SpanSettings) -> None:
    rule = rule.model_copy(update={"span_shape": "windows", "overlap": "keep"})
    small, large = (from_counts(dict.fromkeys(WORDS[:n], 1)) for n in (5, len(WORDS)))
    kept = [
        {span for span in found_by_finder([text], rule, v)[0] if span[-1] == KEPT}
        for v in (small, large, None)
    ]
    assert kept[0] <= kept[1] <= kept[2]


def test_offsets_cut_the_text_at_pieces_and_nulls_have_no_spans() -> None:
    rule = SpanSettings(span_shape="windows", span_words=3, stride_words=3, min_words=1)
    found = SpanFinder(rule, None).find(pa.array(["a b  c d", None, "é f"], pa.string())[0:3])
    data = "a b  c dé f".encode()
    spans = [data[i:j].decode() for i, j in zip(found.start, found.stop, strict=True)]
    assert spans == ["a b  c", "d", "é f"]
    assert found.document.tolist() == [0, 0, 2]


def test_a_sliced_array_is_read_from_its_own_first_row() -> None:
    rule = SpanSettings(span_shape="windows", span_words=3, min_words=1)
    texts = pa.array(["one two", "three", "four five"], pa.large_string())
    found = SpanFinder(rule, None).find(texts[1:])
    assert found.words.tolist() == [1, 2]


@pytest.mark.parametrize("length", [7, 8, 9, 15, 16, 17, 40])
def test_words_of_every_length_are_told_apart_by_each_letter(length: int) -> None:
    word = "abcdefghij" * 4
    word = word[:length]
    others = [word[:i] + "z" + word[i + 1 :] for i in range(length)] + [word + "a", word[:-1]]
    rule = SpanSettings(span_shape="windows", min_words=1, span_words=1, stride_words=1)
    found = SpanFinder(rule, from_counts({word: 1})).find(pa.array([" ".join([word, *others])]))
    assert found.verdict.tolist() == [KEPT] + [1] * len(others)


@pytest.mark.parametrize("profile", ["paper", "cpp", "modern"])
@pytest.mark.parametrize(
    "middle", ["don't", "http://a.org/x-y", "5th", "naïve", "“a”\u3000b", "the", "x" * 70]
)
def test_nothing_depends_on_where_blocks_of_64_bytes_begin(profile: str, middle: str) -> None:
    strides = {"stride_words": 1} if profile == "paper" else {}
    rule = SpanSettings(word_profile=profile, span_words=4, min_words=0, **strides)
    vocabulary = from_counts(dict.fromkeys(WORDS, 1))
    texts = [f"{'x' * before} {middle} a. {'be ' * 30}" for before in range(130)]
    texts += [f"{'a ' * before}{middle}" for before in range(70)]
    expected = [found_plainly(text, rule, vocabulary) for text in texts]
    assert found_by_finder(texts, rule, vocabulary) == expected
    for text, spans in zip(texts, expected, strict=True):  # Each alone ends with its buffer.
        assert found_by_finder([text], rule, vocabulary) == [spans]


@pytest.mark.parametrize("length", [2, 3, 8, 9, 10, 15, 16, 17])
def test_an_apostrophe_is_taken_out_at_any_place(length: int) -> None:
    word = "abcdefghijklmnopq"[:length]
    forms = [word[:i] + sign + word[i:] for i in range(length + 1) for sign in "'’"]
    text = " ".join([*forms, f"{word[0]}''{word[1:]}", f"{word[:1]}'{word[1:]}'s"]) + " " * 20
    rule = SpanSettings(word_profile="modern", span_shape="windows", span_words=1, stride_words=1, min_words=1)  # fmt: skip
    vocabulary = from_counts({word: 1})
    assert found_by_finder([text], rule, vocabulary) == [found_plainly(text, rule, vocabulary)]


def test_a_zero_byte_is_a_character_like_others() -> None:
    rule = SpanSettings(word_profile="cpp", span_shape="windows", span_words=1, stride_words=1, min_words=1)  # fmt: skip
    vocabulary = from_counts({"a": 1})
    text = "a \0 a\0 \0a \0\0"
    assert found_by_finder([text], rule, vocabulary) == [found_plainly(text, rule, vocabulary)]


def key_of(word: str) -> tuple[int, int]:
    """The key in plain Python: bytes up to 16 of them, a hash beyond."""
    low = high = 0
    for position, byte in enumerate(word.encode("utf-8").replace(b"\0", b"\xff")):
        if position < 8:
            low |= byte << (8 * position)
        elif position < 16:
            high |= byte << (8 * (position - 8))
        else:
            low = (low ^ byte) * 0x100000001B3 % 2**64
            high = (high ^ byte) * 0xC2B2AE3D27D4EB4F % 2**64
    return low, high


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=200, unique=True), st.integers(0, 3000))
def test_a_key_table_holds_exactly_the_words_it_was_given(words: list[str], more: int) -> None:
    from lilliput.language.spans.kernels.keys import is_known, key_table

    words = [word for word in words if word] + [f"word{n}" for n in range(more)]
    table = key_table(words)
    keys = {key_of(word) for word in words}
    rows = {(int(low), int(high)) for low, high in table.tolist()} - {(0, 0)}
    assert rows == keys
    assert all(is_known(table, *(np.uint64(part) for part in key)) for key in keys)
    absent = np.array([key_of(f"absent{n}") for n in range(100)], np.uint64)
    assert not any(is_known(table, low, high) for low, high in absent)


@pytest.mark.parametrize("profile", ["paper", "cpp", "modern"])
@pytest.mark.parametrize("shape", [None, "windows", "sentences", "runs"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("span_words", 5), ("stride_words", 2), ("min_words", 4), ("max_unknown_share", 0.5), ("overlap", "remove"),
    ],
)  # fmt: skip
def test_every_setting_moves_a_span_or_is_refused(
    profile: str, shape: str | None, name: str, value: object
) -> None:
    base = {"word_profile": profile, "span_shape": shape, "span_words": 8, "min_words": 2}
    is_windows = SpanSettings(**base).shape == "windows"
    base |= {"stride_words": 1} if is_windows else {}
    if name in ("stride_words", "overlap") and not is_windows:
        with pytest.raises(ValueError, match=f"{name} = .* would do nothing: only windows"):
            SpanSettings(**base | {name: value})
        return
    vocabulary = from_counts(dict.fromkeys(["the", "a", "number", "be", "t"], 1))
    text = "Be the a number the be a the number be. Zebra. The a. Zebra be. The be be be. The a a the zebra be. The be."
    plain, changed = SpanSettings(**base), SpanSettings(**base | {name: value})
    assert found_by_finder([text], changed, vocabulary) != found_by_finder(
        [text], plain, vocabulary
    )


def test_windows_apart_cannot_overlap() -> None:
    with pytest.raises(ValueError, match="overlap = 'remove' would do nothing: .* every 110 words"):
        SpanSettings(span_shape="windows", stride_words=110, overlap="remove")
