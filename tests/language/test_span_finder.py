"""The compiled scanner equals the plain rule on any text."""

from __future__ import annotations

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
    st.sampled_from([" ", "  ", "\n", ". ", "! ", '." ', "?” ", "'", "’", "-", "http", "://", "5", "_", "É", "Σ", "İ", "\u0301", "\x1c", "\xa0", "\u3000"]),
    st.characters(exclude_categories=["Cs"]),
)  # fmt: skip
TEXTS = st.lists(CHARACTERS, max_size=60).map("".join)
RULES = st.builds(
    SpanSettings,
    word_profile=st.sampled_from(["paper", "cpp", "modern"]),
    span_shape=st.sampled_from(["windows", "sentences", "runs"]),
    span_words=st.integers(3, 9),
    stride_words=st.integers(1, 4),
    min_words=st.integers(0, 3),
    max_unknown_share=st.sampled_from([0.0, 0.2, 0.5]),
    overlap=st.sampled_from(["keep", "remove"]),
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
